"""TensorFlow Serving asked for predictions, over gRPC or REST.

A day of 1,440 rows of 1,600 columns is 9 MiB as the bytes of a gRPC request, and 40 MB of
digits as the JSON of a REST request, which take both sides seconds to write and to read.
So rows go over gRPC. The container has gRPC, but not the messages of TensorFlow Serving's
interface [1]_; the two that are needed are a few fields of protocol buffers [2]_.

References
----------
.. [1] TensorFlow Serving, ``tensorflow_serving/apis/predict.proto``, ``model.proto``;
   TensorFlow, ``tensorflow/core/framework/tensor.proto``.
.. [2] Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[str, NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""Runs a signature of the model on its one input ``values``."""

TIMEOUT_S = 3600.0
"""What a batch transform grants a request, at most [s]."""

_METHOD = "/tensorflow.serving.PredictionService/Predict"
_DT_FLOAT = 1
_MODEL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:\w+$")
_SHOWN = 300


class ServingError(Exception):
    """TensorFlow Serving does not answer as it should."""


def predict_over_rest(uri: str) -> Predict:
    """Prepare to ask over REST.

    Parameters
    ----------
    uri : str
        The model's address: ``http://localhost:8501/v1/models/model:predict``.

    Returns
    -------
    callable
        Asks it. Raises ServingError if there is no answer.
    """
    parts = urllib.parse.urlsplit(uri)

    def predict(
        signature: str, values: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float32]]:
        body = json.dumps(
            {"signature_name": signature, "inputs": {"values": values.tolist()}}
        )
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", parts.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                shown = content[:_SHOWN].decode("utf-8", "replace")
                raise ServingError(
                    f"{uri}: must answer 200, got {answer.status}: {shown}"
                )
            outputs = json.loads(content)["outputs"]
            return {
                name: np.asarray(output, dtype=np.float32)
                for name, output in outputs.items()
            }
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise ServingError(
                f"{uri}: must answer, but {type(error).__name__}: {error}"
            ) from error
        finally:
            connection.close()

    return predict


def predict_over_grpc(channel: Any, uri: str) -> Predict:
    """Prepare to ask over gRPC.

    Parameters
    ----------
    channel : grpc.Channel
        To TensorFlow Serving.
    uri : str
        The model's REST address, which names model and version.

    Returns
    -------
    callable
        Asks it. Raises ServingError if there is no answer.
    """
    found = _MODEL.search(uri)
    name, version = found.groups() if found else ("model", None)
    call = channel.unary_unary(_METHOD)

    def predict(
        signature: str, values: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float32]]:
        import grpc

        request = predict_request(name, version, signature, values)
        try:
            return predict_response(_aside(call, request))
        except (grpc.RpcError, ValueError, IndexError) as error:
            said = error.details() if isinstance(error, grpc.Call) else error
            raise ServingError(f"{uri}: must answer over gRPC, but {said}") from error

    return predict


def _aside(call: Callable[..., bytes], request: bytes) -> bytes:
    """Wait for gRPC without keeping the container's other requests waiting.

    Its web server works with greenlets. gRPC knows nothing of them: it would stop all, the
    health check too, until it has its answer.
    """
    if "gevent" in sys.modules:
        gevent = sys.modules["gevent"]
        pool = gevent.get_hub().threadpool
        return bytes(pool.apply(call, (request,), {"timeout": TIMEOUT_S}))
    return call(request, timeout=TIMEOUT_S)


def predict_request(
    name: str, version: str | None, signature: str, values: NDArray[np.float32]
) -> bytes:
    """Write a ``PredictRequest``.

    Parameters
    ----------
    name : str
        The model.
    version : str, optional
        Its version; the newest if left out.
    signature : str
        The signature.
    values : ndarray of float32
        Its input ``values``.

    Returns
    -------
    bytes
        The message.
    """
    spec = _bytes(1, name.encode())
    if version is not None:
        spec += _bytes(2, _number(1, int(version)))
    spec += _bytes(3, signature.encode())
    shape = b"".join(_bytes(2, _number(1, size)) for size in values.shape)
    content = values.astype("<f4", copy=False).tobytes()
    tensor = _number(1, _DT_FLOAT) + _bytes(2, shape) + _bytes(4, content)
    entry = _bytes(1, b"values") + _bytes(2, tensor)
    return _bytes(1, spec) + _bytes(2, entry)


def predict_response(message: bytes) -> dict[str, NDArray[np.float32]]:
    """Read a ``PredictResponse``.

    Parameters
    ----------
    message : bytes
        The message.

    Returns
    -------
    dict of str to ndarray of float32
        Outputs by name.

    Raises
    ------
    ValueError
        If it holds something else.
    IndexError
        If it ends too early.
    """
    outputs = {}
    for number, entry in _fields(memoryview(message)):
        if number == 1 and not isinstance(entry, int):
            fields = dict(_fields(entry))
            name, tensor = fields[1], fields[2]
            if isinstance(name, int) or isinstance(tensor, int):
                raise ValueError("an output must have a name and a tensor")
            outputs[bytes(name).decode()] = _tensor(tensor)
    return outputs


def _tensor(message: memoryview) -> NDArray[np.float32]:
    shape: list[int] = []
    parts = []
    for number, content in _fields(message):
        if number == 1 and content != _DT_FLOAT:
            raise ValueError(f"a tensor must be of type {_DT_FLOAT}, is of {content!r}")
        if isinstance(content, int):
            continue
        if number == 2:
            for of_shape, dimension in _fields(content):
                if of_shape == 2 and not isinstance(dimension, int):
                    size = dict(_fields(dimension)).get(1, 0)
                    shape.append(size if isinstance(size, int) else 0)
        elif number in (4, 5):
            parts.append(np.frombuffer(content, dtype="<f4"))
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if values.size == 1:  # a value that repeats is written once
        values = np.broadcast_to(values, (int(np.prod(shape)),))
    return values.reshape(shape)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(message):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or (varint() if kind == 2 else -1)
        if size < 0 or at + size > len(message):
            raise ValueError("a message must be whole, of known fields")
        yield tag >> 3, message[at : at + size]
        at += size
