"""RecordIO frames, held against a reader and a writer written down from their sources."""

from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom import recordio
from echoanom.errors import (
    CorruptionError,
    DatasetError,
    OptionError,
    TruncatedError,
)
from echoanom.recordio import MAGIC, Parts, RecordIOReader

PARTS: tuple[Parts, ...] = ("joined", "magic")
# Much of what is hard has magic numbers in it, at any place.
CONTENTS = st.lists(
    st.one_of(st.binary(max_size=9), st.just(MAGIC), st.just(MAGIC[:2])), max_size=6
).map(b"".join)
RECORDS = st.lists(CONTENTS, max_size=6)


def naive_read(stream: bytes, parts: Parts) -> list[bytes]:
    """Read as MXNet does; or as SageMaker does, which puts nothing between parts."""
    records, at = [], 0
    while at < len(stream):
        record = b""
        while True:
            magic, word = struct.unpack_from("<II", stream, at)
            assert magic == 0xCED7230A
            flag, length = word // 2**29, word % 2**29
            record += stream[at + 8 : at + 8 + length]
            at += 8 + (length + 3) // 4 * 4
            if flag in (0, 3):
                break
            if parts == "magic":
                record += MAGIC
        records.append(record)
    assert at == len(stream)
    return records


def naive_write(content: bytes) -> bytes:
    """Write as MXNet does."""
    out, done = b"", 0
    for at in range(0, len(content) // 4 * 4, 4):
        if content[at : at + 4] == MAGIC:
            flag = 1 if done == 0 else 2
            out += struct.pack("<II", 0xCED7230A, flag * 2**29 + at - done)
            out += content[done:at]
            done = at + 4
    flag = 3 if done else 0
    out += struct.pack("<II", 0xCED7230A, flag * 2**29 + len(content) - done)
    return out + content[done:] + bytes(-len(content) % 4)


class InDrops(io.RawIOBase):
    """Gives as much as a list says, and sometimes has nothing yet."""

    def __init__(self, content: bytes, sizes: Sequence[int]) -> None:
        self._content = io.BytesIO(content)
        self._sizes = iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = next(self._sizes, len(buffer))
        if size == 0:
            return None
        return self._content.readinto(memoryview(buffer)[:size])


def read_all(reader: RecordIOReader, size: int) -> bytes:
    found, waited = b"", 0
    while True:
        piece = reader.read(size)
        if piece is None:
            waited += 1
            assert waited < 1000
        elif not piece:
            return found
        else:
            assert len(piece) <= size
            found += piece


def pieces_of(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("parts", PARTS)
@given(records=RECORDS)
def test_records_are_read_as_they_were_written(
    records: list[bytes], parts: Parts
) -> None:
    stream = b"".join(recordio.encode(record, parts) for record in records)
    assert naive_read(stream, parts) == records


@given(CONTENTS)
def test_records_are_written_as_mxnet_writes_them(content: bytes) -> None:
    assert recordio.encode(content, "magic") == naive_write(content)


@pytest.mark.parametrize("parts", PARTS)
@given(
    records=RECORDS,
    size=st.integers(1, 20),
    sizes=st.lists(st.integers(0, 9), max_size=40),
)
def test_a_stream_is_unwrapped_however_it_comes(
    records: list[bytes], size: int, sizes: list[int], parts: Parts
) -> None:
    stream = b"".join(recordio.encode(record, parts) for record in records)
    reader = RecordIOReader(InDrops(stream, sizes), parts=parts)
    assert read_all(reader, size) == b"".join(records)
    assert reader.position == len(stream)


@given(st.binary(max_size=40), st.integers(1, 50), st.integers(1, 17))
def test_what_is_too_long_for_a_part_is_cut(
    content: bytes, size: int, part_bytes: int
) -> None:
    framed = recordio.frame(
        pieces_of(content, size), len(content), part_bytes=part_bytes
    )
    stream = b"".join(framed)
    assert naive_read(stream, "joined") == [content]
    assert RecordIOReader(io.BytesIO(stream)).read() == content
    count = max(1, -(-len(content) // part_bytes))
    flags = [
        stream[i + 7] >> 5 for i in range(0, len(stream), 4) if is_frame(stream, i)
    ]
    expected = [0] if count == 1 else [1, *[2] * (count - 2), 3]
    if MAGIC not in content:
        assert flags == expected


def is_frame(stream: bytes, at: int) -> bool:
    return stream[at : at + 4] == MAGIC


def test_both_kinds_are_the_same_without_a_magic_number() -> None:
    content = bytes(range(200))
    assert recordio.encode(content, "magic") == recordio.encode(content)


@pytest.mark.parametrize("parts", PARTS)
@given(records=st.lists(CONTENTS, min_size=1, max_size=4), data=st.data())
def test_every_cut_inside_a_record_is_told_from_corruption(
    records: list[bytes], data: st.DataObject, parts: Parts
) -> None:
    framed = [recordio.encode(record, parts) for record in records]
    stream = b"".join(framed)
    ends = {sum(map(len, framed[:count])) for count in range(len(framed) + 1)}
    cut = data.draw(st.integers(0, len(stream)))
    reader = RecordIOReader(io.BytesIO(stream[:cut]), "pipe", parts=parts)
    if cut in ends:
        assert b"".join(records).startswith(reader.read())
        return
    start = max(end for end in ends if end < cut)
    message = rf"^pipe: ends at byte {cut}, inside the RecordIO record at byte {start}$"
    for _ in range(2):  # it stays so
        with pytest.raises(TruncatedError, match=message):
            read_all(reader, 7)


def test_what_came_before_the_cut_is_given_out() -> None:
    stream = recordio.encode(b"first") + recordio.encode(b"second")[:12]
    reader = RecordIOReader(io.BytesIO(stream))
    assert reader.read(100) == b"first"
    assert reader.read(100) == b"seco"
    with pytest.raises(TruncatedError):
        reader.read(100)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"no magic" * 2, "must start at byte 0 with 0a23d7ce, but there is 6e6f206d"),
        (recordio.encode(b"abc") + b"\0" * 8, "must start at byte 12 with"),
        (MAGIC + b"\0\0\0\x80", "byte 0, outside of a record .* have the flag 4$"),
        (MAGIC + b"\0\0\0\x60", "byte 0, outside of a record .* have the flag 3$"),
        (MAGIC + b"\0\0\0\x40", "byte 0, outside of a record .* have the flag 2$"),
        (
            MAGIC + b"\x01\0\0\x20abcd" + MAGIC + bytes(4),
            "byte 12, inside of a record .* have the flag 0$",
        ),
        (
            MAGIC + b"\x01\0\0\x20abcd" + MAGIC + b"\0\0\0\x20",
            "byte 12, inside of a record .* have the flag 1$",
        ),
    ],
)
def test_what_is_no_frame_is_corrupt(stream: bytes, message: str) -> None:
    reader = RecordIOReader(io.BytesIO(stream), "pipe")
    for _ in range(2):
        with pytest.raises(CorruptionError, match=message) as caught:
            read_all(reader, 100)
        assert not isinstance(caught.value, TruncatedError)


@given(st.lists(st.binary(max_size=9), max_size=4), st.integers(0, 40))
def test_pieces_must_be_as_long_as_their_frame_says(
    pieces: list[bytes], size: int
) -> None:
    content = b"".join(pieces)
    if len(content) == size:
        assert naive_read(b"".join(recordio.frame(pieces, size)), "joined") == [content]
        return
    with pytest.raises(DatasetError, match=rf"^x: must be {size} bytes long"):
        list(recordio.frame(pieces, size, "x"))


def test_a_stream_is_never_held() -> None:
    size = 64 << 20
    piece = bytes(1 << 16)

    class Wrapped(io.RawIOBase):
        """Makes its frames when they are asked for."""

        def __init__(self) -> None:
            pieces = (piece for _ in range(size // len(piece)))
            self._pieces = recordio.frame(pieces, size, part_bytes=1 << 24)
            self._left = memoryview(b"")

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            while not self._left:
                came = next(self._pieces, None)
                if came is None:
                    return 0
                self._left = memoryview(came)
            count = min(len(buffer), len(self._left))
            buffer[:count], self._left = self._left[:count], self._left[count:]
            return count

    reader = RecordIOReader(Wrapped())
    buffer = bytearray(1 << 16)
    tracemalloc.start()
    try:
        found = 0
        while count := reader.readinto(buffer):
            found += count
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert found == size


def test_a_file_without_readinto_is_read() -> None:
    class OnlyRead:
        def __init__(self, content: bytes) -> None:
            self._file = io.BytesIO(content)

        def read(self, size: int, /) -> bytes | None:
            return self._file.read(size)

    assert RecordIOReader(OnlyRead(recordio.encode(b"content"))).read() == b"content"


def test_closing_closes_what_is_read() -> None:
    below = io.BytesIO(recordio.encode(b"content"))
    reader = RecordIOReader(below)
    assert reader.readable()
    assert reader.readinto(bytearray()) == 0
    reader.close()
    assert below.closed
    with pytest.raises(ValueError, match="closed"):
        reader.readinto(bytearray(1))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="parts must be one of joined, magic"):
        RecordIOReader(io.BytesIO(), parts="none")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="part_bytes must be between 1 and 536870911"):
        list(recordio.frame((b"",), 0, part_bytes=1 << 29))
