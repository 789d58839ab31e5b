"""The manifest: the same bytes for the same dataset, and nothing damaged gets by."""

from __future__ import annotations

import json

import pytest
from datasets import small_dataset

from echoanom.dataset import open_dataset
from echoanom.errors import ManifestError
from echoanom.manifest import Manifest, manifest_path, read_manifest
from echoanom.options import ShardOptions


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
