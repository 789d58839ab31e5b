"""Principal components: those of a plain singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from echoanom.principal import EXPLAINED, MOST, Covariance, Principal, of_samples, width


def samples(count: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    """Return samples that differ more in some directions than in others."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, dimensions)) * 2.0 ** -np.arange(dimensions)
    turn = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    return np.asarray(mixed @ turn + 3, dtype=np.float32)


def by_svd(
    given: NDArray[np.float32], components: int
) -> tuple[NDArray[np.float64], float]:
    """Return the projector on the first components, and what they explain."""
    centred = given.astype(np.float64) - given.mean(axis=0, dtype=np.float64)
    _, s, rows = np.linalg.svd(centred, full_matrices=False)
    rows = rows[:components]
    return rows.T @ rows, float((s[:components] ** 2).sum() / (s**2).sum())


def in_parts(given: NDArray[np.float32], components: int | None) -> Principal:
    covariance = Covariance(given.shape[1])
    for begin in range(0, len(given), 7):
        covariance.add(given[begin : begin + 7])
    return covariance.principal(components)


@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 5), st.integers(0, 99))
def test_components_are_those_of_a_singular_value_decomposition(
    count: int, dimensions: int, components: int, seed: int
) -> None:
    given = samples(count, dimensions, seed)
    components = min(components, dimensions, count - 1)
    expected, explained = by_svd(given, components)
    for found in (in_parts(given, components), of_samples(given.copy(), components)):
        directions = found.directions
        np.testing.assert_allclose(directions @ directions.T, expected, atol=2e-3)
        np.testing.assert_allclose(found.mean, given.mean(axis=0), rtol=1e-5)
        assert found.kept == components
        assert found.explained == pytest.approx(explained, abs=1e-5)


def test_left_open_there_are_as_many_as_explain_enough_and_no_more() -> None:
    given = samples(60, 10)
    found = of_samples(given.copy(), None)
    assert found.explained >= EXPLAINED > by_svd(given, found.kept - 1)[1]
    assert found.directions.shape == (10, width(10, None)) == (10, 10)
    noise = np.random.default_rng(1).normal(size=(300, 200)).astype(np.float32)
    found = of_samples(noise, None)
    assert found.kept == MOST and found.explained < EXPLAINED


@pytest.mark.parametrize("count, dimensions", [(4, 9), (9, 4)])
def test_of_samples_that_are_all_alike_there_is_the_mean_alone(
    count: int, dimensions: int
) -> None:
    found = of_samples(np.full((count, dimensions), 2.5, np.float32), 3)
    assert found.kept == 0 and found.explained == 1
    np.testing.assert_array_equal(found.mean, 2.5)
    np.testing.assert_array_equal(found.directions, np.zeros((dimensions, 3)))


def test_fewer_samples_than_components_leave_the_rest_at_0() -> None:
    found = of_samples(samples(3, 8), 6)
    assert found.kept == 2
    assert not found.directions[:, 2:].any()
