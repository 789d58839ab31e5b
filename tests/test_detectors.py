"""Forests as models: fitted, kept, scored and reported like networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import pytest
from datasets import PERIOD_S, ROWS_PER_DAY, sensor_days, small_dataset, write_tables

from echoanom.artifact import Artifact, load_artifact, save_artifact
from echoanom.cli import main
from echoanom.cloud.hyperparameters import Hyperparameters, JobOptions
from echoanom.cloud.server import model_dir
from echoanom.connecting import connect
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import ArtifactError, OptionError, TrainingError
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import TableOptions, WindowOptions
from echoanom.scoring import score
from echoanom.training import train

pytestmark = pytest.mark.slow

SIZE = 6
WINDOW = WindowOptions(size=SIZE, stride=1, batch_size=16, shuffle=True, seed=3)
TRAINING = TrainOptions(normalization="standard")
KINDS = ("iforest", "rcf")
FILE = {"iforest": "model.iforest.npz", "rcf": "model.rcf.msgpack"}
COLUMNS = ("temperature", "salinity", "oxygen")
LAST = ROWS_PER_DAY * 3  # first row of the last day

Tables = dict[str, pd.DataFrame]


def options(kind: Any) -> ModelOptions:
    return ModelOptions(kind=kind, trees=40, samples=128)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("detectors"))


@pytest.fixture(scope="module")
def models(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: fit(dataset, folder / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with connect("local", 2) as client:
        yield client


def fit(dataset: Dataset, folder: Path, kind: str, seed: int = 3) -> Artifact:
    window = WindowOptions(size=SIZE, stride=1, batch_size=16, shuffle=True, seed=seed)
    return train(dataset, str(folder), window, options(kind), TRAINING)


def made(root: Path, change: Callable[[Tables], object]) -> Dataset:
    """Convert four days of one sensor, of which something is changed."""
    days = sensor_days(4, COLUMNS, gaps=False)
    change(days)
    source = write_tables(root / "source", {"ctd": days})
    convert(source, str(root / "dataset"), table=TableOptions(period_s=PERIOD_S))
    return open_dataset(str(root / "dataset"))


def last_day(days: Tables, rows: slice, columns: list[str], value: float) -> None:
    table = days[max(days)]
    table.loc[table.index[rows], columns] = value


@pytest.mark.parametrize("kind", KINDS)
def test_a_forest_that_is_loaded_or_grown_again_scores_the_same(
    kind: str, dataset: Dataset, models: dict[str, Artifact], tmp_path: Path
) -> None:
    artifact = models[kind]
    loaded = load_artifact(artifact.path)
    again = fit(dataset, tmp_path / "again", kind)
    assert loaded.network == options(kind) and loaded.digest == artifact.digest
    assert loaded.record == artifact.record == again.record
    table = score(dataset, artifact)
    for other in (loaded, again):
        assert other.calibration == artifact.calibration is not None
        found = score(dataset, other)
        np.testing.assert_array_equal(found.score, table.score)
        np.testing.assert_array_equal(found.shares, table.shares)
    different = score(dataset, fit(dataset, tmp_path / "other", kind, seed=4))
    assert (different.score != table.score).any()


@pytest.mark.parametrize("kind", KINDS)
def test_its_folder_holds_its_own_file_and_no_network(
    kind: str, models: dict[str, Artifact]
) -> None:
    path = Path(models[kind].path)
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert files - {".lock"} == {
        "artifact.json",
        "calibration.json",
        "history.csv",
        "normalization.json",
        FILE[kind],
    }
    record = models[kind].record
    assert record.history == () and "40 trees of 128 of" in record.stop_reason
    about = json.loads((path / "artifact.json").read_text())
    assert about["network"] == {"kind": kind, "trees": 40, "samples": 128}
    assert about["versions"]["krcf" if kind == "rcf" else "scikit-learn"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_of_a_row_is_the_mean_of_its_windows(
    kind: str, dataset: Dataset, models: dict[str, Artifact]
) -> None:
    table = score(dataset, models[kind])
    total, count = np.zeros(len(table.times)), np.zeros(len(table.times))
    for i in np.flatnonzero(np.isfinite(table.window_score)):
        total[i : i + SIZE] += table.window_score[i]
        count[i : i + SIZE] += 1
    np.testing.assert_array_equal(count, table.windows)
    seen = np.isfinite(table.score)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(table.score[seen], (total / count)[seen], rtol=1e-5)
    assert table.shares is not None
    sums = table.shares.sum(axis=1, dtype=float)
    np.testing.assert_allclose(sums[seen], 1, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spike_is_found_and_so_is_its_column(kind: str, tmp_path: Path) -> None:
    rows = slice(40, 44)
    dataset = made(tmp_path, lambda days: last_day(days, rows, ["salinity"], 4.0))
    table = score(dataset, fit(dataset, tmp_path / "m", kind))
    peak = int(np.nanargmax(table.score))
    assert LAST + 40 - SIZE < peak < LAST + 44 + SIZE
    assert table.shares is not None
    share = table.shares[LAST + 40 : LAST + 44].mean(axis=0, dtype=float)
    assert COLUMNS[int(share.argmax())] == "salinity" and share.max() > 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_missing_cells_neither_alarm_nor_hide_an_alarm(
    kind: str, tmp_path: Path
) -> None:
    def change(days: Tables) -> None:
        last_day(days, slice(20, 60), ["oxygen"], np.nan)
        last_day(days, slice(40, 44), ["salinity"], 4.0)

    dataset = made(tmp_path / "silent", change)
    artifact = fit(dataset, tmp_path / "m", kind)
    table = score(dataset, artifact)
    complete = score(made(tmp_path / "complete", lambda days: None), artifact)
    silent = slice(LAST + 20, LAST + 34)
    ratio = table.score[silent] / complete.score[silent]
    # A mean in its place would double the score of a Random Cut Forest.
    assert abs(ratio.mean() - 1) < 0.15 and np.abs(ratio - 1).max() < 0.3
    peak = int(np.nanargmax(table.score))
    assert LAST + 40 - SIZE < peak < LAST + 44 + SIZE
    assert table.shares is not None
    assert (table.shares[LAST + 20 : LAST + 60, COLUMNS.index("oxygen")] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_which_nothing_was_observed_have_no_score(
    kind: str, tmp_path: Path
) -> None:
    def change(days: Tables) -> None:
        last_day(days, slice(20, 40), list(COLUMNS), np.nan)
        days[min(days)].loc[:, list(COLUMNS)] = np.nan

    dataset = made(tmp_path, change)
    table = score(dataset, fit(dataset, tmp_path / "m", kind))
    missing = np.isnan(table.score)
    hidden = np.zeros(len(missing), dtype=bool)
    hidden[:ROWS_PER_DAY] = hidden[LAST + 20 : LAST + 40] = True
    np.testing.assert_array_equal(missing, hidden)


@pytest.mark.parametrize("kind", KINDS)
def test_workers_score_it_as_one_process_does(
    kind: str,
    dataset: Dataset,
    models: dict[str, Artifact],
    client: distributed.Client,
) -> None:
    here = score(dataset, models[kind], batch_size=8)
    there = score(dataset, models[kind], batch_size=8, client=client)
    np.testing.assert_array_equal(there.score, here.score)
    np.testing.assert_array_equal(there.shares, here.shares)


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_takes_it(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = slice(40, 44)
    dataset = made(tmp_path, lambda days: last_day(days, rows, ["salinity"], 4.0))
    model, scores = str(tmp_path / "model"), str(tmp_path / "scores.csv")
    events, report = str(tmp_path / "events.csv"), tmp_path / "report.html"
    arguments = ["train", dataset.path, "--model", model, "--window", "6"]
    arguments += ["--stride", "1", "--model-kind", kind, "--trees", "40"]
    assert main([*arguments, "--epochs", "3"]) != 0
    assert f"epochs must be left out with the model {kind}" in capsys.readouterr().err
    assert main([*arguments, "--samples", "1"]) == 2
    assert "samples must be a whole number of at least 2" in capsys.readouterr().err
    assert main(arguments) == 0
    assert "fitted at once: 40 trees of 256 of" in capsys.readouterr().out
    given = ["--model", model]
    assert main(["score", dataset.path, *given, "--out", scores]) == 0
    assert main(["detect", scores, "--out", events, "--threshold", "mad:3"]) == 0
    found = pd.read_csv(events)
    assert len(found) >= 1 and "2020-03-01T1" in found["peak"][0]
    capsys.readouterr()
    given += ["--scores", scores, "--events", events, "--out", str(report)]
    pictures = tmp_path / "pictures"
    assert main(["report", dataset.path, *given, "--png", str(pictures)]) == 0
    page = report.read_text()
    assert "There is no reconstruction: the model is a forest." in page
    assert f"<td>{kind}</td>" in page or kind in page
    assert not list(pictures.glob("*event-*"))
    assert not list(pictures.glob("*training*"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_reproduces_nothing_and_is_not_served(
    kind: str,
    models: dict[str, Artifact],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    artifact = models[kind]
    with pytest.raises(ArtifactError, match="must be a network to reproduce windows"):
        artifact.reconstruct(np.zeros((1, SIZE, 5), dtype=np.float32))
    with pytest.raises(ArtifactError, match="must be a network to be exported"):
        artifact.detector.export(artifact.normalization, str(tmp_path))
    with pytest.raises(ArtifactError, match="a forest has none"):
        with model_dir(artifact.path):
            pytest.fail("it was laid out")
    assert main(["serve", artifact.path, "--port", "0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "must hold a SavedModel" in line and "`echoanom score`" in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_job_refuses_it(kind: str) -> None:
    with pytest.raises(OptionError, match="kind must be autoencoder in a training job"):
        Hyperparameters(WINDOW, options(kind), TRAINING, JobOptions())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{"resume": True}, {"placement": "device"}])
def test_it_is_not_resumed_and_has_no_device(
    kind: str, more: Any, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"must be left out with the model {kind}"):
        train(dataset, str(tmp_path / "m"), WINDOW, options(kind), TRAINING, **more)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"kind": "iforest", "components": 3}, "components must be left out"),
        ({"kind": "rcf", "filters": (4,)}, "filters must be left out"),
        (
            {"kind": "autoencoder", "trees": 3},
            "trees must be left out with the model autoencoder",
        ),
        ({"kind": "pca", "samples": 3}, "samples must be left out with the model pca"),
        ({"kind": "rcf", "trees": 0}, "trees must be a whole number of at least 1"),
    ],
)
def test_what_a_model_does_not_take_is_refused(network: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ModelOptions(**network)


def test_one_window_is_too_few(tmp_path: Path) -> None:
    dataset = made(tmp_path, lambda days: None)
    window = WindowOptions(size=SIZE, stride=10_000, shuffle=True)
    with pytest.raises(TrainingError, match="needs at least 2 windows of 6 rows"):
        train(dataset, str(tmp_path / "m"), window, options("iforest"), TRAINING)


def test_another_kind_in_the_same_folder_leaves_nothing_of_the_first(
    dataset: Dataset, models: dict[str, Artifact], tmp_path: Path
) -> None:
    path = tmp_path / "m"
    network = ModelOptions(kind="zscore")
    train(dataset, str(path), WINDOW, network, TRAINING)
    assert (path / "saved_model/1/saved_model.pb").exists()
    assert (path / "loss.png").exists()
    for kind in KINDS:
        train(dataset, str(path), WINDOW, options(kind), TRAINING, overwrite=True)
        files = {file.name for file in path.rglob("*") if file.is_file()}
        assert files.intersection(
            {"model.weights.h5", "saved_model.pb", "loss.png", *FILE.values()}
        ) == {FILE[kind]}
        assert load_artifact(str(path)).network.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_changed_or_is_another_model_s_is_refused(
    kind: str, models: dict[str, Artifact], tmp_path: Path
) -> None:
    saved = save_artifact(models[kind], str(tmp_path / "m"))
    file = Path(saved.path) / FILE[kind]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=f"{FILE[kind]}: must have hash"):
        load_artifact(saved.path)
    file.write_bytes(content)
    about = tmp_path / "m" / "artifact.json"
    changed = json.loads(about.read_text())
    changed["window"]["size"] = SIZE + 1
    about.write_text(json.dumps(changed))
    with pytest.raises(ArtifactError, match=r"must know windows of 7 rows x 5 columns"):
        load_artifact(saved.path)
