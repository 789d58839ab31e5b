"""List the daily tables of a store, and copy those that are wanted."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from echoanom import publishing, storage
from echoanom.discovery import SensorFiles, find_sensors
from echoanom.progress import Progress, no_progress

_WORKERS = 8


@dataclasses.dataclass(frozen=True)
class DailyTable:
    """A daily table that was found.

    Attributes
    ----------
    sensor : str
        Its sensor.
    day : date
        Its day.
    path : str
        Where it is, as path or URL.
    """

    sensor: str
    day: datetime.date
    path: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return {**dataclasses.asdict(self), "day": self.day.isoformat()}


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What was copied.

    Attributes
    ----------
    copied, kept : int
        Files copied now, and files that were there with the right size.
    bytes : int
        Size of those copied [byte].
    """

    copied: int
    kept: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def list_tables(
    root: str,
    sensors: Sequence[str] = (),
    first: datetime.date | None = None,
    last: datetime.date | None = None,
) -> tuple[DailyTable, ...]:
    """List daily tables, without listing anything else of a store.

    Parameters
    ----------
    root : str
        The source folder, as path or URL.
    sensors : sequence of str
        Sensors, in this order; all, by name, if empty.
    first, last : date, optional
        Days, both included; all if left out.

    Returns
    -------
    tuple of DailyTable
        By sensor and day.

    Raises
    ------
    DataError
        If there is none, or none of a sensor that is asked for.
    StorageError
        If the folder cannot be listed.
    """
    return tuple(
        DailyTable(found.sensor, day, path)
        for found in find_sensors(root, sensors, first, last)
        for day, path in sorted(found.days.items())
    )


def fetch_tables(
    root: str,
    destination: str,
    sensors: Sequence[str] = (),
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    *,
    progress: Progress = no_progress,
) -> Fetched:
    """Copy daily tables, and what describes them, to another folder.

    A file that is there already with the same size is kept. Each copy is whole or not
    there, so a fetch that was interrupted goes on where it was.

    Parameters
    ----------
    root : str
        The source folder, as path or URL.
    destination : str
        Gets ``<sensor>/tabular/`` with the tables; a path or URL.
    sensors : sequence of str
        Sensors to fetch; all if empty.
    first, last : date, optional
        Days to fetch, both included; all if left out.
    progress : callable
        Told how many files are there.

    Returns
    -------
    Fetched
        How much was copied.

    Raises
    ------
    DataError
        If there is no table, or none of a sensor that is asked for.
    StorageError
        If something cannot be listed, read or written.
    """
    files = [
        (path, storage.join(destination, found.sensor, "tabular", name))
        for found in find_sensors(root, sensors, first, last)
        for path, name in _files(found)
    ]
    copied = size = 0
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
        futures = [pool.submit(_copy, *pair) for pair in files]
        try:
            done = concurrent.futures.as_completed(futures)
            for count, future in enumerate(done, 1):
                if (written := future.result()) is not None:
                    copied, size = copied + 1, size + written
                progress("Fetching tables", count, len(files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Fetched(copied, len(files) - copied, size)


def _files(found: SensorFiles) -> Iterator[tuple[str, str]]:
    if found.columns_path is not None:
        yield found.columns_path, "columns.json"
    for day, path in sorted(found.days.items()):
        if day in found.meta:
            yield found.meta[day], found.meta[day].rpartition("/")[2]
        yield path, path.rpartition("/")[2]


def _copy(path: str, target: str) -> int | None:
    """Copy a file and return its size, or None if it is there."""
    if storage.exists(target) and storage.size(target) == storage.size(path):
        return None
    content = storage.read_bytes(path)
    publishing.write_bytes(target, content)
    return len(content)
