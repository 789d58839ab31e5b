"""What a model makes of the time around an event, beside what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.errors import ScoresError
from echoanom.events import Event
from echoanom.normalization import Normalization
from echoanom.panels import Panel
from echoanom.reader import IndexedReader
from echoanom.stamps import format_stamp

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

# An event is drawn with half its length around it, but in no more windows than this.
_AROUND = 2.0
_MOST_WINDOWS = 6


@dataclasses.dataclass(frozen=True)
class Comparison:
    """T consecutive rows as they were measured and as a model reproduces them.

    Attributes
    ----------
    edges : ndarray of int64, shape (T + 1,)
        Starts of the rows and end of the last [s since 1970 UTC].
    original : ndarray of float32, shape (T, C)
        The values in the columns' units; NaN is missing.
    observed : ndarray of bool, shape (T, C)
        False where a value is missing or was filled.
    reproduced : ndarray of float32, shape (T, C)
        What the model makes of them, in the same units.
    normalization : Normalization
        The model's, to compare columns of different units.
    """

    edges: NDArray[np.int64]
    original: NDArray[np.float32]
    observed: NDArray[np.bool_]
    reproduced: NDArray[np.float32]
    normalization: Normalization

    def difference(self, panel: Panel) -> NDArray[np.float32]:
        """Subtract what was reproduced from what was measured.

        Parameters
        ----------
        panel : Panel
            The columns to take.

        Returns
        -------
        ndarray of float32, shape (T, columns of the panel)
            Differences in the panel's unit, of directions in [−180, 180); NaN where
            nothing was observed, which counts nothing in the score either.
        """
        columns = list(panel.positions)
        result = self.original[:, columns] - self.reproduced[:, columns]
        if panel.kind == "direction":
            result = np.mod(result + 180, 360) - 180
        return np.where(self.observed[:, columns], result, np.float32(np.nan))

    def error(self, panel: Panel, event: Event) -> float:
        """Add up the squared errors of a panel during an event.

        Parameters
        ----------
        panel : Panel
            The columns to take.
        event : Event
            The time to take.

        Returns
        -------
        float
            Sum of squared errors [normalised units squared].
        """
        columns = list(panel.positions)
        starts = self.edges[:-1]
        rows = (starts >= event.start) & (starts < event.end)
        distance = (self.original - self.reproduced)[rows][:, columns]
        scaled = distance / self.normalization.scale[columns]
        return float(np.square(scaled[self.observed[rows][:, columns]]).sum())

    def worst_panels(
        self, panels: Sequence[Panel], event: Event, most: int
    ) -> tuple[Panel, ...]:
        """Choose the panels that an event shows in most.

        Parameters
        ----------
        panels : sequence of Panel
            To choose from.
        event : Event
            The event.
        most : int
            Most panels to return.

        Returns
        -------
        tuple of Panel
            By error, largest first; at least one, then those with at least a tenth of
            the error.
        """
        errors = [self.error(panel, event) for panel in panels]
        order = sorted(range(len(panels)), key=lambda i: -errors[i])
        least = 0.1 * sum(errors)
        return tuple(
            panels[i]
            for place, i in enumerate(order[:most])
            if place == 0 or errors[i] >= least
        )


def compare(
    dataset: Dataset, artifact: Artifact, event: Event, reader: IndexedReader
) -> Comparison | None:
    """Reproduce the time around an event.

    Windows overlap, and each row is taken from the one in which it is most central: a
    row at the edge of a window is reproduced from one side only.

    Parameters
    ----------
    dataset : Dataset
        What the event was found in.
    artifact : Artifact
        The model.
    event : Event
        The event.
    reader : IndexedReader
        Reads the dataset as it is stored, without normalization.

    Returns
    -------
    Comparison or None
        Rows around the event, or around its peak if it is very long. None if no
        window fits into the run of its peak.

    Raises
    ------
    ScoresError
        If the dataset has no row at the event's peak.
    """
    times = dataset.times()
    peak = int(np.searchsorted(times, event.peak))
    if peak == len(times) or times[peak] != event.peak:
        raise ScoresError(
            f"event {event.rank} peaks at {format_stamp(event.peak)}, where"
            f" {dataset.path} has no row; the events belong to another dataset"
        )
    runs = dataset.runs
    run = int(np.searchsorted(runs.first_row, peak, side="right")) - 1
    run_first, run_rows = int(runs.first_row[run]), int(runs.rows[run])
    size = artifact.window.size
    if run_rows < size:
        return None
    begin, end = np.searchsorted(times, [event.start, event.end]).tolist()
    wanted = int(_AROUND * (end - begin))
    centre = (begin + end) // 2 if wanted <= _MOST_WINDOWS * size else peak
    rows = min(max(wanted, size), _MOST_WINDOWS * size, run_rows)
    first = min(max(centre - rows // 2, run_first), run_first + run_rows - rows)
    # Half a window more on both sides, so that rows at the ends are central, too.
    outer = max(first - size // 2, run_first)
    outer_rows = min(first + rows + size // 2, run_first + run_rows) - outer
    values, observed = reader.rows(outer, outer_rows)
    reproduced = _reproduce(values, artifact)
    # A model may say 365 degrees where 359 were observed; a picture has one circle.
    reproduced[:, kind_mask(dataset.columns, "direction")] %= 360
    shown = slice(first - outer, first - outer + rows)
    return Comparison(
        edges=times[first] + dataset.period_s * np.arange(rows + 1, dtype=np.int64),
        original=values[shown],
        observed=observed[shown],
        reproduced=reproduced[shown],
        normalization=artifact.normalization,
    )


def _reproduce(values: NDArray[np.float32], artifact: Artifact) -> NDArray[np.float32]:
    """Take each row from the window in which it is most central."""
    rows, size = len(values), artifact.window.size
    regular = np.arange(0, rows - size, max(1, size // 4))
    starts = np.append(regular, rows - size)
    row = np.arange(rows)
    off_centre = np.abs(row[:, None] - (starts[None, :] + (size - 1) / 2))
    window = off_centre.argmin(axis=1)
    result = np.empty_like(values)
    for position, start in enumerate(starts.tolist()):
        part = artifact.reconstruct(values[None, start : start + size])[0]
        mine = window == position
        result[mine] = part[row[mine] - start]
    return result
