"""What the benchmarks share: the machine, peak memory, repeats, a table and JSON.

Times of a shared machine wander by a factor of two within minutes. So what is compared
takes turns within one run, each figure is a median, and ratios are taken inside a turn.
"""

from __future__ import annotations

import argparse
import datetime
import glob
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from echoanom import publishing

Figures = dict[str, Any]
"""One line of a result: names and plain JSON values."""


def parser(
    description: str | None,
    *,
    repeats: int | None = None,
    toy: bool = True,
    keep: bool = False,
    case: bool = False,
) -> argparse.ArgumentParser:
    """Make a benchmark's parser, with the options that benchmarks share.

    Parameters
    ----------
    description : str, optional
        The script's docstring, whose first line tells what is measured.
    repeats : int, optional
        What ``--repeats`` is if nothing is said; no such option if left out.
    toy, keep, case : bool, optional
        Whether there are ``--toy``, which takes seconds and proves nothing,
        ``--keep FOLDER``, and ``--case FILE``, as `in_own_process` gives it.

    Returns
    -------
    ArgumentParser
        To add the benchmark's own options to; has ``--json``.
    """
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    if repeats is not None:
        made.add_argument("--repeats", type=int, default=repeats)
    if toy:
        made.add_argument(
            "--toy", action="store_true", help="small data, once, briefly"
        )
    if keep:
        made.add_argument(
            "--keep", metavar="FOLDER", help="keep and reuse the data here"
        )
    if case:
        made.add_argument("--case", metavar="FILE", help=argparse.SUPPRESS)
    made.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return made


def machine(*packages: str) -> Figures:
    """Describe where a benchmark runs.

    Parameters
    ----------
    *packages : str
        Packages whose versions matter, beside NumPy and echoanom.

    Returns
    -------
    dict
        Processor, cores, memory [byte], Python, versions and the date.
    """
    versions = {}
    for name in ("echoanom", "numpy", *packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def peak_bytes() -> int:
    """Return the most memory that this process has held resident.

    Returns
    -------
    int
        Since its start, or since `reset_peak` [byte]. Pages of mapped files count.
    """
    return _kib("VmHWM")


def resident_bytes() -> int:
    """Return the memory that this process holds resident now.

    Returns
    -------
    int
        Pages of mapped files included [byte].
    """
    return _kib("VmRSS")


def workers_peak_bytes() -> int:
    """Return the most memory that the processes started by this one have held.

    Returns
    -------
    int
        Sum over those that still run [byte]. What they share counts for each.
    """
    total = 0
    waiting = [os.getpid()]
    while waiting:
        for path in glob.glob(f"/proc/{waiting.pop()}/task/*/children"):
            try:
                with open(path, encoding="ascii") as file:
                    found = [int(pid) for pid in file.read().split()]
                total += sum(_kib("VmHWM", pid) for pid in found)
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            waiting += found
    return total


def reset_peak() -> None:
    """Let `peak_bytes` begin again with what is resident now."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def in_turns(
    cases: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, list[float]]:
    """Measure cases in turns, so that a slow moment of the machine meets them all.

    Parameters
    ----------
    cases : mapping of str to callable
        Each does its work once and returns its figure.
    repeats : int
        Turns that count; one more before them warms the caches.

    Returns
    -------
    dict of str to list of float
        The figures of each case, one a turn.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            figure = case()
            if turn:
                found[name].append(figure)
    return found


def median_ratio(figures: Sequence[float], limit: Sequence[float]) -> float:
    """Return the median over the turns of one case's figure over another's.

    Parameters
    ----------
    figures, limit : sequence of float
        As `in_turns` returns them.

    Returns
    -------
    float
        The ratio.
    """
    return statistics.median(a / b for a, b in zip(figures, limit, strict=True))


def in_own_process(script: str, arguments: Mapping[str, Any]) -> Figures:
    """Run a part of a benchmark in a process of its own.

    Parameters
    ----------
    script : str
        Path of a script; it is run as ``script --case FILE``, finds the arguments in
        that file as JSON, and prints its figures as one line of JSON at the end.
    arguments : mapping
        Plain JSON values.

    Returns
    -------
    dict
        The figures.

    Raises
    ------
    RuntimeError
        If it fails; holds the end of what it wrote.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(dict(arguments), file)
        file.flush()
        done = subprocess.run(
            [sys.executable, script, "--case", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{script} {str(arguments)[:200]}: {done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def print_table(
    title: str, columns: Mapping[str, str], lines: Sequence[Figures]
) -> None:
    """Print results.

    Parameters
    ----------
    title : str
        Stands above.
    columns : mapping of str to str
        Keys of the lines and their headings, in order.
    lines : sequence of dict
        The results; what a line lacks is left blank.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, heading in enumerate(columns.values()):
        table.add_column(escape(heading), justify="right" if i else "left")
    for line in lines:
        table.add_row(*(escape(_text(line.get(key))) for key in columns))
    Console(width=max(100, Console().width)).print(table)


def write_json(path: str | None, benchmark: str, results: Mapping[str, Any]) -> None:
    """Write results for a program.

    Parameters
    ----------
    path : str, optional
        Where; nowhere if left out.
    benchmark : str
        Name of the benchmark.
    results : mapping
        Plain JSON values; has the machine.
    """
    if path:
        text = json.dumps({"benchmark": benchmark, **results}, indent=1)
        publishing.write_bytes(path, (text + "\n").encode())


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _kib(field: str, process: int | str = "self") -> int:
    found = _field(f"/proc/{process}/status", field)
    return int(found.split()[0]) * 1024 if found else 0  # one that ended has none


def _field(path: str, name: str) -> str:
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
