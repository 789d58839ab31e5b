"""TFRecords of a request, as shards hold them, without what a container lacks.

`echoanom.records` says what a record holds. Its checksums are those of the disk; here the
length of each record is checked against its own, and the rest has come over TCP and TLS,
which have theirs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from echoanom import exampleproto
from echoanom.cloud.requestrows import RequestError

_HEADER = struct.Struct("<QI")
_TRAILER_BYTES = 4
_CRC_MASK = 0xA282EAD8
_CRC_POLYNOMIAL = 0x82F63B78
_INT16_MISSING = -32768


def rows_from_records(
    body: bytes, columns: int, period_s: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read the rows of records.

    Parameters
    ----------
    body : bytes
        One record or more, in any order.
    columns : int
        Columns that they must have, C.
    period_s : int
        Time from row to row [s].

    Returns
    -------
    values : ndarray of float32, shape (N, C)
        In order of time; NaN is missing, or was filled when the data were converted.
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970-01-01 UTC].

    Raises
    ------
    RequestError
        If they cannot be read.
    """
    blocks = []
    for number, data in enumerate(_records(memoryview(body)), 1):
        try:
            blocks.append(_block(data, columns))
        except (KeyError, ValueError, IndexError) as error:
            raise RequestError(
                400,
                f"record {number} must be a block of rows of {columns} columns, but"
                f" {error}",
            ) from None
    blocks.sort(key=lambda block: block[0])
    times = [
        start + np.arange(len(values), dtype=np.int64) * period_s
        for start, values in blocks
    ]
    return np.concatenate([values for _, values in blocks]), np.concatenate(times)


def _records(data: memoryview) -> Iterator[memoryview]:
    """Take a body apart into the data of its records."""
    at = 0
    while at < len(data):
        header = bytes(data[at : at + _HEADER.size])
        if len(header) < _HEADER.size:
            raise RequestError(
                400, f"records must be whole, but the body ends in one at byte {at}"
            )
        length, crc = _HEADER.unpack(header)
        if _masked_crc(header[:8]) != crc:
            raise RequestError(
                400,
                f"the body must be TFRecords, but what starts at byte {at} is none",
            )
        begin = at + _HEADER.size
        at = begin + length + _TRAILER_BYTES
        if at > len(data):
            raise RequestError(
                400,
                "records must be whole, but the body ends in one at byte"
                f" {begin - _HEADER.size}",
            )
        yield data[begin : begin + length]


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF


def _block(data: memoryview, columns: int) -> tuple[int, NDArray[np.float32]]:
    features = exampleproto.parse(data)
    start = exampleproto.as_int(features["start"])
    rows = exampleproto.as_int(features["rows"])
    if "zstd" in features:
        raise ValueError("is compressed; convert without --codec zstd")
    content = exampleproto.as_bytes(features["values"])
    cells = rows * columns
    if rows < 1 or len(content) not in (2 * cells, 4 * cells):
        raise ValueError(f"{rows} rows of it take {len(content)} bytes")
    if len(content) == 4 * cells:
        values = np.frombuffer(content, dtype="<f4").astype(np.float32)
    elif "scale" in features:
        codes = np.frombuffer(content, dtype="<i2").reshape(rows, columns)
        values = codes.astype(np.float32)
        values *= exampleproto.as_floats(features["scale"])
        values += exampleproto.as_floats(features["offset"])
        values[codes == _INT16_MISSING] = np.nan
    else:
        values = np.frombuffer(content, dtype="<f2").astype(np.float32)
    values = values.reshape(rows, columns)
    if "filled" in features:
        bits = np.frombuffer(exampleproto.as_bytes(features["filled"]), np.uint8)
        if len(bits) != -(-cells // 8):
            raise ValueError(f"{len(bits)} bytes tell which cells were filled")
        values[np.unpackbits(bits, count=cells).reshape(rows, columns) == 1] = np.nan
    return start, values
