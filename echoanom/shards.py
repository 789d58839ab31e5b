"""Make one shard: read its tables, join them, summarise the days, write the records.

All that a shard's content depends on is in its task, so it can be made alone, by any
process on any machine, and has the same bytes wherever that is.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import xxhash

from echoanom import publishing, records, storage
from echoanom.daily import DayTable, read_day
from echoanom.discovery import check_record_count
from echoanom.errors import DataError, StorageError
from echoanom.manifest import Records, SetAside, Shard, Source, shard_path
from echoanom.options import DAY_S, ShardOptions
from echoanom.planning import Rules, ShardTask
from echoanom.stacking import Grid, Stack, find_runs, stack
from echoanom.statistics import Statistics, merge, summarise


def convert_shard(
    task: ShardTask,
    destination: str,
    pool: concurrent.futures.Executor | None = None,
    read_bytes: Callable[[str], bytes] = storage.read_bytes,
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
    read_bytes : callable
        Reads a table's content.

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
    tables, set_aside = _sort_out(
        task, apply(_table_reader(task, read_bytes), task.sources)
    )
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


def _table_reader(
    task: ShardTask, read_bytes: Callable[[str], bytes]
) -> Callable[[Source], DayTable | DataError]:
    """Return a function that reads a table, or says why it cannot be taken."""
    columns = {c[0].sensor: c for c in task.columns}

    def read(source: Source) -> DayTable | DataError:
        path = storage.join(task.root, source.path)
        content = read_bytes(path)
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
