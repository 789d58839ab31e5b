"""Means of each period, summed sample by sample in order of time.

A floating-point sum depends on the order of its terms. Here every sample is added to
its period's sum alone, one after the other, so the result is the same bit for bit
however the samples came in blocks and files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.averaging import SHORTEST_RESULTANT
from echoanom.columns import Column, kind_mask


class PeriodMeans:
    """Sums over each period of a stretch of time.

    Parameters
    ----------
    columns : sequence of Column
        The columns, length C.
    start_us : int
        Where the first period starts, since 1970 UTC [µs].
    periods : int
        How many there are, T.
    period_us : int
        Their length [µs].
    """

    def __init__(
        self, columns: Sequence[Column], start_us: int, periods: int, period_us: int
    ) -> None:
        self._start_us, self._period_us = start_us, period_us
        self._levels = kind_mask(columns, "level")
        self._directions = kind_mask(columns, "direction")
        shape = (periods, len(columns))
        self._sums = np.zeros(shape)
        # The other component of unit vectors; no column of directions, no array.
        self._others = np.zeros((periods, int(self._directions.sum())))
        self._observed = np.zeros(shape, dtype=np.uint32)
        self.samples: NDArray[np.int64] = np.zeros(periods, dtype=np.int64)
        """Samples of each period, missing ones included, shape (T,)."""

    def add(self, times_us: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Add samples.

        Parameters
        ----------
        times_us : ndarray of int64, shape (N,)
            Their times since 1970 UTC [µs], within the stretch.
        values : ndarray of float, shape (N, C)
            The samples; NaN where missing.
        """
        periods = (times_us - self._start_us) // self._period_us
        terms = np.asarray(values, dtype=np.float64)
        observed = ~np.isnan(terms)
        terms = np.where(observed, terms, 0.0)
        others = None
        if self._levels.any():
            levels = terms[:, self._levels]
            terms[:, self._levels] = np.where(
                observed[:, self._levels], 10.0 ** (levels / 10.0), 0.0
            )
        if self._directions.any():
            seen = observed[:, self._directions]
            angles = np.deg2rad(terms[:, self._directions])
            terms[:, self._directions] = np.where(seen, np.cos(angles), 0.0)
            others = np.where(seen, np.sin(angles), 0.0)
        for row, period in enumerate(periods):
            self._sums[period] += terms[row]
            self._observed[period] += observed[row]
            self.samples[period] += 1
            if others is not None:
                self._others[period] += others[row]

    def means(self) -> NDArray[np.float32]:
        """Compute the means.

        Returns
        -------
        ndarray of float32, shape (T, C)
            In the columns' units; levels averaged as power and directions as unit
            vectors. NaN where no sample was observed, or where directions cancel.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            means = self._sums / self._observed
            if self._levels.any():
                means[:, self._levels] = 10.0 * np.log10(means[:, self._levels])
            if self._directions.any():
                means[:, self._directions] = self._angles()
        means[~np.isfinite(means)] = np.nan
        return means.astype(np.float32)

    def _angles(self) -> NDArray[np.float64]:
        north, east = self._sums[:, self._directions], self._others
        angles = np.mod(np.rad2deg(np.arctan2(east, north)), 360.0)
        # Just below north rounds up to 360 in float32.
        angles = np.where(angles.astype(np.float32) >= 360, 0.0, angles)
        count = self._observed[:, self._directions]
        cancelled = np.hypot(east, north) < SHORTEST_RESULTANT * count
        return np.where(cancelled, np.nan, angles)
