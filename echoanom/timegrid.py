"""Bring rows of any length of time onto as many steps as a picture has.

What falls into one step is averaged in the units in which it adds up: levels as power,
directions as unit vectors. Steps without rows stay empty, so gaps keep their length.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.averaging import average
from echoanom.columns import Column, Kind, kind_mask
from echoanom.dataset import Dataset
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_ROUND_STEPS = (
    *(1, 2, 5, 10, 15, 20, 30),
    *(n * _MINUTE for n in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)),
    *(n * _DAY for n in (1, 2, 5, 7, 14, 28)),
)
_CELLS_AT_ONCE = 1 << 22
# Far beyond every level, and far within what a power of ten can be.
_HIGHEST_LEVEL = 3000.0
_SHORTEST_RESULTANT = 1e-6


@dataclasses.dataclass(frozen=True)
class TimeGrid:
    """Steps of equal length.

    Attributes
    ----------
    start_s : int
        Start of the first [s since 1970 UTC].
    step_s : int
        Their length [s].
    steps : int
        How many there are.
    """

    start_s: int
    step_s: int
    steps: int

    @property
    def edges(self) -> NDArray[np.int64]:
        """Starts of the steps and the end of the last [s], shape (steps + 1,)."""
        return self.start_s + self.step_s * np.arange(self.steps + 1, dtype=np.int64)

    def position(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell in which step a time lies.

        Parameters
        ----------
        times : ndarray of int64, shape (N,)
            Times [s since 1970 UTC].

        Returns
        -------
        ndarray of int64, shape (N,)
            Positions; outside [0, steps) for times outside.
        """
        return (times - self.start_s) // self.step_s


def choose_grid(start_s: int, end_s: int, period_s: int, most_steps: int) -> TimeGrid:
    """Choose steps that are whole rows and, if they can be, round.

    Parameters
    ----------
    start_s, end_s : int
        The time to cover [s since 1970 UTC], half-open.
    period_s : int
        Length of a row [s].
    most_steps : int
        Most steps to use.

    Returns
    -------
    TimeGrid
        With one row in a step, if that is few enough steps; else longer ones.
    """
    span = max(end_s - start_s, period_s)
    if span <= most_steps * period_s:
        return TimeGrid(start_s, period_s, math.ceil(span / period_s))
    # Aligning the start to the step can add one step.
    shortest = span / max(most_steps - 1, 1)
    rounds = (s for s in _ROUND_STEPS if s >= shortest and s % period_s == 0)
    step = next(rounds, math.ceil(shortest / period_s) * period_s)
    begin = start_s // step * step
    return TimeGrid(begin, step, math.ceil((end_s - begin) / step))


def read_grid(
    dataset: Dataset,
    grid: TimeGrid,
    *,
    reader: IndexedReader | None = None,
    progress: Progress = no_progress,
) -> NDArray[np.float32]:
    """Read all columns of a dataset onto a grid.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    grid : TimeGrid
        The steps.
    reader : IndexedReader, optional
        To read with; a new one if left out.
    progress : Progress
        Is told how many rows were read.

    Returns
    -------
    ndarray of float32, shape (steps, C)
        Averages, each kind in its own way; filled cells count like observed ones. NaN
        where a step has no value.

    Raises
    ------
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    reader = reader or IndexedReader(dataset)
    times = dataset.times()
    edges = grid.edges
    first, end = np.searchsorted(times, edges[[0, -1]]).tolist()
    sums = _Sums(dataset.columns, grid.steps)
    rows = max(1, _CELLS_AT_ONCE // max(1, len(dataset.columns)))
    progress("Read rows", 0, end - first)
    for begin in range(first, end, rows):
        count = min(rows, end - begin)
        values, _ = reader.rows(begin, count)
        sums.add(values, grid.position(times[begin : begin + count]))
        progress("Read rows", begin + count - first, end - first)
    return sums.averages()


def average_rows(
    columns: Sequence[Column],
    grid: TimeGrid,
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Bring rows that come in parts, a day each say, onto a grid.

    Parameters
    ----------
    columns : sequence of Column
        What the rows hold, length C.
    grid : TimeGrid
        The steps.
    parts : iterable of (ndarray of int64, ndarray of float32)
        Starts of the rows [s since 1970 UTC], shape (N,), ascending, all within the
        grid; and their cells, shape (N, C). NaN counts nothing.

    Returns
    -------
    ndarray of float32, shape (steps, C)
        Averages, each kind in its own way. NaN where a step has no value.
    """
    sums = _Sums(columns, grid.steps)
    for times, values in parts:
        if len(times):
            sums.add(values, grid.position(times))
    return sums.averages()


def highest(
    times: NDArray[np.int64], score: NDArray[np.float64], grid: TimeGrid
) -> NDArray[np.float64]:
    """Find the highest score in each step, so that no peak is lost in a picture.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC].
    score : ndarray of float64, shape (N,)
        Their scores; NaN counts nothing.
    grid : TimeGrid
        The steps.

    Returns
    -------
    ndarray of float64, shape (steps,)
        NaN where a step has no score.
    """
    position = grid.position(times)
    usable = ~np.isnan(score) & (position >= 0) & (position < grid.steps)
    result = np.full(grid.steps, -np.inf)
    np.maximum.at(result, position[usable], score[usable])
    return np.where(np.isinf(result), np.nan, result)


def thin_bins(
    values: NDArray[np.float32],
    coordinates: Sequence[float],
    kind: Kind,
    most_bins: int,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average neighbouring bins until there are few enough.

    Parameters
    ----------
    values : ndarray of float32, shape (T, C)
        Values over time and bins.
    coordinates : sequence of float, length C
        Range or frequency of the bins, ascending.
    kind : {'scalar', 'level', 'direction'}
        Kind of quantity.
    most_bins : int
        Most bins to return.

    Returns
    -------
    values : ndarray of float32, shape (T, c)
        Averages of k neighbours each; the last may be of fewer.
    coordinates : ndarray of float64, shape (c,)
        Mean coordinate of the neighbours.
    """
    centres = np.asarray(coordinates, dtype=np.float64)
    k = math.ceil(len(centres) / most_bins)
    if k == 1:
        return values, centres
    padding = -len(centres) % k
    padded = np.pad(values, ((0, 0), (0, padding)), constant_values=np.nan)
    parts = padded.reshape(len(values), -1, k).transpose(2, 0, 1)
    thinned = average(parts, np.ones((k, 1, 1)), kind)
    groups = np.pad(centres, (0, padding), constant_values=np.nan).reshape(-1, k)
    return thinned, np.nanmean(groups, axis=1)


class _Sums:
    """What adds up, for each step and column: power for levels, north for directions."""

    def __init__(self, columns: Sequence[Column], steps: int) -> None:
        self._levels = kind_mask(columns, "level")
        self._directions = kind_mask(columns, "direction")
        shape = steps, len(columns)
        self._counts = np.zeros(shape, dtype=np.int32)
        self._sums = np.zeros(shape)
        self._east = np.zeros((steps, int(self._directions.sum())))

    def add(self, values: NDArray[np.float32], position: NDArray[np.int64]) -> None:
        heads = np.flatnonzero(np.diff(position, prepend=position[0] - 1))
        steps = position[heads]
        missing = np.isnan(values)
        wide = np.where(missing, 0.0, values.astype(np.float64))
        if self._levels.any():
            level = np.clip(wide[:, self._levels], -_HIGHEST_LEVEL, _HIGHEST_LEVEL)
            wide[:, self._levels] = 10.0 ** (level / 10.0)
        if self._directions.any():
            angle = np.deg2rad(wide[:, self._directions])
            wide[:, self._directions] = np.cos(angle)
            east = np.where(missing[:, self._directions], 0.0, np.sin(angle))
            self._east[steps] += np.add.reduceat(east, heads, axis=0)
        wide[missing] = 0.0
        self._sums[steps] += np.add.reduceat(wide, heads, axis=0)
        self._counts[steps] += np.add.reduceat(~missing, heads, axis=0, dtype=np.int32)

    def averages(self) -> NDArray[np.float32]:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self._sums / self._counts
            if self._levels.any():
                mean[:, self._levels] = 10.0 * np.log10(mean[:, self._levels])
            if self._directions.any():
                north = mean[:, self._directions]
                east = self._east / self._counts[:, self._directions]
                angle = np.mod(np.rad2deg(np.arctan2(east, north)), 360.0)
                # Directions that cancel have no mean.
                angle[np.hypot(east, north) < _SHORTEST_RESULTANT] = np.nan
                mean[:, self._directions] = angle
        return np.where(self._counts > 0, mean, np.nan).astype(np.float32)
