"""An opened dataset: its manifest, and the statistics of any of its days."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from echoanom import storage, versions
from echoanom.columns import Column
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import CorruptionError, DatasetError
from echoanom.manifest import (
    Manifest,
    RunTable,
    manifest_path,
    read_manifest,
    shard_path,
)
from echoanom.statistics import Statistics, merge

if TYPE_CHECKING:
    from distributed import Client

_THREADS = 8
_FILES = 32  # statistics files that a worker merges at once


class Dataset:
    """Rows of joined sensors, stored in shards.

    The manifest is read once, when the dataset is opened; what is appended later is
    not seen.

    Parameters
    ----------
    path : str
        The dataset's folder, as path or URL.
    manifest : Manifest
        What it holds.
    """

    def __init__(self, path: str, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.path}: {self.rows} rows, {len(self.columns)} columns,"
            f" {len(self.runs)} runs>"
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the values."""
        return self.manifest.columns

    @property
    def period_s(self) -> int:
        """Sample period [s]."""
        return self.manifest.period_s

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.manifest.rows

    @functools.cached_property
    def runs(self) -> RunTable:
        """Maximal stretches of rows without a gap."""
        return self.manifest.runs()

    @functools.cached_property
    def days(self) -> tuple[datetime.date, ...]:
        """Days with at least one row, in order."""
        return self.manifest.days

    @functools.cached_property
    def digest(self) -> str:
        """Identity of this version of the dataset: XXH3-128 of its manifest."""
        return xxhash.xxh3_128_hexdigest(self.manifest.as_bytes())

    @property
    def has_filled(self) -> bool:
        """Whether cells may have been filled by interpolation."""
        return self.manifest.stack.max_gap_min > 0

    def shard_path(self, shard: int) -> str:
        """Return where a shard's rows are.

        Parameters
        ----------
        shard : int
            The shard's position in the manifest.

        Returns
        -------
        str
            Path or URL.
        """
        return shard_path(self.path, self.manifest.shards[shard].name, "tfrecord")

    def statistics(
        self,
        days: Sequence[datetime.date] | None = None,
        client: Client | None = None,
    ) -> Statistics:
        """Merge the statistics of some days.

        Parameters
        ----------
        days : sequence of date, optional
            The days to take; all if left out. Days without rows count nothing.
        client : distributed.Client, optional
            Let the workers of its cluster read and merge, each some shards; threads
            here do if left out.

        Returns
        -------
        Statistics
            Of these days.

        Raises
        ------
        DatasetError
            If none of the days has rows.
        CorruptionError
            If a statistics file is not what the manifest says.
        ClusterError
            If the cluster cannot be used, or is lost.
        """
        wanted = set(self.days if days is None else days)
        folder = self.path if client is None else everywhere(self.path)
        found = []
        for shard in self.manifest.shards:
            chosen = [
                i
                for i, day in enumerate(shard.days)
                if datetime.date.fromisoformat(day) in wanted
            ]
            if chosen:
                path = shard_path(folder, shard.name, "npz")
                found.append((path, shard.statistics_hash, chosen))
        if not found:
            raise DatasetError(f"{self.path}: has no rows on the days asked for")
        if client is None:
            return merge_files(found)
        tasks = ((found[i : i + _FILES],) for i in range(0, len(found), _FILES))
        with contextlib.closing(Cluster(client).map(merge_files, tasks)) as parts:
            return merge([part for _, part in parts])

    def times(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Compute the time of every row.

        Returns
        -------
        ndarray of int64, shape (rows,)
            Seconds since 1970-01-01 UTC.
        """
        runs = self.runs
        starts = np.repeat(runs.start_s - runs.first_row * self.period_s, runs.rows)
        return starts + np.arange(self.rows, dtype=np.int64) * self.period_s


def merge_files(files: Sequence[tuple[str, str, Sequence[int]]]) -> Statistics:
    """Read statistics files and merge some of their days.

    Parameters
    ----------
    files : sequence of (str, str, sequence of int)
        Path or URL of each, the hash that it must have, and the positions of its days
        to take; at least one.

    Returns
    -------
    Statistics
        Of these days, in order.

    Raises
    ------
    CorruptionError
        If a file is not what the manifest says.
    StorageError
        If a file cannot be read.
    """

    def read(file: tuple[str, str, Sequence[int]]) -> bytes:
        path, digest, _ = file
        content = storage.read_bytes(path)
        found = xxhash.xxh3_128_hexdigest(content)
        if found != digest:
            raise CorruptionError(
                f"{path}: must have hash {digest}, has {found}; convert again"
            )
        return content

    # Reading waits for the disk, or the network, and lets other threads run. Unpacking
    # stays in this one: NumPy has Python parse each array's header, which CPython 3.11
    # cannot do in several threads at a time (python/cpython#106905).
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        contents = pool.map(read, files)
        return merge(
            [
                Statistics.from_bytes(content).days(days)
                for content, (_, _, days) in zip(contents, files, strict=True)
            ]
        )


def open_dataset(path: str) -> Dataset:
    """Open a dataset.

    Parameters
    ----------
    path : str
        The dataset's folder, as path or URL; ``<folder>@<version>`` for an earlier
        version, by the beginning of its name.

    Returns
    -------
    Dataset
        Ready to read.

    Raises
    ------
    ManifestError
        If there is none, or this version cannot read it.
    """
    path = path.rstrip("/") or path
    folder, version = versions.split(path)
    if version is None or storage.exists(manifest_path(path)):
        return Dataset(path, read_manifest(path))
    return Dataset(folder, versions.read_version(folder, version))
