"""The pool gives away each window once, in a seeded order, and holds rows alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.framing import Chunk
from echoanom.options import WindowOptions
from echoanom.pool import CHUNKS, Draw, chunk_rows, in_order, shuffled


def make_chunks(counts: list[int]) -> list[Chunk]:
    """Make chunks of so many windows; a window's time is its number."""
    ends = np.cumsum([0, *counts])
    return [
        Chunk(
            np.zeros((int(b - a) + 3, 1), np.float32),
            None,
            np.arange(b - a),
            np.arange(a, b),
        )
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]


def drawn(draws: Iterator[Draw]) -> list[int]:
    """Return the windows in the order in which they are given away."""
    found: list[int] = []
    for draw in draws:
        for number, offset, time in draw.windows.tolist():
            assert draw.chunks[number].start_s[offset] == time
            found.append(time)
    return found


counts = st.lists(st.integers(1, 20), max_size=30)


@given(counts)
def test_in_order_all_windows_come_as_they_came(counts):
    assert drawn(in_order(make_chunks(counts))) == list(range(sum(counts)))


@settings(deadline=None)
@given(counts, st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_shuffled_each_window_comes_once(counts, seed, epoch):
    found = drawn(shuffled(make_chunks(counts), seed, epoch))
    assert sorted(found) == list(range(sum(counts)))


def test_an_order_is_decided_by_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        return drawn(shuffled(make_chunks([25] * 20), seed, epoch))

    assert order(3, 0) == order(3, 0)
    different = [order(3, 0), order(4, 0), order(3, 1), order(4, 1), list(range(500))]
    assert len(set(map(tuple, different))) == 5


# What a version of NumPy must not change, or a run could not be repeated.
# fmt: off
ORDER = [
    6, 7, 1, 9, 2, 14, 4, 12, 16, 20, 17, 15, 22, 18, 0, 3, 13, 19, 8, 5, 23, 11, 26,
    10, 31, 30, 24, 21, 29, 34, 35, 32, 28, 27, 33, 25,
]
# fmt: on


def test_an_order_stays_the_same_from_version_to_version():
    found = drawn(shuffled(make_chunks([3] * 12), 5, 1))
    assert found == ORDER


@pytest.mark.parametrize("windows", [40, 100])
def test_a_window_moves_by_a_quarter_of_the_pool(windows):
    # A whole shuffle of a pool's windows would move them by a third of it.
    pool = windows * CHUNKS
    total = 60 * windows
    order = np.array(drawn(shuffled(make_chunks([windows] * 60), 0, 0)))
    moved = np.abs(np.argsort(order) - np.arange(total))
    inside = moved[2 * pool : -2 * pool]  # neither the first nor the last
    assert 0.24 < inside.mean() / pool < 0.28
    assert inside.max() < pool
    assert moved.mean() / pool > 0.24


def test_neighbours_do_not_stay_together():
    order = np.array(drawn(shuffled(make_chunks([100] * 60), 0, 0)))
    steps = np.abs(np.diff(order))
    assert (steps == 1).mean() < 0.01
    assert np.median(steps) > 100


def test_a_stream_shorter_than_the_pool_is_shuffled_as_a_whole():
    order = np.array(drawn(shuffled(make_chunks([50] * 3), 0, 0)))
    moved = np.abs(order - np.arange(150)).mean()
    assert 0.25 < moved / 150 < 0.42  # a third


def test_no_more_chunks_are_held_than_said():
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def come() -> Iterator[Chunk]:
        for number in range(40):
            values = np.zeros((13, 1), np.float32)
            alive.append(weakref.ref(values))
            times = np.arange(10 * number, 10 * number + 10)
            yield Chunk(values, None, np.arange(10), times)
            del values

    for draw in shuffled(come(), 0, 0):
        assert len(draw.chunks) <= CHUNKS
        most = max(most, sum(chunk() is not None for chunk in alive))
    assert most == CHUNKS


@pytest.mark.parametrize("size, stride", [(64, 1), (64, 64), (64, 100), (1, 1)])
def test_a_pool_has_room_for_its_windows_in_rows(size, stride):
    options = WindowOptions(size=size, stride=stride)
    rows = chunk_rows(1000, options)
    windows = (rows - size) // min(stride, size) + 1
    assert CHUNKS * windows >= 1000
    assert CHUNKS * rows <= 1000 * min(stride, size) + CHUNKS * 2 * size
