"""Shards as memory: those on this machine mapped, those of a store by way of a cache."""

from __future__ import annotations

import collections
import mmap
import threading
from collections.abc import Iterable
from typing import IO

from echoanom import storage
from echoanom.cache import Wanted, default_cache
from echoanom.dataset import Dataset
from echoanom.errors import CacheFullError, CorruptionError

_LOCAL_MAPS = 128  # each takes a file descriptor
_CACHED_MAPS = 4  # each is held in a cache that others share
_AHEAD = 4


class ShardMaps:
    """The shards of a dataset, mapped when they are needed.

    Safe to use from several threads.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._cache = None if storage.is_local(dataset.path) else default_cache()
        # Where there is room for little more than what is read, what is fetched ahead
        # would only give way again.
        largest = max((shard.bytes for shard in dataset.manifest.shards), default=0)
        self._room = 0
        if self._cache is not None:
            self._room = max(0, self._cache.limit_bytes // max(largest, 1) - 2)
        self._most = _LOCAL_MAPS if self._cache is None else _CACHED_MAPS
        self._maps: collections.OrderedDict[int, memoryview] = collections.OrderedDict()
        self._came: set[int] = set()
        self._expected: set[int] = set()
        self._lock = threading.Lock()
        self.comes_again = False
        """Whether a shard had to be mapped once more that had been let go."""

    def expect(self, shards: Iterable[int]) -> None:
        """Have shards of a store fetched together that will be needed next.

        Parameters
        ----------
        shards : iterable of int
            Their positions in the manifest.
        """
        if self._cache is not None:
            with self._lock:
                new = [shard for shard in shards if shard not in self._came]
                self._expected = set(new)
            if len(new) > 1:
                reach = new[: self._room]
                self._cache.ahead([wanted(self._dataset, shard) for shard in reach])

    def get(self, shard: int) -> memoryview:
        """Map a shard, or find it mapped.

        Parameters
        ----------
        shard : int
            The shard's position in the manifest.

        Returns
        -------
        memoryview
            The file's content.

        Raises
        ------
        CorruptionError
            If it is missing or not what the manifest says.
        CacheFullError
            If the cache has no room for it.
        StorageError
            If it cannot be fetched.
        """
        with self._lock:
            if shard in self._maps:
                self._maps.move_to_end(shard)
                return self._maps[shard]
            self.comes_again |= shard in self._came
            in_order = shard - 1 in self._came and shard not in self._expected
            self._came.add(shard)
        data = self._map(shard, in_order)
        with self._lock:
            self._maps[shard] = data
            if len(self._maps) > self._most:
                self._maps.popitem(last=False)  # unmapped when nobody reads it
        return data

    def _map(self, shard: int, in_order: bool) -> memoryview:
        cache = self._cache
        if cache is None:
            return map_shard(self._dataset, shard)
        if in_order:
            most = min(_AHEAD, self._room)
            following = range(shard + 1, len(self._dataset.manifest.shards))[:most]
            cache.ahead([wanted(self._dataset, one) for one in following])
        while True:
            try:
                return cache.map(wanted(self._dataset, shard))
            except CacheFullError:
                with self._lock:
                    if not self._maps:
                        raise
                    # Held without being used. The others may be needed again.
                    self._maps.popitem(last=False)


def exceeds_cache(dataset: Dataset) -> bool:
    """Tell whether a dataset's shards have no room in the cache all together.

    Parameters
    ----------
    dataset : Dataset
        The dataset.

    Returns
    -------
    bool
        False for a dataset on this machine, which needs no cache.
    """
    if storage.is_local(dataset.path):
        return False
    size = sum(shard.bytes for shard in dataset.manifest.shards)
    return size > default_cache().limit_bytes


def wanted(dataset: Dataset, shard: int) -> Wanted:
    """Say what the cache has to fetch for a shard.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    shard : int
        The shard's position in the manifest.

    Returns
    -------
    Wanted
        URL, size and hash.
    """
    listed = dataset.manifest.shards[shard]
    return Wanted(dataset.shard_path(shard), listed.bytes, listed.hash)


def map_shard(dataset: Dataset, shard: int) -> memoryview:
    """Map the file of a shard on this machine.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    shard : int
        The shard's position in the manifest.

    Returns
    -------
    memoryview
        The file's content.

    Raises
    ------
    CorruptionError
        If it is missing or has another size than the manifest says.
    """
    path = dataset.shard_path(shard)
    if not storage.exists(path):
        raise CorruptionError(f"{path}: the shard is missing; convert again")
    with storage.storage_errors(path, "read"):
        with open(storage.filesystem(path)[1], "rb") as file:
            return map_file(file, path, dataset.manifest.shards[shard].bytes)


def map_file(file: IO[bytes], path: str, expected: int) -> memoryview:
    """Map an open file of a shard.

    Parameters
    ----------
    file : file
        Local, open for reading.
    path : str
        The shard's name, for messages.
    expected : int
        Its size [byte].

    Returns
    -------
    memoryview
        The file's content.

    Raises
    ------
    CorruptionError
        If it has another size.
    """
    size = file.seek(0, 2)
    if size != expected:
        raise CorruptionError(
            f"{path}: the shard must have {expected} bytes, has {size}; convert again"
        )
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
