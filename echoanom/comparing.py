"""Several scores of one record, held against the same labels on the same rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.bootstrap import interval
from echoanom.errors import ScoresError
from echoanom.evaluation import Case, Evaluation, Interval
from echoanom.evaluationoptions import EvaluationOptions
from echoanom.events import Event, detect
from echoanom.labels import Label
from echoanom.options import EventOptions
from echoanom.scores import ScoreTable

_MOST_POINTS = 2000


@dataclasses.dataclass(frozen=True)
class Contender:
    """Scores that are compared.

    Attributes
    ----------
    name : str
        What they are called.
    table : ScoreTable
        The scores.
    threshold : float, optional
        Scores above it are unusual.
    events : tuple of Event, optional
        What was found. Left out and with a threshold, events are found first.
    """

    name: str
    table: ScoreTable
    threshold: float | None = None
    events: tuple[Event, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Difference:
    """By how much one measure exceeds that of the first contender.

    Attributes
    ----------
    value : float
        The difference.
    interval : tuple of float, or None
        Where the middle 95 % of the draws lie, each measured for both on the same
        blocks; None without draws, or if most do not define it.
    """

    value: float
    interval: Interval


@dataclasses.dataclass(frozen=True)
class Compared:
    """How one contender did.

    Attributes
    ----------
    name : str
        What its scores are called.
    rows_left_out : int
        Rows with a score that another contender has none for.
    evaluation : Evaluation
        Its measures, on the rows that all have.
    recall, precision : ndarray of float64, shape (K,)
        Its curve by row, the highest threshold first; thinned to 2,000 points.
    differences : dict of str to Difference
        To the first contender, by measure as in `Evaluation.intervals`; empty for the
        first. A measure that is not defined for both has none.
    """

    name: str
    rows_left_out: int
    evaluation: Evaluation
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    differences: dict[str, Difference]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            The evaluation's, with ``scores``, ``rows_left_out`` and ``differences``.
        """
        return {
            "scores": self.name,
            "rows_left_out": self.rows_left_out,
            **self.evaluation.as_json(),
            "differences": {
                name: dataclasses.asdict(difference)
                for name, difference in self.differences.items()
            },
        }


def compare(
    contenders: Sequence[Contender],
    labels: Sequence[Label],
    *,
    options: EventOptions | None = None,
    measures: EvaluationOptions | None = None,
) -> tuple[Compared, ...]:
    """Hold several scores against the same labels.

    All are measured on the rows that every one of them has a score for: what is easy
    to find must be there for all.

    Parameters
    ----------
    contenders : sequence of Contender
        The scores, at least one, of one period.
    labels : sequence of Label
        What is known to be unusual.
    options : EventOptions, optional
        How events are found; the defaults if left out.
    measures : EvaluationOptions, optional
        How all is measured; the defaults if left out.

    Returns
    -------
    tuple of Compared
        In the order given.

    Raises
    ------
    ScoresError
        If one has no scores, periods differ, no row has a score from all, or nothing
        can be measured, as
        `echoanom.evaluation.evaluate` says.
    """
    common = _common_times(contenders)
    measures = measures or EvaluationOptions()
    compared: list[Compared] = []
    first: tuple[dict[str, float], dict[str, NDArray[np.float64]]] | None = None
    for contender in contenders:
        table = _at(contender.table, common)
        events = contender.events
        if events is None and contender.threshold is not None:
            events = detect(table, options or EventOptions(), contender.threshold)
        case = Case(table, labels, events, measures)
        everything = np.ones(case.rows)
        values, drawn = case.measure(everything), case.drawn()
        recall, precision = _thinned(*case.ranking.curve(everything))
        compared.append(
            Compared(
                name=contender.name,
                rows_left_out=_scored(contender.table) - len(common),
                evaluation=case.evaluation(contender.threshold, drawn),
                recall=recall,
                precision=precision,
                differences={} if first is None else _differences(first, values, drawn),
            )
        )
        first = first or (values, drawn)
    return tuple(compared)


def _scored(table: ScoreTable) -> int:
    return int((~np.isnan(table.score)).sum())


def _common_times(contenders: Sequence[Contender]) -> NDArray[np.int64]:
    """Return the times of the rows that all have a score for."""
    period = contenders[0].table.period_s
    for contender in contenders[1:]:
        if contender.table.period_s != period:
            raise ScoresError(
                f"{contender.name}: must have rows of {period} s, as"
                f" {contenders[0].name} has, got {contender.table.period_s} s; compare"
                " scores of one dataset"
            )
    times = []
    for contender in contenders:
        times.append(contender.table.times[~np.isnan(contender.table.score)])
        if not len(times[-1]):
            raise ScoresError(
                f"{contender.name}: must have rows with a score, and has none"
            )
    common = functools.reduce(np.intersect1d, times)
    if not len(common):
        raise ScoresError(
            "scores that are compared must have rows in common, but no row has a score"
            " in all of them; compare scores of the same time"
        )
    return common


def _at(table: ScoreTable, times: NDArray[np.int64]) -> ScoreTable:
    """Return the rows at some times, without shares: nothing here asks for them."""
    kept = np.isin(table.times, times)
    return dataclasses.replace(
        table,
        times=table.times[kept],
        score=table.score[kept],
        window_score=table.window_score[kept],
        windows=table.windows[kept],
        shares=None,
        columns=(),
    )


def _differences(
    first: tuple[dict[str, float], dict[str, NDArray[np.float64]]],
    values: dict[str, float],
    drawn: dict[str, NDArray[np.float64]],
) -> dict[str, Difference]:
    found = {}
    for name, value in values.items():
        difference = value - first[0].get(name, float("nan"))
        if difference == difference:
            between = interval(drawn[name] - first[1][name]) if drawn else None
            found[name] = Difference(difference, between)
    return found


def _thinned(
    recall: NDArray[np.float64], precision: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep points where recall grows, at most so many."""
    grown = np.flatnonzero(np.diff(recall, prepend=0.0) > 0)
    places = np.linspace(0, len(grown) - 1, min(len(grown), _MOST_POINTS))
    kept = grown[places.astype(np.int64)]
    return recall[kept], precision[kept]
