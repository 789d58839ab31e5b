"""Training: held-back days, repeatability, resumption after a kill, refusals."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import PERIOD_S, small_dataset

from echoanom import epochs, fitting, scoring
from echoanom.artifact import Artifact, artifact_exists, load_artifact
from echoanom.columns import kind_mask
from echoanom.dataset import Dataset
from echoanom.errors import (
    CorruptionError,
    OptionError,
    StorageError,
    TrainingError,
)
from echoanom.holdout import hold_back
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import DAY_S, WindowOptions
from echoanom.pipeline import batches_per_epoch
from echoanom.publishing import exclusive
from echoanom.training import train

pytestmark = pytest.mark.slow

WINDOW = WindowOptions(size=13, stride=3, batch_size=16, shuffle=True, seed=3)
NETWORK = ModelOptions(kind="autoencoder", filters=(4, 2), kernel=3, dropout=0.2)
SHORT = TrainOptions(epochs=1)
TRAINING = TrainOptions(epochs=3, learning_rate=3e-3, calibration_stride=2)

SLOW = pytest.mark.slow


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def undisturbed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return run(dataset, str(tmp_path_factory.mktemp("undisturbed") / "model"))


def run(dataset: Dataset, model_dir: str, **options) -> Artifact:
    defaults = {"window": WINDOW, "network": NETWORK, "training": TRAINING}
    return train(dataset, model_dir, **{**defaults, **options})


def interrupt(dataset: Dataset, model_dir: str, epoch: int, **options) -> None:
    """Train until the middle of an epoch."""

    def stop(what: str, done: int, total: int) -> None:
        if what == "training" and done > (epoch - 0.5) * total / TRAINING.epochs:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(dataset, model_dir, progress=stop, **options)


def assert_same_model(found: Artifact, expected: Artifact) -> None:
    for ours, theirs in zip(
        found.model.get_weights(), expected.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert found.record == expected.record
    assert found.calibration == expected.calibration
    assert found.digest == expected.digest


def test_training_leaves_an_artifact_with_its_record(undisturbed, dataset):
    path = Path(undisturbed.path)
    files = {
        str(file.relative_to(path))
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith((".", "events.out"))
    }
    assert files == {
        "artifact.json",
        "calibration.json",
        "history.csv",
        "loss.png",
        "model.weights.h5",
        "normalization.json",
        "weighing.json",
        "saved_model/1/fingerprint.pb",
        "saved_model/1/saved_model.pb",
        "saved_model/1/variables/variables.data-00000-of-00001",
        "saved_model/1/variables/variables.index",
    }
    assert not (path / "checkpoint").exists()
    for part in ("train", "validation"):
        assert list((path / "logs" / part).glob("events.out.tfevents*"))
    record = undisturbed.record
    assert [epoch.epoch for epoch in record.history] == [1, 2, 3]
    assert record.dataset_digest == dataset.digest
    assert record.stop_reason == "all 3 epochs done"
    assert len((path / "history.csv").read_text().splitlines()) == 4
    assert_same_model(load_artifact(str(path)), undisturbed)


def test_the_last_days_are_held_back_from_everything(undisturbed, dataset):
    days = [day.isoformat() for day in dataset.days]
    assert undisturbed.record.training_days == tuple(days[:-1])
    assert undisturbed.record.validation_days == (days[-1],)
    expected = dataset.statistics(dataset.days[:-1])
    angles = kind_mask(dataset.columns, "direction")
    np.testing.assert_allclose(
        undisturbed.normalization.offset,
        np.where(angles, 0, expected.minimum),
        rtol=1e-6,
    )


def test_the_calibration_is_of_the_held_back_days_alone(undisturbed, dataset):
    start = int(np.datetime64(undisturbed.record.validation_days[0], "s").astype(int))
    table = scoring.score(
        dataset,
        undisturbed,
        stride=TRAINING.calibration_stride,
        include=[(start, start + DAY_S)],
    )
    calibration = undisturbed.calibration
    assert calibration is not None
    assert calibration.count == len(table.score)
    assert calibration.mean == pytest.approx(table.score.mean())


def test_the_same_seed_gives_the_same_weights(undisturbed, dataset, tmp_path):
    np.random.default_rng().random()
    assert_same_model(run(dataset, str(tmp_path)), undisturbed)


@SLOW
def test_another_seed_gives_other_weights(undisturbed, dataset, tmp_path):
    window = dataclasses.replace(WINDOW, seed=2**40)
    other = run(
        dataset,
        str(tmp_path),
        window=window,
        training=SHORT,
    )
    assert not np.array_equal(
        other.model.get_weights()[0], undisturbed.model.get_weights()[0]
    )


@pytest.mark.parametrize(
    "epoch", [pytest.param(1, marks=SLOW), 2, pytest.param(3, marks=SLOW)]
)
def test_a_training_interrupted_in_any_epoch_ends_in_the_same_model(
    undisturbed, dataset, tmp_path, epoch
):
    model_dir = str(tmp_path)
    interrupt(dataset, model_dir, epoch)
    assert not artifact_exists(model_dir)
    assert_same_model(run(dataset, model_dir, resume=True), undisturbed)
    assert not (tmp_path / "checkpoint").exists()


@SLOW
def test_a_training_interrupted_twice_ends_in_the_same_model(
    undisturbed, dataset, tmp_path
):
    interrupt(dataset, str(tmp_path), 2)
    interrupt(dataset, str(tmp_path), 3, resume=True)
    assert_same_model(run(dataset, str(tmp_path), resume=True), undisturbed)


@pytest.mark.parametrize("what", ["fitting.score_runs", "training.save_artifact"])
def test_a_training_interrupted_after_its_last_epoch_is_not_trained_again(
    undisturbed, dataset, tmp_path, monkeypatch, what
):
    def stop(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(f"echoanom.{what}", stop)
        with pytest.raises(Interrupted):
            run(dataset, str(tmp_path))
    told: list[str] = []
    resumed = run(
        dataset,
        str(tmp_path),
        resume=True,
        progress=lambda what, *_: told.append(what),
    )
    assert "training" not in told
    assert_same_model(resumed, undisturbed)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_training import NETWORK, TRAINING, WINDOW
from echoanom.dataset import open_dataset
from echoanom.training import train

def kill(what, done, total):
    if what == "training" and done == {batches}:
        os.kill(os.getpid(), signal.SIGKILL)

train(
    open_dataset({dataset!r}), {model!r}, WINDOW, NETWORK, TRAINING,
    resume=True, checkpoint_every=2, progress=kill,
)
"""


@SLOW
@pytest.mark.parametrize(
    "kills, stored",
    [([6], 4), ([7, 16], 16)],
    ids=["at the end of an epoch", "twice in others"],
)
def test_a_process_killed_at_any_batch_is_resumed_to_the_same_model(
    undisturbed, dataset, tmp_path, kills, stored
):
    runs = hold_back(dataset.runs, PERIOD_S, WINDOW.size, TRAINING.validation).training
    assert batches_per_epoch(dataset, WINDOW, runs) == 6
    for batches in kills:
        script = KILLED.format(
            tests=str(Path(__file__).parent),
            dataset=dataset.path,
            model=str(tmp_path),
            batches=batches,
        )
        killed = subprocess.run([sys.executable, "-c", script], check=False)
        assert killed.returncode == -signal.SIGKILL
    newest = max(os.listdir(tmp_path / "checkpoint"))
    assert newest == f"batch-{stored:08d}.npz"
    assert_same_model(run(dataset, str(tmp_path), resume=True), undisturbed)


def test_windows_gathered_on_the_device_train_the_same_model(
    undisturbed, dataset, tmp_path
):
    found = run(dataset, str(tmp_path), placement="device")
    assert_same_model(found, undisturbed)


def test_resuming_nothing_starts_and_resuming_what_is_finished_does_nothing(
    dataset, tmp_path
):
    first = run(dataset, str(tmp_path), training=SHORT, resume=True)
    told: list[str] = []
    again = run(
        dataset,
        str(tmp_path),
        training=SHORT,
        resume=True,
        progress=lambda what, *_: told.append(what),
    )
    assert told == []
    assert_same_model(again, first)


@pytest.mark.parametrize(
    "options, difference",
    [
        (
            {"training": dataclasses.replace(TRAINING, epochs=9)},
            "training.epochs was 3 and is now 9",
        ),
        (
            {"window": dataclasses.replace(WINDOW, size=12)},
            "window.size was 13 and is now 12",
        ),
        ({"exclude": [(0, 1)]}, "exclude was [] and is now [[0, 1]]"),
        (
            {"network": dataclasses.replace(NETWORK, dropout=0.0)},
            "network.dropout was 0.2 and is now 0.0",
        ),
    ],
)
def test_resuming_with_other_options_is_refused(
    undisturbed, dataset, tmp_path, options, difference
):
    interrupt(dataset, str(tmp_path), 2)
    for model_dir in (str(tmp_path), undisturbed.path):
        with pytest.raises(TrainingError) as caught:
            run(dataset, model_dir, resume=True, **options)
        assert difference in str(caught.value)


def test_resuming_with_another_dataset_is_refused(undisturbed, tmp_path):
    other = small_dataset(tmp_path, days=3)
    with pytest.raises(TrainingError, match="dataset was"):
        run(other, undisturbed.path, resume=True)


def test_a_folder_with_a_model_is_refused(undisturbed, dataset):
    with pytest.raises(TrainingError, match="holds one; overwrite it \\(--overwrite"):
        run(dataset, undisturbed.path)


def test_a_folder_with_an_interrupted_training_is_refused(dataset, tmp_path):
    interrupt(dataset, str(tmp_path), 2)
    message = "interrupted; resume it or overwrite it \\(--resume"
    with pytest.raises(TrainingError, match=message):
        run(dataset, str(tmp_path))


@SLOW
def test_an_old_model_stays_until_the_new_one_is_trained(
    undisturbed, dataset, tmp_path
):
    model_dir = shutil.copytree(undisturbed.path, tmp_path / "model")
    window = dataclasses.replace(WINDOW, seed=8)
    interrupt(dataset, str(model_dir), 2, window=window, overwrite=True)
    assert load_artifact(str(model_dir)).digest == undisturbed.digest
    second = run(dataset, str(model_dir), window=window, resume=True)
    assert second.digest != undisturbed.digest
    assert load_artifact(str(model_dir)).digest == second.digest


def test_two_trainings_do_not_share_a_folder(dataset, tmp_path):
    with (
        exclusive(str(tmp_path)),
        pytest.raises(StorageError, match="another process"),
    ):
        run(dataset, str(tmp_path))


def test_training_stops_when_the_held_back_days_gain_nothing(
    dataset, tmp_path, monkeypatch
):
    losses = iter([0.5, 0.3, 0.4, 0.35, 0.1])
    end = epochs.EpochEnd.on_epoch_end

    def invented(self, epoch: int, logs: dict[str, float]) -> None:
        end(self, epoch, {**logs, "val_loss": next(losses)})

    monkeypatch.setattr(epochs.EpochEnd, "on_epoch_end", invented)
    weights: list[list[np.ndarray]] = []
    monkeypatch.setattr(
        epochs.Checkpoint,
        "save",
        lambda self, state: weights.append(list(state.variables)),
    )
    artifact = run(
        dataset,
        str(tmp_path),
        training=dataclasses.replace(TRAINING, epochs=9, patience=2),
    )
    assert len(artifact.record.history) == 4
    assert artifact.record.stop_reason == "no better validation loss in 2 epochs"
    assert artifact.record.best.epoch == 2
    # Layers in order, each with its random state: the first two are a kernel and bias.
    for kept, best in zip(artifact.model.get_weights()[:2], weights[1], strict=False):
        np.testing.assert_array_equal(kept, best)


def test_excluded_rows_are_in_no_window(dataset, tmp_path, monkeypatch):
    start = int(dataset.runs.start_s[0])
    exclude = [(start + 7200, start + 9000), (start + 3 * DAY_S + 7200,) * 2]
    exclude[1] = (exclude[1][0], exclude[1][0] + 3600)
    seen: list[np.ndarray] = []
    stream = fitting.windows

    def spy(dataset, options, *, fields, **others):
        for batch in stream(dataset, options, fields=("start",), **others):
            seen.append(batch["start"].numpy())
        return stream(dataset, options, fields=fields, **others)

    monkeypatch.setattr(fitting, "windows", spy)
    calibrated: list[np.ndarray] = []
    fold = fitting.score_runs

    def keep(*arguments):
        rows = fold(*arguments)
        calibrated.append(rows.times)
        return rows

    monkeypatch.setattr(fitting, "score_runs", keep)
    artifact = run(
        dataset,
        str(tmp_path),
        training=SHORT,
        exclude=exclude,
        include=[(start, start + 4 * DAY_S)],
    )
    rows = np.concatenate(seen)[:, None] + np.arange(13) * PERIOD_S
    rows = np.concatenate([rows.ravel(), *calibrated])
    assert len(rows) > 1000
    for begin, end in exclude:
        assert not ((rows >= begin) & (rows < end)).any()
    assert artifact.record.exclude == tuple(exclude)


def test_of_one_day_the_last_rows_are_held_back(dataset, tmp_path):
    start = int(dataset.runs.start_s[0])
    artifact = run(dataset, str(tmp_path), include=[(start, start + DAY_S)])
    record = artifact.record
    assert record.training_days == record.validation_days == (record.training_days[0],)
    assert artifact.calibration is not None
    assert min(artifact.calibration.times) > start + DAY_S / 2


def test_a_loss_that_is_no_number_ends_training_with_a_hint(dataset, tmp_path):
    with pytest.raises(TrainingError, match="in epoch 1.*smaller learning rate"):
        run(
            dataset,
            str(tmp_path),
            network=dataclasses.replace(NETWORK, output="linear"),
            training=dataclasses.replace(TRAINING, learning_rate=1e30),
        )
    assert not artifact_exists(str(tmp_path))


def test_a_sigmoid_cannot_learn_standardised_values(dataset, tmp_path):
    with pytest.raises(OptionError, match="output must be linear"):
        run(
            dataset,
            str(tmp_path),
            training=dataclasses.replace(TRAINING, normalization="standard"),
        )


def test_resume_and_overwrite_exclude_each_other(dataset, tmp_path):
    with pytest.raises(OptionError, match="exclude each other"):
        run(dataset, str(tmp_path), resume=True, overwrite=True)


def test_an_epoch_without_a_batch_is_refused(dataset, tmp_path):
    window = dataclasses.replace(WINDOW, batch_size=10**6, drop_remainder=True)
    with pytest.raises(TrainingError, match="at least one batch of 1000000"):
        run(dataset, str(tmp_path), window=window)


def test_a_damaged_shard_is_named(tmp_path):
    damaged = small_dataset(tmp_path)
    path = Path(damaged.shard_path(1))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=path.name):
        run(damaged, str(tmp_path / "model"))


def test_without_tensorboard_training_goes_on_with_a_warning(
    dataset, tmp_path, monkeypatch, caplog
):
    find = fitting.importlib.util.find_spec
    monkeypatch.setattr(
        fitting.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find(name, *rest),
    )
    with caplog.at_level(logging.WARNING, "echoanom"):
        run(
            dataset,
            str(tmp_path),
            training=SHORT,
        )
    assert "pip install 'echoanom[tensorboard]'" in caplog.text
    assert artifact_exists(str(tmp_path))
    assert not os.path.exists(tmp_path / "logs")


@SLOW
def test_a_model_is_trained_into_an_object_store(undisturbed, dataset):
    interrupt(dataset, "memory://trained/model", 2)
    artifact = run(dataset, "memory://trained/model", resume=True)
    assert_same_model(artifact, undisturbed)
