"""Currents are vectors: averaged, turned and interpolated as such."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.ingest import currents

COMPONENTS = st.floats(-10, 10, width=32)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(
    ("east", "north", "direction"),
    [(0, 1, 0), (1, 0, 90), (0, -1, 180), (-1, 0, 270), (1, 1, 45), (-1, 1, 315)],
)
def test_a_direction_is_where_the_water_moves_to_clockwise_from_north(
    east: float, north: float, direction: float
) -> None:
    assert currents.direction(array(east), array(north))[0] == pytest.approx(direction)


def test_a_direction_just_west_of_north_is_less_than_360() -> None:
    assert currents.direction(array(-1e-12), array(1.0))[0] == 0.0


def test_water_that_stands_still_has_speed_0_and_no_direction() -> None:
    assert currents.speed(array(0.0), array(0.0))[0] == 0.0
    assert math.isnan(currents.direction(array(0.0), array(0.0))[0])


@given(COMPONENTS, COMPONENTS)
def test_speed_and_direction_give_the_components_back(
    east: float, north: float
) -> None:
    speed = currents.speed(array(east), array(north))
    direction = currents.direction(array(east), array(north))
    back = currents.components(speed, direction)
    np.testing.assert_allclose(np.ravel(back), [east, north], atol=1e-5)


@given(COMPONENTS, COMPONENTS, st.floats(-180, 180))
def test_declination_adds_to_the_direction_and_keeps_the_speed(
    east: float, north: float, declination: float
) -> None:
    pair = array(east), array(north)
    turned = currents.turned(*pair, declination)
    speed = currents.speed(*pair)[0]
    assert currents.speed(*turned)[0] == pytest.approx(speed)
    if speed > 1e-3:
        difference = currents.direction(*turned) - currents.direction(*pair)
        off = (difference[0] - declination + 180) % 360 - 180
        assert off == pytest.approx(0, abs=1e-4)


def test_no_declination_changes_no_bit() -> None:
    east, north = array(0.1, 0.2), array(0.3, np.nan)
    assert currents.turned(east, north, 0.0) == (east, north)


def test_beams_in_decibels_are_averaged_as_power_and_counts_plainly() -> None:
    beams = np.array([[[60.0]], [[50.0]], [[np.nan]]])
    assert currents.beam_mean(beams, level=False)[0, 0] == 55.0
    power = 10 * math.log10((1e6 + 1e5) / 2)
    assert currents.beam_mean(beams, level=True)[0, 0] == pytest.approx(power)
    assert np.isnan(currents.beam_mean(np.full((4, 1, 1), np.nan), level=False)).all()


@pytest.mark.parametrize(
    ("beams", "enough"),
    [
        ((80, 80, 80, 80), True),
        ((80, 80, 80, 10), True),
        ((80, 80, 10, 10), False),
        ((80, 80, 80), True),
        ((80, 80, 10), False),
        ((80,), True),
        ((10,), False),
        ((80, 80, 64, np.nan), True),
        ((80, 80, 63.9, np.nan), False),
    ],
)
def test_three_beams_of_good_correlation_are_enough(
    beams: tuple[float, ...], enough: bool
) -> None:
    values = np.array(beams, dtype=float)[:, None, None]
    assert currents.enough_beams(values, 64.0)[0, 0] == enough


def test_of_four_percentages_the_first_and_fourth_made_velocities() -> None:
    fields = array(20, 30, 10, 40)[:, None, None]
    assert currents.percent_good(fields)[0, 0] == 60
    assert currents.percent_good(fields[:1])[0, 0] == 20


def test_the_surface_disturbs_bins_beyond_the_depth_times_the_cosine() -> None:
    ranges = np.arange(1.0, 12.0)
    depth = array(10.0, 10.0 / math.cos(math.radians(25)), np.nan)
    below = currents.below_surface(ranges, 1.0, depth, 25.0)
    # 10 cos 25° = 9.06: the bin at 8 ends at 8.5, that at 9 at 9.5.
    assert ranges[below[0]].max() == 8
    # 10.0: the bin at 9 ends at 9.5.
    assert ranges[below[1]].max() == 9
    assert not below[2].any()
