"""Fold the errors of overlapping windows into one score for each row.

A row that W windows cover has W reconstructions. Its score is the mean squared error
over all their observed cells of that row; its shares tell which columns the error is
made of. Windows come in order of time, so a row is done when a window starts behind
it, and no more rows are held than a few windows have.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import WindowError

_BUFFER_WINDOWS = 8


@dataclasses.dataclass(frozen=True)
class FoldedRows:
    """Scores of n rows, in order of time.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Starts of the rows [s since 1970-01-01 UTC].
    score : ndarray of float64, shape (n,)
        Mean error over windows and observed cells; NaN where none was observed.
    window_score : ndarray of float64, shape (n,)
        Error of the window that starts at the row; NaN where none does.
    windows : ndarray of int64, shape (n,)
        Windows that cover the row; at least 1.
    shares : ndarray of float16, shape (n, C)
        Each column's share of the error; a row sums to 1, or is 0 without any error.
    """

    times: NDArray[np.int64]
    score: NDArray[np.float64]
    window_score: NDArray[np.float64]
    windows: NDArray[np.int64]
    shares: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.times)


class Fold:
    """Takes windows in order of time, gives back the rows that are done.

    Parameters
    ----------
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    period_s : int
        Sample period [s].
    """

    def __init__(self, size: int, columns: int, period_s: int) -> None:
        self._size = size
        self._period_s = period_s
        rows = _BUFFER_WINDOWS * size
        self._last = -(2**62)  # period since 1970 of the last window's first row
        self._first = 0  # period since 1970 of the first row of the buffers
        self._used = 0  # rows of the buffers that may be covered
        self._errors = np.zeros((rows, columns), dtype=np.float64)
        self._cells = np.zeros(rows, dtype=np.int64)
        self._windows = np.zeros(rows, dtype=np.int64)
        self._window_score = np.full(rows, np.nan)

    def add(
        self,
        starts: NDArray[np.int64],
        cell_errors: NDArray[np.float32],
        observed: NDArray[np.bool_],
        window_errors: NDArray[np.float32],
    ) -> list[FoldedRows]:
        """Take a batch of windows.

        Parameters
        ----------
        starts : ndarray of int64, shape (B,)
            Time of each window's first row [s since 1970-01-01 UTC], ascending, and
            later than those of the batch before.
        cell_errors : ndarray of float32, shape (B, T, C)
            Squared errors; 0 where nothing was observed.
        observed : ndarray of bool, shape (B, T, C)
            Which cells were observed.
        window_errors : ndarray of float32, shape (B,)
            Mean error of each window.

        Returns
        -------
        list of FoldedRows
            The rows before the last window that were not given back yet.

        Raises
        ------
        WindowError
            If a window does not start later than the one before.
        """
        if not len(starts):
            return []
        periods = starts // self._period_s
        if (np.diff(periods, prepend=self._last) < 1).any():
            raise WindowError(
                "windows must come in order of time, one for each start, but starts"
                f" do not ascend between {starts[0]} s and {starts[-1]} s"
            )
        self._last = int(periods[-1])
        done = []
        cells = np.count_nonzero(observed, axis=2)
        begin = 0
        while begin < len(periods):
            if periods[begin] + self._size > self._first + len(self._errors):
                done += self._release(int(periods[begin]))
            if not self._used:
                self._first = int(periods[begin])
            place = int(periods[begin]) - self._first
            count, step = self._piece(periods[begin:])
            part = slice(begin, begin + count)
            self._add_piece(place, step, cell_errors[part], cells[part])
            heads = slice(place, place + (count - 1) * step + 1, step)
            self._window_score[heads] = window_errors[part]
            begin += count
        return done + self._release(self._last)

    def finish(self) -> list[FoldedRows]:
        """Give back the rows that are left, after the last window.

        Returns
        -------
        list of FoldedRows
            The last rows.
        """
        return self._release(self._first + self._used)

    def _piece(self, periods: NDArray[np.int64]) -> tuple[int, int]:
        """Count the windows ahead that are evenly spaced and fit into the buffers."""
        if len(periods) == 1:
            return 1, 1
        step = int(periods[1] - periods[0])
        even = np.diff(periods) == step
        count = len(periods) if even.all() else int(even.argmin()) + 1
        place = int(periods[0]) - self._first
        room = (len(self._errors) - self._size - place) // step + 1
        return min(count, room), step

    def _add_piece(
        self,
        place: int,
        step: int,
        errors: NDArray[np.float32],
        cells: NDArray[np.int64],
    ) -> None:
        count = len(errors)
        # Whole windows one by one, or one row of all windows at a time: the same sums
        # with fewer steps.
        if count <= self._size:
            for i in range(count):
                rows = slice(place + i * step, place + i * step + self._size)
                self._errors[rows] += errors[i]
                self._cells[rows] += cells[i]
                self._windows[rows] += 1
        else:
            for i in range(self._size):
                rows = slice(place + i, place + i + (count - 1) * step + 1, step)
                self._errors[rows] += errors[:, i]
                self._cells[rows] += cells[:, i]
                self._windows[rows] += 1
        self._used = max(self._used, place + (count - 1) * step + self._size)

    def _release(self, period: int) -> list[FoldedRows]:
        """Give back the rows before a period, and move the others to the front."""
        rows = min(period - self._first, self._used)
        if rows <= 0:
            return []
        covered = np.flatnonzero(self._windows[:rows])
        errors = self._errors[covered]
        total = errors.sum(axis=1)
        cells = self._cells[covered]
        score = np.full(len(covered), np.nan)
        np.divide(total, cells, out=score, where=cells > 0)
        shares = errors / np.where(total > 0, total, 1.0)[:, np.newaxis]
        folded = FoldedRows(
            times=(self._first + covered) * self._period_s,
            score=score,
            window_score=self._window_score[covered],
            windows=self._windows[covered],
            shares=shares.astype(np.float16),
        )
        left = self._used - rows
        for buffer in (self._errors, self._cells, self._windows, self._window_score):
            buffer[:left] = buffer[rows : self._used].copy()
            buffer[left : self._used] = np.nan if buffer is self._window_score else 0
        self._first += rows
        self._used = left
        return [folded]
