"""Errors of windows in order of time: computed batch by batch, and folded to rows.

What travels to TensorFlow are the rows that a batch of windows covers, each once; the
graph frames them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom.autoencoder import cell_errors, mean_over_observed
from echoanom.folding import Fold, FoldedRows, sum_rows
from echoanom.manifest import RunTable
from echoanom.reader import IndexedReader
from echoanom.rowspans import row_spans
from echoanom.serving import require_tensorflow
from echoanom.windowing import WindowIndex

ErrorsOf = Callable[
    [NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]],
    tuple[tf.Tensor, tf.Tensor],
]
"""Computes the errors of windows from values and marks of rows, and their places."""


def compile_errors(model: keras.Model) -> ErrorsOf:
    """Make a model compute the errors of windows.

    Parameters
    ----------
    model : keras.Model
        The network; float32 (B, T, C), normalised, to the same.

    Returns
    -------
    callable
        Takes values (float32) and whether they were observed (bool), both of shape
        (R, C), and the place of each window's first row among them (int32, shape
        (B,)). Returns squared errors of cells, float32, shape (B, T, C), 0 where
        nothing was observed, and the mean of each window, float32, shape (B,).
    """
    require_tensorflow()
    _, size, columns = model.input_shape
    # One trace serves every batch, the last and smaller one too; `Model.predict` would
    # hand back reconstructions, and errors would be left to NumPy.

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None, columns), tf.bool),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def errors(
        values: tf.Tensor, observed: tf.Tensor, places: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        frame = places[:, tf.newaxis] + tf.range(size)
        windows, seen = tf.gather(values, frame), tf.gather(observed, frame)
        found = cell_errors(windows, seen, model(windows, training=False))
        return found, mean_over_observed(found, seen, axis=(1, 2))

    return errors  # type: ignore[no-any-return]


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
        As `compile_errors` makes it.
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
            errors.numpy(),
            window_errors.numpy(),
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
