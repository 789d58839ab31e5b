"""The default network reproduces what varies, and knows that angles are round."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions
from echoanom.principal import of_samples
from echoanom.residual import Features, build_residual, components_of, features_of

pytestmark = pytest.mark.slow


def windows(count: int, size: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, size, columns)).astype(np.float32)


@pytest.mark.parametrize(("size", "columns"), [(1, 1), (13, 3), (64, 9)])
def test_any_window_comes_back_in_its_shape(size: int, columns: int) -> None:
    model = build_residual(size, columns, ModelOptions())
    values = windows(2, size, columns)
    assert model(values).shape == values.shape


def test_a_column_that_never_varied_changes_nothing() -> None:
    keras.utils.set_random_seed(1)
    two = build_residual(16, 2, ModelOptions())
    keras.utils.set_random_seed(1)
    three = build_residual(16, 3, ModelOptions(), varies=[True, False, True])
    values = windows(4, 16, 3)
    found = ops.convert_to_numpy(three(values))
    np.testing.assert_array_equal(found[..., [0, 2]], two(values[..., [0, 2]]))
    np.testing.assert_array_equal(found[..., 1], values[..., 1])


def test_without_training_the_components_alone_reproduce_nearly_all() -> None:
    keras.utils.set_random_seed(0)
    model = build_residual(8, 3, ModelOptions(components=2))
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (200, 1, 1))
    wave = np.cos(np.arange(8)[:, np.newaxis] / 4 + np.arange(3) + phase)
    values = wave.astype(np.float32)
    found = of_samples(features_of(model, values), 2)
    components_of(model).set_weights(
        [found.mean.astype(np.float32), found.directions.astype(np.float32)]
    )
    # Two components hold a wave of any phase; the convolutions begin with little.
    assert np.abs(model(values) - values).max() < 0.02


def test_angles_come_back_whatever_their_unit_and_place() -> None:
    turn = 1 / 0.3
    layer = Features([0, turn, 0], [True, True, True])
    values = windows(3, 8, 3)
    back = ops.convert_to_numpy(layer.invert(layer(values), values))
    np.testing.assert_allclose(back[..., [0, 2]], values[..., [0, 2]], rtol=1e-6)
    whole = (back[..., 1] - values[..., 1]) / turn
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-5)


def test_angles_on_either_side_of_north_have_features_that_are_near() -> None:
    layer = Features([360.0], [True])
    values = np.array([359, 1], dtype=np.float32).reshape(2, 1, 1)
    first, second = ops.convert_to_numpy(layer(values))
    assert np.abs(first - second).max() < 0.06


@pytest.mark.parametrize(("columns", "kept"), [(1, 1), (5, 5), (40, 10)])
def test_there_is_a_component_for_each_column_and_at_most_10(
    columns: int, kept: int
) -> None:
    model = build_residual(16, columns, ModelOptions())
    assert components_of(model).get_weights()[1].shape == (16 * columns, kept)


def test_a_model_of_nothing_that_varies_is_refused() -> None:
    with pytest.raises(OptionError, match="1 column that varies"):
        build_residual(8, 2, ModelOptions(), varies=[False, False])


def test_a_day_of_angles_is_learnt() -> None:
    """What turns at one speed is reproduced through north."""
    keras.utils.set_random_seed(0)
    turn = float(np.sqrt(12))  # standard normalisation of the circle
    model = build_residual(16, 1, ModelOptions(components=2), turns=[turn])
    phase = np.random.default_rng(0).uniform(0, turn, (300, 1, 1))
    values = (phase + np.arange(16)[:, np.newaxis] * turn / 20) % turn - turn / 2
    values = values.astype(np.float32)
    found = of_samples(features_of(model, values), 2)
    components_of(model).set_weights(
        [found.mean.astype(np.float32), found.directions.astype(np.float32)]
    )
    assert np.abs(model(values) - values).max() < 0.02 * turn
