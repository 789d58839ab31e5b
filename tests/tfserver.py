"""TensorFlow Serving's two interfaces, over real sockets, on TensorFlow's own loader."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FLOAT = tf.float32.as_datatype_enum
TEXT, INT64, MESSAGE = 9, 3, 11


def predict_messages() -> tuple[Any, Any]:
    """Make the messages of predict.proto, which TensorFlow does not bring along."""
    file = descriptor_pb2.FileDescriptorProto(
        name="predict_of_tests.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.extend(
        ["tensorflow/core/framework/tensor.proto", "google/protobuf/wrappers.proto"]
    )
    spec = file.message_type.add(name="ModelSpec")
    spec.field.add(name="name", number=1, type=TEXT, label=1)
    version = spec.field.add(name="version", number=2, type=MESSAGE, label=1)
    version.type_name = ".google.protobuf.Int64Value"
    spec.field.add(name="signature_name", number=3, type=TEXT, label=1)
    for name, number, tensors in (("Request", 2, "inputs"), ("Response", 1, "outputs")):
        message = file.message_type.add(name=f"Predict{name}")
        entry = message.nested_type.add(name=f"{tensors.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=TEXT, label=1)
        value = entry.field.add(name="value", number=2, type=MESSAGE, label=1)
        value.type_name = ".tensorflow.TensorProto"
        field = message.field.add(name=tensors, number=number, type=MESSAGE, label=3)
        field.type_name = f".tensorflow.serving.Predict{name}.{entry.name}"
        model = message.field.add(
            name="model_spec", number=3 - number, type=MESSAGE, label=1
        )
        model.type_name = ".tensorflow.serving.ModelSpec"
    found = message_factory.GetMessages([file], pool=descriptor_pool.Default())
    return (
        found["tensorflow.serving.PredictRequest"],
        found["tensorflow.serving.PredictResponse"],
    )


PredictRequest, PredictResponse = predict_messages()


class TensorFlowServer:
    """Answers for the SavedModel of a folder, and remembers who asked how."""

    def __init__(self, folder: str) -> None:
        self._signatures = tf.saved_model.load(folder).signatures
        self.asked: list[tuple[str, str, str]] = []
        self.rest_uri = ""
        self.grpc_port = 0

    def predict(self, signature: str, values: Any) -> dict[str, Any]:
        found = self._signatures[signature](values=tf.constant(values, tf.float32))
        return {name: output.numpy() for name, output in found.items()}

    def over_rest(self, path: str, body: bytes) -> bytes:
        request = json.loads(body)
        self.asked.append(("REST", path, request["signature_name"]))
        outputs = self.predict(request["signature_name"], request["inputs"]["values"])
        return json.dumps(
            {"outputs": {name: one.tolist() for name, one in outputs.items()}}
        ).encode()

    def over_grpc(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        request = PredictRequest.FromString(message)
        spec = request.model_spec
        self.asked.append(
            (f"gRPC {spec.version.value}", spec.name, spec.signature_name)
        )
        if request.inputs["values"].dtype != FLOAT:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "values must be float")
        values = tf.make_ndarray(request.inputs["values"])
        response = PredictResponse()
        for name, output in self.predict(spec.signature_name, values).items():
            # Both ways in which a tensor may be written.
            tensor = tf.make_tensor_proto(output)
            if name == "error":
                tensor.ClearField("tensor_content")
                tensor.ClearField("float_val")
                tensor.float_val.extend(np.ravel(output).tolist())
            response.outputs[name].CopyFrom(tensor)
        return bytes(response.SerializeToString())


@contextlib.contextmanager
def tensorflow_server(folder: str) -> Iterator[TensorFlowServer]:
    """Serve a SavedModel on free ports."""
    server = TensorFlowServer(folder)

    class Rest(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, answer = 200, server.over_rest(self.path, body)
            except (ValueError, KeyError, tf.errors.OpError) as error:
                status, answer = 400, json.dumps({"error": str(error)}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    server.rest_uri = f"http://127.0.0.1:{rest.server_port}/v1/models/model:predict"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        # As TensorFlow Serving: requests of any size.
        over_grpc = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
        method = grpc.unary_unary_rpc_method_handler(server.over_grpc)
        name = "tensorflow.serving.PredictionService"
        over_grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"Predict": method}),)
        )
        server.grpc_port = over_grpc.add_insecure_port("127.0.0.1:0")
        over_grpc.start()
        yield server
        over_grpc.stop(0).wait()
    rest.shutdown()
    rest.server_close()
    thread.join()
