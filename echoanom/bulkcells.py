"""The cells of tables that look ordinary, parsed in bulk by polars.

Two ways, and each takes a table only if it is certain of all of it:

* `parse_cells`, for unquoted tables whose first column is the time stamp. All cells are
  given to polars as one long column, row after row, so that what comes back already
  lies in memory as it is wanted. A number that stands for the stamp begins each row:
  where it is found again, the row has as many cells as it must.
* `parse_columns`, for all others: one column of the table is one of polars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echoanom.options import TableOptions
from echoanom.stamps import parse_stamps

if TYPE_CHECKING:
    import polars as pl

# Text parsed in one go: what becomes of it stays in the processor's cache.
_PIECE_BYTES = 1 << 21
_MARK = b"8e37"
# Looked through in one go, for the same reason; a multiple of 4.
_CHUNK_BYTES = 1 << 17
_SEPARATOR = "\x1f"  # splits no cell: polars refuses a row that has more than one


def parse_cells(
    content: bytes, width: int, options: TableOptions
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Parse an unquoted table with the time stamp in front.

    Parameters
    ----------
    content : bytes
        The file's content, with no carriage return but before a line feed.
    width : int
        Number of columns, the time stamp included.
    options : TableOptions
        Words and numbers that stand for missing cells.

    Returns
    -------
    times_us : ndarray of int64, shape (N,)
        Time stamps as written, since 1970 UTC [µs].
    values : ndarray of float32, shape (N, C)
        The nearest float64 of each cell, rounded to float32; NaN where missing or not
        finite.
        Instead of both None, if a row or cell looks odd.
    """
    if b'"' in content:
        return None
    found = _cut_rows(content, width)
    if found is None:
        return None
    stamps, rows = found
    try:
        times_us = parse_stamps([stamp.decode() for stamp in stamps])
    except ValueError:
        return None
    body = content.index(b"\n")
    exponents = content.find(b"e", body) >= 0 or content.find(b"E", body) >= 0
    values = np.empty((len(rows), width - 1), dtype=np.float32)
    step = max(1, _PIECE_BYTES * len(rows) // len(content))
    # polars is slower when it knows words, and few tables have any.
    words = [word for word in options.missing_words if _may_be_number(word)]
    for first in range(0, len(rows), step):
        cells = _as_one_column(rows[first : first + step])
        part = values[first : first + step]
        single = not exponents and _has_short_cells(cells)
        if _parse_piece(cells, part, words, options, single):
            continue
        words = list(options.missing_words)
        if not _parse_piece(cells, part, words, options, single):
            return None
    return times_us, values


def parse_columns(
    content: bytes, width: int, time_index: int, options: TableOptions
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Parse a table column by column.

    Parameters
    ----------
    content : bytes
        The file's content, with no carriage return but before a line feed.
    width : int
        Number of columns, the time stamp included.
    time_index : int
        Position of the time stamp among them.
    options : TableOptions
        Words and numbers that stand for missing cells.

    Returns
    -------
    times_us : ndarray of int64, shape (N,)
        Time stamps as written, since 1970 UTC [µs].
    values : ndarray of float32, shape (N, C)
        As `parse_cells` returns them.
        Instead of both None, if a row or cell looks odd.
    """
    import polars as pl

    time_name = f"c{time_index}"
    schema: dict[str, Any] = {f"c{i}": pl.Float64 for i in range(width)}
    schema[time_name] = pl.String
    try:
        frame = pl.read_csv(
            content,
            has_header=False,
            skip_rows=1,
            schema=schema,
            null_values=list(options.missing_words),
        )
    except pl.exceptions.PolarsError:
        return None
    # polars fills a short row, and a blank line, with nulls.
    if _count_commas(content) != (frame.height + 1) * (width - 1):
        return None
    stamps = frame.drop_in_place(time_name)
    if stamps.null_count():
        return None
    try:
        times_us = parse_stamps(stamps.to_list())
    except ValueError:
        return None
    values = round_numbers(frame.to_numpy(order="c"), options.missing_numbers)
    return None if np.isinf(values).any() else (times_us, values)


def round_numbers(
    numbers: NDArray[np.float64], missing: Sequence[float]
) -> NDArray[np.float32]:
    """Round to float32, and mark what is missing.

    Parameters
    ----------
    numbers : ndarray of float64
        Cells; NaN where missing.
    missing : sequence of float
        Numbers that stand for a missing cell.

    Returns
    -------
    ndarray of float32
        NaN where the cell is missing or not finite; infinite where it is too large.
    """
    absent = ~np.isfinite(numbers)
    for number in missing:
        absent |= numbers == number
    with np.errstate(over="ignore"):
        rounded = numbers.astype(np.float32)
    if absent.any():
        rounded[absent] = np.nan
    return rounded


def _cut_rows(
    content: bytes, width: int
) -> tuple[list[bytes], list[memoryview]] | None:
    """Cut lines into stamp and rest; None if one of them is blank."""
    start = content.find(b"\n") + 1
    if not start or content.count(b",", 0, start) != width - 1:
        return None
    line_feed = b"\r\n" if b"\r" in content else b"\n"
    text = memoryview(content)
    stamps, rows = [], []
    while start < len(content):
        end = content.find(line_feed, start)
        if end < 0:
            end = len(content)
        comma = content.find(b",", start, end)
        if comma < 0:
            return None
        stamps.append(content[start:comma])
        rows.append(text[comma + 1 : end])
        start = end + len(line_feed)
    return (stamps, rows) if rows else None


def _as_one_column(rows: Sequence[memoryview]) -> bytes:
    """Put the mark before each row, and a comma behind each cell."""
    cells: list[bytes | memoryview] = [_MARK] * (2 * len(rows) + 1)
    cells[1::2] = rows
    cells[-1] = b""
    return b",".join(cells)


def _has_short_cells(cells: bytes) -> bool:
    """Tell that no cell has more than 10 characters; some doubt is a no."""
    characters = np.frombuffer(cells, dtype=np.uint8, count=len(cells) // 4 * 4)
    for first in range(0, len(characters), _CHUNK_BYTES - 4):
        # Eleven characters in a row fill two words of four that follow one another.
        words = (characters[first : first + _CHUNK_BYTES] == ord(",")).view(np.uint32)
        if not (words[1:] | words[:-1]).min(initial=1):
            return False
    return True


def _parse_piece(
    cells: bytes,
    part: NDArray[np.float32],
    words: Sequence[str],
    options: TableOptions,
    single: bool,
) -> bool:
    """Parse rows into `part`; False if one of them looks odd."""
    import polars as pl

    # Rounding text to float32 at once gives what rounding to float64 first gives unless
    # that lands half-way between two float32. With 10 characters and no exponent, text
    # that is not itself half-way is further from there than float64 can be off: the
    # least distance is 1 / (5**9 * 2**24) of a power of two, the error 1 / 2**53.
    if single:
        table = _read_rows(cells, pl.Float32, words, part.shape)
        if table is None:
            return False
        if _copy_known(table, part, options.missing_numbers):
            return True
        # Which of these are a missing number only float64 can tell.
    table = _read_rows(cells, pl.Float64, words, part.shape)
    if table is None or not (table[:, 0] == float(_MARK)).all():
        return False
    if np.count_nonzero(table == float(_MARK)) != len(table):
        return False
    part[...] = round_numbers(table[:, 1:], options.missing_numbers)
    return not np.isinf(part).any()


def _copy_known(
    table: NDArray[np.float32], part: NDArray[np.float32], missing: Sequence[float]
) -> bool:
    """Copy cells that are finite numbers, not missing ones, with a mark before each row.

    Where one may be something else the copy is left and the answer is no.
    """
    mark = np.float32(_MARK)
    if not (table[:, 0] == mark).all():
        return False
    lowest = -mark
    others = [number for number in missing if number >= 0]
    if len(others) < len(missing):
        lowest = max(np.float32(number) for number in missing if number < 0)
    step = max(1, _CHUNK_BYTES // max(table[0].nbytes, 1))
    for first in range(0, len(table), step):
        cells = table[first : first + step]
        # The marks are the largest number of all, infinity included.
        if np.count_nonzero(cells >= mark) != len(cells) or (cells <= lowest).any():
            return False
        if any((cells == np.float32(number)).any() for number in others):
            return False
        part[first : first + step] = cells[:, 1:]
    return True


def _read_rows(
    cells: bytes,
    dtype: type[pl.DataType],
    words: Sequence[str],
    shape: tuple[int, ...],
) -> NDArray[Any] | None:
    """Read rows and their marks; None if there are more or fewer cells."""
    import polars as pl

    try:
        frame = pl.read_csv(
            cells,
            has_header=False,
            schema={"cells": dtype},
            separator=_SEPARATOR,
            eol_char=",",
            quote_char=None,
            null_values=list(words) or None,
        )
    except pl.exceptions.PolarsError:
        return None
    rows, columns = shape
    if frame.height != rows * (columns + 1):
        return None
    numbers = frame["cells"].fill_null(np.nan).to_numpy()
    return numbers.reshape(rows, columns + 1)


def _may_be_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _count_commas(content: bytes) -> int:
    # Three times as fast as bytes.count on a megabyte and more.
    characters = np.frombuffer(content, dtype=np.uint8)
    return sum(
        int(np.count_nonzero(characters[first : first + _CHUNK_BYTES] == ord(",")))
        for first in range(0, len(characters), _CHUNK_BYTES)
    )
