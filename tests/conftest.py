"""What several test files share: real data, small source trees, a quiet TensorFlow."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

# Before anything imports TensorFlow, which reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# For `make quick`: every property, on fewer examples.
settings.register_profile("quick", max_examples=10)

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

Table = pd.DataFrame | str | bytes
WriteSource = Callable[..., str]


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real data beside the checkout; skip without it."""
    if not SHARED_DATA.is_dir():
        reason = "needs the real data in ../shared/data, which is not here"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


def csv_bytes(table: Table) -> bytes:
    """Return a table as the bytes of a daily CSV; text is taken as it is.

    A DataFrame is written with its shortest exact floats. Its ``timestamp`` is its
    column of that name, or else its index.
    """
    if isinstance(table, bytes):
        return table
    if isinstance(table, str):
        return table.encode()
    if "timestamp" not in table.columns:
        stamps = pd.DatetimeIndex(table.index).strftime("%Y-%m-%d %H:%M:%S")
        table = table.set_axis(pd.Index(stamps, name="timestamp")).reset_index()
    return table.to_csv(index=False, lineterminator="\n").encode()


def count_rows(content: bytes) -> int:
    """Count the data rows of a daily CSV."""
    return max(0, sum(bool(line.strip()) for line in content.splitlines()) - 1)


@pytest.fixture
def write_source() -> WriteSource:
    """Return a function that writes a source tree of daily CSVs.

    ``write_source(root, {sensor: {day: DataFrame, text or bytes}}, meta=True)`` writes
    ``root/sensor/tabular/DAY.csv`` and its ``meta_info_DAY.txt`` and returns ``root``
    as str. A day is a date or its ISO text.
    """

    def write(
        root: str | Path,
        sensors: Mapping[str, Mapping[datetime.date | str, Table]],
        *,
        meta: bool = True,
    ) -> str:
        for sensor, days in sensors.items():
            folder = Path(root) / sensor / "tabular"
            folder.mkdir(parents=True, exist_ok=True)
            for day, table in days.items():
                content = csv_bytes(table)
                (folder / f"{day}.csv").write_bytes(content)
                if meta:
                    (folder / f"meta_info_{day}.txt").write_text(
                        f"file={day}.csv\nname={count_rows(content)}\n"
                    )
        return str(root)

    return write
