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
    def _lasts(self) -> NDArray[np.int64]:
        """Place of the last row of each distinct score."""
        changes = np.flatnonzero(np.diff(self.score[self._order]))
        return np.append(changes, len(self.score) - 1)

    def _found(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of the marked rows, and of all, down to each distinct score."""
        weight = weights[self._order]
        right = np.cumsum(weight * self.marked[self._order])[self._lasts]
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
        with np.errstate(invalid="ignore", divide="ignore"):
            return right / right[-1], right / taken

    def average_precision(self, weights: NDArray[np.float64]) -> float:
        """Return the area under the steps of precision over recall.

        Parameters
        ----------
        weights : ndarray of float64, shape (N,)
            Weight of each row.

        Returns
        -------
        float
            Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores; NaN if no marked row has weight.
        """
        recall, precision = self.curve(weights)
        gained = np.diff(recall, prepend=0.0)
        # Before the first row with weight there is no precision, and nothing is gained.
        return float(np.sum(gained * np.where(gained == 0, 0.0, precision)))

    def roc_auc(self, weights: NDArray[np.float64]) -> float:
        """Return the probability that a marked row has a higher score than another.

        Parameters
        ----------
        weights : ndarray of float64, shape (N,)
            Weight of each row.

        Returns
        -------
        float
            Equal scores count half; NaN unless rows of both sorts have weight.
        """
        right, taken = self._found(weights)
        wrong = taken - right
        with np.errstate(invalid="ignore"):
            below = wrong[-1] - wrong + np.diff(wrong, prepend=0.0) / 2
            won = np.sum(np.diff(right, prepend=0.0) * below)
            return float(won / (right[-1] * wrong[-1]))
