"""Have echopype compute Sv of some pings, and check what it hands back.

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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError, MissingExtraError
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.pings import Ping
from echoanom.ingest.rawfile import Datagram, RawFile, precise_stamp


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Sv of one channel in some pings.

    Attributes
    ----------
    frequency_hz : float
        The channel's frequency [Hz].
    depth_m : float, optional
        Recorded depth of the transducer [m]. None: not known.
    ranges_m : ndarray of float64, shape (S,)
        Range of each sample [m], ascending.
    absorption : float
        Absorption [dB/m].
    sv_db : ndarray of float64, shape (P, S)
        Sv [dB re 1 m⁻¹].
    silent : int
        So many samples in front have no Sv: spreading begins behind them.
    """

    frequency_hz: float
    depth_m: float | None
    ranges_m: NDArray[np.float64]
    absorption: float
    sv_db: NDArray[np.float64]
    silent: int


@dataclasses.dataclass(frozen=True)
class Computed:
    """What echopype made of one channel.

    Attributes
    ----------
    ranges_m : ndarray of float64, shape (S,)
        Range of each sample [m].
    absorption : float
        Absorption [dB/m].
    sv_db : ndarray of float64, shape (P, S)
        Sv [dB re 1 m⁻¹].
    times_us : ndarray of int64, shape (P,)
        Time of each ping since 1970 UTC [µs].
    pulse_s : float
        Effective length of the pulse [s].
    """

    ranges_m: NDArray[np.float64]
    absorption: float
    sv_db: NDArray[np.float64]
    times_us: NDArray[np.int64]
    pulse_s: float


def choose(
    file: RawFile, frequencies_hz: Sequence[float], options: EK60Options
) -> list[int]:
    """Say which channels are asked for.

    Parameters
    ----------
    file : RawFile
        The file, for messages.
    frequencies_hz : sequence of float
        Those that are there [Hz].
    options : EK60Options
        Which to take.

    Returns
    -------
    list of int
        Their places, ascending.

    Raises
    ------
    InstrumentFileError
        If one is not there, or two have the same frequency.
    """
    listed = ", ".join(f"{x:g}" for x in frequencies_hz)
    for wanted in options.frequencies_hz:
        if wanted not in frequencies_hz:
            raise InstrumentFileError(
                f"must have a channel at {wanted:g} Hz, got {listed}", file.path
            )
    chosen = [
        place
        for place, frequency in enumerate(frequencies_hz)
        if not options.frequencies_hz or frequency in options.frequencies_hz
    ]
    if len({frequencies_hz[place] for place in chosen}) < len(chosen):
        raise InstrumentFileError(
            f"must have one channel a frequency, got {listed}", file.path
        )
    return chosen


def has_gain(pulse_s: float, pulses_s: Sequence[float], options: EK60Options) -> bool:
    """Tell whether the gain of a pulse is known; echopype takes the nearest.

    Parameters
    ----------
    pulse_s : float
        Its length [s].
    pulses_s : sequence of float
        Lengths for which a gain is recorded [s].
    options : EK60Options
        What is given.

    Returns
    -------
    bool
        Whether gain and Sa correction are recorded or given.
    """
    known = any(abs(one - pulse_s) < 1e-7 for one in pulses_s)
    return known or bool(options.gain and options.sa_correction)


def no_gain(
    file: RawFile,
    datagram: Datagram,
    frequency_hz: float,
    pulse_s: float,
    pulses_s: Sequence[float],
    where: str,
) -> InstrumentFileError:
    """Make the error that says that the gain of a pulse is not known.

    Parameters
    ----------
    file : RawFile
        The file.
    datagram : Datagram
        Samples of such a pulse.
    frequency_hz : float
        Frequency of the channel [Hz].
    pulse_s : float
        Length of the pulse [s].
    pulses_s : sequence of float
        Lengths for which a gain is recorded [s].
    where : str
        Where they are.

    Returns
    -------
    InstrumentFileError
        To be raised.
    """
    return file.error(
        f"must have a gain for pulses of {pulse_s * 1000:g} ms at"
        f" {frequency_hz:g} Hz in {where}, which it has for"
        f" {', '.join(f'{x * 1000:g}' for x in pulses_s)} ms alone; give gain and"
        " Sa correction",
        datagram.offset,
    )


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


def compute(
    file: RawFile,
    pings: Sequence[Ping],
    piece: str,
    options: EK60Options,
    model: str,
    **modes: str,
) -> Mapping[float, Computed]:
    """Have echopype compute Sv.

    Parameters
    ----------
    file : RawFile
        The file that the pings are in, for messages.
    pings : sequence of Ping
        The pings.
    piece : str
        A raw file of them, on this machine.
    options : EK60Options
        What to use instead of recorded values.
    model : str
        ``EK60`` or ``EK80``.
    **modes : str
        What echopype's ``compute_Sv`` must know besides.

    Returns
    -------
    mapping of float to Computed
        By frequency [Hz].

    Raises
    ------
    InstrumentFileError
        If echopype cannot do it.
    MissingExtraError
        If it is not installed.
    """
    try:
        return _compute(piece, options, model, modes)
    except _FAILURES as error:
        reason = str(error).partition("\n")[0][:200]
        raise InstrumentFileError(
            f"pings from {precise_stamp(pings[0].time_us)} must be such that"
            f" echopype can calibrate them, got {type(error).__name__}: {reason};"
            " leave the file out, or name other channels",
            file.path,
        ) from error


def check(
    file: RawFile,
    pings: Sequence[Ping],
    frequency_hz: float,
    samples: int,
    depth_m: float | None,
    silent: int,
    made: Computed,
) -> Calibrated:
    """Check that Sv is that of the pings, and a number.

    Parameters
    ----------
    file : RawFile
        The file that the pings are in, for messages.
    pings : sequence of Ping
        P pings.
    frequency_hz : float
        Frequency of the channel [Hz].
    samples : int
        Number of its samples in each.
    depth_m : float, optional
        Recorded depth of its transducer [m].
    silent : int
        How many samples in front have no Sv.
    made : Computed
        What echopype made of it.

    Returns
    -------
    Calibrated
        Sv of the channel.

    Raises
    ------
    InstrumentFileError
        If it is not.
    """
    # Other channels may have more samples; these are NaN there.
    ranges, sv = made.ranges_m[:samples], made.sv_db[:, :samples]
    right = sv.shape == (len(pings), samples) and bool(np.isfinite(ranges).all())
    if right:
        off_us = made.times_us - np.array([ping.time_us for ping in pings])
        right = int(np.abs(off_us).max()) <= _TIME_ERROR_US
    if not right:
        raise InstrumentFileError(
            f"pings from {precise_stamp(pings[0].time_us)} must come out of echopype"
            f" with their times and {samples} samples at {frequency_hz:g}"
            f" Hz, got {sv.shape[0]} pings of {sv.shape[1]}",
            file.path,
        )
    sv[:, :silent] = np.nan
    loudest = np.fmax.reduce(sv, axis=None)
    if loudest > _LOUDEST_DB:
        raise InstrumentFileError(
            f"pings from {precise_stamp(pings[0].time_us)} must have Sv that is a"
            f" number, got {loudest:g} dB at {frequency_hz:g} Hz: absorption"
            f" ({made.absorption:g} dB/m) or gain cannot be right; give them",
            file.path,
        )
    return Calibrated(frequency_hz, depth_m, ranges, made.absorption, sv, silent)


def _compute(
    piece: str, options: EK60Options, model: str, modes: Mapping[str, str]
) -> dict[float, Computed]:
    with _quiet():
        try:
            echopype = importlib.import_module("echopype")
        except ImportError:
            raise MissingExtraError(f"reading {model} files", "ingest") from None
        data = echopype.open_raw(piece, sonar_model=model, use_swap=False)
        found = data["Sonar/Beam_group1"]["frequency_nominal"].values.tolist()
        computed = echopype.calibrate.compute_Sv(
            data,
            env_params=_water(options, found),
            cal_params=_instrument(options, found),
            **modes,
        )
        made = {}
        for place, frequency in enumerate(found):
            one = computed.isel(channel=place)
            made[float(frequency)] = Computed(
                one["echo_range"].values[0],
                float(np.ravel(one["sound_absorption"].values)[0]),
                one["Sv"].values,
                one["ping_time"].values.astype("datetime64[us]").astype(np.int64),
                float(np.ravel(one["tau_effective"].values)[0]),
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep echopype's log and numpy's warnings from the terminal, and ours as it was.

    It writes to stdout, and its import silences the logs of the whole process. What is
    no number is found in its results.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logging.disable(before)
