"""Whole pictures made of drawings, and their bytes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import MissingExtraError
from echoanom.events import Event
from echoanom.marks import draw_time_axis, mark_above, mark_events, plain
from echoanom.palette import STYLE, colour_limits
from echoanom.panels import Mounting, Panel
from echoanom.plots import (
    BESIDE,
    draw_bins,
    draw_learning_curve,
    draw_lines,
    draw_score,
    draw_score_histogram,
)
from echoanom.reconstruction import Comparison
from echoanom.timegrid import TimeGrid, thin_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Width of a figure over time [inch]."""

PictureFormat = Literal["png", "pdf", "svg"]

_IMAGE, _LINES, _SCORE = 1.9, 0.95, 1.15
MOST_BINS = 400
"""Most bins of an image; more are averaged to fewer."""


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with our settings, and leave those of the caller as they are.

    Yields
    ------
    None
        While the settings hold.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingExtraError("drawing", "report") from None
    with rc_context(cast(Any, STYLE)):
        yield


@styled()
def overview(
    panels: Sequence[Panel],
    grid: TimeGrid,
    values: NDArray[np.float32],
    score: NDArray[np.float64],
    *,
    threshold: float | None = None,
    events: Sequence[Event] = (),
    mounting: Mounting | None = None,
    score_label: str = "Score",
) -> Figure:
    """Draw panels over the whole time, and the score with its events under them.

    Parameters
    ----------
    panels : sequence of Panel
        What is drawn, from top to bottom.
    grid : TimeGrid
        The steps.
    values : ndarray of float32, shape (steps, C)
        All columns.
    score : ndarray of float64, shape (steps,)
        The score of each step.
    threshold : float, optional
        Where events begin.
    events : sequence of Event
        The events.
    mounting : Mounting, optional
        How the instrument looks.
    score_label : str
        What the score is.

    Returns
    -------
    Figure
        Not yet drawn to anything.
    """
    heights = [*(_IMAGE if p.is_image else _LINES for p in panels), _SCORE]
    figure = new_figure(WIDTH, sum(heights) + 0.35 * len(heights) + 0.3)
    layout = figure.add_gridspec(
        len(heights), 2, width_ratios=[1, 0.014], height_ratios=heights
    )
    score_axes = figure.add_subplot(layout[-1, 0])
    for row, panel in enumerate(panels):
        axes = figure.add_subplot(layout[row, 0], sharex=score_axes)
        bar = figure.add_subplot(layout[row, 1]) if panel.is_image else None
        chosen = values[:, list(panel.positions)]
        _draw(axes, panel, grid.edges, chosen, mounting=mounting, colorbar_axes=bar)
        axes.tick_params(labelbottom=False)
        axes.xaxis.get_offset_text().set_visible(False)
        axes.set_xlabel("")
        if panel.is_image:
            # Shading would change the colours, and with them what they say.
            for event in events:
                mark_above(axes, event)
        else:
            mark_events(axes, events)
    draw_score(
        score_axes,
        grid.edges,
        score,
        threshold=threshold,
        events=events,
        label=score_label,
    )
    if any(panel.is_image for panel in panels):
        # Beside the axes there is the room that colour bars take.
        for text in score_axes.texts:
            text.set_in_layout(text.get_gid() != BESIDE)
    figure.align_ylabels()
    return figure


@styled()
def comparison(
    panels: Sequence[Panel],
    compared: Comparison,
    event: Event,
    mountings: Sequence[Mounting | None],
) -> Figure:
    """Draw what was measured, what the model makes of it, and the difference.

    Parameters
    ----------
    panels : sequence of Panel
        What is drawn, from top to bottom.
    compared : Comparison
        The values.
    event : Event
        The event, marked by a bar above the drawings.
    mountings : sequence of Mounting or None
        How each panel's instrument looks.

    Returns
    -------
    Figure
        Not yet drawn to anything.
    """
    heights = [1.9 if panel.is_image else 1.2 for panel in panels]
    figure = new_figure(WIDTH, sum(heights) + 0.55 * len(heights) + 0.1)
    layout = figure.add_gridspec(
        len(panels), 5, width_ratios=[1, 1, 0.03, 1, 0.03], height_ratios=heights
    )
    for row, (panel, mounting) in enumerate(zip(panels, mountings, strict=True)):
        columns = list(panel.positions)
        original = compared.original[:, columns]
        reproduced = compared.reproduced[:, columns]
        difference = compared.difference(panel)
        left = figure.add_subplot(layout[row, 0])
        middle = figure.add_subplot(layout[row, 1], sharex=left, sharey=left)
        right = figure.add_subplot(layout[row, 3], sharex=left)
        if panel.is_image:
            bars = [figure.add_subplot(layout[row, place]) for place in (2, 4)]
            limits = colour_limits(panel, original)
            for axes, values in ((left, original), (middle, reproduced)):
                _draw(
                    axes,
                    panel,
                    compared.edges,
                    values,
                    mounting=mounting,
                    limits=limits,
                    colorbar=axes is left,
                    colorbar_axes=bars[0],
                )
            _draw(
                right,
                panel,
                compared.edges,
                difference,
                mounting=mounting,
                difference=True,
                colorbar_axes=bars[1],
            )
        else:
            _draw(left, panel, compared.edges, original)
            _draw(middle, panel, compared.edges, reproduced)
            _draw(right, panel, compared.edges, difference, difference=True)
            right.axhline(0, color="0.6", linewidth=0.6, zorder=0)
        left.set_title(plain(f"Observed ({panel.sensor})"))
        middle.set_title("Reconstruction")
        # A colour bar has the unit; lines have no room for a label of their own.
        unit = (
            "" if panel.is_image else panel.difference_label.removeprefix("Difference")
        )
        right.set_title(plain(f"Observed − reconstruction{unit}"))
        for axes in (middle, right):
            axes.set_ylabel("")
        for axes in (middle, right) if panel.is_image else (middle,):
            axes.tick_params(labelleft=False)
        for axes in (left, middle, right):
            draw_time_axis(axes, compared.edges, most_ticks=6)
            mark_above(axes, event)
            if row < len(panels) - 1:
                axes.set_xlabel("")
    return figure


@styled()
def score_histogram(score: NDArray[np.float64], threshold: float | None) -> Figure:
    """Draw how often scores occur.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        The scores.
    threshold : float, optional
        Where events begin.

    Returns
    -------
    Figure
        Not yet drawn to anything.
    """
    figure = new_figure(4.8, 2.9)
    draw_score_histogram(figure.add_subplot(), score, threshold=threshold)
    return figure


@styled()
def learning_curve(
    epochs: Sequence[int], loss: Sequence[float], validation_loss: Sequence[float]
) -> Figure:
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
        Not yet drawn to anything.
    """
    figure = new_figure(4.8, 2.9)
    draw_learning_curve(figure.add_subplot(), epochs, loss, validation_loss)
    return figure


@styled()
def as_png(figure: Figure, dpi: int = 150) -> bytes:
    """Draw a figure to a PNG.

    Parameters
    ----------
    figure : Figure
        The figure.
    dpi : int
        Pixels per inch.

    Returns
    -------
    bytes
        The picture, the same for the same figure.
    """
    return as_picture(figure, "png", dpi)


@styled()
def as_picture(figure: Figure, form: PictureFormat, dpi: int = 150) -> bytes:
    """Draw a figure to a file's content.

    Parameters
    ----------
    figure : Figure
        The figure.
    form : {'png', 'pdf', 'svg'}
        The format.
    dpi : int
        Pixels per inch; of images in it, where the format has lines and text as such.

    Returns
    -------
    bytes
        The picture, the same for the same figure.
    """
    from matplotlib import rcParams

    # What changes from call to call: the moment, and names within an SVG.
    unsaid = {"png": "Software", "pdf": "CreationDate", "svg": "Date"}[form]
    rcParams["svg.hashsalt"] = "echoanom"
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=dpi, metadata={unsaid: None})
    return content.getvalue()


@styled()
def as_webp(figure: Figure, dpi: int = 110) -> bytes:
    """Draw a figure to a picture for a page, a fifth of the size of a PNG.

    Parameters
    ----------
    figure : Figure
        The figure.
    dpi : int
        Pixels per inch.

    Returns
    -------
    bytes
        A WebP, the same for the same figure.
    """
    content = io.BytesIO()
    figure.savefig(content, format="webp", dpi=dpi)
    return content.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Make a figure whose parts make room for each other.

    Parameters
    ----------
    width, height : float
        Its size [inch].

    Returns
    -------
    Figure
        An empty one.
    """
    # A Figure of its own: no window, and nothing that outlives it.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw(
    axes: Axes,
    panel: Panel,
    edges: NDArray[np.int64],
    values: NDArray[np.float32],
    *,
    difference: bool = False,
    **how: Any,
) -> None:
    if panel.is_image:
        kind = "scalar" if difference else panel.kind
        thinned, bins = thin_bins(values, panel.coordinates, kind, MOST_BINS)
        draw_bins(axes, panel, edges, bins, thinned, difference=difference, **how)
        return
    unit = "Hz" if panel.along == "frequency" else "m"
    names = [f"{coordinate:g} {unit}" for coordinate in panel.coordinates]
    draw_lines(
        axes,
        edges,
        dict(zip(names or [panel.quantity], values.T, strict=True)),
        panel.difference_label if difference else panel.label,
        kind="scalar" if difference else panel.kind,
    )
