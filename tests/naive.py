"""Slow, plain references that the fast code is held against.

Loops over single cells, Python floats, no cleverness: to be read, not to be run on
much.
"""

from __future__ import annotations

from collections.abc import Sequence


def naive_runs(present: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (first, rows) of every maximal stretch of True."""
    runs = []
    first = None
    for i in range(len(present)):
        if present[i] and first is None:
            first = i
        if not present[i] and first is not None:
            runs.append((first, i - first))
            first = None
    if first is not None:
        runs.append((first, len(present) - first))
    return runs


def naive_windows(runs: Sequence[tuple[int, int]], size: int, stride: int) -> list[int]:
    """Return the first row of every window, given (first row, rows) of every run."""
    found = []
    for first, rows in runs:
        for start in range(rows):
            if start % stride == 0 and start + size <= rows:
                found.append(first + start)
    return found


def naive_select(
    times: Sequence[int],
    period: int,
    include: Sequence[tuple[int, int]] | None,
    exclude: Sequence[tuple[int, int]],
) -> list[bool]:
    """Return for every row whether `select` keeps it."""
    kept = []
    for time in times:
        wanted = include is None or any(start <= time < end for start, end in include)
        unwanted = any(
            any(start <= moment < end for moment in range(time, time + period))
            for start, end in exclude
        )
        kept.append(wanted and not unwanted)
    return kept
