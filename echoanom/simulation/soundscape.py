"""Hydrophone: the sound of wind, distant ships, the current, and of a ship passing.

Ambient noise is the sum of the sources that Wenz told apart [1]_, in the closed form
that Stojanovic [2]_ gives after Coates.

References
----------
.. [1] Wenz, G. M. (1962), Acoustic ambient noise in the ocean: spectra and sources.
   Journal of the Acoustical Society of America 34, 1936-1956.
.. [2] Stojanovic, M. (2007), On the relationship between capacity and distance in an
   underwater acoustic communication channel. ACM SIGMOBILE Mobile Computing and
   Communications Review 11(4), 34-43.
.. [3] Ross, D. (1976), Mechanics of Underwater Noise. Pergamon Press.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.simulation.anomalies import Anomaly
from echoanom.simulation.conditions import Conditions
from echoanom.simulation.randomness import stream
from echoanom.simulation.scattering import linear
from echoanom.simulation.site import (
    DEPTH_M,
    Block,
    Floats,
    Instrument,
    number,
)

_HIGHEST_HZ = 32_000.0
_SELF_NOISE_DB = 28.0
# Level of a merchant ship at 1 m, 1 kHz band [dB re 1 uPa**2/Hz], and its slope.
_SHIP_DB = 138.0
_SHIP_SLOPE_DB_DECADE = -20.0


def ambient_noise_db(
    frequency_hz: NDArray[np.float64],
    wind: NDArray[np.float64],
    shipping: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the ambient noise spectrum level.

    Turbulence, shipping, wind and thermal noise, added as intensities [2]_; the
    spectra are those of Wenz [1]_.

    Parameters
    ----------
    frequency_hz : ndarray of float64, shape (B,)
        Frequencies [Hz].
    wind : ndarray of float64, shape (T,)
        Wind speed [m/s].
    shipping : ndarray of float64, shape (T,)
        Activity of distant ships, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (T, B)
        Spectrum level [dB re 1 uPa**2/Hz].

    References
    ----------
    .. [1] Wenz, G. M. (1962), Acoustic ambient noise in the ocean: spectra and
       sources. Journal of the Acoustical Society of America 34, 1936-1956.
    .. [2] Stojanovic, M. (2007), On the relationship between capacity and distance
       in an underwater acoustic communication channel. ACM SIGMOBILE Mobile
       Computing and Communications Review 11(4), 34-43.
    """
    f = frequency_hz / 1000
    log_f = np.log10(f)
    turbulence = 10 ** ((17 - 30 * log_f) / 10)
    thermal = 10 ** ((-15 + 20 * log_f) / 10)
    # Each of the other two is a spectrum times a strength in time.
    ships = 10 ** ((40 + 26 * log_f - 60 * np.log10(f + 0.03)) / 10)
    ships_strength = 10 ** (20 * (shipping - 0.5) / 10)
    sea = 10 ** ((50 + 20 * log_f - 40 * np.log10(f + 0.4)) / 10)
    sea_strength = 10 ** (7.5 * np.sqrt(wind) / 10)
    total = ships_strength[:, None] * ships
    total += sea_strength[:, None] * sea
    total += turbulence + thermal
    return np.asarray(10 * np.log10(total))


def distance_to_ship(
    anomaly: Anomaly, minutes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute how far a passing ship is from the observatory.

    A straight course at constant speed, closest in the middle of the anomaly.

    Parameters
    ----------
    anomaly : Anomaly
        The passage.
    minutes : ndarray of int64, shape (T,)
        Minutes, counted from day 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        Distance through the water [m].
    """
    draw = anomaly.stream()
    speed = draw.uniform(5.5, 8.5)
    aside = draw.uniform(10, 250)
    from_closest_s = 60 * (minutes + 0.5 - anomaly.start - anomaly.minutes / 2)
    return np.asarray(np.sqrt((speed * from_closest_s) ** 2 + aside**2 + DEPTH_M**2))


def ship_noise_db(
    anomaly: Anomaly, minutes: NDArray[np.int64], frequency_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the spectrum level that a passing ship makes.

    Cavitation noise that falls by 20 dB a decade above 100 Hz [3]_, spread over a
    sphere, absorbed at high frequency, with the tones of its machinery below 1 kHz.

    Parameters
    ----------
    anomaly : Anomaly
        The passage.
    minutes : ndarray of int64, shape (T,)
        Minutes, counted from day 0.
    frequency_hz : ndarray of float64, shape (B,)
        Frequencies [Hz].

    Returns
    -------
    ndarray of float64, shape (T, B)
        Spectrum level [dB re 1 uPa**2/Hz]; very low outside the passage.

    References
    ----------
    .. [3] Ross, D. (1976), Mechanics of Underwater Noise. Pergamon Press.
    """
    draw = stream(anomaly.seed, "ship spectrum", anomaly.start)
    source = (
        _SHIP_DB
        + draw.normal(0, 3)
        + _SHIP_SLOPE_DB_DECADE * np.log10(np.maximum(frequency_hz, 100) / 1000)
    )
    tones = draw.uniform(60, 1000, 5)
    nearest = np.abs(frequency_hz[:, None] - tones).argmin(axis=0)
    source[nearest] += draw.uniform(3, 8, 5)
    distance = distance_to_ship(anomaly, minutes)[:, None]
    # About 0.006 dB/m at 32 kHz, growing with the square of frequency below that.
    absorbed = 0.006 * (frequency_hz / _HIGHEST_HZ) ** 2 * distance
    level = source - 20 * np.log10(distance) - absorbed
    inside = (minutes >= anomaly.start) & (minutes < anomaly.stop)
    return np.where(inside[:, None], level, -100.0)


def instrument(bins: int) -> Instrument:
    """Describe the hydrophone: a long-term spectral average in linear bands.

    Parameters
    ----------
    bins : int
        Range bins of the echosounder; the hydrophone has two bands for five of them.

    Returns
    -------
    Instrument
        Columns ``ltsa_<f>Hz`` up to 32 kHz, f the middle of the band.
    """
    bands = 2 * bins // 5
    width = _HIGHEST_HZ / bands
    frequency = (np.arange(bands, dtype=np.float64) + 0.5) * width
    columns = tuple(
        Column(
            f"ltsa_{number(f)}Hz",
            "hydrophone",
            "dB re 1 µPa²/Hz",
            "level",
            frequency_hz=round(float(f), 3),
        )
        for f in frequency
    )
    silence = np.full(bands, _SELF_NOISE_DB, dtype=np.float32)

    def measure(conditions: Conditions) -> list[Floats]:
        return [_spectra(conditions, frequency)]

    return Instrument("hydrophone", (Block(columns, 2, silence, 0.3),), measure)


def _spectra(conditions: Conditions, frequency: NDArray[np.float64]) -> Floats:
    level = ambient_noise_db(frequency, conditions.wind, conditions.shipping)
    power = linear(level)
    power += linear(_SELF_NOISE_DB)
    # The current shakes the hydrophone; felt below some hundred Hz.
    speed = np.hypot(conditions.east, conditions.north)
    shaken = linear(55 + 60 * np.log10(np.maximum(speed, 0.02) / 0.2))
    power += shaken[:, None] * ((frequency + 20) / 70).astype(np.float32) ** -4
    for ship in conditions.planted("ship_passing"):
        rows = ship.rows(conditions.day)
        power[rows] += linear(ship_noise_db(ship, conditions.minutes[rows], frequency))
    heard = 10 * np.log10(power)
    # Averages of a minute scatter little; breaking crests make all bands rise alike.
    draw = stream(conditions.seed, "hydrophone scatter", conditions.day)
    heard += np.float32(0.35) * draw.standard_normal(heard.shape, dtype=np.float32)
    together = 0.6 * conditions.noise("crests", 4, 1)
    heard += together.astype(np.float32)[:, None]
    return heard
