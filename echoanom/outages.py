"""Sensors that are silent or stuck, as events of their own kinds.

A model scores what it sees: of a sensor that is missing it sees nothing, and values that
stand still may be easy to reproduce. Both are read from the dataset itself.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.dataset import Dataset
from echoanom.errors import ScoresError
from echoanom.events import Event, Kind
from echoanom.options import EventOptions
from echoanom.outageoptions import OutageOptions
from echoanom.panels import find_panels
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader
from echoanom.scores import ScoreTable, check_scored
from echoanom.stamps import format_stamp
from echoanom.standstill import (
    USUAL_SHARE,
    USUAL_TOGETHER,
    Movements,
    Standstill,
    Stretch,
    at_once,
    join_near,
    silences,
    usual_limits,
)
from echoanom.whereabouts import places

_EPOCH = datetime.date(1970, 1, 1)
_SHARE_DIGITS = 4
_LEAST_ROWS = 3


def find_outages(
    dataset: Dataset,
    table: ScoreTable,
    options: OutageOptions | None = None,
    events: EventOptions | None = None,
    *,
    first_rank: int = 1,
    progress: Progress = no_progress,
) -> tuple[Event, ...]:
    """Find where sensors are silent or stuck.

    A sensor is stuck where all of its columns, or at least half of the columns of one of
    its quantities, keep their values for longer than twice what nine of ten usual days
    stay within; three of four where all stand still. Usual are the days that the model
    was trained on, if the scores tell them and the dataset has them, else all.

    Parameters
    ----------
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores; outages that end before them or begin behind them are left out.
    options : OutageOptions, optional
        How long is too long; the defaults if left out.
    events : EventOptions, optional
        The merge gap, and the columns to name; the defaults if left out.
    first_rank : int
        Rank of the first.
    progress : callable
        Told the rows read and all rows.

    Returns
    -------
    tuple of Event
        The longest first; equal ones by time, then by sensor. They have no score.

    Raises
    ------
    ScoresError
        If the scores are of another period, or of other time.
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    options, events = options or OutageOptions(), events or EventOptions()
    _check(dataset, table)
    columns, merge_gap_s = dataset.columns, events.merge_gap_min * 60
    sensors = list(dict.fromkeys(column.sensor for column in columns))
    members = [
        [i for i, column in enumerate(columns) if column.sensor == sensor]
        for sensor in sensors
    ]
    times = dataset.times()
    seen = np.empty((dataset.rows, len(sensors)), dtype=np.bool_)
    # A value that comes twice is no standstill yet, however seldom the rows come.
    least_s = max(options.stuck_min * 60, _LEAST_ROWS * dataset.period_s)
    still, whole = (
        Standstill(count, dataset.period_s, merge_gap_s, least_s)
        for count in (len(columns), len(sensors))
    )
    movements = Movements(members, len(columns))
    reader = IndexedReader(dataset, memory_bytes=0)
    begin = 0
    for rows in dataset.manifest.record_rows.tolist():
        values, observed = reader.rows(begin, rows)
        part = slice(begin, begin + rows)
        for number, positions in enumerate(members):
            seen[part, number] = observed[:, positions].any(axis=1)
        still.add(times[part], values, observed)
        whole.add(times[part], movements.add(values, observed), seen[part])
        begin += rows
        progress("looking for outages", begin, dataset.rows)
    found = [
        _event("silent", sensors[position], stretch, ((sensors[position], 1.0),))
        for position, stretch in silences(
            times, seen, dataset.period_s, merge_gap_s, options.silent_min * 60
        )
    ]
    of_columns = _too_long(still, table, least_s, USUAL_SHARE)
    of_sensors = _too_long(whole, table, least_s, USUAL_TOGETHER)
    for number, sensor in enumerate(sensors):
        together = [stretch for n, stretch in of_sensors if n == number]
        found += _stuck(sensor, columns, of_columns, together, least_s, events)
    first, end = int(table.times[0]), int(table.times[-1]) + table.period_s
    found = [event for event in found if event.start < end and event.end > first]
    found.sort(key=lambda event: (event.start - event.end, event.start))
    return tuple(
        dataclasses.replace(event, rank=rank)
        for rank, event in enumerate(found, first_rank)
    )


def _check(dataset: Dataset, table: ScoreTable) -> None:
    check_scored(dataset, table)
    if dataset.period_s != table.period_s:
        raise ScoresError(
            f"{dataset.path}: must have a row every {table.period_s} s as the scores"
            f" have, has one every {dataset.period_s} s; name the dataset that was"
            " scored"
        )
    runs = dataset.runs
    if len(runs) and len(table.times):
        start = int(runs.start_s[0])
        end = int(runs.start_s[-1] + runs.rows[-1] * dataset.period_s)
        if table.times[-1] >= start and table.times[0] < end:
            return
    raise ScoresError(
        f"{dataset.path}: must have rows at the time of the scores, but has none; name"
        " the dataset that was scored"
        + (f" ({format_stamp(int(table.times[0]))})" if len(table.times) else "")
    )


def _too_long(
    still: Standstill, table: ScoreTable, least_s: float, share: float
) -> list[tuple[int, Stretch]]:
    """List what stands still for longer than is usual."""
    stretches, days, longest = still.finish()
    limits = usual_limits(longest[_usual_days(days, table)], least_s, share)
    return [(c, s) for c, s in stretches if s.end - s.start > limits[c]]


def _usual_days(days: NDArray[np.int64], table: ScoreTable) -> NDArray[np.bool_]:
    """Choose the days that the model was trained on; all if none of them is there."""
    every = np.ones(len(days), dtype=np.bool_)
    model = table.provenance.get("model")
    trained = model.get("trained") if isinstance(model, dict) else None
    if not trained:
        return every
    first, last = ((datetime.date.fromisoformat(day) - _EPOCH).days for day in trained)
    chosen = (days >= first) & (days <= last)
    return chosen if chosen.any() else every


def _stuck(
    sensor: str,
    columns: Sequence[Column],
    long: Sequence[tuple[int, Stretch]],
    together: Sequence[Stretch],
    least_s: float,
    events: EventOptions,
) -> list[Event]:
    """Find when all columns, or half of those of a quantity, stand still together."""
    own = {i for i, column in enumerate(columns) if column.sensor == sensor}
    # Of a single column it is the same as of its quantity.
    stuck: list[tuple[Stretch, set[int]]] = [
        (stretch, own) for stretch in together if len(own) > 1
    ]
    for panel in find_panels(columns):
        if panel.sensor != sensor:
            continue
        members = set(panel.positions)
        of_panel = [(c, stretch) for c, stretch in long if c in members]
        for stretch in at_once(
            (stretch for _, stretch in of_panel), -(-len(members) // 2)
        ):
            if stretch.end - stretch.start > least_s:
                stuck.append(
                    (stretch, {c for c, s in of_panel if _overlap(s, stretch)})
                )
    found = []
    for whole in join_near(
        (stretch for stretch, _ in stuck), events.merge_gap_min * 60
    ):
        concerned = sorted(
            set().union(*(c for stretch, c in stuck if _overlap(stretch, whole)))
        )
        share = np.zeros(len(columns))
        share[concerned] = 1 / len(concerned)
        where = tuple(
            (place.words, round(place.share, _SHARE_DIGITS))
            for place in places(share, columns)
        )
        top = tuple(
            (columns[c].label, round(1 / len(concerned), _SHARE_DIGITS))
            for c in concerned[: events.top_columns]
        )
        event = _event("stuck", sensor, whole, where)
        found.append(dataclasses.replace(event, top_columns=top))
    return found


def _overlap(one: Stretch, two: Stretch) -> bool:
    return one.start < two.end and two.start < one.end


def _event(
    kind: Kind, sensor: str, stretch: Stretch, where: tuple[tuple[str, float], ...]
) -> Event:
    return Event(
        rank=0,
        start=stretch.start,
        end=stretch.end,
        peak=stretch.start,
        mean_score=math.nan,
        peak_score=math.nan,
        top_sensors=((sensor, 1.0),),
        where=where,
        kind=kind,
    )
