"""Bring a sensor's daily tables up to date with its instrument's files."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
import logging
import multiprocessing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from echoanom import publishing, storage
from echoanom.columns import Column, columns_from_json, columns_to_json
from echoanom.errors import DataError, OptionError
from echoanom.ingest import days as making
from echoanom.ingest.days import DayReport, DayTask, make_day
from echoanom.ingest.files import FoundFile, find_files
from echoanom.ingest.instrument import Instrument, InstrumentFile
from echoanom.ingest.looking import NAME as FILES_NAME
from echoanom.ingest.looking import Map, Memory, Seen, is_there, look_at
from echoanom.ingest.options import IngestOptions
from echoanom.progress import Progress, no_progress
from echoanom.stamps import day_of
from echoanom.tablewriting import table_path

logger = logging.getLogger(__name__)

COLUMNS_NAME = "columns.json"
_RECIPE_VERSION = 1


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What an ingestion did.

    Attributes
    ----------
    folder : str
        The sensor's folder.
    files : int
        Files the sensor's days are made from, those of earlier calls included.
    made, kept, removed : int
        Days made, days that were right already, and days of which no file has samples
        any more, as their files changed.
    rows : int
        Rows of the days made.
    columns : int
        Columns of the sensor's tables.
    filled_cells : int
        Cells filled by interpolation, of the days made.
    flagged_values : int
        Values that a check found suspect or wrong, of the days made.
    counts : mapping of str to int
        What the reader counted, of the days made.
    skipped : tuple of (str, str)
        Files left out, each with the reason.
    same : tuple of (str, str)
        Files with the content of another, each with that other.
    """

    folder: str
    files: int
    made: int
    kept: int
    removed: int
    rows: int
    columns: int
    filled_cells: int
    flagged_values: int
    counts: Mapping[str, int]
    skipped: tuple[tuple[str, str], ...]
    same: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def ingest(
    instrument: Instrument,
    sources: Sequence[str],
    destination: str,
    options: IngestOptions | None = None,
    *,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    workers: int = 1,
    progress: Progress = no_progress,
) -> IngestReport:
    """Make the daily tables of an instrument's files, or bring them up to date.

    ``<destination>/<sensor>/`` gets ``tabular/YYYY-MM-DD.csv`` (or ``.parquet``) with
    ``meta_info_YYYY-MM-DD.txt``, ``columns.json``, ``provenance/YYYY-MM-DD.json`` with
    what each day was made from, and ``flags/YYYY-MM-DD.csv`` with what checks found.

    A day is made from all files that have samples of it, those of earlier calls
    included, and made again when one is added or changes, or when an option does. It
    is the same, byte for byte, however its samples are spread over files.

    Parameters
    ----------
    instrument : Instrument
        The reader, with its own options.
    sources : sequence of str
        Files and folders, as paths or URLs.
    destination : str
        Folder of the sensors, as path or URL.
    options : IngestOptions, optional
        How tables are made.
    first, last : date, optional
        Days to make, both included; all if left out.
    workers : int
        Processes. They are started afresh, so a script that asks for more than one
        needs the ``if __name__ == "__main__":`` guard.
    progress : callable
        Told how many files and days are done.

    Returns
    -------
    IngestReport
        What was done.

    Raises
    ------
    InstrumentFileError
        If a file cannot be taken and the options say to fail.
    DataError
        If there is no file, a day's earlier file is gone, or columns changed.
    StorageError
        If something cannot be listed, read or written.
    """
    options = options or IngestOptions()
    if workers < 1:
        raise OptionError(f"workers must be at least 1, got {workers!r}")
    folder = storage.join(destination, options.sensor or instrument.name)
    found = {one.path: one for one in find_files(sources, instrument.suffixes)}
    with publishing.exclusive(folder), _processes(workers) as map_:
        if options.replace:
            _forget(folder)
        memory = Memory(folder, instrument)
        map_looks = _told(map_, progress, "Looking at files")
        seen = look_at(
            instrument, list(found.values()), memory, map_looks, options.on_error
        )
        if not seen.files:
            raise DataError(f"{folder}: no file can be taken; {seen.skipped[0][1]}")
        arranged = instrument.arrange(seen.files)
        memory.keep(seen.known, found)
        plan = _plan(folder, instrument, arranged, options, first, last)
        for task in plan.tasks:
            _require_files(task, found, memory)
        reports = _make(plan, folder, map_, progress)
        removed = _remove_stale(folder, plan, {file.path for file in seen.known})
    return _report(folder, plan, reports, seen, removed)


@dataclasses.dataclass(frozen=True)
class _Plan:
    tasks: list[DayTask]
    kept: int
    columns: tuple[Column, ...] | None
    days: frozenset[datetime.date]
    """All days with samples, also those not asked for."""


def _plan(
    folder: str,
    instrument: Instrument,
    files: Sequence[InstrumentFile],
    options: IngestOptions,
    first: datetime.date | None,
    last: datetime.date | None,
) -> _Plan:
    columns = _read_columns(folder)
    around_s = instrument.context_s
    if options.max_gap_min:
        around_s += int(options.max_gap_min * 60) + options.period_s
    by_day = _files_by_day(files, around_s, int(options.max_gap_min * 60))
    tasks, kept = [], 0
    for day in sorted(by_day):
        if (first and day < first) or (last and day > last):
            continue
        recipe = _recipe(instrument, by_day[day], options)
        before = making.read_provenance(folder, day)
        table = table_path(storage.join(folder, making.TABLES), day, options.form)
        if (
            columns is not None
            and before is not None
            and before.get("skipped") == []
            and {key: before.get(key) for key in recipe} == recipe
            and storage.exists(table)
        ):
            kept += 1
            continue
        chosen = tuple(by_day[day])
        tasks.append(DayTask(folder, day, instrument, chosen, options, recipe, columns))
    return _Plan(tasks, kept, columns, frozenset(by_day))


def _files_by_day(
    files: Sequence[InstrumentFile], around_s: int, gap_s: int
) -> dict[datetime.date, list[InstrumentFile]]:
    """Say which files each day is made from; days without samples have none."""
    days: set[datetime.date] = set()
    before_s = None
    for file in files:
        first_s, last_s = _seconds(file)
        if before_s is not None and 0 < first_s - before_s <= gap_s + 1:
            days.update(_days(before_s, first_s))
        days.update(_days(first_s, last_s))
        before_s = max(before_s or last_s, last_s)
    by_day: dict[datetime.date, list[InstrumentFile]] = {day: [] for day in days}
    for file in files:
        first_s, last_s = _seconds(file)
        for day in _days(first_s - around_s, last_s + around_s):
            if day in by_day:
                by_day[day].append(file)
    return by_day


def _seconds(file: InstrumentFile) -> tuple[int, int]:
    return file.look.first_us // 1_000_000, file.look.last_us // 1_000_000


def _days(first_s: int, last_s: int) -> Iterator[datetime.date]:
    for ordinal in range(day_of(first_s).toordinal(), day_of(last_s).toordinal() + 1):
        yield datetime.date.fromordinal(ordinal)


def _recipe(
    instrument: Instrument, files: Sequence[InstrumentFile], options: IngestOptions
) -> dict[str, Any]:
    recipe = {
        "version": _RECIPE_VERSION,
        "instrument": instrument.name,
        "period_s": options.period_s,
        "max_gap_min": options.max_gap_min,
        "recipe": dict(instrument.recipe()),
        "files": [[x.hash, x.look.first_us, x.look.last_us] for x in files],
    }
    # As it will be read back.
    made: dict[str, Any] = json.loads(json.dumps(recipe))
    return made


def _require_files(
    task: DayTask, found: Mapping[str, FoundFile], memory: Memory
) -> None:
    for file in task.files:
        if not is_there(file, found, memory):
            raise DataError(
                f"{task.folder}: {task.day} has samples of {file.path} too, which is"
                " gone or has changed; give it again, or replace what is there"
            )


def _make(plan: _Plan, folder: str, map_: Map, progress: Progress) -> list[DayReport]:
    tasks, columns = list(plan.tasks), plan.columns
    reports = []
    # The first day says which columns all must have.
    while tasks and columns is None:
        report = make_day(tasks.pop(0))
        reports.append(report)
        if report.rows:
            columns = report.columns
            publishing.write_bytes(
                storage.join(folder, COLUMNS_NAME), columns_to_json(columns).encode()
            )
        progress("Making days", len(reports), len(plan.tasks))
    tasks = [dataclasses.replace(task, columns=columns) for task in tasks]
    for report in map_(make_day, tasks):
        reports.append(report)
        progress("Making days", len(reports), len(plan.tasks))
    return reports


def _remove_stale(folder: str, plan: _Plan, known: Collection[str]) -> int:
    """Remove days whose files are all known, and have samples of other days now."""
    removed = 0
    for day in set(_days_made(folder)) - plan.days:
        paths = (making.read_provenance(folder, day) or {}).get("paths", {}).values()
        if paths and all(path in known for path in paths):
            making.remove_day(folder, day)
            removed += 1
    return removed


def _days_made(folder: str) -> Iterator[datetime.date]:
    provenance = storage.join(folder, making.PROVENANCE)
    if storage.exists(provenance):
        for name, _ in storage.list_files(provenance):
            with contextlib.suppress(ValueError):
                yield datetime.date.fromisoformat(name.removesuffix(".json"))


def _report(
    folder: str,
    plan: _Plan,
    reports: Sequence[DayReport],
    seen: Seen,
    removed: int,
) -> IngestReport:
    counts: collections.Counter[str] = collections.Counter()
    unread = dict(seen.skipped)
    for report in reports:
        counts.update(report.counts)
        unread.update(report.skipped)
    columns = [report.columns for report in reports if report.rows]
    return IngestReport(
        folder=folder,
        files=len(seen.files),
        made=sum(report.rows > 0 for report in reports),
        kept=plan.kept,
        removed=removed,
        rows=sum(report.rows for report in reports),
        columns=len(columns[0] if columns else plan.columns or ()),
        filled_cells=sum(report.filled for report in reports),
        flagged_values=sum(report.flags for report in reports),
        counts=dict(sorted(counts.items())),
        skipped=tuple(unread.items()),
        same=seen.same,
    )


def _read_columns(folder: str) -> tuple[Column, ...] | None:
    path = storage.join(folder, COLUMNS_NAME)
    content = publishing.look(path).content
    if content is None:
        return None
    sensor = folder.rstrip("/").rpartition("/")[2]
    return tuple(columns_from_json(content.decode(), sensor, path).values())


def _forget(folder: str) -> None:
    """Remove what earlier calls made, and nothing else."""
    for day in list(_days_made(folder)):
        making.remove_day(folder, day)
    for name in (COLUMNS_NAME, FILES_NAME):
        storage.remove(storage.join(folder, name))


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Map]:
    """Give a `map` that works in processes, if there is work for more than one."""
    # Forking a process with threads (polars', fsspec's) may deadlock. They start when
    # they are needed.
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn")
    )

    def map_(function: Any, *arguments: Sequence[Any]) -> Iterable[Any]:
        alone = workers == 1 or len(arguments[0]) < 2
        return (map if alone else pool.map)(function, *arguments)

    try:
        yield map_
    finally:
        pool.shutdown(cancel_futures=True)


def _told(map_: Map, progress: Progress, description: str) -> Map:
    def told(function: Any, *arguments: Sequence[Any]) -> Iterable[Any]:
        total = len(arguments[0])
        for done, result in enumerate(map_(function, *arguments), 1):
            progress(description, done, total)
            yield result

    return told
