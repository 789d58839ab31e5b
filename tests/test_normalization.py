"""Scaling columns: from training statistics alone, never dividing by zero."""

from __future__ import annotations

import json

import numpy as np
import pytest

from echoanom.errors import OptionError
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
