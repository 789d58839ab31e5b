"""Rows that windows in order of time share: read once a batch, not once a window.

A window of 64 rows at stride 1 repeats 63 rows of its neighbour. So a batch travels as
the rows that its windows cover, each once, with the place of each window among them;
whoever takes it frames the windows where they are needed.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import WindowError
from echoanom.reader import IndexedReader
from echoanom.windowing import WindowIndex


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the B windows of a batch lie among the R rows that they cover.

    Attributes
    ----------
    first : ndarray of int64, shape (S,)
        Position in the dataset of the first row of each stretch of neighbouring rows.
        The stretches lie one behind the other in the R rows.
    count : ndarray of int64, shape (S,)
        Rows of each stretch.
    places : ndarray of int32, shape (B,)
        Index of each window's first row among the R, ascending.
    """

    first: NDArray[np.int64]
    count: NDArray[np.int64]
    places: NDArray[np.int32]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Position of each row in the dataset, int64, shape (R,), ascending."""
        ends = np.cumsum(self.count)
        ahead = np.repeat(self.first - ends + self.count, self.count)
        return np.asarray(ahead + np.arange(len(ahead)))


@dataclasses.dataclass(frozen=True)
class RowSpan:
    """The R rows that the B windows of a batch cover, each row once.

    Attributes
    ----------
    rows : ndarray of int64, shape (R,)
        Position of each row in the dataset, ascending.
    places : ndarray of int32, shape (B,)
        Index of each window's first row among the R, ascending. The window's other
        rows follow it.
    values : ndarray of float32, shape (R, C)
        As the reader gives them.
    observed : ndarray of bool, shape (R, C)
        False where a value is missing or was filled.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int32]
    values: NDArray[np.float32]
    observed: NDArray[np.bool_]


def lay_out(first_rows: NDArray[np.int64], size: int) -> Layout:
    """Find the rows that the windows of a batch cover.

    Parameters
    ----------
    first_rows : ndarray of int64, shape (B,)
        Position of each window's first row in the dataset, ascending; at least one.
    size : int
        Rows in a window.

    Returns
    -------
    Layout
        Of the covered rows, none of them twice.

    Raises
    ------
    WindowError
        If a window does not start behind the one before.
    """
    steps = np.diff(first_rows)
    if (steps < 1).any():
        raise WindowError(
            "windows must come in order of time, one for each start, but their first"
            f" rows do not ascend between {first_rows[0]} and {first_rows[-1]}"
        )
    heads = np.concatenate(([0], np.flatnonzero(steps > size) + 1))
    windows = np.diff(np.append(heads, len(first_rows)))
    first = first_rows[heads]
    count = first_rows[heads + windows - 1] + size - first
    ahead = first - (np.cumsum(count) - count)
    places = first_rows - np.repeat(ahead, windows)
    return Layout(first, count, places.astype(np.int32))


def row_spans(
    reader: IndexedReader, index: WindowIndex, batches: range | None = None
) -> Iterator[RowSpan]:
    """Read the rows of one batch of windows after the other.

    The next batch is read while its user is busy with the one before.

    Parameters
    ----------
    reader : IndexedReader
        Gives the rows.
    index : WindowIndex
        The windows, in order of time: not shuffled.
    batches : range, optional
        Numbers of the batches to read, at least one; those of an epoch if left out.

    Yields
    ------
    RowSpan
        The rows of each batch.

    Raises
    ------
    WindowError
        If the windows are not in order of time.
    CorruptionError
        If stored bytes are not what the manifest says.
    """

    def read(batch: int) -> RowSpan:
        layout = lay_out(index.batch(batch), index.options.size)
        stretches = zip(layout.first.tolist(), layout.count.tolist(), strict=True)
        parts = [reader.rows(first, count) for first, count in stretches]
        values, observed = zip(*parts, strict=True)
        return RowSpan(layout.rows, layout.places, _one(values), _one(observed))

    with concurrent.futures.ThreadPoolExecutor(1, "echoanom-rows") as reading:
        first, *others = range(index.batches) if batches is None else batches
        ahead = reading.submit(read, first)
        for batch in others:
            span = ahead.result()
            ahead = reading.submit(read, batch)
            yield span
        yield ahead.result()


def _one(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
