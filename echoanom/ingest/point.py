"""Point instruments: loggers whose text files have a time and values in each line."""

from __future__ import annotations

import collections
import dataclasses
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column, column_from_name
from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest import qartod
from echoanom.ingest.instrument import Block, Flag, InstrumentFile, Look
from echoanom.ingest.loggerjoin import Series, join_tables
from echoanom.ingest.loggeroptions import PointOptions
from echoanom.ingest.loggertable import FAIL, LoggerTable, read_logger
from echoanom.options import DAY_S

_VERSION = 1
_DAY_US = DAY_S * 1_000_000
_BLOCK_ROWS = 1 << 16
# A file is read once for all days that a process makes one after the other.
_CACHE_BYTES = 1 << 30
_tables: collections.OrderedDict[tuple[str, PointOptions], LoggerTable] = (
    collections.OrderedDict()
)
_FILE_TEST = "file"


class Point:
    """A logger of one or more values, in text files.

    Parameters
    ----------
    options : PointOptions, optional
        How they are read and judged.

    Raises
    ------
    OptionError
        If the file of checks cannot be used.
    MissingExtraError
        If there are checks, and ioos_qc is not installed.
    """

    name = "point"
    suffixes = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz")
    least_samples = 1
    joins_files = True

    def __init__(self, options: PointOptions | None = None) -> None:
        self.options = options or PointOptions()
        self._tests = qartod.read_config(self.options.qc) if self.options.qc else {}
        # The checks are known; where they were read matters no more.
        self._reading = dataclasses.replace(self.options, qc="")

    @property
    def look_version(self) -> int:
        """Another for all options that decide on times and columns."""
        text = json.dumps([_VERSION, self._reading.as_json()], sort_keys=True)
        return zlib.crc32(text.encode())

    @property
    def context_s(self) -> int:
        """A day and what its checks look at, as all of a day is judged at once [s]."""
        return DAY_S + qartod.context_of(self._tests) if self._tests else 0

    def recipe(self) -> Mapping[str, Any]:
        """Return what decides on the result besides the files.

        Returns
        -------
        mapping of str to Any
            Options, checks and, if there are any, the version of ioos_qc.
        """
        recipe = {"version": _VERSION, **self._reading.as_json(), "qc": self._tests}
        return recipe | ({"ioos_qc": qartod.version()} if self._tests else {})

    def look(self, path: str, local: str) -> Look:
        """Read a file, and find its times and columns.

        Parameters
        ----------
        path : str
            The file as the caller named it.
        local : str
            Where it is on this machine.

        Returns
        -------
        Look
            Its times; as facts, names and units of its columns.

        Raises
        ------
        InstrumentFileError
            If it cannot be read, its clock runs backwards, or samples of the same time
            differ.
        """
        table = read_logger(path, local, self._reading)
        first, last = int(table.times_us[0]), int(table.times_us[-1])
        join_tables(
            [(path, table)], table.columns, first, last + 1, self.options.duplicates
        )
        columns = [[column.name, column.unit] for column in table.columns]
        return Look(first, last, {"columns": columns})

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        """Tell every file the columns of all.

        Parameters
        ----------
        files : sequence of InstrumentFile
            All files, by time of their first sample.

        Returns
        -------
        sequence of InstrumentFile
            The same, with one more fact: columns of all files, in the order of the
            options or, without, as they come up.

        Raises
        ------
        InstrumentFileError
            If files have the same column in different units, or none has one that was
            asked for.
        OptionError
            If a column that is to be checked is in no file.
        """
        units: dict[str, str] = {}
        for file in files:
            for name, unit in file.look.facts["columns"]:
                if units.setdefault(name, unit) != unit:
                    raise InstrumentFileError(
                        f"must have {name!r} in {units[name]!r} as other files have, got"
                        f" {unit!r}; choose the column's unit with --columns",
                        file.path,
                    )
        for wanted in self.options.wanted:
            if wanted.name not in units:
                raise InstrumentFileError(
                    f"must have the column {wanted.source!r}, as no other file has it;"
                    f" found were only {', '.join(units)}",
                    files[0].path,
                )
        named = {wanted.name: "" for wanted in self.options.wanted}
        columns = [[name, units[name]] for name in named | units]
        checked = {*self._tests, *self.options.flags_of} - {""}
        if unknown := sorted(checked - set(units)):
            raise OptionError(
                f"checks and flags must be of columns that there are, got"
                f" {', '.join(unknown)}; there are {', '.join(units)}"
            )
        return [_with_facts(file, {"all": columns}) for file in files]

    def blocks(
        self, files: Sequence[InstrumentFile], start_us: int, stop_us: int
    ) -> Iterator[Block]:
        """Read and judge the samples of a stretch of time.

        Parameters
        ----------
        files : sequence of InstrumentFile
            Those with samples in it or around it; they may overlap.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs], without `stop_us`, within one day.

        Yields
        ------
        Block
            The samples. All of a day and what is around it is judged, whatever part
            is asked for, so that a value is judged the same however often it is read.

        Raises
        ------
        InstrumentFileError
            If a file cannot be read, or two have different values at a time.
        """
        first, behind = start_us, stop_us
        if self._tests:
            day_us = start_us // _DAY_US * _DAY_US
            around_us = (self.context_s - DAY_S) * 1_000_000
            first, behind = day_us - around_us, day_us + _DAY_US + around_us
        here = [
            f for f in files if f.look.first_us < behind and f.look.last_us >= first
        ]
        if not here:
            return
        columns = tuple(self._column(*one) for one in here[0].look.facts["all"])
        tables = [(file.path, self._table(file)) for file in here]
        series = join_tables(tables, columns, first, behind, self.options.duplicates)
        values, flags = self._judged(series, columns)
        counts = _counts(series, [table for _, table in tables], start_us, stop_us)
        inside = np.searchsorted(series.times_us, (start_us, stop_us))
        for at in range(inside[0], inside[1], _BLOCK_ROWS):
            rows = slice(at, min(at + _BLOCK_ROWS, inside[1]))
            times = series.times_us[rows]
            told = tuple(f for f in flags if times[0] <= f.time_us <= times[-1])
            yield Block(columns, times, values[rows], here[0].path, counts, told)
            counts = {}

    def finish(
        self, columns: tuple[Column, ...], values: NDArray[np.float32]
    ) -> tuple[tuple[Column, ...], NDArray[np.float32]]:
        """Leave the means as they are.

        Parameters
        ----------
        columns : tuple of Column
            Columns of the blocks, length C.
        values : ndarray of float32, shape (T, C)
            Means of each period.

        Returns
        -------
        columns : tuple of Column
            The same.
        values : ndarray of float32, shape (T, C)
            The same.
        """
        return columns, values

    def _column(self, name: str, unit: str) -> Column:
        column = column_from_name(name, "")
        return dataclasses.replace(column, unit=unit, depth_m=self.options.depth_m)

    def _table(self, file: InstrumentFile) -> LoggerTable:
        key = file.hash, self._reading
        table = _tables.get(key)
        if table is None:
            with file.here() as local:
                table = read_logger(file.path, local, self._reading)
            _tables[key] = table
            while len(_tables) > 1 and _cached_bytes() > _CACHE_BYTES:
                _tables.popitem(last=False)
        _tables.move_to_end(key)
        return table

    def _judged(
        self, series: Series, columns: Sequence[Column]
    ) -> tuple[NDArray[np.float64], list[Flag]]:
        """Take out what the files and the checks say is wrong."""
        marked = (series.flags > 0) & ~np.isnan(series.values)
        flags = [
            Flag(
                int(series.times_us[row]),
                columns[at].name,
                float(series.values[row, at]),
                int(series.flags[row, at]),
                _FILE_TEST,
            )
            for row, at in np.argwhere(marked)
        ]
        values = np.where(series.flags == FAIL, np.nan, series.values)
        if self._tests:
            judged = qartod.judge(self._tests, columns, series.times_us, values)
            values = judged.values
            flags = sorted([*flags, *judged.flags], key=lambda flag: flag.time_us)
        return values, flags


def _with_facts(file: InstrumentFile, facts: Mapping[str, Any]) -> InstrumentFile:
    look = dataclasses.replace(file.look, facts={**file.look.facts, **facts})
    return dataclasses.replace(file, look=look)


def _counts(
    series: Series, tables: Sequence[LoggerTable], start_us: int, stop_us: int
) -> dict[str, int]:
    counts: collections.Counter[str] = collections.Counter()
    events = [("samples found twice", series.twice_us)]
    events.append(("times with differing samples", series.differing_us))
    for table in tables:
        events += table.events.items()
    for name, times in events:
        first, behind = np.searchsorted(times, (start_us, stop_us))
        counts[name] += int(behind - first)
    return {name: number for name, number in counts.items() if number}


def _cached_bytes() -> int:
    return sum(table.nbytes for table in _tables.values())
