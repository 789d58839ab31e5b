"""The vertical axis of images: range, depth or frequency, the right way up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echoanom.panels import Mounting, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KILOHERTZ_FROM = 2000.0


def bin_edges(
    coordinates: Sequence[float] | NDArray[np.float64],
    panel: Panel,
    mounting: Mounting | None = None,
) -> NDArray[np.float64]:
    """Find where bins begin and end.

    Parameters
    ----------
    coordinates : array_like of float, shape (C,)
        Range or depth [m], or frequency [Hz] of the middle of the bins, ascending; at
        least two.
    panel : Panel
        What is drawn.
    mounting : Mounting, optional
        How the instrument looks.

    Returns
    -------
    ndarray of float64, shape (C + 1,)
        Places on the axis that `draw_bin_axis` draws: range or depth [m], frequency
        [Hz], or [kHz] from 2 kHz on. Bins meet halfway; bands that widen with
        frequency, as octaves do, at the geometric mean.
    """
    centres = np.asarray(coordinates, dtype=np.float64)
    if panel.along == "frequency" and _are_spread(centres):
        # Bands that widen with frequency meet at the geometric mean.
        logarithms = np.log(centres)
        middles = np.exp((logarithms[1:] + logarithms[:-1]) / 2)
        ends = centres[0] ** 2 / middles[0], centres[-1] ** 2 / middles[-1]
        edges = np.concatenate((ends[:1], middles, ends[1:]))
        return edges / 1000 if centres[-1] >= _KILOHERTZ_FROM else edges
    middles = (centres[1:] + centres[:-1]) / 2
    first = centres[0] - (middles[0] - centres[0])
    if centres[0] >= 0:
        # A bin does not begin above the surface, or behind the transducer.
        first = max(0.0, first)
    last = centres[-1] + (centres[-1] - middles[-1])
    edges = np.concatenate(([first], middles, [last]))
    if panel.along == "frequency" and centres[-1] >= _KILOHERTZ_FROM:
        return edges / 1000
    if panel.along == "range" and mounting is not None and mounting.depth_m is not None:
        away = -edges if mounting.looking == "up" else edges
        return np.asarray(mounting.depth_m + away)
    return edges


def draw_bin_axis(
    axes: Axes,
    coordinates: Sequence[float] | NDArray[np.float64],
    panel: Panel,
    mounting: Mounting | None = None,
) -> Axes:
    """Make the vertical axis one of bins, with the deep below the shallow.

    Parameters
    ----------
    axes : Axes
        The axes.
    coordinates : array_like of float, shape (C,)
        As `bin_edges` takes them.
    panel : Panel
        What is drawn.
    mounting : Mounting, optional
        How the instrument looks; up, at an unknown depth, if left out.

    Returns
    -------
    Axes
        The same axes. Logarithmic where bands widen with frequency.
    """
    edges = bin_edges(coordinates, panel, mounting)
    low, high = float(edges.min()), float(edges.max())
    if panel.along == "frequency":
        if _are_spread(np.asarray(coordinates, dtype=np.float64)):
            _logarithmic(axes)
        axes.set_ylim(low, high)
        kilo = "k" if max(coordinates) >= _KILOHERTZ_FROM else ""
        axes.set_ylabel(f"Frequency ({kilo}Hz)")
        return axes
    if panel.along == "depth":
        axes.set_ylim(high, low)
        axes.set_ylabel("Depth (m)")
        return axes
    mounting = mounting or Mounting()
    if mounting.depth_m is not None:
        axes.set_ylim(high, low)
        axes.set_ylabel("Depth (m)")
    elif mounting.looking == "up":
        axes.set_ylim(low, high)
        axes.set_ylabel("Range above the instrument (m)")
    else:
        axes.set_ylim(high, low)
        axes.set_ylabel("Range below the instrument (m)")
    return axes


def _are_spread(centres: NDArray[np.float64]) -> bool:
    """Tell whether bands widen with frequency, as octaves and their thirds do."""
    steps = np.diff(centres)
    return bool(centres[0] > 0 and len(steps) and steps[-1] > 2 * steps[0])


def _logarithmic(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with numbers that read as numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
