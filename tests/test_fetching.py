"""Listing and copying daily tables: the wanted ones, whole, and asked for once."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from datasets import small_source

from echoanom import objects, storage
from echoanom.cli import main
from echoanom.errors import DataError, StorageError
from echoanom.fetching import fetch_tables, list_tables

pytestmark = pytest.mark.slow

FIRST, LAST = datetime.date(2020, 2, 28), datetime.date(2020, 2, 29)


@pytest.fixture(params=["local", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    local = small_source(tmp_path / "source", 5)
    if request.param == "local":
        return local
    url = str(request.getfixturevalue("bucket")) + "/observatory"
    files, inner = storage.filesystem(url)
    files.put(local, inner, recursive=True)
    return url


def test_tables_are_listed_by_sensor_and_day(source: str) -> None:
    found = list_tables(source)
    assert [(one.sensor, one.day.day) for one in found] == [
        (sensor, day) for sensor in ("adcp", "ctd") for day in (27, 28, 29, 1, 2)
    ]
    found = list_tables(source, ("ctd",), FIRST, LAST)
    assert [one.path for one in found] == [
        f"{source}/ctd/tabular/2020-02-28.csv",
        f"{source}/ctd/tabular/2020-02-29.csv",
    ]
    assert [one.day.day for one in list_tables(source, ("ctd",), last=FIRST)] == [
        27,
        28,
    ]
    assert [one.day.day for one in list_tables(source, ("ctd",), LAST)] == [29, 1, 2]


def test_days_that_are_not_there_are_said(source: str) -> None:
    with pytest.raises(DataError, match="from 2021-01-01.* of ctd"):
        list_tables(source, ("ctd",), datetime.date(2021, 1, 1))
    with pytest.raises(DataError, match="up to 2019-01-01"):
        list_tables(source, last=datetime.date(2019, 1, 1))


def test_wanted_tables_are_copied_with_their_counts(
    source: str, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    done = fetch_tables(source, str(out), ("adcp",), FIRST, LAST)
    assert (done.copied, done.kept) == (4, 0)
    names = sorted(path.name for path in (out / "adcp" / "tabular").iterdir())
    assert names == [
        *("2020-02-28.csv", "2020-02-29.csv"),
        *("meta_info_2020-02-28.txt", "meta_info_2020-02-29.txt"),
    ]
    for name in names:
        theirs = storage.read_bytes(f"{source}/adcp/tabular/{name}")
        assert (out / "adcp" / "tabular" / name).read_bytes() == theirs
    again = fetch_tables(source, str(out), ("adcp",), FIRST, LAST)
    assert (again.copied, again.kept, again.bytes) == (0, 4, 0)


def test_a_store_is_asked_for_the_wanted_days_alone(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"{bucket}/years/adcp/tabular"
    day = datetime.date(2015, 1, 1)
    for number in range(40):
        one = day + datetime.timedelta(number)
        objects.write(f"{folder}/{one}.csv", b"timestamp,speed\n")
        objects.write(f"{folder}/meta_info_{one}.txt", b"\nname=0\n")
    objects.write(f"{bucket}/years/adcp/raw/20150101.bin", b"0")
    seen = []
    list_objects = objects.list_objects

    def listening(*arguments: str) -> object:
        for found in list_objects(*arguments):
            seen.append(found.url)
            yield found

    monkeypatch.setattr(objects, "list_objects", listening)
    wanted = list_tables(f"{bucket}/years", ("adcp",), day, day + datetime.timedelta(2))
    assert len(wanted) == 3
    assert sorted(seen) == [f"{folder}/2015-01-0{n}.csv" for n in (1, 2, 3)] + [
        f"{folder}/meta_info_2015-01-0{n}.txt" for n in (1, 2, 3)
    ]


def test_the_commands_list_and_fetch(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = ["--sensors", "ctd", "--from", "2020-02-28", "--to", "2020-02-29"]
    assert main(["tables", source, *days, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["day"] for one in found] == ["2020-02-28", "2020-02-29"]
    assert main(["fetch", source, str(tmp_path / "copy"), *days]) == 0
    assert "4 files fetched" in capsys.readouterr().out
    assert main(["tables", source, "--from", "yesterday"]) == 2
    assert "is not a day such as 2015-02-01" in capsys.readouterr().err


def test_a_missing_bucket_is_one_line(bucket: str) -> None:
    with pytest.raises(StorageError, match="bucket .*-gone does not exist$"):
        list_tables(f"{bucket}-gone/observatory")
