"""Small datasets with everything that makes reading hard: gaps, holes, fills, days."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.options import ShardOptions, StackOptions, TableOptions

FIRST_DAY = datetime.date(2020, 2, 27)  # four days on, it is March
PERIOD_S = 900
ROWS_PER_DAY = 96


def sensor_days(
    days: int, columns: tuple[str, ...], *, seed: int = 0, gaps: bool = True
) -> dict[str, pd.DataFrame]:
    """Return days of a sensor: a daily cycle and noise, with gaps and missing cells."""
    rng = np.random.default_rng(seed)
    tables = {}
    for number in range(days):
        day = FIRST_DAY + datetime.timedelta(number)
        times = pd.date_range(day, periods=ROWS_PER_DAY, freq=f"{PERIOD_S}s")
        phase = 2 * np.pi * np.arange(ROWS_PER_DAY) / ROWS_PER_DAY
        wave = np.sin(phase)[:, None] + np.arange(len(columns))
        values = wave + 0.1 * rng.normal(size=wave.shape)
        keep = np.ones(ROWS_PER_DAY, dtype=bool)
        if gaps:
            values[rng.random(values.shape) < 0.03] = np.nan
            for start in rng.integers(5, ROWS_PER_DAY - 5, size=2):
                keep[start : start + rng.integers(1, 5)] = False
        table = pd.DataFrame(values, columns=list(columns), index=times)
        tables[day.isoformat()] = table[keep]
    return tables


def write_tables(root: Path, sensors: dict[str, dict[str, pd.DataFrame]]) -> str:
    """Write days of sensors as a source folder."""
    for sensor, tables in sensors.items():
        folder = root / sensor / "tabular"
        folder.mkdir(parents=True, exist_ok=True)
        for day, table in tables.items():
            table.to_csv(
                folder / f"{day}.csv",
                index_label="timestamp",
                date_format="%Y-%m-%d %H:%M:%S",
            )
            (folder / f"meta_info_{day}.txt").write_text(
                f"records\nname={len(table)}\n"
            )
    return str(root)


def small_source(root: Path, days: int = 4, *, gaps: bool = True) -> str:
    """Write two sensors of three and two columns."""
    return write_tables(
        root,
        {
            "adcp": sensor_days(
                days, ("speed_4m", "speed_8m", "dir_8m"), seed=1, gaps=gaps
            ),
            "ctd": sensor_days(days, ("temperature", "salinity"), seed=2, gaps=gaps),
        },
    )


def small_dataset(
    root: Path,
    days: int = 4,
    *,
    gaps: bool = True,
    max_gap_min: float = 30,
    sharding: ShardOptions | None = None,
) -> Dataset:
    """Convert `small_source` to several shards of several records a day."""
    source = small_source(root / "source", days, gaps=gaps)
    destination = str(root / "dataset")
    convert(
        source,
        destination,
        table=TableOptions(period_s=PERIOD_S),
        stacking=StackOptions(max_gap_min=max_gap_min),
        # One day a shard, 25 rows a record.
        sharding=sharding or ShardOptions(shard_mib=0.003, record_kib=0.5),
    )
    return open_dataset(destination)
