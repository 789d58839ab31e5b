"""What can be chosen about a simulation."""

from __future__ import annotations

import dataclasses
import datetime
from typing import get_args

from echoanom.errors import OptionError
from echoanom.options import Options
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
        _require(_is_count(self.days, 1), "days", "a whole number of at least 1", self)
        try:
            first = datetime.date.fromisoformat(self.start)
            last = first + datetime.timedelta(self.days)
        except (TypeError, ValueError, OverflowError):
            first = last = datetime.date.min
        _require(
            _FIRST_START <= first and last <= _LAST_END and len(self.start) == 10,
            "start",
            "a date as YYYY-MM-DD, with all days from 1900 to 2199",
            self,
        )
        _require(
            _is_count(self.bins, 16) and self.bins <= 20_000,
            "bins",
            "a whole number in [16, 20000]",
            self,
        )
        _require(
            _is_count(self.seed, 0) and self.seed < 2**63, "seed", "in [0, 2**63)", self
        )
        _require(
            self.anomalies is None
            or _is_count(self.anomalies, 0)
            and self.anomalies <= MAX_ANOMALIES_PER_DAY * self.days,
            "anomalies",
            f"None or in [0, {MAX_ANOMALIES_PER_DAY} a day]",
            self,
        )
        _require(
            bool(self.sensors)
            and isinstance(self.sensors, tuple)
            and set(self.sensors) <= set(SENSORS)
            and len(set(self.sensors)) == len(self.sensors),
            "sensors",
            f"one or more of {', '.join(SENSORS)}, each once",
            self,
        )
        _require(0 <= self.gap_rate <= 100, "gap_rate", "in [0, 100]", self)
        _require(0 <= self.missing_rate <= 0.5, "missing_rate", "in [0, 0.5]", self)
        forms = get_args(TableFormat)
        _require(self.form in forms, "form", f"one of {', '.join(forms)}", self)

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


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require(condition: bool, name: str, rule: str, options: SimulationOptions) -> None:
    if not condition:
        raise OptionError(f"{name} must be {rule}, got {getattr(options, name)!r}")
