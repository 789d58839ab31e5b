"""What arrives is checked, fetched once more if it is wrong, and else told in a line."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import xxhash
from shelves import copy, is_right, kept, make_shard

from echoanom import objects
from echoanom.cache import ShardCache, Wanted
from echoanom.errors import CorruptionError, EchoanomError, ManifestError, StorageError

LIMIT = 1 << 30


@pytest.fixture
def shard(tmp_path: Path) -> Wanted:
    return make_shard(tmp_path / "store" / "20150129.tfrecord", 300_000, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def nothing_left(folder: Path) -> bool:
    return not kept(folder) and not kept(folder, ".part")


def said_by(error: EchoanomError) -> str:
    said = str(error)
    assert "\n" not in said
    return said


WRONG = {
    "other bytes": lambda right: bytes(len(right)),
    "one bit": lambda right: right[:-1] + bytes([right[-1] ^ 1]),
    "too short": lambda right: right[:-1],
    "too long": lambda right: right + b"\0",
    "empty": lambda right: b"",
}


@pytest.mark.parametrize("damage", WRONG.values(), ids=WRONG)
def test_what_arrives_wrong_is_fetched_once_more(damage, folder, shard):
    calls = []

    def download(url: str, path: str) -> None:
        right = Path(url).read_bytes()
        calls.append(url)
        Path(path).write_bytes(right if len(calls) > 1 else damage(right))

    cache = ShardCache(str(folder), LIMIT, download=download)
    assert is_right(cache.map(shard), shard)
    assert len(calls) == 2


@pytest.mark.parametrize("damage", WRONG.values(), ids=WRONG)
def test_what_arrives_wrong_twice_is_told(damage, folder, shard):
    calls = []

    def download(url: str, path: str) -> None:
        calls.append(url)
        Path(path).write_bytes(damage(Path(url).read_bytes()))

    cache = ShardCache(str(folder), LIMIT, download=download)
    with pytest.raises(CorruptionError, match="convert again") as caught:
        cache.map(shard)
    wrong = damage(Path(shard.url).read_bytes())
    said = said_by(caught.value)
    assert said.startswith(f"{shard.url}: the shard must have ")
    if len(wrong) == shard.size:
        assert shard.hash in said and xxhash.xxh3_128_hexdigest(wrong) in said
    else:
        assert f"must have {shard.size} bytes, has {len(wrong)}" in said
    assert len(calls) == 2
    assert nothing_left(folder)


def test_a_missing_shard_is_told(folder, shard):
    os.unlink(shard.url)
    cache = ShardCache(str(folder), LIMIT)
    with pytest.raises(CorruptionError) as caught:
        cache.map(shard)
    assert said_by(caught.value) == f"{shard.url}: the shard is missing; convert again"
    assert nothing_left(folder)


def test_a_folder_that_vanishes_is_not_taken_for_a_missing_shard(folder, shard):
    def download(url: str, path: str) -> None:
        os.unlink(path)
        os.unlink(folder / ".echoanom-cache")
        folder.rmdir()
        copy(url, path)

    cache = ShardCache(str(folder), LIMIT, download=download)
    with pytest.raises(StorageError, match="cannot keep shards in .*: No such file"):
        cache.map(shard)


def test_other_errors_name_the_shard_and_leave_nothing(folder, shard):
    def download(url: str, path: str) -> None:
        Path(path).write_bytes(bytes(1000))
        raise ConnectionResetError(104, "Connection reset by peer")

    cache = ShardCache(str(folder), LIMIT, download=download)
    with pytest.raises(StorageError) as caught:
        cache.map(shard)
    said = said_by(caught.value)
    assert said == f"cannot read {shard.url}: Connection reset by peer"
    assert nothing_left(folder)


def test_any_file_system_of_fsspec_will_do(folder, shard):
    url = "memory://dataset/shards/20150129.tfrecord"
    with fsspec.open(url, "wb") as file:
        file.write(Path(shard.url).read_bytes())
    cache = ShardCache(str(folder), LIMIT)
    assert is_right(cache.map(Wanted(url, shard.size, shard.hash)), shard)
    gone = Wanted(url + ".gone", shard.size, "0" * 32)
    with pytest.raises(CorruptionError, match=r"\.gone: the shard is missing"):
        cache.map(gone)


@pytest.mark.parametrize(
    "size, digest",
    [
        (1, "../../../../etc/passwd"),
        (1, "0" * 31),
        (1, "0" * 31 + "G"),
        (1, "0" * 32 + "\n"),
        (1, "A" * 32),
        (-1, "0" * 32),
        (10**18, "0" * 32),
    ],
)
def test_what_cannot_be_a_hash_or_size_never_becomes_a_name(size, digest):
    with pytest.raises(ManifestError, match="^s3://b/k: a "):
        Wanted("s3://b/k", size, digest)


def test_names_in_urls_do_not_matter(folder, shard):
    odd = Wanted(f"{shard.url}/../../store/20150129.tfrecord", shard.size, shard.hash)
    cache = ShardCache(
        str(folder), LIMIT, download=lambda url, path: copy(shard.url, path)
    )
    assert is_right(cache.map(odd), shard)
    assert kept(folder) == {shard.key}


def test_a_limit_on_the_size_of_files_is_told_as_a_full_disk(folder, shard):
    cache = ShardCache(str(folder), LIMIT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError) as caught:
            cache.map(shard)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = said_by(caught.value)
    assert said.startswith(f"{folder} must have room for {shard.url}, of 300000 bytes")
    assert "File too large" in said and "ECHOANOM_CACHE" in said
    assert nothing_left(folder)
    assert is_right(cache.map(shard), shard)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a quarter of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True).returncode == 0:
            yield place
            subprocess.run(["umount", "--lazy", str(place)], check=True)
            return
    pytest.skip("only a user who may mount can try a full disk")


def test_a_full_disk_is_told_and_nothing_is_left(small_disk, shard, bucket):
    url = f"{bucket}/20150129.tfrecord"
    objects.upload(url, shard.url)
    folder = small_disk / "cache"
    cache = ShardCache(str(folder), LIMIT)
    for wanted in (shard, Wanted(url, shard.size, shard.hash)):
        with pytest.raises(StorageError) as caught:
            cache.map(wanted)
        said = said_by(caught.value)
        assert said.startswith(f"{folder} must have room for {wanted.url}, of 300000")
        assert "No space left on device" in said
        assert nothing_left(folder)


def test_shards_come_from_s3(folder, bucket, tmp_path):
    local = [
        make_shard(tmp_path / "store" / str(i), size, i)
        for i, size in enumerate((1, 100_000, 40 << 20))
    ]
    cache = ShardCache(str(folder), LIMIT)
    remote = []
    for i, one in enumerate(local):
        url = f"{bucket}/dataset/shards/{i}.tfrecord"
        objects.upload(url, one.url)
        remote.append(Wanted(url, one.size, one.hash))
    cache.ahead(remote)
    for wanted, one in zip(remote, local, strict=True):
        assert is_right(cache.map(wanted), one)


def test_missing_and_replaced_objects_are_told(folder, bucket, shard):
    url = f"{bucket}/shard.tfrecord"
    wanted = Wanted(url, shard.size, shard.hash)
    cache = ShardCache(str(folder), LIMIT)
    with pytest.raises(CorruptionError) as caught:
        cache.map(wanted)
    assert said_by(caught.value) == f"{url}: the shard is missing; convert again"
    objects.write(url, bytes(shard.size))
    with pytest.raises(CorruptionError, match="must have hash .*convert again"):
        cache.map(wanted)
    objects.write(url, b"")
    with pytest.raises(CorruptionError, match="must have 300000 bytes, has 0"):
        cache.map(wanted)
    assert nothing_left(folder)
