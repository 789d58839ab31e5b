"""Rows are outliers as SKAB's published code finds them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def protocol() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import skab_protocol
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return skab_protocol


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(2, 6))
def test_a_row_is_an_outlier_if_all_windows_before_it_that_hold_it_are_unusual(
    protocol, windows, size
):
    rows = len(windows) + size - 1
    unusual = np.full(rows, np.nan)
    unusual[: len(windows)] = windows
    expected = np.zeros(rows, dtype=bool)
    for row in range(size - 1, len(windows) - size + 1):
        expected[row] = all(windows[row - size + 1 : row])
    np.testing.assert_array_equal(protocol.outliers(unusual, size), expected)


def test_rows_at_a_gap_are_judged_by_the_windows_that_there_are(protocol):
    # Two runs of 8 rows, windows of 3: none begins in the last two rows of a run.
    run = [1, 1, 1, 1, 1, 1, np.nan, np.nan]
    found = protocol.outliers(np.array(run + run), 3)
    assert np.flatnonzero(found).tolist() == [*range(2, 8), *range(9, 12)]


def test_the_threshold_lies_a_third_above_almost_all_windows_to_train_on(protocol):
    errors = np.arange(1001, dtype=np.float64)
    assert protocol.threshold(errors) == pytest.approx(4 / 3 * 999)


def test_the_published_rates_are_of_the_rows_of_all_files(protocol):
    first = protocol.Counts.of(
        np.array([True, True, False, False]), np.array([True, False, True, False])
    )
    total = protocol.Counts.total([first, protocol.Counts(2, 0, 0, 4)])
    assert total == protocol.Counts(right=3, false=1, missed=1, quiet=5)
    rates = total.rates()
    assert rates["f1"] == pytest.approx(6 / 8)
    assert rates["far"] == pytest.approx(100 / 6)
    assert rates["mar"] == pytest.approx(25)
