"""Intervals of measures, by drawing blocks of the record anew.

Rows that follow each other are alike, so single rows must not be drawn: an interval
from them would be far too narrow. Blocks of a day are drawn with replacement [1]_, as
many as there are, and each measure is computed with the rows, labels and events of a
block weighed by how often it was drawn. A label or event belongs to the block of its
first row, and stays whole.

The intervals tell how much a measure would move on another record of this length, for
this model. They know nothing of what another training would have given.

References
----------
.. [1] H. R. Künsch (1989), "The Jackknife and the Bootstrap for General Stationary
   Observations", Annals of Statistics 17(3), 1217–1241,
   https://doi.org/10.1214/aos/1176347265 (here with blocks that do not overlap).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ScoresError

LEVEL = 0.95
"""Share of the draws that an interval holds."""

_LEAST_DEFINED = 0.5


def blocks_of(times: NDArray[np.int64], block_h: float) -> NDArray[np.int64]:
    """Tell which block each row belongs to.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending.
    block_h : float
        Length of a block [h]. Blocks begin at whole multiples of it since 1970, so
        that those of 24 h are the days.

    Returns
    -------
    ndarray of int64, shape (N,)
        Numbers from 0 without a gap: blocks without rows are none.
    """
    place = np.floor_divide(times, max(1, round(block_h * 3600)))
    return np.cumsum(np.diff(place, prepend=place[:1]) > 0)


def draws(
    blocks: NDArray[np.int64], count: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw blocks.

    Parameters
    ----------
    blocks : ndarray of int64, shape (N,)
        The block of each row.
    count : int
        Number of draws.
    seed : int
        The same seed and number of blocks give the same draws.

    Yields
    ------
    ndarray of float64, shape (B,)
        How often each block was drawn.

    Raises
    ------
    ScoresError
        If there are fewer than two blocks: drawn anew, one is the same.
    """
    number = int(blocks[-1]) + 1
    if number < 2:
        raise ScoresError(
            "intervals need scored rows of at least two blocks, got one; choose a"
            " shorter block, or no bootstrap"
        )
    random = np.random.default_rng(seed)
    for _ in range(count):
        drawn = random.integers(0, number, number)
        yield np.bincount(drawn, minlength=number).astype(np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the middle 95 % of a measure's values.

    Parameters
    ----------
    values : ndarray of float64, shape (D,)
        The measure in each draw; NaN where it is not defined.

    Returns
    -------
    tuple of float, or None
        The two ends; None if it is defined in less than half of the draws.
    """
    known = values[~np.isnan(values)]
    if len(known) < max(1, _LEAST_DEFINED * len(values)):
        return None
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(known, [outside, 1 - outside]).tolist()
    return low, high
