"""What in samples is no sound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.ingest.faultysound import (
    count_clipped,
    runs_of_no_number,
    runs_of_same,
    touched,
)


def naive_runs(values, least):
    """Go through the samples one by one."""
    runs, place = [], 0
    for _, group in itertools.groupby(values):
        length = len(list(group))
        if length >= least:
            runs.append([place, place + length])
        place += length
    return runs


@settings(deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.5, -0.25]), max_size=60),
    least=st.integers(2, 9),
)
def test_runs_of_one_value_are_found_wherever_they_lie(values, least):
    found = runs_of_same(np.array(values, dtype=float), least)

    assert found.tolist() == naive_runs(values, least)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, np.nan, np.inf, -np.inf, -1e308, 1e14]), max_size=30)
)
def test_what_is_no_number_is_found(values):
    found = runs_of_no_number(np.array(values, dtype=float))

    inside = {i for start, stop in found for i in range(start, stop)}
    assert inside == {i for i, value in enumerate(values) if not abs(value) < 1e15}


def test_a_stretch_is_touched_by_a_run_that_shares_a_sample():
    runs = np.array([[10, 20]])

    assert touched(runs, 19, 30) and touched(runs, 0, 11) and touched(runs, 12, 13)
    assert not touched(runs, 20, 30) and not touched(runs, 0, 10)


@pytest.mark.parametrize(("bits", "clipped"), [(8, 3), (16, 3), (24, 3)])
def test_both_ends_of_integers_are_full_scale(bits, clipped):
    top = 2 ** (bits - 1)
    samples = np.array([-top, -top + 1, -top + 2, 0, top - 2, top - 1]) / top

    assert count_clipped(samples, 1 / top) == clipped


def test_floats_are_at_full_scale_from_one_on():
    assert count_clipped(np.array([0.9999, 1.0, -1.0, 1.7, -0.5]), 0.0) == 3
