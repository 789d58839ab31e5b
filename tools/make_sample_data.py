#!/usr/bin/env python3
"""Turn the pyadps demonstration deployment into the sample data of this repository.

The input is the NetCDF file of a TRDI Workhorse Sentinel (five days, 16 bins, one
ensemble in 15 minutes) in earth coordinates; the output is one CSV a UTC day in
``<output>/adcp/tabular/``, a record count beside each, and ``columns.json``::

    python tools/make_sample_data.py demo_earth.nc examples/data

The same input gives the same bytes. README.md and LICENSE beside the data are written
by hand.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

SENSOR = "adcp"

# (variable, column name, unit, kind, decimals). The decimals are one more than the
# instrument resolves: 1 mm/s, and a quarter of a count (a mean of four beams).
QUANTITIES = (
    ("current_speed", "speed", "m/s", "scalar", 4),
    ("current_direction", "direction", "degree", "direction", 2),
    ("echo_intensity", "echo", "count", "scalar", 2),
)


def stamps(variable: Any) -> list[datetime.datetime]:
    """Read the ensembles' times.

    Parameters
    ----------
    variable : netCDF4.Variable
        The time coordinate.

    Returns
    -------
    list of datetime.datetime
        In UTC, sharp to the second.
    """
    match = re.fullmatch(r"minutes since (\S+ \S+)", variable.units)
    if match is None:
        raise SystemExit(f"time must be in minutes since a date, got {variable.units}")
    origin = datetime.datetime.fromisoformat(match[1])
    return [origin + datetime.timedelta(minutes=int(m)) for m in variable[:]]


def metres_per_second(name: str, variable: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Bring a velocity to m/s, whatever unit its file uses.

    Parameters
    ----------
    name : str
        The variable's name, for the message.
    variable : netCDF4.Variable
        A velocity of the file; its unit holds for the speed, too.
    values : ndarray
        The speeds.

    Returns
    -------
    ndarray
        The speeds [m/s].
    """
    factors = {"m s-1": 1.0, "m/s": 1.0, "mm/s": 1e-3, "mm s-1": 1e-3}
    if variable.units not in factors:
        raise SystemExit(f"{name} must be in m/s or mm/s, got {variable.units!r}")
    scaled = values * factors[variable.units]
    if not np.nanmax(np.abs(scaled)) < 10:
        raise SystemExit(f"{name} must stay below 10 m/s: is its unit right?")
    return scaled


def cell(value: float, decimals: int) -> str:
    """Write a number, or nothing where it is missing.

    Parameters
    ----------
    value : float
        The number; NaN is missing.
    decimals : int
        Digits after the point, before trailing zeros are cut.

    Returns
    -------
    str
        The cell.
    """
    if np.isnan(value):
        return ""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sample data.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("netcdf", help="demo_earth.nc of pyadps")
    parser.add_argument("output", help="folder that gets the sensor's folder")
    options = parser.parse_args(arguments)

    columns = []
    cells: list[list[str]] = []
    with netCDF4.Dataset(options.netcdf) as dataset:
        times = stamps(dataset["time"])
        ranges = [round(float(r), 2) for r in dataset["range"][:]]
        for variable, name, unit, kind, decimals in QUANTITIES:
            values = np.ma.filled(dataset[variable][:].astype(np.float64), np.nan)
            if name == "speed":
                values = metres_per_second(variable, dataset["u"], values)
            for bin_, range_m in enumerate(ranges):
                columns.append(
                    {
                        "name": f"{name}_{range_m:g}m",
                        "unit": unit,
                        "kind": kind,
                        "range_m": range_m,
                    }
                )
                cells.append([cell(v, decimals) for v in values[:, bin_]])

    folder = os.path.join(options.output, SENSOR, "tabular")
    os.makedirs(folder, exist_ok=True)
    header = ",".join(["timestamp", *(str(column["name"]) for column in columns)])
    for day in sorted({time.date() for time in times}):
        rows = [i for i, time in enumerate(times) if time.date() == day]
        lines = [
            ",".join([f"{times[i]:%Y-%m-%dT%H:%M:%SZ}", *(c[i] for c in cells)])
            for i in rows
        ]
        _write(os.path.join(folder, f"{day}.csv"), [header, *lines])
        _write(
            os.path.join(folder, f"meta_info_{day}.txt"),
            [f"file={day}.csv", f"name={len(rows)}"],
        )
    entries = ",\n".join(f"  {json.dumps(column)}" for column in columns)
    _write(os.path.join(options.output, SENSOR, "columns.json"), ["[", entries, "]"])


def _write(path: str, lines: Sequence[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
