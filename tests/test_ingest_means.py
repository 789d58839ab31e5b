"""Means of each period: what they are, and that they do not depend on blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.columns import Column
from echoanom.ingest.means import PeriodMeans

SECOND = 1_000_000
COLUMNS = (
    Column("speed", "s", "m/s"),
    Column("Sv_5m", "s", "dB", "level"),
    Column("direction", "s", "degree", "direction"),
)


def naive_means(times, values, periods: int, period_us: int) -> np.ndarray:
    """Average each period in plain Python, in the order of the samples."""
    out = np.full((periods, 3), np.nan)
    for period in range(periods):
        rows = [
            v for t, v in zip(times, values, strict=True) if t // period_us == period
        ]
        plain = [row[0] for row in rows if not math.isnan(row[0])]
        power = [10 ** (row[1] / 10) for row in rows if not math.isnan(row[1])]
        angles = [math.radians(row[2]) for row in rows if not math.isnan(row[2])]
        if plain:
            out[period, 0] = sum(plain) / len(plain)
        if power:
            out[period, 1] = 10 * math.log10(sum(power) / len(power))
        if angles:
            north = sum(math.cos(angle) for angle in angles) / len(angles)
            east = sum(math.sin(angle) for angle in angles) / len(angles)
            if math.hypot(north, east) > 1e-6:
                out[period, 2] = math.degrees(math.atan2(east, north)) % 360
    return out


def means_of(times, values, cuts=()) -> np.ndarray:
    means = PeriodMeans(COLUMNS, 0, 4, 60 * SECOND)
    for rows in np.split(np.arange(len(times)), sorted(cuts)):
        means.add(times[rows], values[rows])
    return means.means()


cells = st.tuples(
    st.floats(-1e3, 1e3, width=32),
    st.floats(-120, 20, width=32),
    st.floats(0, 359.5, width=32),
)


@given(
    st.lists(st.tuples(st.integers(0, 239), cells, st.integers(0, 7)), max_size=40),
    st.sets(st.integers(0, 40), max_size=5),
)
def test_means_are_those_of_a_plain_loop_however_the_samples_are_cut(
    rows: list[tuple[int, tuple[float, float, float], int]], cuts: set[int]
) -> None:
    rows.sort(key=lambda row: row[0])
    times = np.array([row[0] for row in rows], dtype=np.int64) * SECOND
    values = np.array([row[1] for row in rows]).reshape(-1, 3)
    for row, (_, _, missing) in enumerate(rows):
        for column in range(3):
            if missing >> column & 1:
                values[row, column] = np.nan
    whole = means_of(times, values)
    cut = means_of(times, values, cuts)
    assert whole.tobytes() == cut.tobytes()
    expected = naive_means(times, values, 4, 60 * SECOND)
    assert (np.isnan(whole[:, :2]) == np.isnan(expected[:, :2])).all()
    np.testing.assert_allclose(whole[:, :2], expected[:, :2], rtol=1e-5, atol=1e-4)
    turn = np.abs(whole[:, 2] - expected[:, 2])
    assert (np.nan_to_num(np.minimum(turn, 360 - turn)) < 0.1).all()
    assert not (whole[:, 2] >= 360).any()


def test_levels_are_averaged_as_power() -> None:
    means = PeriodMeans(COLUMNS[1:2], 0, 1, 60 * SECOND)
    means.add(np.array([0, SECOND]), np.array([[-70.0], [-50.0]]))
    assert means.means()[0, 0] == pytest.approx(10 * math.log10((1e-7 + 1e-5) / 2))


def test_directions_either_side_of_north_have_a_mean_of_north() -> None:
    means = PeriodMeans(COLUMNS[2:], 0, 1, 60 * SECOND)
    means.add(np.array([0, SECOND]), np.array([[350.0], [10.0]]))
    turn = means.means()[0, 0]
    assert min(turn, 360 - turn) < 1e-4


def test_opposite_directions_have_no_mean() -> None:
    means = PeriodMeans(COLUMNS[2:], 0, 1, 60 * SECOND)
    means.add(np.array([0, SECOND]), np.array([[90.0], [270.0]]))
    assert np.isnan(means.means()).all()


def test_a_missing_sample_counts_as_a_sample_and_not_in_the_mean() -> None:
    means = PeriodMeans(COLUMNS[:1], 0, 2, 60 * SECOND)
    means.add(np.array([0, SECOND]), np.array([[np.nan], [4.0]]))
    assert means.samples.tolist() == [2, 0]
    assert means.means()[0, 0] == 4.0 and np.isnan(means.means()[1, 0])
