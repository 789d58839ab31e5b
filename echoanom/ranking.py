"""Measures of how well scores put marked rows before others, without a threshold.

All of them weigh rows, so that a resampled record is a vector of weights: a row that is
drawn twice has weight 2.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Ranking:
    """N rows, the highest score first.

    Attributes
    ----------
    marked : ndarray of bool, shape (N,)
        Which rows are marked, in order of time.
    score : ndarray of float64, shape (N,)
        Their scores, all finite.
    """

    marked: NDArray[np.bool_]
    score: NDArray[np.float64]

    @functools.cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-self.score, kind="stable")

    @functools.cached_property
    def _ordered(self) -> NDArray[np.bool_]:
        return np.asarray(self.marked[self._order])

    @functools.cached_property
    def _lasts(self) -> NDArray[np.int64]:
        """Place of the last row of each distinct score."""
        changes = np.flatnonzero(np.diff(self.score[self._order]))
        return np.append(changes, len(self.score) - 1)

    def _found(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of the marked rows, and of all, down to each distinct score."""
        weight = weights[self._order]
        right = np.cumsum(weight * self._ordered)[self._lasts]
        return right, np.cumsum(weight)[self._lasts]

    def curve(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return precision over recall, for every distinct score as threshold.

        Parameters
        ----------
        weights : ndarray of float64, shape (N,)
            Weight of each row.

        Returns
        -------
        recall, precision : ndarray of float64, shape (K,)
            The highest threshold first. NaN where nothing has weight.
        """
        right, taken = self._found(weights)
        with np.errstate(invalid="ignore"):
            return right / right[-1], right / taken

    def areas(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        """Return the areas under precision over recall, and under the ROC curve.

        Parameters
        ----------
        weights : ndarray of float64, shape (N,)
            Weight of each row.

        Returns
        -------
        average_precision : float
            Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores; NaN if no marked row has weight.
        roc_auc : float
            The probability that a marked row has a higher score than another, equal
            scores counting half; NaN unless rows of both sorts have weight.
        """
        right, taken = self._found(weights)
        wrong = taken - right
        gained = np.diff(right, prepend=0.0)
        # Elsewhere nothing is gained, and before the first weight nothing is defined.
        at = np.flatnonzero(gained)
        if not len(at):
            return float("nan"), float("nan")
        gained, before = gained[at], np.where(at > 0, wrong[at - 1], 0.0)
        average_precision = (gained * right[at] / taken[at]).sum() / right[-1]
        if not wrong[-1]:
            return float(average_precision), float("nan")
        below = wrong[-1] - (wrong[at] + before) / 2
        return float(average_precision), float(
            (gained * below).sum() / right[-1] / wrong[-1]
        )
