"""The picture of a comparison: curves, and measures with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from echoanom.comparing import Compared
from echoanom.evaluation import Evaluation
from echoanom.figures import new_figure, styled
from echoanom.marks import plain
from echoanom.palette import LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = (
    ("vus_pr", "VUS-PR"),
    ("average_precision", "average precision"),
    ("event_f1", "F1 of events"),
    ("affiliation_f1", "F1 of affiliation"),
)


@styled()
def draw_comparison(compared: Sequence[Compared]) -> Figure:
    """Draw precision over recall, and the measures beside.

    Parameters
    ----------
    compared : sequence of Compared
        At least one.

    Returns
    -------
    Figure
        Not yet drawn to anything.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = new_figure(9.0, 3.2 + 0.12 * len(compared))
    curves, measures = figure.subplots(1, 2)
    draw_curves(curves, compared)
    draw_measures(measures, compared)
    handles, names = curves.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def draw_curves(axes: Axes, compared: Sequence[Compared]) -> Axes:
    """Draw precision over recall by row.

    Parameters
    ----------
    axes : Axes
        Where.
    compared : sequence of Compared
        What is compared.

    Returns
    -------
    Axes
        The same.
    """
    for number, one in enumerate(compared):
        recall = np.concatenate(([0.0], one.recall))
        precision = np.concatenate((one.precision[:1], one.precision))
        axes.plot(
            recall,
            precision,
            color=LINES[number % len(LINES)],
            label=plain(one.name),
            drawstyle="steps-pre",
        )
    found = compared[0].evaluation
    axes.axhline(
        found.labelled_rows / found.rows, color="0.6", linestyle=":", label="random"
    )
    axes.set(
        xlim=(0, 1), ylim=(0, 1.02), xlabel="recall by row", ylabel="precision by row"
    )
    axes.set_title("Rows above every threshold")
    return axes


def draw_measures(axes: Axes, compared: Sequence[Compared]) -> Axes:
    """Draw the measures as points, and their intervals as lines.

    Parameters
    ----------
    axes : Axes
        Where.
    compared : sequence of Compared
        What is compared.

    Returns
    -------
    Axes
        The same.
    """
    step = 0.7 / len(compared)
    for number, one in enumerate(compared):
        for place, (name, _) in enumerate(_SHOWN):
            value = _value(one.evaluation, name)
            if value is None:
                continue
            at = place + (number - (len(compared) - 1) / 2) * step
            colour = LINES[number % len(LINES)]
            between = one.evaluation.intervals.get(name)
            if between is not None:
                axes.plot(between, (at, at), color=colour, linewidth=1.4)
            axes.plot(value, at, "o", color=colour, markersize=4)
    axes.set_yticks(range(len(_SHOWN)), [label for _, label in _SHOWN])
    axes.set(xlim=(-0.02, 1.02), ylim=(len(_SHOWN) - 0.5, -0.5))
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    options = compared[0].evaluation.options
    axes.set_title(
        f"Measures, and 95 % of {options.bootstrap} draws"
        if options.bootstrap
        else "Measures"
    )
    return axes


def _value(found: Evaluation, name: str) -> float | None:
    events = found.by_event
    return {
        "vus_pr": found.vus_pr,
        "average_precision": found.average_precision,
        "event_f1": events.f1 if events else None,
        "affiliation_f1": events.affiliation_f1 if events else None,
    }[name]
