"""Pings of an EK60's raw file: which datagrams each has, and with which settings.

The configuration, CON0, names the channels; each ping has one RAW0 a channel, all with
the ping's time [1]_.

References
----------
.. [1] Simrad (2012). EK60 Reference Manual, Raw data format.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence

from echoanom.errors import InstrumentFileError
from echoanom.ingest.pings import Ping, Raw, check_clock, gather
from echoanom.ingest.rawfile import HEAD_BYTES, Datagram, RawFile, precise_stamp

RAW_HEAD_BYTES = 84
"""What stands in RAW0 before the samples."""

_CONFIG_BYTES = 528
_TRANSCEIVER_BYTES = 320
# The manual's own limit is lower.
_MOST_CHANNELS = 64
_SOUNDERS = (b"ER60", b"ES60", b"ES70", b"EK60")
_COUNT = struct.Struct("<i")
# Channel, mode, then transducer depth, frequency, transmit power, pulse length,
# bandwidth, sample interval, sound speed and absorption.
_SETTINGS = struct.Struct("<hh8f")
_POWER, _ANGLES = 1, 2


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel as the configuration has it.

    Attributes
    ----------
    frequency_hz : float
        Its frequency [Hz].
    pulse_lengths_s : tuple of float
        Pulse lengths for which a gain is recorded [s].
    """

    frequency_hz: float
    pulse_lengths_s: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Config:
    """The configuration of a file.

    Attributes
    ----------
    content : bytes
        Its datagram, CON0.
    channels : tuple of Channel
        The channels; RAW0 counts them from 1.
    """

    content: bytes
    channels: tuple[Channel, ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one channel in one ping.

    Attributes
    ----------
    channel : int
        Place of the channel in the configuration, from 0.
    depth_m : float
        Depth of the transducer [m].
    frequency_hz : float
        Frequency [Hz].
    power_w : float
        Transmit power [W].
    pulse_s : float
        Pulse length [s].
    interval_s : float
        Time from one sample to the next [s].
    sound_speed : float
        Sound speed [m/s].
    absorption : float
        Absorption [dB/m].
    samples : int
        Number of samples.
    """

    channel: int
    depth_m: float
    frequency_hz: float
    power_w: float
    pulse_s: float
    interval_s: float
    sound_speed: float
    absorption: float
    samples: int


def read_settings(datagram: Datagram) -> Settings:
    """Read the settings of a RAW0.

    Parameters
    ----------
    datagram : Datagram
        One that `pings` gave.

    Returns
    -------
    Settings
        As they are recorded.
    """
    channel, _, depth, frequency, power, pulse, _, interval, speed, absorption = (
        _SETTINGS.unpack_from(datagram.start, HEAD_BYTES)
    )
    (samples,) = _COUNT.unpack_from(datagram.start, 80)
    return Settings(
        *(channel - 1, depth, frequency, power, pulse, interval, speed, absorption),
        samples=samples,
    )


def without_angles(content: bytes) -> bytes:
    """Leave out what Sv does not depend on.

    Parameters
    ----------
    content : bytes
        A RAW0 datagram.

    Returns
    -------
    bytes
        The same, with power alone.
    """
    (samples,) = _COUNT.unpack_from(content, 80)
    mode = struct.pack("<h", _POWER)
    return content[:14] + mode + content[16 : RAW_HEAD_BYTES + 2 * samples]


class Pings:
    """The pings of an open file, each checked.

    Parameters
    ----------
    file : RawFile
        The file.

    Raises
    ------
    InstrumentFileError
        If it does not begin with the configuration of an EK60.
    StorageError
        If it cannot be read.
    """

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self.config = _read_config(file)
        self._known: set[bytes] = set()

    def __iter__(self) -> Iterator[Ping]:
        channels = [str(number + 1) for number in range(len(self.config.channels))]
        return gather(self._file, self._raws(), channels)

    def size(self, ping: Ping, frequencies_hz: Sequence[float]) -> int:
        """Count the samples that are asked for.

        Parameters
        ----------
        ping : Ping
            One of the pings.
        frequencies_hz : sequence of float
            Channels to take [Hz]. Empty: all.

        Returns
        -------
        int
            Samples of these channels.
        """
        channels = [read_settings(one) for one in ping.datagrams]
        return sum(
            one.samples
            for one in channels
            if not frequencies_hz or one.frequency_hz in frequencies_hz
        )

    def _raws(self) -> Iterator[Raw]:
        for datagram in self._file.datagrams(RAW_HEAD_BYTES):
            if datagram.kind == b"XML0" or datagram.kind == b"RAW3":
                raise self._file.error(_EK80, datagram.offset)
            if datagram.kind == b"RAW0":
                self._check(datagram)
                yield Raw(datagram, str(_channel(datagram)), _settings(datagram))

    def _check(self, datagram: Datagram) -> None:
        if len(datagram.start) < RAW_HEAD_BYTES:
            raise self._file.error(
                f"must have a head of {RAW_HEAD_BYTES} bytes in RAW0, got"
                f" {datagram.length}; the file is damaged, copy it again",
                datagram.offset,
            )
        check_clock(self._file, datagram)
        key = _settings(datagram) + _COUNT.pack(datagram.length)
        if key not in self._known:
            wrong = _wrong(datagram, self.config)
            if wrong:
                raise self._file.error(
                    f"ping of {precise_stamp(datagram.time_us)}: {wrong}",
                    datagram.offset,
                )
            self._known.add(key)


_EK80 = (
    "must be of one sounder from start to end, got a datagram of an EK80 behind the"
    " configuration of an EK60 (CON0)"
)


def _read_config(file: RawFile) -> Config:
    first = next(file.datagrams(), None)
    if first is None:
        raise InstrumentFileError("must hold samples, got an empty file", file.path)
    if first.kind != b"CON0":
        raise file.error(
            "must begin with the configuration of an EK60 (CON0) or an EK80 (XML0), got"
            f" {first.kind.decode()}; it is another instrument's file, or its start is"
            " missing",
            0,
        )
    content = file.read(first)
    sounder = content[268:396].split(b"\0")[0]
    if not sounder.startswith(_SOUNDERS):
        raise file.error(
            "must be of an EK60 (ER60, ES60, ES70), got one of"
            f" {sounder.decode('latin-1')!r}",
            0,
        )
    count = _COUNT.unpack_from(content, 524)[0] if len(content) >= _CONFIG_BYTES else 0
    if not (
        1 <= count <= _MOST_CHANNELS
        and len(content) == _CONFIG_BYTES + count * _TRANSCEIVER_BYTES
    ):
        raise file.error(
            f"must have {_TRANSCEIVER_BYTES} bytes for each of {count} transceivers in"
            f" CON0, got {len(content) - _CONFIG_BYTES} in all; the file is damaged",
            0,
        )
    channels = []
    for number in range(count):
        start = _CONFIG_BYTES + number * _TRANSCEIVER_BYTES
        wrong = _wrong_transceiver(content, start)
        if wrong:
            raise file.error(
                f"must have {wrong} for channel {number + 1} in CON0; the file is"
                " damaged",
                0,
            )
        (frequency,) = struct.unpack_from("<f", content, start + 132)
        pulses = struct.unpack_from("<5f", content, start + 192)
        channels.append(Channel(frequency, pulses))
    return Config(content, tuple(channels))


# What a transceiver has in CON0, where, and between which numbers it must lie: the
# widest that any sounder has, so that damage is seen before it reaches arithmetic.
_TRANSCEIVER = (
    ("a frequency [Hz]", 132, 1, 1e3, 1e7),
    ("a gain [dB]", 136, 1, -100, 100),
    ("an equivalent beam angle [dB]", 140, 1, -100, 0),
    ("angles and a position", 144, 12, -1e4, 1e4),
    ("pulse lengths [s]", 192, 5, 0, 1),
    ("gains [dB]", 220, 5, -100, 100),
    ("Sa corrections [dB]", 248, 5, -100, 100),
)


def _wrong_transceiver(content: bytes, start: int) -> str:
    for name, offset, count, least, most in _TRANSCEIVER:
        for value in struct.unpack_from(f"<{count}f", content, start + offset):
            if not least <= value <= most:
                return f"{name} from {least:g} to {most:g}, got {value:g}"
    return ""


def _channel(datagram: Datagram) -> int:
    channel: int = _SETTINGS.unpack_from(datagram.start, HEAD_BYTES)[0]
    return channel


def _settings(datagram: Datagram) -> bytes:
    """Return what decides on calibration; not time, motion and temperature."""
    start = datagram.start
    return start[12:48] + start[68:70] + start[76:RAW_HEAD_BYTES]


def _wrong(datagram: Datagram, config: Config) -> str:
    """Say what is wrong with a RAW0; nothing, if nothing is."""
    channel, mode, *numbers = _SETTINGS.unpack_from(datagram.start, HEAD_BYTES)
    first, count = struct.unpack_from("<ii", datagram.start, 76)
    if not 1 <= channel <= len(config.channels):
        return f"must be of a channel up to {len(config.channels)}, got {channel}"
    if not mode & _POWER:
        return f"must have power samples, got mode {mode}"
    if first != 0 or count < 1:
        return f"must have samples from the first on, got {count} from {first}"
    wanted = RAW_HEAD_BYTES + 2 * count * (2 if mode & _ANGLES else 1)
    # An odd number of samples may be followed by padding.
    if not wanted <= datagram.length <= wanted + 3:
        return (
            f"must have {wanted} bytes in RAW0 for {count} samples, got"
            f" {datagram.length}"
        )
    depth, frequency, power, pulse, _, interval, speed, absorption = numbers
    for name, value, least, most in (
        ("a transducer depth [m]", depth, -100, 12_000),
        ("a transmit power [W]", power, 1e-3, 1e6),
        ("a pulse length [s]", pulse, 1e-6, 1),
        ("a sample interval [s]", interval, 1e-7, 0.1),
        ("a sound speed [m/s]", speed, 1000, 2000),
        ("an absorption [dB/m]", absorption, 0, 10),
        # No sea is that deep.
        ("a range [m]", count * interval * speed / 2, 0, 50_000),
    ):
        if not least <= value <= most:
            return f"must have {name} from {least:g} to {most:g}, got {value:g}"
    expected = config.channels[channel - 1].frequency_hz
    if frequency != expected:
        return (
            f"must be at {expected:g} Hz on channel {channel}, as CON0 says, got"
            f" {frequency:g}"
        )
    return ""
