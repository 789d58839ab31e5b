"""Echosounder: 38 kHz, on the seabed, looking up to the surface at 255 m.

From the transducer up: its own ringing, what lives in the water, bubbles that storms
carry down, the surface that moves with tide and waves, and a noise floor that rises
with range because echoes are amplified for the way they have come.

References
----------
.. [1] Thorpe, S. A. (1982), On the clouds of bubbles formed by breaking wind-waves in
   deep water, and their role in air-sea gas transfer. Philosophical Transactions of
   the Royal Society of London A 304, 155-210.
.. [2] Vagle, S. and Farmer, D. M. (1992), The measurement of bubble-size
   distributions by acoustical backscatter. Journal of Atmospheric and Oceanic
   Technology 9, 630-644.
.. [3] De Robertis, A. and Higginbottom, I. (2007), A post-processing technique to
   estimate the signal-to-noise ratio and remove echosounder background noise. ICES
   Journal of Marine Science 64, 1282-1291.
.. [4] Francois, R. E. and Garrison, G. R. (1982), Sound absorption based on ocean
   measurements. Part II: Boric acid contribution and equation for total absorption.
   Journal of the Acoustical Society of America 72, 1879-1890.
.. [5] Trevorrow, M. V., Vagle, S. and Farmer, D. M. (1994), Acoustical measurements of
   microbubbles within ship wakes. Journal of the Acoustical Society of America 95,
   1922-1930.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.simulation.anomalies import Anomaly
from echoanom.simulation.conditions import Conditions
from echoanom.simulation.randomness import stream
from echoanom.simulation.scattering import (
    School,
    add_school,
    depths,
    linear,
    scatterers,
)
from echoanom.simulation.site import (
    ECHOSOUNDER_RANGE_M,
    Block,
    Floats,
    Instrument,
    number,
)
from echoanom.simulation.soundscape import ambient_noise_db, distance_to_ship

_FREQUENCY_HZ = 38_000.0
# Near 10 dB/km at 38 kHz in cold sea water, after Francois and Garrison [4].
_ABSORPTION_DB_M = 0.0098
_RECEIVER_NOISE_DB = -149.0
_AMBIENT_NOISE_DB = -152.0
_SCATTER_DB = 0.8
_SURFACE_REACH_M = 18.0


def noise_floor_db(ranges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Sv that the receiver's own noise is taken for.

    ``N + 20 log10(r) + 2 * absorption * r``, as noise is amplified with range [3]_.

    Parameters
    ----------
    ranges : ndarray of float64, shape (R,)
        Ranges [m].

    Returns
    -------
    ndarray of float64, shape (R,)
        Sv of the noise [dB re 1/m].

    References
    ----------
    .. [3] De Robertis, A. and Higginbottom, I. (2007), A post-processing technique to
       estimate the signal-to-noise ratio and remove echosounder background noise.
       ICES Journal of Marine Science 64, 1282-1291.
    """
    return np.asarray(_RECEIVER_NOISE_DB + _gain_db(ranges))


def bubbles(conditions: Conditions, depth: Floats) -> Floats:
    """Compute the backscatter of bubbles under breaking waves.

    It falls exponentially with depth; both its strength at the surface and the depth
    of fall grow with wind once waves break, and plumes come and go within minutes
    [1]_, [2]_. The numbers are of the size reported there, not fitted.

    Parameters
    ----------
    conditions : Conditions
        The day.
    depth : ndarray of float32, shape (1440, R)
        Depth of each cell [m].

    Returns
    -------
    ndarray of float32, shape (1440, R)
        Volume backscattering coefficient [1/m].

    References
    ----------
    .. [1] Thorpe, S. A. (1982), On the clouds of bubbles formed by breaking wind-waves
       in deep water, and their role in air-sea gas transfer. Philosophical
       Transactions of the Royal Society of London A 304, 155-210.
    .. [2] Vagle, S. and Farmer, D. M. (1992), The measurement of bubble-size
       distributions by acoustical backscatter. Journal of Atmospheric and Oceanic
       Technology 9, 630-644.
    """
    wind = conditions.wind
    plumes = np.exp(0.4 * conditions.noise("plumes", 5, 1))
    fall_m = (0.5 + 0.24 * np.maximum(wind - 4, 0)) * plumes
    surface_db = -64 + 55 * np.log10(np.maximum(wind, 2) / 7)
    return _below_surface(depth, surface_db, fall_m)


def instrument(bins: int) -> Instrument:
    """Describe the echosounder.

    Parameters
    ----------
    bins : int
        Number of range bins, from the transducer to 272 m.

    Returns
    -------
    Instrument
        Columns ``Sv_<range>m``, range from the transducer to the middle of the bin.
    """
    ranges = (np.arange(bins, dtype=np.float64) + 0.5) * (ECHOSOUNDER_RANGE_M / bins)
    columns = tuple(
        Column(
            f"Sv_{number(r)}m",
            "echosounder",
            "dB re 1 m⁻¹",
            "level",
            range_m=round(float(r), 3),
            frequency_hz=_FREQUENCY_HZ,
        )
        for r in ranges
    )
    silence = noise_floor_db(ranges).astype(np.float32)

    def measure(conditions: Conditions) -> list[Floats]:
        return [_echogram(conditions, ranges)]

    return Instrument(
        "echosounder", (Block(columns, 2, silence, _SCATTER_DB),), measure
    )


def _echogram(conditions: Conditions, ranges: NDArray[np.float64]) -> Floats:
    depth = depths(conditions, ranges)
    sv = scatterers(conditions, ranges, depth)
    for anomaly in conditions.planted("dense_school"):
        for school in _dense_school(anomaly):
            add_school(sv, conditions, ranges, school)
    sv += bubbles(conditions, depth)
    for anomaly in conditions.planted("ship_passing"):
        sv += _wake(anomaly, conditions, depth)
    _add_surface(sv, conditions, depth)
    # The transducer rings on after its pulse: the first metres tell nothing else.
    ringing = linear(-4 - 30 * ranges)
    trembling = linear(0.4 * conditions.noise("ringing", 30, 5))
    sv += trembling[:, None] * ringing
    _add_noise(sv, conditions, ranges)
    for anomaly in conditions.planted("interference_lines"):
        _add_interference(sv, anomaly, conditions, ranges)
    np.log10(sv, out=sv)
    sv *= 10
    # The mean of a minute's pings, some tens of them independent, scatters by about
    # 10 / ln(10) / sqrt(n) dB.
    draw = stream(conditions.seed, "echosounder scatter", conditions.day)
    scatter = draw.standard_normal(sv.shape, dtype=np.float32)
    scatter *= np.float32(_SCATTER_DB)
    sv += scatter
    _add_single_targets(sv, draw, depth)
    return sv


def _gain_db(ranges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(20 * np.log10(ranges) + 2 * _ABSORPTION_DB_M * ranges)


def _below_surface(
    depth: Floats, surface_db: NDArray[np.float64], fall_m: NDArray[np.float64]
) -> Floats:
    """Let a strength at the surface fall exponentially with depth; 0 in the air."""
    sv = depth * (-1 / fall_m).astype(np.float32)[:, None]
    # Cells in the air would overflow; they are cleared right after.
    np.exp(np.minimum(sv, 0), out=sv)
    sv *= linear(surface_db)[:, None]
    sv[depth < 0] = 0
    return sv


def _add_surface(sv: Floats, conditions: Conditions, depth: Floats) -> None:
    # Only the last metres are reached; depth falls from column to column.
    low = int(np.searchsorted(-depth.min(axis=0), -_SURFACE_REACH_M))
    z = depth[:, low:]
    # Waves smear the surface within a minute; a rough one sends less straight back.
    half_width = np.hypot(0.25, conditions.waves / 4).astype(np.float32)[:, None]
    peak = linear(-8 - 0.5 * conditions.wind)[:, None]
    band = peak * np.exp(-0.5 * (z / half_width) ** 2)
    # Side lobes reach the surface before the main one does, and echoes that took
    # the long way arrive after it.
    before = peak * linear(-42) * np.exp(-np.abs(z) / np.float32(1.5))
    after = peak * (
        linear(-18) * np.exp(np.minimum(z, 0) / np.float32(0.9))
        + linear(-50) * np.exp(np.minimum(z, 0) / np.float32(6))
    )
    band += np.where(z >= 0, before, after)
    sv[:, low:] += band


def _add_noise(sv: Floats, conditions: Conditions, ranges: NDArray[np.float64]) -> None:
    sound = ambient_noise_db(
        np.array([_FREQUENCY_HZ]), conditions.wind, conditions.shipping
    )[:, 0]
    calm = ambient_noise_db(np.array([_FREQUENCY_HZ]), np.array([5.0]), np.zeros(1))
    strength = linear(_RECEIVER_NOISE_DB) + linear(
        _AMBIENT_NOISE_DB + sound - calm[0, 0]
    )
    for ship in conditions.planted("ship_passing"):
        rows = ship.rows(conditions.day)
        distance = distance_to_ship(ship, conditions.minutes[rows])
        strength[rows] += linear(_RECEIVER_NOISE_DB + 58 - 20 * np.log10(distance))
    sv += strength[:, None] * linear(_gain_db(ranges))


def _add_single_targets(sv: Floats, draw: np.random.Generator, depth: Floats) -> None:
    """Let single fish stand out of a thousandth of the cells."""
    count = sv.size // 1000
    cells = draw.integers(sv.size, size=count)
    louder = draw.exponential(4, count).astype(np.float32)
    in_water = depth.flat[cells] > 0
    sv.flat[cells[in_water]] += louder[in_water]


def _dense_school(anomaly: Anomaly) -> list[School]:
    """Draw a school that is denser, larger and deeper than ordinary ones.

    It is packed unevenly: a body as long as the anomaly, and clumps within it.
    """
    draw = anomaly.stream()
    depth_m, half_m = draw.uniform(135, 225), draw.uniform(5, 12)
    body_db = draw.uniform(-50, -45)
    # Schools are drawn out to 1.3 of their half length; that is to fit as well.
    longest = anomaly.minutes / 2 / 1.3
    body = School(
        middle=anomaly.start + anomaly.minutes / 2,
        half_min=longest,
        depth_m=float(depth_m),
        half_m=float(half_m),
        slope=float(draw.normal(0, 0.1)),
        sv_db=float(body_db),
    )
    clumps = []
    for _ in range(int(draw.integers(6, 12))):
        half_min = draw.uniform(0.1, 0.35) * longest
        room = anomaly.minutes / 2 - 1.3 * half_min
        clumps.append(
            dataclasses.replace(
                body,
                middle=float(body.middle + draw.uniform(-0.8, 0.8) * room),
                half_min=float(half_min),
                depth_m=float(depth_m + draw.uniform(-0.6, 0.6) * half_m),
                half_m=float(draw.uniform(0.15, 0.5) * half_m),
                sv_db=float(body_db + draw.uniform(2, 8)),
            )
        )
    return [body, *clumps]


def _wake(anomaly: Anomaly, conditions: Conditions, depth: Floats) -> Floats:
    """Bubbles that a ship leaves behind, from its passing to the anomaly's end [5]."""
    draw = stream(anomaly.seed, "wake", anomaly.start)
    age = conditions.minutes + 0.5 - (anomaly.start + anomaly.minutes / 2)
    inside = (age > 0) & (conditions.minutes < anomaly.stop)
    strength = draw.uniform(-38, -32) - 0.6 * age
    return _below_surface(
        depth,
        np.where(inside, strength, -120.0),
        np.full(len(age), draw.uniform(1.8, 3.0)),
    )


def _add_interference(
    sv: Floats,
    anomaly: Anomaly,
    conditions: Conditions,
    ranges: NDArray[np.float64],
) -> None:
    """Add the pulses of another sounder: lines that slide through the ranges."""
    draw = anomaly.stream()
    rows = anomaly.rows(conditions.day)
    since = conditions.minutes[rows] - anomaly.start
    lines = int(draw.integers(4, 9))
    drift = draw.choice((-1, 1)) * draw.uniform(0.4, 2.5)
    first = draw.uniform(0, ECHOSOUNDER_RANGE_M) + np.arange(lines) * (
        ECHOSOUNDER_RANGE_M / lines
    )
    at = np.mod(first + drift * since[:, None], ECHOSOUNDER_RANGE_M)
    width = max(0.7, ECHOSOUNDER_RANGE_M / len(ranges) / 2)
    strength = linear(draw.uniform(-106, -100) + _gain_db(ranges))
    for line in range(lines):
        cells = np.abs(ranges - at[:, line, None]) <= width
        sv[rows] += cells * strength
