"""The library itself, from shards on disk.

A variant's words say how rows are stored ("float16", "zstd"; float32 and uncompressed if
left out) and how they are read: "observed" gives the mask, too; "keras" is the
`WindowDataset` that Keras trains from on any backend, without tf.data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from peers.task import Case, Data

from echoanom.batching import WindowBatches
from echoanom.dataset import Dataset
from echoanom.options import StorageDtype
from echoanom.pipeline import windows
from echoanom.pydataset import WindowDataset

_EPOCHS = 1_000_000


def prepare(data: Data, case: Case, variant: str) -> None:
    """Convert the tables.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same shards.
    variant : str
        Says how rows are stored.
    """
    _dataset(data, variant)


def batches(data: Data, case: Case, variant: str) -> Iterator[Any]:
    """Read with tf.data, or for Keras.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : str
        Says how rows are stored and read.

    Yields
    ------
    tf.Tensor or ndarray of float32, shape (B, T, C)
        Batches of windows.
    """
    words = variant.split()
    dataset = _dataset(data, variant)
    fields = ("values", "observed") if "observed" in words else ("values",)
    if "keras" in words:
        read = WindowDataset(
            WindowBatches(
                dataset,
                case.options,
                normalization=data.normalization,
                fields=fields,
            )
        )
        for position in itertools.count():
            yield read[position][0]
    stream = windows(
        dataset,
        case.options,
        normalization=data.normalization,
        epochs=_EPOCHS,
        fields=fields,
    )
    for batch in stream:
        yield batch["values"]


def _dataset(data: Data, variant: str) -> Dataset:
    words = variant.split()
    dtype: StorageDtype = "float32"
    if "float16" in words:
        dtype = "float16"
    elif "int16" in words:
        dtype = "int16"
    return data.dataset(dtype, "zstd" if "zstd" in words else "none")
