"""A block of consecutive rows as one TFRecord, written and read without TensorFlow.

A record is a `tf.train.Example` [1]_ in TFRecord framing [2]_. Its features are

========  ==========  =============================================================
start     int64       time of the first row [s since 1970-01-01 UTC]
rows      int64       number of rows R
halo      int64       1 if the rows repeat the first rows of the next shard, else 0
values    bytes       R × C little-endian numbers, row by row; NaN is missing
zstd      bytes       in place of `values`: the same, compressed; before that, all first
                      bytes of the numbers, then all second ones, and so on
filled    bytes       R × C bits (most significant first), 1 where interpolated;
                      absent where nothing is
scale     float list  int16 only: C factors, ``value = code * scale + offset``
offset    float list  int16 only: C offsets; the code −32768 is missing
pad       bytes       zeros, so that `values` starts at a multiple of 64 in the file
========  ==========  =============================================================

References
----------
.. [1] TensorFlow, ``tensorflow/core/example/example.proto``.
.. [2] TensorFlow, ``tensorflow/core/lib/io/record_writer.h``: length (uint64), masked
   CRC-32C of the length, data, masked CRC-32C of the data; all little-endian.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Mapping

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from echoanom import exampleproto
from echoanom.errors import CorruptionError, TruncatedError
from echoanom.options import Codec, StorageDtype
from echoanom.packing import pack, unpack

ALIGNMENT = exampleproto.ALIGNMENT
HEADER_BYTES = 12
TRAILER_BYTES = 4

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_CRC_MASK = 0xA282EAD8
_PAYLOADS: Mapping[Codec, str] = {"none": "values", "zstd": "zstd"}


@dataclasses.dataclass(frozen=True)
class Block:
    """Consecutive rows without a gap.

    Attributes
    ----------
    start_s : int
        Time of the first row [s since 1970-01-01 UTC].
    values : ndarray of float32, shape (R, C)
        The rows; NaN is missing.
    filled : ndarray of bool, shape (R, C), or None
        True where a value is interpolated; None where none is.
    halo : bool
        Whether the rows belong to the next shard.
    """

    start_s: int
    values: NDArray[np.float32]
    filled: NDArray[np.bool_] | None = None
    halo: bool = False


def masked_crc(*parts: bytes | memoryview) -> int:
    """Compute TFRecord's masked CRC-32C.

    Parameters
    ----------
    *parts : bytes-like
        The data, in order.

    Returns
    -------
    int
        ``rotate_right(crc, 15) + 0xa282ead8`` in 32 bits.
    """
    crc = 0
    for part in parts:
        # An array is taken as it is; a memoryview would have to be copied.
        crc = google_crc32c.extend(crc, np.frombuffer(part, dtype=np.uint8))
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF


def encode(
    block: Block, dtype: StorageDtype, position: int, codec: Codec = "none"
) -> tuple[bytes, int]:
    """Encode a block as one framed record.

    Parameters
    ----------
    block : Block
        The rows.
    dtype : {'float32', 'float16', 'int16'}
        Stored type; `packing` says what each keeps.
    position : int
        Where in its file the record will start [byte].
    codec : {'none', 'zstd'}
        Compression.

    Returns
    -------
    record : bytes
        Header, Example and trailer.
    crc : int
        The masked CRC-32C in the trailer.

    Raises
    ------
    DataError
        If the values do not fit the type.
    """
    features: dict[str, exampleproto.Feature] = {
        "start": block.start_s,
        "rows": len(block.values),
        "halo": int(block.halo),
    }
    if block.filled is not None and block.filled.any():
        features["filled"] = np.packbits(block.filled).tobytes()
    packed = pack(block.values, dtype, codec)
    if packed.scale is not None and packed.offset is not None:
        features |= {"scale": packed.scale, "offset": packed.offset}
    prefix = exampleproto.prefix(
        features, _PAYLOADS[codec], len(packed.content), position + HEADER_BYTES
    )
    length = _LENGTH.pack(len(prefix) + len(packed.content))
    crc = masked_crc(prefix, packed.content)
    trailer = _CRC.pack(crc)
    parts = (length, _CRC.pack(masked_crc(length)), prefix, packed.content, trailer)
    return b"".join(parts), crc


def decode(
    data: memoryview, columns: int, dtype: StorageDtype, *, filled: bool = True
) -> Block:
    """Decode the Example of one record.

    Parameters
    ----------
    data : memoryview
        The record's data, without header and trailer.
    columns : int
        Number of columns C.
    dtype : {'float32', 'float16', 'int16'}
        Stored type.
    filled : bool
        Whether to tell which values are interpolated.

    Returns
    -------
    Block
        For uncompressed float32 `values` is a view into `data`.

    Raises
    ------
    CorruptionError
        If the data are no such Example.
    """
    try:
        features = exampleproto.parse(data)
        rows = exampleproto.as_int(features["rows"])
        if rows < 0:
            raise ValueError(f"{rows} rows")
        codec: Codec = "zstd" if _PAYLOADS["zstd"] in features else "none"
        scale, offset = (
            exampleproto.as_floats(features[name]) if name in features else None
            for name in ("scale", "offset")
        )
        values = unpack(
            exampleproto.as_bytes(features[_PAYLOADS[codec]]),
            rows,
            columns,
            dtype,
            codec,
            scale,
            offset,
        )
        marks: NDArray[np.bool_] | None = None
        if filled and "filled" in features:
            bits = np.frombuffer(exampleproto.as_bytes(features["filled"]), np.uint8)
            if len(bits) != -(-rows * columns // 8):
                raise ValueError(f"{len(bits)} bytes of filled bits")
            cells = np.unpackbits(bits, count=rows * columns).view(np.bool_)
            marks = cells.reshape(rows, columns)
        return Block(
            start_s=exampleproto.as_int(features["start"]),
            values=values,
            filled=marks,
            halo=bool(exampleproto.as_int(features["halo"])),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise CorruptionError(
            f"a record must be an Example of {columns} {dtype} columns, got: {error}"
        ) from None


def scan(data: memoryview, path: str) -> Iterator[tuple[int, int]]:
    """Walk through a file of TFRecords and check lengths and their checksums.

    Parameters
    ----------
    data : memoryview
        The file's content.
    path : str
        The file's name, for messages.

    Yields
    ------
    offset : int
        Where the record's frame starts [byte].
    length : int
        Length of its data [byte].

    Raises
    ------
    TruncatedError
        If the file ends inside a record.
    CorruptionError
        If a length is not what its checksum says.
    """
    offset = 0
    while offset < len(data):
        length = check_header(data, offset, path)
        yield offset, length
        offset += HEADER_BYTES + length + TRAILER_BYTES


def check_header(data: memoryview, offset: int, path: str) -> int:
    """Read a record's length and check it.

    Parameters
    ----------
    data : memoryview
        The file's content.
    offset : int
        Where the record's frame starts [byte].
    path : str
        The file's name, for messages.

    Returns
    -------
    int
        Length of the record's data [byte].

    Raises
    ------
    TruncatedError
        If the file ends inside the record.
    CorruptionError
        If the length is not what its checksum says.
    """
    header = bytes(data[offset : offset + HEADER_BYTES])
    if len(header) == HEADER_BYTES:
        length = read_length(header, offset, path)
        if offset + HEADER_BYTES + length + TRAILER_BYTES <= len(data):
            return length
    raise cut_short(len(data), offset, path)


def cut_short(size: int, offset: int, path: str) -> TruncatedError:
    """Say that a file ends inside a record.

    Parameters
    ----------
    size : int
        Where the file ends [byte].
    offset : int
        Where the record's frame starts [byte].
    path : str
        The file's name, for the message.

    Returns
    -------
    TruncatedError
        To be raised.
    """
    return TruncatedError(
        f"{path}: ends at byte {size}, inside the record at byte {offset}"
    )


def read_length(header: bytes, offset: int, path: str) -> int:
    """Read the length in a record's header and check it.

    Parameters
    ----------
    header : bytes
        The header.
    offset : int
        Where it starts in its file [byte], for messages.
    path : str
        The file's name, for messages.

    Returns
    -------
    int
        Length of the record's data [byte].

    Raises
    ------
    CorruptionError
        If the length is not what its checksum says.
    """
    (length,) = _LENGTH.unpack_from(header)
    (crc,) = _CRC.unpack_from(header, _LENGTH.size)
    if masked_crc(header[: _LENGTH.size]) != crc:
        raise CorruptionError(
            f"{path}: the record at byte {offset} has a length that does not match its"
            " checksum"
        )
    return int(length)


def check_data(data: memoryview, offset: int, length: int, path: str) -> int:
    """Check a record's data against its trailer.

    Parameters
    ----------
    data : memoryview
        The file's content.
    offset : int
        Where the record's frame starts [byte].
    length : int
        Length of its data [byte].
    path : str
        The file's name, for messages.

    Returns
    -------
    int
        The masked CRC-32C.

    Raises
    ------
    CorruptionError
        If the data do not match.
    """
    begin = offset + HEADER_BYTES
    end = begin + length
    return check_payload(data[begin:end], data[end : end + TRAILER_BYTES], offset, path)


def check_payload(
    payload: memoryview, trailer: bytes | memoryview, offset: int, path: str
) -> int:
    """Check a record's data, cut out of its file, against its trailer.

    Parameters
    ----------
    payload : memoryview
        The data.
    trailer : bytes-like
        What follows them.
    offset : int
        Where the record's frame starts in its file [byte], for messages.
    path : str
        The file's name, for messages.

    Returns
    -------
    int
        The masked CRC-32C.

    Raises
    ------
    CorruptionError
        If the data do not match.
    """
    (stored,) = _CRC.unpack(trailer)
    found = masked_crc(payload)
    if stored != found:
        raise CorruptionError(
            f"{path}: the record at byte {offset} has data that do not match their"
            f" checksum (stored {stored:08x}, found {found:08x})"
        )
    return found
