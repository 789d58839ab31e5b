#!/usr/bin/env python3
"""Measure how long it takes to import echoanom and to get its help.

::

    python benchmarks/startup.py --repeats 20 --json startup.json

Each figure is the median over whole processes, started one after the other, of the time
from the start of the process to its end. The first line is a Python that does nothing:
what is above it is echoanom's.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

import measuring

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
    options = measuring.parser(__doc__, repeats=10, toy=False).parse_args(arguments)
    cases = {name: partial(seconds, command) for name, command, _ in CASES}
    found = measuring.in_turns(cases, options.repeats)
    results: list[measuring.Figures] = [
        {
            "case": name,
            "median_s": statistics.median(found[name]),
            "minimum_s": min(found[name]),
            "maximum_s": max(found[name]),
            "limit_s": limit,
        }
        for name, _, limit in CASES
    ]
    headings = ("case", "median [s]", "minimum [s]", "maximum [s]", "limit [s]")
    columns = dict(zip(results[0], headings, strict=True))
    measuring.print_table("from the start of a process to its end", columns, results)
    measuring.write_json(
        options.json,
        "startup",
        {
            "machine": measuring.machine(),
            "repeats": options.repeats,
            "results": results,
        },
    )
    return int(any(r["median_s"] > (r["limit_s"] or math.inf) for r in results))


if __name__ == "__main__":
    sys.exit(main())
