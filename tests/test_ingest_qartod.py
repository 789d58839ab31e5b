"""Checks of QARTOD: what they find is what the manuals define, value by value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.columns import Column
from echoanom.errors import OptionError
from echoanom.ingest.qartod import context_of, judge, read_config, run_test

pytest.importorskip("ioos_qc")

SECOND = 1_000_000
Values = list[float]


def times_of(count: int, step_s: float = 60.0) -> np.ndarray:
    return (np.arange(count) * step_s * SECOND).astype(np.int64)


def run(name: str, values: Values, step_s: float = 60.0, **arguments: Any) -> list[int]:
    given_values = np.array(values, dtype=np.float64)
    return run_test(
        name, arguments, times_of(len(values), step_s), given_values
    ).tolist()


numbers = st.lists(st.integers(-20, 20).map(float), min_size=3, max_size=40)


@settings(deadline=None)
@given(numbers)
def test_gross_range_is_that_of_the_manual(values: Values) -> None:
    spans: dict[str, Any] = {"fail_span": [-15, 15], "suspect_span": [-10, 10]}
    expected = [4 if abs(v) > 15 else 3 if abs(v) > 10 else 1 for v in values]
    assert run("gross_range_test", values, **spans) == expected


@settings(deadline=None)
@given(numbers)
def test_spikes_are_far_from_the_mean_of_both_neighbours(values: Values) -> None:
    expected = [2]
    for before, value, behind in zip(values, values[1:], values[2:], strict=False):
        spike = abs(value - (before + behind) / 2)
        expected.append(4 if spike > 8 else 3 if spike > 4 else 1)
    found = run("spike_test", values, suspect_threshold=4, fail_threshold=8)
    assert found == [*expected, 2]


@settings(deadline=None)
@given(numbers, st.sampled_from([0.25, 1.5, 60.0]))
def test_the_rate_of_change_is_per_second_however_short_the_steps(
    values: Values, step_s: float
) -> None:
    expected = [1]
    for before, value in zip(values, values[1:], strict=False):
        # A quarter more or less: no threshold is met exactly.
        step = abs(value - before)
        expected.append(4 if step > 8.25 else 3 if step > 4.25 else 1)
    thresholds = {"threshold": 4.25 / step_s, "fail_threshold": 8.25 / step_s}
    assert run("rate_of_change_test", values, step_s, **thresholds) == expected


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), min_size=3, max_size=40),
    st.sampled_from([0.5, 60.0]),
)
def test_a_flat_line_has_not_changed_for_so_long(values: Values, step_s: float) -> None:
    def flat(at: int, steps: int) -> bool:
        return at >= steps and len(set(values[at - steps : at + 1])) == 1

    expected = [4 if flat(i, 5) else 3 if flat(i, 3) else 1 for i in range(len(values))]
    found = run(
        "flat_line_test",
        values,
        step_s,
        suspect_threshold=3 * step_s,
        fail_threshold=5 * step_s,
        tolerance=0.1,
    )
    assert found == expected


def test_samples_further_apart_than_the_window_are_not_called_flat() -> None:
    windows = {"suspect_threshold": 600, "fail_threshold": 1200, "tolerance": 0.1}
    assert run("flat_line_test", [1.0, 2.0, 3.0, 9.0], 3600.0, **windows) == [2] * 4


def test_climatology_depends_on_the_season() -> None:
    config = [
        {"vspan": [0, 10], "fspan": [-5, 15], "tspan": [1, 2], "period": "month"},
        {"vspan": [10, 20], "tspan": [3, 12], "period": "month"},
    ]
    # In January, and not in February.
    assert run("climatology_test", [5.0, 12.0, 17.0], config=config) == [1, 3, 4]


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def read(tests: Any, name: str = "qc.json") -> Any:
        path = tmp_path / name
        path.write_text(tests if isinstance(tests, str) else json.dumps(tests))
        return read_config(str(path))

    return read


GROSS = {"gross_range_test": {"fail_span": [0, 10]}}
SPIKE = {"spike_test": {"suspect_threshold": 2, "fail_threshold": 4}}


def judged(config: Any, values: Values) -> tuple[list[float], list[tuple[Any, ...]]]:
    column = Column("a", "")
    cells = np.array(values, dtype=np.float64)[:, np.newaxis]
    result = judge(config, [column], times_of(len(values)), cells)
    flags = [(f.time_us // SECOND // 60, f.value, f.flag, f.test) for f in result.flags]
    return result.values[:, 0].tolist(), flags


def test_what_fails_becomes_missing_and_what_is_suspect_stays(config: Any) -> None:
    values, flags = judged(config({"a": {"qartod": SPIKE}}), [1, 1, 4, 1, 1, 9, 1])
    np.testing.assert_array_equal(values, [1, 1, 4, 1, 1, np.nan, 1])
    # The value before a spike is itself off the mean of its neighbours, by 4.
    assert flags == [
        (2, 4.0, 3, "spike_test"),
        (4, 1.0, 3, "spike_test"),
        (5, 9.0, 4, "spike_test"),
    ]


def test_a_value_out_of_range_makes_no_spikes_of_its_neighbours(config: Any) -> None:
    values, flags = judged(
        config({"a": {"qartod": {**SPIKE, **GROSS}}}), [1, 1, 1, 99, 1, 1, 1]
    )
    np.testing.assert_array_equal(values, [1, 1, 1, np.nan, 1, 1, 1])
    assert flags == [(3, 99.0, 4, "gross_range_test")]


def test_neighbours_are_the_observed_values(config: Any) -> None:
    nan = np.nan
    values, _ = judged(config({"a": {"qartod": SPIKE}}), [1, nan, 1, nan, 9, nan, 1, 1])
    np.testing.assert_array_equal(values, [1, nan, 1, nan, nan, nan, 1, 1])


def test_a_column_without_tests_is_left_alone(config: Any) -> None:
    values, flags = judged(config({"b": {"qartod": GROSS}}), [1, 99])
    assert (values, flags) == ([1, 99], [])


def test_nothing_observed_is_nothing_judged(config: Any) -> None:
    tests = config({"a": {"qartod": {**GROSS, **SPIKE}}})
    values, flags = judged(tests, [np.nan] * 3)
    assert np.isnan(values).all() and flags == []
    assert judged(tests, []) == ([], [])


def test_toml_and_streams_say_the_same_as_json(config: Any) -> None:
    plain = config({"a": {"qartod": GROSS}})
    toml = "[a.qartod.gross_range_test]\nfail_span = [0, 10]\n"
    assert config(toml, "qc.toml") == plain
    assert config({"streams": {"a": {"qartod": GROSS}}}) == plain
    assert config({"contexts": [{"streams": {"a": {"qartod": GROSS}}}]}) == plain


def test_the_context_covers_twice_the_longest_window(config: Any) -> None:
    assert context_of(config({"a": {"qartod": GROSS}})) == 6 * 3600
    windows = {"suspect_threshold": 60, "fail_threshold": 40_000}
    tests = config({"a": {"qartod": {"flat_line_test": {**windows, "tolerance": 1}}}})
    assert context_of(tests) == 80_000


WRONG = {
    "no JSON": ("{", "must be JSON"),
    "a list": ([], "must be like"),
    "nothing": ({}, "must be like"),
    "another module": ({"a": {"argo": {}}}, '"qartod" alone'),
    "another test": ({"a": {"qartod": {"tide_test": {}}}}, "got tide_test"),
    "no arguments": ({"a": {"qartod": {"spike_test": None}}}, "must have arguments"),
    "another argument": (
        {"a": {"qartod": {"gross_range_test": {"span": [0, 1]}}}},
        "gross_range_test cannot be made",
    ),
    "a span of three": (
        {"a": {"qartod": {"gross_range_test": {"fail_span": [0, 1, 2]}}}},
        "gross_range_test cannot be made",
    ),
    "a wider suspect span": (
        {
            "a": {
                "qartod": {
                    "gross_range_test": {"fail_span": [0, 1], "suspect_span": [0, 9]}
                }
            }
        },
        "must fall within",
    ),
    "words for numbers": (
        {"a": {"qartod": {"rate_of_change_test": {"threshold": "high"}}}},
        "rate_of_change_test cannot be made",
    ),
    "a spike without threshold": (
        {"a": {"qartod": {"spike_test": {}}}},
        "fail_threshold is missing",
    ),
    "no window": (
        {
            "a": {
                "qartod": {
                    "attenuated_signal_test": {
                        "suspect_threshold": 1,
                        "fail_threshold": 0,
                    }
                }
            }
        },
        "test_period is missing",
    ),
    "a spike of a direction": (
        {"wind_dir": {"qartod": SPIKE}},
        "wind_dir goes round",
    ),
    "two contexts": ({"contexts": [{}, {}]}, "one context"),
    "a window of time": (
        {"contexts": [{"window": {}, "streams": {"a": {"qartod": GROSS}}}]},
        "streams alone, got window",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_checks_are_refused_by_name(config: Any, name: str) -> None:
    tests, part = WRONG[name]
    with pytest.raises(OptionError) as caught:
        config(tests)
    assert part in str(caught.value)
    assert "qc.json" in str(caught.value)


def test_a_file_of_checks_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="qc must be a file"):
        read_config(str(tmp_path / "none.json"))
