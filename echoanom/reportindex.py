"""The page that leads to the pages of a long report."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from echoanom import figures
from echoanom.dataset import Dataset
from echoanom.events import Event
from echoanom.inspection import inspect
from echoanom.pagesources import sources
from echoanom.pagetext import count, duration, percent
from echoanom.reportoptions import ReportOptions
from echoanom.scores import ScoreTable
from echoanom.stamps import format_stamp
from echoanom.thresholds import Threshold
from echoanom.timegrid import choose_grid, highest


def index(
    dataset: Dataset,
    table: ScoreTable,
    events: Sequence[Event],
    threshold: Threshold | None,
    options: ReportOptions,
    spans: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """Make everything the page shows.

    Parameters
    ----------
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    events : sequence of Event
        The events found in them, by rank.
    threshold : Threshold or None
        Where events begin.
    options : ReportOptions
        What to show.
    spans : mapping of str to tuple of int
        The pages by name, with their time [s since 1970 UTC].

    Returns
    -------
    dict
        The template's variables.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    name = dataset.path.rstrip("/").rpartition("/")[2]
    coverage = inspect(dataset).coverage
    first, last = (
        min(span[0] for span in spans.values()),
        max(span[1] for span in spans.values()),
    )
    grid = choose_grid(first, last, dataset.period_s, options.most_steps)
    figure = figures.overview(
        (),
        grid,
        np.empty((grid.steps, 0), dtype=np.float32),
        highest(table.times, table.score, grid),
        threshold=threshold.value if threshold else None,
        events=events,
    )
    picture = base64.b64encode(figures.as_webp(figure)).decode()
    alarmed = sum(event.end - event.start for event in events)
    return {
        "title": options.title or f"Unusual moments in {name}",
        "created": format_stamp(int(datetime.datetime.now(datetime.UTC).timestamp())),
        "facts": [
            ("Dataset", dataset.path),
            ("Time", f"{format_stamp(first)} to {format_stamp(last)}"),
            ("Rows", f"{dataset.rows:,} of {duration(dataset.period_s)}"),
            (
                "Events",
                f"{count(len(events), 'event')}, together {duration(alarmed)}",
            ),
        ],
        "picture_of_score": {
            "source": f"data:image/webp;base64,{picture}",
            "alt": f"The score over the whole time, with {len(events)} events",
            "caption": "The highest score of each step, with events and their ranks.",
        },
        "sensors": list(coverage["sensors"]),
        "months": [
            _month(name, span, dataset, table, events, coverage)
            for name, span in spans.items()
        ],
        "provenance": sources(dataset, table, None, options),
    }


def _month(
    name: str,
    span: tuple[int, int],
    dataset: Dataset,
    table: ScoreTable,
    events: Sequence[Event],
    coverage: Mapping[str, Any],
) -> dict[str, Any]:
    begin, end = np.searchsorted(dataset.times(), span).tolist()
    score = table.score[(table.times >= span[0]) & (table.times < span[1])]
    known = score[np.isfinite(score)]
    found = [event for event in events if span[0] <= event.peak < span[1]]
    days = [day for day in coverage["days"] if day["day"].startswith(name)]
    return {
        "name": name,
        "page": f"{name}.html",
        "rows": f"{end - begin:,}",
        "events": f"{len(found):,}",
        "first": str(min(event.rank for event in found)) if found else "–",
        "highest": f"{known.max():.4g}" if len(known) else "–",
        "present": [
            percent(1.0 - float(np.mean([day["missing_share"][s] for day in days])))
            for s in coverage["sensors"]
        ],
    }
