"""Affiliation: how near events are to marked stretches, next to chance [1]_.

Each marked stretch J has a zone E: the rows that are nearer to it than to any other.
Precision asks how far the events of the zone are from J, recall how far J is from
them; both are given as the probability that a row drawn at random from the zone is at
least as far away. So 1 is perfect and about 0.5 is chance, for each of the two alone.

Time is counted in rows, and a gap takes none: no event could lie in it. Rows are
intervals [i, i + 1), distances are integrated in closed form over them. The formulas
are [1]_, section 3.3; the results are those of its authors' implementation.

References
----------
.. [1] A. Huet, J. M. Navarro and D. Rossi (2022), "Local Evaluation of Time Series
   Anomaly Detection Algorithms", Proc. KDD '22, 635–645,
   https://doi.org/10.1145/3534678.3539339
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


def affiliation(
    marked: NDArray[np.int64], events: NDArray[np.int64], rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure events against each marked stretch.

    Parameters
    ----------
    marked : ndarray of int64, shape (S, 2)
        First row of each marked stretch, and the row behind its last; ascending and
        apart, at least one.
    events : ndarray of int64, shape (E, 2)
        The events' stretches, likewise; there may be none.
    rows : int
        Number of rows.

    Returns
    -------
    precision : ndarray of float64, shape (S,)
        Of the events in each stretch's zone; NaN where there are none.
    recall : ndarray of float64, shape (S,)
        Of each stretch; 0 where its zone has no events.
    """
    spans: list[Interval] = [(first, stop) for first, stop in marked.tolist()]
    predicted: list[Interval] = [(first, stop) for first, stop in events.tolist()]
    stops = [stop for _, stop in predicted]
    precision = np.full(len(spans), np.nan)
    recall = np.zeros(len(spans))
    for number, (span, zone) in enumerate(zip(spans, zones(spans, rows), strict=True)):
        inside = []
        for start, stop in predicted[bisect.bisect_right(stops, zone[0]) :]:
            if start >= zone[1]:
                break
            inside.append((max(start, zone[0]), min(stop, zone[1])))
        if inside:
            precision[number] = _precision(inside, span, zone)
            recall[number] = _recall(inside, span, zone)
    return precision, recall


def zones(spans: Sequence[Interval], rows: int) -> list[Interval]:
    """Part the rows among marked stretches, each row to the nearest.

    Parameters
    ----------
    spans : sequence of tuple of float
        First row of each stretch, and the row behind its last, ascending.
    rows : int
        Number of rows.

    Returns
    -------
    list of tuple of float
        Start and end of each stretch's zone [rows].
    """
    middles = [
        (one[1] + two[0]) / 2 for one, two in zip(spans, spans[1:], strict=False)
    ]
    return list(zip([0.0, *middles], [*middles, float(rows)], strict=True))


def _precision(events: Sequence[Interval], span: Interval, zone: Interval) -> float:
    """Mean, over the events' rows, of the probability to be at least as far away."""
    left, right = span[0] - zone[0], zone[1] - span[1]
    whole, length = zone[1] - zone[0], span[1] - span[0]

    def survival(near: float, far: float) -> float:
        # From a distance to a larger one; [1], equation for the CDF of precision.
        closer = _capped(far, left) + _capped(far, right)
        closer -= _capped(near, left) + _capped(near, right)
        return (far - near) * (1 - length / whole) - closer / whole

    total = 0.0
    for start, end in events:
        if start < span[0]:
            total += survival(max(span[0] - end, 0), span[0] - start)
        if end > span[1]:
            total += survival(max(start - span[1], 0), end - span[1])
        total += max(0.0, min(end, span[1]) - max(start, span[0]))
    return total / sum(end - start for start, end in events)


def _capped(distance: float, cap: float) -> float:
    """Integral of min(x, cap) over x from 0 to a distance."""
    inner = min(distance, cap)
    return inner * inner / 2 + cap * (distance - inner)


def _recall(events: Sequence[Interval], span: Interval, zone: Interval) -> float:
    """Mean, over the stretch's rows, of the probability to be at least as far away."""
    whole = zone[1] - zone[0]
    missed = 0.0
    for start, end, pivot in _uncovered(events, span):
        if pivot <= start:
            # Seen in a mirror, the nearest event is to the right.
            start, end, pivot = -end, -start, -pivot
            low, high = -zone[1], -zone[0]
        else:
            low, high = zone
        # In the zone and nearer than the event: min(d, y − low) on the one side, and
        # min(d, high − y) = d on the other.
        missed += _tent(end, low, pivot) - _tent(start, low, pivot)
        missed += ((pivot - start) ** 2 - (pivot - end) ** 2) / 2
    return 1 - missed / whole / (span[1] - span[0])


def _tent(at: float, low: float, pivot: float) -> float:
    """Integral of min(pivot − y, y − low) over y from low to a place."""
    middle = (low + pivot) / 2
    if at <= middle:
        return (at - low) ** 2 / 2
    return (middle - low) ** 2 - (pivot - at) ** 2 / 2


def _uncovered(
    events: Sequence[Interval], span: Interval
) -> Iterator[tuple[float, float, float]]:
    """Yield what no event covers of a stretch, and the edge of the nearest event."""
    parts = [
        (span[0], events[0][0], events[0][0]),
        (events[-1][1], span[1], events[-1][1]),
    ]
    for one, two in zip(events, events[1:], strict=False):
        middle = (one[1] + two[0]) / 2
        parts += [(one[1], middle, one[1]), (middle, two[0], two[0])]
    for low, high, pivot in parts:
        start, end = max(low, span[0]), min(high, span[1])
        if start < end:
            yield start, end, pivot
