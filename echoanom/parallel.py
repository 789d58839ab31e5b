"""One model trained by several devices and hosts on the parts of each batch.

Each device computes the gradients of its windows, and the sums over all of them make
the step: the sum of squared errors and the number of observed cells are added up before
one is divided by the other, so the step is that of the whole batch on one device, but
for the rounding of sums in another order. A part may have no window at all.

The variables stay on one device of each host. They are small beside the windows, and
every host makes the same step from the same sums, so no host has to send any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from echoanom.autoencoder import cell_errors

Total = Callable[[tf.Tensor], tf.Tensor]
"""Adds up a float32 vector over all hosts, inside of a graph."""

_LOSS, _CELLS, _WINDOWS, _STOP = range(4)


def local_devices() -> tuple[str, ...]:
    """Name the devices that this host computes with.

    Returns
    -------
    tuple of str
        Its GPUs; its processor if it has none.
    """
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    return tuple(gpus) or ("/CPU:0",)


class DataParallel:
    """Steps of one model over the devices of this host, and of others.

    Parameters
    ----------
    devices : sequence of str
        This host's devices; each takes its part of this host's part.
    total : callable, optional
        Adds up a vector over all hosts; this host is the only one if left out.
    """

    def __init__(self, devices: Sequence[str], total: Total | None = None) -> None:
        self._devices = tuple(devices)
        self._total = total
        self._stop = tf.Variable(0.0, trainable=False)

    def ask_to_stop(self) -> None:
        """Have the next step tell all hosts that this one has to stop."""
        self._stop.assign(1.0)

    def train(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        """Train on one batch.

        Parameters
        ----------
        model : keras.Model
            Compiled, with a built optimizer.
        batch : (tensor of float32, tensor of bool), shapes (B, T, C)
            This host's windows, and which of their cells were observed.

        Returns
        -------
        dict
            `loss` so far in this epoch, and of all hosts in this step, the number of
            `windows` and of those who have to `stop`.
        """
        weights = model.trainable_variables
        parts = [
            _part(model, values, observed, device, weights)
            for values, observed, device in self._split(*batch)
        ]
        found = self._add_up(parts)
        sizes = [int(weight.shape.num_elements()) for weight in weights]
        *flat, sums = tf.split(found, [*sizes, 4])
        cells = tf.maximum(sums[_CELLS], 1.0)
        gradients = [
            tf.reshape(part, weight.shape) / cells
            for part, weight in zip(flat, weights, strict=True)
        ]
        model.optimizer.apply(gradients, weights)
        return self._logs(model, sums)

    def test(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> Any:
        """Evaluate one batch.

        Parameters
        ----------
        model : keras.Model
            Compiled.
        batch : (tensor of float32, tensor of bool), shapes (B, T, C)
            This host's windows, and which of their cells were observed.

        Returns
        -------
        dict
            `loss` so far.
        """
        parts = [
            _part(model, values, observed, device, None)
            for values, observed, device in self._split(*batch)
        ]
        logs = self._logs(model, self._add_up(parts))
        return {"loss": logs["loss"]}

    def _split(
        self, values: tf.Tensor, observed: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor, str]]:
        count = len(self._devices)
        if count == 1:
            return [(values, observed, self._devices[0])]
        return [
            (values[place::count], observed[place::count], device)
            for place, device in enumerate(self._devices)
        ]

    def _add_up(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        found = tf.add_n(parts)
        stop = tf.reshape(self._stop.read_value(), (1,))
        found = tf.concat([found, stop], axis=0)
        return found if self._total is None else self._total(found)

    @staticmethod
    def _logs(model: keras.Model, sums: tf.Tensor) -> dict[str, tf.Tensor]:
        loss = sums[_LOSS] / tf.maximum(sums[_CELLS], 1.0)
        (tracker,) = (one for one in model.metrics if one.name == "loss")
        tracker.update_state(loss, sample_weight=sums[_WINDOWS])
        return {
            "loss": tracker.result(),
            "windows": sums[_WINDOWS],
            "stop": sums[_STOP],
        }


def _part(
    model: keras.Model,
    values: tf.Tensor,
    observed: tf.Tensor,
    device: str,
    weights: Sequence[Any] | None,
) -> tf.Tensor:
    """Compute gradients, if weights are given, and sums of a part, as one vector."""
    windows = tf.cast(tf.shape(values)[0], tf.float32)
    # Convolutions on some processors (oneDNN's) refuse a part without a window, so it
    # gets one of which nothing was observed.
    lacking = [[0, tf.maximum(1 - tf.shape(values)[0], 0)], [0, 0], [0, 0]]
    values, observed = tf.pad(values, lacking), tf.pad(observed, lacking)
    with tf.device(device):
        with tf.GradientTape() as tape:
            reproduced = model(values, training=weights is not None)
            loss = tf.reduce_sum(cell_errors(values, observed, reproduced))
        cells = tf.reduce_sum(tf.cast(observed, tf.float32))
        gradients = [] if weights is None else tape.gradient(loss, list(weights))
        flat = [tf.reshape(gradient, (-1,)) for gradient in gradients]
        return tf.concat([*flat, tf.stack([loss, cells, windows])], axis=0)
