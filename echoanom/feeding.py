"""What a training is fed from a stream: every window of an epoch once, whoever reads.

A stream is opened anew for each epoch. Several workers either read the same stream, and
each takes its part of every batch, or each reads other shards, and makes its part of a
batch of what it gets; one that has no more then gives empty parts until the others are
done. In either case the workers' parts of all batches are each window of the epoch once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom import streaming
from echoanom.dealing import check_dealing
from echoanom.errors import OptionError, TruncatedError
from echoanom.manifest import Manifest, RunTable
from echoanom.normalization import Normalization
from echoanom.options import Share, WindowOptions
from echoanom.pipeline import generated
from echoanom.streaming import POOL_WINDOWS
from echoanom.windowing import WindowIndex

_FIELDS = ("values", "observed")

Batch = dict[str, NDArray[Any]]


class StreamFeed:
    """Batches of one worker, epoch after epoch, from streams of shards.

    Parameters
    ----------
    open_epoch : callable
        Opens the stream of an epoch, counted from 0 since this was made.
    manifest : Manifest
        What the dataset holds.
    window : WindowOptions
        Size, stride, order, and windows in a batch of all workers together.
    runs : RunTable
        The runs to take windows from.
    normalization : Normalization
        Applied to each row once.
    share : Share, optional
        Which worker this is; the only one if left out.
    dealt : bool
        Whether each worker gets shards of its own, instead of all of them.
    shuffled : bool
        Whether shards come in an order of their own, another in each epoch.
    pool_windows : int
        Windows that the pool has room for from which shuffled ones are drawn.
    name : str
        The stream's name, for messages.

    Raises
    ------
    OptionError
        If such a stream cannot give each window once.
    WindowError
        If there is no window at all.
    """

    def __init__(
        self,
        open_epoch: Callable[[int], BinaryIO],
        manifest: Manifest,
        window: WindowOptions,
        runs: RunTable,
        normalization: Normalization,
        *,
        share: Share | None = None,
        dealt: bool = False,
        shuffled: bool = False,
        pool_windows: int = POOL_WINDOWS,
        name: str = "stream",
    ) -> None:
        self._share = share or Share()
        workers = self._share.workers
        check_dealing(manifest, window, workers, dealt=dealt, shuffled=shuffled)
        if window.drop_remainder:
            raise OptionError("drop_remainder must be false for a stream, got true")
        self._open_epoch = open_epoch
        self._manifest = manifest
        self._window = window
        self._runs = runs
        self._normalization = normalization
        self._dealt = dealt
        self._pool_windows = pool_windows
        self._name = name
        self.windows = len(WindowIndex(runs, window))
        """Windows in an epoch, of all workers together."""
        self.repeatable = not (dealt or shuffled)
        """Whether an interrupted epoch would come in the same order again."""

    def stream(self, start: int = 0) -> tf.data.Dataset:
        """Stream this worker's part of the batches.

        Parameters
        ----------
        start : int
            Windows of all workers that are done, counted over all epochs.

        Returns
        -------
        tf.data.Dataset
            Of (values, observed): float32 and bool, shape (B, size, C), B may be 0.
            Each iterator is one epoch, and the next is the next. Where workers have
            shards of their own, it ends with empty batches, without end.

        Raises
        ------
        OptionError
            If it cannot go on within an epoch.
        """
        first, done = divmod(start, self.windows)
        if done and not self.repeatable:
            raise OptionError(
                "a stream in another order each time must begin an epoch at its start,"
                f" not after {done} windows"
            )
        epochs = itertools.count()

        def generate() -> Iterator[Batch]:
            epoch = next(epochs)
            return self._epoch(epoch, first + epoch, 0 if epoch else done)

        columns = len(self._manifest.columns)
        elements = generated(generate, None, self._window.size, columns, _FIELDS)
        return elements.map(lambda batch: (batch["values"], batch["observed"]))

    def _epoch(self, opened: int, epoch: int, done: int) -> Iterator[Batch]:
        worker, workers = self._share.worker, self._share.workers
        window = self._window
        if self._dealt:
            count = len(range(worker, window.batch_size, workers))
            window = dataclasses.replace(window, batch_size=count)
        taken = 0
        with contextlib.closing(self._open_epoch(opened)) as file:
            for batch in streaming.stream_windows(
                file,
                self._manifest,
                window,
                runs=self._runs,
                normalization=self._normalization,
                fields=_FIELDS,
                pool_windows=self._pool_windows,
                epoch=epoch,
                name=self._name,
            ):
                taken += len(batch["values"])
                if taken > done:
                    yield batch if self._dealt else self._part(batch)
        if not self._dealt and taken < self.windows:
            raise TruncatedError(
                f"{self._name}: must give {self.windows} windows in epoch {epoch + 1},"
                f" but ends after {taken}; stream every shard"
            )
        while self._dealt:
            yield self._nothing()

    def _part(self, batch: Batch) -> Batch:
        worker, workers = self._share.worker, self._share.workers
        return {field: array[worker::workers] for field, array in batch.items()}

    def _nothing(self) -> Batch:
        shape = (0, self._window.size, len(self._manifest.columns))
        return {
            "values": np.empty(shape, np.float32),
            "observed": np.empty(shape, np.bool_),
        }
