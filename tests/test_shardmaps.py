"""Shards of a store: by way of the cache, each no more often than it must come."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import numpy as np
import pytest
from datasets import small_dataset

from echoanom import objects, storage
from echoanom.cache import default_cache
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import CacheFullError, CorruptionError
from echoanom.options import WindowOptions
from echoanom.reader import IndexedReader
from echoanom.verification import verify
from echoanom.windowing import WindowIndex

DAYS = 8


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("local"), DAYS)


@pytest.fixture
def remote(local: Dataset, bucket: str) -> Dataset:
    """The same dataset in a bucket."""
    files, inner = storage.filesystem(bucket + "/dataset")
    files.put(local.path, inner, recursive=True)
    return open_dataset(bucket + "/dataset")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[collections.Counter[str]]:
    """Count how often each object is downloaded."""
    counter: collections.Counter[str] = collections.Counter()
    download = objects.download

    def count(url: str, path: str) -> None:
        counter[url] += 1
        download(url, path)

    monkeypatch.setattr(objects, "download", count)
    yield counter
    default_cache().close()


def limit_cache(monkeypatch: pytest.MonkeyPatch, shards: float, of: Dataset) -> None:
    """Let the cache hold so many of the largest shard."""
    largest = max(shard.bytes for shard in of.manifest.shards)
    monkeypatch.setenv("ECHOANOM_CACHE_GIB", repr(shards * largest / 2**30))


def gather(dataset: Dataset, *, shuffle: bool, keep: bool) -> list[np.ndarray]:
    index = WindowIndex(dataset.runs, WindowOptions(10, 3, 7, shuffle=shuffle))
    reader = IndexedReader(dataset, keep=keep, memory_bytes=1)
    batches = []
    for batch in range(index.batches):
        first = index.batch(batch)
        batches.append(np.empty((len(first), 10, len(dataset.columns)), np.float32))
        reader.gather(first, batches[-1])
    return batches


@pytest.mark.parametrize("shards", [100, 2.5], ids=["all fit", "two fit"])
@pytest.mark.parametrize("shuffle", [False, True], ids=["in order", "shuffled"])
def test_an_epoch_from_a_store_is_the_one_from_the_disk(
    local: Dataset,
    remote: Dataset,
    fetched: collections.Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    shuffle: bool,
    shards: float,
) -> None:
    limit_cache(monkeypatch, shards, local)
    expected = gather(local, shuffle=shuffle, keep=shuffle)
    found = gather(remote, shuffle=shuffle, keep=shuffle)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(fetched) == {remote.shard_path(number) for number in range(DAYS)}
    # Shuffled, with room for two: one batch, and then the rest in order.
    extra = fetched.total() - DAYS
    assert extra <= (2 * 7 if shuffle and shards < DAYS else 0)


def test_another_epoch_asks_the_store_for_nothing(
    remote: Dataset, fetched: collections.Counter[str]
) -> None:
    gather(remote, shuffle=False, keep=False)
    fetched.clear()
    gather(remote, shuffle=False, keep=False)
    assert not fetched


def test_a_cache_without_room_for_a_shard_says_what_to_do(
    remote: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_cache(monkeypatch, 0.5, remote)
    with pytest.raises(CacheFullError, match="ECHOANOM_CACHE_GIB"):
        IndexedReader(remote).rows(0, 10)


def test_a_shard_that_is_gone_or_changed_is_named(remote: Dataset) -> None:
    objects.write(remote.shard_path(1), b"short")
    storage.remove(remote.shard_path(2))
    reader = IndexedReader(remote)
    begin = np.cumsum([shard.rows for shard in remote.manifest.shards])
    with pytest.raises(CorruptionError, match=f"{remote.shard_path(1)}: .*must have"):
        reader.rows(int(begin[0]), 1)
    with pytest.raises(CorruptionError, match=f"{remote.shard_path(2)}: .*missing"):
        reader.rows(int(begin[1]), 1)
    reader.rows(0, 1)


def test_verification_looks_at_the_store_and_not_at_the_cache(remote: Dataset) -> None:
    gather(remote, shuffle=False, keep=False)
    content = bytearray(storage.read_bytes(remote.shard_path(3)))
    content[-100] ^= 1
    objects.write(remote.shard_path(3), bytes(content))
    problems = verify(remote).problems
    assert len(problems) == 1 and remote.shard_path(3) in problems[0]
