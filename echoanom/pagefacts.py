"""What a page says before it shows anything: figures, sensors, and doubts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echoanom.dataset import Dataset
from echoanom.events import Event
from echoanom.inspection import Inspection
from echoanom.pagetext import count, duration, percent
from echoanom.scores import ScoreTable
from echoanom.stamps import format_stamp
from echoanom.thresholds import Threshold

if TYPE_CHECKING:
    from echoanom.artifact import Artifact


def doubts(
    dataset: Dataset,
    table: ScoreTable,
    artifact: Artifact | None,
    threshold: Threshold | None,
    filled_cells: int,
) -> list[str]:
    """Say what makes a page less certain than it looks.

    Parameters
    ----------
    dataset : Dataset
        What is drawn.
    table : ScoreTable
        The scores.
    artifact : Artifact or None
        The model.
    threshold : Threshold or None
        Where events begin.
    filled_cells : int
        Cells of the dataset that were filled.

    Returns
    -------
    list of str
        Sentences; none if there is no doubt.
    """
    notes = []
    made_of = table.provenance.get("dataset") or {}
    if made_of.get("digest") not in (None, dataset.digest):
        notes.append(
            "The scores were made of another version of the dataset than the one"
            " drawn here."
        )
    made_by = table.provenance.get("model") or {}
    if artifact is not None and made_by.get("digest") not in (
        None,
        artifact.digest,
    ):
        notes.append("The scores were made by another model than the one shown here.")
    if threshold is not None and threshold.source == "scores":
        notes.append(
            "The threshold was computed from the very scores it is applied to,"
            " because no calibration came with them."
        )
    if filled_cells:
        notes.append(
            f"Short gaps were filled by interpolation, {count(filled_cells, 'cell')} in"
            " all. Filled values are drawn, but"
            " count neither in the score nor in the differences."
        )
    return notes


def opening(
    dataset: Dataset,
    inspection: Inspection,
    score: NDArray[np.float64],
    events: Sequence[Event],
    threshold: Threshold | None,
    span: tuple[int, int],
    whole: bool,
) -> list[tuple[str, str]]:
    """Return the figures that open a page.

    Parameters
    ----------
    dataset : Dataset
        What was scored.
    inspection : Inspection
        What it holds.
    score : ndarray of float64, shape (N,)
        The scores that are shown; NaN counts nothing.
    events : sequence of Event
        The events that are shown.
    threshold : Threshold or None
        Where events begin.
    span : tuple of int
        The time that is shown [s since 1970 UTC], half-open.
    whole : bool
        Whether that is all.

    Returns
    -------
    list of (str, str)
        Names and values.
    """
    summary = inspection.summary
    gaps = max(summary["runs"] - 1, 0)
    longest = f", the longest of {summary['longest_gap']}" if gaps else ""
    found = f"{count(gaps, 'gap')} of all sensors{longest}" if gaps else "none"
    times = dataset.times()
    first, end = np.searchsorted(times, span).tolist()
    scored = int(np.isfinite(score).sum())
    alarmed = sum(event.end - event.start for event in events)
    facts = [
        ("Dataset", summary["path"]),
        ("Time", f"{summary['start']} to {summary['end']}"),
        (
            "Rows",
            f"{summary['rows']:,} of {duration(summary['period_s'])} on"
            f" {count(summary['days'], 'day')},"
            f" {count(summary['columns'], 'column')}",
        ),
        (
            "Gaps",
            f"{found}; {percent(summary['missing_share'])} of the cells of all"
            " rows are missing",
        ),
    ]
    if not whole:
        shown = f"{format_stamp(span[0])} to {format_stamp(span[1])}"
        facts.append(("Shown here", f"{shown}, {end - first:,} rows"))
    share = scored / max(1, end - first)
    facts.append(("Scored", f"{scored:,} rows ({percent(share)})"))
    if threshold is not None:
        source = {
            "calibration": "from the model's held-back days",
            "scores": "from these scores",
            "number": "given as a number",
        }[threshold.source]
        facts.append(
            (
                "Threshold",
                f"{threshold.value:.6g} ({threshold.rule}, {source})",
            )
        )
    facts.append(
        (
            "Events",
            f"{count(len(events), 'event')}, together {duration(alarmed)}",
        )
    )
    return facts


def sensor_rows(inspection: Inspection) -> list[dict[str, str]]:
    """Return what each sensor has.

    Parameters
    ----------
    inspection : Inspection
        What a dataset holds.

    Returns
    -------
    list of dict
        ``name``, ``columns``, ``days``, ``rows`` and ``missing``, as texts.
    """
    return [
        {
            "name": sensor,
            **{name: f"{found[name]:,}" for name in ("columns", "days", "rows")},
            "missing": percent(found["missing_share"]),
        }
        for sensor, found in inspection.coverage["sensors"].items()
    ]
