"""Knowing tables without reading them twice: by tag, and from the spool."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import PERIOD_S, small_source

from echoanom import objects, publishing, storage
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.identities import Identity
from echoanom.manifest import Source
from echoanom.options import TableOptions
from echoanom.sources import NAME, KnownTables, Spool

TABLE = TableOptions(period_s=PERIOD_S)


def identity(path: str, names: tuple[str, ...] = ("a", "b")) -> Identity:
    return Identity(Source("ctd", "2020-01-01", path, 10, "0" * 32), names)


def test_a_table_is_known_while_its_tag_is_the_same(tmp_path: Path) -> None:
    known = KnownTables(str(tmp_path), None)
    known.remember([identity("x"), identity("y", ("c",))], {"x": "1", "y": "2"})
    known = KnownTables(str(tmp_path), None)
    assert known.find("ctd", "2020-01-01", "x", "1") == identity("x")
    assert known.find("ctd", "2020-01-01", "y", "2") == identity("y", ("c",))
    assert known.find("ctd", "2020-01-01", "x", "other") is None
    assert known.find("ctd", "2020-01-01", "x", None) is None
    assert known.find("ctd", "2020-01-01", "z", "1") is None


def test_what_another_time_column_left_over_is_not_used(tmp_path: Path) -> None:
    KnownTables(str(tmp_path), None).remember([identity("x")], {"x": "1"})
    assert KnownTables(str(tmp_path), "t").find("ctd", "d", "x", "1") is None


def test_nothing_is_written_of_tables_without_a_tag(tmp_path: Path) -> None:
    KnownTables(str(tmp_path), None).remember([identity("x")], {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "time_column": null, "names": [], "tables": {"x": ["1"]}}',
        '{"version": 1, "time_column": null, "names": [], "tables":'
        ' {"x": ["1", 10, "0", 0, null]}}',
    ],
)
def test_damage_means_reading_again(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert KnownTables(str(tmp_path), None).find("ctd", "d", "x", "1") is None


def test_spooled_content_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"as it is now")
    with Spool(limit=10) as spool:
        spool.put(str(path), b"123456")
        spool.put("too much", b"123456")
        assert spool.read(str(path)) == b"123456"
        assert spool.read(str(path)) == b"as it is now"
        spool.put(str(path), b"1234567890")
        assert spool.read(str(path)) == b"1234567890"


def test_the_spool_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        spool.put("x", b"1")
        assert list(tmp_path.rglob("*"))
    assert not os.listdir(tmp_path)


@pytest.fixture
def remote(bucket: str, tmp_path: Path) -> str:
    files, inner = storage.filesystem(f"{bucket}/source")
    files.put(small_source(tmp_path / "source"), inner, recursive=True)
    return f"{bucket}/source"


@pytest.fixture
def gets(monkeypatch: pytest.MonkeyPatch) -> Iterator[collections.Counter[str]]:
    """Count the reads of tables."""
    counter: collections.Counter[str] = collections.Counter()
    read = objects.read

    def count(url: str, *arguments: object) -> object:
        counter[url] += url.endswith(".csv")
        return read(url, *arguments)

    monkeypatch.setattr(objects, "read", count)
    yield counter


def test_a_conversion_reads_each_table_of_a_store_once(
    remote: str, bucket: str, tmp_path: Path, gets: collections.Counter[str]
) -> None:
    local = str(tmp_path / "out")
    convert(str(tmp_path / "source"), local, table=TABLE)
    convert(remote, f"{bucket}/out", table=TABLE)
    tables = {url: n for url, n in gets.items() if url.endswith(".csv")}
    assert len(tables) == 8 and set(tables.values()) == {1}
    assert open_dataset(f"{bucket}/out").digest == open_dataset(local).digest


def test_bringing_a_dataset_up_to_date_reads_what_changed(
    remote: str, bucket: str, gets: collections.Counter[str]
) -> None:
    out = f"{bucket}/out"
    convert(remote, out, table=TABLE)
    before = open_dataset(out).digest
    gets.clear()
    convert(remote, out, table=TABLE)
    assert not gets.total()
    changed = f"{remote}/ctd/tabular/2020-02-28.csv"
    text = storage.read_bytes(changed).decode().splitlines()
    publishing.write_bytes(changed, "\n".join(text[:-1]).encode())
    count = f"{remote}/ctd/tabular/meta_info_2020-02-28.txt"
    publishing.write_bytes(count, f"\nname={len(text) - 2}\n".encode())
    gets.clear()
    convert(remote, out, table=TABLE)
    assert gets[changed] == 1
    assert open_dataset(out).digest != before
    known = json.loads(storage.read_bytes(f"{out}/{NAME}"))
    assert len(known["tables"]) == 8
