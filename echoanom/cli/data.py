"""Commands that make and check datasets: convert, inspect, verify."""

from __future__ import annotations

import datetime
from typing import Any

import click

from echoanom.cli import dataset_text
from echoanom.cli.cluster import connected, dask_option
from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.parameters import (
    Flag,
    command,
    days_options,
    json_option,
    options_object,
    workers_option,
)
from echoanom.options import OnError, ShardOptions, StackOptions, TableOptions


@command
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@options_object(
    StackOptions,
    "stacking",
    sensors=Flag(
        "--sensors", "Sensors to take, in this order.", default="all, by name"
    ),
    join=Flag(
        "--join", "Rows to keep: of any sensor, of all sensors, or of the first."
    ),
    max_gap_min=Flag(
        "--max-gap",
        "Longest gap that is filled by interpolation [min]. What is filled is marked.",
        metavar="MIN",
    ),
)
@options_object(
    TableOptions,
    "table",
    period_s=Flag("--period", "Time from one row to the next [s].", metavar="SECONDS"),
    time_column=Flag(
        "--time-column",
        "Column of the time stamps.",
        metavar="NAME",
        default="the usual names",
    ),
    missing_numbers=Flag("--missing", "Numbers that stand for a missing value."),
    missing_words=Flag("--missing-words", "Words that stand for a missing value."),
    duplicates=Flag(
        "--duplicates", "What to do with rows of the same time that differ."
    ),
)
@options_object(
    ShardOptions,
    "sharding",
    dtype=Flag("--dtype", "Stored type."),
    codec=Flag("--codec", "Compression of each record."),
    halo=Flag(
        "--halo",
        "Rows of the next shard repeated at the end of each, so that a shard alone"
        " holds all windows that start in it.",
        metavar="ROWS",
    ),
    shard_mib=Flag("--shard-size", "Aimed size of a shard [MiB].", metavar="MIB"),
    record_kib=Flag("--record-size", "Aimed size of a record [KiB].", metavar="KIB"),
)
@days_options
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Stop at a table that cannot be taken, or leave its day out and list it.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Versions of the dataset that stay readable as DST@VERSION, the new one"
    " included.",
)
@workers_option
@dask_option
@json_option
def convert(
    source: str,
    destination: str,
    stacking: StackOptions,
    table: TableOptions,
    sharding: ShardOptions,
    first: datetime.date | None,
    last: datetime.date | None,
    on_error: OnError,
    keep: int,
    workers: int,
    dask: str | None,
    as_json: bool,
) -> None:
    """Convert daily tables to a dataset of shards, or bring a dataset up to date.

    SRC holds one folder a sensor, with <sensor>/tabular/YYYY-MM-DD.csv or
    <sensor>/YYYY-MM-DD.csv; .parquet does as well as .csv. DST gets the dataset; what
    is there and still right is kept. The dataset changes in one step at the end, or not
    at all.

    \b
    Example:
      echoanom convert observatory dataset --join outer --max-gap 5
    """
    from echoanom.conversion import convert as run

    with connected(dask, workers) as client, progress_bar() as progress:
        report = run(
            source,
            destination,
            table=table,
            stacking=stacking,
            sharding=sharding,
            first=first,
            last=last,
            on_error=on_error,
            keep=keep,
            workers=workers,
            client=client,
            progress=progress,
        )
    if as_json:
        print_json(report.as_json())
    else:
        print_lines(dataset_text.conversion_lines(report.as_json()))


@command
@click.argument("dataset")
@click.option("--columns", is_flag=True, help="List the statistics of each column.")
@json_option
def inspect(dataset: str, columns: bool, as_json: bool) -> None:
    """Say what a dataset holds: rows, runs, gaps, missing shares, statistics.

    Reads the manifest and the statistics, not the rows. With --json the statistics of
    each column are always in it.

    \b
    Example:
      echoanom inspect dataset --columns
    """
    from echoanom.dataset import open_dataset
    from echoanom.inspection import inspect as run

    found = run(open_dataset(dataset)).as_json()
    if as_json:
        print_json(found)
    else:
        print_lines(dataset_text.inspection_lines(found, columns))


@command
@click.argument("dataset")
@json_option
def verify(dataset: str, as_json: bool) -> None:
    """Check every byte of a dataset against its manifest.

    Names the shard and record of everything that is wrong, and then exits with 1.

    \b
    Example:
      echoanom verify dataset
    """
    from echoanom.dataset import open_dataset
    from echoanom.verification import verify as run

    with progress_bar() as progress:
        found = run(open_dataset(dataset), progress=progress)
    outcome: dict[str, Any] = found.as_json()
    if as_json:
        print_json(outcome)
    else:
        print_lines(dataset_text.verification_lines(dataset, outcome))
    found.check()
