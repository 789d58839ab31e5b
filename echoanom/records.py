"""A block of consecutive rows as one TFRecord, written and read without TensorFlow.

A record is a `tf.train.Example` [1]_ in TFRecord framing [2]_. Its features are

========  ==========  =============================================================
start     int64       time of the first row [s since 1970-01-01 UTC]
rows      int64       number of rows R
halo      int64       1 if the rows repeat the first rows of the next shard, else 0
values    bytes       R × C little-endian numbers, row by row; NaN is missing
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

from echoanom.errors import CorruptionError, DataError, TruncatedError
from echoanom.options import StorageDtype

ALIGNMENT = 64
HEADER_BYTES = 12
TRAILER_BYTES = 4

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_CRC_MASK = 0xA282EAD8
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


def encode(block: Block, dtype: StorageDtype, position: int) -> tuple[bytes, int]:
    """Encode a block as one framed record.

    Parameters
    ----------
    block : Block
        The rows.
    dtype : {'float32', 'float16', 'int16'}
        Stored type. float16 keeps 11 significant bits of numbers from 6.1e-5 to
        65504, and fewer of smaller ones. int16 is off by at most half of
        ``(largest − smallest) / 65534`` of its column in this block, or of 1.2e-38,
        and by float32's spacing at the largest magnitude.
    position : int
        Where in its file the record will start [byte].

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
    rows = len(block.values)
    features = [
        _feature(b"start", _int64_list(block.start_s)),
        _feature(b"rows", _int64_list(rows)),
        _feature(b"halo", _int64_list(int(block.halo))),
    ]
    if block.filled is not None and block.filled.any():
        features.append(
            _feature(b"filled", _bytes_list(np.packbits(block.filled).tobytes()))
        )
    codes: NDArray[np.generic] = block.values
    if dtype == "int16":
        codes, scale, offset = _quantise(block.values)
        features.append(_feature(b"scale", _float_list(scale)))
        features.append(_feature(b"offset", _float_list(offset)))
    elif dtype == "float16":
        codes = _halve(block.values)
    numbers = np.ascontiguousarray(codes, dtype=_DTYPES[dtype])
    payload = numbers.reshape(-1).view(np.uint8).data
    head = b"".join(features)
    prefix = _aligned_prefix(head, len(payload), position + HEADER_BYTES)
    length = _LENGTH.pack(len(prefix) + len(payload))
    crc = masked_crc(prefix, payload)
    parts = (length, _CRC.pack(masked_crc(length)), prefix, payload, _CRC.pack(crc))
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
        For float32 `values` is a view into `data`.

    Raises
    ------
    CorruptionError
        If the data are no such Example.
    """
    try:
        features = _parse_example(data)
        rows = _parse_int64(features["rows"])
        if rows < 0:
            raise ValueError(f"{rows} rows")
        codes: NDArray[np.generic] = np.frombuffer(
            _parse_bytes(features["values"]), dtype=_DTYPES[dtype]
        ).reshape(rows, columns)
        marks: NDArray[np.bool_] | None = None
        if filled and "filled" in features:
            bits = np.frombuffer(_parse_bytes(features["filled"]), dtype=np.uint8)
            if len(bits) != -(-rows * columns // 8):
                raise ValueError(f"{len(bits)} bytes of filled bits")
            cells = np.unpackbits(bits, count=rows * columns).view(np.bool_)
            marks = cells.reshape(rows, columns)
        if dtype == "int16":
            scale = _parse_floats(features["scale"]).reshape(1, columns)
            offset = _parse_floats(features["offset"]).reshape(1, columns)
            values = codes.astype(np.float32) * scale + offset
            values[codes == _INT16_MISSING] = np.nan
        else:
            values = codes.astype(np.float32, copy=False)
        return Block(
            start_s=_parse_int64(features["start"]),
            values=values,
            filled=marks,
            halo=bool(_parse_int64(features["halo"])),
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


# The wire format of protocol buffers: a tag (field number and type), then for type 0
# a varint, for type 2 a length and as many bytes.


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF  # negative numbers are ten bytes of two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, size: int) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(size)


def _message(number: int, content: bytes) -> bytes:
    return _field(number, len(content)) + content


def _bytes_list(value: bytes) -> bytes:
    return _message(1, _message(1, value))


def _float_list(values: NDArray[np.float32]) -> bytes:
    return _message(2, _message(1, values.astype("<f4").tobytes()))


def _int64_list(value: int) -> bytes:
    return _message(3, _message(1, _varint(value)))


def _feature(name: bytes, feature: bytes) -> bytes:
    return _message(1, _message(1, name) + _message(2, feature))


def _open(number: int, start: bytes, size: int) -> bytes:
    """Begin a field that holds `start` and then `size` bytes yet to come."""
    return _field(number, len(start) + size) + start


def _prefix(head: bytes, size: int) -> bytes:
    """Return an Example without the `size` bytes of values that end it."""
    element = _open(1, b"", size)
    feature = _open(1, element, size)
    entry = _message(1, b"values") + _open(2, feature, size)
    return _open(1, head + _open(1, entry, size), size)


def _aligned_prefix(head: bytes, size: int, position: int) -> bytes:
    """Return the Example up to a payload that begins at a multiple of `ALIGNMENT`."""
    prefix = _prefix(head, size)
    if (position + len(prefix)) % ALIGNMENT == 0:
        return prefix

    def padded(pad: int) -> bytes:
        return _prefix(head + _feature(b"pad", _bytes_list(bytes(pad))), size)

    lacking = -(position + len(padded(0))) % ALIGNMENT
    # The pad can lengthen the varints before it by a byte each, which may skip the
    # right length; the next multiple is then reached instead.
    for pad in (
        lacking + more - fewer
        for more in range(0, 256, ALIGNMENT)
        for fewer in range(5)
    ):
        if pad >= 0 and (position + len(padded(pad))) % ALIGNMENT == 0:
            return padded(pad)
    raise AssertionError("no pad aligns the payload")  # four varints skip four lengths


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 != 2:
            raise ValueError(f"a field of wire type {tag & 7}")
        size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError("a field that is longer than its message")
        yield tag >> 3, data[at : at + size]
        at += size


def _only(data: memoryview, number: int) -> memoryview:
    if len(data) and data[0] == number << 3 | 2:  # in most messages it is all there is
        size, at = _read_varint(data, 1)
        if at + size == len(data):
            return data[at:]
    found = [content for field, content in _fields(data) if field == number]
    if len(found) != 1:
        raise ValueError(f"{len(found)} fields where one belongs")
    return found[0]


def _parse_example(data: memoryview) -> dict[str, memoryview]:
    features = {}
    for _, entry in _fields(_only(data, 1)):
        fields = list(_fields(entry))
        if [number for number, _ in fields] == [1, 2]:
            (_, name), (_, feature) = fields
        else:
            name, feature = _only(entry, 1), _only(entry, 2)
        features[bytes(name).decode()] = feature
    return features


def _parse_bytes(feature: memoryview) -> memoryview:
    return _only(_only(feature, 1), 1)


def _parse_floats(feature: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(_only(_only(feature, 2), 1), dtype="<f4")


def _parse_int64(feature: memoryview) -> int:
    value, _ = _read_varint(_only(_only(feature, 3), 1), 0)
    return value - (1 << 64) if value >> 63 else value
