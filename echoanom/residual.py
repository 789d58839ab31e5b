"""The default network: principal components, and convolutions for what they leave.

Components of whole windows reproduce what is linear: tides, drifts, layers that rise and
fall together. They go on where training ended, so that a slow drift raises no alarm. A
convolutional autoencoder over time, with columns as channels, learns what they leave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from echoanom.autoencoder import MaskedAutoencoder, NearestTurn, Tensor
from echoanom.errors import OptionError
from echoanom.fixedlayers import Projection
from echoanom.modeloptions import ModelOptions

MOST_COMPONENTS = 10
"""Components if their number is left open and there are more columns than that."""

_PROJECTION = "projection"
_FEATURES = "features"


class Features(layers.Layer):  # type: ignore[misc]
    """Turns columns to what the network works on.

    Columns that did not vary in training are left out. An angle becomes its cosine and
    sine, scaled to a variance of 1 over the circle, so that 359 and 1 degree are near.

    Parameters
    ----------
    turns : sequence of float, length C
        A whole turn in each column's normalised unit; 0 for columns without one.
    varies : sequence of bool, length C
        Which columns varied.
    **kwargs : object
        As any layer takes them.
    """

    def __init__(
        self, turns: Sequence[float], varies: Sequence[bool], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        turn, varied = np.asarray(turns, dtype=np.float32), np.asarray(varies, np.bool_)
        self._plain = np.flatnonzero(varied & (turn == 0))
        self._angles = np.flatnonzero(varied & (turn > 0))
        self._radians = (2 * math.pi / turn[self._angles]).astype(np.float32)
        # Where each column is found behind what is reproduced and what is left as it is.
        still = np.flatnonzero(~varied)
        self._order = np.argsort(np.concatenate([self._plain, self._angles, still]))
        self._still = still

    @property
    def count(self) -> int:
        """How many features there are, F."""
        return len(self._plain) + 2 * len(self._angles)

    def call(self, values: Tensor) -> Tensor:
        """Turn columns to features.

        Parameters
        ----------
        values : tensor of float32, shape (B, T, C)
            Normalised values.

        Returns
        -------
        tensor of float32, shape (B, T, F)
            The features.
        """
        angle = ops.take(values, self._angles, axis=-1) * self._radians
        plain = ops.take(values, self._plain, axis=-1)
        root = math.sqrt(2)
        return ops.concatenate(
            [plain, root * ops.cos(angle), root * ops.sin(angle)], axis=-1
        )

    def invert(self, features: Tensor, values: Tensor) -> Tensor:
        """Turn features back to columns.

        Parameters
        ----------
        features : tensor of float32, shape (B, T, F)
            What the network made of the features.
        values : tensor of float32, shape (B, T, C)
            The original, which columns that did not vary keep.

        Returns
        -------
        tensor of float32, shape (B, T, C)
            Normalised values.
        """
        first, angles = len(self._plain), len(self._angles)
        cosine = features[..., first : first + angles]
        sine = features[..., first + angles :]
        angle = ops.arctan2(sine, cosine) / self._radians
        still = ops.take(values, self._still, axis=-1)
        found = ops.concatenate([features[..., :first], angle, still], axis=-1)
        return ops.take(found, self._order, axis=-1)


def build_residual(
    size: int,
    columns: int,
    options: ModelOptions,
    turns: Sequence[float] | None = None,
    varies: Sequence[bool] | None = None,
) -> MaskedAutoencoder:
    """Build the network for one window size and number of columns.

    Parameters
    ----------
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    options : ModelOptions
        Components, filters, kernel and dropout.
    turns : sequence of float, length C, optional
        A whole turn in each column's normalised unit, 0 for columns that hold no
        angle; all 0 if left out.
    varies : sequence of bool, length C, optional
        Which columns varied in training; all if left out.

    Returns
    -------
    MaskedAutoencoder
        Not compiled, its components 0. Maps float32 (B, T, C), normalised and without
        NaN, to the same shape.

    Raises
    ------
    OptionError
        If the size is less than 1, or no column varies.
    """
    turns = [0.0] * columns if turns is None else turns
    features = Features(
        turns, [True] * columns if varies is None else varies, name=_FEATURES
    )
    if size < 1 or not features.count:
        raise OptionError(
            "a model needs windows of at least 1 row, and 1 column that varies, got"
            f" {size} rows and {features.count} such columns"
        )
    cells, padding = size * features.count, -size % 2 ** len(options.filters)
    inputs = keras.Input((size, columns), name="values")
    x = features(inputs)
    flat = layers.Reshape((cells,), name="flatten")(x)
    kept = _components(cells, features.count, options)
    flat = Projection(kept, name=_PROJECTION)(flat)
    linear = layers.Reshape((size, features.count), name="unflatten")(flat)
    rest = layers.Subtract(name="rest")([x, linear])
    if padding:
        rest = layers.ZeroPadding1D((0, padding), name="pad")(rest)
    for level, filters in enumerate(options.filters, 1):
        rest = _convolution(filters, options.kernel, f"encode_{level}", strides=2)(rest)
    if options.dropout:
        rest = layers.Dropout(options.dropout, name="dropout")(rest)
    for level, filters in reversed(list(enumerate(options.filters, 1))):
        rest = layers.UpSampling1D(2, name=f"upsample_{level}")(rest)
        rest = _convolution(filters, options.kernel, f"decode_{level}")(rest)
    # Begun small: at first the components alone reproduce.
    rest = layers.Conv1D(
        features.count,
        options.kernel,
        padding="same",
        kernel_initializer=keras.initializers.VarianceScaling(0.01),
        name="reproduce",
    )(rest)
    if padding:
        rest = layers.Cropping1D((0, padding), name="crop")(rest)
    outputs = features.invert(layers.Add(name="sum")([linear, rest]), inputs)
    if any(turns):
        outputs = NearestTurn(turns, name="nearest_turn")(inputs, outputs)
    return MaskedAutoencoder(inputs, outputs, name="residual")


def features_of(model: keras.Model, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn windows to what the components are found from.

    Parameters
    ----------
    model : keras.Model
        As `build_residual` makes it.
    values : ndarray of float32, shape (B, T, C)
        Normalised windows.

    Returns
    -------
    ndarray of float32, shape (B, T * F)
        Their features, row after row.
    """
    found = model.get_layer(_FEATURES)(values)
    return np.asarray(ops.convert_to_numpy(found)).reshape(len(values), -1)


def components_of(model: keras.Model) -> layers.Layer:
    """Return the layer that holds the components.

    Parameters
    ----------
    model : keras.Model
        As `build_residual` makes it.

    Returns
    -------
    keras.Layer
        Its weights are the mean, (T * F,), and the directions, (T * F, K).
    """
    return model.get_layer(_PROJECTION)


def _components(cells: int, features: int, options: ModelOptions) -> int:
    wanted = options.components or min(features, MOST_COMPONENTS)
    return min(wanted, cells)


def _convolution(filters: int, kernel: int, name: str, strides: int = 1) -> Any:
    return layers.Conv1D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )
