"""The work that every reader is given: the data, the windows, and what they hold."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization, fit_normalization
from echoanom.options import (
    Codec,
    ShardOptions,
    StackOptions,
    StorageDtype,
    WindowOptions,
)
from echoanom.reader import IndexedReader
from echoanom.simulation import SimulationOptions, simulate
from echoanom.windowing import WindowIndex

SENSOR = "echosounder"
WINDOW = 64
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Case:
    """Which windows are read, in what order.

    Attributes
    ----------
    name : str
        As in the tables.
    stride : int
        Rows between the starts of neighbouring windows [rows].
    shuffle : bool
        Whether they come in random order.
    """

    name: str
    stride: int
    shuffle: bool = False

    @property
    def options(self) -> WindowOptions:
        """The same as echoanom's options."""
        return WindowOptions(WINDOW, self.stride, BATCH, shuffle=self.shuffle)


CASES = {
    case.name: case
    for case in (
        Case("shuffled stride 1", 1, shuffle=True),
        Case("sequential stride 64", 64),
        Case("sequential stride 1", 1),
    )
}


class Data:
    """Days of the simulated echosounder: its tables, and the same rows in other forms.

    Parameters
    ----------
    folder : str or Path
        Where they are; `make` writes them there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def make(cls, folder: str | Path, days: int, columns: int) -> Data:
        """Simulate and convert, unless it is there.

        Parameters
        ----------
        folder : str or Path
            Where to.
        days, columns : int
            How much.

        Returns
        -------
        Data
            Ready to read.
        """
        data = cls(folder)
        with data.made("source") as source:
            if source:
                simulated = SimulationOptions(days, bins=columns, sensors=(SENSOR,))
                simulate(str(source), simulated, workers=len(os.sched_getaffinity(0)))
        with data.made("rows.npy") as path:
            if path:
                dataset = data.dataset()
                values, _ = IndexedReader(dataset).rows(0, dataset.rows)
                with open(path, "wb") as file:
                    np.save(file, values)
        return data

    @contextlib.contextmanager
    def made(self, name: str) -> Iterator[Path | None]:
        """Give a path to write to, which gets its name once it is whole.

        Parameters
        ----------
        name : str
            Below `folder`.

        Yields
        ------
        Path or None
            Where to write; None if it is there already.
        """
        path = self.folder / name
        if path.exists():
            yield None
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        # Whatever an interrupted run left has the name of another folder.
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.folder))
        try:
            yield unfinished / name
            (unfinished / name).rename(path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @property
    def source(self) -> Path:
        """Folder of the daily tables."""
        return self.folder / "source"

    @property
    def rows_path(self) -> Path:
        """Array file of all rows as stored, NaN where missing: float32, shape (N, C)."""
        return self.folder / "rows.npy"

    def dataset(
        self, dtype: StorageDtype = "float32", codec: Codec = "none"
    ) -> Dataset:
        """Open the dataset, converted first if it is not there.

        Parameters
        ----------
        dtype : {'float32', 'float16', 'int16'}
            How its rows are stored.
        codec : {'none', 'zstd'}
            How its records are compressed.

        Returns
        -------
        Dataset
            Opened.
        """
        name = f"dataset-{dtype}-{codec}"
        with self.made(name) as path:
            if path:
                convert(
                    str(self.source),
                    str(path),
                    stacking=StackOptions(sensors=(SENSOR,)),
                    sharding=ShardOptions(dtype=dtype, codec=codec),
                )
        return open_dataset(str(self.folder / name))

    @functools.cached_property
    def runs(self) -> RunTable:
        """Maximal stretches of rows without a gap."""
        return self.dataset().runs

    @functools.cached_property
    def normalization(self) -> Normalization:
        """What the rows are scaled by: each column's range becomes 0 to 1."""
        return fit_normalization(self.dataset().statistics(), "range")

    def rows(self) -> NDArray[np.float32]:
        """Read all rows into memory.

        Returns
        -------
        ndarray of float32, shape (N, C)
            As stored; NaN where missing.
        """
        rows: NDArray[np.float32] = np.load(self.rows_path)
        return rows

    def normalised(self) -> NDArray[np.float32]:
        """Read all rows into memory and normalise them.

        Returns
        -------
        ndarray of float32, shape (N, C)
            Normalised, missing cells filled.
        """
        rows = self.rows()
        for begin in range(0, len(rows), WINDOW):
            block = rows[begin : begin + WINDOW]
            normalise(block, self.normalization, block)
        return rows

    def index(self, case: Case) -> WindowIndex:
        """Say which windows there are.

        Parameters
        ----------
        case : Case
            Stride and order.

        Returns
        -------
        WindowIndex
            Of the whole dataset.
        """
        return WindowIndex(self.runs, case.options)

    def first_rows(self, case: Case) -> NDArray[np.int64]:
        """Say where windows start, in order of time.

        Parameters
        ----------
        case : Case
            Has the stride.

        Returns
        -------
        ndarray of int64, shape (n,)
            Position of each window's first row.
        """
        index = self.index(case)
        return index.first_rows(np.arange(len(index)))

    def expected(self, case: Case, windows: int, count: int) -> NDArray[np.int64]:
        """Say where windows start that come after others, over any number of epochs.

        Parameters
        ----------
        case : Case
            Stride and order.
        windows : int
            How many came before, counted from the first epoch.
        count : int
            How many are asked for.

        Returns
        -------
        ndarray of int64, shape (count,)
            Position of each window's first row, in echoanom's order.
        """
        index = self.index(case)
        epoch, within = divmod(windows, len(index))
        batch = epoch * index.batches + within // BATCH
        skipped = within % BATCH
        found: list[NDArray[np.int64]] = []
        while sum(map(len, found)) < count + skipped:
            found.append(index.batch(batch + len(found)))
        return np.concatenate(found)[skipped : skipped + count]


def normalise(
    values: NDArray[np.float32],
    normalization: Normalization,
    out: NDArray[np.float32],
) -> None:
    """Normalise rows and fill missing cells, as echoanom does, into memory that is there.

    Parameters
    ----------
    values : ndarray of float32, shape (..., C)
        As stored; NaN where missing.
    normalization : Normalization
        The scaling.
    out : ndarray of float32, shape (..., C)
        Takes the result; may be `values`.
    """
    normalization.apply_to(values, values == values, out)


def copy_windows(
    rows: NDArray[np.float32], first_rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Copy windows into a fresh batch: the copy limit.

    Parameters
    ----------
    rows : ndarray of float32, shape (N, C)
        In memory.
    first_rows : ndarray of int64, shape (B,)
        Position of each window's first row.

    Returns
    -------
    ndarray of float32, shape (B, T, C)
        The batch.
    """
    batch = np.empty((len(first_rows), WINDOW, rows.shape[1]), dtype=np.float32)
    for i, first in enumerate(first_rows.tolist()):
        batch[i] = rows[first : first + WINDOW]
    return batch


def window_sums(
    rows: NDArray[np.float32], first_rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Add up the cells of each window.

    Parameters
    ----------
    rows : ndarray of float32, shape (N, C)
        Rows without NaN.
    first_rows : ndarray of int64, shape (n,)
        Position of each window's first row.

    Returns
    -------
    ndarray of float64, shape (n,)
        Their sums.
    """
    by_row = rows.sum(axis=1, dtype=np.float64)
    return np.array([math.fsum(by_row[f : f + WINDOW]) for f in first_rows.tolist()])
