"""Run as a process: what SageMaker's TensorFlow Serving container does for a request.

``python container.py CODE REST_URI [GRPC_PORT]`` puts CODE and CODE/lib on the path, loads
CODE/inference.py, answers POST with its handler, and prints its port. An error of the
handler becomes a 500 that says it. It has no TensorFlow, and nothing else of echoanom's.
"""

from __future__ import annotations

import collections
import http.server
import importlib.util
import json
import os
import sys

ABSENT = (
    "tensorflow",
    "keras",
    "pandas",
    "polars",
    "google_crc32c",
    "xxhash",
    "fsspec",
)
Context = collections.namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, "
    "custom_attributes, request_content_type, accept_header, content_length",
)


def main(code: str, rest_uri: str, grpc_port: str = "") -> None:
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.path[:0] = [code, os.path.join(code, "lib")]
    channel = None
    if grpc_port:
        import grpc

        channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
    path = os.path.join(code, "inference.py")
    spec = importlib.util.spec_from_file_location("inference", path)
    assert spec is not None and spec.loader is not None
    inference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inference)
    ours = [name for name in sys.modules if name.split(".")[0] == "echoanom"]
    for name in ours:
        assert str(sys.modules[name].__file__).startswith(code), name

    class Front(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            context = Context(
                *(None, None, None, rest_uri, grpc_port, channel, None),
                self.headers.get("Content-Type") or "application/json",
                self.headers.get("Accept") or "application/json",
                length,
            )
            try:
                body, kind = inference.handler(Stream(self.rfile, length), context)
                status = 200
            except Exception as error:
                status, kind = 500, "application/json"
                body = json.dumps({"error": str(error)}).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Front)
    print(server.server_port, flush=True)
    server.serve_forever()


class Stream:
    """A body that ends where it ends, as falcon's."""

    def __init__(self, file, length):  # type: ignore[no-untyped-def]
        self._file, self._left = file, length

    def read(self, size: int = -1) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        content = bytes(self._file.read(min(size, 10_000)))
        self._left -= len(content)
        return content


if __name__ == "__main__":
    main(*sys.argv[1:])
