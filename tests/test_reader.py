"""Reading rows and windows by position, and refusing bytes that are not right."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from datasets import small_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, WindowError
from echoanom.normalization import fit_normalization
from echoanom.reader import IndexedReader, observed_shares, read_block
from echoanom.shardmaps import map_shard


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module")
def all_rows(dataset):
    """Return every row, block by block, as the format says."""
    blocks = [
        read_block(dataset, number, record, map_shard(dataset, number))
        for number, shard in enumerate(dataset.manifest.shards)
        for record in range(len(shard.records.rows))
    ]
    values = np.concatenate([block.values for block in blocks])
    filled = np.concatenate(
        [
            np.zeros(block.values.shape, bool) if block.filled is None else block.filled
            for block in blocks
        ]
    )
    return values, ~np.isnan(values) & ~filled


READERS = {
    "in memory": {},
    "in little memory": {"memory_bytes": 1},
    "in a scratch file": {"memory_bytes": 1, "keep": True},
}


@pytest.mark.parametrize("kind", READERS)
def test_windows_hold_the_stored_rows_wherever_they_are_kept(dataset, all_rows, kind):
    values, observed = all_rows
    reader = IndexedReader(dataset, **READERS[kind])
    rng = np.random.default_rng(0)
    for size in (1, 7, 60, 200):
        first = rng.integers(0, dataset.rows - size + 1, size=9)
        found = np.empty((9, size, 5), np.float32)
        seen = np.empty((9, size, 5), np.bool_)
        reader.gather(first, found, seen)
        rows = first[:, None] + np.arange(size)
        np.testing.assert_array_equal(found, values[rows])
        np.testing.assert_array_equal(seen, observed[rows])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_stretch_of_rows_is_a_slice_of_all(dataset, all_rows, data):
    first = data.draw(st.integers(0, dataset.rows))
    rows = data.draw(st.integers(0, dataset.rows - first))
    values, observed = IndexedReader(dataset).rows(first, rows)
    np.testing.assert_array_equal(values, all_rows[0][first : first + rows])
    np.testing.assert_array_equal(observed, all_rows[1][first : first + rows])


def test_there_are_filled_and_missing_cells_to_tell_apart(all_rows):
    values, observed = all_rows
    assert (~observed & ~np.isnan(values)).any()
    assert np.isnan(values).any()


def test_normalised_rows_are_filled_and_keep_what_was_observed(dataset, all_rows):
    normalization = fit_normalization(dataset.statistics(), "range")
    values, observed = IndexedReader(dataset, normalization).rows(0, dataset.rows)
    np.testing.assert_array_equal(values, normalization.apply(all_rows[0]))
    np.testing.assert_array_equal(observed, all_rows[1])
    assert not np.isnan(values).any()


@pytest.mark.parametrize("first, rows", [(-1, 2), (0, 10**6), (10**6, 1)])
def test_rows_that_do_not_exist_are_refused(dataset, first, rows):
    with pytest.raises(WindowError, match="rows must lie in"):
        IndexedReader(dataset).rows(first, rows)


def test_several_threads_read_the_same(dataset, all_rows):
    reader = IndexedReader(dataset, memory_bytes=1)
    failures = []

    def read(seed: int) -> None:
        for first in np.random.default_rng(seed).integers(0, dataset.rows - 30, 200):
            values, _ = reader.rows(int(first), 30)
            if not np.array_equal(
                values, all_rows[0][first : first + 30], equal_nan=True
            ):
                failures.append(first)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def damage(path: str, offset: int) -> None:
    content = bytearray(Path(path).read_bytes())
    content[offset] ^= 0x10
    Path(path).write_bytes(content)


@pytest.mark.slow
def test_a_flipped_byte_anywhere_in_a_record_is_refused_by_name(tmp_path):
    dataset = small_dataset(tmp_path, days=1)
    path = dataset.shard_path(0)
    good = Path(path).read_bytes()
    records = dataset.manifest.shards[0].records
    begin, end = records.offset[1], records.offset[2]
    name = dataset.manifest.shards[0].name
    for offset in range(begin, end):
        damage(path, offset)
        with pytest.raises(CorruptionError, match=f"record 1 of shard {name}"):
            IndexedReader(dataset).rows(0, dataset.rows)
        Path(path).write_bytes(good)
    IndexedReader(dataset).rows(0, dataset.rows)


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_shard_of_another_size_is_refused(tmp_path, change):
    dataset = small_dataset(tmp_path, days=1)
    path = Path(dataset.shard_path(0))
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if change == "shorter" else content + b"x")
    with pytest.raises(CorruptionError, match="is missing|must have .* bytes"):
        IndexedReader(dataset).rows(0, 1)


def test_shares_of_observed_cells_are_read_once_for_a_dataset(dataset, all_rows):
    found = observed_shares(dataset)
    np.testing.assert_array_equal(found, all_rows[1].mean(axis=1))
    assert observed_shares(dataset) is found
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
