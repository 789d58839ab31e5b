"""SageMaker's part, played on this machine: for trying, for tests, and for examples.

::

    python -m echoanom.cloud.standin

It speaks the protocols of SageMaker's control plane and of its endpoints [1]_, holds each
request against the service's own model, and runs training jobs, endpoints and transforms
for real. It listens on this machine alone. Data are in whatever S3 store the environment
names.

References
----------
.. [1] Smithy, "AWS JSON 1.1 protocol" and "AWS restJson1 protocol".
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http
import http.server
import json
import logging
import re
import signal
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from echoanom.cloud.standinhosting import INVOKE_BYTES
from echoanom.cloud.standinplane import ControlPlane
from echoanom.cloud.standinstate import REGION, ServiceError

logger = logging.getLogger(__name__)

REQUEST_BYTES = 4 << 20
"""Largest request to the control plane [byte]."""

_TARGET = re.compile(r"(SageMaker|Logs_20140328)\.([A-Za-z]+)")
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_SILENCE_S = 120.0
_JSON = "application/x-amz-json-1.1"


class StandIn:
    """A control plane that listens.

    Parameters
    ----------
    endpoint : str
        Its address, ``http://127.0.0.1:PORT``.
    plane : ControlPlane
        What it keeps.
    """

    def __init__(self, endpoint: str, plane: ControlPlane) -> None:
        self.endpoint = endpoint
        self.plane = plane

    def environment(self) -> dict[str, str]:
        """Return the variables that make any AWS client use it.

        Returns
        -------
        dict
            Names and values. Credentials are not among them: any will do.
        """
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER": self.endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.endpoint,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
        }


@contextlib.contextmanager
def standin(port: int = 0, folder: str | None = None) -> Iterator[StandIn]:
    """Run a control plane in this process.

    Parameters
    ----------
    port : int
        Port of 127.0.0.1 to listen on; 0 picks a free one.
    folder : str, optional
        Gets the folders of training jobs. Left out, they are gone with it.

    Yields
    ------
    StandIn
        Ready. At the end, all that it runs is ended.

    Raises
    ------
    OSError
        If the port cannot be had.
    """
    plane = ControlPlane(folder)
    try:
        server = _Server(("127.0.0.1", port), _Handler)
    except OSError:
        plane.close()
        raise
    server.plane = plane
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield StandIn(f"http://127.0.0.1:{server.server_address[1]}", plane)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        plane.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    plane: ControlPlane


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "echoanom"
    sys_version = ""
    timeout = _SILENCE_S

    def do_POST(self) -> None:
        """Answer a request."""
        try:
            body = self._body()
            # A page in a browser cannot sign, and so cannot start a job.
            if "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
                raise ServiceError(
                    "MissingAuthenticationTokenException",
                    "Missing Authentication Token",
                    403,
                )
            invocation = _INVOCATIONS.fullmatch(self.path)
            if invocation:
                name = urllib.parse.unquote(invocation[1])
                kind, answer = self.server.plane.hosting.invoke(
                    name,
                    body,
                    self.headers.get("Content-Type", ""),
                    self.headers.get("Accept", ""),
                )
                variant = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}
                self._send(200, kind, answer, variant)
            else:
                self._send(200, _JSON, _encode(self._control(body)))
        except ServiceError as error:
            self._refuse(error)
        except ConnectionError:
            self.close_connection = True
        except Exception as error:
            logger.exception("cannot answer a request")
            self._refuse(
                ServiceError("InternalFailure", f"{type(error).__name__}", 500)
            )

    def _control(self, body: bytes) -> dict[str, Any]:
        target = _TARGET.fullmatch(self.headers.get("X-Amz-Target", ""))
        if target is None or self.path != "/":
            raise ServiceError("UnknownOperationException", "Unknown operation", 404)
        try:
            request = json.loads(body or b"{}")
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            raise ServiceError("SerializationException", str(error)) from None
        plane = self.server.plane
        service, operation = target[1], target[2]
        if service == "SageMaker":
            return plane.answer(operation, request)
        return plane.logs.answer(operation, request)

    def _body(self) -> bytes:
        most = INVOKE_BYTES if _INVOCATIONS.fullmatch(self.path) else REQUEST_BYTES
        said = self.headers.get("Content-Length", "0")
        if not said.isdecimal() or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise ServiceError(
                "ValidationException", "Content-Length must be given", 411
            )
        length = int(said)
        if length > most:
            self.close_connection = True  # what is left of it is not read
            raise ServiceError(
                "ValidationException",
                f"Request must have at most {most} bytes, got {length}",
                413,
            )
        return self.rfile.read(length)

    def _refuse(self, error: ServiceError) -> None:
        about: dict[str, Any] = {"__type": error.code, "message": error.message}
        if error.code == "ModelError":
            about["OriginalMessage"] = error.message
        if error.code in ("ResourceInUse", "ResourceNotFound"):
            about["Message"] = about.pop("message")
        if error.code in ("ModelError", "ValidationError"):
            about["Message"] = error.message
        headers = {"x-amzn-ErrorType": error.code}
        with contextlib.suppress(ConnectionError):
            self._send(error.status, _JSON, _encode(about), headers)

    def _send(
        self,
        status: int,
        kind: str,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log a line, where logging is asked for.

        Parameters
        ----------
        format : str
            With places for the arguments.
        *args : object
            The arguments.
        """
        logger.debug(format, *args)


def _encode(answer: dict[str, Any]) -> bytes:
    def default(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        raise TypeError(f"{type(value).__name__} is no JSON")

    return json.dumps(answer, default=default).encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a control plane until SIGTERM or Ctrl-C.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m echoanom.cloud.standin",
        description="Play SageMaker on this machine, for jobs and endpoints.",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="Port of 127.0.0.1; 0 picks a free one."
    )
    parser.add_argument(
        "--folder", help="Keep the training jobs' folders here, to look at them."
    )
    options = parser.parse_args(arguments)
    stop = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    with standin(options.port, options.folder) as running:
        print(json.dumps(running.environment()), flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
