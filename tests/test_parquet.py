"""A folder of Parquet tables does all that the same folder of CSVs does."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner
from datasets import FIRST_DAY, PERIOD_S, small_source

from echoanom import storage
from echoanom.cli.data import convert as convert_command
from echoanom.cli.simulation import simulate as simulate_command
from echoanom.cli.stores import fetch as fetch_command
from echoanom.cli.stores import tables as tables_command
from echoanom.conversion import convert
from echoanom.daily import read_day
from echoanom.discovery import find_sensors, read_record_count
from echoanom.errors import DataError, MetaInfoError, OptionError, StorageError
from echoanom.fetching import fetch_tables, list_tables
from echoanom.options import ShardOptions, StackOptions, TableOptions
from echoanom.simulation import SimulationOptions, simulate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
TABLE = TableOptions(period_s=PERIOD_S)
SHARDS = ShardOptions(shard_mib=0.003, record_kib=0.5)
DAY = FIRST_DAY.isoformat()


def as_parquet(source: str, target: Path, days: tuple[str, ...] = ()) -> str:
    """Copy a folder of CSVs, with those of some days, or of all, as Parquet."""
    shutil.copytree(source, target)
    for path in target.rglob("20*.csv"):
        if days and path.stem not in days:
            continue
        frame = pl.read_csv(path, schema_overrides={"timestamp": pl.String})
        stamps = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S")
        frame.with_columns(stamps).write_parquet(path.with_suffix(".parquet"))
        path.unlink()
    return str(target)


def content(dataset: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return manifest and shards, without what only says where they come from."""
    manifest = json.loads(storage.read_bytes(storage.join(dataset, "manifest.json")))
    files = {}
    for number, shard in enumerate(manifest["shards"]):
        name = shard.pop("name")
        for suffix in ("tfrecord", "npz"):
            path = storage.join(dataset, "shards", f"{name}.{suffix}")
            files[f"{number}.{suffix}"] = storage.read_bytes(path)
        for source in shard["sources"]:
            source["path"] = source["path"].rpartition(".")[0]
            del source["bytes"], source["hash"]
        for entry in shard["set_aside"]:
            entry["path"] = entry["path"].rpartition(".")[0]
            del entry["reason"]
    return manifest, files


# Which tables there are.


def test_tables_of_both_formats_are_found_and_counted_alike(tmp_path: Path) -> None:
    csv = small_source(tmp_path / "csv", 4)
    mixed = as_parquet(csv, tmp_path / "mixed", (DAY,))
    for one, other in zip(find_sensors(csv), find_sensors(mixed), strict=True):
        assert (
            list(one.days) == sorted(other.days)
            and one.meta.keys() == other.meta.keys()
        )
        assert {Path(path).suffix for path in other.days.values()} == {
            *(".csv", ".parquet")
        }
        assert read_record_count(other.meta[FIRST_DAY]) == len(
            read_day(other.days[FIRST_DAY], FIRST_DAY, TABLE).times
        )


@pytest.mark.parametrize("place", ["tabular", "."])
def test_a_day_with_a_table_of_each_format_is_refused(
    tmp_path: Path, place: str
) -> None:
    folder = tmp_path / "buoy" / place
    folder.mkdir(parents=True)
    for day in ("2015-02-01.csv", "2015-02-01.parquet", "2015-02-02.parquet"):
        (folder / day).write_bytes(b"")
    words = r"one table of 2015-02-01, got 2015-02-01\.(csv|parquet) and 2015-02-01\."
    with pytest.raises(DataError, match=words):
        find_sensors(str(tmp_path))
    # Days that are not asked for are not looked at.
    (found,) = find_sensors(str(tmp_path), first=datetime.date(2015, 2, 2))
    assert list(found.days) == [datetime.date(2015, 2, 2)]


def test_some_days_are_the_same_in_every_store(root: str, tmp_path: Path) -> None:
    source = as_parquet(small_source(tmp_path / "csv", 5), tmp_path / "parquet")
    fetch_tables(source, f"{root}/source")
    first, last = FIRST_DAY + datetime.timedelta(1), FIRST_DAY + datetime.timedelta(3)
    found = list_tables(f"{root}/source", ("ctd",), first, last)
    assert [
        storage.join(f"{root}/source", "ctd", "tabular", f"{one.day}.parquet")
        for one in found
    ] == [one.path for one in found]
    assert [one.day for one in found] == [
        first + datetime.timedelta(number) for number in range(3)
    ]


def test_a_fetch_copies_tables_counts_and_columns(tmp_path: Path) -> None:
    source = as_parquet(small_source(tmp_path / "csv", 3), tmp_path / "parquet")
    Path(source, "ctd", "columns.json").write_text("[]")
    done = CliRunner().invoke(
        fetch_command, [source, str(tmp_path / "copy"), "--to", DAY]
    )
    assert done.exit_code == 0, done.output
    copied = sorted(path.name for path in (tmp_path / "copy").rglob("*.*"))
    assert copied == sorted(
        ["columns.json", *2 * [f"{DAY}.parquet", f"meta_info_{DAY}.txt"]]
    )
    listed = CliRunner().invoke(tables_command, [str(tmp_path / "copy")])
    assert [line.split()[-1][-18:] for line in listed.output.splitlines()] == [
        f"{DAY}.parquet"
    ] * 2


# The same dataset.


@pytest.mark.parametrize("days", [(), (DAY,)], ids=["all days", "one of four days"])
def test_a_dataset_from_parquet_is_the_one_from_csv_byte_for_byte(
    tmp_path: Path, days: tuple[str, ...]
) -> None:
    csv = small_source(tmp_path / "csv", 4)
    parquet = as_parquet(csv, tmp_path / "parquet", days)
    for source in (csv, parquet):
        convert(
            source,
            f"{source}-dataset",
            table=TABLE,
            stacking=StackOptions(max_gap_min=30),
            sharding=SHARDS,
        )
    expected, found = content(f"{csv}-dataset"), content(f"{parquet}-dataset")
    assert len(found[1]) > 4 and found == expected


def test_a_dataset_from_parquet_is_the_same_in_every_store(
    root: str, tmp_path: Path
) -> None:
    csv = small_source(tmp_path / "csv", 3)
    parquet = as_parquet(csv, tmp_path / "parquet")
    fetch_tables(parquet, f"{root}/source")
    convert(csv, str(tmp_path / "dataset"), table=TABLE, sharding=SHARDS)
    convert(f"{root}/source", f"{root}/dataset", table=TABLE, sharding=SHARDS)
    assert content(f"{root}/dataset") == content(str(tmp_path / "dataset"))
    again = convert(f"{root}/source", f"{root}/dataset", table=TABLE, sharding=SHARDS)
    assert again.written == 0 and again.kept == 3


def test_a_day_that_changes_its_format_is_made_anew_and_stays_the_same(
    tmp_path: Path,
) -> None:
    source = small_source(tmp_path / "csv", 4)
    dataset = str(tmp_path / "dataset")
    convert(source, dataset, table=TABLE, sharding=SHARDS)
    expected = content(dataset)
    changed = as_parquet(source, tmp_path / "changed", (DAY,))
    shutil.rmtree(source)
    os.rename(changed, source)
    report = convert(source, dataset, table=TABLE, sharding=SHARDS)
    assert (report.written, report.kept) == (1, 3)
    assert content(dataset) == expected


def test_a_table_that_cannot_be_taken_stops_or_is_set_aside(tmp_path: Path) -> None:
    source = as_parquet(small_source(tmp_path / "csv", 3), tmp_path / "parquet")
    path = Path(source, "ctd", "tabular", f"{DAY}.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"2020-02-27\.parquet: must end with PAR1"):
        convert(source, str(tmp_path / "dataset"), table=TABLE)
    report = convert(source, str(tmp_path / "dataset"), table=TABLE, on_error="skip")
    (entry,) = report.set_aside
    assert entry.path == f"ctd/tabular/{DAY}.parquet"


def test_a_count_that_is_not_kept_is_refused(tmp_path: Path) -> None:
    source = as_parquet(small_source(tmp_path / "csv", 1), tmp_path / "parquet")
    Path(source, "ctd", "tabular", f"meta_info_{DAY}.txt").write_text("\nname=3\n")
    with pytest.raises(MetaInfoError, match=r"\.parquet: must have the 3 data rows"):
        convert(source, str(tmp_path / "dataset"), table=TABLE)


def test_convert_takes_parquet_on_the_command_line(tmp_path: Path) -> None:
    source = as_parquet(small_source(tmp_path / "csv", 2), tmp_path / "parquet")
    dataset = str(tmp_path / "dataset")
    arguments = [source, dataset, "--period", str(PERIOD_S), "--json"]
    done = CliRunner().invoke(convert_command, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] > 100


# Tools that write tables.


def test_a_simulation_has_the_same_numbers_in_both_formats(tmp_path: Path) -> None:
    options: dict[str, Any] = {"days": 2, "bins": 16, "missing_rate": 0.05}
    for form in ("csv", "parquet"):
        summary = simulate(
            str(tmp_path / form), SimulationOptions(form=form, **options)
        )
        assert summary.files == 8
    written = sorted((tmp_path / "parquet").rglob("20*"))
    assert len(written) == 8 and {path.suffix for path in written} == {".parquet"}
    for path in written:
        day = datetime.date.fromisoformat(path.stem)
        found = read_day(str(path), day)
        beside = tmp_path / "csv" / path.relative_to(tmp_path / "parquet")
        expected = read_day(str(beside.with_suffix(".csv")), day)
        assert (found.columns, found.counts) == (expected.columns, expected.counts)
        np.testing.assert_array_equal(found.times, expected.times)
        assert found.values.tobytes() == expected.values.tobytes()
    for form in ("csv", "parquet"):
        convert(str(tmp_path / form), str(tmp_path / f"{form}-dataset"))
    assert content(f"{tmp_path}/parquet-dataset") == content(f"{tmp_path}/csv-dataset")


def test_simulate_writes_the_format_it_is_told(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "sea"), "--days", "1", "--bins", "16"]
    arguments += ["--sensors", "ctd", "--format"]
    done = CliRunner().invoke(simulate_command, [*arguments, "parquet"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "sea" / "ctd" / "tabular" / "2015-02-01.parquet").exists()
    assert CliRunner().invoke(simulate_command, [*arguments, "excel"]).exit_code == 2
    with pytest.raises(OptionError, match="form must be one of csv, parquet"):
        SimulationOptions(form="excel")  # type: ignore[arg-type]


def test_a_simulation_refuses_a_folder_with_tables_of_the_other_format(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"days": 1, "bins": 16, "sensors": ("ctd",)}
    simulate(str(tmp_path), SimulationOptions(**options))
    with pytest.raises(StorageError, match=r"tabular has 2015-02-01\.csv; give an"):
        simulate(str(tmp_path), SimulationOptions(form="parquet", **options))


def cut(source: Path, target: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    tool = ROOT / "tools" / "cut_days.py"
    return subprocess.run(
        [sys.executable, tool, source, target, "--sensor", "s4", *flags],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_real_mooring_is_cut_into_days_of_either_format(
    shared_data: Path, tmp_path: Path
) -> None:
    whole = shared_data / "oce" / "s4_sleiwex2008.csv"
    for form in ("parquet", "csv"):
        done = cut(whole, tmp_path / form, "--format", form)
        assert done.returncode == 0, done.stderr
        convert(str(tmp_path / form), str(tmp_path / f"{form}-dataset"))
    assert {path.suffix for path in (tmp_path / "parquet").rglob("20*")} == {".parquet"}
    assert content(f"{tmp_path}/parquet-dataset") == content(f"{tmp_path}/csv-dataset")


def test_days_cut_anew_have_one_format_and_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"timestamp": ["2015-02-01 00:00:00", "2015-02-02 00:00:00"], "a": [1.5, None]}
    )
    source = tmp_path / "long.csv"
    table.to_csv(source, index=False)
    for form in ("csv", "parquet", "csv"):
        assert cut(source, tmp_path / "out", "--format", form).returncode == 0
        (found,) = find_sensors(str(tmp_path / "out"))
        assert {Path(path).suffix for path in found.days.values()} == {f".{form}"}
    source.write_text("timestamp,a\n2015-02-01 00:00:00,calm\n")
    done = cut(source, tmp_path / "out", "--format", "parquet")
    assert done.returncode == 1 and "must be a number" in done.stderr
    assert "Traceback" not in done.stderr
