"""Find in samples of sound what is not sound: clipping, drop-outs, no numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int64]
"""Runs of samples, shape (R, 2): the first of each, and the first behind it."""

# Of full scale; its square, as a density, still is a float32. Damaged files of floats
# have larger ones.
_LARGEST = 1e15


def count_clipped(samples: NDArray[np.float64], step: float) -> int:
    """Count samples at full scale.

    Parameters
    ----------
    samples : ndarray of float64, shape (N,)
        The samples, full scale is ±1.
    step : float
        Difference of neighbouring values; 0 for numbers that have none. The highest
        value of integers is one step below 1.

    Returns
    -------
    int
        How many are at or beyond it.
    """
    return int(np.count_nonzero((samples >= 1.0 - step) | (samples <= -1.0 + step)))


def runs_of_same(samples: NDArray[np.float64], least: int) -> Runs:
    """Find long runs of one value.

    Parameters
    ----------
    samples : ndarray of float64, shape (N,)
        The samples.
    least : int
        Length that counts, at least 2.

    Returns
    -------
    ndarray of int64, shape (R, 2)
        The runs, in order.
    """
    if not _may_have_runs(samples, least):
        return np.empty((0, 2), dtype=np.int64)
    return _runs(np.concatenate([[False], samples[1:] == samples[:-1]]), 1, least - 1)


def runs_of_no_number(samples: NDArray[np.float64]) -> Runs:
    """Find runs of what is not a number, or larger than any sound.

    Parameters
    ----------
    samples : ndarray of float64, shape (N,)
        The samples.

    Returns
    -------
    ndarray of int64, shape (R, 2)
        The runs, in order.
    """
    # A maximum keeps what is no number; as a rule there is none.
    if len(samples) == 0 or np.maximum(samples.max(), -samples.min()) < _LARGEST:
        return np.empty((0, 2), dtype=np.int64)
    return _runs(~(np.abs(samples) < _LARGEST), 0, 1)


def touched(runs: Runs, start: int, stop: int) -> bool:
    """Tell whether a stretch has a sample of a run.

    Parameters
    ----------
    runs : ndarray of int64, shape (R, 2)
        The runs.
    start, stop : int
        The stretch, without `stop`.

    Returns
    -------
    bool
        True if it has one.
    """
    return bool(np.any((runs[:, 0] < stop) & (runs[:, 1] > start)))


def _runs(marked: NDArray[Any], before: int, least: int) -> Runs:
    """Find runs of True, so long at least, and let each begin so much before."""
    edges = np.diff(np.concatenate([[0], marked.view(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = stops - starts >= least
    return np.stack([starts[long] - before, stops[long]], axis=1).astype(np.int64)


def _may_have_runs(samples: NDArray[np.float64], least: int) -> bool:
    """Look at few samples: a long run holds a whole stride of half its length."""
    if len(samples) < least:
        return False
    stride = max(1, least // 2)
    sparse = samples[::stride]
    for place in np.flatnonzero(sparse[1:] == sparse[:-1]) * stride:
        if np.all(samples[place : place + stride] == samples[place]):
            return True
    return False
