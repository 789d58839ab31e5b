"""LitData: runs as records of `TemporalArrayLoader`, windows by `read_window`.

As the README has it under "Temporal arrays": written by `optimize`, one record a run, and
read by the record's number and the window's first row; "the application keeps its
sampling policy", so batches and order are torch's DataLoader's. Windows are normalised as
they are put into the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from litdata import StreamingDataset, TemporalArrayLoader, optimize
from numpy.typing import NDArray
from peers.task import WINDOW, Case, Data, normalise
from peers.with_torch import load

_FOLDER = "litdata"


class _Runs:
    """Makes the record of a run; `optimize` hands it to its workers."""

    def __init__(self, data: Data) -> None:
        self._folder = data.folder

    def __call__(self, run: int) -> dict[str, NDArray[np.float32]]:
        data = Data(self._folder)
        first, count = data.runs.first_row[run], data.runs.rows[run]
        rows = np.load(data.rows_path, mmap_mode="r")
        return {"rows": np.array(rows[first : first + count])}


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the runs.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same chunks.
    variant : str
        Not needed.
    """
    with data.made(_FOLDER) as folder:
        if folder:
            optimize(
                fn=_Runs(data),
                inputs=list(range(len(data.runs))),
                output_dir=str(folder),
                chunk_bytes="64MB",
                num_workers=1,
                reorder_files=False,
                item_loader=TemporalArrayLoader(),
                verbose=False,
            )


def batches(data: Data, case: Case, variant: str) -> Iterator[torch.Tensor]:
    """Read windows of runs, with a DataLoader.

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
    records = StreamingDataset(
        str(data.folder / _FOLDER), item_loader=TemporalArrayLoader()
    )
    run_ends = data.runs.first_row + data.runs.rows

    def fill(first: int, out: NDArray[np.float32]) -> None:
        run = int(np.searchsorted(run_ends, first, side="right"))
        start = first - int(data.runs.first_row[run])
        window = records.read_window(run, start=start, frames=WINDOW)
        normalise(window["rows"], data.normalization, out)

    return load(data, case, fill, int(variant))
