"""Fit a network to the windows of a dataset, epoch by epoch.

Seeds, the order of windows and TensorFlow's determinism make a training repeatable;
its state after each epoch makes it resumable.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import logging
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from echoanom.checkpoints import Checkpoint, TrainingState
from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.detectors import Model, detector
from echoanom.devicerows import DeviceRows
from echoanom.epochs import EpochEnd
from echoanom.errors import TrainingError
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
from echoanom.scoring import default_batch_size, score_runs
from echoanom.spreads import sum_errors
from echoanom.thresholds import Calibration
from echoanom.weighing import Weighing, weigh

logger = logging.getLogger(__name__)


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
        batches = self._batches() if self.feed is None else self.feed.windows
        end = EpochEnd(
            checkpoint,
            self.training,
            batches,
            self.feed,
            self.parallel,
            every=self._store_every,
            progress=self.progress,
            stopping=self.stopping,
            epoch_done=self.epoch_done,
        )
        if not end.state.stop_reason:
            self._fit(model, end, batches, logs)
        model.set_weights(list(end.state.best_weights))
        return model, end.state

    def _fit(self, model: keras.Model, end: EpochEnd, batches: int, logs: str) -> None:
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
                steps_per_epoch=batches if self.feed is None else None,
                epochs=epochs,
                initial_epoch=end.epoch,
                validation_data=self._stream(rows, validation=True),
                callbacks=[end, *_tensorboard(logs)],
                shuffle=False,
                verbose=0,
            )

    def weigh(self, model: Model) -> Weighing | None:
        """Find what a network's errors count for, from those on the held-back days.

        Of a column that was not observed on them, those on the days to train on tell.

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
        summed = functools.partial(
            sum_errors,
            self.dataset,
            errors_of=used.errors_of(),
            normalization=self.normalization,
            options=self._in_order(),
            progress=self.progress,
        )
        errors, cells = summed(runs=self.holdout.validation)
        varies = self.normalization.varies
        hidden = (cells == 0) & (True if varies is None else varies)
        if hidden.any():
            before, seen = summed(runs=self.holdout.training)
            errors = np.where(hidden, before, errors)
            cells = np.where(hidden, seen, cells)
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

    @property
    def _store_every(self) -> int:
        """Batches after which to store; windows, if a feed gives them."""
        if self.feed is None:
            return self.checkpoint_every
        # What comes in another order each time can only go on at the start of an epoch.
        return (
            self.checkpoint_every * self.window.batch_size
            if self.feed.repeatable
            else 0
        )

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
