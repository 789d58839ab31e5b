"""Where rows stay that were read and normalised once, for the windows that need them.

`Recent` keeps a few records: for reading in order. `Kept` keeps every record it was
given, in memory or in a scratch file: for reading in random order. A scratch file is
read into the batch, not mapped, so it costs the process no memory: what of it stays in
the machine's memory is the system's to decide. Both let several threads fill different
records at a time, and each record is filled by one of them.
"""

from __future__ import annotations

import bisect
import collections
import concurrent.futures
import math
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.buffers import Recycled
from echoanom.errors import StorageError

Observed = NDArray[np.bool_] | None
"""Which cells were observed, shape (rows, C); None where nobody asks."""

Fill = Callable[[int, NDArray[np.float32], Observed], None]
"""Decodes one record, by its number, into arrays of its shape."""

_TODO, _BUSY, _DONE = range(3)


class RowStore(Protocol):
    """Rows by position, filled from records when they are first needed."""

    def read(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        """Copy consecutive rows.

        Parameters
        ----------
        first_row : int
            Position of the first.
        values : ndarray of float32, shape (rows, C)
            Takes the values.
        observed : ndarray of bool, shape (rows, C), or None
            Takes which of them were observed.
        """


class Recent:
    """Keeps the most recently used records, up to a number of bytes.

    Parameters
    ----------
    ends : ndarray of int64, shape (n,)
        Position of the row behind each record.
    columns : int
        Number of columns C.
    observed : bool
        Whether it is kept which values were observed.
    fill : callable
        Decodes a record.
    limit : int
        What it keeps beside the record used last [byte].
    """

    def __init__(
        self,
        ends: NDArray[np.int64],
        columns: int,
        observed: bool,
        fill: Fill,
        limit: int,
    ) -> None:
        self._ends: list[int] = ends.tolist()  # Python's bisect beats NumPy's here
        self._observed = observed
        self._fill = fill
        shape = (int(np.diff(ends, prepend=0).max(initial=0)), columns)
        self._values = Recycled(shape, np.float32)
        self._marks = Recycled(shape, np.bool_)
        # Whatever its length, a record takes a block that fits the longest.
        self._most = limit // max(1, math.prod(shape) * (5 if observed else 4))
        self._kept: collections.OrderedDict[
            int, concurrent.futures.Future[tuple[NDArray[np.float32], Observed]]
        ] = collections.OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        """Copy consecutive rows.

        Parameters
        ----------
        first_row : int
            Position of the first.
        values : ndarray of float32, shape (rows, C)
            Takes the values.
        observed : ndarray of bool, shape (rows, C), or None
            Takes which of them were observed.
        """
        record = bisect.bisect_right(self._ends, first_row)
        done = 0
        while done < len(values):
            stored, seen = self._get(record)
            begin = first_row + done - self._begin(record)
            count = min(len(stored) - begin, len(values) - done)
            values[done : done + count] = stored[begin : begin + count]
            if observed is not None:
                assert seen is not None
                observed[done : done + count] = seen[begin : begin + count]
            done += count
            record += 1

    def _begin(self, record: int) -> int:
        return self._ends[record - 1] if record else 0

    def _get(self, record: int) -> tuple[NDArray[np.float32], Observed]:
        with self._lock:
            found = self._kept.get(record)
            if found is not None:
                self._kept.move_to_end(record)
            else:
                mine = self._kept[record] = concurrent.futures.Future()
        if found is not None:
            return found.result()
        length = self._ends[record] - self._begin(record)
        rows = (
            self._values.take(length),
            self._marks.take(length) if self._observed else None,
        )
        try:
            self._fill(record, *rows)
        except BaseException as error:
            with self._lock:
                self._kept.pop(record)
            mine.set_exception(error)
            raise
        mine.set_result(rows)
        with self._lock:
            self._let_go()
        return rows

    def _let_go(self) -> None:
        for record in list(self._kept)[:-1]:
            if len(self._kept) <= self._most:
                return
            if self._kept[record].done():
                del self._kept[record]


class Kept:
    """Keeps every record that was needed.

    Parameters
    ----------
    ends : ndarray of int64, shape (n,)
        Position of the row behind each record.
    columns : int
        Number of columns C.
    observed : bool
        Whether it is kept which values were observed.
    fill : callable
        Decodes a record.
    in_memory : bool
        In memory, or else in a scratch file that has no name and is gone with the
        process. It stands where `tempfile` puts it: TMPDIR says where.
    """

    def __init__(
        self,
        ends: NDArray[np.int64],
        columns: int,
        observed: bool,
        fill: Fill,
        in_memory: bool,
    ) -> None:
        self._ends: list[int] = ends.tolist()  # Python's bisect beats NumPy's here
        self._fill = fill
        self._state = bytearray([_TODO]) * len(ends)
        self._left = len(ends)
        self._changed = threading.Condition()
        shape = (int(ends[-1]), columns)
        self._place = (_Memory if in_memory else _Scratch)(shape, observed)

    def read(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        """Copy consecutive rows.

        Parameters
        ----------
        first_row : int
            Position of the first.
        values : ndarray of float32, shape (rows, C)
            Takes the values.
        observed : ndarray of bool, shape (rows, C), or None
            Takes which of them were observed.
        """
        if self._left and len(values):
            first = bisect.bisect_right(self._ends, first_row)
            last = bisect.bisect_right(self._ends, first_row + len(values) - 1)
            if self._state.count(_DONE, first, last + 1) < last + 1 - first:
                self._need(range(first, last + 1))
        self._place.read(first_row, values, observed)

    def fill(self) -> None:
        """Fill all records that are not filled yet, in order."""
        self._need(range(len(self._ends)))

    def _need(self, records: Iterable[int]) -> None:
        todo = [record for record in records if self._state[record] != _DONE]
        while todo:
            with self._changed:
                mine = next((r for r in todo if self._state[r] == _TODO), None)
                if mine is not None:
                    self._state[mine] = _BUSY
                elif any(self._state[record] == _BUSY for record in todo):
                    self._changed.wait()
            if mine is not None:
                self._fill_one(mine)
            todo = [record for record in todo if self._state[record] != _DONE]

    def _fill_one(self, record: int) -> None:
        begin = self._ends[record - 1] if record else 0
        after = _TODO
        try:
            values, observed = self._place.room(begin, self._ends[record])
            self._fill(record, values, observed)
            self._place.write(begin, values, observed)
            after = _DONE
        finally:
            with self._changed:
                self._state[record] = after
                self._left -= after == _DONE
                self._changed.notify_all()


class _Memory:
    def __init__(self, shape: tuple[int, int], observed: bool) -> None:
        self._values = np.empty(shape, np.float32)
        self._observed = np.empty(shape, np.bool_) if observed else None

    def room(self, begin: int, end: int) -> tuple[NDArray[np.float32], Observed]:
        observed = None if self._observed is None else self._observed[begin:end]
        return self._values[begin:end], observed

    def write(
        self, begin: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        """Leave the rows where they are: their room is their place."""

    def read(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        rows = slice(first_row, first_row + len(values))
        values[...] = self._values[rows]
        if observed is not None:
            assert self._observed is not None
            observed[...] = self._observed[rows]


class _Scratch:
    def __init__(self, shape: tuple[int, int], observed: bool) -> None:
        self._rows, self._columns = shape
        self._observed = observed
        self._name = f"a scratch file in {tempfile.gettempdir()}"
        with storage.storage_errors(self._name, "make"):
            with tempfile.TemporaryFile(prefix="echoanom-") as file:
                self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)

    def room(self, begin: int, end: int) -> tuple[NDArray[np.float32], Observed]:
        shape = (end - begin, self._columns)
        observed = np.empty(shape, np.bool_) if self._observed else None
        return np.empty(shape, np.float32), observed

    def write(
        self, begin: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        for array, at in self._parts(begin, values, observed):
            left = memoryview(array).cast("B")
            try:
                while len(left):
                    count = os.pwrite(self._file, left, at)
                    left, at = left[count:], at + count
            except OSError as error:
                raise StorageError(
                    f"{self._name} must hold the rows that are read in random order,"
                    f" {self._rows * self._columns * 5 / 2**30:.1f} GiB in all, but:"
                    f" {error.strerror}; set TMPDIR to a larger file system, raise"
                    " memory_bytes, or read in order"
                ) from None

    def read(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> None:
        for array, at in self._parts(first_row, values, observed):
            count = os.preadv(self._file, [array], at)
            while count < array.nbytes:  # one call reads at most 2 GiB
                rest = memoryview(array).cast("B")[count:]
                more = os.preadv(self._file, [rest], at + count)
                if not more:
                    raise StorageError(
                        f"{self._name} must keep its rows, but lost some"
                    )
                count += more

    def _parts(
        self, first_row: int, values: NDArray[np.float32], observed: Observed
    ) -> list[tuple[Any, int]]:
        cell = first_row * self._columns
        parts: list[tuple[Any, int]] = [(values, 4 * cell)]
        if observed is not None:
            parts.append((observed, 4 * self._rows * self._columns + cell))
        return parts
