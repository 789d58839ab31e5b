"""How daily tables are made, whatever the instrument."""

from __future__ import annotations

import dataclasses

from echoanom.errors import OptionError
from echoanom.options import DAY_S, OnError, Options
from echoanom.tablewriting import TableFormat


@dataclasses.dataclass(frozen=True)
class IngestOptions(Options):
    """How daily tables are made, whatever the instrument.

    Attributes
    ----------
    sensor : str
        Name of the sensor: its folder. Empty: the instrument's.
    period_s : int
        Time from one row to the next [s]; divides a day.
    max_gap_min : float
        Longest gap that is filled by interpolation [min]. 0 fills nothing.
    form : {'csv', 'parquet'}
        Format of the tables.
    on_error : {'fail', 'skip'}
        Stop at a file that cannot be taken, or leave it out and list it.
    replace : bool
        Forget which files earlier calls took, and remove the days made from them.
    """

    sensor: str = ""
    period_s: int = 60
    max_gap_min: float = 0.0
    form: TableFormat = "csv"
    on_error: OnError = "fail"
    replace: bool = False

    def __post_init__(self) -> None:
        if self.period_s < 1 or DAY_S % self.period_s:
            raise OptionError(
                f"period_s must be a divisor of a day ({DAY_S}), got {self.period_s!r}"
            )
        if not 0 <= self.max_gap_min < 1440:
            raise OptionError(
                "max_gap_min must be at least 0 and less than a day (1440), got"
                f" {self.max_gap_min!r}"
            )
        if "/" in self.sensor or self.sensor.startswith("."):
            raise OptionError(
                f"sensor must be the name of a folder, got {self.sensor!r}"
            )
