"""Pictures of daily tables: what a sensor measured, as its users expect to see it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.dayrows import DayFiles, find_days
from echoanom.errors import DataError, OptionError
from echoanom.figures import MOST_BINS, WIDTH, new_figure, styled
from echoanom.marks import Flagged, plain
from echoanom.options import DAY_S, Options, TableOptions
from echoanom.palette import ek500_colours, is_sv
from echoanom.panels import Looking, Mounting, Panel, at_depths, find_panels
from echoanom.plots import draw_bins, draw_lines
from echoanom.stamps import day_start
from echoanom.timegrid import TimeGrid, average_rows, choose_grid, thin_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colours = Literal["even", "ek500"]

MOST_PANELS = 12
"""Panels that are drawn where none is chosen; more would be too small to read."""

_MOST_STEPS = 1600
# Tables that are kept in memory; more are read twice.
_MOST_KEPT = 8
# Height of an image, where it stands alone or with others, and of lines [inch].
_IMAGE_HEIGHTS = {1: 3.4, 2: 2.4}
_IMAGE, _LINES = 1.9, 0.95
_ALONE = 2.2


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
        if self.colours not in get_args(Colours):
            raise OptionError(
                f"colours must be one of {', '.join(get_args(Colours))}, got"
                f" {self.colours!r}"
            )
        Mounting(self.looking or "up", self.depth_m)  # refuses what cannot be
        if self.period_s is not None:
            TableOptions(period_s=self.period_s)

    @property
    def mounting(self) -> Mounting | None:
        """How the instrument looks; None if the options say nothing of it."""
        if self.looking is None and self.depth_m is None:
            return None
        return Mounting(self.looking or "up", self.depth_m)


@dataclasses.dataclass(frozen=True)
class DayRows:
    """What is drawn, on the steps of a picture.

    Attributes
    ----------
    sensor : str
        The sensor.
    columns : tuple of Column
        Its columns, length C.
    rows : int
        How many rows the tables have.
    grid : TimeGrid
        The steps.
    values : ndarray of float32, shape (steps, C)
        Averages; NaN where there is no value.
    flags : mapping of str to tuple of Flagged
        What checks said of values, by column.
    """

    sensor: str
    columns: tuple[Column, ...]
    rows: int
    grid: TimeGrid
    values: NDArray[np.float32]
    flags: Mapping[str, tuple[Flagged, ...]] = dataclasses.field(default_factory=dict)

    def panels(self, options: PlotOptions) -> tuple[Panel, ...]:
        """Choose what is drawn.

        Parameters
        ----------
        options : PlotOptions
            Which quantities, and how the instrument looks.

        Returns
        -------
        tuple of Panel
            From top to bottom; at least one.

        Raises
        ------
        OptionError
            If there is no such quantity.
        """
        return choose_panels(self.columns, options)

    def not_drawn(self, options: PlotOptions) -> list[str]:
        """Name what is there and not drawn.

        Parameters
        ----------
        options : PlotOptions
            Which quantities are drawn.

        Returns
        -------
        list of str
            Quantities.

        Raises
        ------
        OptionError
            If there is no such quantity.
        """
        drawn = {panel.quantity for panel in self.panels(options)}
        there = dict.fromkeys(panel.quantity for panel in find_panels(self.columns))
        return [quantity for quantity in there if quantity not in drawn]


def plot_day(
    path: str,
    options: PlotOptions | None = None,
    *,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    sensor: str | None = None,
) -> Figure:
    """Draw a daily table, or those of a folder.

    Parameters
    ----------
    path : str
        A table ``YYYY-MM-DD.csv`` or ``.parquet``, or a sensor's folder, as path or
        URL. The columns are described by the ``columns.json`` beside the tables or
        one folder up.
    options : PlotOptions, optional
        What is drawn, and how; the defaults if left out.
    first, last : date, optional
        Days of a folder to draw, both included; all if left out.
    sensor : str, optional
        Which sensor of a folder of several.

    Returns
    -------
    Figure
        Not yet drawn to anything.

    Raises
    ------
    DataError
        If there is no such table, or nothing in it that can be drawn.
    OptionError
        If the table has no quantity of that name, or one option does not fit another.
    StorageError
        If a file cannot be read.
    MissingExtraError
        If matplotlib is not installed.
    """
    options = options or PlotOptions()
    rows = read_rows(path, options, first=first, last=last, sensor=sensor)
    return draw_day(rows, options)


def read_rows(
    path: str,
    options: PlotOptions | None = None,
    *,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    sensor: str | None = None,
) -> DayRows:
    """Read a daily table, or those of a folder, onto the steps of a picture.

    Parameters
    ----------
    path : str
        As `plot_day` takes it.
    options : PlotOptions, optional
        How it is read; the defaults if left out.
    first, last : date, optional
        Days of a folder to read, both included; all if left out.
    sensor : str, optional
        Which sensor of a folder of several.

    Returns
    -------
    DayRows
        With at least one row. A step is one row if there are few enough, else the
        mean of some, each kind in its own way.

    Raises
    ------
    DataError
        If there is no such table, or there is no row in it.
    StorageError
        If a file cannot be read.
    """
    options = options or PlotOptions()
    # By the second: how far rows are apart is found out, not assumed.
    table = TableOptions(period_s=1, time_column=options.time_column)
    files = find_days(path, table, first, last, sensor)
    kept = list(files.read(table)) if len(files.tables) <= _MOST_KEPT else None
    times = [day.times for day in kept or files.read(table)]
    if not sum(map(len, times)):
        raise DataError(f"{path}: must have a row to draw, but it has none")
    grid = _grid(files, times, options)
    parts = ((day.times, day.values) for day in kept or files.read(table))
    return DayRows(
        files.sensor,
        files.columns,
        sum(map(len, times)),
        grid,
        average_rows(files.columns, grid, parts),
        files.flags(),
    )


@styled()
def draw_day(rows: DayRows, options: PlotOptions | None = None) -> Figure:
    """Draw what was read, one panel a quantity.

    Parameters
    ----------
    rows : DayRows
        What is drawn.
    options : PlotOptions, optional
        What of it, and how; the defaults if left out.

    Returns
    -------
    Figure
        Not yet drawn to anything.

    Raises
    ------
    OptionError
        If there is no quantity of that name, or one option does not fit another.
    DataError
        If what is to be drawn has no value.
    """
    options = options or PlotOptions()
    panels = rows.panels(options)
    limits = _limits(panels, options)
    chosen = [position for panel in panels for position in panel.positions]
    if not np.isfinite(rows.values[:, chosen]).any():
        names = ", ".join(panel.quantity for panel in panels)
        raise DataError(
            f"{rows.sensor}: must have a value to draw, but every cell of {names} is"
            " missing"
        )
    heights = _heights(panels)
    figure = new_figure(WIDTH, sum(heights) + 0.3 * len(heights) + 0.55)
    figure.suptitle(
        plain(_title(rows)), x=0.01, ha="left", fontsize=10, fontweight="bold"
    )
    layout = figure.add_gridspec(
        len(panels), 2, width_ratios=[1, 0.014], height_ratios=heights
    )
    shared: Axes | None = None
    for row, (panel, within) in enumerate(zip(panels, limits, strict=True)):
        axes = figure.add_subplot(layout[row, 0], sharex=shared)
        shared = shared or axes
        bar = figure.add_subplot(layout[row, 1]) if panel.is_image else None
        draw_panel(axes, panel, rows, options, limits=within, colorbar_axes=bar)
        # The title says year and days.
        axes.xaxis.get_offset_text().set_visible(False)
        if row < len(panels) - 1:
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
    figure.align_ylabels()
    return figure


def draw_panel(
    axes: Axes,
    panel: Panel,
    rows: DayRows,
    options: PlotOptions | None = None,
    *,
    limits: tuple[float, float] | None = None,
    colorbar_axes: Axes | None = None,
) -> Axes:
    """Draw one quantity: an echogram, a profile of currents, a spectrogram, or lines.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    panel : Panel
        One of `DayRows.panels`.
    rows : DayRows
        The values.
    options : PlotOptions, optional
        How it is drawn; the defaults if left out.
    limits : tuple of float, optional
        Values of the first and last colour, or the ends of the axis of lines.
    colorbar_axes : Axes, optional
        Where the colour bar of an image goes; beside the axes if left out.

    Returns
    -------
    Axes
        The same axes.
    """
    options = options or PlotOptions()
    values = rows.values[:, list(panel.positions)]
    edges = rows.grid.edges
    titled = panel.frequency_hz is not None
    if titled:
        axes.set_title(plain(f"{panel.short_quantity} at {_hertz(panel)}"))
    if panel.is_image:
        thinned, bins = thin_bins(values, panel.coordinates, panel.kind, MOST_BINS)
        ek500 = options.colours == "ek500" and is_sv(panel)
        return draw_bins(
            axes,
            panel,
            edges,
            bins,
            thinned,
            mounting=options.mounting,
            limits=limits,
            colours=ek500_colours() if ek500 else None,
            label=panel.short_label,
            colorbar_axes=colorbar_axes,
        )
    series = dict(zip(_names(panel), values.T, strict=True))
    return draw_lines(
        axes,
        edges,
        series,
        panel.short_label if titled else panel.label,
        kind=panel.kind,
        limits=limits,
        flags=_flags(panel, rows),
        ground=True,
    )


def choose_panels(columns: Sequence[Column], options: PlotOptions) -> tuple[Panel, ...]:
    """Choose the panels of a table.

    Parameters
    ----------
    columns : sequence of Column
        Its columns.
    options : PlotOptions
        Which quantities, and how the instrument looks.

    Returns
    -------
    tuple of Panel
        Along depth where the columns say it and the options say nothing else.

    Raises
    ------
    OptionError
        If there is no quantity of a name that is asked for, or no Sv for the colours
        of Sv.
    """
    panels = find_panels(columns)
    if options.mounting is None:
        panels = tuple(at_depths(panel, columns) for panel in panels)
    there = dict.fromkeys(panel.quantity for panel in panels)
    chosen: dict[Panel, None] = {}
    for quantity in options.quantities:
        named = [p for p in panels if quantity in (p.quantity, p.short_quantity)]
        if not named:
            raise OptionError(
                f"quantity must be one of {', '.join(there)}, got {quantity!r}"
            )
        chosen.update(dict.fromkeys(named))
    drawn = tuple(chosen) or panels[:MOST_PANELS]
    if options.colours == "ek500" and not any(map(is_sv, drawn)):
        raise OptionError(
            "the colours ek500 are for volume backscattering strength in dB re 1 m⁻¹,"
            f" got {', '.join(dict.fromkeys(panel.label for panel in drawn))}"
        )
    return drawn


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


def _limits(
    panels: Sequence[Panel], options: PlotOptions
) -> list[tuple[float, float] | None]:
    """Give each panel its limits; refuse those of what is not drawn."""
    names = {name for p in panels for name in (p.quantity, p.short_quantity)}
    for quantity in options.limits:
        if quantity and quantity not in names:
            drawn = dict.fromkeys(panel.quantity for panel in panels)
            raise OptionError(
                f"limits must be of a quantity that is drawn ({', '.join(drawn)}), got"
                f" {quantity!r}"
            )
    everywhere = options.limits.get("")
    if everywhere and len({panel.unit for panel in panels}) > 1:
        drawn = dict.fromkeys(panel.label for panel in panels)
        raise OptionError(
            "limits for all must be limits of one unit, but what is drawn is"
            f" {', '.join(drawn)}; name the quantity they are of"
        )
    return [
        options.limits.get(panel.quantity)
        or options.limits.get(panel.short_quantity)
        or everywhere
        for panel in panels
    ]


def _grid(
    files: DayFiles, times: Sequence[NDArray[np.int64]], options: PlotOptions
) -> TimeGrid:
    known = np.concatenate(times)
    period = options.period_s or _usual_step(known)
    start, end = int(known[0]), int(known[-1]) + period
    if options.whole_days:
        first, last = files.tables[0][0], files.tables[-1][0]
        # Whole steps before the first row, so that steps and rows still agree.
        start -= -(-(start - day_start(first)) // period) * period
        end = max(end, day_start(last) + DAY_S)
    return choose_grid(start, end, period, _MOST_STEPS)


def _usual_step(times: NDArray[np.int64]) -> int:
    """Return the time from one row to the next that is the most frequent [s]."""
    steps = np.diff(times)
    if not len(steps):
        return 60
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


def _heights(panels: Iterable[Panel]) -> list[float]:
    images = [panel.is_image for panel in panels]
    if images == [False]:
        return [_ALONE]
    height = _IMAGE_HEIGHTS.get(sum(images), _IMAGE)
    return [height if image else _LINES for image in images]


def _title(rows: DayRows) -> str:
    edges = rows.grid.edges
    first, last = (
        datetime.datetime.fromtimestamp(int(time), datetime.UTC).date().isoformat()
        for time in (edges[0], edges[-1] - 1)
    )
    return f"{rows.sensor}  {first}" + (f" to {last}" if last != first else "")


def _hertz(panel: Panel) -> str:
    frequency = panel.frequency_hz or 0.0
    return f"{frequency / 1000:g} kHz" if frequency >= 1000 else f"{frequency:g} Hz"


def _names(panel: Panel) -> list[str]:
    if panel.along == "nothing":
        return [panel.quantity]
    words = {"range": "{:g} m", "depth": "{:g} m deep", "frequency": "{:g} Hz"}
    return [words[panel.along].format(one) for one in panel.coordinates]


def _flags(panel: Panel, rows: DayRows) -> tuple[Flagged, ...]:
    """Gather what checks said of the columns of a panel."""
    gathered = []
    for failed in (False, True):
        parts = [
            one
            for position in panel.positions
            for one in rows.flags.get(rows.columns[position].name, ())
            if one.failed == failed
        ]
        if parts:
            tests: dict[str, None] = {}
            for one in parts:
                tests.update(dict.fromkeys(one.tests))
            gathered.append(
                Flagged(
                    failed,
                    np.concatenate([one.times for one in parts]),
                    np.concatenate([one.values for one in parts]),
                    tuple(tests),
                )
            )
    return tuple(gathered)
