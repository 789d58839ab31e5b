"""A network around an encoder that was trained before: shapes, features, what learns."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions
from echoanom.pretrained import (
    build_encoder,
    build_pretrained,
    encoder_weights,
    set_encoder,
    standardize,
)

pytestmark = pytest.mark.slow

VGG16 = ModelOptions(kind="pretrained", filters=(4,), kernel=3)
MODEL = ModelOptions(
    kind="pretrained",
    filters=(4, 2),
    kernel=3,
    encoder="earlier",
    encoder_filters=(6, 5, 4),
    encoder_kernel=2,
)


def changed(options: ModelOptions, **values: Any) -> ModelOptions:
    return ModelOptions.from_json({**options.as_json(), **values})


def windows(count: int, size: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((count, size, columns)).astype(np.float32)


@pytest.mark.parametrize("options", [VGG16, MODEL], ids=["vgg16", "model"])
@pytest.mark.parametrize(("size", "columns"), [(1, 1), (13, 3), (16, 8)])
def test_any_window_comes_back_in_its_shape(
    options: ModelOptions, size: int, columns: int
) -> None:
    model = build_pretrained(size, columns, options)
    values = windows(2, size, columns)
    assert model(values).shape == values.shape


def test_the_encoder_is_that_of_keras_applications() -> None:
    keras.utils.set_random_seed(0)
    theirs = keras.applications.VGG16(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    options = changed(VGG16, filters=[4, 2])
    ours = build_pretrained(32, 32, options)
    set_encoder(ours, options, encoder_weights(theirs, options))
    values = windows(2, 32, 32)
    grey = np.repeat(255 * values[..., np.newaxis], 3, axis=-1)
    images = keras.applications.vgg16.preprocess_input(grey)
    blocks = keras.Model(theirs.inputs[0], theirs.get_layer("block2_pool").output)
    features = keras.Model(ours.inputs[0], ours.get_layer("standardize").input)
    found = ops.convert_to_numpy(features(values))
    np.testing.assert_allclose(found, blocks(images), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("fine_tune", [False, True])
def test_the_encoder_is_trained_only_if_that_is_asked_for(fine_tune: bool) -> None:
    keras.utils.set_random_seed(0)
    options = changed(MODEL, fine_tune=fine_tune)
    model = build_pretrained(8, 8, options)
    model.compile(optimizer="adam")
    before = encoder_weights(model, options)
    decoder = model.get_layer("decode_1").get_weights()[0]
    values = windows(4, 8, 8)
    model.train_on_batch(values, np.ones(values.shape, dtype=bool))
    after = encoder_weights(model, options)
    kept = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert kept == [not fine_tune] * 4
    assert not np.array_equal(decoder, model.get_layer("decode_1").get_weights()[0])


def test_an_encoder_is_as_deep_as_the_decoder() -> None:
    model = build_pretrained(8, 8, MODEL)
    names = {layer.name for layer in model.layers}
    assert {"encode_1", "encode_2"} <= names
    assert "encode_3" not in names
    assert model.get_layer("encode_2").filters == 5
    assert model.get_layer("code").filters == 2


def test_features_are_scaled_to_what_is_usual() -> None:
    keras.utils.set_random_seed(0)
    model = build_pretrained(8, 8, VGG16)
    values = windows(6, 8, 8)
    standardize(model, [values[:4], values[4:]])
    scaled = keras.Model(model.inputs[0], model.get_layer("standardize").output)
    found = ops.convert_to_numpy(scaled(values)).reshape(-1, 64)
    varied = found.std(axis=0) > 0
    assert varied.sum() > 30
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found[:, varied].std(axis=0), 1, rtol=1e-3)


def test_a_feature_that_never_varies_is_left_alone() -> None:
    model = build_pretrained(8, 8, VGG16)
    weights = encoder_weights(model, VGG16)
    set_encoder(model, VGG16, tuple(np.zeros_like(array) for array in weights))
    standardize(model, [windows(2, 8, 8)])
    _, deviation = model.get_layer("standardize").get_weights()
    np.testing.assert_array_equal(deviation, 1)


def test_a_network_is_not_built_around_an_encoder_that_was_not_read() -> None:
    unread = ModelOptions(kind="pretrained", encoder="earlier")
    with pytest.raises(OptionError, match="but earlier was not"):
        build_pretrained(8, 8, unread)


def test_an_encoder_alone_takes_images_of_any_size() -> None:
    encoder = build_encoder(MODEL)
    assert encoder(np.zeros((1, 8, 12, 1), np.float32)).shape == (1, 2, 3, 5)
