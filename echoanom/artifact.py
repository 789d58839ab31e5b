"""The artifact directory: everything that leaves training, and all that scoring needs.

::

    artifact.json        written last: with it the artifact exists
    normalization.json   how columns are scaled
    calibration.json     scores of the held-back days, for thresholds
    model.weights.h5     weights of the network, which is rebuilt from its options
    saved_model/1/       the network with normalisation, for TensorFlow Serving

Nothing in it is code: reading it runs nothing but this package.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import xxhash
from numpy.typing import NDArray

import echoanom
from echoanom import publishing, serving, storage
from echoanom.columns import Column, columns_from_manifest, kind_mask
from echoanom.dataset import Dataset
from echoanom.errors import ArtifactError, EchoanomError
from echoanom.history import TrainingRecord
from echoanom.networks import build_network
from echoanom.normalization import Normalization
from echoanom.options import ModelOptions, TrainOptions, WindowOptions
from echoanom.thresholds import Calibration

FORMAT = 1

_ABOUT = "artifact.json"
_NORMALIZATION = "normalization.json"
_CALIBRATION = "calibration.json"
_WEIGHTS = "model.weights.h5"
_SAVED_MODEL = "saved_model/1"
_NAMED_COLUMNS = 5


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A trained model and everything needed to use it.

    Attributes
    ----------
    columns : tuple of Column
        The C columns it was trained on, in order.
    period_s : int
        Sample period [s].
    window : WindowOptions
        The windows it was trained on.
    network : ModelOptions
        What the network is built from.
    training : TrainOptions
        How it was fitted.
    normalization : Normalization
        How columns are scaled.
    record : TrainingRecord
        What it was trained on, and how that went.
    model : keras.Model
        The network, with its weights.
    calibration : Calibration, optional
        Scores of the held-back days.
    path : str
        Where it was saved or loaded from; empty if nowhere.
    digest : str
        Identity of what was saved there: XXH3-128 of its `artifact.json`.
    """

    columns: tuple[Column, ...]
    period_s: int
    window: WindowOptions
    network: ModelOptions
    training: TrainOptions
    normalization: Normalization
    record: TrainingRecord
    model: keras.Model
    calibration: Calibration | None = None
    path: str = ""
    digest: str = ""

    def check_columns(self, dataset: Dataset) -> None:
        """Check that a dataset has the columns and period this model knows.

        Parameters
        ----------
        dataset : Dataset
            What shall be scored.

        Raises
        ------
        ArtifactError
            If it has others; says which.
        """
        ours = [column.label for column in self.columns]
        theirs = [column.label for column in dataset.columns]
        if ours != theirs:
            missing = [label for label in ours if label not in set(theirs)]
            extra = [label for label in theirs if label not in set(ours)]
            differences = [
                f"{what} {_named(labels)}"
                for what, labels in (("lacks", missing), ("has also", extra))
                if labels
            ] or ["has them in another order"]
            raise ArtifactError(
                f"{dataset.path}: must have the {len(ours)} columns of the model"
                f" {self.path}, but {' and '.join(differences)}; convert with the"
                " sensors the model was trained on, or train another model"
            )
        if dataset.period_s != self.period_s:
            raise ArtifactError(
                f"{dataset.path}: must have a row every {self.period_s} s like the"
                f" model {self.path}, has one every {dataset.period_s} s"
            )

    def reconstruct(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reproduce windows.

        Parameters
        ----------
        values : ndarray of float32, shape (B, T, C)
            Windows in the columns' units; NaN is missing.

        Returns
        -------
        ndarray of float32, shape (B, T, C)
            What the model makes of them, in the same units.
        """
        normalised = self.normalization.apply(values)
        reproduced = self.model(normalised, training=False)
        return self.normalization.invert(keras.ops.convert_to_numpy(reproduced))


def _named(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_NAMED_COLUMNS])
    rest = len(labels) - _NAMED_COLUMNS
    return f"{shown} and {rest} more" if rest > 0 else shown


def artifact_exists(path: str) -> bool:
    """Tell whether a folder holds a finished artifact.

    Parameters
    ----------
    path : str
        The folder, as path or URL.

    Returns
    -------
    bool
        True if it does.
    """
    return storage.exists(storage.join(path, _ABOUT))


def save_artifact(artifact: Artifact, path: str) -> Artifact:
    """Write an artifact, in place of one that is there.

    Parameters
    ----------
    artifact : Artifact
        What is written.
    path : str
        The folder, as path or URL.

    Returns
    -------
    Artifact
        The same, with its path and digest.

    Raises
    ------
    StorageError
        If it cannot be written. Then the folder holds no artifact.
    """
    path = path.rstrip("/") or path
    files = {
        _NORMALIZATION: _json(artifact.normalization.as_json()),
        _WEIGHTS: _weights(artifact),
    }
    if artifact.calibration is not None:
        files[_CALIBRATION] = _json(artifact.calibration.as_json())
    about = _json(
        {
            "format": FORMAT,
            "versions": {
                "echoanom": echoanom.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
            },
            "period_s": artifact.period_s,
            "window": artifact.window.as_json(),
            "network": artifact.network.as_json(),
            "training": artifact.training.as_json(),
            "record": artifact.record.as_json(),
            "columns": [column.as_json() for column in artifact.columns],
            "digests": {name: _digest(content) for name, content in files.items()},
            "weights_digest": _weights_digest(artifact.model),
        }
    )
    # While the files of another artifact are replaced, there is none.
    storage.remove(storage.join(path, _ABOUT))
    for name, content in files.items():
        publishing.write_bytes(storage.join(path, name), content)
    if artifact.calibration is None:
        storage.remove(storage.join(path, _CALIBRATION))
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        serving.export(artifact.model, artifact.normalization, folder)
        copy_files(folder, storage.join(path, _SAVED_MODEL))
    publishing.write_bytes(storage.join(path, _ABOUT), about)
    return dataclasses.replace(artifact, path=path, digest=_digest(about))


def load_artifact(path: str) -> Artifact:
    """Read an artifact.

    Parameters
    ----------
    path : str
        The folder, as path or URL.

    Returns
    -------
    Artifact
        Ready to score.

    Raises
    ------
    ArtifactError
        If there is none, it has another format, or its files do not belong together.
    StorageError
        If it cannot be read.
    """
    path = path.rstrip("/") or path
    content, about = _read_about(path)
    files = _read_files(path, about)
    try:
        columns = columns_from_manifest(about["columns"])
        window = WindowOptions.from_json(about["window"])
        network = ModelOptions.from_json(about["network"])
        training = TrainOptions.from_json(about["training"])
        record = TrainingRecord.from_json(about["record"])
        period_s = int(about["period_s"])
        normalization = Normalization.from_json(json.loads(files[_NORMALIZATION]))
        calibration = (
            Calibration.from_json(json.loads(files[_CALIBRATION]))
            if _CALIBRATION in files
            else None
        )
    except (KeyError, TypeError, ValueError, EchoanomError) as error:
        raise ArtifactError(
            f"{path}: must be complete and of format {FORMAT}, but"
            f" {type(error).__name__}: {error}; train again"
        ) from None
    turns = normalization.turns(kind_mask(columns, "direction"))
    model = build_network(window.size, len(columns), network, turns)
    if not _set_weights(model, files[_WEIGHTS], about.get("weights_digest")):
        raise ArtifactError(
            f"{path}: its weights must fit the network of its options, but Keras"
            f" {keras.__version__} cannot read them as"
            f" Keras {about.get('versions', {}).get('keras')} wrote them; use that"
            " version, or train again"
        )
    return Artifact(
        columns=columns,
        period_s=period_s,
        window=window,
        network=network,
        training=training,
        normalization=normalization,
        record=record,
        model=model,
        calibration=calibration,
        path=path,
        digest=_digest(content),
    )


def copy_files(folder: str, destination: str) -> None:
    """Copy all files of a local folder, keeping their relative names.

    Parameters
    ----------
    folder : str
        A local folder.
    destination : str
        Where they go, as path or URL.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            source = os.path.join(parent, name)
            relative = os.path.relpath(source, folder).split(os.sep)
            publishing.write_bytes(
                storage.join(destination, *relative), storage.read_bytes(source)
            )


def _weights(artifact: Artifact) -> bytes:
    """Return the weights alone: a compiled model would add its optimizer's."""
    plain = build_network(artifact.window.size, len(artifact.columns), artifact.network)
    plain.set_weights(artifact.model.get_weights())
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        local = os.path.join(folder, _WEIGHTS)
        plain.save_weights(local)
        return storage.read_bytes(local)


def _set_weights(model: keras.Model, weights: bytes, digest: str | None) -> bool:
    """Set the weights, and tell whether they are those that were saved."""
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        local = os.path.join(folder, _WEIGHTS)
        with open(local, "wb") as file:
            file.write(weights)
        # A file of another layout makes some versions of Keras raise, and others warn
        # and keep the random weights. The digest tells either way.
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            model.load_weights(local)
    return _weights_digest(model) == digest


def _weights_digest(model: keras.Model) -> str:
    digest = xxhash.xxh3_128()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_about(path: str) -> tuple[bytes, dict[str, Any]]:
    if not artifact_exists(path):
        raise ArtifactError(
            f"{path}: must hold a trained model, but has no {_ABOUT}; train one, or"
            " continue a training that was interrupted with --resume"
        )
    content = storage.read_bytes(storage.join(path, _ABOUT))
    try:
        about = json.loads(content)
    except ValueError as error:
        raise ArtifactError(f"{path}/{_ABOUT}: must be JSON: {error}") from None
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise ArtifactError(
            f"{path}/{_ABOUT}: must have format {FORMAT}, has {found!r}; use the"
            " echoanom that wrote it, or train again"
        )
    return content, about


def _read_files(path: str, about: Mapping[str, Any]) -> dict[str, bytes]:
    digests = about.get("digests")
    listed = digests if isinstance(digests, dict) else {}
    files = {}
    for name in (_NORMALIZATION, _WEIGHTS, _CALIBRATION):
        if name == _CALIBRATION and name not in listed:
            continue
        files[name] = storage.read_bytes(storage.join(path, name))
        if _digest(files[name]) != listed.get(name):
            raise ArtifactError(
                f"{path}/{name}: must have hash {listed.get(name)}, has"
                f" {_digest(files[name])}; it was changed after training, or copied in"
                " part: copy it again, or train again"
            )
    return files


def _digest(content: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(content)


def _json(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, allow_nan=False, ensure_ascii=False, indent=1)
    return (text + "\n").encode()
