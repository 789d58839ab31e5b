"""Stretches of rows: what intervals of time are, once only scored rows count.

Rows are numbered from 0 in order of time. A *run* is a longest stretch of rows that
follow each other without a gap; a *stretch* is what labels or events make of rows, and
may lie across a gap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclasses.dataclass(frozen=True)
class Pieces:
    """Stretches, cut where rows are missing. P pieces, in order of time.

    Attributes
    ----------
    first, stop : ndarray of int64, shape (P,)
        First row of each piece, and the row behind its last.
    stretch : ndarray of int64, shape (P,)
        Which stretch each belongs to, ascending.
    run_first, run_stop : ndarray of int64, shape (P,)
        First row of the run that each lies in, and the row behind the run's last.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    stretch: NDArray[np.int64]
    run_first: NDArray[np.int64]
    run_stop: NDArray[np.int64]


def run_starts(times: NDArray[np.int64], period_s: int) -> NDArray[np.int64]:
    """Find the rows that follow a gap.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending; at least one.
    period_s : int
        Length of a row [s].

    Returns
    -------
    ndarray of int64, shape (R,)
        First row of each run, ascending; the first is 0.
    """
    breaks = np.flatnonzero(np.diff(times) != period_s) + 1
    return np.concatenate(([0], breaks)).astype(np.int64)


def row_ranges(
    times: NDArray[np.int64], period_s: int, starts: ArrayLike, ends: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows that share time with each of some intervals.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    starts, ends : array_like of int, shape (I,)
        Start of each interval, and the first moment after it [s since 1970 UTC].

    Returns
    -------
    first, stop : ndarray of int64, shape (I,)
        First row of each interval, and the row behind its last; the same number where
        an interval has no row.
    """
    before = np.asarray(starts, dtype=np.int64) - period_s
    first = np.searchsorted(times, before, side="right")
    stop = np.searchsorted(times, np.asarray(ends, dtype=np.int64), side="left")
    return first.astype(np.int64), np.maximum(first, stop).astype(np.int64)


def stretches(
    times: NDArray[np.int64], period_s: int, intervals: Sequence[tuple[int, int]]
) -> NDArray[np.int64]:
    """Join intervals to stretches of rows that have nothing in common.

    Intervals that overlap or touch are one stretch, and so are those whose rows overlap
    or follow each other without a gap. What a gap parts stays one stretch if an
    interval goes on over the gap.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    intervals : sequence of tuple of int
        Start of each interval, and the first moment after it [s since 1970 UTC], in
        any order.

    Returns
    -------
    ndarray of int64, shape (S, 2)
        First row of each stretch, and the row behind its last, ascending. Intervals
        without a row make none.
    """
    spans = np.array(sorted(intervals), dtype=np.int64).reshape(-1, 2)
    if not len(spans):
        return spans
    reach = np.maximum.accumulate(spans[:, 1])
    heads = np.concatenate(([0], np.flatnonzero(spans[1:, 0] > reach[:-1]) + 1))
    ends = np.maximum.reduceat(spans[:, 1], heads)
    first, stop = row_ranges(times, period_s, spans[heads, 0], ends)
    first, stop = first[first < stop], stop[first < stop]
    if not len(first):
        return np.empty((0, 2), dtype=np.int64)
    adjoin = (first[1:] == stop[:-1]) & (
        times[first[1:]] - times[stop[:-1] - 1] == period_s
    )
    apart = ~(adjoin | (first[1:] < stop[:-1]))
    heads = np.concatenate(([0], np.flatnonzero(apart) + 1))
    return np.column_stack((first[heads], np.maximum.reduceat(stop, heads)))


def cut_at_gaps(
    found: NDArray[np.int64], starts: NDArray[np.int64], rows: int
) -> Pieces:
    """Cut stretches where rows are missing.

    Parameters
    ----------
    found : ndarray of int64, shape (S, 2)
        Stretches, as `stretches` returns them.
    starts : ndarray of int64, shape (R,)
        First row of each run.
    rows : int
        Number of rows.

    Returns
    -------
    Pieces
        One for each run that each stretch has rows of.
    """
    ends = np.append(starts[1:], rows)
    low = np.searchsorted(starts, found[:, 0], side="right") - 1
    high = np.searchsorted(starts, found[:, 1] - 1, side="right") - 1
    count = high - low + 1
    stretch = np.repeat(np.arange(len(found)), count)
    behind = np.arange(len(stretch)) - np.repeat(np.cumsum(count) - count, count)
    run = low[stretch] + behind
    return Pieces(
        first=np.maximum(found[stretch, 0], starts[run]),
        stop=np.minimum(found[stretch, 1], ends[run]),
        stretch=stretch,
        run_first=starts[run],
        run_stop=ends[run],
    )


def in_stretches(found: NDArray[np.int64], rows: int) -> NDArray[np.bool_]:
    """Tell which rows lie in a stretch.

    Parameters
    ----------
    found : ndarray of int64, shape (S, 2)
        First row of each stretch, and the row behind its last. They may overlap.
    rows : int
        Number of rows.

    Returns
    -------
    ndarray of bool, shape (N,)
        True inside.
    """
    steps = np.bincount(found[:, 0], minlength=rows + 1)
    steps = steps - np.bincount(found[:, 1], minlength=rows + 1)
    return np.asarray(np.cumsum(steps)[:rows] > 0)
