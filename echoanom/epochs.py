"""What happens at the end of a batch and of an epoch: losses, checks, and the stop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from echoanom.checkpoints import Checkpoint, TrainingState
from echoanom.errors import DatasetError, TrainingError, TrainingStoppedError
from echoanom.feeding import StreamFeed
from echoanom.history import EpochLosses
from echoanom.modeloptions import TrainOptions
from echoanom.parallel import DataParallel
from echoanom.progress import Progress, no_progress
from echoanom.resuming import Resume

_CHECKED_BATCHES = 64


class EpochEnd(Resume):
    """Keeps the history of a training, checks its losses, and decides when to stop.

    Parameters
    ----------
    checkpoint : Checkpoint
        Holds the state to go on from, if there is one, and takes the state.
    training : TrainOptions
        Most epochs, and patience.
    batches : int
        Batches in an epoch; windows, if a feed gives them.
    feed : StreamFeed, optional
        Gives the windows to train on.
    parallel : DataParallel, optional
        Makes the steps together with others.
    every : int
        Store after each so many batches or windows, and after each epoch; 0: after
        epochs only.
    progress : callable
        Told the batches done and all batches.
    stopping : callable, optional
        Tells whether this host has to stop.
    epoch_done : callable, optional
        Told the losses of each epoch.

    Raises
    ------
    TrainingError
        If what is stored belongs to another training, or cannot be read.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        training: TrainOptions,
        batches: int,
        feed: StreamFeed | None = None,
        parallel: DataParallel | None = None,
        *,
        every: int = 0,
        progress: Progress = no_progress,
        stopping: Callable[[], bool] | None = None,
        epoch_done: Callable[[EpochLosses], None] | None = None,
    ) -> None:
        super().__init__(checkpoint, batches, every=every)
        assert training.epochs is not None, "settled for the model"
        self._training = training
        self._epochs = training.epochs
        self._feed = feed
        self._parallel = parallel
        self._progress = progress
        self._stopping = stopping
        self._epoch_done = epoch_done

    def on_train_batch_begin(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the other hosts if this one has to stop.

        Parameters
        ----------
        batch : int
            Number of the batch.
        logs : mapping, optional
            Not used.
        """
        if self._parallel and self._stopping and self._stopping():
            self._parallel.ask_to_stop()

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Store the model if it is time to, and stop if it must be.

        Parameters
        ----------
        batch : int
            Number of the batch.
        logs : mapping, optional
            Losses so far.
        """
        super().on_train_batch_end(batch, logs)
        self._progress("training", self.position, self._epochs * self._batches)
        # Reading the loss waits for the device, so not after every batch.
        if logs and self.position % _CHECKED_BATCHES == 0:
            done = (self.position - 1) % self._batches + 1
            self._check("loss", float(logs["loss"]), done)
        if self._must_stop(logs or {}):
            self._stop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the model, and tell the losses.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        logs : mapping, optional
            Losses of the epoch; what concerns one step alone is taken out.
        """
        # What concerns one step is no metric of an epoch.
        if isinstance(logs, dict):
            for name in ("windows", "stop"):
                logs.pop(name, None)
        super().on_epoch_end(epoch, logs)
        if self._epoch_done is not None:
            self._epoch_done(self.state.history[-1])

    def count(self, logs: Mapping[str, Any]) -> int:
        """Count what a batch adds to the position.

        Parameters
        ----------
        logs : mapping
            Of the batch.

        Returns
        -------
        int
            1, or the windows in it if a feed gives them.

        Raises
        ------
        DatasetError
            If a feed gives fewer windows than an epoch has, or more.
        """
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
        """Compute the state after an epoch, and whether it was the last.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        logs : mapping
            Losses of the epoch.

        Returns
        -------
        TrainingState
            With the history, the best weights, and why it ends.

        Raises
        ------
        TrainingError
            If a loss is no number.
        """
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
