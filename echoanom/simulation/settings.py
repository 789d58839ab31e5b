"""What can be chosen about a simulation."""

from __future__ import annotations

import dataclasses
import datetime

from echoanom.checking import (
    Options,
    require,
    require_choice,
    require_number,
    require_whole,
)
from echoanom.tablewriting import TableFormat

SENSORS = ("adcp", "ctd", "echosounder", "hydrophone")
MAX_ANOMALIES_PER_DAY = 8

_FIRST_START = datetime.date(1900, 1, 1)
_LAST_END = datetime.date(2200, 1, 1)


@dataclasses.dataclass(frozen=True)
class SimulationOptions(Options):
    """What to simulate.

    Attributes
    ----------
    days : int
        Number of days.
    start : str
        First day, ``YYYY-MM-DD``.
    bins : int
        Range bins of the echosounder; the ADCP and the hydrophone scale with it.
        1600 bins make about 3,000 columns in all.
    seed : int
        Seed of everything random.
    anomalies : int, optional
        How many anomalies to plant, spread evenly over the days and the kinds.
        None plants one a day on average, whatever the simulation's length, so that a
        longer one starts with the same days.
    sensors : tuple of str
        Sensors to simulate.
    gap_rate : float
        Gaps of each sensor on a day, on average. One in twelve lasts for hours.
    missing_rate : float
        Share of the cells that are blank, in [0, 0.5].
    form : {'csv', 'parquet'}
        Format of the daily tables.
    """

    days: int = 14
    start: str = "2015-02-01"
    bins: int = 1600
    seed: int = 0
    anomalies: int | None = None
    sensors: tuple[str, ...] = SENSORS
    gap_rate: float = 2.0
    missing_rate: float = 0.001
    form: TableFormat = "csv"

    def __post_init__(self) -> None:
        require_whole(self, "days", 1)
        try:
            first = datetime.date.fromisoformat(self.start)
            last = first + datetime.timedelta(self.days)
        except (TypeError, ValueError, OverflowError):
            first = last = datetime.date.min
        require(
            _FIRST_START <= first and last <= _LAST_END and len(self.start) == 10,
            self,
            "start",
            "a date as YYYY-MM-DD, with all days from 1900 to 2199",
        )
        require_whole(self, "bins", 16, 20_000)
        require_whole(self, "seed", 0, 2**63 - 1)
        if self.anomalies is not None:
            require_whole(self, "anomalies", 0, MAX_ANOMALIES_PER_DAY * self.days)
        require(
            bool(self.sensors)
            and isinstance(self.sensors, tuple)
            and set(self.sensors) <= set(SENSORS)
            and len(set(self.sensors)) == len(self.sensors),
            self,
            "sensors",
            f"one or more of {', '.join(SENSORS)}, each once",
        )
        require_number(self, "gap_rate", "in [0, 100]", lambda rate: 0 <= rate <= 100)
        require_number(
            self, "missing_rate", "in [0, 0.5]", lambda rate: 0 <= rate <= 0.5
        )
        require_choice(self, "form", TableFormat)

    @property
    def first_day(self) -> int:
        """First day as proleptic Gregorian ordinal."""
        return datetime.date.fromisoformat(self.start).toordinal()

    @property
    def dates(self) -> tuple[datetime.date, ...]:
        """All days, in order."""
        return tuple(
            datetime.date.fromordinal(self.first_day + i) for i in range(self.days)
        )
