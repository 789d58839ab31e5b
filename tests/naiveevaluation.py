"""Slow, plain definitions of the measures, that the fast code is held against.

A record is a list of rows: the run each belongs to, whether it is marked, its score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Span = tuple[int, int]


def naive_vus_pr(
    spans: Sequence[Span],
    runs: Sequence[int],
    score: Sequence[float],
    buffer: int,
    thresholds: int,
    *,
    aeon: bool = False,
) -> float:
    """VUS-PR by its definition, or with what aeon does otherwise."""
    areas = [
        naive_area(spans, runs, score, width, thresholds, aeon=aeon)
        for width in range(buffer + 1)
    ]
    return sum(areas) / len(areas)


def naive_area(
    spans: Sequence[Span],
    runs: Sequence[int],
    score: Sequence[float],
    width: int,
    thresholds: int,
    *,
    aeon: bool = False,
) -> float:
    """Area under precision over recall for one buffer."""
    rows = range(len(score))
    weight = [naive_weight(row, spans, runs, width, aeon=aeon) for row in rows]
    marked = [any(first <= row < stop for first, stop in spans) for row in rows]
    groups = naive_groups(spans, runs, weight, width, aeon=aeon)
    ordered = sorted(score, reverse=True)
    limits = sorted(set(score), reverse=True)
    if thresholds:
        step = (len(score) - 1) / (thresholds - 1)
        limits = [ordered[int(step * k)] for k in range(thresholds)]
    area, recall_before, precision_before = 0.0, 0.0, 1.0
    for limit in limits:
        taken = [row for row in rows if score[row] >= limit]
        found = sum(weight[row] for row in taken)
        in_buffers = sum(
            weight[row] for row in (rows if aeon else taken) if not marked[row]
        )
        known = sum(marked) + in_buffers / 2
        existing = sum(any(row in group for row in taken) for group in groups)
        recall = min(found / known, 1) * existing / len(groups)
        precision = found / len(taken)
        height = (precision + precision_before) / 2 if aeon else precision
        area += (recall - recall_before) * height
        recall_before, precision_before = recall, precision
    return area


def naive_weight(
    row: int, spans: Sequence[Span], runs: Sequence[int], width: int, *, aeon: bool
) -> float:
    """How much finding a row counts."""
    total = 0.0
    for first, stop in spans:
        if first <= row < stop:
            return 1.0
        for other in range(first, stop):
            # The nearest row of the span that is in the same run.
            inner = range(first, stop)
            same = [abs(row - one) for one in inner if runs[one] == runs[row]]
            if runs[other] == runs[row] and abs(row - other) == min(same):
                reach = width // 2 - (aeon and other < row)
                if abs(row - other) <= reach:
                    total += math.sqrt(1 - abs(row - other) / width)
    return min(total, 1.0)


def naive_groups(
    spans: Sequence[Span],
    runs: Sequence[int],
    weight: Sequence[float],
    width: int,
    *,
    aeon: bool,
) -> list[set[int]]:
    """Rows of the stretches with their buffers, joined where they share a row."""
    if aeon:
        covered = [row for row in range(len(weight)) if weight[row] > 0]
        groups = []
        for row in covered:
            if groups and row - 1 in groups[-1]:
                groups[-1].add(row)
            else:
                groups.append({row})
        return groups
    groups = []
    for first, stop in spans:
        own = {
            row
            for row in range(len(runs))
            for inner in range(first, stop)
            if runs[row] == runs[inner] and abs(row - inner) <= width // 2
        }
        groups.append(own)
    joined: list[set[int]] = []
    for group in groups:
        if joined and joined[-1] & group:
            joined[-1] |= group
        else:
            joined.append(group)
    return joined


def naive_affiliation(
    spans: Sequence[Span], events: Sequence[Span], rows: int, cells: int
) -> tuple[list[float | None], list[float]]:
    """Precision and recall of each span, by counting cells, so many a row."""
    places = [(cell + 0.5) / cells for cell in range(rows * cells)]

    def distance(place: float, intervals: Sequence[Span]) -> float:
        return min(max(first - place, place - stop, 0.0) for first, stop in intervals)

    def inside(place: float, intervals: Sequence[Span]) -> bool:
        return any(first < place < stop for first, stop in intervals)

    precisions: list[float | None] = []
    recalls = []
    for span in spans:
        zone = [
            place
            for place in places
            if distance(place, [span]) == distance(place, spans)
        ]
        alarms = [place for place in zone if inside(place, events)]
        own = [place for place in zone if inside(place, [span])]
        if not alarms:
            precisions.append(None)
            recalls.append(0.0)
            continue
        chance = [distance(place, [span]) for place in zone]
        near = [sum(c >= distance(a, [span]) for c in chance) for a in alarms]
        precisions.append(sum(near) / len(near) / len(zone))
        far = []
        for place in own:
            nearest = 0.0
            if not inside(place, events):
                nearest = min(abs(place - alarm) for alarm in alarms) - 0.5 / cells
            far.append(sum(abs(other - place) >= nearest for other in zone))
        recalls.append(sum(far) / len(far) / len(zone))
    return precisions, recalls


def naive_found(
    times: Sequence[int],
    period: int,
    labels: Sequence[Span],
    events: Sequence[Span],
) -> tuple[list[int | None], list[bool]]:
    """Delay of each label (None: not found), and whether each event is on a label."""

    def in_any(time: int, intervals: Sequence[Span]) -> bool:
        return any(time < end and start < time + period for start, end in intervals)

    delays: list[int | None] = []
    for label in labels:
        own = [time for time in times if in_any(time, [label])]
        hits = [time for time in own if in_any(time, events)]
        delays.append(max(0, hits[0] - max(label[0], own[0])) if hits else None)
    true = [
        any(in_any(time, [event]) and in_any(time, labels) for time in times)
        for event in events
    ]
    return delays, true
