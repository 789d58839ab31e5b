"""Convert daily tables to a dataset of shards.

Each shard is made by one function of one task, alone: `convert_shard`. The dataset
comes to exist, or to change, when its manifest is published after all shards are. A
conversion that was interrupted finds the shards it had finished by their names.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import xxhash

from echoanom import objects, publishing, records, storage, versions
from echoanom.coverage import Coverage
from echoanom.daily import DayTable, read_day
from echoanom.discovery import SensorFiles, check_record_count, find_sensors
from echoanom.errors import (
    ConflictError,
    DataError,
    DatasetError,
    ManifestError,
    StorageError,
)
from echoanom.manifest import (
    SHARDS,
    Manifest,
    Records,
    SetAside,
    Shard,
    Source,
    manifest_path,
    shard_path,
)
from echoanom.options import DAY_S, OnError, ShardOptions, StackOptions, TableOptions
from echoanom.planning import Rules, ShardTask, hash_table, plan, read_columns
from echoanom.progress import Progress, no_progress
from echoanom.stacking import Grid, Stack, find_runs, stack
from echoanom.statistics import Statistics, merge, summarise

# A shard is sent to the disk after as much of it was written.


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
    on_error: OnError = "fail",
    workers: int = 1,
    keep: int = versions.KEPT,
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
    on_error : {'fail', 'skip'}
        Stop at a table that cannot be taken, or leave it out and list it in the
        manifest.
    workers : int
        Threads that read tables and summarise days. What takes long there lets other
        threads run.
    keep : int
        Versions of the dataset that stay readable as ``DATASET@VERSION``, the new one
        included.
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
    """
    rules = Rules(
        table or TableOptions(),
        stacking or StackOptions(),
        sharding or ShardOptions(),
        on_error,
    )
    sensors = find_sensors(source, rules.stack.sensors)
    with publishing.exclusive(destination):
        # Whatever is read below, it is no older than what is replaced at the end.
        seen = publishing.look(manifest_path(destination))
        before = _published(destination, seen)
        tasks = _plan(source, sensors, rules, progress)
        publishing.remove_temporaries(destination)
        publishing.remove_temporaries(storage.join(destination, SHARDS))
        found = _find_finished(destination, tasks, before)
        todo = [t for t, shard in zip(tasks, found, strict=True) if shard is None]
        made = iter(_make(todo, destination, workers, progress))
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
        dataset=destination,
        rows=manifest.rows,
        written=len(todo),
        kept=len(tasks) - len(todo),
        coverage=Coverage.merge([Coverage.from_json(s.coverage) for s in shards]),
        set_aside=tuple(entry for shard in shards for entry in shard.set_aside),
    )


def convert_shard(
    task: ShardTask,
    destination: str,
    pool: concurrent.futures.Executor | None = None,
) -> Shard:
    """Make one shard: its rows, its statistics, and its entry, in this order.

    Parameters
    ----------
    task : ShardTask
        What to make it from.
    destination : str
        Folder of the dataset, as path or URL.
    pool : concurrent.futures.Executor, optional
        Threads to read tables and summarise days with; this one alone if left out.

    Returns
    -------
    Shard
        Its entry in the manifest.

    Raises
    ------
    DataError
        If a table cannot be taken and the rules say to fail.
    StorageError
        If something cannot be read or written.
    """
    apply = map if pool is None else pool.map
    tables, set_aside = _sort_out(task, apply(_table_reader(task), task.sources))
    period = task.rules.table.period_s
    per_day = task.rules.table.rows_per_day
    days = [datetime.date.fromisoformat(source.day) for source in task.sources]
    first = min([task.first, *days])
    last = max([task.last, *days])
    grid = Grid(
        start_s=_start_s(first),
        period_s=period,
        rows=((last - first).days + 1) * per_day,
    )
    stacked = stack(tables, task.columns, grid, task.rules.stack)
    del tables
    # Memory for marks of filled cells is only promised until one is written.
    filled = any(day.filled_cells for day in stacked.coverage.days.values())
    begin = (task.first - first).days * per_day
    end = begin + task.days * per_day
    own = slice(begin, end)
    kept_days = [
        day
        for day in range(task.days)
        if stacked.present[own][_day(day, per_day)].any()
    ]
    listed, size, digest, statistics_hash = Records((), (), (), (), ()), 0, "", ""
    if kept_days:
        path = shard_path(destination, task.name, "tfrecord")
        summaries = apply(
            lambda day: _summarise(
                stacked, begin + day * per_day, per_day, filled=filled
            ),
            kept_days,
        )
        listed, size, digest = _write_records(
            path, _blocks(stacked, begin, end, task.rules, filled), task.rules.shard
        )
        summary = merge(list(summaries)).as_bytes()
        statistics_hash = xxhash.xxh3_128_hexdigest(summary)
        publishing.write_bytes(shard_path(destination, task.name, "npz"), summary)
    shard = Shard(
        name=task.name,
        bytes=size,
        hash=digest,
        statistics_hash=statistics_hash,
        days=tuple(
            (task.first + datetime.timedelta(day)).isoformat() for day in kept_days
        ),
        records=listed,
        coverage=stacked.coverage.between(task.first, task.last).as_json(),
        sources=task.sources,
        set_aside=(*task.set_aside, *set_aside),
    )
    entry = json.dumps(shard.as_json(), separators=(",", ":"), ensure_ascii=False)
    publishing.write_bytes(shard_path(destination, task.name, "json"), entry.encode())
    return shard


def _plan(
    root: str, sensors: Sequence[SensorFiles], rules: Rules, progress: Progress
) -> list[ShardTask]:
    columns, refused = [], []
    for sensor in sensors:
        found, others = read_columns(sensor, rules.table)
        if others and rules.on_error == "fail":
            raise next(iter(others.values()))
        columns.append(found)
        refused.append(others)
    files = [(s.sensor, day, path) for s in sensors for day, path in s.days.items()]
    sources: dict[tuple[str, datetime.date], Source] = {}
    # Hashing waits for the disk, or the network, and lets other threads run.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hashed = pool.map(lambda file: hash_table(root, *file), files)
        for (name, day, _), source in zip(files, hashed, strict=True):
            sources[name, day] = source
            progress("Reading tables", len(sources), len(files))
    return plan(root, sensors, columns, refused, sources, rules)


def _table_reader(task: ShardTask) -> Callable[[Source], DayTable | DataError]:
    """Return a function that reads a table, or says why it cannot be taken."""
    columns = {c[0].sensor: c for c in task.columns}

    def read(source: Source) -> DayTable | DataError:
        path = storage.join(task.root, source.path)
        content = storage.read_bytes(path)
        if xxhash.xxh3_128_hexdigest(content) != source.hash:
            raise StorageError(
                f"{path}: must not change while it is converted, but it did; run again"
            )
        try:
            table = read_day(
                path,
                datetime.date.fromisoformat(source.day),
                task.rules.table,
                columns=columns[source.sensor],
                content=content,
            )
            if source.path in task.counts:
                count_path = storage.join(task.root, task.counts[source.path])
                check_record_count(count_path, path, table.counts.rows)
        except DataError as error:
            if task.rules.on_error == "fail":
                raise
            return error
        return table

    return read


def _sort_out(
    task: ShardTask, found: Iterable[DayTable | DataError]
) -> tuple[list[list[DayTable]], list[SetAside]]:
    """Sort tables by sensor, and say what is set aside of the shard's own days."""
    tables: dict[str, list[DayTable]] = {c[0].sensor: [] for c in task.columns}
    set_aside = []
    for source, table in zip(task.sources, found, strict=True):
        if isinstance(table, DayTable):
            tables[source.sensor].append(table)
        elif task.first <= datetime.date.fromisoformat(source.day) <= task.last:
            reason = str(table).replace(task.root.rstrip("/") + "/", "")
            set_aside.append(SetAside(source.path, reason))
    return list(tables.values()), set_aside


def _blocks(
    stacked: Stack, begin: int, end: int, rules: Rules, filled: bool
) -> Iterator[records.Block]:
    """Cut a shard's rows into blocks that cross neither a gap nor a day."""
    row_bytes = max(stacked.values.shape[1], 1) * stacked.values.itemsize
    at_most = max(1, int(rules.shard.record_kib * 1024 // row_bytes))
    per_day = rules.table.rows_per_day

    def cut(first: int, rows: int, halo: bool) -> Iterator[records.Block]:
        stop = first + rows
        while first < stop:
            midnight = first - first % per_day + per_day
            last = min(stop, midnight, first + at_most)
            part = slice(first, last)
            yield records.Block(
                start_s=stacked.grid.start_s + first * stacked.grid.period_s,
                values=stacked.values[part],
                filled=stacked.filled[part] if filled else None,
                halo=halo,
            )
            first = last

    for first, rows in find_runs(stacked.present[begin:end]).tolist():
        yield from cut(begin + first, rows, halo=False)
    need = end + rules.shard.halo
    if rules.shard.halo and stacked.present[end - 1] and stacked.present[end:].size:
        # The codes of int16 depend on all rows of a record: only whole ones repeat them.
        whole = rules.shard.dtype == "int16"
        following = stacked.present[end : None if whole else end + rules.shard.halo]
        rows = int(np.argmin(np.append(following, False)))
        for block in cut(end, rows, halo=True):
            yield block
            end += len(block.values)
            if end >= need:
                break


def _write_records(
    path: str, blocks: Iterable[records.Block], options: ShardOptions
) -> tuple[Records, int, str]:
    entries: list[tuple[int, int, int, int, int]] = []
    halo = position = 0
    digest = xxhash.xxh3_128()
    with (
        publishing.publish(path) as file,
        publishing.flushed_behind(file, path) as flush,
    ):
        for block in blocks:
            record, crc = records.encode(block, options.dtype, position, options.codec)
            file.write(record)
            digest.update(record)
            length = len(record) - records.HEADER_BYTES - records.TRAILER_BYTES
            entries.append((position, length, len(block.values), block.start_s, crc))
            halo += block.halo
            position += len(record)
            flush(position)
    offset, lengths, rows, start_s, crcs = zip(*entries, strict=True)
    listed = Records(offset, lengths, rows, start_s, crcs, halo)
    return listed, position, digest.hexdigest()


def _summarise(stacked: Stack, first: int, rows: int, filled: bool) -> Statistics:
    part = slice(first, first + rows)
    values, marks = stacked.values[part], stacked.filled[part]
    present = stacked.present[part]
    if not present.all():
        values = values[present]
        marks = marks[present] if filled else marks
    return summarise(values, marks if filled else None)


def _day(day: int, per_day: int) -> slice:
    return slice(day * per_day, (day + 1) * per_day)


def _start_s(day: datetime.date) -> int:
    return (day - datetime.date(1970, 1, 1)).days * DAY_S


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
        objects.abort_uploads(storage.join(destination, SHARDS) + "/")


def _make(
    tasks: Sequence[ShardTask], destination: str, workers: int, progress: Progress
) -> list[Shard]:
    """Make shards, one after the other or several at a time."""
    progress("Writing shards", 0, len(tasks))
    if workers <= 1 or not tasks:
        made = []
        for task in tasks:
            made.append(convert_shard(task, destination))
            progress("Writing shards", len(made), len(tasks))
        return made
    # While one shard is joined and written, the tables of the next are read.
    fewest = min(len(task.sources) for task in tasks)
    together = min(len(tasks), max(2, -(-2 * workers // max(fewest, 1))))
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
        concurrent.futures.ThreadPoolExecutor(together) as makers,
    ):
        futures = [makers.submit(convert_shard, t, destination, pool) for t in tasks]
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                progress("Writing shards", done, len(tasks))
        except BaseException:
            makers.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
