"""Pings of an EK80's raw file: which datagrams each has, and how they were made.

Samples of one channel and ping, RAW3, stand behind the configuration, the environment,
the receiver's filters, FIL1, and the channel's parameters, XML0, that hold for them
[1]_::

    char12   kind and time
    char128  channel's ID
    int16    what the samples are: bit 0 power, 1 angles, 2 complex of 2 x 16 bit,
             3 complex of 2 x 32 bit; from bit 8 on the number of complex ones each
    char2
    int32    first sample
    int32    count

References
----------
.. [1] Kongsberg Maritime (2023). Simrad EK80 Reference Manual, Raw file format.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from xml.etree import ElementTree

from echoanom.errors import InstrumentFileError
from echoanom.ingest.ek80xml import (
    Channel,
    Environment,
    Parameter,
    UnfitError,
    parse,
    read_channels,
    read_environment,
    read_parameter,
)
from echoanom.ingest.pings import Ping, Raw, check_clock, gather
from echoanom.ingest.rawfile import HEAD_BYTES, Datagram, RawFile, precise_stamp

_T = TypeVar("_T")

RAW_HEAD_BYTES = 152
"""What stands in RAW3 before the samples."""

_ID_BYTES = 128
_POWER, _ANGLES, _COMPLEX_16, _COMPLEX_32 = 1, 2, 4, 8
# A transducer has four sectors, or fewer.
_MOST_SECTORS = 8
_WHAT = struct.Struct("<h2xii")
_STATE = struct.Struct("<I")
# Kind and time, stage, channel's ID, number of coefficients, decimation.
_FILTER = struct.Struct("<12xh2x128shh")
_COEFFICIENT_BYTES = 8
# No sea is that deep.
_LONGEST_M = 15_000
# Documents that come again and again are parsed once, but not kept without end.
_MOST_DOCUMENTS = 1024


@dataclasses.dataclass(frozen=True)
class State:
    """What holds for the samples of one channel in one ping.

    Attributes
    ----------
    channel : Channel
        The channel.
    parameter : Parameter
        How it pings.
    environment : Environment, optional
        The water. None: not recorded.
    filters : tuple of bytes, optional
        FIL1 of the receiver's both stages, without its head. Empty: not recorded.
    samples : int
        Number of samples.
    sectors : int
        Complex numbers in each sample. 0: samples are power.
    """

    channel: Channel
    parameter: Parameter
    environment: Environment | None
    filters: tuple[bytes, ...]
    samples: int
    sectors: int


class EK80Pings:
    """The pings of an open file, each checked.

    Parameters
    ----------
    file : RawFile
        The file.

    Raises
    ------
    InstrumentFileError
        If it does not begin with the configuration of an EK80.
    StorageError
        If it cannot be read.
    """

    def __init__(self, file: RawFile) -> None:
        self._file = file
        first = next(file.datagrams(), None)
        if first is None:
            raise InstrumentFileError("must hold samples, got an empty file", file.path)
        self.channels = self._read(first, read_channels)
        self._configuration = file.read(first)[HEAD_BYTES:]
        self._states: dict[tuple[object, ...], int] = {}
        self._by_number: list[State] = []
        self._parsed: dict[bytes, Parameter | None] = {}

    def __iter__(self) -> Iterator[Ping]:
        return gather(self._file, self._raws(), tuple(self.channels))

    def states(self, ping: Ping) -> list[State]:
        """Tell what holds for a ping.

        Parameters
        ----------
        ping : Ping
            One of the pings.

        Returns
        -------
        list of State
            One for each of its datagrams.
        """
        return [self._by_number[one] for (one,) in _STATE.iter_unpack(ping.settings)]

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
            Samples of these channels, complex ones for each sector.
        """
        return sum(
            one.samples * max(1, one.sectors)
            for one in self.states(ping)
            if not frequencies_hz or one.channel.frequency_hz in frequencies_hz
        )

    def _raws(self) -> Iterator[Raw]:
        """Go through the file, and note what holds."""
        environment: Environment | None = None
        parameters: dict[str, Parameter] = {}
        filters: dict[str, dict[int, bytes]] = {}
        for datagram in self._file.datagrams(RAW_HEAD_BYTES):
            if datagram.kind == b"XML0":
                tag, content = self._document(datagram)
                if tag == b"Environment":
                    environment = self._read(
                        datagram,
                        functools.partial(read_environment, before=environment),
                    )
                elif tag == b"Parameter":
                    parameter = self._parameter(datagram, content)
                    if parameter is not None:
                        parameters[parameter.name] = parameter
                elif tag == b"Configuration" and content != self._configuration:
                    raise self._file.error(
                        "must have one configuration (XML0), got another one; split the"
                        " file there",
                        datagram.offset,
                    )
            elif datagram.kind == b"FIL1":
                name, stage, content = self._filter(datagram)
                filters.setdefault(name, {})[stage] = content
            elif datagram.kind == b"RAW3":
                name = _name(datagram.start[HEAD_BYTES : HEAD_BYTES + _ID_BYTES])
                if "EC150" in name:
                    continue
                yield self._raw(
                    datagram, name, parameters.get(name), environment, filters.get(name)
                )
            elif datagram.kind in (b"RAW0", b"CON0"):
                raise self._file.error(
                    "must be of one sounder from start to end, got a datagram of an"
                    f" EK60 ({datagram.kind.decode()}) behind the configuration of an"
                    " EK80 (XML0)",
                    datagram.offset,
                )

    def _raw(
        self,
        datagram: Datagram,
        name: str,
        parameter: Parameter | None,
        environment: Environment | None,
        filters: dict[int, bytes] | None,
    ) -> Raw:
        if len(datagram.start) < RAW_HEAD_BYTES:
            raise self._file.error(
                f"must have a head of {RAW_HEAD_BYTES} bytes in RAW3, got"
                f" {datagram.length}; the file is damaged, copy it again",
                datagram.offset,
            )
        check_clock(self._file, datagram)
        what = datagram.start[HEAD_BYTES + _ID_BYTES :]
        stages = tuple(sorted(filters.items())) if filters else ()
        # What is the same is held once, so equal objects are one.
        key = (name, what, datagram.length, id(parameter), environment, stages)
        number = self._states.get(key)
        if number is None:
            state = self._state(datagram, name, parameter, environment, stages)
            number = len(self._by_number)
            self._by_number.append(state)
            self._states[key] = number
        return Raw(datagram, name, _STATE.pack(number))

    def _state(
        self,
        datagram: Datagram,
        name: str,
        parameter: Parameter | None,
        environment: Environment | None,
        stages: tuple[tuple[int, bytes], ...],
    ) -> State:
        """Check the samples that are not like others before."""
        kind, first, count = _WHAT.unpack_from(datagram.start, HEAD_BYTES + _ID_BYTES)
        wrong = ""
        if name not in self.channels:
            wrong = (
                f"must be of a channel of the configuration"
                f" ({', '.join(self.channels)}), got {name!r}"
            )
        elif parameter is None:
            wrong = (
                f"must have Parameter (XML0) for {name!r} in front of RAW3, got none"
            )
        else:
            wrong = _wrong(kind, first, count, datagram.length)
            range_m = count * parameter.interval_s * 750
            if not wrong and range_m > _LONGEST_M:
                wrong = f"must have a range up to {_LONGEST_M} m, got {range_m:g} m"
        if wrong or parameter is None:
            raise self._file.error(
                f"ping of {precise_stamp(datagram.time_us)}: {wrong}", datagram.offset
            )
        numbers = [number for number, _ in stages]
        filters = tuple(content for _, content in stages) if numbers == [1, 2] else ()
        sectors = 0 if kind & _POWER else kind >> 8
        return State(
            *(self.channels[name], parameter, environment, filters, count, sectors)
        )

    def _document(self, datagram: Datagram) -> tuple[bytes, bytes]:
        """Return what a document is, as far as it matters, and the document."""
        content = self._file.read(datagram)[HEAD_BYTES:]
        for tag in (b"Environment", b"Parameter", b"Configuration"):
            # Comes behind the XML declaration and a line's end.
            if b"<" + tag in content[:200]:
                return tag, content
        return b"", content

    def _parameter(self, datagram: Datagram, content: bytes) -> Parameter | None:
        if content not in self._parsed:
            if len(self._parsed) >= _MOST_DOCUMENTS:
                self._parsed.clear()
            self._parsed[content] = self._read(datagram, read_parameter)
        return self._parsed[content]

    def _filter(self, datagram: Datagram) -> tuple[str, int, bytes]:
        content = self._file.read(datagram)
        wrong = f"must have a head of {_FILTER.size} bytes in FIL1, got {len(content)}"
        if len(content) >= _FILTER.size:
            stage, channel, count, decimation = _FILTER.unpack_from(content)
            size = _FILTER.size + count * _COEFFICIENT_BYTES
            if stage in (1, 2) and 1 <= count and 1 <= decimation:
                if len(content) >= size:
                    return _name(channel), stage, content[HEAD_BYTES + 132 : size]
            wrong = (
                "must have stage 1 or 2, and bytes for its coefficients in FIL1, got"
                f" stage {stage}, {count} coefficients, decimation {decimation} and"
                f" {len(content)} bytes"
            )
        raise self._file.error(f"{wrong}; the file is damaged", datagram.offset)

    def _read(
        self, datagram: Datagram, read: Callable[[ElementTree.Element], _T]
    ) -> _T:
        content = self._file.read(datagram)
        try:
            return read(parse(content[HEAD_BYTES:]))
        except UnfitError as error:
            raise self._file.error(
                f"{error}; the file is damaged, or of another sounder", datagram.offset
            ) from error


def _name(content: bytes) -> str:
    name = content.split(b"\0")[0].rstrip()
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _wrong(kind: int, first: int, count: int, length: int) -> str:
    """Say what is wrong with samples; nothing, if nothing is."""
    sectors = kind >> 8
    if first != 0 or count < 1:
        return f"must have samples from the first on, got {count} from {first}"
    if kind & _COMPLEX_16:
        return (
            "must have power or complex samples of 32 bit, got complex ones of 16 bit,"
            " which echopype cannot read"
        )
    power, complex_32 = bool(kind & _POWER), bool(kind & _COMPLEX_32)
    if power == complex_32 or (complex_32 and not 1 <= sectors <= _MOST_SECTORS):
        return f"must have either power or complex samples, got data type {kind}"
    if power:
        wanted = RAW_HEAD_BYTES + 2 * count * (2 if kind & _ANGLES else 1)
    else:
        wanted = RAW_HEAD_BYTES + 8 * count * sectors
    # An odd number of samples may be followed by padding.
    if not wanted <= length <= wanted + 3:
        return f"must have {wanted} bytes in RAW3 for {count} samples, got {length}"
    return ""
