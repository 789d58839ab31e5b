"""Windows as a `tf.data.Dataset`."""

from __future__ import annotations

import collections
import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom.dataset import Dataset
from echoanom.errors import EchoanomError, OptionError
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.reader import IndexedReader
from echoanom.windowing import WindowIndex

FIELDS = ("values", "observed", "start")

_ALIGNMENT = 64
_PARALLEL = 2
_PREFETCH = 4
_failures: collections.deque[EchoanomError] = collections.deque(maxlen=8)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what went wrong while reading as it was raised.

    TensorFlow wraps an error of the reader in one of its own, with a traceback in its
    message. Iterate over `windows` inside of this to get the reader's.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    EchoanomError
        The reader's error, in place of TensorFlow's.
    """
    _failures.clear()
    try:
        yield
    except tf.errors.OpError:
        if _failures:
            raise _failures.popleft() from None
        raise


def batches_per_epoch(
    dataset: Dataset, options: WindowOptions, runs: RunTable | None = None
) -> int:
    """Count the batches of an epoch.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    options : WindowOptions
        Size, stride and batches.
    runs : RunTable, optional
        The runs to take windows from; all if left out.

    Returns
    -------
    int
        Number of batches.

    Raises
    ------
    WindowError
        If there is no window at all.
    """
    return WindowIndex(dataset.runs if runs is None else runs, options).batches


def windows(
    dataset: Dataset,
    options: WindowOptions | None = None,
    *,
    runs: RunTable | None = None,
    normalization: Normalization | None = None,
    epochs: int = 1,
    start: int = 0,
    fields: Sequence[str] = FIELDS,
) -> tf.data.Dataset:
    """Stream batches of windows.

    Windows cross records, files and shards, and never a gap. The order is a pure
    function of the seed, the epoch and the position.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    options : WindowOptions, optional
        Size, stride, batches and order.
    runs : RunTable, optional
        The runs to take windows from, as `windowing.select` cuts them; all if left out.
    normalization : Normalization, optional
        Normalise values and fill missing cells. Left out, values are as stored, NaN
        is missing.
    epochs : int
        How often to go through the windows. A shuffled epoch has an order of its own.
    start : int
        Batch to begin with, counted over all epochs, to resume where another left.
    fields : sequence of str
        Which of these an element has.

    Returns
    -------
    tf.data.Dataset
        Of known cardinality. Each element is a dict of `values` (float32, shape
        (B, size, C)), `observed` (bool, shape (B, size, C), False where a value is
        missing or was filled) and `start` (int64, shape (B,), time of the first row
        [s since 1970-01-01 UTC]).

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If epochs, start or fields are out of range.
    """
    options = options or WindowOptions()
    index = WindowIndex(dataset.runs if runs is None else runs, options)
    total = epochs * index.batches
    if epochs < 1:
        raise OptionError(f"epochs must be at least 1, got {epochs}")
    if not 0 <= start <= total:
        raise OptionError(f"start must be in [0, {total}], got {start}")
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown or not fields:
        raise OptionError(f"fields must be among {', '.join(FIELDS)}, got {fields!r}")
    reader = IndexedReader(dataset, normalization, random=options.shuffle)
    times = dataset.times() if "start" in fields else None
    shape = (options.size, len(dataset.columns))

    def read(position: NDArray[np.int64]) -> list[NDArray[Any]]:
        first_rows = index.batch(int(position))
        values = _aligned((len(first_rows), *shape), np.float32)
        observed = _aligned(values.shape, np.bool_) if "observed" in fields else None
        try:
            reader.gather(first_rows, values, observed)
        except EchoanomError as error:
            _failures.append(error)
            raise
        found: dict[str, Any] = {"values": values, "observed": observed}
        if times is not None:
            found["start"] = times[first_rows]
        return [found[field] for field in fields]

    full = options.drop_remainder or len(index) % options.batch_size == 0
    batch = options.batch_size if full else None
    specs = {
        "values": tf.TensorSpec((batch, *shape), tf.float32),
        "observed": tf.TensorSpec((batch, *shape), tf.bool),
        "start": tf.TensorSpec((batch,), tf.int64),
    }

    def load(position: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = tf.numpy_function(
            read, [position], [specs[field].dtype for field in fields], stateful=False
        )
        return {
            field: tf.ensure_shape(tensor, specs[field].shape)
            for field, tensor in zip(fields, tensors, strict=True)
        }

    positions = tf.data.Dataset.range(start, total)
    return positions.map(
        load, num_parallel_calls=_PARALLEL, deterministic=True
    ).prefetch(_PREFETCH)


def _aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return an empty array that TensorFlow takes without copying it."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    begin = -buffer.ctypes.data % _ALIGNMENT
    return buffer[begin : begin + size].view(dtype).reshape(shape)
