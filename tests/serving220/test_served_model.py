"""The packed model, in the TensorFlow and behind the web server of SageMaker's container."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from echoanom.cloud.packaging import unpack_model
from echoanom.cloud.tfserving import predict_over_grpc, predict_request

MADE = Path(os.environ["ECHOANOM_SERVED"])
WINDOW = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("opt") / "model")
    unpack_model(str(MADE / "model.tar.gz"), folder)
    return folder


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with np.load(MADE / "expected.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def signatures(folder: str) -> Any:
    return tf.saved_model.load(f"{folder}/1").signatures


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """TensorFlow Serving's gRPC interface, by its own messages and stubs."""

    def __init__(self, signatures: Any) -> None:
        self._signatures = signatures
        self.pause_s = 0.0
        self.asked: list[str] = []

    def Predict(self, request: Any, context: Any) -> Any:
        time.sleep(self.pause_s)
        spec = request.model_spec
        self.asked.append(f"{spec.name}:{spec.signature_name}")
        values = tf.make_ndarray(request.inputs["values"])
        response = predict_pb2.PredictResponse()
        found = self._signatures[spec.signature_name](values=tf.constant(values))
        for name, output in found.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(output))
        return response


@pytest.fixture(scope="module")
def serving(signatures: Any) -> Iterator[tuple[Predictions, int]]:
    servicer = Predictions(signatures)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            servicer, server
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield servicer, port
        server.stop(0).wait()


@pytest.fixture(scope="module")
def front(folder: str, serving: tuple[Predictions, int]) -> Iterator[str]:
    """Run gunicorn as the container does, with one worker; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}"]
    command += ["-k", "gevent", "--workers", "1", "--chdir", str(Path(__file__).parent)]
    command += ["--pythonpath", f"{folder}/code,{folder}/code/lib", "front:app"]
    environment = {
        **os.environ,
        "MODEL_DIR": folder,
        "REST_URI": "http://localhost:9/v1/models/model:predict",
        "GRPC_PORT": str(serving[1]),
    }
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "Booting worker" in line:
                    break
            # Its log must not fill the pipe.
            log = threading.Thread(target=process.stderr.read, daemon=True)
            log.start()
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            log.join()


def wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            assert ask(url)[0] == 200
            return
        assert time.monotonic() < end
        time.sleep(0.2)


def ask(url: str, body: bytes | None = None, kind: str = "text/csv") -> Any:
    headers = {"Content-Type": kind}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as one:
            return one.status, one.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_this_is_the_tensorflow_that_sagemaker_serves_with() -> None:
    assert tf.__version__.startswith("2.20.")


def test_the_model_computes_the_same_scores(
    signatures: Any, expected: dict[str, Any]
) -> None:
    scored = 0
    for first, rows in zip(expected["first_row"], expected["rows"], strict=True):
        run = slice(first, first + rows)
        found = signatures["rows"](values=tf.constant(expected["values"][run]))
        windows = max(rows - WINDOW + 1, 0)
        assert found["error"].shape == (windows,)
        np.testing.assert_allclose(
            found["error"], expected["window_score"][run][:windows], rtol=1e-5
        )
        np.testing.assert_allclose(
            found["row_error"], expected["score"][run], rtol=1e-5
        )
        scored += windows
    assert scored > 50


def test_a_request_is_what_tensorflow_serving_reads() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    request = predict_pb2.PredictRequest.FromString(
        predict_request("model", "3", "rows", values)
    )
    assert request.model_spec.name == "model"
    assert request.model_spec.version.value == 3
    assert request.model_spec.signature_name == "rows"
    assert (tf.make_ndarray(request.inputs["values"]) == values).all()


@pytest.mark.parametrize("rows", [WINDOW, WINDOW + 1, 30])
def test_an_answer_is_read_as_tensorflow_serving_writes_it(
    serving: tuple[Predictions, int], signatures: Any, rows: int
) -> None:
    values = np.ones((rows, 3), dtype=np.float32)
    uri = "http://localhost:8501/v1/models/model:predict"
    with grpc.insecure_channel(f"127.0.0.1:{serving[1]}") as channel:
        found = predict_over_grpc(channel, uri)("rows", values)
    for name, output in signatures["rows"](values=tf.constant(values)).items():
        assert found[name].shape == output.shape
        np.testing.assert_allclose(found[name], output, rtol=1e-6)


@pytest.mark.parametrize("kind", ["text/csv", "application/x-tfrecord"])
def test_the_container_answers_with_the_same_scores(
    front: str, serving: tuple[Predictions, int], expected: dict[str, Any], kind: str
) -> None:
    name = {"text/csv": "day.csv", "application/x-tfrecord": "day.tfrecord"}[kind]
    serving[0].asked.clear()
    body = (MADE / name).read_bytes()
    status, answer = ask(f"{front}/invocations", body, kind)
    assert status == 200, answer
    assert set(serving[0].asked) == {"model:rows"}
    found = json.loads(answer)
    for column in ("score", "window_score"):
        values = np.array(found[column], dtype=float)
        np.testing.assert_allclose(values, expected[column], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "body", "status", "message"),
    [
        ("text/csv", b"1,2\n", 400, "rows must have the 3 columns"),
        ("application/xml", b"<a/>", 415, "Content-Type must be one of"),
        ("application/json", b"{", 400, "the body must be JSON"),
    ],
)
def test_the_container_refuses_with_status_and_reason(
    front: str, kind: str, body: bytes, status: int, message: str
) -> None:
    found, answer = ask(f"{front}/invocations", body, kind)
    assert found == status
    assert message in json.loads(answer)["description"]


def test_the_container_is_up_while_it_scores(
    front: str, serving: tuple[Predictions, int]
) -> None:
    # One worker with greenlets: a call that blocks would stop the health check.
    body = b"1,2,3\n" * WINDOW
    serving[0].pause_s = 3.0
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            scoring = [pool.submit(ask, f"{front}/invocations", body) for _ in range(2)]
            time.sleep(0.5)
            begin = time.monotonic()
            assert ask(f"{front}/ping")[0] == 200
            assert time.monotonic() - begin < 1.5
            assert not any(one.done() for one in scoring)
            assert [one.result()[0] for one in scoring] == [200, 200]
        assert time.monotonic() - begin < 5  # both at once
    finally:
        serving[0].pause_s = 0.0
