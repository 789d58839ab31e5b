"""Fit a network to the windows of a dataset, epoch by epoch.

Seeds, the order of windows and TensorFlow's determinism make a training repeatable;
its state after each epoch makes it resumable.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from echoanom.checkpoints import Checkpoint, TrainingState
from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.detectors import Model, detector
from echoanom.devicerows import DeviceRows
from echoanom.errors import DatasetError, TrainingError, TrainingStoppedError
from echoanom.feeding import StreamFeed
from echoanom.history import EpochLosses
from echoanom.holdout import Holdout
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.networks import build_network
from echoanom.normalization import Normalization
from echoanom.options import Placement, Share, WindowOptions
from echoanom.parallel import DataParallel
from echoanom.pipeline import (
    batches_per_epoch,
    first_rows,
    plain_errors,
    windows,
)
from echoanom.progress import Progress
from echoanom.resuming import Resume
from echoanom.scoring import default_batch_size, score_runs
from echoanom.spreads import sum_errors
from echoanom.thresholds import Calibration
from echoanom.weighing import Weighing, weigh

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
    placement : {'host', 'device'}
        Where windows are gathered: by the reader, or on the accelerator, which then
        holds all rows of the dataset.
    checkpoint_every : int
        Batches after which the state is stored, beside after each epoch; 0: never.
    feed : StreamFeed, optional
        Gives the windows to train on; the dataset does if left out.
    parallel : DataParallel, optional
        Makes the steps together with other devices and hosts. A feed needs it.
    share : Share, optional
        Which of the hosts this is; the only one if left out.
    stopping : callable, optional
        Tells whether this host has to stop. All stop then, after the same batch.
    epoch_done : callable, optional
        Told the losses of each epoch.
    """

    dataset: Dataset
    window: WindowOptions
    training: TrainOptions
    holdout: Holdout
    normalization: Normalization
    progress: Progress
    placement: Placement = "host"
    checkpoint_every: int = 0
    feed: StreamFeed | None = None
    parallel: DataParallel | None = None
    share: Share | None = None
    stopping: Callable[[], bool] | None = None
    epoch_done: Callable[[EpochLosses], None] | None = None

    def build(self, network: ModelOptions) -> keras.Model:
        """Build a network for this data.

        Parameters
        ----------
        network : ModelOptions
            The network.

        Returns
        -------
        keras.Model
            Not compiled.

        Raises
        ------
        OptionError
            If no column varies.
        """
        columns, varies = self.dataset.columns, self.normalization.varies
        return build_network(
            self.window.size,
            len(columns),
            network,
            self.normalization.turns(kind_mask(columns, "direction")),
            None if varies is None else varies.tolist(),
        )

    def run(
        self,
        network: ModelOptions,
        checkpoint: Checkpoint,
        logs: str,
        begin: Callable[[keras.Model], None] | None = None,
    ) -> tuple[keras.Model, TrainingState]:
        """Fit a network, from the beginning or from where it was interrupted.

        Parameters
        ----------
        network : ModelOptions
            The network.
        checkpoint : Checkpoint
            Holds the state to go on from, if there is one, and takes the state.
        logs : str
            A local folder for TensorBoard's logs; empty for none.
        begin : callable, optional
            Sets weights that are not trained.

        Returns
        -------
        model : keras.Model
            With the weights of the best epoch.
        state : TrainingState
            At the end.

        Raises
        ------
        TrainingError
            If there is no batch, the loss is no number, or the state is that of
            another training.
        TrainingStoppedError
            If a host had to stop.
        DatasetError
            If a feed does not give each window once.
        OptionError
            If the rows do not fit on the device.
        """
        # NumPy takes seeds of 32 bits.
        keras.utils.set_random_seed(self.window.seed % 2**32)
        tf.config.experimental.enable_op_determinism()
        model = self.build(network)
        if begin is not None:
            begin(model)
        model.compile(optimizer=keras.optimizers.Adam(self.training.learning_rate))
        model.optimizer.build(model.trainable_variables)
        model.parallel = self.parallel
        batches = self._batches() if self.feed is None else None
        end = _EpochEnd(self, checkpoint, batches)
        if not end.state.stop_reason:
            self._fit(model, end, batches, logs)
        model.set_weights(list(end.state.best_weights))
        return model, end.state

    def _fit(
        self, model: keras.Model, end: _EpochEnd, batches: int | None, logs: str
    ) -> None:
        rows = None
        if self.placement == "device":
            rows = DeviceRows(self.dataset, self.normalization)
            model.expand = rows.gather_windows(self.window.size)
        epochs = self.epochs
        if self.feed is None:
            stream = self._stream(rows, epochs=epochs, start=end.position)
        else:
            stream = self.feed.stream(end.position)
        with plain_errors():
            model.fit(
                stream,
                steps_per_epoch=batches,
                epochs=epochs,
                initial_epoch=end.epoch,
                validation_data=self._stream(rows, validation=True),
                callbacks=[end, *_tensorboard(logs)],
                shuffle=False,
                verbose=0,
            )

    def weigh(self, model: Model) -> Weighing | None:
        """Find what a network's errors count for, from those on the held-back days.

        Parameters
        ----------
        model : Model
            The fitted network or forest.

        Returns
        -------
        Weighing or None
            None of a forest, whose score is one of the window as a whole.
        """
        used = detector(model, self.window.size)
        if not used.reproduces:
            return None
        columns, size = self.dataset.columns, self.window.size
        errors, cells = sum_errors(
            self.dataset,
            self.holdout.validation,
            used.errors_of(),
            self.normalization,
            self._in_order(),
            self.progress,
        )
        return weigh(columns, size, self.normalization, errors, cells)

    def calibrate(self, model: Model, weighing: Weighing | None) -> Calibration:
        """Summarise the scores of the held-back days.

        Parameters
        ----------
        model : Model
            The fitted network or forest.
        weighing : Weighing or None
            What its errors count for.

        Returns
        -------
        Calibration
            Of every held-back row that a window covers.
        """
        rows = score_runs(
            self.dataset,
            self.holdout.validation,
            detector(model, self.window.size, weighing),
            self.normalization,
            self._in_order(),
            self.progress,
        )
        return Calibration.from_scores(rows.score, rows.times, self.dataset.period_s)

    @property
    def epochs(self) -> int:
        """Most epochs to train."""
        assert self.training.epochs is not None, "settled for the model"
        return self.training.epochs

    def _in_order(self) -> WindowOptions:
        columns = len(self.dataset.columns)
        return WindowOptions(
            size=self.window.size,
            stride=self.training.calibration_stride,
            batch_size=default_batch_size(self.window.size, columns),
        )

    def losses(self, model: keras.Model) -> EpochLosses:
        """Compute the losses of a model that needs no training.

        Parameters
        ----------
        model : keras.Model
            With its weights.

        Returns
        -------
        EpochLosses
            Of either side, as of a first epoch.

        Raises
        ------
        TrainingError
            If there is no batch.
        """
        model.compile()
        self._batches()
        with plain_errors():
            loss, held_back = (
                model.evaluate(
                    self._stream(None, validation=side), verbose=0, return_dict=True
                )["loss"]
                for side in (False, True)
            )
        return EpochLosses(1, float(loss), float(held_back))

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
        self,
        rows: DeviceRows | None,
        *,
        epochs: int = 1,
        start: int = 0,
        validation: bool = False,
    ) -> tf.data.Dataset:
        options, runs = self.window, self.holdout.training
        if validation:
            options = dataclasses.replace(options, shuffle=False, drop_remainder=False)
            runs = self.holdout.validation
        if rows is not None:
            return first_rows(
                self.dataset,
                options,
                runs=runs,
                epochs=epochs,
                start=start,
                share=self.share,
            )
        stream = windows(
            self.dataset,
            options,
            runs=runs,
            normalization=self.normalization,
            epochs=epochs,
            start=start,
            fields=("values", "observed"),
            share=self.share,
        )
        return stream.map(lambda batch: (batch["values"], batch["observed"]))


class _EpochEnd(Resume):
    """Keeps the history of a training, and decides when to stop."""

    def __init__(
        self, fitting: Fitting, checkpoint: Checkpoint, batches: int | None
    ) -> None:
        feed, every = fitting.feed, fitting.checkpoint_every
        if feed is not None:
            # The position counts windows. What comes in another order each time can
            # only go on at the start of an epoch.
            batches = feed.windows
            every = every * fitting.window.batch_size if feed.repeatable else 0
        assert batches is not None
        super().__init__(checkpoint, batches, every=every)
        self._training = fitting.training
        self._epochs = fitting.epochs
        self._progress = fitting.progress
        self._parallel = fitting.parallel
        self._feed = feed
        self._stopping = fitting.stopping
        self._epoch_done = fitting.epoch_done

    def on_train_batch_begin(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        if self._parallel and self._stopping and self._stopping():
            self._parallel.ask_to_stop()

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        super().on_train_batch_end(batch, logs)
        self._progress("training", self.position, self._epochs * self._batches)
        # Reading the loss waits for the device, so not after every batch.
        if logs and self.position % _CHECKED_BATCHES == 0:
            done = (self.position - 1) % self._batches + 1
            self._check("loss", float(logs["loss"]), done)
        if self._must_stop(logs or {}):
            self._stop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        # What concerns one step is no metric of an epoch.
        if isinstance(logs, dict):
            for name in ("windows", "stop"):
                logs.pop(name, None)
        super().on_epoch_end(epoch, logs)
        if self._epoch_done is not None:
            self._epoch_done(self.state.history[-1])

    def count(self, logs: Mapping[str, Any]) -> int:
        if self._feed is None:
            return 1
        windows = int(logs["windows"])
        done = self.position % self._batches
        if not windows or done + windows > self._batches:
            raise DatasetError(
                f"an epoch must have each of {self._batches} windows once, but has"
                f" {'only ' if not windows else ''}{done + windows}; the shards that"
                " came are not those of the manifest"
            )
        return windows

    def _must_stop(self, logs: Mapping[str, Any]) -> bool:
        if self._stopping is None:
            return False
        # All hosts must come to the same answer.
        return bool(logs["stop"]) if self._parallel else self._stopping()

    def _stop(self) -> None:
        within = self.position % self._batches
        if within and (self._feed is None or self._feed.repeatable):
            self.store()
        elif not within:
            # The epoch's losses belong to its end, which is a moment away.
            return
        raise TrainingStoppedError(
            f"the training was asked to stop and did so after {within} of"
            f" {self._batches} {'batches' if self._feed is None else 'windows'} of epoch"
            f" {self.epoch + 1}; it can be resumed"
        )

    def epoch_state(self, epoch: int, logs: Mapping[str, Any]) -> TrainingState:
        losses = EpochLosses(epoch + 1, float(logs["loss"]), float(logs["val_loss"]))
        self._check("loss", losses.loss, self._batches)
        self._check("validation loss", losses.validation_loss, self._batches)
        history = (*self.state.history, losses)
        best = min(history, key=lambda one: one.validation_loss)
        state = dataclasses.replace(
            super().epoch_state(epoch, logs),
            history=history,
            stop_reason=self._stop_reason(losses.epoch, best.epoch),
        )
        if best is losses:
            weights = tuple(self.model.get_weights())
            state = dataclasses.replace(state, best_weights=weights)
        if state.stop_reason:
            self.model.stop_training = True
        return state

    def _stop_reason(self, epoch: int, best: int) -> str:
        patience = self._training.patience
        if patience and epoch - best >= patience:
            return f"no better validation loss in {patience} epochs"
        if epoch == self._epochs:
            return f"all {epoch} epochs done"
        return ""

    def _check(self, name: str, loss: float, batches: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the {name} must stay a finite number, but is {loss} in epoch"
                f" {len(self.state.history) + 1} after {batches}"
                f" {'batches' if self._feed is None else 'windows'}; take a"
                f" smaller learning rate than {self._training.learning_rate:g}, or look"
                " for absurd values with `echoanom inspect`"
            )


def _tensorboard(logs: str) -> list[keras.callbacks.Callback]:
    if not logs:
        return []
    if importlib.util.find_spec("tensorboard") is None:
        logger.warning(
            "no logs for TensorBoard are written; they need:"
            " pip install 'echoanom[tensorboard]'"
        )
        return []
    return [keras.callbacks.TensorBoard(logs, write_graph=False)]
