"""The handler: every content type to the scores of `score`, and what it refuses."""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import json
import struct
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from requests_of_rows import COLUMNS, PERIOD_S, SENSOR, WINDOW, Case, make_case
from tfserver import TensorFlowServer, tensorflow_server

from echoanom import records
from echoanom.cloud.handler import Handler, respond
from echoanom.cloud.packaging import write_model_dir
from echoanom.cloud.requestrows import Limits, ModelInput, RequestError
from echoanom.cloud.server import load_model
from echoanom.cloud.tfserving import (
    Predict,
    ServingError,
    predict_over_grpc,
    predict_over_rest,
)
from echoanom.scores import read_scores

pytestmark = pytest.mark.slow

CONTAINER = Path(__file__).with_name("container.py")
HEADER = f"timestamp,{','.join(COLUMNS)}\n"
LIMITS = Limits(body_bytes=100_000, rows=2_000, windows=50)

Served = tuple[ModelInput, Predict]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("handler"))


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("model"))
    write_model_dir(case.artifact, folder)
    return folder


@pytest.fixture(scope="module")
def served(folder: str) -> Served:
    return load_model(folder)


@pytest.fixture(scope="module")
def serving(folder: str) -> Iterator[TensorFlowServer]:
    with tensorflow_server(f"{folder}/1") as server:
        yield server


@contextlib.contextmanager
def container(folder: str, rest_uri: str, *grpc_port: str) -> Iterator[str]:
    """Run the handler as the container does; give its address."""
    command = [sys.executable, "-I", str(CONTAINER), f"{folder}/code", rest_uri]
    with subprocess.Popen(
        [*command, *grpc_port], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/invocations"
        finally:
            process.kill()


def post(
    url: str, body: bytes, content_type: str, accept: str = ""
) -> tuple[int, bytes]:
    headers = {"Content-Type": content_type, "Accept": accept}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as one:
            return one.status, one.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def announce(url: str, size: int) -> tuple[int, bytes]:
    """Send the head of a request alone."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest("POST", address.path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


def scores_of(answer: bytes) -> dict[str, Any]:
    found = json.loads(answer)
    return {
        name: np.array(found[name], dtype=np.float64)
        for name in ("score", "window_score", "windows")
    } | {"timestamp": found["timestamp"]}


def check(case: Case, found: dict[str, Any], rows: slice) -> None:
    """Hold an answer against the scores of the dataset: rows without any are null."""
    at = {int(time): place for place, time in enumerate(case.expected.times)}
    places = [at.get(int(time), -1) for time in case.times[rows]]
    assert sum(place >= 0 for place in places) >= WINDOW
    for name in ("score", "window_score", "windows"):
        column = getattr(case.expected, name)
        empty = 0 if name == "windows" else np.nan
        expected = [column[place] if place >= 0 else empty for place in places]
        np.testing.assert_allclose(found[name], expected, rtol=2e-6, err_msg=name)


BODIES: dict[str, tuple[str, Callable[[Case], bytes]]] = {
    "CSV without header": ("text/csv", lambda case: case.csv(slice(None))),
    "CSV with header": (
        "text/csv; charset=utf-8",
        lambda case: case.csv(slice(None), HEADER),
    ),
    "CSV with labels": (
        "text/csv",
        lambda case: case.csv(
            slice(None), f"time,{','.join(f'{SENSOR}/{one}' for one in COLUMNS)}\n"
        ),
    ),
    "CSV with a mark and Windows lines": (
        "text/csv",
        lambda case: (
            b"\xef\xbb\xbf" + case.csv(slice(None), HEADER).replace(b"\n", b"\r\n")
        ),
    ),
    "records": ("application/x-tfrecord", lambda case: case.records()),
    "records as bytes": ("application/octet-stream", lambda case: case.records()),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_with_times_has_the_scores_of_the_dataset(
    case: Case, served: Served, name: str
) -> None:
    kind, body = BODIES[name]
    answer, answer_kind = respond(body(case), kind, "", served[0], LIMITS, served[1])
    assert answer_kind == "application/json"
    found = scores_of(answer)
    assert len(found["timestamp"]) == len(case.times)
    check(case, found, slice(None))
    gaps = np.diff(case.times) != PERIOD_S
    assert gaps.any() and np.isnan(found["window_score"][:-1][gaps]).all()


@pytest.mark.parametrize("kind", ["application/json", "application/x-npy", "text/csv"])
def test_a_body_without_times_is_one_run(case: Case, served: Served, kind: str) -> None:
    run = case.run()
    body = {
        "application/json": case.json(run, start=False),
        "application/x-npy": case.npy(run),
        "text/csv": b"\n".join(
            line.partition(b",")[2] for line in case.csv(run).splitlines()
        ),
    }[kind]
    answer, _ = respond(body, kind, "*/*", served[0], LIMITS, served[1])
    found = scores_of(answer)
    assert found["timestamp"] is None
    check(case, found, run)


def test_columns_are_found_by_name_in_any_order(case: Case, served: Served) -> None:
    table = [line.split(",") for line in case.csv(case.run(), HEADER).decode().split()]
    moved = "\n".join(",".join((row[2], row[3], row[0], row[1])) for row in table)
    answer, _ = respond(moved.encode(), "text/csv", "", served[0], LIMITS, served[1])
    check(case, scores_of(answer), case.run())


def test_what_stands_for_a_missing_cell_in_a_table_does_so_in_a_request(
    case: Case, served: Served
) -> None:
    body = case.csv(slice(None), HEADER).decode().replace(",,", ",-9999,")
    body = body.replace(",\n", ",NA\n")
    assert "-9999" in body and "NA" in body
    answer, _ = respond(body.encode(), "text/csv", "", served[0], LIMITS, served[1])
    check(case, scores_of(answer), slice(None))


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_may_have_any_numbers_in_any_order(
    served: Served, dtype: str, order: Any
) -> None:
    values = np.arange(30.0).reshape(10, 3) % 7
    plain, other = io.BytesIO(), io.BytesIO()
    np.save(plain, values.astype(np.float32))
    np.save(other, np.asarray(values, dtype=dtype, order=order))
    first, second = (
        respond(one.getvalue(), "application/x-npy", "", served[0], LIMITS, served[1])
        for one in (plain, other)
    )
    assert first == second


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_records_may_have_any_uncompressed_type(
    case: Case, served: Served, dtype: Any
) -> None:
    run = case.run()
    values, start = case.values[run], int(case.times[run][0])
    body, _ = records.encode(records.Block(start, values), dtype, 0)
    decoded = records.decode(
        memoryview(body)[records.HEADER_BYTES : -records.TRAILER_BYTES], 3, dtype
    )
    array = io.BytesIO()
    np.save(array, decoded.values)
    found, expected = (
        scores_of(respond(one, kind, "", served[0], LIMITS, served[1])[0])
        for one, kind in (
            (body, "application/x-tfrecord"),
            (array.getvalue(), "application/x-npy"),
        )
    )
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-6)
    assert found["timestamp"] is not None


def test_a_cell_that_was_filled_counts_as_missing(case: Case, served: Served) -> None:
    values = np.arange(30, dtype=np.float32).reshape(10, 3) % 7
    filled = np.zeros(values.shape, dtype=bool)
    filled[4, 1] = True
    body, _ = records.encode(records.Block(0, values, filled), "float32", 0)
    missing = values.copy()
    missing[filled] = np.nan
    other, _ = records.encode(records.Block(0, missing), "float32", 0)
    first, second = (
        respond(one, "application/x-tfrecord", "", served[0], LIMITS, served[1])
        for one in (body, other)
    )
    assert first == second


def test_scores_come_as_a_table_that_can_be_read_as_one(
    case: Case, served: Served, tmp_path: Path
) -> None:
    answer, kind = respond(
        case.csv(slice(None)), "text/csv", "text/csv, */*", served[0], LIMITS, served[1]
    )
    assert kind == "text/csv"
    (tmp_path / "scores.csv").write_bytes(answer)
    table = read_scores(str(tmp_path / "scores.csv"))
    assert (table.times == case.times).all()
    found = {
        name: getattr(table, name) for name in ("score", "window_score", "windows")
    }
    check(case, found, slice(None))


def test_a_table_of_scores_without_times_numbers_its_rows(
    case: Case, served: Served
) -> None:
    body = case.npy(slice(0, 3))
    answer, _ = respond(
        body, "application/x-npy", "text/csv", served[0], LIMITS, served[1]
    )
    lines = list(csv.reader(io.StringIO(answer.decode())))
    assert lines[0] == ["row", "score", "window_score", "windows"]
    # Fewer rows than a window: no score, and no failure of the days beside it.
    assert lines[1:] == [[str(row), "", "", "0"] for row in range(3)]


def test_windows_are_answered_as_tensorflow_serving_does(
    case: Case, served: Served
) -> None:
    first = case.run().start
    window = case.values[first : first + WINDOW]
    cells = [[None if np.isnan(one) else float(one) for one in row] for row in window]
    body = json.dumps({"instances": [cells]}).encode()
    answer, _ = respond(body, "application/json", "", served[0], LIMITS, served[1])
    (prediction,) = json.loads(answer)["predictions"]
    assert np.shape(prediction["reconstruction"]) == (WINDOW, len(COLUMNS))
    place = int(np.searchsorted(case.expected.times, case.times[first]))
    assert prediction["error"] == pytest.approx(
        case.expected.window_score[place], rel=2e-6
    )


def npy(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


ROW = b"1,2,3\n"
FULL = records.encode(records.Block(0, np.ones((9, 3), np.float32)), "float32", 0)[0]
ZSTD = records.encode(
    records.Block(0, np.ones((9, 3), np.float32)), "float32", 0, "zstd"
)[0]
CLAIM = npy(np.zeros((2, 3))).replace(b"(2, 3), ", b"(9999999999, 3), ")[:128]
JSON, CSV, NPY, RECORDS = (
    *("application/json", "text/csv", "application/x-npy", "application/x-tfrecord"),
)
MALFORMED: dict[str, tuple[str, bytes, int, str]] = {
    "no JSON": (JSON, b"{", 400, "must be JSON"),
    "JSON cut short": (JSON, b'{"rows": [[1,2', 400, "must be JSON"),
    "JSON nested for ever": (JSON, b"[" * 90_000, 400, "recursion|JSON"),
    "JSON of no rows": (JSON, b"{}", 400, "rows must be lists"),
    "an unknown key": (JSON, b'{"rows": [], "x": 1}', 400, "no keys but rows"),
    "rows of text": (JSON, b'[["1","2","3"]]', 400, "numbers or null"),
    "rows of truths": (JSON, b"[[true,false,null]]", 400, "numbers or null"),
    "rows of objects": (JSON, b'[[{"a": 1},2,3]]', 400, "numbers or null"),
    "uneven rows": (JSON, b"[[1,2,3],[1,2]]", 400, "of one length"),
    "a flat list": (JSON, b"[1,2,3]", 400, "nested 2 deep"),
    "no row": (JSON, b"[]", 400, "nested 2 deep"),
    "rows too narrow": (JSON, b"[[1,2]]", 400, r"3 columns .* \(1, 2\)"),
    "rows too wide": (JSON, b"[[1,2,3,4]]", 400, r"3 columns .* \(1, 4\)"),
    "a huge whole number": (JSON, b"[[1,2,1" + b"0" * 400 + b"]]", 400, "numbers"),
    "a number past float32": (JSON, b"[[1,2,1e39]]", 400, "fit in float32.*row 1"),
    "a start that is none": (
        *(JSON, b'{"rows": [[1,2,3]], "start": "noon"}'),
        *(400, "start must look like"),
    ),
    "another period": (
        *(JSON, b'{"rows": [[1,2,3]], "period_s": 61}'),
        *(400, f"period_s must be {PERIOD_S}"),
    ),
    "windows of another shape": (JSON, b'{"instances": [[[1,2,3]]]}', 400, "windows"),
    "another signature": (
        *(JSON, b'{"instances": [], "signature_name": "rows"}'),
        *(400, "signature_name must be 'windows'"),
    ),
    "no text": (CSV, b"\xff\xfe\x00", 400, "UTF-8"),
    "an open quote": (CSV, b'"1,2,3\n', 400, "comma-separated"),
    "blank lines": (CSV, b"\n \n", 400, "all lines are blank"),
    "a header alone": (CSV, HEADER.encode(), 400, "1 to 2,000 rows, got 0"),
    "a missing column": (CSV, b"temperature,salinity\n1,2\n", 400, "lacks 'ctd/press"),
    "an unknown column": (
        *(CSV, HEADER.strip().encode() + b",depth\n"),
        *(400, "has also 'depth'"),
    ),
    "a column twice": (
        *(CSV, b"temperature,salinity,temperature\n"),
        *(400, "'temperature' twice"),
    ),
    "a short line": (CSV, ROW + b"1,2\n", 400, "line 2 has 2"),
    "a cell of text": (CSV, ROW + b"1,x,3\n", 400, "line 2 has 'x'"),
    "a wide table": (CSV, b"1,2,3,4,5\n", 400, "3 columns .* got 5"),
    "a stamp that is none": (
        *(CSV, b"2020-02-30T00:00Z,1,2,3\n2020-03-01,1,2,3\n"),
        *(400, "columns|stamp"),
    ),
    "times that go back": (
        *(CSV, b"2020-03-01T01:00Z,1,2,3\n2020-03-01T00:00Z,1,2,3\n"),
        *(400, "order of time.*row 2"),
    ),
    "a time twice": (CSV, b"2020-03-01,1,2,3\n2020-03-01T00:00:30,1,2,3\n", 400, "one"),
    "no array": (NPY, b"PK\x03\x04", 400, ".npy array"),
    "an array cut short": (NPY, npy(np.zeros((2, 3)))[:-1], 400, "as large as"),
    "an array that claims too much": (NPY, CLAIM, 400, "as large as|npy"),
    "an array of objects": (
        *(NPY, npy(np.array([[{}]]), allow_pickle=True)),
        *(400, "must hold numbers"),
    ),
    "an array of text": (NPY, npy(np.array([["a"]])), 400, "must hold numbers"),
    "an array of complex numbers": (NPY, npy(np.zeros((2, 3), "c8")), 400, "numbers"),
    "a cube": (NPY, npy(np.zeros((2, 2, 3))), 400, r"\(2, 2, 3\)"),
    "an array without rows": (NPY, npy(np.zeros((0, 3))), 400, "got 0"),
    "no record": (RECORDS, b"\x00" * 40, 400, "must be TFRecords"),
    "a record cut in its head": (RECORDS, FULL + FULL[:5], 400, "must be whole"),
    "a record cut in its data": (RECORDS, FULL[:-5], 400, "must be whole"),
    "a record of other columns": (
        RECORDS,
        records.encode(records.Block(0, np.ones((9, 4), np.float32)), "float32", 0)[0],
        *(400, "record 1 must be a block of rows of 3 columns"),
    ),
    "a record that is no Example": (
        RECORDS,
        struct.pack("<Q", 3)
        + struct.pack("<I", records.masked_crc(struct.pack("<Q", 3)))
        + b"abc1234",
        *(400, "record 1 must be"),
    ),
    "a compressed record": (RECORDS, ZSTD, 400, "is compressed"),
    "a record twice": (RECORDS, FULL + FULL, 400, "order of time"),
    "another content type": (
        "application/xml",
        b"<a/>",
        415,
        "one of application/json",
    ),
    "no content type": ("", b"1", 415, "one of application/json"),
    "an empty table": (CSV, b"", 400, "is empty"),
    "too many rows": (
        NPY,
        npy(np.zeros((2001, 3), "f4")),
        413,
        "2,000 rows, got 2,001",
    ),
    "too many windows": (
        JSON,
        json.dumps({"instances": np.zeros((51, WINDOW, 3)).tolist()}).encode(),
        *(413, "50 windows, got 51"),
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_body_is_refused_in_one_line(served: Served, name: str) -> None:
    kind, body, status, message = MALFORMED[name]
    with pytest.raises(RequestError, match=message) as refused:
        respond(body, kind, "", served[0], LIMITS, served[1])
    assert refused.value.status == status
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)


def test_an_answer_that_cannot_be_written_is_refused(served: Served) -> None:
    with pytest.raises(RequestError, match="Accept must be") as refused:
        respond(b"[[1,2,3]]", JSON, "text/html", served[0], LIMITS, served[1])
    assert refused.value.status == 406


@pytest.mark.parametrize("interface", ["REST", "gRPC"])
def test_the_packed_code_answers_in_a_container(
    case: Case, folder: str, serving: TensorFlowServer, interface: str
) -> None:
    port = [str(serving.grpc_port)] if interface == "gRPC" else []
    serving.asked.clear()
    with container(folder, serving.rest_uri, *port) as url:
        status, answer = post(url, case.csv(slice(None), HEADER), "text/csv")
        assert status == 200, answer
        check(case, scores_of(answer), slice(None))
        asked = {(how.split()[0], signature) for how, _, signature in serving.asked}
        assert asked == {(interface, "rows")}
        # One request for each run that holds a window.
        assert len(serving.asked) == (case.dataset.runs.rows >= WINDOW).sum()

        status, answer = post(url, case.npy(case.run()), NPY, "text/csv")
        assert status == 200 and answer.startswith(b"row,score,window_score,windows\n")
        check_windows(case, url)

        status, answer = post(url, b"[[1,2]]", JSON)
        assert status == 500 and b"400: rows must have the 3 columns" in answer
        status, answer = announce(url, (100 << 20) + 1)
        assert (
            status == 500 and b"413: the body must have at most 104,857,600" in answer
        )


def check_windows(case: Case, url: str) -> None:
    first = int(np.searchsorted(case.times, case.expected.times[0]))
    window = np.nan_to_num(case.values[first : first + WINDOW]).tolist()
    body = json.dumps({"instances": [window, window]}).encode()
    status, answer = post(url, body, JSON)
    assert status == 200, answer
    assert len(json.loads(answer)["predictions"]) == 2


def test_a_body_of_unknown_size_is_read_no_further_than_the_limit(folder: str) -> None:
    class Endless:
        read_bytes = 0

        def read(self, size: int, /) -> bytes:
            self.read_bytes += min(size, 1000)
            return b"1" * min(size, 1000)

    class Unknown:
        rest_uri, channel = "http://127.0.0.1:9/v1/models/model:predict", None
        request_content_type, accept_header, content_length = CSV, "", None

    body = Endless()
    with pytest.raises(ServingError, match="413: .* at most 5,000 bytes, got more"):
        Handler(f"{folder}/code", Limits(body_bytes=5_000))(body, Unknown())
    assert body.read_bytes == 5_001


def test_a_container_says_when_the_model_does_not_answer(folder: str) -> None:
    with container(folder, "http://127.0.0.1:9/v1/models/model:predict") as url:
        status, answer = post(url, b"[[1,2,3]]" * 1, JSON)
        assert status == 200  # fewer rows than a window: the model is not asked
        body = json.dumps([[1, 2, 3]] * WINDOW).encode()
        status, answer = post(url, body, JSON)
        assert status == 500 and b"must answer, but ConnectionRefusedError" in answer


def test_a_version_of_the_model_can_be_asked_for(serving: TensorFlowServer) -> None:
    grpc = pytest.importorskip("grpc")
    serving.asked.clear()
    values = np.ones((WINDOW, 3), dtype=np.float32)
    uri = serving.rest_uri.replace("models/model", "models/other/versions/12")
    with grpc.insecure_channel(f"127.0.0.1:{serving.grpc_port}") as channel:
        found = predict_over_grpc(channel, uri)("rows", values)
    assert serving.asked == [("gRPC 12", "other", "rows")]
    expected = predict_over_rest(serving.rest_uri)("rows", values)
    assert found.keys() == expected.keys() == {"error", "row_error"}
    for name, output in expected.items():
        assert output.dtype == found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], output, rtol=1e-6)
