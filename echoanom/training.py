"""Train a model on a dataset, and leave an artifact.

Repeatable and resumable: with one seed, one dataset and one machine, the weights are
the same bit for bit, whether or not the training was interrupted.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from echoanom import publishing, storage
from echoanom.artifact import (
    Artifact,
    artifact_exists,
    copy_files,
    load_artifact,
    save_artifact,
)
from echoanom.checkpoints import Checkpoint, TrainingState
from echoanom.closedform import begin_pretrained, fit_at_once, set_components
from echoanom.dataset import Dataset
from echoanom.detectors import Model
from echoanom.encoders import read_encoder
from echoanom.errors import OptionError, TrainingError
from echoanom.fitting import Fitting
from echoanom.history import TrainingRecord, history_csv, loss_curve
from echoanom.holdout import hold_back, training_normalization
from echoanom.modeloptions import ModelOptions, TrainOptions, check_learning
from echoanom.options import Placement, WindowOptions, check_placement
from echoanom.pretrained import Weights
from echoanom.progress import Progress, no_progress
from echoanom.serving import require_tensorflow
from echoanom.windowing import Interval, select

logger = logging.getLogger(__name__)

_LOGS = "logs"


def train(
    dataset: Dataset,
    model_dir: str,
    window: WindowOptions | None = None,
    network: ModelOptions | None = None,
    training: TrainOptions | None = None,
    *,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
    resume: bool = False,
    overwrite: bool = False,
    placement: Placement = "host",
    checkpoint_every: int = 0,
    progress: Progress = no_progress,
) -> Artifact:
    """Train a model: the autoencoder, or a baseline.

    The last days are held back: training stops when it no longer helps on them, the
    weights of the best epoch are kept, and thresholds are computed from their scores.
    Sets the global seeds of Python, NumPy and TensorFlow, and TensorFlow's
    determinism, which stays on.

    Parameters
    ----------
    dataset : Dataset
        What to learn from.
    model_dir : str
        Folder that gets the artifact, as path or URL.
    window : WindowOptions, optional
        Windows to learn from; shuffled, of 64 rows and as far apart as the network has
        it, if left out. Its seed is that of the weights, too.
    network : ModelOptions, optional
        The network; the defaults if left out.
    training : TrainOptions, optional
        How it is fitted; the defaults if left out.
    include : sequence of (int, int), optional
        Use rows inside these half-open intervals only [s since 1970-01-01 UTC].
    exclude : sequence of (int, int)
        Leave out rows inside these.
    resume : bool
        Continue where an interrupted training of the same options stopped; start if
        there is none; do nothing if it is finished.
    overwrite : bool
        Start again in a folder that holds a model or an interrupted training.
    placement : {'host', 'device'}
        Where windows are gathered: by the reader, or on the accelerator, which then
        holds all rows of the dataset.
    checkpoint_every : int
        Batches after which the state is stored, beside after each epoch; 0: never.
    progress : callable
        Told the batches done and all batches.

    Returns
    -------
    Artifact
        What was saved.

    Raises
    ------
    TrainingError
        If there are too few rows to hold some back, the folder is taken, the training
        to resume had other options, or the loss is no number.
    OptionError
        If options exclude each other, or the rows do not fit on the device.
    EncoderError
        If an encoder that was trained before cannot be used.
    StorageError
        If another process trains here, or something cannot be written.
    """
    require_tensorflow()
    network = network or ModelOptions()
    training = (training or TrainOptions()).of(network)
    if window is None:
        stride = network.default_stride(WindowOptions.size)
        window = WindowOptions(stride=stride, shuffle=True)
    if resume and overwrite:
        raise OptionError("resume and overwrite exclude each other; give one of them")
    check_learning(network, training)
    check_placement(placement)
    if network.is_fitted_at_once and (resume or placement != "host"):
        raise OptionError(
            f"{'resume' if resume else 'placement device'} must be left out with the"
            f" model {network.kind}, which is fitted at once, on the host"
        )
    weights: Weights = ()
    if network.kind == "pretrained":
        network, weights = read_encoder(network, training)
    include = None if include is None else tuple(include)
    exclude = tuple(exclude)
    checkpoint = Checkpoint(
        model_dir,
        _identity(dataset.digest, include, exclude, window, network, training),
    )
    with publishing.exclusive(model_dir):
        if overwrite:
            checkpoint.remove()
        elif not checkpoint.exists() and artifact_exists(model_dir):
            return _finished(model_dir, resume, checkpoint)
        elif checkpoint.exists() and not resume:
            raise TrainingError(
                f"{model_dir}: must be a folder without a model, but holds a training"
                " that was interrupted; resume it or overwrite it (--resume, --overwrite), or"
                " take another folder"
            )
        runs = select(dataset.runs, dataset.period_s, include, exclude)
        holdout = hold_back(runs, dataset.period_s, window.size, training.validation)
        assert training.normalization is not None, "settled for the model"
        normalization = training_normalization(
            dataset, holdout.training, training.normalization
        )
        fitting = Fitting(
            dataset,
            window,
            training,
            holdout,
            normalization,
            progress,
            placement,
            checkpoint_every,
        )
        with _logs(model_dir, fresh=not checkpoint.exists()) as logs:
            model: Model
            if network.is_fitted_at_once:
                model, state = fit_at_once(fitting, network)
            else:
                begin = _begin(fitting, network, weights)
                model, state = fitting.run(network, checkpoint, logs, begin)
        artifact = save_training(
            fitting,
            network,
            model,
            state,
            model_dir,
            dataset_path=dataset.path,
            include=include,
            exclude=exclude,
        )
        checkpoint.remove()
        return artifact


def save_training(
    fitting: Fitting,
    network: ModelOptions,
    model: Model,
    state: TrainingState,
    model_dir: str,
    *,
    dataset_path: str,
    include: tuple[Interval, ...] | None = None,
    exclude: tuple[Interval, ...] = (),
) -> Artifact:
    """Weigh errors, compute the threshold's calibration, and write all that leaves a training.

    Parameters
    ----------
    fitting : Fitting
        Its data and options.
    network : ModelOptions
        The network.
    model : Model
        Of a network, with the weights of the best epoch.
    state : TrainingState
        At the end.
    model_dir : str
        Folder that gets the artifact, as path or URL.
    dataset_path : str
        Where the dataset is, for the record.
    include : tuple of (int, int), optional
        The only time that was used [s since 1970-01-01 UTC]; all if left out.
    exclude : tuple of (int, int)
        Time that was left out [s since 1970-01-01 UTC].

    Returns
    -------
    Artifact
        What was saved.

    Raises
    ------
    StorageError
        If something cannot be written.
    """
    dataset, holdout = fitting.dataset, fitting.holdout
    record = TrainingRecord(
        dataset_path=dataset_path,
        dataset_digest=dataset.digest,
        training_days=tuple(day.isoformat() for day in holdout.training_days),
        validation_days=tuple(day.isoformat() for day in holdout.validation_days),
        include=include,
        exclude=exclude,
        history=state.history,
        stop_reason=state.stop_reason,
    )
    weighing = fitting.weigh(model)
    artifact = Artifact(
        columns=dataset.columns,
        period_s=dataset.period_s,
        window=fitting.window,
        network=network,
        training=fitting.training,
        normalization=fitting.normalization,
        record=record,
        model=model,
        weighing=weighing,
        calibration=fitting.calibrate(model, weighing),
    )
    _write_history(model_dir, record)
    return save_artifact(artifact, model_dir)


def _begin(
    fitting: Fitting, network: ModelOptions, weights: Weights
) -> Callable[[keras.Model], None] | None:
    if network.kind == "residual":
        return functools.partial(set_components, fitting)
    if network.kind == "pretrained":
        return functools.partial(begin_pretrained, fitting, network, weights)
    return None


def _identity(
    dataset_digest: str,
    include: tuple[Interval, ...] | None,
    exclude: tuple[Interval, ...],
    window: WindowOptions,
    network: ModelOptions,
    training: TrainOptions,
) -> dict[str, Any]:
    """Name what an interrupted training must share with what continues it."""
    return {
        "dataset": dataset_digest,
        "include": include,
        "exclude": exclude,
        "window": window.as_json(),
        "network": network.as_json(),
        "training": training.as_json(),
    }


def _finished(model_dir: str, resume: bool, checkpoint: Checkpoint) -> Artifact:
    if not resume:
        raise TrainingError(
            f"{model_dir}: must be a folder without a model, but holds one; overwrite"
            " it (--overwrite), or take another folder"
        )
    artifact = load_artifact(model_dir)
    record = artifact.record
    checkpoint.check(
        _identity(
            record.dataset_digest,
            record.include,
            record.exclude,
            artifact.window,
            artifact.network,
            artifact.training,
        )
    )
    logger.info("%s: the training is finished", model_dir)
    return artifact


@contextlib.contextmanager
def _logs(model_dir: str, *, fresh: bool) -> Iterator[str]:
    """Give a local folder whose files end up among the model's logs."""
    target = storage.join(model_dir, _LOGS)
    if fresh:
        for run in ("train", "validation"):
            _remove_event_files(storage.join(target, run))
    if storage.is_local(target):
        yield storage.filesystem(target)[1]
        return
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        yield folder
        copy_files(folder, target)


def _remove_event_files(folder: str) -> None:
    if storage.exists(folder):
        for name, _ in storage.list_files(folder):
            if name.startswith("events.out.tfevents"):
                storage.remove(storage.join(folder, name))


def _write_history(model_dir: str, record: TrainingRecord) -> None:
    publishing.write_bytes(
        storage.join(model_dir, "history.csv"), history_csv(record.history)
    )
    picture = loss_curve(record) if record.history else None
    name = storage.join(model_dir, "loss.png")
    if picture is None:
        storage.remove(name)
    else:
        publishing.write_bytes(name, picture)
