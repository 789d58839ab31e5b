"""What all sensors share on a day: sun, weather, tide, current, ships far away."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation import sun, tides, weather
from echoanom.simulation.anomalies import Anomaly
from echoanom.simulation.randomness import red_noise
from echoanom.simulation.site import DAY_MIN

Series = NDArray[np.float64]

_SURGE_RISE_MIN = 8.0


@dataclasses.dataclass(frozen=True)
class Conditions:
    """The state of sea and sky in every minute of a day.

    Attributes
    ----------
    seed : int
        The simulation's seed.
    day : int
        The day, as proleptic Gregorian ordinal.
    minutes : ndarray of int64, shape (1440,)
        Minutes of UTC, counted from day 0.
    light : ndarray of float64, shape (1440,)
        How far animals have answered to daylight: 0 at night, 1 by day.
    wind : ndarray of float64, shape (1440,)
        Wind speed at 10 m [m/s].
    wind_to : ndarray of float64, shape (1440,)
        Direction the wind blows to, clockwise from north [degree].
    waves : ndarray of float64, shape (1440,)
        Significant wave height [m].
    level : ndarray of float64, shape (1440,)
        Sea level above its mean: tide, weather and surges [m].
    east, north : ndarray of float64, shape (1440,)
        Current outside the boundary layers: mean, tide and surges [m/s].
    shipping : ndarray of float64, shape (1440,)
        Distant ship traffic, in [0, 1].
    anomalies : tuple of Anomaly
        Anomalies that touch the day.
    """

    seed: int
    day: int
    minutes: NDArray[np.int64]
    light: Series
    wind: Series
    wind_to: Series
    waves: Series
    level: Series
    east: Series
    north: Series
    shipping: Series
    anomalies: tuple[Anomaly, ...]

    def noise(self, name: str, memory_min: float, step_min: int) -> Series:
        """Make a red noise of the day's minutes.

        Parameters
        ----------
        name : str
            What is drawn.
        memory_min : float
            Time in which the autocorrelation falls to 1/e [min].
        step_min : int
            Distance of the knots [min]; divides a day.

        Returns
        -------
        ndarray of float64, shape (1440,)
            Zero mean, unit variance.
        """
        return red_noise(self.seed, name, self.minutes, memory_min, step_min)

    def planted(self, kind: str) -> tuple[Anomaly, ...]:
        """Return the day's anomalies of one kind.

        Parameters
        ----------
        kind : str
            The kind.

        Returns
        -------
        tuple of Anomaly
            Those that touch the day.
        """
        return tuple(a for a in self.anomalies if a.kind == kind)


def conditions_of_day(seed: int, day: int, anomalies: Sequence[Anomaly]) -> Conditions:
    """Make the state of sea and sky of one day.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    day : int
        The day, as proleptic Gregorian ordinal.
    anomalies : sequence of Anomaly
        Anomalies that touch the day; surges among them move level and current.

    Returns
    -------
    Conditions
        All series; each runs on over midnight into the next day's.
    """
    minutes = np.arange(day * DAY_MIN, (day + 1) * DAY_MIN)
    wind, wind_to = weather.wind(seed, minutes)
    waves = weather.wave_height(seed, minutes)
    east, north = tides.current(minutes)
    # The mean current follows the shelf edge and wanders for days.
    along = 0.12 + 0.06 * red_noise(seed, "current along", minutes, 2 * DAY_MIN, 60)
    across = 0.03 * red_noise(seed, "current across", minutes, DAY_MIN, 60)
    mean_east, mean_north = tides.from_shelf(along, across)
    surge_level, surge_east, surge_north = _surges(minutes, anomalies)
    # The sea stands higher when strong wind has blown for hours: low pressure and
    # wind set-up together, of the order of 0.5 m in a storm.
    weather_level = 0.06 * (waves - 2) + 0.05 * red_noise(
        seed, "level", minutes, DAY_MIN, 60
    )
    return Conditions(
        seed=seed,
        day=day,
        minutes=minutes,
        light=sun.light(minutes),
        wind=wind,
        wind_to=wind_to,
        waves=waves,
        level=tides.level(minutes) + weather_level + surge_level,
        east=east + mean_east + surge_east,
        north=north + mean_north + surge_north,
        shipping=1 / (1 + np.exp(-red_noise(seed, "ships", minutes, 90, 5))),
        anomalies=tuple(anomalies),
    )


def _surges(
    minutes: NDArray[np.int64], anomalies: Sequence[Anomaly]
) -> tuple[Series, Series, Series]:
    level, east, north = (np.zeros(len(minutes)) for _ in range(3))
    for anomaly in anomalies:
        if anomaly.kind != "surge":
            continue
        draw = anomaly.stream()
        height = draw.uniform(0.6, 1.2)
        speed = draw.uniform(0.6, 0.9)
        direction = np.deg2rad(tides.SHELF_DIRECTION_DEG + draw.uniform(-50, 50))
        since = minutes - anomaly.start + 0.5
        # A surge arrives within minutes, stays, and is gone at its end.
        pulse = np.where(
            (minutes >= anomaly.start) & (minutes < anomaly.stop),
            (1 - np.exp(-np.maximum(since, 0) / _SURGE_RISE_MIN))
            * (1 - (since / anomaly.minutes) ** 3),
            0,
        )
        level += height * pulse
        east += speed * np.sin(direction) * pulse
        north += speed * np.cos(direction) * pulse
    return level, east, north
