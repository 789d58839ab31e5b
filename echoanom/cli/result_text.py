"""What training, scoring and detection came to, as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoanom.cli.wording import count, percent, table_lines

if TYPE_CHECKING:
    from echoanom.scores import ScoreTable
    from echoanom.thresholds import Threshold

_SOURCES = {
    "calibration": "of the days held back in training",
    "scores": "of these very scores, as no calibration came with them",
    "number": "as given",
}
_TOO_FEW = "the days held back in training have too few events to tell"
_NO_RATES = {
    "calibration": _TOO_FEW,
    "scores": "no calibration came with the scores",
    "number": f"{_TOO_FEW}, or no calibration came with the scores",
}


def event_lines(
    path: str, events: Sequence[Mapping[str, Any]], threshold: Threshold
) -> list[str]:
    """List events.

    Parameters
    ----------
    path : str
        Where they were written.
    events : sequence of mapping
        The events, as plain JSON values.
    threshold : Threshold
        What they were found with.

    Returns
    -------
    list of str
        Lines.
    """
    from echoanom.pagetext import how_often

    rule = "" if threshold.source == "number" else f"{threshold.rule} "
    unusual = sum(event["kind"] == "unusual" for event in events)
    outages = len(events) - unusual
    lines = [
        f"{path}: {count(unusual, 'event')} above {threshold.value:.4g}"
        f" ({rule}{_SOURCES[threshold.source]}"
        f"{'; ' + threshold.basis if threshold.basis else ''})"
        f"{', ' + count(outages, 'outage') if outages else ''}"
    ]
    if events:
        lines += [
            "",
            *table_lines(
                [
                    *("event", "start", "end", "minutes", "kind", "peak score"),
                    *("by chance", "where"),
                ],
                [
                    [
                        *(str(e["event"]), e["start"], e["end"]),
                        *(f"{e['duration_min']:g}", e["kind"]),
                        "–" if e["peak_score"] is None else f"{e['peak_score']:.4g}",
                        "–"
                        if e["alarms_per_day"] is None
                        else how_often(e["alarms_per_day"]),
                        "; ".join(f"{c} {percent(s)}" for c, s in e["where"].items()),
                    ]
                    for e in events
                ],
                left=["kind", "where"],
            ),
        ]
    if unusual and all(event["alarms_per_day"] is None for event in events):
        lines += ["", f"by chance: not known, as {_NO_RATES[threshold.source]}"]
    return lines


def score_summary(path: str, table: ScoreTable) -> dict[str, Any]:
    """Sum up a table of scores.

    Parameters
    ----------
    path : str
        Where it was written.
    table : ScoreTable
        The scores.

    Returns
    -------
    dict
        Plain JSON values.
    """
    import numpy as np

    from echoanom.stamps import format_stamp

    scored = table.score[~np.isnan(table.score)]
    empty = not len(scored)
    return {
        "scores": path,
        "rows": len(table.times),
        "scored_rows": len(scored),
        "start": format_stamp(int(table.times[0])) if len(table.times) else None,
        "end": (
            format_stamp(int(table.times[-1]) + table.period_s)
            if len(table.times)
            else None
        ),
        "mean": None if empty else float(scored.mean()),
        "median": None if empty else float(np.median(scored)),
        "maximum": None if empty else float(scored.max()),
        **table.provenance,
    }


def score_lines(summary: Mapping[str, Any]) -> list[str]:
    """Tell what was scored.

    Parameters
    ----------
    summary : mapping
        As `score_summary` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    lines = [
        f"{summary['scores']}: {count(summary['rows'], 'row')}"
        f" from {summary['start']} to {summary['end']}"
    ]
    if summary["scored_rows"]:
        lines.append(
            f"score: median {summary['median']:.4g}, mean {summary['mean']:.4g},"
            f" maximum {summary['maximum']:.4g}"
        )
    return lines


def training_lines(summary: Mapping[str, Any]) -> list[str]:
    """Tell how a training went.

    Parameters
    ----------
    summary : mapping
        As `TrainingRecord.as_json` returns it, and the model's folder.

    Returns
    -------
    list of str
        Lines.
    """
    history = summary["history"]
    epochs = f"{count(len(history), 'epoch')}, " if history else ""
    lines = [f"{summary['model']}: {epochs}{summary['stop_reason']}"]
    if history:
        best = min(history, key=lambda epoch: float(epoch["validation_loss"]))
        lines.append(
            f"best epoch {best['epoch']}: loss {best['loss']:.4g}, on held-back days"
            f" {best['validation_loss']:.4g}"
        )
    return [
        *lines,
        f"trained on {_days(summary['training_days'])}; held back"
        f" {_days(summary['validation_days'])}",
    ]


def _days(days: Sequence[str]) -> str:
    span = f" ({days[0]} to {days[-1]})" if days else ""
    return count(len(days), "day") + span
