"""Encoders that were trained before: where they are looked for, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import distributed
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from datasets import small_dataset
from models import untrained_artifact

from echoanom import encoders
from echoanom.artifact import Artifact, load_artifact
from echoanom.cli import main
from echoanom.cloud.hyperparameters import Hyperparameters, JobOptions
from echoanom.dataset import Dataset
from echoanom.encoders import PUBLISHED, published_file, read_encoder
from echoanom.errors import EncoderError, OptionError, TrainingError
from echoanom.modeloptions import ModelOptions, TrainOptions, check_learning
from echoanom.options import WindowOptions
from echoanom.pretrained import build_encoder, encoder_weights
from echoanom.scoring import score
from echoanom.training import train

pytestmark = pytest.mark.slow

NETWORK = ModelOptions(kind="pretrained", filters=(4,), kernel=3)
DEEPER = dataclasses.replace(NETWORK, filters=(4, 2))
RANGE = TrainOptions(epochs=2, normalization="range")
WINDOW = WindowOptions(size=6, stride=2, batch_size=16, shuffle=True, seed=3)


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    """Two blocks, which stand for all of what is published."""
    keras.utils.set_random_seed(7)
    return build_encoder(DEEPER)


def write_published(path: Path, model: keras.Model) -> str:
    """Write weights as Keras Applications publishes them: a group for each layer."""
    with h5py.File(path, "w") as file:
        names = [layer.name for layer in model.layers]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer in model.layers:
            group = file.create_group(layer.name)
            kinds = ("W", "b")[: len(layer.get_weights())]
            parts = [f"{layer.name}_{kind}_1:0" for kind in kinds]
            group.attrs["weight_names"] = [part.encode() for part in parts]
            for part, array in zip(parts, layer.get_weights(), strict=True):
                group[part] = array
    return str(path)


@pytest.fixture
def published(tmp_path: Path, vgg16: keras.Model) -> str:
    return write_published(tmp_path / "vgg16.h5", vgg16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def earlier(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a model of another window, of the kind `autoencoder`."""
    return untrained_artifact(dataset, str(tmp_path_factory.mktemp("earlier"))).path


def with_weights(path: str, network: ModelOptions = NETWORK) -> ModelOptions:
    return dataclasses.replace(network, encoder_weights=path)


@pytest.mark.parametrize("network", [NETWORK, DEEPER], ids=["1 block", "2 blocks"])
@pytest.mark.parametrize("name", ["full.h5", "full.weights.h5"])
def test_weights_are_read_and_later_blocks_left_out(
    name: str, network: ModelOptions, vgg16: keras.Model, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name.endswith(".weights.h5"):
        vgg16.save_weights(path)
    else:
        write_published(path, vgg16)
    settled, weights = read_encoder(with_weights(str(path), network), RANGE)
    expected = encoder_weights(vgg16, network)
    assert len(weights) == 4 * len(network.filters)
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(settled.encoder_digest) == 32


def test_what_keras_applications_saves_is_read(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    full = keras.applications.VGG16(weights=None, include_top=False)
    path = str(tmp_path / "all.weights.h5")
    full.save_weights(path)
    _, weights = read_encoder(with_weights(path, DEEPER), RANGE)
    for ours, theirs in zip(weights, encoder_weights(full, DEEPER), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_both_formats_of_the_same_weights_have_one_digest(
    published: str, vgg16: keras.Model, tmp_path: Path
) -> None:
    vgg16.save_weights(tmp_path / "new.weights.h5")
    first, _ = read_encoder(with_weights(published), RANGE)
    second, _ = read_encoder(with_weights(str(tmp_path / "new.weights.h5")), RANGE)
    assert first.encoder_digest == second.encoder_digest


def truncated(path: Path, model: keras.Model) -> None:
    whole = Path(write_published(path, model)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def text(path: Path, model: keras.Model) -> None:
    path.write_text("no weights\n")


def without_a_layer(path: Path, model: keras.Model) -> None:
    with h5py.File(write_published(path, model), "a") as file:
        file.attrs["layer_names"] = [b"block1_conv1"]


def not_finite(path: Path, model: keras.Model) -> None:
    with h5py.File(write_published(path, model), "a") as file:
        file["block1_conv2/block1_conv2_b_1:0"][3] = np.nan


def of_another_shape(path: Path, model: keras.Model) -> None:
    with h5py.File(write_published(path, model), "a") as file:
        del file["block1_conv1/block1_conv1_W_1:0"]
        file["block1_conv1/block1_conv1_W_1:0"] = np.zeros((3, 3, 1, 64))


@pytest.mark.parametrize(
    "damage", [truncated, text, without_a_layer, not_finite, of_another_shape]
)
@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_a_file_that_does_not_hold_the_weights_is_refused_in_one_line(
    damage: Any, suffix: str, vgg16: keras.Model, tmp_path: Path
) -> None:
    path = tmp_path / f"bad{suffix}"
    damage(path, vgg16)
    with pytest.raises(EncoderError, match="must hold the first 1 blocks") as caught:
        read_encoder(with_weights(str(path)), RANGE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_too_few_blocks_is_refused(
    vgg16: keras.Model, tmp_path: Path
) -> None:
    path = write_published(tmp_path / "two.h5", vgg16)
    deepest = dataclasses.replace(NETWORK, filters=(4, 2, 2))
    with pytest.raises(EncoderError, match="first 3 blocks"):
        read_encoder(with_weights(path, deepest), RANGE)


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pkl").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"named .h5 or .weights.h5"):
        read_encoder(with_weights(str(tmp_path / "weights.pkl")), RANGE)


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    return tmp_path / "home"


def test_without_a_file_the_one_of_keras_applications_is_looked_for(
    keras_home: Path, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published_file() == str(keras_home / "models" / PUBLISHED)
    shutil.copy(published, published_file())
    content = Path(published).read_bytes()
    # Nothing but the real file has the real hash.
    monkeypatch.setattr(encoders, "PUBLISHED_MD5", hashlib.md5(content).hexdigest())
    found, _ = read_encoder(NETWORK, RANGE)
    assert found.encoder_digest == (
        read_encoder(with_weights(published), RANGE)[0].encoder_digest
    )


def test_another_file_in_its_place_is_refused(keras_home: Path, published: str) -> None:
    shutil.copy(published, published_file())
    with pytest.raises(EncoderError, match="of MD5 6d6bbae143d832006294945121d1f1fc"):
        read_encoder(NETWORK, RANGE)


def test_a_missing_file_is_told_how_to_get_and_not_fetched(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be fetched")

    monkeypatch.setattr("keras.utils.get_file", fetch)
    monkeypatch.setattr("urllib.request.urlopen", fetch)
    with pytest.raises(EncoderError, match=r"keras.applications.VGG16.* downloads it"):
        read_encoder(NETWORK, RANGE)
    assert not list((keras_home / "models").iterdir())


def test_the_published_name_and_hash_are_those_keras_has() -> None:
    source = Path(keras.applications.vgg16.VGG16.__code__.co_filename).read_text()
    assert PUBLISHED in source
    assert encoders.PUBLISHED_MD5 in source


def test_the_encoder_of_a_model_is_taken_over(earlier: str) -> None:
    network = ModelOptions(kind="pretrained", filters=(3,), encoder=earlier)
    settled, weights = read_encoder(network, RANGE)
    assert (settled.encoder_filters, settled.encoder_kernel) == ((4, 2), 3)
    theirs = load_artifact(earlier).model.get_layer("encode_1").get_weights()
    for ours, expected in zip(weights, theirs, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"filters": (4, 4, 4)}, "filters must be at most 2 numbers"),
        ({"encoder_weights": "x.h5"}, "encoder_weights must be left out"),
        ({"encoder_kernel": 3}, "encoder_kernel must come with encoder_filters"),
    ],
)
def test_what_does_not_fit_a_model_is_refused(
    given: Any, message: str, earlier: str
) -> None:
    values = {"kind": "pretrained", "encoder": earlier, **given}
    with pytest.raises(OptionError, match=message):
        read_encoder(ModelOptions.from_json(values), RANGE)


def test_vgg16_has_five_blocks_and_knows_images() -> None:
    with pytest.raises(OptionError, match="filters must be at most 5 numbers"):
        ModelOptions(kind="pretrained", filters=(1,) * 6)
    network = ModelOptions(kind="pretrained", output="linear")
    with pytest.raises(OptionError, match="normalization must be range or robust"):
        check_learning(network, TrainOptions(normalization="standard"))
    sigmoid = ModelOptions(kind="pretrained")
    with pytest.raises(OptionError, match="output must be linear"):
        check_learning(sigmoid, TrainOptions(normalization="standard"))


def test_a_model_is_scaled_as_the_one_its_encoder_is_of(earlier: str) -> None:
    network = ModelOptions(kind="pretrained", filters=(3,), encoder=earlier)
    with pytest.raises(OptionError, match="normalization must be range, as of"):
        read_encoder(network, TrainOptions(normalization="robust"))


def test_an_encoder_is_of_an_autoencoder(dataset: Dataset, tmp_path: Path) -> None:
    baseline = train(dataset, str(tmp_path / "m"), WINDOW, ModelOptions(kind="zscore"))
    network = ModelOptions(kind="pretrained", encoder=baseline.path)
    with pytest.raises(EncoderError, match="is of the kind zscore; train one with"):
        read_encoder(network, RANGE)


def fit(
    dataset: Dataset, folder: Path, network: ModelOptions, **given: Any
) -> Artifact:
    return train(dataset, str(folder), WINDOW, network, RANGE, **given)


@pytest.fixture(scope="module")
def of_vgg16(
    dataset: Dataset, vgg16: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """Train around VGG16, and take its file away."""
    folder = tmp_path_factory.mktemp("of_vgg16")
    file = folder / "vgg16.h5"
    artifact = fit(
        dataset, folder / "model", with_weights(write_published(file, vgg16))
    )
    file.unlink()
    return artifact


@pytest.fixture(scope="module")
def of_model(
    dataset: Dataset, earlier: str, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """Train around the encoder of a model, and take the model away."""
    folder = tmp_path_factory.mktemp("of_model")
    source = shutil.copytree(earlier, folder / "earlier")
    network = ModelOptions(kind="pretrained", filters=(4, 2), encoder=str(source))
    artifact = fit(dataset, folder / "model", network)
    shutil.rmtree(source)
    return artifact


@pytest.fixture(params=["of_vgg16", "of_model"])
def trained(request: pytest.FixtureRequest) -> Artifact:
    artifact: Artifact = request.getfixturevalue(request.param)
    return artifact


def test_the_artifact_needs_the_encoder_never_again(
    trained: Artifact, dataset: Dataset
) -> None:
    again = load_artifact(trained.path)
    assert again.network == trained.network
    assert len(again.network.encoder_digest) == 32
    before, after = score(dataset, trained), score(dataset, again)
    assert np.isfinite(before.score).any()
    np.testing.assert_array_equal(before.score, after.score)
    assert before.shares is not None


def test_training_keeps_the_encoder_and_lowers_the_loss(trained: Artifact) -> None:
    digest = trained.network.encoder_digest
    stored = load_artifact(trained.path).model
    found = encoder_weights(stored, trained.network)
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in found)
    assert encoders.xxhash.xxh3_128_hexdigest(content) == digest
    first, last = trained.record.history[0], trained.record.history[-1]
    assert last.validation_loss < first.validation_loss


def test_the_exported_model_gives_the_same_errors(
    trained: Artifact, dataset: Dataset
) -> None:
    values = np.random.default_rng(0).normal(size=(20, len(dataset.columns)))
    values = values.astype(np.float32)
    served = tf.saved_model.load(f"{trained.path}/saved_model/1")
    found = served.signatures["rows"](values=tf.constant(values))
    normalised = trained.normalization.apply(values)
    places = np.arange(15, dtype=np.int32)
    _, error = trained.detector.errors_of()(normalised, np.isfinite(values), places)
    np.testing.assert_allclose(found["error"], error, rtol=1e-3)


def test_a_worker_scores_it_as_one_machine_does(
    of_model: Artifact, dataset: Dataset
) -> None:
    alone = score(dataset, of_model)
    with distributed.Client(processes=False, dashboard_address=None) as client:
        shared = score(dataset, of_model, client=client)
    np.testing.assert_array_equal(shared.score, alone.score)


def test_an_interrupted_training_goes_on_to_the_same_model(
    of_vgg16: Artifact,
    dataset: Dataset,
    published: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = with_weights(published)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("echoanom.fitting.Fitting.weigh", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(dataset, tmp_path / "model", network)
    resumed = fit(dataset, tmp_path / "model", network, resume=True)
    for ours, theirs in zip(
        resumed.model.get_weights(), of_vgg16.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_training_does_not_go_on_with_other_weights(
    of_vgg16: Artifact, dataset: Dataset
) -> None:
    keras.utils.set_random_seed(8)
    file = Path(of_vgg16.network.encoder_weights)
    write_published(file, build_encoder(NETWORK))
    with pytest.raises(TrainingError, match="encoder_digest was"):
        fit(dataset, Path(of_vgg16.path), with_weights(str(file)), resume=True)
    file.unlink()


def test_a_training_job_does_not_take_it() -> None:
    with pytest.raises(OptionError, match="must be autoencoder in a training job"):
        Hyperparameters(WINDOW, NETWORK, RANGE, JobOptions())


def test_the_command_takes_an_encoder_and_says_what_is_wrong_with_it(
    dataset: Dataset, earlier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["train", dataset.path, "--model", str(tmp_path / "m"), "--window", "6"]
    call += ["--model-kind", "pretrained", "--filters", "4,2", "--epochs", "1"]
    assert main([*call, "--encoder", earlier, "--fine-tune"]) == 0
    about = json.loads((tmp_path / "m" / "artifact.json").read_text())
    assert about["network"]["fine_tune"] is True
    assert about["network"]["encoder_filters"] == [4, 2]
    capsys.readouterr()
    assert main([*call, "--overwrite", "--encoder", str(tmp_path / "none")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "an encoder must be vgg16 or a model" in lines[0]
    assert (tmp_path / "m" / "artifact.json").exists()
