from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_kept

from echoanom.errors import ScoresError
from echoanom.pruning import prune

peaks_lists = st.lists(st.integers(4, 40), max_size=8).map(
    lambda peaks: sorted(map(float, peaks), reverse=True)
)
shares = st.sampled_from([0.0, 0.1, 0.13, 0.3, 0.9])


@given(peaks_lists, st.integers(0, 3), shares)
def test_as_many_are_kept_as_the_naive_way_keeps(
    peaks: list[float], normal: int, share: float
) -> None:
    assert prune(peaks, normal, share) == naive_kept(peaks, normal, share)


@given(peaks_lists, st.integers(0, 3))
def test_a_larger_share_keeps_no_more(peaks: list[float], normal: int) -> None:
    kept = [prune(peaks, normal, share) for share in (0.0, 0.1, 0.3, 0.9)]
    assert kept[0] == len(peaks) and kept == sorted(kept, reverse=True)


@given(peaks_lists, st.integers(0, 3), shares, st.integers(-9, 9))
def test_the_unit_of_the_scores_does_not_matter(
    peaks: list[float], normal: int, share: float, power: int
) -> None:
    scaled = [peak * 2.0**power for peak in peaks]
    assert prune(scaled, normal * 2.0**power, share) == prune(peaks, normal, share)


def test_everything_above_the_last_large_step_is_kept() -> None:
    # Steps of 50 %, 2 %, 10 % and 3 %.
    assert prune([100.0, 50.0, 49.0, 44.1], 42.8, 0.08) == 3
    assert prune([100.0, 50.0, 49.0, 44.1], 42.8, 0.13) == 1
    assert prune([100.0, 50.0, 49.0, 44.1], 42.8, 0.6) == 0


def test_scores_below_zero_have_no_shares() -> None:
    with pytest.raises(ScoresError, match="at least 0 to prune .*, got -1"):
        prune([1.0], -1.0, 0.1)
    assert prune([], -1.0, 0.1) == 0
