"""The manifest: the same bytes for the same dataset, and nothing damaged gets by."""

from __future__ import annotations

import json

import pytest
from datasets import small_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_runs

from echoanom.columns import column_from_name
from echoanom.dataset import open_dataset
from echoanom.errors import ManifestError
from echoanom.manifest import (
    Manifest,
    Records,
    SetAside,
    Shard,
    Source,
    manifest_path,
    read_manifest,
    shard_path,
)
from echoanom.options import ShardOptions, StackOptions, TableOptions


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    sharding = ShardOptions(shard_mib=0.003, record_kib=0.5, halo=5)
    return small_dataset(tmp_path_factory.mktemp("manifest"), sharding=sharding)


def test_bytes_bring_back_the_same_manifest(dataset):
    content = dataset.manifest.as_bytes()
    again = Manifest.from_bytes(content, "manifest.json")
    assert again == dataset.manifest
    assert again.as_bytes() == content


def test_it_says_how_long_and_where_every_record_is(dataset):
    for number, shard in enumerate(dataset.manifest.shards):
        with open(dataset.shard_path(number), "rb") as file:
            size = len(file.read())
        records = shard.records
        ends = [o + n + 16 for o, n in zip(records.offset, records.length, strict=True)]
        assert list(records.offset) == [0, *ends[:-1]]
        assert ends[-1] == size == shard.bytes


def test_halo_rows_are_not_counted_twice(dataset):
    assert any(shard.records.halo for shard in dataset.manifest.shards)
    assert dataset.manifest.rows == sum(dataset.runs.rows) == len(dataset.times())


def test_runs_go_on_across_shards(dataset):
    ends = {sum(s.rows for s in dataset.manifest.shards[:n]) for n in range(1, 4)}
    runs = dataset.runs
    crossed = {
        end
        for end in ends
        for first, rows in zip(runs.first_row, runs.rows, strict=True)
        if first < end < first + rows
    }
    assert crossed


def test_the_order_of_names_is_the_order_of_time(dataset):
    names = [shard.name for shard in dataset.manifest.shards]
    starts = [shard.records.start_s[0] for shard in dataset.manifest.shards]
    assert names == sorted(names)
    assert starts == sorted(starts)


def test_it_lists_every_source_with_its_hash(dataset):
    sources = {s.path for shard in dataset.manifest.shards for s in shard.sources}
    assert len(sources) == 8
    assert all(path.split("/")[0] in ("adcp", "ctd") for path in sources)


def change(dataset, **changes):
    values = json.loads(dataset.manifest.as_bytes())
    values.update(changes)
    return json.dumps(values).encode()


def test_a_newer_version_is_refused_and_says_what_to_do(dataset):
    with pytest.raises(ManifestError, match="version 2, .* reads version 1; use the"):
        Manifest.from_bytes(change(dataset, version=2), "m.json")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"format": "other"}', b"\xff\xfe"]
)
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(ManifestError, match="m.json: "):
        Manifest.from_bytes(content, "m.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 1},
        {"columns": [{"nom": "x"}]},
        {"options": {}},
        {"shards": [{"name": "x"}]},
        {"shards": 3},
    ],
)
def test_a_damaged_manifest_is_refused(dataset, changes):
    with pytest.raises(ManifestError, match="is damaged"):
        Manifest.from_bytes(change(dataset, **changes), "m.json")


def test_a_manifest_is_read_from_its_place(dataset):
    assert read_manifest(dataset.path) == dataset.manifest
    assert manifest_path(dataset.path).endswith("/manifest.json")
    assert open_dataset(dataset.path + "/").path == dataset.path


def test_a_manifest_that_is_not_there_is_said_so(tmp_path):
    message = f"^{tmp_path}: must be a dataset made by `echoanom convert`: cannot read"
    with pytest.raises(ManifestError, match=message):
        read_manifest(str(tmp_path))


def test_shards_lie_below_the_dataset_also_in_a_store():
    assert shard_path("s3://b/site", "20150129-1f0c", "npz") == (
        "s3://b/site/shards/20150129-1f0c.npz"
    )


# Manifests of any shape, without files.

PERIOD_S = 60
START = -90_000  # some of the rows are before 1970


def manifest_of(present, halo, cuts, shard_cuts):
    """Return a manifest of the rows that are present, cut into records and shards."""
    records = []
    for first, rows in naive_runs(present):
        while rows:
            now = min(rows, cuts[len(records) % len(cuts)])
            records.append((first, now))
            first, rows = first + now, rows - now
    shards = []
    while records:
        now = shard_cuts[len(shards) % len(shard_cuts)]
        mine, records = records[:now], records[now:]
        own = len(mine)
        mine += records[:halo]
        shards.append(
            Shard(
                name=f"{len(shards):08d}",
                bytes=1,
                hash="00",
                statistics_hash="11",
                days=(f"2015-01-{len(shards) % 28 + 1:02d}",),
                records=Records(
                    offset=tuple(range(len(mine))),
                    length=tuple(range(len(mine))),
                    rows=tuple(rows for _, rows in mine),
                    start_s=tuple(START + first * PERIOD_S for first, _ in mine),
                    crc=tuple(range(len(mine))),
                    halo=len(mine) - own,
                ),
                coverage={},
                sources=(Source("adcp", "2015-01-01", "adcp/ü.csv", 3, "22"),),
                set_aside=(SetAside("adcp/b.csv", "line 3: no number"),),
            )
        )
    return Manifest(
        columns=tuple(column_from_name(name, "adcp") for name in ("Sv_1m", "dir")),
        table=TableOptions(period_s=PERIOD_S),
        stack=StackOptions(sensors=("adcp",)),
        shard=ShardOptions(halo=halo, shard_mib=1),
        shards=tuple(shards),
    )


SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@settings(max_examples=200)
@given(st.lists(st.booleans(), max_size=60), st.integers(0, 2), SIZES, SIZES)
def test_runs_are_the_gapless_stretches_however_rows_are_cut(
    present, halo, cuts, shard_cuts
):
    manifest = manifest_of(present, halo, cuts, shard_cuts)
    runs = manifest.runs()
    expected = naive_runs(present)
    assert len(runs) == len(expected)
    assert runs.rows.tolist() == [rows for _, rows in expected]
    starts = [START + first * PERIOD_S for first, _ in expected]
    assert runs.start_s.tolist() == starts
    before = [sum(present[:first]) for first, _ in expected]
    assert runs.first_row.tolist() == before
    assert manifest.rows == sum(present)
    assert {array.dtype for array in vars(runs).values()} == {runs.rows.dtype}


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 2), SIZES, SIZES)
def test_any_manifest_comes_back_from_its_bytes(present, halo, cuts, shard_cuts):
    manifest = manifest_of(present, halo, cuts, shard_cuts)
    content = manifest.as_bytes()
    again = Manifest.from_bytes(content, "m.json")
    assert again == manifest
    assert again.as_bytes() == content
    assert json.loads(content)["rows"] == sum(present)


def test_a_shard_is_a_line_so_that_a_new_day_changes_few():
    lines = []
    for rows in (30, 40):
        text = manifest_of([True] * rows, 0, [1], [10]).as_bytes().decode()
        lines.append([line for line in text.split("\n") if '"crc"' in line])
    assert [len(shards) for shards in lines] == [3, 4]
    assert [line.rstrip(",") for line in lines[1][:3]] == [
        line.rstrip(",") for line in lines[0]
    ]


def nodes(value, path=()):
    """Yield the path to everything in a JSON value, the whole first."""
    yield path
    children = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from nodes(child, (*path, key))


BASE = json.loads(
    manifest_of([True] * 4 + [False] + [True] * 3, 1, [2], [2]).as_bytes()
)


@pytest.mark.parametrize("wrong", [None, -1, 1.5, "x", True, [], {}, [1], {"a": 1}])
def test_whatever_is_wrong_in_it_is_refused_or_left_to_the_checksums(wrong):
    for path in nodes(BASE):
        values = json.loads(json.dumps(BASE))
        if path:
            inner = values
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
        else:
            values = wrong
        try:
            manifest = Manifest.from_bytes(json.dumps(values).encode(), "m.json")
        except ManifestError as error:
            assert str(error).startswith("m.json: ")
            assert "\n" not in str(error)
        else:
            assert manifest.rows == BASE["rows"]
            manifest.runs()


def change_first_records(**changes):
    values = json.loads(json.dumps(BASE))
    values["shards"][0]["records"].update(changes)
    return json.dumps(values).encode()


WRONG_RECORDS = {
    "a record without a length": {"length": [0, 1]},
    "a record without a start": {"start_s": []},
    "rows that are words": {"rows": ["2", "2", "1"]},
    "an offset that is a fraction": {"offset": [0, 0.5, 2]},
    "more halo than records": {"halo": 4},
    "negative halo": {"halo": -1},
    "an unknown field": {"colour": 1},
}


@pytest.mark.parametrize("case", WRONG_RECORDS)
def test_records_are_refused_with(case):
    with pytest.raises(ManifestError, match="^m.json: is damaged: "):
        Manifest.from_bytes(change_first_records(**WRONG_RECORDS[case]), "m.json")


def test_a_manifest_cut_anywhere_is_refused(dataset):
    content = dataset.manifest.as_bytes()
    for size in range(0, len(content) - 2, 101):
        with pytest.raises(ManifestError, match="^m.json: must be JSON, got: "):
            Manifest.from_bytes(content[:size], "m.json")
