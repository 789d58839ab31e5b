"""Windows as a tf.data.Dataset: spec, order, values, resume, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from datasets import PERIOD_S, small_dataset
from naive import naive_windows

from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, OptionError, WindowError
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.pipeline import batches_per_epoch, plain_errors, windows
from echoanom.reader import IndexedReader
from echoanom.windowing import select


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("pipeline"))


def collect(stream: tf.data.Dataset) -> dict[str, np.ndarray]:
    batches = list(stream.as_numpy_iterator())
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def expected_first_rows(dataset: Dataset, size: int, stride: int) -> list[int]:
    runs = zip(dataset.runs.first_row.tolist(), dataset.runs.rows.tolist(), strict=True)
    return naive_windows(list(runs), size, stride)


@pytest.mark.parametrize("size, stride", [(1, 1), (8, 1), (8, 3), (40, 40)])
def test_windows_hold_the_rows_of_the_oracle_in_order(dataset, size, stride):
    first = np.array(expected_first_rows(dataset, size, stride))
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    found = collect(windows(dataset, WindowOptions(size=size, stride=stride)))
    rows = first[:, None] + np.arange(size)
    np.testing.assert_array_equal(found["values"], values[rows])
    np.testing.assert_array_equal(found["observed"], observed[rows])
    np.testing.assert_array_equal(found["start"], dataset.times()[first])


def test_no_window_crosses_a_gap_and_some_cross_shards(dataset):
    first = np.array(expected_first_rows(dataset, 8, 1))
    times = dataset.times()
    assert (times[first + 7] - times[first] == 7 * PERIOD_S).all()
    ends = np.cumsum([shard.rows for shard in dataset.manifest.shards])[:-1]
    assert any(((first < end) & (first + 8 > end)).any() for end in ends)


def test_element_spec_and_cardinality_are_known(dataset):
    options = WindowOptions(size=8, batch_size=16)
    stream = windows(dataset, options, epochs=2)
    assert stream.element_spec == {
        "values": tf.TensorSpec((None, 8, 5), tf.float32),
        "observed": tf.TensorSpec((None, 8, 5), tf.bool),
        "start": tf.TensorSpec((None,), tf.int64),
    }
    batches = batches_per_epoch(dataset, options)
    assert stream.cardinality().numpy() == 2 * batches
    assert len(list(stream)) == 2 * batches


def test_whole_batches_have_a_known_batch_dimension(dataset):
    options = WindowOptions(size=8, batch_size=16, drop_remainder=True)
    stream = windows(dataset, options, fields=("values",))
    assert stream.element_spec == {"values": tf.TensorSpec((16, 8, 5), tf.float32)}
    assert all(len(batch["values"]) == 16 for batch in stream)


def test_a_shuffled_epoch_has_the_same_windows_in_another_order(dataset):
    plain = WindowOptions(size=8)
    shuffled = WindowOptions(size=8, shuffle=True, seed=3)
    in_order = collect(windows(dataset, plain))["start"]
    epochs = collect(windows(dataset, shuffled, epochs=2))["start"].reshape(2, -1)
    for epoch in epochs:
        assert np.array_equal(np.sort(epoch), in_order)
        assert not np.array_equal(epoch, in_order)
    assert not np.array_equal(epochs[0], epochs[1])


def test_the_same_seed_gives_the_same_bytes(dataset):
    options = WindowOptions(size=8, shuffle=True, seed=3)
    first, second = (collect(windows(dataset, options)) for _ in range(2))
    for name in first:
        assert first[name].tobytes() == second[name].tobytes()


@pytest.mark.parametrize("start", [0, 1, 5, 12])
def test_a_resumed_stream_goes_on_where_the_other_was(dataset, start):
    options = WindowOptions(size=8, shuffle=True)
    whole = list(windows(dataset, options, epochs=2).as_numpy_iterator())
    rest = list(windows(dataset, options, epochs=2, start=start).as_numpy_iterator())
    assert len(rest) == len(whole) - start
    for a, b in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(a["values"], b["values"])


def test_an_iterator_checkpoint_restores_its_place(dataset, tmp_path):
    stream = windows(dataset, WindowOptions(size=8, shuffle=True), fields=("start",))
    iterator = iter(stream)
    for _ in range(3):
        next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.write(str(tmp_path / "place"))
    expected = [next(iterator)["start"].numpy() for _ in range(3)]
    checkpoint.read(path)
    found = [next(iterator)["start"].numpy() for _ in range(3)]
    np.testing.assert_array_equal(found, expected)


def test_normalised_windows_have_no_missing_value(dataset):
    normalization = fit_normalization(dataset.statistics(), "standard")
    raw = collect(windows(dataset, WindowOptions(size=8)))["values"]
    found = collect(
        windows(dataset, WindowOptions(size=8), normalization=normalization)
    )["values"]
    np.testing.assert_array_equal(found, normalization.apply(raw))
    assert np.isnan(raw).any()
    assert not np.isnan(found).any()


def test_windows_of_selected_runs_stay_inside_them(dataset):
    start = int(dataset.runs.start_s[0]) + 86_400
    runs = select(dataset.runs, PERIOD_S, include=[(start, start + 86_400)])
    found = collect(windows(dataset, WindowOptions(size=8), runs=runs))["start"]
    assert found.min() >= start
    assert found.max() + 8 * PERIOD_S <= start + 86_400


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"start": -1}, "start must be in"),
        ({"start": 10**6}, "start must be in"),
        ({"fields": ("values", "label")}, "fields must be among"),
        ({"fields": ()}, "fields must be among"),
    ],
)
def test_arguments_out_of_range_are_refused(dataset, arguments, message):
    with pytest.raises(OptionError, match=message):
        windows(dataset, **arguments)


def test_a_window_that_fits_nowhere_is_refused(dataset):
    with pytest.raises(WindowError, match="must fit into a run"):
        windows(dataset, WindowOptions(size=10_000))


def test_damage_reaches_the_caller_as_our_error_before_a_wrong_number(tmp_path):
    dataset = small_dataset(tmp_path, days=1)
    path = Path(dataset.shard_path(0))
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match="record 3 of shard"), plain_errors():
        for batch in windows(dataset, WindowOptions(size=2)):
            assert np.isfinite(batch["start"]).all()
