#!/usr/bin/env python3
"""Tell what keeps SKAB's published protocol from a higher F1: try what can be chosen.

::

    python benchmarks/skab_trials.py --data ../shared/data --json skab_trials.json

Principal components of windows, fitted to the rows of the files as they are, with all
that may be chosen of them: their number, the share of the windows to train on that they
are fitted to, squared or absolute errors. Each is judged by the protocol, and by the best
factor there is, chosen with the labels known: what no threshold of this kind can exceed.
Beside that, where false alarms are: before the fault, and after it.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
import skab_protocol
from numpy.typing import NDArray
from observatories import OBSERVATORIES, skab_files
from skab_protocol import Counts

ROWS, SIZE = 400, 60
COMPONENTS = (0, 4, 8, 16, 32, 64)
SHARES = (0.5, 0.75, 0.85, 1.0)
FACTORS = tuple(np.geomspace(0.7, 6, 25))
COLUMNS = {
    "components": "components",
    "share": "fitted to",
    "error": "error",
    "f1": "F1",
    "far": "FAR [%]",
    "mar": "MAR [%]",
    "best_f1": "best F1",
    "best_factor": "its factor",
}


@dataclasses.dataclass(frozen=True)
class File:
    """One file of SKAB.

    Attributes
    ----------
    windows : ndarray of float64, shape (N, T * C)
        Windows of the rows, a row after the other, normalised by the rows to train on.
    labelled : ndarray of bool, shape (N + T - 1,)
        Rows that are anomalous.
    """

    windows: NDArray[np.float64]
    labelled: NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path) -> File:
        """Read a file.

        Parameters
        ----------
        path : Path
            The CSV.

        Returns
        -------
        File
            Its windows and labels.
        """
        table = pd.read_csv(path, sep=";", index_col=0)
        values = table.drop(columns=["anomaly", "changepoint"]).to_numpy(np.float64)
        spread = values[:ROWS].std(axis=0)
        values = (values - values[:ROWS].mean(axis=0)) / np.where(spread, spread, 1)
        windows = np.lib.stride_tricks.sliding_window_view(values, SIZE, axis=0)
        flat = windows.swapaxes(1, 2).reshape(len(windows), -1)
        return cls(flat, table["anomaly"].to_numpy() > 0)

    def residuals(self, components: int, share: float) -> NDArray[np.float64]:
        """Take out of the windows what components explain.

        Parameters
        ----------
        components : int
            How many; 0 for the mean alone.
        share : float
            Of the windows to train on, what they are fitted to, from the first.

        Returns
        -------
        ndarray of float64, shape (N, T * C)
            What is left.
        """
        fitted = self.windows[: round(share * (ROWS - SIZE + 1))]
        mean = fitted.mean(axis=0)
        directions = np.linalg.svd(fitted - mean, full_matrices=False)[2][:components]
        centred = self.windows - mean
        rest: NDArray[np.float64] = centred - (centred @ directions.T) @ directions
        return rest

    def outliers(self, errors: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
        """Tell which rows are outliers.

        Parameters
        ----------
        errors : ndarray of float64, shape (N,)
            Of the windows.
        factor : float
            The threshold over that of the protocol.

        Returns
        -------
        ndarray of bool, shape (N + T - 1,)
            The rows.
        """
        limit = factor * skab_protocol.threshold(errors[: ROWS - SIZE + 1])
        unusual = np.full(len(self.labelled), np.nan)
        unusual[: len(errors)] = errors > limit
        return skab_protocol.outliers(unusual, SIZE)


def judged(
    files: Sequence[File], errors: Sequence[NDArray[np.float64]], factor: float = 1
) -> measuring.Figures:
    """Judge the errors of all files.

    Parameters
    ----------
    files : sequence of File
        The files.
    errors : sequence of ndarray
        Of the windows of each.
    factor : float
        The threshold over that of the protocol.

    Returns
    -------
    dict
        ``f1``, ``far`` and ``mar`` [%].
    """
    return Counts.total(
        Counts.of(file.outliers(error, factor)[ROWS:], file.labelled[ROWS:])
        for file, error in zip(files, errors, strict=True)
    ).rates()


def by_place(
    files: Sequence[File], errors: Sequence[NDArray[np.float64]]
) -> measuring.Figures:
    """Tell where false alarms are.

    Parameters
    ----------
    files : sequence of File
        The files.
    errors : sequence of ndarray
        Of the windows of each.

    Returns
    -------
    dict
        Of the rows that are judged and not labelled, before the first label and after
        it: how many, how many are false alarms, and in how many files.
    """
    found: measuring.Figures = {}
    for place in ("before", "after"):
        false, rows = [], 0
        for file, error in zip(files, errors, strict=True):
            row = np.arange(len(file.labelled))
            early = row < np.flatnonzero(file.labelled)[0]
            here = (early if place == "before" else ~early) & ~file.labelled
            here &= row >= ROWS
            rows += int(here.sum())
            false.append(int((file.outliers(error, 1) & here).sum()))
        found[place] = {
            "rows": rows,
            "false": sum(false),
            "files": sum(count > 0 for count in false),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all, print a table, and write the figures.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__)
    parser.add_argument("--data", default="../shared/data", help="the published data")
    options = parser.parse_args(arguments)
    folder = Path(options.data) / OBSERVATORIES["skab"].file
    if not folder.exists():
        print(f"left out: {folder} is not there, and no figure is written")
        return 0
    files = [File.read(path) for path in skab_files(folder, options.toy)]
    lines = []
    for count, share in itertools.product(COMPONENTS, SHARES):
        rests = [file.residuals(count, share) for file in files]
        for name, size_of in (("squared", np.square), ("absolute", np.abs)):
            errors = [size_of(rest).mean(axis=1) for rest in rests]
            best, factor = max(
                (judged(files, errors, factor)["f1"], factor) for factor in FACTORS
            )
            line = {"components": count, "share": share, "error": name}
            line |= judged(files, errors) | by_place(files, errors)
            lines.append({**line, "best_f1": best, "best_factor": float(factor)})
    lines.sort(key=lambda line: -line["f1"])
    measuring.print_table(f"SKAB, {len(files)} files", COLUMNS, lines)
    for place in ("before", "after"):
        print(f"false alarms {place} the fault, of the first line: {lines[0][place]}")
    machine = measuring.machine("pandas")
    results = {"machine": machine, "files": len(files), "results": lines}
    measuring.write_json(options.json, "skab_trials", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
