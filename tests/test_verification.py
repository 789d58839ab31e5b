"""Verify: every byte counts, and each wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import small_dataset

from echoanom.errors import CorruptionError
from echoanom.options import ShardOptions
from echoanom.verification import verify

HALO = ShardOptions(shard_mib=0.003, record_kib=0.5, halo=10)


def test_a_fresh_dataset_has_no_problem(tmp_path):
    dataset = small_dataset(tmp_path, sharding=HALO)
    seen = []
    found = verify(dataset, lambda *args: seen.append(args))
    found.check()
    assert found.problems == ()
    assert found.shards == 4
    assert found.records == sum(len(s.records.rows) for s in dataset.manifest.shards)
    assert found.bytes == sum(
        p.stat().st_size for p in Path(dataset.path).rglob("*.tf*")
    )
    assert seen[-1] == ("Verifying shards", 4, 4)


@pytest.mark.slow
def test_a_flipped_byte_at_any_place_is_found(tmp_path):
    dataset = small_dataset(tmp_path, days=2, sharding=HALO)
    for path in sorted(Path(dataset.path).rglob("shards/*")):
        if path.suffix == ".json":
            continue  # the manifest repeats it
        good = path.read_bytes()
        for offset in range(0, len(good), 41):
            bad = bytearray(good)
            bad[offset] ^= 0x04
            path.write_bytes(bad)
            problems = verify(dataset).problems
            assert problems, (path, offset)
            assert path.stem in problems[0]
        path.write_bytes(good)
    assert not verify(dataset).problems


def test_all_problems_are_listed_not_only_the_first(tmp_path):
    dataset = small_dataset(tmp_path)
    first, second = (Path(dataset.shard_path(number)) for number in (0, 1))
    first.unlink()
    bad = bytearray(second.read_bytes())
    records = dataset.manifest.shards[1].records
    for record in (0, 2):
        bad[records.offset[record] + 40] ^= 1
    second.write_bytes(bad)
    found = verify(dataset)
    assert len(found.problems) == 3
    assert "is missing" in found.problems[0]
    assert "record 0 of shard" in found.problems[1]
    assert "record 2 of shard" in found.problems[2]
    with pytest.raises(CorruptionError, match=r"is missing.*\(and 2 more problems\)"):
        found.check()
    assert found.as_json()["problems"] == list(found.problems)
