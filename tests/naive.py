"""Slow, plain references that the fast code is held against.

Loops over single cells, Python floats, no cleverness: to be read, not to be run on
much.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np


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


def naive_standstills(
    times: Sequence[int],
    values: Sequence[float | None],
    period_s: int,
    most_gap_s: float,
) -> list[tuple[int, int]]:
    """Return (start, end) of every stretch of one value; None is not observed."""
    seen = [(t, v) for t, v in zip(times, values, strict=True) if v is not None]
    stretches: list[tuple[int, int]] = []
    for i, (time, value) in enumerate(seen):
        if i > 0:
            before, last = seen[i - 1]
            if value == last and time - (before + period_s) <= most_gap_s:
                stretches[-1] = (stretches[-1][0], time + period_s)
                continue
        stretches.append((time, time + period_s))
    return stretches


def naive_silences(
    times: Sequence[int],
    seen: Sequence[Sequence[bool]],
    sensor: int,
    period_s: int,
    most_gap_s: float,
) -> list[tuple[int, int]]:
    """Return (start, end) of every stretch in which others have values, not this one."""
    stretches: list[tuple[int, int]] = []
    last = None
    for time, row in zip(times, seen, strict=True):
        if not any(row):
            continue
        near = last is not None and time - (last + period_s) <= most_gap_s
        if row[sensor]:
            last = None
            continue
        if near:
            stretches[-1] = (stretches[-1][0], time + period_s)
        else:
            stretches.append((time, time + period_s))
        last = time
    return stretches


def naive_kept(peaks: Sequence[float], normal: float, least: float) -> int:
    """Return how many peaks lie above the last large step."""
    steps = list(peaks) + [normal]
    kept = 0
    for i in range(len(peaks)):
        if (steps[i] - steps[i + 1]) / steps[i] > least:
            kept = i + 1
    return kept


def naive_densest_band(shares: Sequence[float]) -> float:
    """Return the most that a band of columns has above its width's share."""
    best = -math.inf
    for begin in range(len(shares)):
        for end in range(begin + 1, len(shares) + 1):
            even = (end - begin) / len(shares)
            best = max(best, sum(shares[begin:end]) / sum(shares) - even)
    return best


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


def naive_read(
    content: bytes,
    period_s: int,
    policy: str = "refuse",
    kinds: Sequence[str] = (),
    missing_numbers: Sequence[float] = (-999.0, -9999.0),
    missing_words: Sequence[str] = ("NA", "N/A", "null", "NULL", "None", "-"),
) -> dict[str, Any]:
    """Read a well-formed daily CSV whose first column is the time stamp.

    Returns times [s], one list of float32 for each row, and the counts.
    """
    text = content.decode("utf-8-sig")
    lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    rows: list[tuple[int, list[float]]] = []
    for cells in lines[1:]:
        stamp = datetime.datetime.fromisoformat(cells[0])
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=datetime.UTC)
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        time_us = (stamp - epoch) // datetime.timedelta(microseconds=1)
        values = []
        for cell in cells[1:]:
            cell = cell.strip()
            number = math.nan
            if cell != "" and cell not in missing_words:
                number = float(cell)
            if math.isinf(number) or number in missing_numbers:
                number = math.nan
            values.append(float(np.float32(number)))
        rows.append((time_us, values))

    out_of_order = 0
    for i in range(len(rows)):
        if any(rows[j][0] > rows[i][0] for j in range(i)):
            out_of_order += 1
    rows.sort(key=lambda row: row[0])

    periods: dict[int, list[tuple[int, list[float]]]] = {}
    duplicates = 0
    for row in rows:
        time = row[0] // 1_000_000 // period_s * period_s
        others = periods.setdefault(time, [])
        # The text of a list makes NaN equal to NaN.
        if any(_plain(other) == _plain(row) for other in others):
            duplicates += 1
        else:
            others.append(row)
    merged = 0
    conflict = False
    values_out = []
    for others in periods.values():
        merged += len(others) - 1
        cells_of_rows = [cells for _, cells in others]
        if policy == "last":
            values_out.append(cells_of_rows[-1])
        elif policy == "mean" and len(others) > 1:
            values_out.append(
                [
                    naive_average([cells[c] for cells in cells_of_rows], None, kind)
                    for c, kind in enumerate(kinds)
                ]
            )
        else:
            values_out.append(cells_of_rows[0])
        if any(
            str(_zero(cells)) != str(_zero(cells_of_rows[0])) for cells in cells_of_rows
        ):
            conflict = True
    return {
        "times": list(periods),
        "values": values_out,
        "rows": len(rows),
        "duplicates": duplicates,
        "merged": merged,
        "out_of_order": out_of_order,
        "missing_cells": sum(math.isnan(x) for row in values_out for x in row),
        "conflict": conflict,
    }


def _zero(cells: Sequence[float]) -> list[float]:
    return [cell + 0.0 for cell in cells]


def _plain(row: tuple[int, list[float]]) -> str:
    return str((row[0], _zero(row[1])))


def naive_average(
    values: Sequence[float], weights: Sequence[float] | None, kind: str
) -> float:
    """Average numbers that are not NaN: levels as power, directions as vectors."""
    weights = weights or [1.0] * len(values)
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if not math.isnan(v)]
    total = sum(w for _, w in pairs)
    if total == 0:
        return math.nan
    if kind == "level":
        power = sum(w * 10 ** (v / 10) for v, w in pairs) / total
        return 10 * math.log10(power)
    if kind == "direction":
        north = sum(w * math.cos(math.radians(v)) for v, w in pairs) / total
        east = sum(w * math.sin(math.radians(v)) for v, w in pairs) / total
        if math.hypot(north, east) < 1e-6:
            return math.nan
        return math.degrees(math.atan2(east, north)) % 360
    return sum(w * v for v, w in pairs) / total


def naive_stack(
    tables: Sequence[Sequence[tuple[int, Sequence[float]]]],
    kinds: Sequence[Sequence[str]],
    start_s: int,
    period_s: int,
    rows: int,
    join: str,
    max_gap_min: float,
) -> dict[str, Any]:
    """Join sensors, given as (time, cells) of each row, cell by cell."""
    most = math.floor(max_gap_min * 60 / period_s)
    nan = math.nan
    joined: list[list[float]] = [[] for _ in range(rows)]
    filled: list[list[bool]] = [[] for _ in range(rows)]
    has_row = []
    in_sensor = []
    for sensor_rows, sensor_kinds in zip(tables, kinds, strict=True):
        table = dict(sensor_rows)
        has = [start_s + t * period_s in table for t in range(rows)]
        has_row.append(has)
        in_sensor.append([has[t] or _gap_length(has, t) <= most for t in range(rows)])
        for c, kind in enumerate(sensor_kinds):
            cells = [
                table[start_s + t * period_s][c] if has[t] else nan for t in range(rows)
            ]
            observed = [not math.isnan(cell) for cell in cells]
            for t in range(rows):
                value = cells[t]
                if not observed[t] and _gap_length(observed, t) <= most:
                    before = max(i for i in range(t) if observed[i])
                    behind = min(i for i in range(t, rows) if observed[i])
                    share = (t - before) / (behind - before)
                    value = naive_average(
                        [cells[before], cells[behind]], [1 - share, share], kind
                    )
                joined[t].append(value)
                filled[t].append(not observed[t] and not math.isnan(value))
    present = []
    for t in range(rows):
        sensors = [of_sensor[t] for of_sensor in in_sensor]
        keep = {"outer": any(sensors), "inner": all(sensors), "left": sensors[0]}[join]
        present.append(keep)
        if not keep:
            joined[t] = [nan] * len(joined[t])
            filled[t] = [False] * len(filled[t])
    return {
        "present": present,
        "values": joined,
        "filled": filled,
        "in_some": [any(has[t] for has in has_row) for t in range(rows)],
        "in_all": [all(has[t] for has in has_row) for t in range(rows)],
    }


def _gap_length(there: Sequence[bool], t: int) -> float:
    """Return the length of the gap around t, infinite if it has no end."""
    if there[t]:
        return 0
    first = t
    while first >= 0 and not there[first]:
        first -= 1
    last = t
    while last < len(there) and not there[last]:
        last += 1
    if first < 0 or last == len(there):
        return math.inf
    return last - first - 1


def naive_table_text(
    stamps: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    decimals: Sequence[int],
) -> str:
    """Write a daily CSV cell by cell; NaN is blank."""
    lines = [",".join(["timestamp", *names])]
    for t in range(len(rows)):
        line = stamps[t]
        for c in range(len(names)):
            value = rows[t][c]
            line += ","
            if not math.isnan(value):
                line += f"{value:.{decimals[c]}f}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def naive_red_noise(white: Sequence[float], phi: float) -> list[float]:
    """Return a first-order autoregressive process driven by white noise."""
    state = 0.0
    states = []
    for e in white:
        state = phi * state + math.sqrt(1 - phi**2) * e
        states.append(state)
    return states


def naive_moments(values: Sequence[float]) -> dict[str, float]:
    """Return count, missing, mean, population std, minimum and maximum."""
    seen = [value for value in values if value == value]
    nan = float("nan")
    if not seen:
        return {
            "count": 0, "missing": len(values),
            "mean": nan, "std": nan, "minimum": nan, "maximum": nan,
        }  # fmt: skip
    mean = sum(seen) / len(seen)
    return {
        "count": len(seen),
        "missing": len(values) - len(seen),
        "mean": mean,
        "std": (sum((value - mean) ** 2 for value in seen) / len(seen)) ** 0.5,
        "minimum": min(seen),
        "maximum": max(seen),
    }


def naive_quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that a share q of the observed ones does not exceed."""
    seen = sorted(value for value in values if value == value)
    for i in range(len(seen)):
        if i + 1 >= q * len(seen):
            return seen[i]
    return float("nan")


def naive_uncovered(
    windows: Sequence[int],
    size: int,
    order: Sequence[int],
    spans: Sequence[tuple[int, int]],
    present: Sequence[bool],
    halo: int,
) -> list[int]:
    """Return the windows that start in the shards of a stream and cannot be completed.

    Windows are given by their first rows, shards by their spans [begin, end) of rows.
    A window is completed by the shard of its first row, by that shard's halo, and by
    the shards that follow in the stream as long as each begins where the one before
    ended.
    """
    uncovered = []
    streamed = [shard for shard in order if any(present[slice(*spans[shard])])]
    for place, shard in enumerate(streamed):
        there: set[int] = set()
        reached = spans[shard][0]
        for following in streamed[place:]:
            begin, end = spans[following]
            if begin != reached:
                break
            reached = end
            there.update(range(begin, min(end + halo, len(present))))
        for first in windows:
            if spans[shard][0] <= first < spans[shard][1]:
                if any(row not in there for row in range(first, first + size)):
                    uncovered.append(first)
    return uncovered
