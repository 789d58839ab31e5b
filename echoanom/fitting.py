"""Fit a network to the windows of a dataset, epoch by epoch.

Seeds, the order of windows and TensorFlow's determinism make a training repeatable;
its state after each epoch makes it resumable.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from echoanom.autoencoder import build_autoencoder
from echoanom.checkpoints import (
    Checkpoint,
    TrainingState,
    read_variables,
    write_variables,
)
from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.errors import TrainingError
from echoanom.history import EpochLosses
from echoanom.holdout import Holdout
from echoanom.normalization import Normalization
from echoanom.options import ModelOptions, TrainOptions, WindowOptions
from echoanom.pipeline import batches_per_epoch, plain_errors, windows
from echoanom.progress import Progress
from echoanom.scoring import default_batch_size, score_runs
from echoanom.thresholds import Calibration

logger = logging.getLogger(__name__)

_CHECKED_BATCHES = 64


@dataclasses.dataclass(frozen=True)
class Fitting:
    """One training's data and options.

    Attributes
    ----------
    dataset : Dataset
        What to learn from.
    window : WindowOptions
        Windows of either side; the held-back ones are not shuffled.
    training : TrainOptions
        How the network is fitted.
    holdout : Holdout
        Runs of either side.
    normalization : Normalization
        Of the runs to train on.
    progress : callable
        Told the batches done and all batches.
    """

    dataset: Dataset
    window: WindowOptions
    training: TrainOptions
    holdout: Holdout
    normalization: Normalization
    progress: Progress

    def run(
        self,
        network: ModelOptions,
        state: TrainingState,
        checkpoint: Checkpoint,
        logs: str,
    ) -> tuple[keras.Model, TrainingState]:
        """Fit a network, from the beginning or from where it was interrupted.

        Parameters
        ----------
        network : ModelOptions
            The network.
        state : TrainingState
            Where the training is.
        checkpoint : Checkpoint
            Takes the state after each epoch.
        logs : str
            A local folder for TensorBoard's logs.

        Returns
        -------
        model : keras.Model
            With the weights of the best epoch.
        state : TrainingState
            At the end.

        Raises
        ------
        TrainingError
            If there is no batch, or the loss is no number.
        """
        # NumPy takes seeds of 32 bits.
        keras.utils.set_random_seed(self.window.seed % 2**32)
        tf.config.experimental.enable_op_determinism()
        columns = self.dataset.columns
        turns = self.normalization.turns(kind_mask(columns, "direction"))
        model = build_autoencoder(self.window.size, len(columns), network, turns)
        model.compile(optimizer=keras.optimizers.Adam(self.training.learning_rate))
        model.optimizer.build(model.trainable_variables)
        if state.history:
            write_variables(model, state.variables)
        if not state.stop_reason:
            state = self._fit(model, state, checkpoint, logs)
        model.set_weights(list(state.best_weights))
        return model, state

    def _fit(
        self,
        model: keras.Model,
        state: TrainingState,
        checkpoint: Checkpoint,
        logs: str,
    ) -> TrainingState:
        batches = self._batches()
        epochs = self.training.epochs
        end = _EpochEnd(state, checkpoint, self.training, batches, self.progress)
        with plain_errors():
            model.fit(
                self._stream(epochs=epochs, start=state.position),
                steps_per_epoch=batches,
                epochs=epochs,
                initial_epoch=len(state.history),
                validation_data=self._stream(validation=True),
                callbacks=[end, *_tensorboard(logs)],
                shuffle=False,
                verbose=0,
            )
        return end.state

    def calibrate(self, model: keras.Model) -> Calibration:
        """Summarise the scores of the held-back days.

        Parameters
        ----------
        model : keras.Model
            The fitted network.

        Returns
        -------
        Calibration
            Of every held-back row that a window covers.
        """
        options = WindowOptions(
            size=self.window.size,
            stride=self.training.calibration_stride,
            batch_size=default_batch_size(self.window.size, len(self.dataset.columns)),
        )
        rows = score_runs(
            self.dataset,
            self.holdout.validation,
            model,
            self.normalization,
            options,
            self.progress,
        )
        return Calibration.from_scores(rows.score)

    def _batches(self) -> int:
        batches = batches_per_epoch(self.dataset, self.window, self.holdout.training)
        if not batches:
            raise TrainingError(
                f"an epoch must have at least one batch of {self.window.batch_size}"
                " windows when the remainder is dropped; take a smaller batch size or"
                " stride"
            )
        return batches

    def _stream(
        self, *, epochs: int = 1, start: int = 0, validation: bool = False
    ) -> tf.data.Dataset:
        options, runs = self.window, self.holdout.training
        if validation:
            options = dataclasses.replace(options, shuffle=False, drop_remainder=False)
            runs = self.holdout.validation
        stream = windows(
            self.dataset,
            options,
            runs=runs,
            normalization=self.normalization,
            epochs=epochs,
            start=start,
            fields=("values", "observed"),
        )
        return stream.map(lambda batch: (batch["values"], batch["observed"]))


class _EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state of a training, writes it after each epoch, decides to stop."""

    def __init__(
        self,
        state: TrainingState,
        checkpoint: Checkpoint,
        training: TrainOptions,
        batches: int,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.state = state
        self._checkpoint = checkpoint
        self._training = training
        self._batches = batches
        self._progress = progress

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        done = len(self.state.history) * self._batches + batch + 1
        self._progress("training", done, self._training.epochs * self._batches)
        # Reading the loss waits for the device, so not after every batch.
        if logs and (batch + 1) % _CHECKED_BATCHES == 0:
            self._check("loss", float(logs["loss"]), batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        losses = EpochLosses(epoch + 1, float(logs["loss"]), float(logs["val_loss"]))
        self._check("loss", losses.loss, self._batches)
        self._check("validation loss", losses.validation_loss, self._batches)
        history = (*self.state.history, losses)
        best = min(history, key=lambda one: one.validation_loss)
        self.state = TrainingState(
            history=history,
            position=(epoch + 1) * self._batches,
            stop_reason=self._stop_reason(losses.epoch, best.epoch),
            variables=read_variables(self.model),
            best_weights=(
                tuple(self.model.get_weights())
                if best is losses
                else self.state.best_weights
            ),
        )
        self._checkpoint.save(self.state)
        if self.state.stop_reason:
            self.model.stop_training = True

    def _stop_reason(self, epoch: int, best: int) -> str:
        patience = self._training.patience
        if patience and epoch - best >= patience:
            return f"no better validation loss in {patience} epochs"
        if epoch == self._training.epochs:
            return f"all {epoch} epochs done"
        return ""

    def _check(self, name: str, loss: float, batches: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the {name} must stay a finite number, but is {loss} in epoch"
                f" {len(self.state.history) + 1} after {batches} batches; take a"
                f" smaller learning rate than {self._training.learning_rate:g}, or look"
                " for absurd values with `echoanom inspect`"
            )


def _tensorboard(logs: str) -> list[keras.callbacks.Callback]:
    if importlib.util.find_spec("tensorboard") is None:
        logger.warning(
            "no logs for TensorBoard are written; they need:"
            " pip install 'echoanom[tensorboard]'"
        )
        return []
    return [keras.callbacks.TensorBoard(logs, write_graph=False)]
