"""Which rows make a window, and in what order windows come.

Pure arithmetic: window *i* of an epoch is a function of the runs, the window options,
the seed, the epoch and *i*. So the order is global and repeatable without a shuffle
buffer, any number of workers can share it, and a position is all that a resume needs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import OptionError, WindowError
from echoanom.manifest import RunTable
from echoanom.options import Share, WindowOptions

Interval = tuple[int, int]
"""A half-open stretch of time: start and end [s since 1970-01-01 UTC]."""

_BATCHES_AT_ONCE = 64
_ROUNDS = 4
_ROUNDING = 1e-9


def select(
    runs: RunTable,
    period_s: int,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
) -> RunTable:
    """Cut runs to the rows inside some intervals and outside of others.

    Parameters
    ----------
    runs : RunTable
        The runs.
    period_s : int
        Sample period [s].
    include : sequence of (int, int), optional
        Keep rows whose stamp lies in one of these; all if left out.
    exclude : sequence of (int, int)
        Drop rows whose period overlaps one of these.

    Returns
    -------
    RunTable
        What is left, in order of time. `first_row` still counts in the dataset.

    Raises
    ------
    OptionError
        If an interval ends before it starts.
    """
    run = np.repeat(np.arange(len(runs)), runs.rows)
    within = np.arange(len(run)) - np.repeat(
        np.cumsum(runs.rows) - runs.rows, runs.rows
    )
    times = runs.start_s[run] + within * period_s
    keep = np.ones(len(run), dtype=np.bool_)
    if include is not None:
        keep &= _inside(times, include)
    # The period that starts at t overlaps [a, b) when a - period < t < b.
    keep &= ~_inside(
        times,
        # An empty interval overlaps nothing; widened, it would.
        [(a - period_s + 1, b) if a < b else (a, b) for a, b in exclude],
    )
    rows = np.flatnonzero(keep)
    if not len(rows):
        return RunTable(*(np.empty(0, np.int64) for _ in range(3)))
    breaks = (np.diff(rows) != 1) | (np.diff(run[rows]) != 0)
    heads = np.flatnonzero(np.concatenate(([True], breaks)))
    first = rows[heads]
    return RunTable(
        first_row=runs.first_row[run[first]] + within[first],
        rows=np.diff(np.append(heads, len(rows))).astype(np.int64),
        start_s=times[first],
    )


def _inside(
    times: NDArray[np.int64], intervals: Sequence[Interval]
) -> NDArray[np.bool_]:
    for start, end in intervals:
        if end < start:
            raise OptionError(
                f"an interval must not end before it starts: {start} … {end}"
            )
    ordered = sorted(intervals)
    starts = np.array([start for start, _ in ordered], dtype=np.int64)
    # With a running maximum of the ends, overlapping intervals are one.
    ends = np.maximum.accumulate(np.array([end for _, end in ordered], dtype=np.int64))
    latest = np.searchsorted(starts, times, side="right") - 1
    inside = latest >= 0
    inside[inside] = times[inside] < ends[latest[inside]]
    return inside


def locate(
    ends: NDArray[np.int64], positions: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tell in which of several parts, one behind the other, positions lie, and where.

    Parameters
    ----------
    ends : ndarray of int64, shape (n,)
        Where each part ends, ascending: the rows of shards or of records, say, summed.
    positions : ndarray of int64, shape (m,)
        Positions in [0, ends[-1]).

    Returns
    -------
    part : ndarray of int64, shape (m,)
        Number of the part.
    within : ndarray of int64, shape (m,)
        Position inside of it.
    """
    part = np.searchsorted(ends, positions, side="right")
    begins = np.concatenate((np.zeros(1, np.int64), ends))
    return part, positions - begins[part]


class WindowIndex:
    """The windows of some runs, numbered from 0 in order of time.

    Parameters
    ----------
    runs : RunTable
        The runs. A window never leaves its run.
    options : WindowOptions
        Size, stride, order, batches and filter.
    observed : ndarray of float64, shape (rows,), optional
        Share of observed cells in each row of the dataset; needed if the options ask
        for a least share.

    Raises
    ------
    WindowError
        If there is no window at all.
    OptionError
        If the options ask for a least share and none is given.
    """

    def __init__(
        self,
        runs: RunTable,
        options: WindowOptions,
        observed: NDArray[np.float64] | None = None,
    ) -> None:
        self.options = options
        counts = np.maximum((runs.rows - options.size) // options.stride + 1, 0)
        kept = counts > 0
        if not len(runs):
            raise WindowError(
                f"a window of {options.size} rows must fit into a run, but there are no"
                " rows; include more time, or exclude less"
            )
        if not kept.any():
            longest = int(runs.rows.max())
            raise WindowError(
                f"a window of {options.size} rows must fit into a run, but the longest"
                f" of {len(runs)} runs has {longest} rows; take a smaller window, or"
                " convert with a larger --max-gap"
            )
        # Stretches of windows whose starts are a stride apart.
        self._first_row, counts = runs.first_row[kept], counts[kept]
        if options.min_observed > 0:
            if observed is None:
                raise OptionError(
                    "min_observed needs to know the observed cells of each row, which"
                    " this reader does not; leave it at 0"
                )
            self._first_row, counts = _filter(
                self._first_row, counts, options, observed
            )
        self._ends = np.cumsum(counts)
        # Computing 64 batches takes little longer than computing one.
        self._group = functools.lru_cache(maxsize=8)(self._several_batches)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def batches(self) -> int:
        """Number of batches in an epoch, the same for every worker."""
        size = self.options.batch_size
        whole, rest = divmod(len(self), size)
        return whole + (1 if rest and not self.options.drop_remainder else 0)

    def check(self, share: Share) -> None:
        """Require that the windows can be shared.

        Parameters
        ----------
        share : Share
            A worker's part.

        Raises
        ------
        OptionError
            If there are more workers than windows in a batch, or than windows.
        """
        most = min(self.options.batch_size, max(len(self) - 1, 1))
        if share.workers > most:
            raise OptionError(
                f"at most {most} workers can share {len(self)} windows in batches of"
                f" {self.options.batch_size}, got {share.workers}; take fewer workers,"
                " a larger batch_size or a smaller stride"
            )

    def first_rows(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell where windows start.

        Parameters
        ----------
        windows : ndarray of int64, shape (n,)
            Numbers of windows, in [0, len).

        Returns
        -------
        ndarray of int64, shape (n,)
            Position of each window's first row in the dataset.
        """
        stretch, within = locate(self._ends, windows)
        return np.asarray(self._first_row[stretch] + within * self.options.stride)

    def batch(self, position: int, share: Share | None = None) -> NDArray[np.int64]:
        """Tell which windows make a batch, or a worker's part of it.

        The windows of a batch are dealt out in turn, so however many workers share it,
        together they have the same windows.

        Parameters
        ----------
        position : int
            Number of the batch, counted over all epochs.
        share : Share, optional
            A worker's part; the whole batch if left out.

        Returns
        -------
        ndarray of int64, shape (n,)
            Position of each window's first row. A last, smaller batch can be too small
            for every worker to get a window.
        """
        epoch, batch = divmod(position, self.batches)
        group, within = divmod(batch, _BATCHES_AT_ONCE)
        begin = within * self.options.batch_size
        whole = self._group(epoch, group)[begin : begin + self.options.batch_size]
        return whole if share is None else whole[share.worker :: share.workers]

    def _several_batches(self, epoch: int, group: int) -> NDArray[np.int64]:
        windows = _BATCHES_AT_ONCE * self.options.batch_size
        begin, end = group * windows, min((group + 1) * windows, len(self))
        numbers = np.arange(begin, end, dtype=np.int64)
        if self.options.shuffle:
            numbers = permute(numbers, len(self), self.options.seed, epoch)
        return self.first_rows(numbers)


def _filter(
    first_row: NDArray[np.int64],
    counts: NDArray[np.int64],
    options: WindowOptions,
    observed: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut stretches of windows to those that are observed well enough."""
    stretch, within = locate(np.cumsum(counts), np.arange(counts.sum()))
    firsts = first_row[stretch] + within * options.stride
    summed = np.concatenate((np.zeros(1), np.cumsum(observed)))
    shares = (summed[firsts + options.size] - summed[firsts]) / options.size
    # Sums of many shares are rounded; a window at the limit stays.
    kept = np.flatnonzero(shares >= options.min_observed - _ROUNDING)
    if not len(kept):
        raise WindowError(
            f"a window must have at least {options.min_observed:.3g} of its cells"
            f" observed, but the best of {len(firsts)} windows has"
            f" {shares.max():.3g}; lower min_observed, or take a smaller window"
        )
    breaks = (np.diff(kept) != 1) | (np.diff(stretch[kept]) != 0)
    heads = np.flatnonzero(np.concatenate(([True], breaks)))
    return firsts[kept[heads]], np.diff(np.append(heads, len(kept)))


def permute(
    positions: NDArray[np.int64], size: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Map positions to numbers by a seeded bijection over [0, size).

    A balanced Feistel network over the smallest even number of bits that holds `size`;
    results outside are mapped again until they are inside (cycle walking) [1]_. The
    round function is the finalizer of MurmurHash3 [2]_.

    Parameters
    ----------
    positions : ndarray of int64, shape (n,)
        Positions in [0, size).
    size : int
        How many there are.
    seed : int
        Seed of the order.
    epoch : int
        Each epoch has its own order.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbers in [0, size).

    References
    ----------
    .. [1] J. Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains",
       CT-RSA 2002.
    .. [2] A. Appleby, MurmurHash3, function ``fmix64``.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    key = np.array([seed, epoch], dtype=np.uint64)
    keys = [_mix(_mix(key[:1] + np.uint64(r)) ^ key[1:]) for r in range(1, _ROUNDS + 1)]
    numbers = positions.astype(np.uint64)
    todo = np.arange(len(numbers))
    while len(todo):
        left, right = numbers[todo] >> half, numbers[todo] & mask
        for round_key in keys:
            left, right = right, left ^ (_mix(right + round_key) & mask)
        numbers[todo] = left << half | right
        todo = todo[numbers[todo] >= np.uint64(size)]
    return numbers.astype(np.int64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values ^ values >> np.uint64(33)
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ values >> np.uint64(33)
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ values >> np.uint64(33)
