"""A network that fails: a proxy between our clients and a real S3 server.

It runs in a process of its own and forwards requests as they are, so signatures stay
right. Of a share of them it makes something that happens on the way to a store far
away. Which ones follows from a seed and the order in which requests come.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import random
import socket
import struct
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

KINDS = (
    "busy",  # 503 SlowDown
    "broken",  # 500 InternalError
    "refused",  # reset before the request went on
    "forgotten",  # carried out, and reset before the answer: did it happen?
    "cut",  # the answer ends in its middle
    "stalled",  # the answer stops in its middle, and the connection stays
    "slow",  # the answer comes in drops, and whole
)

_ERRORS = {
    "busy": (503, "SlowDown", "Please reduce your request rate."),
    "broken": (500, "InternalError", "We encountered an internal error."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "elsewhere": (301, "PermanentRedirect", "Use the specified endpoint."),
}
_DROPS = 8
_PIECE_BYTES = 1 << 16
_FORGOTTEN = ("connection", "expect")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes wrong.

    Attributes
    ----------
    share : float
        Share of requests that something happens to, in [0, 1].
    kinds : tuple of str
        What, each as often: some of `KINDS`.
    seed : int
        Decides which requests.
    methods : tuple of str
        Methods of the requests it happens to; all if empty.
    naming : str
        What the target of these requests contains.
    first : int
        Of these requests the first so many, for certain.
    expired : tuple of str
        Access keys that are answered to have expired.
    elsewhere : str
        The region that every bucket is said to be in, if this is not empty.
    """

    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    methods: tuple[str, ...] = ()
    naming: str = ""
    first: int = 0
    expired: tuple[str, ...] = ()
    elsewhere: str = ""


@dataclasses.dataclass(frozen=True)
class Request:
    """One request that came by.

    Attributes
    ----------
    method : str
        E.g. ``GET``.
    target : str
        Path and query.
    headers : dict of str to str
        By names in lower case.
    happened : str
        What happened to it; empty if nothing did.
    """

    method: str
    target: str
    headers: dict[str, str]
    happened: str = ""


class Proxy:
    """The proxy's process, seen from a test.

    Parameters
    ----------
    process : subprocess.Popen
        The process. It has said where it listens.
    endpoint : str
        Where that is, ``http://127.0.0.1:PORT``.
    """

    def __init__(self, process: subprocess.Popen[str], endpoint: str) -> None:
        self._process = process
        self.endpoint = endpoint

    def plan(self, **values: Any) -> None:
        """Change what goes wrong from now on, and forget the requests so far.

        Parameters
        ----------
        **values
            Fields of `Plan`.
        """
        self._ask(dataclasses.asdict(Plan(**values)))

    def requests(self) -> list[Request]:
        """Return the requests since the plan was made, in order.

        Returns
        -------
        list of Request
            Each as it came.
        """
        return [Request(**one) for one in self._ask(None)]

    def happened(self) -> collections.Counter[str]:
        """Count what happened since the plan was made.

        Returns
        -------
        Counter
            Number of requests by what happened to them.
        """
        return collections.Counter(r.happened for r in self.requests() if r.happened)

    def _ask(self, question: object) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def faulty(endpoint: str) -> Iterator[Proxy]:
    """Run a proxy, at first one that lets everything pass.

    Parameters
    ----------
    endpoint : str
        The server's address, ``http://HOST:PORT``.

    Yields
    ------
    Proxy
        Listening.
    """
    with subprocess.Popen(
        [sys.executable, __file__, endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Proxy(process, process.stdout.readline().strip())
        process.kill()


# In the process


class _Server:
    """Forwards requests, or does not."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.plan(Plan())

    def plan(self, plan: Plan) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._meant = 0
        self.seen: list[Request] = []

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one client's connection, for as many requests as come."""
        server = _Upstream(*self.upstream)
        try:
            while await self._exchange(reader, writer, server):
                pass
        except (OSError, EOFError):
            pass  # the client, or the server, went away
        finally:
            server.close()
            writer.close()

    async def _exchange(
        self,
        client: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: _Upstream,
    ) -> bool:
        head = await _read_head(client)
        method, target, _ = head.first.split(" ", 2)
        what = self._draw(method, target, head.headers)
        self.seen.append(Request(method, target, head.headers, what))
        waiting = head.headers.get("expect", "").lower() == "100-continue"
        if what == "refused":
            _reset(writer)
            return False
        if what in _ERRORS:
            if not waiting:
                await _read_body(client, head.headers)
            writer.write(_error(what, method, self._plan.elsewhere, last=waiting))
            await writer.drain()
            return not waiting
        if waiting:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _read_body(client, head.headers)
        answer, content = await server.ask(head, body, method)
        if self._plan.elsewhere:  # S3 says it of every bucket
            line = f"\r\nx-amz-bucket-region: {self._plan.elsewhere}\r\n\r\n".encode()
            answer = answer.removesuffix(b"\r\n\r\n") + line
        if what == "forgotten":
            _reset(writer)
            return False
        if what in ("cut", "stalled"):
            # Of an answer without body a piece of its head.
            sent = answer + content if content else answer
            begin = len(answer) if content else 1
            writer.write(sent[: self._random.randrange(begin, len(sent))])
            await writer.drain()
            if what == "stalled":
                await client.read()  # until the client has enough
            return False
        if what == "slow":
            size = -(-len(content) // _DROPS) or 1
            writer.write(answer)
            for begin in range(0, len(content), size):
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.write(content[begin : begin + size])
        else:
            writer.write(answer)
            writer.write(content)
        await writer.drain()
        return True

    def _draw(self, method: str, target: str, headers: dict[str, str]) -> str:
        """Decide what happens to a request."""
        plan = self._plan
        signed = headers.get("authorization", "")
        if any(f"Credential={key}/" in signed for key in plan.expired):
            return "expired"
        if plan.elsewhere and f"/{plan.elsewhere}/s3/" not in signed:
            return "elsewhere"
        chance, kind = self._random.random(), self._random.choice(plan.kinds)
        meant = not plan.methods or method in plan.methods
        meant = meant and plan.naming in urllib.parse.unquote(target)
        self._meant += meant
        certain = self._meant <= plan.first
        return kind if meant and (certain or chance < plan.share) else ""


@dataclasses.dataclass(frozen=True)
class _Head:
    first: str
    headers: dict[str, str]
    lines: list[str]


class _Upstream:
    """A connection to the server, made when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, head: _Head, body: bytes, method: str) -> tuple[bytes, bytes]:
        """Forward a request; return the head and the body of its answer."""
        kept = [
            line
            for line in head.lines
            if line.partition(":")[0].strip().lower() not in _FORGOTTEN
        ]
        request = "\r\n".join([head.first, *kept, "", ""]).encode("latin-1") + body
        if self._open is None:
            self._open = await asyncio.open_connection(*self._at)
        reader, writer = self._open
        writer.write(request)
        await writer.drain()
        answer = await _read_head(reader)
        status = int(answer.first.split(" ")[1])
        content = b""
        if method != "HEAD" and status not in (204, 304):
            content = await _read_body(reader, answer.headers, to_the_end=True)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        lines = [line for line in answer.lines if not line.lower().startswith("conn")]
        return "\r\n".join([answer.first, *lines, "", ""]).encode("latin-1"), content

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    parts = (line.partition(":") for line in lines)
    return _Head(first, {k.strip().lower(): v.strip() for k, _, v in parts}, lines)


async def _read_body(
    reader: asyncio.StreamReader, headers: dict[str, str], to_the_end: bool = False
) -> bytes:
    """Read a body as it is on the wire."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raw = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if not size:
                break
            raw += line + await reader.readexactly(size + 2)
        raw += line
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            raw += line  # a trailer
        return raw + line
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read() if to_the_end else b""


def _error(kind: str, method: str, region: str, last: bool) -> bytes:
    status, code, message = _ERRORS[kind]
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    ).encode()
    lines = [
        f"HTTP/1.1 {status} {code}",
        "Content-Type: application/xml",
        f"Content-Length: {len(body)}",
        "x-amz-request-id: 4442587FB7D0A2F9",
    ]
    lines += [f"x-amz-bucket-region: {region}"] if kind == "elsewhere" else []
    lines += ["Connection: close"] if last else []
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if method == "HEAD" else head + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a machine does that knows nothing of it."""
    plug = writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(endpoint: str) -> None:
    at = urllib.parse.urlsplit(endpoint)
    assert at.hostname is not None and at.port is not None
    server = _Server(at.hostname, at.port)
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", 0, limit=_PIECE_BYTES
    )
    port = listening.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        question = json.loads(line)
        if question is None:
            answer = [dataclasses.asdict(one) for one in server.seen]
        else:
            tuples = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in question.items()
            }
            server.plan(Plan(**tuples))
            answer = []
        print(json.dumps(answer), flush=True)
    os._exit(0)  # whatever connections there are


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
