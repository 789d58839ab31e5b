"""Events: stretches of time with scores above a threshold, ranked and explained.

NumPy only: events know scores and times, never models.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from echoanom import publishing, storage
from echoanom.errors import OptionError, ScoresError
from echoanom.options import EventOptions
from echoanom.pruning import prune
from echoanom.scores import ScoreTable, sensor_shares
from echoanom.stamps import format_stamp
from echoanom.texttable import TextTable, read_text_table
from echoanom.thresholds import Source, Threshold
from echoanom.whereabouts import places

FORMAT = 1
_FIRST_HEADER = (
    "event",
    "start",
    "end",
    "peak",
    "duration_min",
    "mean_score",
    "peak_score",
    "top_columns",
    "top_sensors",
)
HEADER = (*_FIRST_HEADER, "where", "kind", "alarms_per_day")
"""Columns of ``events.csv``; the last three may be missing in one that is read."""

Kind = Literal["unusual", "silent", "stuck"]
Shares = tuple[tuple[str, float], ...]

_SHARE_DIGITS = 4
_ROWS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Event:
    """A stretch of time that does not look like the others.

    Attributes
    ----------
    rank : int
        1 for the event with the highest peak score.
    start : int
        Start of its first row above the threshold [s since 1970 UTC].
    end : int
        End of its last row above the threshold [s since 1970 UTC].
    peak : int
        Start of the row with the highest score [s since 1970 UTC].
    mean_score : float
        Mean score of its rows, those between peaks included.
    peak_score : float
        Highest score; NaN, as the mean, of an event that was not found by its score.
    top_columns : tuple of (str, float)
        Labels of the columns with the largest shares of the error, and these shares.
    top_sensors : tuple of (str, float)
        Sensors and their shares, largest first.
    where : tuple of (str, float)
        Quantities, or bands of them, in words, and their shares, largest first.
    kind : {'unusual', 'silent', 'stuck'}
        Found by its score, or because a sensor gives no values or the same ones.
    alarms_per_day : float, optional
        How often data like the held-back days have an event with such a peak score
        [1/day]; None if that is not known.
    """

    rank: int
    start: int
    end: int
    peak: int
    mean_score: float
    peak_score: float
    top_columns: Shares = ()
    top_sensors: Shares = ()
    where: Shares = ()
    kind: Kind = "unusual"
    alarms_per_day: float | None = None

    @property
    def duration_min(self) -> float:
        """Time from start to end [min]."""
        return (self.end - self.start) / 60


def detect(
    table: ScoreTable, options: EventOptions, threshold: float
) -> tuple[Event, ...]:
    """Find events.

    Rows above the threshold belong to one event if at most the merge gap lies between
    the end of one and the start of the next, whether there are rows between or not.
    With pruning, only events that stand out are kept, see `echoanom.pruning.prune`.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    options : EventOptions
        How rows become events. Its rule is not used: the threshold is given.
    threshold : float
        Scores above it are unusual.

    Returns
    -------
    tuple of Event
        By peak score, highest first; equal ones by time.

    Raises
    ------
    OptionError
        If the threshold is NaN.
    ScoresError
        If events are to be pruned and the scores are less than 0.
    """
    if math.isnan(threshold):
        raise OptionError("threshold must be a number, got nan")
    above = np.flatnonzero(table.score > threshold)
    if not len(above):
        return ()
    starts = table.times[above]
    gaps = starts[1:] - (starts[:-1] + table.period_s)
    breaks = np.flatnonzero(gaps > options.merge_gap_min * 60) + 1
    firsts = above[np.concatenate(([0], breaks))]
    lasts = above[np.concatenate((breaks - 1, [len(above) - 1]))]
    durations = table.times[lasts] + table.period_s - table.times[firsts]
    kept = durations >= options.min_duration_min * 60
    found = [
        _event(table, slice(first, last + 1), options.top_columns)
        for first, last in zip(firsts[kept].tolist(), lasts[kept].tolist(), strict=True)
    ]
    found.sort(key=lambda event: (-event.peak_score, event.start))
    if options.prune:
        below = table.score[table.score <= threshold]
        normal = float(below.max()) if len(below) else 0.0
        peaks = [event.peak_score for event in found]
        del found[prune(peaks, normal, options.prune) :]
    rates = _alarms_per_day(table, options, [event.peak_score for event in found])
    return tuple(
        dataclasses.replace(event, rank=rank, alarms_per_day=rate)
        for rank, (event, rate) in enumerate(zip(found, rates, strict=True), 1)
    )


def _alarms_per_day(
    table: ScoreTable, options: EventOptions, peaks: list[float]
) -> list[float | None]:
    """Tell how often the days held back have peaks like these, if they tell."""
    if table.calibration is None:
        return [None] * len(peaks)
    try:
        rates = table.calibration.alarm_rates(options)
    except ScoresError:  # too few events, or a model of an earlier version
        return [None] * len(peaks)
    return list(rates.rate(np.array(peaks)).tolist())


def _event(table: ScoreTable, rows: slice, top_columns: int) -> Event:
    score = table.score[rows]
    peak = rows.start + int(np.nanargmax(score))
    columns: Shares = ()
    sensors: Shares = ()
    where: Shares = ()
    if table.shares is not None and table.columns:
        share = _weighed_share(table.shares[rows], score)
        labels = [column.label for column in table.columns]
        columns = _largest(labels, share, top_columns)
        by_sensor = sensor_shares(share, table.columns)
        sensors = _largest(
            list(by_sensor), np.array(list(by_sensor.values())), len(by_sensor)
        )
        where = tuple(
            (place.words, round(place.share, _SHARE_DIGITS))
            for place in places(share, table.columns)
        )
    return Event(
        rank=0,
        start=int(table.times[rows.start]),
        end=int(table.times[rows.stop - 1]) + table.period_s,
        peak=int(table.times[peak]),
        mean_score=float(np.nanmean(score)),
        peak_score=float(table.score[peak]),
        top_columns=columns,
        top_sensors=sensors,
        where=where,
    )


def _weighed_share(
    shares: NDArray[np.float16], score: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of each column in the error of all rows together, shape (C,)."""
    total = np.zeros(shares.shape[1])
    for first in range(0, len(score), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        # A row without a score has no shares either.
        known = np.nan_to_num(shares[part].astype(np.float64))
        total += np.nan_to_num(score[part]) @ known
    whole = total.sum()
    return total / whole if whole > 0 else total


def _largest(names: Sequence[str], shares: NDArray[np.float64], count: int) -> Shares:
    # Stable, so that equal shares keep the columns' order.
    order = np.argsort(-shares, kind="stable")[:count].tolist()
    return tuple(
        (names[position], round(float(shares[position]), _SHARE_DIGITS))
        for position in order
    )


def write_events(
    path: str, events: Sequence[Event], threshold: Threshold | None = None
) -> None:
    """Write ``events.csv``, complete or not at all.

    Parameters
    ----------
    path : str
        Path or URL, ending in ``.csv``.
    events : sequence of Event
        The events, by rank.
    threshold : Threshold, optional
        What they were found with. Its neighbour ``….json`` keeps it; without one, a
        neighbour of events that were there before is removed.

    Raises
    ------
    ScoresError
        If the neighbour that would be replaced or removed is something else, such as
        that of a table of scores.
    StorageError
        If it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for event in events:
        writer.writerow(
            (
                event.rank,
                format_stamp(event.start),
                format_stamp(event.end),
                format_stamp(event.peak),
                f"{event.duration_min:g}",
                _format_number(event.mean_score),
                _format_number(event.peak_score),
                _format_shares(event.top_columns),
                _format_shares(event.top_sensors),
                _format_shares(event.where),
                event.kind,
                _format_number(event.alarms_per_day),
            )
        )
    # A neighbour that is not ours makes this raise, and stays.
    before = read_threshold(path)
    with publishing.publish(path) as file:
        file.write(text.getvalue().encode())
        if threshold is not None:
            about = {"format": FORMAT, "threshold": dataclasses.asdict(threshold)}
            content = json.dumps(about, allow_nan=False) + "\n"
            publishing.write_bytes(_neighbour(path), content.encode())
        elif before is not None:
            storage.remove(_neighbour(path))


def read_threshold(path: str) -> Threshold | None:
    """Read what events were found with.

    Parameters
    ----------
    path : str
        Path or URL of their ``.csv``.

    Returns
    -------
    Threshold or None
        None if nothing beside the table tells.

    Raises
    ------
    ScoresError
        If the file beside it does not hold a threshold this version can read.
    StorageError
        If it cannot be read.
    """
    neighbour = _neighbour(path)
    if not storage.exists(neighbour):
        return None
    try:
        about = json.loads(storage.read_bytes(neighbour))
        found = about["threshold"]
        if about["format"] != FORMAT or found["source"] not in get_args(Source):
            raise ValueError
        if not math.isfinite(float(found["value"])):
            raise ValueError
        return Threshold(
            value=float(found["value"]),
            rule=str(found["rule"]),
            source=found["source"],
            basis=str(found.get("basis", "")),
        )
    except (ValueError, KeyError, TypeError):
        raise ScoresError(
            f"{neighbour}: must hold the threshold of {path} in format {FORMAT}, but"
            " does not; name other events, or remove it and detect them again"
        ) from None


def _neighbour(path: str) -> str:
    return f"{path.removesuffix('.csv')}.json"


def read_events(path: str) -> tuple[Event, ...]:
    """Read ``events.csv``.

    Parameters
    ----------
    path : str
        Path or URL.

    Returns
    -------
    tuple of Event
        In the file's order. What a file of an earlier version does not say is unknown.

    Raises
    ------
    ScoresError
        If the file is not such a table.
    StorageError
        If it cannot be read.
    """
    table = read_text_table(path, _FIRST_HEADER)
    start, end, peak = (table.times(name) for name in ("start", "end", "peak"))
    wrong = (peak < start) | (peak >= end)
    if wrong.any():
        raise table.refusal(int(wrong.argmax()), "peak", "between start and end")
    kinds = _read_kinds(table)
    by_score = np.array([kind == "unusual" for kind in kinds], dtype=np.bool_)
    numbers = {
        name: table.numbers(name)
        for name in ("event", "mean_score", "peak_score", "alarms_per_day")
    }
    for name in ("event", "mean_score", "peak_score"):
        blank = np.isnan(numbers[name]) & (by_score | (name == "event"))
        if blank.any():
            raise table.refusal(int(blank.argmax()), name, "a number")
    rank = numbers["event"]
    wrong = (rank < 1) | (rank % 1 > 0) | (rank > 2**53)
    if wrong.any():
        raise table.refusal(int(wrong.argmax()), "event", "a whole number from 1 on")
    again = np.delete(np.arange(len(rank)), np.unique(rank, return_index=True)[1])
    if len(again):
        raise table.refusal(int(again[0]), "event", "another than on the lines before")
    return tuple(
        Event(
            rank=int(numbers["event"][row]),
            start=int(start[row]),
            end=int(end[row]),
            peak=int(peak[row]),
            mean_score=float(numbers["mean_score"][row]),
            peak_score=float(numbers["peak_score"][row]),
            top_columns=_read_shares(table, row, "top_columns"),
            top_sensors=_read_shares(table, row, "top_sensors"),
            where=_read_shares(table, row, "where"),
            kind=kinds[row],
            alarms_per_day=None if math.isnan(rate) else float(rate),
        )
        for row, rate in enumerate(numbers["alarms_per_day"])
    )


def _read_kinds(table: TextTable) -> list[Kind]:
    kinds = [kind or "unusual" for kind in table.texts("kind")]
    for row, kind in enumerate(kinds):
        if kind not in get_args(Kind):
            raise table.refusal(row, "kind", f"one of {', '.join(get_args(Kind))}")
    return cast(list[Kind], kinds)


def _format_number(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else repr(number)


def _format_shares(shares: Shares) -> str:
    return "; ".join(f"{_escape(name)}={share!r}" for name, share in shares)


def _read_shares(table: TextTable, row: int, name: str) -> Shares:
    text = table.columns.get(name, ("",) * (row + 1))[row]
    if not text:
        return ()
    pairs = [part.rpartition("=") for part in text.split("; ")]
    try:
        shares = tuple((_unescape(label), float(share)) for label, _, share in pairs)
        if not all(math.isfinite(share) for _, share in shares):
            raise ValueError
        return shares
    except ValueError:
        raise table.refusal(row, name, "like 'ctd/temp=0.7; adcp/u=0.3'") from None


def _escape(name: str) -> str:
    # What separates shares or lines, and the sign that escapes it.
    return re.sub(r"[%;\r\n]", lambda found: f"%{ord(found[0]):02X}", name)


def _unescape(name: str) -> str:
    return re.sub(r"%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), name)
