"""Say in words where an error lies: the quantity, and the band of range or frequency.

Shares of single columns are many and noisy. What a person wants to know of 1,600 of
them is "Sv, 120–145 m".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.panels import Panel, at_depths, find_panels

LEAST_EXCESS = 0.25
"""A band must hold this much more of a quantity's error than of its columns."""

MOST_PLACES = 4
"""Places that are named."""

_LEAST_SHARE = 0.1
_LEAST_KHZ = 1000.0


@dataclasses.dataclass(frozen=True)
class Place:
    """A quantity, or a band of it, and its share of an error.

    Attributes
    ----------
    words : str
        Its name: ``Sv, 120–145 m``.
    share : float
        Share of the error, in [0, 1].
    """

    words: str
    share: float


def densest_band(share: NDArray[np.float64]) -> tuple[int, int]:
    """Find the band that holds the most more of an error than its width explains.

    It is the stretch with the largest difference between its share of the error and
    its share of the columns: the sum of what each column has above the mean, largest
    over all stretches (Kadane's algorithm, as J. Bentley (1984), "Programming Pearls:
    Algorithm Design Techniques", Comm. ACM 27(9), 865–873, tells it).

    Parameters
    ----------
    share : ndarray of float64, shape (n,)
        Shares of neighbouring columns, at least one.

    Returns
    -------
    first, behind : int
        The half-open band of positions; the first of equal ones.
    """
    best, found, total, first = -np.inf, (0, len(share)), 0.0, 0
    for position, above in enumerate((share - share.mean()).tolist()):
        if total <= 0:
            total, first = 0.0, position
        total += above
        if total > best:
            best, found = total, (first, position + 1)
    return found


def find_bands(share: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Find the bands in which the error of a quantity is concentrated.

    Parameters
    ----------
    share : ndarray of float64, shape (n,)
        Shares of its columns, neighbours beside each other; at least one.

    Returns
    -------
    list of (int, int)
        Half-open bands of positions, one or two, in order. All columns together, if no
        band holds at least a quarter more of the error than of the columns.
    """
    whole = float(share.sum())
    if whole <= 0:
        return [(0, len(share))]
    even = 1 / len(share)

    def excess(band: tuple[int, int]) -> float:
        return float(share[slice(*band)].sum()) / whole - (band[1] - band[0]) * even

    first = densest_band(share)
    if excess(first) < LEAST_EXCESS:
        return [(0, len(share))]
    bands = [first]
    for begin, end in ((0, first[0]), (first[1], len(share))):
        if begin < end:
            low, high = densest_band(share[begin:end])
            bands.append((begin + low, begin + high))
    # A second one, if it is as much of a band by itself.
    others = sorted(bands[1:], key=excess, reverse=True)[:1]
    return sorted(bands[:1] + [band for band in others if excess(band) >= LEAST_EXCESS])


def places(share: NDArray[np.float64], columns: Sequence[Column]) -> tuple[Place, ...]:
    """Say where an error lies.

    Parameters
    ----------
    share : ndarray of float64, shape (C,)
        Each column's share of the error; they sum to 1, or are all 0.
    columns : sequence of Column
        The columns, length C.

    Returns
    -------
    tuple of Place
        The largest first: at most four, each with a tenth of the error or more, and at
        least one if there is an error. A quantity that two sensors have is named with
        its sensor.
    """
    panels = [at_depths(panel, columns) for panel in find_panels(columns)]
    found = []
    for panel, name in zip(panels, _names(panels), strict=True):
        of_panel = share[list(panel.positions)]
        if of_panel.sum() <= 0:
            continue
        for low, high in find_bands(of_panel) if panel.coordinates else [(0, 1)]:
            words = ", ".join(filter(None, (name, _band(panel, low, high))))
            found.append(Place(words, float(of_panel[low:high].sum())))
    found.sort(key=lambda place: -place.share)
    return tuple(
        place
        for rank, place in enumerate(found[:MOST_PLACES])
        if rank == 0 or place.share >= _LEAST_SHARE
    )


def named_panels(
    panels: Sequence[Panel], named: Sequence[tuple[str, float]], most: int
) -> tuple[Panel, ...]:
    """Choose the panels that places are in.

    Parameters
    ----------
    panels : sequence of Panel
        All panels of the columns that the places were found in.
    named : sequence of (str, float)
        Words and shares of places, as `places` gives them.
    most : int
        Most panels to return.

    Returns
    -------
    tuple of Panel
        By the share that their places have together, largest first; none of a panel
        that is not named.
    """
    panel_of = dict(zip(_names(panels), panels, strict=True))
    shares: dict[str, float] = {}
    for words, share in named:
        fitting = [
            name for name in panel_of if words == name or words.startswith(f"{name}, ")
        ]
        if fitting:
            name = max(fitting, key=len)
            shares[name] = shares.get(name, 0.0) + share
    order = sorted(shares, key=lambda name: -shares[name])
    return tuple(panel_of[name] for name in order[:most])


def _names(panels: Sequence[Panel]) -> list[str]:
    """Name each panel, with its sensor where the quantity has several."""
    names = [_name(panel) for panel in panels]
    return [
        f"{panel.sensor} {name}" if names.count(name) > 1 else name
        for panel, name in zip(panels, names, strict=True)
    ]


def _name(panel: Panel) -> str:
    if panel.frequency_hz is None:
        return panel.words
    return f"{panel.words} {_frequency(panel.frequency_hz)}"


def _band(panel: Panel, low: int, high: int) -> str:
    """Name a half-open band of a panel's columns."""
    if not panel.coordinates:
        return ""
    ends = [panel.coordinates[low], panel.coordinates[high - 1]]
    if panel.along == "frequency":
        texts = [_frequency(end) for end in ends]
    else:
        texts = [f"{_rounded(end)} m" for end in ends]
    if texts[0] == texts[1]:
        text = texts[0]
    else:
        number, _, unit = texts[0].partition(" ")
        same = unit == texts[1].partition(" ")[2]
        text = f"{number if same else texts[0]}–{texts[1]}"
    return f"{text} depth" if panel.along == "depth" else text


def _frequency(hertz: float) -> str:
    if hertz < _LEAST_KHZ:
        return f"{_rounded(hertz)} Hz"
    return f"{_rounded(hertz / 1000)} kHz"


def _rounded(number: float) -> str:
    return f"{round(number, 1 if abs(number) >= 10 else 2):g}"
