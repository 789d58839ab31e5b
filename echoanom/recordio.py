"""MXNet's RecordIO frames, in which SageMaker wraps objects: written, and taken off.

A frame is, little-endian,

======  ======================================================================
uint32  the magic number 0xced7230a
uint32  ``flag << 29 | length``
bytes   `length` bytes of data, and zeros up to a multiple of 4
======  ======================================================================

A record is one frame with the flag 0, or several parts with the flags 1, 2, …, 2, 3.
What its data are then differs between the two who read and write it:

- ``joined``, as SageMaker's own reader [1]_ takes it: the parts one behind the other.
  A record is cut because its length would not fit.
- ``magic``, as MXNet [2]_ writes it: the parts with a magic number between each two. A
  record is cut at magic numbers in it, so that none is ever taken for a frame's.

References
----------
.. [1] ``sagemaker-tensorflow-extensions``, ``RecordIOReader.cpp``.
.. [2] ``dmlc-core``, ``include/dmlc/recordio.h``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol, cast

from echoanom.errors import (
    CorruptionError,
    DatasetError,
    EchoanomError,
    OptionError,
    TruncatedError,
)

Parts = Literal["joined", "magic"]

MAGIC = struct.pack("<I", 0xCED7230A)
HEADER_BYTES = 8
MOST_PART_BYTES = (1 << 29) - 4
"""Longest part that is written: the most that fits and needs no padding [byte]."""

_ALIGNMENT = 4
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_PARTS = ("joined", "magic")


class Readable(Protocol):
    """What frames are read from; its `readinto` is used if it has one."""

    def read(self, size: int, /) -> bytes | None:
        """Read at most `size` bytes; none are left if it returns none.

        Parameters
        ----------
        size : int
            How many [byte].

        Returns
        -------
        bytes
            What came.
        """


def frame(
    pieces: Iterable[bytes | memoryview],
    size: int,
    name: str = "record",
    *,
    part_bytes: int = MOST_PART_BYTES,
) -> Iterator[bytes | memoryview]:
    """Wrap data of a known size as one record, piece by piece, parts ``joined``.

    Parameters
    ----------
    pieces : iterable of bytes-like
        The data.
    size : int
        How much they are in all [byte].
    name : str
        What is wrapped, for messages.
    part_bytes : int
        Longest part [byte].

    Yields
    ------
    bytes-like
        Headers, data and padding, in order.

    Raises
    ------
    OptionError
        If part_bytes is out of range.
    DatasetError
        If the pieces are more or less than they should be.
    """
    if not 0 < part_bytes < 1 << _LENGTH_BITS:
        raise OptionError(
            f"part_bytes must be between 1 and {(1 << _LENGTH_BITS) - 1}, got"
            f" {part_bytes}"
        )
    come = left = 0  # bytes of the data, and what the part still has to hold
    if not size:
        yield _header(_WHOLE, 0)
    for piece in pieces:
        view = memoryview(piece).cast("B")
        if come + len(view) > size:
            raise _wrong_size(name, size, "more comes")
        while view:
            if not left:
                left = min(part_bytes, size - come)
                yield _header(_flag(come, left, size), left)
                length = left
            taken = view[:left]
            yield taken
            come, left, view = come + len(taken), left - len(taken), view[len(taken) :]
            if not left:
                yield bytes(-length % _ALIGNMENT)
    if come < size:
        raise _wrong_size(name, size, f"{come} come")


def encode(content: bytes, parts: Parts = "joined") -> bytes:
    """Wrap bytes as one record.

    Parameters
    ----------
    content : bytes
        The record's data.
    parts : {'joined', 'magic'}
        What becomes of a magic number in them at a multiple of 4: nothing, or the
        record is cut there.

    Returns
    -------
    bytes
        One frame or more.

    Raises
    ------
    OptionError
        If there is no such kind of parts.
    DatasetError
        If a part would be too long for MXNet's kind.
    """
    if _known(parts) == "joined":
        return b"".join(frame((content,), len(content)))
    pieces = list(_between_magics(content))
    framed = []
    for number, piece in enumerate(pieces):
        if len(piece) >= 1 << _LENGTH_BITS:
            raise DatasetError(
                f"a RecordIO record of MXNet must be shorter than {1 << _LENGTH_BITS}"
                f" bytes between magic numbers, got {len(piece)}"
            )
        flag = _WHOLE
        if len(pieces) > 1:
            flag = _FIRST if not number else _MIDDLE
            flag = _LAST if number == len(pieces) - 1 else flag
        padding = bytes(-len(piece) % _ALIGNMENT)
        framed += [_header(flag, len(piece)), piece, padding]
    return b"".join(framed)


def _between_magics(content: bytes) -> Iterator[bytes]:
    begin, at = 0, content.find(MAGIC)
    while at >= 0:
        if at % _ALIGNMENT:
            at = content.find(MAGIC, at + 1)
            continue
        yield content[begin:at]
        begin = at + len(MAGIC)
        at = content.find(MAGIC, begin)
    yield content[begin:]


def _flag(come: int, length: int, size: int) -> int:
    if come + length == size:
        return _LAST if come else _WHOLE
    return _MIDDLE if come else _FIRST


def _header(flag: int, length: int) -> bytes:
    return MAGIC + struct.pack("<I", flag << _LENGTH_BITS | length)


def _wrong_size(name: str, size: int, came: str) -> DatasetError:
    return DatasetError(
        f"{name}: must be {size} bytes long, as its frame says, but {came}; was it"
        " replaced meanwhile?"
    )


def _known(parts: Parts) -> Parts:
    if parts not in _PARTS:
        raise OptionError(f"parts must be one of {', '.join(_PARTS)}, got {parts!r}")
    return parts


class RecordIOReader(io.RawIOBase):
    """The data of all records of a stream, one behind the other, without their frames.

    Nothing is kept of the stream: it is read into what `readinto` is given.

    Parameters
    ----------
    file : file
        Where the frames are read from. It is closed with this one if it can be.
    name : str
        The stream's name, for messages.
    parts : {'joined', 'magic'}
        What the parts of a record become.

    Raises
    ------
    OptionError
        If there is no such kind of parts.
    """

    def __init__(
        self, file: Readable, name: str = "stream", *, parts: Parts = "joined"
    ) -> None:
        super().__init__()
        self.name = name
        self._file = file
        self._magic = _known(parts) == "magic"
        self._into = _reader(file)
        self._position = 0
        self._record = 0  # where the record starts
        self._header = bytearray(_ALIGNMENT + HEADER_BYTES)
        self._filled = 0  # of the padding and header before the next part
        self._padding = 0
        self._left = 0  # of the part's data
        self._given = memoryview(b"")  # of a magic number that belongs to the data
        self._flag = _WHOLE
        self._failed: EchoanomError | None = None

    @property
    def position(self) -> int:
        """How much of the stream has been read, with frames [byte]."""
        return self._position

    def readable(self) -> bool:
        """Tell that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read on.

        Parameters
        ----------
        buffer : writable buffer
            Takes the bytes.

        Returns
        -------
        int or None
            How many it took; 0 at the end; None if the file below has none yet.

        Raises
        ------
        TruncatedError
            If the stream ends inside a record.
        CorruptionError
            If something else than a frame comes.
        ValueError
            If the reader is closed.
        """
        if self.closed:
            raise ValueError("the stream is closed")
        if self._failed is not None:
            raise self._failed  # what comes now has lost its frame
        target = memoryview(buffer).cast("B")
        if not target:
            return 0
        try:
            return self._read(target)
        except EchoanomError as error:
            self._failed = error
            raise

    def close(self) -> None:
        """Close it, and the file below."""
        if not self.closed and hasattr(self._file, "close"):
            self._file.close()
        super().close()

    def _read(self, target: memoryview) -> int | None:
        while not self._left and not self._given:
            came = self._next_header()
            if not came:
                return came
        if self._given:
            count = min(len(target), len(self._given))
            target[:count] = self._given[:count]
            self._given = self._given[count:]
            return count
        took = self._into(target[: self._left])
        if took is None:
            return None
        if not took:
            raise self._cut_short()
        self._position += took
        self._left -= took
        return took

    def _next_header(self) -> int | None:
        """Read padding and header of the next part; 0 where the stream ends."""
        size = self._padding + HEADER_BYTES
        while self._filled < size:
            came = self._into(memoryview(self._header)[self._filled : size])
            if came is None:
                return None
            if not came:
                if self._filled > self._padding and not self._open:
                    self._record = self._position - self._filled + self._padding
                if self._open or self._filled != self._padding:
                    raise self._cut_short()
                return 0
            self._filled += came
            self._position += came
        start = self._position - HEADER_BYTES
        header = bytes(self._header[self._padding : size])
        word = int.from_bytes(header[len(MAGIC) :], "little")
        flag, length = word >> _LENGTH_BITS, word & (1 << _LENGTH_BITS) - 1
        if not header.startswith(MAGIC):
            raise CorruptionError(
                f"{self.name}: a RecordIO record must start at byte {start} with"
                f" {MAGIC.hex()}, but there is {header[: len(MAGIC)].hex()}; is the"
                " stream wrapped (RecordWrapperType RecordIO)?"
            )
        if flag not in ((_MIDDLE, _LAST) if self._open else (_WHOLE, _FIRST)):
            place = "inside" if self._open else "outside"
            raise CorruptionError(
                f"{self.name}: the RecordIO frame at byte {start}, {place} of a record"
                f" of several parts, cannot have the flag {flag}"
            )
        if not self._open:
            self._record = start
        elif self._magic:
            self._given = memoryview(MAGIC)
        self._flag, self._left = flag, length
        self._padding, self._filled = -length % _ALIGNMENT, 0
        return size

    @property
    def _open(self) -> bool:
        """Whether a part of the record must still come."""
        return self._flag in (_FIRST, _MIDDLE)

    def _cut_short(self) -> TruncatedError:
        return TruncatedError(
            f"{self.name}: ends at byte {self._position}, inside the RecordIO record"
            f" at byte {self._record}"
        )


def _reader(file: Any) -> Callable[[memoryview], int | None]:
    if hasattr(file, "readinto"):
        return cast(Callable[[memoryview], int | None], file.readinto)

    def read(view: memoryview) -> int | None:
        data = file.read(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    return read
