"""Read the records of a stream of shards, each once, and hold them to the manifest.

The stream is read in large pieces, whatever pieces it comes in, into two buffers that
are filled in turns: while one is filled, the rows in the other can still be at work.
Nothing can be asked for a second time: what is not right is refused where it comes,
before a number of it goes further.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast

import numpy as np

from echoanom import records
from echoanom.buffers import aligned
from echoanom.errors import (
    CorruptionError,
    DatasetError,
    EchoanomError,
    OptionError,
    StorageError,
    TruncatedError,
)
from echoanom.manifest import Manifest, Records
from echoanom.options import StorageDtype
from echoanom.stamps import format_stamp

BUFFER_BYTES = 4 << 20

_PIPE_BYTES = 1 << 20  # what Linux allows everybody


def _nothing() -> None:
    pass


class Readable(Protocol):
    """What a stream is read from.

    `readinto1`, `readinto` or a socket's `recv_into` are used if they are there.
    """

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


@dataclasses.dataclass(frozen=True)
class StreamRecord:
    """One record of a stream.

    Attributes
    ----------
    offset : int
        Where its frame starts in the stream [byte].
    length : int
        Length of its data, without frame [byte].
    crc : int
        Masked CRC-32C of its data.
    block : Block
        Its rows. Of float32 data they lie in one of the reader's buffers, and are gone
        when the reader, asked for another record, has turned to the other and back.
    """

    offset: int
    length: int
    crc: int
    block: records.Block


class RecordStream:
    """The records of a stream, checked, each once and in order.

    Parameters
    ----------
    file : Readable or socket
        Where to read, e.g. ``open(path, "rb", buffering=0)``. It must wait for data,
        may return less than asked for, and is not closed.
    columns : int
        Number of columns C.
    dtype : {'float32', 'float16', 'int16'}
        Stored type.
    name : str
        The stream's name, for messages.
    filled : bool
        Whether blocks tell which values are interpolated.
    buffer_bytes : int
        Most to read at a time [byte]. The two buffers grow to hold a larger record.
    turn : callable, optional
        Called at each turn from one buffer to the other; must return when rows from
        before the last turn are no longer needed.

    Raises
    ------
    OptionError
        If the file cannot be read as bytes, or buffer_bytes is out of range.
    """

    def __init__(
        self,
        file: Readable | socket.socket,
        columns: int,
        dtype: StorageDtype = "float32",
        name: str = "stream",
        *,
        filled: bool = True,
        buffer_bytes: int = BUFFER_BYTES,
        turn: Callable[[], None] = _nothing,
    ) -> None:
        if buffer_bytes < 1:
            raise OptionError(f"buffer_bytes must be at least 1, got {buffer_bytes}")
        self._read = _reader(file)
        self._columns = columns
        self._dtype: StorageDtype = dtype
        self._filled = filled
        self._name = name
        self._turn = turn
        self._size = buffer_bytes + records.ALIGNMENT
        self._buffer, self._other = (aligned((self._size,), np.uint8) for _ in range(2))
        # What is not yet parsed lies in [begin, end) of the buffer.
        self._begin = self._end = 0
        self._position = 0

    @property
    def position(self) -> int:
        """Where the next record starts in the stream [byte]."""
        return self._position

    def __iter__(self) -> Iterator[StreamRecord]:
        return self

    def __next__(self) -> StreamRecord:
        """Read the next record.

        Returns
        -------
        StreamRecord
            The record.

        Raises
        ------
        TruncatedError
            If the stream ends inside it.
        CorruptionError
            If its bytes do not match their checksums, or are no such record.
        StorageError
            If the stream cannot be read.
        """
        offset = self._position
        header = self._need(records.HEADER_BYTES)
        if not len(header):
            raise StopIteration
        length = records.read_length(bytes(header), offset, self._name)
        size = records.HEADER_BYTES + length + records.TRAILER_BYTES
        frame = self._need(size)
        end = records.HEADER_BYTES + length
        data = frame[records.HEADER_BYTES : end]
        crc = records.check_payload(data, frame[end:], offset, self._name)
        try:
            block = records.decode(
                data, self._columns, self._dtype, filled=self._filled
            )
        except CorruptionError as error:
            raise CorruptionError(
                f"{self._name}: the record at byte {offset} is of another kind: {error}"
            ) from None
        self._begin += size
        self._position += size
        return StreamRecord(offset, length, crc, block)

    def _need(self, size: int) -> memoryview:
        """Return the next `size` bytes, or none where the stream ends."""
        if self._end - self._begin < size:
            self._fill(size)
            if self._begin == self._end:
                return memoryview(b"")
        return self._buffer.data[self._begin : self._begin + size].toreadonly()

    def _fill(self, size: int) -> None:
        while self._end - self._begin < size:
            self._make_room(size)
            try:
                count = self._read(self._buffer.data[self._end :])
            except EchoanomError:
                raise
            except Exception as error:  # of whatever library the file comes from
                reason = getattr(error, "strerror", None) or error
                raise StorageError(f"cannot read {self._name}: {reason}") from error
            if count is None:
                raise StorageError(
                    f"cannot read {self._name}: it must wait for data, but says there"
                    " is none yet; open it without O_NONBLOCK"
                )
            if not count:
                if self._begin == self._end:
                    return
                came = self._position + self._end - self._begin
                raise records.cut_short(came, self._position, self._name)
            self._end += count

    def _make_room(self, size: int) -> None:
        """Make place for `size` bytes at `begin`, or for as many as shall be read."""
        buffer = self._buffer
        if self._begin + size <= len(buffer) and self._end < len(buffer):
            return
        # Where the values were aligned in their file, they are in the buffer.
        start = self._position % records.ALIGNMENT
        if start + size > len(buffer):
            if self._end < len(buffer):
                return
            # Grown by what came, not by what a length says that may be made up.
            self._size = min(start + size, 2 * len(buffer))
        self._turn()
        if len(self._other) < self._size:
            self._other = aligned((self._size,), np.uint8)
        self._buffer, self._other = self._other, buffer
        left = buffer[self._begin : self._end]
        self._begin, self._end = start, start + len(left)
        self._buffer[self._begin : self._end] = left


def _reader(file: Any) -> Callable[[memoryview], int | None]:
    if isinstance(file, io.TextIOBase):
        raise OptionError("a stream must be opened in binary mode, got text")
    # Writer and reader of a pipe wait for each other less if more fits in between.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    for name in ("readinto1", "readinto", "recv_into"):
        if hasattr(file, name):
            return cast(Callable[[memoryview], int | None], getattr(file, name))
    if not hasattr(file, "read"):
        raise OptionError(
            f"a stream must have `readinto` or `read`, got {type(file).__name__}"
        )

    def read(view: memoryview) -> int | None:
        data = file.read(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    return read


def check_shards(
    stream: Iterable[StreamRecord], manifest: Manifest, name: str = "stream"
) -> Iterator[StreamRecord]:
    """Hold a stream against a manifest: whole shards, each at most once.

    Parameters
    ----------
    stream : iterable of StreamRecord
        The records of shards, in any order of shards.
    manifest : Manifest
        What the dataset holds.
    name : str
        The stream's name, for messages.

    Yields
    ------
    StreamRecord
        Each, once it is known to be the one that must come.

    Raises
    ------
    CorruptionError
        If a record is not the one that the manifest lists.
    TruncatedError
        If the stream ends inside a shard.
    DatasetError
        If a shard comes again.
    """
    shards = manifest.shards
    first = {s.records.start_s[0]: i for i, s in enumerate(shards) if s.records.rows}
    seen: set[int] = set()
    place, listed, number = "", None, 0
    for record in stream:
        if listed is None:
            shard = first.get(record.block.start_s)
            if shard is None:
                raise CorruptionError(
                    f"{name}: the record at byte {record.offset} must be the first of a"
                    " shard, but no shard of the manifest starts at"
                    f" {format_stamp(record.block.start_s)}; stream whole shards, and"
                    " give the manifest of their dataset"
                )
            place = f"shard {shards[shard].name}"
            if shard in seen:
                raise DatasetError(
                    f"{name}: {place} must come once, but comes again at byte"
                    f" {record.offset}; open a stream for each epoch"
                )
            seen.add(shard)
            listed, number = shards[shard].records, 0
        _check_listed(record, listed, number, name, place)
        yield record
        number += 1
        if number == len(listed.rows):
            listed = None
    if listed is not None:
        raise TruncatedError(
            f"{name}: ends after {number} of the {len(listed.rows)} records of {place}"
        )


def _check_listed(
    record: StreamRecord, listed: Records, number: int, name: str, place: str
) -> None:
    block = record.block
    halo = number >= listed.own
    came = (record.length, record.crc, len(block.values), block.start_s, block.halo)
    must = (
        *(getattr(listed, f)[number] for f in ("length", "crc", "rows", "start_s")),
        halo,
    )
    if came != must:
        words = ("length", "checksum", "row count", "time", "halo mark")
        wrong = [w for w, a, b in zip(words, came, must, strict=True) if a != b]
        raise CorruptionError(
            f"{name}: the record at byte {record.offset} must be record {number} of"
            f" {place}, but differs from the manifest in {', '.join(wrong)}; stream"
            " whole shards, and give the manifest of their dataset"
        )
