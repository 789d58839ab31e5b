"""Make one day's table from the files that have samples of it."""

from __future__ import annotations

import collections
import csv
import dataclasses
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom import publishing, storage
from echoanom.columns import Column
from echoanom.daily import compare_names
from echoanom.errors import DataError, InstrumentFileError
from echoanom.filling import fill_gaps
from echoanom.ingest.instrument import Block, Flag, Instrument, InstrumentFile
from echoanom.ingest.means import PeriodMeans
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.overlaps import joined
from echoanom.options import DAY_S
from echoanom.stamps import day_start, format_stamp
from echoanom.tablewriting import table_path, write_day

TABLES = "tabular"
FLAGS = "flags"
FLAGS_HEADER = ("timestamp", "column", "value", "flag", "test")
PROVENANCE = "provenance"


@dataclasses.dataclass(frozen=True)
class DayTask:
    """All that making a day needs, to be sent to a process.

    Attributes
    ----------
    folder : str
        The sensor's folder, as path or URL.
    day : date
        The UTC day.
    instrument : Instrument
        The reader.
    files : tuple of InstrumentFile
        Those with samples in or around the day, by time.
    options : IngestOptions
        How it is made.
    recipe : mapping
        What the table follows from, to be kept beside it.
    columns : tuple of Column, optional
        The columns it must have; None for the sensor's first day.
    """

    folder: str
    day: datetime.date
    instrument: Instrument
    files: tuple[InstrumentFile, ...]
    options: IngestOptions
    recipe: Mapping[str, Any]
    columns: tuple[Column, ...] | None = None


@dataclasses.dataclass(frozen=True)
class DayReport:
    """What making a day came to.

    Attributes
    ----------
    day : date
        The UTC day.
    rows : int
        Rows of its table; 0 if it has none, and then there is no table.
    columns : tuple of Column
        Its columns; empty if there is no table.
    filled : int
        Cells filled by interpolation.
    flags : int
        Values that a check found suspect or wrong.
    counts : mapping of str to int
        What the reader counted.
    skipped : tuple of (str, str)
        Files that could not be read, each with the reason.
    """

    day: datetime.date
    rows: int
    columns: tuple[Column, ...]
    filled: int = 0
    flags: int = 0
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class _Made:
    report: DayReport
    times: NDArray[np.int64] | None = None
    values: NDArray[np.float32] | None = None
    flags: Sequence[Flag] = ()


def make_day(task: DayTask) -> DayReport:
    """Make a day's table, and write it with what it follows from.

    Parameters
    ----------
    task : DayTask
        What to make.

    Returns
    -------
    DayReport
        What it came to.

    Raises
    ------
    InstrumentFileError
        If a file cannot be read, and the options say to fail.
    DataError
        If the columns are not those of the sensor's other days.
    StorageError
        If something cannot be read or written.
    """
    files = task.files
    skipped: list[tuple[str, str]] = []
    while True:
        try:
            made = _make(task, files)
            break
        except InstrumentFileError as error:
            # The sums hold some of the file: begin again, without it.
            rest = tuple(file for file in files if file.path != error.path)
            if task.options.on_error == "fail" or len(rest) == len(files):
                raise
            files = rest
            skipped.append((error.path, error.message))
    report = dataclasses.replace(made.report, skipped=tuple(skipped))
    if report.rows:
        _write(task, made, report)
    return report


def read_provenance(folder: str, day: datetime.date) -> dict[str, Any] | None:
    """Read what a day's table was made from.

    Parameters
    ----------
    folder : str
        The sensor's folder, as path or URL.
    day : date
        The UTC day.

    Returns
    -------
    dict or None
        The recipe and more; None if there is none that can be read.
    """
    content = publishing.look(provenance_path(folder, day)).content
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def provenance_path(folder: str, day: datetime.date) -> str:
    """Name the file that says what a day was made from.

    Parameters
    ----------
    folder : str
        The sensor's folder, as path or URL.
    day : date
        The UTC day.

    Returns
    -------
    str
        Its path or URL.
    """
    return storage.join(folder, PROVENANCE, f"{day.isoformat()}.json")


def flags_path(folder: str, day: datetime.date) -> str:
    """Name the list of values that a check found suspect or wrong.

    Parameters
    ----------
    folder : str
        The sensor's folder, as path or URL.
    day : date
        The UTC day.

    Returns
    -------
    str
        Its path or URL.
    """
    return storage.join(folder, FLAGS, f"{day.isoformat()}.csv")


def remove_day(folder: str, day: datetime.date) -> None:
    """Remove all that was written for a day, what stands for it first.

    Parameters
    ----------
    folder : str
        The sensor's folder, as path or URL.
    day : date
        The UTC day.

    Raises
    ------
    StorageError
        If it cannot be removed.
    """
    tables = storage.join(folder, TABLES)
    for path in (
        table_path(tables, day, "csv"),
        table_path(tables, day, "parquet"),
        storage.join(tables, f"meta_info_{day.isoformat()}.txt"),
        flags_path(folder, day),
        provenance_path(folder, day),
    ):
        storage.remove(path)


class _Samples:
    """What was read of a day, and around it as much as filling gaps needs."""

    def __init__(self, task: DayTask, files: Sequence[InstrumentFile]) -> None:
        options = task.options
        self._period_us = options.period_s * 1_000_000
        self.rows = DAY_S // options.period_s
        self.gap_rows = int(options.max_gap_min * 60 // options.period_s)
        # A gap that is filled has an observed period on either side.
        self.around = self.gap_rows + 1 if self.gap_rows else 0
        self.counts: collections.Counter[str] = collections.Counter()
        self.flags: list[Flag] = []
        self.means: PeriodMeans | None = None
        self.columns: tuple[Column, ...] = ()
        start_us = day_start(task.day) * 1_000_000
        stop_us = start_us + DAY_S * 1_000_000
        around_us = self.around * self._period_us
        self._start_us = start_us - around_us
        for first, behind in (
            (start_us - around_us, start_us),
            (start_us, stop_us),
            (stop_us, stop_us + around_us),
        ):
            if first < behind:
                for block in joined(task.instrument, files, first, behind):
                    self._add(block)
                    if first == start_us:
                        self.counts.update(block.counts)
                        self.flags.extend(block.flags)

    def _add(self, block: Block) -> None:
        if self.means is None:
            self.columns = block.columns
            periods = self.rows + 2 * self.around
            self.means = PeriodMeans(
                block.columns, self._start_us, periods, self._period_us
            )
        elif block.columns != self.columns:
            names, wanted = ([c.name for c in x] for x in (block.columns, self.columns))
            difference = compare_names(names, wanted) or "describes them otherwise"
            raise InstrumentFileError(
                f"must have the columns of the day's other files, but it {difference}",
                block.path,
            )
        self.means.add(block.times_us, block.values)


def _make(task: DayTask, files: Sequence[InstrumentFile]) -> _Made:
    read = _Samples(task, files)
    if read.means is None:
        return _Made(DayReport(task.day, 0, ()))
    values = read.means.means()
    least = task.instrument.least_samples
    if least > 1:
        least = math.ceil(least * task.options.period_s / 60)
    sampled = read.means.samples >= least
    values[~sampled] = np.nan
    filled = np.zeros(values.shape, dtype=np.bool_)
    fill_gaps(values, filled, read.columns, read.gap_rows)
    of_day = slice(read.around, read.around + read.rows)
    there = (sampled | filled.any(axis=1))[of_day]
    columns, values = task.instrument.finish(read.columns, values[of_day])
    sensor = task.folder.rstrip("/").rpartition("/")[2]
    columns = tuple(dataclasses.replace(one, sensor=sensor) for one in columns)
    _check_columns(task, columns)
    report = DayReport(
        day=task.day,
        rows=int(np.count_nonzero(there)),
        columns=columns,
        filled=int(np.count_nonzero(filled[of_day])),
        flags=len(read.flags),
        counts=dict(sorted(read.counts.items())),
    )
    times = day_start(task.day) + np.flatnonzero(there) * task.options.period_s
    return _Made(report, times, np.ascontiguousarray(values[there]), read.flags)


def _check_columns(task: DayTask, columns: Sequence[Column]) -> None:
    if task.columns is None or tuple(columns) == task.columns:
        return
    names, wanted = ([c.name for c in x] for x in (columns, task.columns))
    difference = compare_names(names, wanted) or "describes them otherwise"
    raise DataError(
        f"{task.folder}: every day must have the columns of columns.json, but"
        f" {task.day} {difference}; regrid to the same bins, name another sensor, or"
        " replace what is there"
    )


def _write(task: DayTask, made: _Made, report: DayReport) -> None:
    names = [column.name for column in report.columns]
    assert made.times is not None and made.values is not None
    write_day(
        storage.join(task.folder, TABLES),
        task.day,
        names,
        made.times,
        made.values,
        task.options.form,
    )
    if made.flags:
        content = _flags_text(made.flags).encode()
        publishing.write_bytes(flags_path(task.folder, task.day), content)
    else:
        storage.remove(flags_path(task.folder, task.day))
    # Last: with it the day is done, and is not made again.
    kept = {
        **task.recipe,
        "paths": {file.hash: file.path for file in task.files},
        "rows": report.rows,
        "columns": len(report.columns),
        "filled_cells": report.filled,
        "flagged_values": report.flags,
        "counts": report.counts,
        "skipped": [list(one) for one in report.skipped],
    }
    publishing.write_bytes(
        provenance_path(task.folder, task.day),
        (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode(),
    )


def _flags_text(flags: Sequence[Flag]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(FLAGS_HEADER)
    for one in flags:
        moment = format_stamp(one.time_us // 1_000_000)
        lines.writerow((moment, one.column, f"{one.value:.9g}", one.flag, one.test))
    return text.getvalue()
