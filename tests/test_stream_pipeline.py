"""Streams through tf.data: one stream an iterator, closed in time, our own errors."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from streams import Archive, assert_stored, fifo_writer, make_archive, row_of

from echoanom import streaming
from echoanom.errors import (
    CorruptionError,
    DatasetError,
    OptionError,
    StorageError,
    TruncatedError,
    WindowError,
)
from echoanom.normalization import Normalization
from echoanom.options import WindowOptions
from echoanom.pipeline import plain_errors, stream_windows

pytestmark = pytest.mark.slow

BROKEN_PIPE = 32  # exit status of a writer that nobody reads
COLUMNS = 50


@pytest.fixture(scope="module")
def archive() -> Archive:
    """Return an archive of 4 MB: more than a pipe and the batches in flight hold."""
    return make_archive(
        [(12_000, 3), (8_000, 1)], [5000], record_rows=100, columns=COLUMNS
    )


class Opened:
    """Opens a stream from memory and counts what is open."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.files: list[io.BytesIO] = []

    def __call__(self) -> io.BytesIO:
        self.files.append(io.BytesIO(self.content))
        return self.files[-1]

    @property
    def all_closed(self) -> bool:
        return all(file.closed for file in self.files)


def opens(path: str):
    return lambda: open(path, "rb", buffering=0)


def collect(stream: tf.data.Dataset) -> dict[str, np.ndarray]:
    batches = list(stream.as_numpy_iterator())
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


@pytest.mark.parametrize("shuffle", [False, True])
def test_elements_are_the_batches_of_the_stream(archive, shuffle):
    options = WindowOptions(size=16, stride=16, shuffle=shuffle)
    stream = stream_windows(
        Opened(archive.stream()), archive.manifest, options, pool_windows=100
    )
    assert stream.element_spec == {
        "values": tf.TensorSpec((None, 16, COLUMNS), tf.float32),
        "observed": tf.TensorSpec((None, 16, COLUMNS), tf.bool),
        "start": tf.TensorSpec((None,), tf.int64),
    }
    found = collect(stream)
    expected = [*range(0, 12_000, 16), *range(12_003, 20_003, 16)]
    rows = row_of(found["start"])
    assert sorted(rows) == expected
    assert (rows == expected) != shuffle
    for row, values in zip(rows, found["values"], strict=True):
        assert_stored(archive, values, row)


def test_whole_batches_have_a_known_batch_dimension(archive):
    options = WindowOptions(size=16, stride=16, batch_size=7, drop_remainder=True)
    stream = stream_windows(
        Opened(archive.stream()), archive.manifest, options, fields=("values",)
    )
    assert stream.element_spec == {
        "values": tf.TensorSpec((7, 16, COLUMNS), tf.float32)
    }
    assert sum(1 for _ in stream) == 1250 // 7


def test_tensorflow_takes_batches_without_copying_them(archive, monkeypatch):
    made: list[np.ndarray] = []
    original = streaming.stream_windows

    def noted(*args, **kwargs):
        for batch in original(*args, **kwargs):
            made.append(batch["values"])
            yield batch

    options = WindowOptions(size=16, stride=16)
    monkeypatch.setattr(streaming, "stream_windows", noted)
    stream = stream_windows(
        Opened(archive.stream()), archive.manifest, options, fields=("values",)
    )
    taken = [np.from_dlpack(batch["values"]).ctypes.data for batch in stream]
    assert taken == [array.ctypes.data for array in made]
    assert len(taken) == 40


def test_each_iterator_opens_a_stream_of_its_own_and_closes_it(archive):
    opened = Opened(archive.stream())
    options = WindowOptions(size=16, stride=16)
    stream = stream_windows(opened, archive.manifest, options, fields=("start",))
    assert opened.files == []
    for epoch in range(3):
        assert sum(1 for _ in stream) == 40
        assert len(opened.files) == epoch + 1
        assert opened.all_closed


def test_each_iterator_is_an_epoch_of_its_own(archive):
    options = WindowOptions(size=16, stride=16, shuffle=True, seed=2)

    def starts(epoch: int, iterators: int) -> list[list[int]]:
        stream = stream_windows(
            Opened(archive.stream()), archive.manifest, options,
            fields=("start",), epoch=epoch,
        )  # fmt: skip
        return [row_of(collect(stream)["start"]) for _ in range(iterators)]

    first, second = starts(0, 2)
    assert first != second
    assert sorted(first) == sorted(second)
    assert starts(1, 1) == [second]


def test_letting_go_closes_the_fifo_so_that_the_writer_sees_it(archive, tmp_path):
    content = archive.stream()
    with fifo_writer(tmp_path, content) as (path, writer):
        stream = stream_windows(
            opens(path), archive.manifest, WindowOptions(size=16, batch_size=2)
        )
        iterator = iter(stream)
        next(iterator)
        assert writer.poll() is None
        del iterator
        assert writer.wait(timeout=30) == BROKEN_PIPE


def test_a_stream_that_is_read_to_its_end_lets_the_writer_end(archive, tmp_path):
    with fifo_writer(tmp_path, archive.stream()) as (path, writer):
        options = WindowOptions(size=16, stride=16)
        stream = stream_windows(opens(path), archive.manifest, options)
        assert sum(1 for _ in stream) == 40
        assert writer.wait(timeout=30) == 0


def read_with_errors(stream: tf.data.Dataset) -> int:
    """Count the batches; raise what went wrong as it was raised."""
    count = 0
    with plain_errors():
        for _ in stream:
            count += 1
    return count


def test_a_writer_that_is_killed_is_an_error_and_no_hang(archive, tmp_path):
    content = archive.stream()[:1_000_000]
    with fifo_writer(tmp_path, content, end="kill") as (path, writer):
        stream = stream_windows(
            opens(path), archive.manifest, WindowOptions(size=16), name="train channel"
        )
        with pytest.raises(
            TruncatedError,
            match="train channel: ends at byte 1000000, inside the record",
        ):
            read_with_errors(stream)
        assert writer.wait(timeout=30) == -9


def test_damage_arrives_as_our_error_before_a_wrong_number(archive):
    content = bytearray(archive.stream())
    content[2_000_000] ^= 1
    opened = Opened(bytes(content))
    options = WindowOptions(size=16, stride=16, batch_size=4)
    stream = stream_windows(opened, archive.manifest, options)
    with pytest.raises(CorruptionError, match="data that do not match"), plain_errors():
        for batch in stream:
            for row, values in zip(
                row_of(batch["start"].numpy()), batch["values"].numpy(), strict=True
            ):
                assert_stored(archive, values, row)
    assert opened.all_closed


def test_a_stream_that_cannot_be_opened_is_our_error(archive, tmp_path):
    missing = str(tmp_path / "nothing")
    options = WindowOptions(size=16)
    stream = stream_windows(opens(missing), archive.manifest, options, name="pipe_0")
    with pytest.raises(StorageError, match="cannot open pipe_0: it does not exist"):
        read_with_errors(stream)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"fields": ("label",)}, OptionError),
        ({"pool_windows": 0}, OptionError),
        ({"epoch": -1}, OptionError),
        ({"options": WindowOptions(size=30_000)}, WindowError),
    ],
)
def test_what_no_stream_can_give_is_refused_before_one_is_opened(
    archive, arguments, error
):
    opened = Opened(archive.stream())
    with pytest.raises(error):
        stream_windows(opened, archive.manifest, **arguments)
    assert opened.files == []


def test_the_cardinality_is_the_number_of_batches_that_is_said(archive):
    options = WindowOptions(size=16, stride=16)
    make = Opened(archive.stream())
    stream = stream_windows(make, archive.manifest, options, batches=40)
    assert stream.cardinality().numpy() == 40
    assert read_with_errors(stream) == 40
    unknown = stream_windows(make, archive.manifest, options)
    assert unknown.cardinality().numpy() == tf.data.UNKNOWN_CARDINALITY


@pytest.mark.parametrize(
    "said, error, message",
    [
        (41, TruncatedError, "must give 41 batches, but ends after 40; stream every"),
        (39, DatasetError, "must give 39 batches, but gives more"),
    ],
)
def test_another_number_of_batches_than_was_said_is_refused(
    archive, said, error, message
):
    opened = Opened(archive.stream())
    options = WindowOptions(size=16, stride=16)
    stream = stream_windows(opened, archive.manifest, options, batches=said)
    with pytest.raises(error, match=message):
        read_with_errors(stream)
    assert opened.all_closed


def tiny_model() -> keras.Model:
    inputs = keras.Input((16, COLUMNS))
    model = keras.Model(inputs, keras.layers.Dense(COLUMNS)(inputs))
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.slow
@pytest.mark.parametrize("batches", [40, None])
def test_training_for_two_epochs_opens_exactly_two_streams(archive, batches):
    opened = Opened(archive.stream())
    normalization = Normalization(
        "range",
        np.zeros(COLUMNS, np.float32),
        np.full(COLUMNS, 4, np.float32),
        np.zeros(COLUMNS, np.float32),
    )
    stream = stream_windows(
        opened,
        archive.manifest,
        WindowOptions(size=16, stride=16, shuffle=True),
        normalization=normalization,
        fields=("values",),
        batches=batches,
    )
    # Keras warns where it cannot know how long an epoch is.
    unknown = pytest.warns(UserWarning, match="ran out of data")
    with contextlib.nullcontext() if batches else unknown:
        history = tiny_model().fit(
            stream.map(lambda batch: (batch["values"], batch["values"])),
            epochs=2,
            shuffle=False,
            verbose=0,
        )
    assert len(opened.files) == 2
    assert opened.all_closed
    losses = history.history["loss"]
    assert losses[1] < losses[0]


def test_several_streams_are_read_at_once(archive, tmp_path):
    found: dict[int, list[int]] = {}

    def read(number: int) -> None:
        opened = Opened(archive.stream())
        options = WindowOptions(size=16, stride=16)
        stream = stream_windows(opened, archive.manifest, options, fields=("start",))
        found[number] = row_of(collect(stream)["start"])

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert all(rows == found[0] for rows in found.values())


def test_no_file_is_left_open(archive, tmp_path: Path):
    options = WindowOptions(size=16, stride=16)
    path = tmp_path / "whole"
    path.write_bytes(archive.stream())
    stream = stream_windows(opens(str(path)), archive.manifest, options)
    assert sum(1 for _ in stream) == 40
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        next(iter(stream))
    assert len(os.listdir("/proc/self/fd")) <= before
