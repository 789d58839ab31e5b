"""How well events agree with labels: what was found, how late, and what for nothing.

An event and a label agree if they share a scored row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.affiliation import affiliation
from echoanom.events import Event
from echoanom.labels import Label
from echoanom.stretches import in_stretches, row_ranges, stretches

NO_KIND = "unnamed"
"""Kind under which labels without one are counted."""

_DAY_S = 86_400


@dataclasses.dataclass(frozen=True)
class FoundLabel:
    """A label with scored rows, and whether it was found.

    Attributes
    ----------
    start, end : int
        Its start and the first moment after it [s since 1970 UTC].
    kind : str
        What it is; empty if it is not known.
    delay_s : int or None
        Time from its start, or from its first scored row if that is later, to its
        first row that lies in an event [s]; None if it was not found.
    """

    start: int
    end: int
    kind: str
    delay_s: int | None

    @property
    def found(self) -> bool:
        """Whether an event overlaps it."""
        return self.delay_s is not None


@dataclasses.dataclass(frozen=True)
class KindRecall:
    """How many labels of one kind were found.

    Attributes
    ----------
    labels : int
        Labels with scored rows.
    found : int
        Those that overlap an event.
    median_delay_s : float or None
        Median delay of those found [s]; None without any.
    """

    labels: int
    found: int
    median_delay_s: float | None = None

    @property
    def recall(self) -> float:
        """Share of the labels that were found."""
        return self.found / self.labels


class EventCase:
    """Labels and events as stretches of rows, to be weighed many times.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the scored rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    labels : sequence of Label
        Labels with scored rows.
    events : sequence of Event
        What was found.

    Attributes
    ----------
    outside : int
        Events without a scored row, which count nowhere.
    true_events : ndarray of bool, shape (E,)
        Which of the other events overlap a label.
    delays : ndarray of float64, shape (L,)
        Delay of each label [s]; NaN if it was not found.
    alarmed, marked : ndarray of bool, shape (N,)
        Rows that lie in an event, and in a label.
    label_rows, event_rows : ndarray of int64, shape (L,) and (E,)
        First row of each.
    """

    def __init__(
        self,
        times: NDArray[np.int64],
        period_s: int,
        labels: Sequence[Label],
        events: Sequence[Event],
    ) -> None:
        rows = len(times)
        self._period_s = period_s
        starts = np.array([label.start for label in labels], dtype=np.int64)
        ends = [label.end for label in labels]
        first, stop = row_ranges(times, period_s, starts, ends)
        spans = [(event.start, event.end) for event in events]
        begun, left = row_ranges(
            times, period_s, [a for a, _ in spans], [b for _, b in spans]
        )
        scored = begun < left
        begun, left = begun[scored], left[scored]
        self.outside = int(len(events) - scored.sum())
        self.marked = in_stretches(np.column_stack((first, stop)), rows)
        self.alarmed = in_stretches(np.column_stack((begun, left)), rows)
        self.label_rows, self.event_rows = first, begun
        labelled = np.concatenate(([0], np.cumsum(self.marked)))
        self.true_events = labelled[left] > labelled[begun]

        alarms = np.append(np.flatnonzero(self.alarmed), rows)
        alarm = alarms[np.searchsorted(alarms, first)]
        at = times[np.minimum(alarm, rows - 1)] - np.maximum(starts, times[first])
        self.delays = np.where(alarm < stop, np.maximum(at, 0), np.nan)

        whole = stretches(
            times, period_s, [(label.start, label.end) for label in labels]
        )
        self.span_rows = whole[:, 0]
        self._near, self._covered = affiliation(
            whole, stretches(times, period_s, spans), rows
        )

    def measures(
        self,
        rows: NDArray[np.float64],
        labels: NDArray[np.float64],
        events: NDArray[np.float64],
        spans: NDArray[np.float64],
    ) -> dict[str, float]:
        """Compute the measures.

        Parameters
        ----------
        rows : ndarray of float64, shape (N,)
            Weight of each scored row.
        labels : ndarray of float64, shape (L,)
            Weight of each label.
        events : ndarray of float64, shape (E,)
            Weight of each event with scored rows.
        spans : ndarray of float64, shape (S,)
            Weight of each marked stretch.

        Returns
        -------
        dict of str to float
            By name, as in `EventEvaluation`; NaN where one is not defined.
        """
        found = ~np.isnan(self.delays)
        alarmed, marked = rows[self.alarmed].sum(), rows[self.marked].sum()
        right = rows[self.alarmed & self.marked].sum()
        days = rows.sum() * self._period_s / _DAY_S
        values = {
            "event_precision": _mean(self.true_events, events),
            "event_recall": _mean(found, labels),
            "affiliation_precision": _mean(self._near, spans),
            "affiliation_recall": _mean(self._covered, spans),
            "false_alarms_per_day": _ratio(events[~self.true_events].sum(), days),
            "alarm_share": _ratio(alarmed, rows.sum()),
            "row_precision": _ratio(right, alarmed),
            "row_recall": _ratio(right, marked),
            "median_delay_s": _median(self.delays, labels),
        }
        for name in ("event", "affiliation"):
            values[f"{name}_f1"] = f1(
                values[f"{name}_precision"], values[f"{name}_recall"]
            )
        return values


def by_kind(labels: Sequence[FoundLabel]) -> dict[str, KindRecall]:
    """Count the labels of each kind, and those found.

    Parameters
    ----------
    labels : sequence of FoundLabel
        The labels.

    Returns
    -------
    dict of str to KindRecall
        By kind, in order of the alphabet.
    """
    kinds: dict[str, list[FoundLabel]] = {}
    for label in labels:
        kinds.setdefault(label.kind or NO_KIND, []).append(label)
    return {
        kind: _kind_recall([label.delay_s for label in members])
        for kind, members in sorted(kinds.items())
    }


def _kind_recall(delays: Sequence[int | None]) -> KindRecall:
    found = [delay for delay in delays if delay is not None]
    median = float(np.median(found)) if found else None
    return KindRecall(len(delays), len(found), median)


def f1(precision: float, recall: float) -> float:
    """Return the harmonic mean of precision and recall.

    Parameters
    ----------
    precision, recall : float
        The two, in [0, 1]; a precision of NaN, of nothing, finds nothing.

    Returns
    -------
    float
        0 if both are 0 or nothing was found.
    """
    if np.isnan(precision):
        return 0.0
    return _ratio(2 * precision * recall, precision + recall) if recall else 0.0


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _mean(values: NDArray[np.generic], weights: NDArray[np.float64]) -> float:
    """Weighted mean of the values that are no NaN."""
    numbers = values.astype(np.float64)
    known = ~np.isnan(numbers)
    return _ratio(float((numbers[known] * weights[known]).sum()), weights[known].sum())


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Median of the values that are no NaN, each as often as its whole weight."""
    known = ~np.isnan(values)
    repeated = np.repeat(values[known], weights[known].astype(np.int64))
    return float(np.median(repeated)) if len(repeated) else float("nan")
