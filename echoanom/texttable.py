"""CSV tables that people may have written: scores, labels, events.

Every refusal names file, line and column. Daily tables, a thousand times larger, have
their own reader.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.errors import ScoresError
from echoanom.stamps import parse_stamp


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table of text, N rows.

    Attributes
    ----------
    path : str
        The file, for messages.
    columns : dict of str to tuple of str, length N
        The cells, by column.
    lines : tuple of int, length N
        The line on which each row ends, counted from 1.
    """

    path: str
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a column as text.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        tuple of str, length N
            Without blanks around; all empty if there is no such column.
        """
        cells = self.columns.get(name)
        return tuple(map(str.strip, cells)) if cells else ("",) * len(self.lines)

    def times(self, name: str) -> NDArray[np.int64]:
        """Return a column of times.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        ndarray of int64, shape (N,)
            Seconds since 1970 UTC.

        Raises
        ------
        ScoresError
            If a cell is not a time in whole seconds.
        """
        times = np.empty(len(self.lines), dtype=np.int64)
        for row, cell in enumerate(self.columns[name]):
            try:
                times[row], rest = divmod(parse_stamp(cell.strip()), 1_000_000)
            except ValueError:
                rest = -1
            if rest:
                raise self.refusal(
                    row, name, "a UTC time in whole seconds like 2015-02-01T00:00:00Z"
                )
        return times

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        ndarray of float64, shape (N,)
            NaN where a cell is blank, or if there is no such column.

        Raises
        ------
        ScoresError
            If a cell is neither blank nor a finite number.
        """
        numbers = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(self.columns.get(name, ())):
            if not cell or cell.isspace() or cell.strip().lower() == "nan":
                continue
            try:
                numbers[row] = float(cell)
            except ValueError:
                numbers[row] = math.inf
            if not math.isfinite(numbers[row]):
                raise self.refusal(row, name, "a finite number or blank")
        return numbers

    def refusal(self, row: int, name: str, rule: str) -> ScoresError:
        """Make the error that refuses a cell.

        Parameters
        ----------
        row : int
            The cell's row, counted from 0.
        name : str
            The cell's column.
        rule : str
            What the cell must be.

        Returns
        -------
        ScoresError
            To be raised.
        """
        return ScoresError(
            f"{self.path}, line {self.lines[row]}, column {name!r}: must be {rule},"
            f" got {self.columns[name][row]!r}"
        )


def read_text_table(
    path: str, required: Sequence[str], content: bytes | None = None
) -> TextTable:
    """Read a CSV table as text.

    Parameters
    ----------
    path : str
        Path or URL.
    required : sequence of str
        Columns it must have.
    content : bytes, optional
        The file's content, if it was read already.

    Returns
    -------
    TextTable
        All its columns. Blank lines are left out.

    Raises
    ------
    ScoresError
        If it is no CSV in UTF-8, a column is missing or there twice, or a line has too
        few or too many cells.
    StorageError
        If it cannot be read.
    """
    if content is None:
        content = storage.read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScoresError(f"{path}: must be a CSV table in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    rows, lines = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, required, path)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise ScoresError(
                    f"{path}, line {reader.line_num}: must have {len(header)} cells,"
                    f" as the header has, got {len(cells)}"
                )
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ScoresError(
            f"{path}, line {reader.line_num}: must be CSV: {error}"
        ) from None
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return TextTable(path, dict(zip(header, columns, strict=True)), tuple(lines))


def _check_header(header: list[str], required: Sequence[str], path: str) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise ScoresError(
            f"{path}: must have the columns {', '.join(required)}; lacks"
            f" {', '.join(missing)}, has {', '.join(header) or 'none'}"
        )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise ScoresError(f"{path}: must have each column once, has {twice!r} twice")
