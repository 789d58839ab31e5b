"""Find where a sensor gives no values, and where its values stay the same.

Both are found row by row, in order of time, so that no more than a block of rows is in
memory. How long a value may stay the same differs between quantities: a temperature
with two decimals stands for half an hour, backscatter never does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.options import DAY_S

USUAL_SHARE = 0.9
"""Share of the days whose longest standstill of a column is usual."""

USUAL_TOGETHER = 0.75
"""The same of a whole sensor, which does not stand still unless something is wrong."""

USUAL_TIMES = 2.0
"""A standstill is unusual when it is this many times longer than a usual one."""

_EXACT = 1 << 24  # whole numbers below it are exact in float32


@dataclasses.dataclass(frozen=True, order=True)
class Stretch:
    """A stretch of time.

    Attributes
    ----------
    start, end : int
        Its first moment, and the first behind it [s since 1970 UTC].
    """

    start: int
    end: int


class Standstill:
    """Finds how long the values of each column stay the same.

    Missing values are passed over, unless they last too long.

    Parameters
    ----------
    columns : int
        Number of columns C.
    period_s : int
        Length of a row [s].
    most_gap_s : float
        A value that comes again behind a longer gap begins a new stretch [s].
    least_s : float
        Stretches up to this length are only counted, not kept [s].
    """

    def __init__(
        self, columns: int, period_s: int, most_gap_s: float, least_s: float
    ) -> None:
        self._period_s = period_s
        self._most_gap_s = most_gap_s
        self._least_s = max(least_s, period_s)
        self._value = np.full(columns, np.nan, dtype=np.float32)
        self._start = np.zeros(columns, dtype=np.int64)
        self._end = np.zeros(columns, dtype=np.int64)
        self._day: int | None = None
        self._longest = np.zeros(columns, dtype=np.int64)
        self._days: list[int] = []
        self._by_day: list[NDArray[np.int32]] = []
        self._found: list[tuple[int, Stretch]] = []

    def add(
        self,
        times: NDArray[np.int64],
        values: NDArray[np.float32],
        observed: NDArray[np.bool_],
    ) -> None:
        """Take rows.

        Parameters
        ----------
        times : ndarray of int64, shape (R,)
            Their starts [s since 1970 UTC], after those of the rows before.
        values : ndarray of float32, shape (R, C)
            Their values.
        observed : ndarray of bool, shape (R, C)
            Which of them were observed; others are passed over.
        """
        for time, value, seen in zip(times.tolist(), values, observed, strict=True):
            if time // DAY_S != self._day:
                self._end_day()
                self._day = time // DAY_S
            other = value != self._value
            other |= time - self._end > self._most_gap_s
            other &= seen
            self._close(other)
            self._start[other] = time
            self._value[other] = value[other]
            self._end[seen] = time + self._period_s

    def finish(
        self,
    ) -> tuple[list[tuple[int, Stretch]], NDArray[np.int64], NDArray[np.int32]]:
        """Tell what was found.

        Returns
        -------
        stretches : list of (int, Stretch)
            Columns, by position, and when their values stood still for long.
        days : ndarray of int64, shape (D,)
            Days with rows [days since 1970].
        longest : ndarray of int32, shape (D, C)
            The longest that each column stood still within each day, up to the last
            row of it that was observed [s]; 0 where nothing was.
        """
        self._close(np.ones(len(self._value), dtype=np.bool_))
        self._end_day()
        columns = len(self._value)
        longest = np.array(self._by_day, dtype=np.int32).reshape(-1, columns)
        return self._found, np.array(self._days, dtype=np.int64), longest

    def _close(self, columns: NDArray[np.bool_]) -> None:
        length = self._end - self._start
        for column in np.flatnonzero(columns & (length > self._least_s)).tolist():
            stretch = Stretch(int(self._start[column]), int(self._end[column]))
            self._found.append((column, stretch))
        self._measure(columns)

    def _measure(self, columns: NDArray[np.bool_] | slice) -> None:
        """Take what lies within the day of stretches that end, or go on."""
        if self._day is not None:
            begin = np.maximum(self._start[columns], self._day * DAY_S)
            within = self._end[columns] - begin
            self._longest[columns] = np.maximum(self._longest[columns], within)

    def _end_day(self) -> None:
        if self._day is not None:
            self._measure(slice(None))
            self._days.append(self._day)
            self._by_day.append(self._longest.astype(np.int32))
            self._longest[:] = 0


class Movements:
    """Counts how often anything of a sensor changed.

    One value of many may well come again; all of a sensor's seldom do at once. So how
    long the count stays the same tells a stuck sensor sooner than any of its columns.

    Parameters
    ----------
    members : sequence of sequence of int
        Positions of the columns of each of S sensors.
    columns : int
        Number of columns C.
    """

    def __init__(self, members: Sequence[Sequence[int]], columns: int) -> None:
        self._members = [np.asarray(positions) for positions in members]
        self._last = np.full(columns, np.nan, dtype=np.float32)
        self._counts = np.zeros(len(members), dtype=np.int64)

    def add(
        self, values: NDArray[np.float32], observed: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Take rows.

        Parameters
        ----------
        values : ndarray of float32, shape (R, C)
            Their values, in order of time.
        observed : ndarray of bool, shape (R, C)
            Which of them were observed; others are passed over.

        Returns
        -------
        ndarray of float32, shape (R, S)
            Changes of each sensor so far, modulo what float32 counts exactly.
        """
        moved = np.empty((len(values), len(self._members)), dtype=np.bool_)
        for row, (value, seen) in enumerate(zip(values, observed, strict=True)):
            other = seen & (value != self._last)
            self._last[other] = value[other]
            moved[row] = [other[positions].any() for positions in self._members]
        counts = self._counts + np.cumsum(moved, axis=0)
        if len(counts):
            self._counts = counts[-1]
        return (counts % _EXACT).astype(np.float32)


def usual_limits(
    longest: NDArray[np.int32], least_s: float, share: float = USUAL_SHARE
) -> NDArray[np.float64]:
    """Tell from which length on a standstill is unusual.

    Parameters
    ----------
    longest : ndarray of int32, shape (D, C)
        The longest that each column stood still on each usual day [s]; 0 where nothing
        was observed.
    least_s : float
        The limit is at least this [s].
    share : float
        Share of the days whose longest standstill is usual.

    Returns
    -------
    ndarray of float64, shape (C,)
        Twice what so many days stay within [s]; infinite for a column that was
        never observed, or that stands still for half a day as a rule.
    """
    limits = np.full(longest.shape[1], np.inf)
    for column, lengths in enumerate(longest.T):
        known = np.sort(lengths[lengths > 0])
        if not len(known):
            continue
        usual = int(known[int(np.ceil(share * len(known))) - 1])
        if usual < DAY_S / 2:
            limits[column] = max(USUAL_TIMES * usual, least_s)
    return limits


def at_once(stretches: Iterable[Stretch], least: int) -> list[Stretch]:
    """Find when several things happen at the same time.

    Parameters
    ----------
    stretches : iterable of Stretch
        When each of them does; those of one do not overlap.
    least : int
        How many there must be, at least 1.

    Returns
    -------
    list of Stretch
        Longest possible stretches in which at least so many do, in order.
    """
    changes: dict[int, int] = {}
    for stretch in stretches:
        changes[stretch.start] = changes.get(stretch.start, 0) + 1
        changes[stretch.end] = changes.get(stretch.end, 0) - 1
    found, count, start = [], 0, 0
    for time in sorted(changes):
        before = count
        count += changes[time]
        if before < least <= count:
            start = time
        elif count < least <= before:
            found.append(Stretch(start, time))
    return found


def join_near(stretches: Iterable[Stretch], most_gap_s: float) -> list[Stretch]:
    """Join stretches that overlap or lie close together.

    Parameters
    ----------
    stretches : iterable of Stretch
        In any order.
    most_gap_s : float
        Those at most this far apart become one [s].

    Returns
    -------
    list of Stretch
        In order.
    """
    joined: list[Stretch] = []
    for stretch in sorted(stretches):
        if joined and stretch.start - joined[-1].end <= most_gap_s:
            last = joined.pop()
            stretch = Stretch(last.start, max(last.end, stretch.end))
        joined.append(stretch)
    return joined


def silences(
    times: NDArray[np.int64],
    seen: NDArray[np.bool_],
    period_s: int,
    most_gap_s: float,
    least_s: float,
) -> list[tuple[int, Stretch]]:
    """Find where a sensor gives no values while others do.

    Parameters
    ----------
    times : ndarray of int64, shape (R,)
        Starts of rows [s since 1970 UTC], ascending.
    seen : ndarray of bool, shape (R, S)
        Which of the sensors give a value in each.
    period_s : int
        Length of a row [s].
    most_gap_s : float
        Where all sensors are silent for longer, a silence ends [s].
    least_s : float
        Silences up to this length are left out [s].

    Returns
    -------
    list of (int, Stretch)
        Sensors, by position, and when they are silent.
    """
    some = seen.any(axis=1)
    times, seen = times[some], seen[some]
    if not len(times):
        return []
    far = np.diff(times, prepend=times[0]) - period_s > most_gap_s
    found = []
    for sensor in range(seen.shape[1]):
        silent = ~seen[:, sensor]
        before = np.concatenate(([False], silent[:-1]))
        behind = np.concatenate((silent[1:], [False]))
        begins = silent & (~before | far)
        ends = silent & (~behind | np.concatenate((far[1:], [True])))
        found += [
            (sensor, Stretch(start, end + period_s))
            for start, end in zip(
                times[begins].tolist(), times[ends].tolist(), strict=True
            )
            if end + period_s - start > least_s
        ]
    return found
