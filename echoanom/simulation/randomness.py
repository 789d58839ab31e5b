"""Random numbers that depend on the day and not on how it is reached.

Everything random is drawn from a stream of its own, keyed by seed, name and day.
What varies from minute to minute is built from the streams of the days around it, so
that it runs on over midnight although every day can be made alone.

NumPy keeps the bits of its bit generators; the numbers a `Generator` makes of them may
change between NumPy versions [1]_.

References
----------
.. [1] NumPy Enhancement Proposal 19, Random number generator policy.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.site import DAY_MIN, ECHOSOUNDER_RANGE_M, Floats

# Mean of the sum of squared weights of a cubic B-spline: its self-convolution at 0,
# the B-spline of degree 7 in the middle.
_SPLINE_VARIANCE = 151 / 315


def stream(seed: int, name: str, day: int) -> np.random.Generator:
    """Open the random stream of one thing on one day.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    name : str
        What is drawn.
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    numpy.random.Generator
        Always the same for the same arguments.
    """
    key = np.random.SeedSequence([seed, zlib.crc32(name.encode()), day])
    return np.random.Generator(np.random.SFC64(key))


def white_noise(
    seed: int, name: str, first: int, stop: int, per_day: int, width: int
) -> NDArray[np.float64]:
    """Draw independent normal numbers for the knots of a grid that spans days.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    name : str
        What is drawn.
    first, stop : int
        Knots to draw, counted from day 0: first included, stop not.
    per_day : int
        Knots in a day.
    width : int
        Numbers for each knot.

    Returns
    -------
    ndarray of float64, shape (stop - first, width)
        The numbers; each depends on seed, name and its knot alone.
    """
    days = range(first // per_day, (stop - 1) // per_day + 1)
    drawn = [stream(seed, name, day).standard_normal((per_day, width)) for day in days]
    skipped = first - days.start * per_day
    return np.concatenate(drawn)[skipped : skipped + stop - first]


def red_noise(
    seed: int, name: str, minutes: NDArray[np.int64], memory_min: float, step_min: int
) -> NDArray[np.float64]:
    """Make a first-order autoregressive process with zero mean and unit variance.

    ``x[k] = phi * x[k-1] + sqrt(1 - phi**2) * e[k]`` with ``phi = exp(-step/memory)``,
    cut off after eight memories so that a day needs only the days before it, and
    drawn straight between knots.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    name : str
        What is drawn.
    minutes : ndarray of int64, shape (T,)
        Consecutive minutes, counted from day 0.
    memory_min : float
        Time in which the autocorrelation falls to 1/e [min].
    step_min : int
        Distance of the knots [min]; divides a day.

    Returns
    -------
    ndarray of float64, shape (T,)
        The process at those minutes.
    """
    first, last = int(minutes[0]) // step_min, int(minutes[-1]) // step_min + 1
    lags = int(np.ceil(8 * memory_min / step_min))
    white = white_noise(seed, name, first - lags, last + 1, DAY_MIN // step_min, 1)
    phi = np.exp(-step_min / memory_min)
    kernel = np.sqrt(1 - phi**2) * phi ** np.arange(lags + 1)
    knots = np.convolve(white[:, 0], kernel, "valid")
    return np.interp(minutes / step_min, np.arange(first, last + 1), knots)


def texture(
    seed: int,
    name: str,
    minutes: NDArray[np.int64],
    ranges: NDArray[np.float64],
    step_min: int,
    step_m: float,
) -> Floats:
    """Make a smooth random field over time and range, zero mean and unit variance.

    White noise on a coarse grid, carried to the fine one by cubic B-splines.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    name : str
        What is drawn.
    minutes : ndarray of int64, shape (T,)
        Consecutive minutes, counted from day 0.
    ranges : ndarray of float64, shape (R,)
        Ranges [m], in [0, `ECHOSOUNDER_RANGE_M`].
    step_min : int
        Distance of the knots in time [min]; divides a day.
    step_m : float
        Distance of the knots in range [m].

    Returns
    -------
    ndarray of float32, shape (T, R)
        The field. Instruments with other ranges see the same field.
    """
    first, last = int(minutes[0]) // step_min, int(minutes[-1]) // step_min
    width = int(ECHOSOUNDER_RANGE_M / step_m) + 4
    white = white_noise(
        seed, name, first - 1, last + 3, DAY_MIN // step_min, width
    ).astype(np.float32)
    # Range first, while there are few rows; then whole rows are combined in time.
    along = _spline(white.T, ranges / step_m).T
    field = _spline(np.ascontiguousarray(along), minutes / step_min - first)
    field /= np.float32(_SPLINE_VARIANCE)
    return field


def _spline(knots: Floats, positions: NDArray[np.float64]) -> Floats:
    """Combine rows of `knots` (n, m) by cubic B-splines at positions (p,)."""
    below = np.floor(positions).astype(np.intp)
    f = (positions - below).astype(np.float32)[:, None]
    weights = (
        (1 - f) ** 3 / 6,
        (3 * f**3 - 6 * f**2 + 4) / 6,
        (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6,
        f**3 / 6,
    )
    result = np.asarray(weights[0] * knots[below], dtype=np.float32)
    for shift in (1, 2, 3):
        result += weights[shift] * knots[below + shift]
    return result
