"""Records out of a stream: whole or not at all, known by the byte, held to a manifest."""

from __future__ import annotations

import dataclasses
import io
import os
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import Archive, Short, ShortInto, archives, fifo_writer, make_archive

from echoanom import records
from echoanom.errors import (
    CorruptionError,
    DatasetError,
    OptionError,
    StorageError,
    TruncatedError,
)
from echoanom.recordstream import Readable, RecordStream, StreamRecord, check_shards


@pytest.fixture(scope="module")
def archive() -> Archive:
    return make_archive([(23, 2), (17, 1)], [12, 30], halo=4)


def listed(archive: Archive) -> list[tuple[int, int, int, int, int]]:
    """Return offset, length, checksum, start and rows that the manifest lists."""
    found = []
    before = 0
    for shard in archive.manifest.shards:
        r = shard.records
        for i in range(len(r.rows)):
            offset = before + r.offset[i]
            found.append((offset, r.length[i], r.crc[i], r.start_s[i], r.rows[i]))
        before += shard.bytes
    return found


def read_all(archive: Archive, file: Readable, buffer_bytes: int = 4096) -> list:
    columns = len(archive.manifest.columns)
    stream = RecordStream(
        file, columns, archive.manifest.shard.dtype, buffer_bytes=buffer_bytes
    )
    return [
        (r.offset, r.length, r.crc, r.block.start_s, len(r.block.values))
        for r in stream
    ]


def as_file(content: bytes) -> RecordStream:
    return RecordStream(io.BytesIO(content), 2)


@pytest.mark.slow
@settings(deadline=None)
@given(archives(), st.integers(1, 3000), st.integers(1, 400), st.integers(0, 99))
def test_every_record_comes_whole_however_its_bytes_come(
    archive, buffer_bytes, largest, seed
):
    content, columns = archive.stream(), len(archive.manifest.columns)
    for file in (
        io.BytesIO(content),
        io.BufferedReader(io.BytesIO(content), 16),
        Short(content, seed, largest),
        ShortInto(content, seed, largest),
    ):
        stream = RecordStream(
            file, columns, archive.manifest.shard.dtype, buffer_bytes=buffer_bytes
        )
        found, last_row = [], -1
        for r in stream:
            found.append(
                (r.offset, r.length, r.crc, r.block.start_s, len(r.block.values))
            )
            first = (r.block.start_s - 1_600_000_020) // 60
            rows = slice(first, first + len(r.block.values))
            if archive.manifest.shard.dtype == "float32":
                np.testing.assert_array_equal(r.block.values, archive.values[rows])
            seen = ~np.isnan(r.block.values)
            if r.block.filled is not None:
                seen &= ~r.block.filled
            np.testing.assert_array_equal(seen, archive.observed[rows])
            if not r.block.halo:
                assert first > last_row
                last_row = first
        assert found == listed(archive)
        assert stream.position == len(content)


def test_a_fifo_a_socket_and_a_pipe_are_read_alike(archive, tmp_path):
    content, expected = archive.stream(), listed(archive)
    with fifo_writer(tmp_path, content) as (path, writer):
        with open(path, "rb", buffering=0) as file:
            assert read_all(archive, file) == expected
        assert writer.wait() == 0
    with fifo_writer(tmp_path, content) as (path, _), open(path, "rb") as buffered:
        assert read_all(archive, buffered) == expected

    ours, theirs = socket.socketpair()
    with ours, ours.makefile("rb", buffering=0) as file:
        threading.Thread(target=_send, args=(theirs, content)).start()
        assert read_all(archive, file) == expected
    ours, theirs = socket.socketpair()
    with ours:
        threading.Thread(target=_send, args=(theirs, content)).start()
        assert read_all(archive, ours) == expected

    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as file:
        threading.Thread(target=_write, args=(writing, content)).start()
        assert read_all(archive, file) == expected


def _send(to: socket.socket, content: bytes) -> None:
    with to:
        to.sendall(content)


def _write(to: int, content: bytes) -> None:
    with open(to, "wb") as file:
        file.write(content)


def test_values_are_aligned_in_the_buffer_as_in_their_file(archive):
    stream = RecordStream(ShortInto(archive.shards[0], 1, 700), 2, buffer_bytes=512)
    for record in stream:
        assert record.block.values.ctypes.data % records.ALIGNMENT == 0


def test_rows_stay_until_the_reader_has_turned_twice():
    archive = make_archive([(4000, 1)], record_rows=7, missing=0)
    turns: list[int] = []
    given_out: list[tuple[int, int, np.ndarray]] = []

    def turn() -> None:
        # What came before the last turn may be written over now, and not earlier.
        turns.append(len(given_out))
        for place, row, rows in given_out:
            if place >= len(turns) - 1:
                expected = archive.values[row : row + len(rows)]
                np.testing.assert_array_equal(rows, expected)

    row = 0
    stream = RecordStream(
        ShortInto(archive.stream(), 2, 300), 2, buffer_bytes=2048, turn=turn
    )
    for record in stream:
        given_out.append((len(turns), row, record.block.values))
        row += len(record.block.values)
    assert row == 4000
    assert len(turns) > 10


def test_the_buffer_grows_for_a_large_record_but_not_for_a_made_up_length():
    large = make_archive([(500, 1)], record_rows=500, columns=3)
    assert len(read_all(large, io.BytesIO(large.stream()), buffer_bytes=64)) == 1

    header = (1 << 60).to_bytes(8, "little")
    content = header + records.masked_crc(header).to_bytes(4, "little") + bytes(100)
    with pytest.raises(TruncatedError, match="ends at byte 112, inside the record"):
        list(as_file(content))


def test_a_stream_of_nothing_has_no_record():
    assert list(as_file(b"")) == []


def test_filled_cells_are_left_out_if_nobody_asks(archive):
    asked = [r.block.filled is None for r in as_file(archive.stream())]
    stream = RecordStream(io.BytesIO(archive.stream()), 2, filled=False)
    assert not all(asked)
    assert all(r.block.filled is None for r in stream)


@pytest.mark.slow
def test_a_stream_cut_anywhere_is_told_from_a_whole_one_by_offset(archive):
    content, borders = archive.stream(), archive.record_offsets()
    for cut in range(len(content)):
        stream = RecordStream(io.BytesIO(content[:cut]), 2, name="pipe")
        before = [border for border in borders if border <= cut]
        count = len(before) - 1
        for _ in range(count):
            next(stream)
        if cut == before[-1]:
            with pytest.raises(StopIteration):
                next(stream)
        else:
            message = (
                f"pipe: ends at byte {cut}, inside the record at byte {before[-1]}$"
            )
            with pytest.raises(TruncatedError, match=message):
                next(stream)


@pytest.mark.slow
def test_a_byte_changed_anywhere_is_refused_with_its_record(archive):
    content, borders = archive.stream(), archive.record_offsets()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        start = max(border for border in borders if border <= at)
        stream = RecordStream(io.BytesIO(bytes(changed)), 2, name="pipe")
        for _ in range(borders.index(start)):
            next(stream)
        part = "a length" if at < start + records.HEADER_BYTES else "data"
        message = f"pipe: the record at byte {start} has {part} that do"
        with pytest.raises(CorruptionError, match=message) as refused:
            next(stream)
        assert not isinstance(refused.value, TruncatedError)


@pytest.mark.parametrize(
    "columns, dtype", [(3, "float32"), (2, "float16"), (2, "int16")]
)
def test_records_of_another_kind_are_refused(archive, columns, dtype):
    stream = RecordStream(io.BytesIO(archive.stream()), columns, dtype)
    with pytest.raises(
        CorruptionError, match=f"record at byte 0 is of another kind.*{columns} {dtype}"
    ):
        next(stream)


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(104, "Connection reset"), RuntimeError("Connection reset")],
)
def test_what_goes_wrong_while_reading_is_a_storage_error(error):
    with pytest.raises(StorageError, match="cannot read pipe: Connection reset"):
        next(RecordStream(Failing(error), 2, name="pipe"))


def test_a_file_that_does_not_wait_is_refused():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, open(writing, "wb"):
        with pytest.raises(StorageError, match="open it without O_NONBLOCK"):
            next(RecordStream(file, 2))


@pytest.mark.parametrize(
    "file, message",
    [
        (io.StringIO("text"), "must be opened in binary mode"),
        (b"bytes", "must have `readinto` or `read`, got bytes"),
    ],
)
def test_what_cannot_be_read_as_bytes_is_refused(file, message):
    with pytest.raises(OptionError, match=message):
        RecordStream(file, 2)


def test_a_buffer_of_no_bytes_is_refused():
    with pytest.raises(OptionError, match="buffer_bytes must be at least 1, got 0"):
        RecordStream(io.BytesIO(), 2, buffer_bytes=0)


# Whole shards, each at most once


def checked(archive: Archive, content: bytes) -> Iterator[StreamRecord]:
    return check_shards(as_file(content), archive.manifest, "pipe")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1,), ()])
def test_whole_shards_pass_in_any_order(archive, order):
    found = [r.crc for r in checked(archive, archive.stream(order))]
    expected = [c for i in order for c in archive.manifest.shards[i].records.crc]
    assert found == expected


def test_shards_without_rows_have_no_part_in_a_stream():
    archive = make_archive([(5, 20), (5, 1)], [7, 20])
    assert [shard.rows for shard in archive.manifest.shards] == [5, 0, 5]
    assert len(list(checked(archive, archive.stream()))) == 2


def pieces(archive: Archive) -> list[bytes]:
    content, borders = archive.stream(), archive.record_offsets()
    return [content[a:b] for a, b in zip(borders[:-1], borders[1:], strict=True)]


def marked(record: bytes, **changes: object) -> bytes:
    """Encode a record again, with something else in it and a checksum that fits."""
    data = memoryview(record)[records.HEADER_BYTES : -records.TRAILER_BYTES]
    block = dataclasses.replace(records.decode(data, 2, "float32"), **changes)
    return records.encode(block, "float32", 0)[0]


def test_a_stream_that_ends_between_the_records_of_a_shard_is_cut_short(archive):
    name = archive.manifest.shards[0].name
    count = len(archive.manifest.shards[0].records.rows)
    for kept in range(1, count):
        records_ = checked(archive, b"".join(pieces(archive)[:kept]))
        for _ in range(kept):
            next(records_)
        with pytest.raises(
            TruncatedError, match=f"pipe: ends after {kept} of the {count} records of"
            f" shard {name}"
        ):  # fmt: skip
            next(records_)


def test_a_shard_that_comes_twice_is_refused(archive):
    stream = checked(archive, archive.stream([1, 1]))
    for _ in archive.manifest.shards[1].records.rows:
        next(stream)
    at = len(archive.shards[1])
    with pytest.raises(DatasetError, match=f"comes again at byte {at}; open a stream"):
        next(stream)


def test_a_stream_that_begins_inside_of_a_shard_is_refused(archive):
    with pytest.raises(CorruptionError, match="must be the first of a shard, but no"):
        next(checked(archive, b"".join(pieces(archive)[1:])))


def test_a_stream_of_another_time_is_refused(archive):
    record = marked(pieces(archive)[0], start_s=60)
    with pytest.raises(CorruptionError, match="starts at 1970-01-01T00:01:00Z"):
        next(checked(archive, record))


def test_records_in_another_order_are_refused_before_they_go_on(archive):
    first, second, third, *rest = pieces(archive)
    stream = checked(archive, b"".join([first, third, second, *rest]))
    next(stream)
    with pytest.raises(
        CorruptionError, match=f"record at byte {len(first)} must be record 1 of shard"
    ):
        next(stream)


def test_a_halo_marked_wrongly_is_refused(archive):
    parts = pieces(archive)
    count = len(archive.manifest.shards[0].records.rows)
    own = archive.manifest.shards[0].records.own
    for number in range(count):
        changed = marked(parts[number], halo=number < own)
        content = b"".join([*parts[:number], changed])
        stream = checked(archive, content)
        for _ in range(number):
            next(stream)
        with pytest.raises(CorruptionError, match="checksum, halo mark; stream whole"):
            next(stream)


def test_other_values_with_a_checksum_that_fits_are_refused(archive):
    changed = marked(pieces(archive)[0], values=np.zeros((5, 2), np.float32))
    with pytest.raises(CorruptionError, match="differs from the manifest in.*checksum"):
        next(checked(archive, changed))
