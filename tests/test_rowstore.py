"""Rows that stay: the right ones, filled once, by several threads, in bounded memory."""

from __future__ import annotations

import collections
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom import rowstore
from echoanom.errors import StorageError
from echoanom.rowstore import Kept, Recent

COLUMNS = 3
KINDS = ["recent", "in memory", "in a scratch file"]


class Source:
    """Records of rows that hold their own position, and how often each was filled."""

    def __init__(self, lengths: list[int]) -> None:
        self.ends = np.cumsum(lengths)
        self.filled: collections.Counter[int] = collections.Counter()

    def fill(self, record, values, observed):
        self.filled[record] += 1
        begin = self.ends[record - 1] if record else 0
        values[...] = np.arange(begin, self.ends[record])[:, np.newaxis]
        if observed is not None:
            observed[...] = values % 2 == 0

    def store(self, kind: str, *, observed: bool = True, limit: int = 1):
        if kind == "recent":
            return Recent(self.ends, COLUMNS, observed, self.fill, limit)
        in_memory = kind == "in memory"
        return Kept(self.ends, COLUMNS, observed, self.fill, in_memory)


def read(store, first: int, rows: int, observed: bool = True):
    values = np.empty((rows, COLUMNS), np.float32)
    seen = np.empty((rows, COLUMNS), np.bool_) if observed else None
    store.read(first, values, seen)
    return values, seen


@pytest.mark.parametrize("kind", KINDS)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=9),
    observed=st.booleans(),
    data=st.data(),
)
def test_any_stretch_of_rows_is_what_the_records_hold(kind, lengths, observed, data):
    source = Source(lengths)
    store = source.store(kind, observed=observed, limit=data.draw(st.integers(0, 500)))
    total = sum(lengths)
    for _ in range(5):
        first = data.draw(st.integers(0, total))
        rows = data.draw(st.integers(0, total - first))
        values, seen = read(store, first, rows, observed)
        expected = np.arange(first, first + rows)[:, np.newaxis]
        assert (values == expected).all()
        if observed:
            assert (seen == (expected % 2 == 0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_each_record_is_filled_once_by_many_threads(kind):
    source = Source([5] * 40)
    gate = threading.Barrier(4)
    fill = source.fill

    def slowly(*arguments):
        fill(*arguments)
        threading.Event().wait(0.002)

    source.fill = slowly
    store = source.store(kind, limit=1 << 20)

    def work(seed: int) -> None:
        gate.wait()
        for first in np.random.default_rng(seed).integers(0, 180, 100).tolist():
            values, _ = read(store, first, 20)
            assert values[:, 0].tolist() == list(range(first, first + 20))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert max(source.filled.values()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_could_not_be_filled_is_tried_again(kind):
    source = Source([4, 4])
    fill, failures = source.fill, [ValueError("damaged")]

    def failing(*arguments):
        if failures:
            raise failures.pop()
        fill(*arguments)

    source.fill = failing
    store = source.store(kind)
    with pytest.raises(ValueError, match="damaged"):
        read(store, 0, 8)
    assert read(store, 0, 8)[0][:, 0].tolist() == list(range(8))


def test_the_most_recent_records_are_kept_up_to_the_limit():
    source = Source([4] * 10)
    record_bytes = 4 * COLUMNS * 5
    store = source.store("recent", limit=3 * record_bytes)
    for record in (0, 1, 2, 0, 1, 2, 3, 1):
        read(store, 4 * record, 4)
    assert source.filled == {0: 1, 1: 1, 2: 1, 3: 1}
    read(store, 0, 4)  # the one that was not used for longest is gone
    assert source.filled[0] == 2
    assert sum(len(f.result()[0]) for f in store._kept.values()) <= 3 * 4


def test_a_scratch_file_has_no_name_and_goes_with_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(rowstore.tempfile, "tempdir", str(tmp_path))
    descriptors = set(os.listdir("/proc/self/fd"))
    source = Source([4] * 10)
    store = source.store("in a scratch file")
    read(store, 0, 40)
    assert os.listdir(tmp_path) == []
    assert set(os.listdir("/proc/self/fd")) - descriptors
    del store
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_a_full_disk_is_told_with_what_is_needed_and_what_to_do(monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = Source([4] * 10).store("in a scratch file")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left on device; set TMPDIR"):
        read(store, 0, 4)


def test_writes_and_reads_in_pieces_are_put_together(monkeypatch):
    """The system may write and read less than it is asked to."""
    write, read_into = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:7], at))
    monkeypatch.setattr(
        os,
        "preadv",
        lambda fd, buffers, at: read_into(
            fd, [memoryview(buffers[0]).cast("B")[:5]], at
        ),
    )
    store = Source([4] * 10).store("in a scratch file")
    values, seen = read(store, 3, 20)
    assert values[:, 1].tolist() == list(range(3, 23))
    assert (seen == (values % 2 == 0)).all()
