"""PyTorch: DataLoader over windows of a `numpy.memmap`.

As the documentation of torch.utils.data has it under "Disable automatic batching": the
sampler gives the numbers of a whole batch and the dataset reads it at once, straight into
a tensor. Worker processes pass batches on through shared memory, which costs more than
they save where reading is copying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from peers.task import BATCH, WINDOW, Case, Data, normalise
from torch.utils import data as torch_data

Fill = Callable[[int, NDArray[np.float32]], None]
"""Puts the window that starts in a row into memory that is there, normalised."""


class WindowBatches(torch_data.Dataset[torch.Tensor]):
    """Batches of windows, by the numbers of the windows.

    Parameters
    ----------
    fill : callable
        Reads a window.
    first_rows : ndarray of int64, shape (n,)
        Position of each window's first row.
    columns : int
        Number of columns.
    """

    def __init__(self, fill: Fill, first_rows: NDArray[np.int64], columns: int) -> None:
        self._fill = fill
        self._first_rows = first_rows.tolist()
        self._columns = columns

    def __len__(self) -> int:
        return len(self._first_rows)

    def __getitem__(self, windows: Sequence[int]) -> torch.Tensor:
        batch = torch.empty((len(windows), WINDOW, self._columns))
        array = batch.numpy()
        for i, window in enumerate(windows):
            self._fill(self._first_rows[window], array[i])
        return batch


def load(data: Data, case: Case, fill: Fill, workers: int) -> Iterator[torch.Tensor]:
    """Read with a DataLoader, epoch after epoch.

    Parameters
    ----------
    data : Data
        Says which windows there are.
    case : Case
        Stride and order.
    fill : callable
        Reads a window.
    workers : int
        Processes that read; 0 reads in this one.

    Yields
    ------
    torch.Tensor
        Batches of windows.
    """
    columns = len(data.normalization.offset)
    dataset = WindowBatches(fill, data.first_rows(case), columns)
    order = (
        torch_data.RandomSampler(dataset)
        if case.shuffle
        else torch_data.SequentialSampler(dataset)
    )
    loader = torch_data.DataLoader(
        dataset,
        sampler=torch_data.BatchSampler(order, BATCH, drop_last=False),
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        # Linux' own, which some libraries change when they write.
        multiprocessing_context="fork" if workers else None,
    )
    while True:
        yield from loader


def batches(data: Data, case: Case, variant: str) -> Iterator[torch.Tensor]:
    """Read from a memory-mapped array file.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : str
        Number of workers.

    Returns
    -------
    iterator of torch.Tensor
        Batches of windows.
    """
    rows = np.load(data.rows_path, mmap_mode="r")

    def fill(first: int, out: NDArray[np.float32]) -> None:
        normalise(rows[first : first + WINDOW], data.normalization, out)

    return load(data, case, fill, int(variant))
