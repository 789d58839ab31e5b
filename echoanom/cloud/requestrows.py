"""Rows of a request: what they must be, and how one that is wrong is refused.

This module, like all that `handler` needs, runs in TensorFlow Serving's container, where
there is NumPy and little else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN_NAMES = 3


class RequestError(Exception):
    """A request cannot be answered as it is.

    Parameters
    ----------
    status : int
        HTTP status, 400 to 499.
    message : str
        One line: what must hold, and what came.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much a request may bring.

    Attributes
    ----------
    body_bytes : int
        Its size [byte]. A day of 1,440 rows of 1,600 columns has 9 MiB as float32 and
        about 20 MiB as text.
    rows : int
        Its rows.
    windows : int
        Windows of a request for reconstructions, which are far larger than scores.
    """

    body_bytes: int = 100 << 20
    rows: int = 100_000
    windows: int = 1_000


@dataclasses.dataclass(frozen=True)
class ModelInput:
    """What a model takes.

    Attributes
    ----------
    columns : tuple of str
        Labels of its C columns in order: ``sensor/name``.
    window : int
        Rows in a window, T.
    period_s : int
        Time from row to row [s].
    """

    columns: tuple[str, ...]
    window: int
    period_s: int

    @classmethod
    def read(cls, path: str) -> ModelInput:
        """Read ``echoanom.json``.

        Parameters
        ----------
        path : str
            A local file.

        Returns
        -------
        ModelInput
            What it says.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it says something else.
        """
        with open(path, encoding="utf-8") as file:
            about: Any = json.load(file)
        try:
            return cls(
                columns=tuple(str(label) for label in about["columns"]),
                window=int(about["window"]),
                period_s=int(about["period_s"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: must say columns, window and period_s"
            ) from error

    def order(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Find the columns among those that came.

        Parameters
        ----------
        names : sequence of str
            Names as they came: labels, or what follows the sensor in them.

        Returns
        -------
        ndarray of int64, shape (C,)
            Where each column of the model stands among them.

        Raises
        ------
        RequestError
            If one is missing, unknown, or there twice.
        """
        short: dict[str, int] = {}
        for place, label in enumerate(self.columns):
            name = label.partition("/")[2]
            short[name] = -1 if name in short else place
        known = {name: place for name, place in short.items() if place >= 0}
        known.update((label, place) for place, label in enumerate(self.columns))
        found = np.full(len(self.columns), -1, dtype=np.int64)
        unknown = []
        for at, name in enumerate(names):
            place = known.get(name, -1)
            if place < 0:
                unknown.append(name)
            elif found[place] >= 0:
                raise RequestError(400, f"columns must differ, got {name!r} twice")
            else:
                found[place] = at
        missing = [
            label for label, at in zip(self.columns, found, strict=True) if at < 0
        ]
        if missing or unknown:
            said = [f"lacks {_some(missing)}"] if missing else []
            said += [f"has also {_some(unknown)}"] if unknown else []
            raise RequestError(
                400,
                f"the table must have the {len(self.columns)} columns of the model, but"
                f" {' and '.join(said)}",
            )
        return found


@dataclasses.dataclass(frozen=True)
class RequestRows:
    """Rows to score.

    Attributes
    ----------
    values : ndarray of float32, shape (N, C)
        In the columns' units; NaN is missing.
    times : ndarray of int64, shape (N,), optional
        Starts of the rows, ascending, multiples of the period [s since 1970-01-01 UTC].
        Without them all rows follow each other.
    """

    values: NDArray[np.float32]
    times: NDArray[np.int64] | None = None

    def runs(self, period_s: int) -> list[slice]:
        """Cut the rows where some are missing between them.

        Parameters
        ----------
        period_s : int
            Time from row to row [s].

        Returns
        -------
        list of slice
            Stretches of rows that follow each other, in order.
        """
        if self.times is None:
            return [slice(0, len(self.values))]
        cuts = np.flatnonzero(np.diff(self.times) != period_s) + 1
        edges = [0, *cuts.tolist(), len(self.values)]
        return [slice(*pair) for pair in zip(edges[:-1], edges[1:], strict=True)]


def checked_rows(
    values: NDArray[Any],
    times: NDArray[np.int64] | None,
    model: ModelInput,
    limits: Limits,
) -> RequestRows:
    """Require that rows fit the model.

    Parameters
    ----------
    values : ndarray, shape (N, C)
        Numbers of any type, NaN where missing.
    times : ndarray of int64, shape (N,), optional
        When the rows were sampled [s since 1970-01-01 UTC].
    model : ModelInput
        What the model takes.
    limits : Limits
        How many there may be.

    Returns
    -------
    RequestRows
        The rows, as float32, with the starts of their periods.

    Raises
    ------
    RequestError
        If there are none or too many, they have another number of columns, a value is
        too large for float32, or they are not in order of time.
    """
    columns = len(model.columns)
    if values.ndim != 2 or values.shape[1] != columns:
        raise RequestError(
            400,
            f"rows must have the {columns} columns of the model, but the shape of what"
            f" came is {values.shape}",
        )
    if not 1 <= len(values) <= limits.rows:
        raise RequestError(
            413 if len(values) else 400,
            f"a request must have 1 to {limits.rows:,} rows, got {len(values):,}",
        )
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype=np.float32)
    if narrow.dtype != values.dtype:
        lost = np.isinf(narrow) & np.isfinite(values)
        if lost.any():
            row, column = (int(i) for i in np.argwhere(lost)[0])
            raise RequestError(
                400,
                f"numbers must fit in float32, got {values[row, column]:g} in row"
                f" {row + 1}, column {column + 1}",
            )
    if times is not None:
        times = times // model.period_s * model.period_s
        late = np.flatnonzero(np.diff(times) <= 0)
        if len(late):
            raise RequestError(
                400,
                "rows must be in order of time, one for each"
                f" {model.period_s} s, but row {int(late[0]) + 2} does not follow the one"
                " before",
            )
    return RequestRows(narrow, times)


def only_keys(found: Mapping[str, Any], known: Sequence[str]) -> None:
    """Require that a JSON object has no other keys.

    Parameters
    ----------
    found : mapping
        The object.
    known : sequence of str
        What it may have.

    Raises
    ------
    RequestError
        If it has another.
    """
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise RequestError(
            400, f"JSON must have no keys but {', '.join(known)}, got {_some(unknown)}"
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:SHOWN_NAMES])
    rest = len(names) - SHOWN_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown
