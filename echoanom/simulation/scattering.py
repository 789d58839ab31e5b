"""What scatters sound in the water: layers of plankton and fish, and schools.

Layers migrate: down by day, up at night [1]_. Schools pack by day and loosen at night
[2]_. Everything is kept as volume backscattering coefficient sv [1/m], so that what
is seen together is added, and turned to dB only when an instrument reports it.

References
----------
.. [1] Bianchi, D. and Mislan, K. A. S. (2016), Global patterns of diel vertical
   migration times and velocities from acoustic data. Limnology and Oceanography 61,
   353-364.
.. [2] Freon, P. and Misund, O. A. (1999), Dynamics of Pelagic Fish Distribution and
   Behaviour: Effects on Fisheries and Stock Assessment. Fishing News Books.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation import sun
from echoanom.simulation.conditions import Conditions
from echoanom.simulation.randomness import stream, texture
from echoanom.simulation.site import DAY_MIN, DEPTH_M, Floats


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A layer of animals; two values are those of night and day."""

    name: str
    depth_m: tuple[float, float]
    width_m: tuple[float, float]
    sv_db: tuple[float, float]
    wander_m: float


_LAYERS = (
    _Layer("krill", (24.0, 118.0), (7.0, 8.0), (-65.0, -67.0), 5.0),
    _Layer("lanternfish", (62.0, 186.0), (9.0, 12.0), (-68.0, -66.0), 7.0),
    # A part stays below at night, another stays near the surface by day.
    _Layer("deep", (150.0, 158.0), (20.0, 20.0), (-78.0, -78.0), 8.0),
    _Layer("shallow", (12.0, 18.0), (9.0, 9.0), (-72.0, -77.0), 2.0),
)
_BACKGROUND_DB = -89.0
_BOTTOM_LAYER_DB = -68.0
_BOTTOM_LAYER_M = 7.0

_SCHOOLS_PER_DAY = 26


@dataclasses.dataclass(frozen=True)
class School:
    """A patch of fish that drifts through the beam.

    Attributes
    ----------
    middle : float
        When its middle passes [min, counted from day 0].
    half_min : float
        Half the time it takes [min].
    depth_m : float
        Depth of its middle below the surface [m].
    half_m : float
        Half its height [m].
    slope : float
        How its depth changes while it passes [m/min].
    sv_db : float
        Volume backscattering strength of its middle [dB re 1/m].
    """

    middle: float
    half_min: float
    depth_m: float
    half_m: float
    slope: float
    sv_db: float


def linear(level_db: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn dB to linear units.

    Parameters
    ----------
    level_db : float or ndarray of float64
        Level [dB].

    Returns
    -------
    ndarray of float32
        ``10**(level/10)``.
    """
    return np.asarray(10 ** (np.asarray(level_db) / 10), dtype=np.float32)


def depths(conditions: Conditions, ranges: NDArray[np.float64]) -> Floats:
    """Compute how deep below the moving surface each cell lies.

    Parameters
    ----------
    conditions : Conditions
        The day.
    ranges : ndarray of float64, shape (R,)
        Ranges from the seabed up [m].

    Returns
    -------
    ndarray of float32, shape (1440, R)
        Depth [m], negative in the air.
    """
    surface = (DEPTH_M + conditions.level).astype(np.float32)
    return np.asarray(surface[:, None] - ranges.astype(np.float32))


def scatterers(
    conditions: Conditions, ranges: NDArray[np.float64], depth: Floats
) -> Floats:
    """Compute the backscatter of everything that lives in the water.

    Parameters
    ----------
    conditions : Conditions
        The day.
    ranges : ndarray of float64, shape (R,)
        Ranges from the seabed up [m].
    depth : ndarray of float32, shape (1440, R)
        Depth of each cell [m], from `depths`.

    Returns
    -------
    ndarray of float32, shape (1440, R)
        Volume backscattering coefficient sv [1/m]; 0 in the air.
    """
    sv = np.full(depth.shape, linear(_BACKGROUND_DB))
    for layer in _LAYERS:
        _add_layer(sv, conditions, layer, depth)
    # Animals and sand stirred up near the bottom; the more, the faster the current.
    speed = np.hypot(conditions.east, conditions.north)
    stirred = linear(_BOTTOM_LAYER_DB + 8 * (speed - 0.15) / 0.15)
    fall = np.exp(-ranges / _BOTTOM_LAYER_M).astype(np.float32)
    sv += stirred[:, None] * fall
    for school in schools(conditions.seed, conditions.day):
        add_school(sv, conditions, ranges, school)
    # Patches: a few dB at the scale of an hour and six metres, and finer.
    patches = texture(conditions.seed, "patches", conditions.minutes, ranges, 30, 6.0)
    patches *= np.float32(1.8)
    fine = texture(conditions.seed, "fine patches", conditions.minutes, ranges, 3, 1.2)
    fine *= np.float32(1.5)
    patches += fine
    patches *= np.float32(np.log(10) / 10)
    sv *= np.exp(patches)
    sv[depth < 0] = 0
    return sv


def add_school(
    sv: Floats, conditions: Conditions, ranges: NDArray[np.float64], school: School
) -> None:
    """Add a school to the backscatter of a day, where it touches it.

    Parameters
    ----------
    sv : ndarray of float32, shape (1440, R)
        Volume backscattering coefficient [1/m], changed in place.
    conditions : Conditions
        The day.
    ranges : ndarray of float64, shape (R,)
        Ranges from the seabed up, rising [m].
    school : School
        The school.
    """
    middle = school.middle - conditions.day * DAY_MIN
    # Rows whose middle lies within the school's reach.
    first = max(int(np.ceil(middle - 1.3 * school.half_min - 0.5)), 0)
    stop = min(int(np.floor(middle + 1.3 * school.half_min - 0.5)) + 1, DAY_MIN)
    if first >= stop:
        return
    rows = np.arange(first, stop)
    centre = DEPTH_M + conditions.level[rows] - school.depth_m
    centre += school.slope * (rows + 0.5 - middle)
    low, high = np.searchsorted(
        ranges,
        (centre.min() - 1.3 * school.half_m, centre.max() + 1.3 * school.half_m),
    )
    across = ((rows + 0.5 - middle) / school.half_min)[:, None]
    along = (ranges[low:high] - centre[:, None]) / school.half_m
    # The fourth power gives a body of even density with a sharp edge.
    shape = np.exp(-((across**2 + along**2) ** 2))
    sv[first:stop, low:high] += (linear(school.sv_db) * shape).astype(np.float32)


def schools(seed: int, day: int) -> list[School]:
    """Draw the ordinary schools that touch a day.

    By day they are packed and at 30 to 110 m; at night loose and shallower.

    Parameters
    ----------
    seed : int
        The simulation's seed.
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    list of School
        Those whose middle passes on the day, the day before or the day after.
    """
    found = []
    for near in (day - 1, day, day + 1):
        draw = stream(seed, "schools", near)
        count = int(draw.poisson(_SCHOOLS_PER_DAY))
        middle = near * DAY_MIN + draw.uniform(0, DAY_MIN, count)
        light = sun.light(middle.astype(np.int64))
        half_min = draw.uniform(1.5, 6, count) * (1.6 - 0.6 * light)
        half_m = draw.uniform(1.5, 5, count) * (1.5 - 0.5 * light)
        depth_m = draw.uniform(30, 70, count) + light * draw.uniform(0, 40, count)
        slope = draw.normal(0, 0.25, count)
        sv_db = draw.normal(-50, 2.5, count) - 9 * (1 - light)
        drawn = np.stack([middle, half_min, depth_m, half_m, slope, sv_db], axis=1)
        found += [School(*map(float, values)) for values in drawn]
    return found


def _add_layer(
    sv: Floats, conditions: Conditions, layer: _Layer, depth: Floats
) -> None:
    light = conditions.light

    def by_light(values: tuple[float, float]) -> NDArray[np.float64]:
        night, day = values
        return np.asarray(night + (day - night) * light)

    wander = conditions.noise(f"{layer.name} depth", 180, 15)
    # Internal waves heave all layers alike, most in the middle of the water.
    heave = conditions.noise("internal waves", 12, 2)
    middle = by_light(layer.depth_m) + layer.wander_m * wander
    middle += 2.5 * heave * np.sin(np.pi * np.clip(middle / DEPTH_M, 0, 1))
    middle = np.clip(middle, 4, DEPTH_M - 15)
    strength = by_light(layer.sv_db) + 2.0 * conditions.noise(
        f"{layer.name} strength", 600, 30
    )
    width = by_light(layer.width_m) * np.exp(
        0.2 * conditions.noise(f"{layer.name} width", 240, 15)
    )
    offset = depth - middle.astype(np.float32)[:, None]
    offset *= (1 / width).astype(np.float32)[:, None]
    np.square(offset, out=offset)
    offset *= np.float32(-0.5)
    np.exp(offset, out=offset)
    offset *= linear(strength)[:, None]
    sv += offset
