"""Statistics: what a day's summary says, and that days merge without reading again."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from naive import naive_moments, naive_quantile

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


@pytest.mark.slow
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


@pytest.mark.slow
@given(st.lists(DAYS, min_size=2, max_size=5), st.data())
def test_the_grouping_of_a_merge_does_not_matter(days, data):
    parts = [summarise(day) for day in days]
    cut = data.draw(st.integers(1, len(days) - 1))
    grouped = merge([merge(parts[:cut]), merge(parts[cut:])])
    assert_same(grouped, merge(parts))


@pytest.mark.slow
@given(st.lists(DAYS, min_size=1, max_size=3))
def test_bytes_bring_back_the_same_and_are_the_same(days):
    statistics = merge([summarise(day) for day in days])
    content = statistics.as_bytes()
    assert content == statistics.as_bytes()
    assert_same(Statistics.from_bytes(content), statistics)


def test_bytes_do_not_tell_when_they_were_made():
    content = summarise(np.ones((3, 2), np.float32)).as_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


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
    buffer = io.BytesIO()
    np.savez(buffer, counts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CorruptionError, match="not a statistics file"):
        Statistics.from_bytes(buffer.getvalue())


# Every column has its own scale, from a few values over a huge offset to a wide spread.
ANY_DAY = st.tuples(
    st.sampled_from([0.0, 1e9, -3e4]), st.sampled_from([1e-30, 1e-3, 1.0, 1e30])
).flatmap(
    lambda scale: hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 40), st.just(1)),
        elements=st.floats(-1, 1, width=32).map(
            lambda value: float(np.float32(scale[0] + scale[1] * value))
        )
        | st.just(float("nan")),
    )
)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(ANY_DAY, min_size=1, max_size=4), st.floats(0, 1))
@example([np.array([[1e30], [-1e30], [0.0]], np.float32)], 0.5)
@example([np.array([[0.1]] * 7, np.float32), np.array([[0.1]] * 3, np.float32)], 0.3)
@example([np.array([[0.0]] * 39 + [[1.0]], np.float32)], 0.98)
def test_quantiles_are_off_by_the_widest_bin_in_use_at_most(days, q):
    statistics = merge([summarise(day) for day in days])
    rows = np.concatenate(days)[:, 0].tolist()
    expected = naive_quantile(rows, q)
    found = statistics.quantile(q)[0]
    if not statistics.count[0]:
        assert np.isnan(found)
        return
    widths = [
        naive_bin_width(statistics, day, number)
        for day, counts in enumerate(statistics.histograms[:, :, 0])
        for number in np.flatnonzero(counts)
    ]
    rounding = 1e-9 * (1e-30 + max(abs(value) for value in rows if value == value))
    assert abs(found - expected) <= max(widths) + rounding
    assert statistics.minimum[0] <= found <= statistics.maximum[0]


def naive_bin_width(statistics, day, number):
    low, high = statistics.lows[day, 0], statistics.highs[day, 0]
    if number == 0:
        return low - statistics.minima[day, 0]
    if number == BINS - 1:
        return statistics.maxima[day, 0] - high
    return (high - low) / (BINS - 2)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(ANY_DAY, min_size=1, max_size=4))
def test_quantiles_rise_from_the_smallest_to_the_largest(days):
    statistics = merge([summarise(day) for day in days])
    found = [statistics.quantile(q)[0] for q in (0, 0.2, 0.5, 0.8, 1)]
    if statistics.count[0]:
        assert found == sorted(found)
        smallest, largest = statistics.minimum[0], statistics.maximum[0]
        halved = (largest - smallest) * 1e-15
        assert found[0] - smallest <= halved
        assert largest - found[-1] <= halved


@pytest.mark.parametrize("rows, columns", [(0, 3), (5, 0), (0, 0), (1, 1), (1, 300)])
def test_a_day_may_have_no_rows_or_any_number_of_columns(rows, columns):
    found = summarise(np.full((rows, columns), 2.5, np.float32))
    assert found.count.tolist() == [rows] * columns
    assert found.histograms.shape == (1, BINS, columns)
    expected = 2.5 if rows else np.nan
    for name in ("mean", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(found, name), [expected] * columns)
    np.testing.assert_array_equal(found.quantile(0.5), [expected] * columns)
    assert_same(Statistics.from_bytes(found.as_bytes()), found)


def test_no_days_at_all_observe_nothing():
    found = summarise(np.ones((4, 2), np.float32)).days([])
    assert found.count.tolist() == found.missing.tolist() == [0, 0]
    for values in (found.mean, found.std, found.minimum, found.quantile(0.5)):
        assert np.isnan(values).all()


def test_a_silent_day_changes_nothing_but_what_is_missing():
    rng = np.random.default_rng(0)
    day = summarise(rng.normal(size=(100, 2)).astype(np.float32))
    silent = summarise(np.full((30, 2), np.nan, np.float32))
    found = merge([silent, day, silent])
    assert found.missing.tolist() == [60, 60]
    assert found.count.tolist() == day.count.tolist()
    for name in ("mean", "std", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(found, name), getattr(day, name))
    for q in (0, 0.3, 1):
        np.testing.assert_array_equal(found.quantile(q), day.quantile(q))


def test_columns_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 300)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    filled = rng.random(values.shape) < 0.1
    whole = summarise(values, filled)
    for column in (0, 255, 256, 299):
        only = [column]
        alone = summarise(values[:, only], filled[:, only])
        for name in ("count", "missing", "minimum", "maximum"):
            assert getattr(whole, name)[column] == getattr(alone, name)[0]
        for name in ("mean", "std"):
            found, expected = getattr(whole, name)[column], getattr(alone, name)[0]
            assert found == pytest.approx(expected, rel=1e-12)
        assert whole.quantile(0.5)[column] == pytest.approx(alone.quantile(0.5)[0])


@given(DAYS, st.data())
def test_a_filled_cell_is_as_good_as_a_missing_one(day, data):
    filled = data.draw(hnp.arrays(np.bool_, day.shape))
    blank = np.where(filled, np.float32(np.nan), day)
    assert_same(summarise(day, filled), summarise(blank))


def test_values_of_all_magnitudes_are_summarised_without_overflow():
    values = np.array([[3e38], [-3e38], [1e-45], [0.0]], np.float32)
    found = summarise(values)
    assert np.isfinite([found.mean[0], found.std[0], found.quantile(0.5)[0]]).all()


@pytest.mark.slow
def test_a_damaged_file_is_refused_or_harmless():
    statistics = summarise(np.ones((3, 2), np.float32))
    content = statistics.as_bytes()
    for size in range(0, len(content), 7):
        with pytest.raises(CorruptionError, match="^not a statistics file: "):
            Statistics.from_bytes(content[:size])
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x81
        try:
            found = Statistics.from_bytes(bytes(damaged))
        except CorruptionError as error:
            assert "\n" not in str(error)
        else:
            assert_same(found, statistics)  # it was a date or the like
