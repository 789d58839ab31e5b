from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_events

from echoanom.columns import Column
from echoanom.errors import OptionError, ScoresError, StorageError
from echoanom.events import (
    HEADER,
    Event,
    detect,
    read_events,
    read_threshold,
    write_events,
)
from echoanom.options import EventOptions
from echoanom.scores import ScoreTable
from echoanom.thresholds import Calibration, Threshold

COLUMNS = (Column("a", "one"), Column("b", "one"), Column("c", "two"))
DAY = 1_422_748_800


def make_table(
    score: list[float], rows: list[int] | None = None, period_s: int = 60
) -> ScoreTable:
    values = np.array(score, dtype=np.float64)
    positions = np.arange(len(values)) if rows is None else np.array(rows)
    return ScoreTable(
        times=(DAY + positions * period_s).astype(np.int64),
        score=values,
        window_score=values,
        windows=np.ones(len(values), dtype=np.int64),
        period_s=period_s,
    )


@st.composite
def score_tables(draw: st.DrawFn) -> ScoreTable:
    rows = draw(st.lists(st.integers(0, 120), unique=True, max_size=60))
    levels = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, float("nan")])
    score = draw(st.lists(levels, min_size=len(rows), max_size=len(rows)))
    return make_table(score, sorted(rows), draw(st.sampled_from([1, 60, 300])))


@given(
    score_tables(),
    st.sampled_from([0.0, 1.0, 2.5, 30.0]),
    st.sampled_from([0.0, 1.0, 5.0, 20.0]),
    st.sampled_from([0.0, 0.7, 1.0, 5.0]),
)
def test_events_are_those_the_naive_way_finds(
    table: ScoreTable, merge_gap: float, least: float, threshold: float
) -> None:
    options = EventOptions(merge_gap_min=merge_gap, min_duration_min=least)
    found = detect(table, options, threshold)
    expected = naive_events(
        table.times.tolist(),
        table.score.tolist(),
        table.period_s,
        threshold,
        merge_gap,
        least,
    )
    assert [(e.start, e.end, e.peak) for e in found] == [e[:3] for e in expected]
    assert [e.peak_score for e in found] == [e[4] for e in expected]
    np.testing.assert_allclose([e.mean_score for e in found], [e[3] for e in expected])
    assert [e.rank for e in found] == list(range(1, len(found) + 1))


def test_nothing_above_the_threshold_is_no_event() -> None:
    assert detect(make_table([1.0, 1.0]), EventOptions(), 1.0) == ()
    assert detect(make_table([]), EventOptions(), 1.0) == ()


def test_rows_are_merged_across_a_gap_in_the_rows() -> None:
    table = make_table([2.0, 2.0], rows=[0, 31])
    assert len(detect(table, EventOptions(merge_gap_min=30), 1.0)) == 1
    assert len(detect(table, EventOptions(merge_gap_min=29), 1.0)) == 2


def test_the_end_is_the_end_of_the_last_row() -> None:
    (event,) = detect(make_table([0, 2, 3, 0], period_s=300), EventOptions(), 1.0)
    assert (event.start, event.end, event.peak) == (DAY + 300, DAY + 900, DAY + 600)
    assert event.duration_min == 10


def test_shares_are_weighed_by_the_score() -> None:
    shares = np.array(
        [[1, 0, 0], [0, 0, 1], [np.nan, np.nan, np.nan]], dtype=np.float16
    )
    table = dataclasses.replace(
        make_table([3.0, 1.0, float("nan")]), shares=shares, columns=COLUMNS
    )
    options = EventOptions(merge_gap_min=30, top_columns=2)
    (event,) = detect(table, options, 0.5)
    assert event.top_columns == (("one/a", 0.75), ("two/c", 0.25))
    assert event.top_sensors == (("one", 0.75), ("two", 0.25))
    assert event.where == (("a", 0.75), ("c", 0.25))


def test_a_long_event_has_the_shares_of_all_its_rows() -> None:
    rows = 10_000
    shares = np.zeros((rows, 3), dtype=np.float16)
    shares[: rows // 2, 0] = shares[rows // 2 :, 1] = 1
    table = dataclasses.replace(
        make_table([1.0] * rows), shares=shares, columns=COLUMNS
    )
    (event,) = detect(table, EventOptions(), 0.5)
    assert dict(event.top_columns) == {"one/a": 0.5, "one/b": 0.5, "two/c": 0.0}


names = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8
)
shares_lists = st.lists(st.tuples(names, st.floats(0, 1)), max_size=3).map(tuple)


@st.composite
def events_lists(draw: st.DrawFn) -> tuple[Event, ...]:
    events = []
    for rank in range(1, draw(st.integers(0, 3)) + 1):
        start = draw(st.integers(0, 4_000_000_000))
        length = draw(st.integers(1, 10**6))
        events.append(
            Event(
                rank=rank,
                start=start,
                end=start + length,
                peak=start + draw(st.integers(0, length - 1)),
                mean_score=draw(st.floats(0, 1e9)),
                peak_score=draw(st.floats(0, 1e9)),
                top_columns=draw(shares_lists),
                top_sensors=draw(shares_lists),
                where=draw(shares_lists),
                kind=draw(st.sampled_from(["unusual", "silent", "stuck"])),
                alarms_per_day=draw(st.none() | st.floats(0, 1e3)),
            )
        )
    return tuple(events)


@given(score_tables(), st.sampled_from([0.0, 0.3, 0.6]))
def test_pruning_keeps_the_highest_events_as_they_are(
    table: ScoreTable, share: float
) -> None:
    options = EventOptions(merge_gap_min=1, min_duration_min=0)
    found = detect(table, options, 0.7)
    kept = detect(table, dataclasses.replace(options, prune=share), 0.7)
    assert kept == found[: len(kept)]
    assert share or kept == found


def test_pruning_drops_what_just_exceeds_the_threshold() -> None:
    table = make_table(
        [0.98, 5.0, 0.9, 1.05, 0.5, 1.02], rows=[0, 60, 61, 120, 121, 180]
    )
    found = detect(table, EventOptions(prune=0.13), 1.0)
    assert [event.peak_score for event in found] == [5.0]


@given(score_tables(), st.integers(1, 3))
def test_a_silent_sensor_beside_it_changes_no_event(
    table: ScoreTable, columns: int
) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), size=len(table.times)).astype(np.float16)
    before = dataclasses.replace(table, shares=shares, columns=COLUMNS)
    silent = tuple(Column(f"Sv_{n}m", "silent", range_m=n) for n in range(columns))
    nothing = np.zeros((len(table.times), columns), dtype=np.float16)
    after = dataclasses.replace(
        table, shares=np.hstack([shares, nothing]), columns=COLUMNS + silent
    )
    options = EventOptions(min_duration_min=0, top_columns=3)
    found = [
        dataclasses.replace(event, top_sensors=event.top_sensors[:2])
        for event in detect(after, options, 0.7)
    ]
    assert found == list(detect(before, options, 0.7))


@given(score_tables(), st.sampled_from([0.7, 1.2]))
def test_a_rising_function_of_the_scores_changes_no_time_and_no_rank(
    table: ScoreTable, threshold: float
) -> None:
    risen = dataclasses.replace(table, score=np.exp(table.score))
    options = EventOptions(min_duration_min=0)
    assert [
        (event.rank, event.start, event.end, event.peak)
        for event in detect(table, options, threshold)
    ] == [
        (event.rank, event.start, event.end, event.peak)
        for event in detect(risen, options, float(np.exp(threshold)))
    ]


@given(score_tables(), st.sampled_from([0.7, 1.2]))
def test_events_do_not_depend_on_the_unit_of_the_scores(
    table: ScoreTable, threshold: float
) -> None:
    scaled = dataclasses.replace(table, score=table.score * 8)
    options = EventOptions(min_duration_min=0, prune=0.3)
    assert [
        (event.rank, event.start, event.end, event.peak, event.peak_score * 8)
        for event in detect(table, options, threshold)
    ] == [
        (event.rank, event.start, event.end, event.peak, event.peak_score)
        for event in detect(scaled, options, threshold * 8)
    ]


def test_an_event_says_how_often_the_days_held_back_have_one_like_it() -> None:
    rng = np.random.default_rng(0)
    usual = make_table(rng.exponential(size=14_400).tolist())
    calibration = Calibration.from_scores(usual.score, usual.times, 60)
    table = dataclasses.replace(make_table([0.0, 9.0, 30.0]), calibration=calibration)
    options = EventOptions(merge_gap_min=0)
    (event,) = detect(table, options, 8.0)
    assert event.alarms_per_day is not None and event.alarms_per_day < 0.01
    (event,) = detect(table, EventOptions(merge_gap_min=0, top_columns=1), 20.0)
    expected = calibration.alarm_rates(options).rate(np.array([30.0]))
    assert event.alarms_per_day == expected[0]
    old = dataclasses.replace(calibration, times=())
    (event,) = detect(dataclasses.replace(table, calibration=old), options, 8.0)
    assert event.alarms_per_day is None


@pytest.mark.slow
@given(events_lists())
def test_events_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, events: tuple[Event, ...]
) -> None:
    path = str(tmp_path_factory.mktemp("events") / "events.csv")
    write_events(path, events)
    assert read_events(path) == events


def test_the_file_is_what_other_programs_expect(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    event = Event(
        *(1, DAY, DAY + 90, DAY + 60, 1.25, 2.5),
        top_columns=(("one/a", 0.75),),
        top_sensors=(("one", 1.0),),
        where=(("Sv, 3–8 m", 0.5),),
        alarms_per_day=0.25,
    )
    silence = Event(2, DAY, DAY + 60, DAY, math.nan, math.nan, kind="silent")
    write_events(str(path), [event, silence])
    assert path.read_text() == (
        "event,start,end,peak,duration_min,mean_score,peak_score,top_columns,"
        "top_sensors,where,kind,alarms_per_day\n"
        "1,2015-02-01T00:00:00Z,2015-02-01T00:01:30Z,2015-02-01T00:01:00Z,"
        '1.5,1.25,2.5,one/a=0.75,one=1.0,"Sv, 3–8 m=0.5",unusual,0.25\n'
        "2,2015-02-01T00:00:00Z,2015-02-01T00:01:00Z,2015-02-01T00:00:00Z,"
        "1,,,,,,silent,\n"
    )
    assert read_events(str(path))[0] == event
    assert repr(read_events(str(path))[1]) == repr(silence)


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        ",".join(HEADER[:9]) + "\n1,2015-02-01,2015-02-02,2015-02-01,9,1,2,,\n"
    )
    (event,) = read_events(str(path))
    assert event == Event(1, DAY, DAY + 86_400, DAY, 1.0, 2.0)


GOOD = "1,2015-02-01,2015-02-02,2015-02-01,1440,1,2,a=1,b=1,c=1,unusual,0.1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("02-02", "02-01"), "column 'peak': must be between"),
        (GOOD.replace("1440,1,", "1440,,"), "column 'mean_score': must be a number"),
        (GOOD.replace("1,2015", "x,2015", 1), "column 'event': must be a finite"),
        (GOOD.replace("1,2015", "0,2015", 1), "column 'event': must be a whole"),
        (GOOD.replace("1,2015", "1.5,2015", 1), "column 'event': must be a whole"),
        (GOOD.replace("1,2015", "1e300,2015", 1), "column 'event': must be a whole"),
        (GOOD.replace("a=1", "a"), "column 'top_columns': must be like"),
        (GOOD.replace("a=1", "a=nan"), "column 'top_columns': must be like"),
        (GOOD.replace("c=1", "c"), "column 'where': must be like"),
        (GOOD.replace("unusual", "odd"), "column 'kind': must be one of unusual, si"),
        (GOOD + ",", "must have 12 cells"),
    ],
)
def test_a_malformed_line_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(",".join(HEADER) + f"\n{line}\n")
    with pytest.raises(ScoresError, match=f"line 2.*{message}"):
        read_events(str(path))


def test_two_events_of_one_rank_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("\n".join([",".join(HEADER), GOOD, GOOD]) + "\n")
    with pytest.raises(ScoresError, match="line 3, column 'event': must be another"):
        read_events(str(path))


def test_a_threshold_that_is_nan_is_refused() -> None:
    with pytest.raises(OptionError, match="threshold must be a number, got nan"):
        detect(make_table([1.0, 2.0]), EventOptions(), float("nan"))


def test_events_keep_the_threshold_they_were_found_with(tmp_path: Path) -> None:
    path = str(tmp_path / "events.csv")
    threshold = Threshold(0.1 + 0.2, "mad:6", "calibration")
    write_events(path, (), threshold)
    assert read_threshold(path) == threshold
    write_events(path, ())
    assert read_threshold(path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["events.csv"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "threshold": {}}',
        '{"format": 1, "threshold": {"value": NaN, "rule": "x", "source": "scores"}}',
        '{"format": 1, "threshold": {"value": 1, "rule": "x", "source": "nowhere"}}',
        '{"format": 1, "threshold": {"value": 1, "rule": "x", "source": ["scores"]}}',
    ],
)
def test_a_neighbour_that_holds_no_threshold_is_refused_and_stays(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "events.csv"
    neighbour = tmp_path / "events.json"
    neighbour.write_text(content)
    with pytest.raises(ScoresError, match="events.json: must hold the threshold"):
        read_threshold(str(path))
    for threshold in (None, Threshold(1.0, "1", "number")):
        with pytest.raises(ScoresError, match="events.json"):
            write_events(str(path), (), threshold)
    assert neighbour.read_text() == content
    assert not path.exists()


def test_a_folder_in_the_way_of_events_leaves_no_threshold(tmp_path: Path) -> None:
    (tmp_path / "events.csv").mkdir()
    with pytest.raises(StorageError, match="events.csv: Is a directory"):
        write_events(
            str(tmp_path / "events.csv"), (), Threshold(1.0, "1", "calibration")
        )
    assert [file.name for file in tmp_path.iterdir()] == ["events.csv"]
