from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from echoanom.columns import column_from_name
from echoanom.errors import OptionError
from echoanom.events import Event
from echoanom.marks import draw_time_axis, mark_above, mark_events
from echoanom.palette import SV_LIMITS, choose_colours, colour_ends, colour_limits
from echoanom.panels import Mounting, Panel, find_panels
from echoanom.plots import (
    BESIDE,
    draw_bins,
    draw_learning_curve,
    draw_lines,
    draw_score,
    draw_score_histogram,
    loss_scale,
)

DAY = 1_422_748_800
EDGES = DAY + 60 * np.arange(31)


def panel_of(*names: str) -> Panel:
    (panel,) = find_panels([column_from_name(name, "sensor") for name in names])
    return panel


SV = panel_of(*(f"Sv_{n}m" for n in (5, 10, 15, 20)))
DIRECTION = panel_of(*(f"dir_{n}m" for n in (5, 10, 15, 20)))
SPEED = panel_of(*(f"u_{n}m" for n in (5, 10, 15, 20)))
LTSA = panel_of(*(f"ltsa_{n}Hz" for n in (500, 1000, 1500, 2000)))
OCTAVES = panel_of(*(f"spl_{n}Hz" for n in (125, 250, 500, 1000)))


def values(low: float = -90, high: float = -40) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).uniform(low, high, (30, 4)).astype(np.float32)


def axes() -> Any:
    return Figure().add_subplot()


def event(start_min: float, end_min: float, rank: int = 1) -> Event:
    start = DAY + int(start_min * 60)
    return Event(rank, start, DAY + int(end_min * 60), start, 1.0, 2.0)


def colorbar_of(drawn: Any) -> Any:
    return drawn.figure.axes[-1]


def test_range_increases_upwards_when_the_instrument_looks_up() -> None:
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, values())
    low, high = drawn.get_ylim()
    assert (low, high) == (2.5, 22.5)
    assert drawn.get_ylabel() == "Range above the instrument (m)"


def test_range_increases_downwards_when_the_instrument_looks_down() -> None:
    drawn = draw_bins(
        axes(), SV, EDGES, SV.coordinates, values(), mounting=Mounting("down")
    )
    assert drawn.get_ylim() == (22.5, 2.5)
    assert drawn.get_ylabel() == "Range below the instrument (m)"


@pytest.mark.parametrize(
    ("looking", "shallowest", "deepest"), [("up", 77.5, 97.5), ("down", 102.5, 122.5)]
)
def test_range_becomes_depth_only_when_the_instruments_depth_is_known(
    looking: Any, shallowest: float, deepest: float
) -> None:
    drawn = draw_bins(
        axes(), SV, EDGES, SV.coordinates, values(), mounting=Mounting(looking, 100.0)
    )
    assert drawn.get_ylim() == (deepest, shallowest)
    assert drawn.get_ylabel() == "Depth (m)"


def test_the_nearest_bin_of_an_upward_instrument_is_the_deepest() -> None:
    drawn = draw_bins(
        axes(), SV, EDGES, SV.coordinates, values(), mounting=Mounting("up", 100.0)
    )
    (mesh,) = drawn.collections
    assert mesh.get_coordinates()[0, 0, 1] == 97.5


def test_an_echogram_has_sv_limits_and_unit() -> None:
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, values())
    (mesh,) = drawn.collections
    assert mesh.get_clim() == SV_LIMITS == (-80, -44)
    assert mesh.get_cmap().name == "magma"
    assert colorbar_of(drawn).get_ylabel() == "Sv (dB re 1 m⁻¹)"


def test_times_are_utc_and_limits_are_the_edges() -> None:
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, values())
    assert drawn.get_xlabel() == "Time (UTC)"
    assert drawn.get_xlim() == (EDGES[0] / 86_400, EDGES[-1] / 86_400)
    labels = [drawn.xaxis.get_major_formatter().format_ticks([DAY / 86_400 + 0.5])]
    assert labels == [["12:00"]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("most", [6, 9])
def test_any_length_of_time_has_some_ticks_and_not_too_many(most: int) -> None:
    for minutes in (
        1,
        7,
        64,
        142,
        179,
        700,
        1440,
        3000,
        5000,
        40_000,
        133_000,
        525_600,
    ):
        drawn = axes()
        draw_time_axis(drawn, np.array([DAY, DAY + 60 * minutes]), most_ticks=most)
        low, high = drawn.get_xlim()
        ticks = [t for t in drawn.xaxis.get_majorticklocs() if low <= t <= high]
        assert 1 <= len(ticks) <= most, minutes


def test_missing_cells_are_left_open_on_a_hatched_ground() -> None:
    broken = values()
    broken[10:20] = np.nan
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, broken)
    (mesh,) = drawn.collections
    assert np.ma.getmaskarray(mesh.get_array())[:, 10:20].all()
    assert drawn.patch.get_hatch()


def test_directions_close_and_differences_have_a_middle() -> None:
    directions = values(0, 360)
    assert choose_colours(DIRECTION, directions, None, False) == ("twilight", 0, 360)
    colours, low, high = choose_colours(SV, values(-2, 5), None, True)
    assert colours == "RdBu_r" and low == -high
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, values(-2, 5), difference=True)
    assert colorbar_of(drawn).get_ylabel() == "Difference (dB)"


def test_velocities_with_a_sign_have_a_middle() -> None:
    low, high = colour_limits(SPEED, values(-1, 3))
    assert low == -high
    assert colour_limits(SPEED, values(1, 3))[0] > 0


def test_limits_of_nothing_and_of_constants_are_still_limits() -> None:
    assert colour_limits(SPEED, np.full((2, 2), np.nan)) == (0, 1)
    low, high = colour_limits(LTSA, np.full((2, 2), 7.0))
    assert low < 7 < high
    assert choose_colours(SV, np.zeros((2, 2)), None, True)[1:] == (-1, 1)


def test_a_colour_bar_tells_at_which_ends_values_lie_outside() -> None:
    assert colour_ends(np.array([0.0, 1.0]), 0, 1) == "neither"
    assert colour_ends(np.array([-1.0, np.nan]), 0, 1) == "min"
    assert colour_ends(np.array([2.0]), 0, 1) == "max"
    assert colour_ends(np.array([-1.0, 2.0]), 0, 1) == "both"


def test_frequencies_are_in_kilohertz_when_they_are_high() -> None:
    drawn = draw_bins(axes(), LTSA, EDGES, LTSA.coordinates, values(40, 80))
    assert drawn.get_ylabel() == "Frequency (kHz)"
    assert drawn.get_ylim() == (0.25, 2.25)
    assert drawn.get_yscale() == "linear"


def test_octaves_are_drawn_on_a_logarithmic_axis() -> None:
    drawn = draw_bins(axes(), OCTAVES, EDGES, OCTAVES.coordinates, values(40, 80))
    assert drawn.get_ylabel() == "Frequency (Hz)" and drawn.get_yscale() == "log"


def test_a_drawing_without_colour_bar_has_no_second_axes() -> None:
    drawn = draw_bins(axes(), SV, EDGES, SV.coordinates, values(), colorbar=False)
    assert len(drawn.figure.axes) == 1


def test_lines_break_where_values_are_missing() -> None:
    series = np.arange(30.0)
    series[3] = np.nan
    drawn = draw_lines(axes(), EDGES, {"temp": series}, "temp (°C)")
    (line,) = drawn.get_lines()
    assert np.isnan(np.ma.filled(line.get_ydata(orig=False), np.nan)[3])
    assert drawn.get_ylabel() == "temp\n(°C)" and drawn.get_legend() is None


def test_several_lines_have_a_legend_and_directions_are_dots() -> None:
    both = {"1 m": values()[:, 0], "2 m": values()[:, 1]}
    drawn = draw_lines(axes(), EDGES, both, "dir (°)", kind="direction")
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == list(both)
    assert drawn.get_ylim() == (0, 360)
    assert {line.get_linestyle() for line in drawn.get_lines()} == {"None"}


def test_a_score_has_its_threshold_and_ranked_events() -> None:
    score = np.full(30, 1.0)
    score[10:12] = 3.0
    score[20] = np.nan
    drawn = draw_score(
        axes(), EDGES, score, threshold=2.0, events=[event(10, 12), event(25, 26, 2)]
    )
    assert [line.get_ydata()[0] for line in drawn.get_lines()] == [2.0]
    texts = {text.get_text(): text for text in drawn.texts}
    assert {"1", "2", "threshold\n2"} == set(texts)
    assert texts["threshold\n2"].get_gid() == BESIDE
    assert drawn.get_ylim()[1] > 3.0 and drawn.get_yscale() == "linear"
    assert drawn.get_ylabel() == "Score"


def test_scores_of_many_sizes_are_drawn_on_a_logarithmic_axis() -> None:
    score = np.full(30, 0.01)
    score[3] = 5.0
    assert draw_score(axes(), EDGES, score).get_yscale() == "log"
    score[4] = 0.0
    assert draw_score(axes(), EDGES, score).get_yscale() == "linear"


@pytest.mark.parametrize("score", [np.full(30, np.nan), np.zeros(30)])
def test_scores_that_say_nothing_are_still_drawn(score: Any) -> None:
    drawn = draw_score(axes(), EDGES, score)
    low, high = drawn.get_ylim()
    assert low < high


def test_shading_covers_the_event_and_ranks_do_not_overlap() -> None:
    drawn = draw_time_axis(axes(), EDGES)
    events = [event(10, 12, 2), event(10.05, 12.05, 1), event(29, 30, 3)]
    mark_events(drawn, events, ranks=True)
    assert [text.get_text() for text in drawn.texts] == ["1", "3"]
    spans = [Bbox(patch.get_bbox().get_points()) for patch in drawn.patches]
    assert spans[0].x0 == (DAY + 600) / 86_400 and spans[0].x1 == (DAY + 720) / 86_400


def test_a_mark_above_stays_within_the_axes_and_changes_no_limit() -> None:
    drawn = draw_time_axis(axes(), EDGES)
    before = drawn.get_xlim(), drawn.get_ylim()
    mark_above(drawn, event(-10, 5))
    mark_above(drawn, event(100, 110))
    (line,) = drawn.get_lines()
    assert line.get_xdata()[0] == EDGES[0] / 86_400
    assert (drawn.get_xlim(), drawn.get_ylim()) == before


def test_a_histogram_counts_the_rows_and_says_how_many_lie_above() -> None:
    score = np.array([*np.linspace(0, 1, 99), np.nan, 2.0])
    drawn = draw_score_histogram(axes(), score, threshold=1.5)
    assert sum(patch.get_height() for patch in drawn.patches) == 100
    (text,) = drawn.get_legend().get_texts()
    assert text.get_text() == "threshold 1.5\n1.00 % of rows above"
    assert (drawn.get_xlabel(), drawn.get_ylabel()) == ("Score", "Rows")


@pytest.mark.parametrize(
    "score",
    [np.array([]), np.full(5, np.nan), np.zeros(5), np.array([1e-6, 1.0, 1e-5])],
)
def test_a_histogram_of_odd_scores_is_still_drawn(score: Any) -> None:
    drawn = draw_score_histogram(axes(), score, threshold=0.5)
    drawn.figure.canvas.draw()


def test_a_learning_curve_has_both_losses() -> None:
    drawn = draw_learning_curve(axes(), [1, 2, 3], [0.5, 0.4, 0.3], [0.6, 0.5, 0.5])
    labels = [text.get_text() for text in drawn.get_legend().get_texts()]
    assert labels == ["training days", "held-back days"]
    assert drawn.get_xlabel() == "Epoch" and drawn.get_yscale() == "linear"
    wide = draw_learning_curve(axes(), [1, 2, 3], [9.0, 0.4, 0.3], [0.6, 0.5, 0.5])
    assert wide.get_yscale() == "log"


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([0.5, 0.4, 0.6, 0.5], "linear"),
        # However many of them are high, the low ones can be read.
        ([0.16, 0.15, 4451, 4460], "log"),
        ([0.16, 4451, 4460, 4470], "log"),
        ([0.0, 4451, 4460], "linear"),
        ([], "linear"),
    ],
)
def test_losses_that_lie_far_apart_can_all_be_read(
    losses: list[float], scale: str
) -> None:
    assert loss_scale(np.array(losses, dtype=np.float64)) == scale


@pytest.mark.parametrize(("looking", "depth"), [("sideways", None), ("up", -1.0)])
def test_a_mounting_that_cannot_be_is_refused(looking: Any, depth: Any) -> None:
    with pytest.raises(OptionError, match="must be"):
        Mounting(looking, depth)
