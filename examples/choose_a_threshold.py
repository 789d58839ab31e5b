#!/usr/bin/env python3
"""Choose a threshold: false alarms a day against events found, on a real tide gauge.

Ninety days of water level every six minutes, in which a person has flagged what is bad. A
model learns from the first forty, and every rule makes its threshold of the last eight of
them. The fifty days after them tell what each rule finds and what it costs. Then a reader
goes through the events of the lowest threshold and marks them, as in a report::

    python examples/choose_a_threshold.py --out demo-output/threshold
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import click
from gallery_picture import Picture, draw_rules

from echoanom import Event, Label
from echoanom.cli.console import quiet_tensorflow
from echoanom.stamps import day_start, format_stamp

DATA = Path(__file__).resolve().parent / "data" / "tide_gauge"
LEARNED_UNTIL = datetime.date(2019, 11, 24)
RULES = ("mean+2std", "quantile:0.999", "mad:6", "pot:1e-4", "alarms:1", "alarms:0.1")
RULES += ("alarms:1, pruned",)


def write_days(source: str) -> None:
    """Cut the record into daily tables."""
    import pandas as pd

    folder = os.path.join(source, "tide_gauge", "tabular")
    os.makedirs(folder, exist_ok=True)
    record = pd.read_csv(DATA / "water_level.csv.gz", dtype=str)
    for day, rows in record.groupby(record["timestamp"].str[:10]):
        rows.to_csv(os.path.join(folder, f"{day}.csv"), index=False)


def write_marks(path: str, events: Sequence[Event], flags: Sequence[Label]) -> None:
    """Mark events as a reader might: what is near a flag, but not on it, is unsure."""
    lines = ["start,end,sensor,kind"]
    for event in events:
        on, near = (
            any(x.start - s < event.end and event.start < x.end + s for x in flags)
            for s in (0, 3600)
        )
        kind = "real" if on else "unsure" if near else "false"
        span = f"{format_stamp(event.start)},{format_stamp(event.end)}"
        lines.append(f"{span},tide_gauge,{kind}")
    Path(path).write_text("\n".join(lines) + "\n")


def choose(out: str) -> Picture:
    """Learn, hold every rule against the flags and against marks, and draw."""
    quiet_tensorflow()
    import numpy as np

    import echoanom

    source = os.path.join(out, "source")
    write_days(source)
    stored = echoanom.convert(
        source, os.path.join(out, "dataset"), table=echoanom.TableOptions(period_s=360)
    )
    dataset = echoanom.open_dataset(stored.dataset)
    begin, end = int(dataset.times()[0]), int(dataset.times()[-1]) + 360
    new = day_start(LEARNED_UNTIL)
    flags = echoanom.read_labels(str(DATA / "labels.csv"))
    model = echoanom.train(
        dataset,
        os.path.join(out, "model"),
        echoanom.WindowOptions(size=60, stride=1, shuffle=True),
        echoanom.ModelOptions(kind="pca"),
        include=[(begin, new)],
        exclude=[(label.start, label.end) for label in flags],
        overwrite=True,
    )
    table = echoanom.score(dataset, model, include=[(new, end)])

    found = {}
    for rule in RULES:
        name, _, pruned = rule.partition(", ")
        options = echoanom.EventOptions(threshold=name, prune=0.13 if pruned else 0.0)
        threshold = table.threshold(name, options).value
        found[rule] = echoanom.detect(table, options, threshold)
    marks = os.path.join(out, "labels.csv")
    write_marks(marks, found["alarms:1"], flags)
    costs = {}
    click.echo("                   against flags        against marks")
    click.echo("rule               found  false a day   found  false a day")
    for rule, events in found.items():
        line = f"{rule:<17}"
        for labels in (flags, echoanom.read_labels(marks)):
            by_event = echoanom.evaluate(table, labels, events=events).by_event
            assert by_event is not None  # because events were given
            cost = by_event.false_alarms_per_day
            costs.setdefault(rule, (cost, by_event.found_labels))
            line += (
                f"{by_event.found_labels:>3} of {by_event.labels:<2}{cost:>10.2f}    "
            )
        click.echo(line.rstrip())
    curve = []
    for threshold in np.quantile(table.score, np.linspace(0.5, 0.9999, 150)):
        by_event = echoanom.evaluate(table, flags, threshold=float(threshold)).by_event
        assert by_event is not None  # because there was a threshold
        curve.append((by_event.false_alarms_per_day, by_event.found_labels))
    return draw_rules(os.path.join(out, "threshold.png"), costs, curve)


@click.command(context_settings={"show_default": True})
@click.option("--out", default="demo-output/threshold", help="Folder for all files.")
def main(out: str) -> None:
    """Hold rules for thresholds against what a person flagged."""
    click.echo(f"see {choose(out).path}")


if __name__ == "__main__":
    main()
