#!/usr/bin/env python3
"""The tutorial redone: from daily CSVs to a page of events, and what it gets wrong.

A record of four sensors is simulated, joined, stored, learned and searched for what
does not look like the rest. In the end every mistake of the tutorial is measured on the
same record::

    python examples/tutorial.py --days 6 --bins 32 --out demo-output/tutorial

Every step imports what it needs, so it can be copied by itself.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from echoanom.cli.console import quiet_tensorflow

if TYPE_CHECKING:
    from echoanom import ConversionReport, Dataset, ScoreTable
    from echoanom.artifact import Artifact
    from echoanom.events import Event


def simulate_observatory(source: str, days: int, bins: int, seed: int) -> None:
    """Write daily CSVs of four sensors, and labels.csv with what was planted."""
    from echoanom.simulation import SimulationOptions, simulate

    written = simulate(source, SimulationOptions(days=days, bins=bins, seed=seed))
    click.echo(
        f"{written.files} tables of {days} days, {written.columns} columns in all;"
        f" {written.labels} anomalies are planted"
    )


def convert_tables(
    source: str, destination: str, sensors: tuple[str, ...] = (), max_gap_min: float = 5
) -> ConversionReport:
    """Join the sensors on the minute and store the rows.

    Minutes of any sensor are kept. Gaps up to `max_gap_min` are filled and marked.
    """
    from echoanom import StackOptions
    from echoanom.conversion import convert

    stacking = StackOptions(sensors, join="outer", max_gap_min=max_gap_min)
    return convert(source, destination, stacking=stacking)


def look_at_the_join(report: ConversionReport) -> None:
    """Tell what joining gained and lost: the tutorial's exercise."""
    coverage = report.coverage.summary()
    for sensor, found in coverage["sensors"].items():
        click.echo(
            f"{sensor:>12}: {found['columns']:>4} columns, {found['rows']:>6,} rows,"
            f" {found['missing_share']:>5.1%} missing"
        )
    minutes = coverage["minutes"]
    click.echo(
        f"an outer join keeps {minutes['in_some']:,.0f} of {minutes['grid']:,.0f}"
        f" minutes, an inner one {minutes['in_all']:,.0f};"
        f" {minutes['filled']:,.0f} minutes have cells that were filled"
    )


def look_at_windows(dataset: Dataset, size: int) -> None:
    """Stream windows: across files and days, never across a gap."""
    from echoanom import WindowOptions
    from echoanom.pipeline import windows

    options = WindowOptions(size=size, stride=1, batch_size=32, shuffle=True)
    stream = windows(dataset, options)
    batch = next(iter(stream))
    observed = batch["observed"].numpy().mean()
    click.echo(
        f"{int(stream.cardinality()):,} batches of shape {tuple(batch['values'].shape)}"
        f" from {len(dataset.runs)} runs; {observed:.1%} of the first one was observed"
    )


def train_model(
    dataset: Dataset, labels: str, folder: str, size: int, epochs: int
) -> Artifact:
    """Learn what is usual, and judge it by days that were held back.

    What is known to be unusual is left out on either side.
    """
    from echoanom import TrainOptions, WindowOptions
    from echoanom.labels import read_labels
    from echoanom.training import train

    artifact = train(
        dataset,
        folder,
        WindowOptions(size, stride=size // 2, batch_size=8, shuffle=True),
        training=TrainOptions(epochs=epochs),
        exclude=[(label.start, label.end) for label in read_labels(labels)],
        overwrite=True,
    )
    record = artifact.record
    first, best = record.history[0], record.best
    click.echo(
        f"days to learn from: {len(record.training_days)},"
        f" held back: {len(record.validation_days)}; validation loss"
        f" {first.validation_loss:.4f} after the first epoch,"
        f" {best.validation_loss:.4f} after epoch {best.epoch}, the best"
    )
    return artifact


def score_rows(dataset: Dataset, artifact: Artifact, path: str) -> ScoreTable:
    """Give each minute the mean error of all windows that cover it."""
    from echoanom import write_scores
    from echoanom.scoring import score

    table = score(dataset, artifact)
    write_scores(path, table)
    click.echo(f"{len(table.times):,} minutes scored, each by up to", nl=False)
    click.echo(f" {table.windows.max()} windows")
    return table


def find_events(table: ScoreTable, rule: str, path: str) -> tuple[Event, ...]:
    """Gather what lies above the threshold of the held-back days."""
    from echoanom import EventOptions
    from echoanom.events import detect, write_events
    from echoanom.stamps import format_stamp

    options = EventOptions(threshold=rule)
    events = detect(table, options, table.threshold(rule).value)
    write_events(path, events)
    click.echo(f"{len(events)} events above {rule}")
    for event in events[:3]:
        sensor, share = event.top_sensors[0]
        click.echo(
            f"  {event.rank}. {format_stamp(event.start)},"
            f" {event.duration_min:.0f} min; {share:.0%} of the error is from {sensor}"
        )
    return events


def hold_against_labels(
    table: ScoreTable, events: tuple[Event, ...], labels: str
) -> None:
    """Tell how well what was found agrees with what was planted."""
    from echoanom.evaluation import evaluate
    from echoanom.labels import read_labels

    found = evaluate(table, read_labels(labels), events=events)
    assert found.by_event is not None  # because events were given
    by_event = found.by_event
    click.echo(
        f"{by_event.found_labels} of {by_event.labels} planted anomalies overlap an"
        f" event, {by_event.true_events} of {by_event.events} events a planted anomaly;"
        f"\nROC AUC by minutes is {found.roc_auc:.2f}, where chance has 0.5"
    )


def write_page(
    path: str,
    dataset: Dataset,
    artifact: Artifact,
    table: ScoreTable,
    events: tuple[Event, ...],
    rule: str,
) -> None:
    """Draw data, scores, events and reconstructions on one page."""
    from echoanom.report import ReportOptions, write_report

    write_report(
        path,
        dataset=dataset,
        table=table,
        events=events,
        artifact=artifact,
        threshold=table.threshold(rule),
        options=ReportOptions(title="The tutorial redone", top_events=2),
    )
    click.echo(f"see {path}")


def measure_mistakes(
    source: str, dataset: Dataset, artifact: Artifact, path: str
) -> None:
    """Do everything the tutorial's way, too, and print the difference in numbers."""
    from tutorial_mistakes import measure, table_lines, write_costs
    from tutorial_record import SENSOR, Record

    from echoanom import open_dataset

    alone = f"{dataset.path}-{SENSOR}"
    convert_tables(source, alone, sensors=(SENSOR,), max_gap_min=0)
    costs = measure(Record(source, dataset, open_dataset(alone), artifact))
    write_costs(path, costs)
    for line in table_lines(costs):
        click.echo(line)


@click.command(context_settings={"show_default": True})
@click.option("--days", type=click.IntRange(min=2), default=6, help="Days to simulate.")
@click.option(
    "--bins", type=click.IntRange(min=16), default=32, help="Bins of the echosounder."
)
@click.option("--epochs", type=click.IntRange(min=1), default=4, help="Most epochs.")
@click.option("--window", type=click.IntRange(min=8), default=64, help="Rows a window.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the sea.")
@click.option("--threshold", default="mean+2std", help="Rule of the threshold.")
@click.option("--out", default="demo-output/tutorial", help="Folder for all files.")
def main(
    days: int, bins: int, epochs: int, window: int, seed: int, threshold: str, out: str
) -> None:
    """Walk from daily CSVs to events, then measure the tutorial's mistakes."""
    quiet_tensorflow()
    begin = time.perf_counter()

    def heading(text: str) -> None:
        click.echo(f"\n[{time.perf_counter() - begin:5.1f} s] {text}")

    source = os.path.join(out, "observatory")
    heading("simulate an observatory")
    simulate_observatory(source, days, bins, seed)
    heading("join and convert")
    report = convert_tables(source, os.path.join(out, "dataset"))
    look_at_the_join(report)

    from echoanom import open_dataset

    dataset = open_dataset(report.dataset)
    heading("stream windows")
    look_at_windows(dataset, window)
    heading("train")
    labels = os.path.join(source, "labels.csv")
    model = os.path.join(out, "model")
    artifact = train_model(dataset, labels, model, window, epochs)
    heading("score")
    table = score_rows(dataset, artifact, os.path.join(out, "scores.csv"))
    heading("detect")
    events = find_events(table, threshold, os.path.join(out, "events.csv"))
    hold_against_labels(table, events, labels)
    heading("report")
    page = os.path.join(out, "report.html")
    write_page(page, dataset, artifact, table, events, threshold)
    heading("what the tutorial's mistakes cost on this record")
    measure_mistakes(source, dataset, artifact, os.path.join(out, "mistakes.csv"))
    heading("done")


if __name__ == "__main__":
    main()
