"""Colours of drawings, and the limits between which values have a colour.

Colours are told apart by people who see few colours: colour maps are perceptually even,
lines are from the palette of Okabe and Ito [1]_.

References
----------
.. [1] M. Okabe and K. Ito (2008), "Color Universal Design",
   https://jfly.uni-koeln.de/color/
.. [2] Simrad, EK500 scientific echo sounder, operator manual: the twelve colours of
   its echogram, each 3 dB wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from echoanom.panels import Panel

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

BLACK, BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    "#000000",
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
LINES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
"""Colours of lines, in order of use."""

STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "hatch.linewidth": 0.4,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
}
"""Settings for `matplotlib.rc_context` that the drawings are made for."""

SV_LIMITS = (-80.0, -44.0)
"""Colour limits of volume backscattering strength [dB re 1 m⁻¹]."""

EK500 = (
    *("#9F9F9F", "#5F5F5F", "#0000FF", "#00007F", "#00BF00", "#007F00"),
    *("#FFFF00", "#FF7F00", "#FF00BF", "#FF0000", "#A6533C", "#783C28"),
)
"""Colours of Simrad's EK500 [2]_, the weakest echo first."""

_SV_UNIT = "dB re 1 m⁻¹"
_TAILS = (1.0, 99.0)


def colour_limits(
    panel: Panel, values: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """Choose the values of the first and last colour.

    Parameters
    ----------
    panel : Panel
        What is drawn.
    values : ndarray of float
        Its values; NaN counts nothing.

    Returns
    -------
    tuple of float
        −80 and −44 dB for Sv, 0 and 360 for directions, values around 0 for
        velocities with a sign, else the 1 % and 99 % quantiles.
    """
    if is_sv(panel):
        return SV_LIMITS
    if panel.kind == "direction":
        return 0.0, 360.0
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(known, _TAILS))
    if _has_sign(panel) and low < 0 < high:
        largest = max(-low, high)
        return -largest, largest
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def choose_colours(
    panel: Panel,
    values: NDArray[np.floating[Any]],
    limits: tuple[float, float] | None,
    difference: bool,
) -> tuple[str, float, float]:
    """Choose a colour map and its limits.

    Parameters
    ----------
    panel : Panel
        What is drawn.
    values : ndarray of float
        Its values; NaN counts nothing.
    limits : tuple of float, or None
        Values of the first and last colour, if they are given.
    difference : bool
        Whether the values are differences, drawn around 0.

    Returns
    -------
    colours : str
        Name of a matplotlib colour map: magma for levels, viridis for other numbers,
        one that closes for directions, one with a middle for what has a sign.
    low, high : float
        Values of its first and last colour.
    """
    if difference:
        known = np.abs(values[np.isfinite(values)])
        largest = float(np.percentile(known, _TAILS[1])) if len(known) else 0.0
        low, high = limits or (-(largest or 1.0), largest or 1.0)
        return "RdBu_r", low, high
    low, high = limits or colour_limits(panel, values)
    if panel.kind == "direction":
        return "twilight", low, high
    if _has_sign(panel) and low == -high:
        return "RdBu_r", low, high
    return ("magma" if panel.kind == "level" else "viridis"), low, high


def is_sv(panel: Panel) -> bool:
    """Tell whether a panel is volume backscattering strength.

    Parameters
    ----------
    panel : Panel
        The panel.

    Returns
    -------
    bool
        Whether its unit is that of Sv.
    """
    return panel.kind == "level" and panel.unit == _SV_UNIT


def ek500_colours() -> Colormap:
    """Make the colour map of Simrad's EK500.

    Returns
    -------
    Colormap
        Twelve steps, 3 dB each over the 36 dB of `SV_LIMITS` [2]_. White below the
        first, the last above.
    """
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(EK500, name="EK500")
    return colours.with_extremes(under="white", over=EK500[-1])


def _has_sign(panel: Panel) -> bool:
    return panel.kind == "scalar" and panel.unit in ("m/s", "cm/s", "mm/s")


def colour_ends(
    values: NDArray[np.floating[Any]], low: float, high: float
) -> Literal["neither", "min", "max", "both"]:
    """Tell at which ends values have no colour of their own.

    Parameters
    ----------
    values : ndarray of float
        The values; NaN counts nothing.
    low, high : float
        Values of the first and last colour.

    Returns
    -------
    {'neither', 'min', 'max', 'both'}
        As matplotlib's colour bars take it.
    """
    known = values[np.isfinite(values)]
    below, above = bool((known < low).any()), bool((known > high).any())
    if below and above:
        return "both"
    return "min" if below else "max" if above else "neither"
