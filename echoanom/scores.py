"""The table of scores: one line for each row of the dataset that a window covers.

`write_scores` puts three files beside each other. ``scores.csv`` is for people and
other programs; ``scores.columns.npy`` holds each column's share of each row's error;
``scores.json`` says what the scores come from, and holds the calibration of the
threshold. A CSV of ``timestamp,score`` alone is a table, too.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xxhash
from numpy.typing import NDArray

from echoanom import storage
from echoanom.columns import Column, columns_from_manifest
from echoanom.errors import OptionError, ScoresError
from echoanom.thresholds import Calibration, Threshold, parse_rule, threshold

FORMAT = 1
SHARE_PREFIX = "share:"

_DEFAULT_PERIOD_S = 60
_SAMPLED_ROWS = 64
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
        if rows > 1 and not (np.diff(self.times) > 0).all():
            raise ScoresError("times of a score table must ascend, without repetition")

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors of the columns, in their order."""
        return tuple(dict.fromkeys(column.sensor for column in self.columns))

    def threshold(self, rule: str) -> Threshold:
        """Compute a threshold for this table.

        Parameters
        ----------
        rule : str
            As `echoanom.thresholds.threshold` takes it.

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
        if parse_rule(rule).kind == "number":
            return Threshold(threshold(rule, None), rule, "number")
        if self.calibration is not None:
            return Threshold(threshold(rule, self.calibration), rule, "calibration")
        own = Calibration.from_scores(self.score)
        return Threshold(threshold(rule, own), rule, "scores")


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
    with storage.publish(path) as csv_file, storage.publish(json_path) as json_file:
        csv_file.write(content)
        json_file.write(_json(about))
        if table.shares is not None:
            with storage.publish(columns_path) as columns_file:
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
    frame = _read_csv(content, path)
    times = _times(frame["timestamp"], path)
    rows = len(times)
    score = _numbers(frame, "score", path)
    nothing = np.full(rows, np.nan)
    window_score = _numbers(frame, "window_score", path, nothing)
    windows = _numbers(frame, "windows", path, np.zeros(rows))
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
    steps = np.diff(times)
    guessed = int(steps.min()) if len(steps) else _DEFAULT_PERIOD_S
    calibration = about.get("calibration")
    return ScoreTable(
        times=times,
        score=score,
        window_score=window_score,
        windows=np.nan_to_num(windows).astype(np.int64),
        shares=shares,
        columns=columns_from_manifest(about.get("columns", [])),
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
    frame = pd.DataFrame(
        {
            "timestamp": format_times(table.times),
            "score": table.score,
            "window_score": table.window_score,
            "windows": table.windows,
        }
    )
    if table.shares is not None:
        for sensor, share in sensor_shares(table.shares, table.columns).items():
            frame[SHARE_PREFIX + sensor] = np.round(share, 4)
    return frame.to_csv(index=False, lineterminator="\n").encode()


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


def _read_csv(content: bytes, path: str) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            dtype={"timestamp": str},
            float_precision="round_trip",
            index_col=False,
            skip_blank_lines=False,
            skipinitialspace=True,
        )
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ScoresError(f"{path}: must be a CSV table: {error}") from None
    for name in ("timestamp", "score"):
        if name not in frame:
            raise ScoresError(
                f"{path}: must have the columns timestamp and score, got"
                f" {', '.join(map(str, frame.columns)) or 'none'}"
            )
    if frame.empty:
        raise ScoresError(f"{path}: must have at least one line of scores, got none")
    return frame


def _numbers(
    frame: pd.DataFrame,
    name: str,
    path: str,
    default: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    if name not in frame and default is not None:
        return default
    cells = frame[name]
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, copy=True)
    wrong = (np.isnan(values) & cells.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise ScoresError(
            f"{path}, line {row + 2}, column {name!r}: must be a finite number or"
            f" blank, got {cells.iloc[row]!r}"
        )
    return values


def _times(cells: pd.Series[str], path: str) -> NDArray[np.int64]:
    times, wrong = parse_times(cells)
    if wrong.any():
        row = int(wrong.argmax())
        raise ScoresError(
            f"{path}, line {row + 2}, column 'timestamp': must be a UTC time in whole"
            f" seconds like 2015-02-01T00:00:00Z, got {cells.iloc[row]!r}"
        )
    late = np.diff(times) <= 0
    if late.any():
        row = int(late.argmax()) + 1
        raise ScoresError(
            f"{path}, line {row + 2}, column 'timestamp': must be later than the line"
            f" before, got {cells.iloc[row]!r} after {cells.iloc[row - 1]!r}"
        )
    return times


def parse_times(
    cells: Sequence[str] | pd.Series[str],
) -> tuple[
    NDArray[np.int64],
    NDArray[np.bool_],
]:
    """Read ISO 8601 times.

    Parameters
    ----------
    cells : sequence of str, length N
        The texts; a time without an offset is UTC.

    Returns
    -------
    times : ndarray of int64, shape (N,)
        Seconds since 1970 UTC.
    wrong : ndarray of bool, shape (N,)
        True where a text is not a time in whole seconds.
    """
    series = pd.Series(cells, dtype=str)
    parsed = pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce")
    stamps = parsed.to_numpy(dtype="datetime64[us]").astype(np.int64)
    times, rest = np.divmod(stamps, 1_000_000)
    return times, parsed.isna().to_numpy() | (rest != 0)


def format_times(times: NDArray[np.int64]) -> list[str]:
    """Write times as ISO 8601.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Seconds since 1970 UTC.

    Returns
    -------
    list of str
        Like ``2015-02-01T00:00:00Z``.
    """
    stamps = np.asarray(times, dtype=np.int64).astype("datetime64[s]")
    return [f"{text}Z" for text in np.datetime_as_string(stamps, unit="s").tolist()]


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
    except ValueError as error:
        raise ScoresError(f"{path}: must be a NumPy array: {error}") from None
    return np.asanyarray(shares, dtype=np.float16)
