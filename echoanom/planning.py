"""Plan a conversion: which days make which shard, and what its content depends on.

A shard holds the days of one stretch of the calendar, counted from year 1, so a day
that comes late changes its own shard and no other. All that decides a shard's content
goes into a hash, and the hash into its name: a shard that exists under its name is
done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import json
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

import xxhash

from echoanom import storage
from echoanom.columns import Column, column_from_name, columns_from_json
from echoanom.discovery import SensorFiles
from echoanom.errors import ColumnsError, DataError
from echoanom.identities import Identity, TableFile, relative
from echoanom.manifest import SetAside, Source
from echoanom.options import OnError, ShardOptions, StackOptions, TableOptions

# Raised when the same sources and options would give other bytes than before.
CONTENT_VERSION = 1

_MOST_DAYS = 366
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


class SensorColumns:
    """The columns of a sensor, which all its tables must have.

    Parameters
    ----------
    sensor : SensorFiles
        The sensor's files.
    names : tuple of str
        Column names of its first table that can be read.
    reference : str
        That table, for messages.

    Raises
    ------
    DataError
        If the sensor's ``columns.json`` cannot be read.
    """

    def __init__(
        self, sensor: SensorFiles, names: tuple[str, ...], reference: str
    ) -> None:
        described: dict[str, Column] = {}
        if sensor.columns_path is not None:
            text = storage.read_bytes(sensor.columns_path).decode("utf-8", "replace")
            described = columns_from_json(text, sensor.sensor, sensor.columns_path)
        self.columns = tuple(
            described.get(name) or column_from_name(name, sensor.sensor)
            for name in names
        )
        self._names = names
        self._reference = reference

    def refuse(self, names: tuple[str, ...] | DataError, path: str) -> DataError | None:
        """Say why a table cannot join the others.

        Parameters
        ----------
        names : tuple of str, or DataError
            Names of its columns, or why there are none.
        path : str
            The table.

        Returns
        -------
        DataError or None
            None if it can.
        """
        if isinstance(names, DataError):
            return names
        wanted = self._names
        if names == wanted or set(names) == set(wanted):
            return None
        lost = [name for name in wanted if name not in names]
        new = [name for name in names if name not in wanted]
        said = [f"lacks {', '.join(lost[:5])}"] if lost else []
        said += [f"has {', '.join(new[:5])} too"] if new else []
        return ColumnsError(
            f"must have the {len(wanted)} columns of {self._reference}, but it"
            f" {' and '.join(said)}",
            path=path,
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which shards a conversion makes.

    Attributes
    ----------
    columns : tuple of tuple of Column
        The columns of each sensor.
    shards : int
        How many there will be.
    tasks : generator of ShardTask
        In order of time; every shard has at least one table. Tables are read on the
        way, no further ahead than the next task needs.
    """

    columns: tuple[tuple[Column, ...], ...]
    shards: int
    tasks: Generator[ShardTask]


def plan(
    root: str,
    sensors: Sequence[SensorFiles],
    identify: Callable[[Iterable[TableFile]], Generator[Identity]],
    rules: Rules,
) -> Plan:
    """Deal the days out to shards.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    sensors : sequence of SensorFiles
        The sensors, in the order of their columns.
    identify : callable
        Reads what tables are, in their order.
    rules : Rules
        The options.

    Returns
    -------
    Plan
        Columns, and the tasks as they can be known.

    Raises
    ------
    DataError
        If no table of a sensor can be read, or its ``columns.json`` cannot; and from
        the tasks, if a table cannot be taken and the rules say to fail.
    """
    known: dict[tuple[str, datetime.date], Identity] = {}
    columns = [_first_columns(sensor, identify, known) for sensor in sensors]
    length = days_per_shard(sum(len(one.columns) for one in columns), rules)
    chunks: dict[int, list[datetime.date]] = {}
    for day in sorted(set(itertools.chain(*(one.days for one in sensors)))):
        chunks.setdefault(day.toordinal() // length, []).append(day)
    return Plan(
        tuple(one.columns for one in columns),
        len(chunks),
        _tasks(root, sensors, columns, list(chunks.values()), known, identify, rules),
    )


def _first_columns(
    sensor: SensorFiles,
    identify: Callable[[Iterable[TableFile]], Generator[Identity]],
    known: dict[tuple[str, datetime.date], Identity],
) -> SensorColumns:
    refused: DataError | None = None
    for day in sorted(sensor.days):
        table = _table_file(sensor, day)
        (found,) = identify([table])
        known[sensor.sensor, day] = found
        if not isinstance(found.names, DataError):
            return SensorColumns(sensor, found.names, table.path)
        refused = refused or found.names
    assert refused is not None  # a sensor has at least one day
    raise refused


def _tasks(
    root: str,
    sensors: Sequence[SensorFiles],
    columns: Sequence[SensorColumns],
    chunks: Sequence[Sequence[datetime.date]],
    known: dict[tuple[str, datetime.date], Identity],
    identify: Callable[[Iterable[TableFile]], Generator[Identity]],
    rules: Rules,
) -> Generator[ShardTask]:
    before, after = _context_days(rules)
    coming = [
        _table_file(sensor, day)
        for day in itertools.chain(*chunks)
        for sensor in sensors
        if day in sensor.days and (sensor.sensor, day) not in known
    ]
    # Thousands of columns, the same in every task.
    described = json.dumps(
        [[c.as_json() for c in one.columns] for one in columns], sort_keys=True
    )
    reached = 0
    with contextlib.closing(identify(coming)) as read:
        for chunk in chunks:
            first, last = chunk[0].toordinal(), chunk[-1].toordinal()
            context = range(max(first - before, 1), last + after + 1)
            for table in itertools.islice(coming, reached, None):
                if table.day.toordinal() >= context.stop:
                    break
                known[table.sensor, table.day] = next(read)
                reached += 1
            task, counts = _task(root, sensors, columns, chunk, context, known, rules)
            yield _named(task, counts, described)
            for key in [key for key in known if key[1].toordinal() < first]:
                del known[key]  # no later shard has it in its context


def _task(
    root: str,
    sensors: Sequence[SensorFiles],
    columns: Sequence[SensorColumns],
    chunk: Sequence[datetime.date],
    context: range,
    known: Mapping[tuple[str, datetime.date], Identity],
    rules: Rules,
) -> tuple[ShardTask, dict[str, str]]:
    """Return a task without its name, and the hashes of its record count files."""
    chosen: list[Source] = []
    counts: dict[str, str] = {}
    hashes: dict[str, str] = {}
    set_aside: list[SetAside] = []
    for sensor, expected in zip(sensors, columns, strict=True):
        for day in map(datetime.date.fromordinal, context):
            table = known.get((sensor.sensor, day))
            if table is None:
                continue
            source = table.source
            refused = expected.refuse(table.names, sensor.days[day])
            if refused is not None:
                if rules.on_error == "fail":
                    raise refused
                if chunk[0] <= day <= chunk[-1]:
                    reason = relative(str(refused), root)
                    set_aside.append(SetAside(source.path, reason))
                continue
            chosen.append(source)
            if table.count_hash is not None:
                counts[source.path] = relative(sensor.meta[day], root)
                hashes[source.path] = table.count_hash
    task = ShardTask(
        name="",
        root=root,
        first=chunk[0],
        days=(chunk[-1] - chunk[0]).days + 1,
        columns=tuple(one.columns for one in columns),
        sources=tuple(chosen),
        counts=counts,
        set_aside=tuple(set_aside),
        rules=rules,
    )
    return task, hashes


def _table_file(sensor: SensorFiles, day: datetime.date) -> TableFile:
    return TableFile(sensor.sensor, day, sensor.days[day], sensor.meta.get(day))


def _context_days(rules: Rules) -> tuple[int, int]:
    fill = 1 if rules.stack.max_gap_min > 0 else 0
    return fill, fill + math.ceil(rules.shard.halo / rules.table.rows_per_day)


def _named(task: ShardTask, counts: Mapping[str, str], columns: str) -> ShardTask:
    content = {
        "version": CONTENT_VERSION,
        "first": task.first.isoformat(),
        "days": task.days,
        "sources": [source.as_json() for source in task.sources],
        "counts": counts,
        "set_aside": [entry.as_json() for entry in task.set_aside],
        "table": task.rules.table.as_json(),
        "stack": task.rules.stack.as_json(),
        "shard": task.rules.shard.as_json(),
    }
    rest = json.dumps(content, sort_keys=True)
    whole = f'{{"columns": {columns}, {rest[1:]}'
    name = f"{task.first:%Y%m%d}-{xxhash.xxh3_128_hexdigest(whole.encode())[:16]}"
    return dataclasses.replace(task, name=name)
