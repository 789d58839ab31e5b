#!/usr/bin/env python3
"""Measure how fast windows are read: echoanom, the copy limit, and what else there is.

::

    python benchmarks/throughput.py --json throughput.json

Batches of 32 windows of 64 rows, normalised, missing cells filled, from simulated days of
an echosounder, in three cases: shuffled with stride 1, in sequence with stride 64 and
with stride 1. Before any time is taken, every reader must give the windows of two small
days, in every case: each once, in the promised order, bit for bit.

Then each reader runs in a process of its own, the readers in turns. It goes through an
epoch first (or through ``--seconds``, if an epoch takes longer) and is timed for
``--seconds`` from then on, over as many epochs as fit. The consumer takes batches and
looks at none. The ratio is to a NumPy loop that copies the same windows, in echoanom's
order, from an array in memory into fresh batches, timed in the same process just before
and just after. All figures are medians over the repeats.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import measuring
import peers
from peers.task import BATCH, CASES, WINDOW, Case, Data
from peers.trial import run_job
from rich.console import Console
from rich.progress import track

SMALL_DAYS, SMALL_COLUMNS = 2, 16
COLUMNS = {
    "reader": "reader",
    "windows_per_s": "windows/s",
    "ratio": "of limit",
    "times_tutorial": "x tutorial",
    "first_batch_s": "first [s]",
    "peak_mb": "peak [MB]",
    "order": "order",
    "sum_check": "sums",
}
TUTORIAL = "the tutorial's generator"
PACKAGES = (
    *("tensorflow", "keras", "pandas", "torch", "grain", "array-record"),
    *("mosaicml-streaming", "webdataset", "litdata", "xbatcher", "xarray", "zarr"),
)


def run_jobs(jobs: Sequence[measuring.Figures]) -> list[measuring.Figures]:
    """Do several things in one process of their own.

    Parameters
    ----------
    jobs : sequence of dict
        As `run_job` takes them.

    Returns
    -------
    list of dict
        What each gave.
    """
    found: list[measuring.Figures] = measuring.in_own_process(
        __file__, {"jobs": list(jobs)}
    )["found"]
    return found


def summarise(
    reader: peers.Reader, case: Case, found: Sequence[measuring.Figures]
) -> measuring.Figures:
    """Make a line of the table out of the repeats.

    Parameters
    ----------
    reader : Reader
        Which.
    case : Case
        Which windows.
    found : sequence of dict
        What `measure` gave in each repeat.

    Returns
    -------
    dict
        Medians, and all ratios.
    """
    ratios = [f["windows_per_s"] / statistics.mean(f["limits"]) for f in found]
    middle = {
        key: statistics.median(f[key] for f in found)
        for key in ("windows_per_s", "first_batch_s", "peak_bytes", "added_bytes")
    }
    return {
        "case": case.name,
        "reader": reader.name,
        "place": reader.place,
        "order": reader.order if case.shuffle else "time",
        "peer": reader.peer,
        **middle,
        "peak_mb": round(middle["peak_bytes"] / 1e6),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "limit_per_s": statistics.median(x for f in found for x in f["limits"]),
        "sum_check": "right" if all(f["sum_check"] for f in found) else "WRONG",
    }


def choose(options: argparse.Namespace) -> tuple[list[peers.Reader], dict[str, str]]:
    """Say which readers run.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    readers : list of Reader
        Those that run.
    skipped : dict of str to str
        Those that were asked for and cannot, and why.
    """
    asked = [
        reader
        for reader in peers.READERS
        if (not reader.peer or options.peers or options.readers)
        and (not options.readers or reader.name in options.readers)
    ]
    skipped = {
        reader.name: f"needs {', '.join(reader.missing())}"
        for reader in asked
        if reader.missing()
    }
    return [reader for reader in asked if reader.name not in skipped], skipped


def make_jobs(
    options: argparse.Namespace, readers: Sequence[peers.Reader], folder: Path
) -> list[list[measuring.Figures]]:
    """Say what is to be done, and in which processes.

    Parameters
    ----------
    options : Namespace
        The command line.
    readers : sequence of Reader
        Those that run.
    folder : Path
        Where prepared data are.

    Returns
    -------
    list of list of dict
        The jobs of each process, in order. A toy has one process.
    """
    small = Data.make(folder / "small", SMALL_DAYS, SMALL_COLUMNS)
    data = small
    if not options.toy:
        name = f"{options.days}-days-{options.columns}-columns"
        data = Data.make(folder / name, options.days, options.columns)

    def job(do: str, reader: peers.Reader, case: str, data: Data) -> measuring.Figures:
        return {
            "do": do,
            "reader": reader.name,
            "case": case,
            "folder": str(data.folder),
            "seconds": options.seconds,
        }

    checks = [
        [
            job(*what, case, where)
            for what, where in ((("verify", r), small), (("prepare", r), data))
            for case in options.cases
        ]
        for r in readers
    ]
    turns = [
        [job("measure", r, case, data)]
        for _ in range(options.repeats)
        for case in options.cases
        for r in readers
    ]
    groups = checks + turns
    return [sum(groups, [])] if options.toy else groups


def benchmark(
    options: argparse.Namespace, folder: Path
) -> tuple[list[measuring.Figures], dict[str, str], dict[str, str]]:
    """Check, prepare and measure.

    Parameters
    ----------
    options : Namespace
        The command line.
    folder : Path
        Where prepared data are.

    Returns
    -------
    lines : list of dict
        One a case and reader.
    skipped : dict of str to str
        Readers that cannot run here, and why.
    failed : dict of str to str
        Readers that went wrong, and how.
    """
    readers, skipped = choose(options)
    failed: dict[str, str] = {}
    figures = collections.defaultdict(list)
    groups = make_jobs(options, readers, folder)
    console = Console(stderr=True)
    for group in track(groups, "measuring", console=console, disable=options.quiet):
        name = group[0]["reader"]
        if name in failed:
            continue
        try:
            found = run_jobs(group)
        except RuntimeError as error:
            if options.toy:  # all readers are in one group
                raise
            failed[name] = str(error)
            continue
        for job, figure in zip(group, found, strict=True):
            if job["do"] == "measure":
                figures[job["case"], job["reader"]].append(figure)
    lines = [
        summarise(reader, CASES[case], figures[case, reader.name])
        for case in options.cases
        for reader in readers
        if reader.name not in failed
    ]
    slow = {x["case"]: x["windows_per_s"] for x in lines if x["reader"] == TUTORIAL}
    for line in lines:
        if line["case"] in slow:
            line["times_tutorial"] = line["windows_per_s"] / slow[line["case"]]
    return lines, skipped, failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table a case, and write JSON.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        1 if a reader fails or gives wrong windows.
    """
    parser = measuring.parser(__doc__, repeats=5, keep=True, case=True)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--columns", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a measurement")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    names = [reader.name for reader in peers.READERS]
    parser.add_argument("--readers", nargs="+", choices=names, help="only these")
    parser.add_argument("--peers", action="store_true", help="other libraries, too")
    options = parser.parse_args(arguments)
    if options.case:
        with open(options.case, encoding="utf-8") as file:
            jobs = json.load(file)["jobs"]
        print(json.dumps({"found": [run_job(job) for job in jobs]}))
        return 0
    if options.toy:
        options.repeats, options.seconds = 1, 0.05
    options.quiet = not sys.stderr.isatty()
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        lines, skipped, failed = benchmark(options, Path(folder))
    for name in options.cases:
        of_case = [line for line in lines if line["case"] == name]
        measuring.print_table(
            f"{name}: windows of {WINDOW} rows, batches of {BATCH}", COLUMNS, of_case
        )
    for name, reason in skipped.items():
        print(f"left out: {name} {reason}")
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    settings = {
        k: getattr(options, k) for k in ("days", "columns", "repeats", "seconds")
    }
    results = {
        "machine": measuring.machine(*PACKAGES),
        "settings": settings,
        "results": lines,
        "skipped": skipped,
        "failed": failed,
    }
    measuring.write_json(options.json, "throughput", results)
    wrong = any(line["sum_check"] != "right" for line in lines)
    return int(wrong or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
