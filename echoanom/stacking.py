"""Join the sensors' tables on one regular grid.

Every sensor keeps its columns; the join decides which minutes stay. Short gaps may be
filled, and what was filled is marked.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.coverage import Coverage, JoinedDay, SensorDay
from echoanom.daily import DayTable, compare_names
from echoanom.errors import ColumnsError, DataError, OptionError
from echoanom.filling import fill_gaps
from echoanom.options import DAY_S, Join, StackOptions
from echoanom.stamps import day_of, day_start

# Copied and searched for missing cells in one go, so that the search finds them in the
# processor's cache.
_COPY_BYTES = 1 << 18


@dataclasses.dataclass(frozen=True)
class Grid:
    """Regular rows in time.

    Attributes
    ----------
    start_s : int
        Start of the first row since 1970 UTC [s], a multiple of the period.
    period_s : int
        Period of the rows [s].
    rows : int
        Number of rows.
    """

    start_s: int
    period_s: int
    rows: int

    def __post_init__(self) -> None:
        if self.period_s < 1 or self.rows < 0 or self.start_s % self.period_s:
            raise OptionError(
                "a grid must have a positive period, a start that is a multiple of it"
                f" and no negative number of rows, got {self}"
            )


@dataclasses.dataclass(frozen=True)
class Stack:
    """All sensors' rows on one grid.

    Attributes
    ----------
    grid : Grid
        The grid, T rows.
    present : ndarray of bool, shape (T,)
        Rows the join kept.
    values : ndarray of float32, shape (T, C)
        The cells of all sensors side by side, in the units of the columns. NaN where
        missing, and in rows that are not present.
    filled : ndarray of bool, shape (T, C)
        Cells that were interpolated.
    coverage : Coverage
        What the sensors have on each day of the grid, and what the join kept.
    """

    grid: Grid
    present: NDArray[np.bool_]
    values: NDArray[np.float32]
    filled: NDArray[np.bool_]
    coverage: Coverage


def stack(
    tables: Sequence[Sequence[DayTable]],
    columns: Sequence[Sequence[Column]],
    grid: Grid,
    options: StackOptions | None = None,
) -> Stack:
    """Join the sensors' tables on a grid.

    A sensor has the rows of its tables, and those of gaps between them that are short
    enough to be filled. The join keeps the rows that any sensor has (outer), that all
    have (inner), or that the first has (left).

    Parameters
    ----------
    tables : sequence of sequence of DayTable
        Each sensor's days, any of them, in any order. Rows outside the grid are left
        out, and end no gap.
    columns : sequence of sequence of Column
        Each sensor's columns.
    grid : Grid
        The rows to fill.
    options : StackOptions, optional
        The join, and the longest gap to fill. Its sensors are not looked at: those of
        `tables` are stacked in their order.

    Returns
    -------
    Stack
        The joined rows.

    Raises
    ------
    ColumnsError
        If a table has other columns than its sensor.
    DataError
        If there is no sensor, a sensor has two tables of one day, or a stamp is not
        on the grid.
    """
    options = options or StackOptions()
    if not columns or not all(columns):
        raise DataError("a stack must have sensors, each with columns, got none")
    bounds = np.cumsum([0, *(len(of_sensor) for of_sensor in columns)]).tolist()
    values = np.empty((grid.rows, bounds[-1]), dtype=np.float32)
    filled = np.zeros(values.shape, dtype=np.bool_)
    has_row = np.zeros((len(tables), grid.rows), dtype=np.bool_)
    most_rows = int(options.max_gap_min * 60 // grid.period_s)
    sensor_days: dict[tuple[str, datetime.date], SensorDay] = {}
    joinable = np.zeros_like(has_row)
    filled_cells = 0
    for i, (of_sensor, its_columns) in enumerate(zip(tables, columns, strict=True)):
        part = slice(bounds[i], bounds[i + 1])
        days = _place(of_sensor, its_columns, grid, values[:, part], has_row[i])
        if not has_row[i].all():
            values[~has_row[i], part] = np.nan
        if not has_row[i].all() or any(day.missing_cells for day in days.values()):
            filled_cells += fill_gaps(
                values[:, part], filled[:, part], its_columns, most_rows
            )
        joinable[i] = _close_gaps(has_row[i], most_rows)
        sensor_days |= {(its_columns[0].sensor, day): d for day, d in days.items()}
    present = _join(joinable, options.join)
    dropped = joinable.any(axis=0) & ~present
    if dropped.any():
        values[dropped] = np.nan
        filled[dropped] = False
    coverage = Coverage(
        grid.period_s,
        {its_columns[0].sensor: len(its_columns) for its_columns in columns},
        _count_days(grid, has_row, present, filled if filled_cells else None),
        sensor_days,
    )
    return Stack(grid, present, values, filled, coverage)


def find_runs(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the stretches of rows without a gap.

    Parameters
    ----------
    present : ndarray of bool, shape (T,)
        Rows that are there.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        First row and number of rows of each stretch, ascending.
    """
    padded = np.zeros(len(present) + 2, dtype=np.bool_)
    padded[1:-1] = present
    changes = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    changes[:, 1] -= changes[:, 0]
    return changes.astype(np.int64)


def _place(
    tables: Sequence[DayTable],
    columns: Sequence[Column],
    grid: Grid,
    values: NDArray[np.float32],
    has_row: NDArray[np.bool_],
) -> dict[datetime.date, SensorDay]:
    """Copy a sensor's tables to their rows, and count what each brings."""
    names = tuple(column.name for column in columns)
    days: dict[datetime.date, SensorDay] = {}
    for table in tables:
        _check_table(table, names, grid)
        if table.day in days:
            raise DataError(
                f"{table.path}: a sensor must have one table for each day, got a"
                f" second one for {table.day}"
            )
        rows = (table.times - grid.start_s) // grid.period_s
        first, stop = np.searchsorted(rows, [0, grid.rows]).tolist()
        rows = rows[first:stop]
        has_row[rows] = True
        days[table.day] = SensorDay(
            rows=stop - first,
            missing_cells=_copy(table.values[first:stop], rows, values),
            file_rows=table.counts.rows,
            duplicates=table.counts.duplicates,
            merged=table.counts.merged,
            out_of_order=table.counts.out_of_order,
        )
    return days


def _check_table(table: DayTable, names: tuple[str, ...], grid: Grid) -> None:
    if table.columns != names:
        difference = compare_names(table.columns, names) or "has another order"
        raise ColumnsError(
            f"columns must be those of the sensor, but it {difference}",
            path=table.path,
            line=1,
        )
    if np.any(table.times % grid.period_s):
        raise DataError(
            f"{table.path}: stamps must be multiples of the period of the grid"
            f" ({grid.period_s} s); read the table with this period"
        )


def _copy(
    source: NDArray[np.float32], rows: NDArray[np.int64], target: NDArray[np.float32]
) -> int:
    """Copy rows to their places and return the number of missing cells."""
    step = max(1, _COPY_BYTES // max(1, source.itemsize * source.shape[1]))
    missing = 0
    for first in range(0, len(source), step):
        part = source[first : first + step]
        to = rows[first : first + step]
        if to[-1] - to[0] + 1 == len(to):
            target[to[0] : to[-1] + 1] = part
        else:
            target[to] = part
        missing += int(np.count_nonzero(np.isnan(part)))
    return missing


def _close_gaps(has_row: NDArray[np.bool_], most_rows: int) -> NDArray[np.bool_]:
    closed = has_row.copy()
    for first, rows in find_runs(~has_row).tolist():
        if rows <= most_rows and first > 0 and first + rows < len(has_row):
            closed[first : first + rows] = True
    return closed


def _join(joinable: NDArray[np.bool_], join: Join) -> NDArray[np.bool_]:
    if join == "left":
        first: NDArray[np.bool_] = joinable[0].copy()
        return first
    how = np.logical_and if join == "inner" else np.logical_or
    present: NDArray[np.bool_] = how.reduce(joinable, axis=0)
    return present


def _count_days(
    grid: Grid,
    has_row: NDArray[np.bool_],
    present: NDArray[np.bool_],
    filled: NDArray[np.bool_] | None,
) -> dict[datetime.date, JoinedDay]:
    # Nothing filled is given as None: counting would touch memory that so far only is
    # promised.
    days = {}
    stop_s = grid.start_s + grid.rows * grid.period_s
    start_s = grid.start_s
    while start_s < stop_s:
        day = day_of(start_s)
        next_s = min(day_start(day) + DAY_S, stop_s)
        rows = slice(
            (start_s - grid.start_s) // grid.period_s,
            -((grid.start_s - next_s) // grid.period_s),
        )
        filled_cells = np.zeros(1, dtype=np.int64)
        if filled is not None:
            filled_cells = np.count_nonzero(filled[rows], axis=1)
        days[day] = JoinedDay(
            grid_rows=rows.stop - rows.start,
            in_some=int(np.count_nonzero(has_row[:, rows].any(axis=0))),
            in_all=int(np.count_nonzero(has_row[:, rows].all(axis=0))),
            kept=int(np.count_nonzero(present[rows])),
            filled_rows=int(np.count_nonzero(filled_cells)),
            filled_cells=int(filled_cells.sum()),
        )
        start_s = next_s
    return days
