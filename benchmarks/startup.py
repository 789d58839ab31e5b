#!/usr/bin/env python3
"""Measure how long it takes to import echoanom and to get its help.

::

    python benchmarks/startup.py --repeats 20 --json startup.json

Each figure is the median over whole processes, started one after the other, of the time
from the start of the process to its end. The first line is a Python that does nothing:
what is above it is echoanom's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

# Name, arguments of the Python process, limit [s].
CASES: tuple[tuple[str, list[str], float | None], ...] = (
    ("python", ["-c", "pass"], None),
    ("import echoanom", ["-c", "import echoanom"], 0.3),
    ("echoanom --help", ["-m", "echoanom", "--help"], 0.5),
    ("echoanom convert --help", ["-m", "echoanom", "convert", "--help"], 0.5),
    ("echoanom train --help", ["-m", "echoanom", "train", "--help"], 0.5),
)


def seconds(arguments: Sequence[str]) -> float:
    """Time one process.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the Python that runs this.

    Returns
    -------
    float
        From its start to its end [s].
    """
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(repeats: int) -> list[dict[str, object]]:
    """Time every case.

    Parameters
    ----------
    repeats : int
        Processes a case; one more warms the disk's cache.

    Returns
    -------
    list of dict
        Name, median, least and greatest time [s], and the limit [s] or None. The
        cases take turns, so that a slow moment of the machine meets them all.
    """
    times: dict[str, list[float]] = {name: [] for name, _, _ in CASES}
    for repeat in range(repeats + 1):
        for name, arguments, _ in CASES:
            taken = seconds(arguments)
            if repeat:
                times[name].append(taken)
    return [
        {
            "case": name,
            "median_s": statistics.median(times[name]),
            "minimum_s": min(times[name]),
            "maximum_s": max(times[name]),
            "limit_s": limit,
        }
        for name, _, limit in CASES
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and fail if a median is over its limit.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        1 if a limit is broken.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    results = measure(options.repeats)
    print(f"{'case':26}{'median':>9}{'min':>9}{'max':>9}{'limit':>9}   [s]")
    broken = False
    for r in results:
        figures = "".join(
            f"{r[k]:9.3f}" for k in ("median_s", "minimum_s", "maximum_s")
        )
        limit = r["limit_s"]
        print(f"{r['case']:26}{figures}" + ("" if limit is None else f"{limit:9.3f}"))
        broken |= isinstance(limit, float) and float(str(r["median_s"])) > limit
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**machine, "repeats": options.repeats, "cases": results}, file)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
