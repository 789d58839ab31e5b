"""Take a logger's text file apart into lines of cells, a piece at a time."""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from typing import IO, Any, TextIO, cast

from echoanom.errors import InstrumentFileError
from echoanom.ingest.loggeroptions import PointOptions

_LOOK_BYTES = 1 << 16
_SNIFFED_LINES = 20
_PIECE_ROWS = 1 << 15
# Space last: dates and headers have spaces, too.
_CANDIDATES = ("\t", ";", ",", "|", " ")

Rows = tuple[list[int], list[list[str]]]
"""Line numbers, counted from 1, and the cells of each line."""


@dataclasses.dataclass(frozen=True)
class LoggerText:
    """An open file behind its header.

    Attributes
    ----------
    header : tuple of str
        Headers of the columns, length C.
    line : int
        Line of the header, counted from 1.
    rows : iterator of (list of int, list of list of str)
        Pieces of lines: their numbers, and C cells of each.
    """

    header: tuple[str, ...]
    line: int
    rows: Iterator[Rows]


@contextlib.contextmanager
def open_logger(path: str, local: str, options: PointOptions) -> Iterator[LoggerText]:
    """Open a logger's file and read its header.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.
    options : PointOptions
        How it is written.

    Yields
    ------
    LoggerText
        The header, and lines to come.

    Raises
    ------
    InstrumentFileError
        If it is no text, has no header or no line below it, or a line has not as many
        cells as the header; also while lines are read.
    """
    try:
        with _open_bytes(local) as raw, _open_text(path, raw) as text:
            yield _begin(path, text, options)
    except UnicodeDecodeError as error:
        raise InstrumentFileError(
            f"must be text, got bytes that are no {error.encoding}", path
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InstrumentFileError(
            f"must be a whole gzip file, got: {error}; copy it again", path
        ) from None


def _open_bytes(local: str) -> IO[bytes]:
    with open(local, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opened: Any = gzip.open(local, "rb") if packed else open(local, "rb")
    return cast(IO[bytes], opened)


def _open_text(path: str, raw: IO[bytes]) -> TextIO:
    start = raw.read(_LOOK_BYTES)
    encoding = _encoding(raw, start)
    at = start.find(b"\0")
    if at >= 0 and encoding != "utf-16":
        raise InstrumentFileError(
            f"must be text, got a binary file: byte {at} is zero", path
        )
    raw.seek(0)
    # csv wants to see the ends of lines as they are.
    return io.TextIOWrapper(raw, encoding=encoding, newline="")


def _encoding(raw: IO[bytes], start: bytes) -> str:
    """Tell UTF-8, with or without a mark, from UTF-16 and from Latin-1."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    piece = start
    try:
        while piece:
            decoder.decode(piece)
            piece = raw.read(_LOOK_BYTES)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        # Every byte is a character of it: a degree sign, most often.
        return "latin-1"
    return "utf-8-sig"


def _begin(path: str, text: TextIO, options: PointOptions) -> LoggerText:
    lines = _numbered(text, options)
    first = list(itertools.islice(lines, _SNIFFED_LINES))
    if not first:
        raise InstrumentFileError(
            "must have a header and samples, got no line of text"
            + (f" below line {options.skip_lines}" if options.skip_lines else ""),
            path,
        )
    separator = options.delimiter or _sniff([line for _, line in first])
    if not separator:
        raise InstrumentFileError(
            f"must have cells between commas, semicolons, tabs, bars or spaces, got"
            f" {_short(first[0][1])!r} in line {first[0][0]}; name the separator, or"
            " how many lines there are before the header (--skip-lines)",
            path,
        )
    rows = _cells(path, itertools.chain(first, lines), separator)
    line, header = next(rows)
    while header and not header[-1].strip():
        header = header[:-1]
    if len(header) < 2:
        raise InstrumentFileError(
            f"must have a time and at least one value, got one column in line {line},"
            f" {_short(first[0][1])!r}, with the separator {separator!r}; is it another?",
            path,
        )
    for _ in range(options.skip_below):
        next(rows, None)
    pieces = _pieces(path, rows, len(header), line)
    return LoggerText(tuple(cell.strip() for cell in header), line, pieces)


def _numbered(text: TextIO, options: PointOptions) -> Iterator[tuple[int, str]]:
    """Yield lines with something on them, and their numbers."""
    for number, line in enumerate(text, 1):
        if number <= options.skip_lines or not line.strip():
            continue
        if options.comment and line.startswith(options.comment):
            continue
        yield number, line


def _sniff(lines: list[str]) -> str:
    """Find the separator that cuts the most lines into as many cells as the header."""
    best, most = "", 0
    for separator in _CANDIDATES:
        counts = [len(_split(line, separator)) for line in lines]
        alike = counts.count(counts[0])
        if counts[0] > 1 and alike > most:
            best, most = separator, alike
    return best


def _split(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        # It is read again, where the line can be named.
        return [line]


def _cells(
    path: str, lines: Iterator[tuple[int, str]], separator: str
) -> Iterator[tuple[int, list[str]]]:
    if separator == " ":
        for number, line in lines:
            yield number, line.split()
        return
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for at, line in lines:
            number = at
            yield line

    reader = csv.reader(texts(), delimiter=separator, skipinitialspace=True)
    try:
        for row in reader:
            yield number, row
    except csv.Error as error:
        raise InstrumentFileError(
            f"must be a table of text, got: {error}, at line {number}", path
        ) from None


def _pieces(
    path: str, rows: Iterator[tuple[int, list[str]]], width: int, header: int
) -> Iterator[Rows]:
    numbers: list[int] = []
    cells: list[list[str]] = []
    for number, row in rows:
        if len(row) != width:
            if len(row) < width or any(cell.strip() for cell in row[width:]):
                raise InstrumentFileError(
                    f"must have {width} cells in every line, as line {header} has, got"
                    f" {len(row)} in line {number}; correct or remove that line, or"
                    " name the separator",
                    path,
                )
            row = row[:width]
        numbers.append(number)
        cells.append(row)
        if len(numbers) == _PIECE_ROWS:
            yield numbers, cells
            numbers, cells = [], []
    if numbers:
        yield numbers, cells


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else text[:57] + "..."
