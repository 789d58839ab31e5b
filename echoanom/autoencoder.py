"""The network: a convolutional autoencoder over windows of rows and columns.

A window is an image of one channel, time downwards and columns across. The encoder
halves both with every level; the decoder mirrors it. What the network has not seen it
cannot reproduce, so the reconstruction error tells what is unusual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import layers, ops

from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


class Parallel(Protocol):
    """What makes steps of a model with other devices and hosts."""

    def train(self, model: keras.Model, batch: tuple[Tensor, Tensor]) -> Any:
        """Train on one batch of this host's.

        Parameters
        ----------
        model : keras.Model
            The model.
        batch : (tensor of float32, tensor of bool), shapes (B, T, C)
            Values, and which were observed.

        Returns
        -------
        dict
            The step's logs.
        """

    def test(self, model: keras.Model, batch: tuple[Tensor, Tensor]) -> Any:
        """Evaluate one batch of this host's.

        Parameters
        ----------
        model : keras.Model
            The model.
        batch : (tensor of float32, tensor of bool), shapes (B, T, C)
            Values, and which were observed.

        Returns
        -------
        dict
            The step's logs.
        """


class MaskedAutoencoder(keras.Model):  # type: ignore[misc]
    """A model that learns to reproduce the observed cells of its input.

    Trained with batches (values, observed); the loss is the mean squared error over
    the observed cells of the batch. It needs no loss in `compile`.

    Attributes
    ----------
    expand : callable, optional
        Makes such a batch out of what the training is fed with, on the device. Of the
        TensorFlow backend only.
    parallel : Parallel, optional
        Makes the steps, instead of Keras, with other devices and hosts. Of the
        TensorFlow backend only.
    """

    expand: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    parallel: Parallel | None = None

    def train_step(self, *arguments: Any) -> Any:
        """Train on one batch, as Keras asks for it.

        Parameters
        ----------
        *arguments : Any
            The backend's, the batch last.

        Returns
        -------
        Any
            The backend's.
        """
        arguments = self._expanded(arguments)
        if self.parallel is not None:
            return self.parallel.train(self, arguments[-1])
        return super().train_step(*arguments)

    def test_step(self, *arguments: Any) -> Any:
        """Evaluate one batch, as Keras asks for it.

        Parameters
        ----------
        *arguments : Any
            The backend's, the batch last.

        Returns
        -------
        Any
            The backend's.
        """
        arguments = self._expanded(arguments)
        if self.parallel is not None:
            return self.parallel.test(self, arguments[-1])
        return super().test_step(*arguments)

    def _expanded(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.expand is None:
            return arguments
        return *arguments[:-1], self.expand(arguments[-1])

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Compute the loss of a batch, as Keras asks for it.

        Parameters
        ----------
        x : tensor of float32, shape (B, T, C)
            Normalised values.
        y : tensor of bool, shape (B, T, C)
            Which of them were observed.
        y_pred : tensor of float32, shape (B, T, C)
            Their reconstruction.
        sample_weight : None
            The mask is the only weight.
        training : bool
            The loss is the same in training and validation.

        Returns
        -------
        tensor of float32, shape ()
            The loss.
        """
        del sample_weight, training
        return mean_over_observed(cell_errors(x, y, y_pred), y)


def cell_errors(values: Tensor, observed: Tensor, reconstruction: Tensor) -> Tensor:
    """Compute the squared error of every observed cell.

    Parameters
    ----------
    values : tensor of float32, shape (B, T, C)
        Normalised values.
    observed : tensor of bool, shape (B, T, C)
        Which of them were observed.
    reconstruction : tensor of float32, shape (B, T, C)
        What the model made of them.

    Returns
    -------
    tensor of float32, shape (B, T, C)
        Squared errors; 0 where nothing was observed.
    """
    return ops.where(observed, ops.square(values - reconstruction), 0.0)


def mean_over_observed(
    errors: Tensor, observed: Tensor, axis: tuple[int, ...] | None = None
) -> Tensor:
    """Average cell errors over the observed cells.

    Parameters
    ----------
    errors : tensor of float32, shape (B, T, C)
        As `cell_errors` returns them.
    observed : tensor of bool, shape (B, T, C)
        Which cells were observed.
    axis : tuple of int, optional
        Axes to average over; all if left out.

    Returns
    -------
    tensor of float32
        The mean; 0 where nothing was observed.
    """
    counts = ops.sum(ops.cast(observed, "float32"), axis=axis)
    return ops.sum(errors, axis=axis) / ops.maximum(counts, 1.0)


class NearestTurn(layers.Layer):  # type: ignore[misc]
    """Moves a reproduced angle by whole turns, to where it is nearest to the original.

    So 359 and 1 degree are 2 degrees apart, in the loss, the error and the picture.

    Parameters
    ----------
    turns : sequence of float, length C
        A whole turn in each column's normalised unit; 0 for columns without one.
    **kwargs : object
        As any layer takes them.
    """

    def __init__(self, turns: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._turns = np.asarray(turns, dtype=np.float32)
        self._divisors = np.where(self._turns > 0, self._turns, 1).astype(np.float32)

    def call(self, values: Tensor, reproduced: Tensor) -> Tensor:
        """Move the reproduced angles.

        Parameters
        ----------
        values : tensor of float32, shape (B, T, C)
            Normalised values.
        reproduced : tensor of float32, shape (B, T, C)
            What the network made of them.

        Returns
        -------
        tensor of float32, shape (B, T, C)
            The same but for whole turns.
        """
        apart = ops.stop_gradient(values - reproduced)
        return reproduced + self._turns * ops.round(apart / self._divisors)


def build_autoencoder(
    size: int,
    columns: int,
    options: ModelOptions | None = None,
    turns: Sequence[float] | None = None,
    encode: Callable[[Tensor], Tensor] | None = None,
) -> MaskedAutoencoder:
    """Build the network for one window size and number of columns.

    Every level of the encoder is a convolution with ReLU and a 2 x 2 maximum pooling;
    every level of the decoder a convolution with ReLU and a 2 x 2 upsampling. A last
    convolution brings back one channel. Inside, windows are padded with zeros to what
    the poolings divide, and cropped again at the end. Weights before a ReLU begin as
    in [1]_, Eq. 10, so that signals reach the end of so many layers.

    Parameters
    ----------
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    options : ModelOptions, optional
        Filters, kernel, dropout and output; the defaults if left out.
    turns : sequence of float, length C, optional
        A whole turn in each column's normalised unit, 0 for columns that hold no
        angle; all 0 if left out.
    encode : callable, optional
        Another encoder of as many levels: makes (B, T / 2^L, C / 2^L, F) of the padded
        window, (B, T, C, 1).

    Returns
    -------
    MaskedAutoencoder
        Not compiled. Maps float32 (B, T, C), normalised and without NaN, to the same
        shape.

    Raises
    ------
    OptionError
        If the size or the number of columns is less than 1.

    References
    ----------
    .. [1] K. He et al., "Delving Deep into Rectifiers", ICCV 2015,
       doi:10.1109/ICCV.2015.123.
    """
    options = options or ModelOptions()
    if size < 1 or columns < 1:
        raise OptionError(
            "a model needs windows of at least 1 row and 1 column,"
            f" got {size} rows and {columns} columns"
        )
    block = 2 ** len(options.filters)
    padding = (-size % block, -columns % block)

    inputs = keras.Input((size, columns), name="values")
    x = layers.Reshape((size, columns, 1), name="add_channel")(inputs)
    if any(padding):
        edges = tuple((0, cells) for cells in padding)
        x = layers.ZeroPadding2D(edges, name="pad")(x)
    x = encode(x) if encode else _encode(x, options)
    if options.dropout:
        x = layers.Dropout(options.dropout, name="dropout")(x)
    for level, filters in reversed(list(enumerate(options.filters, 1))):
        x = _convolution(filters, options, f"decode_{level}")(x)
        x = layers.UpSampling2D(2, name=f"upsample_{level}")(x)
    x = _convolution(1, options, "reconstruct", options.output)(x)
    if any(padding):
        x = layers.Cropping2D(edges, name="crop")(x)
    outputs = layers.Reshape((size, columns), name="drop_channel")(x)
    if turns is not None and any(turns):
        outputs = NearestTurn(turns, name="nearest_turn")(inputs, outputs)
    return MaskedAutoencoder(inputs, outputs, name="autoencoder")


def _encode(x: Tensor, options: ModelOptions) -> Tensor:
    for level, filters in enumerate(options.filters, 1):
        x = _convolution(filters, options, f"encode_{level}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{level}")(x)
    return x


def _convolution(
    filters: int, options: ModelOptions, name: str, activation: str = "relu"
) -> Any:
    return layers.Conv2D(
        filters,
        options.kernel,
        padding="same",
        activation=activation,
        kernel_initializer="he_normal" if activation == "relu" else "glorot_uniform",
        name=name,
    )
