"""What the sensors have, and what joining them gained and lost."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Self

from echoanom.errors import DatasetError


@dataclasses.dataclass(frozen=True)
class SensorDay:
    """What one sensor has on one day.

    Attributes
    ----------
    rows : int
        Grid rows with a row of its table.
    missing_cells : int
        Missing cells in these rows, before any are filled.
    file_rows : int
        Data rows in its file.
    duplicates, merged, out_of_order : int
        Rows of the file that were dropped, merged, or late.
    """

    rows: int = 0
    missing_cells: int = 0
    file_rows: int = 0
    duplicates: int = 0
    merged: int = 0
    out_of_order: int = 0


@dataclasses.dataclass(frozen=True)
class JoinedDay:
    """What the join made of one day.

    Attributes
    ----------
    grid_rows : int
        Rows of the grid.
    in_some : int
        Rows that at least one sensor has.
    in_all : int
        Rows that all sensors have.
    kept : int
        Rows the join kept.
    filled_rows : int
        Kept rows with at least one filled cell.
    filled_cells : int
        Filled cells in kept rows.
    """

    grid_rows: int
    in_some: int = 0
    in_all: int = 0
    kept: int = 0
    filled_rows: int = 0
    filled_cells: int = 0


@dataclasses.dataclass(frozen=True)
class Coverage:
    """What each sensor has on each day, and what the join made of it.

    Attributes
    ----------
    period_s : int
        Period of the grid [s].
    sensors : mapping of str to int
        Number of columns of each sensor, in the order they are stacked.
    days : mapping of datetime.date to JoinedDay
        The joined days, ascending.
    tables : mapping of (str, datetime.date) to SensorDay
        Each sensor's days. A day without a table is left out.
    """

    period_s: int
    sensors: Mapping[str, int]
    days: Mapping[datetime.date, JoinedDay]
    tables: Mapping[tuple[str, datetime.date], SensorDay]

    @classmethod
    def merge(cls, parts: Iterable[Coverage]) -> Coverage:
        """Join the coverages of several stretches of days.

        Parameters
        ----------
        parts : iterable of Coverage
            At least one, all of the same sensors. Of a day that two have, the later
            part counts.

        Returns
        -------
        Coverage
            That of all their days.

        Raises
        ------
        DatasetError
            If there is no part, or they differ in period or sensors.
        """
        parts = list(parts)
        if not parts:
            raise DatasetError("coverages to merge must be at least one, got none")
        days: dict[datetime.date, JoinedDay] = {}
        tables: dict[tuple[str, datetime.date], SensorDay] = {}
        first = parts[0]
        for part in parts:
            if (part.period_s, dict(part.sensors)) != (
                first.period_s,
                dict(first.sensors),
            ):
                raise DatasetError(
                    "coverages to merge must have the same period and columns, got"
                    f" {first.period_s} s, {dict(first.sensors)}"
                    f" and {part.period_s} s, {dict(part.sensors)}"
                )
            for sensor in part.sensors:
                for day in part.days:
                    tables.pop((sensor, day), None)
            days.update(part.days)
            tables.update(part.tables)
        return cls(first.period_s, first.sensors, dict(sorted(days.items())), tables)

    def between(self, first: datetime.date, last: datetime.date) -> Coverage:
        """Return the coverage of some of the days.

        Parameters
        ----------
        first, last : datetime.date
            The first and the last day to keep.

        Returns
        -------
        Coverage
            That of these days alone.
        """
        return Coverage(
            self.period_s,
            self.sensors,
            {day: joined for day, joined in self.days.items() if first <= day <= last},
            {
                (sensor, day): table
                for (sensor, day), table in self.tables.items()
                if first <= day <= last
            },
        )

    def missing_share(self, sensor: str, day: datetime.date) -> float:
        """Return the share of a sensor's cells that a day lacks.

        Parameters
        ----------
        sensor : str
            The sensor.
        day : datetime.date
            One of the days.

        Returns
        -------
        float
            Missing cells, those of absent rows among them, over all cells of the
            day's grid; in [0, 1].
        """
        return 1.0 - self._observed_cells(sensor, day) / (
            max(1, self.days[day].grid_rows * self.sensors[sensor])
        )

    def _observed_cells(self, sensor: str, day: datetime.date) -> int:
        table = self.tables.get((sensor, day), SensorDay())
        return table.rows * self.sensors[sensor] - table.missing_cells

    def summary(self) -> dict[str, Any]:
        """Return the totals, as plain JSON values.

        Returns
        -------
        dict
            ``minutes``: ``grid``, ``in_some``, ``in_all``, ``kept`` and ``filled``
            [min]; ``sensors``: per sensor its columns, days, rows, missing share
            and what reading its tables changed; ``days``: per day the minutes and
            each sensor's missing share.
        """
        return {
            "period_s": self.period_s,
            "minutes": self._minutes(self.days.values()),
            "filled_cells": sum(joined.filled_cells for joined in self.days.values()),
            "sensors": {
                sensor: self._sensor_summary(sensor) for sensor in self.sensors
            },
            "days": [
                {
                    "day": day.isoformat(),
                    **self._minutes([joined]),
                    "missing_share": {
                        sensor: round(self.missing_share(sensor, day), 6)
                        for sensor in self.sensors
                    },
                }
                for day, joined in self.days.items()
            ],
        }

    def _minutes(self, days: Iterable[JoinedDay]) -> dict[str, float]:
        days = list(days)
        rows = {
            "grid": sum(day.grid_rows for day in days),
            "in_some": sum(day.in_some for day in days),
            "in_all": sum(day.in_all for day in days),
            "kept": sum(day.kept for day in days),
            "filled": sum(day.filled_rows for day in days),
        }
        return {name: count * self.period_s / 60 for name, count in rows.items()}

    def _sensor_summary(self, sensor: str) -> dict[str, Any]:
        tables = [table for (name, _), table in self.tables.items() if name == sensor]
        cells = sum(day.grid_rows for day in self.days.values()) * self.sensors[sensor]
        observed = sum(self._observed_cells(sensor, day) for day in self.days)
        return {
            "columns": self.sensors[sensor],
            "days": sum(table.rows > 0 for table in tables),
            "rows": sum(table.rows for table in tables),
            "missing_share": round(1.0 - observed / max(1, cells), 6),
            "duplicates": sum(table.duplicates for table in tables),
            "merged": sum(table.merged for table in tables),
            "out_of_order": sum(table.out_of_order for table in tables),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values.

        Returns
        -------
        dict
            What `from_json` takes. Days and tables are lists of numbers in the order
            of the fields of `JoinedDay` and `SensorDay`.
        """
        return {
            "period_s": self.period_s,
            "sensors": dict(self.sensors),
            "days": {
                day.isoformat(): list(dataclasses.astuple(joined))
                for day, joined in self.days.items()
            },
            "tables": {
                sensor: {
                    day.isoformat(): list(dataclasses.astuple(table))
                    for (name, day), table in sorted(self.tables.items())
                    if name == sensor
                }
                for sensor in self.sensors
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild the coverage from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        Coverage
            Equal to the one it came from.

        Raises
        ------
        DatasetError
            If the values are not such.
        """
        read_day = datetime.date.fromisoformat
        try:
            return cls(
                int(values["period_s"]),
                {str(name): int(count) for name, count in values["sensors"].items()},
                {
                    read_day(day): JoinedDay(*map(int, counts))
                    for day, counts in values["days"].items()
                },
                {
                    (str(sensor), read_day(day)): SensorDay(*map(int, counts))
                    for sensor, days in values["tables"].items()
                    for day, counts in days.items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                "coverage must have period_s, sensors, days and tables as written,"
                f" got something else ({type(error).__name__}: {error})"
            ) from None
