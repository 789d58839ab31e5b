"""What drawings over time have in common: the axis, marks of events, the ground."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echoanom.events import Event
from echoanom.palette import ORANGE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DAY_S = 86_400
"""Length of a day [s]; x values of axes over time are days since 1970 UTC."""

_EMPTY, _HATCH = "#f1f1f1", "#c9c9c9"
_TICKS_BY_DAY_FROM_S = 3 * DAY_S
_TICK_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 20, 30)),
    *(3600 * hours for hours in (1, 2, 3, 4, 6, 12, 24)),
)


@dataclasses.dataclass(frozen=True)
class Flagged:
    """Values of a quantity that checks found suspect, or found wrong.

    Attributes
    ----------
    failed : bool
        Whether they were found wrong, and so are missing in the table.
    times : ndarray of int64, shape (N,)
        Times of the samples [s since 1970 UTC].
    values : ndarray of float64, shape (N,)
        What was measured.
    tests : tuple of str
        Names of the checks that found them.
    """

    failed: bool
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    tests: tuple[str, ...] = ()


def mark_flags(axes: Axes, flags: Sequence[Flagged]) -> Axes:
    """Mark suspect values by circles and failed ones by crosses.

    The axis takes in suspect values, and failed ones that lie within its own height of
    it. Those beyond are drawn at its edge, and counted in the legend: a spike does not
    flatten the rest.

    Parameters
    ----------
    axes : Axes
        Axes over time with the values drawn.
    flags : sequence of Flagged
        What to mark.

    Returns
    -------
    Axes
        The same axes.
    """
    low, high = axes.get_ylim()
    if not np.isfinite(axes.dataLim.intervaly).all():
        # Nothing is left to say how high the axis is: the values themselves do.
        known = np.concatenate([one.values for one in flags] or [np.empty(0)])
        low, high = _around(known) or (low, high)
    elif axes.get_autoscaley_on():
        reach = high - low
        for one in flags:
            near = one.values
            if one.failed:
                near = near[(near >= low - reach) & (near <= high + reach)]
            if extent := _around(near):
                low, high = min(low, extent[0]), max(high, extent[1])
    axes.set_ylim(low, high)
    for one in flags:
        beyond = int(((one.values < low) | (one.values > high)).sum())
        tests = f" ({', '.join(one.tests)})" if one.tests else ""
        label = f"{'failed' if one.failed else 'suspect'}{tests}: {len(one.values):,}"
        axes.plot(
            one.times / DAY_S,
            np.clip(one.values, low, high),
            linestyle="none",
            marker="x" if one.failed else "o",
            markersize=4,
            markeredgewidth=0.9,
            markerfacecolor="none",
            markeredgecolor=VERMILION if one.failed else ORANGE,
            label=plain(label + (f", {beyond:,} beyond the axis" if beyond else "")),
            clip_on=False,
            zorder=3,
        )
    return axes


def _around(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return limits around values, with some room; nothing for no value."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    room = 0.08 * (high - low) or 0.5
    return low - room, high + room


def mark_events(
    axes: Axes, events: Sequence[Event], *, ranks: bool = False, most_ranks: int = 20
) -> Axes:
    """Shade events, visibly however short they are.

    Parameters
    ----------
    axes : Axes
        Axes over time.
    events : sequence of Event
        The events.
    ranks : bool
        Whether ranks are written above the axes, the highest first; one that finds no
        room is left out.
    most_ranks : int
        Most ranks to write.

    Returns
    -------
    Axes
        The same axes.
    """
    for event in events:
        axes.axvspan(
            event.start / DAY_S,
            event.end / DAY_S,
            facecolor=VERMILION,
            edgecolor=VERMILION,
            alpha=0.3,
            linewidth=0.6,
            zorder=1.5,
        )
    if ranks:
        low, high = axes.get_xlim()
        taken: list[float] = []
        for event in sorted(events, key=lambda event: event.rank)[:most_ranks]:
            place = (event.start + event.end) / 2 / DAY_S
            room = 0.014 * (high - low)
            if low <= place <= high and all(abs(place - x) > room for x in taken):
                taken.append(place)
                axes.annotate(
                    str(event.rank),
                    (place, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=6.5,
                    color=VERMILION,
                )
    return axes


def mark_above(axes: Axes, event: Event) -> Axes:
    """Mark an event by a bar above the axes, which leaves the drawing as it is.

    Parameters
    ----------
    axes : Axes
        Axes over time.
    event : Event
        The event.

    Returns
    -------
    Axes
        The same axes.
    """
    low, high = axes.get_xlim()
    start, end = max(event.start / DAY_S, low), min(event.end / DAY_S, high)
    if start <= end:
        axes.plot(
            [start, end],
            [1.015, 1.015],
            transform=axes.get_xaxis_transform(),
            color=VERMILION,
            linewidth=2.5,
            # As wide as the line, so that the shortest event is a dot.
            solid_capstyle="projecting"
            if end - start < 0.002 * (high - low)
            else "butt",
            clip_on=False,
            scalex=False,
            scaley=False,
        )
    return axes


def mark_missing(axes: Axes) -> Axes:
    """Hatch the ground of axes, so that what is missing shows as missing.

    Parameters
    ----------
    axes : Axes
        The axes.

    Returns
    -------
    Axes
        The same axes.
    """
    axes.patch.set(facecolor=_EMPTY, edgecolor=_HATCH, hatch="/////", linewidth=0)
    return axes


def draw_time_axis(
    axes: Axes, edges: NDArray[np.int64], *, most_ticks: int = 9
) -> Axes:
    """Make the horizontal axis one of UTC times.

    Parameters
    ----------
    axes : Axes
        The axes; its x values are days since 1970 UTC.
    edges : ndarray of int64
        Times [s since 1970 UTC]; the first and the last are the limits.
    most_ticks : int
        Most ticks to have, at least 6.

    Returns
    -------
    Axes
        The same axes.
    """
    from matplotlib.dates import UTC, AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FixedLocator

    start, end = int(edges[0]), int(edges[-1])
    locator: Any
    if end - start <= _TICKS_BY_DAY_FROM_S:
        step = next(s for s in _TICK_STEPS_S if (end - start) / s <= most_ticks - 1)
        ticks = np.arange(-(-start // step), end // step + 1) * step
        locator = FixedLocator((ticks / DAY_S).tolist())
    else:
        locator = AutoDateLocator(tz=UTC, minticks=most_ticks // 2, maxticks=most_ticks)  # type: ignore[no-untyped-call]
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlim(edges[0] / DAY_S, edges[-1] / DAY_S)
    axes.set_xlabel("Time (UTC)")
    return axes


def plain(text: str) -> str:
    """Take the meaning that dollar signs have for matplotlib out of a text.

    Parameters
    ----------
    text : str
        A name from outside.

    Returns
    -------
    str
        What matplotlib draws as that text.
    """
    return text.replace("$", r"\$")
