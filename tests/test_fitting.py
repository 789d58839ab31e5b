"""The default model as it is fitted, scored and resumed: from shards to scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from datasets import PERIOD_S, sensor_days, write_tables

from echoanom.artifact import Artifact, load_artifact
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import OptionError, TrainingError
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import TableOptions, WindowOptions
from echoanom.reader import IndexedReader
from echoanom.residual import components_of
from echoanom.scores import ScoreTable
from echoanom.scoring import score
from echoanom.training import train

pytestmark = pytest.mark.slow

WINDOW = WindowOptions(size=16, stride=2, batch_size=16, shuffle=True, seed=3)
TRAINING = TrainOptions(epochs=3)


def observatory(root: Path, change: Any = None) -> Dataset:
    sensors = {
        "ctd": sensor_days(4, ("temperature", "salinity"), gaps=False),
        "oxygen": sensor_days(4, ("oxygen",), gaps=False, seed=7),
    }
    if change is not None:
        change(sensors)
    source = write_tables(root / "source", sensors)
    convert(source, str(root / "dataset"), table=TableOptions(period_s=PERIOD_S))
    return open_dataset(str(root / "dataset"))


def fit(dataset: Dataset, folder: Path, **given: Any) -> Artifact:
    return train(dataset, str(folder), WINDOW, None, TRAINING, **given)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Artifact]:
    root = tmp_path_factory.mktemp("plain")
    dataset = observatory(root)
    return dataset, fit(dataset, root / "model")


def test_the_default_model_begins_with_components(
    plain: tuple[Dataset, Artifact],
) -> None:
    _, artifact = plain
    assert artifact.network.kind == "residual"
    _, directions = components_of(artifact.model).get_weights()
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-5)
    assert artifact.weighing is not None
    np.testing.assert_array_equal(artifact.weighing.sensors, [0, 0, 1])


def test_usual_rows_score_about_one(plain: tuple[Dataset, Artifact]) -> None:
    dataset, artifact = plain
    table = score(dataset, artifact)
    assert 0.2 < np.nanmedian(table.score) < 5


def test_a_sensor_that_the_held_back_day_lacks_counts_by_the_days_before(
    tmp_path: Path,
) -> None:
    def wide_and_silent(sensors: Any) -> None:
        # Oxygen is all noise: its error is unlike those of the other sensor's columns.
        rng = np.random.default_rng(5)
        for table in sensors["oxygen"].values():
            table["oxygen"] = rng.normal(size=len(table))
        del sensors["oxygen"][max(sensors["oxygen"])]

    dataset = observatory(tmp_path, wide_and_silent)
    artifact = fit(dataset, tmp_path / "model")
    assert artifact.weighing is not None
    table = score(dataset, artifact)
    oxygen = [column.sensor for column in table.columns].index("oxygen")
    first = table.times < table.times[0] + 3 * 86_400
    usual = table.score[first] * table.shares[first, oxygen]
    assert 0.5 < np.nanmean(usual) < 2
    assert artifact.weighing.spread[oxygen] > 2 * artifact.weighing.spread[:2].max()


def test_a_model_comes_back_from_its_folder(plain: tuple[Dataset, Artifact]) -> None:
    dataset, artifact = plain
    again = score(dataset, load_artifact(artifact.path))
    np.testing.assert_array_equal(again.score, score(dataset, artifact).score)


def test_the_exported_model_gives_the_same_scores(
    plain: tuple[Dataset, Artifact],
) -> None:
    dataset, artifact = plain
    values, _ = IndexedReader(dataset).rows(0, 60)
    values = np.array(values)
    values[20:24, 1] = np.nan
    served = tf.saved_model.load(f"{artifact.path}/saved_model/1")
    found = served.signatures["rows"](values=tf.constant(values))
    normalised = artifact.normalization.apply(values)
    places = np.arange(45, dtype=np.int32)
    errors, error = artifact.detector.errors_of()(
        normalised, np.isfinite(values), places
    )
    np.testing.assert_allclose(found["error"], error, rtol=1e-3)
    row = 30
    mean = np.mean([errors[p, row - p].sum() / 3 for p in range(row - 15, row + 1)])
    np.testing.assert_allclose(found["row_error"][row], mean, rtol=1e-3)


def test_a_training_that_was_interrupted_ends_in_the_same_model(
    plain: tuple[Dataset, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, artifact = plain

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("echoanom.fitting.Fitting.weigh", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(dataset, tmp_path / "model")
    resumed = fit(dataset, tmp_path / "model", resume=True)
    for ours, theirs in zip(
        resumed.model.get_weights(), artifact.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.calibration == artifact.calibration


def changed_units(sensors: Any) -> None:
    for day in sensors["ctd"].values():
        day["temperature"] = 1000 * day["temperature"]
        day["salinity"] = 1.8 * day["salinity"] + 32


def constant_columns(sensors: Any) -> None:
    for day in sensors["ctd"].values():
        day["zero"], day["one"] = 0.0, 1.0


def a_silent_sensor(sensors: Any) -> None:
    sensors["silent"] = {
        day: pd.DataFrame({"nothing": np.nan}, table.index)
        for day, table in sensors["ctd"].items()
    }


@pytest.mark.parametrize("change", [changed_units, constant_columns, a_silent_sensor])
def test_scores_know_no_units_and_what_tells_nothing_adds_nothing(
    change: Any, plain: tuple[Dataset, Artifact], tmp_path: Path
) -> None:
    dataset, artifact = plain
    other = observatory(tmp_path, change)
    before = score(dataset, artifact)
    after = score(other, fit(other, tmp_path / "model"))
    np.testing.assert_array_equal(after.times, before.times)
    np.testing.assert_allclose(after.score, before.score, rtol=0.01)


def spiked(column: str, size: float) -> Any:
    def change(sensors: Any) -> None:
        for days in sensors.values():
            if column in (table := days[max(days)]):
                middle = table.index[len(table) // 2 : len(table) // 2 + 8]
                table.loc[middle, column] += size

    return change


@pytest.mark.parametrize("column", ["salinity", "oxygen"])
def test_what_is_planted_is_found_in_its_column(
    column: str, plain: tuple[Dataset, Artifact], tmp_path: Path
) -> None:
    _, artifact = plain
    other = observatory(tmp_path, spiked(column, 100.0))
    table: ScoreTable = score(other, artifact)
    peak = int(np.nanargmax(table.score))
    day = len(table.times) // 4
    assert abs(peak - (3 * day + day // 2 + 4)) <= 8
    assert table.shares is not None
    names = [found.name for found in other.columns]
    assert names[int(table.shares[peak].argmax())] == column


def test_columns_that_never_vary_cannot_be_learnt(tmp_path: Path) -> None:
    def still(sensors: Any) -> None:
        for days in sensors.values():
            for table in days.values():
                table[table.columns] = 1.0

    with pytest.raises((OptionError, TrainingError), match="vari"):
        fit(observatory(tmp_path, still), tmp_path / "model")


def test_options_that_depend_on_the_model_are_settled() -> None:
    settled = TrainOptions().of(ModelOptions())
    assert (settled.normalization, settled.epochs) == ("standard", 10)
    settled = TrainOptions().of(ModelOptions(kind="autoencoder"))
    assert (settled.normalization, settled.epochs) == ("range", 4)
    asked = TrainOptions(epochs=2, normalization="robust")
    assert asked.of(ModelOptions()) == asked
    assert (
        dataclasses.replace(asked, epochs=None).of(ModelOptions(kind="pca")).epochs
        is None
    )
