"""Windows for Keras on any backend: each epoch's order, and training without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from datasets import small_dataset

from echoanom.batching import WindowBatches
from echoanom.dataset import Dataset
from echoanom.errors import OptionError
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.pydataset import WindowDataset

OPTIONS = WindowOptions(size=8, batch_size=16, shuffle=True, seed=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("pydataset"))


def batches_of(dataset: Dataset) -> WindowBatches:
    return WindowBatches(
        dataset,
        OPTIONS,
        normalization=fit_normalization(dataset.statistics(), "range"),
        fields=("values", "observed"),
    )


class Seen(keras.Model):
    """Notes the first cell of every window it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.weight = self.add_weight(shape=())

    def call(self, x):
        return x * self.weight

    def train_step(self, data):
        values, observed = data
        self.seen += np.asarray(values)[:, 0, 0].tolist()
        assert observed.shape == values.shape
        return {"loss": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("ahead, threads", [(0, 1), (4, 2), (100, 3)])
@pytest.mark.parametrize("start", [0, 30])
def test_every_epoch_has_the_windows_of_its_own_order(dataset, ahead, threads, start):
    batches = batches_of(dataset)
    model = Seen()
    model.compile(run_eagerly=True)
    source = WindowDataset(batches, start=start, ahead=ahead, threads=threads)
    steps = len(batches)
    model.fit(source, epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0)
    expected = [
        first
        for position in range(start, start + 3 * steps)
        for first in batches_of(dataset).read(position)["values"][:, 0, 0].tolist()
    ]
    assert model.seen == expected


def test_batches_may_be_asked_for_out_of_order(dataset):
    batches = batches_of(dataset)
    source = WindowDataset(batches)
    for index in (3, 0, 7, 1, 1):
        values, observed = source[index]
        expected = batches.read(index)
        np.testing.assert_array_equal(values, expected["values"])
        np.testing.assert_array_equal(observed, expected["observed"])


def test_validation_sees_every_window_in_every_epoch(dataset):
    batches = batches_of(dataset)
    model = Seen()
    model.compile(run_eagerly=True)
    model.test_step = model.train_step
    model.fit(
        WindowDataset(batches),
        steps_per_epoch=1,
        epochs=2,
        validation_data=WindowDataset(batches),
        validation_steps=len(batches),
        shuffle=False,
        verbose=0,
    )
    assert len(model.seen) == 2 * (OPTIONS.batch_size + len(batches.index))


def test_one_field_alone_is_input_and_target(dataset):
    batches = WindowBatches(dataset, OPTIONS, fields=("values",))
    values, target = WindowDataset(batches)[0]
    assert values is target


@pytest.mark.parametrize("options", [{"start": -1}, {"ahead": -1}, {"threads": 0}])
def test_what_it_cannot_do_is_refused(dataset, options):
    with pytest.raises(OptionError):
        WindowDataset(batches_of(dataset), **options)


TRAINS = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

import keras
from echoanom.autoencoder import build_autoencoder
from echoanom.batching import WindowBatches
from echoanom.dataset import open_dataset
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.modeloptions import ModelOptions
from echoanom.pydataset import WindowDataset

dataset = open_dataset(sys.argv[1])
batches = WindowBatches(
    dataset,
    WindowOptions(size=8, batch_size=16, shuffle=True, seed=3),
    normalization=fit_normalization(dataset.statistics(), "range"),
    fields=("values", "observed"),
)
keras.utils.set_random_seed(0)
model = build_autoencoder(8, len(dataset.columns), ModelOptions(filters=(4,)))
model.compile(keras.optimizers.Adam(1e-2))
history = model.fit(
    WindowDataset(batches),
    steps_per_epoch=len(batches),
    epochs=4,
    shuffle=False,
    verbose=0,
)
print(json.dumps({
    "losses": history.history["loss"], "backend": keras.backend.backend()
}))
"""


@pytest.mark.slow
def test_keras_on_jax_trains_from_it_without_tensorflow(dataset, tmp_path):
    pytest.importorskip("jax")
    script = tmp_path / "train.py"
    script.write_text(TRAINS)
    done = subprocess.run(
        [sys.executable, str(script), dataset.path],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "jax"
    assert len(found["losses"]) == 4
    assert found["losses"][-1] < 0.5 * found["losses"][0]
