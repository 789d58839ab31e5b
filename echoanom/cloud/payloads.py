"""Bodies of requests, in each content type, as rows.

=============================  ========================================================
application/json               ``{"rows": [[…]], "start": "…", "period_s": 60}`` or the
                               bare list; null is missing
text/csv                       a daily table, with or without header and time stamps;
                               an empty cell is missing
application/x-npy              an array of numbers, (N, C); NaN is missing
application/x-tfrecord,        records as shards hold them
application/octet-stream
=============================  ========================================================
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.cloud.blocks import rows_from_records
from echoanom.cloud.requestrows import (
    Limits,
    ModelInput,
    RequestError,
    RequestRows,
    checked_rows,
    only_keys,
)
from echoanom.stamps import parse_stamp

JSON = "application/json"
CSV = "text/csv"

# As in a table that is converted.
_TIME_NAMES = ("timestamp", "time", "datetime", "date_time", "date time", "utc")
_INDEX_NAMES = ("", "Unnamed: 0")
_MISSING_WORDS = ("", "NA", "N/A", "null", "NULL", "None", "-")
_MISSING_NUMBERS = (-999.0, -9999.0)
_MICROSECONDS = 1_000_000
_LONGEST_SHOWN = 40


def read_rows(body: bytes, kind: str, model: ModelInput, limits: Limits) -> RequestRows:
    """Read the rows of a request that is no JSON.

    Parameters
    ----------
    body : bytes
        The request's body.
    kind : str
        Its media type.
    model : ModelInput
        What the model takes.
    limits : Limits
        How much may come.

    Returns
    -------
    RequestRows
        The rows.

    Raises
    ------
    RequestError
        If they cannot be read: says what must hold, and what came.
    """
    reader = _READERS.get(kind)
    if reader is None:
        known = ", ".join((JSON, *_READERS))
        raise RequestError(
            415, f"Content-Type must be one of {known}, got {kind[:80]!r}"
        )
    if not body:
        raise RequestError(400, "the body must hold rows, but is empty")
    return checked_rows(*reader(body, model), model, limits)


def media_type(header: str) -> str:
    """Reduce a header to what it names first.

    Parameters
    ----------
    header : str
        A Content-Type or Accept header.

    Returns
    -------
    str
        Type and subtype, in lower case.
    """
    return header.partition(",")[0].partition(";")[0].strip().lower()


def read_json(body: bytes) -> Any:
    """Read JSON.

    Parameters
    ----------
    body : bytes
        The text.

    Returns
    -------
    object
        What it says.

    Raises
    ------
    RequestError
        If it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body must be JSON, but {error}") from None


def numbers(found: Any, dimensions: int, what: str) -> NDArray[np.float64]:
    """Turn nested lists of numbers into an array.

    Parameters
    ----------
    found : object
        What JSON said; None is missing.
    dimensions : int
        How deep they must be nested.
    what : str
        What they are, for the message.

    Returns
    -------
    ndarray of float64
        The numbers; NaN where missing.

    Raises
    ------
    RequestError
        If they are something else, or of different lengths.
    """
    try:
        if not isinstance(found, list):
            raise TypeError(f"a {type(found).__name__}")
        values = np.array(found)
        if values.dtype.kind not in "fiu":
            # With null among the numbers; text, however, is not to become one.
            if any(isinstance(one, str | bool) for one in values.flat):
                raise TypeError("text, true or false")
            values = values.astype(np.float64)
        if values.ndim != dimensions:
            raise ValueError(f"lists nested {values.ndim} deep")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        shown = str(error).partition("\n")[0][:120]
        raise RequestError(
            400,
            f"{what} must be lists of numbers or null, nested {dimensions} deep and of"
            f" one length, but came with: {shown}",
        ) from None
    return values.astype(np.float64, copy=False)


def rows_from_json(found: Any, model: ModelInput, limits: Limits) -> RequestRows:
    """Take the rows out of what JSON said.

    Parameters
    ----------
    found : object
        A list of rows, or an object with ``rows`` and, if known, their ``start`` and
        ``period_s``.
    model : ModelInput
        What the model takes.
    limits : Limits
        How much may come.

    Returns
    -------
    RequestRows
        The rows.

    Raises
    ------
    RequestError
        If it says something else.
    """
    about: Mapping[str, Any] = found if isinstance(found, dict) else {"rows": found}
    only_keys(about, ("rows", "start", "period_s"))
    values = numbers(about.get("rows"), 2, "rows")
    period_s = about.get("period_s", model.period_s)
    if period_s != model.period_s:
        raise RequestError(
            400,
            f"period_s must be {model.period_s} like the model's, got"
            f" {str(period_s)[:_LONGEST_SHOWN]}",
        )
    times = None
    if about.get("start") is not None:
        start = _time(str(about["start"]), "start")
        times = start + np.arange(len(values), dtype=np.int64) * model.period_s
    return checked_rows(values, times, model, limits)


Table = tuple[NDArray[Any], NDArray[np.int64] | None]


def _from_csv(body: bytes, model: ModelInput) -> Table:
    try:
        text = body.decode("utf-8-sig")
        lines = [
            (line, cells)
            for line, cells in enumerate(
                csv.reader(io.StringIO(text, newline=""), strict=True), 1
            )
            if len(cells) > 1 or (cells and cells[0].strip())
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(
            400, f"the body must be comma-separated UTF-8 text, but {error}"
        ) from None
    if not lines:
        raise RequestError(400, "the table must have rows, but all lines are blank")
    first = [cell.strip() for cell in lines[0][1]]
    columns = len(model.columns)
    time: int | None
    if _is_header(first):
        time = _time_place(first)
        names = [name for place, name in enumerate(first) if place != time]
        order = model.order(names)
        del lines[0]
    else:
        time = 0 if len(first) == columns + 1 else None
        order = np.arange(columns)
    return _cells(lines, time, order, len(first), columns)


def _is_header(cells: Sequence[str]) -> bool:
    """Tell a header from a first row: it has a cell that is no number and no time."""
    return any(_number(cell) is None for cell in cells[1:]) or (
        _number(cells[0]) is None and _stamp(cells[0]) is None
    )


def _time_place(names: Sequence[str]) -> int | None:
    lower = [name.lower() for name in names]
    for name in _TIME_NAMES:
        if name in lower:
            return lower.index(name)
    return 0 if names[0] in _INDEX_NAMES else None


def _cells(
    lines: Sequence[tuple[int, list[str]]],
    time: int | None,
    order: NDArray[np.int64],
    width: int,
    columns: int,
) -> Table:
    if width != columns + (time is not None):
        raise RequestError(
            400,
            f"rows must have the {columns} columns of the model, and may have a time"
            f" stamp before them, got {width} cells",
        )
    values = np.empty((len(lines), columns))
    times = np.empty(len(lines), dtype=np.int64)
    for at, (line, cells) in enumerate(lines):
        if len(cells) != width:
            raise RequestError(
                400,
                f"every row must have {width} cells like the first line, but line {line}"
                f" has {len(cells)}",
            )
        if time is not None:
            times[at] = _time(cells.pop(time), f"the time stamp of line {line}")
        try:
            values[at] = [float(cell) if cell else math.nan for cell in cells]
        except ValueError:
            values[at] = [_cell(cell, line) for cell in cells]
    values[np.isin(values, _MISSING_NUMBERS)] = np.nan
    return values[:, order], None if time is None else times


def _number(text: str) -> float | None:
    if text.strip() in _MISSING_WORDS:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _cell(text: str, line: int) -> float:
    number = _number(text)
    if number is None:
        raise RequestError(
            400,
            "cells must be numbers or empty, but line"
            f" {line} has {text[:_LONGEST_SHOWN]!r}",
        )
    return number


def _stamp(text: str) -> int | None:
    try:
        return parse_stamp(text.strip()) // _MICROSECONDS
    except ValueError:
        return None


def _time(text: str, what: str) -> int:
    seconds = _stamp(text)
    if seconds is None:
        raise RequestError(
            400,
            f"{what} must look like 2015-02-01T12:00:00Z, got {text[:_LONGEST_SHOWN]!r}",
        )
    return seconds


def _from_npy(body: bytes, model: ModelInput) -> Table:
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(file)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError) as error:
        shown = str(error).partition("\n")[0][:120]
        raise RequestError(400, f"the body must be a .npy array, but {shown}") from None
    if dtype.kind not in "fiu":
        raise RequestError(
            400, f"the array must hold numbers, got {str(dtype)[:_LONGEST_SHOWN]}"
        )
    # The header may claim any size; NumPy would ask for that memory first.
    came = len(body) - file.tell()
    if math.prod(shape) * dtype.itemsize != came:
        raise RequestError(
            400,
            f"the array must be as large as its header says, {shape} of {dtype}, but"
            f" {came:,} bytes follow it",
        )
    values = np.frombuffer(body, dtype=dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C"), None


def _from_records(body: bytes, model: ModelInput) -> Table:
    return rows_from_records(body, len(model.columns), model.period_s)


_READERS: Mapping[str, Callable[[bytes, ModelInput], Table]] = {
    CSV: _from_csv,
    "application/x-npy": _from_npy,
    "application/x-tfrecord": _from_records,
    "application/octet-stream": _from_records,
}
