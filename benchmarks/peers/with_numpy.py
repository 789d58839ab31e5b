"""NumPy loops over an array in memory: the limit, and what a careful user writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from peers.task import WINDOW, Case, Data, copy_windows, normalise


def batches(data: Data, case: Case, variant: str) -> Iterator[NDArray[np.float32]]:
    """Copy windows into fresh batches, in one thread.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : {'copy', 'normalise'}
        Copy rows that are normalised already, or normalise each window.

    Yields
    ------
    ndarray of float32, shape (B, T, C)
        Batches of windows.
    """
    index = data.index(case)
    rows = data.normalised() if variant == "copy" else data.rows()
    position = 0
    while True:
        first_rows = index.batch(position)
        position += 1
        if variant == "copy":
            yield copy_windows(rows, first_rows)
            continue
        batch = np.empty((len(first_rows), WINDOW, rows.shape[1]), dtype=np.float32)
        for i, first in enumerate(first_rows.tolist()):
            normalise(rows[first : first + WINDOW], data.normalization, batch[i])
        yield batch
