from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import FIRST_DAY, PERIOD_S, small_dataset

from echoanom.cli import main
from echoanom.dataset import open_dataset
from echoanom.events import read_events, read_threshold
from echoanom.scores import ScoreTable, read_scores, write_scores
from echoanom.thresholds import Calibration

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and its scores, of which one moment is unusual."""
    root = tmp_path_factory.mktemp("scored")
    dataset = open_dataset(small_dataset(root).path)
    times = dataset.times()
    rng = np.random.default_rng(0)
    score = rng.exponential(size=len(times))
    score[100] = 20.0
    usual = rng.exponential(size=60 * 96)
    table = ScoreTable(
        times=times,
        score=score,
        window_score=score,
        windows=np.ones(len(times), dtype=np.int64),
        shares=np.eye(5, dtype=np.float16)[np.arange(len(times)) % 5],
        columns=dataset.columns,
        period_s=PERIOD_S,
        calibration=Calibration.from_scores(
            usual, PERIOD_S * np.arange(len(usual)), PERIOD_S
        ),
    )
    write_scores(str(root / "scores.csv"), table)
    return root


def test_a_number_of_false_alarms_a_day_can_be_asked_for(
    scored: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = str(tmp_path / "events.csv")
    arguments = ["detect", str(scored / "scores.csv"), "--out", out]
    assert main([*arguments, "--threshold", "alarms:0.01"]) == 0
    first, _, header, event = capsys.readouterr().out.splitlines()
    assert "alarms:0.01 of the days held back" in first
    assert first.endswith("highest events of 60 days of scores, extrapolated)")
    assert header.split()[-3:] == ["by", "chance", "where"]
    assert "unusual" in event and "once in over 1,000 days" in event
    assert event.endswith("speed, 4 m 100.0 %")
    threshold = read_threshold(out)
    assert threshold is not None and "extrapolated" in threshold.basis


@pytest.mark.parametrize(
    ("days", "threshold", "reason"),
    [
        (1, "quantile:0.99", "the days held back in training have too few events"),
        (0, "quantile:0.99", "no calibration came with the scores"),
        (0, "5", "too few events to tell, or no calibration came"),
        (60, "quantile:0.99", ""),
    ],
)
def test_why_it_is_not_known_what_chance_has_is_told(
    scored: Path,
    tmp_path: Path,
    capsys: Capture,
    days: int,
    threshold: str,
    reason: str,
) -> None:
    table = read_scores(str(scored / "scores.csv"))
    usual = np.random.default_rng(0).exponential(size=96 * days)
    calibration = (
        Calibration.from_scores(usual, PERIOD_S * np.arange(len(usual)), PERIOD_S)
        if days
        else None
    )
    path = str(tmp_path / "few.csv")
    write_scores(path, dataclasses.replace(table, calibration=calibration))
    out = str(tmp_path / "events.csv")
    # Merged over most of a day, the events of one day are too few for a rate.
    arguments = ["detect", path, "--out", out, "--merge-gap", "1400"]
    assert main([*arguments, "--threshold", threshold]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("by chance: not known, as ") == bool(reason)
    assert reason in last


def test_close_events_count_as_one_alarm_where_they_are_merged(
    scored: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["detect", str(scored / "scores.csv"), "--out"]
    values = []
    for gap in ("0", "300"):
        out = str(tmp_path / "events.csv")
        rule = ["--threshold", "alarms:1", "--merge-gap", gap, "--json"]
        assert main([*arguments, out, *rule]) == 0
        values.append(json.loads(capsys.readouterr().out)["threshold"]["value"])
    assert values[1] < values[0]


def test_silent_sensors_are_listed_behind_what_is_unusual(
    scored: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "events.csv"
    arguments = ["detect", str(scored / "scores.csv"), "--out", str(out)]
    arguments += ["--threshold", "15", "--dataset", str(scored / "dataset")]
    assert main([*arguments, "--silent", "29"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{out}: 1 event above 15 (as given), ")
    assert lines[0].endswith(" outages")
    kinds = [event.kind for event in read_events(str(out))]
    assert kinds[0] == "unusual" and set(kinds[1:]) == {"silent"}
    table = pd.read_csv(out)
    assert table["event"].tolist() == list(range(1, len(kinds) + 1))
    assert table["peak_score"].isna().tolist() == [False] + [True] * len(kinds[1:])
    assert table["start"].min() >= FIRST_DAY.isoformat()
    assert main([*arguments, "--silent", "29", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"][1]["peak_score"] is None


def test_limits_of_outages_without_a_dataset_are_wrong_usage(
    scored: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "events.csv"
    arguments = ["detect", str(scored / "scores.csv"), "--out", str(out)]
    assert main([*arguments, "--silent", "10"]) == 2
    assert "--silent and --stuck need --dataset" in capsys.readouterr().err
    assert main([*arguments, "--dataset", "x", "--stuck", "0"]) == 2
    assert "--stuck must be more than 0, got 0" in capsys.readouterr().err
    assert main([*arguments, "--prune", "1"]) == 2
    assert "--prune must be in [0, 1), got 1.0" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("out", ["scores.csv", "./scores.csv", "scores", "scores.json"])
def test_events_never_take_the_place_of_the_scores(
    tmp_path: Path, scored: Path, capsys: Capture, out: str
) -> None:
    for name in ("scores.csv", "scores.json", "scores.columns.npy"):
        shutil.copy(scored / name, tmp_path / name)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    arguments = ["detect", str(tmp_path / "scores.csv"), "--out"]
    assert main([*arguments, f"{tmp_path}/{out}"]) in (1, 2)
    assert "--out must be" in (said := capsys.readouterr().err) or "scores.json" in said
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_pruning_leaves_what_stands_out(
    scored: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["detect", str(scored / "scores.csv"), "--threshold", "3"]
    for share, least, most in (("0", 5, 99), ("0.4", 1, 1)):
        out = str(tmp_path / "events.csv")
        assert main([*arguments, "--out", out, "--prune", share]) == 0
        assert least <= len(read_events(out)) <= most
