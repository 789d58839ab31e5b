"""The protocol that SKAB publishes its results by.

Models learn from the first 400 rows of each file. A window of 60 rows is unusual if its
error is more than 4/3 of the 0.999 quantile of those of the windows to train on. A row
is an outlier if all windows are unusual that begin before it and hold it; the first 59
and the last 118 rows of a file never are, as in the published code [1]_. The rows after
the first 400 of all files are counted together: with these, and not with all rows, the
published F1 follows from the published rates.

References
----------
.. [1] I. D. Katser and V. O. Kozitsin (2020), "Skoltech Anomaly Benchmark (SKAB)",
   https://doi.org/10.34740/KAGGLE/DSV/1693952, notebook ``Conv_AE.ipynb``
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

QUANTILE = 0.999
FACTOR = 4 / 3


@dataclasses.dataclass(frozen=True)
class Counts:
    """Rows, by what they are and what was said of them.

    Attributes
    ----------
    right, false, missed, quiet : int
        Outliers found, found where none is, not found, and rows rightly left alone.
    """

    right: int
    false: int
    missed: int
    quiet: int

    @classmethod
    def of(cls, found: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> Counts:
        """Count.

        Parameters
        ----------
        found, labelled : ndarray of bool, shape (N,)
            What was said of each row, and what it is.

        Returns
        -------
        Counts
            The counts.
        """
        return cls(
            right=int((found & labelled).sum()),
            false=int((found & ~labelled).sum()),
            missed=int((~found & labelled).sum()),
            quiet=int((~found & ~labelled).sum()),
        )

    @classmethod
    def total(cls, counts: Iterable[Counts]) -> Counts:
        """Add up.

        Parameters
        ----------
        counts : iterable of Counts
            Those of each file.

        Returns
        -------
        Counts
            Their sum.
        """
        every = [dataclasses.astuple(one) for one in counts]
        return cls(*(sum(column) for column in zip(*every, strict=True)))

    def rates(self) -> dict[str, float]:
        """Return the published measures.

        Returns
        -------
        dict of str to float
            ``f1``; false and missed alarm rate, ``far`` and ``mar`` [%].
        """
        wrong = self.false + self.missed
        return {
            "f1": 2 * self.right / max(2 * self.right + wrong, 1),
            "far": 100 * self.false / max(self.false + self.quiet, 1),
            "mar": 100 * self.missed / max(self.missed + self.right, 1),
        }


def threshold(training_errors: NDArray[np.float64]) -> float:
    """Return the error above which a window is unusual.

    Parameters
    ----------
    training_errors : ndarray of float64, shape (N,)
        Errors of the windows to train on.

    Returns
    -------
    float
        The threshold.
    """
    return FACTOR * float(np.quantile(training_errors, QUANTILE))


def outliers(unusual: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Tell which rows are outliers.

    Parameters
    ----------
    unusual : ndarray of float64, shape (N,)
        1 where an unusual window begins, 0 where another does, NaN where none does.
    size : int
        Rows in a window, at least 2.

    Returns
    -------
    ndarray of bool, shape (N,)
        True for rows for which all windows that begin before them and hold them are
        unusual, and at least one does.
    """
    rows = len(unusual)
    # As published: the end is that of the windows, a window short of that of the rows.
    end = (rows - size + 1) - size + 1
    there = np.concatenate(([0], np.cumsum(~np.isnan(unusual))))
    high = np.concatenate(([0], np.cumsum(unusual == 1)))
    found = np.zeros(rows, dtype=np.bool_)
    row = np.arange(size - 1, max(end, size - 1))
    windows = there[row] - there[row - size + 1]
    found[row] = (windows > 0) & (high[row] - high[row - size + 1] == windows)
    return found
