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
from echoanom.batching import WindowBatches, window_index
from echoanom.dataset import Dataset
from echoanom.devicerows import DeviceRows, DeviceWindows
from echoanom.errors import (
    DatasetError,
    EchoanomError,
    OptionError,
    TruncatedError,
)
from echoanom.manifest import Manifest, RunTable
from echoanom.normalization import Normalization
from echoanom.options import Placement, Share, WindowOptions, check_placement
from echoanom.reader import MEMORY_BYTES
from echoanom.streaming import FIELDS, POOL_WINDOWS, check_fields

_PARALLEL = 2
# More batches ahead are no faster: they only leave the processor's cache sooner.
_PREFETCH = 1
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
        Size, stride, batches and filter.
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
    return window_index(dataset, options, runs).batches


def windows(
    dataset: Dataset,
    options: WindowOptions | None = None,
    *,
    runs: RunTable | None = None,
    normalization: Normalization | None = None,
    epochs: int = 1,
    start: int = 0,
    fields: Sequence[str] = FIELDS,
    share: Share | None = None,
    memory_bytes: int = MEMORY_BYTES,
    verify: bool = True,
    placement: Placement = "host",
) -> tf.data.Dataset:
    """Stream batches of windows.

    Windows cross records, files and shards, and never a gap. The order is a pure
    function of the seed, the epoch and the position. So an iterator's checkpoint holds
    a position and no data, and any number of workers can share the batches, also when
    the number changes between one run and the run that continues it.

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
    epochs : int
        How often to go through the windows. A shuffled epoch has an order of its own.
        For several epochs rows are normalised once and kept; a dataset of one epoch
        that is not shuffled reads them again whenever it is iterated over.
    start : int
        Batch to begin with, counted over all epochs, to resume where another left.
    fields : sequence of str
        Which of these an element has.
    share : Share, optional
        One worker's part of every batch; the whole batches if left out. Every worker
        has as many batches as the others.
    memory_bytes : int
        Rows kept in memory [byte]; more are read from a scratch file, or again.
    verify : bool
        Whether each record's data are checked against their checksum, once, when they
        are first read.
    placement : {'host', 'device'}
        Where windows are gathered. On the device, all rows of the dataset are uploaded
        to the first GPU at once, and the result is not a tf.data.Dataset but can be
        iterated over like one.

    Returns
    -------
    tf.data.Dataset or DeviceWindows
        Of known cardinality. Each element is a dict of `values` (float32, shape
        (B, size, C)), `observed` (bool, shape (B, size, C), False where a value is
        missing or was filled) and `start` (int64, shape (B,), time of the first row
        [s since 1970-01-01 UTC]). B is the batch size, or the worker's part of it, but
        for a last batch.

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If epochs, start or fields are out of range, there are too many workers, the
        normalization has other columns, or the rows do not fit on the device.
    """
    check_placement(placement)
    if placement == "device":
        check_fields(fields)
        options = options or WindowOptions()
        positions = first_rows(
            dataset, options, runs=runs, epochs=epochs, start=start, share=share
        )
        rows = DeviceRows(dataset, normalization, verify=verify)
        return DeviceWindows(rows, positions, dataset, options.size, fields)
    batches = WindowBatches(
        dataset,
        options,
        runs=runs,
        normalization=normalization,
        fields=fields,
        share=share,
        keep=epochs > 1 or (options or WindowOptions()).shuffle,
        memory_bytes=memory_bytes,
        verify=verify,
    )
    positions = batch_positions(len(batches), epochs, start)
    specs = _specs(
        batches.most_windows if batches.even else None,
        batches.options.size,
        batches.columns,
    )

    def read(position: NDArray[np.int64]) -> list[NDArray[Any]]:
        try:
            batch = batches.read(int(position))
        except EchoanomError as error:
            _failures.append(error)
            raise
        return [batch[field] for field in fields]

    def load(position: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = tf.numpy_function(
            read, [position], [specs[field].dtype for field in fields], stateful=False
        )
        return {
            field: tf.ensure_shape(tensor, specs[field].shape)
            for field, tensor in zip(fields, tensors, strict=True)
        }

    return positions.map(
        load, num_parallel_calls=_PARALLEL, deterministic=True
    ).prefetch(_PREFETCH)


def first_rows(
    dataset: Dataset,
    options: WindowOptions,
    *,
    runs: RunTable | None = None,
    epochs: int = 1,
    start: int = 0,
    share: Share | None = None,
) -> tf.data.Dataset:
    """Stream where the windows of batches start, and no data.

    Parameters
    ----------
    dataset : Dataset
        Whose windows.
    options : WindowOptions
        Size, stride, batches, order and filter.
    runs : RunTable, optional
        The runs to take windows from; all if left out.
    epochs : int
        How often to go through the windows.
    start : int
        Batch to begin with, counted over all epochs.
    share : Share, optional
        One worker's part of every batch; the whole batches if left out.

    Returns
    -------
    tf.data.Dataset
        Of int64 (B,): positions of the windows' first rows in the dataset.

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If epochs or start are out of range, or there are too many workers.
    """
    index = window_index(dataset, options, runs)
    index.check(share or Share())

    def batch(position: NDArray[np.int64]) -> NDArray[np.int64]:
        return index.batch(int(position), share)

    def load(position: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(batch, [position], tf.int64, stateful=False)
        return tf.ensure_shape(found, (None,))

    return batch_positions(index.batches, epochs, start).map(load).prefetch(_PREFETCH)


def batch_positions(batches: int, epochs: int, start: int) -> tf.data.Dataset:
    """Count the batches of some epochs.

    Parameters
    ----------
    batches : int
        Batches in an epoch.
    epochs : int
        How many epochs.
    start : int
        Batch to begin with.

    Returns
    -------
    tf.data.Dataset
        Of int64 scalars. A checkpoint of an iterator over it, or over what is mapped
        from it, holds its place alone.

    Raises
    ------
    OptionError
        If epochs or start are out of range.
    """
    if epochs < 1:
        raise OptionError(f"epochs must be at least 1, got {epochs}")
    if not 0 <= start <= epochs * batches:
        raise OptionError(f"start must be in [0, {epochs * batches}], got {start}")
    options = tf.data.Options()
    options.experimental_symbolic_checkpoint = True
    return tf.data.Dataset.range(start, epochs * batches).with_options(options)


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
        How many batches the stream gives, if that is known, as the cardinality. A
        stream that gives another number is refused.
    name : str
        The stream's name, for messages.

    Returns
    -------
    tf.data.Dataset
        Elements as those of `windows`. A `plain_errors` around its iteration raises
        what `streaming.stream_windows` says, and a DatasetError if there are more
        batches than was said, or a TruncatedError if fewer. To let go of an iterator
        waits for the read that is under way.

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
        with storage.storage_errors(name, "open"):
            file = open_stream()
        with contextlib.closing(file):
            yield from _exactly(read(file, epoch=next(epochs)), batches, name)

    batch = options.batch_size if options.drop_remainder else None
    elements = generated(generate, batch, options.size, len(manifest.columns), fields)
    if batches is not None:
        elements = elements.apply(tf.data.experimental.assert_cardinality(batches))
    return elements


def generated(
    generate: Callable[[], Iterator[dict[str, NDArray[Any]]]],
    batch: int | None,
    size: int,
    columns: int,
    fields: Sequence[str] = FIELDS,
) -> tf.data.Dataset:
    """Stream batches that a generator makes.

    Parameters
    ----------
    generate : callable
        Makes an iterator of batches, each a dict of `fields`.
    batch : int, optional
        Windows in each batch, if all have as many.
    size : int
        Rows in a window.
    columns : int
        Columns C.
    fields : sequence of str
        Which of `FIELDS` an element has.

    Returns
    -------
    tf.data.Dataset
        Of unknown cardinality. A `plain_errors` around its iteration raises what the
        generator raised.
    """

    def reported() -> Iterator[dict[str, NDArray[Any]]]:
        try:
            yield from generate()
        except EchoanomError as error:
            _failures.append(error)
            raise

    specs = _specs(batch, size, columns)
    return tf.data.Dataset.from_generator(
        reported, output_signature={field: specs[field] for field in fields}
    ).prefetch(_PREFETCH)


def _exactly(
    elements: Iterator[dict[str, NDArray[Any]]], batches: int | None, name: str
) -> Iterator[dict[str, NDArray[Any]]]:
    count = 0
    for element in elements:
        if count == batches:
            raise DatasetError(f"{name}: must give {batches} batches, but gives more")
        yield element
        count += 1
    if batches is not None and count < batches:
        raise TruncatedError(
            f"{name}: must give {batches} batches, but ends after {count}; stream every"
            " shard"
        )


def _specs(batch: int | None, size: int, columns: int) -> dict[str, tf.TensorSpec]:
    return {
        "values": tf.TensorSpec((batch, size, columns), tf.float32),
        "observed": tf.TensorSpec((batch, size, columns), tf.bool),
        "start": tf.TensorSpec((batch,), tf.int64),
    }
