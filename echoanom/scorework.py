"""Score a part of a dataset: what a worker of a cluster does.

TensorFlow uses the same number of threads on all of them as where the scoring was asked
for: on a processor, that number decides the last bits of what a network computes.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading

import tensorflow as tf

from echoanom.artifact import load_artifact
from echoanom.cellerrors import ErrorsOf
from echoanom.dataset import open_dataset
from echoanom.errors import ArtifactError, ClusterError
from echoanom.folding import FoldedRows, between
from echoanom.manifest import RunTable
from echoanom.options import WindowOptions
from echoanom.reader import IndexedReader
from echoanom.scoreparts import warm_up
from echoanom.windowerrors import fold_batches, row_times
from echoanom.windowing import WindowIndex

_LOADING = threading.Lock()  # for workers with several threads


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
    use_threads(part.threads)
    with _LOADING:
        reader, errors_of, period_s = _load(
            part.dataset, part.dataset_digest, part.model, part.model_digest
        )
    index = WindowIndex(part.runs, part.options)
    begin_s, end_s = (
        int(row_times(part.runs, period_s, index.batch(batch)[:1])[0])
        if batch < index.batches
        else None
        for batch in (part.batches.start, part.batches.stop)
    )
    assert begin_s is not None
    folded: list[FoldedRows] = []
    batches = warm_up(index, part.batches)
    for _, parts in fold_batches(
        reader, errors_of, part.runs, period_s, index, batches
    ):
        # What the first batches give is only needed as far as it reaches into the part.
        folded += [found for found in parts if (found.times >= begin_s).any()]
    return between(folded, begin_s, end_s)


@functools.lru_cache(maxsize=1)
def _load(
    dataset: str, dataset_digest: str, model: str, model_digest: str
) -> tuple[IndexedReader, ErrorsOf, int]:
    """Open dataset and model once for all parts that this process scores."""
    artifact = load_artifact(model)
    if artifact.digest != model_digest:
        raise ArtifactError(
            f"{model}: must be the model {model_digest}, is {artifact.digest}; it was"
            " trained again meanwhile, or is another one on this worker"
        )
    opened = open_dataset(f"{dataset}@{dataset_digest}")
    reader = IndexedReader(opened, artifact.normalization)
    return reader, artifact.detector.errors_of(), opened.period_s


def threads() -> int:
    """Tell how many threads TensorFlow uses for one operation.

    Returns
    -------
    int
        What it was told, or else one a core.
    """
    chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
    said = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if chosen or (said.isdecimal() and int(said)):
        return chosen or int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(number: int) -> None:
    """Let TensorFlow use some number of threads for one operation.

    Parameters
    ----------
    number : int
        How many.

    Raises
    ------
    ClusterError
        If it is in use with another number, which cannot be changed then.
    """
    if threads() == number:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(number)
    except RuntimeError:
        raise ClusterError(
            f"TensorFlow must use {number} threads as where the client is, for the"
            f" same last bits, but is in use on a worker with {threads()}; restart the"
            f" workers, or set TF_NUM_INTRAOP_THREADS={threads()} for the client"
        ) from None
