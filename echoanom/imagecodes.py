"""Numbers made small enough for a page: one byte for each cell of an image.

A byte tells 255 values apart, more than a screen shows of a colour map. Code 0 is a
missing value, codes 1 to 255 are values at equal distances.
"""

from __future__ import annotations

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = 254
_LEVEL = 6


@dataclasses.dataclass(frozen=True)
class Codes:
    """How values become bytes.

    Attributes
    ----------
    low, high : float
        Values of codes 1 and 255; what lies beyond is drawn and read as they are.
    """

    low: float
    high: float

    def encode(self, values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Turn values into bytes.

        Parameters
        ----------
        values : ndarray of float
            Of any shape; NaN is missing.

        Returns
        -------
        ndarray of uint8
            Their codes, in the same shape.
        """
        known = ~np.isnan(values)
        places = (np.where(known, values, self.low) - self.low) * (
            _STEPS / (self.high - self.low)
        )
        codes = np.clip(np.rint(places), 0, _STEPS).astype(np.uint8) + np.uint8(1)
        return np.where(known, codes, np.uint8(0))

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Turn bytes back into values.

        Parameters
        ----------
        codes : ndarray of uint8
            What `encode` returned.

        Returns
        -------
        ndarray of float64
            Values, wrong by at most half a step where they lie between the limits;
            NaN for missing ones.
        """
        step = (self.high - self.low) / _STEPS
        values = self.low + (codes.astype(np.float64) - 1.0) * step
        return np.where(codes > 0, values, np.nan)


def choose_codes(limits: tuple[float, float], smallest: float, largest: float) -> Codes:
    """Choose codes that tell values apart where colours do, and some way beyond.

    Parameters
    ----------
    limits : tuple of float
        Values of the first and the last colour.
    smallest, largest : float
        The values that there are; NaN if there is none.

    Returns
    -------
    Codes
        From the smallest to the largest value, but at most half the colours' span
        beyond the colours, so that a single spike costs no resolution.
    """
    low, high = limits
    beyond = 0.5 * (high - low)
    if np.isfinite(smallest) and np.isfinite(largest):
        low = max(low - beyond, min(low, smallest))
        high = min(high + beyond, max(high, largest))
    return Codes(low, high)


def image_rows(
    edges: NDArray[np.float64], logarithmic: bool, most: int
) -> NDArray[np.int64]:
    """Find the bin of each row of an image whose rows are all of one height.

    Parameters
    ----------
    edges : ndarray of float64, shape (C + 1,)
        Where bins begin and end, ascending or descending.
    logarithmic : bool
        Whether rows have one height on a logarithmic axis.
    most : int
        Most rows to have.

    Returns
    -------
    ndarray of int64, shape (R,)
        Positions of bins, by ascending place on the axis: each bin once where bins
        are of one height, as many rows as the narrowest asks for otherwise.
    """
    places = np.log(edges) if logarithmic else np.asarray(edges, dtype=np.float64)
    descending = places[0] > places[-1]
    ascending = places[::-1] if descending else places
    bins = len(edges) - 1
    heights = np.diff(ascending)
    span = float(ascending[-1] - ascending[0])
    even = float(np.ptp(heights)) < 0.05 * float(heights.mean())
    rows = bins if even else min(most, int(np.ceil(span / float(heights.min()))))
    middles = ascending[0] + span * (np.arange(rows) + 0.5) / rows
    found = np.clip(np.searchsorted(ascending, middles, side="right") - 1, 0, bins - 1)
    if even:
        found = np.arange(bins)
    rows_of: NDArray[np.int64] = bins - 1 - found if descending else found
    return rows_of


def packed(values: NDArray[Any]) -> str:
    """Put numbers into a text.

    Parameters
    ----------
    values : ndarray
        The numbers, written in row order and little-endian.

    Returns
    -------
    str
        Base64 of their zlib stream: letters, digits, ``+``, ``/`` and ``=`` alone.
    """
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), _LEVEL)).decode()
