#!/usr/bin/env python3
"""Make the pictures of the documentation.

::

    make demo
    python tools/make_pictures.py demo-output/pictures docs/images

Of the pictures of the demo's report it takes ``overview.png`` (data, score and events)
and ``event.png`` (the event of rank 2, beside what the model made of it). Of daily tables it
draws ``currents.png`` (the sample data), ``echogram.png`` (a simulated day) and
``lines.png`` (a simulated day, with checks on one of its values).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from echoanom.dayplots import plot_day
from echoanom.figures import as_png
from echoanom.plotoptions import PlotOptions
from echoanom.simulation import SimulationOptions, simulate

# By their names among the report's pictures.
PICTURES = {"overview-adcp.png": "overview.png", "event-2.png": "event.png"}
SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "data" / "adcp"
_DPI = 100


def main(arguments: list[str] | None = None) -> None:
    """Write the pictures.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    pictures, folder = sys.argv[1:] if arguments is None else arguments
    os.makedirs(folder, exist_ok=True)
    for found, name in PICTURES.items():
        shutil.copyfile(os.path.join(pictures, found), os.path.join(folder, name))
    draw_days(Path(folder))


def draw_days(folder: Path) -> None:
    """Draw daily tables.

    Parameters
    ----------
    folder : Path
        Where the pictures go.
    """
    limits = {"speed": (0.0, 0.4)}
    options = PlotOptions(quantities=("speed", "direction"), limits=limits)
    (folder / "currents.png").write_bytes(as_png(plot_day(str(SAMPLE), options), _DPI))
    with tempfile.TemporaryDirectory() as made:
        simulate(made, SimulationOptions(days=1, bins=192))
        echosounder = os.path.join(made, "echosounder")
        options = PlotOptions(depth_m=270.0, colours="ek500")
        picture = as_png(plot_day(echosounder, options), _DPI)
        (folder / "echogram.png").write_bytes(picture)
        _flag(Path(made) / "ctd")
        options = PlotOptions(quantities=("temperature_degC", "turbidity_ntu"))
        picture = as_png(plot_day(os.path.join(made, "ctd"), options), _DPI)
        (folder / "lines.png").write_bytes(picture)


def _flag(sensor: Path) -> None:
    """Write what a check of a range would say of the turbidity."""
    (table,) = (sensor / "tabular").glob("*.csv")
    header, *lines = table.read_text().splitlines()
    place = header.split(",").index("turbidity_ntu")
    flagged = ["timestamp,column,value,flag,test"]
    for line in lines:
        cells = line.split(",")
        if cells[place] and float(cells[place]) > 1.5:
            flagged.append(
                f"{cells[0]},turbidity_ntu,{cells[place]},3,gross_range_test"
            )
    (sensor / "flags").mkdir()
    (sensor / "flags" / table.name).write_text("\n".join(flagged) + "\n")


if __name__ == "__main__":
    main()
