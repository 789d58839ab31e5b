"""Blocks of 64 rows as samples, and windows put together from them.

What streaming libraries store is samples, and none of them forms windows over several.
One sample a window would hold each row 64 times at stride 1. So a sample is a block:
runs are cut from their first row on, the last block of a run may be shorter, and with
stride 64 a window is a block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from peers.task import WINDOW, Case, Data, normalise

Rows = NDArray[np.float32]


def cut(data: Data) -> Iterator[tuple[int, Rows]]:
    """Cut the rows into blocks.

    Parameters
    ----------
    data : Data
        Has the rows.

    Yields
    ------
    run : int
        Which run the block belongs to.
    rows : ndarray of float32, shape (n, C)
        The block, n at most 64; NaN where missing.
    """
    rows = data.rows()
    for run, (first, count) in enumerate(
        zip(data.runs.first_row, data.runs.rows, strict=True)
    ):
        for begin in range(0, count, WINDOW):
            yield run, rows[first + begin : first + min(begin + WINDOW, count)]


class Assembler:
    """Puts windows together from blocks, as straightforward code does.

    The two blocks used last are kept. In sequence they serve up to 64 windows, so they
    are normalised when they are read; in random order each window is.

    Parameters
    ----------
    data : Data
        Says where runs begin, and what rows are scaled by.
    case : Case
        Tells whether windows come in random order.
    read : callable
        Reads a block by number: its rows, NaN where missing.
    """

    def __init__(self, data: Data, case: Case, read: Callable[[int], Rows]) -> None:
        self._first = np.concatenate(
            [
                np.arange(first, first + count, WINDOW)
                for first, count in zip(
                    data.runs.first_row, data.runs.rows, strict=True
                )
            ]
        )
        self._scaling = data.normalization
        self._shuffled = case.shuffle
        self._read = read
        self._block = functools.lru_cache(maxsize=2)(self._prepared)

    def fill(self, first_row: int, out: Rows) -> None:
        """Put a window together.

        Parameters
        ----------
        first_row : int
            Position of its first row.
        out : ndarray of float32, shape (64, C)
            Takes it, normalised.
        """
        number = int(np.searchsorted(self._first, first_row, side="right")) - 1
        begin = first_row - int(self._first[number])
        out[: WINDOW - begin] = self._block(number)[begin:]
        if begin:
            out[WINDOW - begin :] = self._block(number + 1)[:begin]
        if self._shuffled:
            normalise(out, self._scaling, out)

    def _prepared(self, number: int) -> Rows:
        rows = self._read(number)
        if self._shuffled:
            return rows
        out = np.empty_like(rows)
        normalise(rows, self._scaling, out)
        return out
