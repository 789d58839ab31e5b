"""Conversion: every row arrives, reruns redo what changed, kills lose nothing."""

from __future__ import annotations

import datetime
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import (
    FIRST_DAY,
    PERIOD_S,
    ROWS_PER_DAY,
    sensor_days,
    small_dataset,
    small_source,
    write_tables,
)

from echoanom import conversion, publishing
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.errors import ColumnsError, DataError, MetaInfoError, StorageError
from echoanom.options import ShardOptions, StackOptions, TableOptions
from echoanom.planning import plan
from echoanom.reader import IndexedReader, read_block
from echoanom.shardmaps import map_shard
from echoanom.verification import verify

TABLE = TableOptions(period_s=PERIOD_S)
SMALL_SHARDS = ShardOptions(shard_mib=0.003, record_kib=0.5)


def files_of(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def read_exactly(path: Path) -> pd.DataFrame:
    """Read a CSV with Python's own, correctly rounded, text to float."""
    table = pd.read_csv(path, index_col=0, dtype=str)
    table.index = pd.to_datetime(table.index)
    return table.map(float)


def all_rows(path: str) -> pd.DataFrame:
    dataset = open_dataset(path)
    values, _ = IndexedReader(dataset).rows(0, dataset.rows)
    index = pd.to_datetime(dataset.times(), unit="s")
    return pd.DataFrame(values, index, [column.label for column in dataset.columns])


def test_every_row_and_value_arrives_in_float32(tmp_path):
    source = small_source(tmp_path / "source")
    convert(source, str(tmp_path / "out"), table=TABLE, sharding=SMALL_SHARDS)
    expected = pd.concat(
        [
            pd.concat(
                read_exactly(path)
                for path in sorted(Path(source, sensor, "tabular").glob("*.csv"))
            ).add_prefix(f"{sensor}/")
            for sensor in ("adcp", "ctd")
        ],
        axis=1,
        sort=True,
    ).astype(np.float32)
    found = all_rows(str(tmp_path / "out"))
    pd.testing.assert_frame_equal(
        found, expected, check_freq=False, check_index_type=False, check_names=False
    )


def test_ten_lines_of_plain_tensorflow_read_a_shard(tmp_path):
    tf = pytest.importorskip("tensorflow")
    dataset = small_dataset(tmp_path)
    rows, times = [], []
    for number in range(len(dataset.manifest.shards)):
        for example in tf.data.TFRecordDataset(dataset.shard_path(number)):
            record = tf.io.parse_single_example(
                example,
                {
                    "start": tf.io.FixedLenFeature([], tf.int64),
                    "rows": tf.io.FixedLenFeature([], tf.int64),
                    "values": tf.io.FixedLenFeature([], tf.string),
                },
            )
            values = tf.io.decode_raw(record["values"], tf.float32)
            rows.append(tf.reshape(values, [record["rows"], -1]).numpy())
            times.append(record["start"].numpy() + PERIOD_S * np.arange(len(rows[-1])))
    values, _ = IndexedReader(dataset).rows(0, dataset.rows)
    np.testing.assert_array_equal(np.concatenate(rows), values)
    np.testing.assert_array_equal(np.concatenate(times), dataset.times())


def test_a_dataset_does_not_depend_on_where_its_source_stood_nor_on_workers(tmp_path):
    source = small_source(tmp_path / "source")
    shutil.copytree(source, tmp_path / "moved")
    for name, root, workers in [("a", "source", 1), ("b", "moved", 2)]:
        convert(
            str(tmp_path / root),
            str(tmp_path / name),
            table=TABLE,
            sharding=SMALL_SHARDS,
            workers=workers,
        )
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_rerun_writes_nothing(tmp_path):
    source = small_source(tmp_path / "source")
    out = str(tmp_path / "out")
    convert(source, out, table=TABLE, sharding=SMALL_SHARDS)
    before = {p: p.stat().st_mtime_ns for p in Path(out).rglob("*") if p.is_file()}
    report = convert(source, out, table=TABLE, sharding=SMALL_SHARDS)
    after = {p: p.stat().st_mtime_ns for p in Path(out).rglob("*") if p.is_file()}
    assert (report.written, report.kept) == (0, 4)
    assert before == after


def test_an_appended_day_touches_only_its_shard_and_the_manifest(tmp_path):
    tables = {"ctd": sensor_days(5, ("temperature",))}
    last = max(tables["ctd"])
    first_days = {"ctd": {d: t for d, t in tables["ctd"].items() if d != last}}
    source = write_tables(tmp_path / "source", first_days)
    out = tmp_path / "out"
    sharding = ShardOptions(shard_mib=96 * 4 * 2 / 2**20)  # two days
    convert(source, str(out), table=TABLE, sharding=sharding)
    before = files_of(out)
    write_tables(tmp_path / "source", tables)
    report = convert(source, str(out), table=TABLE, sharding=sharding)
    after = files_of(out)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"manifest.json"}
    assert report.written == 1
    convert(source, str(tmp_path / "fresh"), table=TABLE, sharding=sharding)
    assert after["manifest.json"] == files_of(tmp_path / "fresh")["manifest.json"]


def test_an_opened_dataset_stays_readable_while_it_changes(tmp_path):
    source = small_source(tmp_path / "source")
    out = str(tmp_path / "out")
    convert(source, out, table=TABLE, sharding=SMALL_SHARDS)
    opened = open_dataset(out)
    expected, _ = IndexedReader(opened).rows(0, opened.rows)
    path = Path(source, "ctd", "tabular", f"{FIRST_DAY}.csv")
    path.write_text(path.read_text().replace("0.", "1."))
    convert(source, out, table=TABLE, sharding=SMALL_SHARDS)
    found, _ = IndexedReader(opened).rows(0, opened.rows)
    np.testing.assert_array_equal(found, expected)
    assert open_dataset(out).digest != opened.digest
    # What no version lists any more goes.
    path.write_text(path.read_text().replace("1.", "2."))
    convert(source, out, table=TABLE, sharding=SMALL_SHARDS, keep=2)
    names = {p.name.split(".")[0] for p in Path(out, "shards").iterdir()}
    assert opened.manifest.shards[0].name not in names


def test_windows_need_no_gap_filling_across_midnight_and_shards(tmp_path):
    dataset = small_dataset(tmp_path, gaps=False)
    assert len(dataset.manifest.shards) == 4
    assert dataset.runs.rows.tolist() == [4 * ROWS_PER_DAY]


def test_gaps_are_filled_alike_within_and_across_shards(tmp_path):
    source = small_source(tmp_path / "source")
    stacking = StackOptions(max_gap_min=60)
    for name, mib in [("one", 128.0), ("many", 0.003)]:
        convert(
            source,
            str(tmp_path / name),
            table=TABLE,
            stacking=stacking,
            sharding=ShardOptions(shard_mib=mib),
        )
    one, many = (all_rows(str(tmp_path / name)) for name in ("one", "many"))
    pd.testing.assert_frame_equal(one, many)


def test_a_halo_repeats_the_first_rows_of_the_next_shard(tmp_path):
    sharding = ShardOptions(shard_mib=0.003, record_kib=0.5, halo=30)
    dataset = small_dataset(tmp_path, sharding=sharding, gaps=False)
    values, _ = IndexedReader(dataset).rows(0, dataset.rows)
    shards = dataset.manifest.shards
    for number, shard in enumerate(shards):
        blocks = [
            read_block(dataset, number, record, map_shard(dataset, number))
            for record in range(shard.records.own, len(shard.records.rows))
        ]
        if number == len(shards) - 1:
            assert not blocks
            continue
        assert all(block.halo for block in blocks)
        found = np.concatenate([block.values for block in blocks])
        start = (number + 1) * ROWS_PER_DAY
        np.testing.assert_array_equal(found, values[start : start + 30])
    assert dataset.rows == 4 * ROWS_PER_DAY


def test_a_halo_ends_at_a_gap(tmp_path):
    tables = sensor_days(2, ("temperature",), gaps=False)
    second = max(tables)
    tables[second] = tables[second].drop(tables[second].index[7])
    source = write_tables(tmp_path / "source", {"ctd": tables})
    sharding = ShardOptions(shard_mib=1e-6, halo=30)
    convert(source, str(tmp_path / "out"), table=TABLE, sharding=sharding)
    records = open_dataset(str(tmp_path / "out")).manifest.shards[0].records
    assert records.rows[records.own :] == (7,)


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_smaller_types_keep_values_within_their_error(tmp_path, dtype):
    exact = small_dataset(tmp_path / "exact")
    sharding = ShardOptions(shard_mib=0.003, record_kib=0.5, dtype=dtype)
    packed = small_dataset(tmp_path / "packed", sharding=sharding)
    expected, seen = IndexedReader(exact).rows(0, exact.rows)
    found, seen_packed = IndexedReader(packed).rows(0, packed.rows)
    np.testing.assert_array_equal(seen, seen_packed)
    span = np.nanmax(expected, axis=0) - np.nanmin(expected, axis=0)
    step = {"float16": np.nanmax(np.abs(expected)) * 2**-11, "int16": span / 65534}
    error = np.nanmax(np.abs(found - expected), axis=0)
    assert (error <= step[dtype] + 1e-6).all()
    assert error.max() > 0


def test_a_wrong_count_is_refused_and_names_both_counts(tmp_path):
    source = small_source(tmp_path / "source", gaps=False)
    Path(source, "ctd", "tabular", f"meta_info_{FIRST_DAY}.txt").write_text(
        "x\nname=95\n"
    )
    with pytest.raises(MetaInfoError, match="95 data rows .* got 96"):
        convert(source, str(tmp_path / "out"), table=TABLE)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bad_table_is_refused_alike_by_any_number_of_workers(tmp_path, workers):
    source = small_source(tmp_path / "source", gaps=False)
    path = Path(source, "ctd", "tabular", f"{FIRST_DAY}.csv")
    path.write_text(path.read_text().replace(":15:00,", ":15:00,x", 1))
    out = tmp_path / "out"
    with pytest.raises(DataError, match=f"{FIRST_DAY}.csv, line 3, column .* got 'x"):
        convert(source, str(out), table=TABLE, sharding=SMALL_SHARDS, workers=workers)
    assert not (out / "manifest.json").exists()
    assert not list(out.rglob(".tmp-*"))
    report = convert(
        source,
        str(out),
        table=TABLE,
        sharding=SMALL_SHARDS,
        workers=workers,
        on_error="skip",
    )
    assert [entry.path for entry in report.set_aside] == [
        f"ctd/tabular/{FIRST_DAY}.csv"
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_table_that_changes_meanwhile_is_refused(tmp_path, monkeypatch, workers):
    source = small_source(tmp_path / "source", gaps=False)
    path = Path(source, "adcp", "tabular", f"{FIRST_DAY}.csv")

    def plan_and_change(*arguments):
        tasks = plan(*arguments)
        path.write_text(path.read_text().replace("1.", "2.", 1))
        return tasks

    monkeypatch.setattr(conversion, "plan", plan_and_change)
    with pytest.raises(StorageError, match=f"{FIRST_DAY}.csv: must not change while"):
        convert(
            source,
            str(tmp_path / "out"),
            table=TABLE,
            sharding=SMALL_SHARDS,
            workers=workers,
        )
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_error_of_the_disk_is_told_also_if_it_comes_before_the_end(
    tmp_path, monkeypatch
):
    source = small_source(tmp_path / "source")
    flushed = []

    def fsync(handle):
        flushed.append(handle)
        if len(flushed) == 1:  # the system tells of it once
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publishing, "_FLUSH_BYTES", 1024)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="cannot write .*Input/output error"):
        convert(source, str(tmp_path / "out"), table=TABLE, sharding=SMALL_SHARDS)
    assert not list((tmp_path / "out").rglob("*.tfrecord*"))
    convert(source, str(tmp_path / "out"), table=TABLE, sharding=SMALL_SHARDS)
    # Four shards of about 2 KiB, each with statistics, an entry and a flush on the way.
    assert len(flushed) >= 1 + 4 * 4 + 1
    assert not verify(open_dataset(str(tmp_path / "out"))).problems


def test_a_day_with_other_columns_is_refused_and_says_which(tmp_path):
    tables = sensor_days(3, ("temperature", "salinity"))
    second = sorted(tables)[1]
    tables[second] = tables[second].rename(columns={"salinity": "conductivity"})
    source = write_tables(tmp_path / "source", {"ctd": tables})
    with pytest.raises(ColumnsError, match="lacks salinity and has conductivity too"):
        convert(source, str(tmp_path / "out"), table=TABLE)


def test_skipped_tables_are_listed_and_the_rest_goes_on(tmp_path):
    tables = sensor_days(4, ("temperature", "salinity"), gaps=False)
    days = sorted(tables)
    tables[days[1]] = tables[days[1]].rename(columns={"salinity": "conductivity"})
    source = write_tables(tmp_path / "source", {"ctd": tables})
    bad = Path(source, "ctd", "tabular", f"{days[2]}.csv")
    bad.write_text(bad.read_text().replace(":15:00,", ":15:00,x", 1))
    report = convert(source, str(tmp_path / "out"), table=TABLE, on_error="skip")
    assert report.rows == 2 * ROWS_PER_DAY
    listed = {entry.path: entry.reason for entry in report.set_aside}
    assert set(listed) == {f"ctd/tabular/{day}.csv" for day in days[1:3]}
    assert "line 3" in listed[f"ctd/tabular/{days[2]}.csv"]
    assert str(tmp_path) not in json.dumps(listed)
    manifest = open_dataset(str(tmp_path / "out")).manifest
    assert manifest.shards[0].set_aside == report.set_aside
    with pytest.raises(DataError):
        convert(source, str(tmp_path / "out"), table=TABLE)


def test_a_mended_table_is_taken_in_by_the_next_run(tmp_path):
    source = small_source(tmp_path / "source", gaps=False)
    path = Path(source, "ctd", "tabular", f"{FIRST_DAY}.csv")
    good = path.read_text()
    path.write_text(good.replace(":15:00,", ":15:00,x", 1))
    out = str(tmp_path / "out")
    convert(source, out, table=TABLE, on_error="skip")
    assert len(open_dataset(out).manifest.shards[0].set_aside) == 1
    path.write_text(good)
    report = convert(source, out, table=TABLE, on_error="skip")
    assert (report.written, report.set_aside) == (1, ())


def test_two_conversions_do_not_share_a_destination(tmp_path):
    source = small_source(tmp_path / "source")
    with publishing.exclusive(str(tmp_path / "out")):
        with pytest.raises(StorageError, match="another process is writing here"):
            convert(source, str(tmp_path / "out"), table=TABLE)


def test_a_dataset_with_no_row_is_a_dataset(tmp_path):
    tables = {k: t.iloc[:0] for k, t in sensor_days(2, ("temperature",)).items()}
    source = write_tables(tmp_path / "source", {"ctd": tables})
    report = convert(source, str(tmp_path / "out"), table=TABLE)
    assert report.rows == 0
    dataset = open_dataset(str(tmp_path / "out"))
    assert dataset.rows == len(dataset.runs) == 0
    assert not verify(dataset).problems


CONVERT = """
import sys
from echoanom.conversion import convert
from echoanom.options import ShardOptions, StackOptions, TableOptions
if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], table=TableOptions(period_s=900),
            stacking=StackOptions(max_gap_min=60), workers=int(sys.argv[3]),
            sharding=ShardOptions(shard_mib=0.003, record_kib=0.5, halo=8))
"""


def start_conversion(script: Path, source: str, out: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(script), source, out, "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_fifty_random_moments_it_ends_as_if_undisturbed(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(CONVERT)
    # So many shards that a run spends about half of its time on writing them.
    tables = {"ctd": sensor_days(150, tuple(f"t_{i}m" for i in range(40)))}
    days = sorted(tables["ctd"])
    source = write_tables(
        tmp_path / "source", {"ctd": {day: tables["ctd"][day] for day in days[:12]}}
    )
    old = tmp_path / "old"
    assert start_conversion(script, source, str(old)).wait() == 0
    write_tables(tmp_path / "source", tables)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(old, undisturbed)
    begin = time.monotonic()
    assert start_conversion(script, source, str(undisturbed)).wait() == 0
    duration = time.monotonic() - begin
    expected = files_of(undisturbed)
    rng = random.Random(0)
    out = tmp_path / "out"
    shutil.copytree(old, out)
    before = files_of(old)
    interrupted = begun = 0
    while interrupted < 50:
        process = start_conversion(script, source, str(out))
        time.sleep(rng.uniform(0.3, 1.0) * duration)
        if process.poll() is None:
            interrupted += 1
        else:
            duration *= 0.9  # the machine has become faster
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Whole, whether it is the old dataset or already the new one.
        assert not verify(open_dataset(str(out))).problems
        found = files_of(out)
        if found["manifest.json"] == expected["manifest.json"]:
            shutil.rmtree(out)
            shutil.copytree(old, out)
        else:
            assert found["manifest.json"] == before["manifest.json"]
            begun += len(found) > len(before)
    # Some of the moments fell between two shards.
    assert begun >= 5
    assert start_conversion(script, source, str(out)).wait() == 0
    assert files_of(out) == expected


def test_a_full_disk_leaves_the_old_dataset_and_one_line(tmp_path):
    source = small_source(tmp_path / "source")
    out = tmp_path / "out"
    convert(source, str(out), table=TABLE)
    before = files_of(out)
    script = tmp_path / "full.py"
    # The system refuses files beyond the limit as it refuses them on a full disk.
    script.write_text(
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "sys.dont_write_bytecode = True\n"
        "from echoanom.conversion import convert\n"
        "from echoanom.errors import StorageError\n"
        "from echoanom.options import TableOptions, ShardOptions\n"
        "try:\n"
        "    convert(sys.argv[1], sys.argv[2], table=TableOptions(period_s=900),\n"
        "            sharding=ShardOptions(halo=1))\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), source, str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write" in done.stdout
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert files_of(out) == before


def test_days_far_apart_make_shards_of_their_own(tmp_path):
    tables = sensor_days(1, ("temperature",), gaps=False)
    (table,) = tables.values()
    later = table.copy()
    later.index = later.index + datetime.timedelta(days=400)
    day = (FIRST_DAY + datetime.timedelta(400)).isoformat()
    source = write_tables(tmp_path / "source", {"ctd": {**tables, day: later}})
    convert(source, str(tmp_path / "out"), table=TABLE)
    dataset = open_dataset(str(tmp_path / "out"))
    assert dataset.runs.rows.tolist() == [ROWS_PER_DAY, ROWS_PER_DAY]
    names = [shard.name for shard in dataset.manifest.shards]
    assert names == sorted(names)
    assert len(names) == 2


def test_halo_rows_of_int16_have_the_bits_of_the_shard_they_repeat(tmp_path):
    """Codes depend on all rows of a record, so a record cut short would differ."""
    sharding = ShardOptions(dtype="int16", halo=7, shard_mib=0.003, record_kib=0.5)
    dataset = small_dataset(tmp_path, gaps=False, sharding=sharding)
    rows, _ = IndexedReader(dataset).rows(0, dataset.rows)
    times = dataset.times()
    repeated = 0
    for number, shard in enumerate(dataset.manifest.shards):
        listed = shard.records
        for record in range(listed.own, len(listed.rows)):
            block = read_block(dataset, number, record, map_shard(dataset, number))
            assert block.halo
            first = int(np.searchsorted(times, block.start_s))
            np.testing.assert_array_equal(
                block.values, rows[first : first + len(block.values)]
            )
            repeated += len(block.values)
    assert repeated >= 7 * (len(dataset.manifest.shards) - 1) > 0
