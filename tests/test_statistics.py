"""Statistics: what a day's summary says, and that days merge without reading again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from naive import naive_moments

from echoanom.errors import CorruptionError
from echoanom.statistics import BINS, Statistics, merge, summarise

DAYS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.just(3)),
    elements=st.floats(-1e4, 1e4, width=32) | st.just(float("nan")),
)


def assert_same(a: Statistics, b: Statistics) -> None:
    for name in vars(a):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@given(st.lists(DAYS, min_size=1, max_size=5))
def test_merged_days_are_the_oracle_of_all_their_rows(days):
    found = merge([summarise(day) for day in days])
    rows = np.concatenate(days)
    for column in range(3):
        expected = naive_moments(rows[:, column].tolist())
        assert found.count[column] == expected["count"]
        assert found.missing[column] == expected["missing"]
        for name in ("mean", "std", "minimum", "maximum"):
            np.testing.assert_allclose(
                getattr(found, name)[column], expected[name], rtol=1e-6, atol=1e-3
            )
    assert found.histograms.sum(axis=(0, 1)).tolist() == found.count.tolist()


@given(st.lists(DAYS, min_size=2, max_size=5), st.data())
def test_the_grouping_of_a_merge_does_not_matter(days, data):
    parts = [summarise(day) for day in days]
    cut = data.draw(st.integers(1, len(days) - 1))
    grouped = merge([merge(parts[:cut]), merge(parts[cut:])])
    assert_same(grouped, merge(parts))


@given(st.lists(DAYS, min_size=1, max_size=3))
def test_bytes_bring_back_the_same_and_are_the_same(days):
    statistics = merge([summarise(day) for day in days])
    content = statistics.as_bytes()
    assert content == statistics.as_bytes()
    assert_same(Statistics.from_bytes(content), statistics)


def test_filled_cells_do_not_count():
    values = np.array([[1.0], [100.0], [3.0]], np.float32)
    filled = np.array([[False], [True], [False]])
    found = summarise(values, filled)
    assert (found.count[0], found.missing[0]) == (2, 1)
    assert (found.mean[0], found.minimum[0], found.maximum[0]) == (2, 1, 3)


def test_chosen_days_are_summarised_alone():
    rng = np.random.default_rng(0)
    days = [rng.normal(size=(30, 2)).astype(np.float32) for _ in range(4)]
    found = merge([summarise(day) for day in days]).days([1, 3])
    assert_same(found, merge([summarise(days[1]), summarise(days[3])]))


@pytest.mark.parametrize("q", [0.0, 0.005, 0.1, 0.5, 0.9, 0.995, 1.0])
def test_quantiles_are_within_a_bin_of_the_exact_ones(q):
    rng = np.random.default_rng(0)
    days = [
        rng.gamma(2, 3, size=(1440, 4)).astype(np.float32) + 1000 * day
        for day in range(3)
    ]
    statistics = merge([summarise(day) for day in days])
    exact = np.quantile(np.concatenate(days).astype(np.float64), q, axis=0)
    # An inner bin is 8 of a day's standard deviations / 62 wide, a tail bin at most
    # the day's range.
    widths = statistics.highs - statistics.lows
    bound = widths.max() / (BINS - 2)
    if 0.01 < q < 0.99:
        assert np.abs(statistics.quantile(q) - exact).max() <= bound
    else:
        ranges = statistics.maxima - statistics.minima
        assert np.abs(statistics.quantile(q) - exact).max() <= ranges.max()
    if q in (0.0, 1.0):
        np.testing.assert_allclose(statistics.quantile(q), exact, rtol=1e-9)


def test_an_outlier_blurs_the_quantiles_by_its_day_at_most():
    rng = np.random.default_rng(0)
    days = [rng.normal(size=(1440, 1)).astype(np.float32) for _ in range(20)]
    days[7][3] = 1e9
    found = merge([summarise(day) for day in days]).quantile(0.9)[0]
    rows = np.concatenate(days).astype(np.float64)
    assert np.quantile(rows, 0.9 - 1 / 20) <= found <= np.quantile(rows, 0.9 + 1 / 20)


def test_silent_and_constant_columns_are_told_apart():
    values = np.array([[np.nan, 5.0]] * 4, np.float32)
    found = summarise(values)
    assert np.isnan([found.mean[0], found.std[0], found.quantile(0.5)[0]]).all()
    assert np.isnan([found.minimum[0], found.maximum[0]]).all()
    assert (found.mean[1], found.std[1], found.quantile(0.5)[1]) == (5, 0, 5)


def test_a_huge_offset_does_not_swallow_the_spread():
    rng = np.random.default_rng(0)
    wide = 1e6 + rng.integers(0, 8, size=(1000, 1))
    found = summarise(wide.astype(np.float32))
    assert found.std[0] == pytest.approx(wide.std(), rel=1e-9)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_other_content_is_refused(content):
    with pytest.raises(CorruptionError, match="not a statistics file"):
        Statistics.from_bytes(content)


def test_a_pickle_inside_is_refused():
    import io

    buffer = io.BytesIO()
    np.savez(buffer, counts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CorruptionError, match="not a statistics file"):
        Statistics.from_bytes(buffer.getvalue())
