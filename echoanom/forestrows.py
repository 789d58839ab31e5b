"""The vectors that a Random Cut Forest sees: one for each row, of all its columns.

They are scaled and filled like the autoencoder's input, and the same days are held
back, so that either method learns from the same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.dataset import Dataset
from echoanom.holdout import Holdout, hold_back, training_normalization
from echoanom.manifest import RunTable
from echoanom.modeloptions import ForestOptions
from echoanom.normalization import Normalization
from echoanom.options import DAY_S
from echoanom.reader import IndexedReader
from echoanom.windowing import Interval, select

_BLOCK_CELLS = 1 << 20


@dataclasses.dataclass(frozen=True)
class Block:
    """Consecutive rows of one day.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Starts of the rows [s since 1970-01-01 UTC].
    values : ndarray of float32, shape (n, C)
        Normalised; a missing cell is its column's mean.
    observed : ndarray of bool, shape (n, C)
        False where a value is missing or was filled.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float32]
    observed: NDArray[np.bool_]

    @property
    def day(self) -> int:
        """The UTC day [d since 1970-01-01]."""
        return int(self.times[0]) // DAY_S


@dataclasses.dataclass(frozen=True)
class ForestRows:
    """A dataset's rows as vectors.

    Attributes
    ----------
    dataset : Dataset
        Where they are.
    holdout : Holdout
        Those to learn from, and those held back.
    normalization : Normalization
        Of those to learn from.
    """

    dataset: Dataset
    holdout: Holdout
    normalization: Normalization

    def blocks(self, runs: RunTable) -> Iterator[Block]:
        """Read rows, a few at a time however many there are.

        Parameters
        ----------
        runs : RunTable
            The rows to read.

        Yields
        ------
        Block
            In order of time; none goes beyond its day.

        Raises
        ------
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        # In order of time no record is asked for again.
        reader = IndexedReader(self.dataset, self.normalization, memory_bytes=0)
        period_s = self.dataset.period_s
        most = max(1, _BLOCK_CELLS // len(self.dataset.columns))
        for first, rows, start in _pieces(runs, period_s, most):
            values, observed = reader.rows(first, rows)
            times = start + period_s * np.arange(rows, dtype=np.int64)
            yield Block(times, values, observed)

    def observed_blocks(self, runs: RunTable) -> Iterator[Block]:
        """Read the rows of which anything was observed: others are means alone.

        Parameters
        ----------
        runs : RunTable
            The rows to read.

        Yields
        ------
        Block
            As `blocks` does; none is empty.

        Raises
        ------
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        for block in self.blocks(runs):
            seen = block.observed.any(axis=1)
            if seen.any():
                yield Block(block.times[seen], block.values[seen], block.observed[seen])


def forest_rows(
    dataset: Dataset,
    options: ForestOptions,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
) -> ForestRows:
    """Choose the rows to learn from, and find how they are scaled.

    Parameters
    ----------
    dataset : Dataset
        What to learn from.
    options : ForestOptions
        Normalization, and the share that is held back.
    include : sequence of (int, int), optional
        Use rows inside these half-open intervals only [s since 1970-01-01 UTC].
    exclude : sequence of (int, int)
        Leave out rows inside these.

    Returns
    -------
    ForestRows
        Ready to be read.

    Raises
    ------
    TrainingError
        If there are too few rows to hold some back, nothing was observed, or no column
        varies.
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    runs = select(dataset.runs, dataset.period_s, include, exclude)
    holdout = hold_back(runs, dataset.period_s, 1, options.validation)
    normalization = training_normalization(
        dataset, holdout.training, options.normalization
    )
    return ForestRows(dataset, holdout, normalization)


def _pieces(runs: RunTable, period_s: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Cut runs at midnight, and to so many rows: first row, rows and start of each."""
    for first, rows, start in zip(
        runs.first_row.tolist(), runs.rows.tolist(), runs.start_s.tolist(), strict=True
    ):
        begin = 0
        while begin < rows:
            time = start + begin * period_s
            today = -(-(DAY_S - time % DAY_S) // period_s)
            count = min(rows - begin, today, most)
            yield first + begin, count, time
            begin += count
