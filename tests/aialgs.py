"""SageMaker's record schema, as Google's own protocol buffers read it.

The schema is that of the developer guide's "Common Data Formats for Training"; nothing
of it comes from what is tested.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = ".aialgs.data."
_TENSORS = {
    "Float32Tensor": _FIELD.TYPE_FLOAT,
    "Float64Tensor": _FIELD.TYPE_DOUBLE,
    "Int32Tensor": _FIELD.TYPE_INT32,
}
_VALUES = (
    ("float32_tensor", 2, "Float32Tensor"),
    ("float64_tensor", 3, "Float64Tensor"),
    ("int32_tensor", 7, "Int32Tensor"),
    ("bytes", 9, "Bytes"),
)


def _record_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="aialgs/data/record.proto", package="aialgs.data", syntax="proto2"
    )
    for name, kind in _TENSORS.items():
        tensor = file.message_type.add(name=name)
        for field, number, of in (
            ("values", 1, kind),
            ("keys", 2, _FIELD.TYPE_UINT64),
            ("shape", 3, _FIELD.TYPE_UINT64),
        ):
            added = tensor.field.add(
                name=field, number=number, type=of, label=_FIELD.LABEL_REPEATED
            )
            added.options.packed = True
    held = file.message_type.add(name="Bytes")
    held.field.add(
        name="value", number=1, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED
    )
    _text(held, "content_type", 2)
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="value")
    for name, number, of in _VALUES:
        value.field.add(
            name=name,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            type_name=_PACKAGE + of,
            label=_FIELD.LABEL_OPTIONAL,
            oneof_index=0,
        )
    record = file.message_type.add(name="Record")
    for number, name in enumerate(("features", "label"), start=1):
        entry = record.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _text(entry, "key", 1)
        entry.field.add(
            name="value",
            number=2,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f"{_PACKAGE}Value",
            label=_FIELD.LABEL_OPTIONAL,
        )
        record.field.add(
            name=name,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f"{_PACKAGE}Record.{entry.name}",
            label=_FIELD.LABEL_REPEATED,
        )
    for number, name in enumerate(("uid", "metadata", "configuration"), start=3):
        _text(record, name, number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("aialgs.data.Record")
    return message_factory.GetMessageClass(found)


def _text(message: Any, name: str, number: int) -> None:
    message.field.add(
        name=name, number=number, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL
    )


Record = _record_class()


def frames(content: bytes) -> Iterator[bytes]:
    """Take RecordIO frames off as SageMaker's Python library did."""
    at = 0
    while at < len(content):
        magic, size = struct.unpack_from("<II", content, at)
        assert magic == 0xCED7230A
        yield content[at + 8 : at + 8 + size]
        at += 8 + (size + 3) // 4 * 4
    assert at == len(content)


def read_records(content: bytes) -> list[Any]:
    """Read all records of an object."""
    found = [Record.FromString(payload) for payload in frames(content)]
    assert all(record.IsInitialized() for record in found)
    return found
