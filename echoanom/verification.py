"""Check every byte of a dataset against its manifest."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import xxhash

from echoanom import records, storage
from echoanom.arrival import fetch
from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, EchoanomError
from echoanom.manifest import Shard, shard_path
from echoanom.progress import Progress, no_progress
from echoanom.reader import read_block
from echoanom.shardmaps import map_file, map_shard
from echoanom.statistics import Statistics


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes
    ----------
    shards, records, bytes : int
        How much was checked.
    problems : tuple of str
        What is wrong, a line each; empty if nothing is.
    """

    shards: int
    records: int
    bytes: int
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return {**dataclasses.asdict(self), "problems": list(self.problems)}

    def check(self) -> None:
        """Raise an error if anything is wrong.

        Raises
        ------
        CorruptionError
            Names the first problem and says how many there are.
        """
        if self.problems:
            more = len(self.problems) - 1
            raise CorruptionError(
                self.problems[0] + (f" (and {more} more problems)" if more else "")
            )


def verify(dataset: Dataset, progress: Progress = no_progress) -> Verification:
    """Check every byte of a dataset against its manifest.

    Parameters
    ----------
    dataset : Dataset
        What to check.
    progress : callable
        Told how far the work is.

    Returns
    -------
    Verification
        What was found: each wrong record and file, not only the first.
    """
    problems: list[str] = []
    shards = dataset.manifest.shards
    for number, shard in enumerate(shards):
        progress("Verifying shards", number, len(shards))
        if shard.bytes:
            problems += _check_rows(dataset, number, shard)
            problems += _check_statistics(dataset, shard)
    progress("Verifying shards", len(shards), len(shards))
    return Verification(
        shards=len(shards),
        records=sum(len(shard.records.rows) for shard in shards),
        bytes=sum(shard.bytes for shard in shards),
        problems=tuple(problems),
    )


def _check_rows(dataset: Dataset, number: int, shard: Shard) -> list[str]:
    path = dataset.shard_path(number)
    try:
        data = _map(dataset, number)
    except EchoanomError as error:
        return [str(error)]
    problems = []
    for record in range(len(shard.records.rows)):
        try:
            read_block(dataset, number, record, data)
        except CorruptionError as error:
            problems.append(str(error))
    if problems:
        return problems
    found = xxhash.xxh3_128_hexdigest(data)
    if found != shard.hash:
        return [f"{path}: must have hash {shard.hash}, has {found}; convert again"]
    try:
        # The records as a reader without the manifest finds them.
        offsets = tuple(offset for offset, _ in records.scan(data, path))
    except CorruptionError as error:
        return [str(error)]
    if offsets != shard.records.offset:
        return [f"{path}: must hold the records of the manifest, and no other"]
    return []


def _map(dataset: Dataset, number: int) -> memoryview:
    """Map what is stored now: a copy in a cache would tell nothing."""
    path = dataset.shard_path(number)
    if storage.is_local(path):
        return map_shard(dataset, number)
    with tempfile.NamedTemporaryFile(prefix="echoanom-") as copy:
        fetch(path, copy.name)
        return map_file(copy.file, path, dataset.manifest.shards[number].bytes)


def _check_statistics(dataset: Dataset, shard: Shard) -> list[str]:
    path = shard_path(dataset.path, shard.name, "npz")
    try:
        content = storage.read_bytes(path)
        found = xxhash.xxh3_128_hexdigest(content)
        if found != shard.statistics_hash:
            raise CorruptionError(
                f"must have hash {shard.statistics_hash}, has {found}; convert again"
            )
        statistics = Statistics.from_bytes(content)
        if statistics.counts.shape != (len(shard.days), len(dataset.columns)):
            raise CorruptionError("must have a row a day and all columns")
    except EchoanomError as error:
        return [f"{path}: {error}"]
    return []
