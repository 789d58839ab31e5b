"""The examples run, and what they claim about the tutorial holds in numbers."""

from __future__ import annotations

import contextlib
import csv
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from echoanom.events import read_events
from echoanom.scores import read_scores

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
README = (EXAMPLES / "README.md").read_text()

slow = pytest.mark.slow


class Walk:
    """What a run of the tutorial printed and wrote."""

    def __init__(self, folder: Path, printed: str) -> None:
        self.folder = folder
        self.printed = printed
        with open(folder / "mistakes.csv", newline="", encoding="utf-8") as file:
            self.costs = {row["mistake"]: row for row in csv.DictReader(file)}

    def cost(self, mistake: str) -> tuple[float, float]:
        """Return the tutorial's number and ours."""
        row = self.costs[mistake]
        return float(row["tutorial"]), float(row["echoanom"])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("examples") / "tutorial"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "tutorial.py", "--out", folder],
        capture_output=True,
        text=True,
        timeout=540,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8"},
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return Walk(folder, done.stdout)


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("tutorial_way")
    del sys.modules["tutorial_way"]


@slow
def test_the_walk_leaves_a_dataset_a_model_scores_events_and_a_page(
    walk: Walk,
) -> None:
    table = read_scores(str(walk.folder / "scores.csv"))
    events = read_events(str(walk.folder / "events.csv"))
    assert len(table.times) > 8000
    assert events and f"{len(events)} events" in walk.printed
    page = (walk.folder / "report.html").read_text()
    assert "The tutorial redone" in page and "data:image/webp" in page
    assert (walk.folder / "dataset" / "manifest.json").exists()
    assert (walk.folder / "model" / "saved_model" / "1" / "saved_model.pb").exists()


@slow
def test_the_walk_finds_most_of_what_was_planted(walk: Walk) -> None:
    found = re.search(
        r"(\d) of (\d) planted .*\nROC AUC by minutes is (\d\.\d+)", walk.printed
    )
    assert found is not None
    assert int(found[1]) * 2 > int(found[2])
    assert float(found[3]) > 0.8


@slow
def test_the_walk_tells_what_the_join_gains_and_loses(walk: Walk) -> None:
    found = re.search(
        r"outer join keeps ([\d,]+) of ([\d,]+) minutes, an inner one ([\d,]+)",
        walk.printed,
    )
    assert found is not None
    some, grid, every = (int(number.replace(",", "")) for number in found.groups())
    assert every < some <= grid == 6 * 1440


@slow
def test_the_days_held_back_are_not_those_learned_from(walk: Walk) -> None:
    about = json.loads((walk.folder / "model" / "artifact.json").read_text())
    learned = set(about["record"]["training_days"])
    held_back = set(about["record"]["validation_days"])
    assert learned and held_back and max(learned) < min(held_back)


@slow
def test_every_mistake_is_printed_with_its_meaning(walk: Walk) -> None:
    one_line = " ".join(walk.printed.split())
    assert len(walk.costs) == 12
    for mistake, cost in walk.costs.items():
        assert mistake in one_line
        assert cost["measure"] in one_line
        assert cost["meaning"] in one_line


@slow
@pytest.mark.parametrize(
    ("mistake", "factor"),
    [
        # Measured times; a loaded machine slows both.
        ("re-reads whole CSVs for every batch", 1.5),
        ("calls the endpoint once per window", 2.0),
        ("scores what it filled", 20.0),
        ("asks a sigmoid for values in [−1, 0]", 5.0),
        ("averages dB as plain numbers", 10.0),
        ("interpolates directions as numbers", 3.0),
    ],
)
def test_the_tutorials_way_is_worse_by_a_factor(
    walk: Walk, mistake: str, factor: float
) -> None:
    tutorial, ours = walk.cost(mistake)
    assert 0 < ours * factor < tutorial


@slow
@pytest.mark.parametrize(
    ("mistake", "at_least"),
    [
        ("divides silent columns by zero", 1000),
        ("lets windows cross gaps", 5),
        ("scales each batch by its own maximum", 3),
    ],
)
def test_what_the_tutorial_spoils_is_whole_here(
    walk: Walk, mistake: str, at_least: float
) -> None:
    tutorial, ours = walk.cost(mistake)
    assert tutorial > at_least
    assert ours == 0


@slow
def test_a_missing_cell_stands_at_the_mean_of_its_column(walk: Walk) -> None:
    tutorial, ours = walk.cost("fills missing dB with 0")
    assert tutorial > 5
    assert ours < 1e-3


@slow
def test_neighbours_in_a_window_are_neighbouring_minutes(walk: Walk) -> None:
    tutorial, ours = walk.cost("takes neighbours for neighbouring minutes")
    assert tutorial > 60
    assert ours == 1


@slow
def test_validation_on_training_data_is_too_rosy(walk: Walk) -> None:
    reported, on_new_days = walk.cost("validates on its training data")
    assert reported * 1.05 < on_new_days


def write_days(folder: Path, counts: list[int]) -> list[np.ndarray]:
    """Write a sensor of one day a count, and return the days' values."""
    tables = folder / "tabular"
    tables.mkdir(parents=True)
    days = []
    for number, count in enumerate(counts, 1):
        day = f"2020-01-{number:02d}"
        values = -50.0 - number - np.arange(2.0 * count).reshape(count, 2)
        rows = (f"{day}T00:{i:02d}:00Z,{a},{b}" for i, (a, b) in enumerate(values))
        (tables / f"{day}.csv").write_text("timestamp,Sv_1m,Sv_2m\n" + "\n".join(rows))
        (tables / f"meta_info_{day}.txt").write_text(f"file\nname={count}\n")
        days.append(values)
    return days


def test_the_tutorials_batches_hold_the_rows_of_the_tables_in_order(
    way: Any, tmp_path: Path
) -> None:
    rows = np.concatenate(write_days(tmp_path / "ek60", [7, 3, 0, 9]))
    tables = way.daily_tables(str(tmp_path), "ek60")
    batches = way.CsvBatches(tables, size=3, batch_size=2)
    assert len(batches) == len(rows) // 6
    for index in range(len(batches)):
        part = rows[6 * index : 6 * index + 6]
        scaled = part / np.abs(part).max(axis=0)
        np.testing.assert_array_equal(batches[index], scaled.reshape(2, 3, 2))


def test_the_tutorials_scaling_puts_levels_between_minus_one_and_zero(
    way: Any,
) -> None:
    rows = np.array([[-80.0, np.nan], [-40.0, np.nan], [np.nan, np.nan]])
    scaled = way.fill_and_scale(rows)
    np.testing.assert_array_equal(scaled[:, 0], [-1.0, -0.5, 0.0])
    assert np.isnan(scaled[:, 1]).all()


def test_the_endpoint_returns_what_the_model_says(way: Any) -> None:
    sent = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    with way.endpoint(lambda values: values + np.float32(0.5)) as predict:
        for _ in range(2):
            np.testing.assert_array_equal(predict(sent), sent + 0.5)


def test_every_script_is_in_the_readme() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert f"`{path.name}`" in README


def test_the_commands_of_the_readme_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    command = importlib.import_module("tutorial").main
    assert isinstance(command, click.Command)
    lines = re.findall(r"^python examples/tutorial\.py.*$", README, re.MULTILINE)
    assert lines
    for line in lines:
        with contextlib.suppress(click.exceptions.Exit):  # of --help
            command.make_context("tutorial", shlex.split(line)[2:]).close()
    del sys.modules["tutorial"]
