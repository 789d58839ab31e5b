"""Shards of random bytes for the tests of the cache, and processes that use them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash

from echoanom.cache import ShardCache, Wanted


def make_shard(path: Path, size: int, seed: int) -> Wanted:
    """Write a file of random bytes."""
    content = np.random.default_rng(seed).bytes(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Wanted(str(path), size, xxhash.xxh3_128_hexdigest(content))


def make_shards(folder: Path, count: int, size: int) -> list[Wanted]:
    return [make_shard(folder / f"{i}.tfrecord", size, i) for i in range(count)]


def copy(url: str, path: str) -> None:
    """Download from a local path, with little around it."""
    with open(url, "rb") as source, open(path, "wb") as target:
        target.write(source.read())


def slow_copy(pause_s: float) -> Callable[[str, str], None]:
    """Return a download that writes four pieces with pauses before them."""

    def download(url: str, path: str) -> None:
        content = Path(url).read_bytes()
        piece = -(-len(content) // 4)
        with open(path, "wb", buffering=0) as target:
            for begin in range(0, len(content), piece):
                time.sleep(pause_s)
                target.write(content[begin : begin + piece])

    return download


def counting_copy(log: Path) -> Callable[[str, str], None]:
    """Return a slow download that writes down what it was called for."""

    def download(url: str, path: str) -> None:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{url}\n")
        slow_copy(0.05)(url, path)

    return download


def is_right(data: memoryview, wanted: Wanted) -> bool:
    return bytes(data) == Path(wanted.url).read_bytes()


def kept(folder: Path, ending: str = ".shard") -> set[str]:
    """Return the keys of what a cache's folder holds."""
    return {p.stem for p in folder.iterdir() if p.suffix == ending}


def taken(folder: Path) -> int:
    """Return what the files of a folder take, those on their way in full [byte]."""
    total = 0
    for name in os.listdir(folder):
        if name.endswith((".part", ".shard")):
            total += int(name.partition("-")[2].partition(".")[0])
    return total


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that other threads or processes do."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def wander(
    folder: str, limit: int, shards: list[Wanted], seed: int, maps: int, pause_s: float
) -> None:
    """Map shards at random, hold some for a while, fetch ahead; each byte is right."""
    cache = ShardCache(folder, limit, threads=2, download=slow_copy(pause_s))
    draw = random.Random(seed)
    for _ in range(maps):
        wanted = draw.choice(shards)
        data = cache.map(wanted)
        if draw.random() < 0.3:
            cache.ahead(draw.sample(shards, 3))
        time.sleep(draw.random() * pause_s)
        assert is_right(data, wanted)
        del data
    cache.close()


def wander_for_ever(
    folder: str, limit: int, shards: list[Wanted], seed: int, said: str
) -> None:
    """Do as `wander`, and say when it begins."""
    Path(said).touch()
    wander(folder, limit, shards, seed, 10**9, 0.002)


def map_one(folder: str, limit: int, wanted: Wanted, log: str) -> None:
    cache = ShardCache(folder, limit, download=counting_copy(Path(log)))
    assert is_right(cache.map(wanted), wanted)
