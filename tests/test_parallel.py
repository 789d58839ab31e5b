"""Steps on several devices are those on one, also where a part has no window."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# Devices can only be made before TensorFlow computes anything, so in a new process.
SCRIPT = """
import json, sys
import keras
import numpy as np
import tensorflow as tf

from echoanom.autoencoder import build_autoencoder
from echoanom.modeloptions import ModelOptions
from echoanom.parallel import DataParallel, local_devices

(cpu,) = tf.config.list_physical_devices("CPU")
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one] * 3)
assert local_devices() == ("/CPU:0",)

rng = np.random.default_rng(0)
values = rng.random((97, 13, 7)).astype(np.float32)
observed = rng.random(values.shape) > 0.2
stream = tf.data.Dataset.from_tensor_slices((values, observed)).batch(16)
for devices in json.loads(sys.argv[1]):
    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    model = build_autoencoder(13, 7, ModelOptions(filters=(4, 2), kernel=3))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.optimizer.build(model.trainable_variables)
    if devices:
        model.parallel = DataParallel(devices)
    told = model.fit(
        stream, epochs=3, validation_data=stream, verbose=0, shuffle=False
    )
    weights = np.concatenate([w.ravel() for w in model.get_weights()]).tolist()
    print(json.dumps([told.history["loss"], told.history["val_loss"], weights]))
"""


def test_any_number_of_devices_makes_the_steps_of_one() -> None:
    # The last batch has one window: with three devices two have none.
    devices = [[], ["/CPU:0"], ["/CPU:0", "/CPU:1"], ["/CPU:0", "/CPU:1", "/CPU:2"]]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(devices)],
        capture_output=True,
        text=True,
        check=True,
    )
    alone, *others = map(json.loads, done.stdout.splitlines())
    assert len(others) == 3
    assert alone[0][0] > alone[0][-1] > 0
    for other in others:
        for ours, theirs in zip(other, alone, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
