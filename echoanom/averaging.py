"""Averages that respect the kind of quantity.

Levels in dB are averaged as power and directions as unit vectors [1]_; an average of
the numbers themselves would be too low for the one and point anywhere for the other.

References
----------
.. [1] Simmonds, J. and MacLennan, D. (2005). Fisheries Acoustics: Theory and
   Practice, 2nd ed. Blackwell. Ch. 5 (echo integration in linear units).
.. [2] Mardia, K. V. and Jupp, P. E. (2000). Directional Statistics. Wiley. Ch. 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Kind

# Resultants shorter than this share of the weights are rounding noise: the directions
# cancel and have no mean.
SHORTEST_RESULTANT = 1e-6


def average(
    values: NDArray[np.floating[Any]], weights: NDArray[np.float64], kind: Kind
) -> NDArray[np.float32]:
    """Average over the first axis, each kind in the units in which it adds up.

    Parameters
    ----------
    values : ndarray of float, shape (N, ...)
        What to average; dB for levels, degrees for directions. NaN has no weight.
    weights : ndarray of float64, broadcastable to (N, ...)
        Weights, not negative. They need not sum to 1.
    kind : {'scalar', 'level', 'direction'}
        Kind of quantity.

    Returns
    -------
    ndarray of float32, shape (...)
        The averages, in the unit of `values`; directions in [0, 360). NaN where
        there is no weight, or where directions cancel.
    """
    missing = np.isnan(values)
    weights = np.where(missing, 0.0, weights)
    numbers = np.where(missing, 0.0, values.astype(np.float64))
    total = weights.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "level":
            result = _average_level(numbers, weights, total)
        elif kind == "direction":
            result = _average_direction(numbers, weights, total)
        else:
            result = (weights * numbers).sum(axis=0) / total
    rounded: NDArray[np.float32] = np.where(total > 0, result, np.nan).astype(
        np.float32
    )
    if kind == "direction":
        # Just below north rounds up to 360 in float32.
        rounded = np.where(rounded >= 360, np.float32(0), rounded)
    return rounded


def _average_level(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    total: NDArray[np.float64],
) -> NDArray[np.float64]:
    # Relative to the loudest, so that no level overflows.
    loudest = np.where(weights > 0, values, -np.inf).max(axis=0, initial=-np.inf)
    loudest = np.where(np.isfinite(loudest), loudest, 0.0)
    power = (weights * 10.0 ** ((values - loudest) / 10.0)).sum(axis=0)
    decibel: NDArray[np.float64] = loudest + 10.0 * np.log10(power / total)
    return decibel


def _average_direction(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    total: NDArray[np.float64],
) -> NDArray[np.float64]:
    radians = np.deg2rad(values)
    # [2], Eq. 2.2.4: the mean direction is that of the resultant.
    north = (weights * np.cos(radians)).sum(axis=0)
    east = (weights * np.sin(radians)).sum(axis=0)
    degrees: NDArray[np.float64] = np.mod(np.rad2deg(np.arctan2(east, north)), 360.0)
    cancelled = np.hypot(east, north) < SHORTEST_RESULTANT * total
    return np.where(cancelled, np.nan, degrees)
