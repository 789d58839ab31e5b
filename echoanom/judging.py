"""Which labels, rows and events an evaluation judges, and which it leaves out.

Labels say three things: that something is unusual, that nothing is (kind ``false``), or
that nobody can tell (kind ``unsure``). What nobody can tell is neither right nor wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ScoresError
from echoanom.events import Event
from echoanom.labels import FALSE, UNSURE, Label, labelled_rows
from echoanom.stamps import format_stamp
from echoanom.stretches import row_ranges


@dataclasses.dataclass(frozen=True)
class Ground:
    """What scores are held against.

    Attributes
    ----------
    labels : tuple of Label
        Labels of something unusual that have scored rows.
    outside : int
        Those without any.
    false, unsure : int
        Labels of these kinds.
    labelled : ndarray of bool, shape (N,)
        Scored rows that overlap one of `labels`.
    unjudged : ndarray of bool, shape (N,)
        Scored rows that overlap an unsure label and none of `labels`.
    """

    labels: tuple[Label, ...]
    outside: int
    false: int
    unsure: int
    labelled: NDArray[np.bool_]
    unjudged: NDArray[np.bool_]


def find_ground(
    times: NDArray[np.int64], period_s: int, labels: Sequence[Label]
) -> Ground:
    """Tell labels apart by what they say.

    Parameters
    ----------
    times : ndarray of int64, shape (N,)
        Starts of the scored rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    labels : sequence of Label
        All labels, of any kind and order.

    Returns
    -------
    Ground
        What they say of the rows.

    Raises
    ------
    ScoresError
        If there are no rows, no label of something unusual, or none that overlaps a
        row.
    """
    if not len(times):
        raise ScoresError("there must be rows with a score, and there are none")
    if not labels:
        raise ScoresError("there must be at least one label, and there is none")
    unusual = [label for label in labels if label.is_unusual]
    unsure = [label for label in labels if label.is_unsure]
    if not unusual:
        raise ScoresError(
            "there must be at least one label of something unusual, but of"
            f" {len(labels)} each is of kind {FALSE} or {UNSURE}; mark what is real,"
            " too"
        )
    spans = [(label.start, label.end) for label in unusual]
    first, stop = row_ranges(times, period_s, *zip(*spans, strict=True))
    inside = [label for label, some in zip(unusual, first < stop, strict=True) if some]
    if not inside:
        raise ScoresError(
            f"labels must overlap scored rows, but none of {len(unusual)} does: scores"
            f" are from {format_stamp(int(times[0]))} to"
            f" {format_stamp(int(times[-1]) + period_s)}, labels from"
            f" {format_stamp(min(start for start, _ in spans))} to"
            f" {format_stamp(max(end for _, end in spans))}"
        )
    labelled = labelled_rows(times, period_s, inside)
    return Ground(
        labels=tuple(inside),
        outside=len(unusual) - len(inside),
        false=len(labels) - len(unusual) - len(unsure),
        unsure=len(unsure),
        labelled=labelled,
        unjudged=labelled_rows(times, period_s, unsure) & ~labelled,
    )


def judged_events(
    events: Sequence[Event], times: NDArray[np.int64], period_s: int, ground: Ground
) -> tuple[Event, ...]:
    """Leave out events on an unsure label and on no other.

    Parameters
    ----------
    events : sequence of Event
        What was found.
    times : ndarray of int64, shape (N,)
        Starts of the scored rows [s since 1970 UTC], ascending.
    period_s : int
        Length of a row [s].
    ground : Ground
        What the labels say of these rows.

    Returns
    -------
    tuple of Event
        The others, in their order.
    """
    begun, left = row_ranges(
        times,
        period_s,
        [event.start for event in events],
        [event.end for event in events],
    )
    labelled, unjudged = (
        np.concatenate(([0], np.cumsum(rows)))
        for rows in (ground.labelled, ground.unjudged)
    )
    out = (unjudged[left] > unjudged[begun]) & (labelled[left] == labelled[begun])
    return tuple(
        event for event, open_ in zip(events, out.tolist(), strict=True) if not open_
    )
