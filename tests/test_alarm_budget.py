"""What scores can find within a budget of false alarms."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from echoanom.events import Event
from echoanom.labels import Label
from echoanom.options import EventOptions
from echoanom.scores import ScoreTable

ROOT = Path(__file__).resolve().parent.parent
DAY_S = 86_400
NO_MERGING = EventOptions(merge_gap_min=0)


@pytest.fixture(scope="module")
def budget() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import alarm_budget
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return alarm_budget


def table(peaks: dict[int, float], days: int = 2) -> ScoreTable:
    """Rows a minute of low noise, and peaks at some of them."""
    rows = days * 1440
    score = np.random.default_rng(0).uniform(0, 0.1, rows)
    for row, height in peaks.items():
        score[row] = height
    none = np.full(rows, np.nan)
    return ScoreTable(np.arange(rows) * 60, score, none, np.ones(rows, dtype=np.int64))


def label(row: int, kind: str, sensor: str = "") -> Label:
    return Label(row * 60, (row + 10) * 60, sensor, kind)


def outage(kind: str, sensor: str, first: int, last: int) -> Event:
    return Event(
        *(1, first * 60, last * 60, first * 60, float("nan"), float("nan")),
        top_sensors=((sensor, 1.0),),
        kind=kind,  # type: ignore[arg-type]
    )


def test_the_threshold_is_lowered_as_far_as_the_budget_goes(budget):
    # From above: a find, a false alarm, a find, two more false alarms, a find.
    scores = table({100: 9, 1000: 8, 200: 7, 1100: 6, 1200: 5, 300: 4})
    labels = [label(100, "a"), label(200, "a"), label(300, "b")]
    found = {
        rate: budget.within_budget(scores, labels, NO_MERGING, rate)
        for rate in (0.0, 0.5, 1.0, 1.5)
    }
    assert [one["recall"] for one in found.values()] == [1 / 3, 2 / 3, 2 / 3, 1]
    alarms = [one["false_alarms_per_day"] for one in found.values()]
    assert alarms == [0, 0.5, 1, 1.5]
    assert found[0.5]["kinds"] == {
        "a": {"labels": 2, "found": 2},
        "b": {"labels": 1, "found": 0},
    }
    assert found[0.5]["threshold"] == 6


def test_scores_that_are_all_equal_find_nothing(budget):
    flat = table({})
    flat.score[:] = 1
    found = budget.within_budget(flat, [label(100, "a")], NO_MERGING, 1.0)
    assert found["recall"] == found["false_alarms_per_day"] == 0


def test_an_outage_finds_what_was_planted_of_its_kind_in_its_sensor_alone(budget):
    labels = [
        label(100, "sensor_dropout", "ctd"),
        label(300, "stuck_values", "ctd"),
        label(500, "school", "ctd"),
        label(700, "sensor_dropout", "adcp"),
    ]
    outages = [
        outage("silent", "ctd", 90, 120),
        outage("stuck", "ctd", 305, 400),
        outage("silent", "ctd", 490, 520),
        outage("silent", "ctd", 690, 720),
    ]
    found = budget.within_budget(table({2000: 9}), labels, NO_MERGING, 0.0, outages)
    assert {kind: one["found"] for kind, one in found["kinds"].items()} == {
        "school": 0,
        "sensor_dropout": 1,
        "stuck_values": 1,
    }
    assert found["false_alarms_per_day"] == 0


def test_silence_is_no_false_alarm_and_a_sensor_wrongly_said_to_be_stuck_is(budget):
    outages = [outage("silent", "ctd", 900, 990), outage("stuck", "ctd", 900, 990)]
    outages.append(outage("stuck", "ctd", 5000, 5100))  # after all that was scored
    scores, labels = table({100: 9, 2000: 8}), [label(100, "a")]
    found = budget.within_budget(scores, labels, NO_MERGING, 0.5, outages)
    assert (found["recall"], found["false_alarms_per_day"]) == (1, 0.5)


def test_a_threshold_that_knows_no_label_may_cost_more_than_the_budget(budget):
    scores = table({100: 9, 1000: 8, 200: 7, 1100: 6, 1200: 5, 300: 4})
    labels = [label(100, "a"), label(200, "a"), label(300, "b")]
    found = budget.at_thresholds(scores, labels, NO_MERGING, {"high": 7.5, "low": 3.5})
    assert found["high"]["recall"] == 1 / 3
    assert found["high"]["false_alarms_per_day"] == 0.5
    assert found["low"]["recall"] == 1
    assert found["low"]["false_alarms_per_day"] == 1.5
