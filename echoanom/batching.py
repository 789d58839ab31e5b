"""Batches of windows by position, as NumPy arrays.

What every way to train or score asks for its batches: tf.data, Keras on any backend, or
a loop of one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.buffers import Recycled
from echoanom.dataset import Dataset
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization
from echoanom.options import Share, WindowOptions
from echoanom.reader import MEMORY_BYTES, IndexedReader, observed_shares
from echoanom.streaming import FIELDS, check_fields
from echoanom.windowing import WindowIndex


class WindowBatches:
    """The batches of a dataset's windows.

    Safe to use from several threads.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    options : WindowOptions, optional
        Size, stride, batches, order and filter.
    runs : RunTable, optional
        The runs to take windows from, as `windowing.select` cuts them; all if left out.
    normalization : Normalization, optional
        Normalise values and fill missing cells, once for each row. Left out, values
        are as stored, NaN is missing.
    fields : sequence of str
        Which of `values`, `observed` and `start` a batch has.
    share : Share, optional
        One worker's part of every batch; the whole batches if left out.
    keep : bool
        Whether rows are kept for windows and epochs to come, as random order and
        further epochs need it. Left out, for one epoch in order, each record is read
        and normalised again in the next.
    memory_bytes : int
        Rows kept in memory [byte]; more are read from a scratch file, or again.
    verify : bool
        Whether each record's data are checked against their checksum.

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If fields are unknown, workers are too many, or the normalization has other
        columns.
    """

    def __init__(
        self,
        dataset: Dataset,
        options: WindowOptions | None = None,
        *,
        runs: RunTable | None = None,
        normalization: Normalization | None = None,
        fields: Sequence[str] = FIELDS,
        share: Share | None = None,
        keep: bool = True,
        memory_bytes: int = MEMORY_BYTES,
        verify: bool = True,
    ) -> None:
        check_fields(fields)
        self.options = options or WindowOptions()
        self.fields = tuple(fields)
        self.share = share or Share()
        self.index = window_index(dataset, self.options, runs)
        self.index.check(self.share)
        self.columns = len(dataset.columns)
        self._reader = IndexedReader(
            dataset,
            normalization,
            keep=keep,
            memory_bytes=memory_bytes,
            observed="observed" in fields,
            verify=verify,
        )
        self._times = dataset.times() if "start" in fields else None
        shape = (self.most_windows, self.options.size, self.columns)
        self._values = Recycled(shape, np.float32)
        self._observed = Recycled(shape, np.bool_)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.index.batches

    @property
    def most_windows(self) -> int:
        """Windows of this worker in a whole batch."""
        return len(
            range(self.share.worker, self.options.batch_size, self.share.workers)
        )

    @property
    def even(self) -> bool:
        """Whether every batch is whole."""
        return (
            self.options.drop_remainder
            or len(self.index) % self.options.batch_size == 0
        )

    def read(self, position: int) -> dict[str, NDArray[Any]]:
        """Read a batch.

        Parameters
        ----------
        position : int
            Its number, counted over all epochs.

        Returns
        -------
        dict
            The fields asked for: `values` (float32, shape (B, size, C)), `observed`
            (bool, shape (B, size, C), False where a value is missing or was filled) and
            `start` (int64, shape (B,), time of the first row [s since 1970-01-01 UTC]).

        Raises
        ------
        CorruptionError
            If stored bytes are not what the manifest says.
        StorageError
            If a shard or the scratch file cannot be read.
        """
        first_rows = self.index.batch(position, self.share)
        values = self._values.take(len(first_rows))
        observed = (
            self._observed.take(len(first_rows)) if "observed" in self.fields else None
        )
        if self.fields != ("start",):
            self._reader.gather(first_rows, values, observed)
        found: dict[str, Any] = {"values": values, "observed": observed}
        if self._times is not None:
            found["start"] = self._times[first_rows]
        return {field: found[field] for field in self.fields}


def window_index(
    dataset: Dataset, options: WindowOptions, runs: RunTable | None = None
) -> WindowIndex:
    """Number a dataset's windows.

    Parameters
    ----------
    dataset : Dataset
        What to read. It is read once if the options ask for a least share of observed
        cells, and else not at all.
    options : WindowOptions
        Size, stride, order, batches and filter.
    runs : RunTable, optional
        The runs to take windows from; all if left out.

    Returns
    -------
    WindowIndex
        The windows.

    Raises
    ------
    WindowError
        If there is no window at all.
    """
    observed = observed_shares(dataset) if options.min_observed > 0 else None
    return WindowIndex(dataset.runs if runs is None else runs, options, observed)
