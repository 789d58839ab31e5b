"""A network around an encoder that was trained before, on other data.

The encoder is the first blocks of VGG16, or that of an autoencoder trained here. It makes
features of the window seen as an image; a convolution makes a small code of them, and a
decoder like that of the autoencoder learns to reproduce the window from it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from echoanom.autoencoder import MaskedAutoencoder, Tensor, build_autoencoder
from echoanom.errors import OptionError
from echoanom.modeloptions import VGG16, ModelOptions

Weights = tuple[NDArray[np.float32], ...]
"""Kernel and bias of each of an encoder's convolutions, from the first to the last."""

# Convolutions of each block, and their filters: column D of Table 1 in [1].
_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# Mean of blue, green and red over the images VGG16 was trained on, of 255; as
# keras.applications.vgg16.preprocess_input subtracts it.
_MEANS = (103.939, 116.779, 123.68)

_STANDARDIZE = "standardize"


class Standardize(layers.Layer):  # type: ignore[misc]
    """Scales features by their usual mean and deviation, so that a training can begin.

    VGG16 makes features of some hundreds, which drive a sigmoid to its ends at once. The
    weights are not trained: the mean and the deviation, float32, shape (F,).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights.

        Parameters
        ----------
        shape : tuple of int
            Of the input, its last the number of features, F.
        """
        for name, start in (("mean", "zeros"), ("deviation", "ones")):
            weight = self.add_weight(
                shape=(shape[-1],), initializer=start, trainable=False, name=name
            )
            setattr(self, f"_{name}", weight)

    def call(self, features: Tensor) -> Tensor:
        """Scale features.

        Parameters
        ----------
        features : tensor of float32, shape (..., F)
            What an encoder made.

        Returns
        -------
        tensor of float32, shape (..., F)
            Of mean 0 and deviation 1, where they are as usual.
        """
        return (features - self._mean) / self._deviation


def build_pretrained(
    size: int,
    columns: int,
    options: ModelOptions,
    turns: Sequence[float] | None = None,
) -> MaskedAutoencoder:
    """Build the network for one window size and number of columns.

    Every level of VGG16 is a block of it [1]_: two or three convolutions of 3 x 3 with
    ReLU, and a 2 x 2 maximum pooling. The window is its image, in grey, its normalised
    values from 0 to 1. The rest is that of `build_autoencoder`, but for a convolution of
    1 x 1 after the encoder, which makes as many features as the last filters say.

    Parameters
    ----------
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    options : ModelOptions
        Encoder, filters, kernel, dropout, output, and whether the encoder is trained.
    turns : sequence of float, length C, optional
        A whole turn in each column's normalised unit, 0 for columns that hold no
        angle; all 0 if left out.

    Returns
    -------
    MaskedAutoencoder
        Not compiled, the encoder's weights random. Maps float32 (B, T, C), normalised
        and without NaN, to the same shape.

    Raises
    ------
    OptionError
        If the size or the number of columns is less than 1, or the encoder was not read.

    References
    ----------
    .. [1] K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for
       Large-Scale Image Recognition", ICLR 2015, https://arxiv.org/abs/1409.1556.
    """
    encode = functools.partial(_encode, options=options)
    return build_autoencoder(size, columns, options, turns, encode)


def build_encoder(options: ModelOptions) -> keras.Model:
    """Build the encoder alone, for images of any size.

    Parameters
    ----------
    options : ModelOptions
        Encoder, and the filters that say how deep.

    Returns
    -------
    keras.Model
        Maps float32 (B, T, C, 3), or of an encoder that is a model (B, T, C, 1), to
        features. Layers are named as those that weights are published of.

    Raises
    ------
    OptionError
        If the encoder was not read.
    """
    images = keras.Input((None, None, 3 if options.encoder == VGG16 else 1))
    return keras.Model(images, _blocks(images, options), name="encoder")


def set_encoder(model: keras.Model, options: ModelOptions, weights: Weights) -> None:
    """Set the weights of the encoder.

    Parameters
    ----------
    model : keras.Model
        As `build_pretrained` or `build_encoder` makes it.
    options : ModelOptions
        Of this model.
    weights : tuple of ndarray
        Kernels and biases.
    """
    names = [name for level in _levels(options) for name, _ in level]
    for place, name in enumerate(names):
        model.get_layer(name).set_weights(weights[2 * place : 2 * place + 2])


def encoder_weights(model: keras.Model, options: ModelOptions) -> Weights:
    """Return the weights of the encoder.

    Parameters
    ----------
    model : keras.Model
        As `build_pretrained` or `build_encoder` makes it, or an autoencoder that is the
        encoder.
    options : ModelOptions
        Of the model with this encoder.

    Returns
    -------
    tuple of ndarray
        Kernels and biases.
    """
    return tuple(
        array
        for level in _levels(options)
        for name, _ in level
        for array in model.get_layer(name).get_weights()
    )


def standardize(model: keras.Model, windows: Sequence[NDArray[np.float32]]) -> None:
    """Scale the features by what they are of some windows.

    Parameters
    ----------
    model : keras.Model
        As `build_pretrained` makes it, with the encoder's weights.
    windows : sequence of ndarray of float32, shape (B, T, C)
        Normalised windows, in groups whose features fit into memory together.
    """
    layer = model.get_layer(_STANDARDIZE)
    features = keras.Model(model.inputs[0], layer.input)
    found = []
    for group in windows:
        made = ops.convert_to_numpy(features(group)).astype(np.float64)
        made = made.reshape(-1, made.shape[-1])
        found.append((len(made), made.sum(axis=0), np.square(made).sum(axis=0)))
    count, total, squares = (sum(part) for part in zip(*found, strict=True))
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    # A feature that does not vary says nothing; it is not to be made of rounding errors.
    still = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    layer.set_weights([mean, np.where(still, 1, deviation)])


def _encode(x: Tensor, options: ModelOptions) -> Any:
    if options.encoder == VGG16:
        x = layers.Concatenate(name="grey")([x, x, x])
        offset = [-mean for mean in _MEANS]
        x = layers.Rescaling(255.0, offset, name="image")(x)
    x = _blocks(x, options)
    x = Standardize(name=_STANDARDIZE)(x)
    return layers.Conv2D(
        options.filters[-1],
        1,
        activation="relu",
        kernel_initializer="he_normal",
        name="code",
    )(x)


def _blocks(x: Tensor, options: ModelOptions) -> Any:
    kernel = 3 if options.encoder == VGG16 else options.encoder_kernel
    for number, level in enumerate(_levels(options), 1):
        for name, filters in level:
            x = layers.Conv2D(
                filters,
                kernel,
                padding="same",
                activation="relu",
                trainable=options.fine_tune,
                name=name,
            )(x)
        x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    return x


def _levels(options: ModelOptions) -> list[list[tuple[str, int]]]:
    """Name the convolutions of each level, with their filters."""
    depth = len(options.filters)
    if options.encoder == VGG16:
        return [
            [(f"block{block}_conv{place}", filters) for place in range(1, count + 1)]
            for block, (count, filters) in enumerate(_BLOCKS[:depth], 1)
        ]
    if not options.encoder_filters:
        raise OptionError(
            f"encoder must be read before a network is built, but {options.encoder} was"
            " not; take echoanom.train"
        )
    return [
        [(f"encode_{level}", filters)]
        for level, filters in enumerate(options.encoder_filters[:depth], 1)
    ]
