"""The network: its shape for any window, and a loss without masked cells."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from echoanom.autoencoder import build_autoencoder, cell_errors, mean_over_observed
from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions


def convolutions(model: keras.Model) -> list[tuple[str, int, tuple[int, int]]]:
    return [
        (layer.name, layer.filters, layer.kernel_size)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]


def test_the_default_is_the_tutorials_network():
    model = build_autoencoder(64, 1600)
    assert convolutions(model) == [
        ("encode_1", 16, (4, 4)),
        ("encode_2", 8, (4, 4)),
        ("encode_3", 8, (4, 4)),
        ("decode_3", 8, (4, 4)),
        ("decode_2", 8, (4, 4)),
        ("decode_1", 16, (4, 4)),
        ("reconstruct", 1, (4, 4)),
    ]
    assert model.get_layer("pool_3").output.shape == (None, 8, 200, 8)
    assert model.get_layer("reconstruct").activation is keras.activations.sigmoid
    assert not any("pad" in layer.name for layer in model.layers)


@pytest.mark.parametrize("size, columns", [(1, 1), (7, 3), (8, 8), (13, 5), (9, 17)])
@pytest.mark.parametrize("filters", [(2,), (3, 2, 2)])
def test_any_window_and_column_count_keeps_its_shape(size, columns, filters):
    model = build_autoencoder(size, columns, ModelOptions(filters=filters, kernel=3))
    values = np.random.default_rng(0).random((2, size, columns), dtype=np.float32)
    assert model(values).shape == (2, size, columns)


def test_cropping_gives_back_the_cells_in_their_places():
    # Convolutions that hand their input through, so what is left is pad, pool,
    # upsample and crop: every 2 x 2 block becomes its maximum, in its place.
    options = ModelOptions(kind="autoencoder", filters=(1,), kernel=1, output="linear")
    model = build_autoencoder(3, 5, options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    values = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    np.testing.assert_array_equal(
        model(values)[0], [[6, 6, 8, 8, 9], [6, 6, 8, 8, 9], [11, 11, 13, 13, 14]]
    )


def test_output_and_dropout_are_options():
    model = build_autoencoder(
        8, 8, ModelOptions(kind="autoencoder", dropout=0.5, output="linear")
    )
    assert model.get_layer("dropout").rate == 0.5
    assert model.get_layer("reconstruct").activation is keras.activations.linear
    values = np.random.default_rng(0).random((4, 8, 8), dtype=np.float32)
    np.testing.assert_array_equal(model(values), model(values))
    assert not np.array_equal(
        model(values, training=True), model(values, training=True)
    )


@pytest.mark.parametrize("size, columns", [(0, 3), (3, 0)])
def test_an_empty_window_is_refused(size, columns):
    with pytest.raises(OptionError, match="at least 1 row and 1 column"):
        build_autoencoder(size, columns)


def test_masked_cells_change_no_loss():
    rng = np.random.default_rng(0)
    values = rng.random((3, 6, 4), dtype=np.float32)
    observed = rng.random(values.shape) < 0.7
    reconstruction = rng.random(values.shape, dtype=np.float32)
    model = build_autoencoder(6, 4, ModelOptions(filters=(2,)))

    def loss(values: np.ndarray) -> float:
        return float(model.compute_loss(values, observed, reconstruction))

    expected = ((values - reconstruction) ** 2)[observed].mean()
    assert loss(values) == pytest.approx(expected, rel=1e-6)
    assert loss(np.where(observed, values, 1e6).astype(np.float32)) == loss(values)


def test_nothing_observed_costs_nothing():
    values = np.ones((2, 6, 4), dtype=np.float32)
    observed = np.zeros(values.shape, dtype=bool)
    errors = cell_errors(values, observed, values * 3)
    np.testing.assert_array_equal(errors, np.zeros(values.shape))
    np.testing.assert_array_equal(
        mean_over_observed(errors, observed, axis=(1, 2)), [0, 0]
    )


@pytest.mark.slow
def test_fitting_on_values_and_masks_lowers_the_loss():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random((64, 1, 1), dtype=np.float32), 12, axis=1)
    values = np.repeat(values, 5, axis=2)
    observed = rng.random(values.shape) < 0.9
    model = build_autoencoder(12, 5)
    model.compile(keras.optimizers.Adam(3e-3))
    fitted = model.fit(values, observed, batch_size=8, epochs=10, verbose=0)
    history = fitted.history["loss"]
    assert history[-1] < 0.4 * history[0]
    assert np.isfinite(history).all()


def test_angles_are_as_far_apart_as_on_the_circle():
    keras.utils.set_random_seed(8)  # some angles of this network are across north
    turns = [1.0, 0.0]
    model = build_autoencoder(4, 2, ModelOptions(filters=(2,)), turns)
    plain = build_autoencoder(4, 2, ModelOptions(filters=(2,)))
    plain.set_weights(model.get_weights())
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, size=(9, 4, 2)).astype(np.float32)
    reproduced, straight = np.asarray(model(values)), np.asarray(plain(values))
    apart = np.abs(values - straight)[..., 0]
    circular = np.minimum(apart, 1 - apart)
    np.testing.assert_allclose(np.abs(values - reproduced)[..., 0], circular, atol=1e-6)
    np.testing.assert_array_equal(reproduced[..., 1], straight[..., 1])
    assert (apart > 0.5).any()


@pytest.mark.slow
def test_a_network_learns_angles_across_north():
    # Between 355 and 5 degrees: a plain error would pull the output to south.
    rng = np.random.default_rng(0)
    values = (rng.uniform(-5, 5, size=(64, 8, 8)) % 360 / 360).astype(np.float32)
    observed = np.ones(values.shape, bool)
    losses = {}
    for name, turns in [("circle", [1.0] * 8), ("line", None)]:
        keras.utils.set_random_seed(0)
        model = build_autoencoder(8, 8, ModelOptions(filters=(4,)), turns)
        model.compile(optimizer=keras.optimizers.Adam(0.01))
        history = model.fit(values, observed, epochs=15, verbose=0)
        losses[name] = history.history["loss"][-1]
    assert losses["circle"] < (5 / 360) ** 2 * 4
    assert losses["line"] > 10 * losses["circle"]
