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

Gaps are ours, for those implementations know none: a buffer ends where rows are
missing, and a stretch that goes on over a gap counts as one.

How it is fast: in a buffer of w rows a weight depends on the distance alone. So rows are
counted once by distance and threshold, and all buffers come from one product of
matrices; only rows between two stretches are looked at one by one.

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
        nearest[marked] = 0
        near = np.flatnonzero(nearest <= reach)
        limits = _thresholds(score, near, thresholds)
        # The first threshold that each row reaches; there may be rows that reach none.
        level = np.searchsorted(-limits, -score, side="left")
        self._buffer, self._reach, self._count = buffer, reach, len(limits)
        self._level, self._near = level, near
        self._cell = nearest[near] * self._count + level[near]
        self._between = np.flatnonzero((second <= reach) & ~marked)
        self._nearest, self._second = nearest[self._between], second[self._between]
        self._groupings = _groupings(pieces, level, reach)
        self._weight = _buffer_weights(buffer)

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
        areas = self.areas(rows, stretches)
        return float(areas.mean())

    def areas(
        self, rows: NDArray[np.float64], stretches: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the area under precision over recall for each buffer.

        Parameters
        ----------
        rows : ndarray of float64, shape (N,)
            Weight of each row.
        stretches : ndarray of float64, shape (S,)
            Weight of each marked stretch.

        Returns
        -------
        ndarray of float64, shape (buffer + 1,)
            For buffers of 0, 1, … rows.
        """
        taken = np.cumsum(np.bincount(self._level, rows, self._count)[: self._count])
        counted = np.bincount(
            self._cell, rows[self._near], (self._reach + 1) * self._count
        ).reshape(self._reach + 1, self._count)
        marked = np.cumsum(counted[0])
        areas = np.full(self._buffer + 1, np.nan)
        if not marked[-1]:
            return areas
        existence: NDArray[np.float64] = np.empty(0)
        for buffer in range(self._buffer + 1):
            if buffer % 2 == 0:
                existence = self._existence(buffer // 2, stretches)
            around = np.cumsum(
                self._weight[buffer] @ counted[1:] + self._corrections(buffer, rows)
            )
            right = marked + around
            recall = np.minimum(right / (marked[-1] + around / 2), 1) * existence
            gained = np.diff(recall, prepend=0.0)
            precision = np.divide(
                right, taken, where=taken > 0, out=np.zeros_like(right)
            )
            areas[buffer] = gained @ precision
        return areas

    def silent_volume(self) -> float:
        """Return the VUS-PR of scores that are all equal, which say nothing.

        Returns
        -------
        float
            The mean weight of a row over all buffers.
        """
        counted = np.bincount(self._cell // self._count, minlength=self._reach + 1)
        everything = np.ones(len(self._level))
        weights = [
            counted[0]
            + self._weight[buffer] @ counted[1:]
            + self._corrections(buffer, everything).sum()
            for buffer in range(self._buffer + 1)
        ]
        return float(np.mean(weights) / len(self._level))

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

    def _corrections(
        self, buffer: int, rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Weight that rows between two stretches have more than by the nearer one."""
        both = self._second <= buffer // 2
        if not both.any():
            return np.zeros(self._count)
        between = self._between[both]
        missing = 1 - self._weight[buffer][self._nearest[both] - 1]
        return np.bincount(self._level[between], missing * rows[between], self._count)[
            : self._count
        ].astype(np.float64)


def _buffer_weights(buffer: int) -> NDArray[np.float64]:
    """Weight at distances 1, 2, … (columns) in buffers of 0, 1, … rows (rows)."""
    width = np.arange(buffer + 1)[:, np.newaxis]
    distance = np.arange(1, buffer // 2 + 1)[np.newaxis, :]
    share = distance / np.maximum(width, 1)
    return np.where(distance <= width // 2, np.sqrt(np.maximum(1 - share, 0)), 0.0)


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
