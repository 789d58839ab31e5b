from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_events, naive_exceedances

from echoanom.errors import OptionError, ScoresError
from echoanom.options import EventOptions
from echoanom.rules import Rule, parse_rule
from echoanom.thresholds import Calibration, threshold

SCORES = np.random.default_rng(3).exponential(size=20_000)
CALIBRATION = Calibration.from_scores(SCORES)

scores_lists = st.lists(
    st.floats(0, 1e6, allow_subnormal=False, width=32), min_size=1, max_size=60
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("mean+2std", Rule("mean", 2.0)),
        (" mean+2.5std ", Rule("mean", 2.5)),
        ("quantile:0.999", Rule("quantile", 0.999)),
        ("mad:6", Rule("mad", 6.0)),
        ("pot:1e-4", Rule("pot", 1e-4)),
        ("alarms:1", Rule("alarms", 1.0)),
        ("0.25", Rule("number", 0.25)),
        ("-1", Rule("number", -1.0)),
    ],
)
def test_every_form_of_rule_is_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "std", "mean+std", "mean-2std", "mean+2", "quantile", "mad:", "pot:x", "nan"],
)
def test_what_is_no_rule_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(OptionError, match=r"mean\+<k>std, quantile:<q>, mad:<k>"):
        parse_rule(text)


@pytest.mark.parametrize(
    "text",
    ["mean+-1std", "mad:-3", "quantile:1.5", "quantile:-0.1", "pot:0", "pot:1"]
    + ["alarms:0", "alarms:-1"],
)
def test_a_parameter_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="must be"):
        parse_rule(text)


def test_mean_and_mad_rules_compute_what_they_say() -> None:
    calibration = Calibration.from_scores([0.0, 1.0, 2.0, 3.0, 10.0])
    assert threshold("mean+2std", calibration) == pytest.approx(
        3.2 + 2 * np.std([0, 1, 2, 3, 10])
    )
    assert threshold("mad:2", calibration) == pytest.approx(2 + 2 * 1.4826 * 1)


def test_high_quantiles_are_exact_and_others_close() -> None:
    for q in (0.98, 0.985, 0.999, 0.9999, 0.99999, 1.0):
        assert threshold(f"quantile:{q}", CALIBRATION) == pytest.approx(
            np.quantile(SCORES, q), rel=1e-12
        )
    for q in (0.0, 0.25, 0.555, 0.97):
        assert threshold(f"quantile:{q}", CALIBRATION) == pytest.approx(
            np.quantile(SCORES, q), rel=0.01
        )


@given(scores_lists, st.floats(0, 1))
def test_quantiles_of_few_scores_are_exact(scores: list[float], q: float) -> None:
    assert Calibration.from_scores(scores).quantile(q) == pytest.approx(
        np.quantile(np.array(scores), q), rel=1e-9, abs=1e-9
    )


@given(scores_lists, st.floats(0, 1))
@settings(max_examples=60)
def test_at_most_the_rest_of_the_scores_exceeds_a_quantile(
    scores: list[float], q: float
) -> None:
    exceeding = naive_exceedances(scores, Calibration.from_scores(scores).quantile(q))
    assert exceeding <= math.ceil((1 - q) * (len(scores) - 1) + 1e-9)


def test_pot_finds_the_quantile_of_an_exponential_tail() -> None:
    # P(s > x) = exp(-x) is 1e-4 at 9.21, with one expected score in 10,000 above it.
    assert threshold("pot:1e-4", CALIBRATION) == pytest.approx(9.21, rel=0.1)


def test_pot_does_not_depend_on_the_unit_of_the_scores() -> None:
    small = threshold("pot:1e-5", Calibration.from_scores(SCORES * 1e-6))
    assert small * 1e6 == pytest.approx(threshold("pot:1e-5", CALIBRATION), rel=1e-3)


def test_pot_thresholds_rise_as_the_probability_falls() -> None:
    values = [threshold(f"pot:{p}", CALIBRATION) for p in ("1e-2", "1e-3", "1e-5")]
    assert values == sorted(values)
    assert naive_exceedances(SCORES.tolist(), values[0]) == pytest.approx(200, rel=0.1)


def test_pot_starts_later_when_only_part_of_the_tail_is_kept() -> None:
    many = np.random.default_rng(4).exponential(size=1_200_000)
    calibration = Calibration.from_scores(many)
    assert len(calibration.tail) == 20_000
    assert threshold("pot:1e-5", calibration) == pytest.approx(11.51, rel=0.05)


def test_pot_with_too_few_exceedances_says_how_many_there_are() -> None:
    with pytest.raises(ScoresError, match="at least 20 scores.* but 2 of 100"):
        threshold("pot:1e-4", Calibration.from_scores(np.arange(100.0)))


def test_pot_with_a_probability_inside_the_bulk_is_refused() -> None:
    # 98 % equal, 1 % above: the tail that is fitted holds 1 % of the scores.
    scores = np.concatenate([np.zeros(9900), 1 + np.arange(100.0)])
    with pytest.raises(ScoresError, match="p below 0.01"):
        threshold("pot:0.015", Calibration.from_scores(scores))


@pytest.mark.parametrize("rule", ["mean+2std", "quantile:0.9", "mad:6", "pot:1e-4"])
def test_constant_scores_give_no_threshold_but_a_number(rule: str) -> None:
    calibration = Calibration.from_scores(np.full(3000, 0.1))
    assert (calibration.mean, calibration.std) == (0.1, 0.0)
    with pytest.raises(ScoresError, match="all 3000 are 0.1; give a number"):
        threshold(rule, calibration)
    assert threshold("0.2", calibration) == 0.2


def test_mad_of_scores_that_are_mostly_equal_is_refused() -> None:
    with pytest.raises(ScoresError, match="half of the scores are 1"):
        threshold("mad:6", Calibration.from_scores([1.0, 1.0, 1.0, 2.0]))


def test_a_rule_without_calibration_is_refused_and_a_number_is_not() -> None:
    assert threshold("3", None) == 3.0
    with pytest.raises(ScoresError, match="needs a calibration"):
        threshold("mean+2std", None)


def test_missing_scores_are_left_out_and_infinite_ones_refused() -> None:
    assert Calibration.from_scores([np.nan, 1.0, 3.0]).mean == 2.0
    with pytest.raises(ScoresError, match="at least one score"):
        Calibration.from_scores([np.nan])
    with pytest.raises(ScoresError, match="must be finite"):
        Calibration.from_scores([1.0, np.inf])


def test_scores_too_large_to_be_squared_are_refused() -> None:
    with pytest.raises(ScoresError, match="from -1e.308 to 1e.308 are too large"):
        Calibration.from_scores([-1e308, 1e308, 1.0])


@pytest.mark.parametrize("rule", ["mean+1e308std", "mad:1e308"])
def test_a_threshold_beyond_every_number_is_refused(rule: str) -> None:
    wide = Calibration.from_scores(100 * SCORES)
    with pytest.raises(ScoresError, match="must be a finite number.*is inf; ask"):
        threshold(rule, wide)


def test_alarms_are_those_of_the_days_held_back_merged_as_events_are() -> None:
    times = 60 * np.arange(len(SCORES))
    calibration = Calibration.from_scores(SCORES, times, 60)
    for gap in (0.0, 30.0):
        options = EventOptions(merge_gap_min=gap)
        value = threshold("alarms:2", calibration, options)
        expected = naive_events(times.tolist(), SCORES.tolist(), 60, value, gap, 1)
        assert len(expected) / (20_000 / 1440) == pytest.approx(2, rel=0.2)


def test_alarms_need_times_and_events_to_be_counted() -> None:
    with pytest.raises(ScoresError, match="train again, or use quantile"):
        threshold("alarms:1", CALIBRATION)
    short = Calibration.from_scores(SCORES[:50], 60 * np.arange(50), 60)
    with pytest.raises(ScoresError, match="at least 10 events.*0.0347 days"):
        threshold("alarms:1", short)


def test_missing_scores_leave_the_times_of_the_others_as_they_are() -> None:
    scores, times = [np.nan, 3.0, 1.0, np.nan, 2.0], 60 * np.arange(5)
    calibration = Calibration.from_scores(scores, times, 60)
    assert calibration.tail == (1.0, 2.0, 3.0) and calibration.times == (120, 240, 60)


@given(scores_lists)
def test_calibration_survives_json_exactly(scores: list[float]) -> None:
    calibration = Calibration.from_scores(scores, 60 * np.arange(len(scores)), 60)
    assert Calibration.from_json(json.loads(json.dumps(calibration.as_json()))) == (
        calibration
    )


def test_calibration_of_a_year_of_minutes_stays_small() -> None:
    scores = np.random.default_rng(5).exponential(size=525_600)
    times = 1_420_070_400 + 60 * np.arange(525_600)
    text = json.dumps(Calibration.from_scores(scores, times, 60).as_json())
    assert len(text) < 400_000


def test_a_calibration_of_an_earlier_version_is_read() -> None:
    values = CALIBRATION.as_json()
    del values["times"], values["period_s"]
    assert Calibration.from_json(values) == CALIBRATION


@pytest.mark.parametrize(
    "broken",
    [{"grid": [1.0]}, {"tail": []}, {"mean": "much"}, {"times": [1]}, {"times": "x"}],
)
def test_a_broken_calibration_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ScoresError, match="a calibration must have"):
        Calibration.from_json({**CALIBRATION.as_json(), **broken})
    with pytest.raises(ScoresError, match="a calibration must have"):
        Calibration.from_json({})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_calibration_with_a_number_that_is_none_is_refused(number: float) -> None:
    values = CALIBRATION.as_json()
    for broken in ({"mean": number}, {"grid": [number, *values["grid"][1:]]}):
        with pytest.raises(ScoresError, match="calibration must be finite"):
            Calibration.from_json({**values, **broken})
