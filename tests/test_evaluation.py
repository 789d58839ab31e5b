from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import ScoresError
from echoanom.evaluation import evaluate
from echoanom.eventmeasures import NO_KIND
from echoanom.events import Event
from echoanom.labels import Label
from echoanom.scores import ScoreTable

DAY = 86_400


def make_table(score: list[float] | np.ndarray[Any, Any]) -> ScoreTable:
    values = np.asarray(score, dtype=np.float64)
    return ScoreTable(
        times=np.arange(len(values), dtype=np.int64) * 60,
        score=values,
        window_score=values,
        windows=np.ones(len(values), dtype=np.int64),
    )


def minutes(start: int, end: int, kind: str = "") -> Label:
    return Label(start * 60, end * 60, kind=kind)


def event(start: int, end: int) -> Event:
    return Event(1, start * 60, end * 60, start * 60, 1.0, 1.0)


def test_perfect_scores_are_perfect_and_reversed_ones_are_not() -> None:
    score = np.zeros(100)
    score[10:20] = 1
    perfect = evaluate(make_table(score), [minutes(10, 20)])
    assert (perfect.average_precision, perfect.roc_auc) == (1.0, 1.0)
    assert evaluate(make_table(-score), [minutes(10, 20)]).roc_auc == 0.0
    assert perfect.by_event is None and perfect.threshold is None


def test_finding_one_row_of_a_label_is_not_finding_all() -> None:
    # Point adjustment would call this perfect.
    score = np.zeros(1000)
    score[150] = 1
    found = evaluate(make_table(score), [minutes(100, 200)], threshold=0.5)
    assert found.average_precision < 0.2
    assert found.by_event is not None
    assert found.by_event.row_recall == 0.01
    assert found.by_event.recall == 1.0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(
    rows: list[tuple[bool, int]],
) -> None:
    labels = [minutes(i, i + 1) for i, (marked, _) in enumerate(rows) if marked]
    if not 0 < len(labels) < len(rows):
        return
    wins, pairs = 0.0, 0
    for marked, score in rows:
        for other_marked, other in rows:
            if marked and not other_marked:
                pairs += 1
                wins += 1.0 if score > other else 0.5 if score == other else 0.0
    found = evaluate(make_table([float(score) for _, score in rows]), labels)
    assert found.roc_auc == pytest.approx(wins / pairs)


def test_events_are_counted_against_labels_by_kind() -> None:
    labels = [
        minutes(100, 110, "school"),
        minutes(200, 210, "school"),
        minutes(300, 310, "ship"),
        minutes(400, 410),
    ]
    events = [event(105, 130), event(295, 301), event(210, 220), event(600, 700)]
    found = evaluate(make_table(np.arange(1440.0)), labels, events=events).by_event
    assert found is not None
    assert (found.events, found.true_events) == (4, 2)
    assert (found.labels, found.found_labels) == (4, 2)
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert found.false_alarms_per_day == 2.0
    assert found.alarm_share == (25 + 6 + 10 + 100) / 1440
    assert found.row_precision == (5 + 1) / 141
    assert found.row_recall == 6 / 40
    assert {kind: (k.found, k.labels) for kind, k in found.kinds.items()} == {
        "school": (1, 2),
        "ship": (1, 1),
        NO_KIND: (0, 1),
    }


def test_no_events_have_no_precision() -> None:
    found = evaluate(make_table(np.arange(10.0)), [minutes(1, 2)], events=[])
    assert found.by_event is not None
    assert found.by_event.precision is None and found.by_event.row_precision is None
    assert found.by_event.recall == 0.0
    json.dumps(found.as_json(), allow_nan=False)


def test_as_json_has_the_worked_out_measures() -> None:
    found = evaluate(make_table(np.arange(10.0)), [minutes(8, 10, "x")], threshold=7.5)
    values = found.as_json()
    assert values["threshold"] == 7.5
    assert values["by_event"]["precision"] == values["by_event"]["recall"] == 1.0
    assert values["by_event"]["kinds"] == {
        "x": {"labels": 1, "found": 1, "median_delay_s": 0.0, "recall": 1.0}
    }


def test_rows_without_a_score_and_labels_without_rows_count_nowhere() -> None:
    score = np.arange(10.0)
    score[:5] = np.nan
    found = evaluate(make_table(score), [minutes(0, 5), minutes(9, 20)])
    assert (found.rows, found.labelled_rows) == (5, 1)
    assert (found.labels, found.labels_outside) == (1, 1)


@pytest.mark.parametrize(
    ("score", "labels", "message"),
    [
        ([1.0, 2.0], [], "at least one label"),
        ([np.nan, np.nan], [minutes(0, 1)], "rows with a score"),
        ([1.0, 2.0], [minutes(2, 9)], "none of 1 does: scores are from 1970-01-01T00"),
        ([1.0, 2.0], [minutes(0, 9)], "all 2 lie inside"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    score: list[float], labels: list[Label], message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        evaluate(make_table(score), labels)
