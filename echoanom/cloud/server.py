"""A model behind ``/ping`` and ``/invocations``, as on an endpoint, on this machine."""

from __future__ import annotations

import contextlib
import http
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.cloud.handler import respond, too_large
from echoanom.cloud.packaging import (
    ABOUT_MODEL,
    is_archive,
    unpack_model,
    write_model_dir,
)
from echoanom.cloud.payloads import JSON
from echoanom.cloud.refusals import refusal, refusing_channel
from echoanom.cloud.requestrows import Limits, ModelInput, RequestError
from echoanom.cloud.tfserving import Predict
from echoanom.errors import ArtifactError, CloudError, MissingExtraError

DRAIN_S = 30.0
"""How long requests that came before the end may take [s]: as long as a container has."""

POLL_S = 0.5
"""How soon it is seen that the server shall end [s]."""

_METHODS = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",)}
_logger = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@contextlib.contextmanager
def model_dir(source: str) -> Iterator[str]:
    """Give a model a local folder that is laid out as SageMaker's containers have it.

    Parameters
    ----------
    source : str
        An artifact, a ``model.tar.gz``, as path or URL, or such a folder.

    Yields
    ------
    str
        The folder.

    Raises
    ------
    ArtifactError
        If it is none of these.
    StorageError
        If it cannot be read.
    """
    if storage.is_local(source):
        folder = storage.filesystem(source)[1]
        if os.path.exists(os.path.join(folder, ABOUT_MODEL)):
            yield folder
            return
    with tempfile.TemporaryDirectory(prefix="echoanom-") as parent:
        folder = os.path.join(parent, "model")
        if is_archive(source):
            unpack_model(source, folder)
        else:
            write_model_dir(source, folder)
        yield folder


def load_model(folder: str) -> tuple[ModelInput, Predict]:
    """Load a model with TensorFlow's own loader.

    Parameters
    ----------
    folder : str
        As `model_dir` gives it.

    Returns
    -------
    model : ModelInput
        What it takes.
    predict : callable
        Runs its signatures.

    Raises
    ------
    ArtifactError
        If it cannot be loaded, or computes something else.
    """
    import tensorflow as tf

    about = os.path.join(folder, ABOUT_MODEL)
    try:
        model = ModelInput.read(about)
        loaded = tf.saved_model.load(os.path.join(folder, "1"))
        signatures = loaded.signatures
        outputs = set(signatures["rows"].structured_outputs)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        shown = str(error).partition("\n")[0]
        raise ArtifactError(
            f"{folder}: must hold a SavedModel and {ABOUT_MODEL}, but"
            f" {type(error).__name__}: {shown}"
        ) from None
    if not {"error", "row_error"} <= outputs:
        raise ArtifactError(
            f"{folder}: its model must compute error and row_error of rows, computes"
            f" {', '.join(sorted(outputs))}; train again"
        )

    def predict(
        signature: str, values: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float32]]:
        # The model that the signatures belong to must live as long as they do.
        found = loaded.signatures[signature](values=tf.constant(values))
        return {name: output.numpy() for name, output in found.items()}

    return model, predict


class Application:
    """The WSGI application [1]_.

    Parameters
    ----------
    model : ModelInput
        What the model takes.
    predict : callable
        Runs its signatures.
    limits : Limits
        How much a request may bring.

    References
    ----------
    .. [1] PEP 3333, "Python Web Server Gateway Interface".
    """

    def __init__(self, model: ModelInput, predict: Predict, limits: Limits) -> None:
        self._model = model
        self._predict = predict
        self._limits = limits

    def __call__(
        self, environ: Mapping[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a request.

        Parameters
        ----------
        environ : mapping
            The request.
        start_response : callable
            Takes status and headers.

        Returns
        -------
        iterable of bytes
            The body.
        """
        try:
            body, kind = self._answer(environ)
            status, headers = 200, [("Content-Type", kind)]
        except RequestError as error:
            status, body = error.status, refusal(error.message)
            headers = [("Content-Type", JSON)]
            if status == 405:
                allowed = ", ".join(_METHODS[environ["PATH_INFO"]])
                headers.append(("Allow", allowed))
        except Exception as error:
            _logger.exception("cannot answer a request")
            status, headers = 500, [("Content-Type", JSON)]
            body = refusal(f"the model cannot be run: {type(error).__name__}")
        headers.append(("Content-Length", str(len(body))))
        headers.append(("X-Content-Type-Options", "nosniff"))
        start_response(f"{status} {http.HTTPStatus(status).phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[bytes, str]:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        methods = _METHODS.get(path)
        if methods is None:
            known = " or ".join(_METHODS)
            raise RequestError(404, f"the path must be {known}, got {path[:80]!r}")
        if method not in methods:
            raise RequestError(
                405, f"the method for {path} must be {methods[0]}, got {method[:20]!r}"
            )
        if path == "/ping":
            return b"\n", JSON
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes, length)
        return respond(
            environ["wsgi.input"].read(length),
            environ.get("CONTENT_TYPE") or JSON,
            environ.get("HTTP_ACCEPT", ""),
            self._model,
            self._limits,
            self._predict,
        )


def serve(
    source: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    threads: int = 4,
    most_bytes: int = Limits.body_bytes,
    stop: threading.Event,
    ready: Callable[[str], None],
) -> None:
    """Serve a model until it is asked to stop.

    Parameters
    ----------
    source : str
        The model, as `model_dir` takes it.
    host : str
        Address to listen on.
    port : int
        Port to listen on; 0 picks a free one.
    threads : int
        Requests that are answered at once.
    most_bytes : int
        Size of a request, at most [byte].
    stop : threading.Event
        Ends it: requests that came before are answered.
    ready : callable
        Told the address when requests are answered.

    Raises
    ------
    MissingExtraError
        If waitress is not installed.
    ArtifactError
        If the model cannot be served.
    CloudError
        If the port cannot be had.
    """
    try:
        import waitress.server
        from waitress import wasyncore
    except ImportError:
        raise MissingExtraError("serving a model", "serve") from None

    # It would tell of every request that has to wait.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    limits = Limits(body_bytes=most_bytes)
    sockets: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(_bind(host, port))
        folder = stack.enter_context(model_dir(source))
        application = Application(*load_model(folder), limits)
        server = waitress.server.create_server(
            application,
            map=sockets,
            sockets=[bound],
            threads=threads,
            # The limit is the first size that is refused.
            max_request_body_size=most_bytes + 1,
            ident="echoanom",
        )
        server.channel_class = refusing_channel(most_bytes)
        ready(f"http://{_bracketed(host)}:{server.effective_port}")
        while not stop.is_set():
            wasyncore.loop(timeout=POLL_S, use_poll=True, map=sockets, count=1)
        _drain(server, sockets)


def _drain(server: Any, sockets: dict[int, Any]) -> None:
    """Answer what has come, hang up on everybody, and take nothing new."""
    from waitress import wasyncore

    server.del_channel()
    end = time.monotonic() + DRAIN_S
    while (channels := list(server.active_channels.values())) and (
        time.monotonic() < end
    ):
        for channel in channels:
            if not (channel.request or channel.requests or channel.total_outbufs_len):
                channel.handle_close()
        wasyncore.loop(timeout=POLL_S / 10, use_poll=True, map=sockets, count=1)
    server.task_dispatcher.shutdown()
    server.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise CloudError(
            f"must be able to listen on {host}:{port}, but"
            f" {error.strerror or error}; choose another --host or --port"
        ) from None
    return bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
