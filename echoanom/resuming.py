"""Train a Keras model so that it can be interrupted at any batch.

What is stored is the model, its optimizer, its metrics, and how many batches it has
seen. As the order of windows is a function of the position, that is all: a training
that goes on from there sees the batches that it would have seen, and on a CPU ends with
the same weights bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from echoanom.checkpoints import (
    Checkpoint,
    TrainingState,
    add_metrics,
    read_metrics,
    read_variables,
    write_variables,
)
from echoanom.errors import OptionError


class Resume(keras.callbacks.Callback):  # type: ignore[misc]
    """Stores a training while it runs, and continues one that was interrupted.

    ::

        resume = Resume(Checkpoint("run"), batches, every=100)
        stream = windows(dataset, options, epochs=5, start=resume.position)
        model.fit(
            stream.map(...), epochs=5, steps_per_epoch=batches,
            initial_epoch=resume.epoch, callbacks=[resume, *others],
        )

    It must be the first of the callbacks: where a training goes on in the middle of an
    epoch, it ends that epoch early by `stop_training`, and takes that back before the
    others are told. What other callbacks keep to themselves is not stored.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where the training is stored, and which training it is.
    batches : int
        Batches in an epoch.
    every : int
        Store after each so many batches, and after each epoch. 0: after epochs only.

    Raises
    ------
    OptionError
        If batches or every are out of range.
    TrainingError
        If what is stored belongs to another training, or cannot be read.
    """

    def __init__(self, checkpoint: Checkpoint, batches: int, *, every: int = 0) -> None:
        super().__init__()
        for name, number, least in (("batches", batches, 1), ("every", every, 0)):
            if number < least:
                raise OptionError(f"{name} must be at least {least}, got {number}")
        self._checkpoint = checkpoint
        self._batches = batches
        self._every = every
        self._cut = False
        self.state = checkpoint.load() if checkpoint.exists() else TrainingState()

    @property
    def position(self) -> int:
        """Batches that are done, counted over all epochs."""
        return self.state.position

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self.state.position // self._batches

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restore the model.

        Parameters
        ----------
        logs : mapping, optional
            Not used.

        Raises
        ------
        TrainingError
            If the model is another one.
        """
        if self.state.variables:
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            write_variables(self.model, self.state.variables)

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Count the batch, and store what has to be stored.

        Parameters
        ----------
        batch : int
            Number of the batch since `fit` began this epoch.
        logs : mapping, optional
            Not used.
        """
        if self.state.metrics and batch == 0:
            # Some metrics come to exist in the first batch, so what an interrupted
            # epoch had summed up is added behind it.
            add_metrics(self.model, self.state.metrics)
        self.state = dataclasses.replace(
            self.state, position=self.position + self.count(logs or {}), metrics=()
        )
        if self.position % self._batches == 0:
            self._cut = batch + 1 < self._batches and not self.model.stop_training
            self.model.stop_training |= self._cut
        elif self._every and self.position % self._every == 0:
            self.store()

    def store(self) -> None:
        """Store the training as it is between two batches."""
        variables, metrics = read_variables(self.model), read_metrics(self.model)
        self._checkpoint.save(
            dataclasses.replace(self.state, variables=variables, metrics=metrics)
        )

    def count(self, logs: Mapping[str, Any]) -> int:
        """Tell by how much a batch takes the position on; subclasses may count windows.

        Parameters
        ----------
        logs : mapping
            Of the batch.

        Returns
        -------
        int
            1: the position counts batches.
        """
        del logs
        return 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the model.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        logs : mapping, optional
            Losses of the epoch.
        """
        if self._cut:
            self._cut = self.model.stop_training = False
        if self.position % self._batches:
            return  # somebody else ended it early
        self.state = self.epoch_state(epoch, logs or {})
        self._checkpoint.save(self.state)

    def epoch_state(self, epoch: int, logs: Mapping[str, Any]) -> TrainingState:
        """Compute the state after an epoch; subclasses add to it.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        logs : mapping
            Losses of the epoch.

        Returns
        -------
        TrainingState
            With the model's variables, and without metrics.
        """
        return dataclasses.replace(
            self.state, variables=read_variables(self.model), metrics=()
        )
