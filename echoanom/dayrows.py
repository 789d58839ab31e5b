"""The rows of one sensor's daily tables, and what checks said of them, to be drawn."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import posixpath
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.columns import Column, column_from_name, columns_from_json
from echoanom.daily import DayTable, read_day, read_header
from echoanom.discovery import SensorFiles, find_sensors
from echoanom.errors import DataError, TableError
from echoanom.marks import Flagged
from echoanom.options import TableOptions
from echoanom.stamps import parse_stamps

_TABLE = re.compile(r"(\d{4}-\d\d-\d\d)\.(csv|parquet)", re.ASCII)
_TABLES_FOLDER, _FLAGS_FOLDER = "tabular", "flags"
_FLAGS_HEADER = ["timestamp", "column", "value", "flag", "test"]
_SUSPECT, _FAILED = 3, 4  # QARTOD's


@dataclasses.dataclass(frozen=True)
class DayFiles:
    """Daily tables of one sensor.

    Attributes
    ----------
    sensor : str
        Its name.
    tables : tuple of (date, str)
        Its tables with their days, by day.
    columns : tuple of Column
        The columns of the first, and of all.
    """

    sensor: str
    tables: tuple[tuple[datetime.date, str], ...]
    columns: tuple[Column, ...]

    def read(self, options: TableOptions) -> Iterator[DayTable]:
        """Read the tables, one after the other.

        Parameters
        ----------
        options : TableOptions
            How they are read.

        Yields
        ------
        DayTable
            By day.

        Raises
        ------
        TableError
            If one is malformed.
        ColumnsError
            If one has other columns than the first.
        StorageError
            If one cannot be read.
        """
        for day, path in self.tables:
            yield read_day(path, day, options, columns=self.columns)

    def flags(self) -> dict[str, tuple[Flagged, ...]]:
        """Read what checks said of values, where it is kept.

        Returns
        -------
        dict of str to tuple of Flagged
            By column: values found suspect, and values found wrong.

        Raises
        ------
        TableError
            If a list of flags is malformed.
        StorageError
            If one cannot be read.
        """
        found = []
        for day, path in self.tables:
            folder = _sensor_folder(posixpath.dirname(path))
            flags = storage.join(folder, _FLAGS_FOLDER, f"{day.isoformat()}.csv")
            if storage.exists(flags):
                found += _read_flags(storage.read_bytes(flags), flags)
        return _gather(found)


def find_days(
    path: str,
    options: TableOptions,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    sensor: str | None = None,
) -> DayFiles:
    """Find a daily table, or those of a folder, and what describes their columns.

    Parameters
    ----------
    path : str
        A table ``YYYY-MM-DD.csv`` or ``.parquet``, or a folder of one sensor or
        several, as path or URL.
    options : TableOptions
        How tables are read.
    first, last : date, optional
        Days of a folder to take, both included; all if left out.
    sensor : str, optional
        Which sensor of a folder of several.

    Returns
    -------
    DayFiles
        At least one table.

    Raises
    ------
    DataError
        If there is no such table, or the folder has several sensors and none is
        named.
    TableError
        If the first table is malformed.
    StorageError
        If a file cannot be read.
    """
    name = posixpath.basename(path.rstrip("/"))
    match = _TABLE.fullmatch(name)
    if match:
        day = _day_of(match[1], path)
        files = _of_folder(_sensor_folder(posixpath.dirname(path) or "."), day, day)
        tables: tuple[tuple[datetime.date, str], ...] = ((day, path),)
    elif re.search(r"\.(csv|parquet)$", name):
        raise DataError(
            f"{path}: a daily table must be named after its day, YYYY-MM-DD.csv or"
            f" YYYY-MM-DD.parquet, got {name}; rename it"
        )
    else:
        files = _of_folder(path, first, last, sensor)
        tables = tuple(sorted(files.days.items()))
    return DayFiles(files.sensor, tables, _columns(files, tables[0][1], options))


def _of_folder(
    folder: str,
    first: datetime.date | None,
    last: datetime.date | None,
    sensor: str | None = None,
) -> SensorFiles:
    found = find_sensors(folder, [sensor] if sensor else [], first, last)
    if len(found) > 1:
        names = ", ".join(files.sensor for files in found)
        raise DataError(
            f"{folder}: must be a daily table or the folder of one sensor, but it has"
            f" those of {names}; name one with --sensor"
        )
    return found[0]


def _columns(
    files: SensorFiles, path: str, options: TableOptions
) -> tuple[Column, ...]:
    described: dict[str, Column] = {}
    if files.columns_path is not None:
        text = storage.read_bytes(files.columns_path).decode("utf-8", "replace")
        described = columns_from_json(text, files.sensor, files.columns_path)
    names = read_header(storage.read_bytes(path), path, options)
    return tuple(
        described.get(name) or column_from_name(name, files.sensor) for name in names
    )


def _sensor_folder(folder: str) -> str:
    """Name the folder of the sensor whose tables are in a folder."""
    if posixpath.basename(folder.rstrip("/")) != _TABLES_FOLDER:
        return folder
    return posixpath.dirname(folder.rstrip("/")) or "."


def _day_of(text: str, path: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise TableError(
            f"the name must hold a date of the calendar, got {text}", path=path
        ) from None


@dataclasses.dataclass(frozen=True)
class _Flag:
    time_us: int
    column: str
    value: float
    flag: int
    test: str


def _read_flags(content: bytes, path: str) -> list[_Flag]:
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"))))
    if not lines or lines[0] != _FLAGS_HEADER:
        got = ",".join(lines[0]) if lines else "no line"
        raise TableError(
            f"must have the columns {','.join(_FLAGS_HEADER)}, got {got[:80]!r}; make"
            " the day again, or remove the file",
            path=path,
            line=1,
        )
    found = []
    for number, cells in enumerate(lines[1:], start=2):
        try:
            stamp, column, value, flag, test = cells
            (time_us,) = parse_stamps([stamp]).tolist()
            found.append(_Flag(time_us, column, float(value), int(flag), test))
        except ValueError:
            raise TableError(
                "must have a time stamp, a column, a number, a flag and a test, got"
                f" {','.join(cells)[:80]!r}; make the day again, or remove the file",
                path=path,
                line=number,
            ) from None
    return found


def _gather(flags: Sequence[_Flag]) -> dict[str, tuple[Flagged, ...]]:
    columns = dict.fromkeys(one.column for one in flags)
    gathered = {}
    for column in columns:
        parts = []
        for flag in (_SUSPECT, _FAILED):
            ours = [one for one in flags if (one.column, one.flag) == (column, flag)]
            if ours:
                times: NDArray[np.int64] = np.array([one.time_us for one in ours])
                parts.append(
                    Flagged(
                        failed=flag == _FAILED,
                        times=times // 1_000_000,
                        values=np.array([one.value for one in ours]),
                        tests=tuple(
                            dict.fromkeys(one.test for one in ours if one.test)
                        ),
                    )
                )
        if parts:
            gathered[column] = tuple(parts)
    return gathered
