"""The artifact directory: everything that leaves training, and all that scoring needs.

::

    artifact.json        written last: with it the artifact exists
    normalization.json   how columns are scaled
    weighing.json        what errors count for; of a network alone
    calibration.json     scores of the held-back days, for thresholds
    model.weights.h5     weights of the network, which is rebuilt from its options
    model.iforest.npz    or the isolation forest,
    model.rcf.msgpack    or the Random Cut Forest
    saved_model/1/       the network with normalisation, for TensorFlow Serving

Nothing in it is code: reading it runs nothing but this package.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import xxhash
from numpy.typing import NDArray

import echoanom
from echoanom import publishing, storage
from echoanom.columns import Column, columns_from_manifest, kind_mask
from echoanom.dataset import Dataset
from echoanom.detectors import (
    FILES,
    Detector,
    Model,
    detector,
    file_of,
    library_of,
    read_model,
)
from echoanom.errors import ArtifactError, EchoanomError
from echoanom.history import TrainingRecord
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.thresholds import Calibration
from echoanom.weighing import Weighing

FORMAT = 1

_ABOUT = "artifact.json"
_NORMALIZATION = "normalization.json"
_WEIGHING = "weighing.json"
_CALIBRATION = "calibration.json"
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
        What the model is built from.
    training : TrainOptions
        How it was fitted.
    normalization : Normalization
        How columns are scaled.
    record : TrainingRecord
        What it was trained on, and how that went.
    model : Model
        The network, with its weights, or the forest.
    weighing : Weighing, optional
        What a network's errors count for; plain squared errors if left out.
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
    model: Model
    weighing: Weighing | None = None
    calibration: Calibration | None = None
    path: str = ""
    digest: str = ""

    @property
    def detector(self) -> Detector:
        """The model in use."""
        return detector(self.model, self.window.size, self.weighing)

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

        Raises
        ------
        ArtifactError
            If the model reproduces nothing.
        """
        normalised = self.normalization.apply(values)
        return self.normalization.invert(self.detector.reproduce(normalised))


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
    used, network = artifact.detector, artifact.network
    content, weights_digest = used.content(network)
    files = {
        _NORMALIZATION: _json(artifact.normalization.as_json()),
        file_of(network): content,
    }
    if artifact.weighing is not None:
        files[_WEIGHING] = _json(artifact.weighing.as_json())
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
                library_of(network): _version(library_of(network)),
            },
            "period_s": artifact.period_s,
            "window": artifact.window.as_json(),
            "network": network.as_json(),
            "training": artifact.training.as_json(),
            "record": artifact.record.as_json(),
            "columns": [column.as_json() for column in artifact.columns],
            "digests": {name: _digest(content) for name, content in files.items()},
            "weights_digest": weights_digest,
        }
    )
    # While the files of another artifact are replaced, there is none.
    storage.remove(storage.join(path, _ABOUT))
    for name, content in files.items():
        publishing.write_bytes(storage.join(path, name), content)
    for name in (*FILES, _WEIGHING, _CALIBRATION):
        if name not in files:
            storage.remove(storage.join(path, name))
    saved_model = storage.join(path, _SAVED_MODEL)
    if used.reproduces:
        with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
            used.export(artifact.normalization, folder)
            copy_files(folder, saved_model)
    elif storage.exists(saved_model):
        _remove_files(saved_model)
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
    with _complete(path):
        columns = columns_from_manifest(about["columns"])
        window = WindowOptions.from_json(about["window"])
        network = ModelOptions.from_json(about["network"])
        training = TrainOptions.from_json(about["training"])
        record = TrainingRecord.from_json(about["record"])
        period_s = int(about["period_s"])
    files = _read_files(path, about, file_of(network))
    with _complete(path):
        normalization = Normalization.from_json(json.loads(files[_NORMALIZATION]))
        weighing = (
            Weighing.from_json(json.loads(files[_WEIGHING]))
            if _WEIGHING in files
            else None
        )
        calibration = (
            Calibration.from_json(json.loads(files[_CALIBRATION]))
            if _CALIBRATION in files
            else None
        )
    _check_lengths(path, len(columns), normalization, weighing)
    turns = normalization.turns(kind_mask(columns, "direction"))
    try:
        model = read_model(
            files[file_of(network)],
            str(about.get("weights_digest")),
            window.size,
            len(columns),
            network,
            turns,
            None if normalization.varies is None else normalization.varies.tolist(),
        )
    except ArtifactError as error:
        library = library_of(network)
        versions = about.get("versions")
        version = versions.get(library) if isinstance(versions, dict) else None
        raise ArtifactError(f"{path}, made with {library} {version}: {error}") from None
    return Artifact(
        columns=columns,
        period_s=period_s,
        window=window,
        network=network,
        training=training,
        normalization=normalization,
        record=record,
        model=model,
        weighing=weighing,
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


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None  # a model that was loaded may do without it


def _remove_files(folder: str) -> None:
    for name, _ in storage.list_files(folder):
        storage.remove(storage.join(folder, name))
    for name in storage.list_folders(folder):
        _remove_files(storage.join(folder, name))


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


@contextlib.contextmanager
def _complete(path: str) -> Iterator[None]:
    """Say of what is missing or wrong in which artifact it is."""
    try:
        yield
    except (KeyError, TypeError, ValueError, EchoanomError) as error:
        raise ArtifactError(
            f"{path}: must be complete and of format {FORMAT}, but"
            f" {type(error).__name__}: {error}; train again"
        ) from None


def _check_lengths(
    path: str, columns: int, normalization: Normalization, weighing: Weighing | None
) -> None:
    arrays = {
        f"{_NORMALIZATION}, {name}": getattr(normalization, name)
        for name in ("offset", "scale", "fill", "varies")
    }
    if weighing is not None:
        for name in ("spread", "sensors"):
            arrays[f"{_WEIGHING}, {name}"] = getattr(weighing, name)
    for name, array in arrays.items():
        if array is not None and array.shape != (columns,):
            raise ArtifactError(
                f"{path}/{name}: must have a value for each of the {columns} columns of"
                f" {_ABOUT}, got shape {array.shape}; copy the model again, or train"
                " again"
            )


def _read_files(
    path: str, about: Mapping[str, Any], model_file: str
) -> dict[str, bytes]:
    digests = about.get("digests")
    listed = digests if isinstance(digests, dict) else {}
    files = {}
    for name in (_NORMALIZATION, model_file, _WEIGHING, _CALIBRATION):
        if name in (_WEIGHING, _CALIBRATION) and name not in listed:
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
