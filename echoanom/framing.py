"""Rows that arrive block by block become windows, without any being read again.

The rows of a window may come in several blocks and from two shards. What a later
window needs of the rows that came is carried along: fewer rows than a window has. A
window belongs to the shard of its first row. Halo rows, which repeat the first rows of
the next shard, complete windows and start none. So a shard whose halo has at least
``size − 1`` rows gives all of its windows wherever it comes, and shards without halo
give all of theirs in order of time.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from echoanom.buffers import Recycled
from echoanom.errors import WindowError
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization, take_in
from echoanom.options import WindowOptions
from echoanom.records import Block
from echoanom.stamps import format_stamp

_HANDED_CELLS = 1 << 16  # for fewer a helper is not worth its while


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Rows and the windows that start in them, in order of arrival.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, C)
        The rows; those of a window are neighbours.
    observed : ndarray of bool, shape (rows, C), or None
        False where a value is missing or was filled; None where not asked for.
    offsets : ndarray of int64, shape (n,)
        Position in `values` of each window's first row.
    start_s : ndarray of int64, shape (n,)
        Time of each window's first row [s since 1970-01-01 UTC].
    """

    values: NDArray[np.float32]
    observed: NDArray[np.bool_] | None
    offsets: NDArray[np.int64]
    start_s: NDArray[np.int64]


class Framer:
    """Cuts windows out of blocks that come one after the other.

    Times are counted in periods since 1970 here; a window is known by the time of its
    first row.

    Parameters
    ----------
    runs : RunTable
        The runs to take windows from. Rows outside are passed over.
    period_s : int
        Sample period [s].
    columns : int
        Number of columns C.
    options : WindowOptions
        Size and stride.
    chunk_rows : int
        Rows that a chunk has room for, at least the size of a window [rows].
    normalization : Normalization, optional
        Applied to each row once. Left out, values are as they come, NaN is missing.
    observed : bool
        Whether chunks tell which values were observed.
    helper : Executor, optional
        Takes over the work on large blocks, if given. Then the rows of a block must
        stay as they are for a while, which `turn` ends.
    name : str
        Where the blocks come from, for messages.
    """

    def __init__(
        self,
        runs: RunTable,
        period_s: int,
        columns: int,
        options: WindowOptions,
        chunk_rows: int,
        *,
        normalization: Normalization | None = None,
        observed: bool = True,
        helper: concurrent.futures.Executor | None = None,
        name: str = "stream",
    ) -> None:
        self._size, self._stride = options.size, options.stride
        self._period_s = period_s
        self._name = name
        self._normalization = normalization
        self._run_start = runs.start_s // period_s
        self._run_end = self._run_start + runs.rows
        # Behind the last window of a run no row is needed.
        windows = np.maximum((runs.rows - self._size) // self._stride + 1, 0)
        needed = (windows - 1) * self._stride + self._size
        self._needed_end = self._run_start + np.where(windows > 0, needed, 0)
        shape = (chunk_rows, columns)
        self._chunk_rows = chunk_rows
        self._new_values = Recycled(shape, np.float32)
        self._new_observed = Recycled(shape, np.bool_) if observed else None
        self._helper = helper
        self._pending: list[concurrent.futures.Future[None]] = []
        self._older: list[concurrent.futures.Future[None]] = []
        # The stretch: rows without a gap, up to `_end`, of which those up to `_own_end`
        # may start windows. The next window starts at `_next`.
        self._run = -1
        self._own_end = self._end = self._next = 0
        # The chunk in the making: `_used` rows, of which windows need those up to
        # `_kept`; the row of time t is at t − _base.
        self._used = self._kept = self._base = 0
        self._values: NDArray[np.float32] = np.empty((0, columns), np.float32)
        self._observed: NDArray[np.bool_] | None = None
        self._found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, block: Block, offset: int) -> Iterator[Chunk]:
        """Take in a block.

        Parameters
        ----------
        block : Block
            Its rows, halo or own. Without a helper, they are not needed after the last
            chunk.
        offset : int
            Where its record starts in the stream [byte], for messages.

        Yields
        ------
        Chunk
            As soon as one is full.

        Raises
        ------
        WindowError
            If the rows that a window still needs did not come.
        """
        first = block.start_s // self._period_s
        last = first + len(block.values)
        runs = range(
            int(np.searchsorted(self._run_end, first, side="right")),
            int(np.searchsorted(self._run_start, last, side="left")),
        )
        for run in runs:
            begin = max(first, int(self._run_start[run]))
            end = min(last, int(self._run_end[run]))
            if block.halo:
                if run != self._run or begin > self._end:
                    continue  # none of our rows comes before
                begin = self._end  # what is there already came as halo before
                end = min(end, self._own_need())
            else:
                if run != self._run or begin != self._own_end:
                    self._close(f"the record at byte {offset} starts", block.start_s)
                    self._open(run, begin)
                self._own_end = end
                begin = max(begin, self._end)  # what is there already came as halo
            end = min(end, int(self._needed_end[run]))
            yield from self._append(block, first, begin, end)
            self._find()

    def turn(self) -> None:
        """Wait until all rows that came before the last turn are taken in."""
        while self._older:
            self._older.pop().result()
        self._older, self._pending = self._pending, self._older

    def finish(self) -> Iterator[Chunk]:
        """Give out what is left when no more blocks come.

        Yields
        ------
        Chunk
            The last, if it has a window.

        Raises
        ------
        WindowError
            If the rows that a window still needs did not come.
        """
        self._close("the stream ends", None)
        if self._found:
            yield self._seal()

    def _open(self, run: int, first: int) -> None:
        start = int(self._run_start[run])
        self._run = run
        self._own_end = self._end = first
        self._next = first + (start - first) % self._stride

    def _close(self, what: str, start_s: int | None) -> None:
        if self._used > self._kept:
            self._settle()  # what is still being written would be written over
            self._used = self._kept
        if self._run < 0 or self._next >= self._own_end:
            return
        if self._next + self._size > self._run_end[self._run]:
            return
        window, row = (
            format_stamp(time * self._period_s) for time in (self._next, self._end)
        )
        came = what if start_s is None else f"{what} at {format_stamp(start_s)}"
        raise WindowError(
            f"{self._name}: the window of {self._size} rows from {window} needs the row"
            f" of {row} next, but {came}; stream whole shards in order of time, or"
            f" convert with --halo {self._size - 1} or more"
        )

    def _own_need(self) -> int:
        """Return where the last window ends that starts in the shard's own rows."""
        further = max(0, -(-(self._own_end - self._next) // self._stride))
        return self._next + (further - 1) * self._stride + self._size

    def _append(
        self, block: Block, first: int, begin: int, end: int
    ) -> Iterator[Chunk]:
        while begin < end:
            if begin < self._next:  # no window needs these rows
                begin = self._end = min(end, self._next)
                continue
            if self._used == len(self._values):
                if self._found:
                    yield self._seal()
                self._renew()
            stop = min(end, begin + len(self._values) - self._used)
            if self._stride > self._size:
                stop = min(stop, self._next + self._size)
            rows = slice(begin - first, stop - first)
            self._base = begin - self._used
            self._store(
                block.values[rows], None if block.filled is None else block.filled[rows]
            )
            begin = self._end = stop
            self._find()

    def _store(
        self, rows: NDArray[np.float32], filled: NDArray[np.bool_] | None
    ) -> None:
        at = slice(self._used, self._used + len(rows))
        self._used = at.stop
        observed = None if self._observed is None else self._observed[at]
        work = functools.partial(
            take_in, rows, filled, self._normalization, self._values[at], observed
        )
        if self._helper is None or rows.size < _HANDED_CELLS:
            work()
        else:
            self._pending.append(self._helper.submit(work))

    def _settle(self) -> None:
        """Wait until all rows are taken in."""
        self.turn()
        self.turn()

    def _find(self) -> None:
        """Note the windows that have become complete."""
        last = min(self._own_end - 1, self._end - self._size)
        if last < self._next:
            return
        starts = np.arange(self._next, last + 1, self._stride, dtype=np.int64)
        self._found.append((starts - self._base, starts * self._period_s))
        self._next = int(starts[-1]) + self._stride
        self._kept = int(starts[-1]) - self._base + self._size

    def _seal(self) -> Chunk:
        self._settle()
        offsets, start_s = (
            np.concatenate(parts) for parts in zip(*self._found, strict=True)
        )
        self._found.clear()
        observed = None if self._observed is None else self._observed[: self._used]
        return Chunk(self._values[: self._used], observed, offsets, start_s)

    def _renew(self) -> None:
        """Begin a chunk with the rows that the next window has already."""
        self._settle()
        carried = slice(self._used - max(0, self._end - self._next), self._used)
        values, observed = self._values, self._observed
        self._used, self._kept = carried.stop - carried.start, 0
        self._values = self._new_values.take(self._chunk_rows)
        self._values[: self._used] = values[carried]
        if self._new_observed is not None:
            self._observed = self._new_observed.take(self._chunk_rows)
            if observed is not None:
                self._observed[: self._used] = observed[carried]
