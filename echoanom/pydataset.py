"""Windows as a `keras.utils.PyDataset`, for Keras on any backend.

Nothing here imports TensorFlow, so JAX and PyTorch train from the same batches.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any

import keras
from numpy.typing import NDArray

from echoanom.batching import WindowBatches
from echoanom.errors import OptionError

_Batch = tuple[NDArray[Any], NDArray[Any]]


class WindowDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of a dataset's windows, epoch after epoch without end.

    ::

        batches = WindowBatches(
            dataset, options, normalization=normalization, fields=("values", "observed")
        )
        model.fit(
            WindowDataset(batches),
            steps_per_epoch=len(batches), epochs=5, shuffle=False,
        )

    Keras is not told where an epoch ends, because it asks for batches also before the
    first and would lose count: the number of a batch, counted over all epochs, says
    which epoch it belongs to. So `fit` must be given `steps_per_epoch`, and a training
    goes on where another stopped with `start`. The order is that of the windows'
    options; Keras is told not to shuffle. Batches are read ahead by threads of its
    own; leave Keras' `workers` at 1.

    Parameters
    ----------
    batches : WindowBatches
        What is read. The first two of its fields are what `fit` takes as input and
        target; one field alone is both.
    start : int
        Batch to begin with, counted over all epochs.
    ahead : int
        Batches that are read ahead.
    threads : int
        How many of them at a time.

    Raises
    ------
    OptionError
        If start, ahead or threads are out of range.
    """

    def __init__(
        self,
        batches: WindowBatches,
        *,
        start: int = 0,
        ahead: int = 4,
        threads: int = 2,
    ) -> None:
        for name, number, least in (
            ("start", start, 0),
            ("ahead", ahead, 0),
            ("threads", threads, 1),
        ):
            if number < least:
                raise OptionError(f"{name} must be at least {least}, got {number}")
        super().__init__()
        self._batches = batches
        self._start = start
        self._ahead = ahead
        self._pool = concurrent.futures.ThreadPoolExecutor(
            threads, thread_name_prefix="echoanom"
        )
        self._reading: dict[int, concurrent.futures.Future[_Batch]] = {}

    @property
    def num_batches(self) -> None:
        """None: it has no end."""
        return None

    def __getitem__(self, index: int) -> _Batch:
        """Read a batch.

        Parameters
        ----------
        index : int
            Its number, counted from `start`.

        Returns
        -------
        tuple of ndarray
            The first two fields.
        """
        first = self._start + index
        for position in range(first, first + self._ahead + 1):
            if position not in self._reading:
                self._reading[position] = self._pool.submit(self._read, position)
        batch = self._reading.pop(first).result()
        for position in [p for p in self._reading if p < first]:
            del self._reading[position]  # asked for out of order, and not again
        return batch

    def _read(self, position: int) -> _Batch:
        batch = self._batches.read(position)
        fields = self._batches.fields
        return batch[fields[0]], batch[fields[min(1, len(fields) - 1)]]
