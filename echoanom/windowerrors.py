"""Errors of windows in order of time: computed batch by batch, and folded to rows.

What travels to a model are the rows that a batch of windows covers, each once; it frames
them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from echoanom.cellerrors import ErrorsOf
from echoanom.folding import Fold, FoldedRows, sum_rows
from echoanom.manifest import RunTable
from echoanom.reader import IndexedReader
from echoanom.rowspans import row_spans
from echoanom.windowing import WindowIndex


def fold_batches(
    reader: IndexedReader,
    errors_of: ErrorsOf,
    runs: RunTable,
    period_s: int,
    index: WindowIndex,
    batches: range,
) -> Iterator[tuple[int, list[FoldedRows]]]:
    """Score one batch after the other.

    Parameters
    ----------
    reader : IndexedReader
        Gives the rows.
    errors_of : callable
        As `Detector.errors_of` gives it.
    runs : RunTable
        The runs that windows are taken from.
    period_s : int
        Sample period [s].
    index : WindowIndex
        The windows, in order of time: not shuffled.
    batches : range
        Numbers of the batches.

    Yields
    ------
    windows : int
        How many a batch had; 0 at the end.
    rows : list of FoldedRows
        Those that are finished with it; at the end, those that are left.
    """
    fold = Fold(index.options.size)
    for span in row_spans(reader, index, batches):
        errors, window_errors = errors_of(span.values, span.observed, span.places)
        sums = sum_rows(
            row_times(runs, period_s, span.rows),
            span.observed,
            span.places,
            errors,
            window_errors,
        )
        yield len(span.places), fold.add(sums)
    yield 0, fold.finish()


def row_times(
    runs: RunTable, period_s: int, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Compute the times of some rows.

    Parameters
    ----------
    runs : RunTable
        Runs that have these rows.
    period_s : int
        Sample period [s].
    rows : ndarray of int64, shape (n,)
        Positions of the rows in the dataset.

    Returns
    -------
    ndarray of int64, shape (n,)
        Seconds since 1970-01-01 UTC.
    """
    run = np.searchsorted(runs.first_row, rows, side="right") - 1
    return np.asarray(
        runs.start_s[run] + (rows - runs.first_row[run]) * period_s, dtype=np.int64
    )
