"""Errors of windows and of their cells, in a TensorFlow graph.

One definition for whoever scores: the pass over a dataset, and the model that is
exported.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from echoanom.autoencoder import cell_errors, mean_over_observed
from echoanom.weighing import Weighing

Reproduce = Callable[[tf.Tensor], tf.Tensor]
"""Maps windows, float32 (B, T, C), normalised and without NaN, to their reproduction."""

# From the second on they are made where cells are missing alone. Two leave short peaks at
# the end of a gap.
_PASSES = 4


def window_errors(
    reproduce: Reproduce,
    weighing: Weighing | None,
    values: tf.Tensor,
    observed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compute the errors of windows.

    Parameters
    ----------
    reproduce : callable
        The network.
    weighing : Weighing, optional
        What errors count for; plain squared errors if left out.
    values : tensor of float32, shape (B, T, C)
        Normalised windows, missing cells filled.
    observed : tensor of bool, shape (B, T, C)
        Which cells were observed.

    Returns
    -------
    reproduced : tensor of float32, shape (B, T, C)
        What the network makes of the windows.
    errors : tensor of float32, shape (B, T, C)
        Errors of cells, 0 where nothing was observed. Their mean over the observed
        cells of a row is its score.
    error : tensor of float32, shape (B,)
        Mean over the observed cells of each window; 0 if there are none.
    """
    reproduced = reproduce(values)
    if weighing is not None:
        counts = tf.constant(weighing.sensors >= 0)
        missing = tf.logical_and(tf.logical_not(observed), counts)
        # What stands in for missing cells is seldom like what was there, and what is
        # observed beside them would be reproduced badly. So it gives way to what the
        # network makes of it, pass after pass.
        reproduced = tf.cond(
            tf.reduce_any(missing),
            lambda: _filled(reproduce, values, missing, reproduced),
            lambda: reproduced,
        )
    errors = cell_errors(values, observed, reproduced)
    if weighing is not None:
        errors = _weighed(errors, observed, weighing)
    return reproduced, errors, mean_over_observed(errors, observed, axis=(1, 2))


def _filled(
    reproduce: Reproduce, values: tf.Tensor, missing: tf.Tensor, reproduced: tf.Tensor
) -> tf.Tensor:
    for _ in range(_PASSES - 1):
        reproduced = reproduce(tf.where(missing, reproduced, values))
    return reproduced


def _weighed(errors: tf.Tensor, observed: tf.Tensor, weighing: Weighing) -> tf.Tensor:
    seen = tf.cast(observed, tf.float32)
    if weighing.smoothing > 1:
        around = _rolling_mean(seen, weighing.smoothing)
        errors = _rolling_mean(errors, weighing.smoothing) / tf.maximum(around, 1e-9)
        errors *= seen
    sensors = weighing.sensors
    count = int(sensors.max()) + 1
    # Which columns are of each sensor, (C, G); those that never varied are of none.
    members = tf.one_hot(sensors, count, dtype=tf.float32)
    errors /= tf.constant(weighing.spread)
    columns = tf.matmul(seen, members)
    # Of each sensor the mean, and what it weighs among the others.
    means = tf.math.divide_no_nan(tf.matmul(errors, members), columns)
    weight = tf.math.divide_no_nan(
        means, tf.reduce_sum(means, axis=-1, keepdims=True) * columns
    )
    # The mean over the observed cells of a row takes their number back.
    cells = tf.reduce_sum(seen, axis=-1, keepdims=True)
    return errors * tf.matmul(weight * cells, members, transpose_b=True)


def _rolling_mean(values: tf.Tensor, rows: int) -> tf.Tensor:
    """Average along the rows of windows; at their ends, over those that there are."""
    return tf.nn.avg_pool1d(values, rows, strides=1, padding="SAME")
