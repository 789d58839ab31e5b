"""Windows as a `tf.data.Dataset`."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom import storage, streaming
from echoanom.dataset import Dataset
from echoanom.errors import EchoanomError, OptionError
from echoanom.framing import aligned
from echoanom.manifest import Manifest, RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.reader import IndexedReader
from echoanom.streaming import FIELDS, POOL_WINDOWS, check_fields
from echoanom.windowing import WindowIndex

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
    check_fields(fields)
    reader = IndexedReader(dataset, normalization, random=options.shuffle)
    times = dataset.times() if "start" in fields else None
    shape = (options.size, len(dataset.columns))

    def read(position: NDArray[np.int64]) -> list[NDArray[Any]]:
        first_rows = index.batch(int(position))
        values = aligned((len(first_rows), *shape), np.float32)
        observed = aligned(values.shape, np.bool_) if "observed" in fields else None
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
    specs = _specs(options.batch_size if full else None, *shape)

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


def stream_windows(
    open_stream: Callable[[], BinaryIO],
    manifest: Manifest,
    options: WindowOptions | None = None,
    *,
    runs: RunTable | None = None,
    normalization: Normalization | None = None,
    fields: Sequence[str] = FIELDS,
    pool_windows: int = POOL_WINDOWS,
    epoch: int = 0,
    batches: int | None = None,
    name: str = "stream",
) -> tf.data.Dataset:
    """Stream batches of windows from a FIFO, a socket or a file object.

    Each iterator opens a stream of its own and closes it when it ends, or is let go.

    Parameters
    ----------
    open_stream : callable
        Opens the stream of whole shards, e.g.
        ``lambda: open(path, "rb", buffering=0)``.
    manifest : Manifest
        What the dataset holds.
    options : WindowOptions, optional
        Size, stride, batches and order.
    runs : RunTable, optional
        The runs to take windows from, as `windowing.select` cuts them; all if left out.
    normalization : Normalization, optional
        Normalise values and fill missing cells. Left out, values are as stored, NaN
        is missing.
    fields : sequence of str
        Which of `FIELDS` an element has.
    pool_windows : int
        Windows that the pool has room for from which shuffled ones are drawn.
    epoch : int
        Epoch of the first iterator; the next has the next.
    batches : int, optional
        How many batches the stream gives, if that is known, as the cardinality.
        TensorFlow refuses a stream that gives another number.
    name : str
        The stream's name, for messages.

    Returns
    -------
    tf.data.Dataset
        Elements as those of `windows`. A `plain_errors` around its iteration raises
        what `streaming.stream_windows` says.

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If fields, pool_windows or epoch are out of range.
    """
    options = options or WindowOptions()
    read = functools.partial(
        streaming.stream_windows,
        manifest=manifest,
        options=options,
        runs=runs,
        normalization=normalization,
        fields=fields,
        pool_windows=pool_windows,
        name=name,
    )
    read(io.BytesIO(), epoch=epoch)  # refuses now what no stream can give
    epochs = itertools.count(epoch)

    def generate() -> Iterator[dict[str, NDArray[Any]]]:
        try:
            with storage.storage_errors(name, "open"):
                file = open_stream()
            with contextlib.closing(file):
                yield from read(file, epoch=next(epochs))
        except EchoanomError as error:
            _failures.append(error)
            raise

    batch = options.batch_size if options.drop_remainder else None
    specs = _specs(batch, options.size, len(manifest.columns))
    elements = tf.data.Dataset.from_generator(
        generate, output_signature={field: specs[field] for field in fields}
    )
    if batches is not None:
        elements = elements.apply(tf.data.experimental.assert_cardinality(batches))
    return elements.prefetch(_PREFETCH)


def _specs(batch: int | None, size: int, columns: int) -> dict[str, tf.TensorSpec]:
    return {
        "values": tf.TensorSpec((batch, size, columns), tf.float32),
        "observed": tf.TensorSpec((batch, size, columns), tf.bool),
        "start": tf.TensorSpec((batch,), tf.int64),
    }
