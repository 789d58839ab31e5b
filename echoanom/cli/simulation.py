"""The command that makes data: simulate."""

from __future__ import annotations

import dataclasses

import click

from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.parameters import (
    Flag,
    command,
    json_option,
    options_object,
    workers_option,
)
from echoanom.cli.wording import count
from echoanom.simulation.settings import SimulationOptions


@command
@click.argument("destination", metavar="DST")
@options_object(
    SimulationOptions,
    "options",
    days=Flag("--days", "Number of days."),
    start=Flag("--start", "First day.", metavar="YYYY-MM-DD"),
    bins=Flag(
        "--bins",
        "Range bins of the echosounder. The other sensors' columns grow with it; 1600"
        " make about 3,000 columns in all.",
    ),
    seed=Flag("--seed", "Seed of everything random."),
    anomalies=Flag(
        "--anomalies",
        "Anomalies to plant.",
        metavar="N",
        default="one a day on average",
    ),
    sensors=Flag("--sensors", "Sensors to simulate.", default="all"),
    gap_rate=Flag("--gap-rate", "Gaps of each sensor on a day, on average."),
    missing_rate=Flag("--missing-rate", "Share of cells that are blank."),
    form=Flag("--format", "Format of the tables."),
)
@workers_option
@json_option
def simulate(
    destination: str, options: SimulationOptions, workers: int, as_json: bool
) -> None:
    """Write daily tables of an observatory that does not exist, and their labels.

    DST gets one folder a sensor, as `echoanom convert` reads them, and labels.csv:
    start, end, sensor and kind of everything unusual that was planted. The same options
    give the same files.

    \b
    Example:
      echoanom simulate observatory --days 3 --bins 200
    """
    from echoanom.simulation import simulate as run

    with progress_bar() as progress:
        summary = run(destination, options, progress=progress, workers=workers)
    if as_json:
        written = {"destination": destination, **dataclasses.asdict(summary)}
        print_json({**written, "options": options.as_json()})
    else:
        print_lines(
            [
                f"{destination}: {count(summary.files, 'table')} of"
                f" {count(options.days, 'day')} with {count(summary.rows, 'row')} and"
                f" {count(summary.columns, 'column')} in all;"
                f" {count(summary.labels, 'anomaly', 'anomalies')} in labels.csv"
            ]
        )
