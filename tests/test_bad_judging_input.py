"""What cannot be judged is refused in one line, from training to the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from echoanom.cli import main

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
DAYS = ("2015-02-01", "2015-02-02", "2015-02-03")
SIZE = ("--window", "8", "--stride", "4", "--model-kind", "zscore")


def write(root: Path, columns: dict[str, tuple[str, ...]]) -> None:
    """Write days of a sensor, each column with values on some of them."""
    folder = root / "mooring" / "tabular"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for day in DAYS:
        lines = [",".join(["timestamp", *columns])]
        for minute in range(0, 1440, 10):
            cells = [
                f"{draw.random():.3f}" if day in days else ""
                for days in columns.values()
            ]
            stamp = f"{day}T{minute // 60:02d}:{minute % 60:02d}:00Z"
            lines.append(",".join([stamp, *cells]))
        (folder / f"{day}.csv").write_text("\n".join(lines) + "\n")


class Work:
    """A dataset, and the files that commands make of it."""

    def __init__(self, folder: Path, **columns: tuple[str, ...]) -> None:
        folder.mkdir()
        write(folder / "source", columns)
        self.dataset, self.model, self.scores, self.events, self.page = (
            str(folder / name)
            for name in ("dataset", "model", "scores.csv", "events.csv", "report.html")
        )
        source = str(folder / "source")
        assert main(["convert", source, self.dataset, "--period", "600"]) == 0

    def train(self) -> int:
        return main(["train", self.dataset, "--model", self.model, *SIZE])

    def score(self) -> int:
        return main(
            ["score", self.dataset, "--model", self.model, "--out", self.scores]
        )

    def detect(self, dataset: str) -> int:
        return main(["detect", self.scores, "--out", self.events, "--dataset", dataset])

    def report(self, dataset: str, model: str) -> int:
        files = ["--scores", self.scores, "--events", self.events, "--out", self.page]
        return main(["report", dataset, "--model", model, *files])

    def walk(self) -> None:
        assert self.train() == self.score() == self.detect(self.dataset) == 0
        assert self.report(self.dataset, self.model) == 0


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = Work(tmp_path_factory.mktemp("one") / "work", x=DAYS)
    work.walk()
    return work


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(tmp_path_factory.mktemp("other") / "work", z=DAYS)


def refusal(capsys: Capture) -> str:
    said = capsys.readouterr().err
    assert said.startswith("echoanom: error: ") and len(said.splitlines()) == 1, said
    return said


def test_one_column_has_the_whole_error(one: Work) -> None:
    header, first, *_ = Path(one.events).read_text().splitlines()
    assert "mooring/x:1" in first.replace("=", ":"), (header, first)
    assert Path(one.page).stat().st_size > 10_000


@pytest.mark.parametrize("days", [(), DAYS[:2], DAYS[2:]], ids=["none", "old", "new"])
def test_a_column_without_values_changes_nothing_for_the_others(
    tmp_path: Path, one: Work, days: tuple[str, ...]
) -> None:
    work = Work(tmp_path / "work", x=DAYS, y=days)
    work.walk()
    assert "nan" not in Path(work.scores).read_text().lower()
    if not days:
        ours, theirs = (
            np.genfromtxt(w.scores, delimiter=",", skip_header=1, usecols=1)
            for w in (work, one)
        )
        # The draws are the same, as is everything that was observed.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((), "must have observed values, but all cells"),
        (DAYS[2:], "must have observed values, but all cells"),
        (DAYS[:2], "at least one score of the days held back, but no row"),
    ],
    ids=["all", "training", "held back"],
)
def test_days_without_any_value_are_refused(
    tmp_path: Path, capsys: Capture, days: tuple[str, ...], said: str
) -> None:
    work = Work(tmp_path / "work", x=days)
    capsys.readouterr()
    assert work.train() == 1
    assert said in refusal(capsys)
    capsys.readouterr()
    assert work.score() == 1
    assert "must hold a trained model" in refusal(capsys)


@pytest.mark.parametrize("kind", ["residual", "pca", "autoencoder", "iforest"])
def test_a_record_that_never_changes_is_refused_by_every_kind_of_model(
    tmp_path: Path, capsys: Capture, kind: str
) -> None:
    folder = tmp_path / "source" / "mooring"
    folder.mkdir(parents=True)
    for day in DAYS:
        rows = [f"{day}T{hour:02d}:00:00Z,5.0,7.0" for hour in range(24)]
        text = "\n".join(["timestamp,x,y", *rows])
        (folder / f"{day}.csv").write_text(text)
    dataset, model = str(tmp_path / "dataset"), tmp_path / "model"
    source = str(tmp_path / "source")
    assert main(["convert", source, dataset, "--period", "3600"]) == 0
    capsys.readouterr()
    arguments = ["train", dataset, "--model", str(model), "--window", "8"]
    assert main([*arguments, "--model-kind", kind]) == 1
    assert "must have a column that varies, but all 2" in refusal(capsys)
    assert not (model / "artifact.json").exists()


def test_scores_of_another_dataset_are_refused(
    one: Work, other: Work, capsys: Capture
) -> None:
    before = Path(one.events).read_bytes()
    capsys.readouterr()
    assert one.detect(other.dataset) == 1
    assert "the scores are of, but lacks mooring/x; name the" in refusal(capsys)
    assert Path(one.events).read_bytes() == before
    assert one.report(other.dataset, one.model) == 1
    assert "lacks mooring/x and has also mooring/z" in refusal(capsys)


def test_a_model_of_other_columns_is_refused(
    one: Work, other: Work, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "scores.csv"
    capsys.readouterr()
    assert main(["score", other.dataset, "--model", one.model, "--out", str(out)]) == 1
    assert "must have the 1 columns of the model" in refusal(capsys)
    assert not out.exists()


def test_a_model_of_another_format_is_refused(
    one: Work, tmp_path: Path, capsys: Capture
) -> None:
    later = tmp_path / "later"
    shutil.copytree(one.model, later)
    about = (later / "artifact.json").read_text()
    (later / "artifact.json").write_text(about.replace('"format": 1', '"format": 99'))
    assert (later / "artifact.json").read_text() != about
    capsys.readouterr()
    assert one.report(one.dataset, str(later)) == 1
    assert "must have format 1, has 99; use the echoanom that" in refusal(capsys)


def test_labels_shorter_than_a_window_and_a_row_are_judged(
    one: Work, tmp_path: Path, capsys: Capture
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "start,end\n"
        "2015-02-03T10:01:00Z,2015-02-03T10:02:00Z\n"
        "2015-02-03T10:01:30Z,2015-02-03T10:15:00Z\n"
        "2019-01-01T00:00:00Z,2019-01-02T00:00:00Z\n"
    )
    capsys.readouterr()
    assert main(["evaluate", one.scores, str(labels), "--threshold", "0"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("432 rows, 0.5 % of them labelled; 2 labels with scores, 1")
    assert "2 of 2 labels found" in said
