"""Read a logger's text file: times, values in the table's units, and its own flags."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest import units
from echoanom.ingest.loggeroptions import PointOptions
from echoanom.ingest.loggertext import LoggerText, Rows, open_logger
from echoanom.ingest.loggertimes import parse_times

_TIME_NAMES = (
    *("timestamp", "time", "datetime", "date_time", "utc"),
    *("time_utc", "datetime_utc", "date"),
)
# What is beyond has no float32, which tables are made of.
_LARGEST = float(np.finfo(np.float32).max)
SUSPECT, FAIL = 3, 4


@dataclasses.dataclass(frozen=True)
class LoggerTable:
    """The samples of one file, by time.

    Attributes
    ----------
    columns : tuple of Column
        Columns that hold a number, and those that were asked for; length C.
    times_us : ndarray of int64, shape (N,)
        Times since 1970 UTC [µs], ascending; equal ones in the order of the file.
    values : ndarray of float64, shape (N, C)
        Cells in the columns' units; NaN where missing.
    flags : ndarray of uint8, shape (N, C)
        The file's own flags as QARTOD has them: 3 suspect, 4 failed, else 0.
    lines : ndarray of int64, shape (N,)
        Lines of the file, counted from 1.
    events : mapping of str to ndarray of int64
        What is worth being counted, and the ascending times at which it happened [µs].
    """

    columns: tuple[Column, ...]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    flags: NDArray[np.uint8]
    lines: NDArray[np.int64]
    events: Mapping[str, NDArray[np.int64]]

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take [byte]."""
        arrays = (self.times_us, self.values, self.flags, self.lines)
        return sum(array.nbytes for array in arrays)


@dataclasses.dataclass
class _Source:
    """A column of the file that becomes one of the table."""

    column: Column
    at: int
    unit: str
    wanted: bool
    numbers: bool = False
    word: tuple[int, str] | None = None
    """First cell that is no number: its line and text."""


def read_logger(path: str, local: str, options: PointOptions) -> LoggerTable:
    """Read a logger's file.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.
    options : PointOptions
        How it is written, and what is wanted of it.

    Returns
    -------
    LoggerTable
        All its samples, in memory.

    Raises
    ------
    InstrumentFileError
        If it is no such table, has no time or none of the wanted columns, a cell is
        neither a number nor marked as missing, or its clock runs backwards.
    """
    with open_logger(path, local, options) as text:
        time_at = _find_times(text, options, path)
        flag_at = _find_flags(text, options, path)
        passed_over = {*time_at, *flag_at.values()}
        sources = _find_sources(text, options, passed_over, path)
        pieces = [
            _read_piece(rows, time_at, flag_at, sources, options, path)
            for rows in text.rows
        ]
    if not pieces:
        raise InstrumentFileError(
            f"must have samples, got no line below the header in line {text.line}", path
        )
    kept = _kept(sources, text, path)
    columns = tuple(sources[at].column for at in kept)
    lines, times = (np.concatenate([piece[i] for piece in pieces]) for i in (0, 1))
    values, flags = (np.concatenate([p[i][:, kept] for p in pieces]) for i in (2, 3))
    for at, one in enumerate(sources[i] for i in kept):
        if one.unit:
            values[:, at] = units.convert(values[:, at], one.unit, one.column.unit)
    infinite = np.abs(values) > _LARGEST
    values[infinite] = np.nan
    events = {"infinite values": np.sort(times[infinite.any(axis=1)])}
    order = _order(times, lines, options, path)
    if order is not None:
        moved = np.diff(times, prepend=times[0]) < 0
        events["steps back in time"] = np.sort(times[moved])
        times, values = times[order], values[order]
        flags, lines = flags[order], lines[order]
    events = {name: at for name, at in events.items() if len(at)}
    return LoggerTable(columns, times, values, flags, lines, events)


def _find_times(text: LoggerText, options: PointOptions, path: str) -> list[int]:
    if options.time_column:
        return [_find(text, name, path, "time column") for name in options.time_column]
    plain = [re.sub(r"[^a-z]+", "_", name.lower()).strip("_") for name in text.header]
    for name in _TIME_NAMES:
        if plain.count(name) == 1:
            if name == "time" and plain.count("date") == 1:
                return [plain.index("date"), plain.index("time")]
            return [plain.index(name)]
    raise InstrumentFileError(
        f"must have a column {', '.join(_TIME_NAMES)}, or date and time, got"
        f" {_listed(text.header)} in line {text.line}; name it with --time-column",
        path,
    )


def _find_flags(text: LoggerText, options: PointOptions, path: str) -> dict[str, int]:
    return {
        name: _find(text, header, path, "flag column")
        for name, header in options.flags_of.items()
    }


def _find_sources(
    text: LoggerText, options: PointOptions, passed_over: set[int], path: str
) -> list[_Source]:
    if not options.wanted:
        sources = []
        for at, header in enumerate(text.header):
            if header and at not in passed_over:
                name, unit = units.split_header(header)
                name = re.sub(r"\s+", "_", name)
                sources.append(_source(options, name, unit, at, wanted=False))
        names = [one.column.name for one in sources]
        for name in names:
            if names.count(name) > 1:
                raise InstrumentFileError(
                    f"must name columns once, got {name!r} {names.count(name)} times in"
                    f" line {text.line}; choose some with --columns, by place: name=#3",
                    path,
                )
        return sources
    sources = []
    for wanted in options.wanted:
        place = _place(text, wanted.source, path)
        if place is not None:
            unit = wanted.unit or units.split_header(text.header[place])[1]
            target = options.column(wanted.name, unit).unit
            if unit and not units.can_convert(units.read_unit(unit) or "", target):
                raise InstrumentFileError(
                    f"must have {wanted.name!r} in a unit that can be converted to"
                    f" {target}, got {text.header[place]!r} in line {text.line}; name"
                    " the column otherwise or, if its header is wrong, its unit in"
                    " --columns",
                    path,
                )
            sources.append(_source(options, wanted.name, unit, place, wanted=True))
    if not sources:
        looked = ", ".join(wanted.source for wanted in options.wanted)
        raise InstrumentFileError(
            f"must have one of the columns {looked}, got {_listed(text.header)} in line"
            f" {text.line}",
            path,
        )
    return sources


def _source(
    options: PointOptions, name: str, unit: str, at: int, *, wanted: bool
) -> _Source:
    column = options.column(name, unit)
    known = units.read_unit(unit) or ""
    if not units.can_convert(known, column.unit):
        # It is as the file says: "pressure (furlong)".
        column, known = dataclasses.replace(column, unit=unit or column.unit), ""
    return _Source(column, at, known, wanted)


def _find(text: LoggerText, name: str, path: str, what: str) -> int:
    place = _place(text, name, path)
    if place is None:
        raise InstrumentFileError(
            f"must have the {what} {name!r}, got {_listed(text.header)} in line"
            f" {text.line}",
            path,
        )
    return place


def _place(text: LoggerText, name: str, path: str) -> int | None:
    """Find a header as it is, or without its unit; or the column ``#3``."""
    for headers in (text.header, [units.split_header(x)[0] for x in text.header]):
        found = [at for at, header in enumerate(headers) if header == name]
        if len(found) > 1:
            raise InstrumentFileError(
                f"must have one column {name!r}, got {len(found)} in line {text.line};"
                f" name it by its place, #{found[0] + 1} or #{found[1] + 1}",
                path,
            )
        if found:
            return found[0]
    match = re.fullmatch(r"#(\d+)", name)
    if match and 1 <= int(match[1]) <= len(text.header):
        return int(match[1]) - 1
    return None


def _read_piece(
    rows: Rows,
    time_at: Sequence[int],
    flag_at: Mapping[str, int],
    sources: Sequence[_Source],
    options: PointOptions,
    path: str,
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]
]:
    lines, cells = rows
    columns = list(zip(*cells, strict=True))
    stamps = [
        " ".join(parts) for parts in zip(*(columns[at] for at in time_at), strict=True)
    ]
    times = parse_times(stamps, lines, options, path)
    values = np.full((len(lines), len(sources)), np.nan)
    flags = np.zeros(values.shape, dtype=np.uint8)
    for at, one in enumerate(sources):
        values[:, at] = _numbers(columns[one.at], lines, one, options, path)
    for name, place in flag_at.items():
        told = _flags(columns[place], options)
        for at, one in enumerate(sources):
            if name in ("", one.column.name):
                np.maximum(flags[:, at], told, out=flags[:, at])
    return np.array(lines), times, values, flags


def _numbers(
    cells: Sequence[str],
    lines: Sequence[int],
    source: _Source,
    options: PointOptions,
    path: str,
) -> NDArray[np.float64]:
    import polars as pl

    text = pl.Series(cells, dtype=pl.String).str.strip_chars()
    if options.decimal_comma:
        text = text.str.replace(",", ".", literal=True)
    blank = text.str.len_bytes() == 0
    missing = blank | text.is_in([*options.missing_words, "NaN", "nan", "NAN"])
    numbers = text.cast(pl.Float64, strict=False)
    words = (numbers.is_null() & ~missing).to_numpy()
    result = numbers.set(missing, None).fill_null(float("nan")).to_numpy().copy()
    result[np.isin(result, options.missing_numbers)] = np.nan
    source.numbers |= bool(np.isfinite(result).any())
    if words.any():
        at = int(np.argmax(words))
        source.word = source.word or (lines[at], cells[at])
        if source.wanted or source.numbers:
            raise _no_number(source, path)
    elif source.word and source.numbers:
        raise _no_number(source, path)
    return result


def _no_number(source: _Source, path: str) -> InstrumentFileError:
    assert source.word is not None
    line, cell = source.word
    return InstrumentFileError(
        f"must have a number or a missing marker in every cell of"
        f" {source.column.name!r}, got {cell!r} in line {line}; if it means that a value"
        f" is missing, say --missing-words {cell.strip()!r}; if the column is not"
        " wanted, choose others with --columns",
        path,
    )


def _flags(cells: Iterable[str], options: PointOptions) -> NDArray[np.uint8]:
    meaning = {_plain(word): SUSPECT for word in options.suspect_values}
    meaning |= {_plain(word): FAIL for word in options.fail_values}
    seen: dict[str, int] = {}
    result = []
    for cell in cells:
        if cell not in seen:
            seen[cell] = meaning.get(_plain(cell), 0)
        result.append(seen[cell])
    return np.array(result, dtype=np.uint8)


def _plain(word: str) -> str:
    """Write ``4.0`` as ``4`` and ``True`` as ``true``."""
    word = word.strip().lower()
    return re.sub(r"^([+-]?\d+)\.0*$", r"\1", word)


def _kept(sources: Sequence[_Source], text: LoggerText, path: str) -> list[int]:
    kept = [at for at, one in enumerate(sources) if one.wanted or one.numbers]
    if not any(one.numbers for one in sources):
        raise InstrumentFileError(
            "must have a number in some column besides the time, got none in"
            f" {_listed(one.column.name for one in sources)}",
            path,
        )
    return kept


def _order(
    times: NDArray[np.int64],
    lines: NDArray[np.int64],
    options: PointOptions,
    path: str,
) -> NDArray[np.int64] | None:
    """Return the order by time, None if it is that of the file."""
    back = np.flatnonzero(np.diff(times) < 0)
    if not len(back):
        return None
    if options.order == "refuse":
        at = int(back[0])
        before, now = np.datetime_as_string(
            times[at : at + 2].astype("datetime64[us]"), unit="s"
        )
        raise InstrumentFileError(
            f"must have a clock that runs forwards, got {now} UTC in line"
            f" {lines[at + 1]} after {before} in line {lines[at]}"
            f" ({len(back)} such steps); if only the lines are out of order, say"
            " --order sort",
            path,
        )
    return np.argsort(times, kind="stable")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    text = ", ".join(names[:20])
    return text + (f" and {len(names) - 20} more" if len(names) > 20 else "")
