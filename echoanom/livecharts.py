"""Charts of a page that are not over time: how scores spread, how training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.livemodels import bokeh_models, new_figure
from echoanom.palette import BLUE, ORANGE
from echoanom.plots import loss_scale, score_bins


def histogram(score: NDArray[np.float64], threshold: float | None) -> Any:
    """Draw how often scores occur.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        The scores; NaN counts nothing.
    threshold : float or None
        Where events begin.

    Returns
    -------
    Figure
        With the share of rows above the threshold in its title.
    """
    models = bokeh_models()

    known = score[np.isfinite(score)]
    edges, wide = score_bins(known)
    counts, _ = np.histogram(known, edges)
    one = new_figure(
        height=270,
        x_axis_type="log" if wide else "linear",
        y_axis_type="log",
        y_range=(0.5, 2.0 * max(1, int(counts.max(initial=1)))),
        x_axis_label="Score",
        y_axis_label="Rows",
        name="histogram",
    )
    one.quad(
        left=edges[:-1].tolist(),
        right=edges[1:].tolist(),
        top=np.where(counts > 0, counts, np.nan).tolist(),
        bottom=0.5,
        fill_color="#9a9a9a",
        line_color=None,
    )
    shown = [("Score", "@left{0.[0000]} to @right{0.[0000]}"), ("Rows", "@top{0,0}")]
    one.add_tools(models.HoverTool(tooltips=shown))
    if threshold is not None:
        above = float((known > threshold).mean()) if len(known) else 0.0
        one.title = f"Threshold {threshold:.4g}: {100 * above:.2f} % of rows above"
        one.add_layout(
            models.Span(
                location=threshold,
                dimension="height",
                line_color=BLUE,
                line_dash="dashed",
            )
        )
    return one


def learning_curve(
    epochs: Sequence[int], loss: Sequence[float], validation_loss: Sequence[float]
) -> Any:
    """Draw the losses over the epochs.

    Parameters
    ----------
    epochs : sequence of int
        Numbers of the epochs.
    loss, validation_loss : sequence of float
        For each epoch.

    Returns
    -------
    Figure
        With both losses.
    """
    models = bokeh_models()

    losses = np.array([*loss, *validation_loss], dtype=np.float64)
    one = new_figure(
        height=270,
        y_axis_type=loss_scale(losses),
        x_axis_label="Epoch",
        y_axis_label="Mean squared error (normalised)",
        name="training",
    )
    for values, name, colour, dash, marker in (
        (loss, "training days", BLUE, "solid", "circle"),
        (validation_loss, "held-back days", ORANGE, "dashed", "square"),
    ):
        one.line(epochs, values, color=colour, line_dash=dash, legend_label=name)
        one.scatter(
            epochs, values, color=colour, marker=marker, size=6, legend_label=name
        )
    one.add_tools(
        models.HoverTool(tooltips=[("Epoch", "@x"), ("Loss", "@y{0.000000}")])
    )
    one.xaxis.ticker.min_interval = 1
    one.legend.border_line_color = None
    # Above, as losses may lie in any corner.
    one.legend.orientation = "horizontal"
    one.add_layout(one.legend[0], "above")
    return one
