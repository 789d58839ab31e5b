"""One daily table: a CSV or Parquet file of one sensor and one UTC day.

Its columns have names. One of them holds time stamps, the others numbers. What comes
out is sorted, on the grid, and has one row for each stamp; what had to be done to get
there is counted.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom import cells, parquetcells, storage
from echoanom.columns import Column, column_from_name
from echoanom.errors import ColumnsError, TableError
from echoanom.merging import ConflictError, merge_rows
from echoanom.options import DAY_S, TableOptions
from echoanom.stamps import day_start, format_stamp

_NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class TableCounts:
    """What a daily table held, and what reading it changed.

    Attributes
    ----------
    rows : int
        Data rows in the file.
    duplicates : int
        Rows dropped because an equal row with the same stamp came before.
    merged : int
        Rows merged into another row of the same period.
    out_of_order : int
        Rows whose stamp is earlier than one before them.
    missing_cells : int
        Missing cells of the table as returned.
    """

    rows: int
    duplicates: int = 0
    merged: int = 0
    out_of_order: int = 0
    missing_cells: int = 0


@dataclasses.dataclass(frozen=True)
class DayTable:
    """One sensor's rows of one UTC day.

    Attributes
    ----------
    path : str
        The file it was read from.
    day : datetime.date
        The UTC day.
    columns : tuple of str
        Names of the columns, length C.
    times : ndarray of int64, shape (N,)
        Start of each row's period since 1970 UTC [s]: ascending, unique, on the grid.
    values : ndarray of float32, shape (N, C)
        The cells, in the units of the columns. NaN where missing.
    counts : TableCounts
        What the file held.
    """

    path: str
    day: datetime.date
    columns: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float32]
    counts: TableCounts


def read_header(
    content: bytes, path: str, options: TableOptions | None = None
) -> tuple[str, ...]:
    """Read the names of the data columns.

    Parameters
    ----------
    content : bytes
        The file's content; of a CSV at least its first line.
    path : str
        Its name: what ends in ``.parquet`` is Parquet, all else CSV.
    options : TableOptions, optional
        Says which column holds the time stamp.

    Returns
    -------
    tuple of str
        Names of all other columns, in file order.

    Raises
    ------
    TableError
        If there is no header, no time stamp, no other column, or a column without
        a name or with the name of another. Of Parquet also if the file ends too
        early, or a column has a type it cannot have.
    """
    return _parse_header(content, path, options or TableOptions()).columns


def read_day(
    path: str,
    day: datetime.date,
    options: TableOptions | None = None,
    *,
    columns: Sequence[Column] | None = None,
    content: bytes | None = None,
) -> DayTable:
    """Read one daily table.

    Parameters
    ----------
    path : str
        The file, as path or URL: Parquet if it ends in ``.parquet``, else CSV.
    day : datetime.date
        The UTC day that all its stamps must lie in.
    options : TableOptions, optional
        How it is read.
    columns : sequence of Column, optional
        The columns it must have, in the order they are wanted. Default: those it
        has, their kinds read from their names.
    content : bytes, optional
        The file's content, if it has been read already.

    Returns
    -------
    DayTable
        Its rows, sorted, on the grid, one for each stamp.

    Raises
    ------
    TableError
        If the table is malformed: names the line or row, or the column.
    ColumnsError
        If it has other columns than it must have.
    StorageError
        If the file cannot be read.
    """
    options = options or TableOptions()
    if content is None:
        content = storage.read_bytes(path)
    header = _parse_header(content, path, options)
    if columns is None:
        columns = [column_from_name(name, "") for name in header.columns]
    wanted = tuple(column.name for column in columns)
    if header.columns != wanted:
        _check_columns(header.columns, wanted, path)
    parse_rows = (
        parquetcells.parse_rows if parquetcells.is_parquet(path) else cells.parse_rows
    )
    rows = parse_rows(content, path, header, options)
    values = rows.values
    if wanted != header.columns:
        position = {name: i for i, name in enumerate(header.columns)}
        values = np.ascontiguousarray(values[:, [position[name] for name in wanted]])
    period_us = options.period_s * 1_000_000
    times = rows.times_us // period_us * options.period_s
    _check_day(times, day, header, content, path)

    latest = np.maximum.accumulate(rows.times_us)
    out_of_order = int(np.count_nonzero(rows.times_us < latest))
    order = np.arange(len(times))
    times_us = rows.times_us
    if out_of_order:
        order = np.argsort(times_us, kind="stable")
        times_us, times, values = times_us[order], times[order], values[order]
    try:
        merged = merge_rows(times_us, times, values, options.duplicates, columns)
    except ConflictError as conflict:
        first, second = (
            _place(content, path, int(order[row]))
            for row in (conflict.first, conflict.second)
        )
        ((kind, number),) = first.items()
        raise TableError(
            f"rows of one period of {options.period_s} s must be equal, got"
            f" {values[conflict.first, conflict.column]:g} on {kind} {number} and"
            f" {values[conflict.second, conflict.column]:g} here, both for"
            f" {format_stamp(times[conflict.first])}; the option duplicates can"
            " take the first, the last or their mean",
            path=path,
            column=wanted[conflict.column],
            **second,
        ) from None
    counts = TableCounts(
        rows=len(order),
        duplicates=merged.duplicates,
        merged=merged.merged,
        out_of_order=out_of_order,
        missing_cells=int(np.count_nonzero(np.isnan(merged.values))),
    )
    return DayTable(path, day, wanted, merged.times, merged.values, counts)


def compare_names(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Say how two sets of column names differ.

    Parameters
    ----------
    found : sequence of str
        The names there are.
    wanted : sequence of str
        The names there must be.

    Returns
    -------
    str
        Missing and unexpected names, the first few of each; empty if the sets are
        equal.
    """
    parts = []
    for word, names, others in (
        ("lacks", wanted, set(found)),
        ("has unexpected", found, set(wanted)),
    ):
        different = [name for name in names if name not in others]
        if different:
            shown = ", ".join(different[:_NAMES_SHOWN])
            more = len(different) - _NAMES_SHOWN
            parts.append(f"{word} {shown}" + (f" and {more} more" if more > 0 else ""))
    return ", ".join(parts)


def _parse_header(content: bytes, path: str, options: TableOptions) -> cells.Header:
    if parquetcells.is_parquet(path):
        return parquetcells.parse_header(content, path, options)
    cells.check_text(content, path)
    return cells.parse_header(content, path, options)


def _place(content: bytes, path: str, row: int) -> dict[str, int]:
    """Say where a data row stands, counted from 1: on a line, if the file has lines."""
    if parquetcells.is_parquet(path):
        return {"row": row + 1}
    return {"line": cells.line_of_row(content, path, row)}


def _check_columns(found: Sequence[str], wanted: Sequence[str], path: str) -> None:
    difference = compare_names(found, wanted)
    if difference:
        raise ColumnsError(
            f"columns must be those of the sensor's other days, but it {difference}",
            path=path,
            line=None if parquetcells.is_parquet(path) else 1,
        )


def _check_day(
    times: NDArray[np.int64],
    day: datetime.date,
    header: cells.Header,
    content: bytes,
    path: str,
) -> None:
    first = day_start(day)
    outside = (times < first) | (times >= first + DAY_S)
    if outside.any():
        row = int(np.argmax(outside))
        raise TableError(
            f"every stamp must lie in {day} UTC, the day of the file,"
            f" got {format_stamp(int(times[row]))}",
            path=path,
            column=header.time_name,
            **_place(content, path, row),
        )
