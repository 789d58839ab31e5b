"""Vectors in the format that SageMaker's built-in algorithms train on best.

A vector is a protocol buffer ``aialgs.data.Record`` [1]_: a map of features, whose
entry ``values`` is a dense tensor of float32, a label likewise, and two texts that say
where it comes from. An object holds one record behind the other, each in a frame of
RecordIO.

References
----------
.. [1] Amazon SageMaker Developer Guide, "Common Data Formats for Training".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echoanom.exampleproto import message

CONTENT_TYPE = "application/x-recordio-protobuf"
"""What SageMaker calls the format."""

_KEY = b"values"
_FEATURES, _LABEL, _UID, _METADATA = 1, 2, 3, 4
_FLOAT32_TENSOR = 2


def encode(
    values: NDArray[np.float32],
    label: float | None = None,
    uid: str = "",
    metadata: str = "",
) -> bytes:
    """Write a vector as a record, without its frame.

    Parameters
    ----------
    values : ndarray of float32, shape (C,)
        The vector.
    label : float, optional
        1 for an anomaly and 0 for none, in data to test with; none if left out.
    uid : str
        Names the vector; algorithms do not look at it.
    metadata : str
        Says more about it; algorithms do not look at it.

    Returns
    -------
    bytes
        The record.
    """
    parts = [_entry(_FEATURES, values)]
    if label is not None:
        parts.append(_entry(_LABEL, np.array([label], dtype=np.float32)))
    if uid:
        parts.append(message(_UID, uid.encode()))
    if metadata:
        parts.append(message(_METADATA, metadata.encode()))
    return b"".join(parts)


def _entry(field: int, values: NDArray[np.float32]) -> bytes:
    """Write an entry of a map of tensors, under the key that vectors have."""
    tensor = message(1, values.astype("<f4", copy=False).tobytes())
    value = message(_FLOAT32_TENSOR, tensor)
    return message(field, message(1, _KEY) + message(2, value))
