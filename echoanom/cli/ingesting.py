"""What the commands that read instruments share: arguments, the call, what is told."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from echoanom.checking import Options
from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.parameters import (
    Decorator,
    Flag,
    command,
    days_options,
    json_option,
    options_object,
    workers_option,
)
from echoanom.cli.wording import count
from echoanom.ingest.options import IngestOptions

if TYPE_CHECKING:
    from echoanom.ingest.instrument import Instrument

_FLAGS = {
    "sensor": Flag(
        "--sensor",
        "Name of the sensor: its folder in DST.",
        metavar="NAME",
        default="the instrument's",
    ),
    "period_s": Flag("--period", "Time from one row to the next [s].", "SECONDS"),
    "max_gap_min": Flag(
        "--max-gap",
        "Longest gap that is filled by interpolation [min]: levels as power,"
        " directions as vectors.",
        "MIN",
    ),
    "form": Flag("--format", "Format of the tables."),
    "on_error": Flag(
        "--on-error",
        "Stop at a file that cannot be taken, or leave it out and list it.",
    ),
    "replace": Flag(
        "--replace", "Forget the files of earlier calls, and the days made from them."
    ),
}


def ingest_command(
    cls: type[Options],
    make: Callable[[Any], Instrument],
    defaults: Mapping[str, Any] | None = None,
    /,
    **flags: Flag,
) -> Decorator[Any]:
    """Make a command of an instrument from its options.

    Parameters
    ----------
    cls : type of Options
        The instrument's options.
    make : callable
        Makes the instrument of such options.
    defaults : mapping of str to object, optional
        Fields of `IngestOptions` whose default is another for this instrument.
    **flags : Flag
        Flags of the instrument's options, by field name.

    Returns
    -------
    decorator
        To be put on a function without parameters or body, for its name and its
        docstring.
    """

    def decorate(named: Callable[[], None]) -> click.Command:
        def run(
            sources: tuple[str, ...],
            destination: str,
            instrument: Any,
            table: IngestOptions,
            first: datetime.date | None,
            last: datetime.date | None,
            workers: int,
            as_json: bool,
        ) -> None:
            from echoanom.ingest.running import ingest

            with progress_bar() as progress:
                report = ingest(
                    make(instrument),
                    sources,
                    destination,
                    table,
                    first=first,
                    last=last,
                    workers=workers,
                    progress=progress,
                )
            if as_json:
                print_json(report.as_json())
            else:
                print_lines(report_lines(report.as_json()))

        run.__name__, run.__doc__ = named.__name__, named.__doc__
        decorated: Any = json_option(run)
        decorators: tuple[Decorator[Any], ...] = (
            workers_option,
            days_options,
            options_object(IngestOptions, "table", defaults, **_FLAGS),
            options_object(cls, "instrument", **flags),
            click.argument("destination", metavar="DST"),
            click.argument("sources", metavar="SRC...", nargs=-1, required=True),
        )
        for decorator in decorators:
            decorated = decorator(decorated)
        return command(decorated)

    return decorate


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Tell what an ingestion did.

    Parameters
    ----------
    report : mapping
        As `IngestReport.as_json` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    lines = [
        f"{report['folder']}: {count(report['made'], 'day')} made,"
        f" {count(report['kept'], 'day')} kept, {count(report['rows'], 'row')} of"
        f" {count(report['columns'], 'column')} from {count(report['files'], 'file')}"
    ]
    told = {
        "days removed, as their files have other days now": report["removed"],
        "cells filled": report["filled_cells"],
        "values flagged": report["flagged_values"],
        **report["counts"],
    }
    lines += [f"{what}: {number:,}" for what, number in told.items() if number]
    lines += [f"same content: {path} as {other}" for path, other in report["same"]]
    if report["skipped"]:
        lines.append(f"left out: {count(len(report['skipped']), 'file')}")
        lines += [f"  {path}: {reason}" for path, reason in report["skipped"]]
    return lines
