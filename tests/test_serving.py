"""The SavedModel: both signatures, in raw units, and free of this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from echoanom import serving
from echoanom.autoencoder import build_autoencoder
from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions
from echoanom.normalization import Normalization

SIZE, COLUMNS = 6, 3

Signature = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_autoencoder(SIZE, COLUMNS, ModelOptions(filters=(4, 2), kernel=3))


@pytest.fixture(scope="module")
def normalization() -> Normalization:
    return Normalization(
        "range",
        offset=np.array([-80, 0, 5], np.float32),
        scale=np.array([40, 360, 1], np.float32),
        fill=np.array([0.25, 0.5, 0.0], np.float32),
    )


@pytest.fixture(scope="module")
def loaded(
    model: keras.Model,
    normalization: Normalization,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = str(tmp_path_factory.mktemp("serving"))
    with pytest.MonkeyPatch.context() as patch:
        # Few windows in a chunk, so that small inputs have several chunks.
        patch.setattr(serving, "CELLS_AT_ONCE", 4 * SIZE * COLUMNS)
        serving.export(model, normalization, folder)
    return tf.saved_model.load(folder)


@pytest.fixture(scope="module")
def windows(loaded: Any) -> Signature:
    return loaded.signatures["windows"]


@pytest.fixture(scope="module")
def rows(loaded: Any) -> Signature:
    return loaded.signatures["rows"]


def raw_rows(count: int, missing: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(count)
    values = rng.random((count, COLUMNS), dtype=np.float32)
    values = values * np.array([40, 360, 1], np.float32) + [-80, 0, 5]
    values[rng.random(values.shape) < missing] = np.nan
    return values.astype(np.float32)


def test_there_are_two_signatures_of_any_length(loaded):
    assert sorted(loaded.signatures) == ["rows", "windows"]
    specs = {
        name: loaded.signatures[name].structured_input_signature[1]["values"].shape
        for name in loaded.signatures
    }
    assert specs["windows"].as_list() == [None, SIZE, COLUMNS]
    assert specs["rows"].as_list() == [None, COLUMNS]


def test_windows_come_back_in_raw_units_with_their_error(windows, model, normalization):
    values = raw_rows(4 * SIZE).reshape(4, SIZE, COLUMNS)
    found = windows(values=tf.constant(values))
    normalised = normalization.apply(values)
    reproduced = np.asarray(model(normalised))
    np.testing.assert_allclose(
        found["reconstruction"], normalization.invert(reproduced), rtol=1e-5
    )
    errors = (normalised - reproduced) ** 2
    expected = [
        window[~np.isnan(raw)].mean()
        for window, raw in zip(errors, values, strict=True)
    ]
    np.testing.assert_allclose(found["error"], expected, rtol=1e-5)


@pytest.mark.parametrize("count", [SIZE, SIZE + 1, SIZE + 3, SIZE + 4, SIZE + 7, 40])
def test_rows_score_like_their_windows_one_by_one(rows, windows, count):
    values = raw_rows(count)
    frames = np.stack([values[i : i + SIZE] for i in range(count - SIZE + 1)])
    found = rows(values=tf.constant(values))["error"]
    expected = windows(values=tf.constant(frames))["error"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, SIZE - 1])
def test_fewer_rows_than_a_window_have_no_error(rows, count):
    assert rows(values=tf.zeros((count, COLUMNS)))["error"].shape == (0,)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_missing_cells_count_for_no_error(windows, missing):
    values = raw_rows(SIZE, missing=0).reshape(1, SIZE, COLUMNS)
    values[0, :, 1] = missing
    error = float(windows(values=tf.constant(values))["error"][0])
    assert np.isfinite(error)
    values[0] = missing
    assert float(windows(values=tf.constant(values))["error"][0]) == 0


def test_another_backend_is_refused(model, normalization, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OptionError, match="KERAS_BACKEND=tensorflow"):
        serving.export(model, normalization, str(tmp_path))
