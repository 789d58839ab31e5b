"""A folder keeps its limit, evicts what was used least recently, and nothing in use."""

from __future__ import annotations

import collections
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shelves import copy, is_right, kept, make_shard, make_shards, taken

from echoanom.cache import ShardCache, Wanted
from echoanom.cachefolder import LOCK, CacheFolder
from echoanom.errors import CacheFullError, StorageError

SIZES = (1, 2, 3, 5, 8, 13)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Wanted]:
    folder = tmp_path_factory.mktemp("store")
    return [make_shard(folder / str(size), size, size) for size in SIZES]


class Model:
    """What the folder must hold after each use."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: collections.OrderedDict[str, int] = collections.OrderedDict()

    def use(self, wanted: Wanted, held: set[str]) -> bool:
        if wanted.key not in self.kept:
            missing = sum(self.kept.values()) + wanted.size - self.limit
            leaving = []
            for key, size in self.kept.items():
                if missing > 0 and key not in held:
                    leaving.append(key)
                    missing -= size
            if missing > 0:
                return False
            for key in leaving:
                del self.kept[key]
            self.kept[wanted.key] = wanted.size
        self.kept.move_to_end(wanted.key)
        return True


@settings(deadline=None)
@given(
    limit=st.integers(1, 30),
    steps=st.lists(
        st.tuples(st.integers(0, len(SIZES) - 1), st.booleans(), st.booleans()),
        max_size=30,
    ),
)
def test_least_recently_used_go_first_and_those_in_use_never(limit, steps, shards):
    with tempfile.TemporaryDirectory() as name:
        cache = ShardCache(name, limit, download=copy)
        model = Model(limit)
        held: list[tuple[Wanted, memoryview]] = []
        for number, keep, drop in steps:
            if drop and held:
                held.pop(0)
            wanted = shards[number]
            if model.use(wanted, {one.key for one, _ in held}):
                data = cache.map(wanted)
                assert is_right(data, wanted)
                if keep:
                    held.append((wanted, data))
                del data
            else:
                with pytest.raises(CacheFullError):
                    cache.map(wanted)
            assert kept(Path(name)) == set(model.kept)
            assert taken(Path(name)) <= limit
            assert all(is_right(data, one) for one, data in held)
        held.clear()


def test_an_error_about_room_says_limit_need_and_use(tmp_path, shards):
    cache = ShardCache(str(tmp_path), 15, download=copy)
    held = cache.map(shards[5])
    with pytest.raises(CacheFullError) as caught:
        cache.map(shards[2])
    said = str(caught.value)
    assert str(tmp_path) in said and "ECHOANOM_CACHE_GIB" in said
    for size in ("2.79e-09", "1.4e-08", "1.21e-08"):  # of 3, 15 and 13 bytes
        assert f"{size} GiB" in said
    held.release()
    del held
    assert is_right(cache.map(shards[2]), shards[2])


def test_a_limit_below_one_shard_is_told_at_once(tmp_path, shards):
    cache = ShardCache(str(tmp_path), 12, download=copy)
    cache.map(shards[4])
    with pytest.raises(CacheFullError, match="must have room for a shard of"):
        cache.map(shards[5])
    assert kept(tmp_path) == {shards[4].key}, "nothing leaves in vain"


def test_a_lower_limit_is_kept_from_the_next_fetch_on(tmp_path, shards):
    cache = ShardCache(str(tmp_path), 100, download=copy)
    for wanted in shards:
        cache.map(wanted)
    lower = ShardCache(str(tmp_path), 15, download=copy)
    os.unlink(tmp_path / f"{shards[0].key}.shard")
    lower.map(shards[0])
    assert taken(tmp_path) <= 15


def test_other_files_are_never_touched(tmp_path, shards):
    store = make_shards(tmp_path / "store", 6, 100)
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "precious.shard").write_bytes(bytes(1000))
    (folder / f"{shards[0].hash}.shard").write_bytes(bytes(1000))
    (folder / f"{shards[0].hash}-1.shard.bak").write_bytes(bytes(1000))
    (folder / f"{shards[0].hash}-1.part.gz").write_bytes(bytes(1000))
    (folder / ".tmp-manifest.json").write_bytes(bytes(1000))
    (folder / f"{shards[1].key}.shard").mkdir()
    (folder / f"{shards[2].key}.shard").symlink_to(store[0].url)
    (folder / f"{shards[3].key}.part").symlink_to(store[1].url)
    before = {path.name for path in folder.iterdir()}
    cache = ShardCache(str(folder), 250, download=copy)
    for wanted in store * 2:
        assert is_right(cache.map(wanted), wanted)
    after = {path.name for path in folder.iterdir()}
    assert after - before == {LOCK, *(f"{one.key}.shard" for one in store[-2:])}
    assert before <= after
    assert all(Path(one.url).exists() for one in store)


def test_a_file_that_lost_its_end_is_fetched_again(tmp_path, shards):
    cache = ShardCache(str(tmp_path), 100, download=copy)
    cache.map(shards[5])
    os.truncate(tmp_path / f"{shards[5].key}.shard", 4)
    assert is_right(cache.map(shards[5]), shards[5])


def test_what_a_dead_process_left_is_removed_when_a_folder_is_opened(tmp_path, shards):
    (tmp_path / f"{shards[0].key}.part").write_bytes(b"")
    (tmp_path / f"{shards[5].key}.part").write_bytes(bytes(5))
    CacheFolder(str(tmp_path), 100)
    assert kept(tmp_path, ".part") == set()


def test_what_is_on_its_way_stays_and_counts_in_full(tmp_path, shards):
    folder = CacheFolder(str(tmp_path), 15)
    with folder.locked():
        part = folder.reserve(shards[5].key)
    assert part is not None
    other = CacheFolder(str(tmp_path), 15)
    with other.locked():
        assert other.is_coming(shards[5].key)
        assert other.reserve(shards[2].key) is None, "it may give way when it has come"
        small = other.reserve(shards[1].key)
    assert small is not None
    assert kept(tmp_path, ".part") == {shards[5].key, shards[1].key}
    part.abandon()
    small.abandon()
    with other.locked():
        assert not other.is_coming(shards[5].key)
    assert kept(tmp_path, ".part") == set()


def test_what_was_fetched_ahead_gives_way_to_needs_alone_the_last_first(
    tmp_path, shards
):
    cache = ShardCache(str(tmp_path), 21, download=copy)
    folder = CacheFolder(str(tmp_path), 21)
    soon = time.time_ns() + 10**12
    for wanted in shards[2:5]:  # of 3, 5 and 8 bytes
        cache.map(wanted)
    with folder.locked():
        assert folder.mark(shards[3].key, soon)
        assert folder.mark(shards[4].key, soon + 1)
        assert folder.reserve(shards[5].key, ahead=True) is None
        assert kept(tmp_path) == {wanted.key for wanted in shards[2:5]}
    cache.map(shards[5])  # needs 8 bytes
    assert kept(tmp_path) == {shards[3].key, shards[5].key}


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot keep shards in .*file/cache: Not a"):
        CacheFolder(str(tmp_path / "file" / "cache"), 100)
