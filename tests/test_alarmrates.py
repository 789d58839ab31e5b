from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_events
from numpy.typing import NDArray

from echoanom.alarmrates import (
    LEAST_PEAKS,
    MOST_PEAKS,
    AlarmRates,
    count_events,
    event_peaks,
    fit_excess,
)
from echoanom.errors import ScoresError

DAY_ROWS = 1440
ROOT = Path(__file__).resolve().parent.parent


def load_tool() -> Any:
    path = ROOT / "tools" / "alarm_rates.py"
    spec = importlib.util.spec_from_file_location("alarm_rates", path)
    assert spec is not None and spec.loader is not None
    tool = sys.modules["alarm_rates"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


TOOL = load_tool()
red_noise = TOOL.red_noise


@pytest.mark.slow
def test_the_page_has_the_rates_that_came() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    assert TOOL.table() in page, "run: python tools/alarm_rates.py"


@st.composite
def rows_of_scores(
    draw: st.DrawFn,
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    places = draw(st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=30))
    levels = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])
    score = draw(
        st.lists(levels, min_size=len(places), max_size=len(places)).map(np.array)
    )
    period_s = draw(st.sampled_from([1, 60, 300]))
    return score, np.array(places, dtype=np.int64) * period_s, period_s


gaps = st.sampled_from([0.0, 1.0, 7.5])
durations = st.sampled_from([0.0, 1.0, 2.0, 6.0])


def naive_count(
    score: NDArray[np.float64],
    times: NDArray[np.int64],
    period_s: int,
    threshold: float,
    gap: float,
    least: float,
) -> list[float]:
    order = np.argsort(times)
    found = naive_events(
        times[order].tolist(), score[order].tolist(), period_s, threshold, gap, least
    )
    return [event[4] for event in sorted(found)]


@given(rows_of_scores(), gaps, durations)
def test_events_are_counted_at_every_level_as_the_naive_way_finds_them(
    rows: tuple[NDArray[np.float64], NDArray[np.int64], int], gap: float, least: float
) -> None:
    score, times, period_s = rows
    order = np.argsort(-score, kind="stable")
    score, times = score[order], times[order]
    counts = count_events(score, times, period_s, gap, least)
    for level in np.unique(score):
        last = np.flatnonzero(score == level)[-1]
        expected = naive_count(score, times, period_s, level - 0.1, gap, least)
        assert counts[last] == len(expected)


@given(rows_of_scores(), gaps, durations)
def test_peaks_are_those_the_naive_way_finds(
    rows: tuple[NDArray[np.float64], NDArray[np.int64], int], gap: float, least: float
) -> None:
    score, times, period_s = rows
    expected = naive_count(score, times, period_s, 0.0, gap, least)
    assert event_peaks(score, times, period_s, gap, least).tolist() == expected


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
def test_the_fit_finds_shape_and_scale_of_a_generalised_pareto_tail(
    shape: float,
) -> None:
    from scipy.stats import genpareto

    excess = genpareto.rvs(shape, scale=3, size=20_000, random_state=1)
    found, scale = fit_excess(excess)
    assert found == pytest.approx(shape, abs=0.05)
    assert scale == pytest.approx(3, rel=0.06)


def test_a_tail_with_an_end_is_taken_for_one_without() -> None:
    assert fit_excess(np.linspace(0.1, 1, 50)) == (0.0, pytest.approx(0.55))
    assert fit_excess(np.full(20, 2.0)) == (0.0, 2.0)


def rates_of(
    score: NDArray[np.float64], gap: float = 30.0, least: float = 1.0
) -> AlarmRates:
    times = 60 * np.arange(len(score))
    kept = score >= np.quantile(score, 0.98)
    days = len(score) / DAY_ROWS
    return AlarmRates.from_tail(score[kept], times[kept], 60, days, gap, least)


def realised(score: NDArray[np.float64], level: float, gap: float) -> float:
    above = np.flatnonzero(score > level)
    return len(event_peaks(score[above], 60 * above, 60, gap, 1)) / (
        len(score) / DAY_ROWS
    )


@pytest.mark.parametrize("memory", [0.0, 0.9])
@pytest.mark.parametrize("rate", [3.0, 1.0, 0.3])
def test_on_data_like_the_held_back_ones_there_are_as_many_alarms_as_expected(
    rate: float, memory: float
) -> None:
    # Twenty fortnights held back, each its own threshold, and 500 days judged by it.
    judged = red_noise(500, 99, memory)
    levels = [rates_of(red_noise(14, seed, memory)).level(rate) for seed in range(20)]
    found = [realised(judged, level, 30) for level in levels]
    assert np.median(found) == pytest.approx(rate, rel=0.2)
    # A fortnight at 0.3 a day has four events: no threshold can be surer than that.
    assert np.quantile(found, 0.9) < 2 * rate
    assert np.quantile(found, 0.1) > rate / 3


def test_beyond_the_held_back_days_there_are_rather_fewer_alarms_than_more() -> None:
    judged = red_noise(1000, 98)
    levels = [rates_of(red_noise(14, seed)).level(0.02) for seed in range(20)]
    found = [realised(judged, level, 30) for level in levels]
    assert 0.002 < np.median(found) < 0.02
    assert np.quantile(found, 0.9) < 0.04


@pytest.fixture(scope="module")
def rates() -> AlarmRates:
    return rates_of(red_noise(14, 1))


def test_rates_within_the_scores_are_counts(rates: AlarmRates) -> None:
    score = red_noise(14, 1)
    for level in np.linspace(np.quantile(score, 0.98), rates.tail_level, 7)[1:-1]:
        counted = realised(score, float(level), 30)
        assert rates.rate(np.array([level]))[0] == pytest.approx(counted, rel=0.05)


def test_a_higher_score_has_no_higher_rate_and_none_has_a_rate_of_0(
    rates: AlarmRates,
) -> None:
    found = rates.rate(np.linspace(-1, 60, 5000))
    assert (np.diff(found) <= 0).all() and (found > 0).all()
    assert found[0] == rates.highest
    assert np.isnan(rates.rate(np.array([np.nan]))).all()


@given(st.floats(1e-5, 10))
def test_a_threshold_has_no_more_than_its_rate(rate: float) -> None:
    rates = rates_of(red_noise(14, 2))
    rate = min(rate, rates.highest)
    level = rates.level(rate)
    assert rates.rate(np.array([level]))[0] <= rate * (1 + 1e-9)
    assert rates.rate(np.array([level - 0.5]))[0] > rate or rate == rates.highest


def test_thresholds_rise_as_the_rate_falls(rates: AlarmRates) -> None:
    levels = [rates.level(rate) for rate in np.geomspace(1e-4, rates.highest, 60)]
    assert levels == sorted(levels, reverse=True)


def test_the_unit_of_the_scores_does_not_matter(rates: AlarmRates) -> None:
    scaled = rates_of(red_noise(14, 1) * 1e-6)
    for rate in (5.0, 1.0, 0.01):
        assert scaled.level(rate) == pytest.approx(rates.level(rate) * 1e-6)


def test_at_most_the_fifty_highest_events_are_fitted(rates: AlarmRates) -> None:
    assert LEAST_PEAKS <= rates.tail_count < MOST_PEAKS


def test_what_a_threshold_rests_on_is_said(rates: AlarmRates) -> None:
    assert rates.basis(rates.highest) == "counted in 14 days of scores"
    fit = f"peaks over threshold: a fit to the {rates.tail_count} highest events of 14"
    assert rates.basis(0.5) == f"{fit} days of scores"
    assert rates.basis(0.05) == f"{fit} days of scores, extrapolated"


def test_more_alarms_than_the_scores_tell_of_are_refused(rates: AlarmRates) -> None:
    with pytest.raises(ScoresError, match="at most .*, got .* use quantile") as found:
        rates.level(rates.highest * 1.01)
    offered = float(str(found.value).partition("at most ")[2].partition(" ")[0])
    assert 0.99 * rates.highest < offered
    assert rates.level(offered) >= rates.level(rates.highest)


def test_too_few_events_are_refused() -> None:
    score, times = np.arange(9.0), 6000 * np.arange(9)
    with pytest.raises(ScoresError, match="at least 10 events .*, but there are 8"):
        AlarmRates.from_tail(score, times, 60, 1.0, 30, 1)
    with pytest.raises(ScoresError, match="but there are 0"):
        AlarmRates.from_tail(np.ones(50), 6000 * np.arange(50), 60, 1.0, 30, 1)
