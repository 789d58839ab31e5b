"""Commands around stores: list and fetch daily tables, list a dataset's versions."""

from __future__ import annotations

import datetime

import click

from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.parameters import CommaList, command, days_options, json_option

_sensors_option = click.option(
    "--sensors",
    type=CommaList(str),
    default=(),
    help="Sensors to take; all if left out.",
)


@command
@click.argument("source", metavar="SRC")
@_sensors_option
@days_options
@json_option
def tables(
    source: str,
    sensors: tuple[str, ...],
    first: datetime.date | None,
    last: datetime.date | None,
    as_json: bool,
) -> None:
    """List the daily tables of a folder or bucket: sensor, day and path.

    A store is asked for the wanted sensors and days alone, not for all that it holds.

    \b
    Example:
      echoanom tables s3://bucket/observatory --sensors adcp --from 2015-02-01
    """
    from echoanom.fetching import list_tables

    found = list_tables(source, sensors, first, last)
    if as_json:
        print_json([table.as_json() for table in found])
    else:
        print_lines([f"{one.sensor}  {one.day}  {one.path}" for one in found])


@command
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@_sensors_option
@days_options
@json_option
def fetch(
    source: str,
    destination: str,
    sensors: tuple[str, ...],
    first: datetime.date | None,
    last: datetime.date | None,
    as_json: bool,
) -> None:
    """Copy daily tables from a store, or to one.

    DST gets <sensor>/tabular/ with tables, record counts and column descriptions. What
    is there with the same size is kept, so an interrupted fetch goes on.

    \b
    Example:
      echoanom fetch s3://bucket/observatory observatory --to 2015-02-28
    """
    from echoanom.fetching import fetch_tables

    with progress_bar() as progress:
        done = fetch_tables(
            source, destination, sensors, first, last, progress=progress
        )
    if as_json:
        print_json(done.as_json())
    else:
        print_lines(
            [
                f"{destination}: {done.copied:,} files fetched"
                f" ({done.bytes / 2**20:,.1f} MiB), {done.kept:,} kept"
            ]
        )


@command
@click.argument("dataset")
@json_option
def versions(dataset: str, as_json: bool) -> None:
    """List the versions of a dataset that can still be read, the current one first.

    Every command that takes a dataset takes DATASET@VERSION, too, with the beginning of
    the version's name. `convert --keep` says how many there may be.

    \b
    Example:
      echoanom versions dataset
      echoanom inspect dataset@3fa2c1
    """
    from echoanom.versions import list_versions

    found = list_versions(dataset)
    if as_json:
        print_json([version.as_json() for version in found])
    else:
        print_lines(
            [
                f"{one.name}  {one.rows:,} rows  {one.first_day} to {one.last_day}"
                + ("  current" if one.current else "")
                for one in found
            ]
        )
