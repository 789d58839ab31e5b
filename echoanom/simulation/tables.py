"""Daily tables as CSV text, fast, and as the numbers that are in that text.

Numbers are written with fixed decimals, so a block of values holds at most some ten
thousand different texts. They are made once and looked up cell by cell; NumPy then
copies them into rows of fixed width, and the padding is taken out at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.anomalies import time_text
from echoanom.simulation.site import Block, Floats

# Tables of texts start and end at multiples of this, so that days share them.
_TABLE_STEP = 4096


def table_text(
    minutes: NDArray[np.int64],
    values: Sequence[Floats],
    blocks: Sequence[Block],
    there: NDArray[np.bool_],
) -> bytes:
    """Write one sensor's day.

    Parameters
    ----------
    minutes : ndarray of int64, shape (T,)
        Minutes of UTC, counted from day 0.
    values : sequence of ndarray of float32, shape (T, C)
        One for each block; NaN is written as a blank cell.
    blocks : sequence of Block
        Columns and decimals of each.
    there : ndarray of bool, shape (T,)
        Rows to write.

    Returns
    -------
    bytes
        CSV with a header; the first column is ``timestamp``.
    """
    names = [column.name for block in blocks for column in block.columns]
    lines = [",".join(["timestamp", *names]).encode()]
    cells = [_cells(v[there], b) for v, b in zip(values, blocks, strict=True)]
    for i, minute in enumerate(minutes[there]):
        row = [time_text(int(minute)).encode()]
        lines.append(b"".join(row + [block[i].tobytes() for block in cells]))
    # Words are padded with NUL to the same width, which no text holds.
    return b"\n".join([*lines, b""]).translate(None, b"\0")


def table_values(
    values: Sequence[Floats], blocks: Sequence[Block], there: NDArray[np.bool_]
) -> Floats:
    """Round one sensor's day to what `table_text` writes.

    Parameters
    ----------
    values : sequence of ndarray of float32, shape (T, C)
        One for each block; NaN where missing.
    blocks : sequence of Block
        Columns and decimals of each.
    there : ndarray of bool, shape (T,)
        Rows to keep.

    Returns
    -------
    ndarray of float32, shape (N, sum of C)
        What reading the text gives: the nearest float64 of each number, rounded to
        float32.
    """
    parts = []
    for part, block in zip(values, blocks, strict=True):
        numbers, blank = _scaled(part[there], block)
        parts.append((numbers / 10**block.decimals).astype(np.float32))
        parts[-1][blank] = np.nan
    return np.concatenate(parts, axis=1)


def _scaled(
    values: Floats, block: Block
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return values in units of their last decimal, and which are missing."""
    blank = np.isnan(values)
    scaled = np.rint(np.where(blank, 0, values) * np.float32(10**block.decimals))
    numbers = scaled.astype(np.int32)
    if block.kind == "direction":
        numbers %= 360 * 10**block.decimals
    return numbers, blank


def _cells(values: Floats, block: Block) -> NDArray[np.bytes_]:
    """Turn values (T, C) to words, each with the comma before it."""
    numbers, blank = _scaled(values, block)
    if numbers.size == 0:
        return np.empty(values.shape, dtype="S1")
    low = int(numbers.min()) // _TABLE_STEP
    high = int(numbers.max()) // _TABLE_STEP + 1
    words = _words(low, high, block.decimals)
    numbers -= low * _TABLE_STEP
    numbers[blank] = len(words) - 1
    return words[numbers]


@functools.lru_cache(maxsize=64)
def _words(low: int, high: int, decimals: int) -> NDArray[np.bytes_]:
    """Write all numbers between two multiples of the step, and a blank as the last."""
    scale = 10**decimals
    numbers = range(low * _TABLE_STEP, high * _TABLE_STEP)
    written = [b",%.*f" % (decimals, number / scale) for number in numbers]
    return np.array([*written, b","])
