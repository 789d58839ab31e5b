from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naiveevaluation import naive_vus_pr

from echoanom.stretches import run_starts, stretches
from echoanom.vus import EVERY, Surface

REFERENCES = json.loads(
    (Path(__file__).parent / "data" / "evaluation" / "references.json").read_text()
)
CASES: list[dict[str, Any]] = REFERENCES["cases"]
FEW = [case for case in CASES if len(case["score"]) <= 120]


def volume(
    score: Any,
    spans: Any,
    buffer: int,
    thresholds: int = 250,
    starts: Any = (0,),
) -> float:
    surface = Surface(
        np.asarray(score, dtype=np.float64),
        np.asarray(spans, dtype=np.int64).reshape(-1, 2),
        np.asarray(starts, dtype=np.int64),
        buffer,
        thresholds,
    )
    return surface.volume(np.ones(len(score)), np.ones(len(spans)))


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_the_benchmark_computes(case: dict[str, Any]) -> None:
    assert REFERENCES["versions"]["TSB-AD"] == "1.5"
    found = volume(case["score"], case["marked"], case["buffer"])
    assert found == pytest.approx(case["vus_pr"], abs=1e-12)


def test_there_are_references_small_enough_for_the_slow_definition() -> None:
    assert len(FEW) >= 4


@pytest.mark.parametrize("case", FEW)
def test_from_aeon_it_differs_in_four_choices_and_nothing_else(
    case: dict[str, Any],
) -> None:
    # aeon takes the mean of two precisions for a step of recall, ends a buffer a row
    # earlier behind a label than before it, counts all of a buffer as known and not
    # only what was found of it, and joins labels whose buffers touch.
    spans, runs = [tuple(span) for span in case["marked"]], [0] * len(case["score"])
    theirs = naive_vus_pr(spans, runs, case["score"], case["buffer"], 250, aeon=True)
    assert theirs == pytest.approx(case["aeon_vus_pr"], abs=1e-12)
    ours = naive_vus_pr(spans, runs, case["score"], case["buffer"], 250)
    assert ours == pytest.approx(case["vus_pr"], abs=1e-12)


@st.composite
def records(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]], list[float]]:
    """Times with gaps, intervals that overlap some of them, and scores with ties."""
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 9]), min_size=2, max_size=22))
    times = np.cumsum(steps).tolist()
    starts = st.integers(0, times[-1])
    spans = draw(
        st.lists(
            st.tuples(starts, st.integers(1, 5)).map(lambda s: (s[0], s[0] + s[1])),
            min_size=1,
            max_size=4,
        )
    )
    scores = st.lists(st.integers(0, 6), min_size=len(times), max_size=len(times))
    return times, spans, [float(score) for score in draw(scores)]


@settings(deadline=None)
@given(records(), st.integers(0, 9), st.sampled_from([EVERY, 2, 7]))
def test_it_is_its_definition_on_rows_with_gaps(
    record: tuple[list[int], list[tuple[int, int]], list[float]],
    buffer: int,
    thresholds: int,
) -> None:
    times, intervals, score = np.array(record[0]), record[1], record[2]
    spans = stretches(times, 1, intervals)
    if not len(spans):
        return
    starts = run_starts(times, 1)
    runs = np.cumsum(np.isin(np.arange(len(times)), starts)).tolist()
    slow = naive_vus_pr(
        [tuple(span) for span in spans.tolist()], runs, score, buffer, thresholds
    )
    fast = volume(score, spans, buffer, thresholds, starts)
    assert fast == pytest.approx(slow, abs=1e-12)
    assert 0 <= fast <= 1 + 1e-12


def test_a_buffer_does_not_cross_a_gap() -> None:
    score = [0.0, 0.0, 0.0, 9.0, 0.0, 0.0]
    # The alarm is one row late: near, unless a gap parts it from the label.
    near = volume(score, [(2, 3)], 4, EVERY)
    apart = volume(score, [(2, 3)], 4, EVERY, starts=[0, 3])
    assert apart < near


def test_a_label_that_a_gap_cuts_is_one_to_be_found() -> None:
    score = [0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    whole = volume(score, [(1, 3)], 0, EVERY, starts=[0, 2])
    two = volume(score, [(1, 2), (2, 3)], 0, EVERY, starts=[0, 2])
    assert two < whole


@pytest.mark.parametrize("buffer", [0, 1, 20])
def test_perfect_scores_are_perfect_with_any_buffer(buffer: int) -> None:
    score = np.zeros(200)
    score[50:60] = 1
    assert volume(score, [(50, 60)], buffer, EVERY) == 1.0


def test_being_a_little_late_costs_less_the_larger_the_buffer_may_be() -> None:
    score = np.zeros(200)
    score[53:63] = 1
    found = [volume(score, [(50, 60)], buffer, EVERY) for buffer in (0, 10, 20, 40)]
    assert found == sorted(found) and found[0] < 0.6 < 0.8 < found[-1]


@given(
    st.lists(st.floats(-5, 5).map(lambda x: round(x, 1)), min_size=30, max_size=30),
    st.integers(0, 12),
)
def test_only_the_order_of_scores_matters(scores: list[float], buffer: int) -> None:
    spans = [(3, 5), (9, 10), (22, 25)]
    score = np.array(scores)
    assert volume(score, spans, buffer) == volume(np.exp(score) * 3, spans, buffer)


def test_scores_that_are_equal_reach_the_level_told_for_silence() -> None:
    spans = np.array([(3, 9), (14, 15), (60, 80)])
    for thresholds in (250, EVERY):
        surface = Surface(np.ones(100), spans, np.array([0, 40]), 30, thresholds)
        found = surface.volume(np.ones(100), np.ones(3))
        assert found == pytest.approx(surface.silent_volume(), abs=1e-12)


def test_a_row_of_weight_two_is_that_row_twice() -> None:
    random = np.random.default_rng(3)
    rows, spans = 60, np.array([(10, 14), (40, 43)])
    score = random.normal(size=rows)
    surface = Surface(score, spans, np.array([0, 30]), 8, EVERY)
    weights = np.repeat([2.0, 1.0], 30)
    twice = np.concatenate((score[:30], score))
    again = [(10, 14), (40, 44), (70, 73)]
    found = volume(twice, again, 8, EVERY, starts=[0, 30, 60])
    assert surface.volume(weights, np.array([2.0, 1.0])) == pytest.approx(found)


def test_without_weight_on_a_label_it_is_not_defined() -> None:
    surface = Surface(np.arange(9.0), np.array([(3, 5)]), np.array([0]), 2, EVERY)
    weights = np.ones(9)
    assert np.isnan(surface.volume(weights, np.zeros(1)))
    weights[3:5] = 0
    assert np.isnan(surface.volume(weights, np.ones(1)))
