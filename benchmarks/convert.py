#!/usr/bin/env python3
"""Measure how fast daily CSVs become shards, against CSV parsers alone.

::

    python benchmarks/convert.py --json convert.json

Simulated days of an echosounder, and of all four sensors joined, from files that the
page cache holds. MB are those of the CSVs.

Parsers only read the files into tables of their own and drop them. Each runs with its own
threads, one file after the other, and in a process a core over the files with one thread
each; its line is that of the faster way. Twice where that helps: with types that it has to
find, and with types given. Parsers and workers are imported, started and have read some
files before their time starts.

echoanom runs twice: as the command, from the start of the process to its end, and as the
function, imported, which is what a long conversion comes to. The straightforward converter
reads with pandas and writes a `tf.train.Example` with a float list for each row, a file a
day, in processes that run before their time starts. All turns of all lines alternate, and
ratios are taken inside a turn: to the fastest parser (best), to polars that finds the types,
and to the straightforward converter. Size is what is written as a share of the CSVs.

pyarrow is measured if it is installed (``benchmarks/requirements-convert.txt``).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import glob
import importlib.util
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import measuring

SENSORS = {
    "echosounder": ("echosounder",),
    "four sensors": ("echosounder", "adcp", "ctd", "hydrophone"),
}
# What is stored, and what else is asked for: any option of `echoanom convert`.
VARIANTS: dict[str, dict[str, str]] = {
    "float32": {},
    "float16": {"dtype": "float16"},
    "int16": {"dtype": "int16"},
    "float32, zstd": {"codec": "zstd"},
}


@dataclasses.dataclass(frozen=True)
class Task:
    """What one process measures.

    Attributes
    ----------
    way : str
        Key of `PARSERS`, or ``command``, ``function`` or ``straightforward``.
    source : str
        Folder of daily tables.
    workers : int
        Threads or processes.
    processes : bool
        For a parser: whether it runs in processes, with one thread each.
    options : dict
        For echoanom: options of the conversion.
    """

    way: str
    source: str
    workers: int
    processes: bool = False
    options: dict[str, str] = dataclasses.field(default_factory=dict)


def pandas_c(path: str) -> tuple[int, int]:
    """Parse with pandas' own engine.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import pandas as pd

    return pd.read_csv(path, engine="c").shape


def pandas_pyarrow(path: str) -> tuple[int, int]:
    """Parse with pandas' pyarrow engine.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import pandas as pd

    return pd.read_csv(path, engine="pyarrow").shape


def polars_found(path: str) -> tuple[int, int]:
    """Parse with polars, which finds the types.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import polars as pl

    return pl.read_csv(path).shape


def polars_given(path: str) -> tuple[int, int]:
    """Parse with polars, the types given.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import polars as pl

    names = _names(path)
    schema: dict[str, Any] = {name: pl.Float64 for name in names}
    schema[names[0]] = pl.String
    return pl.read_csv(path, schema=schema).shape


def pyarrow_found(path: str) -> tuple[int, int]:
    """Parse with pyarrow, which finds the types.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    from pyarrow import csv

    # Its default blocks of 1 MiB suit narrower tables: with these it is faster.
    blocks = csv.ReadOptions(block_size=1 << 24)
    shape: tuple[int, int] = csv.read_csv(path, read_options=blocks).shape
    return shape


def pyarrow_given(path: str) -> tuple[int, int]:
    """Parse with pyarrow, the types given.

    Parameters
    ----------
    path : str
        A daily table.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import pyarrow as pa
    from pyarrow import csv

    names = _names(path)
    types = {name: pa.float64() for name in names} | {names[0]: pa.string()}
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=1 << 24),
        convert_options=csv.ConvertOptions(column_types=types),
    )
    shape: tuple[int, int] = table.shape
    return shape


# Each with what it needs, and whether it has threads of its own.
PARSERS: dict[str, tuple[Callable[[str], tuple[int, int]], str, bool]] = {
    "pandas C": (pandas_c, "pandas", False),
    "pandas pyarrow": (pandas_pyarrow, "pyarrow", True),
    "pyarrow": (pyarrow_found, "pyarrow", True),
    "pyarrow, typed": (pyarrow_given, "pyarrow", True),
    "polars": (polars_found, "polars", True),
    "polars, typed": (polars_given, "polars", True),
}


def write_examples(path: str, destination: str) -> tuple[int, int]:
    """Convert a table the straightforward way.

    Parameters
    ----------
    path : str
        A daily table.
    destination : str
        Folder that gets a file of TFRecords.

    Returns
    -------
    tuple of int
        Rows and columns.
    """
    import pandas as pd
    import tensorflow as tf

    table = pd.read_csv(path)
    values = table.iloc[:, 1:].to_numpy("float32")
    name = path.replace("/", "_") + ".tfrecord"
    with tf.io.TFRecordWriter(os.path.join(destination, name)) as writer:
        for stamp, row in zip(table.iloc[:, 0], values, strict=True):
            features = {
                "timestamp": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[stamp.encode()])
                ),
                "values": tf.train.Feature(float_list=tf.train.FloatList(value=row)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return table.shape


def measure(task: Task) -> measuring.Figures:
    """Do a task once and time it.

    Parameters
    ----------
    task : Task
        What is measured.

    Returns
    -------
    dict
        Seconds, rows and columns read or written, size of what was written [byte], and
        the peak memory of all processes [byte].
    """
    paths = sorted(glob.glob(f"{glob.escape(task.source)}/*/tabular/2*.csv"))
    with tempfile.TemporaryDirectory(
        prefix="echoanom-", dir=os.path.dirname(task.source)
    ) as folder:
        if task.way == "command":
            return _command(task, folder)
        if task.way == "function":
            return _function(task, folder)
        if task.way == "straightforward":
            os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
            function = functools.partial(write_examples, destination=folder)
            figures = _over_files(function, paths, task.workers, processes=True)
            return figures | {"written": _size(folder)}
        function = PARSERS[task.way][0]
        threads = 1 if task.processes else task.workers
        # Before anything imports them, here or in the workers.
        for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_NUM_THREADS"):
            os.environ[name] = str(threads)
        return _over_files(function, paths, task.workers, task.processes)


def _over_files(
    function: Callable[[str], tuple[int, int]],
    paths: Sequence[str],
    workers: int,
    processes: bool,
) -> measuring.Figures:
    with contextlib.ExitStack() as stack:
        apply: Callable[..., Iterator[tuple[int, int]]] = map
        if processes:
            # A forked child would inherit locks held by a parser's threads.
            context = multiprocessing.get_context("spawn")
            pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)
            apply = stack.enter_context(pool).map
        # Small tables would all go to the first process that is there.
        list(apply(function, sorted(paths, key=os.path.getsize)[-2 * workers :]))
        begin = time.perf_counter()
        shapes = list(apply(function, paths))
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "rows": sum(rows for rows, _ in shapes),
            "cells": sum(rows * (columns - 1) for rows, columns in shapes),
            "peak_bytes": measuring.peak_bytes() + measuring.workers_peak_bytes(),
        }


def _command(task: Task, folder: str) -> measuring.Figures:
    flags = [part for k, v in task.options.items() for part in (f"--{k}", v)]
    command = [sys.executable, "-m", "echoanom", "convert", task.source]
    command += [f"{folder}/dataset", "--workers", str(task.workers), "--json", *flags]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "rows": json.loads(done.stdout)["rows"],
        "written": _size(f"{folder}/dataset"),
        "peak_bytes": peak,
    }


def _function(task: Task, folder: str) -> measuring.Figures:
    import polars as pl

    from echoanom.conversion import convert
    from echoanom.options import ShardOptions

    pl.thread_pool_size()
    sharding = ShardOptions(**task.options)  # type: ignore[arg-type]
    begin = time.perf_counter()
    report = convert(
        task.source, f"{folder}/dataset", sharding=sharding, workers=task.workers
    )
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "rows": report.rows,
        "written": _size(f"{folder}/dataset"),
        "peak_bytes": measuring.peak_bytes(),
    }


def _names(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\n").split(",")


def _size(folder: str) -> int:
    files = glob.glob(f"{glob.escape(folder)}/**", recursive=True)
    return sum(os.path.getsize(path) for path in files if os.path.isfile(path))


def compare(
    source: str, workers: int, repeats: int, lines: Sequence[str] | None = None
) -> list[measuring.Figures]:
    """Measure every way to read or convert a source, in turns.

    Parameters
    ----------
    source : str
        Folder of daily tables.
    workers : int
        Threads or processes.
    repeats : int
        Turns.
    lines : sequence of str, optional
        Only those whose name has one of these.

    Returns
    -------
    list of dict
        Parsers first, the fastest of them last; then what converts.
    """
    size = sum(map(os.path.getsize, glob.glob(f"{source}/*/tabular/2*.csv")))
    tasks: dict[str, Task] = {}
    for name, (_, package, threaded) in PARSERS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name}: left out, {package} is not installed", file=sys.stderr)
            continue
        if threaded:
            tasks[f"{name}; threads"] = Task(name, source, workers)
        tasks[f"{name}; processes"] = Task(name, source, workers, processes=True)
    for name, options in VARIANTS.items():
        tasks[f"echoanom convert, {name}"] = Task(
            "command", source, workers, options=options
        )
    tasks["echoanom function, float32"] = Task("function", source, workers)
    tasks["pandas + Example(float_list)"] = Task("straightforward", source, workers)
    if lines:
        tasks = {n: t for n, t in tasks.items() if any(word in n for word in lines)}
    figures: dict[str, measuring.Figures] = {}

    def run(name: str) -> float:
        found = measuring.in_own_process(__file__, dataclasses.asdict(tasks[name]))
        figures[name] = found
        return size / 1e6 / float(found["seconds"])

    speeds = measuring.in_turns(
        {name: functools.partial(run, name) for name in tasks}, repeats
    )
    _check(figures, tasks)
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    best = {}
    for name in sorted(medians, key=lambda name: medians[name]):
        if tasks[name].way in PARSERS:
            best[tasks[name].way] = name
    parsers = sorted(best.values(), key=lambda name: medians[name])
    others = [name for name in tasks if tasks[name].way not in PARSERS]
    result = []
    for name in (*parsers, *others):
        line = {
            "line": name,
            "mb_per_s": medians[name],
            "turns_mb_per_s": speeds[name],
            "peak_mb": round(figures[name]["peak_bytes"] / 1e6),
            "peak_bytes": figures[name]["peak_bytes"],
        }
        if "written" in figures[name]:
            line["written"] = figures[name]["written"]
            line["of_csv"] = figures[name]["written"] / size
        for key, other in (
            ("ratio", parsers[-1] if parsers else None),
            ("of_polars", best.get("polars")),
            ("of_straightforward", "pandas + Example(float_list)"),
        ):
            if other in speeds:
                line[key] = measuring.median_ratio(speeds[name], speeds[other])
        result.append(line)
    return result


def _check(figures: dict[str, measuring.Figures], tasks: dict[str, Task]) -> None:
    """Require that all have read the same cells, or written the same rows."""
    for key, names in {
        "cells": [n for n in tasks if "cells" in figures[n]],
        "rows": [n for n in tasks if tasks[n].way in ("command", "function")],
    }.items():
        found = {name: figures[name][key] for name in names}
        if len(set(found.values())) > 1:
            raise ValueError(f"all must have the same {key}, got {found}")


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
    from echoanom.simulation import SimulationOptions, simulate

    parser = measuring.parser(__doc__, repeats=5, case=True)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--columns", type=int, default=1600, help="of the echosounder")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", help="where to work  [default: the temporary one]")
    parser.add_argument("--lines", nargs="+", metavar="WORD", help="only some lines")
    options = parser.parse_args(arguments)
    if options.case:
        with open(options.case, encoding="utf-8") as file:
            print(json.dumps(measure(Task(**json.load(file)))))
        return 0
    if options.toy:
        options.days, options.columns, options.repeats = 2, 16, 1
    results = {}
    for title, sensors in list(SENSORS.items())[-1 if options.toy else 0 :]:
        with tempfile.TemporaryDirectory(
            prefix="echoanom-", dir=options.folder
        ) as folder:
            source = f"{folder}/source"
            days = SimulationOptions(
                days=options.days, bins=options.columns, sensors=sensors
            )
            simulate(source, days, workers=options.workers)
            results[title] = compare(
                source, options.workers, options.repeats, options.lines
            )
        measuring.print_table(
            f"{title}, {options.days} days, {options.workers} workers",
            {
                "line": "",
                "mb_per_s": "MB/s",
                "ratio": "of best",
                "of_polars": "of polars",
                "of_straightforward": "of Example",
                "of_csv": "size",
                "peak_mb": "peak [MB]",
            },
            results[title],
        )
    packages = ("pandas", "polars", "pyarrow", "tensorflow")
    measuring.write_json(
        options.json,
        "convert",
        {
            "machine": measuring.machine(*packages),
            "days": options.days,
            "columns": options.columns,
            "workers": options.workers,
            "results": results,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
