"""What of a daily table is drawn, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from echoanom.checking import Options, require_choice
from echoanom.errors import OptionError
from echoanom.options import TableOptions
from echoanom.panels import Looking, Mounting

Colours = Literal["even", "ek500"]

MOST_PANELS = 12
"""Panels that are drawn where none is chosen; more would be too small to read."""


@dataclasses.dataclass(frozen=True)
class PlotOptions(Options):
    """What of a daily table is drawn, and how.

    Attributes
    ----------
    quantities : tuple of str
        Quantities to draw, in this order; all if empty, at most `MOST_PANELS` of them.
        ``Sv`` is that of every frequency, ``Sv_38kHz`` that of one.
    limits : mapping of str to tuple of float
        Values of the first and last colour, or the ends of the axis of lines, by
        quantity. The quantity ``""`` stands for all that is drawn, which must then
        have one unit.
    colours : {'even', 'ek500'}
        Colours of Sv: an even map, or the twelve of Simrad's EK500.
    looking : {'up', 'down'}, optional
        Where an instrument's range increases to. Left out: bins are at the depths
        that the columns say; without them, upwards.
    depth_m : float, optional
        Depth of the instrument [m], to draw its range as depth.
    period_s : int, optional
        Time from one row to the next [s]. Left out: the most frequent one.
    whole_days : bool
        Whether the time axis is of whole days; it is of the rows if not.
    time_column : str
        Name of the time stamp column. Empty: the usual names are looked for.
    """

    quantities: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    colours: Colours = "even"
    looking: Looking | None = None
    depth_m: float | None = None
    period_s: int | None = None
    whole_days: bool = False
    time_column: str = ""

    def __post_init__(self) -> None:
        for quantity, limits in self.limits.items():
            if not _are_limits(limits):
                of = f" of {quantity}" if quantity else ""
                raise OptionError(
                    f"limits{of} must be two numbers, the lower first, got"
                    f" {_in_words(limits)}"
                )
        require_choice(self, "colours", Colours)
        Mounting(self.looking or "up", self.depth_m)  # refuses what cannot be
        if self.period_s is not None:
            TableOptions(period_s=self.period_s)

    @property
    def mounting(self) -> Mounting | None:
        """How the instrument looks; None if the options say nothing of it."""
        if self.looking is None and self.depth_m is None:
            return None
        return Mounting(self.looking or "up", self.depth_m)


def _are_limits(limits: object) -> bool:
    return (
        isinstance(limits, tuple | list)
        and len(limits) == 2
        and all(isinstance(one, int | float) and np.isfinite(one) for one in limits)
        and bool(limits[0] < limits[1])
    )


def _in_words(limits: object) -> str:
    if isinstance(limits, tuple | list):
        return " and ".join(map(str, limits))
    return repr(limits)
