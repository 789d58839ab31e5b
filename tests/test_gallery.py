"""The gallery's stories run, tell what they should, and are the notebook's."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from test_docs import load_tool

from echoanom.events import read_events
from echoanom.labels import read_labels
from echoanom.scores import read_scores

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
STORIES = {
    "find_the_storm": "storm",
    "find_the_dead_sensor": "dead-sensor",
    "compare_three_models": "models",
    "choose_a_threshold": "threshold",
}
MOST_BYTES = 150_000

slow = pytest.mark.slow


def printed(notebook: Any) -> dict[str, str]:
    """Return what the stories of a notebook printed, by script."""
    stories = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            name = cell.source.split()[1]
            stories[name] = cell.outputs[0].text
    return stories


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the gallery, as it was run from there."""
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "examples").mkdir()
    for path in EXAMPLES.glob("*.py"):
        shutil.copyfile(path, folder / "examples" / path.name)
    shutil.copytree(EXAMPLES / "data", folder / "examples" / "data")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_gallery.py", "examples", "images"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, str]:
    return printed(nbformat.read(folder / "examples" / "gallery.ipynb", as_version=4))


@slow
def test_the_storm_has_the_highest_peak_of_the_days_that_were_not_seen(
    told: dict[str, str],
) -> None:
    _, _, first, *others = told["find_the_storm"].splitlines()
    assert first.startswith("  1. 2015-02-10T") and first.endswith("<- the storm")
    assert not any("<-" in line for line in others)


@slow
def test_the_silent_and_the_stuck_sensor_are_found_with_their_times(
    told: dict[str, str], folder: Path
) -> None:
    silent, stuck = told["find_the_dead_sensor"].splitlines()
    times = "2015-02-06T03:00:00Z to 2015-02-06T09:00:00Z"
    assert silent.startswith(f"silent: hydrophone from {times}")
    # A value that is repeated is the same as the one it repeats, and may be as the next.
    assert re.match(r"stuck: ctd from 2015-02-06T1[12]:[05]\d:00Z to .*T17:0", stuck)
    events = read_events(str(folder / "demo-output" / "dead-sensor" / "events.csv"))
    assert [x.kind for x in events if x.kind != "unusual"] == ["silent", "stuck"]


@slow
def test_three_models_are_compared_and_say_more_than_nothing(
    told: dict[str, str], folder: Path
) -> None:
    _, *models, silent = told["compare_three_models"].splitlines()
    measures = {line.split()[0]: float(line.split()[1]) for line in models}
    assert list(measures) == ["default", "pca", "zscore"]
    assert min(measures.values()) > float(silent.rsplit(maxsplit=1)[1])
    tables = [
        read_scores(str(folder / "demo-output" / "models" / f"{name}.csv"))
        for name in measures
    ]
    assert all((table.times == tables[0].times).all() for table in tables)


@slow
def test_a_lower_threshold_finds_more_and_pruning_costs_less(
    told: dict[str, str], folder: Path
) -> None:
    _, _, *lines = told["choose_a_threshold"].splitlines()
    row = re.compile(r"(.*?)\s+(\d+) of (\d+)\s+([\d.]+)\s+(\d+) of (\d+)\s+([\d.]+)")
    rules = {}
    for line in lines:
        match = row.fullmatch(line)
        assert match is not None, line
        rules[match[1]] = (int(match[2]), float(match[4]))
    few, many, pruned = (
        rules[name] for name in ("alarms:0.1", "alarms:1", "alarms:1, pruned")
    )
    assert few[0] <= many[0] and few[1] < many[1]
    assert pruned[0] <= many[0] and pruned[1] < many[1]
    assert many[0] >= 0.8 * int(lines[0].split(" of ")[1].split()[0])
    marks = read_labels(str(folder / "demo-output" / "threshold" / "labels.csv"))
    kinds = {label.kind for label in marks}
    assert {"real", "false"} <= kinds <= {"real", "unsure", "false"}


@slow
@pytest.mark.parametrize("name", STORIES.values())
def test_each_story_draws_a_picture_that_is_small(folder: Path, name: str) -> None:
    content = (folder / "images" / f"gallery-{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < MOST_BYTES


@slow
@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_a_script_that_says_what_it_does(name: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--help"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"demo-output/{STORIES[name]}" in done.stdout


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def test_the_notebook_is_the_script_and_valid() -> None:
    assert cells(EXAMPLES / "gallery.ipynb") == cells(EXAMPLES / "gallery.py"), (
        "make docs writes the notebook again"
    )
    nbformat.validate(nbformat.read(EXAMPLES / "gallery.ipynb", as_version=4))


def test_the_notebook_has_text_and_a_small_picture_of_every_story() -> None:
    notebook = nbformat.read(EXAMPLES / "gallery.ipynb", as_version=4)
    assert list(printed(notebook)) == list(STORIES)
    assert all(printed(notebook).values())
    for cell, name in zip(
        (cell for cell in notebook.cells if cell.cell_type == "code"),
        STORIES.values(),
        strict=True,
    ):
        content = base64.b64decode(cell.outputs[1].data["image/png"])
        assert content.startswith(b"\x89PNG") and len(content) < MOST_BYTES
        page = ROOT / "docs" / "images" / f"gallery-{name}.png"
        assert content == page.read_bytes(), "make docs writes both again"
    text = (EXAMPLES / "gallery.ipynb").read_text()
    assert "/tmp/" not in text and str(ROOT) not in text
    assert json.loads(text)["nbformat"] == 4


def test_the_page_leads_to_every_script_and_shows_every_picture() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    for script, name in STORIES.items():
        assert f"(../examples/{script}.py)" in page
        assert f"(images/gallery-{name}.png)" in page


def test_a_cell_must_end_in_what_it_shows() -> None:
    tool = load_tool("make_gallery")
    with pytest.raises(AssertionError, match="x = 1"):
        tool.run_cell("x = 1", 1)
