"""What options are made of: checks that name the option, and plain JSON values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeGuard, cast, get_args

from echoanom.errors import OptionError


class Options:
    """Base of the options objects: plain JSON values in and out."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values.

        Returns
        -------
        dict
            Field names and values; tuples become lists.
        """
        fields = dataclasses.asdict(cast(Any, self))
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild the options from `as_json`.

        Parameters
        ----------
        values : mapping
            Field names and values.

        Returns
        -------
        Options
            An object of the class it is called on.

        Raises
        ------
        OptionError
            If a name is unknown or a value is refused.
        """
        if not isinstance(values, Mapping):
            raise OptionError(f"{cls.__name__} must be an object, got {values!r}")
        known = {field.name for field in dataclasses.fields(cast(Any, cls))}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(
                f"{cls.__name__} has no option {', '.join(unknown)};"
                f" it has {', '.join(sorted(known))}"
            )
        return cls(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )


def is_whole(value: object) -> TypeGuard[int]:
    """Tell a whole number, which true and false are not.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Tell a finite number, which true and false are not.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(cast(float, value))


def are_texts(value: object) -> TypeGuard[tuple[str, ...]]:
    """Tell a tuple of texts.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)


def are_counts(value: object) -> TypeGuard[tuple[int, ...]]:
    """Tell a tuple of whole numbers of at least 1.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    return isinstance(value, tuple) and all(is_whole(n) and n >= 1 for n in value)


def require(holds: bool, options: Options, name: str, rule: str) -> None:
    """Refuse an option's value unless it is as it must be.

    Parameters
    ----------
    holds : bool
        Whether it is.
    options : Options
        The object that is being made.
    name : str
        The option.
    rule : str
        What it must be, in words.

    Raises
    ------
    OptionError
        If it is not; tells the option, the rule and the value.
    """
    if not holds:
        raise OptionError(f"{name} must be {rule}, got {getattr(options, name)!r}")


def require_whole(
    options: Options, name: str, least: int, most: int | None = None
) -> None:
    """Refuse what is no whole number, too small or too large.

    Parameters
    ----------
    options : Options
        The object that is being made.
    name : str
        The option.
    least : int
        The least that is allowed.
    most : int, optional
        The most that is.

    Raises
    ------
    OptionError
        If it is another value.
    """
    value = getattr(options, name)
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    inside = is_whole(value) and least <= value and (most is None or value <= most)
    require(inside, options, name, f"a whole number {limits}")


def require_number(
    options: Options, name: str, rule: str, holds: Callable[[float], bool]
) -> None:
    """Refuse what is no finite number, or not as it must be.

    Parameters
    ----------
    options : Options
        The object that is being made.
    name : str
        The option.
    rule : str
        What it must be, in words.
    holds : callable
        Tells whether a number is.

    Raises
    ------
    OptionError
        If it is another value.
    """
    value = getattr(options, name)
    require(is_number(value) and holds(value), options, name, rule)


def require_more_than_0(options: Options, *names: str) -> None:
    """Refuse what is no finite number, or 0 or less.

    Parameters
    ----------
    options : Options
        The object that is being made.
    *names : str
        The options.

    Raises
    ------
    OptionError
        If one has another value.
    """
    for name in names:
        require_number(options, name, "more than 0", lambda number: number > 0)


def require_bool(options: Options, *names: str) -> None:
    """Refuse what is neither true nor false.

    Parameters
    ----------
    options : Options
        The object that is being made.
    *names : str
        The options.

    Raises
    ------
    OptionError
        If one has another value.
    """
    for name in names:
        value = getattr(options, name)
        require(isinstance(value, bool), options, name, "true or false")


def require_choice(options: Options, name: str, kind: Any) -> None:
    """Refuse what is not among the choices.

    Parameters
    ----------
    options : Options
        The object that is being made.
    name : str
        The option.
    kind : Literal
        The type whose values they are.

    Raises
    ------
    OptionError
        If it is another value; tells the choices.
    """
    choices = get_args(kind)
    rule = f"one of {', '.join(choices)}"
    require(getattr(options, name) in choices, options, name, rule)
