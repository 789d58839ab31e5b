"""Weighed errors are those of a plain loop, and what is missing counts for nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from echoanom.weighed import window_errors
from echoanom.weighing import Weighing

pytestmark = pytest.mark.slow

WEIGHING = Weighing(
    np.array([0.5, 2.0, 1.0, 1.0], np.float32),
    np.array([0, 0, 1, -1]),
    3,
)


def half(values: tf.Tensor) -> tf.Tensor:
    return values / 2


def errors_of(
    values: NDArray[np.float32],
    observed: NDArray[np.bool_],
    weighing: Weighing | None = WEIGHING,
    reproduce: Callable[[tf.Tensor], tf.Tensor] = half,
) -> tuple[NDArray[np.float32], ...]:
    found = window_errors(
        reproduce, weighing, tf.constant(values), tf.constant(observed)
    )
    return tuple(part.numpy() for part in found)


def naive(
    values: NDArray[np.float32], observed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Score each row of a window by the formula of `echoanom.weighing`."""
    rows = len(values)
    score = np.full(rows, np.nan)
    for row in range(rows):
        means = []
        for sensor in range(2):
            errors = []
            for column in np.flatnonzero(WEIGHING.sensors == sensor):
                if observed[row, column]:
                    near = [
                        (values[r, column] / 2) ** 2
                        for r in range(max(row - 1, 0), min(row + 2, rows))
                        if observed[r, column]
                    ]
                    errors.append(np.mean(near) / WEIGHING.spread[column])
            if errors:
                means.append(np.mean(errors))
        if means:
            score[row] = sum(mean**2 for mean in means) / sum(means)
    return score


def test_rows_score_as_the_formula_says() -> None:
    values = np.random.default_rng(1).normal(size=(2, 8, 4)).astype(np.float32)
    observed = np.ones(values.shape, dtype=np.bool_)
    observed[..., 3] = False  # as it never varied
    observed[0, 2, :2] = observed[1, 3, 2] = observed[1, 5, 0] = False
    # The network ignores what stands in for missing cells.
    _, errors, error = errors_of(values, observed)
    for window in range(2):
        cells = observed[window].sum(axis=1)
        score = errors[window].sum(axis=1) / cells
        np.testing.assert_allclose(score, naive(values[window], observed[window]), 1e-5)
        mean = np.average(score, weights=cells)
        assert error[window] == pytest.approx(mean, rel=1e-5)


def test_a_missing_cell_is_reproduced_from_what_it_would_be() -> None:
    """A network that copies the first column to all is not misled by a fill."""
    values = np.ones((1, 8, 4), dtype=np.float32)
    values[0, 2, 1] = 0  # filled
    observed = np.ones(values.shape, dtype=np.bool_)
    observed[0, 2, 1] = observed[..., 3] = False

    def mean(windows: tf.Tensor) -> tf.Tensor:
        among = tf.reduce_mean(windows[..., :2], axis=2, keepdims=True)
        return tf.broadcast_to(among, tf.shape(windows))

    once = errors_of(values, observed, None, mean)[1]
    reproduced, errors, _ = errors_of(values, observed, WEIGHING, mean)
    assert once[0, 2, 0] == pytest.approx(0.25)
    # 1/2 of the fill, and each of three passes more halves what is left to 1.
    assert reproduced[0, 2, 1] == pytest.approx(1 - 1 / 16)
    assert errors[0, 2, 0] < once[0, 2, 0] / 16
    assert errors[0, 2, 1] == 0


@pytest.mark.parametrize("column", range(3))
def test_a_missing_column_neither_alarms_nor_hides(column: int) -> None:
    """Were all columns alike, the score is the same without one of them."""
    values = np.full((1, 8, 4), 2, dtype=np.float32)
    weighing = Weighing(np.ones(4, np.float32), WEIGHING.sensors, 3)
    observed = np.ones(values.shape, dtype=np.bool_)
    observed[..., 3] = False
    whole = errors_of(values, observed, weighing)[2]
    observed[..., column] = False
    assert errors_of(values, observed, weighing)[2] == pytest.approx(whole)


def test_where_nothing_was_observed_there_is_no_error() -> None:
    values = np.ones((1, 8, 4), dtype=np.float32)
    _, errors, error = errors_of(values, np.zeros(values.shape, dtype=np.bool_))
    assert not errors.any()
    assert error == 0


def test_a_constant_column_changes_nothing() -> None:
    values = np.random.default_rng(2).normal(size=(1, 8, 4)).astype(np.float32)
    observed = np.ones(values.shape, dtype=np.bool_)
    observed[..., 3] = False
    _, errors, error = errors_of(values, observed)
    three = Weighing(WEIGHING.spread[:3], WEIGHING.sensors[:3], 3)
    without = errors_of(values[..., :3], observed[..., :3], three)
    np.testing.assert_allclose(errors[..., :3], without[1], rtol=1e-6)
    assert error == pytest.approx(without[2])
