"""Bokeh for a page: its program, its models, and figures in our own style.

Bokeh is imported when it is first used, and without its types, which say less than its
models are.
"""

from __future__ import annotations

import importlib
from typing import Any

from echoanom.errors import MissingExtraError

INK = "#1d1d1f"
"""Colour of text."""

OUTLINE = "#9a9da1"
"""Colour of what bounds drawings."""


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
    return [to_hex(colormaps[name](place / 255)) for place in range(256)]


def bokeh_models() -> Any:
    """Return Bokeh's models.

    Returns
    -------
    module
        ``bokeh.models``.
    """
    return importlib.import_module("bokeh.models")


def new_figure(**how: Any) -> Any:
    """Make a figure in our style, without a toolbar.

    Parameters
    ----------
    **how : object
        As Bokeh's ``figure`` takes it.

    Returns
    -------
    Figure
        An empty one, as wide as there is room.
    """
    one = importlib.import_module("bokeh.plotting").figure(
        **{
            "sizing_mode": "stretch_width",
            "tools": "",
            "toolbar_location": None,
            "output_backend": "canvas",
            **how,
        }
    )
    one.outline_line_color = OUTLINE
    one.grid.visible = False
    one.title.text_font_size = "12px"
    one.title.text_color = INK
    for axis in one.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
        axis.axis_line_color = None
        axis.major_tick_in = 0
    return one


def fixed_ticks(ticks: list[float]) -> Any:
    """Put ticks where they are wanted.

    Parameters
    ----------
    ticks : list of float
        Their places.

    Returns
    -------
    FixedTicker
        For an axis or a colour bar.
    """
    models = bokeh_models()

    return models.FixedTicker(ticks=ticks)
