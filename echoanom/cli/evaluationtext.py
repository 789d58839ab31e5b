"""What an evaluation came to, as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from echoanom.cli.wording import count, percent, table_lines

_LEVEL = "95 %"
_BY_ROW = ("vus_pr", "vus_pr_exact", "average_precision", "roc_auc")


def evaluation_lines(found: Mapping[str, Any]) -> list[str]:
    """Tell how well scores agree with labels.

    Parameters
    ----------
    found : mapping
        As `Evaluation.as_json` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    share = found["labelled_rows"] / found["rows"]
    lines = [
        _ground(found),
        *_open_lines([found], [""]),
        f"VUS-PR {_with_interval(found, 'vus_pr')}, at every score"
        f" {_with_interval(found, 'vus_pr_exact')} (scores that say nothing:"
        f" {found['vus_pr_silent']:.3f})",
        f"average precision {_with_interval(found, 'average_precision')}"
        f" (random: {share:.3f}), ROC AUC {_with_interval(found, 'roc_auc')}"
        " (random: 0.5)",
    ]
    events = found["by_event"]
    if events:
        threshold = found["threshold"]
        above = "" if threshold is None else f" above {threshold:.4g}"
        lines += [
            f"{count(events['events'], 'event')}{above}, {events['true_events']:,} on a label;"
            f" {events['found_labels']:,} of {count(events['labels'], 'label')} found;"
            f" {events['false_alarms_per_day']:.3g} false alarms a day;"
            f" {percent(events['alarm_share'])} of the rows in events",
            *_event_measures(found),
            "",
            *_kind_lines([events["kinds"]], ["found"], delays=True),
        ]
    return [*lines, *_notes([found])]


def comparison_lines(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell how several scores agree with the same labels.

    Parameters
    ----------
    compared : sequence of mapping
        As `Compared.as_json` returns them.

    Returns
    -------
    list of str
        Lines.
    """
    first = compared[0]
    names = [one["scores"] for one in compared]
    silent = first["vus_pr_silent"]
    share = first["labelled_rows"] / first["rows"]
    lines = [
        _ground(first),
        *_open_lines(compared, [f"{name}: " for name in names]),
        *(
            f"{one['scores']}: {count(one['rows_left_out'], 'row')} left out, which"
            " others have no score for"
            for one in compared
            if one["rows_left_out"]
        ),
        "",
        *table_lines(
            ["scores", "VUS-PR", "at every score", "average precision", "ROC AUC"],
            [
                [one["scores"]] + [_with_interval(one, name) for name in _BY_ROW]
                for one in compared
            ]
            + [
                [
                    "(random)",
                    *(f"{level:.3f}" for level in (silent, silent, share, 0.5)),
                ]
            ],
        ),
    ]
    if all(one["by_event"] for one in compared):
        lines += [
            "",
            *table_lines(
                ["events", "threshold", "precision", "recall", "F1", "affiliation F1"]
                + ["false alarms a day", "median delay"],
                [
                    [
                        one["scores"],
                        "" if one["threshold"] is None else f"{one['threshold']:.4g}",
                        _number(one["by_event"]["precision"]),
                        _number(one["by_event"]["recall"]),
                        _with_interval(one, "event_f1"),
                        _with_interval(one, "affiliation_f1"),
                        f"{one['by_event']['false_alarms_per_day']:.3g}",
                        _delay(one["by_event"]["median_delay_s"]),
                    ]
                    for one in compared
                ],
            ),
            "",
            *_kind_lines([one["by_event"]["kinds"] for one in compared], names),
        ]
    for one in compared[1:]:
        difference = one["differences"]["vus_pr"]
        if difference["interval"] is not None:
            low, high = difference["interval"]
            lines += [
                "",
                f"{one['scores']}: VUS-PR {difference['value']:+.3f} [{low:+.3f},"
                f" {high:+.3f}] against {first['scores']}",
            ]
    return [*lines, *_notes(compared)]


def _ground(found: Mapping[str, Any]) -> str:
    share = found["labelled_rows"] / found["rows"]
    return (
        f"{count(found['rows'], 'row')}, {percent(share)} of them labelled;"
        f" {count(found['labels'], 'label')} with scores,"
        f" {found['labels_outside']:,} without"
    )


def _open_lines(
    compared: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> list[str]:
    """Tell what labels of no, or of unknown, unusual thing do."""
    first, lines = compared[0], []
    if first["labels_false"]:
        lines.append(f"{count(first['labels_false'], 'label')} left out, marked false")
    if first["labels_unsure"]:
        lines.append(
            f"{count(first['labels_unsure'], 'label')} marked unsure:"
            f" {count(first['rows_unsure'], 'row')} not judged"
        )
        lines += [
            f"{name}{count(one['by_event']['events_unsure'], 'event')} not judged"
            for name, one in zip(names, compared, strict=True)
            if one["by_event"] and one["by_event"]["events_unsure"]
        ]
    return lines


def _event_measures(found: Mapping[str, Any]) -> list[str]:
    events = found["by_event"]
    return [
        f"{name}: precision {_number(events[f'{prefix}precision'])}, recall"
        f" {_number(events[f'{prefix}recall'])}, F1"
        f" {_with_interval(found, f'{measure}_f1')}"
        for name, prefix, measure in (
            ("events", "", "event"),
            ("affiliation", "affiliation_", "affiliation"),
        )
    ]


def _kind_lines(
    kinds: Sequence[Mapping[str, Any]], names: Sequence[str], *, delays: bool = False
) -> list[str]:
    """Table of the labels of each kind, and how many were found."""
    rows = [
        [kind or "(none)", f"{one['labels']:,}"]
        + [f"{by[kind]['found']:,}" for by in kinds]
        + ([_delay(one["median_delay_s"])] if delays else [])
        for kind, one in kinds[0].items()
    ]
    header = ["kind", "labels", *names, *(["median delay"] if delays else [])]
    return table_lines(header, rows)


def _with_interval(found: Mapping[str, Any], name: str) -> str:
    """A measure, with its interval if it has one."""
    events = found["by_event"] or {}
    value = found[name] if name in found else events[name.removeprefix("event_")]
    between = found["intervals"].get(name)
    if between is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{between[0]:.3f}, {between[1]:.3f}]"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _delay(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds / 60:g} min"


def _notes(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    options = compared[0]["options"]
    if not options["bootstrap"]:
        return []
    return [
        "",
        f"In brackets: {_LEVEL} of {options['bootstrap']:,} draws of blocks of"
        f" {options['block_h']:g} h",
    ]
