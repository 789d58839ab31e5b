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

from echoanom.bootstrap import blocks_of, draws, interval
from echoanom.errors import ScoresError
from echoanom.evaluationoptions import EvaluationOptions
from echoanom.eventmeasures import EventCase, FoundLabel, KindRecall, by_kind
from echoanom.events import Event, detect
from echoanom.judging import find_ground, judged_events
from echoanom.labels import Label
from echoanom.options import EventOptions
from echoanom.ranking import Ranking
from echoanom.scores import ScoreTable
from echoanom.stamps import format_stamp
from echoanom.stretches import in_stretches, run_starts, stretches
from echoanom.vus import EVERY, PUBLISHED, Surface

Interval = tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class EventEvaluation:
    """How well events agree with labels. They agree where they share a scored row.

    Attributes
    ----------
    events : int
        Number of events with scored rows.
    events_outside : int
        Events without any, which count nowhere.
    events_unsure : int
        Events on a label of kind ``unsure`` and on no other, which count nowhere
        either.
    true_events : int
        Events that overlap a label.
    labels : int
        Labels with scored rows.
    found_labels : int
        Labels that overlap an event.
    precision : float or None
        Share of the events that overlap a label; None without events.
    recall : float
        Share of the labels that overlap an event.
    f1 : float
        Harmonic mean of the two; 0 without events.
    affiliation_precision : float or None
        How near the events are to the labels, as `echoanom.affiliation` says; None
        without events. About 0.5 by chance.
    affiliation_recall, affiliation_f1 : float
        How near the labels are to the events, and the harmonic mean.
    false_alarms_per_day : float
        Events without a label, per day of scored rows [1/day].
    median_delay_s : float or None
        Median delay of the labels that were found [s]; None if none was.
    alarm_share : float
        Share of the scored rows that lie in an event. One event over everything would
        find every label, and show here.
    row_precision : float or None
        Share of the rows in events that are labelled; None without such rows.
    row_recall : float
        Share of the labelled rows that lie in events.
    kinds : dict of str to KindRecall
        By kind of label.
    by_label : tuple of FoundLabel
        Each label with scored rows, in the order given.
    """

    events: int
    events_outside: int
    events_unsure: int
    true_events: int
    labels: int
    found_labels: int
    precision: float | None
    recall: float
    f1: float
    affiliation_precision: float | None
    affiliation_recall: float
    affiliation_f1: float
    false_alarms_per_day: float
    median_delay_s: float | None
    alarm_share: float
    row_precision: float | None
    row_recall: float
    kinds: dict[str, KindRecall]
    by_label: tuple[FoundLabel, ...]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well scores agree with labels.

    Attributes
    ----------
    rows : int
        Rows with a score that are judged: all but those of `rows_unsure`.
    labelled_rows : int
        Those of them that overlap a label.
    labels : int
        Labels with scored rows. Those that are false or unsure are not among them.
    labels_outside : int
        Labels without any, which count nowhere.
    labels_false : int
        Labels of kind ``false``: they are as if they were not there.
    labels_unsure : int
        Labels of kind ``unsure``: what they cover is not judged.
    rows_unsure : int
        Rows with a score that overlap an unsure label and no other. They count
        nowhere.
    vus_pr : float
        Volume under the surface of precision, recall and buffer, as `echoanom.vus`
        says, with the thresholds that published values have.
    vus_pr_exact : float
        The same with a threshold at every score.
    vus_pr_silent : float
        What scores that are all equal would reach.
    average_precision : float
        Area under the steps of precision over recall, row by row. Random scores reach
        the share of labelled rows.
    roc_auc : float
        Probability that a labelled row has a higher score than another; 0.5 is random.
    options : EvaluationOptions
        How they were measured.
    threshold : float or None
        The threshold the events were found with, if it was given.
    by_event : EventEvaluation or None
        Of the events, if there were events or a threshold.
    intervals : dict of str to tuple of float, or None
        Where the middle 95 % of the draws lie, by measure: those by row under their
        names, those of events as ``event_f1``, ``affiliation_f1`` and so on. None
        where a measure is defined in less than half of them. Empty without bootstrap.
    """

    rows: int
    labelled_rows: int
    labels: int
    labels_outside: int
    labels_false: int
    labels_unsure: int
    rows_unsure: int
    vus_pr: float
    vus_pr_exact: float
    vus_pr_silent: float
    average_precision: float
    roc_auc: float
    options: EvaluationOptions
    threshold: float | None = None
    by_event: EventEvaluation | None = None
    intervals: dict[str, Interval] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values; recalls of kinds are worked out, and the labels'
            times are text.
        """
        values = dataclasses.asdict(self)
        if self.by_event is not None:
            events = values["by_event"]
            for kind, found in self.by_event.kinds.items():
                events["kinds"][kind]["recall"] = found.recall
            for label in events["by_label"]:
                label["start"] = format_stamp(label["start"])
                label["end"] = format_stamp(label["end"])
        return values


def evaluate(
    table: ScoreTable,
    labels: Sequence[Label],
    *,
    events: Sequence[Event] | None = None,
    threshold: float | None = None,
    options: EventOptions | None = None,
    measures: EvaluationOptions | None = None,
) -> Evaluation:
    """Hold scores, and optionally events, against labels.

    Parameters
    ----------
    table : ScoreTable
        The scores. Rows without one are left out.
    labels : sequence of Label
        What is known to be unusual. They may overlap: a row is labelled once, a label
        is found or not on its own. A label of kind ``false`` says that nothing is
        unusual there, and is left out. Where one of kind ``unsure`` overlaps no other,
        nothing is judged: its rows count nowhere, nor does an event on it and on no
        other label.
    events : sequence of Event, optional
        What was found.
    threshold : float, optional
        With it and without events, events are found first.
    options : EventOptions, optional
        How they are found; the defaults if left out.
    measures : EvaluationOptions, optional
        How all is measured; the defaults if left out.

    Returns
    -------
    Evaluation
        Measures by row and, if there are events or a threshold, by event.

    Raises
    ------
    ScoresError
        If no row has a score, no label of something unusual overlaps a scored row, or
        all rows are labelled: then nothing can be measured. Also if intervals are asked
        for and all rows lie in one block.
    """
    if events is None and threshold is not None:
        events = detect(table, options or EventOptions(), threshold)
    case = Case(table, labels, events, measures or EvaluationOptions())
    return case.evaluation(threshold)


class Case:
    """Scores, labels and events, ready to be measured with any weights.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    labels : sequence of Label
        What is known to be unusual.
    events : sequence of Event, or None
        What was found.
    options : EvaluationOptions
        How it is measured.

    Raises
    ------
    ScoresError
        If nothing can be measured, as `evaluate` says.
    """

    def __init__(
        self,
        table: ScoreTable,
        labels: Sequence[Label],
        events: Sequence[Event] | None,
        options: EvaluationOptions,
    ) -> None:
        scored = ~np.isnan(table.score)
        every, score = table.times[scored], table.score[scored]
        self._ground = find_ground(every, table.period_s, labels)
        kept = ~self._ground.unjudged
        times, score = every[kept], score[kept]
        self._options, self._times = options, times
        spans = [(label.start, label.end) for label in self._ground.labels]
        self._stretches = stretches(times, table.period_s, spans)
        self._marked = in_stretches(self._stretches, len(times))
        if self._marked.all():
            raise ScoresError(
                f"some scored rows must lie outside the labels, but all"
                f" {int(scored.sum())} lie inside; score more of the time around them"
            )
        self.ranking = Ranking(self._marked, score)
        starts = run_starts(times, table.period_s)
        self._surface, self._exact = (
            Surface(score, self._stretches, starts, options.buffer, thresholds)
            for thresholds in (PUBLISHED, EVERY)
        )
        self._events = None
        self._events_unsure = 0
        if events is not None:
            judged = judged_events(events, every, table.period_s, self._ground)
            self._events = EventCase(times, table.period_s, self._ground.labels, judged)
            self._events_unsure = len(events) - len(judged)

    @property
    def rows(self) -> int:
        """Number of rows that are judged."""
        return len(self._times)

    def measure(self, weights: NDArray[np.float64]) -> dict[str, float]:
        """Compute all measures.

        Parameters
        ----------
        weights : ndarray of float64, shape (N,)
            Weight of each row that is judged. Labels and events have that of their first row.

        Returns
        -------
        dict of str to float
            By name; NaN where one is not defined.
        """
        first = weights[self._stretches[:, 0]]
        average_precision, roc_auc = self.ranking.areas(weights)
        values = {
            "vus_pr": self._surface.volume(weights, first),
            "vus_pr_exact": self._exact.volume(weights, first),
            "average_precision": average_precision,
            "roc_auc": roc_auc,
        }
        if self._events is not None:
            values |= self._events.measures(
                weights,
                weights[self._events.label_rows],
                weights[self._events.event_rows],
                first,
            )
        return values

    def drawn(self) -> dict[str, NDArray[np.float64]]:
        """Measure on the record drawn anew, as often as the options say.

        Returns
        -------
        dict of str to ndarray of float64, shape (D,)
            The values of each measure; NaN where one is not defined. Empty without
            draws.

        Raises
        ------
        ScoresError
            If all rows lie in one block.
        """
        if not self._options.bootstrap:
            return {}
        blocks = blocks_of(self._times, self._options.block_h)
        drawn = draws(blocks, self._options.bootstrap, self._options.seed)
        values = [self.measure(counts[blocks]) for counts in drawn]
        return {name: np.array([one[name] for one in values]) for name in values[0]}

    def evaluation(
        self,
        threshold: float | None,
        drawn: dict[str, NDArray[np.float64]] | None = None,
    ) -> Evaluation:
        """Sum up.

        Parameters
        ----------
        threshold : float, optional
            What the events were found with.
        drawn : dict of str to ndarray of float64, optional
            What `drawn` returned; called here if left out.

        Returns
        -------
        Evaluation
            The measures, and their intervals.
        """
        values = self.measure(np.ones(self.rows))
        drawn = self.drawn() if drawn is None else drawn
        return Evaluation(
            rows=self.rows,
            labelled_rows=int(self._marked.sum()),
            labels=len(self._ground.labels),
            labels_outside=self._ground.outside,
            labels_false=self._ground.false,
            labels_unsure=self._ground.unsure,
            rows_unsure=int(self._ground.unjudged.sum()),
            vus_pr=values["vus_pr"],
            vus_pr_exact=values["vus_pr_exact"],
            vus_pr_silent=self._surface.silent_volume(),
            average_precision=values["average_precision"],
            roc_auc=values["roc_auc"],
            options=self._options,
            threshold=threshold,
            by_event=None if self._events is None else self._by_event(values),
            intervals={name: interval(draw) for name, draw in drawn.items()},
        )

    def _by_event(self, values: dict[str, float]) -> EventEvaluation:
        case = self._events
        assert case is not None
        by_label = tuple(
            FoundLabel(
                label.start,
                label.end,
                label.kind,
                None if delay != delay else int(delay),
            )
            for label, delay in zip(
                self._ground.labels, case.delays.tolist(), strict=True
            )
        )
        return EventEvaluation(
            events=len(case.true_events),
            events_outside=case.outside,
            events_unsure=self._events_unsure,
            true_events=int(case.true_events.sum()),
            labels=len(by_label),
            found_labels=sum(label.found for label in by_label),
            precision=_or_none(values["event_precision"]),
            recall=values["event_recall"],
            f1=values["event_f1"],
            affiliation_precision=_or_none(values["affiliation_precision"]),
            affiliation_recall=values["affiliation_recall"],
            affiliation_f1=values["affiliation_f1"],
            false_alarms_per_day=values["false_alarms_per_day"],
            median_delay_s=_or_none(values["median_delay_s"]),
            alarm_share=values["alarm_share"],
            row_precision=_or_none(values["row_precision"]),
            row_recall=values["row_recall"],
            kinds=by_kind(by_label),
            by_label=by_label,
        )


def _or_none(value: float) -> float | None:
    return None if value != value else value
