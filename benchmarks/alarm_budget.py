"""What a model finds at a number of false alarms a day, kind by kind."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.eventmeasures import NO_KIND, EventCase
from echoanom.events import Event, detect
from echoanom.labels import Label
from echoanom.options import EventOptions
from echoanom.scores import ScoreTable
from echoanom.stretches import row_ranges

STEPS = 200
_DAY_S = 86_400
_PLANTED = {"silent": "sensor_dropout", "stuck": "stuck_values"}


def within_budget(
    table: ScoreTable,
    labels: Sequence[Label],
    options: EventOptions,
    alarms_per_day: float,
    outages: Sequence[Event] = (),
) -> dict[str, Any]:
    """Lower the threshold until false alarms are too many, and see what was found.

    The threshold is the best for this record, chosen with its labels: it tells what
    scores can do, not what a user gets.

    An outage finds labels of its own kind and sensor alone. That a sensor is silent is
    a fact and no alarm, whether it was planted or not; a sensor that is said to be
    stuck and has no such label is a false one.

    Parameters
    ----------
    table : ScoreTable
        The scores; some rows lie outside the labels.
    labels : sequence of Label
        What is known to be unusual.
    options : EventOptions
        How rows become events.
    alarms_per_day : float
        The budget [1/day].
    outages : sequence of Event
        Sensors that are silent or stuck, beside the events.

    Returns
    -------
    dict
        ``threshold``, ``recall``, ``false_alarms_per_day``, ``alarm_share`` and
        ``kinds``: labels and found ones by kind. Plain JSON values.
    """
    record = _Record(table, labels, options, outages)
    others = record.other_scores()
    best = record.found(others[-1])
    # Between scores of rows without a label, a lower threshold costs nothing.
    for place in np.unique(np.geomspace(1, len(others), STEPS).astype(int)):
        tried = record.found(others[-place])
        if tried["false_alarms_per_day"] > alarms_per_day:
            break
        best = tried
    return best


def at_thresholds(
    table: ScoreTable,
    labels: Sequence[Label],
    options: EventOptions,
    thresholds: Mapping[str, float],
    outages: Sequence[Event] = (),
) -> dict[str, dict[str, Any]]:
    """See what is found above thresholds that do not know the labels.

    Parameters
    ----------
    table : ScoreTable
        The scores; some rows lie outside the labels.
    labels : sequence of Label
        What is known to be unusual.
    options : EventOptions
        How rows become events.
    thresholds : mapping of str to float
        By the rules that gave them.
    outages : sequence of Event
        As `within_budget` takes them.

    Returns
    -------
    dict of str to dict
        For each rule what `within_budget` returns.
    """
    record = _Record(table, labels, options, outages)
    return {rule: record.found(value) for rule, value in thresholds.items()}


class _Record:
    """Scored rows and their labels, to be searched with many thresholds."""

    def __init__(
        self,
        table: ScoreTable,
        labels: Sequence[Label],
        options: EventOptions,
        outages: Sequence[Event],
    ) -> None:
        scored = ~np.isnan(table.score)
        self._table = ScoreTable(
            times=table.times[scored],
            score=table.score[scored],
            window_score=table.window_score[scored],
            windows=table.windows[scored],
            period_s=table.period_s,
        )
        starts, ends = [label.start for label in labels], [one.end for one in labels]
        first, stop = row_ranges(self._table.times, table.period_s, starts, ends)
        inside = zip(labels, first < stop, strict=True)
        self._labels = [label for label, some in inside if some]
        self._options = options
        self._told = [any(_tells(o, label) for o in outages) for label in self._labels]
        first_s, last_s = int(self._table.times[0]), int(self._table.times[-1])
        self._wrong = sum(
            outage.kind == "stuck"
            and outage.start <= last_s
            and outage.end > first_s
            and not any(_tells(outage, label) for label in self._labels)
            for outage in outages
        )

    def other_scores(self) -> NDArray[np.float64]:
        """Return the scores of rows without a label, ascending."""
        return np.sort(self._table.score[~self._case(()).marked])

    def found(self, threshold: float) -> dict[str, Any]:
        """Measure the events above a threshold, beside the outages."""
        case = self._case(detect(self._table, self._options, threshold))
        labels: collections.Counter[str] = collections.Counter()
        found: collections.Counter[str] = collections.Counter()
        alarmed = ~np.isnan(case.delays)
        for label, seen, told in zip(self._labels, alarmed, self._told, strict=True):
            labels[label.kind or NO_KIND] += 1
            found[label.kind or NO_KIND] += bool(seen) or told
        wrong = int((~case.true_events).sum()) + self._wrong
        rows = len(self._table.times)
        return {
            "threshold": float(threshold),
            "recall": found.total() / labels.total(),
            "false_alarms_per_day": wrong * _DAY_S / (rows * self._table.period_s),
            "alarm_share": float(case.alarmed.mean()),
            "kinds": {
                kind: {"labels": labels[kind], "found": found[kind]}
                for kind in sorted(labels)
            },
        }

    def _case(self, events: Sequence[Event]) -> EventCase:
        table = self._table
        return EventCase(table.times, table.period_s, self._labels, events)


def _tells(outage: Event, label: Label) -> bool:
    """Tell whether an outage is what a label says."""
    return (
        label.kind == _PLANTED.get(outage.kind)
        and label.sensor == outage.top_sensors[0][0]
        and outage.start < label.end
        and label.start < outage.end
    )
