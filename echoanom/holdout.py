"""Which rows a model learns from, and which are held back to judge it.

Whole days are held back, at the end of the record: neighbouring minutes are too alike
for a random choice of windows to be a test of anything. Of a record within one day its
last rows are.
"""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.errors import TrainingError
from echoanom.manifest import Manifest, RunTable, Shard
from echoanom.modeloptions import NormalizationKind
from echoanom.normalization import Normalization, fit_normalization
from echoanom.options import DAY_S, EVER_S
from echoanom.reader import IndexedReader
from echoanom.statistics import Statistics, merge, summarise
from echoanom.windowing import select

_EPOCH = datetime.date(1970, 1, 1)


@dataclasses.dataclass(frozen=True)
class Holdout:
    """Runs to train on and, later, runs held back.

    Attributes
    ----------
    training, validation : RunTable
        The runs of either side; a run that crosses the boundary is cut there.
    training_days, validation_days : tuple of date
        Days with rows on either side; the same one if there is only one.
    """

    training: RunTable
    validation: RunTable
    training_days: tuple[datetime.date, ...]
    validation_days: tuple[datetime.date, ...]


def hold_back(
    runs: RunTable, period_s: int, size: int, share: float, *, whole_days: bool = False
) -> Holdout:
    """Hold back the end: whole days where there are two or more, else the last rows.

    Parameters
    ----------
    runs : RunTable
        All runs that may be used.
    period_s : int
        Sample period [s].
    size : int
        Rows in a window.
    share : float
        Share of the rows to hold back, in (0, 1).
    whole_days : bool
        Whether rows of one day are refused.

    Returns
    -------
    Holdout
        The fewest last days that hold this share of the rows, and at least one window;
        of one day, the fewest last rows that do.

    Raises
    ------
    TrainingError
        If there is no row, no window fits into either side, or whole days are asked
        for and there are fewer than two.
    """
    row_days = _times(runs, period_s) // DAY_S
    days, counts = np.unique(row_days, return_counts=True)
    if len(days) < (2 if whole_days else 1):
        least_days = "at least 2 days, to hold back the last" if whole_days else "a day"
        raise TrainingError(
            f"training needs rows on {least_days}, but there are rows on {len(days)};"
            " convert more days, or include more time"
        )
    if len(days) == 1:
        return _hold_back_rows(runs, period_s, size, share)
    held = np.cumsum(counts[::-1])
    least = int(np.searchsorted(held, round(share * held[-1]))) + 1
    validation = runs
    for count in range(min(least, len(days) - 1), len(days)):
        boundary = int(days[-count]) * DAY_S
        validation = select(runs, period_s, [(boundary, EVER_S)])
        if validation.rows.max() >= size:
            training = select(runs, period_s, [(-EVER_S, boundary)])
            if training.rows.max() >= size:
                return Holdout(
                    training, validation, _dates(days[:-count]), _dates(days[-count:])
                )
    longest = int(runs.rows.max())
    raise TrainingError(
        f"a window of {size} rows must fit into a run of the days to train on and into"
        f" one of the days held back after them, but does not with any boundary between"
        f" {len(days)} days; the longest run has {longest} rows: take a smaller window,"
        " or convert with a larger --max-gap"
    )


def _hold_back_rows(runs: RunTable, period_s: int, size: int, share: float) -> Holdout:
    """Hold back the last rows of a day, as few as have the share and hold a window."""
    times = _times(runs, period_s)
    rows = len(times)
    # Where a gap cuts the end short, no window fits before the run that ends there.
    whole = np.flatnonzero(runs.rows >= size)
    begin = min(rows - round(share * rows), rows - 1)
    if len(whole):
        last = int(whole[-1])
        begin = min(begin, int(runs.rows[: last + 1].sum()) - size)
    boundary = int(times[max(begin, 0)])
    training = select(runs, period_s, [(-EVER_S, boundary)])
    validation = select(runs, period_s, [(boundary, EVER_S)])
    if not (_fits(training, size) and _fits(validation, size)):
        raise TrainingError(
            f"a window of {size} rows must fit into a run of the rows to train on and"
            f" into one of the last rows, which are held back, but of the {rows} rows of"
            f" one day the longest run has {int(runs.rows.max())}: take a smaller"
            " window, or convert more rows"
        )
    day = _dates(times[:1] // DAY_S)
    return Holdout(training, validation, day, day)


def _fits(runs: RunTable, size: int) -> bool:
    return len(runs) > 0 and bool(runs.rows.max() >= size)


def shards_of(manifest: Manifest, runs: RunTable) -> tuple[Shard, ...]:
    """List the shards that have rows of some runs.

    Parameters
    ----------
    manifest : Manifest
        What the dataset holds.
    runs : RunTable
        Some of its rows.

    Returns
    -------
    tuple of Shard
        In order of time.
    """
    found = []
    begin = 0
    for shard in manifest.shards:
        end = begin + shard.rows
        inside = (runs.first_row < end) & (runs.first_row + runs.rows > begin)
        if shard.rows and inside.any():
            found.append(shard)
        begin = end
    return tuple(found)


def training_statistics(dataset: Dataset, training: RunTable) -> Statistics:
    """Return the statistics of the rows to train on.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    training : RunTable
        The runs to train on.

    Returns
    -------
    Statistics
        Stored ones of the days that are used whole; days that are used in part are
        read and summarised.

    Raises
    ------
    CorruptionError
        If stored bytes are not what the manifest says.
    TrainingError
        If nothing was observed in any of these rows.
    """
    all_days, all_counts = np.unique(dataset.times() // DAY_S, return_counts=True)
    rows = _rows(training)
    row_days = _times(training, dataset.period_s) // DAY_S
    days, counts = np.unique(row_days, return_counts=True)
    whole = counts == all_counts[np.searchsorted(all_days, days)]
    parts = []
    if whole.any():
        parts.append(dataset.statistics(_dates(days[whole])))
    reader = IndexedReader(dataset)
    for day in days[~whole]:
        used = rows[row_days == day]
        values, observed = reader.rows(int(used[0]), int(used[-1] - used[0]) + 1)
        values, observed = values[used - used[0]], observed[used - used[0]]
        parts.append(summarise(values, ~observed & ~np.isnan(values)))
    statistics = merge(parts)
    if not statistics.count.any():
        raise TrainingError(
            f"the {len(rows)} rows to train on must have observed values, but all cells"
            f" of their {len(dataset.columns)} columns are missing or filled; take"
            " other days"
        )
    return statistics


def training_normalization(
    dataset: Dataset, training: RunTable, kind: NormalizationKind
) -> Normalization:
    """Fit how columns are scaled to the rows to train on.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    training : RunTable
        The runs to train on.
    kind : {'range', 'standard', 'robust'}
        Which part of a column's values is scaled to a width of 1.

    Returns
    -------
    Normalization
        Of all columns; at least one of them varies.

    Raises
    ------
    CorruptionError
        If stored bytes are not what the manifest says.
    DatasetError
        If a column spreads too far.
    TrainingError
        If nothing was observed in any of these rows, or no column varies.
    """
    normalization = fit_normalization(
        training_statistics(dataset, training),
        kind,
        kind_mask(dataset.columns, "direction"),
    )
    if normalization.varies is not None and not normalization.varies.any():
        raise TrainingError(
            "the rows to train on must have a column that varies, but all"
            f" {len(dataset.columns)} columns keep one value; take other days, or"
            " another normalization if the value is only the most frequent"
        )
    return normalization


def _times(runs: RunTable, period_s: int) -> NDArray[np.int64]:
    return np.repeat(runs.start_s, runs.rows) + _within(runs) * period_s


def _rows(runs: RunTable) -> NDArray[np.int64]:
    return np.repeat(runs.first_row, runs.rows) + _within(runs)


def _within(runs: RunTable) -> NDArray[np.int64]:
    before = np.cumsum(runs.rows) - runs.rows
    return np.arange(runs.rows.sum(), dtype=np.int64) - np.repeat(before, runs.rows)


def _dates(days: NDArray[np.int64]) -> tuple[datetime.date, ...]:
    return tuple(_EPOCH + datetime.timedelta(int(day)) for day in days)
