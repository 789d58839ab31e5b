"""Drawings: each function takes matplotlib axes, draws on them, and returns them.

Times are UTC. The drawings are made for the settings in `palette.STYLE`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from echoanom.binaxis import bin_edges, draw_bin_axis
from echoanom.events import Event
from echoanom.marks import (
    DAY_S,
    Flagged,
    draw_time_axis,
    mark_events,
    mark_flags,
    mark_missing,
    plain,
)
from echoanom.palette import (
    BLUE,
    LINES,
    ORANGE,
    choose_colours,
    colour_ends,
)
from echoanom.panels import Mounting, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

BESIDE = "beside"
"""Mark (gid) of text that stands to the right of the axes."""

# A score that spans more than this is drawn on a logarithmic axis.
_WIDE_SPAN = 30.0
_WIDE_LOSSES = 5.0
_FEW_COLOURS = 16
_LONGEST_LINE = 16


def draw_bins(
    axes: Axes,
    panel: Panel,
    edges: NDArray[np.int64],
    coordinates: Sequence[float] | NDArray[np.float64],
    values: NDArray[np.floating[Any]],
    *,
    mounting: Mounting | None = None,
    limits: tuple[float, float] | None = None,
    colours: Colormap | None = None,
    label: str | None = None,
    difference: bool = False,
    colorbar: bool = True,
    colorbar_axes: Axes | None = None,
) -> Axes:
    """Draw a quantity over time and range or frequency: an echogram, a spectrogram.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    panel : Panel
        What is drawn.
    edges : ndarray of int64, shape (T + 1,)
        Starts of the steps and end of the last [s since 1970 UTC].
    coordinates : array_like of float, shape (C,)
        Range or depth [m], or frequency [Hz] of the bins, ascending.
    values : ndarray of float, shape (T, C)
        What is drawn. Missing cells are left open on a hatched ground.
    mounting : Mounting, optional
        How the instrument looks; up, at an unknown depth, if left out.
    limits : tuple of float, optional
        Values of the first and last colour. Left out: −80 to −44 dB for Sv, 0 to 360
        for directions, else the 1 % and 99 % quantiles.
    colours : Colormap, optional
        The colours; chosen by what is drawn if left out. A colour map of few colours
        has its steps marked in the colour bar.
    label : str, optional
        What the colour bar says; the quantity with its unit if left out.
    difference : bool
        Whether the values are differences, drawn around 0.
    colorbar : bool
        Whether there is a colour bar.
    colorbar_axes : Axes, optional
        Where the colour bar goes; beside the axes if left out.

    Returns
    -------
    Axes
        The same axes.
    """
    usual, low, high = choose_colours(panel, values, limits, difference)
    mesh = axes.pcolormesh(
        edges / DAY_S,
        bin_edges(coordinates, panel, mounting),
        np.ma.masked_invalid(values.T),
        cmap=colours or usual,
        vmin=low,
        vmax=high,
        shading="flat",
        rasterized=True,
    )
    mark_missing(axes)
    draw_bin_axis(axes, coordinates, panel, mounting)
    draw_time_axis(axes, edges)
    figure = axes.get_figure()
    if not colorbar or figure is None:
        return axes
    bar = figure.colorbar(
        mesh,
        cax=colorbar_axes,
        ax=axes if colorbar_axes is None else None,
        label=plain(label or (panel.difference_label if difference else panel.label)),
        extend=colour_ends(values, low, high),
    )
    bar.outline.set_linewidth(0.6)
    if panel.kind == "direction" and not difference:
        bar.set_ticks([0, 90, 180, 270, 360])
    if colours is not None and colours.N <= _FEW_COLOURS:
        # Every other step: where colours change, and so that the numbers have room.
        bar.set_ticks(np.linspace(low, high, colours.N + 1)[::2].tolist())
        bar.minorticks_off()
    return axes


def draw_lines(
    axes: Axes,
    edges: NDArray[np.int64],
    series: Mapping[str, NDArray[np.floating[Any]]],
    label: str,
    *,
    kind: str = "scalar",
    limits: tuple[float, float] | None = None,
    flags: Sequence[Flagged] = (),
    ground: bool = False,
) -> Axes:
    """Draw quantities over time as lines that break where values are missing.

    A value alone between missing ones, which no line can show, is a dot.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    edges : ndarray of int64, shape (T + 1,)
        Starts of the steps and end of the last [s since 1970 UTC].
    series : mapping of str to ndarray of float, shape (T,)
        Names and values.
    label : str
        The quantity with its unit.
    kind : {'scalar', 'level', 'direction'}
        Directions are drawn as dots: from 359° to 1° is no way down.
    limits : tuple of float, optional
        Lowest and highest value of the axis; those drawn, and some room, if left out.
    flags : sequence of Flagged
        Values that checks found suspect or wrong, marked and named in the legend.
    ground : bool
        Whether the ground is hatched where every series is missing.

    Returns
    -------
    Axes
        The same axes.
    """
    centres = (edges[:-1] + edges[1:]) / 2 / DAY_S
    dots: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 1.5}
    for position, (name, values) in enumerate(series.items()):
        style = dots if kind == "direction" else {"linewidth": 0.8}
        colour = LINES[position % len(LINES)]
        axes.plot(
            centres,
            np.ma.masked_invalid(values),
            color=colour,
            label=plain(name),
            **style,
        )
        alone = _alone(np.isfinite(values))
        if kind != "direction" and alone.any():
            axes.plot(
                centres[alone], values[alone], color=colour, **{**dots, "markersize": 2}
            )
    axes.margins(y=0.08)
    if kind == "direction":
        axes.set_ylim(0, 360)
        axes.set_yticks([0, 90, 180, 270, 360])
    if limits is not None:
        axes.set_ylim(*limits)
    mark_flags(axes, flags)
    if flags:
        # Above the axes, where it hides no value. One series needs no name.
        handles, names = axes.get_legend_handles_labels()
        first = 1 if len(series) == 1 else 0
        axes.legend(
            handles[first:],
            names[first:],
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(series) + len(flags),
            borderaxespad=0.1,
            handletextpad=0.3,
        )
    elif len(series) > 1:
        axes.legend(loc="upper left", ncols=len(series), borderaxespad=0.2)
    axes.set_ylabel(_in_lines(plain(label)))
    if ground:
        mark_missing(axes)
        known = np.isfinite(np.array(list(series.values()))).any(axis=0)
        _fill_known(axes, edges, known)
    draw_time_axis(axes, edges)
    return axes


def draw_score(
    axes: Axes,
    edges: NDArray[np.int64],
    score: NDArray[np.float64],
    *,
    threshold: float | None = None,
    events: Sequence[Event] = (),
    label: str = "Score",
) -> Axes:
    """Draw the score over time, with its threshold, events shaded and ranked.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    edges : ndarray of int64, shape (T + 1,)
        Starts of the steps and end of the last [s since 1970 UTC].
    score : ndarray of float64, shape (T,)
        The score of each step; NaN leaves a gap.
    threshold : float, optional
        Where events begin.
    events : sequence of Event
        The events.
    label : str
        What the score is.

    Returns
    -------
    Axes
        The same axes.
    """
    axes.stairs(score, edges / DAY_S, baseline=None, color="#333333", linewidth=0.7)
    if threshold is not None:
        axes.axhline(threshold, color=BLUE, linewidth=0.9, linestyle=(0, (5, 2)))
        axes.annotate(
            f"threshold\n{threshold:.4g}",
            (1.0, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=BLUE,
            gid=BESIDE,
        )
    known = score[np.isfinite(score)]
    if len(known) and is_wide(known):
        axes.set_yscale("log", nonpositive="mask")
    elif len(known):
        top = max(float(known.max()), threshold or 0.0)
        axes.set_ylim(min(0.0, float(known.min())), top * 1.12 or 1.0)
    axes.set_ylabel(label)
    mark_missing(axes)
    # Opaque where there are scores, so that the hatching means that there are none.
    _fill_known(axes, edges, np.isfinite(score))
    draw_time_axis(axes, edges)
    mark_events(axes, events, ranks=True)
    return axes


def draw_score_histogram(
    axes: Axes, score: NDArray[np.float64], *, threshold: float | None = None
) -> Axes:
    """Draw how often scores occur, and which share of them lies above the threshold.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    score : ndarray of float64, shape (N,)
        The scores; NaN counts nothing.
    threshold : float, optional
        Where events begin.

    Returns
    -------
    Axes
        The same axes.
    """
    known = score[np.isfinite(score)]
    if len(known):
        bins, wide = score_bins(known)
        axes.hist(known, bins=bins.tolist(), color="#9a9a9a", linewidth=0)
        axes.set_xscale("log" if wide else "linear")
    axes.set_yscale("log", nonpositive="clip")
    axes.set(xlabel="Score", ylabel="Rows")
    if threshold is not None:
        share = float((known > threshold).mean()) if len(known) else 0.0
        axes.axvline(
            threshold,
            color=BLUE,
            linewidth=0.9,
            linestyle=(0, (5, 2)),
            label=f"threshold {threshold:.4g}\n{100 * share:.2f} % of rows above",
        )
        axes.legend(loc="upper right")
    return axes


def draw_learning_curve(
    axes: Axes,
    epochs: Sequence[int],
    loss: Sequence[float],
    validation_loss: Sequence[float],
) -> Axes:
    """Draw the losses of training and of held-back days over the epochs.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    epochs : sequence of int
        Numbers of the epochs.
    loss, validation_loss : sequence of float
        Mean squared error, normalised units squared, for each epoch.

    Returns
    -------
    Axes
        The same axes.
    """
    from matplotlib.ticker import MaxNLocator

    axes.plot(epochs, loss, "o-", markersize=3, color=BLUE, label="training days")
    axes.plot(
        epochs,
        validation_loss,
        "s--",
        markersize=3,
        color=ORANGE,
        label="held-back days",
    )
    losses = np.array([*loss, *validation_loss], dtype=np.float64)
    axes.set_yscale(loss_scale(losses))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Epoch", ylabel="Mean squared error (normalised)")
    axes.legend()
    return axes


def _in_lines(label: str) -> str:
    """Break a label before its unit, and a long name, so that low axes hold it."""
    name, bracket, unit = label.partition(" (")
    name = "\n".join(textwrap.wrap(name, _LONGEST_LINE, break_long_words=False))
    return f"{name}\n({unit}" if bracket else name


def _alone(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which values have no neighbour."""
    around = np.concatenate(([False], known, [False]))
    return known & ~around[:-2] & ~around[2:]


def _fill_known(axes: Axes, edges: NDArray[np.int64], known: NDArray[np.bool_]) -> None:
    changes = np.flatnonzero(np.diff(np.concatenate(([False], known, [False]))))
    for first, end in changes.reshape(-1, 2).tolist():
        axes.axvspan(
            edges[first] / DAY_S,
            edges[end] / DAY_S,
            facecolor="white",
            edgecolor="none",
            zorder=0,
        )


def score_bins(known: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Choose the bins of a histogram of scores.

    Parameters
    ----------
    known : ndarray of float64, shape (N,)
        The scores, none of them missing.

    Returns
    -------
    edges : ndarray of float64, shape (61,)
        Ends of the bins.
    wide : bool
        Whether they are even on a logarithmic axis, not on a linear one.
    """
    if not len(known):
        return np.linspace(0.0, 1.0, 61), False
    low, high = float(known.min()), float(known.max())
    high = high if high > low else low + (abs(low) or 1.0)
    wide = is_wide(known)
    return (np.geomspace if wide else np.linspace)(low, high, 61), wide


def loss_scale(losses: NDArray[np.float64]) -> Literal["log", "linear"]:
    """Choose the axis on which all losses can be read.

    Parameters
    ----------
    losses : ndarray of float64, shape (N,)
        Losses of training and of held-back days, none of them missing.

    Returns
    -------
    {'log', 'linear'}
        Logarithmic if all are positive and the highest is so many times the lowest
        that the lower ones would lie on the axis, whichever of the two has more.
    """
    positive = bool(len(losses)) and float(losses.min()) > 0
    wide = positive and float(losses.max()) > _WIDE_LOSSES * float(losses.min())
    return "log" if wide else "linear"


def is_wide(values: NDArray[np.float64]) -> bool:
    """Tell whether values ask for a logarithmic axis.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        The values, none of them missing; at least one.

    Returns
    -------
    bool
        Whether all are positive, and the highest is many times the median.
    """
    middle = float(np.median(values))
    return float(values.min()) > 0 and float(values.max()) > _WIDE_SPAN * middle
