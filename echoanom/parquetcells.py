"""The cells of a Parquet file: columns to stamps and numbers.

Names, time stamps and missing numbers follow the rules of `cells`, so that a table
gives the same rows whether it is written as Parquet or as CSV. What Parquet has types
for is not guessed: a column is numbers, or it is refused.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from echoanom import bulkcells
from echoanom.cells import TIME_NAMES, Header, Rows, header_from_names, quoted
from echoanom.errors import TableError
from echoanom.options import TableOptions
from echoanom.stamps import parse_stamp, parse_stamps

if TYPE_CHECKING:
    import polars as pl

_MAGIC = b"PAR1"
# What pandas calls an index without a name; it stands behind the other columns.
_INDEX = "__index_level_0__"
# The calendar of `datetime`: years 1 to 9999 [µs].
_FIRST_US = -62_135_596_800_000_000
_END_US = 253_402_300_800_000_000

Found = TypeVar("Found")


def is_parquet(path: str) -> bool:
    """Tell whether a table is a Parquet file: its name says so.

    Parameters
    ----------
    path : str
        The table, as path or URL.

    Returns
    -------
    bool
        False for a CSV.
    """
    return path.endswith(".parquet")


def parse_header(content: bytes, path: str, options: TableOptions) -> Header:
    """Read names and types of the columns.

    Parameters
    ----------
    content : bytes
        The file's content.
    path : str
        Its name, for messages.
    options : TableOptions
        Says which column holds the time stamp.

    Returns
    -------
    Header
        Column names and the place of the time stamp.

    Raises
    ------
    TableError
        If the file is no Parquet file or ends too early; if there is no time stamp,
        no other column, or a column without a name or with the name of another; if
        the time stamp is no time, or another column holds no numbers.
    """
    import polars as pl

    _check_ends(content, path)
    schema = _ask(content, path, pl.read_parquet_schema)
    header = header_from_names(list(schema), path, _with_index(schema, options))
    types = list(schema.values())
    time_type = types.pop(header.time_index)
    if not isinstance(time_type, pl.Datetime | pl.Date | pl.String):
        raise TableError(
            "time stamps must be date-times, or text such as 2015-02-01T12:00:00Z,"
            f" got {_name(time_type)}; another column can be named with the option"
            " time_column",
            path=path,
            column=header.time_name,
        )
    for name, found in zip(header.columns, types, strict=True):
        if not (found.is_numeric() or isinstance(found, pl.Null)):
            raise TableError(
                f"must be a column of numbers, got {_name(found)}; write it as"
                " numbers, or leave it out of the table",
                path=path,
                column=name,
            )
    return header


def parse_rows(
    content: bytes, path: str, header: Header, options: TableOptions
) -> Rows:
    """Read the data rows.

    Parameters
    ----------
    content : bytes
        The file's content.
    path : str
        Its name, for messages.
    header : Header
        Its header.
    options : TableOptions
        Numbers that stand for missing cells. In a column of float32 they are
        compared as float32.

    Returns
    -------
    Rows
        Stamps and cells, in file order. float32 as stored; others as the nearest
        float64, rounded to float32.

    Raises
    ------
    TableError
        If the file is damaged; at the first stamp that is none, or the first number
        too large for float32.
    """
    import polars as pl

    frame = _ask(content, path, pl.read_parquet)
    stamps = frame.to_series(header.time_index)
    times_us = _parse_times(stamps, path, header.time_name)
    frame = frame.drop(stamps.name)
    single = np.array([isinstance(t, pl.Float32) for t in frame.dtypes], dtype=np.bool_)
    if single.all():
        values = _narrow(frame, options)
    else:
        values = np.empty(frame.shape, dtype=np.float32)
        if single.any():
            values[:, single] = _narrow(frame[:, single.tolist()], options)
        wide = frame[:, (~single).tolist()]
        numbers = wide.cast(pl.Float64).to_numpy(order="c").astype(np.float64)
        values[:, ~single] = bulkcells.round_numbers(numbers, options.missing_numbers)
        _check_size(values, frame, path, header)
    return Rows(times_us, values)


def _check_ends(content: bytes, path: str) -> None:
    if not content:
        raise TableError("must be a Parquet file, got an empty file", path=path)
    if not content.startswith(_MAGIC):
        raise TableError(
            "must be a Parquet file, got one that begins with"
            f" {quoted(content[:16].decode('latin-1'))}; give it the ending of what it"
            " is, or write it again",
            path=path,
        )
    if len(content) < 12 or not content.endswith(_MAGIC):
        raise TableError(
            f"must end with {_MAGIC.decode()} as Parquet files do, got"
            f" {len(content)} bytes without; it was cut off: copy it again",
            path=path,
        )


def _ask(content: bytes, path: str, read: Callable[[io.BytesIO], Found]) -> Found:
    """Let polars read, and say in its words what is wrong with the file."""
    import polars as pl

    try:
        return read(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error)
    except pl.exceptions.PanicException as panic:  # how polars meets some damage
        said = str(panic)
    reason = (said.splitlines() or ["no reason given"])[0]
    raise TableError(
        f"must be a whole Parquet file, got: {reason}; copy or write it again",
        path=path,
    )


def _with_index(schema: Collection[str], options: TableOptions) -> TableOptions:
    """Take an index without a name as time stamp if nothing else is one."""
    usual = any(name.strip().lower() in TIME_NAMES for name in schema)
    if options.time_column or usual or _INDEX not in schema:
        return options
    return dataclasses.replace(options, time_column=_INDEX)


def _parse_times(stamps: pl.Series, path: str, name: str) -> NDArray[np.int64]:
    """Read stamps [µs]."""
    import polars as pl

    if stamps.null_count():
        wrong = int(stamps.is_null().arg_max() or 0)
    elif isinstance(stamps.dtype, pl.String):
        texts = [text.strip() for text in stamps.to_list()]
        try:
            return parse_stamps(texts)
        except ValueError:
            wrong = next(row for row, text in enumerate(texts) if not _is_stamp(text))
    else:
        times_us, in_calendar = _to_us(stamps)
        if in_calendar.all():
            return times_us
        wrong = int(np.argmin(in_calendar))
    found = stamps[wrong] if isinstance(stamps.dtype, pl.String) else None
    raise TableError(
        "time stamp must look like 2015-02-01T12:00:00Z, in the years 1 to 9999, got"
        f" {'none' if stamps.is_null()[wrong] else quoted(found or 'another')}",
        path=path,
        row=wrong + 1,
        column=name,
    )


def _to_us(stamps: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Turn date-times to microseconds, and say which the calendar has."""
    import polars as pl

    numbers = stamps.to_physical().to_numpy().astype(np.int64)
    factor = 86_400_000_000  # of a date
    if isinstance(stamps.dtype, pl.Datetime):
        factor = {"ns": 1, "us": 1, "ms": 1_000}[stamps.dtype.time_unit]
        if stamps.dtype.time_unit == "ns":
            numbers = numbers // 1000
    # Before the product, which may not fit.
    known = (numbers >= _FIRST_US // factor) & (numbers < _END_US // factor)
    return np.where(known, numbers, 0) * factor, known


def _is_stamp(text: str) -> bool:
    try:
        parse_stamp(text)
    except ValueError:
        return False
    return True


def _narrow(frame: pl.DataFrame, options: TableOptions) -> NDArray[np.float32]:
    """Return columns of float32, NaN where missing or not finite."""
    # A third faster than having polars deal out the rows.
    values: NDArray[np.float32] = np.array(frame.to_numpy(order="fortran"), order="C")
    absent = ~np.isfinite(values)
    for number in options.missing_numbers:
        absent |= values == np.float32(number)
    values[absent] = np.nan
    return values


def _check_size(
    values: NDArray[np.float32], frame: pl.DataFrame, path: str, header: Header
) -> None:
    too_large = np.isinf(values)
    if too_large.any():
        row, column = (int(i) for i in np.argwhere(too_large)[0])
        raise TableError(
            f"must fit in float32, got {float(frame[row, column]):g}; a missing marker"
            " can be named with the option missing_numbers",
            path=path,
            row=row + 1,
            column=header.columns[column],
        )


def _name(dtype: pl.DataType) -> str:
    """Name a type, not its members too."""
    return str(dtype).partition("(")[0].partition("{")[0]
