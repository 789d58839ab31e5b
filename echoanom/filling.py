"""Fill short gaps by interpolation, each column in the units in which it adds up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.averaging import average
from echoanom.columns import Column

# Cells looked at together. It bounds what a gappy table costs beside itself: about
# 100 bytes for each of these.
_BLOCK_CELLS = 1 << 19


def fill_gaps(
    values: NDArray[np.float32],
    filled: NDArray[np.bool_],
    columns: Sequence[Column],
    most_rows: int,
) -> int:
    """Fill short gaps in place.

    A gap is a stretch of missing cells of one column with an observed cell before and
    behind it. Between these two the column is interpolated in time: levels as power,
    directions as unit vectors, which go the shorter way round, scalars as they are.

    Parameters
    ----------
    values : ndarray of float32, shape (T, C)
        Rows of the grid; NaN where missing. Changed in place.
    filled : ndarray of bool, shape (T, C)
        Set True for every cell filled.
    columns : sequence of Column
        The columns, length C.
    most_rows : int
        Longest gap that is filled [rows].

    Returns
    -------
    int
        Number of cells filled.
    """
    rows = len(values)
    if most_rows < 1 or rows < 3:
        return 0
    kinds = np.array([column.kind for column in columns])
    step = max(1, _BLOCK_CELLS // rows)
    cells = 0
    for first in range(0, len(columns), step):
        block = slice(first, first + step)
        cells += _fill_block(
            values[:, block], filled[:, block], kinds[block], most_rows
        )
    return cells


def _fill_block(
    values: NDArray[np.float32],
    filled: NDArray[np.bool_],
    kinds: NDArray[np.str_],
    most_rows: int,
) -> int:
    missing = np.isnan(values)
    if not missing.any():
        return 0
    cells = 0
    column, before, behind = _find_gaps(missing, most_rows)
    for kind in ("scalar", "level", "direction"):
        of_kind = kinds[column] == kind
        if not of_kind.any():
            continue
        gap_column, start, stop = column[of_kind], before[of_kind], behind[of_kind]
        rows = stop - start - 1
        gap = np.repeat(np.arange(len(rows)), rows)
        first_of_gap = np.cumsum(rows) - rows
        row = start[gap] + 1 + np.arange(len(gap)) - first_of_gap[gap]
        weight = (row - start[gap]) / (stop - start)[gap]
        ends = np.stack([values[start, gap_column], values[stop, gap_column]])
        result = average(ends[:, gap], np.stack([1.0 - weight, weight]), kind)
        values[row, gap_column[gap]] = result
        # Opposite directions have no mean half-way: such a cell stays missing.
        found = ~np.isnan(result)
        filled[row, gap_column[gap]] = found
        cells += int(np.count_nonzero(found))
    return cells


def _find_gaps(
    missing: NDArray[np.bool_], most_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return column, last row before and first row behind of each short gap."""
    by_column = np.ascontiguousarray(missing.T)
    steps = by_column.shape[1] - 1
    changes = np.flatnonzero(by_column[:, 1:] != by_column[:, :-1])
    column, row = np.divmod(changes, steps)
    # A change to missing, then the change back in the same column.
    opens = by_column[column[:-1], row[:-1] + 1] & (column[:-1] == column[1:])
    short = opens & (row[1:] - row[:-1] <= most_rows)
    return column[:-1][short], row[:-1][short], row[1:][short] + 1
