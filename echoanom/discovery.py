"""Which sensors there are, which days each has, and how many rows a day must have."""

from __future__ import annotations

import dataclasses
import datetime
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from echoanom import storage
from echoanom.cells import quoted
from echoanom.errors import DataError, MetaInfoError, TableError

_TABLE = re.compile(r"(\d{4}-\d\d-\d\d)\.(?:csv|parquet)", re.ASCII)
_META = re.compile(r"meta_info_(\d{4}-\d\d-\d\d)\.txt", re.ASCII)
_TABLES_FOLDER = "tabular"
_COLUMNS_NAME = "columns.json"
_NAMES_SHOWN = 10
_LAST_NAME = "\U0010ffff"

_Days = tuple[datetime.date, datetime.date]


@dataclasses.dataclass(frozen=True)
class SensorFiles:
    """The files of one sensor.

    Attributes
    ----------
    sensor : str
        Its name, which is that of its folder.
    folder : str
        The folder of its tables, as path or URL.
    days : mapping of datetime.date to str
        Its daily tables, by day.
    meta : mapping of datetime.date to str
        Its record count files, by day. A day may lack one.
    columns_path : str, optional
        The file that describes its columns.
    tags : mapping of str to str
        What a store says of each table and its record count file that changes with
        their content, by the table's path. Only some stores do.
    """

    sensor: str
    folder: str
    days: Mapping[datetime.date, str]
    meta: Mapping[datetime.date, str]
    columns_path: str | None = None
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


def find_sensors(
    root: str,
    sensors: Sequence[str] = (),
    first: datetime.date | None = None,
    last: datetime.date | None = None,
) -> tuple[SensorFiles, ...]:
    """Find the sensors and their daily tables.

    They are ``<root>/<sensor>/tabular/YYYY-MM-DD.csv`` or
    ``<root>/<sensor>/YYYY-MM-DD.csv``, or end in ``.parquet``. If `root` holds daily
    tables itself, or in its own ``tabular``, it is the folder of one sensor of its
    name. Other files and folders are passed over. An S3 store is asked for the sensors
    and days that are wanted, not for all that it holds.

    Parameters
    ----------
    root : str
        The folder, as path or URL.
    sensors : sequence of str
        Sensors to find, in this order. Empty: all, by name.
    first, last : date, optional
        Days to find, both included; all if left out.

    Returns
    -------
    tuple of SensorFiles
        At least one; each has at least one day.

    Raises
    ------
    DataError
        If there is no sensor, not the one asked for, or one with tables in two
        places or with two tables of one day.
    StorageError
        If the folder cannot be listed.
    """
    storage.filesystem(root)  # refuses what is no path or URL
    root = root.rstrip("/") or "/"
    name = _folder_name(root)
    days = (first or datetime.date.min, last or datetime.date.max)
    alone = _read_sensor(name, root, days)
    found = {name: alone} if alone.days else {}
    there = [name] if alone.days else storage.list_folders(root)
    if not alone.days:
        for name in there:
            if not sensors or name in sensors:
                files = _read_sensor(name, storage.join(root, name), days)
                if files.days:
                    found[name] = files
    missing = [name for name in sensors if name not in found]
    if missing:
        raise DataError(
            f"{root}: must have daily tables (YYYY-MM-DD.csv or .parquet)"
            f"{_between(first, last)} of {', '.join(missing)}, but it has those of"
            f" {_enumerate(there)}"
        )
    if not found:
        # What a person has first is a logger's file, not tables of it.
        raise DataError(
            f"{root}: must have daily tables <sensor>/tabular/YYYY-MM-DD.csv or"
            f" <sensor>/YYYY-MM-DD.csv (or .parquet){_between(first, last)}, but none"
            f" of its folders ({_enumerate(there)}) has one; `echoanom ingest` makes"
            " them of instruments' files"
        )
    return tuple(found[name] for name in sensors or sorted(found))


def read_record_count(path: str) -> int:
    """Read how many data rows a daily table must have.

    Parameters
    ----------
    path : str
        The ``meta_info_YYYY-MM-DD.txt``, as path or URL. Its second line is
        ``name=N``, whatever the name.

    Returns
    -------
    int
        The number N of rows.

    Raises
    ------
    MetaInfoError
        If there is no such line.
    StorageError
        If the file cannot be read.
    """
    content = storage.read_bytes(path)
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    line = lines[1] if len(lines) > 1 else ""
    match = re.fullmatch(r"[^=]*=\s*(\d{1,18})\s*", line, re.ASCII)
    if not match:
        raise MetaInfoError(
            "must say the number of records as 'name=N', got"
            f" {quoted(line) if len(lines) > 1 else 'no second line'}",
            path=path,
            line=2,
        )
    return int(match[1])


def check_record_count(meta_path: str, table_path: str, rows: int) -> None:
    """Require that a daily table has the rows its record count file says.

    Parameters
    ----------
    meta_path : str
        The record count file, as path or URL.
    table_path : str
        The table, for the message.
    rows : int
        Data rows in the table, before any are dropped or merged.

    Raises
    ------
    MetaInfoError
        If the counts differ, or the file has none.
    StorageError
        If the file cannot be read.
    """
    expected = read_record_count(meta_path)
    if rows != expected:
        raise MetaInfoError(
            f"must have the {expected} data rows that"
            f" {posixpath.basename(meta_path)} says, got {rows}; fetch the table"
            " again, or correct or remove the count",
            path=table_path,
        )


def _folder_name(root: str) -> str:
    _, inner = storage.filesystem(root)
    folder, name = posixpath.split(inner.rstrip("/"))
    if name == _TABLES_FOLDER:
        name = posixpath.basename(folder)
    return name or "sensor"


def _read_sensor(sensor: str, folder: str, days: _Days) -> SensorFiles:
    """Read a folder and its folder of tables, one of which may have tables."""
    outer = _read_folder(sensor, folder, days)
    if not storage.exists(storage.join(folder, _TABLES_FOLDER)):
        return outer
    inner = _read_folder(sensor, storage.join(folder, _TABLES_FOLDER), days)
    if inner.days and outer.days:
        raise DataError(
            f"{folder}: must have its daily tables in one place, but some are in"
            f" {_TABLES_FOLDER} and some beside it; move them together"
        )
    if not inner.days:
        return outer
    columns_path = inner.columns_path or outer.columns_path
    return dataclasses.replace(inner, columns_path=columns_path)


def _read_folder(sensor: str, folder: str, days: _Days) -> SensorFiles:
    tables: dict[datetime.date, str] = {}
    meta: dict[datetime.date, str] = {}
    seen: dict[str, str] = {}
    columns_path = None
    for found in _list_folder(folder, days):
        path = storage.join(folder, found.name)
        if found.tag:
            seen[path] = found.tag
        if match := _TABLE.fullmatch(found.name):
            day = _read_day(match[1], path)
            if day in tables:
                one = posixpath.basename(tables[day])
                raise DataError(
                    f"{folder}: must have one table of {day}, got {one} and"
                    f" {found.name}; remove the one that is out of date"
                )
            tables[day] = path
        elif match := _META.fullmatch(found.name):
            meta[_read_day(match[1], path)] = path
        elif found.name == _COLUMNS_NAME:
            columns_path = path
    tags = {
        path: " ".join([seen[path], seen.get(meta.get(day, ""), "")])
        for day, path in tables.items()
        if path in seen
    }
    return SensorFiles(sensor, folder, tables, meta, columns_path, tags)


def _list_folder(folder: str, days: _Days) -> Iterator[storage.FoundFile]:
    """List the files of some days, and what is of no day."""
    first, last = days
    if days == (datetime.date.min, datetime.date.max):
        yield from storage.list_between(folder, "", _LAST_NAME)
        return
    before = first - datetime.timedelta(1) if first > datetime.date.min else first
    # ".parquet" is behind ".csv".
    for begin, end in (("", ".parquet"), ("meta_info_", ".txt")):
        names = (f"{begin}{day.isoformat()}{end}" for day in (before, last))
        yield from storage.list_between(folder, *names)
    yield from storage.list_between(folder, _COLUMNS_NAME[:-1], _COLUMNS_NAME)


def _read_day(text: str, path: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise TableError(
            f"the name must hold a date of the calendar, got {text}", path=path
        ) from None


def _between(first: datetime.date | None, last: datetime.date | None) -> str:
    since = f" from {first}" if first else ""
    return since + (f" up to {last}" if last else "")


def _enumerate(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")
