"""Windows from any stream of shards: a FIFO, a socket, a file object.

A stream is read once, in order, and holds whole shards one behind the other. The
manifest tells which windows there are, so that none depends on how the shards were
dealt out.
"""

from __future__ import annotations

import concurrent.futures
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.buffers import Recycled
from echoanom.errors import OptionError
from echoanom.framing import Chunk, Framer
from echoanom.manifest import Manifest, RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.pool import Draw, chunk_rows, in_order, shuffled
from echoanom.recordstream import (
    BUFFER_BYTES,
    Readable,
    RecordStream,
    StreamRecord,
    check_shards,
)
from echoanom.windowing import WindowIndex

FIELDS = ("values", "observed", "start")
POOL_WINDOWS = 1024

_CHUNK_CELLS = 1 << 18  # what windows share is copied to them while it is cached


def check_fields(fields: Sequence[str]) -> None:
    """Refuse fields that a batch of windows does not have.

    Parameters
    ----------
    fields : sequence of str
        Some of `FIELDS`.

    Raises
    ------
    OptionError
        If there is another one, or none.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown or not fields:
        raise OptionError(f"fields must be among {', '.join(FIELDS)}, got {fields!r}")


def stream_windows(
    file: Readable | socket.socket,
    manifest: Manifest,
    options: WindowOptions | None = None,
    *,
    runs: RunTable | None = None,
    normalization: Normalization | None = None,
    fields: Sequence[str] = FIELDS,
    pool_windows: int = POOL_WINDOWS,
    epoch: int = 0,
    name: str = "stream",
    buffer_bytes: int = BUFFER_BYTES,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Read batches of windows from a stream of whole shards.

    Each window whose first row is a shard's own comes once. Shards may come in any
    order, and any of them, if they carry a halo of ``size − 1`` rows; without one
    they must come in order of time, with no shard left out inside of a run.

    Parameters
    ----------
    file : Readable or socket
        Where to read, e.g. ``open(path, "rb", buffering=0)``. It is not closed.
    manifest : Manifest
        What the dataset holds.
    options : WindowOptions, optional
        Size, stride, batches and order. With `shuffle` windows are drawn from a pool
        of the rows that came last.
    runs : RunTable, optional
        The runs to take windows from, as `windowing.select` cuts them; all if left
        out.
    normalization : Normalization, optional
        Normalise values and fill missing cells, once for each row. Left out, values
        are as stored, NaN is missing.
    fields : sequence of str
        Which of `FIELDS` a batch has.
    pool_windows : int
        Windows that the pool has room for. It holds about ``pool_windows ×
        min(stride, size) + 8 × size`` rows; of each cell, 5 bytes.
    epoch : int
        Each epoch has its own shuffled order.
    name : str
        The stream's name, for messages.
    buffer_bytes : int
        Most to read at a time [byte].

    Returns
    -------
    iterator of dict
        Of `values` (float32, shape (B, size, C)), `observed` (bool, shape (B, size, C),
        False where a value is missing or was filled) and `start` (int64, shape (B,),
        time of the first row [s since 1970-01-01 UTC]).

    Raises
    ------
    WindowError
        If there is no window at all; later, if rows of a window do not come.
    OptionError
        If fields, pool_windows, buffer_bytes or epoch are out of range.
    CorruptionError
        Later, if the stream is damaged, or is not what the manifest says.
    DatasetError
        Later, if a shard comes again.
    StorageError
        Later, if the stream cannot be read.
    """
    options = options or WindowOptions()
    runs = manifest.runs() if runs is None else runs
    check_fields(fields)
    for option, number, least in (
        ("pool_windows", pool_windows, 1),
        ("buffer_bytes", buffer_bytes, 1),
        ("epoch", epoch, 0),
    ):
        if number < least:
            raise OptionError(f"{option} must be at least {least}, got {number}")
    WindowIndex(runs, options)  # refuses windows that fit nowhere
    columns = len(manifest.columns)

    def read() -> Iterator[dict[str, NDArray[Any]]]:
        # Rows are normalised while the next are waited for.
        with concurrent.futures.ThreadPoolExecutor(1) as helper:
            framer = Framer(
                runs,
                manifest.period_s,
                columns,
                options,
                _chunk_rows(options, columns, pool_windows),
                normalization=normalization,
                observed="observed" in fields,
                helper=helper,
                name=name,
            )
            stream = RecordStream(
                file,
                columns,
                manifest.shard.dtype,
                name,
                filled="observed" in fields,
                buffer_bytes=buffer_bytes,
                turn=framer.turn,
            )
            chunks = _frame(check_shards(stream, manifest, name), framer)
            if options.shuffle:
                draws = shuffled(chunks, options.seed, epoch)
            else:
                draws = in_order(chunks)
            yield from _batches(draws, options, columns, fields)

    return read()


def _chunk_rows(options: WindowOptions, columns: int, pool_windows: int) -> int:
    if options.shuffle:
        return chunk_rows(pool_windows, options)
    if options.stride >= options.size:
        return options.batch_size * options.size  # no row is shared: a chunk is a batch
    return max(4 * options.size, _CHUNK_CELLS // max(columns, 1))


def _frame(stream: Iterable[StreamRecord], framer: Framer) -> Iterator[Chunk]:
    for record in stream:
        yield from framer.add(record.block, record.offset)
    yield from framer.finish()


def _batches(
    draws: Iterable[Draw], options: WindowOptions, columns: int, fields: Sequence[str]
) -> Iterator[dict[str, NDArray[Any]]]:
    size, count = options.size, options.batch_size
    shape = (count, size, columns)
    kinds: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
        "values": (shape, np.float32),
        "observed": (shape, np.bool_),
        "start": (shape[:1], np.int64),
    }
    memory: dict[str, Recycled] = {}
    batch: dict[str, NDArray[Any]] = {}
    filled = 0
    for draw in draws:
        if not filled and (batch := _as_batch(draw, shape)):
            yield {field: batch[field] for field in fields}
            continue
        for number, offset, start_s in draw.windows.tolist():
            if not filled:
                memory = memory or {field: Recycled(*kinds[field]) for field in fields}
                batch = {field: memory[field].take(count) for field in fields}
            _put(batch, filled, draw.chunks[number], slice(offset, offset + size))
            if "start" in batch:
                batch["start"][filled] = start_s
            filled += 1
            if filled == count:
                yield batch
                filled = 0
    if filled and not options.drop_remainder:
        yield {field: array[:filled] for field, array in batch.items()}


def _put(batch: dict[str, NDArray[Any]], place: int, chunk: Chunk, rows: slice) -> None:
    if "values" in batch:
        batch["values"][place] = chunk.values[rows]
    if chunk.observed is not None:
        batch["observed"][place] = chunk.observed[rows]


def _as_batch(draw: Draw, shape: tuple[int, int, int]) -> dict[str, NDArray[Any]]:
    """Return a chunk as the batch it is, if it is one."""
    if len(draw.chunks) > 1 or len(draw.windows) != shape[0]:
        return {}
    (chunk,) = draw.chunks.values()
    _, offsets, start_s = draw.windows.T
    if len(chunk.values) != shape[0] * shape[1] or (np.diff(offsets) != shape[1]).any():
        return {}
    batch = {"values": chunk.values.reshape(shape), "start": start_s}
    if chunk.observed is not None:
        batch["observed"] = chunk.observed.reshape(shape)
    return batch
