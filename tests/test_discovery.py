"""Which sensors and days there are, and how many rows a day must have."""

from __future__ import annotations

import datetime
from pathlib import Path

import fsspec
import pytest
from conftest import WriteSource

from echoanom.daily import read_day
from echoanom.discovery import check_record_count, find_sensors, read_record_count
from echoanom.errors import DataError, MetaInfoError, StorageError, TableError

MALFORMED = Path(__file__).parent / "data" / "malformed"
CSV = "timestamp,a\n2015-02-01,1\n"
DAY = datetime.date(2015, 2, 1)
NEXT_DAY = datetime.date(2015, 2, 2)


def test_sensors_come_by_name_with_their_days_and_counts(
    tmp_path: Path, write_source: WriteSource
) -> None:
    days = {DAY: CSV, "2015-02-02": CSV}
    root = write_source(tmp_path, {"hydrophone": days, "adcp": days})
    adcp, hydrophone = find_sensors(root)
    assert (adcp.sensor, hydrophone.sensor) == ("adcp", "hydrophone")
    folder = f"{root}/adcp/tabular"
    assert adcp.folder == folder
    assert adcp.days == {
        DAY: f"{folder}/2015-02-01.csv",
        NEXT_DAY: f"{folder}/2015-02-02.csv",
    }
    assert adcp.meta[DAY] == f"{folder}/meta_info_2015-02-01.txt"
    assert adcp.columns_path is None
    assert read_record_count(adcp.meta[DAY]) == 1


def test_sensors_asked_for_come_in_the_order_asked(
    tmp_path: Path, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {name: {DAY: CSV} for name in "abc"})
    assert [files.sensor for files in find_sensors(root, ("c", "a"))] == ["c", "a"]


def test_tables_may_lie_in_the_sensors_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "buoy").mkdir()
    (tmp_path / "buoy" / "2015-02-01.csv").write_text(CSV)
    (tmp_path / "buoy" / "columns.json").write_text("[]")
    (files,) = find_sensors(f"{tmp_path}/")
    assert files.sensor == "buoy"
    assert files.days == {DAY: f"{tmp_path}/buoy/2015-02-01.csv"}
    assert files.columns_path == f"{tmp_path}/buoy/columns.json"


@pytest.mark.parametrize(
    ("inner", "asked"), [("", ""), ("tabular", ""), ("tabular", "tabular")]
)
def test_a_folder_of_tables_is_one_sensor_of_its_name(
    tmp_path: Path, inner: str, asked: str
) -> None:
    folder = tmp_path / "buoy" / inner
    folder.mkdir(parents=True)
    (folder / "2015-02-01.csv").write_text(CSV)
    (files,) = find_sensors(str(tmp_path / "buoy" / asked))
    assert files.sensor == "buoy"
    assert list(files.days) == [DAY]


@pytest.mark.parametrize("place", ["buoy", "buoy/tabular"])
def test_columns_may_be_described_beside_the_tables_or_above(
    tmp_path: Path, place: str, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {"buoy": {DAY: CSV}})
    (tmp_path / place / "columns.json").write_text("[]")
    (files,) = find_sensors(root)
    assert files.columns_path == f"{root}/{place}/columns.json"


def test_other_files_and_folders_are_passed_over(
    tmp_path: Path, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {"buoy": {DAY: CSV}})
    (tmp_path / "labels.csv").write_text("start,end\n")
    (tmp_path / "plots").mkdir()
    (tmp_path / "buoy" / "tabular" / "notes-2015-02-01.csv").write_text("x")
    (files,) = find_sensors(root)
    assert list(files.days) == [DAY]


def test_a_sensor_that_is_not_there_is_refused_saying_which_are(
    tmp_path: Path, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {name: {DAY: CSV} for name in ("adcp", "ek60")})
    with pytest.raises(DataError, match=r"of ek80, but it has those of adcp, ek60$"):
        find_sensors(root, ("ek80", "adcp"))


def test_a_folder_without_daily_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its folders \(none\) has one"):
        find_sensors(str(tmp_path))
    for name in range(12):
        (tmp_path / f"s{name:02d}").mkdir()
    with pytest.raises(DataError, match=r"\(s00, .*, s09 and 2 more\)"):
        find_sensors(str(tmp_path))


def test_who_has_a_file_of_a_logger_is_told_what_makes_tables_of_it(
    tmp_path: Path,
) -> None:
    logger = tmp_path / "logger.csv"
    logger.write_text(CSV)
    for given in (tmp_path, logger):
        with pytest.raises(DataError, match="; `echoanom ingest` makes them of"):
            find_sensors(str(given))


def test_a_folder_that_does_not_exist_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        find_sensors(str(tmp_path / "nowhere"))


def test_tables_in_two_places_are_refused(
    tmp_path: Path, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {"buoy": {DAY: CSV}})
    (tmp_path / "buoy" / "2015-02-02.csv").write_text(CSV)
    with pytest.raises(DataError, match="buoy: must have its daily tables in one"):
        find_sensors(root)


def test_a_table_of_a_day_that_does_not_exist_is_refused(
    tmp_path: Path, write_source: WriteSource
) -> None:
    root = write_source(tmp_path, {"buoy": {"2015-02-30": CSV}})
    with pytest.raises(TableError, match=r"2015-02-30\.csv: the name must hold a date"):
        find_sensors(root)


def test_sensors_are_found_behind_a_url() -> None:
    root = "memory://discovery/source"
    with fsspec.open(f"{root}/buoy/tabular/2015-02-01.csv", "w") as file:
        file.write(CSV)
    (files,) = find_sensors(root)
    assert files.sensor == "buoy"
    assert files.days == {DAY: f"{root}/buoy/tabular/2015-02-01.csv"}
    assert read_day(files.days[DAY], DAY).values.item() == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("file=x\nname=1440\n", 1440),
        ("x\r\nrecords = 0 \r\n", 0),
        ("\nname=12\nmore=3\n", 12),
    ],
)
def test_the_second_line_says_the_number_of_records(
    tmp_path: Path, text: str, count: int
) -> None:
    path = tmp_path / "meta_info_2015-02-01.txt"
    path.write_bytes(text.encode())
    assert read_record_count(str(path)) == count


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("meta_info_without_count.txt", "got 'name=many'"),
        ("meta_info_one_line.txt", "got no second line"),
    ],
)
def test_a_count_file_without_a_count_is_refused(name: str, words: str) -> None:
    with pytest.raises(MetaInfoError, match=f"{name}, line 2: .*{words}"):
        read_record_count(str(MALFORMED / name))


def test_a_count_other_than_its_meta_info_says_is_refused() -> None:
    folder = MALFORMED / "wrong_count"
    path = str(folder / "2015-02-01.csv")
    rows = read_day(path, DAY).counts.rows
    meta = str(folder / "meta_info_2015-02-01.txt")
    with pytest.raises(
        MetaInfoError,
        match=r"2015-02-01\.csv: must have the 5 data rows that"
        r" meta_info_2015-02-01\.txt says, got 4;",
    ):
        check_record_count(meta, path, rows)
    check_record_count(meta, path, 5)
