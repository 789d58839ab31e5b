#!/usr/bin/env python3
"""Write what other implementations make of some scores, for the tests to be held against.

They do not fit into the environment of the tests, as they ask for an older NumPy or
pandas. So their results are stored, with the inputs and the versions::

    python3.11 -m venv references
    references/bin/pip install aeon==1.6.0
    references/bin/pip install --no-deps TSB-AD==1.5
    references/bin/python tools/make_metric_references.py \
        tests/data/evaluation/references.json

VUS-PR is that of TSB-AD (thresholds at 250 ranks) and of aeon; affiliation is the code of
its authors, which TSB-AD brings along.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from typing import Any

import numpy as np

PACKAGES = ("TSB-AD", "aeon", "numpy")
ALARMED = 0.9
"""Rows with scores above this quantile are events."""


def make_case(seed: int) -> dict[str, Any]:
    """Draw a record.

    Parameters
    ----------
    seed : int
        Decides on all of it. Of five cases in a row one has a label at the start, one
        at the end, and one has scores with many ties.

    Returns
    -------
    dict
        ``marked`` and ``alarmed`` (first row, row behind the last), ``score`` and
        ``buffer``.
    """
    random = np.random.default_rng(seed)
    rows = int(random.integers(40, 450))
    marked = np.zeros(rows, dtype=np.int64)
    for _ in range(random.integers(1, 7)):
        start = int(random.integers(0, rows))
        marked[start : start + int(random.integers(1, 25))] = 1
    marked[[0, -1]] = (seed % 5 == 0, seed % 5 == 1)
    lift = random.uniform(0, 3)
    score = random.normal(size=rows) + lift * np.convolve(
        marked, np.ones(5) / 5, "same"
    )
    score = np.round(score, 0 if seed % 5 == 2 else 3)
    alarmed = score > np.quantile(score, ALARMED)
    return {
        "marked": ranges(marked),
        "alarmed": ranges(alarmed.astype(np.int64)),
        "score": score.tolist(),
        "buffer": int(random.integers(0, 80)),
    }


def ranges(flags: Any) -> list[list[int]]:
    """Find the stretches of ones.

    Parameters
    ----------
    flags : ndarray of int64, shape (N,)
        Zeros and ones.

    Returns
    -------
    list of list of int
        First row of each stretch, and the row behind its last.
    """
    steps = np.diff(flags, prepend=0, append=0)
    pairs = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    return [[int(first), int(stop)] for first, stop in pairs]


def measure(case: dict[str, Any]) -> dict[str, float | None]:
    """Ask the other implementations.

    Parameters
    ----------
    case : dict
        As `make_case` returns it.

    Returns
    -------
    dict
        Their results, by measure.
    """
    tsb = importlib.import_module("TSB_AD.evaluation.basic_metrics")
    authors = importlib.import_module("TSB_AD.evaluation.affiliation.metrics")
    aeon = importlib.import_module("aeon.benchmarking.metrics.anomaly_detection")
    score = np.array(case["score"])
    marked = np.zeros(len(score), dtype=np.int64)
    for first, stop in case["marked"]:
        marked[first:stop] = 1
    found: dict[str, float | None] = {
        "vus_pr": float(
            tsb.generate_curve(marked, score, case["buffer"], "opt", 250)[-1]
        ),
        "aeon_vus_pr": float(aeon.range_pr_vus_score(marked, score, case["buffer"])),
        "affiliation_precision": None,
        "affiliation_recall": None,
    }
    if case["alarmed"]:
        events = [
            [tuple(span) for span in case[name]] for name in ("alarmed", "marked")
        ]
        near = authors.pr_from_events(*events, (0, len(score)))
        found["affiliation_precision"] = near["Affiliation_Precision"]
        found["affiliation_recall"] = near["Affiliation_Recall"]
    return found


def main(path: str, count: int = 30) -> None:
    """Write the file.

    Parameters
    ----------
    path : str
        Where it goes.
    count : int
        Number of cases.
    """
    cases = [make_case(seed) for seed in range(count)]
    content = {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "cases": [{**case, **measure(case)} for case in cases],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
