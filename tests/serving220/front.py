"""The service in front of TensorFlow Serving, for gunicorn: as in SageMaker's container.

Reads the model's folder from MODEL_DIR, and where TensorFlow Serving listens from REST_URI
and GRPC_PORT. Whatever the handler raises becomes a 500, unless falcon knows its status.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import os

import falcon
import grpc

INFERENCE = os.path.join(os.environ["MODEL_DIR"], "code", "inference.py")
Context = collections.namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, "
    "custom_attributes, request_content_type, accept_header, content_length",
)


class Ping:
    def on_get(self, request, response):  # type: ignore[no-untyped-def]
        response.status = falcon.HTTP_200


class Invocations:
    def __init__(self) -> None:
        spec = importlib.util.spec_from_file_location("inference", INFERENCE)
        assert spec is not None and spec.loader is not None
        inference = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(inference)
        self._handler = inference.handler
        port = os.environ["GRPC_PORT"]
        self._channel = grpc.insecure_channel(f"localhost:{port}") if port else None

    def on_post(self, request, response):  # type: ignore[no-untyped-def]
        context = Context(
            *(None, None, None, os.environ["REST_URI"], os.environ["GRPC_PORT"]),
            self._channel,
            request.get_header("X-Amzn-SageMaker-Custom-Attributes"),
            request.get_header("Content-Type") or "application/json",
            request.get_header("Accept") or "application/json",
            request.content_length,
        )
        try:
            response.status = falcon.HTTP_200
            response.data, response.content_type = self._handler(
                request.stream, context
            )
        except falcon.HTTPError:
            raise
        except Exception as error:
            response.status = falcon.HTTP_500
            response.data = json.dumps({"error": str(error)}).encode()


app = falcon.App()
app.add_route("/ping", Ping())
app.add_route("/invocations", Invocations())
