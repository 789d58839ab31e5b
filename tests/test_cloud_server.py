"""`echoanom serve`: a process that answers, refuses, holds out, and ends when told."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from requests_of_rows import WINDOW, Case, make_case

from echoanom import storage
from echoanom.artifact import copy_files
from echoanom.cli import main
from echoanom.cloud import server
from echoanom.cloud.packaging import package_model, write_model_dir
from echoanom.cloud.requestrows import Limits
from echoanom.errors import ArtifactError

pytestmark = pytest.mark.slow

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("server"))


class Running:
    """A server of its own process."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    @property
    def port(self) -> int:
        return urllib.parse.urlsplit(self.address).port or 0

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def post(self, body: bytes, kind: str, accept: str = "") -> Answer:
        headers = {"Content-Type": kind, "Accept": accept}
        return self.ask("POST", "/invocations", body, headers)


@contextlib.contextmanager
def running(model: str, *options: str) -> Iterator[Running]:
    command = [
        sys.executable,
        "-m",
        "echoanom",
        "serve",
        model,
        "--port",
        "0",
        *options,
    ]
    # As a user starts it: it keeps TensorFlow quiet by itself.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    del environment["TF_CPP_MIN_LOG_LEVEL"]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("serving on http://127.0.0.1:"), (
                process.stderr.read()
            )
            yield Running(process, line.removeprefix("serving on ").strip())
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(scope="module")
def served(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    archive = str(tmp_path_factory.mktemp("archive") / "model.tar.gz")
    package_model(case.artifact, archive)
    with running(archive, "--max-mib", "1") as found:
        yield found


def test_a_ping_is_answered(served: Running) -> None:
    for method, body in (("GET", b"\n"), ("HEAD", b"")):
        status, headers, answer = served.ask(method, "/ping")
        assert status == 200 and answer == body
        assert headers["Content-Type"] == "application/json"


def test_a_day_is_scored_over_http(case: Case, served: Running) -> None:
    status, headers, answer = served.post(case.csv(slice(None)), "text/csv")
    assert status == 200 and headers["Content-Type"] == "application/json"
    found = json.loads(answer)
    scores = np.array(found["score"], dtype=float)
    np.testing.assert_allclose(
        scores[np.array(found["windows"]) > 0], case.expected.score, rtol=2e-6
    )
    status, headers, answer = served.post(case.csv(slice(None)), "text/csv", "text/csv")
    assert headers["Content-Type"] == "text/csv"
    assert len(answer.splitlines()) == len(case.times) + 1


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "the path must be /ping or /invocations, got '/'"),
        ("GET", "/<script>alert(1)</script>", 404, "/<script>"),
        ("POST", "/invocations/x", 404, "the path must be"),
        ("POST", "/ping", 405, "the method for /ping must be GET, got 'POST'"),
        ("GET", "/invocations", 405, "must be POST, got 'GET'"),
        ("DELETE", "/invocations", 405, "must be POST, got 'DELETE'"),
        ("POST", "/invocations", 400, "the body must be JSON"),
    ],
)
def test_other_requests_are_refused_in_one_line_of_json(
    served: Running, method: str, path: str, status: int, message: str
) -> None:
    found, headers, answer = served.ask(method, path)
    assert found == status
    # A browser is told not to take it for a page.
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ("Allow" in headers) == (status == 405)
    assert answer.endswith(b"}\n") and answer.count(b"\n") == 1
    assert message in json.loads(answer)["error"]


def raw(port: int, *parts: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
            if answer.endswith(b"}\n"):
                break
        return answer


def test_a_body_that_is_too_large_is_refused_before_it_comes(served: Running) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"
    answer = raw(served.port, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    message = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert message.startswith(
        "the body must have at most 1,048,576 bytes, got 1,048,577"
    )


def test_a_body_of_unknown_size_is_refused_when_it_gets_too_large(
    served: Running,
) -> None:
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"20000\r\n" + b"1" * 0x20000 + b"\r\n"
    answer = raw(served.port, head, *([chunk] * 9))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most 1,048,576 bytes, got more" in answer


def test_a_body_of_the_largest_size_is_read(served: Running) -> None:
    body = b"1,2\n" * (1 << 18)
    status, _, answer = served.post(body, "text/csv")
    assert status == 400 and b"3 columns of the model" in answer


def test_what_is_no_http_is_refused_in_one_line_of_json(served: Running) -> None:
    answer = raw(served.port, b"GET /ping HTTP/1.1\r\nbad header\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ") or answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "Invalid header"}


@pytest.mark.slow
def test_many_clients_are_answered_and_memory_stays(
    case: Case, served: Running
) -> None:
    bodies = [
        (case.csv(slice(None)), "text/csv"),
        (case.npy(case.run()), "application/x-npy"),
        (case.json(case.run()), "application/json"),
        (case.records(), "application/x-tfrecord"),
        (b"[[1,2]]", "application/json"),
    ]
    expected = [served.post(*body)[::2] for body in bodies]
    assert [status for status, _ in expected] == [200, 200, 200, 200, 400]

    def client(seconds: float) -> int:
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            which = done % len(bodies)
            status, _, answer = served.post(*bodies[which])
            assert (status, answer) == expected[which]
            done += 1
        return done

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(client, [2.0] * 6))
        before = served.resident_bytes()
        done = sum(pool.map(client, [4.0] * 6))
    assert done > 40
    assert served.resident_bytes() - before < 20e6


@pytest.mark.slow
def test_it_ends_when_told_and_answers_what_came_before(
    case: Case, tmp_path: Path
) -> None:
    write_model_dir(case.artifact, str(tmp_path / "model"))
    with running(str(tmp_path / "model")) as found:
        rows = np.tile(case.values[case.run()], (1500, 1))[:60_000]
        body = json.dumps(np.nan_to_num(rows).tolist()).encode()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(found.post, body, "application/json")
            time.sleep(0.5)
            assert not answer.done()
            found.process.send_signal(signal.SIGTERM)
            status, _, content = answer.result()
        assert status == 200 and len(json.loads(content)["score"]) == len(rows)
        assert found.process.wait(20) == 0
        assert found.process.stderr is not None
        assert found.process.stderr.read() == ""


@pytest.mark.parametrize("form", ["artifact", "model.tar.gz"])
def test_a_model_is_taken_from_a_store(
    case: Case, bucket: str, form: str, tmp_path: Path
) -> None:
    url = f"{bucket}/{form}"
    if form == "artifact":
        copy_files(case.artifact, url)
    else:
        package_model(case.artifact, url)
    with server.model_dir(url) as folder:
        model, predict = server.load_model(folder)
        assert model.window == WINDOW
        errors = predict("rows", np.ones((9, 3), np.float32))
        assert errors["error"].shape == (3,) and errors["row_error"].shape == (9,)
    assert not os.path.exists(folder)


def test_a_failure_of_the_model_is_a_500_that_tells_nothing_of_the_machine(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(signature: str, values: Any) -> Any:
        raise RuntimeError("secret path /etc/passwd")

    with server.model_dir(case.artifact) as folder:
        model, _ = server.load_model(folder)
    started: list[str] = []
    application = server.Application(model, broken, Limits())
    body = case.npy(case.run())
    environ = {
        "PATH_INFO": "/invocations",
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/x-npy",
        "wsgi.input": io.BytesIO(body),
    }
    answer = b"".join(application(environ, lambda status, _: started.append(status)))
    assert started == ["500 Internal Server Error"]
    assert json.loads(answer) == {"error": "the model cannot be run: RuntimeError"}
    assert "secret path" in caplog.text


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["serve", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_port_that_is_taken_is_named(
    case: Case, served: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    said = cli(capsys, case.artifact, "--port", str(served.port))
    assert f"must be able to listen on 127.0.0.1:{served.port}" in said


def test_what_is_no_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "holds no artifact.json" in cli(capsys, str(tmp_path))
    assert "does not exist" in cli(capsys, str(tmp_path / "model.tar.gz"))


def test_a_model_that_cannot_score_rows_is_refused(case: Case, tmp_path: Path) -> None:
    class Other(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 3))])  # type: ignore[untyped-decorator]
        def rows(self, values: Any) -> Any:
            return {"error": values[:, 0]}

    folder = str(tmp_path / "model")
    write_model_dir(case.artifact, folder)
    other = Other()
    tf.saved_model.save(other, f"{folder}/1", signatures={"rows": other.rows})
    with pytest.raises(ArtifactError, match="must compute error and row_error"):
        server.load_model(folder)
    storage.remove(f"{folder}/1/saved_model.pb")
    with pytest.raises(ArtifactError, match="must hold a SavedModel"):
        server.load_model(folder)


def test_without_waitress_the_extra_is_named(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("waitress", "waitress.server"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'echoanom[serve]'" in cli(capsys, case.artifact)


@pytest.mark.slow
def test_the_benchmark_finds_the_same_errors_every_way(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parent.parent / "benchmarks" / "serving.py"
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, script, "--toy", "--json", figures],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert found["benchmark"] == "serving" and found["apart"] < 1e-4
    lines = {line["way"]: line for line in found["results"]}
    assert lines.keys() == {"npy", "tfrecord", "csv", "json", "window by window"}
    for way, line in lines.items():
        assert line["windows"] == (3 if way == "window by window" else 37)
        assert line["ratio"] == 1 if way == "window by window" else line["ratio"] > 1
    load = found["load"]
    assert load["errors"] == 0 < load["requests"]
    assert load["end_bytes"] - load["start_bytes"] < 50e6
