"""How well scores and events find what people marked.

A row counts as it is. There is no point adjustment, which counts all rows of a marked
interval as found when one of them is, and lets random scores look excellent [1]_.

References
----------
.. [1] S. Kim, K. Choi, H.-S. Choi, B. Lee and S. Yoon (2022), "Towards a Rigorous
   Evaluation of Time-Series Anomaly Detection", Proc. AAAI 36(7), 7194–7201,
   https://doi.org/10.1609/aaai.v36i7.20680
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import MissingExtraError, ScoresError
from echoanom.events import Event, detect
from echoanom.labels import Label, labelled_rows
from echoanom.options import EventOptions
from echoanom.scores import ScoreTable
from echoanom.stamps import format_stamp

NO_KIND = "unnamed"
"""Kind under which labels without one are counted."""

_DAY_S = 86_400


@dataclasses.dataclass(frozen=True)
class KindRecall:
    """How many labels of one kind were found.

    Attributes
    ----------
    labels : int
        Labels with scored rows.
    found : int
        Those that overlap an event.
    """

    labels: int
    found: int

    @property
    def recall(self) -> float:
        """Share of the labels that were found."""
        return self.found / self.labels


@dataclasses.dataclass(frozen=True)
class EventEvaluation:
    """How well events agree with labels. They agree where they overlap at all.

    Attributes
    ----------
    events : int
        Number of events.
    true_events : int
        Events that overlap a label.
    labels : int
        Labels with scored rows.
    found_labels : int
        Labels that overlap an event.
    false_alarms_per_day : float
        Events without a label, per day of scored rows [1/day].
    alarm_share : float
        Share of the scored rows that lie in an event. One event over everything would
        find every label, and show here.
    row_precision : float or None
        Share of the rows in events that are labelled; None without such rows.
    row_recall : float
        Share of the labelled rows that lie in events.
    kinds : dict of str to KindRecall
        By kind of label.
    """

    events: int
    true_events: int
    labels: int
    found_labels: int
    false_alarms_per_day: float
    alarm_share: float
    row_precision: float | None
    row_recall: float
    kinds: dict[str, KindRecall]

    @property
    def precision(self) -> float | None:
        """Share of the events that overlap a label; None without events."""
        return self.true_events / self.events if self.events else None

    @property
    def recall(self) -> float:
        """Share of the labels that overlap an event."""
        return self.found_labels / self.labels


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well scores agree with labels.

    Attributes
    ----------
    rows : int
        Rows with a score.
    labelled_rows : int
        Those of them that overlap a label.
    labels : int
        Labels with scored rows.
    labels_outside : int
        Labels without any, which count nowhere.
    average_precision : float
        Area under the steps of precision over recall, row by row. Random scores reach
        the share of labelled rows.
    roc_auc : float
        Probability that a labelled row has a higher score than another; 0.5 is random.
    threshold : float or None
        The threshold the events were found with, if it was given.
    by_event : EventEvaluation or None
        Of the events, if there were events or a threshold.
    """

    rows: int
    labelled_rows: int
    labels: int
    labels_outside: int
    average_precision: float
    roc_auc: float
    threshold: float | None = None
    by_event: EventEvaluation | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values; recalls and precisions of events are worked out.
        """
        values = dataclasses.asdict(self)
        if self.by_event is not None:
            events = values["by_event"]
            events["precision"] = self.by_event.precision
            events["recall"] = self.by_event.recall
            for kind, found in self.by_event.kinds.items():
                events["kinds"][kind]["recall"] = found.recall
        return values


def evaluate(
    table: ScoreTable,
    labels: Sequence[Label],
    *,
    events: Sequence[Event] | None = None,
    threshold: float | None = None,
    options: EventOptions | None = None,
) -> Evaluation:
    """Hold scores, and optionally events, against labels.

    Parameters
    ----------
    table : ScoreTable
        The scores. Rows without one are left out.
    labels : sequence of Label
        What is known to be unusual.
    events : sequence of Event, optional
        What was found.
    threshold : float, optional
        With it and without events, events are found first.
    options : EventOptions, optional
        How they are found; the defaults if left out.

    Returns
    -------
    Evaluation
        Measures by row and, if there are events or a threshold, by event.

    Raises
    ------
    ScoresError
        If no row has a score, no label overlaps a scored row, or all rows are
        labelled: then nothing can be measured.
    MissingExtraError
        If scikit-learn is not installed.
    """
    scored = ~np.isnan(table.score)
    times, score = table.times[scored], table.score[scored]
    inside = _check(times, table.period_s, labels)
    marked = labelled_rows(times, table.period_s, inside)
    if marked.all():
        raise ScoresError(
            f"some scored rows must lie outside the labels, but all {len(marked)} lie"
            " inside; score more of the time around them"
        )
    average_precision, roc_auc = _rank_measures(marked, score)
    if events is None and threshold is not None:
        events = detect(table, options or EventOptions(), threshold)
    return Evaluation(
        rows=len(times),
        labelled_rows=int(marked.sum()),
        labels=len(inside),
        labels_outside=len(labels) - len(inside),
        average_precision=average_precision,
        roc_auc=roc_auc,
        threshold=threshold,
        by_event=(
            None
            if events is None
            else _by_event(times, table.period_s, marked, inside, events)
        ),
    )


def _check(
    times: NDArray[np.int64], period_s: int, labels: Sequence[Label]
) -> list[Label]:
    """Return the labels that overlap a scored row."""
    if not len(times):
        raise ScoresError("there must be rows with a score, and there are none")
    if not labels:
        raise ScoresError("there must be at least one label, and there is none")
    inside = [
        label for label in labels if labelled_rows(times, period_s, [label]).any()
    ]
    if not inside:
        begin = min(label.start for label in labels)
        end = max(label.end for label in labels)
        raise ScoresError(
            f"labels must overlap scored rows, but none of {len(labels)} does: scores"
            f" are from {format_stamp(int(times[0]))} to"
            f" {format_stamp(int(times[-1]) + period_s)}, labels from"
            f" {format_stamp(begin)} to {format_stamp(end)}"
        )
    return inside


def _rank_measures(
    marked: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[float, float]:
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ImportError:
        raise MissingExtraError("evaluation against labels", "evaluate") from None
    return (
        float(average_precision_score(marked, score)),
        float(roc_auc_score(marked, score)),
    )


def _by_event(
    times: NDArray[np.int64],
    period_s: int,
    marked: NDArray[np.bool_],
    labels: Sequence[Label],
    events: Sequence[Event],
) -> EventEvaluation:
    spans = [Label(event.start, event.end) for event in events]
    alarmed = labelled_rows(times, period_s, spans)
    true_events = sum(
        any(_overlap(event, label) for label in labels) for event in spans
    )
    found = [any(_overlap(event, label) for event in spans) for label in labels]
    kinds: dict[str, KindRecall] = {}
    for label, was_found in zip(labels, found, strict=True):
        kind = label.kind or NO_KIND
        before = kinds.get(kind, KindRecall(0, 0))
        kinds[kind] = KindRecall(before.labels + 1, before.found + was_found)
    days = len(times) * period_s / _DAY_S
    right = int((marked & alarmed).sum())
    alarms = int(alarmed.sum())
    return EventEvaluation(
        events=len(spans),
        true_events=true_events,
        labels=len(labels),
        found_labels=sum(found),
        false_alarms_per_day=(len(spans) - true_events) / days,
        alarm_share=alarms / len(times),
        row_precision=right / alarms if alarms else None,
        row_recall=right / int(marked.sum()),
        kinds=dict(sorted(kinds.items())),
    )


def _overlap(one: Label, two: Label) -> bool:
    return one.start < two.end and two.start < one.end
