"""The records that models are compared on, as daily tables with labels.

Each has a train part, whose end is held back for the threshold, and a test part that no
model has seen. What is known of them is in ``docs/results.md``, which is made of this.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from echoanom.labels import Label, read_labels
from echoanom.options import EventOptions
from echoanom.simulation import SimulationOptions, simulate

CUT_DAYS = Path(__file__).resolve().parent.parent / "tools" / "cut_days.py"
SENSOR = "record"
LABEL = "anomaly"

Interval = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Series:
    """One record.

    Attributes
    ----------
    name : str
        Of the record among those of its set.
    source : Path
        Folder of daily tables.
    labels : tuple of Label
        What is known to be unusual.
    train : tuple of (int, int)
        The only time that models learn from [s since 1970 UTC].
    test : tuple of tuple of (int, int)
        The time that is scored and judged [s since 1970 UTC].
    rows : Series of bool, optional
        Whether each row as published is labelled, by its time.
    published : bool
        Whether it is judged by the protocol of SKAB, too.
    """

    name: str
    source: Path
    labels: tuple[Label, ...]
    train: Interval
    test: tuple[Interval, ...]
    rows: pd.Series[bool] | None = None
    published: bool = False


@dataclasses.dataclass(frozen=True)
class Observatory:
    """A set of records that are treated alike.

    Attributes
    ----------
    title : str
        What it is called on the page.
    about : str
        What is measured, what is labelled, and where the train part ends.
    prepare : callable
        Makes the tables: given the folder of published data, a folder to write to, a
        seed, and whether it shall be small.
    file : str
        What must be in the folder of published data; empty if nothing.
    period_s : int
        Length of a row [s].
    max_gap_min : float
        Gaps up to this long are filled, and what is filled is not judged [min].
    window : int
        Rows in a window.
    train_stride, score_stride : int
        Rows between windows, to learn and to score.
    epochs : int
        Of networks.
    merge_gap_min, min_duration_min : float
        As `EventOptions` has them [min].
    drawn_anew : bool
        Whether each seed has a record of its own.
    """

    title: str
    about: str
    prepare: Callable[[Path, Path, int, bool], list[Series]]
    file: str = ""
    period_s: int = 60
    max_gap_min: float = 5.0
    window: int = 64
    train_stride: int = 8
    score_stride: int = 4
    epochs: int = 10
    merge_gap_min: float = 30.0
    min_duration_min: float = 1.0
    drawn_anew: bool = False

    def event_options(self) -> EventOptions:
        """Return how scores become events.

        Returns
        -------
        EventOptions
            The options.
        """
        return EventOptions(
            merge_gap_min=self.merge_gap_min, min_duration_min=self.min_duration_min
        )

    def as_json(self) -> dict[str, Any]:
        """Return what the page tells, as plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        fields = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in fields if name != "prepare"}


def _simulated(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    days, bins, anomalies = (6, 16, 12) if toy else (28, 64, 40)
    options = SimulationOptions(days=days, bins=bins, anomalies=anomalies, seed=seed)
    simulate(str(folder), options)
    start = _seconds(pd.Timestamp(options.start, tz="UTC"))
    middle, end = start + days // 2 * 86_400, start + days * 86_400
    labels = read_labels(str(folder / "labels.csv"))
    return [Series("simulated", folder, labels, (start, middle), ((middle, end),))]


def _gecco(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    table = pd.read_csv(data)
    table = table.rename(columns={"EVENT": LABEL})
    return [_first_days("gecco", table, folder, 28)]


def _tide_gauge(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    table = pd.read_csv(data).rename(columns={"flag_bad": LABEL})
    return [_first_days("tide gauge", table, folder, 42)]


def _sandy_creek(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    table = pd.read_csv(data)
    # A sample every 90 minutes, a few minutes early or late: of two in one row the
    # first stays.
    times = pd.to_datetime(table["Timestamp"], dayfirst=True).dt.floor("90min")
    names = ["Level", "Cond", "Tur"]
    labelled = (table[[f"label_{name}" for name in names]] == 1).any(axis=1)
    table = table[names].assign(timestamp=times, anomaly=labelled)
    table = table.drop_duplicates("timestamp").reset_index(drop=True)
    return [_first_rows("sandy creek", table, folder, 285)]


def skab_files(data: Path, toy: bool = False) -> list[Path]:
    """List the files of SKAB that are measured.

    Parameters
    ----------
    data : Path
        Its folder.
    toy : bool
        As few as it goes.

    Returns
    -------
    list of Path
        Those of the experiments *valve1* and *other*.
    """
    paths = [data / "valve1" / f"{number}.csv" for number in range(16)]
    paths += [data / "other" / f"{number}.csv" for number in range(1, 10)]
    return paths[:2] if toy else paths


def _skab(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    found = []
    for path in skab_files(data, toy):
        table = pd.read_csv(path, sep=";").drop(columns="changepoint")
        table = table.rename(columns={"datetime": "timestamp"})
        name = f"{path.parent.name}-{path.stem}"
        series = _first_rows(name, table, folder / name, 400)
        found.append(dataclasses.replace(series, published=True))
    return found


def _mooring(data: Path, folder: Path, seed: int, toy: bool) -> list[Series]:
    table = pd.read_csv(data)
    # Air conducts nothing. In the sea conductivity stays above 15 mS/cm.
    wet = table["conductivity"] > 1
    times = pd.to_datetime(table["timestamp"], utc=True)
    table[LABEL] = ~wet
    deployed = times[wet].iloc[0]
    begin = deployed + pd.Timedelta(days=4)
    end = times.iloc[-1] + pd.Timedelta(minutes=1)
    before = (_seconds(times.iloc[0]), _seconds(deployed))
    return [
        _series(
            "mooring",
            table,
            folder,
            (_seconds(deployed), _seconds(begin)),
            (before, (_seconds(begin), _seconds(end))),
        )
    ]


def _first_days(name: str, table: pd.DataFrame, folder: Path, days: int) -> Series:
    times = pd.to_datetime(table["timestamp"], utc=True)
    return _split(name, table, folder, times.iloc[0] + pd.Timedelta(days=days))


def _first_rows(name: str, table: pd.DataFrame, folder: Path, rows: int) -> Series:
    times = pd.to_datetime(table["timestamp"], utc=True)
    return _split(name, table, folder, times.iloc[rows])


def _split(
    name: str, table: pd.DataFrame, folder: Path, boundary: pd.Timestamp
) -> Series:
    times = pd.to_datetime(table["timestamp"], utc=True)
    begin, middle = _seconds(times.iloc[0]), _seconds(boundary)
    end = _seconds(times.iloc[-1]) + 86_400
    return _series(name, table, folder, (begin, middle), ((middle, end),))


def _series(
    name: str,
    table: pd.DataFrame,
    folder: Path,
    train: Interval,
    test: tuple[Interval, ...],
) -> Series:
    """Write daily tables and labels of a table with a column of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole.csv"
    table = table.assign(**{LABEL: table[LABEL].astype(int)})
    table.to_csv(whole, index=False)
    source = folder / "source"
    command = [sys.executable, CUT_DAYS, whole, source, "--sensor", SENSOR]
    subprocess.run([*command, "--label", LABEL], check=True, stdout=subprocess.DEVNULL)
    times = pd.to_datetime(table["timestamp"], utc=True)
    rows = pd.Series(table[LABEL].to_numpy() == 1, index=times.map(_seconds))
    labels = read_labels(str(source / "labels.csv"))
    return Series(name, source, labels, train, test, rows)


def _seconds(time: pd.Timestamp) -> int:
    return int(time.timestamp())


OBSERVATORIES: dict[str, Observatory] = {
    "simulated": Observatory(
        title="simulated LoVe",
        about="28 days of echosounder (64 bins), current profiler, hydrophone and CTD"
        " off Norway, with gaps; 40 planted anomalies. The first 14 days train, with"
        " what is planted in them and without its labels. Each seed has a sea of its"
        " own.",
        prepare=_simulated,
        drawn_anew=True,
    ),
    "gecco": Observatory(
        title="GECCO 2018",
        about="Drinking water, 9 sensors, 97 days; events that people marked. The"
        " first four weeks train.",
        prepare=_gecco,
        file="gecco2018/gecco2018_train.csv.gz",
    ),
    "skab": Observatory(
        title="SKAB valve1 + other",
        about="A water loop, 8 sensors, 25 files of 20 minutes, each a record of its"
        " own; valves that are closed, leaks and so on. The first 400 rows of each file"
        " train. Figures are means over the files.",
        prepare=_skab,
        file="skab",
        period_s=1,
        max_gap_min=0.1,
        window=60,
        train_stride=1,
        score_stride=1,
        epochs=20,
        merge_gap_min=0.5,
        min_duration_min=0.0,
    ),
    "sandy-creek": Observatory(
        title="Sandy Creek",
        about="A river, 3 sensors, one year; labels of any sensor. Sampled about every"
        " 90 minutes, and put on a grid of that. The first 285 rows train.",
        prepare=_sandy_creek,
        file="oddwater/sandy.csv",
        period_s=5400,
        max_gap_min=270,
        window=16,
        train_stride=1,
        score_stride=1,
        epochs=20,
        merge_gap_min=180,
    ),
    "mooring": Observatory(
        title="S4 mooring",
        about="A moored current meter, 9 columns, 10.6 days; labelled are the hours out"
        " of the water, by the conductivity. The first four days in the water train."
        " Judged is all other time, the hours on deck before the deployment included:"
        " no model learns from them.",
        prepare=_mooring,
        file="oce/s4_sleiwex2008.csv",
    ),
    "tide-gauge": Observatory(
        title="tide gauge",
        about="Water level, 13 weeks; rows that a person flagged as bad. The first six"
        " weeks train.",
        prepare=_tide_gauge,
        file="cotede/NOS_8764227_6min.csv",
        period_s=360,
        max_gap_min=30,
        train_stride=2,
        score_stride=1,
        merge_gap_min=60,
    ),
}
