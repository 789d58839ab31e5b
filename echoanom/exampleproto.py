"""A `tf.train.Example` [1]_ written and read without TensorFlow.

The wire format of protocol buffers [2]_ is a tag (field number and type), then for type
0 a varint, for type 2 a length and as many bytes. Whoever writes the values of a record
does so once, behind what `prefix` returns; whoever reads them gets views.

References
----------
.. [1] TensorFlow, ``tensorflow/core/example/example.proto``.
.. [2] Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64

Feature = int | bytes | NDArray[np.float32]
"""A whole number, bytes, or a list of float32."""


def prefix(
    features: Mapping[str, Feature],
    name: str,
    size: int,
    position: int,
) -> bytes:
    """Return an Example without the bytes that end it.

    Parameters
    ----------
    features : mapping of str to int, bytes or ndarray of float32
        Its features but for the last, in order.
    name : str
        Name of the last feature, whose one value is bytes.
    size : int
        Length of these bytes [byte].
    position : int
        Where in its file the Example will start [byte].

    Returns
    -------
    bytes
        With a feature ``pad`` of zeros where it is needed for the bytes to start at a
        multiple of 64 in the file.
    """
    head = b"".join(_feature(key, value) for key, value in features.items())
    return _aligned_prefix(head, name, size, position)


def parse(data: memoryview) -> dict[str, memoryview]:
    """Find the features of an Example.

    Parameters
    ----------
    data : memoryview
        The Example.

    Returns
    -------
    dict of str to memoryview
        For `as_bytes`, `as_floats` or `as_int`.

    Raises
    ------
    ValueError
        If it is none.
    IndexError
        If it ends too early.
    """
    features = {}
    for _, entry in _fields(_only(data, 1)):
        fields = list(_fields(entry))
        if [number for number, _ in fields] == [1, 2]:
            (_, name), (_, feature) = fields
        else:
            name, feature = _only(entry, 1), _only(entry, 2)
        features[bytes(name).decode()] = feature
    return features


def as_bytes(feature: memoryview) -> memoryview:
    """Return the bytes of a feature that holds one value of bytes.

    Parameters
    ----------
    feature : memoryview
        As `parse` returns it.

    Returns
    -------
    memoryview
        The bytes, not copied.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    return _only(_only(feature, 1), 1)


def as_floats(feature: memoryview) -> NDArray[np.float32]:
    """Return the numbers of a feature that holds float32.

    Parameters
    ----------
    feature : memoryview
        As `parse` returns it.

    Returns
    -------
    ndarray of float32, shape (n,)
        The numbers, not copied.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    return np.frombuffer(_only(_only(feature, 2), 1), dtype="<f4")


def as_int(feature: memoryview) -> int:
    """Return the number of a feature that holds one int64.

    Parameters
    ----------
    feature : memoryview
        As `parse` returns it.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        If it holds something else.
    IndexError
        If it ends too early.
    """
    value, _ = _read_varint(_only(_only(feature, 3), 1), 0)
    return value - (1 << 64) if value >> 63 else value


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


def message(number: int, content: bytes) -> bytes:
    """Write a field that holds bytes, text or another message.

    Parameters
    ----------
    number : int
        The field's number, at most 15.
    content : bytes
        What it holds.

    Returns
    -------
    bytes
        Tag, length and content.
    """
    return _field(number, len(content)) + content


def _feature(name: str, value: Feature) -> bytes:
    return message(1, message(1, name.encode()) + message(2, _list(value)))


def _list(value: Feature) -> bytes:
    if isinstance(value, int):
        return message(3, message(1, _varint(value)))
    if isinstance(value, bytes):
        return message(1, message(1, value))
    return message(2, message(1, value.astype("<f4").tobytes()))


def _open(number: int, start: bytes, size: int) -> bytes:
    """Begin a field that holds `start` and then `size` bytes yet to come."""
    return _field(number, len(start) + size) + start


def _prefix(head: bytes, name: str, size: int) -> bytes:
    """Return an Example without the `size` bytes of the value that ends it."""
    element = _open(1, b"", size)
    feature = _open(1, element, size)
    entry = message(1, name.encode()) + _open(2, feature, size)
    return _open(1, head + _open(1, entry, size), size)


def _aligned_prefix(head: bytes, name: str, size: int, position: int) -> bytes:
    """Return the Example up to a payload that begins at a multiple of `ALIGNMENT`."""
    plain = _prefix(head, name, size)
    if (position + len(plain)) % ALIGNMENT == 0:
        return plain

    def padded(pad: int) -> bytes:
        return _prefix(head + _feature("pad", bytes(pad)), name, size)

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
