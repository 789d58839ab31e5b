"""Figures that a reader moves through, zooms and points at.

Made with Bokeh, and filled by the page's program (``templates/report.js``), which holds
the numbers and knows what is shown. A figure's name tells the program what it is.
Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import MissingExtraError
from echoanom.palette import BLUE, LINES, ORANGE, VERMILION
from echoanom.plots import is_wide, score_bins
from echoanom.tracks import ImageTrack, LineTrack, Track

_GROUND, _HATCH, _INK, _SOFT = "#f1f1f1", "#c9c9c9", "#1d1d1f", "#5f6368"
_LEFT, _RIGHT = 82, 92
_SCORE_HEIGHT, _IMAGE_HEIGHT, _LINE_HEIGHT = 148, 236, 108
_DETAIL_HEIGHT = 250
DETAIL_ROWS = 2
"""Panels of an event that are shown beside what the model makes of them."""

DETAIL_COLUMNS = ("original", "reproduced", "difference")


def scripts() -> str:
    """Return Bokeh's own program.

    Returns
    -------
    str
        JavaScript, to be put into the page.

    Raises
    ------
    MissingExtraError
        If Bokeh is not installed.
    """
    try:
        from bokeh.resources import Resources
    except ImportError:
        raise MissingExtraError("the report", "report") from None
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def document(roots: dict[str, Any]) -> dict[str, Any]:
    """Turn figures into what Bokeh's program draws.

    Parameters
    ----------
    roots : dict of str to Model
        By the id of the element each is drawn in.

    Returns
    -------
    dict
        ``docs`` and ``items``, as ``Bokeh.embed.embed_items`` takes them.
    """
    from bokeh.document import Document

    made = Document()
    for root in roots.values():
        made.add_root(root)
    return {
        "docs": {"report": made.to_json(deferred=False)},
        "items": [
            {
                "docid": "report",
                "roots": {root.id: element for element, root in roots.items()},
                "root_ids": [root.id for root in roots.values()],
            }
        ],
    }


def palette(name: str) -> list[str]:
    """Return the colours of a colour map.

    Parameters
    ----------
    name : str
        As matplotlib knows it.

    Returns
    -------
    list of str
        256 colours, ``#rrggbb``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex
    except ImportError:
        raise MissingExtraError("the report", "report") from None
    return [to_hex(colormaps[name](place)) for place in range(256)]


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

    models = _models()

    time = models.Range1d(
        start_s * 1000,
        end_s * 1000,
        bounds=(start_s * 1000, end_s * 1000),
        min_interval=60_000,
        name="time",
    )
    pointer = models.Span(
        dimension="height", line_color=_INK, line_width=1, line_alpha=0.6
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

    models = _models()

    time = models.Range1d(0, 1, name="detail:time")
    rows = []
    for place in range(DETAIL_ROWS):
        across = models.Range1d(0, 1, name=f"detail:{place}:across")
        figures = [_detail_figure(place, kind, time, across) for kind in DETAIL_COLUMNS]
        rows.append(row(*figures, sizing_mode="stretch_width", spacing=4))
    return column(*rows, sizing_mode="stretch_width")


def histogram(score: NDArray[np.float64], threshold: float | None) -> Any:
    """Draw how often scores occur.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        The scores; NaN counts nothing.
    threshold : float or None
        Where events begin.

    Returns
    -------
    Figure
        With the share of rows above the threshold in its title.
    """
    models = _models()

    known = score[np.isfinite(score)]
    edges, wide = score_bins(known)
    counts, _ = np.histogram(known, edges)
    one = _figure(
        height=270,
        x_axis_type="log" if wide else "linear",
        y_axis_type="log",
        y_range=(0.5, 2.0 * max(1, int(counts.max(initial=1)))),
        x_axis_label="Score",
        y_axis_label="Rows",
        name="histogram",
    )
    one.quad(
        left=edges[:-1].tolist(),
        right=edges[1:].tolist(),
        top=np.where(counts > 0, counts, np.nan).tolist(),
        bottom=0.5,
        fill_color="#9a9a9a",
        line_color=None,
    )
    shown = [("Score", "@left{0.[0000]} to @right{0.[0000]}"), ("Rows", "@top{0,0}")]
    one.add_tools(models.HoverTool(tooltips=shown))
    if threshold is not None:
        above = float((known > threshold).mean()) if len(known) else 0.0
        one.title = f"Threshold {threshold:.4g}: {100 * above:.2f} % of rows above"
        one.add_layout(
            models.Span(
                location=threshold,
                dimension="height",
                line_color=BLUE,
                line_dash="dashed",
            )
        )
    return one


def learning_curve(
    epochs: Sequence[int], loss: Sequence[float], validation_loss: Sequence[float]
) -> Any:
    """Draw the losses over the epochs.

    Parameters
    ----------
    epochs : sequence of int
        Numbers of the epochs.
    loss, validation_loss : sequence of float
        For each epoch.

    Returns
    -------
    Figure
        With both losses.
    """
    models = _models()

    losses = np.array([*loss, *validation_loss])
    positive = bool(len(losses) and (losses > 0).all())
    one = _figure(
        height=270,
        y_axis_type="log" if positive and is_wide(losses, 3.0) else "linear",
        x_axis_label="Epoch",
        y_axis_label="Mean squared error (normalised)",
        name="training",
    )
    for values, name, colour, dash, marker in (
        (loss, "training days", BLUE, "solid", "circle"),
        (validation_loss, "held-back days", ORANGE, "dashed", "square"),
    ):
        one.line(epochs, values, color=colour, line_dash=dash, legend_label=name)
        one.scatter(
            epochs, values, color=colour, marker=marker, size=6, legend_label=name
        )
    one.add_tools(
        models.HoverTool(tooltips=[("Epoch", "@x"), ("Loss", "@y{0.000000}")])
    )
    one.xaxis.ticker.min_interval = 1
    one.legend.border_line_color = None
    return one


def _models() -> Any:
    """Return Bokeh's models, whose types say less than they are."""
    return importlib.import_module("bokeh.models")


def _figure(**how: Any) -> Any:
    one = importlib.import_module("bokeh.plotting").figure(
        **{
            "sizing_mode": "stretch_width",
            "tools": "",
            "toolbar_location": None,
            "output_backend": "canvas",
            **how,
        }
    )
    one.outline_line_color = "#9a9da1"
    one.grid.visible = False
    one.title.text_font_size = "12px"
    one.title.text_color = _INK
    for axis in one.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
        axis.axis_line_color = None
        axis.major_tick_in = 0
    return one


def _over_time(height: int, time: Any, **how: Any) -> Any:
    models = _models()

    one = _figure(
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
    models = _models()

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
    models = _models()

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
        line_color=_INK,
        line_width=2,
    )


def _mark_known(one: Any, at: str) -> None:
    models = _models()

    source = models.ColumnDataSource({"x0": [], "x1": []}, name=f"{at}:known")
    one.vstrip(x0="x0", x1="x1", source=source, fill_color="white", line_color=None)


def _score_figure(
    score: NDArray[np.float64], threshold: float | None, time: Any
) -> Any:
    models = _models()

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
    models = _models()

    return models.LinearAxis(
        ticker=_fixed([threshold]),
        major_label_overrides={threshold: f"threshold\n{threshold:.4g}"},
        major_label_text_color=BLUE,
        major_label_text_font_size="11px",
        axis_line_color=None,
        major_tick_line_color=BLUE,
        minor_tick_line_color=None,
    )


def _fixed(ticks: list[float]) -> Any:
    models = _models()

    return models.FixedTicker(ticks=ticks)


def _panel_figure(track: Track, at: int, time: Any) -> Any:
    name = f"panel:{at}"
    if isinstance(track, ImageTrack):
        return _image_figure(track, name, time)
    return _line_figure(track, name, time)


def _image_figure(track: ImageTrack, name: str, time: Any) -> Any:
    models = _models()

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
        bar_line_color="#9a9da1",
        title=track.panel.shown_unit or None,
        title_text_font_size="10px",
        title_text_font_style="normal",
    )
    if track.panel.kind == "direction":
        bar.ticker = _fixed([0, 90, 180, 270, 360])
    one.add_layout(bar, "right")
    one.xaxis.visible = False
    return one


def _add_image(one: Any, name: str) -> None:
    models = _models()

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
        one.yaxis.ticker = _fixed([0, 90, 180, 270, 360])
    one.xaxis.visible = False
    return one


def _add_lines(one: Any, name: str, names: Sequence[str], *, dots: bool) -> None:
    """Draw lines that break where values are missing, with dots for lone values."""
    models = _models()

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
    models = _models()

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
            bar_line_color="#9a9da1",
            background_fill_alpha=0,
        ),
        "right",
    )
    return one
