"""One frozen, checked options object per stage.

Every object checks itself when it is made, so no stage has to, and turns to and from
plain JSON values (`as_json`, `from_json`) to be stored with what it produced.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from echoanom.checking import (
    Options,
    are_texts,
    is_number,
    is_whole,
    require,
    require_bool,
    require_choice,
    require_more_than_0,
    require_number,
    require_whole,
)
from echoanom.errors import OptionError

Join = Literal["outer", "inner", "left"]
Duplicates = Literal["refuse", "first", "last", "mean"]
OnError = Literal["fail", "skip"]
StorageDtype = Literal["float32", "float16", "int16"]
Codec = Literal["none", "zstd"]
Placement = Literal["host", "device"]

DAY_S = 86_400
EVER_S = 2**62
"""A time later than any stamp [s]; with a minus, one before all."""


def check_placement(placement: Placement) -> None:
    """Refuse a place that there is not.

    Parameters
    ----------
    placement : {'host', 'device'}
        Where windows are gathered.

    Raises
    ------
    OptionError
        If it is another.
    """
    choices = get_args(Placement)
    if placement not in choices:
        raise OptionError(
            f"placement must be one of {', '.join(choices)}, got {placement!r}"
        )


@dataclasses.dataclass(frozen=True)
class TableOptions(Options):
    """How daily tables are read.

    Attributes
    ----------
    period_s : int
        Sample period [s]. A stamp is the start of its period; stamps between are
        moved back to it.
    time_column : str
        Name of the time stamp column. Empty: the usual names are looked for.
    missing_numbers : tuple of float
        Numbers that stand for a missing value.
    missing_words : tuple of str
        Cells that stand for a missing value, beside the blank cell, NaN and inf.
    duplicates : {'refuse', 'first', 'last', 'mean'}
        What to do with rows that share a stamp and differ. Exact duplicates are
        always dropped and counted.
    """

    period_s: int = 60
    time_column: str = ""
    missing_numbers: tuple[float, ...] = (-999.0, -9999.0)
    missing_words: tuple[str, ...] = ("NA", "N/A", "null", "NULL", "None", "-")
    duplicates: Duplicates = "refuse"

    def __post_init__(self) -> None:
        require(
            is_whole(self.period_s)
            and self.period_s >= 1
            and DAY_S % self.period_s == 0,
            self,
            "period_s",
            "a whole number of seconds that divides a day",
        )
        require(isinstance(self.time_column, str), self, "time_column", "text")
        require(
            isinstance(self.missing_numbers, tuple)
            and all(map(is_number, self.missing_numbers)),
            self,
            "missing_numbers",
            "a tuple of numbers",
        )
        require(
            are_texts(self.missing_words), self, "missing_words", "a tuple of texts"
        )
        require_choice(self, "duplicates", Duplicates)

    @property
    def rows_per_day(self) -> int:
        """Number of grid rows in one UTC day."""
        return DAY_S // self.period_s


@dataclasses.dataclass(frozen=True)
class StackOptions(Options):
    """How the sensors' tables become one.

    Attributes
    ----------
    sensors : tuple of str
        Sensors to take, in this order. Empty: all, by name.
    join : {'outer', 'inner', 'left'}
        Rows to keep: minutes of any sensor, of all sensors, or of the first.
    max_gap_min : float
        Longest gap that is filled by interpolation [min]. 0 fills nothing.
    """

    sensors: tuple[str, ...] = ()
    join: Join = "outer"
    max_gap_min: float = 0.0

    def __post_init__(self) -> None:
        require_choice(self, "join", Join)
        require_number(
            self,
            "max_gap_min",
            "at least 0 and less than a day (1440)",
            lambda gap: 0 <= gap < 1440,
        )
        require(are_texts(self.sensors), self, "sensors", "a tuple of texts")
        require(
            len(set(self.sensors)) == len(self.sensors),
            self,
            "sensors",
            "different from each other",
        )


@dataclasses.dataclass(frozen=True)
class ShardOptions(Options):
    """How rows are stored.

    Attributes
    ----------
    dtype : {'float32', 'float16', 'int16'}
        Stored type. int16 carries a scale and an offset per record and column.
    halo : int
        Rows of the successor repeated at the end of each shard [rows]. int16 repeats
        whole records, so that the same rows have the same codes.
    shard_mib : float
        Aimed size of a shard [MiB]. A shard holds whole days, at least one.
    record_kib : float
        Aimed size of a record [KiB]. A record never crosses a day or a gap.
    codec : {'none', 'zstd'}
        Compression of each record.
    """

    dtype: StorageDtype = "float32"
    halo: int = 0
    shard_mib: float = 128.0
    record_kib: float = 1024.0
    codec: Codec = "none"

    def __post_init__(self) -> None:
        require_choice(self, "dtype", StorageDtype)
        require_choice(self, "codec", Codec)
        require_whole(self, "halo", 0)
        require_more_than_0(self, "shard_mib", "record_kib")


@dataclasses.dataclass(frozen=True)
class WindowOptions(Options):
    """Which rows make a window, and in what order windows come.

    Attributes
    ----------
    size : int
        Rows in a window [rows].
    stride : int
        Rows between the starts of neighbouring windows of a run [rows].
    batch_size : int
        Windows in a batch.
    shuffle : bool
        Whether the windows of an epoch come in a seeded random order.
    seed : int
        Seed of that order.
    drop_remainder : bool
        Whether a last, smaller batch is left out.
    min_observed : float
        Least share of a window's cells that were observed, neither missing nor filled,
        in [0, 1]. Windows with less are left out.
    """

    size: int = 64
    stride: int = 1
    batch_size: int = 32
    shuffle: bool = False
    seed: int = 0
    drop_remainder: bool = False
    min_observed: float = 0.0

    def __post_init__(self) -> None:
        require_whole(self, "size", 1)
        require_whole(self, "stride", 1)
        require_whole(self, "batch_size", 1)
        require_whole(self, "seed", 0, 2**63 - 1)
        require_bool(self, "shuffle", "drop_remainder")
        require_number(
            self,
            "min_observed",
            "in [0, 1]",
            lambda share: 0 <= share <= 1,
        )


@dataclasses.dataclass(frozen=True)
class Share(Options):
    """One worker's part of every batch.

    Attributes
    ----------
    worker : int
        Number of the worker, in [0, workers).
    workers : int
        How many share the batches.
    """

    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        require_whole(self, "workers", 1)
        require_whole(self, "worker", 0)
        require(
            self.worker < self.workers,
            self,
            "worker",
            f"less than workers ({self.workers})",
        )


@dataclasses.dataclass(frozen=True)
class EventOptions(Options):
    """How scores become events.

    Attributes
    ----------
    threshold : str
        Rule: ``mean+2std``, ``quantile:0.999``, ``mad:6``, ``pot:1e-4``, ``alarms:1``,
        or a number.
    merge_gap_min : float
        Events at most this far apart are one [min].
    min_duration_min : float
        Shorter events are dropped [min].
    top_columns : int
        Columns to name for each event.
    prune : float
        Share by which a peak must exceed the next one for what is above to be kept, in
        [0, 1); 0 keeps all.
    """

    threshold: str = "mean+2std"
    merge_gap_min: float = 30.0
    min_duration_min: float = 1.0
    top_columns: int = 3
    prune: float = 0.0

    def __post_init__(self) -> None:
        require(isinstance(self.threshold, str), self, "threshold", "text")
        for name in ("merge_gap_min", "min_duration_min"):
            require_number(self, name, "at least 0", lambda number: number >= 0)
        require_whole(self, "top_columns", 1)
        require_number(self, "prune", "in [0, 1)", lambda share: 0 <= share < 1)
