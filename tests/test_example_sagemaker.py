"""The walk through SageMaker runs, leaves nothing, and is the same as its notebook."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from pyflakes import api, reporter

from echoanom import storage
from echoanom.cloud.clients import Cloud
from echoanom.cloud.running import list_running
from echoanom.cloud.standin import standin
from echoanom.testing.s3server import S3Server

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPT = EXAMPLES / "tutorial_sagemaker.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
ROLE = "arn:aws:iam::000000000000:role/tests"

slow = pytest.mark.slow


def walk(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=540,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"},
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("walk") / "out"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    done = walk("--out", folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return match.groups()


@slow
def test_the_walk_trains_in_every_epoch_on_the_same_windows(printed: str) -> None:
    windows = re.findall(r"^epoch=\d+ .* windows=(\d+) ", printed, re.MULTILINE)
    assert len(windows) == 6
    assert len(set(windows)) == 1
    first, *_, last = re.findall(r"validation_loss=([\d.e-]+)", printed)
    assert float(last) < float(first)


@slow
def test_the_walk_finds_the_model_and_the_endpoint_again(printed: str) -> None:
    job, url = found(r"(\S+) left (s3://\S+/model\.tar\.gz)", printed)
    assert f"/{job}/output/" in url
    outcomes = re.findall(r"^endpoint \S+: (\w+), InService$", printed, re.MULTILINE)
    assert outcomes == ["created", "unchanged"]
    assert "endpoint echoanom-tutorial: InService, 1 x ml.c5.xlarge" in printed


@slow
def test_a_day_takes_one_request_and_less_time_than_its_windows(printed: str) -> None:
    rows, requests, at_once = found(
        r"(\d+) rows at once: (\d+) request, ([\d.]+) s", printed
    )
    windows, one_by_one = found(
        r"window by window: (\d+) requests, ([\d.]+) s", printed
    )
    assert int(requests) == 1
    assert int(windows) == int(rows) - 16 + 1
    assert float(at_once) < float(one_by_one)


@slow
def test_the_batch_gives_the_scores_of_the_endpoint(printed: str) -> None:
    tables, difference = found(
        r"(\d+) tables; largest relative difference .*: ([\d.e+-]+)", printed
    )
    assert int(tables) == 6
    assert float(difference) < 1e-5


@slow
def test_both_methods_find_what_is_labelled(printed: str) -> None:
    for method in ("autoencoder", "forest"):
        numbers = found(rf"{method} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)", printed)
        area, precision, recall, _ = map(float, numbers)
        assert area > 0.95
        assert precision > 0.9
        assert recall > 0.9


@slow
def test_the_picture_has_data_and_dots(printed: str, folder: Path) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    from echoanom.palette import VERMILION

    picture = imread(io.BytesIO((folder / "score.png").read_bytes()))[..., :3]
    colours = np.unique((picture * 255).astype(np.uint8).reshape(-1, 3), axis=0)
    assert len(colours) > 200  # of the echogram
    of_dots = np.abs(picture - np.array(to_rgb(VERMILION))).max(axis=-1) < 0.01
    assert of_dots.sum() > 100


@slow
def test_the_walk_leaves_nothing(printed: str) -> None:
    assert re.search(
        r"^ended:\n  endpoint (\S+)\n  configuration \1-\w+\n  model \1-\w+$",
        printed,
        re.MULTILINE,
    )
    assert found(r"of (\d) things that were started, (\d) cost", printed) == ("3", "0")
    removed, _ = found(r"(\d+) objects removed, none is left in (s3://\S+)", printed)
    assert int(removed) > 20


@slow
def test_a_walk_in_a_bucket_that_fails_leaves_nothing_that_costs_money(
    bucket: str,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way of the picture, when the endpoint is up")
    with standin() as plane:
        for name, value in plane.environment().items():
            monkeypatch.setenv(name, value)
        place = f"{bucket}/of/mine"
        done = walk(
            *("--bucket", place, "--role", ROLE, "--name", "of-tests"),
            *("--epochs", "1", "--out", tmp_path / "file"),
        )
        cloud = Cloud()
        assert done.returncode == 1
        assert "FileExistsError" in done.stderr
        assert "endpoint of-tests: created, InService" in done.stdout
        assert re.search(r"^ended:\n  endpoint of-tests$", done.stderr, re.MULTILINE)
        assert not list_running(cloud)
        for kind in ("Models", "EndpointConfigs"):
            assert not list(cloud.pages(f"List{kind}", kind))
        (job,) = cloud.pages("ListTrainingJobs", "TrainingJobSummaries")
        told = cloud.call("DescribeTrainingJob", TrainingJobName=job["TrainingJobName"])
    assert told["RoleArn"] == ROLE
    assert told["AlgorithmSpecification"]["TrainingInputMode"] == "Pipe"
    model = told["ModelArtifacts"]["S3ModelArtifacts"]
    assert model.startswith(f"{place}/of-tests/jobs/")
    assert storage.exists(model)


def cells(path: Path) -> list[tuple[str, str, object]]:
    return [
        (cell.cell_type, cell.source, cell.metadata.get("tags"))
        for cell in jupytext.read(path).cells
    ]


def test_the_notebook_is_the_script() -> None:
    in_notebook = cells(NOTEBOOK)
    assert len(in_notebook) > 20
    assert in_notebook == cells(SCRIPT), "make docs writes the notebook again"


def test_the_notebook_is_valid_and_has_no_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_notebook_needs_nothing_of_the_command_line() -> None:
    """Cells of the script alone are raw in the notebook, and so are not run there."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert not any("argparse" in source for source in sources)
    said = io.StringIO()
    api.check("\n\n".join(sources), NOTEBOOK.name, reporter.Reporter(said, said))
    assert said.getvalue() == ""


def test_the_command_line_says_what_to_change_for_aws() -> None:
    done = walk("--help")
    assert done.returncode == 0, done.stderr
    assert "--bucket" in done.stdout
    assert "s3://" in done.stdout
