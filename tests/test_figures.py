from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from echoanom.columns import Column, column_from_name
from echoanom.events import Event
from echoanom.figures import (
    as_png,
    comparison,
    learning_curve,
    overview,
    score_histogram,
)
from echoanom.normalization import Normalization
from echoanom.palette import SV_LIMITS
from echoanom.panels import Mounting, find_panels
from echoanom.reconstruction import Comparison
from echoanom.timegrid import TimeGrid

pytestmark = pytest.mark.slow

DAY = 1_422_748_800
NAMES = (*(f"Sv_{n}m" for n in range(1, 7)), "temp", "current_$x_{$", "u_1m", "u_2m")
COLUMNS = tuple(column_from_name(name, "mast$") for name in NAMES)
PANELS = find_panels(COLUMNS)
GRID = TimeGrid(DAY, 600, 40)
EVENT = Event(1, DAY + 6000, DAY + 9000, DAY + 6600, 1.0, 3.0)


def values(rows: int = 40) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.uniform(-90, -50, (rows, len(COLUMNS))).astype(np.float32)


def score() -> np.ndarray[Any, Any]:
    return np.linspace(0.5, 3.0, 40)


def compared() -> Comparison:
    ones = np.ones(len(COLUMNS), dtype=np.float32)
    return Comparison(
        edges=GRID.edges,
        original=values(),
        observed=np.ones((40, len(COLUMNS)), dtype=np.bool_),
        reproduced=values() + 1,
        normalization=Normalization("range", 0 * ones, ones, 0 * ones),
    )


def labelled(figure: Any, label: str) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_ylabel().startswith(label)]


def test_score_and_events_are_aligned_under_all_panels() -> None:
    figure = overview(PANELS, GRID, values(), score(), threshold=2.0, events=[EVENT])
    (score_axes,) = labelled(figure, "Score")
    drawn = [
        *labelled(figure, "Range above"),
        *labelled(figure, "temp"),
        *labelled(figure, "u\n(m/s)"),
        *labelled(figure, "current"),
    ]
    assert len(drawn) == len(PANELS) == 4
    figure.canvas.draw()
    for axes in drawn:
        assert axes.get_xlim() == score_axes.get_xlim()
        above, below = axes.get_position(), score_axes.get_position()
        assert (above.x0, above.x1) == pytest.approx((below.x0, below.x1))
        assert above.y0 > below.y1
        assert axes.get_xlabel() == ""
    assert score_axes.get_xlabel() == "Time (UTC)"


def test_lines_beside_an_image_are_as_wide_as_it() -> None:
    figure = overview(PANELS, GRID, values(), score())
    figure.canvas.draw()
    (image_axes,) = labelled(figure, "Range above")
    (line_axes,) = labelled(figure, "temp")
    assert line_axes.get_position().width == pytest.approx(
        image_axes.get_position().width
    )


def test_the_mounting_reaches_the_drawing() -> None:
    figure = overview(
        PANELS, GRID, values(), score(), mounting=Mounting("up", depth_m=50.0)
    )
    (axes,) = labelled(figure, "Depth (m)")
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_observed_and_reconstruction_share_limits_and_the_difference_does_not() -> None:
    chosen = PANELS[:2]
    figure = comparison(chosen, compared(), EVENT, [Mounting("down"), None])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles.count("Reconstruction") == 2
    assert titles.count(r"Observed (mast\$)") == 2
    images = [axes for axes in figure.axes if axes.get_title(loc="left")][:3]
    left, middle, right = images
    meshes = [axes.collections[0] for axes in images]
    assert meshes[0].get_clim() == meshes[1].get_clim() == SV_LIMITS
    assert meshes[2].get_clim() == (-1.0, 1.0)
    assert left.get_ylim() == right.get_ylim() == (6.5, 0.5)
    bars = [axes.get_ylabel() for axes in figure.axes if "dB" in axes.get_ylabel()]
    assert sorted(bars) == ["Difference (dB)", "Sv (dB re 1 m⁻¹)"]


def test_very_many_bins_are_drawn_as_fewer() -> None:
    columns = [Column(f"Sv_{n}m", "ek", "", "level", float(n)) for n in range(1600)]
    (panel,) = find_panels(columns)
    figure = overview([panel], GRID, np.zeros((40, 1600), np.float32), score())
    (axes,) = labelled(figure, "Range above")
    assert axes.collections[0].get_array().shape == (400, 40)
    low, high = axes.get_ylim()
    assert low == 0.0 and high == pytest.approx(1600, abs=3)


def test_figures_become_pictures_and_the_same_ones() -> None:
    for make in (
        lambda: overview(PANELS, GRID, values(), score(), events=[EVENT]),
        lambda: comparison(PANELS, compared(), EVENT, [None] * len(PANELS)),
        lambda: score_histogram(score(), 2.0),
        lambda: learning_curve([1, 2], [0.5, 0.4], [0.6, 0.5]),
    ):
        content = as_png(make(), dpi=60)
        assert image.imread(io.BytesIO(content)).ndim == 3
        assert content == as_png(make(), dpi=60)
