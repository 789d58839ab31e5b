"""Shuffle the windows of a stream by drawing their starts from a pool of rows.

The pool holds rows, not windows, so it costs what its rows cost, however many windows
share them. It takes in a chunk of rows, gives away some of the windows it holds, and
lets go of the oldest chunk; what is left in that one goes first. So a window moves by a
quarter of the pool's windows on average, in an order that a seed decides: a shuffle of
all of them would move it by a third. What comes together is far apart when it leaves.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from echoanom.framing import Chunk
from echoanom.options import WindowOptions

CHUNKS = 8
_SHARE = 4  # of so many windows one is given away for each chunk that comes


@dataclasses.dataclass(frozen=True)
class Draw:
    """Some windows, in the order in which they are given away.

    Attributes
    ----------
    chunks : mapping of int to Chunk
        Where their rows are, until the next draw.
    windows : ndarray of int64, shape (n, 3)
        For each window the key of its chunk, its offset there, and the time of its
        first row [s since 1970-01-01 UTC].
    """

    chunks: Mapping[int, Chunk]
    windows: NDArray[np.int64]


def chunk_rows(pool_windows: int, options: WindowOptions) -> int:
    """Compute the size of a chunk of a pool.

    Parameters
    ----------
    pool_windows : int
        Windows that the pool has room for where a run is long.
    options : WindowOptions
        Size and stride.

    Returns
    -------
    int
        Rows in each of the pool's `CHUNKS` chunks: together those of the windows, and
        for each chunk a window more.
    """
    each = math.ceil(pool_windows / CHUNKS)
    return each * min(options.stride, options.size) + options.size


def in_order(chunks: Iterable[Chunk]) -> Iterator[Draw]:
    """Give away windows as they come.

    Parameters
    ----------
    chunks : iterable of Chunk
        They come in this order.

    Yields
    ------
    Draw
        All windows of a chunk.
    """
    for number, chunk in enumerate(chunks):
        yield Draw({number: chunk}, _windows(number, chunk))


def shuffled(chunks: Iterable[Chunk], seed: int, epoch: int) -> Iterator[Draw]:
    """Give away windows in random order, each once.

    Parameters
    ----------
    chunks : iterable of Chunk
        They come in this order. At most `CHUNKS` are held, the one that comes next
        included.
    seed : int
        Seed of the order.
    epoch : int
        Each epoch has its own order.

    Yields
    ------
    Draw
        Some windows.
    """
    # Raw numbers of a bit generator stay the same from one version of NumPy to the
    # next, which `Generator` does not promise.
    random = np.random.PCG64(np.random.SeedSequence((seed, epoch)))
    held: dict[int, Chunk] = {}
    windows = np.empty((0, 3), dtype=np.int64)
    for number, chunk in enumerate(chunks):
        held[number] = chunk
        windows = np.concatenate([windows, _windows(number, chunk)])
        if len(held) < CHUNKS // 2:
            continue  # so few would be given away nearly in order
        leaving = number - CHUNKS + 1
        taken = windows[:, 0] == leaving
        others = np.flatnonzero(~taken)
        share = math.ceil(len(others) / _SHARE)
        taken[others[_shuffle(len(others), random)[:share]]] = True
        yield Draw(held, windows[taken][_shuffle(int(taken.sum()), random)])
        windows = windows[~taken]
        held.pop(leaving, None)
    if len(windows):
        yield Draw(held, windows[_shuffle(len(windows), random)])


def _windows(number: int, chunk: Chunk) -> NDArray[np.int64]:
    numbers = np.full(len(chunk.offsets), number, dtype=np.int64)
    return np.stack([numbers, chunk.offsets, chunk.start_s], axis=1)


def _shuffle(size: int, random: np.random.PCG64) -> NDArray[np.int64]:
    return np.argsort(random.random_raw(size), kind="stable")
