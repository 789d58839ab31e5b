"""Grain: `MapDataset` over an array in memory, and over array_record.

As in the "Dataset Basics" tutorial and "Data Sources": a source of one's own has
``__len__`` and ``__getitem__``; then shuffle, batch, repeat, and `to_iter_dataset` with
read options. What is in memory is read without threads, as `ReadOptions` recommends.

- ``RAM``: rows are normalised once; the source gives windows as views, `batch` copies.
- ``array_record``: blocks of 64 rows, written with ``group_size:1`` as the tutorial
  "Reading ArrayRecord Files" does, not compressed. The source puts windows together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grain
import numpy as np
from array_record.python import array_record_module
from numpy.typing import NDArray
from peers.blocks import Assembler, Rows, cut
from peers.task import BATCH, WINDOW, Case, Data

_FILE = "blocks.array_record"
_THREADS, _BUFFERED_BATCHES = 2, 4


class _Views:
    def __init__(self, data: Data, case: Case) -> None:
        self._rows = data.normalised()
        self._first_rows = data.first_rows(case).tolist()

    def __len__(self) -> int:
        return len(self._first_rows)

    def __getitem__(self, window: int) -> Rows:
        first = self._first_rows[window]
        return self._rows[first : first + WINDOW]


class _Assembled:
    def __init__(self, data: Data, case: Case) -> None:
        self._first_rows = data.first_rows(case).tolist()
        self._columns = len(data.normalization.offset)
        blocks = grain.sources.ArrayRecordDataSource(str(data.folder / _FILE))

        def read(number: int) -> Rows:
            rows: NDArray[np.float32] = np.frombuffer(blocks[number], np.float32)
            return rows.reshape(-1, self._columns)

        self._assembler = Assembler(data, case, read)

    def __len__(self) -> int:
        return len(self._first_rows)

    def __getitem__(self, window: int) -> Rows:
        out = np.empty((WINDOW, self._columns), dtype=np.float32)
        self._assembler.fill(self._first_rows[window], out)
        return out


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the blocks, for ``array_record``.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same file.
    variant : str
        Which way.
    """
    if variant == "array_record":
        with data.made(_FILE) as path:
            if path:
                writer = array_record_module.ArrayRecordWriter(
                    str(path), "group_size:1,uncompressed"
                )
                for _, rows in cut(data):
                    writer.write(rows.tobytes())
                writer.close()


def batches(data: Data, case: Case, variant: str) -> Iterator[Any]:
    """Read with Grain.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : {'RAM', 'array_record'}
        Which way.

    Returns
    -------
    iterator of ndarray of float32, shape (B, T, C)
        Batches of windows.
    """
    in_memory = variant == "RAM"
    source = _Views(data, case) if in_memory else _Assembled(data, case)
    windows = grain.MapDataset.source(source)
    if case.shuffle:
        windows = windows.shuffle(seed=0)
    threads = 0 if in_memory else _THREADS
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=_BUFFERED_BATCHES if threads else 0
    )
    return iter(windows.batch(BATCH).repeat().to_iter_dataset(options))
