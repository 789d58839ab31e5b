"""The framing of Simrad's raw files: one datagram after the other, each checked.

A datagram stands between two copies of its length. It begins with four letters that
say what it is, and the time [1]_::

    int32  length n
    char4  kind: CON0, RAW0, XML0, RAW3, ...
    uint64 time [100 ns since 1601-01-01 UTC]
    ...    n - 12 bytes
    int32  length n

All numbers are little-endian. Only heads are read here, so a file's size costs time,
not memory.

References
----------
.. [1] Simrad (2012). EK60 Reference Manual, Raw data format. It is the same in EK80.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from echoanom import storage
from echoanom.errors import InstrumentFileError
from echoanom.stamps import format_stamp

HEAD_BYTES = 12
"""Kind and time of a datagram."""

LENGTH_BYTES = 4

# From 1601-01-01 to 1970-01-01.
_EPOCH_US = 11_644_473_600_000_000
# A ping of a sounder's longest range has some hundred thousand bytes.
_LONGEST = 1 << 26
_HEAD = struct.Struct("<i4sQ")
_LENGTH = struct.Struct("<i")


@dataclasses.dataclass(frozen=True, slots=True)
class Datagram:
    """Where a datagram is, and how it begins.

    Attributes
    ----------
    offset : int
        Where its first length stands in the file [byte].
    length : int
        Its length, without both copies of it [byte].
    kind : bytes
        Its four letters.
    time_us : int
        Its time since 1970 UTC [µs].
    start : bytes
        Its first bytes, kind and time included, as many as were asked for.
    """

    offset: int
    length: int
    kind: bytes
    time_us: int
    start: bytes


class RawFile:
    """A raw file, open for reading.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.

    Raises
    ------
    StorageError
        If it cannot be opened.
    """

    def __init__(self, path: str, local: str) -> None:
        self.path = path
        with storage.storage_errors(path, "read"):
            self._file = open(local, "rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def datagrams(self, start_bytes: int = HEAD_BYTES) -> Iterator[Datagram]:
        """Go through the file.

        Parameters
        ----------
        start_bytes : int
            How much of each datagram to bring along [byte]; at least kind and time.

        Yields
        ------
        Datagram
            In the file's order.

        Raises
        ------
        InstrumentFileError
            If the file ends within a datagram, or a length cannot be right.
        StorageError
            If it cannot be read.
        """
        offset = 0
        while offset < self.size:
            head = self._read(offset, LENGTH_BYTES + start_bytes)
            if len(head) < _HEAD.size:
                self._cut(offset, "its head")
            length, kind, ticks = _HEAD.unpack_from(head)
            if not HEAD_BYTES <= length <= _LONGEST or not _is_kind(kind):
                raise self.error(
                    "must have a datagram here: a length and four letters, got"
                    f" {head[:8]!r}; it is no raw file of an EK60 or EK80, or damaged",
                    offset,
                )
            behind = offset + LENGTH_BYTES + length
            if behind + LENGTH_BYTES > self.size:
                self._cut(offset, f"the {length} bytes of {kind.decode()}")
            (again,) = _LENGTH.unpack(self._read(behind, LENGTH_BYTES))
            if again != length:
                raise self.error(
                    f"must repeat the length {length} of {kind.decode()} behind it, at"
                    f" byte {behind}, got {again}; the file is damaged, copy it again",
                    offset,
                )
            start = head[LENGTH_BYTES : LENGTH_BYTES + min(length, start_bytes)]
            yield Datagram(offset, length, kind, ticks // 10 - _EPOCH_US, start)
            offset = behind + LENGTH_BYTES

    def read(self, datagram: Datagram, count: int | None = None) -> bytes:
        """Read a datagram.

        Parameters
        ----------
        datagram : Datagram
            One of this file.
        count : int, optional
            How many bytes, from its kind on; all if left out.

        Returns
        -------
        bytes
            The bytes between both lengths.

        Raises
        ------
        InstrumentFileError
            If the file has become shorter.
        StorageError
            If it cannot be read.
        """
        wanted = datagram.length if count is None else count
        content = self._read(datagram.offset + LENGTH_BYTES, wanted)
        if len(content) < wanted:
            self._cut(datagram.offset, f"the {datagram.length} bytes of a datagram")
        return content

    def error(self, message: str, offset: int) -> InstrumentFileError:
        """Make an error that says where in the file.

        Parameters
        ----------
        message : str
            What must hold and what came.
        offset : int
            Where [byte].

        Returns
        -------
        InstrumentFileError
            To be raised.
        """
        return InstrumentFileError(f"byte {offset}: {message}", self.path)

    def _cut(self, offset: int, what: str) -> None:
        raise self.error(
            f"must have {what}, but the file ends at byte {self.size}; it is cut, copy"
            " it again",
            offset,
        )

    def _read(self, offset: int, count: int) -> bytes:
        pieces = []
        with storage.storage_errors(self.path, "read"):
            while count:
                piece = os.pread(self._file.fileno(), count, offset)
                if not piece:
                    break
                pieces.append(piece)
                offset += len(piece)
                count -= len(piece)
        return b"".join(pieces)


def frame(content: bytes) -> bytes:
    """Put a datagram between its lengths.

    Parameters
    ----------
    content : bytes
        The datagram, from its kind on.

    Returns
    -------
    bytes
        As it stands in a file.
    """
    length = _LENGTH.pack(len(content))
    return length + content + length


def precise_stamp(time_us: int) -> str:
    """Write a time to the millisecond, as pings of one second differ.

    Parameters
    ----------
    time_us : int
        Time since 1970 UTC [µs].

    Returns
    -------
    str
        ``YYYY-MM-DDThh:mm:ss.sssZ``.
    """
    seconds, rest_us = divmod(time_us, 1_000_000)
    return f"{format_stamp(seconds)[:-1]}.{rest_us // 1000:03d}Z"


def _is_kind(kind: bytes) -> bool:
    return kind.isalnum() and kind.isascii()
