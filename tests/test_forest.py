"""Scores of a Random Cut Forest, on real rows and on rows that are hard to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import small_dataset

from echoanom import forestrows
from echoanom.cli import main
from echoanom.dataset import Dataset, open_dataset
from echoanom.forest import score_with_forest
from echoanom.labels import read_labels
from echoanom.modeloptions import ForestOptions
from echoanom.reader import IndexedReader
from echoanom.scores import read_scores

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "data"
LABELS = str(SAMPLE / "labels.csv")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("forest") / "dataset")
    assert main(["convert", str(SAMPLE), path, "--period", "900"]) == 0
    return path


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("hard"))


def on_deck() -> list[tuple[int, int]]:
    return [(label.start, label.end) for label in read_labels(LABELS)]


def test_the_hours_on_deck_are_found_with_every_command(sample, tmp_path, capsys):
    scores, events = str(tmp_path / "scores.csv"), str(tmp_path / "events.csv")
    assert main(["forest", sample, "--out", scores, "--exclude", LABELS]) == 0
    rule = ["--threshold", "mad:6"]
    assert main(["detect", scores, "--out", events, *rule]) == 0
    capsys.readouterr()
    assert main(["evaluate", scores, LABELS, *rule, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 500
    assert found["average_precision"] > 0.999
    assert found["by_event"]["found_labels"] == 1
    assert found["by_event"]["events"] <= 3
    table = read_scores(scores)
    assert table.calibration is not None and table.calibration.count == 126  # two days
    assert table.provenance["model"]["kind"] == "random cut forest"
    assert table.provenance["dataset"]["digest"] == open_dataset(sample).digest


def test_shares_say_which_columns_a_score_comes_from(sample):
    table = score_with_forest(open_dataset(sample), exclude=on_deck())
    np.testing.assert_allclose(table.shares.sum(axis=1, dtype=float), 1, atol=2e-2)
    labels = [column.label for column in table.columns]
    # On deck the echo is at the noise floor, nearest to the instrument most unusually.
    assert labels[int(table.shares[:50].mean(axis=0).argmax())].startswith("adcp/echo")


def test_one_seed_gives_the_same_scores_and_another_gives_others(hard):
    first = score_with_forest(hard)
    again = score_with_forest(hard, ForestOptions(seed=0), shares=False)
    np.testing.assert_array_equal(first.score, again.score)
    assert again.shares is None
    other = score_with_forest(hard, ForestOptions(seed=1), shares=False)
    assert not np.allclose(first.score, other.score, equal_nan=True)


def test_a_row_has_no_score_only_if_nothing_of_it_was_observed(hard):
    table = score_with_forest(hard)
    _, observed = IndexedReader(hard).rows(0, hard.rows)
    np.testing.assert_array_equal(np.isnan(table.score), ~observed.any(axis=1))
    np.testing.assert_array_equal(table.score, table.window_score)
    np.testing.assert_array_equal(table.times, hard.times())
    assert (table.windows == 1).all()


def test_how_rows_are_cut_into_blocks_changes_no_score(hard, monkeypatch):
    whole = score_with_forest(hard, shares=False)
    monkeypatch.setattr(forestrows, "_BLOCK_CELLS", 1)
    np.testing.assert_array_equal(
        score_with_forest(hard, shares=False).score, whole.score
    )


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        (["--trees", "49"], "--trees must be a whole number from 50 to 1000, got 49"),
        (["--samples", "2049"], "--samples must be a whole number from 3 to 2048"),
        (
            ["--seed", "-1"],
            "--seed must be a whole number from 0 to 9223372036854775807",
        ),
        (["--validation", "1"], "--validation must be in (0, 1), got 1.0"),
        (["--from", "2004-06-24"], "training needs rows on a day"),
        (["--out", "scores.txt"], "must end in .csv, got 'scores.txt'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_options_are_told_in_one_line(sample, tmp_path, capsys, option, rule):
    out = [] if "--out" in option else ["--out", str(tmp_path / "scores.csv")]
    assert main(["forest", sample, *out, *option]) in (1, 2)
    assert rule in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_without_krcf_the_extra_is_named(sample, tmp_path):
    program = (
        "import sys; sys.modules['krcf'] = None\n"
        "from echoanom.cli import main\n"
        f"sys.exit(main(['forest', {sample!r}, '--out', {str(tmp_path / 's.csv')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "echoanom: error: a Random Cut Forest needs: pip install 'echoanom[baselines]'\n"
    )
