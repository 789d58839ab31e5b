"""Scores of a request's rows, computed run by run, as JSON or CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.cloud.payloads import CSV, JSON, media_type
from echoanom.cloud.requestrows import ModelInput, RequestError, RequestRows

PredictRows = Callable[
    [NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]
"""Computes, for rows (N, C) without a gap, N at least the window T, the error of the
window that starts at each (N − T + 1,), and the error of each row (N,)."""

_ANY = ("", "*/*", "application/*")


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of N rows, as `echoanom score` writes them.

    Attributes
    ----------
    times : ndarray of int64, shape (N,), optional
        Starts of the rows [s since 1970-01-01 UTC].
    score : ndarray of float64, shape (N,)
        Mean error of each row over its observed cells and the windows that cover it; NaN
        where there is neither.
    window_score : ndarray of float64, shape (N,)
        Error of the window that starts at the row; NaN where none does.
    windows : ndarray of int64, shape (N,)
        Windows that cover the row.
    """

    times: NDArray[np.int64] | None
    score: NDArray[np.float64]
    window_score: NDArray[np.float64]
    windows: NDArray[np.int64]


def score_rows(
    rows: RequestRows, model: ModelInput, predict_rows: PredictRows
) -> Scores:
    """Score rows. No window crosses a gap.

    Parameters
    ----------
    rows : RequestRows
        What is scored.
    model : ModelInput
        What the model takes.
    predict_rows : callable
        Runs the model.

    Returns
    -------
    Scores
        Of every row; those of runs shorter than a window have none.
    """
    count = len(rows.values)
    scores = Scores(
        times=rows.times,
        score=np.full(count, np.nan),
        window_score=np.full(count, np.nan),
        windows=np.zeros(count, dtype=np.int64),
    )
    for run in rows.runs(model.period_s):
        windows = run.stop - run.start - model.window + 1
        if windows < 1:
            continue
        error, row_error = predict_rows(rows.values[run])
        scores.window_score[run.start : run.start + windows] = error
        scores.score[run] = row_error
        place = np.arange(run.stop - run.start)
        last = np.minimum(place, windows - 1)
        scores.windows[run] = last - np.maximum(place - model.window + 1, 0) + 1
    return scores


def answer_type(accept: str) -> str:
    """Choose the content type of an answer.

    Parameters
    ----------
    accept : str
        What the Accept header says.

    Returns
    -------
    str
        JSON or CSV, whichever is named first; JSON where the client takes anything.

    Raises
    ------
    RequestError
        If it takes neither.
    """
    kinds = [media_type(part) for part in accept.split(",")]
    for kind in kinds:
        if kind in (JSON, CSV):
            return kind
        if kind in _ANY:
            return JSON
        if kind == "text/*":
            return CSV
    raise RequestError(406, f"Accept must be {JSON} or {CSV}, got {accept[:80]!r}")


def encode(scores: Scores, model: ModelInput, kind: str) -> bytes:
    """Write scores.

    Parameters
    ----------
    scores : Scores
        What is written.
    model : ModelInput
        What the model takes.
    kind : str
        JSON or CSV.

    Returns
    -------
    bytes
        The body of the answer.
    """
    stamps = None if scores.times is None else _stamps(scores.times)
    if kind == CSV:
        return _csv(scores, stamps)
    return dumps(
        {
            "window": model.window,
            "period_s": model.period_s,
            "timestamp": stamps,
            "score": _numbers(scores.score, None),
            "window_score": _numbers(scores.window_score, None),
            "windows": scores.windows.tolist(),
        }
    )


def dumps(found: Any) -> bytes:
    """Write JSON.

    Parameters
    ----------
    found : object
        Plain values, no NaN among them.

    Returns
    -------
    bytes
        A line of it.
    """
    return (json.dumps(found, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _csv(scores: Scores, stamps: list[str] | None) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    first = "row" if stamps is None else "timestamp"
    writer.writerow((first, "score", "window_score", "windows"))
    writer.writerows(
        zip(
            range(len(scores.score)) if stamps is None else stamps,
            _numbers(scores.score, ""),
            _numbers(scores.window_score, ""),
            scores.windows.tolist(),
            strict=True,
        )
    )
    return out.getvalue().encode()


def _stamps(times: NDArray[np.int64]) -> list[str]:
    return [f"{text}Z" for text in times.astype("datetime64[s]").astype(str).tolist()]


def _numbers(values: NDArray[np.float64], missing: Any) -> list[Any]:
    # float32 came from the model; more digits would say nothing.
    texts = values.astype(np.float32).astype(str)
    return [
        missing if text in ("nan", "inf", "-inf") else float(text) for text in texts
    ]
