"""The library itself: `echoanom.windows`, from shards on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from peers.task import Case, Data

from echoanom.options import StorageDtype
from echoanom.pipeline import windows

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
        First word: how rows are stored.
    """
    data.dataset(_dtype(variant))


def batches(data: Data, case: Case, variant: str) -> Iterator[Any]:
    """Read with tf.data.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : str
        How rows are stored, then "observed" for the mask too.

    Yields
    ------
    tf.Tensor
        Batches of windows.
    """
    masked = "observed" in variant.split()
    stream = windows(
        data.dataset(_dtype(variant)),
        case.options,
        normalization=data.normalization,
        epochs=_EPOCHS,
        fields=("values", "observed") if masked else ("values",),
    )
    for batch in stream:
        yield batch["values"]


def _dtype(variant: str) -> StorageDtype:
    return cast(StorageDtype, variant.split()[0])
