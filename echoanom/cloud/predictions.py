"""Scores from an endpoint: of a daily table, an array, or days of a dataset.

A request to an endpoint has at most 6 MiB, and a day of 1,600 columns has more. So rows are
sent in stretches that overlap by a window on either side; of the answers those rows are
taken that all their windows were scored for. What comes together is what one request
would have brought.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom import publishing, storage
from echoanom.cloud.clients import Cloud
from echoanom.dataset import Dataset
from echoanom.errors import CloudError
from echoanom.options import EVER_S, TableOptions
from echoanom.reader import IndexedReader
from echoanom.windowing import select

REQUEST_BYTES = 6 << 20
"""What a request to an endpoint may have [byte]."""

_MISSING_WORDS = TableOptions().missing_words

Invoke = Callable[[bytes, str], dict[str, Any]]
"""Sends a body of a content type to an endpoint, and returns its answer."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Scores of N rows.

    Attributes
    ----------
    times : ndarray of datetime64[s], shape (N,), optional
        Starts of the rows, UTC.
    score : ndarray of float64, shape (N,)
        Mean error of each row over the windows that cover it; NaN where none does.
    window_score : ndarray of float64, shape (N,)
        Error of the window that starts at the row; NaN where none does.
    windows : ndarray of int64, shape (N,)
        Windows that cover the row.
    window : int
        Rows in a window of the model.
    requests : int
        How many were sent.
    """

    times: NDArray[np.datetime64] | None
    score: NDArray[np.float64]
    window_score: NDArray[np.float64]
    windows: NDArray[np.int64]
    window: int
    requests: int

    def as_csv(self) -> str:
        """Write the scores as a table.

        Returns
        -------
        str
            A line a row: timestamp (or row), score, window_score, windows.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        first = "row" if self.times is None else "timestamp"
        writer.writerow((first, "score", "window_score", "windows"))
        stamps: Sequence[object] = range(len(self.score))
        if self.times is not None:
            stamps = [f"{text}Z" for text in self.times.astype(str).tolist()]
        columns = (_texts(self.score), _texts(self.window_score))
        writer.writerows(zip(stamps, *columns, self.windows.tolist(), strict=True))
        return out.getvalue()


def predict_file(
    endpoint: str,
    path: str,
    *,
    cloud: Cloud | None = None,
    request_bytes: int = REQUEST_BYTES,
) -> Prediction:
    """Score a table or array.

    Parameters
    ----------
    endpoint : str
        The endpoint's name.
    path : str
        Path or URL of a daily table with the model's columns (``.csv``), or of an array
        of rows in their order (``.npy``).
    cloud : Cloud, optional
        Who asks.
    request_bytes : int
        Largest request [byte].

    Returns
    -------
    Prediction
        Scores of all rows.

    Raises
    ------
    CloudError
        If it is neither, does not fit the model, or the endpoint does not answer.
    StorageError
        If it cannot be read.
    """
    send = _invoker(cloud or Cloud(), endpoint)
    content = storage.read_bytes(path)
    if path.endswith(".csv"):
        lines = content.decode("utf-8-sig", "replace").splitlines(keepends=True)
        head, rows = (lines[:1], lines[1:]) if _is_header(lines) else ([], lines)
        rows = [line for line in rows if line.strip()]

        def text(first: int, stop: int) -> bytes:
            return "".join((*head, *rows[first:stop])).encode()

        return _in_stretches(
            text, len(rows), len(content), "text/csv", send, request_bytes
        )
    if path.endswith(".npy"):
        try:
            values = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise CloudError(f"{path}: must be an array as .npy, but {error}") from None
        if values.ndim != 2:
            raise CloudError(
                f"{path}: must have rows and columns, got an array of shape"
                f" {values.shape}"
            )
        return _array(values, send, request_bytes)
    raise CloudError(
        f"what is scored must be a .csv, a .npy, or a dataset's folder, got {path}"
    )


def predict_rows(
    endpoint: str,
    values: NDArray[Any],
    *,
    cloud: Cloud | None = None,
    request_bytes: int = REQUEST_BYTES,
) -> Prediction:
    """Score rows without gaps.

    Parameters
    ----------
    endpoint : str
        The endpoint's name.
    values : ndarray, shape (N, C)
        In the columns' units; NaN is missing.
    cloud : Cloud, optional
        Who asks.
    request_bytes : int
        Largest request [byte].

    Returns
    -------
    Prediction
        Scores of all rows.

    Raises
    ------
    CloudError
        If they do not fit the model, or the endpoint does not answer.
    """
    return _array(values, _invoker(cloud or Cloud(), endpoint), request_bytes)


def predict_dataset(
    endpoint: str,
    dataset: Dataset,
    first_s: int | None = None,
    stop_s: int | None = None,
    *,
    cloud: Cloud | None = None,
    request_bytes: int = REQUEST_BYTES,
) -> Prediction:
    """Score rows of a dataset. No window crosses a gap; filled cells count as missing.

    Parameters
    ----------
    endpoint : str
        The endpoint's name.
    dataset : Dataset
        The dataset, with the model's columns.
    first_s, stop_s : int, optional
        First moment to take, and the first not to [s since 1970-01-01 UTC]; all rows if
        left out.
    cloud : Cloud, optional
        Who asks.
    request_bytes : int
        Largest request [byte].

    Returns
    -------
    Prediction
        Of the rows.

    Raises
    ------
    CloudError
        If there are no such rows, they do not fit the model, or the endpoint does not
        answer.
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    runs = dataset.runs
    if first_s is not None or stop_s is not None:
        begin = -EVER_S if first_s is None else first_s
        interval = (begin, EVER_S if stop_s is None else stop_s)
        runs = select(runs, dataset.period_s, [interval])
    if not len(runs) or not runs.rows.sum():
        raise CloudError(
            f"{dataset.path}: must have rows in the time that is asked for"
        )
    send = _invoker(cloud or Cloud(), endpoint)
    reader = IndexedReader(dataset)
    parts, times = [], []
    for first_row, rows, start_s in zip(
        runs.first_row.tolist(), runs.rows.tolist(), runs.start_s.tolist(), strict=True
    ):
        values, observed = reader.rows(first_row, rows)
        # As records in a request are read: what was filled is not what was measured.
        values = np.where(observed, values, np.float32(np.nan))
        parts.append(_array(values, send, request_bytes))
        steps = np.arange(rows, dtype=np.int64) * dataset.period_s
        times.append((start_s + steps).astype("datetime64[s]"))
    return Prediction(
        times=np.concatenate(times),
        score=np.concatenate([part.score for part in parts]),
        window_score=np.concatenate([part.window_score for part in parts]),
        windows=np.concatenate([part.windows for part in parts]),
        window=parts[0].window,
        requests=sum(part.requests for part in parts),
    )


def write_prediction(path: str, prediction: Prediction) -> None:
    """Write scores as a table.

    Parameters
    ----------
    path : str
        Its path or URL.
    prediction : Prediction
        The scores.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    publishing.write_bytes(path, prediction.as_csv().encode())


def _invoker(cloud: Cloud, endpoint: str) -> Invoke:
    def send(body: bytes, content_type: str) -> dict[str, Any]:
        answer = cloud.call(
            "InvokeEndpoint",
            "sagemaker-runtime",
            EndpointName=endpoint,
            ContentType=content_type,
            Accept="application/json",
            Body=body,
        )
        with contextlib.closing(answer["Body"]) as stream:
            content = stream.read()
        try:
            found = json.loads(content)
            lengths = {
                len(found[name]) for name in ("score", "window_score", "windows")
            }
            if len(lengths) != 1 or not isinstance(found["window"], int):
                raise ValueError("of different lengths")
        except (ValueError, KeyError, TypeError) as error:
            raise CloudError(
                f"the endpoint {endpoint} must answer with scores as a model of echoanom"
                f" does, but its answer is another: {error}"
            ) from None
        return dict(found)

    return send


def _array(values: NDArray[Any], send: Invoke, request_bytes: int) -> Prediction:
    def body(first: int, stop: int) -> bytes:
        file = io.BytesIO()
        np.save(file, values[first:stop], allow_pickle=False)
        return file.getvalue()

    size = values.nbytes + 128
    return _in_stretches(
        body, len(values), size, "application/x-npy", send, request_bytes
    )


def _in_stretches(
    body: Callable[[int, int], bytes],
    rows: int,
    size: int,
    content_type: str,
    send: Invoke,
    request_bytes: int,
) -> Prediction:
    if size <= request_bytes or rows < 2:
        return _joined([(send(body(0, rows), content_type), 0, rows)], 1)
    window = send(body(0, 1), content_type)["window"]  # one row tells what a window is
    margin = window - 1
    parts = []
    for first, stop in _stretches(body, rows, size, margin, request_bytes):
        begin = max(first - margin, 0)
        answer = send(body(begin, min(stop + margin, rows)), content_type)
        parts.append((answer, first - begin, stop - begin))
    return _joined(parts, len(parts) + 1)


def _stretches(
    body: Callable[[int, int], bytes],
    rows: int,
    size: int,
    margin: int,
    request_bytes: int,
) -> Iterator[tuple[int, int]]:
    """Cut rows so that each stretch fits into a request with a margin at either side."""
    first = 0
    step = max(int(rows * request_bytes / size) - 2 * margin, 1)
    while first < rows:
        stop = min(first + step, rows)
        begin, end = max(first - margin, 0), min(stop + margin, rows)
        if len(body(begin, end)) > request_bytes:
            if step == 1:
                raise CloudError(
                    f"{2 * margin + 1} rows must fit into a request of"
                    f" {request_bytes:,} bytes to be scored at an endpoint, but do not;"
                    " use a batch transform"
                )
            step = max(step * 3 // 4, 1)
            continue
        yield first, stop
        first = stop


def _joined(
    parts: Sequence[tuple[dict[str, Any], int, int]], requests: int
) -> Prediction:
    def gather(name: str) -> NDArray[np.float64]:
        return np.concatenate(
            [
                np.asarray(answer[name], dtype=np.float64)[first:stop]
                for answer, first, stop in parts
            ]
        )

    times = None
    if all(answer.get("timestamp") for answer, _, _ in parts):
        stamps = [
            stamp.removesuffix("Z")
            for answer, first, stop in parts
            for stamp in answer["timestamp"][first:stop]
        ]
        times = np.array(stamps, dtype="datetime64[s]")
    return Prediction(
        times=times,
        score=gather("score"),
        window_score=gather("window_score"),
        windows=gather("windows").astype(np.int64),
        window=parts[0][0]["window"],
        requests=requests,
    )


def _is_header(lines: Sequence[str]) -> bool:
    for cell in lines[0].split(",")[1:] if lines else ():
        text = cell.strip()
        if text in _MISSING_WORDS:
            continue
        try:
            float(text or "nan")
        except ValueError:
            return True
    return False


def _texts(values: NDArray[np.float64]) -> list[str]:
    texts = values.astype(np.float32).astype(str).tolist()
    return ["" if text in ("nan", "inf", "-inf") else text for text in texts]
