"""The vertical axis of images: range, depth or frequency, the right way up."""

from __future__ import annotations

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class BinAxis:
    """A vertical axis of bins.

    Attributes
    ----------
    edges : ndarray of float64, shape (C + 1,)
        Where bins begin and end, as `bin_edges` returns them.
    label : str
        What the axis is, with its unit.
    downward : bool
        Whether its numbers increase downward.
    logarithmic : bool
        Whether bands widen with frequency, as octaves do.
    """

    edges: NDArray[np.float64]
    label: str
    downward: bool
    logarithmic: bool


def bin_axis(
    coordinates: Sequence[float] | NDArray[np.float64],
    panel: Panel,
    mounting: Mounting | None = None,
) -> BinAxis:
    """Say what the vertical axis of bins is, with the deep below the shallow.

    Parameters
    ----------
    coordinates : array_like of float, shape (C,)
        As `bin_edges` takes them.
    panel : Panel
        What is drawn.
    mounting : Mounting, optional
        How the instrument looks.

    Returns
    -------
    BinAxis
        The axis.
    """
    edges = bin_edges(coordinates, panel, mounting)
    mounting = mounting or Mounting()
    if panel.along == "frequency":
        kilo = "k" if max(coordinates) >= _KILOHERTZ_FROM else ""
        spread = _are_spread(np.asarray(coordinates, dtype=np.float64))
        return BinAxis(edges, f"Frequency ({kilo}Hz)", False, spread)
    if panel.along == "depth" or mounting.depth_m is not None:
        return BinAxis(edges, "Depth (m)", True, False)
    if mounting.looking == "up":
        return BinAxis(edges, "Range above the instrument (m)", False, False)
    return BinAxis(edges, "Range below the instrument (m)", True, False)


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
        How the instrument looks.

    Returns
    -------
    Axes
        The same axes. Logarithmic where bands widen with frequency.
    """
    axis = bin_axis(coordinates, panel, mounting)
    if axis.logarithmic:
        _logarithmic(axes)
    low, high = float(axis.edges.min()), float(axis.edges.max())
    axes.set_ylim(*((high, low) if axis.downward else (low, high)))
    axes.set_ylabel(axis.label)
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
