"""Samples of several logger files as one series, each time once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.averaging import average
from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest.loggertable import LoggerTable
from echoanom.options import Duplicates


@dataclasses.dataclass(frozen=True)
class Series:
    """Samples of a stretch of time.

    Attributes
    ----------
    times_us : ndarray of int64, shape (N,)
        Times since 1970 UTC [µs], ascending, none twice.
    values : ndarray of float64, shape (N, C)
        Cells; NaN where missing.
    flags : ndarray of uint8, shape (N, C)
        The files' own flags: 3 suspect, 4 failed, else 0.
    twice_us, differing_us : ndarray of int64
        Times of samples that were found more than once, one for each that was left
        out; and times at which they differed [µs].
    """

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    flags: NDArray[np.uint8]
    twice_us: NDArray[np.int64]
    differing_us: NDArray[np.int64]


def join_tables(
    tables: Sequence[tuple[str, LoggerTable]],
    columns: Sequence[Column],
    start_us: int,
    stop_us: int,
    duplicates: Duplicates,
) -> Series:
    """Join what files have of a stretch of time.

    Parameters
    ----------
    tables : sequence of (str, LoggerTable)
        Paths and what is in them, by time of the first sample.
    columns : sequence of Column
        Columns of all files, length C.
    start_us, stop_us : int
        The stretch since 1970 UTC [µs], without `stop_us`.
    duplicates : {'refuse', 'first', 'last', 'mean'}
        What to do with cells of the same time that differ; equal ones are taken once.

    Returns
    -------
    Series
        The samples. Cells that one sample lacks are taken from another of the time.

    Raises
    ------
    InstrumentFileError
        If cells of the same time differ, and that is refused.
    """
    names = [column.name for column in columns]
    times, values, flags, lines, owner = [], [], [], [], []
    for file, (_, table) in enumerate(tables):
        first, behind = np.searchsorted(table.times_us, (start_us, stop_us))
        rows = slice(first, behind)
        shape = (int(behind - first), len(columns))
        cells, marks = np.full(shape, np.nan), np.zeros(shape, dtype=np.uint8)
        places = [names.index(column.name) for column in table.columns]
        cells[:, places], marks[:, places] = table.values[rows], table.flags[rows]
        times.append(table.times_us[rows])
        values.append(cells)
        flags.append(marks)
        lines.append(table.lines[rows])
        owner.append(np.full(shape[0], file))
    all_times = np.concatenate(times)
    order = np.argsort(all_times, kind="stable")
    rows_of = _Rows(
        all_times[order],
        np.concatenate(values)[order],
        np.concatenate(flags)[order],
        np.concatenate(lines)[order],
        np.concatenate(owner)[order],
    )
    return _once(rows_of, columns, [path for path, _ in tables], duplicates)


@dataclasses.dataclass(frozen=True)
class _Rows:
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    flags: NDArray[np.uint8]
    lines: NDArray[np.int64]
    owner: NDArray[np.int64]


def _once(
    rows: _Rows, columns: Sequence[Column], paths: Sequence[str], duplicates: Duplicates
) -> Series:
    none = np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.diff(rows.times, prepend=rows.times[:1] - 1))
    if len(starts) == len(rows.times):
        return Series(rows.times, rows.values, rows.flags, none, none)
    stops = np.append(starts[1:], len(rows.times))
    least = np.fmin.reduceat(rows.values, starts, axis=0)
    most = np.fmax.reduceat(rows.values, starts, axis=0)
    seen = np.add.reduceat((~np.isnan(rows.values)).astype(np.int64), starts, axis=0)
    differing = np.argwhere(most > least)
    if len(differing) and duplicates == "refuse":
        group, column = (int(x) for x in differing[0])
        raise _conflict(
            rows, slice(starts[group], stops[group]), columns, column, paths
        )
    for group, column in differing:
        cells = rows.values[starts[group] : stops[group], column]
        cells = cells[~np.isnan(cells)]
        if duplicates == "mean":
            weights = np.ones(len(cells))
            least[group, column] = average(cells, weights, columns[column].kind)
        else:
            least[group, column] = cells[0 if duplicates == "first" else -1]
    times = rows.times[starts]
    spare = np.maximum(seen.max(axis=1) - 1, 0)
    return Series(
        times,
        least,
        np.maximum.reduceat(rows.flags, starts, axis=0),
        np.repeat(times, spare),
        times[np.unique(differing[:, 0])],
    )


def _conflict(
    rows: _Rows,
    group: slice,
    columns: Sequence[Column],
    column: int,
    paths: Sequence[str],
) -> InstrumentFileError:
    cells = rows.values[group, column]
    observed = np.flatnonzero(~np.isnan(cells))
    first = int(observed[0])
    other = int(next(at for at in observed if cells[at] != cells[first]))
    (one, two), (file, later) = (
        rows.lines[group][[first, other]],
        (paths[at] for at in rows.owner[group][[first, other]]),
    )
    moment = np.datetime_as_string(
        rows.times[group][0].astype("datetime64[us]"), unit="s"
    )
    where = f"line {one}" + (f" of {file}" if file != later else "")
    return InstrumentFileError(
        f"must have one value of {columns[column].name!r} at a time, got"
        f" {cells[other]:g} in line {two}, but {cells[first]:g} in {where}, both at"
        f" {moment} UTC; choose with --duplicates",
        later,
    )
