"""Plan a conversion: which days make which shard, and what its content depends on.

A shard holds the days of one stretch of the calendar, counted from year 1, so a day
that comes late changes its own shard and no other. All that decides a shard's content
goes into a hash, and the hash into its name: a shard that exists under its name is
done.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence

import xxhash

from echoanom import storage
from echoanom.columns import Column, column_from_name, columns_from_json
from echoanom.daily import read_header
from echoanom.discovery import SensorFiles
from echoanom.errors import ColumnsError, DataError
from echoanom.manifest import SetAside, Source
from echoanom.options import OnError, ShardOptions, StackOptions, TableOptions

# Raised when the same sources and options would give other bytes than before.
CONTENT_VERSION = 1

_MOST_DAYS = 366
_READERS = 8
_HASHED_BYTES = 1 << 18
_ITEM_BYTES = {"float32": 4, "float16": 2, "int16": 2}


@dataclasses.dataclass(frozen=True)
class Rules:
    """All options that decide a dataset's content.

    Attributes
    ----------
    table : TableOptions
        How tables are read.
    stack : StackOptions
        How sensors are joined.
    shard : ShardOptions
        How rows are stored.
    on_error : {'fail', 'skip'}
        What to do with a table that cannot be taken.
    """

    table: TableOptions
    stack: StackOptions
    shard: ShardOptions
    on_error: OnError = "fail"


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """All that is needed to make one shard.

    Attributes
    ----------
    name : str
        The shard's name: first day and hash of the rest.
    root : str
        Source folder, as path or URL.
    first : date
        First day with a table.
    days : int
        Days from it to the last one with a table.
    columns : tuple of tuple of Column
        The columns of each sensor.
    sources : tuple of Source
        Tables of the days, and of the neighbouring days that filling and halo need.
    counts : mapping of str to str
        Record count file of each table that has one, both below `root`.
    set_aside : tuple of SetAside
        Tables of these days that the plan already leaves out.
    rules : Rules
        The options.
    """

    name: str
    root: str
    first: datetime.date
    days: int
    columns: tuple[tuple[Column, ...], ...]
    sources: tuple[Source, ...]
    counts: Mapping[str, str]
    set_aside: tuple[SetAside, ...]
    rules: Rules

    @property
    def last(self) -> datetime.date:
        """Last day with a table."""
        return self.first + datetime.timedelta(self.days - 1)


@dataclasses.dataclass(frozen=True)
class TableFile:
    """Where a table is.

    Attributes
    ----------
    sensor : str
        Its sensor.
    day : date
        Its day.
    path : str
        The table, as path or URL.
    count_path : str, optional
        The file that says how many rows it must have.
    """

    sensor: str
    day: datetime.date
    path: str
    count_path: str | None = None


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a table is, as far as planning has to know.

    Attributes
    ----------
    source : Source
        Its size and hash.
    names : tuple of str, or DataError
        Names of its data columns, or why it has none that can be read.
    count_hash : str, optional
        XXH3-128 of the file that says how many rows it must have.
    """

    source: Source
    names: tuple[str, ...] | DataError
    count_hash: str | None = None


def identify(
    root: str,
    table: TableFile,
    options: TableOptions,
    keep: Callable[[str, bytes], None] | None = None,
) -> Identity:
    """Read what a table is.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    table : TableFile
        Where it is.
    options : TableOptions
        How tables are read.
    keep : callable, optional
        Given path and content of a table that had to be fetched from elsewhere.

    Returns
    -------
    Identity
        Size, hash and column names.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    path, count_hash = table.path, None
    if table.count_path is not None:
        said = storage.read_bytes(table.count_path)
        count_hash = xxhash.xxh3_128_hexdigest(said)
    if storage.is_local(path):
        head = storage.read_head(path)
        size, digest = _hash(path)
    else:
        head = storage.read_bytes(path)
        size, digest = len(head), xxhash.xxh3_128_hexdigest(head)
        if keep is not None:
            keep(path, head)
    names: tuple[str, ...] | DataError
    try:
        names = read_header(head, path, options)
    except DataError as error:
        names = error
    source = Source(
        table.sensor, table.day.isoformat(), relative(path, root), size, digest
    )
    return Identity(source, names, count_hash)


def identify_tables(
    root: str,
    tables: Sequence[TableFile],
    options: TableOptions,
    keep: Callable[[str, bytes], None] | None = None,
) -> Generator[Identity]:
    """Read what some tables are, several at a time.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    tables : sequence of TableFile
        Where they are.
    options : TableOptions
        How tables are read.
    keep : callable, optional
        Given path and content of a table that had to be fetched from elsewhere.

    Yields
    ------
    Identity
        Of each table, in the same order.

    Raises
    ------
    StorageError
        If one cannot be read.
    """
    # Reading waits for the disk, or the network, and lets other threads run.
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(lambda table: identify(root, table, options, keep), tables)


def read_columns(
    sensor: SensorFiles, names: Mapping[datetime.date, tuple[str, ...] | DataError]
) -> tuple[tuple[Column, ...], dict[datetime.date, DataError]]:
    """Find a sensor's columns, and the days that cannot join them.

    Parameters
    ----------
    sensor : SensorFiles
        The sensor's files.
    names : mapping of date to tuple of str, or DataError
        Column names of each day, or why there are none.

    Returns
    -------
    columns : tuple of Column
        As in the first day that can be read, described by the sensor's
        ``columns.json`` or else by their names.
    refused : dict of date to DataError
        Days whose table has other columns, or no header that can be read.

    Raises
    ------
    DataError
        If no day's header can be read, or ``columns.json`` cannot.
    """
    described: dict[str, Column] = {}
    if sensor.columns_path is not None:
        text = storage.read_bytes(sensor.columns_path).decode("utf-8", "replace")
        described = columns_from_json(text, sensor.sensor, sensor.columns_path)
    wanted: tuple[str, ...] | None = None
    reference = ""
    refused: dict[datetime.date, DataError] = {}
    for day, path in sorted(sensor.days.items()):
        found = names[day]
        if isinstance(found, DataError):
            refused[day] = found
        elif wanted is None:
            wanted, reference = found, path
        elif found != wanted and set(found) != set(wanted):
            lost = [name for name in wanted if name not in found]
            new = [name for name in found if name not in wanted]
            said = [f"lacks {', '.join(lost[:5])}"] if lost else []
            said += [f"has {', '.join(new[:5])} too"] if new else []
            refused[day] = ColumnsError(
                f"must have the {len(wanted)} columns of {reference}, but it"
                f" {' and '.join(said)}",
                path=path,
            )
    if wanted is None:
        raise next(iter(refused.values()))  # a sensor has at least one day
    columns = tuple(
        described.get(name) or column_from_name(name, sensor.sensor) for name in wanted
    )
    return columns, refused


def days_per_shard(columns: int, rules: Rules) -> int:
    """Compute how many days make a shard.

    Parameters
    ----------
    columns : int
        Number of columns.
    rules : Rules
        Has period, type and aimed size.

    Returns
    -------
    int
        From 1 to 366: an appended day makes the last shard anew, and a few columns
        would fill a shard with centuries.
    """
    row_bytes = columns * _ITEM_BYTES[rules.shard.dtype]
    day_bytes = rules.table.rows_per_day * row_bytes
    fitting = int(rules.shard.shard_mib * 2**20 // max(day_bytes, 1))
    return min(max(1, fitting), _MOST_DAYS)


def plan(
    root: str,
    sensors: Sequence[SensorFiles],
    columns: Sequence[tuple[Column, ...]],
    refused: Sequence[Mapping[datetime.date, DataError]],
    tables: Mapping[tuple[str, datetime.date], Identity],
    rules: Rules,
) -> list[ShardTask]:
    """Deal the days out to shards.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    sensors : sequence of SensorFiles
        The sensors, in the order of their columns.
    columns : sequence of tuple of Column
        The columns of each sensor.
    refused : sequence of mapping
        For each sensor, the days to leave out, and why.
    tables : mapping of (sensor, date) to Identity
        All tables.
    rules : Rules
        The options.

    Returns
    -------
    list of ShardTask
        In order of time; every shard has at least one table.
    """
    length = days_per_shard(sum(map(len, columns)), rules)
    before, after = _context_days(rules)
    chunks: dict[int, list[datetime.date]] = {}
    for day in sorted({key[1] for key in tables}):
        chunks.setdefault(day.toordinal() // length, []).append(day)
    tasks = []
    for chunk in sorted(chunks):
        first, last = chunks[chunk][0], chunks[chunk][-1]
        context = range(
            max(first.toordinal() - before, 1), last.toordinal() + after + 1
        )
        chosen: list[Source] = []
        counts: dict[str, str] = {}
        hashes: dict[str, str] = {}
        set_aside: list[SetAside] = []
        for sensor, excluded in zip(sensors, refused, strict=True):
            for ordinal in context:
                day = datetime.date.fromordinal(ordinal)
                table = tables.get((sensor.sensor, day))
                if table is None:
                    continue
                source = table.source
                if day in excluded:
                    if first <= day <= last:
                        set_aside.append(
                            SetAside(source.path, relative(str(excluded[day]), root))
                        )
                    continue
                chosen.append(source)
                if table.count_hash is not None:
                    counts[source.path] = relative(sensor.meta[day], root)
                    hashes[source.path] = table.count_hash
        tasks.append(
            _named(
                ShardTask(
                    name="",
                    root=root,
                    first=first,
                    days=last.toordinal() - first.toordinal() + 1,
                    columns=tuple(columns),
                    sources=tuple(chosen),
                    counts=counts,
                    set_aside=tuple(set_aside),
                    rules=rules,
                ),
                hashes,
            )
        )
    return tasks


def _hash(path: str) -> tuple[int, str]:
    # In pieces that stay in the processor's cache, into memory that is there.
    buffer = memoryview(bytearray(_HASHED_BYTES))
    digest = xxhash.xxh3_128()
    size = 0
    with (
        storage.storage_errors(path, "read"),
        open(storage.filesystem(path)[1], "rb", buffering=0) as file,
    ):
        while length := file.readinto(buffer):
            digest.update(buffer[:length])
            size += length
    return size, digest.hexdigest()


def _context_days(rules: Rules) -> tuple[int, int]:
    fill = 1 if rules.stack.max_gap_min > 0 else 0
    return fill, fill + math.ceil(rules.shard.halo / rules.table.rows_per_day)


def relative(text: str, root: str) -> str:
    """Drop the source folder from a path or message: where it stood is not content.

    Parameters
    ----------
    text : str
        Has paths in it.
    root : str
        The source folder, as path or URL.

    Returns
    -------
    str
        The rest.
    """
    return text.replace(root.rstrip("/") + "/", "")


def _named(task: ShardTask, counts: Mapping[str, str]) -> ShardTask:
    content = {
        "version": CONTENT_VERSION,
        "first": task.first.isoformat(),
        "days": task.days,
        "columns": [[c.as_json() for c in sensor] for sensor in task.columns],
        "sources": [source.as_json() for source in task.sources],
        "counts": counts,
        "set_aside": [entry.as_json() for entry in task.set_aside],
        "table": task.rules.table.as_json(),
        "stack": task.rules.stack.as_json(),
        "shard": task.rules.shard.as_json(),
    }
    digest = xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())
    name = f"{task.first:%Y%m%d}-{digest[:16]}"
    return dataclasses.replace(task, name=name)
