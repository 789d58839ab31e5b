"""A trained network as a TensorFlow SavedModel that takes and returns raw units.

Normalisation and the filling of missing cells are part of the graph, so whoever serves
it needs neither this package nor a copy of its statistics.
"""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from echoanom.errors import OptionError
from echoanom.normalization import Normalization
from echoanom.weighed import window_errors
from echoanom.weighing import Weighing

CELLS_AT_ONCE = 1 << 19
"""Cells of the windows that are put through the network together.

Its first level makes 16 channels of 4 bytes of each. Together they stay below 32 MiB,
from where on the C library gives memory back to the system after each use; to get it
anew, page by page, takes a third of the time.
"""


class Serving(tf.Module):  # type: ignore[misc]
    """A network between raw values and raw values, to be saved as a SavedModel.

    Parameters
    ----------
    model : keras.Model
        The network; float32 (B, T, C), normalised, to the same.
    normalization : Normalization
        Of the C columns.
    weighing : Weighing, optional
        What errors count for; plain squared errors if left out.

    Raises
    ------
    OptionError
        If Keras does not run on TensorFlow.
    """

    def __init__(
        self,
        model: keras.Model,
        normalization: Normalization,
        weighing: Weighing | None = None,
    ) -> None:
        super().__init__(name="echoanom")
        require_tensorflow()
        _, self._size, self._columns = model.input_shape
        self._model = functools.partial(model, training=False)
        # Layers are not tracked: the SavedModel holds variables and graphs alone.
        self.weights = [variable.value for variable in model.weights]
        self._offset = tf.constant(normalization.offset)
        self._scale = tf.constant(normalization.scale)
        self._fill = tf.constant(normalization.fill)
        self._varies = normalization.varies
        self._weighing = weighing
        self.windows = tf.function(
            self._windows,
            input_signature=[
                tf.TensorSpec((None, self._size, self._columns), tf.float32, "values")
            ],
        )
        self.rows = tf.function(
            self._rows,
            input_signature=[
                tf.TensorSpec((None, self._columns), tf.float32, "values")
            ],
        )

    def _normalise(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        finite = tf.math.is_finite(values)
        normalised = (values - self._offset) / self._scale
        observed = finite
        if self._varies is not None:
            observed = tf.logical_and(finite, tf.constant(self._varies))
        return tf.where(finite, normalised, self._fill), observed

    def _errors(
        self, values: tf.Tensor, observed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return window_errors(self._model, self._weighing, values, observed)

    def _windows(self, values: tf.Tensor) -> dict[str, tf.Tensor]:
        reconstruction, _, error = self._errors(*self._normalise(values))
        return {
            "reconstruction": reconstruction * self._scale + self._offset,
            "error": error,
        }

    def _rows(self, values: tf.Tensor) -> dict[str, tf.Tensor]:
        # With at least one window there is always something to stack.
        given = tf.shape(values)[0]
        short = tf.maximum(self._size - given, 0)
        rows, observed = self._normalise(tf.pad(values, [[0, short], [0, 0]]))
        count = tf.shape(rows)[0] - self._size + 1
        # Framed a chunk of windows at a time: all windows at once would take T times
        # the memory of the rows.
        chunk = max(1, CELLS_AT_ONCE // (self._size * self._columns))
        chunk = tf.minimum(chunk, count)
        chunks = (count + chunk - 1) // chunk
        frame = tf.range(chunk)[:, tf.newaxis] + tf.range(self._size)

        def score_chunk(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The last chunk begins early enough to be as long as the others.
            window = tf.minimum(i * chunk, count - chunk) + frame
            _, errors, error = self._errors(
                tf.gather(rows, window), tf.gather(observed, window)
            )
            return error, tf.reduce_sum(tf.cast(errors, tf.float64), axis=2)

        errors, sums = tf.map_fn(
            score_chunk,
            tf.range(chunks),
            fn_output_signature=(
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((None, self._size), tf.float64),
            ),
            parallel_iterations=1,
        )
        repeated = chunks * chunk - count
        error = tf.concat(
            [tf.reshape(errors[:-1], [-1]), errors[-1, repeated:]], axis=0
        )
        in_rows = tf.concat(
            [tf.reshape(sums[:-1], [-1, self._size]), sums[-1, repeated:]], axis=0
        )
        return {
            "error": error[: tf.maximum(given - self._size + 1, 0)],
            "row_error": tf.where(
                given >= self._size, self._fold(in_rows, observed, count), np.nan
            )[:given],
        }

    def _fold(
        self, sums: tf.Tensor, observed: tf.Tensor, count: tf.Tensor
    ) -> tf.Tensor:
        """Average what the windows say about each row, as `folding.Fold` does."""
        row = tf.range(count)[:, tf.newaxis] + tf.range(self._size)
        length = count + self._size - 1
        total = tf.math.unsorted_segment_sum(
            tf.reshape(sums, [-1]), tf.reshape(row, [-1]), length
        )
        at = tf.range(length)
        windows = tf.minimum(at, count - 1) - tf.maximum(at - self._size + 1, 0) + 1
        cells = tf.reduce_sum(tf.cast(observed, tf.int32), axis=1) * windows
        # Of no cells the mean is 0 / 0, NaN.
        return tf.cast(total / tf.cast(cells, tf.float64), tf.float32)


def require_tensorflow() -> None:
    """Check that Keras runs on TensorFlow.

    Raises
    ------
    OptionError
        If it runs on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise OptionError(
            "Keras must run on TensorFlow, but its backend is"
            f" {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )


def export(
    model: keras.Model,
    normalization: Normalization,
    folder: str,
    weighing: Weighing | None = None,
) -> None:
    """Write a SavedModel with the signatures ``windows`` and ``rows``.

    ``windows`` takes ``values``, float32 (B, T, C), and returns their
    ``reconstruction`` in the same units and the ``error`` of each window (B,).
    ``rows`` takes consecutive rows as ``values``, float32 (N, C), and returns the
    ``error`` of the window that starts at each, (N − T + 1,), none if N < T, and the
    ``row_error`` of each row, (N,): its mean error over the windows that cover it and
    its observed cells, NaN without any.
    A cell that is not finite is missing: it counts for no error.

    Parameters
    ----------
    model : keras.Model
        The network.
    normalization : Normalization
        Of its columns.
    folder : str
        A local folder.
    weighing : Weighing, optional
        What errors count for; plain squared errors if left out.
    """
    serving = Serving(model, normalization, weighing)
    tf.saved_model.save(
        serving,
        folder,
        signatures={
            "windows": serving.windows.get_concrete_function(),
            "rows": serving.rows.get_concrete_function(),
        },
    )
