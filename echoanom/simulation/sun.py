"""The sun over the observatory, and the light that the animals follow."""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.site import DAY_MIN, LATITUDE_DEG, LONGITUDE_DEG

_TWILIGHT_DEG = -4.0
_TWILIGHT_WIDTH_DEG = 1.5
_LAG_MIN = 30


def elevation(minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the sun's elevation above the horizon at the observatory.

    Declination and equation of time from Spencer's series [1]_, without refraction.

    Parameters
    ----------
    minutes : ndarray of int64, shape (T,)
        Minutes of UTC, counted from day 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        Elevation [degree].

    References
    ----------
    .. [1] Spencer, J. W. (1971), Fourier series representation of the position of the
       sun. Search 2(5), 172.
    """
    days, minute = np.divmod(minutes, DAY_MIN)
    gamma = 2 * np.pi / 365 * (_day_of_year(days) - 1 + minute / DAY_MIN)
    declination = (
        0.006918
        - 0.399912 * np.cos(gamma)
        + 0.070257 * np.sin(gamma)
        - 0.006758 * np.cos(2 * gamma)
        + 0.000907 * np.sin(2 * gamma)
        - 0.002697 * np.cos(3 * gamma)
        + 0.00148 * np.sin(3 * gamma)
    )
    equation_of_time_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(gamma)
        - 0.032077 * np.sin(gamma)
        - 0.014615 * np.cos(2 * gamma)
        - 0.040849 * np.sin(2 * gamma)
    )
    solar_min = minute + 4 * LONGITUDE_DEG + equation_of_time_min
    hour_angle = np.deg2rad(solar_min / 4 - 180)
    latitude = np.deg2rad(LATITUDE_DEG)
    sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(
        declination
    ) * np.cos(hour_angle)
    return np.asarray(np.rad2deg(np.arcsin(np.clip(sine, -1, 1))))


def light(minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tell how far the animals have answered to the light of day.

    Migration keeps to a level of light [1]_, met in twilight; it is answered half an
    hour late because swimming takes its time.

    Parameters
    ----------
    minutes : ndarray of int64, shape (T,)
        Minutes of UTC, counted from day 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        0 at night, 1 by day, between in twilight.

    References
    ----------
    .. [1] Cohen, J. H. and Forward, R. B. (2009), Zooplankton diel vertical
       migration: a review of proximate control. Oceanography and Marine Biology: An
       Annual Review 47, 77-110.
    """
    height = elevation(minutes - _LAG_MIN)
    brightness = (height - _TWILIGHT_DEG) / _TWILIGHT_WIDTH_DEG
    return np.asarray(1 / (1 + np.exp(-brightness)))


def day_of_year(day: int) -> int:
    """Count a day within its year.

    Parameters
    ----------
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    int
        1 for the first of January.
    """
    return datetime.date.fromordinal(day).timetuple().tm_yday


def _day_of_year(days: NDArray[np.int64]) -> NDArray[np.float64]:
    unique, where = np.unique(days, return_inverse=True)
    numbers = np.array([day_of_year(int(day)) for day in unique], dtype=np.float64)
    return numbers[where]
