"""Which columns are drawn together, and along which axis.

A panel is one quantity of one sensor: Sv over range, spectral level over frequency,
or a temperature alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal, get_args

from echoanom.columns import Column, Kind
from echoanom.errors import OptionError

Along = Literal["range", "depth", "frequency", "nothing"]
Looking = Literal["up", "down"]

LEAST_BINS = 4
"""Panels with fewer columns are drawn as lines, not as an image."""

_COORDINATE = re.compile(r"_?\d+(?:\.\d+)?\s?(?:m|k?hz)$", re.IGNORECASE)
_FREQUENCY = re.compile(r"_?\d+(?:\.\d+)?k?hz$", re.IGNORECASE)
_SHORT_UNITS = {"degree": ("degrees", "deg")}
_UNITS = {"degC": "°C", "degree": "°", "count": "counts", "1e-3": "10⁻³"}


@dataclasses.dataclass(frozen=True)
class Mounting:
    """How an instrument that measures along a range is mounted.

    Attributes
    ----------
    looking : {'up', 'down'}
        Where its range increases to.
    depth_m : float, optional
        Depth of the instrument below the surface [m]. Without it a range is not a
        depth, and is not drawn as one.
    """

    looking: Looking = "up"
    depth_m: float | None = None

    def __post_init__(self) -> None:
        if self.looking not in get_args(Looking):
            raise OptionError(f"looking must be one of up, down, got {self.looking!r}")
        if self.depth_m is not None and not self.depth_m >= 0:
            raise OptionError(
                f"an instrument's depth must be at least 0 m, got {self.depth_m!r}"
            )


@dataclasses.dataclass(frozen=True)
class Panel:
    """One quantity of one sensor.

    Attributes
    ----------
    sensor : str
        The sensor.
    quantity : str
        The columns' common name, e.g. ``Sv``.
    unit : str
        Their unit, empty if unknown.
    kind : {'scalar', 'level', 'direction'}
        Their kind.
    along : {'range', 'depth', 'frequency', 'nothing'}
        What tells the columns apart.
    positions : tuple of int
        Their positions in the table, by ascending coordinate.
    coordinates : tuple of float
        Range or depth [m], or frequency [Hz] of each; empty along nothing.
    frequency_hz : float, optional
        The acoustic frequency that columns along range or depth share [Hz].
    """

    sensor: str
    quantity: str
    unit: str
    kind: Kind
    along: Along
    positions: tuple[int, ...]
    coordinates: tuple[float, ...] = ()
    frequency_hz: float | None = None

    @property
    def is_image(self) -> bool:
        """Whether it has enough columns to be drawn as an image."""
        return len(self.coordinates) >= LEAST_BINS

    @property
    def short_quantity(self) -> str:
        """The quantity without the frequency that its name may end in."""
        if self.frequency_hz is None:
            return self.quantity
        return _FREQUENCY.sub("", self.quantity) or self.quantity

    @property
    def label(self) -> str:
        """The quantity with its unit, for axes and colour bars."""
        return self._with_unit(self.quantity)

    @property
    def short_label(self) -> str:
        """The short quantity with its unit, where a title says the frequency."""
        return self._with_unit(self.short_quantity)

    @property
    def words(self) -> str:
        """The short quantity as words, without a unit."""
        return self._words(self.short_quantity)

    def _with_unit(self, name: str) -> str:
        name = self._words(name)
        return f"{name} ({self.shown_unit})" if self.unit else name

    def _words(self, name: str) -> str:
        # Names often end in their unit: temperature_degC, sound_speed_m_s.
        unit = re.sub(r"\W+", "_", self.unit).lower()
        for ending in (unit, *_SHORT_UNITS.get(unit, ())) if unit else ():
            if name.lower().endswith("_" + ending):
                name = name[: -len(ending) - 1]
                break
        return name.replace("_", " ")

    @property
    def shown_unit(self) -> str:
        """The unit as it is written for people."""
        return _UNITS.get(self.unit, self.unit)

    @property
    def difference_label(self) -> str:
        """What a difference of two values is called, with its unit."""
        # A ratio of two levels has no reference any more.
        unit = "dB" if self.kind == "level" else self.shown_unit
        return f"Difference ({unit})" if unit else "Difference"


def find_panels(columns: Sequence[Column]) -> tuple[Panel, ...]:
    """Put columns together that are drawn together.

    Parameters
    ----------
    columns : sequence of Column
        The columns of a table.

    Returns
    -------
    tuple of Panel
        Every column is in one of them; by sensor, in the order of first appearance.
    """
    groups: dict[tuple[str, str, str, str, Along, float | None], list[int]] = {}
    for position, column in enumerate(columns):
        along, quantity = _along(column), _COORDINATE.sub("", column.name)
        if along == "nothing" or not quantity:
            quantity = column.name
        frequency = column.frequency_hz if along == "range" else None
        key = column.sensor, quantity, column.unit, column.kind, along, frequency
        groups.setdefault(key, []).append(position)
    panels = [_panel(columns, positions, key[1]) for key, positions in groups.items()]
    sensors = list(dict.fromkeys(column.sensor for column in columns))
    return tuple(sorted(panels, key=lambda panel: sensors.index(panel.sensor)))


def at_depths(panel: Panel, columns: Sequence[Column]) -> Panel:
    """Put a panel along depth, where its columns say their depths.

    Parameters
    ----------
    panel : Panel
        A panel of these columns.
    columns : sequence of Column
        The columns of the table.

    Returns
    -------
    Panel
        Along depth, by ascending depth; the panel as it is if it is not along range,
        or if a depth is unknown or the same as another.
    """
    depths = [columns[position].depth_m for position in panel.positions]
    known = [depth for depth in depths if depth is not None]
    if panel.along != "range" or len({*known}) < len(depths):
        return panel
    ordered = sorted(zip(known, panel.positions, strict=True))
    return dataclasses.replace(
        panel,
        along="depth",
        positions=tuple(position for _, position in ordered),
        coordinates=tuple(depth for depth, _ in ordered),
    )


def _along(column: Column) -> Along:
    if column.range_m is not None:
        return "range"
    return "nothing" if column.frequency_hz is None else "frequency"


def _coordinate(column: Column) -> float:
    value = column.frequency_hz if column.range_m is None else column.range_m
    return 0.0 if value is None else value


def _panel(columns: Sequence[Column], positions: list[int], quantity: str) -> Panel:
    first = columns[positions[0]]
    along = _along(first)
    ordered = sorted(positions, key=lambda position: _coordinate(columns[position]))
    return Panel(
        sensor=first.sensor,
        quantity=quantity,
        unit=first.unit,
        kind=first.kind,
        along=along,
        positions=tuple(ordered),
        coordinates=(
            ()
            if along == "nothing"
            else tuple(_coordinate(columns[position]) for position in ordered)
        ),
        frequency_hz=first.frequency_hz if along == "range" else None,
    )
