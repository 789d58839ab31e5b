"""Volume under the surface of precision, recall and buffer: VUS-PR.

A detector that speaks up a little early or late is not wrong. So each marked stretch
gets a buffer on both sides in which finding a row counts, less the farther away it is.
The area under precision over recall is averaged over all buffers from none to a
largest one [1]_.

The definition is that of the reference implementations: of ``vus`` 0.0.6 by the
measure's authors, and of the benchmark TSB-AD 1.5 [2]_, which agree. For a buffer of w
rows,

* a row at distance d from a marked stretch weighs √(1 − d/w) if d ≤ ⌊w/2⌋; the weights
  of several stretches add up to 1 at most; a marked row weighs 1, every other 0;
* at a threshold, TP is the weight of the rows with scores at or above it, and precision
  is TP by their number;
* recall is TP / (P + B/2), at most 1, times the share of the stretches that are found,
  where P is the number of marked rows and B the weight found in buffers. Stretches
  whose buffers share a row count as one, and one is found with any row in it;
* the area is the sum of (recallₖ − recallₖ₋₁) precisionₖ over thresholds, the highest
  first.

The reference implementations take 250 thresholds at even steps of rank. Where fewer
rows are labelled than lie in a few steps, that is too coarse, and the value too low: a
threshold at every score is what the definition asks for. Both can be had.

Gaps are ours, for those implementations know none: a buffer ends where rows are
missing, and a stretch that goes on over a gap counts as one.

How it is fast: in a buffer of w rows a weight depends on distances alone. So distances
are found once, and each buffer takes one pass over the rows near labels, or, with few
thresholds, over the different distances there are at each.

References
----------
.. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore and M. J. Franklin
   (2022), "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
   Anomaly Detection", PVLDB 15(11), 2774–2787, https://doi.org/10.14778/3551793.3551830
.. [2] Q. Liu and J. Paparrizos (2024), "The Elephant in the Room: Towards A Reliable
   Time-Series Anomaly Detection Benchmark", NeurIPS 37.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from echoanom.stretches import Pieces, cut_at_gaps, in_stretches

PUBLISHED = 250
"""Number of thresholds of the reference implementations."""

EVERY = 0
"""Number of thresholds that stands for every score."""


@dataclasses.dataclass(frozen=True)
class _Grouping:
    """What one width of buffers joins: G groups of pieces.

    Attributes
    ----------
    first_stretch : ndarray of int64, shape (G,)
        First stretch of each group.
    level : ndarray of int64, shape (G,)
        First threshold at which a row of the group or of its buffers is found.
    """

    first_stretch: NDArray[np.int64]
    level: NDArray[np.int64]


class Surface:
    """The surface for one vector of scores, to be weighed many times.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        Scores, all finite.
    found : ndarray of int64, shape (S, 2)
        The marked stretches, as `echoanom.stretches.stretches` returns them; at least
        one.
    starts : ndarray of int64, shape (R,)
        First row of each run.
    buffer : int
        The largest buffer [rows].
    thresholds : int
        Number of thresholds, which are scores at even steps of rank, from the highest
        to the lowest; or `EVERY`.
    """

    def __init__(
        self,
        score: NDArray[np.float64],
        found: NDArray[np.int64],
        starts: NDArray[np.int64],
        buffer: int,
        thresholds: int,
    ) -> None:
        rows, reach = len(score), buffer // 2
        pieces = cut_at_gaps(found, starts, rows)
        nearest, second = _distances(pieces, rows, reach)
        marked = in_stretches(found, rows)
        nearest[marked], second[marked] = 0, reach + 1
        near = np.flatnonzero(nearest <= reach)
        limits = _thresholds(score, near, thresholds)
        # The first threshold that each row reaches; there may be rows that reach none.
        level = np.searchsorted(-limits, -score, side="left")
        self._buffer, self._count = buffer, len(limits)
        self._level, self._near = level, near
        # Rows of one threshold and the same distances are one cell.
        cells, self._cell = np.unique(
            np.column_stack((level[near], nearest[near], second[near])),
            axis=0,
            return_inverse=True,
        )
        self._nearest, self._second = cells[:, 1], cells[:, 2]
        self._down_to = np.searchsorted(
            cells[:, 0], np.arange(self._count), side="right"
        )
        self._groupings = _groupings(pieces, level, reach)

    def volume(
        self, rows: NDArray[np.float64], stretches: NDArray[np.float64]
    ) -> float:
        """Return VUS-PR.

        Parameters
        ----------
        rows : ndarray of float64, shape (N,)
            Weight of each row.
        stretches : ndarray of float64, shape (S,)
            Weight of each marked stretch, where stretches are counted.

        Returns
        -------
        float
            In [0, 1]; NaN unless marked rows and stretches have weight.
        """
        taken = np.cumsum(np.bincount(self._level, rows, self._count)[: self._count])
        counted = np.bincount(self._cell, rows[self._near], len(self._nearest))
        marked = self._found(counted * (self._nearest == 0))
        if not marked[-1]:
            return float("nan")
        # What nothing is taken of has no precision, and gains no recall.
        share = 1 / np.where(taken > 0, taken, np.inf)
        volume = 0.0
        for buffer in range(self._buffer + 1):
            if buffer % 2 == 0:
                existence = self._existence(buffer // 2, stretches)
            right = self._found(counted * self._weights(buffer))
            known = (marked[-1] + marked[-1] + right - marked) / 2
            recall = np.minimum(right / known, 1) * existence
            precision = right * share
            # A dot product of BLAS would start threads, and wait for them.
            volume += float((np.diff(recall, prepend=0.0) * precision).sum())
        return float(volume / (self._buffer + 1))

    def silent_volume(self) -> float:
        """Return the VUS-PR of scores that are all equal, which say nothing.

        Returns
        -------
        float
            The mean weight of a row over all buffers.
        """
        counted = np.bincount(self._cell, minlength=len(self._nearest))
        weights = [
            (counted * self._weights(buffer)).sum()
            for buffer in range(self._buffer + 1)
        ]
        return float(np.mean(weights) / len(self._level))

    def _weights(self, buffer: int) -> NDArray[np.float64]:
        """How much finding a row of each cell counts."""
        distance = np.arange(self._buffer // 2 + 1)
        inside = distance <= buffer // 2
        weight = np.sqrt(1 - distance * inside / max(buffer, 1)) * inside
        # Two stretches add up to more than 1.
        return np.where(self._second <= buffer // 2, 1.0, weight[self._nearest])

    def _found(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up cells down to each threshold."""
        return np.concatenate(([0.0], np.cumsum(cells)))[self._down_to]

    def _existence(
        self, width: int, stretches: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Share of the groups that are found at each threshold."""
        grouping = self._groupings[width]
        weights = stretches[grouping.first_stretch]
        if not weights.any():
            return np.full(self._count, np.nan)
        found = np.bincount(grouping.level, weights, self._count)[: self._count]
        return np.asarray(np.cumsum(found) / weights.sum())


def _thresholds(
    score: NDArray[np.float64], near: NDArray[np.int64], thresholds: int
) -> NDArray[np.float64]:
    """Return the thresholds, the highest first."""
    if thresholds == EVERY:
        # Between the scores of rows that can be found, no recall is gained.
        return np.unique(score[near])[::-1]
    places = np.linspace(0, len(score) - 1, thresholds).astype(np.int64)
    return np.sort(score)[::-1][places]


def _distances(
    pieces: Pieces, rows: int, reach: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance of each row to the nearest piece of its run, and to the second one.

    More than `reach` stands for anything farther. Where a row lies in a piece the
    numbers mean nothing.
    """
    nearest = np.full(rows, reach + 1, dtype=np.int64)
    second = nearest.copy()
    for distance in range(1, reach + 1):
        before = pieces.first - distance
        after = pieces.stop - 1 + distance
        for at in (before[before >= pieces.run_first], after[after < pieces.run_stop]):
            # The rows on one side of all pieces are all different.
            seen = nearest[at] <= reach
            taken = at[seen]
            second[taken] = np.minimum(second[taken], distance)
            nearest[at[~seen]] = distance
    return nearest, second


def _groupings(pieces: Pieces, level: NDArray[np.int64], reach: int) -> list[_Grouping]:
    """Join pieces by stretches and buffers, for buffers of 0, 1, … rows a side."""
    lowest = _lowest_in(level, pieces)
    same_stretch = pieces.stretch[1:] == pieces.stretch[:-1]
    same_run = pieces.run_first[1:] == pieces.run_first[:-1]
    between = pieces.first[1:] - (pieces.stop[:-1] - 1)
    groupings = []
    for width in range(reach + 1):
        before = np.maximum(pieces.first - width, pieces.run_first)
        after = np.minimum(pieces.stop - 1 + width, pieces.run_stop - 1)
        lowest = np.minimum(lowest, np.minimum(level[before], level[after]))
        joined = same_stretch | (same_run & (between <= 2 * width))
        heads = np.concatenate(([0], np.flatnonzero(~joined) + 1))
        groupings.append(
            _Grouping(pieces.stretch[heads], np.minimum.reduceat(lowest, heads))
        )
    return groupings


def _lowest_in(level: NDArray[np.int64], pieces: Pieces) -> NDArray[np.int64]:
    """Lowest level in each piece."""
    bounds = np.column_stack((pieces.first, pieces.stop)).ravel()
    # Every second stretch of levels is a piece; the others lie between them.
    padded = np.append(level, level.max())
    return np.asarray(np.minimum.reduceat(padded, bounds)[::2])
