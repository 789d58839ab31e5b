"""Read rows and windows of a dataset by position, from memory-mapped shards.

A record is checked against its checksum and decoded when it is first needed, and
normalised then, not once for each window it appears in. Decoded records are kept: all
of them if they fit into memory; else, for reading in random order, in a scratch file
that the system pages in and out; else the most recent ones.
"""

from __future__ import annotations

import collections
import mmap
import shutil
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from echoanom import records, storage
from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, WindowError
from echoanom.normalization import Normalization

MEMORY_BYTES = 1 << 30

_Rows = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Values and which of them were observed, both of shape (rows, C)."""


class _Recent:
    """Keeps the most recently used records, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: collections.OrderedDict[int, _Rows] = collections.OrderedDict()

    def get(self, record: int, decode: Callable[[int], _Rows]) -> _Rows:
        if record in self._kept:
            self._kept.move_to_end(record)
            return self._kept[record]
        rows = self._kept[record] = decode(record)
        self._bytes += sum(array.nbytes for array in rows)
        while self._bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in dropped)
        return rows


class _Whole:
    """Keeps every record, one behind the other, in memory or in a scratch file.

    The file has no name and is gone with the process. Pages that no record has been
    decoded to take no memory.
    """

    def __init__(self, ends: NDArray[np.int64], columns: int, in_memory: bool) -> None:
        shape = int(ends[-1]), columns
        if in_memory:
            self.rows: _Rows = np.empty(shape, np.float32), np.empty(shape, np.bool_)
        else:
            self.rows = _scratch(shape, np.float32), _scratch(shape, np.bool_)
        self._ends = ends
        self._todo = np.ones(len(ends), dtype=np.bool_)
        self._left = len(ends)

    def need(
        self,
        first_rows: NDArray[np.int64],
        count: int,
        decode: Callable[[int], _Rows],
    ) -> None:
        """Decode what is not yet there of `count` rows from each of `first_rows`."""
        if not self._left or not count:
            return
        first = np.searchsorted(self._ends, first_rows, side="right")
        last = np.searchsorted(self._ends, first_rows + count - 1, side="right")
        for begin, end in zip(first.tolist(), (last + 1).tolist(), strict=True):
            for record in (np.flatnonzero(self._todo[begin:end]) + begin).tolist():
                start = int(self._ends[record - 1]) if record else 0
                for kept, array in zip(self.rows, decode(record), strict=True):
                    kept[start : self._ends[record]] = array
                self._todo[record] = False
                self._left -= 1


def _scratch(shape: tuple[int, int], dtype: type[np.generic]) -> NDArray[Any]:
    with tempfile.TemporaryFile(prefix="echoanom-") as file:
        return np.memmap(file, dtype, "w+", shape=shape)


class IndexedReader:
    """Rows and windows of a dataset by position.

    Safe to use from several threads.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    normalization : Normalization, optional
        Applied to each record once. Left out, values are as stored, NaN is missing.
    random : bool
        Whether windows will be asked for in random order.
    memory_bytes : int
        Decoded records kept in memory [byte].

    Raises
    ------
    CorruptionError
        If a shard is missing or has another size than the manifest says.
    """

    def __init__(
        self,
        dataset: Dataset,
        normalization: Normalization | None = None,
        *,
        random: bool = False,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._dataset = dataset
        self._normalization = normalization
        self._rows = dataset.manifest.record_rows
        self._ends = np.cumsum(self._rows)
        shards = dataset.manifest.shards
        self._shard_of = np.repeat(
            np.arange(len(shards)), [shard.records.own for shard in shards]
        )
        self._first_record = np.cumsum([0] + [shard.records.own for shard in shards])
        self._maps: dict[int, memoryview] = {}
        self._lock = threading.Lock()
        fits = dataset.rows * len(dataset.columns) * 5 <= memory_bytes
        self._recent = _Recent(memory_bytes)
        self._whole = (
            _Whole(self._ends, len(dataset.columns), in_memory=fits)
            if dataset.rows and (fits or random)
            else None
        )

    def rows(self, first_row: int, rows: int) -> _Rows:
        """Read consecutive rows of the dataset.

        Parameters
        ----------
        first_row : int
            Position of the first.
        rows : int
            How many. They may span gaps; `Dataset.times` has their times.

        Returns
        -------
        values : ndarray of float32, shape (rows, C)
            The rows; NaN is missing unless a normalization is given.
        observed : ndarray of bool, shape (rows, C)
            False where a value is missing or was filled.

        Raises
        ------
        WindowError
            If there are no such rows.
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        values = np.empty((1, rows, len(self._dataset.columns)), dtype=np.float32)
        observed = np.empty(values.shape, dtype=np.bool_)
        self.gather(np.array([first_row], dtype=np.int64), values, observed)
        return values[0], observed[0]

    def gather(
        self,
        first_rows: NDArray[np.int64],
        values: NDArray[np.float32],
        observed: NDArray[np.bool_] | None = None,
    ) -> None:
        """Copy windows into a batch.

        Parameters
        ----------
        first_rows : ndarray of int64, shape (B,)
            Position of each window's first row.
        values : ndarray of float32, shape (B, T, C)
            Takes the values.
        observed : ndarray of bool, shape (B, T, C), optional
            Takes which of them were observed.

        Raises
        ------
        WindowError
            If there are no such rows.
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        size = values.shape[1]
        if len(first_rows):
            begin, end = int(first_rows.min()), int(first_rows.max()) + size
            if begin < 0 or end > self._dataset.rows:
                raise WindowError(
                    f"rows must lie in [0, {self._dataset.rows}), got {begin} to {end}"
                )
        if self._whole is None:
            for i, first in enumerate(first_rows.tolist()):
                self._copy(first, values[i], None if observed is None else observed[i])
            return
        with self._lock:
            self._whole.need(first_rows, size, self._decode)
        stored, seen = self._whole.rows
        for i, first in enumerate(first_rows.tolist()):
            values[i] = stored[first : first + size]
            if observed is not None:
                observed[i] = seen[first : first + size]

    def _copy(
        self,
        first_row: int,
        values: NDArray[np.float32],
        observed: NDArray[np.bool_] | None,
    ) -> None:
        record = int(np.searchsorted(self._ends, first_row, side="right"))
        done = 0
        while done < len(values):
            with self._lock:
                stored, seen = self._recent.get(record, self._decode)
            begin = first_row + done - int(self._ends[record] - self._rows[record])
            count = min(len(stored) - begin, len(values) - done)
            values[done : done + count] = stored[begin : begin + count]
            if observed is not None:
                observed[done : done + count] = seen[begin : begin + count]
            done += count
            record += 1

    def _decode(self, record: int) -> _Rows:
        shard = int(self._shard_of[record])
        within = record - int(self._first_record[shard])
        block = read_block(self._dataset, shard, within, self._map(shard))
        values = block.values
        observed = ~np.isnan(values)
        if block.filled is not None:
            observed &= ~block.filled
        if self._normalization is not None:
            values = self._normalization.apply(values)
        return values, observed

    def _map(self, shard: int) -> memoryview:
        if shard not in self._maps:
            self._maps[shard] = map_shard(self._dataset, shard)
        return self._maps[shard]


def map_shard(dataset: Dataset, shard: int) -> memoryview:
    """Map a shard's file into memory.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    shard : int
        The shard's position in the manifest.

    Returns
    -------
    memoryview
        The file's content.

    Raises
    ------
    CorruptionError
        If it is missing or has another size than the manifest says.
    """
    path = dataset.shard_path(shard)
    expected = dataset.manifest.shards[shard].bytes
    if not storage.exists(path):
        raise CorruptionError(f"{path}: the shard is missing; convert again")
    with storage.storage_errors(path, "read"), _local(path) as file:
        file.seek(0, 2)
        if file.tell() != expected:
            raise CorruptionError(
                f"{path}: the shard must have {expected} bytes, has {file.tell()};"
                " convert again"
            )
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_block(
    dataset: Dataset, shard: int, record: int, data: memoryview
) -> records.Block:
    """Check and decode one record.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    shard : int
        The shard's position in the manifest.
    record : int
        The record's position in the shard.
    data : memoryview
        The shard's content.

    Returns
    -------
    Block
        Its rows.

    Raises
    ------
    CorruptionError
        If its bytes are not what the manifest says: names shard and record.
    """
    path = dataset.shard_path(shard)
    listed = dataset.manifest.shards[shard].records
    offset, length = listed.offset[record], listed.length[record]
    try:
        if records.check_header(data, offset, path) != length:
            raise CorruptionError(f"{path}: its length is not {length} bytes")
        crc = records.check_data(data, offset, length, path)
        if crc != listed.crc[record]:
            raise CorruptionError(f"{path}: its checksum is not the manifest's")
        begin = offset + records.HEADER_BYTES
        block = records.decode(
            data[begin : begin + length],
            len(dataset.columns),
            dataset.manifest.shard.dtype,
        )
        if (block.start_s, len(block.values)) != (
            listed.start_s[record],
            listed.rows[record],
        ):
            raise CorruptionError(
                f"{path}: its time or row count is not the manifest's"
            )
    except CorruptionError as error:
        raise CorruptionError(
            f"{error} (record {record} of shard {dataset.manifest.shards[shard].name});"
            " convert again"
        ) from None
    return block


def _local(path: str) -> IO[bytes]:
    if storage.is_local(path):
        return open(storage.filesystem(path)[1], "rb")
    copy: IO[bytes] = tempfile.TemporaryFile(prefix="echoanom-")
    with fsspec.open(path, "rb") as file:
        shutil.copyfileobj(file, copy, 1 << 22)
    copy.flush()
    return copy
