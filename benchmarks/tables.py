#!/usr/bin/env python3
"""Measure daily tables as Parquet against the same tables as CSV.

::

    python benchmarks/tables.py --json tables.json

Days of a simulated echosounder are written, read and converted as the commands do it, by
one process, from files that the page cache holds. Tables are of two kinds: *rounded* to the
decimals of the simulation, as instruments print numbers, and of *full* precision, as means
over a minute come out. All turns of all lines alternate, and ratios are taken inside a turn:
CSV over Parquet, so that above 1 Parquet is smaller or faster.

Before any time is taken, both formats must give the same cells bit for bit; after it, the
same shards.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import get_args

import measuring
import numpy as np

from echoanom.conversion import convert
from echoanom.daily import DayTable, read_day
from echoanom.dataset import open_dataset
from echoanom.discovery import find_sensors
from echoanom.simulation import SimulationOptions, simulate
from echoanom.tablewriting import TableFormat, table_path, write_day

SENSOR = "echosounder"
FORMS: tuple[TableFormat, ...] = get_args(TableFormat)
_DECIMAL = 0.01  # the last one that the simulation writes of an echosounder [dB]


def full_precision(table: DayTable, seed: int) -> DayTable:
    """Add to each cell what rounding may have taken from it.

    Parameters
    ----------
    table : DayTable
        A day of rounded numbers.
    seed : int
        Seed of what is added.

    Returns
    -------
    DayTable
        The day with numbers that use all bits of float32.
    """
    random = np.random.default_rng(seed)
    noise = random.uniform(-_DECIMAL / 2, _DECIMAL / 2, table.values.shape)
    values = (table.values + noise).astype(np.float32)
    return dataclasses.replace(table, values=values)


def write(folder: str, tables: Sequence[DayTable], form: TableFormat) -> None:
    """Write days.

    Parameters
    ----------
    folder : str
        Gets a folder of the sensor.
    tables : sequence of DayTable
        The days.
    form : {'csv', 'parquet'}
        Their format.
    """
    for table in tables:
        write_day(
            f"{folder}/{SENSOR}",
            table.day,
            table.columns,
            table.times,
            table.values,
            form,
        )


def read(folder: str, days: Sequence[datetime.date], form: TableFormat) -> None:
    """Read days.

    Parameters
    ----------
    folder : str
        Has a folder of the sensor.
    days : sequence of date
        The days.
    form : {'csv', 'parquet'}
        Their format.
    """
    for day in days:
        read_day(table_path(f"{folder}/{SENSOR}", day, form), day)


def convert_all(folder: str) -> None:
    """Convert days to a dataset that is not there yet.

    Parameters
    ----------
    folder : str
        Has a folder of the sensor; the dataset comes beside it, for a moment.
    """
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as fresh:
        convert(folder, f"{fresh}/dataset")


def compare(
    kind: str, tables: Sequence[DayTable], folder: str, repeats: int
) -> list[measuring.Figures]:
    """Measure one kind of tables in both formats.

    Parameters
    ----------
    kind : str
        What they are, for the lines.
    tables : sequence of DayTable
        The days.
    folder : str
        Where to work.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        A line each for size, writing, reading and converting.

    Raises
    ------
    ValueError
        If the formats do not give the same cells or the same shards.
    """
    days = [table.day for table in tables]
    folders = {form: f"{folder}/{kind}-{form}" for form in FORMS}
    sizes: dict[str, float] = {}
    for form in FORMS:
        write(folders[form], tables, form)
        paths = [table_path(f"{folders[form]}/{SENSOR}", day, form) for day in days]
        sizes[form] = sum(map(os.path.getsize, paths)) / len(days)
        for path, table in zip(paths, tables, strict=True):
            found = read_day(path, table.day).values
            if found.tobytes() != table.values.tobytes():
                raise ValueError(f"{path} must hold the cells that were written")
    works: dict[str, Callable[[], None]] = {}
    for form in FORMS:
        where = folders[form]
        works[f"write {form}"] = functools.partial(write, where, tables, form)
        works[f"read {form}"] = functools.partial(read, where, days, form)
        works[f"convert {form}"] = functools.partial(convert_all, where)
    used: dict[str, list[float]] = {name: [] for name in works}

    def time_a_day(name: str) -> float:
        begin, used_before = time.perf_counter(), time.process_time()
        works[name]()
        used[name].append((time.process_time() - used_before) / len(days))
        return (time.perf_counter() - begin) / len(days)

    cases = {name: functools.partial(time_a_day, name) for name in works}
    seconds = measuring.in_turns(cases, repeats)
    _check_shards(list(folders.values()))
    lines = [
        {
            **{"tables": kind, "what": "size", "unit": "MB a day"},
            **{form: sizes[form] / 1e6 for form in FORMS},
            "ratio": sizes["csv"] / sizes["parquet"],
        }
    ]
    for what in ("write", "read", "convert"):
        csv, parquet = (seconds[f"{what} {form}"] for form in ("csv", "parquet"))
        ratios = [a / b for a, b in zip(csv, parquet, strict=True)]
        lines.append(
            {
                **{"tables": kind, "what": what, "unit": "s a day"},
                "csv": statistics.median(csv),
                "parquet": statistics.median(parquet),
                "ratio": measuring.median_ratio(csv, parquet),
                "lowest": min(ratios),
                "highest": max(ratios),
                # Without the turn before those that count.
                "cpu_ratio": measuring.median_ratio(
                    used[f"{what} csv"][1:], used[f"{what} parquet"][1:]
                ),
            }
        )
    return lines


def _check_shards(folders: Sequence[str]) -> None:
    """Require that every folder gives the same shards."""
    found = set()
    for folder in folders:
        convert(folder, f"{folder}-dataset")
        shards = open_dataset(f"{folder}-dataset").manifest.shards
        found.add(tuple(shard.hash for shard in shards))
    if len(found) > 1:
        raise ValueError(f"both formats must give the same shards, got {found}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--folder", help="where to work  [default: the temporary one]")
    options = parser.parse_args(arguments)
    if options.toy:
        options.days, options.columns, options.repeats = 2, 16, 1
    with tempfile.TemporaryDirectory(prefix="echoanom-", dir=options.folder) as folder:
        source = f"{folder}/source"
        days = SimulationOptions(
            days=options.days, bins=options.columns, sensors=(SENSOR,)
        )
        simulate(source, days)
        (found,) = find_sensors(source)
        rounded = [read_day(path, day) for day, path in sorted(found.days.items())]
        full = [full_precision(table, seed) for seed, table in enumerate(rounded)]
        results = [
            *compare("rounded", rounded, folder, options.repeats),
            *compare("full", full, folder, options.repeats),
        ]
    measuring.print_table(
        f"{options.days} days of {options.columns} columns",
        {
            **{"tables": "", "what": "", "unit": "", "csv": "CSV"},
            **{"parquet": "Parquet", "ratio": "CSV over Parquet"},
            "cpu_ratio": "of CPU time",
        },
        results,
    )
    measuring.write_json(
        options.json,
        "tables",
        {
            "machine": measuring.machine("polars"),
            "days": options.days,
            "columns": options.columns,
            "repeats": options.repeats,
            "results": results,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
