from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_silences, naive_standstills

from echoanom.standstill import (
    Standstill,
    Stretch,
    at_once,
    join_near,
    silences,
    usual_limits,
)

DAY = 1_422_748_800
HOUR = 3600


@st.composite
def rows_of_values(draw: st.DrawFn) -> tuple[list[int], list[list[Any]], int]:
    """Rows around midnight; None is not observed."""
    period_s = draw(st.sampled_from([60, 900]))
    places = draw(st.lists(st.integers(-20, 20), unique=True, max_size=30).map(sorted))
    columns = draw(st.integers(1, 3))
    cell = st.sampled_from([None, 1.0, 2.0])
    cells = st.lists(cell, min_size=columns, max_size=columns)
    rows = draw(st.lists(cells, min_size=len(places), max_size=len(places)))
    return [DAY + place * period_s for place in places], rows, period_s


def arrays(rows: list[list[Any]], columns: int) -> tuple[Any, Any]:
    values = np.array(rows, dtype=np.float32).reshape(len(rows), columns)
    return np.nan_to_num(values, nan=7.0), ~np.isnan(values)


@given(rows_of_values(), st.sampled_from([0, 120, 3000]), st.integers(0, 30))
def test_standstills_are_those_the_naive_way_finds(
    given_rows: tuple[list[int], list[list[Any]], int], gap_s: int, cut: int
) -> None:
    times, rows, period_s = given_rows
    columns = len(rows[0]) if rows else 1
    values, observed = arrays(rows, columns)
    still = Standstill(columns, period_s, gap_s, period_s)
    for part in (slice(0, cut), slice(cut, None)):
        still.add(np.array(times, dtype=np.int64)[part], values[part], observed[part])
    found, days, longest = still.finish()
    assert days.tolist() == sorted({time // 86_400 for time in times})
    for column in range(columns):
        cells = [row[column] for row in rows]
        expected = naive_standstills(times, cells, period_s, gap_s)
        long = [(s.start, s.end) for c, s in found if c == column]
        assert long == [s for s in expected if s[1] - s[0] > period_s]
        for day, most in zip(days.tolist(), longest[:, column].tolist(), strict=True):
            # From its begin, or midnight, to the last row of the day that has it.
            begin = day * 86_400
            inside = [
                time + period_s - max(start, begin)
                for time, cell in zip(times, cells, strict=True)
                for start, end in expected
                if cell is not None and start <= time < end and time // 86_400 == day
            ]
            assert most == max([0, *inside])


@given(rows_of_values(), st.sampled_from([0, 120, 3000]))
def test_silences_are_those_the_naive_way_finds(
    given_rows: tuple[list[int], list[list[Any]], int], gap_s: int
) -> None:
    times, rows, period_s = given_rows
    columns = len(rows[0]) if rows else 1
    _, seen = arrays(rows, columns)
    found = silences(np.array(times, dtype=np.int64), seen, period_s, gap_s, period_s)
    for sensor in range(columns):
        expected = naive_silences(times, seen.tolist(), sensor, period_s, gap_s)
        assert [(s.start, s.end) for n, s in found if n == sensor] == [
            stretch for stretch in expected if stretch[1] - stretch[0] > period_s
        ]


def test_the_only_sensor_is_never_silent() -> None:
    times = DAY + 60 * np.arange(100)
    assert silences(times, np.zeros((100, 1), dtype=bool), 60, 0, 0) == []


spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(
    lambda span: Stretch(span[0], span[0] + span[1])
)


@given(st.lists(spans, max_size=6), st.integers(1, 3))
def test_several_at_once_are_counted_moment_by_moment(
    stretches: list[Stretch], least: int
) -> None:
    found = at_once(stretches, least)
    for moment in range(45):
        count = sum(s.start <= moment < s.end for s in stretches)
        assert (count >= least) == any(s.start <= moment < s.end for s in found)
    assert all(a.end < b.start for a, b in zip(found, found[1:], strict=False))


@given(st.lists(spans, max_size=6), st.integers(0, 5))
def test_joined_stretches_hold_all_and_lie_far_apart(
    stretches: list[Stretch], gap: int
) -> None:
    found = join_near(stretches, gap)
    for s in stretches:
        assert sum(j.start <= s.start and s.end <= j.end for j in found) == 1
    assert all(b.start - a.end > gap for a, b in zip(found, found[1:], strict=False))


def test_what_is_usual_is_what_nine_of_ten_days_stay_within() -> None:
    longest = np.array([[600] * 9 + [40_000], [0] * 10, [50_000] * 10]).T
    limits = usual_limits(longest.astype(np.int32), 60)
    assert limits.tolist() == [1200, np.inf, np.inf]
    assert usual_limits(longest.astype(np.int32), HOUR)[0] == HOUR
    assert np.isinf(usual_limits(np.zeros((0, 2), dtype=np.int32), 60)).all()


@pytest.mark.slow
def test_a_year_of_many_columns_takes_seconds() -> None:
    import time

    rng = np.random.default_rng(0)
    values = rng.normal(size=(1440, 400)).astype(np.float32)
    seen = np.ones(values.shape, dtype=np.bool_)
    still = Standstill(400, 60, 1800, 3600)
    begin = time.process_time()
    for day in range(10):
        still.add(DAY + day * 86_400 + 60 * np.arange(1440), values, seen)
    assert (time.process_time() - begin) * 36.5 < 120
