"""Simulate the observatory: one file for each sensor and day, and the labels."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import multiprocessing
from collections.abc import Iterator

from echoanom import publishing, storage, tablewriting
from echoanom.columns import columns_to_json
from echoanom.errors import OptionError, StorageError
from echoanom.progress import Progress, no_progress
from echoanom.simulation import currents, echosounder, soundscape, water
from echoanom.simulation.anomalies import labels_of, labels_text, planted_on
from echoanom.simulation.conditions import conditions_of_day
from echoanom.simulation.faults import spoil
from echoanom.simulation.settings import SENSORS, SimulationOptions
from echoanom.simulation.site import Instrument
from echoanom.simulation.tables import table_text, table_values
from echoanom.stamps import day_start
from echoanom.tablewriting import TableFormat, count_text, table_path

LABELS_NAME = "labels.csv"
COLUMNS_NAME = "columns.json"
_FOLDER = "tabular"
_INSTRUMENTS = {
    "adcp": currents.instrument,
    "ctd": water.instrument,
    "echosounder": echosounder.instrument,
    "hydrophone": soundscape.instrument,
}


@dataclasses.dataclass(frozen=True)
class SimulationSummary:
    """What a simulation wrote.

    Attributes
    ----------
    rows : int
        Data rows of all sensors' tables together.
    files : int
        Daily tables; each has a ``meta_info`` file beside it.
    labels : int
        Planted anomalies.
    columns : int
        Columns of all sensors together, without time stamps.
    """

    rows: int
    files: int
    labels: int
    columns: int


def simulate(
    destination: str,
    options: SimulationOptions,
    progress: Progress = no_progress,
    workers: int = 1,
) -> SimulationSummary:
    """Simulate an observatory and write its daily tables.

    For each sensor ``<destination>/<sensor>/tabular/YYYY-MM-DD.csv`` (or ``.parquet``,
    with the same numbers) with
    ``meta_info_YYYY-MM-DD.txt`` beside it (second line ``name=<rows>``) and
    ``<destination>/<sensor>/columns.json``; last ``<destination>/labels.csv`` with
    start, end (exclusive), sensor and kind of what was planted. The sensor is blank
    where an anomaly shows in several.

    A day depends on its date and the options alone: with the same seed and version of
    NumPy its files are the same byte for byte for any number of workers. With
    ``anomalies=None`` they are also the same in a simulation of other length or start.

    Parameters
    ----------
    destination : str
        Folder to write to, as path or URL.
    options : SimulationOptions
        What to simulate.
    progress : Progress, optional
        Called after each day.
    workers : int, optional
        Processes that make days. They are started afresh, so a script that asks for
        more than one needs the ``if __name__ == "__main__":`` guard.

    Returns
    -------
    SimulationSummary
        What was written.

    Raises
    ------
    OptionError
        If `workers` is less than 1.
    StorageError
        If the folder holds sensors or days that this simulation does not write, or
        cannot be written.
    """
    if workers < 1:
        raise OptionError(f"workers must be at least 1, got {workers!r}")
    _refuse_leftovers(destination, options)
    labels_path = storage.join(destination, LABELS_NAME)
    # Labels stand for a complete simulation; those of an earlier one must not.
    if storage.exists(labels_path):
        storage.remove(labels_path)
    instruments = _instruments(options)
    for instrument in instruments:
        publishing.write_bytes(
            storage.join(destination, instrument.name, COLUMNS_NAME),
            columns_to_json(instrument.columns).encode(),
        )
    rows = 0
    for done, day_rows in enumerate(_days(destination, options, workers), start=1):
        rows += day_rows
        progress("simulating days", done, options.days)
    labels = labels_of(options)
    publishing.write_bytes(labels_path, labels_text(labels).encode())
    return SimulationSummary(
        rows=rows,
        files=options.days * len(instruments),
        labels=len(labels),
        columns=sum(len(instrument.columns) for instrument in instruments),
    )


def write_day(destination: str, options: SimulationOptions, day: int) -> int:
    """Simulate one day and write all sensors' tables of it.

    Parameters
    ----------
    destination : str
        Folder to write to, as path or URL.
    options : SimulationOptions
        What to simulate.
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    int
        Data rows written.
    """
    conditions = conditions_of_day(options.seed, day, planted_on(options, day))
    written = 0
    for instrument in _instruments(options):
        values = instrument.measure(conditions)
        there = spoil(values, instrument, conditions, options)
        rows = int(there.sum())
        if options.form == "parquet":
            date = datetime.date.fromordinal(day)
            minutes = conditions.minutes - conditions.minutes[0]
            tablewriting.write_day(
                storage.join(destination, instrument.name, _FOLDER),
                date,
                [column.name for column in instrument.columns],
                day_start(date) + 60 * minutes[there],
                table_values(values, instrument.blocks, there),
                options.form,
            )
        else:
            content = table_text(conditions.minutes, values, instrument.blocks, there)
            paths = _paths(destination, instrument.name, day, options.form)
            publishing.write_bytes(paths[0], content)
            publishing.write_bytes(paths[1], count_text(paths[0], rows).encode())
        written += rows
    return written


def _instruments(options: SimulationOptions) -> list[Instrument]:
    return [_INSTRUMENTS[sensor](options.bins) for sensor in options.sensors]


def _days(destination: str, options: SimulationOptions, workers: int) -> Iterator[int]:
    """Make all days, in any order; yield the rows of each."""
    days = range(options.first_day, options.first_day + options.days)
    if workers == 1:
        for day in days:
            yield write_day(destination, options, day)
        return
    # Forking a process with threads (TensorFlow's, fsspec's) may deadlock.
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, options.days), mp_context=multiprocessing.get_context("spawn")
    )
    try:
        tasks = [pool.submit(write_day, destination, options, day) for day in days]
        for task in concurrent.futures.as_completed(tasks):
            yield task.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _paths(
    destination: str, sensor: str, day: int, form: TableFormat
) -> tuple[str, str]:
    date = datetime.date.fromordinal(day)
    folder = storage.join(destination, sensor, _FOLDER)
    return (
        table_path(folder, date, form),
        storage.join(folder, f"meta_info_{date}.txt"),
    )


def _refuse_leftovers(destination: str, options: SimulationOptions) -> None:
    """Refuse a folder in which days of something else would stay among ours."""
    for sensor in SENSORS:
        folder = storage.join(destination, sensor, _FOLDER)
        if not storage.exists(folder):
            continue
        publishing.remove_temporaries(folder)
        ours: set[str] = set()
        if sensor in options.sensors:
            for date in options.dates:
                paths = _paths(destination, sensor, date.toordinal(), options.form)
                ours.update(path.rpartition("/")[2] for path in paths)
        others = [name for name, _ in storage.list_files(folder) if name not in ours]
        if others:
            raise StorageError(
                f"{destination} must not hold what this simulation does not write,"
                f" but {folder} has {others[0]}; give an empty folder"
            )
