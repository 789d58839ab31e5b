"""Errors of windows and of their cells, as a network makes them and as a forest does.

A network's are squared differences to what it reproduces, weighed. A forest reproduces nothing:
its errors are parts of its score, scaled so that the mean over a window's observed cells
is the score, as the mean of a network's is the window's error.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom.serving import require_tensorflow
from echoanom.weighed import window_errors
from echoanom.weighing import Weighing

Errors = tuple[NDArray[np.float32], NDArray[np.float32]]

ErrorsOf = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]], Errors]
"""Computes the errors of windows.

It takes normalised values (float32) and whether they were observed (bool), both of shape
(R, C), and the place of each window's first row among them (int32, shape (B,)). It
returns errors of cells, float32, shape (B, T, C), 0 where nothing was observed, and the
mean over the observed cells of each window, float32, shape (B,), 0 if there are none.
"""


def network_errors(model: keras.Model, weighing: Weighing | None = None) -> ErrorsOf:
    """Make a network compute the errors of windows.

    Parameters
    ----------
    model : keras.Model
        The network; float32 (B, T, C), normalised, to the same.
    weighing : Weighing, optional
        What errors count for; plain squared errors if left out.

    Returns
    -------
    callable
        As `ErrorsOf` says.
    """
    require_tensorflow()
    _, size, columns = model.input_shape
    reproduce = functools.partial(model, training=False)

    # One trace serves every batch, the last and smaller one too; `Model.predict` would
    # hand back reconstructions, and errors would be left to NumPy.
    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None, columns), tf.bool),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def errors(
        values: tf.Tensor, observed: tf.Tensor, places: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        frame = places[:, tf.newaxis] + tf.range(size)
        windows, seen = tf.gather(values, frame), tf.gather(observed, frame)
        _, of_cells, of_windows = window_errors(reproduce, weighing, windows, seen)
        return of_cells, of_windows

    # Traced here: called as it is, TensorFlow takes the functions of several models for
    # one that is traced again and again, and warns.
    traced = errors.get_concrete_function()

    def errors_of(
        values: NDArray[np.float32],
        observed: NDArray[np.bool_],
        places: NDArray[np.int32],
    ) -> Errors:
        of_cells, of_windows = traced(*map(tf.constant, (values, observed, places)))
        return of_cells.numpy(), of_windows.numpy()

    return errors_of


class Forest(Protocol):
    """Random trees that tell how soon a sample is alone."""

    @property
    def dimensions(self) -> int:
        """Cells of a sample, D."""

    def isolate(
        self, samples: NDArray[np.float32], observed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score samples by what was observed of them.

        Parameters
        ----------
        samples : ndarray of float32, shape (B, D)
            The samples.
        observed : ndarray of bool, shape (B, D)
            Which of their cells were observed, at least one of each.

        Returns
        -------
        score : ndarray of float64, shape (B,)
            The larger, the more unusual.
        parts : ndarray of float64, shape (B, D)
            What each cell has in it; at least 0, and of no scale. 0 where nothing was
            observed.
        """

    def content(self) -> bytes:
        """Return the forest as a file.

        Returns
        -------
        bytes
            All of it.
        """


@dataclasses.dataclass(frozen=True)
class ForestErrors:
    """A forest that computes the errors of windows, as `ErrorsOf` says.

    Attributes
    ----------
    forest : Forest
        Its samples are windows, row after row.
    size : int
        Rows in a window, T.
    """

    forest: Forest
    size: int

    def __call__(
        self,
        values: NDArray[np.float32],
        observed: NDArray[np.bool_],
        places: NDArray[np.int32],
    ) -> Errors:
        """Compute the errors of windows.

        Every row has the window's score: what is said of a row is the mean over the
        windows that cover it. Which row of a window a tree happens to look at says
        little; which columns, over all rows, says where the score comes from.

        Parameters
        ----------
        values : ndarray of float32, shape (R, C)
            Normalised; a missing cell holds what normalisation fills in.
        observed : ndarray of bool, shape (R, C)
            Whether they were observed.
        places : ndarray of int32, shape (B,)
            Index of each window's first row among the R.

        Returns
        -------
        of_cells : ndarray of float32, shape (B, T, C)
            Parts of the score times the number of observed cells of their row.
        of_windows : ndarray of float32, shape (B,)
            The score; 0 where nothing was observed.
        """
        frame = places[:, np.newaxis] + np.arange(self.size)
        seen = observed[frame]
        cells = np.zeros(seen.shape, dtype=np.float32)
        score = np.zeros(len(places), dtype=np.float32)
        some = np.flatnonzero(seen.any(axis=(1, 2)))
        samples, seen = values[frame[some]], seen[some]
        flat = (len(some), samples.shape[1] * samples.shape[2])
        found, parts = self.forest.isolate(samples.reshape(flat), seen.reshape(flat))
        parts = parts.reshape(seen.shape)
        parts = np.where(seen, parts.sum(axis=1, keepdims=True), 0)
        # Where no tree looked at what was observed, no cell has more in it than another.
        parts[seen & (parts.sum(axis=2, keepdims=True) <= 0)] = 1
        count = np.count_nonzero(seen, axis=2)
        total = np.where(count > 0, parts.sum(axis=2), 1)
        scale = found[:, np.newaxis] * count / total
        cells[some] = parts * scale[:, :, np.newaxis]
        score[some] = found
        return cells, score
