"""Slow, plain references that the fast code is held against.

Loops over single cells, Python floats, no cleverness: to be read, not to be run on
much.
"""

from __future__ import annotations

from collections.abc import Sequence


def naive_runs(present: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (first, rows) of every maximal stretch of True."""
    runs = []
    first = None
    for i in range(len(present)):
        if present[i] and first is None:
            first = i
        if not present[i] and first is not None:
            runs.append((first, i - first))
            first = None
    if first is not None:
        runs.append((first, len(present) - first))
    return runs


def naive_windows(runs: Sequence[tuple[int, int]], size: int, stride: int) -> list[int]:
    """Return the first row of every window, given (first row, rows) of every run."""
    found = []
    for first, rows in runs:
        for start in range(rows):
            if start % stride == 0 and start + size <= rows:
                found.append(first + start)
    return found


def naive_select(
    times: Sequence[int],
    period: int,
    include: Sequence[tuple[int, int]] | None,
    exclude: Sequence[tuple[int, int]],
) -> list[bool]:
    """Return for every row whether `select` keeps it."""
    kept = []
    for time in times:
        wanted = include is None or any(start <= time < end for start, end in include)
        unwanted = any(
            any(start <= moment < end for moment in range(time, time + period))
            for start, end in exclude
        )
        kept.append(wanted and not unwanted)
    return kept


def naive_events(
    times: Sequence[int],
    scores: Sequence[float],
    period_s: int,
    threshold: float,
    merge_gap_min: float,
    min_duration_min: float,
) -> list[tuple[int, int, int, float, float]]:
    """Return (start, end, peak, mean score, peak score) of each event, by rank."""
    groups: list[list[int]] = []
    for i in range(len(times)):
        if not scores[i] > threshold:
            continue
        if groups:
            gap_s = times[i] - (times[groups[-1][-1]] + period_s)
            if gap_s <= merge_gap_min * 60:
                groups[-1].append(i)
                continue
        groups.append([i])
    events = []
    for group in groups:
        start = times[group[0]]
        end = times[group[-1]] + period_s
        if end - start < min_duration_min * 60:
            continue
        peak = group[0]
        for i in group:
            if scores[i] > scores[peak]:
                peak = i
        total, count = 0.0, 0
        for i in range(group[0], group[-1] + 1):
            if scores[i] == scores[i]:
                total += scores[i]
                count += 1
        events.append((start, end, times[peak], total / count, scores[peak]))
    events.sort(key=lambda event: (-event[4], event[0]))
    return events


def naive_exceedances(scores: Sequence[float], threshold: float) -> int:
    """Count the scores above a threshold."""
    count = 0
    for score in scores:
        if score > threshold:
            count += 1
    return count


def naive_labelled(
    times: Sequence[int], period_s: int, labels: Sequence[tuple[int, int]]
) -> list[bool]:
    """Tell for each row whether any second of it lies in a label (start, end)."""
    marked = []
    for time in times:
        inside = False
        for second in range(time, time + period_s):
            for start, end in labels:
                if start <= second < end:
                    inside = True
        marked.append(inside)
    return marked


def naive_fold(
    starts: Sequence[int],
    cell_errors: Sequence[Sequence[Sequence[float]]],
    observed: Sequence[Sequence[Sequence[bool]]],
    period_s: int,
) -> dict[int, tuple[float, int, list[float]]]:
    """Map each covered time to its score, its windows and its columns' shares."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for window, start in enumerate(starts):
        for row in range(len(cell_errors[window])):
            rows.setdefault(start + row * period_s, []).append((window, row))
    folded = {}
    for time in sorted(rows):
        columns = len(cell_errors[0][0])
        sums = [0.0] * columns
        cells = 0
        for window, row in rows[time]:
            for column in range(columns):
                if observed[window][row][column]:
                    sums[column] += float(cell_errors[window][row][column])
                    cells += 1
        total = sum(sums)
        score = total / cells if cells else float("nan")
        shares = [part / total if total > 0 else 0.0 for part in sums]
        folded[time] = (score, len(rows[time]), shares)
    return folded
