"""ADCP: current profile and echo intensity, from the seabed up.

References
----------
.. [1] Ekman, V. W. (1905), On the influence of the Earth's rotation on ocean-currents.
   Arkiv for matematik, astronomi och fysik 2(11), 1-52.
.. [2] Deines, K. L. (1999), Backscatter estimation using broadband acoustic Doppler
   current profilers. Proceedings of the IEEE Sixth Working Conference on Current
   Measurement, 249-253.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.simulation.conditions import Conditions
from echoanom.simulation.echosounder import bubbles
from echoanom.simulation.randomness import stream
from echoanom.simulation.scattering import depths, linear, scatterers
from echoanom.simulation.site import (
    DEPTH_M,
    LATITUDE_DEG,
    Block,
    Floats,
    Instrument,
    number,
)

_RANGE_M = 250.0
_FREQUENCY_HZ = 190_000.0
_ABSORPTION_DB_M = 0.03
_DB_PER_COUNT = 0.43
_FLOOR_COUNT = 40.0
# Echo intensity = (Sv - 20 log10(r) - 2 * absorption * r + constant) / dB per count.
_ECHO_CONSTANT_DB = 146.0
_BOTTOM_LAYER_M = 25.0
_ROUGHNESS_M = 0.01
_VELOCITY_SCATTER_M_S = 0.012


def ekman_current(
    conditions: Conditions, depth: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the current that the wind drives near the surface.

    Ekman's spiral with his empirical numbers [1]_: at the surface
    ``0.0127 * U / sqrt(sin(latitude))`` and 45 degrees to the right of the wind,
    turning right and fading with depth over ``7.6 * U / sqrt(sin(latitude))``.

    Parameters
    ----------
    conditions : Conditions
        The day.
    depth : ndarray of float32, shape (1440, R)
        Depth of each cell [m].

    Returns
    -------
    east, north : ndarray of float64, shape (1440, R)
        Components of the current [m/s].

    References
    ----------
    .. [1] Ekman, V. W. (1905), On the influence of the Earth's rotation on
       ocean-currents. Arkiv for matematik, astronomi och fysik 2(11), 1-52.
    """
    root = np.sqrt(np.sin(np.deg2rad(LATITUDE_DEG)))
    # The wind that raised the sea, not its gusts: waves keep the memory of hours.
    felt = np.sqrt(np.maximum(conditions.waves - 0.3, 0.01) * 9.81 / 0.21)
    reach = (7.6 * felt / root)[:, None]
    turned = np.pi * np.maximum(depth, 0) / reach
    speed = (0.0127 * felt / root)[:, None] * np.exp(-turned)
    direction = np.deg2rad(conditions.wind_to + 45)[:, None] + turned
    return speed * np.sin(direction), speed * np.cos(direction)


def velocity(
    conditions: Conditions, ranges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the true current profile: tide, mean, wind-driven, internal.

    Friction slows the bottom layer by the law of the wall; an internal mode moves the
    upper and the lower half against each other.

    Parameters
    ----------
    conditions : Conditions
        The day.
    ranges : ndarray of float64, shape (R,)
        Ranges from the seabed up [m].

    Returns
    -------
    east, north : ndarray of float64, shape (1440, R)
        Components of the current [m/s].
    """
    wall = np.log(ranges / _ROUGHNESS_M) / np.log(_BOTTOM_LAYER_M / _ROUGHNESS_M)
    friction = np.clip(wall, 0.1, 1)
    mode = np.cos(np.pi * ranges / DEPTH_M)
    east, north = ekman_current(conditions, depths(conditions, ranges))
    for component, outside, name in (
        (east, conditions.east, "internal east"),
        (north, conditions.north, "internal north"),
    ):
        internal = 0.04 * conditions.noise(name, 240, 15)
        component += (outside[:, None] + internal[:, None] * mode) * friction
    return east, north


def instrument(bins: int) -> Instrument:
    """Describe the ADCP.

    Parameters
    ----------
    bins : int
        Range bins of the echosounder; the ADCP has 5 for 32 of them.

    Returns
    -------
    Instrument
        Columns ``speed_<r>m``, ``dir_<r>m`` (where the current goes to, clockwise
        from north) and ``echo_<r>m``, r the range to the end of the bin, up to 250 m.
    """
    cells = max(5 * bins // 32, 2)
    ranges = (np.arange(cells, dtype=np.float64) + 1) * (_RANGE_M / cells)

    def block(
        name: str, unit: str, decimals: int, silence: float, spread: float
    ) -> Block:
        columns = tuple(
            Column(
                f"{name}_{number(r)}m",
                "adcp",
                unit,
                "direction" if name == "dir" else "scalar",
                range_m=round(float(r), 3),
                frequency_hz=_FREQUENCY_HZ if name == "echo" else None,
            )
            for r in ranges
        )
        level = np.full(cells, silence, dtype=np.float32)
        return Block(columns, decimals, level, spread)

    def measure(conditions: Conditions) -> list[Floats]:
        return [*_speed_and_direction(conditions, ranges), _echo(conditions, ranges)]

    return Instrument(
        "adcp",
        (
            block("speed", "m/s", 3, 0.0, 0.003),
            # Without an echo the direction is anything.
            block("dir", "degree", 1, 0.0, 1000.0),
            block("echo", "count", 1, _FLOOR_COUNT, 0.5),
        ),
        measure,
    )


def _speed_and_direction(
    conditions: Conditions, ranges: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    east, north = velocity(conditions, ranges)
    draw = stream(conditions.seed, "adcp scatter", conditions.day)
    # Scatter is drawn on the components: an average over pings is one of vectors.
    for component in (east, north):
        component += _VELOCITY_SCATTER_M_S * draw.standard_normal(component.shape)
    speed = np.hypot(east, north).astype(np.float32)
    direction = np.mod(np.rad2deg(np.arctan2(east, north)), 360)
    return speed, direction.astype(np.float32)


def _echo(conditions: Conditions, ranges: NDArray[np.float64]) -> Floats:
    """Turn backscatter to counts, after the sonar equation of Deines [2]."""
    depth = depths(conditions, ranges)
    sv = scatterers(conditions, ranges, depth)
    sv += bubbles(conditions, depth)
    way_db = 20 * np.log10(ranges) + 2 * _ABSORPTION_DB_M * ranges
    power = sv * linear(_ECHO_CONSTANT_DB - way_db)
    power += linear(_FLOOR_COUNT * _DB_PER_COUNT)
    counts = np.log10(power) * np.float32(10 / _DB_PER_COUNT)
    draw = stream(conditions.seed, "adcp echo scatter", conditions.day)
    counts += np.float32(0.8) * draw.standard_normal(counts.shape, dtype=np.float32)
    return np.asarray(np.clip(counts, 0, 255))
