"""How daily tables are made, whatever the instrument."""

from __future__ import annotations

import dataclasses

from echoanom.checking import Options, require
from echoanom.options import OnError, StackOptions, TableOptions
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
        # Each refuses what cannot be.
        TableOptions(period_s=self.period_s)
        StackOptions(max_gap_min=self.max_gap_min)
        is_name = "/" not in self.sensor and not self.sensor.startswith(".")
        require(is_name, self, "sensor", "the name of a folder")
