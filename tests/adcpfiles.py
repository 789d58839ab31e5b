"""Small files of current profilers, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from echoanom.errors import InstrumentFileError
from echoanom.ingest.adcp import Adcp
from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.instrument import InstrumentFile
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.running import IngestReport, ingest

START = np.datetime64("2015-02-01T00:00:00", "ns")
RANGES = np.array([2.0, 4.0, 6.0])


def times(number: int, step_s: float = 60.0) -> np.ndarray:
    return START + (np.arange(number) * step_s * 1e9).astype("timedelta64[ns]")


def profiles(
    number: int = 4,
    step_s: float = 60.0,
    *,
    unit: str | None = "m s-1",
    names: tuple[str, ...] = ("u", "v", "w"),
    seed: int = 0,
    attrs: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Make currents at three bins."""
    random = np.random.default_rng(seed)
    units = {} if unit is None else {"units": unit}
    variables = {
        name: (("time", "range"), random.normal(size=(number, 3)), units)
        for name in names
    }
    variables["amp"] = (("time", "range"), random.uniform(40, 90, (number, 3)), {})
    coordinates = {"time": times(number, step_s), "range": ("range", RANGES)}
    dataset = xr.Dataset(variables, coordinates, attrs or {})
    dataset["range"].attrs["units"] = "m"
    return dataset


def write(dataset: xr.Dataset, path: Path, **arguments: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.to_netcdf(path, engine="netcdf4", **arguments)
    return str(path)


def look(path: Path | str, **options: Any) -> InstrumentFile:
    adcp = Adcp(AdcpOptions(**options))
    return InstrumentFile(str(path), 1, "", adcp.look(str(path), str(path)))


def samples(path: Path | str, **options: Any) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read all samples of a file: columns of its blocks by name, and what it counted."""
    adcp = Adcp(AdcpOptions(**options))
    file = look(path, **options)
    blocks = list(adcp.blocks([file], file.look.first_us, file.look.last_us + 1))
    frames = [
        pd.DataFrame(
            block.values,
            index=pd.to_datetime(block.times_us, unit="us"),
            columns=[column.name for column in block.columns],
        )
        for block in blocks
    ]
    counts: dict[str, int] = {}
    for block in blocks:
        for key, number in block.counts.items():
            counts[key] = counts.get(key, 0) + number
    return pd.concat(frames), counts


def refusal(path: Path | str, **options: Any) -> str:
    """Say why a file is refused: one line that begins with its path."""
    try:
        look(path, **options)
    except InstrumentFileError as error:
        text = str(error)
        assert text.startswith(f"{path}: must ") or text.startswith(f"{path}: ")
        assert "\n" not in text
        return error.message
    raise AssertionError("was taken")


def tables(
    sources: list[str], folder: Path, max_gap_min: float = 0.0, **options: Any
) -> tuple[pd.DataFrame, IngestReport]:
    """Make the daily tables of files, and read them."""
    report = ingest(
        Adcp(AdcpOptions(**options)),
        sources,
        str(folder),
        IngestOptions(max_gap_min=max_gap_min),
    )
    days = sorted((folder / "adcp" / "tabular").glob("*.csv"))
    frame = pd.concat([pd.read_csv(day) for day in days])
    frame.index = pd.to_datetime(frame.pop("timestamp")).dt.tz_localize(None)
    return frame, report
