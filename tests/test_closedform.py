"""Baselines: fitted at once, and from then on used like any model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from datasets import PERIOD_S, sensor_days, small_dataset, write_tables

from echoanom.artifact import Artifact, load_artifact
from echoanom.batching import WindowBatches
from echoanom.cli import main
from echoanom.cloud.hyperparameters import Hyperparameters, JobOptions
from echoanom.cloud.server import load_model, model_dir
from echoanom.columns import kind_mask
from echoanom.connecting import connect
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import OptionError
from echoanom.holdout import hold_back
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import TableOptions, WindowOptions
from echoanom.reader import IndexedReader
from echoanom.scoring import score
from echoanom.training import train

pytestmark = pytest.mark.slow

SIZE = 6
WINDOW = WindowOptions(size=SIZE, stride=2, batch_size=16, shuffle=True, seed=3)
TRAINING = TrainOptions(normalization="standard")
KINDS = {
    "pca": ModelOptions(kind="pca", components=4),
    "pca-rows": ModelOptions(kind="pca-rows", components=2),
    "zscore": ModelOptions(kind="zscore"),
    "step": ModelOptions(kind="step"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("closedform"))


@pytest.fixture(scope="module")
def models(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("models")
    return {
        kind: fit(dataset, folder / kind, network) for kind, network in KINDS.items()
    }


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with connect("local", 2) as client:
        yield client


def fit(dataset: Dataset, folder: Path, network: ModelOptions) -> Artifact:
    return train(dataset, str(folder), WINDOW, network, TRAINING)


def training_windows(dataset: Dataset, artifact: Artifact) -> np.ndarray:
    """Return the normalised windows that a model is fitted to, in order of time."""
    holdout = hold_back(dataset.runs, PERIOD_S, SIZE, TRAINING.validation)
    batches = WindowBatches(
        dataset,
        dataclasses.replace(WINDOW, shuffle=False),
        runs=holdout.training,
        normalization=artifact.normalization,
    )
    found = [batches.read(n)["values"].copy() for n in range(len(batches))]
    return np.concatenate(found)


def by_svd(samples: np.ndarray, values: np.ndarray, components: int) -> np.ndarray:
    """Project values on the first components of samples, the plain way."""
    mean = samples.mean(axis=0, dtype=np.float64)
    rows = np.linalg.svd(samples - mean, full_matrices=False)[2][:components]
    return (values - mean) @ rows.T @ rows + mean


def expected(kind: str, windows: np.ndarray) -> np.ndarray:
    """Reproduce windows with the formula alone; angles not yet turned."""
    count, size, columns = windows.shape
    if kind == "pca":
        flat = windows.reshape(count, -1)
        return by_svd(flat, flat, 4).reshape(windows.shape)
    if kind == "pca-rows":
        rows = windows.reshape(-1, columns)
        return by_svd(rows, rows, 2).reshape(windows.shape)
    if kind == "zscore":
        return np.zeros(windows.shape)
    later = windows.copy()
    for row in range(1, size):
        later[:, row] = windows[:, row - 1]
    return later


@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_reproduced_as_the_plain_formula_says(
    kind: str, dataset: Dataset, models: dict[str, Artifact]
) -> None:
    windows = training_windows(dataset, models[kind])
    plain = ~kind_mask(dataset.columns, "direction")
    assert plain.any()
    found = np.asarray(models[kind].model(windows, training=False))
    wanted = expected(kind, windows)
    np.testing.assert_allclose(found[..., plain], wanted[..., plain], atol=1e-4)


def test_the_error_of_zscore_is_the_squared_z_score(
    dataset: Dataset, models: dict[str, Artifact]
) -> None:
    windows = training_windows(dataset, models["zscore"])
    plain = ~kind_mask(dataset.columns, "direction")
    found = np.asarray(models["zscore"].model(windows, training=False))
    errors = np.square(windows - found)[..., plain]
    np.testing.assert_allclose(errors, np.square(windows[..., plain]), atol=1e-5)


def test_the_mean_of_angles_lies_among_them(tmp_path: Path) -> None:
    tables = sensor_days(4, ("dir_8m",), gaps=False)
    rng = np.random.default_rng(0)
    for table in tables.values():
        table["dir_8m"] = (350 + 20 * rng.random(len(table))) % 360
    source = write_tables(tmp_path / "source", {"adcp": tables})
    convert(source, str(tmp_path / "d"), table=TableOptions(period_s=PERIOD_S))
    dataset = open_dataset(str(tmp_path / "d"))
    assert kind_mask(dataset.columns, "direction").all()
    artifact = fit(dataset, tmp_path / "m", KINDS["zscore"])
    (means,) = artifact.model.get_weights()
    (degrees,) = artifact.normalization.invert(means)
    assert abs((degrees + 180) % 360 - 180) < 2
    assert artifact.record.history[0].loss < (20 / (360 / 12**0.5)) ** 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_loaded_or_exported_or_fitted_again_is_the_same(
    kind: str, dataset: Dataset, models: dict[str, Artifact], tmp_path: Path
) -> None:
    artifact = models[kind]
    loaded = load_artifact(artifact.path)
    assert loaded.network == KINDS[kind] and loaded.record == artifact.record
    assert loaded.calibration == artifact.calibration is not None
    table, again = score(dataset, artifact), score(dataset, loaded)
    np.testing.assert_array_equal(again.score, table.score)
    np.testing.assert_array_equal(again.shares, table.shares)
    other = fit(dataset, tmp_path / "again", KINDS[kind])
    assert other.record.history == artifact.record.history
    for ours, theirs in zip(
        other.model.get_weights(), artifact.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)

    served = tf.saved_model.load(f"{artifact.path}/saved_model/1")
    normalised = training_windows(dataset, artifact)[:5]
    raw = artifact.normalization.invert(normalised)
    found = served.signatures["windows"](values=tf.constant(raw))
    reproduced = np.asarray(artifact.model(normalised, training=False))
    np.testing.assert_allclose(
        found["reconstruction"], artifact.normalization.invert(reproduced), rtol=1e-4
    )
    places = np.arange(5, dtype=np.int32) * normalised.shape[1]
    rows = normalised.reshape(-1, normalised.shape[2])
    errors_of = artifact.detector.errors_of()
    _, errors = errors_of(rows, np.ones(rows.shape, dtype=np.bool_), places)
    np.testing.assert_allclose(found["error"], errors, rtol=1e-3, atol=1e-5)


def test_history_has_one_epoch_and_says_how_much_is_explained(
    models: dict[str, Artifact],
) -> None:
    for kind, artifact in models.items():
        (epoch,) = artifact.record.history
        assert epoch.loss > 0 and epoch.validation_loss > 0
        assert artifact.record.stop_reason.startswith("fitted at once")
        assert ("components explain" in artifact.record.stop_reason) == ("pca" in kind)


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
def test_a_server_gives_rows_the_same_scores(
    kind: str, dataset: Dataset, models: dict[str, Artifact]
) -> None:
    expected = score(dataset, models[kind])
    run = int(dataset.runs.rows.argmax())
    first, rows = int(dataset.runs.first_row[run]), int(dataset.runs.rows[run])
    values, observed = IndexedReader(dataset).rows(first, rows)
    values = np.where(observed, values, np.nan)
    with model_dir(models[kind].path) as folder:
        about, predict = load_model(folder)
        found = predict("rows", values)["row_error"]
    assert about.window == SIZE
    start = int(np.searchsorted(expected.times, dataset.runs.start_s[run]))
    # What was filled is drawn, and goes into the model, but is missing for a server.
    whole = observed.all(axis=1)
    whole = np.convolve(~whole, np.ones(2 * SIZE + 1), mode="same") == 0
    assert whole.sum() >= 10
    np.testing.assert_allclose(
        found[whole],
        expected.score[start : start + rows][whole],
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_shows_what_it_makes_of_an_event(
    kind: str, dataset: Dataset, models: dict[str, Artifact], tmp_path: Path
) -> None:
    scores, events = str(tmp_path / "s.csv"), str(tmp_path / "e.csv")
    out, model = tmp_path / "r.html", ["--model", models[kind].path]
    assert main(["score", dataset.path, *model, "--out", scores]) == 0
    rule = ["--threshold", "quantile:0.98"]
    assert main(["detect", scores, "--out", events, *rule]) == 0
    assert len(pd.read_csv(events)) >= 1
    given = [*model, "--scores", scores, "--events", events, "--out", str(out)]
    pictures = tmp_path / "pictures"
    assert main(["report", dataset.path, *given, "--png", str(pictures)]) == 0
    assert kind in out.read_text()
    assert list(pictures.glob("*event-1*"))


@pytest.mark.parametrize("kind, everything", [("pca", 30), ("pca-rows", 5)])
def test_more_components_leave_less_and_all_leave_nothing(
    kind: Any, everything: int, dataset: Dataset, tmp_path: Path
) -> None:
    losses = [
        fit(dataset, tmp_path / str(n), ModelOptions(kind=kind, components=n))
        .record.history[0]
        .loss
        for n in (1, 3, everything)
    ]
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_scores_know_no_units_and_constant_columns_add_nothing(
    kind: str, tmp_path: Path
) -> None:
    tables = []
    for name in ("plain", "changed"):
        days = sensor_days(4, ("temperature", "salinity", "oxygen"), gaps=False)
        if name == "changed":
            for day in days.values():
                day["temperature"] = 1000 * day["temperature"]
                day["salinity"] = 1.8 * day["salinity"] + 32
                day["zero"], day["one"] = 0.0, 1.0
        source = write_tables(tmp_path / name, {"ctd": days})
        out = str(tmp_path / f"{name}-dataset")
        convert(source, out, table=TableOptions(period_s=PERIOD_S))
        dataset = open_dataset(out)
        artifact = fit(dataset, tmp_path / f"{name}-model", KINDS[kind])
        tables.append(score(dataset, artifact).score)
    # What is 0 but for rounding has no digits to compare.
    rounding = 1e-5 * tables[0].mean()
    np.testing.assert_allclose(tables[1], tables[0], rtol=0.01, atol=rounding)


@pytest.mark.parametrize(
    "network, training, message",
    [
        ({"kind": "pca", "filters": (4,)}, {}, "filters must be left out"),
        ({"kind": "step", "components": 3}, {}, "components must be left out"),
        ({"kind": "zscore", "output": "linear"}, {}, "output must be left out"),
        (
            {"kind": "autoencoder", "components": 3},
            {},
            "components must be left out with the model autoenc",
        ),
        ({"kind": "pca"}, {"epochs": 7}, "epochs must be left out with the model pca"),
        ({"kind": "pca"}, {"learning_rate": 0.1}, "learning_rate must be left out"),
        ({"kind": "pca"}, {"patience": 0}, "patience must be left out"),
    ],
)
def test_what_a_model_does_not_take_is_refused(
    network: Any, training: Any, message: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        train(
            dataset,
            str(tmp_path / "m"),
            WINDOW,
            ModelOptions(**network),
            TrainOptions(**training),
        )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("options", [{"resume": True}, {"placement": "device"}])
def test_what_is_fitted_at_once_is_not_resumed_and_has_no_device(
    options: Any, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="must be left out with the model step"):
        train(dataset, str(tmp_path / "m"), WINDOW, KINDS["step"], **options)


def test_a_training_job_takes_the_autoencoder_alone() -> None:
    with pytest.raises(OptionError, match="kind must be autoencoder in a training job"):
        Hyperparameters(WINDOW, KINDS["pca"], TRAINING, JobOptions())


@pytest.mark.parametrize("network", [*KINDS.values(), ModelOptions(kind="pca")])
def test_options_come_back_from_what_is_stored(network: ModelOptions) -> None:
    stored = json.loads(json.dumps(network.as_json()))
    assert set(stored) <= {"kind", "components"}
    assert ModelOptions.from_json(stored) == network


def test_an_autoencoder_is_stored_as_it_was_before_there_were_others() -> None:
    stored = ModelOptions(kind="autoencoder").as_json()
    assert set(stored) == {"filters", "kernel", "dropout", "output"}
    assert ModelOptions.from_json(stored).kind == "autoencoder"


def test_the_command_fits_scores_and_refuses(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "m"), str(tmp_path / "s.csv")
    arguments = ["train", dataset.path, "--model", model, "--window", "6"]
    other = ["--model-kind", "autoencoder", "--components", "3"]
    assert main([*arguments, *other]) == 2
    assert "--components must be left out with the model" in capsys.readouterr().err
    arguments += ["--model-kind", "pca", "--components", "3"]
    assert main([*arguments, "--epochs", "3"]) != 0
    assert "epochs must be left out with the model pca" in capsys.readouterr().err
    assert main(arguments) == 0
    assert "3 components explain" in capsys.readouterr().out
    assert main(["score", dataset.path, "--model", model, "--out", out]) == 0
    assert np.isfinite(pd.read_csv(out)["score"]).any()
