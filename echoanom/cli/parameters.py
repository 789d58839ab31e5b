"""Command line options made from the fields of the options objects.

A flag names a field; its type, choices and default are read from the dataclass, so the
command line cannot disagree with the library.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from echoanom.checking import Options
from echoanom.cli.console import start_logging
from echoanom.errors import OptionError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]


@dataclasses.dataclass(frozen=True)
class Flag:
    """How one field of an options object appears on the command line.

    Attributes
    ----------
    name : str
        The flag, e.g. ``--max-gap``.
    help : str
        What it does, one sentence or two.
    metavar : str, optional
        What stands for its value in the help.
    default : str, optional
        Words for the default, where the value itself says little.
    envvar : str, optional
        A variable of the environment that gives it, too.
    """

    name: str
    help: str
    metavar: str | None = None
    default: str | None = None
    envvar: str | None = None


class CommaList(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, as one argument.

    Parameters
    ----------
    item : type
        Type of a value: str, int or float.
    """

    name = "list"

    def __init__(self, item: type) -> None:
        self.item = item

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands for the value in the help.

        Parameters
        ----------
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        str
            A pattern.
        """
        return "A,B,..." if self.item is str else "N,N,..."

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[Any, ...]:
        """Split the argument.

        Parameters
        ----------
        value : str or tuple
            The argument; a tuple is a default and is taken as it is.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        tuple
            The values.
        """
        if not isinstance(value, str):
            return tuple(value)
        parts = [part.strip() for part in value.split(",")]
        try:
            return tuple(self.item(part) for part in parts if part)
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers with commas", param, ctx)


class UtcTime(click.ParamType):  # type: ignore[type-arg]
    """A moment: a date, or a date and time, in UTC unless it says otherwise."""

    name = "time"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Read the moment.

        Parameters
        ----------
        value : str or int
            ISO 8601 text; an int is a default and is taken as it is.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        int
            Seconds since 1970-01-01 UTC [s].
        """
        if isinstance(value, int):
            return value
        from echoanom.stamps import parse_stamp

        try:
            return parse_stamp(value) // 1_000_000
        except ValueError:
            self.fail(
                f"{value!r} is not a time such as 2015-02-01T12:00:00Z", param, ctx
            )


class Day(click.ParamType):  # type: ignore[type-arg]
    """A day of the calendar."""

    name = "day"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime.date:
        """Read the day.

        Parameters
        ----------
        value : str or date
            ``YYYY-MM-DD``.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        date
            The day.
        """
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2015-02-01", param, ctx)


def days_options(function: Decorated) -> Decorated:
    """Give a command the options ``--from`` and ``--to`` for days.

    Parameters
    ----------
    function : callable
        The command function; gets `first` and `last`, a date or None.

    Returns
    -------
    callable
        The function with the options.
    """
    for flag, name, text in (
        ("--to", "last", "Last day to take; the last there is if left out."),
        ("--from", "first", "First day to take; the first there is if left out."),
    ):
        function = click.option(flag, name, type=Day(), metavar="DAY", help=text)(
            function
        )
    return function


def options_object(
    cls: type[Options],
    argument: str,
    defaults: Mapping[str, Any] | None = None,
    /,
    **flags: Flag,
) -> Decorator[Decorated]:
    """Give a command the flags of an options object, and the object made from them.

    Parameters
    ----------
    cls : type of Options
        The options dataclass.
    argument : str
        The command function's parameter that receives the object.
    defaults : mapping of str to object, optional
        Fields whose default is another for this command, with a flag or without.
    **flags : Flag
        By field name, in the order of the help. Fields without a flag keep their
        default.

    Returns
    -------
    decorator
        To be put on the command function.
    """
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    fixed = {name: v for name, v in (defaults or {}).items() if name not in flags}
    hints = typing.get_type_hints(cls)

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def build(*args: Any, **values: Any) -> Any:
            chosen = {name: values.pop(f"{argument}__{name}") for name in flags}
            try:
                values[argument] = cls(**fixed, **chosen)
            except OptionError as error:
                raise click.UsageError(_with_flags(str(error), flags)) from None
            return function(*args, **values)

        decorated: Any = build
        for name, flag in reversed(flags.items()):
            decorated = click.option(
                flag.name,
                f"{argument}__{name}",
                default=(defaults or {}).get(name, fields[name].default),
                is_flag=hints[name] is bool,
                type=_parameter_type(hints[name]),
                show_default=flag.default or True,
                metavar=flag.metavar,
                envvar=flag.envvar,
                help=flag.help,
            )(decorated)
        return typing.cast(Decorated, decorated)

    return decorate


def _with_flags(message: str, flags: dict[str, Flag]) -> str:
    """Name the flag where the message starts with the field's name."""
    field, space, rest = message.partition(" ")
    return flags[field].name + space + rest if field in flags else message


def _parameter_type(hint: Any) -> Any:
    origin = get_origin(hint)
    if origin is Literal:
        return click.Choice(get_args(hint))
    if origin is tuple:
        return CommaList(get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return _parameter_type(
            next(part for part in get_args(hint) if part is not type(None))
        )
    return hint


def command(function: Callable[..., Any]) -> click.Command:
    """Make a function a command that also takes ``--verbose``.

    Parameters
    ----------
    function : callable
        The function, with its options.

    Returns
    -------
    click.Command
        Of the function's name, its docstring as help.
    """
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_verbose,
        help="Log what is being done to stderr, and where an error came from."
        " Twice for more.",
    )
    made: click.Command = click.command(
        context_settings={"help_option_names": ["-h", "--help"]}
    )(verbose(function))
    return made


def _verbose(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        start_logging(value)


json_option: Decorator[Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for a program to read."
)

workers_option: Decorator[Any] = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one a core",
    metavar="N",
    help="Threads or processes that work at the same time.",
)
