"""Windows as a tf.data.Dataset: spec, order, values, resume, errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from datasets import PERIOD_S, small_dataset
from naive import naive_windows

from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, OptionError, WindowError
from echoanom.normalization import fit_normalization
from echoanom.options import Share, WindowOptions
from echoanom.pipeline import batches_per_epoch, plain_errors, windows
from echoanom.reader import IndexedReader
from echoanom.streaming import FIELDS
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


def test_an_iterator_checkpoint_restores_its_place_in_a_kilobyte(dataset, tmp_path):
    stream = windows(dataset, WindowOptions(size=8, shuffle=True), epochs=2)
    iterator = iter(stream)
    for _ in range(3):
        next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.write(str(tmp_path / "place"))
    expected = [next(iterator)["start"].numpy() for _ in range(3)]
    checkpoint.read(path)
    found = [next(iterator)["start"].numpy() for _ in range(3)]
    np.testing.assert_array_equal(found, expected)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1024


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5, 16])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_workers_share_every_batch(dataset, workers, drop_remainder):
    options = WindowOptions(
        size=8, batch_size=16, shuffle=True, drop_remainder=drop_remainder
    )
    whole = list(windows(dataset, options).as_numpy_iterator())
    streams = [
        windows(dataset, options, share=Share(worker, workers))
        for worker in range(workers)
    ]
    batches = batches_per_epoch(dataset, options)
    assert {stream.cardinality().numpy() for stream in streams} == {batches}
    parts = zip(*(stream.as_numpy_iterator() for stream in streams), strict=True)
    for batch, part in zip(whole, parts, strict=True):
        for name, array in batch.items():
            dealt = np.empty_like(array)
            for worker in range(workers):
                dealt[worker::workers] = part[worker][name]
            assert dealt.tobytes() == array.tobytes()


def test_more_workers_than_windows_in_a_batch_are_refused(dataset):
    with pytest.raises(OptionError, match="at most 4 workers can share"):
        windows(dataset, WindowOptions(size=8, batch_size=4), share=Share(0, 5))


def test_windows_observed_too_little_do_not_come(dataset):
    options = WindowOptions(size=8, min_observed=0.9)
    everything = collect(windows(dataset, WindowOptions(size=8)))
    found = collect(windows(dataset, options))
    kept = everything["observed"].mean(axis=(1, 2)) >= 0.9
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(found["start"], everything["start"][kept])
    assert batches_per_epoch(dataset, options) == -(-kept.sum() // 32)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 30])
def test_batches_are_the_same_wherever_rows_are_kept(dataset, shuffle, memory_bytes):
    options = WindowOptions(size=8, shuffle=shuffle)
    expected = collect(windows(dataset, options))
    found = collect(windows(dataset, options, memory_bytes=memory_bytes))
    for name in expected:
        assert found[name].tobytes() == expected[name].tobytes()


@pytest.mark.parametrize("fields", [("values",), ("start", "observed"), FIELDS])
def test_windows_gathered_on_the_device_are_those_of_the_host(dataset, fields):
    options = WindowOptions(size=8, batch_size=16, shuffle=True)
    arguments = {
        "normalization": fit_normalization(dataset.statistics(), "range"),
        "epochs": 2,
        "start": 3,
        "fields": fields,
    }
    expected = list(windows(dataset, options, **arguments).as_numpy_iterator())
    found = windows(dataset, options, placement="device", **arguments)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(fields)
        for name in fields:
            assert ours[name].numpy().tobytes() == theirs[name].tobytes()


def test_rows_that_do_not_fit_on_the_device_are_refused(dataset, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(tf, "zeros", full)
    with pytest.raises(OptionError, match="must fit into the memory of /CPU:0"):
        windows(dataset, placement="device")


def test_checksums_are_not_looked_at_if_so_told_and_the_log_says_it(tmp_path, caplog):
    dataset = small_dataset(tmp_path, days=1)
    path = Path(dataset.shard_path(0))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the checksum of the last record's data
    path.write_bytes(content)
    assert len(list(windows(dataset, WindowOptions(size=2), verify=False)))
    assert "checksums of records are not verified" in caplog.text
    caplog.clear()
    with pytest.raises(CorruptionError), plain_errors():
        list(windows(dataset, WindowOptions(size=2)))
    assert not caplog.text


def test_a_normalization_of_other_columns_is_refused(dataset, tmp_path):
    other = fit_normalization(dataset.statistics(), "range")
    other = dataclasses.replace(other, offset=other.offset[:3])
    with pytest.raises(OptionError, match="must have the 5 columns of .* got 3"):
        windows(dataset, normalization=other)


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
        ({"placement": "moon"}, "placement must be one of host, device"),
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
