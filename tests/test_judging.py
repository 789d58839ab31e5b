from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import ScoresError
from echoanom.events import Event
from echoanom.judging import find_ground, judged_events
from echoanom.labels import Label

KINDS = ("real", "false", "unsure")
SPANS = st.tuples(st.integers(-5, 45), st.integers(1, 12))


def event(start: int, end: int) -> Event:
    return Event(1, start, end, start, 1.0, 1.0)


@given(
    st.sets(st.integers(0, 40), min_size=1, max_size=30),
    st.lists(st.tuples(SPANS, st.sampled_from(KINDS)), max_size=5),
    st.lists(SPANS, max_size=5),
)
def test_rows_and_events_are_judged_as_the_naive_way_does(
    rows: set[int],
    marks: list[tuple[tuple[int, int], str]],
    found: list[tuple[int, int]],
) -> None:
    times = np.array(sorted(rows), dtype=np.int64)
    labels = [Label(a, a + length, kind=kind) for (a, length), kind in marks]

    def said(kind: str) -> set[int]:
        spans = [(x.start, x.end) for x in labels if x.kind == kind]
        return {row for row in rows if any(a <= row < b for a, b in spans)}

    labelled, unsure = said("real"), said("unsure") - said("real")
    if not labelled:
        with pytest.raises(ScoresError):
            find_ground(times, 1, labels)
        return
    ground = find_ground(times, 1, labels)
    assert set(times[ground.labelled].tolist()) == labelled
    assert set(times[ground.unjudged].tolist()) == unsure
    assert ground.false == sum(kind == "false" for _, kind in marks)
    assert ground.unsure == sum(kind == "unsure" for _, kind in marks)
    assert len(ground.labels) + ground.outside + ground.false + ground.unsure == len(
        marks
    )
    events = [event(a, a + length) for a, length in found]
    expected = []
    for one in events:
        covered = {row for row in rows if one.start <= row < one.end}
        if not (covered & unsure) or covered & labelled:
            expected.append(one)
    assert judged_events(events, times, 1, ground) == tuple(expected)


def test_the_bounds_of_labels_and_scores_are_told() -> None:
    times = np.arange(10, dtype=np.int64) * 60
    with pytest.raises(ScoresError, match="none of 2 does: .* to 1970-01-01T00:10:00Z"):
        find_ground(times, 60, [Label(600, 660), Label(900, 960)])


def test_marks_alone_that_nothing_is_unusual_cannot_be_judged() -> None:
    labels = [Label(0, 60, kind="false"), Label(60, 120, kind="unsure")]
    with pytest.raises(ScoresError, match="of 2 each is of kind false or unsure"):
        find_ground(np.arange(10, dtype=np.int64) * 60, 60, labels)
