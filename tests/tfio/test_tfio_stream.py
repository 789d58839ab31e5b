"""What TensorFlow's own s3:// reads is what is there, in a real S3 server."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Iterable

import numpy as np
import pytest
from datasets import small_dataset

from echoanom import objects, pipeline, storage, streaming
from echoanom.batching import WindowBatches
from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, OptionError, StorageError
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.tfiosource import TensorFlowStream

MIB = 1 << 20
Windows = dict[int, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a dataset of six shards on the disk."""
    return small_dataset(tmp_path_factory.mktemp("local"), days=6)


@pytest.fixture
def shards(local: Dataset, bucket: str) -> list[str]:
    """Return the same shards in a store, in order of time."""
    paths = [local.shard_path(shard) for shard in range(len(local.manifest.shards))]
    urls = [f"{bucket}/{os.path.basename(path)}" for path in paths]
    for url, path in zip(urls, paths, strict=True):
        objects.upload(url, path)
    assert len(urls) == 6
    return urls


def put(url: str, size: int) -> bytes:
    """Write an object of noise."""
    content = np.random.default_rng(size).bytes(size)
    objects.write(url, content)
    return content


def windows(batches: Iterable[dict[str, np.ndarray]]) -> Windows:
    """Sort windows by their first times; none may come twice."""
    found: Windows = {}
    for batch in batches:
        for row, start_s in enumerate(batch["start"].tolist()):
            assert start_s not in found
            found[start_s] = batch["values"][row].copy(), batch["observed"][row].copy()
    return found


def assert_same(found: Windows, expected: Windows) -> None:
    assert found.keys() == expected.keys()
    for start_s, (values, observed) in expected.items():
        np.testing.assert_array_equal(found[start_s][0], values)
        np.testing.assert_array_equal(found[start_s][1], observed)


@pytest.mark.parametrize("block_bytes", [1000, 1 << 20])
@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_are_those_of_the_indexed_reader(
    local: Dataset, shards: list[str], block_bytes: int, shuffle: bool
) -> None:
    options = WindowOptions(size=12, stride=5, batch_size=4, shuffle=shuffle)
    how = {"normalization": fit_normalization(local.statistics(), "robust")}
    indexed = WindowBatches(local, options, **how)
    expected = windows(indexed.read(position) for position in range(len(indexed)))
    assert len(expected) > 50
    with TensorFlowStream(shards, block_bytes) as file:
        stream = streaming.stream_windows(file, local.manifest, options, **how)
        assert_same(windows(stream), expected)


def test_tf_data_reads_every_epoch_anew(local: Dataset, shards: list[str]) -> None:
    options = WindowOptions(size=12, stride=12, batch_size=4)
    indexed = WindowBatches(local, options)
    expected = windows(indexed.read(position) for position in range(len(indexed)))
    elements = pipeline.stream_windows(
        lambda: TensorFlowStream(shards), local.manifest, options
    )
    for _ in range(2):
        with pipeline.plain_errors():
            assert_same(windows(elements.as_numpy_iterator()), expected)


# TensorFlow's own buffer is of half a MiB; what ends with a block, or is empty, is where
# reading on would end the process.
@pytest.mark.parametrize(
    "sizes",
    [
        (0,),
        (1,),
        (MIB // 2, MIB),
        (4 * MIB, 0, 4 * MIB - 1, 4 * MIB + 1),
        (9 * MIB, 5, 16 * MIB),
    ],
    ids=str,
)
def test_objects_come_whole_and_one_behind_the_other(
    bucket: str, sizes: tuple[int, ...]
) -> None:
    urls = [f"{bucket}/{number}" for number in range(len(sizes))]
    content = b"".join(put(*one) for one in zip(urls, sizes, strict=True))
    for block_bytes in (MIB, 8 * MIB):
        with TensorFlowStream(urls, block_bytes) as file:
            assert file.read() == content
            assert file.read(10) == b""


def test_a_stream_may_be_let_go_in_its_middle(bucket: str) -> None:
    content = put(f"{bucket}/object", 8 * MIB)
    with TensorFlowStream(f"{bucket}/object", 1000) as file:
        assert file.read(10) == content[:10]
    with pytest.raises(ValueError, match="closed"):
        file.read(10)


def test_what_does_not_exist_is_told_in_one_line(bucket: str) -> None:
    put(f"{bucket}/there", 100)
    with pytest.raises(StorageError) as caught:
        TensorFlowStream([f"{bucket}/there", f"{bucket}/gone"])
    assert str(caught.value) == f"cannot read {bucket}/gone: it does not exist"


def test_what_vanishes_while_it_is_read_is_told_in_one_line(bucket: str) -> None:
    url = f"{bucket}/object"
    put(url, 64_000)
    with TensorFlowStream(url, 1000) as file:
        file.read(1000)
        storage.remove(url)
        with pytest.raises(StorageError) as caught:
            file.readall()
    assert str(caught.value).startswith(f"cannot read {url}: ")
    assert "\n" not in str(caught.value)


def test_damage_is_found_by_the_reader(local: Dataset, shards: list[str]) -> None:
    damaged = bytearray(objects.read(shards[2])[0])
    damaged[len(damaged) // 2] ^= 1
    objects.write(shards[2], bytes(damaged))
    options = WindowOptions(size=12, stride=12)
    with TensorFlowStream(shards) as file:
        stream = streaming.stream_windows(file, local.manifest, options)
        with pytest.raises(CorruptionError):
            list(stream)


def test_blocks_have_bytes() -> None:
    with pytest.raises(OptionError, match="block_bytes must be at least 1, got 0"):
        TensorFlowStream("s3://bucket/object", 0)


def test_it_takes_turns_with_our_own_stream(
    bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read the same 96 MiB both ways, and print how long it takes."""
    urls = [f"{bucket}/{number}" for number in range(3)]
    total = sum(len(put(url, 32 * MIB + 12345 + int(url[-1]))) for url in urls)
    buffer = memoryview(bytearray(4 * MIB))

    def drain(file: objects.ObjectStream | TensorFlowStream) -> int:
        with file:
            return sum(iter(lambda: file.readinto(buffer), 0))

    def ours() -> int:
        return sum(drain(objects.ObjectStream(url)) for url in urls)

    def theirs() -> int:
        return drain(TensorFlowStream(urls))

    rates: dict[str, list[float]] = {"ObjectStream": [], "tensorflow-io": []}
    turns = zip(itertools.cycle(rates), [ours, theirs] * 6, strict=False)
    for name, read in turns:
        began = time.perf_counter()
        assert read() == total
        rates[name].append(total / (time.perf_counter() - began) / 1e6)
    with capsys.disabled():
        for name, found in rates.items():
            median = statistics.median(found[1:])  # the first makes connections
            print(
                f"\n{name}: {median:.0f} MB/s"
                f" ({min(found[1:]):.0f} to {max(found[1:]):.0f})",
                end="",
            )
