"""The machines behind a local control plane: jobs, endpoints and transforms for real.

Training jobs are `local.LocalJob`'s; an endpoint is a process of ``echoanom serve``.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import IO, Any

from echoanom import publishing, storage
from echoanom.errors import CloudError, EchoanomError
from echoanom.testing.channelobjects import find_objects
from echoanom.testing.leash import TERM, leashed

START_S = 180.0
"""How long a model may take to be loaded [s]."""

_ANSWER_S = 120.0
_ADDRESS = "serving on "
_MOST_LINES = 50


class ModelServer:
    """A model that answers requests, in a process of its own.

    Parameters
    ----------
    model : str
        URL of its ``model.tar.gz``.
    payload_mib : int
        Largest request [MiB].

    Raises
    ------
    CloudError
        If it cannot be served.
    """

    def __init__(self, model: str, payload_mib: int = 100) -> None:
        self.lines: list[str] = []
        self._errors = tempfile.TemporaryFile()
        command = [sys.executable, "-m", "echoanom", "serve", model, "--port", "0"]
        command += ["--max-mib", str(payload_mib)]
        self._process = subprocess.Popen(
            leashed(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._address = ""
        told = threading.Event()
        assert self._process.stdout is not None
        out = self._process.stdout
        threading.Thread(target=self._read, args=(out, told), daemon=True).start()
        if not told.wait(START_S) or not self._address:
            self._errors.seek(0)
            last = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            self.close()
            reason = last[-1] if last else f"it said nothing for {START_S:g} s"
            raise CloudError(f"the model must start, but: {reason}")

    def _read(self, out: IO[bytes], told: threading.Event) -> None:
        for raw in out:
            line = raw.decode("utf-8", "replace").rstrip()
            self.lines = [*self.lines, line][-_MOST_LINES:]
            if line.startswith(_ADDRESS):
                self._address = line.removeprefix(_ADDRESS)
                told.set()
        told.set()  # it has ended
        out.close()

    def invoke(
        self, body: bytes, content_type: str, accept: str
    ) -> tuple[int, str, bytes]:
        """Send a request to the model.

        Parameters
        ----------
        body : bytes
            Its body.
        content_type, accept : str
            Its headers; empty ones are left out.

        Returns
        -------
        status : int
            HTTP status.
        content_type : str
            Of the answer.
        body : bytes
            The answer.

        Raises
        ------
        CloudError
            If there is no answer.
        """
        named = {"Content-Type": content_type, "Accept": accept}
        headers = {name: value for name, value in named.items() if value}
        connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(self._address).netloc, timeout=_ANSWER_S
        )
        try:
            connection.request("POST", "/invocations", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, answer.getheader("Content-Type", ""), content
        except (OSError, http.client.HTTPException) as error:
            raise CloudError(f"the model must answer, but {error}") from None
        finally:
            connection.close()

    def close(self) -> None:
        """End the process; requests at hand are answered."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(f"{TERM}\n".encode())
            self._process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._errors.close()


def transform(
    model: str, request: Mapping[str, Any], stop: threading.Event
) -> Iterator[str]:
    """Send each object of a transform's input to a model, and write the answers.

    Parameters
    ----------
    model : str
        URL of the ``model.tar.gz``.
    request : mapping
        ``CreateTransformJob``.
    stop : threading.Event
        Ends it before the next object.

    Yields
    ------
    str
        A line for the log, after each object.

    Raises
    ------
    EchoanomError
        If the model does not start, an object cannot be read or written, or one is
        refused.
    """
    asked, out = request["TransformInput"], request["TransformOutput"]
    source = asked["DataSource"]["S3DataSource"]
    found = find_objects(source["S3Uri"], source["S3DataType"])
    if not found:
        raise CloudError(f"no S3 objects were found at {source['S3Uri']}")
    payload = request.get("MaxPayloadInMB", 6)
    refused = []
    with contextlib.closing(ModelServer(model, max(payload, 1))) as server:
        for one in found:
            if stop.is_set():
                return
            if one.size > payload * 1_000_000:
                raise CloudError(
                    f"{one.url} must have at most {payload} MB (MaxPayloadInMB), has"
                    f" {one.size / 1e6:.1f}"
                )
            status, _, body = server.invoke(
                storage.read_bytes(one.url),
                asked.get("ContentType", ""),
                out.get("Accept", ""),
            )
            if status != 200:
                shown = " ".join(body.decode("utf-8", "replace").split())
                refused.append(f"{one.name}: {status}: {shown}")
                yield f"{one.name}: {status}"
                continue
            target = storage.join(out["S3OutputPath"], f"{one.name}.out")
            publishing.write_bytes(target, body)
            yield f"{one.name}: {len(body)} bytes"
    if refused:
        raise CloudError(
            f"the model refused {len(refused)} objects, first {refused[0]}"
        )


def reason(error: BaseException) -> str:
    """Say in one line why something failed.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    str
        As ``FailureReason`` has it.
    """
    kind = "ClientError" if isinstance(error, EchoanomError) else "InternalServerError"
    return " ".join(f"{kind}: {error}".split())[:1024]
