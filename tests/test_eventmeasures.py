from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naiveevaluation import naive_found

from echoanom.evaluation import EventEvaluation, evaluate
from echoanom.eventmeasures import f1
from echoanom.events import Event
from echoanom.labels import Label
from echoanom.scores import ScoreTable

PERIOD = 60


def table(times: list[int]) -> ScoreTable:
    score = np.arange(float(len(times)))
    return ScoreTable(
        times=np.array(times, dtype=np.int64),
        score=score,
        window_score=score,
        windows=np.ones(len(times), dtype=np.int64),
        period_s=PERIOD,
    )


def held(
    times: list[int], labels: list[Label], spans: list[tuple[int, int]]
) -> EventEvaluation:
    events = [Event(1, start, end, start, 1.0, 1.0) for start, end in spans]
    found = evaluate(table(times), labels, events=events).by_event
    assert found is not None
    return found


SPANS = st.lists(
    st.tuples(st.integers(-100, 1500), st.integers(1, 300)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ),
    max_size=4,
)


@given(
    st.lists(st.sampled_from([60, 60, 60, 180, 600]), min_size=3, max_size=20),
    SPANS.filter(len),
    SPANS,
)
def test_what_is_found_and_how_late_is_what_plain_loops_say(
    steps: list[int], labels: list[tuple[int, int]], events: list[tuple[int, int]]
) -> None:
    times = np.cumsum(steps).tolist()

    def scored(span: tuple[int, int]) -> bool:
        return any(t < span[1] and span[0] < t + PERIOD for t in times)

    marked = [any(t < b and a < t + PERIOD for a, b in labels) for t in times]
    if not any(marked) or all(marked):
        return
    found = held(times, [Label(*span) for span in labels], events)
    inside = [span for span in labels if scored(span)]
    known = [span for span in events if scored(span)]
    delays, true = naive_found(times, PERIOD, inside, known)
    assert [label.delay_s for label in found.by_label] == delays
    assert (found.events, found.events_outside) == (
        len(known),
        len(events) - len(known),
    )
    assert found.true_events == sum(true)
    assert found.found_labels == sum(delay is not None for delay in delays)
    assert found.false_alarms_per_day == pytest.approx(
        (len(true) - sum(true)) / (len(times) * PERIOD / 86_400)
    )
    late = sorted(delay for delay in delays if delay is not None)
    assert found.median_delay_s == (float(np.median(late)) if late else None)


def test_a_delay_counts_from_the_first_row_that_could_have_been_found() -> None:
    times = [0, 60, 120, 600, 660, 720, 780]
    # The label starts in the gap; the alarm comes a minute after the gap's end.
    assert held(times, [Label(300, 780)], [(660, 720)]).median_delay_s == 60
    # An event that was there before the label has no delay.
    assert held(times, [Label(60, 180)], [(0, 700)]).median_delay_s == 0


def test_the_median_delay_is_that_of_the_labels_that_were_found() -> None:
    times = list(range(0, 6000, 60))
    labels = [Label(600, 900, kind="a"), Label(1800, 2400), Label(3000, 3600, kind="a")]
    found = held(times, labels, [(720, 780), (2280, 2340)])
    assert [label.delay_s for label in found.by_label] == [120, 480, None]
    assert found.median_delay_s == 300
    assert (found.kinds["a"].recall, found.kinds["a"].median_delay_s) == (0.5, 120)


def test_labels_that_overlap_are_each_found_or_not_but_rows_count_once() -> None:
    times = list(range(0, 6000, 60))
    found = held(times, [Label(600, 1200), Label(900, 1500)], [(600, 660)])
    assert (found.labels, found.found_labels) == (2, 1)
    assert found.row_recall == 1 / 15


def test_an_event_outside_the_scored_rows_is_no_false_alarm() -> None:
    found = held([0, 60, 120], [Label(0, 60)], [(0, 60), (90_000, 90_060)])
    assert (found.events, found.events_outside, found.precision) == (1, 1, 1.0)
    assert found.false_alarms_per_day == 0


def test_without_events_nothing_is_found_and_nothing_is_precise() -> None:
    found = held([0, 60, 120], [Label(0, 60)], [])
    assert found.precision is found.affiliation_precision is None
    assert found.f1 == found.affiliation_f1 == found.affiliation_recall == 0.0


@pytest.mark.parametrize(
    ("precision", "recall", "expected"),
    [(1.0, 0.5, 2 / 3), (0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (0.3, 0.3, 0.3)],
)
def test_f1_is_the_harmonic_mean(
    precision: float, recall: float, expected: float
) -> None:
    assert f1(precision, recall) == pytest.approx(expected)
