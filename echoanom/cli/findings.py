"""Commands that find and show what is unusual: detect, report."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from echoanom.cli import result_text
from echoanom.cli.console import print_json, print_lines, progress_bar, quiet_tensorflow
from echoanom.cli.parameters import (
    Decorator,
    Flag,
    command,
    json_option,
    options_object,
)
from echoanom.cli.wording import count
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


class BySensor(click.ParamType):  # type: ignore[type-arg]
    """A value for one sensor, ``SENSOR=VALUE``.

    Parameters
    ----------
    value : click.ParamType or type
        Type of the value.
    """

    name = "by sensor"

    def __init__(self, value: Any) -> None:
        self.value = click.types.convert_type(value)

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Any]:
        """Split the argument.

        Parameters
        ----------
        value : str
            The argument.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        sensor : str
            The sensor.
        value : object
            Its value.
        """
        sensor, equals, text = str(value).rpartition("=")
        if not (sensor and equals):
            self.fail(f"{value!r} is not of the form SENSOR=VALUE", param, ctx)
        return sensor, self.value.convert(text, param, ctx)


@command
@click.argument("dataset")
@click.option(
    "--model", required=True, metavar="DIR", help="Folder of the trained model."
)
@click.option("--scores", required=True, metavar="CSV", help="Table of scores.")
@click.option("--events", required=True, metavar="CSV", help="Table of events.")
@click.option("--out", required=True, metavar="HTML", help="Where the page goes.")
@click.option(
    "--title", default="", show_default="named after the dataset", help="Its heading."
)
@click.option(
    "--top-events",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Events to show in detail.",
)
@click.option(
    "--looking",
    type=BySensor(click.Choice(["up", "down"])),
    multiple=True,
    metavar="SENSOR=up|down",
    help="Where a sensor's range increases to; up, if not named. May be given for several.",
)
@click.option(
    "--depth",
    type=BySensor(float),
    multiple=True,
    metavar="SENSOR=M",
    help="Depth of an instrument [m]: its range is drawn as depth. May be given for"
    " several.",
)
@json_option
def report(
    dataset: str,
    model: str,
    scores: str,
    events: str,
    out: str,
    title: str,
    top_events: int,
    looking: tuple[tuple[str, Any], ...],
    depth: tuple[tuple[str, float], ...],
    as_json: bool,
) -> None:
    """Draw data, scores and events on a page.

    The page is one HTML file that opens without a network: the bins of the sensors over
    time with the score, threshold and events, the table of events, and for the first of
    them the data beside what the model made of them.

    \b
    Example:
      echoanom report dataset --model model --scores scores.csv \\
          --events events.csv --out report.html
    """
    quiet_tensorflow()
    from echoanom.artifact import load_artifact
    from echoanom.dataset import open_dataset
    from echoanom.events import read_events, read_threshold
    from echoanom.report import ReportOptions, write_report
    from echoanom.scores import read_scores

    found = read_events(events)
    with progress_bar() as progress:
        write_report(
            out,
            dataset=open_dataset(dataset),
            table=read_scores(scores),
            events=found,
            artifact=load_artifact(model),
            threshold=read_threshold(events),
            options=ReportOptions(
                title=title,
                top_events=top_events,
                looking=dict(looking),
                depth_m=dict(depth),
            ),
            progress=progress,
        )
    if as_json:
        print_json({"report": out, "events": len(found)})
    else:
        print_lines([f"{out}: {count(len(found), 'event')}, to be opened in a browser"])
