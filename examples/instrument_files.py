"""Write what instruments would have recorded of a simulated sea.

Each function takes minutes and what the instrument measured in them, and writes a file in
the instrument's own format: Simrad EK60 `.raw`, NetCDF, WAV, and a logger's CSV. It is the
way of `echoanom ingest` backwards, so it also tells whether that gets everything right.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]

# 100 ns since 1601, as Windows counts them.
_NT_EPOCH_S = 11_644_473_600
# One count of received power [dB].
_COUNT_DB = 10 * math.log10(2) / 256

SOUND_SPEED_M_S = 1480.0
ABSORPTION_DB_M = 0.0098
FREQUENCY_HZ = 38_000.0
SAMPLE_INTERVAL_S = 0.001024
_PULSE_S, _POWER_W = 0.001024, 1000.0
_GAIN_DB, _SA_CORRECTION_DB, _BEAM_DB = 26.5, -0.6, -20.6


def write_ek60(
    path: Path, times: Times, ranges: Values, sv: Values, pings: int = 4
) -> None:
    """Write an EK60 file of one channel, with power and no angles.

    Parameters
    ----------
    path : Path
        The file, named as the instrument would: ``D20150201-T200000.raw`` at its end.
    times : ndarray of int64, shape (T,)
        Minutes [s since 1970 UTC].
    ranges : ndarray of float64, shape (R,)
        Middles of the range bins, at equal distances [m].
    sv : ndarray of float64, shape (T, R)
        Volume backscattering strength [dB re 1/m]; NaN is written as silence.
    pings : int
        Pings a minute, all alike.
    """
    step_m = SAMPLE_INTERVAL_S * SOUND_SPEED_M_S / 2
    samples = int((ranges[-1] + ranges[1] - ranges[0]) / step_m)
    sample_range = np.arange(samples) * step_m
    edges = np.append(ranges - (ranges[1] - ranges[0]) / 2, np.inf)
    bins = np.clip(
        np.searchsorted(edges, sample_range, "right") - 1, 0, len(ranges) - 1
    )
    counts = np.rint((sv[:, bins] - _sv_of_no_power(sample_range)) / _COUNT_DB)
    counts = np.nan_to_num(counts, nan=-32768).clip(-32768, 32767).astype("<i2")
    with open(path, "wb") as file:
        _datagram(file, b"CON0", times[0], _configuration())
        for minute, power in zip(times, counts, strict=True):
            for ping in range(pings):
                head = struct.pack(
                    "<hh12fhh2fii",
                    *(1, 1, 0.0, FREQUENCY_HZ, _POWER_W, _PULSE_S, 2425.0),
                    *(SAMPLE_INTERVAL_S, SOUND_SPEED_M_S, ABSORPTION_DB_M),
                    *(0.0, 0.0, 0.0, 6.0, 0, 0, 0.0, 0.0, 0, samples),
                )
                time_s = float(minute) + ping * 60 / pings
                _datagram(file, b"RAW0", time_s, head + power.tobytes())


def _sv_of_no_power(sample_range: Values) -> Values:
    """Compute the Sv that a received power of 0 dB stands for.

    Simrad's equation for power samples; the range of the time-varied gain begins two
    samples behind the transmit pulse.
    """
    step_m = SAMPLE_INTERVAL_S * SOUND_SPEED_M_S / 2
    gained = np.maximum(sample_range - 2 * step_m, 1e-9)
    length = SOUND_SPEED_M_S / FREQUENCY_HZ
    constant = _POWER_W * length**2 * SOUND_SPEED_M_S * _PULSE_S / (32 * math.pi**2)
    spreading: Values = 20 * np.log10(gained) + 2 * ABSORPTION_DB_M * gained
    return (
        spreading
        - 10 * math.log10(constant)
        - 2 * (_GAIN_DB + _SA_CORRECTION_DB)
        - _BEAM_DB
    )


def _configuration() -> bytes:
    """Return the header of the survey and the one transceiver."""
    survey = struct.pack("<128s128s128s30s98si", b"", b"", b"ER60", b"2.4.3", b"", 1)
    lengths = (0.000256, 0.000512, 0.001024, 0.002048, 0.004096)
    transceiver = struct.pack(
        "<128si15f5f8s5f8s5f8s16s28s",
        b"GPT  38 kHz 009072000001 1-1 ES38B",
        *(1, FREQUENCY_HZ, _GAIN_DB, _BEAM_DB, 7.1, 7.1, 21.9, 21.9, 0.0, 0.0),
        *(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        *(*lengths, b"", *[_GAIN_DB] * 5, b"", *[_SA_CORRECTION_DB] * 5, b""),
        *(b"070413", b""),
    )
    return survey + transceiver


def _datagram(file: IO[bytes], kind: bytes, time_s: float, content: bytes) -> None:
    ticks = int(round((time_s + _NT_EPOCH_S) * 1e7))
    length = struct.pack("<i", 12 + len(content))
    moment = struct.pack("<II", ticks & 0xFFFFFFFF, ticks >> 32)
    file.write(length + kind + moment + content + length)


def write_adcp(
    path: Path, times: Times, ranges: Values, speed: Values, direction: Values
) -> None:
    """Write a current profiler's NetCDF, with components as MHKiT names them.

    Parameters
    ----------
    path : Path
        The file.
    times : ndarray of int64, shape (T,)
        Ensembles [s since 1970 UTC].
    ranges : ndarray of float64, shape (R,)
        Middles of the bins [m].
    speed, direction : ndarray of float64, shape (T, R)
        Current [m/s], and where it flows to [degree clockwise from north].
    """
    import xarray

    turned = np.deg2rad(direction)
    xarray.Dataset(
        {
            "u": (("time", "range"), speed * np.sin(turned), {"units": "m s-1"}),
            "v": (("time", "range"), speed * np.cos(turned), {"units": "m s-1"}),
        },
        coords={
            "time": times.astype("datetime64[s]").astype("datetime64[ns]"),
            "range": ("range", ranges, {"units": "m"}),
        },
        attrs={"coord_sys": "earth", "orientation": "up"},
    ).to_netcdf(path)


def write_wav(
    path: Path,
    spectra: Values,
    frequencies: Values,
    rate_hz: int,
    full_scale_db: float,
    seed: int,
) -> None:
    """Write noise of a given spectrum, a minute for each row.

    Parameters
    ----------
    path : Path
        The file; its name says when it starts.
    spectra : ndarray of float64, shape (T, F)
        Power spectral density of each minute [dB re 1 µPa²/Hz].
    frequencies : ndarray of float64, shape (F,)
        Where they hold; between them they are interpolated [Hz].
    rate_hz : int
        Samples a second.
    full_scale_db : float
        Sound pressure level of a full-scale amplitude [dB re 1 µPa].
    seed : int
        Seed of the noise.
    """
    import soundfile

    rng = np.random.default_rng(seed)
    samples = 60 * rate_hz
    at = np.fft.rfftfreq(samples, 1 / rate_hz)
    with soundfile.SoundFile(path, "w", rate_hz, 1, "PCM_16") as file:
        for spectrum in spectra:
            level = np.interp(at, frequencies, spectrum) - full_scale_db
            # White noise of variance 1 has a density of 2 / rate.
            gain = np.sqrt(10 ** (level / 10) * rate_hz / 2)
            noise = np.fft.rfft(rng.standard_normal(samples)) * gain
            file.write(np.fft.irfft(noise, samples))


def write_logger(path: Path, times: Times, columns: Mapping[str, Values]) -> None:
    """Write a logger's CSV: a preamble, its own names, day first.

    Parameters
    ----------
    path : Path
        The file.
    times : ndarray of int64, shape (T,)
        Samples [s since 1970 UTC].
    columns : mapping of str to ndarray of float64, shape (T,)
        Values by the logger's names.
    """
    import pandas as pd

    moments = pd.to_datetime(times, unit="s").strftime("%d/%m/%Y %H:%M:%S")
    table = pd.DataFrame({"Date Time": moments, **columns})
    with open(path, "w", encoding="utf-8") as file:
        file.write("Logger 4711\nUTC\n")
        table.to_csv(file, index=False)
