"""The command that finds what is unusual: detect."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import click

from echoanom.cli import result_text
from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.parameters import (
    Decorator,
    Flag,
    command,
    json_option,
    options_object,
)
from echoanom.options import EventOptions
from echoanom.outageoptions import OutageOptions

if TYPE_CHECKING:
    from echoanom.events import Event

event_options: Decorator[Any] = options_object(
    EventOptions,
    "options",
    threshold=Flag(
        "--threshold",
        "Scores above it are unusual: mean+<k>std, quantile:<q>, mad:<k>, pot:<p> (peaks"
        " over threshold, probability p a row), alarms:<r> (r false alarms a day), or a"
        " number. Computed from the scores of the days held back in training.",
        metavar="RULE",
    ),
    merge_gap_min=Flag(
        "--merge-gap", "Events closer than this are one [min].", metavar="MIN"
    ),
    min_duration_min=Flag(
        "--min-duration", "Shorter events are dropped [min].", metavar="MIN"
    ),
    prune=Flag(
        "--prune",
        "Drop events from which, in order of their peaks, no step down to the next, or"
        " to what is normal, is larger than this share.",
        metavar="SHARE",
    ),
    top_columns=Flag("--top-columns", "Columns to name for each event.", metavar="N"),
)


@command
@click.argument("scores")
@click.option(
    "--out", required=True, metavar="CSV", help="Where the table of events goes."
)
@event_options
@click.option(
    "--dataset",
    metavar="DATASET",
    help="What was scored: sensors that are silent or stuck in it are events, too.",
)
@options_object(
    OutageOptions,
    "outages",
    silent_min=Flag(
        "--silent",
        "A sensor without values for longer, while others have some, is silent [min].",
        metavar="MIN",
    ),
    stuck_min=Flag(
        "--stuck",
        "Values that stay the same for longer, and longer than is usual, are stuck"
        " [min].",
        metavar="MIN",
    ),
)
@json_option
def detect(
    scores: str,
    out: str,
    options: EventOptions,
    dataset: str | None,
    outages: OutageOptions,
    as_json: bool,
) -> None:
    """Find events: stretches of rows that score high.

    SCORES is a table made by `echoanom score`, or any CSV with timestamp and score. The
    events are ranked by their highest score; each names the columns and sensors that
    brought it about, and how often data like the days held back have one like it by
    chance.

    \b
    Example:
      echoanom detect scores.csv --out events.csv --threshold alarms:1
      echoanom detect scores.csv --out events.csv --dataset dataset --prune 0.13
    """
    from echoanom.events import detect as run
    from echoanom.events import write_events
    from echoanom.scores import read_scores

    if dataset is None and outages != OutageOptions():
        raise click.UsageError("--silent and --stuck need --dataset")
    stem = os.path.abspath(scores).removesuffix(".csv")
    if os.path.abspath(out) in {
        f"{stem}{end}" for end in (".csv", ".json", ".columns.npy")
    }:
        raise click.UsageError(f"--out must be none of the files of SCORES, got {out}")
    table = read_scores(scores)
    threshold = table.threshold(options.threshold, options)
    events = run(table, options, threshold.value)
    if dataset is not None:
        from echoanom.dataset import open_dataset
        from echoanom.outages import find_outages

        with progress_bar() as progress:
            events += find_outages(
                open_dataset(dataset),
                table,
                outages,
                options,
                first_rank=len(events) + 1,
                progress=progress,
            )
    write_events(out, events, threshold)
    if as_json:
        print_json(
            {
                "events": [event_json(event) for event in events],
                "threshold": dataclasses.asdict(threshold),
            }
        )
    else:
        print_lines(
            result_text.event_lines(
                out, [event_json(event) for event in events], threshold
            )
        )


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON values.

    Parameters
    ----------
    event : Event
        The event.

    Returns
    -------
    dict
        The names of events.csv; shares are objects of label and share.
    """
    from echoanom.stamps import format_stamp

    return {
        "event": event.rank,
        "start": format_stamp(event.start),
        "end": format_stamp(event.end),
        "peak": format_stamp(event.peak),
        "duration_min": event.duration_min,
        "mean_score": _number(event.mean_score),
        "peak_score": _number(event.peak_score),
        "top_columns": dict(event.top_columns),
        "top_sensors": dict(event.top_sensors),
        "where": dict(event.where),
        "kind": event.kind,
        "alarms_per_day": event.alarms_per_day,
    }


def _number(score: float) -> float | None:
    return None if math.isnan(score) else score
