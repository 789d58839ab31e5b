"""Numbers as the bytes of a record: stored types and compression.

=========  ======================================================================
float32    exact
float16    11 significant bits of numbers from 6.1e-5 to 65504, fewer of smaller ones
int16      off by at most half of ``(largest − smallest) / 65534`` of the column in the
           record, or of 1.2e-38, and by float32's spacing at the largest magnitude
=========  ======================================================================

``zstd`` compresses either without loss. Bytes of the same significance are put together
first: those of sign and exponent hardly change from cell to cell, and those of noise
cannot be compressed wherever they stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import DataError
from echoanom.options import Codec, StorageDtype

_LEVEL = 1  # higher ones gain 5 % and take twice the time
_MOST_BYTES = 1 << 30  # what a compressed record may claim to hold
_INT16_MISSING = -32768
_INT16_SPAN = 65534  # codes −32767 … 32767
_INT16_LARGEST = 1e38  # rounding must not carry the outermost codes past float32
_SMALLEST = float(np.finfo(np.float32).smallest_normal)
_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int16": np.dtype("<i2"),
}


@dataclasses.dataclass(frozen=True)
class Packed:
    """Rows as bytes.

    Attributes
    ----------
    content : bytes-like
        R × C little-endian numbers, row by row, or what `codec` made of them.
    scale, offset : ndarray of float32, shape (C,), or None
        int16 only: ``value = code * scale + offset``; the code −32768 is missing.
    """

    content: bytes | memoryview
    scale: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None


def pack(values: NDArray[np.float32], dtype: StorageDtype, codec: Codec) -> Packed:
    """Turn rows into bytes.

    Parameters
    ----------
    values : ndarray of float32, shape (R, C)
        The rows; NaN is missing.
    dtype : {'float32', 'float16', 'int16'}
        Stored type.
    codec : {'none', 'zstd'}
        Compression.

    Returns
    -------
    Packed
        The bytes.

    Raises
    ------
    DataError
        If the values do not fit the type.
    """
    codes: NDArray[np.generic] = values
    scale = offset = None
    if dtype == "int16":
        codes, scale, offset = _quantise(values)
    elif dtype == "float16":
        codes = _halve(values)
    numbers = np.ascontiguousarray(codes, dtype=_DTYPES[dtype]).reshape(-1)
    if codec == "zstd":
        return Packed(_compress(numbers), scale, offset)
    return Packed(numbers.view(np.uint8).data, scale, offset)


def unpack(
    content: memoryview,
    rows: int,
    columns: int,
    dtype: StorageDtype,
    codec: Codec,
    scale: NDArray[np.float32] | None = None,
    offset: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Turn bytes into the rows they were made of.

    Parameters
    ----------
    content : memoryview
        The bytes.
    rows : int
        Number of rows R.
    columns : int
        Number of columns C.
    dtype : {'float32', 'float16', 'int16'}
        Stored type.
    codec : {'none', 'zstd'}
        Compression.
    scale, offset : ndarray of float32, shape (C,), optional
        Needed for int16.

    Returns
    -------
    ndarray of float32, shape (R, C)
        The rows. Of uncompressed float32 a view.

    Raises
    ------
    ValueError
        If they are not the bytes of so many numbers.
    """
    if codec == "zstd":
        content = _decompress(content, rows * columns, _DTYPES[dtype].itemsize)
    codes: NDArray[np.generic] = np.frombuffer(content, dtype=_DTYPES[dtype])
    codes = codes.reshape(rows, columns)
    if dtype != "int16":
        return codes.astype(np.float32, copy=False)
    if scale is None or offset is None:
        raise ValueError("int16 without scale and offset")
    values = codes.astype(np.float32)
    values *= scale.reshape(1, columns)
    values += offset.reshape(1, columns)
    values[codes == _INT16_MISSING] = np.nan
    return values


def _compress(numbers: NDArray[np.generic]) -> bytes:
    import zstandard

    planes = np.ascontiguousarray(numbers[:, np.newaxis].view(np.uint8).T)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(planes.data)


def _decompress(content: memoryview, cells: int, width: int) -> memoryview:
    import zstandard

    try:
        claimed = zstandard.get_frame_parameters(content).content_size
        # Asked before memory is given to what may be made up.
        if claimed != cells * width or claimed > _MOST_BYTES:
            raise ValueError(f"{claimed} bytes where {cells * width} belong")
        planes = zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    numbers = np.empty((cells, width), dtype=np.uint8)
    numbers[...] = np.frombuffer(planes, np.uint8).reshape(width, cells).T
    return numbers.reshape(-1).data


def _quantise(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32]]:
    wide = values.astype(np.float64)
    missing = np.isnan(wide)
    lowest = np.min(wide, axis=0, where=~missing, initial=np.inf)
    highest = np.max(wide, axis=0, where=~missing, initial=-np.inf)
    some = lowest <= highest
    lowest, highest = np.where(some, lowest, 0.0), np.where(some, highest, 0.0)
    largest = np.max(np.maximum(-lowest, highest), initial=0.0)
    if largest > _INT16_LARGEST:
        raise DataError(
            f"dtype int16 holds numbers up to 1e38, got {largest:g}; use float32"
        )
    # Below the smallest normal number a float32 step loses digits, then vanishes.
    scale = np.maximum((highest - lowest) / _INT16_SPAN, _SMALLEST).astype(np.float32)
    offset = ((highest + lowest) / 2).astype(np.float32)
    codes = np.rint((wide - offset) / scale.astype(np.float64))
    codes = np.clip(codes, _INT16_MISSING + 1, -_INT16_MISSING - 1)
    codes[missing] = _INT16_MISSING
    return codes.astype(np.int16), scale, offset


def _halve(values: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if np.isinf(halves).any():
        largest = float(np.nanmax(np.abs(values)))
        raise DataError(
            f"dtype float16 holds numbers up to 65504, got {largest:g}; use float32 or"
            " int16"
        )
    return halves
