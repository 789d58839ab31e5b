"""CTD: temperature, salinity, pressure, oxygen, turbidity and sound speed at a point.

References
----------
.. [1] Medwin, H. (1975), Speed of sound in water: a simple equation for realistic
   parameters. Journal of the Acoustical Society of America 58, 1318-1319.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.simulation import sun
from echoanom.simulation.conditions import Conditions
from echoanom.simulation.randomness import stream
from echoanom.simulation.site import DEPTH_M, Block, Floats, Instrument

_DENSITY_KG_M3 = 1028.0
_GRAVITY_M_S2 = 9.824
_WARMEST_DAY = 305

# Name, unit, decimals, and the standard deviation of the sensor's own scatter.
_QUANTITIES = (
    ("temperature_degC", "degC", 4, 0.002),
    ("salinity", "1e-3", 4, 0.002),
    ("pressure_dbar", "dbar", 3, 0.004),
    ("oxygen_ml_l", "ml/l", 3, 0.006),
    ("turbidity_ntu", "NTU", 3, 0.004),
    ("sound_speed_m_s", "m/s", 2, 0.01),
)


def sound_speed(
    temperature: NDArray[np.float64], salinity: NDArray[np.float64], depth_m: float
) -> NDArray[np.float64]:
    """Compute the speed of sound in sea water.

    Parameters
    ----------
    temperature : ndarray of float64, shape (T,)
        Temperature [degC].
    salinity : ndarray of float64, shape (T,)
        Salinity [1e-3].
    depth_m : float
        Depth [m].

    Returns
    -------
    ndarray of float64, shape (T,)
        Speed [m/s], after Medwin [1]_.

    References
    ----------
    .. [1] Medwin, H. (1975), Speed of sound in water: a simple equation for realistic
       parameters. Journal of the Acoustical Society of America 58, 1318-1319.
    """
    t = temperature
    return np.asarray(
        1449.2
        + 4.6 * t
        - 0.055 * t**2
        + 0.00029 * t**3
        + (1.34 - 0.010 * t) * (salinity - 35)
        + 0.016 * depth_m
    )


def instrument(bins: int) -> Instrument:
    """Describe the point sensors.

    Parameters
    ----------
    bins : int
        Range bins of the echosounder; the point sensors do not depend on them.

    Returns
    -------
    Instrument
        Six columns.
    """
    del bins
    silence = np.zeros(1, dtype=np.float32)
    blocks = tuple(
        Block((Column(name, "ctd", unit, "scalar"),), decimals, silence, 0.0)
        for name, unit, decimals, _ in _QUANTITIES
    )
    return Instrument("ctd", blocks, _measure)


def _measure(conditions: Conditions) -> list[Floats]:
    draw = stream(conditions.seed, "ctd scatter", conditions.day)
    year = 2 * np.pi * (sun.day_of_year(conditions.day) - _WARMEST_DAY) / 365.25
    minute = 2 * np.pi * np.arange(len(conditions.minutes)) / (365.25 * 1440)
    # At 255 m Atlantic water lies below coastal water; the tide carries the boundary
    # past the sensor, so what is warmer is also saltier.
    boundary = (
        0.5 * conditions.noise("water mass", 3 * 1440, 60)
        + 0.25 * conditions.level
        + 0.10 * conditions.noise("internal waves", 12, 2)
    )
    temperature = 6.9 + 0.6 * np.cos(year + minute) + 0.45 * boundary
    salinity = 35.05 + 0.07 * boundary + 0.01 * conditions.noise("salt", 720, 30)
    pressure = _DENSITY_KG_M3 * _GRAVITY_M_S2 * (DEPTH_M + conditions.level) / 1e4
    oxygen = (
        6.1 - 0.22 * (temperature - 7) + 0.04 * conditions.noise("oxygen", 1440, 60)
    )
    # A current lifts sediment with the square of its speed.
    speed = np.hypot(conditions.east, conditions.north)
    clouds = np.exp(0.35 * conditions.noise("sediment", 45, 5))
    turbidity = 0.12 + 0.6 * (speed / 0.3) ** 2 * clouds
    series = (
        temperature,
        salinity,
        pressure,
        oxygen,
        turbidity,
        sound_speed(temperature, salinity, DEPTH_M),
    )
    return [
        (values + scatter * draw.standard_normal(len(values)))
        .astype(np.float32)
        .reshape(-1, 1)
        for values, (*_, scatter) in zip(series, _QUANTITIES, strict=True)
    ]
