"""What people marked: intervals of time that are known to be unusual."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.texttable import read_text_table

FALSE, UNSURE = "false", "unsure"
"""Kinds of label that say that nothing is unusual, and that nobody can tell."""


@dataclasses.dataclass(frozen=True)
class Label:
    """An interval that somebody marked.

    Attributes
    ----------
    start : int
        Its start [s since 1970 UTC].
    end : int
        Its end, which no longer belongs to it [s since 1970 UTC].
    sensor : str
        The sensor that shows it; empty if it is not known.
    kind : str
        What it is; empty if it is not known. ``false`` says that nothing is unusual
        there, and ``unsure`` that nobody can tell.
    """

    start: int
    end: int
    sensor: str = ""
    kind: str = ""

    @property
    def is_unusual(self) -> bool:
        """Whether it says that something is unusual."""
        return not (self.is_false or self.is_unsure)

    @property
    def is_false(self) -> bool:
        """Whether it says that nothing is unusual."""
        return self.kind.lower() == FALSE

    @property
    def is_unsure(self) -> bool:
        """Whether it says that nobody can tell."""
        return self.kind.lower() == UNSURE


def read_labels(path: str) -> tuple[Label, ...]:
    """Read ``labels.csv``: ``start,end`` and optionally ``sensor,kind``.

    Parameters
    ----------
    path : str
        Path or URL.

    Returns
    -------
    tuple of Label
        In the file's order.

    Raises
    ------
    ScoresError
        If the file is not such a table, or an interval ends before it starts.
    StorageError
        If it cannot be read.
    """
    table = read_text_table(path, ("start", "end"))
    starts, ends = table.times("start"), table.times("end")
    wrong = ends <= starts
    if wrong.any():
        raise table.refusal(int(wrong.argmax()), "end", "later than start")
    return tuple(
        Label(*label)
        for label in zip(
            starts.tolist(),
            ends.tolist(),
            table.texts("sensor"),
            table.texts("kind"),
            strict=True,
        )
    )


def labelled_rows(
    times: NDArray[np.int64], period_s: int, labels: Sequence[Label]
) -> NDArray[np.bool_]:
    """Tell which rows overlap a label.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    labels : sequence of Label
        The intervals.

    Returns
    -------
    ndarray of bool, shape (N,)
        True where some of the row's time is labelled.
    """
    marked = np.zeros(len(times), dtype=np.bool_)
    for label in labels:
        first = np.searchsorted(times, label.start - period_s, side="right")
        marked[first : np.searchsorted(times, label.end, side="left")] = True
    return marked
