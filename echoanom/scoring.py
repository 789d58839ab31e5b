"""Score a dataset with a trained model: one error for each window, folded to rows.

Windows come in order of time, and their errors are folded as they come, so memory holds
a few batches whatever the number of days. Shares of the columns go to a scratch file
when they are many. On a cluster, workers compute parts of it with the same functions.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from echoanom.artifact import Artifact
from echoanom.dataset import Dataset
from echoanom.detectors import Detector
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import ArtifactError
from echoanom.folding import FoldedRows, empty_shares
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader
from echoanom.scoreparts import cut
from echoanom.scores import ScoreTable
from echoanom.scorework import ScorePart, score_part, threads
from echoanom.serving import CELLS_AT_ONCE
from echoanom.windowerrors import fold_batches
from echoanom.windowing import Interval, WindowIndex, select

if TYPE_CHECKING:
    from distributed import Client

_MOST_WINDOWS = 1024


def score(
    dataset: Dataset,
    artifact: Artifact,
    *,
    stride: int = 1,
    batch_size: int | None = None,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
    client: Client | None = None,
    progress: Progress = no_progress,
) -> ScoreTable:
    """Score a dataset.

    Parameters
    ----------
    dataset : Dataset
        What is scored; its columns and period are the model's.
    artifact : Artifact
        The trained model.
    stride : int
        Rows between the starts of neighbouring windows [rows].
    batch_size : int, optional
        Windows that are scored at once; about half a million cells if left out.
    include : sequence of (int, int), optional
        Score rows inside these half-open intervals only [s since 1970-01-01 UTC].
    exclude : sequence of (int, int)
        Leave out rows inside these.
    client : distributed.Client, optional
        Let the workers of its cluster compute; this process does if left out. They
        must reach dataset and artifact under the same paths or URLs. The result is the
        same, bit for bit, if their processors are alike.
    progress : callable
        Told the windows done and all windows.

    Returns
    -------
    ScoreTable
        One line for each row that a window covers, with the model's calibration.

    Raises
    ------
    ArtifactError
        If the dataset has other columns or another period than the model, or workers
        shall load a model that was never saved.
    WindowError
        If no window fits into any run.
    ClusterError
        If the cluster cannot be used, or is lost.
    """
    artifact.check_columns(dataset)
    options = WindowOptions(
        size=artifact.window.size,
        stride=stride,
        batch_size=batch_size
        or default_batch_size(artifact.window.size, len(artifact.columns)),
    )
    runs = select(dataset.runs, dataset.period_s, include, exclude)
    if client is None:
        rows = score_runs(
            dataset, runs, artifact.detector, artifact.normalization, options, progress
        )
    else:
        cluster = Cluster(client)
        rows = _score_on(cluster, dataset, artifact, runs, options, progress)
    return ScoreTable(
        times=rows.times,
        score=rows.score,
        window_score=rows.window_score,
        windows=rows.windows,
        shares=rows.shares,
        columns=artifact.columns,
        period_s=artifact.period_s,
        calibration=artifact.calibration,
        provenance={
            "dataset": {"path": dataset.path, "digest": dataset.digest},
            "model": {
                "path": artifact.path,
                "digest": artifact.digest,
                "trained": _first_and_last(artifact.record.training_days),
            },
            "window": options.as_json(),
        },
    )


def _first_and_last(days: Sequence[str]) -> list[str]:
    return [days[0], days[-1]] if days else []


def score_runs(
    dataset: Dataset,
    runs: RunTable,
    used: Detector,
    normalization: Normalization,
    options: WindowOptions,
    progress: Progress = no_progress,
) -> FoldedRows:
    """Score the windows of some runs.

    Parameters
    ----------
    dataset : Dataset
        What is scored.
    runs : RunTable
        The runs to take windows from.
    used : Detector
        The model.
    normalization : Normalization
        How columns are scaled.
    options : WindowOptions
        Size, stride and batches; windows are not shuffled, and none is left out.
    progress : callable
        Told the windows done and all windows.

    Returns
    -------
    FoldedRows
        Every row that a window covers.

    Raises
    ------
    WindowError
        If no window fits into any run.
    """
    index = WindowIndex(runs, in_order(options))
    rows = _Rows(covered_rows(runs, options), len(dataset.columns))
    reader = IndexedReader(dataset, normalization)
    errors_of = used.errors_of()
    taken = 0
    progress("scoring", 0, len(index))
    for windows, parts in fold_batches(
        reader, errors_of, runs, dataset.period_s, index, range(index.batches)
    ):
        rows.append(parts)
        taken += windows
        progress("scoring", taken, len(index))
    return rows.whole()


def _score_on(
    cluster: Cluster,
    dataset: Dataset,
    artifact: Artifact,
    runs: RunTable,
    options: WindowOptions,
    progress: Progress,
) -> FoldedRows:
    """Let workers score parts, and put them together as they come."""
    if not artifact.path:
        raise ArtifactError(
            "a model must be saved where workers can load it, but this one was not"
        )
    index = WindowIndex(runs, in_order(options))
    rows = _Rows(covered_rows(runs, options), len(dataset.columns))
    batches = cut(index, len(dataset.columns))
    whole = ScorePart(
        dataset=everywhere(dataset.path),
        dataset_digest=dataset.digest,
        model=everywhere(artifact.path),
        model_digest=artifact.digest,
        threads=threads(),
        runs=runs,
        options=index.options,
        batches=range(0),
    )
    tasks = ((dataclasses.replace(whole, batches=part),) for part in batches)
    progress("scoring", 0, len(index))
    with contextlib.closing(cluster.map(score_part, tasks)) as found:
        for position, part in found:
            rows.append([part])
            taken = min(batches[position].stop * options.batch_size, len(index))
            progress("scoring", taken, len(index))
    return rows.whole()


def in_order(options: WindowOptions) -> WindowOptions:
    """Take every window, in order of time.

    Parameters
    ----------
    options : WindowOptions
        Size, stride and batches.

    Returns
    -------
    WindowOptions
        Not shuffled, and none left out.
    """
    return dataclasses.replace(
        options, shuffle=False, drop_remainder=False, min_observed=0.0
    )


def default_batch_size(size: int, columns: int) -> int:
    """Choose how many windows to score at once.

    Parameters
    ----------
    size : int
        Rows in a window.
    columns : int
        Columns.

    Returns
    -------
    int
        Windows of about half a million cells together, at least 1 and at most 1024.
    """
    return min(max(CELLS_AT_ONCE // (size * columns), 1), _MOST_WINDOWS)


def covered_rows(runs: RunTable, options: WindowOptions) -> int:
    """Count the rows that windows cover.

    Parameters
    ----------
    runs : RunTable
        The runs to take windows from.
    options : WindowOptions
        Size and stride.

    Returns
    -------
    int
        Number of rows.
    """
    windows_ = np.maximum((runs.rows - options.size) // options.stride + 1, 0)
    overlap = max(options.size - options.stride, 0)
    rows = windows_ * min(options.size, options.stride) + overlap
    return int(rows[windows_ > 0].sum())


class _Rows:
    """Puts folded rows one after the other into arrays of their final size."""

    def __init__(self, rows: int, columns: int) -> None:
        self._end = 0
        self._whole = FoldedRows(
            times=np.empty(rows, dtype=np.int64),
            score=np.empty(rows, dtype=np.float64),
            window_score=np.empty(rows, dtype=np.float64),
            windows=np.empty(rows, dtype=np.int64),
            shares=empty_shares(rows, columns),
        )

    def append(self, parts: Sequence[FoldedRows]) -> None:
        for part in parts:
            rows = slice(self._end, self._end + len(part))
            for field in dataclasses.fields(FoldedRows):
                getattr(self._whole, field.name)[rows] = getattr(part, field.name)
            self._end += len(part)

    def whole(self) -> FoldedRows:
        return self._whole
