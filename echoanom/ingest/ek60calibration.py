"""Calibrate pings of an EK60 with echopype, in pieces of bounded size.

echopype loads whole files [1]_. So it is given small ones: the configuration, and some
pings that share their settings. Its Sv of a ping depends on that ping alone then, and
is what it makes of the whole file, bit for bit.

References
----------
.. [1] Lee, W.-J. et al. (2024). Interoperable and scalable echosounder data processing
   with Echopype. ICES Journal of Marine Science 81, 1941-1951.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError, MissingExtraError
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.ek60pings import Config, Ping, read_settings, without_angles
from echoanom.ingest.rawfile import RawFile, frame, precise_stamp


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Sv of one channel in some pings.

    Attributes
    ----------
    frequency_hz : float
        The channel's frequency [Hz].
    depth_m : float
        Recorded depth of the transducer [m].
    ranges_m : ndarray of float64, shape (S,)
        Range of each sample [m], ascending.
    absorption : float
        Absorption [dB/m].
    sv_db : ndarray of float64, shape (P, S)
        Sv [dB re 1 m⁻¹].
    """

    frequency_hz: float
    depth_m: float
    ranges_m: NDArray[np.float64]
    absorption: float
    sv_db: NDArray[np.float64]


def calibrate(
    file: RawFile, config: Config, pings: Sequence[Ping], options: EK60Options
) -> list[Calibrated]:
    """Compute Sv of pings that share their settings.

    Parameters
    ----------
    file : RawFile
        The open file that they are in.
    config : Config
        Its configuration.
    pings : sequence of Ping
        P pings with the same `settings`.
    options : EK60Options
        Which channels, and what to use instead of recorded values.

    Returns
    -------
    list of Calibrated
        One a channel, in order of the frequency.

    Raises
    ------
    InstrumentFileError
        If a channel is not there, or cannot be calibrated.
    MissingExtraError
        If echopype is not installed.
    StorageError
        If the file cannot be read.
    """
    chosen = _choose(file, config, pings[0], options)
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        piece = os.path.join(folder, "piece.raw")
        with open(piece, "wb") as written:
            written.write(frame(config.content))
            for ping in pings:
                for place in chosen:
                    content = file.read(ping.datagrams[place])
                    written.write(frame(without_angles(content)))
        try:
            made = _compute(piece, options)
        except _FAILURES as error:
            reason = str(error).partition("\n")[0][:200]
            raise InstrumentFileError(
                f"pings from {precise_stamp(pings[0].time_us)} must be such that"
                f" echopype can calibrate them, got {type(error).__name__}: {reason};"
                " leave the file out, or name other channels",
                file.path,
            ) from error
    return [
        _channel(file, made, pings, place)
        for place in sorted(chosen, key=lambda x: _settings(pings[0], x).frequency_hz)
    ]


# It counts time in seconds since 1601 as float64, which has steps of 2 µs by now.
_TIME_ERROR_US = 5

# As power, more would not be a float64 number any more.
_LOUDEST_DB = 2500

# What libraries raise on values that they did not expect. MemoryError and the like are
# no word on the file.
_FAILURES = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(RuntimeError, EOFError, UnicodeError),
)


def _choose(
    file: RawFile, config: Config, ping: Ping, options: EK60Options
) -> list[int]:
    """Say which datagrams of a ping are asked for."""
    there = [_settings(ping, x) for x in range(len(ping.datagrams))]
    frequencies = [one.frequency_hz for one in there]
    listed = ", ".join(f"{x:g}" for x in frequencies)
    for wanted in options.frequencies_hz:
        if wanted not in frequencies:
            raise InstrumentFileError(
                f"must have a channel at {wanted:g} Hz, got {listed}", file.path
            )
    chosen = [
        place
        for place, frequency in enumerate(frequencies)
        if not options.frequencies_hz or frequency in options.frequencies_hz
    ]
    if len({frequencies[place] for place in chosen}) < len(chosen):
        raise InstrumentFileError(
            f"must have one channel a frequency, got {listed}", file.path
        )
    for one in (there[place] for place in chosen):
        pulses = config.channels[one.channel].pulse_lengths_s
        known = any(abs(pulse - one.pulse_s) < 1e-7 for pulse in pulses)
        if not known and not (options.gain and options.sa_correction):
            raise file.error(
                f"must have a gain for pulses of {one.pulse_s * 1000:g} ms at"
                f" {one.frequency_hz:g} Hz in CON0, which it has for"
                f" {', '.join(f'{x * 1000:g}' for x in pulses)} ms alone; give gain and"
                " Sa correction",
                ping.datagrams[0].offset,
            )
    return chosen


def _settings(ping: Ping, place: int) -> Any:
    return read_settings(ping.datagrams[place])


def _compute(piece: str, options: EK60Options) -> dict[float, Any]:
    """Return, by frequency, range, absorption and Sv as echopype has them."""
    with _quiet():
        try:
            echopype = importlib.import_module("echopype")
        except ImportError:
            raise MissingExtraError("reading EK60 files", "ingest") from None
        data = echopype.open_raw(piece, sonar_model="EK60", use_swap=False)
        found = data["Sonar/Beam_group1"]["frequency_nominal"].values.tolist()
        computed = echopype.calibrate.compute_Sv(
            data,
            env_params=_water(options, found),
            cal_params=_instrument(options, found),
        )
        made = {}
        for place, frequency in enumerate(found):
            one = computed.isel(channel=place)
            made[float(frequency)] = (
                one["echo_range"].values[0],
                float(np.ravel(one["sound_absorption"].values)[0]),
                one["Sv"].values,
                one["ping_time"].values.astype("datetime64[us]").astype(np.int64),
            )
        # Left to the interpreter's end, its finalizer writes a traceback.
        del computed, data
    return made


def _water(options: EK60Options, frequencies: Sequence[float]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if options.temperature is not None:
        given["temperature"] = options.temperature
        given["salinity"] = options.salinity
        given["pressure"] = options.pressure
        given["pH"] = options.ph
    if options.sound_speed is not None:
        given["sound_speed"] = options.sound_speed
    if options.absorption:
        given["sound_absorption"] = _in_order(options, options.absorption, frequencies)
    return given


def _instrument(options: EK60Options, frequencies: Sequence[float]) -> dict[str, Any]:
    return {
        name: _in_order(options, values, frequencies)
        for name, values in (
            ("gain_correction", options.gain),
            ("sa_correction", options.sa_correction),
            ("equivalent_beam_angle", options.beam_angle),
        )
        if values
    }


def _in_order(
    options: EK60Options, values: Sequence[float], frequencies: Sequence[float]
) -> list[float]:
    """Put values in the order in which echopype has the channels."""
    by_frequency = dict(zip(options.frequencies_hz, values, strict=True))
    return [float(by_frequency[frequency]) for frequency in frequencies]


def _channel(
    file: RawFile, made: dict[float, Any], pings: Sequence[Ping], place: int
) -> Calibrated:
    settings = _settings(pings[0], place)
    ranges, absorption, sv, times = made[settings.frequency_hz]
    wanted = (len(pings), settings.samples)
    # Other channels may have more samples; these are NaN there.
    ranges, sv = ranges[: settings.samples], sv[:, : settings.samples]
    right = sv.shape == wanted and bool(np.isfinite(ranges).all())
    if right:
        off_us = times - np.array([ping.time_us for ping in pings])
        right = int(np.abs(off_us).max()) <= _TIME_ERROR_US
    if not right:
        raise InstrumentFileError(
            f"pings from {precise_stamp(pings[0].time_us)} must come out of echopype"
            f" with their times and {wanted[1]} samples at {settings.frequency_hz:g}"
            f" Hz, got {sv.shape[0]} pings of {sv.shape[1]}",
            file.path,
        )
    loudest = np.fmax.reduce(sv, axis=None)
    if loudest > _LOUDEST_DB:
        raise InstrumentFileError(
            f"pings from {precise_stamp(pings[0].time_us)} must have Sv that is a"
            f" number, got {loudest:g} dB at {settings.frequency_hz:g} Hz: absorption"
            f" ({absorption:g} dB/m) or gain cannot be right; give them",
            file.path,
        )
    return Calibrated(settings.frequency_hz, settings.depth_m, ranges, absorption, sv)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep echopype's log from the terminal, and ours as it was.

    It writes to stdout, and its import silences the logs of the whole process.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
