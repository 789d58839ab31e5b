"""All rows of a dataset on the device that trains, where windows are gathered.

A window that overlaps its neighbours repeats their rows. Where the rows of a dataset
fit into the memory of the accelerator, they travel there once, and then a batch is as
many positions as it has windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from echoanom.dataset import Dataset
from echoanom.errors import OptionError
from echoanom.normalization import Normalization
from echoanom.reader import IndexedReader

_PIECE_BYTES = 64 << 20

Gather = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Maps positions of first rows, int64 (B,), to values and observed, (B, size, C)."""


class DeviceRows:
    """The rows of a dataset in a device's memory, normalised once.

    Parameters
    ----------
    dataset : Dataset
        What to upload.
    normalization : Normalization, optional
        Normalise values and fill missing cells. Left out, NaN is missing.
    device : str, optional
        A device's name, such as ``"/GPU:0"``; the first GPU, or else the CPU, if left
        out.
    verify : bool
        Whether each record's data are checked against their checksum.

    Raises
    ------
    OptionError
        If the rows do not fit.
    CorruptionError
        If stored bytes are not what the manifest says.
    """

    def __init__(
        self,
        dataset: Dataset,
        normalization: Normalization | None = None,
        *,
        device: str | None = None,
        verify: bool = True,
    ) -> None:
        self.device = device or _first_device()
        shape = (dataset.rows, len(dataset.columns))
        reader = IndexedReader(dataset, normalization, memory_bytes=0, verify=verify)
        step = max(1, _PIECE_BYTES // (5 * max(shape[1], 1)))
        try:
            with tf.device(self.device):
                self.values = tf.Variable(tf.zeros(shape), trainable=False)
                self.observed = tf.Variable(tf.zeros(shape, tf.bool), trainable=False)
                for begin in range(0, shape[0], step):
                    end = min(begin + step, shape[0])
                    values, observed = reader.rows(begin, end - begin)
                    self.values[begin:end].assign(values)
                    self.observed[begin:end].assign(observed)
        except tf.errors.ResourceExhaustedError:
            raise OptionError(
                f"the rows of {dataset.path} must fit into the memory of {self.device},"
                f" but take {shape[0] * shape[1] * 5 / 2**30:.3g} GiB; leave them on the"
                ' host with placement "host"'
            ) from None

    def gather_windows(self, size: int) -> Gather:
        """Make a function that gathers windows, for use inside of a graph.

        Parameters
        ----------
        size : int
            Rows in a window.

        Returns
        -------
        callable
            Maps positions of first rows, int64 (B,), to values, float32 (B, size, C),
            and observed, bool (B, size, C).
        """
        offsets = tf.range(size, dtype=tf.int64)

        def gather(first_rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = first_rows[:, tf.newaxis] + offsets
            return tf.gather(self.values, rows), tf.gather(self.observed, rows)

        return gather


class DeviceWindows:
    """Batches of windows that are gathered on the device, to be iterated over.

    Parameters
    ----------
    rows : DeviceRows
        Where they are gathered from.
    first_rows : tf.data.Dataset
        Of int64 (B,): positions of the windows' first rows.
    dataset : Dataset
        Has the times.
    size : int
        Rows in a window.
    fields : sequence of str
        Which of `values`, `observed` and `start` a batch has.
    """

    def __init__(
        self,
        rows: DeviceRows,
        first_rows: tf.data.Dataset,
        dataset: Dataset,
        size: int,
        fields: Sequence[str],
    ) -> None:
        self._first_rows = first_rows
        gather = rows.gather_windows(size)
        with tf.device(rows.device):
            times = tf.constant(dataset.times()) if "start" in fields else None

        @tf.function  # type: ignore[untyped-decorator]
        def batch(first_rows: tf.Tensor) -> dict[str, tf.Tensor]:
            values, observed = gather(first_rows)
            found = {"values": values, "observed": observed}
            if times is not None:
                found["start"] = tf.gather(times, first_rows)
            return {field: found[field] for field in fields}

        self._device = rows.device
        self._batch = batch

    def __len__(self) -> int:
        """Return the number of batches."""
        return int(self._first_rows.cardinality().numpy())

    def __iter__(self) -> Iterator[dict[str, tf.Tensor]]:
        """Iterate over the batches, as dicts like those of `pipeline.windows`."""
        for first_rows in self._first_rows:
            with tf.device(self._device):
                yield self._batch(first_rows)


def _first_device() -> str:
    return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"
