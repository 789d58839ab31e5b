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
