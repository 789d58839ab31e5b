"""Score a dataset with a trained model: one error for each window, folded to rows.

Windows come in order of time, and their errors are folded as they come, so memory holds
a few batches whatever the number of days. What travels to TensorFlow are the rows that
a batch of windows covers, each once; the graph frames them. Shares of the columns go to
a scratch file when they are many.

On a cluster, workers compute parts of it with the same function, and the same number of
TensorFlow's threads as it has here: on a processor, that number decides the last bits of
what a network computes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from echoanom.artifact import Artifact, load_artifact
from echoanom.autoencoder import cell_errors, mean_over_observed
from echoanom.dataset import Dataset, open_dataset
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import ArtifactError, ClusterError
from echoanom.folding import Fold, FoldedRows, between, sum_rows
from echoanom.manifest import RunTable
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader
from echoanom.rowspans import row_spans
from echoanom.scoreparts import cut, warm_up
from echoanom.scores import ScoreTable
from echoanom.serving import CELLS_AT_ONCE, require_tensorflow
from echoanom.windowing import Interval, WindowIndex, select

if TYPE_CHECKING:
    from distributed import Client

_MOST_WINDOWS = 1024
_MEMORY_BYTES = 1 << 28

_Score = Callable[
    [NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]],
    tuple[tf.Tensor, tf.Tensor],
]


@dataclasses.dataclass(frozen=True)
class ScorePart:
    """All that is needed to score some batches of windows elsewhere.

    Attributes
    ----------
    dataset : str
        The dataset's folder, as path or URL.
    dataset_digest : str
        Which version of it.
    model : str
        The artifact's folder, as path or URL.
    model_digest : str
        Identity of the artifact that must be there.
    threads : int
        Threads that TensorFlow uses for one operation.
    runs : RunTable
        The runs that windows are taken from.
    options : WindowOptions
        Size, stride and batches.
    batches : range
        Numbers of the batches.
    """

    dataset: str
    dataset_digest: str
    model: str
    model_digest: str
    threads: int
    runs: RunTable
    options: WindowOptions
    batches: range


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
            dataset, runs, artifact.model, artifact.normalization, options, progress
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
            "model": {"path": artifact.path, "digest": artifact.digest},
            "window": options.as_json(),
        },
    )


def score_runs(
    dataset: Dataset,
    runs: RunTable,
    model: keras.Model,
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
    model : keras.Model
        The network; float32 (B, T, C), normalised, to the same.
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
    index = WindowIndex(runs, _in_order(options))
    rows = _Rows(covered_rows(runs, options), len(dataset.columns))
    reader = IndexedReader(dataset, normalization)
    errors_of = _compile(model)
    taken = 0
    progress("scoring", 0, len(index))
    for windows, parts in _fold(
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
    index = WindowIndex(runs, _in_order(options))
    rows = _Rows(covered_rows(runs, options), len(dataset.columns))
    batches = cut(index, len(dataset.columns))
    whole = ScorePart(
        dataset=everywhere(dataset.path),
        dataset_digest=dataset.digest,
        model=everywhere(artifact.path),
        model_digest=artifact.digest,
        threads=_threads(),
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


def score_part(part: ScorePart) -> FoldedRows:
    """Score some batches of windows.

    Parameters
    ----------
    part : ScorePart
        Which, of what, with what.

    Returns
    -------
    FoldedRows
        The rows from the start of its first window up to the first window behind it,
        as they are when all batches are scored in one process.

    Raises
    ------
    ArtifactError
        If the artifact is not the one that is meant.
    DatasetError
        If the dataset's version is not there.
    ClusterError
        If TensorFlow is in use here with another number of threads.
    """
    _use_threads(part.threads)
    with _LOADING:
        reader, errors_of, period_s = _load(
            part.dataset, part.dataset_digest, part.model, part.model_digest
        )
    index = WindowIndex(part.runs, part.options)
    begin_s, end_s = (
        int(_times(part.runs, period_s, index.batch(batch)[:1])[0])
        if batch < index.batches
        else None
        for batch in (part.batches.start, part.batches.stop)
    )
    assert begin_s is not None
    folded: list[FoldedRows] = []
    batches = warm_up(index, part.batches)
    for _, parts in _fold(reader, errors_of, part.runs, period_s, index, batches):
        # What the first batches give is only needed as far as it reaches into the part.
        folded += [found for found in parts if (found.times >= begin_s).any()]
    return between(folded, begin_s, end_s)


def _fold(
    reader: IndexedReader,
    errors_of: _Score,
    runs: RunTable,
    period_s: int,
    index: WindowIndex,
    batches: range,
) -> Iterator[tuple[int, list[FoldedRows]]]:
    """Yield windows and finished rows of one batch after the other, and the rest."""
    fold = Fold(index.options.size)
    for span in row_spans(reader, index, batches):
        errors, window_errors = errors_of(span.values, span.observed, span.places)
        sums = sum_rows(
            _times(runs, period_s, span.rows),
            span.observed,
            span.places,
            errors.numpy(),
            window_errors.numpy(),
        )
        yield len(span.places), fold.add(sums)
    yield 0, fold.finish()


def _times(runs: RunTable, period_s: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    run = np.searchsorted(runs.first_row, rows, side="right") - 1
    return np.asarray(
        runs.start_s[run] + (rows - runs.first_row[run]) * period_s, dtype=np.int64
    )


def _in_order(options: WindowOptions) -> WindowOptions:
    return dataclasses.replace(
        options, shuffle=False, drop_remainder=False, min_observed=0.0
    )


_LOADING = threading.Lock()  # for workers with several threads


@functools.lru_cache(maxsize=1)
def _load(
    dataset: str, dataset_digest: str, model: str, model_digest: str
) -> tuple[IndexedReader, _Score, int]:
    """Open dataset and model once for all parts that this process scores."""
    artifact = load_artifact(model)
    if artifact.digest != model_digest:
        raise ArtifactError(
            f"{model}: must be the model {model_digest}, is {artifact.digest}; it was"
            " trained again meanwhile, or is another one on this worker"
        )
    opened = open_dataset(f"{dataset}@{dataset_digest}")
    reader = IndexedReader(opened, artifact.normalization)
    return reader, _compile(artifact.model), opened.period_s


def _threads() -> int:
    """Return how many threads TensorFlow uses for one operation."""
    chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
    said = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if chosen or (said.isdecimal() and int(said)):
        return chosen or int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _use_threads(threads: int) -> None:
    if _threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        raise ClusterError(
            f"TensorFlow must use {threads} threads as where the client is, for the"
            f" same last bits, but is in use on a worker with {_threads()}; restart the"
            f" workers, or set TF_NUM_INTRAOP_THREADS={_threads()} for the client"
        ) from None


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


def _compile(model: keras.Model) -> _Score:
    require_tensorflow()
    _, size, columns = model.input_shape
    # One trace serves every batch, the last and smaller one too; `Model.predict` would
    # hand back reconstructions, and errors would be left to NumPy.

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None, columns), tf.bool),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def errors(
        values: tf.Tensor, observed: tf.Tensor, places: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        frame = places[:, tf.newaxis] + tf.range(size)
        windows, seen = tf.gather(values, frame), tf.gather(observed, frame)
        found = cell_errors(windows, seen, model(windows, training=False))
        return found, mean_over_observed(found, seen, axis=(1, 2))

    return errors  # type: ignore[no-any-return]


def _empty_shares(rows: int, columns: int) -> NDArray[np.float16]:
    shape = (rows, columns)
    if 2 * rows * columns <= _MEMORY_BYTES:
        return np.empty(shape, dtype=np.float16)
    # A file without a name: the system pages it out, and it is gone with the array.
    with tempfile.TemporaryFile(prefix="echoanom-") as file:
        return np.memmap(file, dtype=np.float16, mode="w+", shape=shape)


class _Rows:
    """Puts folded rows one after the other into arrays of their final size."""

    def __init__(self, rows: int, columns: int) -> None:
        self._end = 0
        self._whole = FoldedRows(
            times=np.empty(rows, dtype=np.int64),
            score=np.empty(rows, dtype=np.float64),
            window_score=np.empty(rows, dtype=np.float64),
            windows=np.empty(rows, dtype=np.int64),
            shares=_empty_shares(rows, columns),
        )

    def append(self, parts: Sequence[FoldedRows]) -> None:
        for part in parts:
            rows = slice(self._end, self._end + len(part))
            for field in dataclasses.fields(FoldedRows):
                getattr(self._whole, field.name)[rows] = getattr(part, field.name)
            self._end += len(part)

    def whole(self) -> FoldedRows:
        return self._whole
