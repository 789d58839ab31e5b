#!/usr/bin/env python3
"""Measure how fast windows come out of a FIFO, beside reading the FIFO and no more.

::

    python benchmarks/fifo.py --json fifo.json

Another process writes shards of a simulated echosounder into a FIFO, from memory that
the system caches. They are read in turns with plain ``readinto`` into one buffer, and as
batches of 32 windows of 64 rows, normalised, missing cells filled, checksums verified.
Where windows share rows, most of the work is to copy the same rows many times: then the
limit is a NumPy loop that copies the same windows from memory into fresh batches.
Ratios are taken inside a turn; all figures are medians over the turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from peers.task import BATCH, SENSOR, WINDOW, Data

import echoanom.cloud.fifo
from echoanom import pipeline, streaming
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.options import ShardOptions, StackOptions, WindowOptions
from echoanom.recordstream import BUFFER_BYTES, RecordStream
from echoanom.windowing import WindowIndex

COLUMNS = {
    "case": "case",
    "mb_per_s": "MB/s",
    "windows_per_s": "windows/s",
    "limit": "limit",
    "ratio": "of limit",
    "lowest": "lowest",
    "highest": "highest",
}
PLAIN, COPY, COPY_SHUFFLED = "plain read", "copy loop", "copy loop, shuffled"
VALUES = ("values",)
_TIMEOUT_S = 60.0
_WRITER = """
import sys
fifo, *paths = sys.argv[1:]
buffer = memoryview(bytearray(1 << 20))
with open(fifo, "wb", buffering=0) as out:
    for path in paths:
        with open(path, "rb", buffering=0) as shard:
            while count := shard.readinto(buffer):
                left = buffer[:count]
                while left:
                    left = left[out.write(left) :]
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to read.

    Attributes
    ----------
    name : str
        As in the table.
    limit : str
        Name of the case that it is held against; its own for a limit.
    days : int
        How many shards are read.
    run : callable
        Does it once and returns how many windows came, or 0, and how long it took [s].
    """

    name: str
    limit: str
    days: int
    run: Callable[[], tuple[int, float]]


class Fifo:
    """A FIFO that another process writes shards to.

    Parameters
    ----------
    folder : str
        Where to make it.
    paths : sequence of str
        The shards.
    """

    def __init__(self, folder: str, paths: Sequence[str]) -> None:
        self.path = os.path.join(folder, "fifo")
        self.paths = paths
        if not os.path.exists(self.path):
            os.mkfifo(self.path)

    def timed(
        self, days: int, read: Callable[[Any], int], *, plainly: bool = False
    ) -> tuple[int, float]:
        """Read some shards once.

        Parameters
        ----------
        days : int
            How many.
        read : callable
            Reads the opened FIFO to its end and counts windows.
        plainly : bool
            Whether it is opened as any file, and not as a SageMaker job opens it.

        Returns
        -------
        windows : int
            What `read` returned.
        seconds : float
            From the moment both ends were open.

        Raises
        ------
        RuntimeError
            If the writer could not write everything.
        """
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, self.path, *self.paths[:days]]
        )
        try:
            opened: Any = (
                open(self.path, "rb", buffering=0)
                if plainly
                else echoanom.cloud.fifo.Fifo(self.path, _TIMEOUT_S)
            )
            with opened as file:
                select.select([file], [], [])  # the writer has come, too
                start = time.perf_counter()
                windows = read(file)
                taken = time.perf_counter() - start
            if writer.wait():
                raise RuntimeError("the stream was not read to its end")
        finally:
            writer.kill()
            writer.wait()
        return windows, taken


def make_dataset(data: Data) -> Dataset:
    """Convert to a shard a day, each with all windows that start in it.

    Parameters
    ----------
    data : Data
        The tables.

    Returns
    -------
    Dataset
        Opened.
    """
    with data.made("dataset-stream") as path:
        if path:
            convert(
                str(data.source),
                str(path),
                stacking=StackOptions(sensors=(SENSOR,)),
                sharding=ShardOptions(shard_mib=0.001, halo=WINDOW - 1),
            )
    return open_dataset(str(data.folder / "dataset-stream"))


def read_plainly(columns: int) -> Callable[[Any], int]:
    """Return what reads a FIFO and does no more.

    Parameters
    ----------
    columns : int
        Number of columns.

    Returns
    -------
    callable
        Reads a file to its end.
    """
    buffer = np.zeros(BUFFER_BYTES, np.uint8)

    def read(file: Any) -> int:
        RecordStream(file, columns)  # gives the pipe the same room
        while file.readinto(buffer):
            pass
        return 0

    return read


def count(batches: Iterator[Any]) -> int:
    """Take all batches and look at none.

    Parameters
    ----------
    batches : iterator
        Of batches.

    Returns
    -------
    int
        How many windows they have.
    """
    return sum(len(batch["values"]) for batch in batches)


def make_cases(data: Data, folder: str, days: int) -> list[Case]:
    """Say what is measured.

    Parameters
    ----------
    data : Data
        What is read.
    folder : str
        Where the FIFO is made.
    days : int
        How many days windows that share rows are read from.

    Returns
    -------
    list of Case
        Limits first.
    """
    dataset = make_dataset(data)
    manifest, normalization = dataset.manifest, data.normalization
    kept = [i for i, shard in enumerate(manifest.shards) if shard.rows]
    fifo = Fifo(folder, [dataset.shard_path(i) for i in kept])
    rows = data.normalised()
    several = sum(manifest.shards[i].rows for i in kept[:days])

    def copy(shuffle: bool) -> tuple[int, float]:
        index = WindowIndex(dataset.runs, WindowOptions(WINDOW, 1, BATCH))
        first = index.first_rows(np.arange(len(index)))
        first = first[first < several]
        if shuffle:
            first = np.random.default_rng(0).permutation(first)
        start = time.perf_counter()
        for begin in range(0, len(first), BATCH):
            chosen = first[begin : begin + BATCH].tolist()
            batch = np.empty((len(chosen), WINDOW, rows.shape[1]), np.float32)
            for i, row in enumerate(chosen):
                batch[i] = rows[row : row + WINDOW]
        return len(first), time.perf_counter() - start

    def stream(options: WindowOptions, fields: Sequence[str], through: Any) -> Any:
        pool = (
            max(BATCH, several // WINDOW // 4) if options.stride > 1 else several // 4
        )
        more: dict[str, Any] = {"fields": fields, "pool_windows": pool}

        def read(file: Any) -> int:
            source = (lambda: file) if through is pipeline else file
            return count(
                iter(
                    through.stream_windows(
                        source, manifest, options, normalization=normalization, **more
                    )
                )
            )

        return read

    plain = read_plainly(len(manifest.columns))

    def read_all() -> tuple[int, float]:
        return fifo.timed(len(kept), plain, plainly=True)

    cases = [
        Case(PLAIN, PLAIN, len(kept), read_all),
        Case(COPY, COPY, days, lambda: copy(False)),
        Case(COPY_SHUFFLED, COPY_SHUFFLED, days, lambda: copy(True)),
    ]
    for name, limit, stride, shuffle, fields, through in (
        ("sequential stride 64", PLAIN, 64, False, VALUES, streaming),
        ("… and what was observed", PLAIN, 64, False, streaming.FIELDS, streaming),
        ("… through tf.data", PLAIN, 64, False, VALUES, pipeline),
        ("shuffled stride 64", PLAIN, 64, True, VALUES, streaming),
        ("sequential stride 1", COPY, 1, False, VALUES, streaming),
        ("shuffled stride 1", COPY_SHUFFLED, 1, True, VALUES, streaming),
    ):
        options = WindowOptions(WINDOW, stride, BATCH, shuffle=shuffle)
        read = stream(options, fields, through)
        part = len(kept) if stride > 1 else days
        run = _bind(fifo, part, read)
        cases.append(Case(name, limit, part, run))
    return cases


def _bind(fifo: Fifo, days: int, read: Any) -> Callable[[], tuple[int, float]]:
    return lambda: fifo.timed(days, read)


def measure(
    cases: Sequence[Case], sizes: Sequence[int], repeats: int
) -> list[measuring.Figures]:
    """Measure all cases in turns.

    Parameters
    ----------
    cases : sequence of Case
        The limits and what is held against them.
    sizes : sequence of int
        Of the shards [byte].
    repeats : int
        How many turns.

    Returns
    -------
    list of dict
        A line a case.
    """
    windows: dict[str, int] = {}

    def speed(case: Case) -> Callable[[], float]:
        def once() -> float:
            windows[case.name], taken = case.run()
            return sum(sizes[: case.days]) / 1e6 / taken

        return once

    found = measuring.in_turns({case.name: speed(case) for case in cases}, repeats)
    lines = []
    for case in cases:
        figures, limit = found[case.name], found[case.limit]
        ratios = [a / b for a, b in zip(figures, limit, strict=True)]
        megabytes = sum(sizes[: case.days]) / 1e6
        middle = statistics.median(figures)
        lines.append(
            {
                "case": case.name,
                "mb_per_s": middle,
                "windows": windows[case.name],
                "windows_per_s": windows[case.name] * middle / megabytes or None,
                "limit": None if case.limit == case.name else case.limit,
                "ratio": measuring.median_ratio(figures, limit),
                "lowest": min(ratios),
                "highest": max(ratios),
                "ratios": ratios,
            }
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write JSON.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__, repeats=7, keep=True)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--columns", type=int, default=1600)
    options = parser.parse_args(arguments)
    if options.toy:
        options.days, options.columns, options.repeats = 2, 16, 1
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        name = f"{options.days}-days-{options.columns}-columns"
        data = Data.make(
            Path(options.keep or scratch) / name, options.days, options.columns
        )
        cases = make_cases(data, scratch, days=max(1, options.days // 10))
        sizes = [
            shard.bytes for shard in make_dataset(data).manifest.shards if shard.rows
        ]
        lines = measure(cases, sizes, options.repeats)
    measuring.print_table(
        f"windows of {WINDOW} rows from a FIFO, batches of {BATCH}", COLUMNS, lines
    )
    results = {
        "machine": measuring.machine("tensorflow", "google-crc32c"),
        "settings": {k: getattr(options, k) for k in ("days", "columns", "repeats")},
        "results": lines,
    }
    measuring.write_json(options.json, "fifo", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
