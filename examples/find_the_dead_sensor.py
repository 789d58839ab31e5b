#!/usr/bin/env python3
"""Find the dead sensor: one that goes silent, and one that goes on with the same values.

Six days of four simulated sensors, in which nothing is wrong. Then the last day's tables are
changed: the hydrophone gives nothing for six hours, and the CTD repeats its values for five.
A model sees nothing of a sensor that is missing, and values that stand still are easy to
reproduce. `detect --dataset` reads both from the data::

    python examples/find_the_dead_sensor.py --out demo-output/dead-sensor
"""

from __future__ import annotations

import datetime
import os

import click
from gallery_picture import Picture, draw_story

from echoanom.cli.console import quiet_tensorflow

SILENT = ("hydrophone", slice(3 * 60, 9 * 60))
STUCK = ("ctd", slice(12 * 60, 17 * 60))
LAST_DAY = datetime.date(2015, 2, 6)


def break_sensors(source: str) -> None:
    """Blank rows of one sensor's last table, and repeat a row of another's."""
    import pandas as pd

    for sensor, minutes in (SILENT, STUCK):
        path = os.path.join(source, sensor, "tabular", f"{LAST_DAY}.csv")
        table = pd.read_csv(path, dtype=str)
        stamps = pd.to_datetime(table["timestamp"])
        of_day = stamps.dt.hour * 60 + stamps.dt.minute
        rows = (of_day >= minutes.start) & (of_day < minutes.stop)
        values = table.columns[1:]
        table.loc[rows, values] = (
            "" if sensor == SILENT[0] else table.loc[rows, values].iloc[0].tolist()
        )
        table.to_csv(path, index=False)


def find(out: str) -> Picture:
    """Break the sensors, learn from the days before, and look for all that is wrong."""
    quiet_tensorflow()
    import echoanom
    from echoanom.outages import find_outages
    from echoanom.stamps import day_start, format_stamp

    source = os.path.join(out, "observatory")
    sea = echoanom.SimulationOptions(days=6, bins=32, seed=5, anomalies=0, gap_rate=0)
    echoanom.simulate(source, sea)
    break_sensors(source)
    stored = echoanom.convert(source, os.path.join(out, "dataset"))
    dataset = echoanom.open_dataset(stored.dataset)
    begin, last = int(dataset.times()[0]), day_start(LAST_DAY)
    model = echoanom.train(
        dataset,
        os.path.join(out, "model"),
        echoanom.WindowOptions(size=32, stride=16, batch_size=16, shuffle=True),
        include=[(begin, last)],
        overwrite=True,
    )
    table = echoanom.score(dataset, model)
    options = echoanom.EventOptions(threshold="quantile:0.999")
    threshold = table.threshold(options.threshold, options).value
    unusual = echoanom.detect(table, options, threshold)
    outages = find_outages(dataset, table, events=options, first_rank=len(unusual) + 1)
    echoanom.write_events(os.path.join(out, "events.csv"), unusual + outages)

    for event in outages:
        rows = (table.times >= event.start) & (table.times < event.end)
        above = float((table.score[rows] > threshold).mean())
        click.echo(
            f"{event.kind}: {event.top_sensors[0][0]} from {format_stamp(event.start)}"
            f" to {format_stamp(event.end)};"
            f" of its rows {above:.0%} score above the threshold"
        )
    shown = (("hydrophone", "ltsa"), ("ctd", "temperature_degC"))
    picture = os.path.join(out, "dead-sensor.png")
    return draw_story(picture, dataset, table, threshold, outages, shown, since=last)


@click.command(context_settings={"show_default": True})
@click.option("--out", default="demo-output/dead-sensor", help="Folder for all files.")
def main(out: str) -> None:
    """Find a silent and a stuck sensor in six simulated days."""
    click.echo(f"see {find(out).path}")


if __name__ == "__main__":
    main()
