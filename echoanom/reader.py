"""Read rows and windows of a dataset by position, from memory-mapped shards.

A record is checked against its checksum and decoded when it is first needed, and
normalised then, not once for each window it appears in. Memory does not grow with the
dataset: rows that stay wait in a scratch file, or are the most recent ones.
"""

from __future__ import annotations

import functools
import logging
import mmap

import numpy as np
from numpy.typing import NDArray

from echoanom import records, storage
from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, OptionError, WindowError
from echoanom.normalization import Normalization, take_in
from echoanom.rowstore import Kept, Observed, Recent, RowStore
from echoanom.shardmaps import ShardMaps, exceeds_cache

logger = logging.getLogger(__name__)

MEMORY_BYTES = 32 << 20


class IndexedReader:
    """Rows and windows of a dataset by position.

    Safe to use from several threads.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    normalization : Normalization, optional
        Applied to each record once. Left out, values are as stored, NaN is missing.
    keep : bool
        Whether rows will be asked for again later, because the order is random or
        another epoch follows. Then they are kept: in memory if all fit, else in a
        scratch file.
    memory_bytes : int
        Rows kept in memory [byte].
    observed : bool
        Whether it will be asked for which values were observed.
    verify : bool
        Whether each record's data are checked against their checksum.

    Raises
    ------
    OptionError
        If the normalization has another number of columns.
    StorageError
        If a scratch file is needed and cannot be made.
    """

    def __init__(
        self,
        dataset: Dataset,
        normalization: Normalization | None = None,
        *,
        keep: bool = False,
        memory_bytes: int = MEMORY_BYTES,
        observed: bool = True,
        verify: bool = True,
    ) -> None:
        columns = len(dataset.columns)
        if normalization is not None and len(normalization.offset) != columns:
            raise OptionError(
                f"a normalization must have the {columns} columns of {dataset.path},"
                f" got {len(normalization.offset)}; fit it on this dataset"
            )
        if not verify:
            logger.warning("%s: checksums of records are not verified", dataset.path)
        self._dataset = dataset
        self._normalization = normalization
        ends = np.cumsum(dataset.manifest.record_rows)
        shards = dataset.manifest.shards
        self._record_ends = np.cumsum([shard.records.own for shard in shards])
        self._shard_ends = np.cumsum([shard.rows for shard in shards])
        # What has been checked once need not be checked again.
        self._unchecked = np.full(len(ends), verify)
        self._maps = ShardMaps(dataset)
        self._fetches = not storage.is_local(dataset.path)
        self._exceeds_cache = exceeds_cache(dataset)
        needed = dataset.rows * columns * (5 if observed else 4)
        fits = needed <= memory_bytes
        self._store: RowStore = (
            Kept(ends, columns, observed, self._fill, in_memory=fits)
            if dataset.rows and (fits or keep)
            else Recent(ends, columns, observed, self._fill, memory_bytes)
        )

    def rows(
        self, first_row: int, rows: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
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
        if self._exceeds_cache and self._maps.comes_again:
            self._read_in_order()
        if len(first_rows):
            begin, end = int(first_rows.min()), int(first_rows.max()) + size
            if begin < 0 or end > self._dataset.rows:
                raise WindowError(
                    f"rows must lie in [0, {self._dataset.rows}), got {begin} to {end}"
                )
            if self._fetches:
                rows = np.concatenate([first_rows, first_rows + size - 1])
                self._maps.expect(np.unique(self._shard_of(rows)).tolist())
        for i, first in enumerate(first_rows.tolist()):
            self._store.read(
                first, values[i], None if observed is None else observed[i]
            )

    def _shard_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._shard_ends, rows, side="right")

    def _read_in_order(self) -> None:
        """Read what is left of the dataset: in random order its shards come and go."""
        self._exceeds_cache = False
        if isinstance(self._store, Kept):
            logger.info("%s: all rows are read once, in order", self._dataset.path)
            self._store.fill()

    def _fill(
        self, record: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        """Check and decode a record, and normalise its rows."""
        shard = int(np.searchsorted(self._record_ends, record, side="right"))
        listed = self._dataset.manifest.shards[shard].records
        within = record - int(self._record_ends[shard]) + listed.own
        data = self._maps.get(shard)
        check = bool(self._unchecked[record])
        block = read_block(self._dataset, shard, within, data, check=check)
        self._unchecked[record] = False
        take_in(block.values, block.filled, self._normalization, values, observed)
        _forget(data, listed.offset[within], listed.length[within])


@functools.lru_cache(maxsize=1)
def observed_shares(dataset: Dataset) -> NDArray[np.float64]:
    """Compute which share of each row was observed.

    Reads the dataset once, however often it is asked for in a row: to count batches, to
    train and to validate.

    Parameters
    ----------
    dataset : Dataset
        What to read.

    Returns
    -------
    ndarray of float64, shape (rows,)
        Share of cells that are neither missing nor filled, in [0, 1].

    Raises
    ------
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    reader = IndexedReader(dataset, memory_bytes=0)
    columns = len(dataset.columns)
    shares = np.empty(dataset.rows)
    begin = 0
    for rows in dataset.manifest.record_rows.tolist():
        _, observed = reader.rows(begin, rows)
        shares[begin : begin + rows] = np.count_nonzero(observed, axis=1) / columns
        begin += rows
    shares.flags.writeable = False
    return shares


def _forget(data: memoryview, begin: int, size: int) -> None:
    """Let the system count pages of a mapped file as its own again."""
    if hasattr(mmap, "MADV_DONTNEED") and isinstance(data.obj, mmap.mmap):
        start = begin - begin % mmap.PAGESIZE
        data.obj.madvise(mmap.MADV_DONTNEED, start, begin + size - start)


def read_block(
    dataset: Dataset, shard: int, record: int, data: memoryview, *, check: bool = True
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
    check : bool
        Whether its data are checked against their checksum.

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
        if (
            check
            and records.check_data(data, offset, length, path) != listed.crc[record]
        ):
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
