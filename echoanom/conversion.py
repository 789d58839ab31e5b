"""Convert daily tables to a dataset of shards.

Each shard is made by one function of one task, alone: `convert_shard`. The dataset
comes to exist, or to change, when its manifest is published after all shards are. A
conversion that was interrupted finds the shards it had finished by their names.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from echoanom import multipart, objects, publishing, storage, versions
from echoanom.coverage import Coverage
from echoanom.discovery import SensorFiles, find_sensors
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import ConflictError, DatasetError, ManifestError, StorageError
from echoanom.manifest import (
    SHARDS,
    Manifest,
    SetAside,
    Shard,
    manifest_path,
    shard_path,
)
from echoanom.options import OnError, ShardOptions, StackOptions, TableOptions
from echoanom.planning import (
    Identity,
    Rules,
    ShardTask,
    TableFile,
    identify_tables,
    plan,
    read_columns,
    relative,
)
from echoanom.progress import Progress, no_progress
from echoanom.shards import convert_shard
from echoanom.sources import KnownTables, Spool

if TYPE_CHECKING:
    from distributed import Client

_TABLES = 64  # that a worker reads for the plan at once


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
        tasks = _plan(source, sensors, rules, known, spool, cluster, progress)
        publishing.remove_temporaries(destination)
        publishing.remove_temporaries(storage.join(destination, SHARDS))
        found = _find_finished(destination, tasks, before)
        todo = [t for t, shard in zip(tasks, found, strict=True) if shard is None]
        made = iter(
            _make(todo, destination, workers, spool.read, progress)
            if cluster is None
            else _make_on(cluster, todo, destination, progress)
        )
        shards = tuple(shard or next(made) for shard in found)
        manifest = Manifest(
            columns=tuple(c for sensor in tasks[0].columns for c in sensor),
            table=rules.table,
            stack=rules.stack,
            shard=rules.shard,
            shards=shards,
        )
        if seen.content != manifest.as_bytes():
            _publish(destination, manifest, seen)
        versions.tidy(destination, manifest, keep)
    return ConversionReport(
        dataset=asked,
        rows=manifest.rows,
        written=len(todo),
        kept=len(tasks) - len(todo),
        coverage=Coverage.merge([Coverage.from_json(s.coverage) for s in shards]),
        set_aside=tuple(entry for shard in shards for entry in shard.set_aside),
    )


def _plan(
    root: str,
    sensors: Sequence[SensorFiles],
    rules: Rules,
    known: KnownTables,
    spool: Spool,
    cluster: Cluster | None,
    progress: Progress,
) -> list[ShardTask]:
    tags = {path: tag for s in sensors for path, tag in s.tags.items()}
    files = [
        TableFile(s.sensor, day, path, s.meta.get(day))
        for s in sensors
        for day, path in s.days.items()
    ]
    listed = [
        known.find(
            f.sensor, f.day.isoformat(), relative(f.path, root), tags.get(f.path)
        )
        for f in files
    ]
    unknown = [f for f, one in zip(files, listed, strict=True) if one is None]
    read = (
        identify_tables(root, unknown, rules.table, spool.put)
        if cluster is None
        else _identify_on(cluster, root, unknown, rules.table)
    )
    found: dict[tuple[str, datetime.date], Identity] = {}
    with contextlib.closing(read) as unlisted:
        for file, one in zip(files, listed, strict=True):
            found[file.sensor, file.day] = one or next(unlisted)
            progress("Reading tables", len(found), len(files))
    known.remember(found.values(), {relative(p, root): tag for p, tag in tags.items()})
    columns, refused = [], []
    for sensor in sensors:
        names = {day: found[sensor.sensor, day].names for day in sensor.days}
        of_sensor, others = read_columns(sensor, names)
        if others and rules.on_error == "fail":
            raise next(iter(others.values()))
        columns.append(of_sensor)
        refused.append(others)
    return plan(root, sensors, columns, refused, found, rules)


def _identify_on(
    cluster: Cluster,
    root: str,
    files: Sequence[TableFile],
    options: TableOptions,
) -> Generator[Identity]:
    """Let workers read what tables are."""
    parts = (files[i : i + _TABLES] for i in range(0, len(files), _TABLES))
    tasks = ((root, part, options) for part in parts)
    with contextlib.closing(cluster.map(_identify_all, tasks)) as results:
        for _, identified in results:
            yield from identified


def _identify_all(
    root: str, files: Sequence[TableFile], options: TableOptions
) -> list[Identity]:
    return list(identify_tables(root, files, options))


def _published(destination: str, seen: publishing.Seen) -> Manifest | None:
    if seen.content is None:
        return None
    try:
        return Manifest.from_bytes(seen.content, manifest_path(destination))
    except ManifestError as error:
        raise DatasetError(
            f"{destination}: holds a dataset that cannot be brought up to date: {error}"
        ) from None


def _find_finished(
    destination: str, tasks: Sequence[ShardTask], before: Manifest | None
) -> list[Shard | None]:
    """Find shards that are there already; None for each that has to be made."""
    folder = storage.join(destination, SHARDS)
    sizes = dict(storage.list_files(folder)) if storage.exists(folder) else {}
    listed = {shard.name: shard for shard in before.shards} if before else {}

    def find(task: ShardTask) -> Shard | None:
        shard = listed.get(task.name)
        if shard is None and f"{task.name}.json" in sizes:
            content = storage.read_bytes(shard_path(destination, task.name, "json"))
            shard = Shard.from_json(json.loads(content))
        if shard is None or (shard.set_aside and task.rules.on_error == "fail"):
            return None  # making it again raises what was set aside
        whole = not shard.bytes or sizes.get(f"{task.name}.tfrecord") == shard.bytes
        return shard if whole else None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(find, tasks))


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


def _make(
    tasks: Sequence[ShardTask],
    destination: str,
    workers: int,
    read_bytes: Callable[[str], bytes],
    progress: Progress,
) -> list[Shard]:
    """Make shards, one after the other or several at a time."""
    progress("Writing shards", 0, len(tasks))
    if workers <= 1 or not tasks:
        made = []
        for task in tasks:
            made.append(convert_shard(task, destination, None, read_bytes))
            progress("Writing shards", len(made), len(tasks))
        return made
    # While one shard is joined and written, the tables of the next are read.
    fewest = min(len(task.sources) for task in tasks)
    together = min(len(tasks), max(2, -(-2 * workers // max(fewest, 1))))
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
        concurrent.futures.ThreadPoolExecutor(together) as makers,
    ):
        futures = [
            makers.submit(convert_shard, t, destination, pool, read_bytes)
            for t in tasks
        ]
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                progress("Writing shards", done, len(tasks))
        except BaseException:
            makers.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _make_on(
    cluster: Cluster, tasks: Sequence[ShardTask], destination: str, progress: Progress
) -> list[Shard]:
    """Let workers make shards."""
    made: dict[int, Shard] = {}
    progress("Writing shards", 0, len(tasks))
    calls = ((task, destination) for task in tasks)
    with contextlib.closing(
        cluster.map(convert_shard, calls, ordered=False)
    ) as results:
        for position, shard in results:
            made[position] = shard
            progress("Writing shards", len(made), len(tasks))
    return [made[position] for position in range(len(tasks))]
