from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_labelled

from echoanom.errors import ScoresError
from echoanom.labels import Label, labelled_rows, read_labels


def test_intervals_are_read_with_sensor_and_kind(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "start,end,sensor,kind\n"
        "2015-02-01T00:00:00Z,2015-02-01T00:10:00Z,echosounder, school\n"
        "2015-02-02T00:00:00Z,2015-02-02T01:00:00Z,,\n"
    )
    day = 1_422_748_800
    assert read_labels(str(path)) == (
        Label(day, day + 600, "echosounder", "school"),
        Label(day + 86_400, day + 90_000),
    )


def test_sensor_and_kind_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end\n2015-02-01,2015-02-02\n")
    assert read_labels(str(path)) == (Label(1_422_748_800, 1_422_835_200),)


@pytest.mark.parametrize(
    ("kind", "unusual", "false", "unsure"),
    [
        ("", True, False, False),
        ("real", True, False, False),
        ("surge", True, False, False),
        ("false", False, True, False),
        ("False", False, True, False),
        ("unsure", False, False, True),
    ],
)
def test_marks_of_a_report_tell_what_is_unusual(
    kind: str, unusual: bool, false: bool, unsure: bool
) -> None:
    label = Label(0, 60, kind=kind)
    assert (label.is_unusual, label.is_false, label.is_unsure) == (
        unusual,
        false,
        unsure,
    )


@pytest.mark.parametrize("end", ["2015-02-01T00:00:00Z", "2015-01-31T00:00:00Z"])
def test_an_interval_that_does_not_end_after_its_start_is_refused(
    tmp_path: Path, end: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"start,end\n2015-02-01T00:00:00Z,{end}\n")
    with pytest.raises(ScoresError, match="line 2, column 'end': must be later"):
        read_labels(str(path))


@given(
    st.sets(st.integers(0, 30), max_size=12),
    st.integers(1, 7),
    st.lists(st.tuples(st.integers(-5, 200), st.integers(1, 40)), max_size=4),
)
def test_labelled_rows_are_those_the_naive_way_finds(
    rows: set[int], period_s: int, spans: list[tuple[int, int]]
) -> None:
    times = [row * period_s for row in sorted(rows)]
    intervals = [(start, start + length) for start, length in spans]
    marked = labelled_rows(
        np.array(times, dtype=np.int64),
        period_s,
        [Label(start, end) for start, end in intervals],
    )
    assert marked.tolist() == naive_labelled(times, period_s, intervals)
