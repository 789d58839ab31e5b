#!/usr/bin/env python3
"""Measure how fast EK60 files become daily tables, and in how much memory.

::

    python benchmarks/ingest.py --json ingest.json

The pings of a real file (``--raw``: the six of the tests, or any other) are repeated, one
a second, until there are files of the wanted sizes in all. Each line is one call in a
process of its own, with one worker: looking at every datagram, hashing, calibrating and
averaging, from after the imports until the day is written. MB are those of the raw files,
and the peak is what the process held resident at most, Python and echopype included. The
line *echopype* opens and calibrates one of the files as a whole, with nothing else.

Memory is flat if the peak does not grow with the size of a file or of all.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring

from echoanom.ingest import running
from echoanom.ingest.ek60 import EK60, EK60Options
from echoanom.ingest.ek60pings import Pings
from echoanom.ingest.rawfile import RawFile, frame

SAMPLE = Path(__file__).resolve().parent.parent / "tests/data/ek60/six-pings.raw"
WAYS: dict[str, dict[str, Any]] = {
    "all channels, every sample": {},
    "all channels, 1 m": {"range_bin_m": 1.0},
    "all channels, 1 m, noise off": {"range_bin_m": 1.0, "noise_cell_m": 10.0},
    "38 kHz, 1 m": {"range_bin_m": 1.0, "frequencies_hz": (38000.0,)},
}
SECOND_TICKS = 10_000_000


def write_files(folder: str, raw: str, file_bytes: int, files: int) -> int:
    """Write files of repeated pings, one ping a second.

    Parameters
    ----------
    folder : str
        Gets the files; it is made.
    raw : str
        A real file.
    file_bytes : int
        Least size of each [byte].
    files : int
        How many.

    Returns
    -------
    int
        Pings in all.
    """
    with RawFile(raw, raw) as file:
        found = Pings(file)
        pings = [[file.read(one) for one in ping.datagrams] for ping in found]
    (start,) = struct.unpack_from("<Q", pings[0][0], 4)
    # From midnight on, so that a day's worth of pings is one day.
    start -= start % (86_400 * SECOND_TICKS)
    os.makedirs(folder)
    count = 0
    for number in range(files):
        with open(f"{folder}/{number:04}.raw", "wb") as written:
            written.write(frame(found.config.content))
            while written.tell() < file_bytes:
                ticks = struct.pack("<Q", start + count * SECOND_TICKS)
                for one in pings[count % len(pings)]:
                    written.write(frame(one[:4] + ticks + one[12:]))
                count += 1
    return count


def measure(source: str, way: str) -> measuring.Figures:
    """Do one line once.

    Parameters
    ----------
    source : str
        Folder of raw files.
    way : str
        Key of `WAYS`, or ``echopype``.

    Returns
    -------
    dict
        Seconds, size of what was read [byte], peak memory [byte], columns and rows.
    """
    import echopype

    paths = sorted(Path(source).glob("*.raw"))
    columns = rows = None
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        if way == "echopype":
            paths = paths[:1]
            start = time.perf_counter()
            data = echopype.open_raw(str(paths[0]), sonar_model="EK60")
            echopype.calibrate.compute_Sv(data)["Sv"].values.sum()
            seconds = time.perf_counter() - start
            # Its finalizer fails at the interpreter's end.
            del data
        else:
            start = time.perf_counter()
            report = running.ingest(EK60(EK60Options(**WAYS[way])), [source], folder)
            seconds = time.perf_counter() - start
            columns, rows = report.columns, report.rows
    return {
        "seconds": seconds,
        "bytes": sum(path.stat().st_size for path in paths),
        "peak_bytes": measuring.peak_bytes(),
        "columns": columns,
        "rows": rows,
    }


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
    parser = measuring.parser(__doc__, case=True)
    parser.add_argument("--raw", default=str(SAMPLE), help="whose pings are repeated")
    parser.add_argument("--file-mb", type=float, default=100.0, help="size of a file")
    parser.add_argument("--files", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--one-file", action="store_true", help="all in one file, too")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args(arguments)
    if options.case:
        with open(options.case, encoding="utf-8") as file:
            print(json.dumps(measure(**json.load(file))))
        return 0
    if options.toy:
        options.file_mb, options.files, options.ways = 1.0, [1, 2], list(WAYS)[1:2]
    cases = [(f"{n} files", options.file_mb, n) for n in options.files]
    if options.one_file:
        cases.append(("1 large file", options.file_mb * options.files[-1], 1))
    lines: list[measuring.Figures] = []
    for title, size_mb, files in cases:
        with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
            source = f"{folder}/raw"
            pings = write_files(source, options.raw, int(size_mb * 1e6), files)
            first = ["echopype"] if (size_mb, files) == cases[0][1:] else []
            for way in first + list(options.ways):
                line = measuring.in_own_process(
                    __file__, {"source": source, "way": way}
                )
                line |= {"line": way, "files": title, "pings": pings}
                line["mb"] = line["bytes"] / 1e6
                line["mb_per_s"] = line["mb"] / line["seconds"]
                line["peak_mb"] = line["peak_bytes"] / 1e6
                lines.append(line)
    headings = {"line": "", "files": "files", "mb": "MB", "columns": "columns"}
    headings |= {"seconds": "s", "mb_per_s": "MB/s", "peak_mb": "peak [MB]"}
    measuring.print_table("EK60 files to daily tables, one worker", headings, lines)
    measuring.write_json(
        options.json,
        "ingest",
        {"machine": measuring.machine("echopype", "xarray"), "results": lines},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
