"""One row for each period: drop rows that repeat, merge those that differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.averaging import average
from echoanom.columns import Column
from echoanom.options import Duplicates


class ConflictError(Exception):
    """Two rows share a period and differ, and no policy says which to keep.

    Parameters
    ----------
    first : int
        Position of the one.
    second : int
        Position of the other.
    column : int
        The first column in which they differ.
    """

    def __init__(self, first: int, second: int, column: int) -> None:
        super().__init__(first, second, column)
        self.first = first
        self.second = second
        self.column = column


@dataclasses.dataclass(frozen=True)
class Merged:
    """Rows with one for each period.

    Attributes
    ----------
    times : ndarray of int64, shape (M,)
        Start of each row's period since 1970 UTC [s], ascending and unique.
    values : ndarray of float32, shape (M, C)
        The cells.
    duplicates : int
        Rows dropped because an equal row with the same stamp came before.
    merged : int
        Other rows that are gone.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float32]
    duplicates: int
    merged: int


def merge_rows(
    times_us: NDArray[np.int64],
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    policy: Duplicates,
    columns: Sequence[Column],
) -> Merged:
    """Leave one row for each period.

    Parameters
    ----------
    times_us : ndarray of int64, shape (N,)
        Stamps as written, ascending [µs].
    times : ndarray of int64, shape (N,)
        Start of the period each lies in [s].
    values : ndarray of float32, shape (N, C)
        The cells; NaN where missing, and equal to itself here.
    policy : {'refuse', 'first', 'last', 'mean'}
        What becomes of rows of one period that differ. 'mean' averages each column
        as its kind demands, over the cells that are not missing.
    columns : sequence of Column
        The columns, length C.

    Returns
    -------
    Merged
        The rows left, and how many are gone.

    Raises
    ------
    ConflictError
        If the policy is 'refuse' and rows of one period differ.
    """
    first_of_period = np.flatnonzero(np.diff(times, prepend=times[:1] - 1))
    if len(first_of_period) == len(times):
        return Merged(times, values, 0, 0)
    rows_in_period = np.diff(first_of_period, append=len(times))
    result = values[first_of_period]
    duplicates = merged = 0
    for at in np.flatnonzero(rows_in_period > 1):
        start = int(first_of_period[at])
        kept = _drop_repeats(start, int(rows_in_period[at]), times_us, values)
        duplicates += int(rows_in_period[at]) - len(kept)
        merged += len(kept) - 1
        if policy == "last":
            result[at] = values[kept[-1]]
        elif policy == "mean":
            result[at] = _mean(values[kept], columns)
        elif policy == "refuse":
            _require_equal(kept, values)
    return Merged(times[first_of_period], result, duplicates, merged)


def _drop_repeats(
    start: int,
    rows: int,
    times_us: NDArray[np.int64],
    values: NDArray[np.float32],
) -> list[int]:
    seen: set[tuple[int, bytes]] = set()
    kept = []
    for row in range(start, start + rows):
        # Adding 0 makes -0 the same bytes as 0; NaN may come with many bit patterns.
        cells = values[row] + np.float32(0)
        cells[np.isnan(cells)] = np.nan
        key = int(times_us[row]), cells.tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def _require_equal(rows: Sequence[int], values: NDArray[np.float32]) -> None:
    first = values[rows[0]]
    for row in rows[1:]:
        different = (first != values[row]) & ~(np.isnan(first) & np.isnan(values[row]))
        if different.any():
            raise ConflictError(rows[0], row, int(np.argmax(different)))


def _mean(
    values: NDArray[np.float32], columns: Sequence[Column]
) -> NDArray[np.float32]:
    result = np.empty(values.shape[1], dtype=np.float32)
    kinds = np.array([column.kind for column in columns])
    weights = np.ones((len(values), 1))
    for kind in ("scalar", "level", "direction"):
        of_kind = kinds == kind
        result[of_kind] = average(values[:, of_kind], weights, kind)
    return result
