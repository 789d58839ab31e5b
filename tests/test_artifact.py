"""The artifact directory: round trips, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from datasets import small_dataset
from models import untrained_artifact

from echoanom.artifact import Artifact, artifact_exists, load_artifact, save_artifact
from echoanom.dataset import Dataset
from echoanom.errors import ArtifactError, EchoanomError
from echoanom.manifest import Manifest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="module")
def saved(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return untrained_artifact(dataset, str(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture
def copy(saved: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved.path, tmp_path / "copy"))


def edit(copy: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((copy / "artifact.json").read_text())
    change(about)
    (copy / "artifact.json").write_text(json.dumps(about))


def other_columns(dataset: Dataset, labels: list[int]) -> Dataset:
    manifest: Manifest = dataclasses.replace(
        dataset.manifest, columns=tuple(dataset.columns[i] for i in labels)
    )
    return Dataset("other", manifest)


def test_what_is_saved_is_what_is_loaded(saved):
    loaded = load_artifact(saved.path)
    for field in dataclasses.fields(Artifact):
        if field.name not in ("model", "normalization"):
            assert getattr(loaded, field.name) == getattr(saved, field.name)
    assert loaded.normalization.as_json() == saved.normalization.as_json()
    for ours, theirs in zip(
        saved.model.get_weights(), loaded.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_the_directory_holds_the_files_of_its_description(saved):
    files = {
        str(path.relative_to(saved.path))
        for path in Path(saved.path).rglob("*")
        if path.is_file()
    }
    assert files == {
        "artifact.json",
        "calibration.json",
        "model.weights.h5",
        "normalization.json",
        "saved_model/1/fingerprint.pb",
        "saved_model/1/saved_model.pb",
        "saved_model/1/variables/variables.data-00000-of-00001",
        "saved_model/1/variables/variables.index",
    }
    about = json.loads((Path(saved.path) / "artifact.json").read_text())
    assert about["versions"]["tensorflow"] == tf.__version__


@pytest.mark.slow
def test_an_artifact_without_calibration_replaces_one_with(saved, copy):
    save_artifact(dataclasses.replace(saved, calibration=None), str(copy))
    assert load_artifact(str(copy)).calibration is None
    assert not (copy / "calibration.json").exists()


@pytest.mark.slow
def test_an_artifact_moves_to_an_object_store_and_back(saved):
    moved = save_artifact(saved, "memory://models/one")
    loaded = load_artifact("memory://models/one")
    assert loaded.digest == moved.digest == saved.digest
    assert loaded.columns == saved.columns


def test_a_failed_write_leaves_no_artifact(saved, copy, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("echoanom.detectors.serving.export", fail)
    with pytest.raises(OSError, match="No space left"):
        save_artifact(saved, str(copy))
    assert not artifact_exists(str(copy))


def test_the_best_epoch_is_the_one_with_the_least_validation_loss(saved):
    assert saved.record.best.epoch == 1


def test_reconstruction_is_in_raw_units_and_has_no_nan(saved, dataset):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 13, 5)).astype(np.float32)
    values[0, :4] = np.nan
    found = saved.reconstruct(values)
    assert found.shape == values.shape
    assert np.isfinite(found).all()
    served = tf.saved_model.load(f"{saved.path}/saved_model/1").signatures["windows"]
    expected = served(values=tf.constant(values))["reconstruction"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="has no artifact.json; train one"):
        load_artifact(str(tmp_path))


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_another_format_is_refused(copy, found):
    edit(copy, lambda about: about.update(format=found))
    with pytest.raises(ArtifactError, match=f"must have format 1, has {found!r}"):
        load_artifact(str(copy))


def test_a_broken_description_is_refused(copy):
    (copy / "artifact.json").write_text("{")
    with pytest.raises(ArtifactError, match="must be JSON"):
        load_artifact(str(copy))
    (copy / "artifact.json").write_text("[]")
    with pytest.raises(ArtifactError, match="must have format 1"):
        load_artifact(str(copy))


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.pop("window"),
        lambda about: about.pop("columns"),
        lambda about: about["network"].update(filters=[]),
        lambda about: about["training"].update(unheard_of=1),
        lambda about: about["record"].pop("history"),
        lambda about: about.update(period_s="often"),
    ],
)
def test_an_incomplete_description_is_refused(copy, change):
    edit(copy, change)
    with pytest.raises(ArtifactError, match="must be complete and of format 1"):
        load_artifact(str(copy))


@pytest.mark.parametrize(
    "name", ["normalization.json", "model.weights.h5", "calibration.json"]
)
def test_a_changed_or_missing_file_is_refused_with_its_name(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match=rf"{name}: must have hash \w+"):
        load_artifact(str(copy))
    (copy / name).unlink()
    with pytest.raises(EchoanomError, match=name):
        load_artifact(str(copy))


@pytest.mark.parametrize(
    "change",
    [lambda columns: columns.clear(), lambda columns: columns.pop()],
    ids=["none", "one fewer"],
)
def test_columns_other_than_those_that_were_normalised_are_refused(copy, change):
    edit(copy, lambda about: change(about["columns"]))
    with pytest.raises(ArtifactError, match="offset: must have a value for each of"):
        load_artifact(str(copy))


def test_versions_that_are_no_table_do_not_hide_what_is_wrong(copy):
    edit(copy, lambda about: about.update(versions=[], weights_digest="0"))
    with pytest.raises(ArtifactError, match="weights must fit the network"):
        load_artifact(str(copy))


def test_weights_of_another_network_are_refused(copy):
    edit(copy, lambda about: about["network"].update(filters=[5, 2]))
    with pytest.raises(ArtifactError, match="weights must fit the network"):
        load_artifact(str(copy))


def test_weights_that_keras_reads_in_part_are_refused(copy, monkeypatch):
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path: None)
    with pytest.raises(ArtifactError, match="weights must fit the network"):
        load_artifact(str(copy))


def test_a_dataset_of_the_same_columns_is_taken(saved, dataset):
    saved.check_columns(dataset)


def test_a_dataset_of_other_columns_is_refused_with_their_names(saved, dataset):
    with pytest.raises(ArtifactError, match="lacks adcp/speed_8m, ctd/salinity;"):
        saved.check_columns(other_columns(dataset, [0, 2, 3]))
    narrow = dataclasses.replace(saved, columns=saved.columns[:2])
    with pytest.raises(
        ArtifactError, match="has also adcp/dir_8m, ctd/temperature, ctd/salinity;"
    ):
        narrow.check_columns(dataset)
    with pytest.raises(ArtifactError, match="in another order"):
        saved.check_columns(other_columns(dataset, [1, 0, 2, 3, 4]))


def test_only_the_first_of_many_columns_are_named(saved, dataset):
    one = dataset.columns[0]
    many = [dataclasses.replace(one, name=f"bin_{i}") for i in range(50)]
    wide = dataclasses.replace(saved, columns=tuple(many))
    with pytest.raises(ArtifactError, match="adcp/bin_4 and 45 more"):
        wide.check_columns(dataset)


def test_another_period_is_refused(saved, dataset):
    coarse = dataclasses.replace(saved, period_s=3600)
    with pytest.raises(ArtifactError, match="every 3600 s.*one every 900 s"):
        coarse.check_columns(dataset)
