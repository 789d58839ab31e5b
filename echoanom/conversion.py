"""Convert daily tables to a dataset of shards.

Each shard is made by one function of one task, alone: `convert_shard`. The dataset
comes to exist, or to change, when its manifest is published after all shards are. A
conversion that was interrupted finds the shards it had finished by their names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

from echoanom import multipart, objects, publishing, storage, versions
from echoanom.coverage import Coverage
from echoanom.discovery import find_sensors
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import ConflictError, DatasetError, ManifestError, StorageError
from echoanom.making import Making
from echoanom.manifest import SHARDS, Manifest, SetAside, manifest_path, shard_path
from echoanom.options import OnError, ShardOptions, StackOptions, TableOptions
from echoanom.planning import Rules, plan
from echoanom.progress import Progress, no_progress
from echoanom.sources import Identifier, KnownTables, Spool

if TYPE_CHECKING:
    from distributed import Client


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes
    ----------
    dataset : str
        The dataset's folder, as path or URL.
    rows : int
        Rows in the dataset.
    written, kept : int
        Shards made now, and shards found as they should be.
    coverage : Coverage
        What the join gained and lost.
    set_aside : tuple of SetAside
        Tables that were left out.
    """

    dataset: str
    rows: int
    written: int
    kept: int
    coverage: Coverage
    set_aside: tuple[SetAside, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return {
            "dataset": self.dataset,
            "rows": self.rows,
            "shards_written": self.written,
            "shards_kept": self.kept,
            "coverage": self.coverage.summary(),
            "set_aside": [entry.as_json() for entry in self.set_aside],
        }


def convert(
    source: str,
    destination: str,
    *,
    table: TableOptions | None = None,
    stacking: StackOptions | None = None,
    sharding: ShardOptions | None = None,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    on_error: OnError = "fail",
    workers: int = 1,
    keep: int = versions.KEPT,
    client: Client | None = None,
    progress: Progress = no_progress,
) -> ConversionReport:
    """Convert daily tables to a dataset, or bring a dataset up to date.

    Parameters
    ----------
    source : str
        Folder of daily tables, as path or URL.
    destination : str
        Folder of the dataset, as path or URL. What is there and still right is kept.
    table : TableOptions, optional
        How tables are read.
    stacking : StackOptions, optional
        How sensors are joined.
    sharding : ShardOptions, optional
        How rows are stored.
    first, last : date, optional
        Days to take, both included; all if left out.
    on_error : {'fail', 'skip'}
        Stop at a table that cannot be taken, or leave it out and list it in the
        manifest.
    workers : int
        Threads that read tables and summarise days. What takes long there lets other
        threads run.
    keep : int
        Versions of the dataset that stay readable as ``DATASET@VERSION``, the new one
        included.
    client : distributed.Client, optional
        Let the workers of its cluster read tables and make shards; this process does
        if left out. They must reach source and destination under the same paths or
        URLs. The dataset is the same, byte for byte.
    progress : callable
        Told how far the work is.

    Returns
    -------
    ConversionReport
        What was done.

    Raises
    ------
    DataError
        If there is no table, or one that cannot be taken.
    DatasetError
        If what is in the destination is no dataset of this format.
    ConflictError
        If another conversion changed the dataset meanwhile.
    StorageError
        If another conversion is at work in a local destination.
        If something cannot be read or written. The dataset is as it was before.
    ClusterError
        If the cluster cannot be used, or is lost. The dataset is as it was before.
    """
    asked, cluster = destination, None
    if client is not None:
        cluster = Cluster(client)
        source, destination = everywhere(source), everywhere(destination)
    rules = Rules(
        table or TableOptions(),
        stacking or StackOptions(),
        sharding or ShardOptions(),
        on_error,
    )
    sensors = find_sensors(source, rules.stack.sensors, first, last)
    with publishing.exclusive(destination), Spool() as spool:
        # Whatever is read below, it is no older than what is replaced at the end.
        seen = publishing.look(manifest_path(destination))
        before = _published(destination, seen)
        known = KnownTables(destination, rules.table.time_column)
        identify = Identifier(source, sensors, rules.table, known, spool, cluster)
        planned = plan(source, sensors, identify, rules)
        publishing.remove_temporaries(destination)
        publishing.remove_temporaries(storage.join(destination, SHARDS))
        making = Making(destination, before, planned, progress)
        with contextlib.closing(planned.tasks):
            if cluster is None:
                shards = making.here(workers, spool.read)
            else:
                shards = making.on(cluster)
        manifest = Manifest(
            columns=tuple(c for sensor in planned.columns for c in sensor),
            table=rules.table,
            stack=rules.stack,
            shard=rules.shard,
            shards=shards,
        )
        if seen.content != manifest.as_bytes():
            _publish(destination, manifest, seen)
        versions.tidy(destination, manifest, keep)
        known.remember(identify.found, identify.tags)
    return ConversionReport(
        dataset=asked,
        rows=manifest.rows,
        written=making.written,
        kept=len(shards) - making.written,
        coverage=Coverage.merge([Coverage.from_json(s.coverage) for s in shards]),
        set_aside=tuple(entry for shard in shards for entry in shard.set_aside),
    )


def _published(destination: str, seen: publishing.Seen) -> Manifest | None:
    if seen.content is None:
        return None
    try:
        return Manifest.from_bytes(seen.content, manifest_path(destination))
    except ManifestError as error:
        raise DatasetError(
            f"{destination}: holds a dataset that cannot be brought up to date: {error}"
        ) from None


def _publish(destination: str, manifest: Manifest, seen: publishing.Seen) -> None:
    """Let the dataset be what the manifest says, unless somebody else was faster."""
    sizes = dict(storage.list_files(storage.join(destination, SHARDS)))
    for shard in manifest.shards:
        if shard.bytes and sizes.get(f"{shard.name}.tfrecord") != shard.bytes:
            raise StorageError(
                f"{shard_path(destination, shard.name, 'tfrecord')}: must have"
                f" {shard.bytes} bytes now that it was written, but somebody changed or"
                " removed it; run again"
            )
    if seen.content is not None:
        versions.keep(destination, seen.content)
    try:
        publishing.replace(manifest_path(destination), manifest.as_bytes(), seen)
    except ConflictError:
        raise ConflictError(
            f"{destination}: another conversion changed the dataset meanwhile; what it"
            " says now is whole, and running again brings it up to date"
        ) from None
    if objects.is_object(destination):
        # Of runs that were killed. One that still goes on would lose: it began before.
        multipart.abort_uploads(storage.join(destination, SHARDS) + "/")
