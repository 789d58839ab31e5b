"""What every fitted model can do, whatever it is made of.

A model is a network, which reproduces windows, or a forest, which tells how soon a
window is alone. This is the one place that knows which is which.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import keras
import numpy as np
import xxhash
from numpy.typing import NDArray

from echoanom import serving, storage
from echoanom.cellerrors import ErrorsOf, Forest, ForestErrors, network_errors
from echoanom.cutforest import CutForest
from echoanom.errors import ArtifactError
from echoanom.isolation import IsolationForest
from echoanom.modeloptions import ModelOptions
from echoanom.networks import build_network
from echoanom.normalization import Normalization
from echoanom.weighing import Weighing

Model: TypeAlias = keras.Model | Forest
"""A network, float32 (B, T, C), normalised, to the same; or a forest of windows."""

_WEIGHTS = "model.weights.h5"
_READ_FOREST: dict[str, Callable[[bytes], Forest]] = {
    "iforest": IsolationForest.from_content,
    "rcf": CutForest.from_content,
}
_FILES = {"iforest": "model.iforest.npz", "rcf": "model.rcf.msgpack"}
_LIBRARIES = {"iforest": "scikit-learn", "rcf": "krcf"}

FILES = (_WEIGHTS, *_FILES.values())
"""Names of the files that models are kept in; each model has one of them."""


class Detector(Protocol):
    """A model in use."""

    @property
    def reproduces(self) -> bool:
        """Whether it reproduces windows, and can be exported for TensorFlow Serving."""

    def errors_of(self) -> ErrorsOf:
        """Make it compute the errors of windows.

        Returns
        -------
        callable
            As `ErrorsOf` says.
        """

    def reproduce(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reproduce windows, if it does.

        Parameters
        ----------
        windows : ndarray of float32, shape (B, T, C)
            Normalised values.

        Returns
        -------
        ndarray of float32, shape (B, T, C)
            What the model makes of them.
        """

    def content(self, options: ModelOptions) -> tuple[bytes, str]:
        """Return what has to be kept of it.

        Parameters
        ----------
        options : ModelOptions
            What it was built from.

        Returns
        -------
        content : bytes
            Its file.
        digest : str
            Identity of the weights, if the file may be read as others.
        """

    def export(self, normalization: Normalization, folder: str) -> None:
        """Write a SavedModel, if it reproduces windows.

        Parameters
        ----------
        normalization : Normalization
            Of its columns.
        folder : str
            A local folder.
        """


def detector(model: Model, size: int, weighing: Weighing | None = None) -> Detector:
    """Put a model to use.

    Parameters
    ----------
    model : Model
        A fitted model.
    size : int
        Rows in a window, T.
    weighing : Weighing, optional
        What a network's errors count for; plain squared errors if left out.

    Returns
    -------
    Detector
        The same for all kinds.
    """
    if isinstance(model, keras.Model):
        return _Network(model, weighing)
    return _Isolating(model, size)


def file_of(options: ModelOptions) -> str:
    """Name the file that a model is kept in.

    Parameters
    ----------
    options : ModelOptions
        The model.

    Returns
    -------
    str
        One of `FILES`.
    """
    return _FILES.get(options.kind, _WEIGHTS)


def library_of(options: ModelOptions) -> str:
    """Name the library that a model is made with.

    Parameters
    ----------
    options : ModelOptions
        The model.

    Returns
    -------
    str
        As package registries know it.
    """
    return _LIBRARIES.get(options.kind, "keras")


def read_model(
    content: bytes,
    digest: str,
    size: int,
    columns: int,
    options: ModelOptions,
    turns: Sequence[float],
    varies: Sequence[bool] | None = None,
) -> Model:
    """Read a model from its file.

    Parameters
    ----------
    content : bytes
        Its file.
    digest : str
        As `Detector.content` gave it.
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    options : ModelOptions
        What it was built from.
    turns : sequence of float, length C
        A whole turn in each column's normalised unit; 0 for columns without one.
    varies : sequence of bool, length C, optional
        Which columns varied in training; all if left out.

    Returns
    -------
    Model
        As it was.

    Raises
    ------
    ArtifactError
        If it cannot be read, or does not fit.
    MissingExtraError
        If it needs a library that is not installed.
    """
    if options.kind not in _READ_FOREST:
        model = build_network(size, columns, options, turns, varies)
        _set_weights(model, content, digest)
        return model
    forest = _READ_FOREST[options.kind](content)
    if forest.dimensions != size * columns:
        raise ArtifactError(
            f"a forest must know windows of {size} rows x {columns} columns, but knows"
            f" {forest.dimensions} cells; train again"
        )
    return forest


class _Network:
    """A network in use."""

    reproduces = True

    def __init__(self, model: keras.Model, weighing: Weighing | None) -> None:
        self._model = model
        self._weighing = weighing

    def errors_of(self) -> ErrorsOf:
        return network_errors(self._model, self._weighing)

    def reproduce(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        reproduced = self._model(windows, training=False)
        return np.asarray(keras.ops.convert_to_numpy(reproduced))

    def content(self, options: ModelOptions) -> tuple[bytes, str]:
        """Return the weights alone: a compiled model would add its optimizer's."""
        used = self._model
        plain = keras.Model(used.inputs, used.outputs, name=used.name)
        with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
            local = os.path.join(folder, _WEIGHTS)
            plain.save_weights(local)
            return storage.read_bytes(local), _weights_digest(plain)

    def export(self, normalization: Normalization, folder: str) -> None:
        serving.export(self._model, normalization, folder, self._weighing)


class _Isolating:
    """A forest in use."""

    reproduces = False

    def __init__(self, forest: Forest, size: int) -> None:
        self._forest = forest
        self._size = size

    def errors_of(self) -> ErrorsOf:
        return ForestErrors(self._forest, self._size)

    def reproduce(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        raise ArtifactError(
            "a model must be a network to reproduce windows, but is a forest"
        )

    def content(self, options: ModelOptions) -> tuple[bytes, str]:
        return self._forest.content(), ""

    def export(self, normalization: Normalization, folder: str) -> None:
        raise ArtifactError(
            "a model must be a network to be exported for TensorFlow, but is a forest"
        )


def _set_weights(model: keras.Model, weights: bytes, digest: str) -> None:
    """Set the weights, and check that they are those that were saved."""
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        local = os.path.join(folder, _WEIGHTS)
        with open(local, "wb") as file:
            file.write(weights)
        # A file of another layout makes some versions of Keras raise, and others warn
        # and keep the random weights. The digest tells either way.
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            model.load_weights(local)
    if _weights_digest(model) != digest:
        raise ArtifactError(
            "its weights must fit the network of its options, but Keras"
            f" {keras.__version__} cannot read them; use the version that wrote them,"
            " or train again"
        )


def _weights_digest(model: keras.Model) -> str:
    digest = xxhash.xxh3_128()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
