from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.columns import Column
from echoanom.errors import OptionError, ScoresError, StorageError
from echoanom.scores import ScoreTable, read_scores, sensor_shares, write_scores
from echoanom.thresholds import Calibration

COLUMNS = (
    Column("Sv_1m", "echosounder", "dB re 1 m⁻¹", "level", range_m=1.0),
    Column("Sv_2m", "echosounder", "dB re 1 m⁻¹", "level", range_m=2.0),
    Column("temp", "ctd", "degC"),
)


def make_table(rows: int = 50, seed: int = 0) -> ScoreTable:
    rng = np.random.default_rng(seed)
    window_score = rng.random(rows)
    window_score[-3:] = np.nan
    score = rng.exponential(size=rows)
    score[rows // 2] = np.nan
    return ScoreTable(
        times=1_422_748_800 + 60 * np.sort(rng.choice(rows * 2, rows, replace=False)),
        score=score,
        window_score=window_score,
        windows=rng.integers(1, 64, rows),
        shares=rng.dirichlet(np.ones(len(COLUMNS)), rows).astype(np.float16),
        columns=COLUMNS,
        period_s=60,
        calibration=Calibration.from_scores(rng.exponential(size=300)),
        provenance={"dataset": {"path": "d", "digest": "1"}, "window": {"size": 64}},
    )


def assert_same(one: ScoreTable, two: ScoreTable) -> None:
    for field in dataclasses.fields(ScoreTable):
        first, second = getattr(one, field.name), getattr(two, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
        else:
            assert first == second, field.name


@given(st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int
) -> None:
    path = str(tmp_path_factory.mktemp("scores") / "scores.csv")
    table = make_table(rows, seed)
    write_scores(path, table)
    assert_same(read_scores(path), table)


def test_the_csv_has_one_share_for_each_sensor(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    header, first = path.read_text().splitlines()[:2]
    assert header == (
        "timestamp,score,window_score,windows,share:echosounder,share:ctd"
    )
    shares = [float(cell) for cell in first.split(",")[4:]]
    assert sum(shares) == pytest.approx(1, abs=2e-3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "scores.columns.npy",
        "scores.csv",
        "scores.json",
    ]


def test_shares_of_a_sensor_are_the_sum_of_its_columns() -> None:
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    by_sensor = sensor_shares(shares, COLUMNS)
    assert list(by_sensor) == ["echosounder", "ctd"]
    np.testing.assert_allclose(by_sensor["echosounder"], [0.3, 1.0])


def test_local_shares_are_mapped_not_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "scores.csv")
    write_scores(path, make_table())
    assert isinstance(read_scores(path).shares, np.memmap)


def test_a_table_without_shares_leaves_none_of_an_older_one(tmp_path: Path) -> None:
    path = str(tmp_path / "scores.csv")
    write_scores(path, make_table())
    bare = dataclasses.replace(make_table(), shares=None)
    write_scores(path, bare)
    assert not (tmp_path / "scores.columns.npy").exists()
    assert_same(read_scores(path), bare)


def test_a_bare_csv_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(
        "timestamp,score\n2015-02-01 00:00:00,1.5\n2015-02-01T00:05:00Z,\n"
        "2015-02-01T01:00:00+00:30,2\n"
    )
    table = read_scores(str(path))
    assert (table.times - 1_422_748_800).tolist() == [0, 300, 1800]
    np.testing.assert_array_equal(table.score, [1.5, np.nan, 2.0])
    assert table.period_s == 300
    assert table.shares is None and table.calibration is None
    assert table.sensors == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", "", "has none"),
        ("header_only", "timestamp,score\n", "at least one line"),
        (
            "no_score",
            "timestamp,value\n2015-02-01,1\n",
            "columns timestamp, score; lacks score",
        ),
        (
            "not_a_time",
            "timestamp,score\n2015-02-01,1\nlater,2\n",
            "line 3, column 'timestamp'.*'later'",
        ),
        (
            "part_of_a_second",
            "timestamp,score\n2015-02-01T00:00:00.5Z,1\n",
            "line 2, column 'timestamp'.*whole",
        ),
        (
            "not_a_number",
            "timestamp,score\n2015-02-01,1\n2015-02-02,high\n",
            "line 3, column 'score'.*'high'",
        ),
        (
            "infinite",
            "timestamp,score\n2015-02-01,inf\n",
            "line 2, column 'score'.*finite",
        ),
        (
            "twice",
            "timestamp,score\n2015-02-01,1\n2015-02-01,2\n",
            "line 3.*later than the line before",
        ),
        (
            "too_large_to_be_squared",
            "timestamp,score\n2015-02-01,1\n2015-02-02,-1e308\n",
            "line 3, column 'score': must be between -1e.150 and 1e.150",
        ),
        (
            "windows_beyond_counting",
            "timestamp,score,windows\n2015-02-01,1,1e30\n",
            "line 2, column 'windows': must be how many.*'1e30'",
        ),
        (
            "windows_below_0",
            "timestamp,score,windows\n2015-02-01,1,\n2015-02-02,1,-1\n",
            "line 3, column 'windows'",
        ),
        (
            "windows_in_parts",
            "timestamp,score,windows\n2015-02-01,1,3.7\n",
            "line 2, column 'windows'",
        ),
        ("wide", "timestamp,score\n2015-02-01,1,2\n", "line 2: must have 2 cells"),
        ("narrow", "timestamp,score\n2015-02-01\n", "line 2: must have 2 cells"),
        ("binary", b"\xff\xfe\x00", "in UTF-8"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ScoresError, match=message) as caught:
        read_scores(str(path))
    assert str(path) in str(caught.value)


def test_a_csv_changed_beside_its_shares_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ScoresError, match="was changed; score again, or remove"):
        read_scores(str(path))
    (tmp_path / "scores.json").unlink()
    assert len(read_scores(str(path)).times) == 49


def test_shares_of_another_table_are_refused(tmp_path: Path) -> None:
    write_scores(str(tmp_path / "a.csv"), make_table(seed=1))
    write_scores(str(tmp_path / "b.csv"), make_table(seed=2))
    (tmp_path / "b.columns.npy").replace(tmp_path / "a.columns.npy")
    with pytest.raises(ScoresError, match="a.columns.npy: must be the shares"):
        read_scores(str(tmp_path / "a.csv"))


def test_a_pickle_in_place_of_shares_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    np.save(tmp_path / "scores.columns.npy", np.array([{}], dtype=object))
    with pytest.raises(ScoresError, match="must be a NumPy array"):
        read_scores(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "must be JSON"), ('{"format": 9}', "format 1, got 9"), ("[]", "'list'")],
)
def test_a_malformed_neighbour_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ScoresError, match=message):
        read_scores(str(path))


def test_a_neighbour_that_lacks_entries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    (tmp_path / "scores.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(ScoresError, match="lacks digest"):
        read_scores(str(path))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        *(("period_s", value) for value in (0, -60, 60.5, "60", None, True)),
        *(("columns", value) for value in (None, [1], [{"unit": "m"}], "a")),
        *(("dataset", value) for value in ("data", ["data"])),
        ("model", 3),
        ("window", 16),
    ],
)
def test_a_neighbour_with_an_entry_that_is_something_else_is_refused(
    tmp_path: Path, entry: str, value: object
) -> None:
    path, neighbour = tmp_path / "scores.csv", tmp_path / "scores.json"
    write_scores(str(path), make_table())
    about = json.loads(neighbour.read_text())
    neighbour.write_text(json.dumps({**about, entry: value}))
    with pytest.raises(ScoresError, match=f"scores.json: {entry} must be"):
        read_scores(str(path))


def test_missing_shares_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(str(path), make_table())
    (tmp_path / "scores.columns.npy").unlink()
    with pytest.raises(StorageError, match="scores.columns.npy: it does not exist"):
        read_scores(str(path))


def test_a_path_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="end in .csv"):
        write_scores(str(tmp_path / "scores.txt"), make_table())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.zeros(3)}, "score must have one value"),
        ({"columns": COLUMNS[:1]}, "shares must have shape"),
        ({"times": np.zeros(50, np.int64)}, "must ascend"),
        ({"period_s": 0}, "a row must last at least 1 s, got 0 s"),
    ],
)
def test_a_table_that_does_not_fit_together_cannot_be_made(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        dataclasses.replace(make_table(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rule", ["mean+2std", "quantile:0.99", "mad:6", "pot:1e-3", "alarms:3", "0.5"]
)
def test_a_threshold_does_not_depend_on_the_days_that_are_judged(rule: str) -> None:
    rng = np.random.default_rng(4)
    usual, times = rng.exponential(size=14_400), 60 * np.arange(14_400)
    values = []
    for days in (1, 3, 30):
        score = rng.exponential(scale=9, size=1440 * days)
        table = ScoreTable(
            times=10**6 + 60 * np.arange(len(score)),
            score=score,
            window_score=score,
            windows=np.ones(len(score), dtype=np.int64),
            calibration=Calibration.from_scores(usual, times, 60),
        )
        values.append(table.threshold(rule))
    assert values[0] == values[1] == values[2]
    assert values[0].source == ("number" if rule == "0.5" else "calibration")


def test_a_table_without_any_score_has_no_threshold_but_a_number() -> None:
    nothing = np.full(3, np.nan)
    table = ScoreTable(np.arange(3) * 60, nothing, nothing, np.zeros(3, np.int64))
    assert table.threshold("2").value == 2.0
    with pytest.raises(ScoresError, match="needs a score, but none of 3 rows has one"):
        table.threshold("mad:6")


def test_a_threshold_says_what_it_was_computed_from() -> None:
    table = make_table()
    assert table.calibration is not None
    with_model = table.threshold("mean+2std")
    assert with_model.source == "calibration"
    assert with_model.value == pytest.approx(
        table.calibration.mean + 2 * table.calibration.std
    )
    own = dataclasses.replace(table, calibration=None).threshold("mean+2std")
    assert own.source == "scores"
    assert own.value == pytest.approx(
        np.nanmean(table.score) + 2 * np.nanstd(table.score)
    )
    assert table.threshold("2").source == "number"
