"""What TensorFlow and Keras bring: tf.gather, `timeseries_dataset_from_array`, `window`.

- ``gather``: all rows as a tensor, normalised once; `tf.data.Dataset.range` of batches,
  shuffled by `tf.random.experimental.index_shuffle`.
- ``keras``: `keras.utils.timeseries_dataset_from_array` knows no gaps. In sequence there
  is one dataset a run, one behind the other, and `Dataset.rebatch` joins their batches.
  Shuffled, one dataset goes over all rows, flags in its targets say which windows cross
  no gap, and the others are taken out of each batch, so that the order stays global.
- ``window``: one `tf.train.Example` with a float_list a row, one file a run, as the guide
  "tf.data: Build TensorFlow input pipelines" forms windows: `window`, then `flat_map`.
  Rows are parsed and normalised in batches, before they are repeated in windows.
  Shuffled within a buffer of windows, `Dataset.shuffle`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from peers.task import BATCH, WINDOW, Case, Data

_SHUFFLED_WINDOWS = 1024
_ROWS_FOLDER = "float_list"


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the rows as Examples, for ``window``.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same files.
    variant : str
        Which way.
    """
    if variant != "window":
        return
    with data.made(_ROWS_FOLDER) as folder:
        if not folder:
            return
        folder.mkdir()
        rows = data.rows()
        pairs = zip(data.runs.first_row, data.runs.rows, strict=True)
        for run, (first, count) in enumerate(pairs):
            with tf.io.TFRecordWriter(str(folder / f"{run:04}.tfrecord")) as writer:
                for row in rows[first : first + count]:
                    values = tf.train.Feature(float_list=tf.train.FloatList(value=row))
                    features = tf.train.Features(feature={"values": values})
                    example = tf.train.Example(features=features)
                    writer.write(example.SerializeToString())


def batches(data: Data, case: Case, variant: str) -> Iterator[Any]:
    """Read with tf.data.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : {'gather', 'keras', 'window'}
        Which way.

    Returns
    -------
    iterator of tf.Tensor
        Batches of windows.
    """
    ways = {"gather": _gather, "keras": _keras, "window": _window}
    return iter(ways[variant](data, case))


def _gather(data: Data, case: Case) -> tf.data.Dataset:
    rows = tf.constant(data.normalised())
    starts = tf.constant(data.first_rows(case))
    count = len(data.first_rows(case))
    per_epoch = -(-count // BATCH)

    def load(position: tf.Tensor) -> tf.Tensor:
        epoch, batch = position // per_epoch, position % per_epoch
        numbers = tf.range(batch * BATCH, tf.minimum((batch + 1) * BATCH, count))
        if case.shuffle:
            seed = tf.stack([0, epoch])
            numbers = tf.random.experimental.index_shuffle(
                numbers, seed, tf.cast(count - 1, tf.int64)
            )
        wanted = tf.gather(starts, numbers)[:, tf.newaxis]
        return tf.gather(rows, wanted + tf.range(WINDOW, dtype=tf.int64))

    positions = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return positions.map(load, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _keras(data: Data, case: Case) -> tf.data.Dataset:
    rows = data.normalised()
    make = keras.utils.timeseries_dataset_from_array
    if case.shuffle:
        inside = np.zeros(len(rows) - WINDOW + 1, dtype=np.bool_)
        inside[data.first_rows(case)] = True
        windows = make(rows, inside, WINDOW, batch_size=BATCH, shuffle=True)
        windows = windows.map(_take, tf.data.AUTOTUNE)
    else:
        windows = None
        for first, count in zip(data.runs.first_row, data.runs.rows, strict=True):
            if count < WINDOW:
                continue
            run = rows[first : first + count]
            part = make(
                run, None, WINDOW, sequence_stride=case.stride, batch_size=BATCH
            )
            windows = part if windows is None else windows.concatenate(part)
    return windows.rebatch(BATCH).repeat().prefetch(tf.data.AUTOTUNE)


def _take(windows: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.reduce_all(inside),
        lambda: windows,
        lambda: tf.boolean_mask(windows, inside),
    )


def _window(data: Data, case: Case) -> tf.data.Dataset:
    scaling = data.normalization
    columns = len(scaling.offset)
    feature = {"values": tf.io.FixedLenFeature([columns], tf.float32)}

    def parse(examples: tf.Tensor) -> tf.Tensor:
        values = tf.io.parse_example(examples, feature)["values"]
        normalised = (values - scaling.offset) / scaling.scale
        return tf.where(tf.math.is_nan(normalised), scaling.fill, normalised)

    def run(path: tf.Tensor) -> tf.data.Dataset:
        rows = tf.data.TFRecordDataset(path).batch(WINDOW)
        rows = rows.map(parse, tf.data.AUTOTUNE).unbatch()
        windows = rows.window(WINDOW, shift=case.stride, drop_remainder=True)
        return windows.flat_map(lambda window: window.batch(WINDOW))

    paths = str(data.folder / _ROWS_FOLDER / "*.tfrecord")
    windows = tf.data.Dataset.list_files(paths, shuffle=case.shuffle).flat_map(run)
    if case.shuffle:
        windows = windows.shuffle(_SHUFFLED_WINDOWS)
    return windows.repeat().batch(BATCH).prefetch(tf.data.AUTOTUNE)
