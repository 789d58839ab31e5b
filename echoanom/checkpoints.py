"""The state of a training, to continue from after an interruption.

::

    checkpoint/batch-00001200.npz    state, variables of network and optimizer, best
                                     weights; the newest that is whole counts

Each file is complete in itself, and the one before stays. So it does not matter at which
moment a training is killed, nor in which order, or how far, its files were copied to
where it goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from echoanom import publishing, storage
from echoanom.errors import TrainingError
from echoanom.history import EpochLosses

FORMAT = 3

_FOLDER = "checkpoint"
_ABOUT = "about"
_FILE = re.compile(r"batch-(\d{8,})\.npz")
_KEPT = 2

logger = logging.getLogger(__name__)

Arrays = tuple[NDArray[Any], ...]


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """Where a training is, between two batches.

    Attributes
    ----------
    history : tuple of EpochLosses
        The epochs that are done.
    position : int
        Batches that are done, counted over all epochs: where the windows go on.
    stop_reason : str
        Why training ended; empty while it goes on.
    variables : tuple of ndarray
        Weights and random state of the layers, and state of the optimizer.
    best_weights : tuple of ndarray
        Weights of the epoch with the smallest validation loss.
    metrics : tuple of ndarray
        State of the metrics; none between two epochs.
    """

    history: tuple[EpochLosses, ...] = ()
    position: int = 0
    stop_reason: str = ""
    variables: Arrays = ()
    best_weights: Arrays = ()
    metrics: Arrays = ()


class Checkpoint:
    """The checkpoint of one training.

    Parameters
    ----------
    model_dir : str
        The model's folder, as path or URL.
    identity : mapping, optional
        Options and data of the training, as plain JSON values; only a training with
        the same can continue.
    """

    def __init__(
        self, model_dir: str, identity: Mapping[str, Any] | None = None
    ) -> None:
        self._model_dir = model_dir
        self._folder = storage.join(model_dir, _FOLDER)
        self._identity = _plain(identity or {})

    def exists(self) -> bool:
        """Tell whether there is a state to continue from.

        Returns
        -------
        bool
            True if there is.
        """
        return bool(self._files())

    def save(self, state: TrainingState) -> None:
        """Write a state, beside the one before.

        Parameters
        ----------
        state : TrainingState
            What is written.

        Raises
        ------
        StorageError
            If it cannot be written. Then the state before is still there.
        """
        name = f"batch-{state.position:08d}.npz"
        publishing.write_bytes(storage.join(self._folder, name), self._to_bytes(state))
        for file in self._files()[:-_KEPT]:
            storage.remove(storage.join(self._folder, file))

    def load(self) -> TrainingState:
        """Read the state to continue from.

        Returns
        -------
        TrainingState
            As it was saved.

        Raises
        ------
        TrainingError
            If it belongs to a training with other options or another dataset, or
            cannot be read.
        """
        return self.parse(self.read())

    def read(self) -> bytes:
        """Read the newest state that is whole, to hand it to another host.

        Returns
        -------
        bytes
            What `parse` takes.

        Raises
        ------
        TrainingError
            If there is none.
        """
        reason = "there is none"
        for name in reversed(self._files()):
            path = storage.join(self._folder, name)
            content = storage.read_bytes(path)
            try:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    damaged = archive.testzip()
                if damaged is None:
                    return content
                reason = f"{name} is damaged in {damaged}"
            except (zipfile.BadZipFile, OSError, ValueError) as error:
                reason = f"{name} is not whole ({error})"
            logger.warning("%s cannot be used: %s", path, reason)
        raise self._unreadable(reason)

    def parse(self, content: bytes) -> TrainingState:
        """Unpack what `read` returned.

        Parameters
        ----------
        content : bytes
            A state.

        Returns
        -------
        TrainingState
            As it was saved.

        Raises
        ------
        TrainingError
            If it belongs to a training with other options or another dataset, or
            cannot be read.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                about = json.loads(arrays[_ABOUT].tobytes())
                if about["format"] != FORMAT:
                    raise ValueError(f"its format is {about['format']!r}, not {FORMAT}")
                self.check(about["identity"])
                return TrainingState(
                    history=tuple(EpochLosses(**epoch) for epoch in about["history"]),
                    position=about["position"],
                    stop_reason=about["stop_reason"],
                    variables=_numbered(arrays, "variable"),
                    best_weights=_numbered(arrays, "best"),
                    metrics=_numbered(arrays, "metric"),
                )
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise self._unreadable(str(error)) from None

    def check(self, identity: Mapping[str, Any]) -> None:
        """Check that a training can be continued by this one.

        Parameters
        ----------
        identity : mapping
            Options and data it was begun with.

        Raises
        ------
        TrainingError
            If they are others; says which.
        """
        before, now = _flat(_plain(identity)), _flat(self._identity)
        different = [
            f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if different:
            raise TrainingError(
                f"{self._model_dir}: a training must be continued with the options and"
                f" the dataset it was begun with, but {', '.join(different)}; use the"
                " same, or start again in another folder"
            )

    def remove(self) -> None:
        """Remove the states, the newest last."""
        for name in self._files():
            storage.remove(storage.join(self._folder, name))
        if storage.is_local(self._folder) and storage.exists(self._folder):
            publishing.remove_temporaries(self._folder)
            with contextlib.suppress(OSError):
                os.rmdir(storage.filesystem(self._folder)[1])

    def _files(self) -> list[str]:
        """Return the names of the states, in the order of their positions."""
        if not storage.exists(self._folder):
            return []
        names = [name for name, _ in storage.list_files(self._folder)]
        found = [match for name in names if (match := _FILE.fullmatch(name))]
        return [match[0] for match in sorted(found, key=lambda one: int(one[1]))]

    def _to_bytes(self, state: TrainingState) -> bytes:
        about = {
            "format": FORMAT,
            "identity": self._identity,
            "history": [dataclasses.asdict(epoch) for epoch in state.history],
            "position": state.position,
            "stop_reason": state.stop_reason,
        }
        text = json.dumps(about, indent=1).encode()
        arrays: dict[str, NDArray[Any]] = {_ABOUT: np.frombuffer(text, np.uint8)}
        for kind, group in (
            ("variable", state.variables),
            ("best", state.best_weights),
            ("metric", state.metrics),
        ):
            arrays.update({f"{kind}_{i}": array for i, array in enumerate(group)})
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()

    def _unreadable(self, why: str) -> TrainingError:
        return TrainingError(
            f"{self._folder}: must hold the state of a training, but cannot be read:"
            f" {why}; start again in another folder, or overwrite this one"
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they come back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _numbered(arrays: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return tuple(arrays[f"{name}_{i}"] for i in range(count))


def read_variables(model: keras.Model) -> Arrays:
    """Copy everything that changes while a model is trained, but for its metrics.

    Parameters
    ----------
    model : keras.Model
        Compiled, with a built optimizer.

    Returns
    -------
    tuple of ndarray
        Weights and random state of every layer, and state of the optimizer.
    """
    return _copies(_variables(model))


def write_variables(model: keras.Model, arrays: Arrays) -> None:
    """Put back what `read_variables` copied.

    Parameters
    ----------
    model : keras.Model
        Of the same options, compiled, with a built optimizer.
    arrays : tuple of ndarray
        What `read_variables` returned.

    Raises
    ------
    TrainingError
        If the model has other variables.
    """
    variables = _variables(model)
    _check(variables, arrays)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def read_metrics(model: keras.Model) -> Arrays:
    """Copy the state of a model's metrics.

    Parameters
    ----------
    model : keras.Model
        Compiled.

    Returns
    -------
    tuple of ndarray
        Sums and counts since the epoch began.
    """
    return _copies(_metric_variables(model))


def add_metrics(model: keras.Model, arrays: Arrays) -> None:
    """Add to metrics what `read_metrics` copied.

    Parameters
    ----------
    model : keras.Model
        With the same metrics. Keras' metrics keep sums and counts, which add up.
    arrays : tuple of ndarray
        What `read_metrics` returned.

    Raises
    ------
    TrainingError
        If the model has other metrics.
    """
    variables = _metric_variables(model)
    _check(variables, arrays)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array + keras.ops.convert_to_numpy(variable))


def _variables(model: keras.Model) -> list[Any]:
    metrics = {id(variable) for variable in _metric_variables(model)}
    found = {id(v): v for v in [*model.variables, *model.optimizer.variables]}
    return [variable for key, variable in found.items() if key not in metrics]


def _metric_variables(model: keras.Model) -> list[Any]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _copies(variables: Sequence[Any]) -> Arrays:
    return tuple(
        np.array(keras.ops.convert_to_numpy(variable)) for variable in variables
    )


def _check(variables: Sequence[Any], arrays: Arrays) -> None:
    if [tuple(v.shape) for v in variables] != [array.shape for array in arrays]:
        raise TrainingError(
            "a training must be continued with the model it was begun with, but the"
            f" {len(arrays)} stored variables are not the {len(variables)} of this one;"
            " build the same model, or start again"
        )
