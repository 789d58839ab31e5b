"""Score rows by a Random Cut Forest [1]_, to hold an autoencoder's scores against.

A tree cuts the space of some training rows at random until each is alone. A row that
would be cut off early from them is unusual. SageMaker has the method as a built-in
algorithm; here the library krcf grows the same forest from the same rows.

References
----------
.. [1] S. Guha, N. Mishra, G. Roy and O. Schrijvers (2016), "Robust Random Cut Forest
   Based Anomaly Detection on Streams", Proc. 33rd ICML, 2712–2721.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.cutforest import CutForest
from echoanom.dataset import Dataset
from echoanom.folding import empty_shares
from echoanom.forestrows import Block, ForestRows, forest_rows
from echoanom.modeloptions import ForestOptions
from echoanom.progress import Progress, no_progress
from echoanom.scores import ScoreTable
from echoanom.thresholds import Calibration
from echoanom.windowing import Interval


def score_with_forest(
    dataset: Dataset,
    options: ForestOptions | None = None,
    *,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
    shares: bool = True,
    progress: Progress = no_progress,
) -> ScoreTable:
    """Grow a forest from the rows to train on, and score all rows with it.

    The last days are held back, as in training; thresholds are computed from their
    scores. With one seed, one dataset and one version of krcf the scores are the same.

    Parameters
    ----------
    dataset : Dataset
        What is learnt from and scored.
    options : ForestOptions, optional
        The forest; the defaults if left out.
    include : sequence of (int, int), optional
        Learn from rows inside these half-open intervals only [s since 1970-01-01 UTC].
    exclude : sequence of (int, int)
        Do not learn from rows inside these.
    shares : bool
        Whether it is told which columns a score comes from. It takes most of the time
        where columns are many.
    progress : callable
        Told the rows done and all rows.

    Returns
    -------
    ScoreTable
        One line for each row: a window of one row. NaN where nothing was observed.

    Raises
    ------
    MissingExtraError
        If krcf is not installed.
    TrainingError
        If there are too few rows to hold some back, or nothing was observed.
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    options = options or ForestOptions()
    forest = CutForest.planted(
        len(dataset.columns), options.trees, options.samples, options.seed
    )
    rows = forest_rows(dataset, options, include, exclude)
    _learn(forest, rows, progress)
    times = dataset.times()
    score = np.full(dataset.rows, np.nan)
    found = empty_shares(dataset.rows, len(dataset.columns)) if shares else None
    begin = 0
    progress("scoring", 0, dataset.rows)
    for block in rows.blocks(dataset.runs):
        part = slice(begin, begin + len(block.times))
        score[part] = _score(forest, block, None if found is None else found[part])
        begin = part.stop
        progress("scoring", begin, dataset.rows)
    return ScoreTable(
        times=times,
        score=score,
        window_score=score.copy(),
        windows=np.ones(dataset.rows, dtype=np.int64),
        shares=found,
        columns=dataset.columns,
        period_s=dataset.period_s,
        calibration=_calibrate(rows, score),
        provenance={
            "dataset": {"path": dataset.path, "digest": dataset.digest},
            "model": {
                "kind": "random cut forest",
                "include": None if include is None else [list(one) for one in include],
                "exclude": [list(one) for one in exclude],
                **options.as_json(),
            },
        },
    )


def _learn(forest: CutForest, rows: ForestRows, progress: Progress) -> None:
    training = rows.holdout.training
    total, done = int(training.rows.sum()), 0
    progress("learning", 0, total)
    for block in rows.observed_blocks(training):
        forest.learn(block.values)
        done += len(block.times)
        progress("learning", done, total)


def _score(
    forest: CutForest, block: Block, shares: NDArray[np.float16] | None
) -> NDArray[np.float64]:
    seen = np.asarray(block.observed.any(axis=1))
    score = np.full(len(seen), np.nan)
    score[seen] = forest.scores(block.values[seen])
    if shares is not None:
        parts = forest.attribution(block.values[seen])
        least = np.finfo(np.float64).tiny
        shares[~seen] = 0
        shares[seen] = parts / np.maximum(parts.sum(axis=1, keepdims=True), least)
    return score


def _calibrate(rows: ForestRows, score: NDArray[np.float64]) -> Calibration | None:
    held_back = np.concatenate(
        [
            np.arange(first, first + count)
            for first, count in zip(
                rows.holdout.validation.first_row.tolist(),
                rows.holdout.validation.rows.tolist(),
                strict=True,
            )
        ]
    )
    if np.isnan(score[held_back]).all():
        return None
    times, period_s = rows.dataset.times()[held_back], rows.dataset.period_s
    return Calibration.from_scores(score[held_back], times, period_s)
