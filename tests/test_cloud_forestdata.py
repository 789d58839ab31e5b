"""Rows as SageMaker's built-in algorithms take them, read back by other means."""

from __future__ import annotations

import datetime
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from aialgs import read_records
from datasets import ROWS_PER_DAY, sensor_days, small_dataset, write_tables

from echoanom import forestrows, storage
from echoanom.cloud import forestdata
from echoanom.cloud.forestdata import export_rows
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import CloudError, DatasetError, StorageError
from echoanom.forestrows import forest_rows
from echoanom.labels import Label
from echoanom.modeloptions import ForestOptions
from echoanom.options import DAY_S, ShardOptions, TableOptions
from echoanom.stamps import format_stamp, parse_stamp
from echoanom.testing.s3server import S3Server

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "data"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("export"), days=5)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = str(tmp_path_factory.mktemp("sample") / "dataset")
    convert(str(SAMPLE), path, table=TableOptions(period_s=900))
    return open_dataset(path)


def names(folder: str) -> list[str]:
    return [name for name, _ in storage.list_files(folder)]


def read(folder: str):
    """Return times, values and labels of all records, by name of the object."""
    records = []
    for name in names(folder):
        found = read_records(storage.read_bytes(storage.join(folder, name)))
        assert {record.uid[:10] for record in found} == {name.removesuffix(".pbr")}
        records += found
    values = [record.features["values"].float32_tensor.values for record in records]
    labels = [list(record.label["values"].float32_tensor.values) for record in records]
    times = [parse_stamp(record.uid) // 1_000_000 for record in records]
    return np.array(times), np.array(values, np.float32), labels


def rows_of(rows, runs):
    blocks = list(rows.observed_blocks(runs))
    return (
        np.concatenate([block.times for block in blocks]),
        np.concatenate([block.values for block in blocks]),
    )


@pytest.mark.parametrize("which", ["dataset", "sample"])
def test_what_is_written_are_the_rows_of_the_training_days(which, request, tmp_path):
    dataset = request.getfixturevalue(which)
    exclude = [(int(dataset.times()[3]), int(dataset.times()[9]))]
    export = export_rows(dataset, str(tmp_path / "out"), exclude=exclude)
    times, values, labels = read(export.train_url)
    rows = forest_rows(dataset, ForestOptions(), exclude=exclude)
    expected_times, expected = rows_of(rows, rows.holdout.training)
    np.testing.assert_array_equal(times, expected_times)
    np.testing.assert_array_equal(values, expected)
    assert labels == [[]] * len(times)
    assert np.isfinite(values).all() and export.columns == len(dataset.columns)
    days = [day.isoformat() for day in rows.holdout.training_days]
    assert names(export.train_url) == [f"{day}.pbr" for day in days]
    sizes = [size for _, size in storage.list_files(export.train_url)]
    assert (export.train.objects, export.train.rows) == (len(days), len(times))
    assert export.train.bytes == sum(sizes)
    assert export.test is None and not storage.exists(export.test_url)


def test_rows_with_labels_are_all_rows_those_inside_marked(sample, tmp_path):
    label = Label(int(sample.times()[0]), int(sample.times()[54]))
    export = export_rows(
        sample, str(tmp_path), exclude=[(label.start, label.end)], labels=[label]
    )
    times, values, labels = read(export.test_url)
    rows = forest_rows(sample, ForestOptions(), exclude=[(label.start, label.end)])
    expected_times, expected = rows_of(rows, sample.runs)
    np.testing.assert_array_equal(times, expected_times)
    np.testing.assert_array_equal(values, expected)
    assert labels == [[float(time < label.end)] for time in times]
    assert sum(one == [1.0] for one in labels) == 54
    train_times, _, _ = read(export.train_url)
    assert train_times.min() >= label.end


def test_an_export_goes_to_a_bucket(dataset, bucket, s3: S3Server, tmp_path):
    there = export_rows(dataset, f"{bucket}/forest/")
    here = export_rows(dataset, str(tmp_path))
    assert there.train == here.train
    assert there.train_url == f"{bucket}/forest/train/"
    assert names(there.train_url) == names(here.train_url)
    for name in names(here.train_url):
        content = storage.read_bytes(here.train_url + name)
        assert storage.read_bytes(there.train_url + name) == content
    assert export_rows(dataset, f"{bucket}/forest") == there


def test_the_same_export_is_kept_and_another_refused(dataset, tmp_path):
    path = str(tmp_path)
    first = export_rows(dataset, path)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.pbr")}
    assert export_rows(dataset, path) == first
    assert written == {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*.pbr")}
    other = ForestOptions(validation=0.6)
    with pytest.raises(CloudError, match="holds one of other rows, or one that was"):
        export_rows(dataset, path, other)
    assert export_rows(dataset, path) == first
    replaced = export_rows(dataset, path, other, overwrite=True)
    assert replaced.train.objects < first.train.objects
    assert len(names(replaced.train_url)) == replaced.train.objects


def test_an_interrupted_export_is_not_taken_for_a_complete_one(dataset, tmp_path):
    complete = export_rows(dataset, str(tmp_path / "complete"))

    def stop(doing: str, done: int, total: int) -> None:
        if done > ROWS_PER_DAY:
            raise KeyboardInterrupt

    path = str(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        export_rows(dataset, path, progress=stop)
    with pytest.raises(CloudError, match="interrupted"):
        export_rows(dataset, path)
    again = export_rows(dataset, path, overwrite=True)
    assert again.train == complete.train
    assert names(again.train_url) == names(complete.train_url)


def test_a_file_of_somebody_else_is_neither_trained_on_nor_removed(dataset, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(CloudError, match=r"but has notes\.txt"):
            export_rows(dataset, str(tmp_path), overwrite=overwrite)
    assert [file.name for file in tmp_path.rglob("*.*")] == [".lock", "notes.txt"]


def test_a_damaged_description_does_not_hide_that_something_is_there(dataset, tmp_path):
    export = export_rows(dataset, str(tmp_path))
    about = json.loads((tmp_path / "export.json").read_text())
    del about["export"]["train"]["rows"]
    (tmp_path / "export.json").write_text(json.dumps(about))
    with pytest.raises(CloudError, match="overwrite it"):
        export_rows(dataset, str(tmp_path))
    assert export_rows(dataset, str(tmp_path), overwrite=True) == export


def test_more_columns_than_the_algorithm_takes_are_refused(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(forestdata, "MOST_COLUMNS", 4)
    with pytest.raises(DatasetError, match="at most 4 columns .* but has 5"):
        export_rows(dataset, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        export_rows(dataset, str(tmp_path / "file"))


def test_progress_ends_where_all_rows_are_done(dataset, tmp_path):
    told: list[tuple[str, int, int]] = []
    export = export_rows(
        dataset, str(tmp_path), labels=[], progress=lambda *state: told.append(state)
    )
    last = {doing: (done, total) for doing, done, total in told}
    assert export.test is not None
    assert last["writing rows to learn from"][0] == export.train.rows
    assert last["writing rows to test"][0] == export.test.rows


@pytest.mark.slow
def test_to_write_more_days_takes_no_more_memory(tmp_path, monkeypatch):
    columns = tuple(f"c{number}" for number in range(300))
    monkeypatch.setattr(forestrows, "_BLOCK_CELLS", 10 * len(columns))

    def peak(days: int) -> int:
        root = tmp_path / str(days)
        source = write_tables(root, {"s": sensor_days(days, columns)})
        convert(
            source,
            str(root / "ds"),
            table=TableOptions(period_s=900),
            sharding=ShardOptions(shard_mib=0.2, record_kib=20),
        )
        dataset = open_dataset(str(root / "ds"))
        before = 0

        def begin_to_write(doing: str, done: int, total: int) -> None:
            nonlocal before
            if doing == "writing rows to learn from" and not done:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        export_rows(dataset, str(root / "out"), labels=[], progress=begin_to_write)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert before
        return most - before

    peak(2)  # what is loaded once
    few, many = peak(4), peak(24)
    assert many - few < 50_000  # of 2.3 MB more rows


def test_labels_mark_rows_that_they_touch(dataset, tmp_path):
    time = int(dataset.times()[5])
    label = Label(time + 1, time + 2)
    export = export_rows(dataset, str(tmp_path), labels=[label])
    times, _, labels = read(export.test_url)
    marked = [format_stamp(t) for t, one in zip(times, labels, strict=True) if one[0]]
    assert marked == [format_stamp(time)]
    assert datetime.date(1970, 1, 1) + datetime.timedelta(time // DAY_S) in dataset.days
