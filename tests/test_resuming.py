"""A training stopped at any batch goes on as if it had not been: weights and losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from datasets import small_dataset

from echoanom.checkpoints import Checkpoint
from echoanom.dataset import Dataset
from echoanom.errors import OptionError, TrainingError
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.pipeline import batches_per_epoch, windows
from echoanom.resuming import Resume

OPTIONS = WindowOptions(size=8, stride=8, batch_size=8, shuffle=True, seed=3)
EPOCHS = 3


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Stop(keras.callbacks.Callback):
    """Ends a training after some batches, counted since it was told to."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("resuming"))


@pytest.fixture(scope="module")
def steps(dataset: Dataset) -> int:
    steps = batches_per_epoch(dataset, OPTIONS)
    assert steps > 4
    return steps


def fit(dataset: Dataset, folder: str, steps: int, every: int, *others, seed: int = 1):
    """Train from where the folder says; return the model and its losses by epoch."""
    keras.utils.set_random_seed(seed)  # what is restored must not depend on it
    model = keras.Sequential(
        [
            keras.Input((8, 5)),
            keras.layers.Dense(6, "relu"),
            keras.layers.Dropout(0.3, seed=4),
            keras.layers.Dense(5),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"])
    resume = Resume(Checkpoint(folder, {"model": "dense"}), steps, every=every)
    stream = windows(
        dataset,
        OPTIONS,
        normalization=fit_normalization(dataset.statistics(), "range"),
        epochs=EPOCHS,
        start=resume.position,
        fields=("values",),
    )
    history = model.fit(
        stream.map(_pairs),
        epochs=EPOCHS,
        steps_per_epoch=steps,
        initial_epoch=resume.epoch,
        callbacks=[resume, *others],
        shuffle=False,
        verbose=0,
    )
    return model, history.history, resume


def _pairs(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    return batch["values"], batch["values"]


@pytest.fixture(scope="module")
def undisturbed(dataset, steps, tmp_path_factory):
    tf.config.experimental.enable_op_determinism()
    folder = str(tmp_path_factory.mktemp("undisturbed"))
    return fit(dataset, folder, steps, every=0)


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 3])
def test_stopped_at_any_batch_it_ends_with_the_same_weights_and_losses(
    undisturbed, dataset, steps, tmp_path, every
):
    model, losses, _ = undisturbed
    for batches in range(1, EPOCHS * steps, 5):
        folder = str(tmp_path / str(batches))
        with pytest.raises(Interrupted):
            fit(dataset, folder, steps, every, Stop(batches))
        stored = Checkpoint(folder, {"model": "dense"}).exists()
        assert stored or batches <= max(steps if not every else 0, every)
        seed = 99 if stored else 1
        found, rest, resume = fit(dataset, folder, steps, every, seed=seed)
        for ours, theirs in zip(found.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for name, values in losses.items():
            assert rest[name] == values[-len(rest[name]) :], (batches, name)
        assert resume.position == EPOCHS * steps


@pytest.mark.slow
def test_stopped_again_and_again_it_ends_with_the_same_weights(
    undisturbed, dataset, steps, tmp_path
):
    positions = []
    for _ in range(100):
        try:
            found, _, resume = fit(dataset, str(tmp_path), steps, 2, Stop(5))
            break
        except Interrupted:
            positions.append(
                Resume(Checkpoint(str(tmp_path), {"model": "dense"}), steps).position
            )
    assert len(positions) > 2 and positions == sorted(set(positions))
    for ours, theirs in zip(
        found.get_weights(), undisturbed[0].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(
    undisturbed, dataset, steps, tmp_path
):
    fit(dataset, str(tmp_path), steps, 0)
    again = Resume(Checkpoint(str(tmp_path), {"model": "dense"}), steps)
    assert (again.position, again.epoch) == (EPOCHS * steps, EPOCHS)


@pytest.mark.slow
def test_another_callback_can_stop_a_training_that_went_on_within_an_epoch(
    dataset, steps, tmp_path
):
    """The epoch that is cut short must not swallow what early stopping says."""
    with pytest.raises(Interrupted):
        fit(dataset, str(tmp_path), steps, 2, Stop(3))
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, mode="max")
    _, losses, resume = fit(dataset, str(tmp_path), steps, 2, stopping)
    assert len(losses["loss"]) == 2  # the loss falls, which is no gain in this mode
    assert resume.epoch == 2


@pytest.mark.slow
def test_another_training_is_refused(dataset, steps, tmp_path):
    fit(dataset, str(tmp_path), steps, 0)
    with pytest.raises(TrainingError, match="model was 'dense' and is now 'other'"):
        Resume(Checkpoint(str(tmp_path), {"model": "other"}), steps)


@pytest.mark.slow
def test_another_model_is_refused(dataset, steps, tmp_path):
    fit(dataset, str(tmp_path), steps, 0)
    resume = Resume(Checkpoint(str(tmp_path), {"model": "dense"}), steps)
    model = keras.Sequential([keras.Input((8, 5)), keras.layers.Dense(5)])
    model.compile("sgd", "mse")
    values = np.zeros((4, 8, 5), np.float32)
    with pytest.raises(TrainingError, match="must be continued with the model"):
        model.fit(values, values, epochs=9, callbacks=[resume], verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batches": 0}, "batches must be at least 1, got 0"),
        ({"batches": 3, "every": -1}, "every must be at least 0, got -1"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, arguments, message):
    with pytest.raises(OptionError, match=message):
        Resume(Checkpoint(str(tmp_path)), **arguments)
