"""Layers that reproduce windows without training: weights are computed, and set.

Each is a baseline that a trained network has to beat.
"""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from echoanom.autoencoder import Tensor


class ColumnMeans(layers.Layer):  # type: ignore[misc]
    """Reproduces every cell as its column's mean: the error is the squared deviation.

    Its weight is the mean of each column, float32, shape (C,).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weight.

        Parameters
        ----------
        shape : tuple of int
            Of the input, (B, T, C).
        """
        self._means = self.add_weight(
            shape=(shape[-1],), initializer="zeros", trainable=False, name="means"
        )

    def call(self, values: Tensor) -> Tensor:
        """Reproduce windows.

        Parameters
        ----------
        values : tensor of float32, shape (B, T, C)
            Normalised values.

        Returns
        -------
        tensor of float32, shape (B, T, C)
            The means.
        """
        return ops.zeros_like(values) + self._means


class RowBefore(layers.Layer):  # type: ignore[misc]
    """Reproduces every row as the one before it, and the first of a window as itself.

    It has no weights. The error is the squared step.
    """

    def call(self, values: Tensor) -> Tensor:
        """Reproduce windows.

        Parameters
        ----------
        values : tensor of float32, shape (B, T, C)
            Normalised values.

        Returns
        -------
        tensor of float32, shape (B, T, C)
            The same a row later.
        """
        return ops.concatenate([values[:, :1], values[:, :-1]], axis=1)


class Projection(layers.Layer):  # type: ignore[misc]
    """Reproduces what lies in a few directions from a mean; the error is the rest.

    Its weights are the mean, float32, shape (D,), and orthonormal directions, float32,
    shape (D, K).

    Parameters
    ----------
    directions : int
        K.
    **kwargs : object
        As any layer takes them.
    """

    def __init__(self, directions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = directions

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights.

        Parameters
        ----------
        shape : tuple of int
            Of the input, (..., D).
        """
        self._mean = self.add_weight(
            shape=(shape[-1],), initializer="zeros", trainable=False, name="mean"
        )
        self._directions = self.add_weight(
            shape=(shape[-1], self._width),
            initializer="zeros",
            trainable=False,
            name="directions",
        )

    def call(self, values: Tensor) -> Tensor:
        """Project on the directions.

        Parameters
        ----------
        values : tensor of float32, shape (..., D)
            Normalised values.

        Returns
        -------
        tensor of float32, shape (..., D)
            What is left of them in the directions.
        """
        within = ops.matmul(values - self._mean, self._directions)
        return ops.matmul(within, ops.transpose(self._directions)) + self._mean
