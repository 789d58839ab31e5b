#!/usr/bin/env python3
"""Find the storm: one surge among days of tide, weather and failing sensors.

A current profiler and a CTD share a simulated sea. On the tenth day a surge passes. A model
learns from the first eight days, an earlier surge and faults left out, and reads all twelve.
The four days it never saw are what counts::

    python examples/find_the_storm.py --out demo-output/storm
"""

from __future__ import annotations

import dataclasses
import os

import click
from gallery_picture import Picture, draw_story

from echoanom.cli.console import quiet_tensorflow

LEARNED_DAYS = 8
RULE = "alarms:0.5"


def find(out: str) -> Picture:
    """Learn what is usual, print the events after that time, and draw them."""
    quiet_tensorflow()
    import echoanom
    from echoanom.stamps import format_stamp

    source = os.path.join(out, "observatory")
    sea = echoanom.SimulationOptions(
        days=12, bins=32, seed=8, sensors=("adcp", "ctd"), anomalies=4
    )
    echoanom.simulate(source, sea)
    stored = echoanom.convert(source, os.path.join(out, "dataset"))
    dataset = echoanom.open_dataset(stored.dataset)
    known = echoanom.read_labels(os.path.join(source, "labels.csv"))

    begin = int(dataset.times()[0])
    end = begin + LEARNED_DAYS * 86_400
    model = echoanom.train(
        dataset,
        os.path.join(out, "model"),
        echoanom.WindowOptions(size=64, stride=8, batch_size=16, shuffle=True),
        training=echoanom.TrainOptions(epochs=8),
        include=[(begin, end)],
        exclude=[(label.start, label.end) for label in known],
        overwrite=True,
    )
    table = echoanom.score(dataset, model)
    options = echoanom.EventOptions(threshold=RULE)
    threshold = table.threshold(RULE, options).value
    found = echoanom.detect(table, options, threshold)
    found = [event for event in found if event.end > end]
    later = [dataclasses.replace(x, rank=n) for n, x in enumerate(found, start=1)]

    (storm,) = (x for x in known if x.kind == "surge" and x.start > end)
    click.echo(f"a surge passes from {format_stamp(storm.start)}", nl=False)
    click.echo(f" to {format_stamp(storm.end)}")
    click.echo(f"{len(later)} events in the 4 days that the model never saw:")
    for event in later:
        hit = event.start < storm.end and storm.start < event.end
        where = ", ".join(name for name, _ in event.where[:2])
        click.echo(
            f"  {event.rank}. {format_stamp(event.start)}, {event.duration_min:.0f} min,"
            f" peak {event.peak_score / threshold:.1f} times the threshold, {where}"
            f"{' <- the storm' if hit else ''}"
        )
    shown = (("ctd", "pressure_dbar"), ("adcp", "speed"))
    picture = os.path.join(out, "storm.png")
    return draw_story(picture, dataset, table, threshold, later, shown, since=end)


@click.command(context_settings={"show_default": True})
@click.option("--out", default="demo-output/storm", help="Folder for all files.")
def main(out: str) -> None:
    """Find a surge in twelve simulated days."""
    click.echo(f"see {find(out).path}")


if __name__ == "__main__":
    main()
