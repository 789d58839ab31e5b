"""Fold the errors of overlapping windows into one score for each row.

A row that W windows cover has W reconstructions. Its score is the mean squared error
over all their observed cells of that row; its shares tell which columns the error is
made of. Windows come in order of time, so a row is done when a window starts behind
it, and no more rows are held than a window has.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import WindowError

_MEMORY_BYTES = 1 << 28


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


@dataclasses.dataclass(frozen=True)
class RowSums:
    """What the B windows of a batch add to the R rows that they cover.

    Attributes
    ----------
    times : ndarray of int64, shape (R,)
        Starts of the rows [s since 1970-01-01 UTC], ascending.
    errors : ndarray of float64, shape (R, C)
        Sums over the windows of the squared errors; 0 where nothing was observed.
    cells : ndarray of int64, shape (R,)
        Observed cells of each row.
    windows : ndarray of int64, shape (R,)
        Windows that cover the row; at least 1.
    window_score : ndarray of float64, shape (R,)
        Error of the window that starts at the row; NaN where none does.
    """

    times: NDArray[np.int64]
    errors: NDArray[np.float64]
    cells: NDArray[np.int64]
    windows: NDArray[np.int64]
    window_score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, rows: slice) -> RowSums:
        return RowSums(
            times=self.times[rows],
            errors=self.errors[rows],
            cells=self.cells[rows],
            windows=self.windows[rows],
            window_score=self.window_score[rows],
        )


def sum_rows(
    times: NDArray[np.int64],
    observed: NDArray[np.bool_],
    places: NDArray[np.int32],
    cell_errors: NDArray[np.float32],
    window_errors: NDArray[np.float32],
) -> RowSums:
    """Sum the errors of a batch of windows row by row.

    Parameters
    ----------
    times : ndarray of int64, shape (R,)
        Starts of the rows that the windows cover [s since 1970-01-01 UTC].
    observed : ndarray of bool, shape (R, C)
        Which of their cells were observed.
    places : ndarray of int32, shape (B,)
        Index of each window's first row among the R, ascending.
    cell_errors : ndarray of float32, shape (B, T, C)
        Squared errors; 0 where nothing was observed.
    window_errors : ndarray of float32, shape (B,)
        Mean error of each window.

    Returns
    -------
    RowSums
        Added up in float64, window by window in their order.
    """
    count, size, columns = cell_errors.shape
    errors = np.zeros((len(times), columns), dtype=np.float64)
    # Whole windows one by one, or one row of all windows at a time, the last row
    # first: the same sums in the same order, with fewer steps.
    if count <= size:
        for place, of_window in zip(places.tolist(), cell_errors, strict=True):
            errors[place : place + size] += of_window
    else:
        for i in reversed(range(size)):
            errors[places + i] += cell_errors[:, i]
    changes = np.zeros(len(times) + 1, dtype=np.int64)
    changes[places] = 1
    # A window may begin where another ends.
    changes[places + size] -= 1
    window_score = np.full(len(times), np.nan)
    window_score[places] = window_errors
    return RowSums(
        times=times,
        errors=errors,
        cells=np.count_nonzero(observed, axis=1),
        windows=np.cumsum(changes[:-1]),
        window_score=window_score,
    )


class Fold:
    """Takes batches of windows in order of time, gives back the rows that are done.

    Parameters
    ----------
    size : int
        Rows in a window.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: RowSums | None = None  # the rows of the last window

    def add(self, sums: RowSums) -> list[FoldedRows]:
        """Take the sums of a batch.

        Parameters
        ----------
        sums : RowSums
            Of windows that start later than those of the batch before. Changed in
            place.

        Returns
        -------
        list of FoldedRows
            The rows before the last window that were not given back yet.

        Raises
        ------
        WindowError
            If the first window does not start later than the last one before.
        """
        done = []
        if self._last is not None:
            start, before = sums.times[0], self._last.times
            if start <= before[0]:
                raise WindowError(
                    "windows must come in order of time, one for each start, but one"
                    f" of {start} s follows one of {before[0]} s"
                )
            own = int(np.searchsorted(before, start))
            done.append(_scored(self._last[:own]))
            # What is left are the first rows of the new window: they are of one run.
            shared = self._last[own:]
            sums.errors[: len(shared)] += shared.errors
            sums.windows[: len(shared)] += shared.windows
        done.append(_scored(sums[: -self._size]))
        self._last = sums[-self._size :]
        return done

    def finish(self) -> list[FoldedRows]:
        """Give back the rows that are left, after the last window.

        Returns
        -------
        list of FoldedRows
            The last rows.
        """
        return [] if self._last is None else [_scored(self._last)]


def between(
    parts: Sequence[FoldedRows], begin_s: int, end_s: int | None = None
) -> FoldedRows:
    """Keep the rows of some time, as one.

    Parameters
    ----------
    parts : sequence of FoldedRows
        One behind the other in time, as `Fold` gives them back; at least one.
    begin_s : int
        Start of the first row to keep [s since 1970-01-01 UTC].
    end_s : int, optional
        Start of the first row behind them [s since 1970-01-01 UTC]; all that follow
        are kept if left out.

    Returns
    -------
    FoldedRows
        Of the rows that start in [begin_s, end_s).
    """
    kept = [
        slice(
            int(np.searchsorted(part.times, begin_s)),
            None if end_s is None else int(np.searchsorted(part.times, end_s)),
        )
        for part in parts
    ]
    return FoldedRows(
        **{
            field.name: np.concatenate(
                [
                    getattr(part, field.name)[rows]
                    for part, rows in zip(parts, kept, strict=True)
                ]
            )
            for field in dataclasses.fields(FoldedRows)
        }
    )


def _scored(sums: RowSums) -> FoldedRows:
    total = sums.errors.sum(axis=1)
    cells = sums.cells * sums.windows
    score = np.full(len(sums), np.nan)
    np.divide(total, cells, out=score, where=cells > 0)
    shares = sums.errors / np.where(total > 0, total, 1.0)[:, np.newaxis]
    return FoldedRows(
        times=sums.times,
        score=score,
        window_score=sums.window_score,
        windows=sums.windows,
        shares=shares.astype(np.float16),
    )


def empty_shares(rows: int, columns: int) -> NDArray[np.float16]:
    """Make room for the shares of all rows, in a scratch file when they are many.

    Parameters
    ----------
    rows, columns : int
        How many.

    Returns
    -------
    ndarray of float16, shape (rows, columns)
        Not yet set.
    """
    shape = (rows, columns)
    if 2 * rows * columns <= _MEMORY_BYTES:
        return np.empty(shape, dtype=np.float16)
    # A file without a name: the system pages it out, and it is gone with the array.
    with tempfile.TemporaryFile(prefix="echoanom-") as file:
        return np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
