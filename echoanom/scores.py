"""The table of scores: one line for each row of the dataset that a window covers.

`write_scores` puts three files beside each other. ``scores.csv`` is for people and
other programs; ``scores.columns.npy`` holds each column's share of each row's error;
``scores.json`` says what the scores come from, and holds the calibration of the
threshold. A CSV of ``timestamp,score`` alone is a table, too.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from echoanom import publishing, storage
from echoanom.columns import Column, columns_from_manifest
from echoanom.dataset import Dataset
from echoanom.errors import OptionError, ScoresError
from echoanom.options import EventOptions
from echoanom.rules import parse_rule
from echoanom.stamps import format_stamp
from echoanom.texttable import read_text_table
from echoanom.thresholds import Calibration, Source, Threshold, threshold

FORMAT = 1
SHARE_PREFIX = "share:"

_DEFAULT_PERIOD_S = 60
_SAMPLED_ROWS = 64
_LARGEST = 1e150  # score whose square is a number
_PROVENANCE = ("dataset", "model", "window")


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """Scores of N rows, C columns.

    Attributes
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending; gaps are left out.
    score : ndarray of float64, shape (N,)
        Mean error over the windows that cover the row, without masked cells; NaN
        where all its cells are masked.
    window_score : ndarray of float64, shape (N,)
        Error of the window that starts at the row; NaN where none does.
    windows : ndarray of int64, shape (N,)
        Number of windows that cover the row; 0 where it is not known.
    shares : ndarray of float16, shape (N, C), or None
        Each column's share of the row's error; a row sums to 1.
    columns : tuple of Column
        The columns of `shares`.
    period_s : int
        Length of a row [s].
    calibration : Calibration or None
        What thresholds are computed from.
    provenance : dict
        What the scores come from, as plain JSON values: ``dataset`` and ``model``
        (each with path and digest) and ``window`` (the window options).
    """

    times: NDArray[np.int64]
    score: NDArray[np.float64]
    window_score: NDArray[np.float64]
    windows: NDArray[np.int64]
    shares: NDArray[np.float16] | None = None
    columns: tuple[Column, ...] = ()
    period_s: int = _DEFAULT_PERIOD_S
    calibration: Calibration | None = None
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.times)
        for name in ("score", "window_score", "windows"):
            if getattr(self, name).shape != (rows,):
                raise ScoresError(
                    f"{name} must have one value for each of {rows} rows,"
                    f" got shape {getattr(self, name).shape}"
                )
        if self.shares is not None and self.shares.shape != (rows, len(self.columns)):
            raise ScoresError(
                f"shares must have shape {(rows, len(self.columns))},"
                f" got {self.shares.shape}"
            )
        if self.period_s < 1:
            raise ScoresError(f"a row must last at least 1 s, got {self.period_s} s")
        if rows > 1 and not (np.diff(self.times) > 0).all():
            raise ScoresError("times of a score table must ascend, without repetition")

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors of the columns, in their order."""
        return tuple(dict.fromkeys(column.sensor for column in self.columns))

    def threshold(self, rule: str, options: EventOptions | None = None) -> Threshold:
        """Compute a threshold for this table.

        Parameters
        ----------
        rule : str
            As `echoanom.thresholds.threshold` takes it.
        options : EventOptions, optional
            How rows become events, for ``alarms``; the defaults if left out. Their own
            rule is not used.

        Returns
        -------
        Threshold
            From the calibration that came with the scores. Without one, from the
            scores themselves, which `source` tells: then what is unusual in them
            moves the threshold that shall find it.

        Raises
        ------
        OptionError
            If the rule cannot be read.
        ScoresError
            If the calibration does not tell.
        """
        parsed = parse_rule(rule)
        if parsed.kind == "number":
            return Threshold(parsed.value, rule, "number")
        if self.calibration is None and np.isnan(self.score).all():
            raise ScoresError(
                f"threshold {rule!r} needs a score, but none of {len(self.score)} rows"
                " has one; give a number, or score days in which something was observed"
            )
        source: Source = "calibration" if self.calibration else "scores"
        calibration = self.calibration or Calibration.from_scores(
            self.score, self.times, self.period_s
        )
        value = threshold(rule, calibration, options)
        if parsed.kind != "alarms":
            return Threshold(value, rule, source)
        rates = calibration.alarm_rates(options or EventOptions())
        return Threshold(value, rule, source, rates.basis(parsed.value))


def check_scored(dataset: Dataset, table: ScoreTable) -> None:
    """Refuse scores of columns that a dataset does not have.

    A dataset may have more columns than were scored, for example a sensor that came
    later.

    Parameters
    ----------
    dataset : Dataset
        What is said to have been scored.
    table : ScoreTable
        The scores. One that does not name its columns passes.

    Raises
    ------
    ScoresError
        If the dataset lacks a column.
    """
    has = {column.label for column in dataset.columns}
    lacking = [column.label for column in table.columns if column.label not in has]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ScoresError(
            f"{dataset.path}: must have the {len(table.columns)} columns that the scores"
            f" are of, but lacks {', '.join(lacking[:3])}{more}; name the dataset that"
            " was scored"
        )


def sensor_shares(
    shares: NDArray[Any], columns: Sequence[Column]
) -> dict[str, NDArray[np.float64]]:
    """Add up the columns' shares for each sensor.

    Parameters
    ----------
    shares : ndarray of float, shape (..., C)
        Shares of the columns.
    columns : sequence of Column
        The columns, length C.

    Returns
    -------
    dict of str to ndarray of float64, shape (...)
        By sensor, in the columns' order.
    """
    members: dict[str, list[int]] = {}
    for position, column in enumerate(columns):
        members.setdefault(column.sensor, []).append(position)
    return {
        sensor: shares[..., positions].sum(axis=-1, dtype=np.float64)
        for sensor, positions in members.items()
    }


def check_path(path: str) -> None:
    """Refuse a path that no table of scores can have, before anything is scored.

    Parameters
    ----------
    path : str
        Path or URL.

    Raises
    ------
    OptionError
        If the path does not end in ``.csv``.
    """
    _neighbours(path)


def write_scores(path: str, table: ScoreTable) -> None:
    """Write a score table, complete or not at all.

    Parameters
    ----------
    path : str
        Path or URL, ending in ``.csv``. Its neighbours ``….json`` and, with shares,
        ``….columns.npy`` are written first.
    table : ScoreTable
        What is written.

    Raises
    ------
    OptionError
        If the path does not end in ``.csv``.
    StorageError
        If it cannot be written.
    """
    columns_path, json_path = _neighbours(path)
    content = _csv(table)
    about = {
        "format": FORMAT,
        **{name: table.provenance.get(name) for name in _PROVENANCE},
        "period_s": table.period_s,
        "columns": [column.as_json() for column in table.columns],
        "calibration": table.calibration.as_json() if table.calibration else None,
        # With these, neighbours that do not belong to the CSV are recognised.
        "digest": xxhash.xxh3_128_hexdigest(content),
        "shares_digest": _sample_digest(table.shares),
    }
    # All three are complete before the first appears; the CSV, entered first, is last.
    with (
        publishing.publish(path) as csv_file,
        publishing.publish(json_path) as json_file,
    ):
        csv_file.write(content)
        json_file.write(_json(about))
        if table.shares is not None:
            with publishing.publish(columns_path) as columns_file:
                np.save(columns_file, table.shares.astype(np.float16, copy=False))
    if table.shares is None:
        storage.remove(columns_path)


def read_scores(path: str) -> ScoreTable:
    """Read a score table.

    Parameters
    ----------
    path : str
        Path or URL, ending in ``.csv``. A CSV without neighbours needs the columns
        ``timestamp`` and ``score`` alone; it has no shares and no calibration.

    Returns
    -------
    ScoreTable
        As written. Local shares are mapped, not loaded.

    Raises
    ------
    OptionError
        If the path does not end in ``.csv``.
    ScoresError
        If the CSV cannot be understood, or its neighbours belong to another.
    StorageError
        If it cannot be read.
    """
    columns_path, json_path = _neighbours(path)
    content = storage.read_bytes(path)
    text = read_text_table(path, ("timestamp", "score"), content)
    times = text.times("timestamp")
    if not len(times):
        raise ScoresError(f"{path}: must have at least one line of scores, got none")
    late = np.diff(times) <= 0
    if late.any():
        raise text.refusal(
            int(late.argmax()) + 1, "timestamp", "later than the line before"
        )
    about: dict[str, Any] = {}
    shares = None
    if storage.exists(json_path):
        about = _read_about(json_path)
        if about["digest"] != xxhash.xxh3_128_hexdigest(content):
            raise ScoresError(
                f"{path}: must be the table that {json_path} was written with, but was"
                f" changed; score again, or remove {json_path} to use the CSV alone"
            )
        if about["shares_digest"] is not None:
            shares = _read_shares(columns_path)
            if _sample_digest(shares) != about["shares_digest"]:
                raise ScoresError(
                    f"{columns_path}: must be the shares that {path} was written with,"
                    " but holds others; score again"
                )
    score, windows = text.numbers("score"), text.numbers("windows")
    wrong = np.abs(score) > _LARGEST
    if wrong.any():
        raise text.refusal(
            int(wrong.argmax()), "score", f"between {-_LARGEST:g} and {_LARGEST:g}"
        )
    wrong = (windows < 0) | (windows % 1 > 0) | (windows > 2**53)
    if wrong.any():
        raise text.refusal(
            int(wrong.argmax()), "windows", "how many windows cover the row"
        )
    steps = np.diff(times)
    guessed = int(steps.min()) if len(steps) else _DEFAULT_PERIOD_S
    calibration = about.get("calibration")
    return ScoreTable(
        times=times,
        score=score,
        window_score=text.numbers("window_score"),
        windows=np.nan_to_num(windows).astype(np.int64),
        shares=shares,
        columns=about.get("columns", ()),
        period_s=about.get("period_s", guessed),
        calibration=Calibration.from_json(calibration) if calibration else None,
        provenance={
            name: about[name] for name in _PROVENANCE if about.get(name) is not None
        },
    )


def _neighbours(path: str) -> tuple[str, str]:
    if not path.endswith(".csv"):
        raise OptionError(f"the path of a score table must end in .csv, got {path!r}")
    stem = path.removesuffix(".csv")
    return f"{stem}.columns.npy", f"{stem}.json"


def _csv(table: ScoreTable) -> bytes:
    columns: dict[str, list[Any]] = {
        "timestamp": list(map(format_stamp, table.times.tolist())),
        "score": _cells(table.score),
        "window_score": _cells(table.window_score),
        "windows": table.windows.tolist(),
    }
    if table.shares is not None:
        for sensor, share in sensor_shares(table.shares, table.columns).items():
            columns[SHARE_PREFIX + sensor] = _cells(np.round(share, 4))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _cells(numbers: NDArray[np.float64]) -> list[float | str]:
    return ["" if number != number else number for number in numbers.tolist()]


def _json(about: dict[str, Any]) -> bytes:
    return (json.dumps(about, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _sample_digest(shares: NDArray[np.float16] | None) -> str | None:
    """Digest of some rows: a year of shares is gigabytes, and shall stay mapped."""
    if shares is None:
        return None
    step = max(1, len(shares) // _SAMPLED_ROWS)
    sample = np.ascontiguousarray(shares[::step], dtype=np.float16)
    digest = xxhash.xxh3_128(repr(shares.shape).encode())
    digest.update(sample.tobytes())
    return digest.hexdigest()


def _read_about(path: str) -> dict[str, Any]:
    try:
        about = json.loads(storage.read_bytes(path))
    except ValueError as error:
        raise ScoresError(f"{path}: must be JSON: {error}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        came = about.get("format") if isinstance(about, dict) else type(about).__name__
        raise ScoresError(
            f"{path}: must have format {FORMAT}, got {came!r}; score again"
        )
    missing = [
        key
        for key in ("digest", "shares_digest", "period_s", "columns")
        if key not in about
    ]
    if missing:
        raise ScoresError(f"{path}: lacks {', '.join(missing)}; score again")
    period_s = about["period_s"]
    if type(period_s) is not int or period_s < 1:
        raise ScoresError(
            f"{path}: period_s must be a whole number of at least 1, got {period_s!r};"
            " score again"
        )
    for name in _PROVENANCE:
        if not isinstance(about.get(name) or {}, dict):
            raise ScoresError(
                f"{path}: {name} must be an object, got {about[name]!r}; score again"
            )
    try:
        about["columns"] = columns_from_manifest(about["columns"])
    except (KeyError, TypeError, ValueError):
        raise ScoresError(
            f"{path}: columns must be a list of what columns are, but is not; score"
            " again"
        ) from None
    return about


def _read_shares(path: str) -> NDArray[np.float16]:
    try:
        if storage.is_local(path):
            local = storage.filesystem(path)[1]
            with storage.storage_errors(path, "read"):
                shares = np.load(local, mmap_mode="r", allow_pickle=False)
        else:
            content = io.BytesIO(storage.read_bytes(path))
            shares = np.load(content, allow_pickle=False)
    except ValueError:
        # NumPy's own words may say how to load it unsafely.
        raise ScoresError(
            f"{path}: must be a NumPy array of numbers, but is not; score again"
        ) from None
    return np.asanyarray(shares, dtype=np.float16)
