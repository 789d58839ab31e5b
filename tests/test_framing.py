"""Blocks become windows: each once, carried over blocks and shards, none over a gap."""

from __future__ import annotations

import concurrent.futures
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_runs, naive_windows
from streams import (
    PERIOD_S,
    Archive,
    archives,
    assert_stored,
    make_archive,
    row_of,
    time_of,
)

from echoanom import records
from echoanom.errors import WindowError
from echoanom.framing import Chunk, Framer
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions

SHIFT = Normalization(
    "range",
    offset=np.array([0.25, -0.5], np.float32),
    scale=np.array([3.0, 0.7], np.float32),
    fill=np.array([7.0, -7.0], np.float32),
)


def blocks_of(archive: Archive, order: list[int] | None = None) -> list[records.Block]:
    """Return the blocks of shards, decoded."""
    found = []
    for number in range(len(archive.shards)) if order is None else order:
        data = memoryview(archive.shards[number])
        for offset, length in records.scan(data, "shard"):
            begin = offset + records.HEADER_BYTES
            columns = len(archive.manifest.columns)
            found.append(
                records.decode(
                    data[begin : begin + length], columns, archive.manifest.shard.dtype
                )
            )
    return found


def make_framer(archive: Archive, options: WindowOptions, chunk_rows: int, **more):
    columns = len(archive.manifest.columns)
    return Framer(
        archive.manifest.runs(), PERIOD_S, columns, options, chunk_rows, **more
    )


def chunks_of(framer: Framer, blocks: list[records.Block]) -> list[Chunk]:
    chunks = [chunk for i, b in enumerate(blocks) for chunk in framer.add(b, i)]
    return [*chunks, *framer.finish()]


def windows_in(chunks: list[Chunk], size: int) -> list[tuple[int, np.ndarray]]:
    return [
        (row, chunk.values[offset : offset + size])
        for chunk in chunks
        for row, offset in zip(
            row_of(chunk.start_s), chunk.offsets.tolist(), strict=True
        )
    ]


@pytest.mark.slow
@settings(deadline=None)
@given(
    archives(),
    st.integers(1, 12),
    st.integers(1, 15),
    st.integers(0, 60),
    st.booleans(),
)
def test_windows_are_those_of_the_oracle_in_order(
    archive, size, stride, more_rows, observed
):
    options = WindowOptions(size=size, stride=stride)
    framer = make_framer(archive, options, size + more_rows, observed=observed)
    chunks = chunks_of(framer, blocks_of(archive))
    expected = naive_windows(naive_runs(archive.present), size, stride)
    found = windows_in(chunks, size)
    assert [row for row, _ in found] == expected
    for row, values in found:
        assert_stored(archive, values, row)
    for chunk in chunks:
        assert len(chunk.offsets)
        assert len(chunk.values) <= size + more_rows
        assert (chunk.observed is not None) == observed
        for start, offset in zip(row_of(chunk.start_s), chunk.offsets, strict=True):
            if chunk.observed is not None:
                np.testing.assert_array_equal(
                    chunk.observed[offset : offset + size],
                    archive.observed[start : start + size],
                )


def test_chunks_carry_fewer_rows_than_a_window_has():
    archive = make_archive([(97, 1)], record_rows=10)
    framer = make_framer(archive, WindowOptions(size=8), 20)
    chunks = chunks_of(framer, blocks_of(archive))
    assert sum(len(chunk.values) for chunk in chunks) == 97 + 7 * (len(chunks) - 1)


@pytest.mark.parametrize("stride", [8, 11])
def test_windows_that_share_no_row_fill_chunks_without_a_gap(stride):
    archive = make_archive([(100, 3), (60, 1)], [37], record_rows=9)
    framer = make_framer(archive, WindowOptions(size=8, stride=stride), 32)
    chunks = chunks_of(framer, blocks_of(archive))
    for chunk in chunks:
        assert chunk.offsets.tolist() == list(range(0, len(chunk.values), 8))
    assert all(len(chunk.values) == 32 for chunk in chunks[:-1])


def test_halo_rows_start_no_window_and_are_not_stored_twice():
    archive = make_archive([(40, 1)], [20], halo=7)
    options = WindowOptions(size=8)
    first, both = (
        chunks_of(make_framer(archive, options, 100), blocks_of(archive, order))
        for order in ([0], [0, 1])
    )
    assert [row for row, _ in windows_in(first, 8)] == list(range(20))
    assert [row for row, _ in windows_in(both, 8)] == list(range(33))
    assert [len(chunk.values) for chunk in both] == [40]


def test_a_halo_may_overlap_the_halo_before():
    # The first shard's halo spans the second shard; the second's own halo goes on.
    archive = make_archive([(40, 1)], [20, 23], halo=9)
    framer = make_framer(archive, WindowOptions(size=10), 100)
    found = windows_in(chunks_of(framer, blocks_of(archive, [0, 1])), 10)
    assert [row for row, _ in found] == list(range(23))
    for row, values in found:
        np.testing.assert_array_equal(values, archive.values[row : row + 10])


def test_rows_outside_of_the_runs_are_passed_over():
    archive = make_archive([(40, 1)], [20])
    runs = archive.manifest.runs()
    cut = type(runs)(runs.first_row + 5, runs.rows - 10, runs.start_s + 5 * PERIOD_S)
    framer = Framer(cut, PERIOD_S, 2, WindowOptions(size=4, stride=3), 100)
    found = windows_in(chunks_of(framer, blocks_of(archive)), 4)
    assert [row for row, _ in found] == list(range(5, 32, 3))


@pytest.mark.parametrize("observed", [True, False])
def test_rows_are_normalised_bit_for_bit_as_whole_windows_are(observed):
    archive = make_archive([(300, 2), (200, 1)], [150], record_rows=70, missing=0.2)
    options = WindowOptions(size=16, stride=5)
    chunks = chunks_of(
        make_framer(archive, options, 64, normalization=SHIFT, observed=observed),
        blocks_of(archive),
    )
    found = windows_in(chunks, 16)
    assert len(found) == 57 + 37
    for row, values in found:
        expected = SHIFT.apply(archive.values[row : row + 16])
        assert values.tobytes() == expected.tobytes()


class Late(concurrent.futures.ThreadPoolExecutor):
    """A helper that starts its work when it is waited for, and keeps its order."""

    def __init__(self) -> None:
        super().__init__(1)
        self.go = threading.Event()
        self.works = 0

    def submit(self, work, /, *args, **kwargs):
        self.works += 1

        def later() -> object:
            self.go.wait(0.02)
            return work(*args, **kwargs)

        return super().submit(later)


@pytest.mark.parametrize("observed", [True, False])
def test_a_helper_changes_no_number(observed):
    columns = 800
    archive = make_archive(
        [(500, 2), (90, 3), (400, 1)], [350], record_rows=120, columns=columns
    )
    blocks = blocks_of(archive)
    options = WindowOptions(size=16, stride=9)
    with Late() as helper:
        found, expected = (
            chunks_of(
                make_framer(archive, options, 200, observed=observed, helper=executor),
                blocks,
            )
            for executor in (helper, None)
        )
        assert helper.works > 4
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.values.tobytes() == b.values.tobytes()
        if observed:
            assert a.observed is not None and b.observed is not None
            assert a.observed.tobytes() == b.observed.tobytes()


def test_rows_that_turn_out_not_to_be_needed_are_not_written_over_later_ones():
    # The shard of rows 205 to 210 starts no window; of its halo, rows are taken in by
    # the helper and then dropped. The small blocks that come next take their place.
    archive = make_archive([(600, 1)], columns=800, missing=0)

    def block(begin: int, end: int, halo: bool = False) -> records.Block:
        return records.Block(time_of(begin), archive.values[begin:end], halo=halo)

    small = [block(row, row + 40) for row in range(0, 600, 40)]
    with Late() as helper:
        framer = make_framer(
            archive, WindowOptions(size=300, stride=200), 1000, helper=helper
        )
        chunks = chunks_of(framer, [block(205, 210), block(210, 509, True), *small])
        assert helper.works == 1
    found = windows_in(chunks, 300)
    assert [row for row, _ in found] == [0, 200]
    for row, values in found:
        np.testing.assert_array_equal(values, archive.values[row : row + 300])


def test_a_turn_waits_for_what_came_before_the_last_turn():
    archive = make_archive([(400, 1)], record_rows=200, columns=400)
    with Late() as helper:
        framer = make_framer(archive, WindowOptions(size=16), 1000, helper=helper)
        first, second = blocks_of(archive)
        blocks = [
            records.Block(b.start_s, b.values.copy(), b.filled) for b in (first, second)
        ]
        for number, block in enumerate(blocks):
            assert not list(framer.add(block, number))
            framer.turn()
            if number:
                blocks[number - 1].values[:] = 1e9  # no longer needed
        (chunk,) = framer.finish()
    np.testing.assert_array_equal(chunk.values, archive.values[:400])


def test_what_goes_wrong_in_a_helper_is_raised():
    archive = make_archive([(600, 1)], record_rows=200, columns=400)
    with concurrent.futures.ThreadPoolExecutor(1) as helper:
        framer = make_framer(
            archive, WindowOptions(size=16), 1000, normalization=SHIFT, helper=helper
        )
        with pytest.raises(ValueError, match="broadcast"):
            chunks_of(framer, blocks_of(archive))


@pytest.mark.parametrize(
    "order, window, row, what",
    [
        ([0], 17, 20, "the stream ends;"),
        ([1, 0], 27, 30, "the record at byte 2 starts at"),
        ([0, 2], 17, 20, "the record at byte 4 starts at"),
    ],
)
def test_rows_that_a_window_needs_and_that_do_not_come_are_named(
    order, window, row, what
):
    archive = make_archive([(40, 1)], [20, 30], halo=0)
    framer = make_framer(archive, WindowOptions(size=4), 100)
    with pytest.raises(WindowError) as refused:
        chunks_of(framer, blocks_of(archive, order))
    window_at, row_at = (
        np.datetime_as_string(np.datetime64(time_of(n), "s")) + "Z"
        for n in (window, row)
    )
    message = str(refused.value)
    assert f"the window of 4 rows from {window_at} needs the row of {row_at}" in message
    assert what in message
    assert "in order of time, or convert with --halo 3 or more" in message


def test_a_halo_that_is_too_short_is_named_too():
    archive = make_archive([(40, 1)], [20], halo=2)
    framer = make_framer(archive, WindowOptions(size=4), 100)
    with pytest.raises(WindowError, match="--halo 3 or more"):
        chunks_of(framer, blocks_of(archive, [0]))


def test_no_error_where_no_window_needs_the_rows_that_lack():
    archive = make_archive([(40, 1)], [20], halo=0)
    framer = make_framer(archive, WindowOptions(size=4, stride=4), 100)
    found = windows_in(chunks_of(framer, blocks_of(archive, [1, 0])), 4)
    assert [row for row, _ in found] == [*range(20, 40, 4), *range(0, 20, 4)]
