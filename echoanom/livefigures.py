"""Figures that a reader moves through, zooms and points at.

Made with Bokeh, and filled by the page's program (``templates/report.js``), which holds
the numbers and knows what is shown. A figure's name tells the program what it is.
Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.livemodels import (
    INK,
    OUTLINE,
    bokeh_models,
    fixed_ticks,
    new_figure,
    palette,
)
from echoanom.palette import BLUE, LINES, VERMILION
from echoanom.plots import is_wide
from echoanom.tracks import ImageTrack, LineTrack, Track

_GROUND, _HATCH = "#f1f1f1", "#c9c9c9"
_LEFT, _RIGHT = 82, 92
_SCORE_HEIGHT, _IMAGE_HEIGHT, _LINE_HEIGHT = 148, 236, 108
_DETAIL_HEIGHT = 250
DETAIL_ROWS = 2
"""Panels of an event that are shown beside what the model makes of them."""

DETAIL_COLUMNS = ("original", "reproduced", "difference")


def timeline(
    tracks: Sequence[Track | None],
    score: NDArray[np.float64],
    threshold: float | None,
    start_s: int,
    end_s: int,
) -> tuple[Any, Any]:
    """Make the score and, below it, the panels, all over one time.

    Parameters
    ----------
    tracks : sequence of ImageTrack, LineTrack or None
        What is drawn; nothing for None.
    score : ndarray of float64, shape (N,)
        All scores; NaN counts nothing.
    threshold : float or None
        Where events begin.
    start_s, end_s : int
        The whole time [s since 1970 UTC].

    Returns
    -------
    score : Figure
        The score.
    panels : Column
        The panels.
    """
    from bokeh.layouts import column

    models = bokeh_models()

    time = models.Range1d(
        start_s * 1000,
        end_s * 1000,
        bounds=(start_s * 1000, end_s * 1000),
        min_interval=60_000,
        name="time",
    )
    pointer = models.Span(
        dimension="height", line_color=INK, line_width=1, line_alpha=0.6
    )
    top = _score_figure(score, threshold, time)
    panels = [
        _panel_figure(track, at, time)
        for at, track in enumerate(tracks)
        if track is not None
    ]
    for one in (top, *panels):
        _add_tools(one, pointer)
    return top, column(*panels, sizing_mode="stretch_width", name="panels", spacing=2)


def details() -> Any:
    """Make the figures of one event: original, reconstruction, and difference.

    Returns
    -------
    Column
        Two rows of three figures, empty until an event is chosen.
    """
    from bokeh.layouts import column, row

    models = bokeh_models()

    time = models.Range1d(0, 1, name="detail:time")
    rows = []
    for place in range(DETAIL_ROWS):
        across = models.Range1d(0, 1, name=f"detail:{place}:across")
        figures = [_detail_figure(place, kind, time, across) for kind in DETAIL_COLUMNS]
        rows.append(row(*figures, sizing_mode="stretch_width", spacing=4))
    return column(*rows, sizing_mode="stretch_width")


def _over_time(height: int, time: Any, **how: Any) -> Any:
    models = bokeh_models()

    one = new_figure(
        height=height,
        x_axis_type="datetime",
        x_range=time,
        min_border_left=_LEFT,
        min_border_right=_RIGHT,
        min_border_top=6,
        min_border_bottom=6,
        **how,
    )
    # A hatched background of the figure itself fails in Bokeh 3.9's program.
    one.add_layout(
        models.BoxAnnotation(
            level="image",
            fill_color=_GROUND,
            fill_alpha=1.0,
            line_color=None,
            hatch_pattern="right_diagonal_line",
            hatch_color=_HATCH,
            hatch_scale=8,
            hatch_weight=0.6,
        )
    )
    one.title.offset = 2
    return one


def _add_tools(one: Any, pointer: Any) -> None:
    models = bokeh_models()

    box, wheel = (
        models.BoxZoomTool(dimensions="width"),
        models.WheelZoomTool(dimensions="width"),
    )
    wheel.modifiers = {"ctrl": True}
    one.add_tools(
        box, wheel, models.CrosshairTool(dimensions="height", overlay=pointer)
    )
    one.toolbar.active_drag = box


def _mark_events(one: Any, at: str, *, shaded: bool) -> None:
    # Shading would change an image's colours, and with them what they say.
    models = bokeh_models()

    source = models.ColumnDataSource({"x0": [], "x1": []}, name=f"{at}:events")
    one.vstrip(
        x0="x0",
        x1="x1",
        source=source,
        fill_color=VERMILION if shaded else None,
        fill_alpha=0.3,
        line_color=VERMILION,
        line_width=1,
        line_alpha=0.9,
    )
    chosen = models.ColumnDataSource({"x0": [], "x1": []}, name=f"{at}:chosen")
    one.vstrip(
        x0="x0",
        x1="x1",
        source=chosen,
        fill_color=None,
        line_color=INK,
        line_width=2,
    )


def _mark_known(one: Any, at: str) -> None:
    models = bokeh_models()

    source = models.ColumnDataSource({"x0": [], "x1": []}, name=f"{at}:known")
    one.vstrip(x0="x0", x1="x1", source=source, fill_color="white", line_color=None)


def _score_figure(
    score: NDArray[np.float64], threshold: float | None, time: Any
) -> Any:
    models = bokeh_models()

    known = score[np.isfinite(score)]
    wide = bool(len(known)) and is_wide(known)
    top = max(float(known.max(initial=0.0)), threshold or 0.0) or 1.0
    bottom = float(known.min()) / 1.3 if wide else min(0.0, known.min(initial=0.0))
    one = _over_time(
        _SCORE_HEIGHT,
        time,
        y_axis_type="log" if wide else "linear",
        y_range=(float(bottom), top * (2.0 if wide else 1.18)),
        y_axis_label="Score",
        name="score",
    )
    _mark_known(one, "score")
    _mark_events(one, "score", shaded=True)
    source = models.ColumnDataSource({"x": [], "y": []}, name="score:line")
    one.step(
        "x", "y", source=source, mode="after", line_color="#333333", line_width=1.1
    )
    if threshold is not None:
        one.add_layout(
            models.Span(
                location=threshold,
                dimension="width",
                line_color=BLUE,
                line_dash="dashed",
            )
        )
        one.add_layout(_fixed_label(threshold), "right")
    ranks = models.ColumnDataSource({"x": [], "y": [], "text": []}, name="score:ranks")
    one.add_layout(
        models.LabelSet(
            x="x",
            y="y",
            text="text",
            source=ranks,
            text_align="center",
            text_baseline="top",
            text_font_size="11px",
            text_color=VERMILION,
        )
    )
    return one


def _fixed_label(threshold: float) -> Any:
    """Write the threshold beside the axes, where it hides nothing."""
    models = bokeh_models()

    return models.LinearAxis(
        ticker=fixed_ticks([threshold]),
        major_label_overrides={threshold: f"threshold\n{threshold:.4g}"},
        major_label_text_color=BLUE,
        major_label_text_font_size="11px",
        axis_line_color=None,
        major_tick_line_color=BLUE,
        minor_tick_line_color=None,
    )


def _panel_figure(track: Track, at: int, time: Any) -> Any:
    name = f"panel:{at}"
    if isinstance(track, ImageTrack):
        return _image_figure(track, name, time)
    return _line_figure(track, name, time)


def _image_figure(track: ImageTrack, name: str, time: Any) -> Any:
    models = bokeh_models()

    ends = (track.high, track.low) if track.downward else (track.low, track.high)
    one = _over_time(
        _IMAGE_HEIGHT,
        time,
        y_axis_type="log" if track.logarithmic else "linear",
        y_range=models.Range1d(*ends),
        y_axis_label=track.label,
        title=f"{track.panel.sensor}: {track.panel.label}",
        name=name,
    )
    _add_image(one, name)
    _mark_events(one, name, shaded=False)
    mapper = models.LinearColorMapper(
        palette=palette(track.colours), low=track.limits[0], high=track.limits[1]
    )
    bar = models.ColorBar(
        color_mapper=mapper,
        width=11,
        padding=4,
        margin=0,
        major_label_text_font_size="11px",
        border_line_color=None,
        background_fill_alpha=0,
        major_tick_line_color=None,
        bar_line_color=OUTLINE,
    )
    if track.panel.kind == "direction":
        bar.ticker = fixed_ticks([0, 90, 180, 270, 360])
    one.add_layout(bar, "right")
    one.xaxis.visible = False
    return one


def _add_image(one: Any, name: str) -> None:
    models = bokeh_models()

    empty = np.zeros((1, 1), dtype=np.uint32)
    source = models.ColumnDataSource(
        {"image": [empty], "x": [0], "y": [1], "dw": [1], "dh": [1]},
        name=f"{name}:image",
    )
    one.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=source)


def _line_figure(track: LineTrack, name: str, time: Any) -> Any:
    one = _over_time(
        _LINE_HEIGHT,
        time,
        y_range=(track.low, track.high),
        title=f"{track.panel.sensor}: {track.panel.label}",
        name=name,
    )
    _mark_known(one, name)
    _mark_events(one, name, shaded=True)
    _add_lines(one, name, track.names, dots=track.panel.kind == "direction")
    one.yaxis.ticker.desired_num_ticks = 3
    if track.panel.kind == "direction":
        one.yaxis.ticker = fixed_ticks([0, 90, 180, 270, 360])
    one.xaxis.visible = False
    return one


def _add_lines(one: Any, name: str, names: Sequence[str], *, dots: bool) -> None:
    """Draw lines that break where values are missing, with dots for lone values."""
    models = bokeh_models()

    fields = [f"{kind}{at}" for kind in "yd" for at in range(len(names))]
    source = models.ColumnDataSource(
        {"x": [], **{field: [] for field in fields}}, name=f"{name}:lines"
    )
    items = []
    for at, label in enumerate(names):
        colour = LINES[at % len(LINES)]
        line = one.line("x", f"y{at}", source=source, color=colour, line_width=1.1)
        line.visible = not dots
        lone = one.scatter("x", f"d{at}", source=source, color=colour, size=2.5)
        items.append((label, [lone, line]))
    if len(names) > 1:
        legend = models.Legend(
            items=items,
            orientation="horizontal",
            location="top_left",
            padding=2,
            margin=2,
            label_text_font_size="10px",
            border_line_color=None,
            background_fill_alpha=0.7,
        )
        one.add_layout(legend)


def _detail_figure(place: int, kind: str, time: Any, across: Any) -> Any:
    models = bokeh_models()

    name = f"detail:{place}:{kind}"
    one = _over_time(
        _DETAIL_HEIGHT,
        time,
        y_range=across,
        title=" ",
        name=name,
    )
    one.min_border_left, one.min_border_right = 58, 64
    if kind == "difference":
        # Lines have an axis of their own for differences.
        one.y_range = models.Range1d(0, 1, name=f"{name}:across")
    _mark_known(one, name)
    _add_image(one, name)
    _add_lines(one, name, ("", "", ""), dots=False)
    one.legend.visible = False
    _mark_events(one, name, shaded=False)
    mapper = models.LinearColorMapper(
        palette=["#000000"], low=0, high=1, name=f"{name}:map"
    )
    one.add_layout(
        models.ColorBar(
            color_mapper=mapper,
            width=10,
            padding=4,
            margin=0,
            name=f"{name}:bar",
            major_label_text_font_size="11px",
            major_tick_line_color=None,
            bar_line_color=OUTLINE,
            background_fill_alpha=0,
        ),
        "right",
    )
    return one
