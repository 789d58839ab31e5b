#!/usr/bin/env python3
"""From four instruments' own files to a model: ingest, convert, train.

A sea is simulated over two days, and what an echosounder, a current profiler, a
hydrophone and a logger would have recorded of it is written in their own formats. They
start and end at different times, over midnight. Then the commands do the rest::

    python examples/tutorial_instruments.py --out demo-output/instruments

At each step the tables are held against the simulated ones: how far off is what came back?
"""

from __future__ import annotations

import datetime
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from instrument_files import write_adcp, write_ek60, write_logger, write_wav
from numpy.typing import NDArray

DAYS = (datetime.date(2015, 2, 1), datetime.date(2015, 2, 2))
MIDNIGHT_S = 1_422_835_200
RATE_HZ = 2000
FULL_SCALE_DB = 140.0


class Sea(NamedTuple):
    """What one instrument measures of the sea, minute by minute."""

    names: tuple[str, ...]
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    def between(self, first_h: float, last_h: float) -> Sea:
        """Take the minutes of some hours, counted from the midnight in between."""
        seconds = self.times - MIDNIGHT_S
        there = (seconds >= first_h * 3600) & (seconds < last_h * 3600)
        return Sea(self.names, self.times[there], self.values[there])

    def starting(self, prefix: str) -> NDArray[np.float64]:
        """Take the columns whose names start with a prefix."""
        chosen = [i for i, name in enumerate(self.names) if name.startswith(prefix)]
        return self.values[:, chosen]

    def coordinates(self, prefix: str) -> NDArray[np.float64]:
        """Read ranges or frequencies from the names of columns."""
        texts = [n.removeprefix(prefix) for n in self.names if n.startswith(prefix)]
        return np.array([float(text.rstrip("mHz")) for text in texts])


def simulate_sea(folder: Path, seed: int) -> dict[str, Sea]:
    """Simulate two days of all four instruments, without gaps."""
    from echoanom.daily import read_day
    from echoanom.simulation import SimulationOptions, simulate

    options = SimulationOptions(
        *(len(DAYS), str(DAYS[0]), 64, seed, 2), gap_rate=0, missing_rate=0
    )
    simulate(str(folder), options)
    sea = {}
    for sensor in options.sensors:
        days = [
            read_day(str(folder / sensor / "tabular" / f"{day}.csv"), day)
            for day in DAYS
        ]
        times = np.concatenate([day.times for day in days])
        values = np.concatenate([day.values for day in days]).astype(np.float64)
        sea[sensor] = Sea(days[0].columns, times, values)
    return sea


def record(sea: dict[str, Sea], folder: Path, seed: int) -> None:
    """Write each instrument's files; no two start or end at the same time."""
    for name in ("ek60", "adcp", "hydrophone", "logger"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    echoes = sea["echosounder"]
    ranges = echoes.coordinates("Sv_")
    for first_h, last_h, name in ((-4, -1.5, "200000"), (-1.5, 3, "223000")):
        part = echoes.between(first_h, last_h)
        path = folder / "ek60" / f"sea-D20150201-T{name}.raw"
        write_ek60(path, part.times, ranges, part.values)
    currents = sea["adcp"].between(-6, 5)
    ensembles = slice(None, None, 15)
    write_adcp(
        folder / "adcp" / "mooring.nc",
        currents.times[ensembles],
        currents.coordinates("speed_"),
        currents.starting("speed_")[ensembles],
        currents.starting("dir_")[ensembles],
    )
    sound = sea["hydrophone"]
    for number in range(6):
        # Half-hours; minutes are written whole, so the cut is at the end of one.
        part = sound.between(-1 + number / 2, -0.5 + number / 2)
        start = datetime.datetime.fromtimestamp(part.times[0], datetime.timezone.utc)
        write_wav(
            folder / "hydrophone" / f"deep_{start:%Y%m%d_%H%M%S}.wav",
            *(part.values, part.coordinates("ltsa_"), RATE_HZ),
            *(FULL_SCALE_DB, seed + number),
        )
    water = sea["ctd"].between(-5, 6)
    every = slice(None, None, 10)
    names = dict(zip(water.names, water.values[every].T, strict=True))
    write_logger(
        folder / "logger" / "ctd.csv",
        water.times[every],
        {
            "Temp (F)": names["temperature_degC"] * 1.8 + 32,
            "Salinity": names["salinity"],
            "Pressure (kPa)": names["pressure_dbar"] * 10,
        },
    )


def run(*arguments: str | Path) -> None:
    """Run a command of echoanom, and show it as one would type it."""
    words = [str(argument) for argument in arguments]
    click.echo(f"\n$ echoanom {shlex.join(words)}")
    subprocess.run([sys.executable, "-m", "echoanom", *words], check=True)


def ingest_all(files: Path, observatory: Path) -> None:
    """Make daily tables of each instrument's files."""
    run(
        *("ingest", "ek60", files / "ek60", observatory, "--sensor", "echosounder"),
        *("--range-bin", "4.25", "--max-range", "272", "--look", "up"),
        *("--instrument-depth", "255"),
    )
    run(
        *("ingest", "adcp", files / "adcp", observatory, "--max-gap", "15"),
        *("--quantities", "speed,direction", "--instrument-depth", "255"),
    )
    run(
        *("ingest", "hydrophone", files / "hydrophone", observatory),
        *("--bands", "linear", "--bandwidth", "100", "--band", "900"),
        *("--end-to-end", str(FULL_SCALE_DB)),
    )
    run(
        *("ingest", "point", files / "logger", observatory, "--sensor", "ctd"),
        *("--skip-lines", "2", "--day-first", "--max-gap", "15"),
        "--columns",
        "temperature=Temp (F):degF,salinity=Salinity,pressure=Pressure (kPa):kPa",
    )


def differences(sea: dict[str, Sea], observatory: Path) -> dict[str, float]:
    """Tell how far the tables are from what was simulated, at most or as RMS."""
    echoes = _table(observatory, "echosounder")
    currents = _table(observatory, "adcp")
    sound = _table(observatory, "hydrophone")
    water = _table(observatory, "ctd")
    simulated = {
        name: Sea(one.names, echo.times, one.values[np.isin(one.times, echo.times)])
        for name, one, echo in (
            ("echosounder", sea["echosounder"], echoes),
            ("hydrophone", sea["hydrophone"], sound),
        )
    }
    # The first bin holds the transmit pulse.
    sv = echoes.starting("Sv")[:, 1:] - simulated["echosounder"].values[:, 1:]
    hertz = sound.coordinates("LTSA_")
    known = simulated["hydrophone"]
    levels = np.array(
        [np.interp(hertz, known.coordinates("ltsa_"), row) for row in known.values]
    )
    ensembles = sea["adcp"].between(-6, 5)
    ensembles = Sea(ensembles.names, ensembles.times[::15], ensembles.values[::15])
    there = np.isin(currents.times, ensembles.times)
    speed = currents.starting("speed_")[there] - ensembles.starting("speed_")
    turn = currents.starting("direction_")[there] - ensembles.starting("dir_")
    casts = sea["ctd"].between(-5, 6)
    at = np.isin(water.times, casts.times[::10])
    degrees = water.starting("temperature")[at, 0] - casts.values[::10, 0]
    return {
        "Sv, largest difference [dB]": float(np.nanmax(np.abs(sv))),
        "sound levels, RMS [dB]": float(np.sqrt(np.mean((sound.values - levels) ** 2))),
        "speed, largest [m/s]": float(np.nanmax(np.abs(speed))),
        "direction, largest [degree]": float(
            np.nanmax(np.abs((turn + 180) % 360 - 180))
        ),
        "temperature, largest [degC]": float(np.nanmax(np.abs(degrees))),
    }


def _table(observatory: Path, sensor: str) -> Sea:
    from echoanom.daily import read_day

    folder = observatory / sensor / "tabular"
    days = [read_day(str(folder / f"{day}.csv"), day) for day in DAYS]
    return Sea(
        days[0].columns,
        np.concatenate([day.times for day in days]),
        np.concatenate([day.values for day in days]).astype(np.float64),
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", default="demo-output/instruments", show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(out: str, seed: int) -> None:
    """Record a simulated sea with four instruments, ingest it, and train a model."""
    folder = Path(out)
    observatory, dataset = folder / "observatory", folder / "dataset"
    sea = simulate_sea(folder / "simulated", seed)
    record(sea, folder / "files", seed)
    ingest_all(folder / "files", observatory)
    found = differences(sea, observatory)
    click.echo("\nwhat came back, held against what was simulated:")
    for what, difference in found.items():
        click.echo(f"  {what}: {difference:.2g}")
    (folder / "differences.json").write_text(json.dumps(found, indent=1))
    run("convert", observatory, dataset, "--join", "inner", "--max-gap", "5")
    run("inspect", dataset)
    run(
        *("train", dataset, "--model", folder / "model", "--window", "16"),
        *("--stride", "2", "--epochs", "8"),
    )


if __name__ == "__main__":
    main()
