"""Pictures of daily tables: what a sensor measured, as its users expect to see it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from echoanom.columns import Column
from echoanom.dayrows import DayRows, read_rows
from echoanom.errors import DataError, OptionError
from echoanom.figures import MOST_BINS, WIDTH, new_figure, styled
from echoanom.marks import Flagged, plain
from echoanom.palette import ek500_colours, is_sv
from echoanom.panels import Panel, at_depths, find_panels
from echoanom.plotoptions import MOST_PANELS, PlotOptions
from echoanom.plots import draw_bins, draw_lines
from echoanom.timegrid import thin_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Height of an image, where it stands alone or with others, and of lines [inch].
_IMAGE_HEIGHTS = {1: 3.4, 2: 2.4}
_IMAGE, _LINES = 1.9, 0.95
_ALONE = 2.2
_SECONDS_BELOW = 300


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
    panels = choose_panels(rows.columns, options)
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
        last = row == len(panels) - 1
        # The title says year and days, but not the minute that ticks a few seconds
        # apart are of.
        edges = rows.grid.edges
        said = last and edges[-1] - edges[0] < _SECONDS_BELOW
        axes.xaxis.get_offset_text().set_visible(bool(said))
        if not last:
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
        One of `choose_panels`.
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


def not_drawn(columns: Sequence[Column], options: PlotOptions) -> list[str]:
    """Name what a table has and the picture has not.

    Parameters
    ----------
    columns : sequence of Column
        The columns of the table.
    options : PlotOptions
        Which quantities are drawn.

    Returns
    -------
    list of str
        Quantities.

    Raises
    ------
    OptionError
        As `choose_panels` does.
    """
    drawn = {panel.quantity for panel in choose_panels(columns, options)}
    there = dict.fromkeys(panel.quantity for panel in find_panels(columns))
    return [quantity for quantity in there if quantity not in drawn]


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
