"""The cells of a CSV: bytes to stamps and numbers.

A table that looks ordinary is parsed by polars. Whatever looks odd (a cell polars
refuses, separators that do not add up) is read again by Python's csv module, one line
at a time, which decides: it takes some oddities that polars does not, and for the
others it knows the first bad line.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom import bulkcells
from echoanom.errors import TableError
from echoanom.options import TableOptions
from echoanom.stamps import parse_stamp

_BOM = b"\xef\xbb\xbf"
_LONGEST_QUOTE = 40
# Looked for in this order when no time column is named. A blank name counts only in
# front: it is what pandas writes for an index without a name.
TIME_NAMES = ("timestamp", "time", "datetime", "date_time", "date time", "utc")


@dataclasses.dataclass(frozen=True)
class Header:
    """First line of a table.

    Attributes
    ----------
    columns : tuple of str
        Names of the data columns, in file order.
    time_name : str
        Name of the time stamp column.
    time_index : int
        Position of the time stamp among all columns.
    """

    columns: tuple[str, ...]
    time_name: str
    time_index: int


@dataclasses.dataclass(frozen=True)
class Rows:
    """Data rows of a table, in file order.

    Attributes
    ----------
    times_us : ndarray of int64, shape (N,)
        Time stamps as written, since 1970 UTC [µs].
    values : ndarray of float32, shape (N, C)
        Cells; NaN for blank cells, missing words and numbers, and infinite values.
    """

    times_us: NDArray[np.int64]
    values: NDArray[np.float32]


def quoted(text: str) -> str:
    """Quote a piece of input for a message, in one line and not too long.

    Parameters
    ----------
    text : str
        The piece.

    Returns
    -------
    str
        Its quotation, cut after 40 characters.
    """
    if len(text) > _LONGEST_QUOTE:
        return repr(text[:_LONGEST_QUOTE]) + "..."
    return repr(text)


def check_text(content: bytes, path: str) -> None:
    """Require that a file is UTF-8 text.

    Parameters
    ----------
    content : bytes
        The file's content.
    path : str
        Its name, for messages.

    Raises
    ------
    TableError
        If it is empty, not UTF-8, or has NUL bytes.
    """
    if content in (b"", _BOM) or content.isspace():
        raise TableError("must have a header line, got an empty file", path=path)
    nul = content.find(b"\0")
    if nul >= 0:
        raise TableError(
            "must be text, got a NUL byte; write the file again",
            path=path,
            line=content.count(b"\n", 0, nul) + 1,
        )
    if content.isascii():
        return
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise TableError(
            f"must be UTF-8 text, got byte 0x{content[error.start]:02x};"
            " save the file as UTF-8",
            path=path,
            line=content.count(b"\n", 0, error.start) + 1,
        ) from None


def parse_header(content: bytes, path: str, options: TableOptions) -> Header:
    """Read the header line.

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
        If there is no header, no time stamp, no other column, or a column without
        a name or with the name of another.
    """
    first_line = content[: content.find(b"\n") + 1]
    header = _plain_header(first_line, options)
    return header or _parse_header(content, path, options)


@functools.lru_cache(maxsize=64)
def _plain_header(line: bytes, options: TableOptions) -> Header | None:
    # A sensor's days have the same header, and it may have thousands of columns.
    if b'"' in line or not line.strip():
        return None
    try:
        return _parse_header(line, "", options)
    except TableError:
        return None


def _parse_header(content: bytes, path: str, options: TableOptions) -> Header:
    line, cells = next(_records(content, path))
    return header_from_names(cells, path, options, line)


def header_from_names(
    cells: Sequence[str], path: str, options: TableOptions, line: int | None = None
) -> Header:
    """Tell the time stamp from the data columns.

    Parameters
    ----------
    cells : sequence of str
        Names of all columns; blanks around them do not count.
    path : str
        The table's name, for messages.
    options : TableOptions
        Says which column holds the time stamp.
    line : int, optional
        The line they stand on, for messages.

    Returns
    -------
    Header
        Column names and the place of the time stamp.

    Raises
    ------
    TableError
        If there is no time stamp, no other column, or a column without a name or
        with the name of another.
    """
    names = [cell.strip() for cell in cells]
    time_index = _find_time(names, path, line, options)
    columns = names[:time_index] + names[time_index + 1 :]
    if not columns:
        raise TableError(
            "must have a data column beside the time stamp, got none"
            + ("" if line is None else "; columns are separated by commas"),
            path=path,
            line=line,
        )
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if position == time_index + 1:
            continue
        if not name:
            raise TableError(
                f"every column must have a name, got none for column {position}",
                path=path,
                line=line,
            )
        if name in seen or name == names[time_index]:
            raise TableError(
                "column names must differ, got one twice",
                path=path,
                line=line,
                column=name,
            )
        seen.add(name)
    return Header(tuple(columns), names[time_index], time_index)


def _find_time(
    names: list[str], path: str, line: int | None, options: TableOptions
) -> int:
    if options.time_column:
        wanted: tuple[str, ...] = (options.time_column,)
        found = names
    else:
        wanted = TIME_NAMES
        found = [name.lower() for name in names]
    for name in wanted:
        if name in found:
            return found.index(name)
    if not options.time_column and names[:1] in ([""], ["Unnamed: 0"]):
        return 0
    shown = ", ".join(quoted(name) for name in names[:3]) or "no column"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise TableError(
        f"must have a time stamp column ({' or '.join(wanted[:3])}),"
        f" got {shown}{more}; name it with the option time_column",
        path=path,
        line=line,
    )


def parse_rows(
    content: bytes, path: str, header: Header, options: TableOptions
) -> Rows:
    """Read the data rows.

    Parameters
    ----------
    content : bytes
        The file's content, checked by `check_text`.
    path : str
        Its name, for messages.
    header : Header
        Its header.
    options : TableOptions
        Words and numbers that stand for missing cells.

    Returns
    -------
    Rows
        Stamps and cells, in file order.

    Raises
    ------
    TableError
        At the first line with a wrong number of cells, a stamp that is none, or a
        cell that is no number; else at the first with a number too large for float32.
    """
    rows = _parse_fast(content, header, options)
    if rows is None:
        rows = _parse_slow(content, path, header, options)
    return rows


def line_of_row(content: bytes, path: str, row: int) -> int:
    """Find the line a data row stands on.

    Parameters
    ----------
    content : bytes
        The file's content.
    path : str
        Its name, for messages.
    row : int
        The data row, counted from 0 without blank lines.

    Returns
    -------
    int
        The line, counted from 1.
    """
    for position, (line, _) in enumerate(_records(content, path), start=-1):
        if position == row:
            return line
    raise IndexError(f"no data row {row} in {path}")


def _records(content: bytes, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank, header first."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise TableError(
            f"must be comma-separated text, got: {error}",
            path=path,
            line=reader.line_num,
        ) from None


def _parse_fast(content: bytes, header: Header, options: TableOptions) -> Rows | None:
    if _has_stray_marks(content):
        return None
    if content.endswith((b"\n\n", b"\n\r\n")):
        # polars would make a row of each blank line.
        content = content.rstrip(b"\r\n")
    width = len(header.columns) + 1
    found = None
    if header.time_index == 0:
        found = bulkcells.parse_cells(content, width, options)
    if found is None:
        found = bulkcells.parse_columns(content, width, header.time_index, options)
    return None if found is None else Rows(*found)


def _has_stray_marks(content: bytes) -> bool:
    # polars drops a carriage return before a comma, and the last character of a
    # quoted cell that the end of the file cuts off.
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        return True
    return b'"' in content and content.count(b'"') % 2 == 1


def _parse_slow(
    content: bytes, path: str, header: Header, options: TableOptions
) -> Rows:
    width = len(header.columns) + 1
    words = frozenset(options.missing_words)
    times_us: list[int] = []
    rows: list[NDArray[np.float64]] = []
    records = _records(content, path)
    next(records)
    for line, cells in records:
        if len(cells) != width:
            raise TableError(
                f"every row must have {width} cells like the header, got {len(cells)}",
                path=path,
                line=line,
            )
        stamp = cells.pop(header.time_index).strip()
        try:
            times_us.append(parse_stamp(stamp))
        except ValueError:
            raise TableError(
                f"time stamp must look like 2015-02-01T12:00:00Z, got {quoted(stamp)}",
                path=path,
                line=line,
                column=header.time_name,
            ) from None
        row = np.empty(len(cells))
        for i, cell in enumerate(cells):
            number = _parse_number(cell.strip(), words)
            if number is None:
                raise TableError(
                    f"must be a number or a missing marker, got {quoted(cell)};"
                    " more markers can be named with the option missing_words",
                    path=path,
                    line=line,
                    column=header.columns[i],
                )
            row[i] = number
        rows.append(row)
    wide = np.stack(rows) if rows else np.empty((0, len(header.columns)))
    values = bulkcells.round_numbers(wide, options.missing_numbers)
    too_large = np.isinf(values)
    if too_large.any():
        at, column = (int(i) for i in np.argwhere(too_large)[0])
        raise TableError(
            f"must fit in float32, got {wide[at, column]:g}; a missing marker can be"
            " named with the option missing_numbers",
            path=path,
            line=line_of_row(content, path, at),
            column=header.columns[column],
        )
    return Rows(np.array(times_us, dtype=np.int64), values)


def _parse_number(text: str, words: frozenset[str]) -> float | None:
    if not text or text in words:
        return float("nan")
    # float() also takes 1_000 and digits of other scripts, which polars does not.
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None
