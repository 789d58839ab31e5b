"""Wind over the observatory, and the waves and the level it raises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.randomness import red_noise
from echoanom.simulation.site import DAY_MIN

_SCALE_M_S = 9.5
_SHAPE = 2.0
_WEATHER_MEMORY_MIN = 36 * 60
_GUST_MEMORY_MIN = 30
_SEA_MEMORY_MIN = 300
_SEA_HISTORY_MIN = 1440


def wind(
    seed: int, minutes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make the wind: weather that lasts for days, with gusts on it.

    The strength is an autoregressive process (memory 36 h, gusts 30 min) bent so that
    speeds follow a Weibull distribution, as winds do [1]_.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    minutes : ndarray of int64, shape (T,)
        Consecutive minutes, counted from day 0.

    Returns
    -------
    speed : ndarray of float64, shape (T,)
        Wind speed at 10 m [m/s].
    direction : ndarray of float64, shape (T,)
        Direction the wind blows to, clockwise from north [degree].

    References
    ----------
    .. [1] Justus, C. G., Hargraves, W. R., Mikhail, A. and Graber, D. (1978), Methods
       for estimating wind speed frequency distributions. Journal of Applied
       Meteorology 17, 350-353.
    """
    from scipy.special import log_ndtr

    weather = red_noise(seed, "wind", minutes, _WEATHER_MEMORY_MIN, 60)
    gusts = red_noise(seed, "gusts", minutes, _GUST_MEMORY_MIN, 5)
    normal = np.sqrt(0.97) * weather + np.sqrt(0.03) * gusts
    # -log(1 - cdf) is exponentially distributed; a power of it is Weibull.
    speed = _SCALE_M_S * (-log_ndtr(-normal)) ** (1 / _SHAPE)
    turning = red_noise(seed, "wind direction", minutes, 2 * DAY_MIN, 60)
    return speed, np.mod(60 + 70 * turning, 360)


def wave_height(seed: int, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the significant wave height of the sea that the wind has raised.

    ``0.21 * U**2 / g``, the fully developed sea of Pierson and Moskowitz [1]_, of the
    wind averaged over the last hours (memory 5 h): the sea follows the wind late.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    minutes : ndarray of int64, shape (T,)
        Consecutive minutes, counted from day 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        Significant wave height [m].

    References
    ----------
    .. [1] Pierson, W. J. and Moskowitz, L. (1964), A proposed spectral form for fully
       developed wind seas based on the similarity theory of S. A. Kitaigorodskii.
       Journal of Geophysical Research 69, 5181-5190.
    """
    first = int(minutes[0]) - _SEA_HISTORY_MIN
    speed, _ = wind(seed, np.arange(first, int(minutes[-1]) + 1))
    kernel = np.exp(-np.arange(_SEA_HISTORY_MIN + 1) / _SEA_MEMORY_MIN)
    felt = np.convolve(speed, kernel / kernel.sum(), "valid")
    return 0.3 + 0.21 * felt**2 / 9.81
