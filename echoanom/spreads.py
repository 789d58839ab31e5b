"""How well a network reproduces each column of days that it was not trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.cellerrors import ErrorsOf
from echoanom.dataset import Dataset
from echoanom.folding import sum_rows
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader
from echoanom.rowspans import row_spans
from echoanom.scoring import in_order
from echoanom.windowerrors import row_times
from echoanom.windowing import WindowIndex


def sum_errors(
    dataset: Dataset,
    runs: RunTable,
    errors_of: ErrorsOf,
    normalization: Normalization,
    options: WindowOptions,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum the errors of each column over the windows of some runs.

    Parameters
    ----------
    dataset : Dataset
        What is reproduced.
    runs : RunTable
        The runs to take windows from.
    errors_of : callable
        Computes their errors.
    normalization : Normalization
        How columns are scaled.
    options : WindowOptions
        Size, stride and batches; windows are not shuffled, and none is left out.
    progress : callable
        Told the windows done and all windows.

    Returns
    -------
    errors : ndarray of float64, shape (C,)
        Sums of the errors of cells.
    cells : ndarray of int64, shape (C,)
        Observed cells that they are sums over; those of several windows count in each.
    """
    index = WindowIndex(runs, in_order(options))
    reader = IndexedReader(dataset, normalization)
    errors = np.zeros(len(dataset.columns))
    cells = np.zeros(len(dataset.columns), dtype=np.int64)
    taken = 0
    for span in row_spans(reader, index, range(index.batches)):
        found = sum_rows(
            row_times(runs, dataset.period_s, span.rows),
            span.observed,
            span.places,
            *errors_of(span.values, span.observed, span.places),
        )
        errors += found.errors.sum(axis=0)
        cells += found.windows @ span.observed
        taken += len(span.places)
        progress("weighing", taken, len(index))
    return errors, cells
