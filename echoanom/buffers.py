"""Memory for batches that is used again when nobody holds it any more.

A fresh batch of many megabytes costs the system more than copying windows into it:
every page has to be found and cleared. A consumer seldom holds more than a few batches,
so as many blocks of memory serve a whole epoch.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64
"""TensorFlow takes an array that starts at a multiple of this without copying it."""

_SPARE = 8  # blocks that wait to be used again


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return an empty array that TensorFlow takes without copying it.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : type
        Its type.

    Returns
    -------
    ndarray
        Not initialised; starts at a multiple of 64 bytes.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return _view(np.empty(size + ALIGNMENT, dtype=np.uint8), shape, dtype)


class Recycled:
    """Arrays like those of `aligned`, in memory that comes back.

    An array's memory is used again only when no array, tensor or view of it is left:
    NumPy and TensorFlow count references to the block that it lies in. Safe to use
    from several threads.

    Parameters
    ----------
    shape : tuple of int
        Shape of the largest array.
    dtype : type
        Their type.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._shape = shape
        self._dtype = dtype
        self._bytes = math.prod(shape) * np.dtype(dtype).itemsize + ALIGNMENT
        self._lock = threading.Lock()
        self._blocks = [self._block()]
        # What this interpreter counts for a block that only the list holds.
        self._idle = self._references()[0]

    def take(self, length: int) -> NDArray[Any]:
        """Return an array that nobody else holds.

        Parameters
        ----------
        length : int
            Its length; at most that of the largest array.

        Returns
        -------
        ndarray
            Not initialised; of the other dimensions of the largest array.
        """
        with self._lock:
            counts = self._references()
            idle = [i for i, count in enumerate(counts) if count == self._idle]
            if not idle:
                self._blocks.append(self._block())
                idle = [len(self._blocks) - 1]
            array = _view(
                self._blocks[idle[-1]], (length, *self._shape[1:]), self._dtype
            )
            for i in reversed(idle[:-_SPARE]):
                del self._blocks[i]
            return array

    def _block(self) -> NDArray[np.uint8]:
        return np.empty(self._bytes, dtype=np.uint8)

    def _references(self) -> list[int]:
        return [sys.getrefcount(self._blocks[i]) for i in range(len(self._blocks))]


def _view(
    block: NDArray[np.uint8], shape: tuple[int, ...], dtype: type[np.generic]
) -> NDArray[Any]:
    begin = -block.ctypes.data % ALIGNMENT
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return block[begin : begin + size].view(dtype).reshape(shape)
