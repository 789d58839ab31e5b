#!/usr/bin/env python3
"""Measure how much memory an epoch takes, over a day, a month and a year.

::

    python benchmarks/memory.py --json memory.json

One epoch of normalised windows of 64 rows, with the mask of what was observed, in a
process of its own for each number of simulated days and each way to read. The peak is
what the process held resident at most, mapped files included, from its start on, with
Python and TensorFlow. Memory is flat if the year's peak is the day's.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import measuring

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.options import ShardOptions, WindowOptions
from echoanom.simulation import SimulationOptions, simulate

FIELDS = ("values", "observed")
READERS = {
    "in sequence, stride 64": WindowOptions(stride=64),
    "shuffled, stride 64": WindowOptions(stride=64, shuffle=True),
    "shuffled, stride 1": WindowOptions(shuffle=True),
    "stream, shuffled in a pool": WindowOptions(stride=64, shuffle=True),
}
STREAM = "stream, shuffled in a pool"


class Shards:
    """The shards of a dataset one behind the other, as a file to read once.

    Parameters
    ----------
    dataset : Dataset
        Whose shards.
    """

    def __init__(self, dataset: Dataset) -> None:
        shards = range(len(dataset.manifest.shards))
        self._paths = iter([dataset.shard_path(shard) for shard in shards])
        self._file: Any = None

    def readinto(self, buffer: memoryview) -> int:
        """Read what comes next.

        Parameters
        ----------
        buffer : memoryview
            Takes it.

        Returns
        -------
        int
            How much came; 0 at the end [byte].
        """
        while True:
            if self._file is not None and (count := self._file.readinto(buffer)):
                return int(count)
            self.close()
            path = next(self._paths, None)
            if path is None:
                return 0
            self._file = open(path, "rb", buffering=0)

    def close(self) -> None:
        """Close the shard that is read."""
        if self._file is not None:
            self._file.close()


def measure(path: str, reader: str) -> measuring.Figures:
    """Read an epoch, and tell what it took.

    Parameters
    ----------
    path : str
        The dataset.
    reader : str
        One of `READERS`.

    Returns
    -------
    dict
        Windows, and peak memory [byte].
    """
    from echoanom.normalization import fit_normalization

    dataset = open_dataset(path)
    normalization = fit_normalization(dataset.statistics(), "range")
    count = sum(
        len(batch["values"]) for batch in _batches(dataset, normalization, reader)
    )
    return {"windows": count, "peak_bytes": measuring.peak_bytes()}


def _batches(dataset: Dataset, normalization: Any, reader: str) -> Iterator[Any]:
    from echoanom import pipeline

    if reader == STREAM:
        stream = pipeline.stream_windows(
            lambda: Shards(dataset),  # type: ignore[arg-type,return-value]
            dataset.manifest,
            READERS[reader],
            normalization=normalization,
            fields=FIELDS,
        )
    else:
        stream = pipeline.windows(
            dataset, READERS[reader], normalization=normalization, fields=FIELDS
        )
    return iter(stream)


def prepare(folder: str, days: int, columns: int) -> str:
    """Make a dataset of simulated days of an echosounder.

    Parameters
    ----------
    folder : str
        Takes it.
    days : int
        How many.
    columns : int
        Range bins.

    Returns
    -------
    str
        The dataset's folder.
    """
    source, dataset = f"{folder}/source-{days}", f"{folder}/dataset-{days}"
    simulate(
        source, SimulationOptions(days=days, bins=columns, sensors=("echosounder",))
    )
    # Shards as small as if there were more columns, so that there are some of them.
    convert(source, dataset, sharding=ShardOptions(shard_mib=16))
    return dataset


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__, repeats=3, case=True)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 30, 365])
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    options = parser.parse_args(arguments)
    if options.case:
        with open(options.case, encoding="utf-8") as file:
            print(json.dumps(measure(**json.load(file))))
        return 0
    if options.toy:
        options.days, options.columns, options.repeats = [1, 2], 16, 1
    lines: list[measuring.Figures] = []
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        paths = {d: prepare(folder, d, options.columns) for d in options.days}
        for reader in options.readers:
            line: measuring.Figures = {"reader": reader}
            for days, path in paths.items():
                found = [
                    measuring.in_own_process(__file__, {"path": path, "reader": reader})
                    for _ in range(options.repeats)
                ]
                line[f"peak_bytes_{days}"] = int(
                    statistics.median(one["peak_bytes"] for one in found)
                )
                line[f"peak_mb_{days}"] = line[f"peak_bytes_{days}"] / 1e6
                line[f"windows_{days}"] = found[0]["windows"]
            first, last = options.days[0], options.days[-1]
            line["growth"] = line[f"peak_bytes_{last}"] / line[f"peak_bytes_{first}"]
            lines.append(line)
    columns = {"reader": "one epoch"}
    columns |= {f"peak_mb_{days}": f"{days} days [MB]" for days in options.days}
    columns["growth"] = f"{options.days[-1]} days / {options.days[0]}"
    measuring.print_table("peak memory of a process", columns, lines)
    measuring.write_json(
        options.json,
        "memory",
        {
            "machine": measuring.machine("tensorflow"),
            "days": options.days,
            "columns": options.columns,
            "results": lines,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
