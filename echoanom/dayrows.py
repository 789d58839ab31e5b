"""The rows of one sensor's daily tables, and what checks said of them, to be drawn."""

from __future__ import annotations

import dataclasses
import datetime
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.columns import Column, column_from_name, columns_from_json
from echoanom.daily import DayTable, read_day, read_header
from echoanom.dayflags import gather_flags, parse_flags
from echoanom.discovery import SensorFiles, find_sensors
from echoanom.errors import DataError, TableError
from echoanom.ingest.instrument import Flag
from echoanom.marks import Flagged
from echoanom.options import DAY_S, TableOptions
from echoanom.plotoptions import PlotOptions
from echoanom.stamps import day_start
from echoanom.timegrid import TimeGrid, average_rows, choose_grid

_TABLE = re.compile(r"(\d{4}-\d\d-\d\d)\.(csv|parquet)", re.ASCII)
_TABLES_FOLDER, _FLAGS_FOLDER = "tabular", "flags"
_MOST_STEPS = 1600
# Tables that are kept in memory; more are read twice.
_MOST_KEPT = 8


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
        found: list[Flag] = []
        for day, path in self.tables:
            folder = _sensor_folder(posixpath.dirname(path))
            flags = storage.join(folder, _FLAGS_FOLDER, f"{day.isoformat()}.csv")
            if storage.exists(flags):
                found += parse_flags(storage.read_bytes(flags), flags)
        return gather_flags(found)


@dataclasses.dataclass(frozen=True)
class DayRows:
    """What is drawn, on the steps of a picture.

    Attributes
    ----------
    sensor : str
        The sensor.
    columns : tuple of Column
        Its columns, length C.
    rows : int
        How many rows the tables have.
    grid : TimeGrid
        The steps.
    values : ndarray of float32, shape (steps, C)
        Averages; NaN where there is no value.
    flags : mapping of str to tuple of Flagged
        What checks said of values, by column.
    """

    sensor: str
    columns: tuple[Column, ...]
    rows: int
    grid: TimeGrid
    values: NDArray[np.float32]
    flags: Mapping[str, tuple[Flagged, ...]] = dataclasses.field(default_factory=dict)


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


def read_rows(
    path: str,
    options: PlotOptions | None = None,
    *,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    sensor: str | None = None,
) -> DayRows:
    """Read a daily table, or those of a folder, onto the steps of a picture.

    Parameters
    ----------
    path : str
        As `find_days` takes it.
    options : PlotOptions, optional
        How it is read; the defaults if left out.
    first, last : date, optional
        Days of a folder to read, both included; all if left out.
    sensor : str, optional
        Which sensor of a folder of several.

    Returns
    -------
    DayRows
        With at least one row. A step is one row if there are few enough, else the
        mean of some, each kind in its own way.

    Raises
    ------
    DataError
        If there is no such table, or there is no row in it.
    StorageError
        If a file cannot be read.
    """
    options = options or PlotOptions()
    # By the second: how far rows are apart is found out, not assumed.
    table = TableOptions(period_s=1, time_column=options.time_column)
    files = find_days(path, table, first, last, sensor)
    kept = list(files.read(table)) if len(files.tables) <= _MOST_KEPT else None
    times = [day.times for day in kept or files.read(table)]
    if not sum(map(len, times)):
        raise DataError(f"{path}: must have a row to draw, but it has none")
    grid = _grid(files, times, options)
    parts = ((day.times, day.values) for day in kept or files.read(table))
    return DayRows(
        files.sensor,
        files.columns,
        sum(map(len, times)),
        grid,
        average_rows(files.columns, grid, parts),
        files.flags(),
    )


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


def _grid(
    files: DayFiles, times: Sequence[NDArray[np.int64]], options: PlotOptions
) -> TimeGrid:
    known = np.concatenate(times)
    period = options.period_s or _usual_step(known)
    start, end = int(known[0]), int(known[-1]) + period
    if options.whole_days:
        first, last = files.tables[0][0], files.tables[-1][0]
        # Whole steps before the first row, so that steps and rows still agree.
        start -= -(-(start - day_start(first)) // period) * period
        end = max(end, day_start(last) + DAY_S)
    return choose_grid(start, end, period, _MOST_STEPS)


def _usual_step(times: NDArray[np.int64]) -> int:
    """Return the time from one row to the next that is the most frequent [s]."""
    steps = np.diff(times)
    if not len(steps):
        return 60
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])
