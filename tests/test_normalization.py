"""Scaling columns: from training statistics alone, never dividing by zero."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from echoanom.errors import DatasetError, OptionError
from echoanom.normalization import Normalization, fit_normalization
from echoanom.statistics import merge, summarise

RNG = np.random.default_rng(0)
ROWS = RNG.gamma(2.0, 3.0, size=(2000, 3)).astype(np.float32) + np.float32(50)
STATISTICS = merge([summarise(ROWS[:1000]), summarise(ROWS[1000:])])


def test_range_maps_smallest_and_largest_to_0_and_1():
    found = fit_normalization(STATISTICS, "range").apply(ROWS)
    np.testing.assert_allclose(found.min(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.max(axis=0), 1, atol=1e-6)


def test_standard_gives_mean_0_and_deviation_1():
    found = fit_normalization(STATISTICS, "standard").apply(ROWS)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)


def test_robust_maps_the_middle_99_percent_whatever_the_extremes_are():
    spoiled = ROWS.copy()
    spoiled[0] = 1e6
    statistics = merge([summarise(spoiled[i : i + 100]) for i in range(0, 2000, 100)])
    found = fit_normalization(statistics, "robust").apply(ROWS)
    inside = ((found >= 0) & (found <= 1)).mean(axis=0)
    np.testing.assert_allclose(inside, 0.99, atol=0.006)


def test_an_unknown_kind_is_refused():
    with pytest.raises(OptionError, match="must be one of range, standard, robust"):
        fit_normalization(STATISTICS, "minmax")


@pytest.mark.parametrize("kind", ["range", "standard", "robust"])
def test_a_column_that_spreads_too_far_is_refused_by_its_number(kind):
    rows = np.zeros((50, 2), np.float32)
    rows[::2, 1], rows[1::2, 1] = -3e38, 3e38
    with pytest.raises(DatasetError, match=r"column 1 .* from -3e\+38 to 3e\+38"):
        fit_normalization(summarise(rows), kind)


@pytest.mark.parametrize("kind", ["range", "standard", "robust"])
def test_constant_and_silent_columns_stay_finite(kind):
    rows = np.stack([np.full(50, 7.5), np.full(50, np.nan)], axis=1).astype(np.float32)
    normalization = fit_normalization(summarise(rows), kind)
    assert normalization.scale.tolist() == [1, 1]
    found = normalization.apply(np.array([[7.5, 3.0], [8.5, np.nan]], np.float32))
    assert found.tolist() == [[0, 3], [1, 0]]


def test_a_missing_cell_becomes_the_mean():
    normalization = fit_normalization(STATISTICS, "range")
    found = normalization.apply(np.full((1, 3), np.nan, np.float32))
    expected = normalization.apply(ROWS.mean(axis=0, keepdims=True, dtype=np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_inverting_gives_the_values_back():
    for kind in ("range", "standard", "robust"):
        normalization = fit_normalization(STATISTICS, kind)
        found = normalization.invert(normalization.apply(ROWS))
        np.testing.assert_allclose(found, ROWS, rtol=1e-6)


def test_directions_are_scaled_by_the_circle_whatever_occurred():
    directions = np.array([False, True, False])
    found = fit_normalization(STATISTICS, "range", directions)
    assert (found.offset[1], found.scale[1], found.fill[1]) == (0, 360, 0.5)
    assert found.turns(directions) == [0, 1, 0]
    standard = fit_normalization(STATISTICS, "standard", directions)
    angles = np.array([[50, angle, 50] for angle in range(360)], np.float32)
    scaled = standard.apply(angles)[:, 1]
    assert abs(scaled.mean()) < 0.01
    assert abs(scaled.std() - 1) < 0.01
    plain = fit_normalization(STATISTICS, "range")
    np.testing.assert_array_equal(found.scale[[0, 2]], plain.scale[[0, 2]])


def test_json_brings_back_the_same_numbers():
    for kind in ("range", "standard", "robust"):
        normalization = fit_normalization(STATISTICS, kind)
        text = json.dumps(normalization.as_json(), allow_nan=False)
        again = Normalization.from_json(json.loads(text))
        assert again.kind == kind
        for name in ("offset", "scale", "fill"):
            expected = getattr(normalization, name)
            assert getattr(again, name).tobytes() == expected.tobytes()


KINDS = ["range", "standard", "robust"]

# A column of any offset and spread: constant, silent, tiny over a huge offset.
COLUMNS = st.tuples(
    st.sampled_from([0.0, 1.0, -1e9, 3e-39]), st.sampled_from([0.0, 1e-40, 1e-3, 1e30])
).flatmap(
    lambda scale: hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 30), st.just(1)),
        elements=st.floats(-1, 1, width=32).map(
            lambda value: float(np.float32(scale[0] + scale[1] * value))
        )
        | st.just(float("nan")),
    )
)


@pytest.mark.slow
@settings(max_examples=200)
@given(COLUMNS, st.sampled_from(KINDS))
@example(np.full((3, 1), -1e9, np.float32), "standard")
@example(np.array([[0.1]] * 9, np.float32), "robust")
@example(np.array([[0.0], [1e-45]], np.float32), "range")
@example(np.array([[1.0], [1.0000001]], np.float32), "range")
@example(np.empty((0, 1), np.float32), "range")
def test_no_column_divides_by_zero_or_leaves_a_cell_missing(rows, kind):
    found = fit_normalization(summarise(rows), kind)
    assert (found.scale > 0).all()
    for name in ("offset", "scale", "fill"):
        array = getattr(found, name)
        assert array.dtype == np.float32
        assert array.shape == (1,)
        assert np.isfinite(array).all()
    normalised = found.apply(rows)
    assert normalised.dtype == np.float32
    assert np.isfinite(normalised).all()


@pytest.mark.slow
@settings(max_examples=200)
@given(COLUMNS)
def test_range_leaves_no_training_value_outside(rows):
    seen = rows[~np.isnan(rows)]
    normalised = fit_normalization(summarise(rows), "range").apply(rows)
    if len(seen):
        assert -1e-6 <= normalised.min() <= normalised.max() <= 1 + 1e-6


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, -1e3, 1e6])
def test_a_change_of_unit_changes_nothing(factor, offset):
    changed = (ROWS * np.float64(factor) + offset * factor).astype(np.float32)
    for kind in KINDS:
        found = fit_normalization(summarise(changed), kind).apply(changed)
        plain = fit_normalization(summarise(ROWS), kind).apply(ROWS)
        np.testing.assert_allclose(found, plain, atol=0.03 if offset else 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 5, 3), (3,)])
def test_any_number_of_axes_is_scaled_along_the_last(kind, shape):
    normalization = fit_normalization(STATISTICS, kind)
    values = np.resize(ROWS, shape)
    found = normalization.apply(values)
    assert found.shape == shape
    flat = normalization.apply(values.reshape(-1, 3))
    np.testing.assert_array_equal(found.reshape(-1, 3), flat)


def test_the_values_given_are_left_alone():
    values = ROWS[:5].copy()
    values[0, 0] = np.nan
    before = values.copy()
    fit_normalization(STATISTICS, "range").apply(values)
    np.testing.assert_array_equal(values, before)


def test_nothing_is_clipped():
    found = fit_normalization(STATISTICS, "range").apply(ROWS[:1] * 0 + 1e4)
    assert (found > 10).all()


@given(COLUMNS, st.sampled_from(KINDS))
def test_memory_that_is_there_takes_the_same_bits(rows, kind):
    normalization = fit_normalization(summarise(rows), kind)
    out = np.full_like(rows, 7)
    normalization.apply_to(rows, ~np.isnan(rows), out)
    assert out.tobytes() == normalization.apply(rows).tobytes()


def test_no_directions_is_the_same_as_none_given():
    none = np.zeros(3, np.bool_)
    for kind in KINDS:
        plain = fit_normalization(STATISTICS, kind).as_json()
        assert fit_normalization(STATISTICS, kind, none).as_json() == plain


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angle", [np.nan, 7.0])
def test_a_direction_that_never_changed_is_scaled_by_the_circle_too(kind, angle):
    rows = np.full((10, 1), angle, np.float32)
    found = fit_normalization(summarise(rows), kind, np.array([True]))
    assert found.turns(np.array([True]))[0] == pytest.approx(
        np.sqrt(12) if kind == "standard" else 1
    )
    assert found.fill[0] == (0 if kind == "standard" else 0.5)


@given(
    hnp.arrays(np.float32, 4, elements=st.floats(width=32, allow_nan=False)),
    st.sampled_from(KINDS),
)
def test_any_numbers_come_back_from_json_bit_for_bit(numbers, kind):
    finite = np.nan_to_num(numbers)
    text = json.dumps(Normalization(kind, finite, finite, finite).as_json())
    again = Normalization.from_json(json.loads(text))
    for name in ("offset", "scale", "fill"):
        assert getattr(again, name).tobytes() == finite.tobytes()
