"""Earlier versions: opened by name, removed when they are too many, shards with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import PERIOD_S, small_source

from echoanom import publishing, storage, versions
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import ManifestError
from echoanom.manifest import SHARDS
from echoanom.options import ShardOptions, TableOptions
from echoanom.reader import IndexedReader
from echoanom.verification import verify


def grow(source: Path, out: str, change: int, keep: int = versions.KEPT) -> Dataset:
    """Change the first day, and bring the dataset up to date."""
    table = next(source.glob("ctd/tabular/2020-02-27.csv"))
    header, first, *rest = table.read_text().splitlines()
    stamp = first.partition(",")[0]
    table.write_text("\n".join([header, f"{stamp},{change},0.5", *rest]) + "\n")
    convert(
        str(source),
        out,
        table=TableOptions(period_s=PERIOD_S),
        sharding=ShardOptions(shard_mib=0.003, record_kib=0.5),
        keep=keep,
    )
    return open_dataset(out)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(small_source(tmp_path / "source", 2))


@pytest.fixture(params=["local", "s3"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "out")
    return str(request.getfixturevalue("bucket")) + "/out"


def test_every_version_is_read_as_it_was(source: Path, out: str) -> None:
    digests, rows = [], []
    for change in range(3):
        dataset = grow(source, out, change)
        digests.append(dataset.digest)
        rows.append(IndexedReader(dataset).rows(0, dataset.rows)[0])
    assert len(set(digests)) == 3
    for digest, expected in zip(digests, rows, strict=True):
        for name in (digest, digest[:8]):
            dataset = open_dataset(f"{out}@{name}")
            assert (dataset.digest, dataset.path) == (digest, out)
            found, _ = IndexedReader(dataset).rows(0, dataset.rows)
            np.testing.assert_array_equal(found, expected)
        assert not verify(dataset).problems
    listed = versions.list_versions(out)
    assert [(one.name, one.current) for one in listed] == [
        (digests[2], True),
        (digests[1], False),
        (digests[0], False),
    ]
    assert (listed[0].first_day, listed[0].last_day) == ("2020-02-27", "2020-02-28")


def test_versions_that_are_too_many_go_and_their_shards_with_them(
    source: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    old = [grow(source, out, change) for change in range(4)]
    last = grow(source, out, 4, keep=2)
    assert [v.name for v in versions.list_versions(out)] == [
        last.digest,
        old[3].digest,
    ]
    names = {path.name.split(".")[0] for path in Path(out, SHARDS).iterdir()}
    kept = {shard.name for d in (last, old[3]) for shard in d.manifest.shards}
    assert names == kept
    with pytest.raises(ManifestError, match=f"{out}@{old[0].digest}: must be one vers"):
        open_dataset(f"{out}@{old[0].digest}")


def test_going_back_makes_no_second_version_of_the_same_name(
    source: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    first = grow(source, out, 0)
    second = grow(source, out, 1)
    again = grow(source, out, 0)
    assert again.digest == first.digest
    listed = [(one.name, one.current) for one in versions.list_versions(out)]
    assert listed == [(first.digest, True), (second.digest, False)]
    for change in (1, 0, 1, 0):
        grow(source, out, change, keep=2)
    assert len(list(Path(out, versions.FOLDER).iterdir())) == 1


def test_a_fresh_shard_in_a_store_is_never_taken_for_a_leftover(
    source: Path, bucket: str
) -> None:
    out = f"{bucket}/out"
    grow(source, out, 0)
    theirs = storage.join(out, SHARDS, "20200301-0123456789abcdef.tfrecord")
    publishing.write_bytes(theirs, b"of a conversion that is still at work")
    grow(source, out, 1, keep=1)
    assert storage.exists(theirs)


@pytest.mark.parametrize(
    "path, dataset, name",
    [
        ("data@0123ab", "data", "0123ab"),
        ("s3://bucket/data@0123abcdef", "s3://bucket/data", "0123abcdef"),
        ("data", "data", None),
        ("data@0123a", "data@0123a", None),
        ("data@2015-01-01", "data@2015-01-01", None),
        ("me@home/data", "me@home/data", None),
    ],
)
def test_a_version_follows_an_at_sign(
    path: str, dataset: str, name: str | None
) -> None:
    assert versions.split(path) == (dataset, name)


def test_a_folder_whose_name_looks_like_a_version_is_opened(
    source: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "data@abcdef")
    assert grow(source, out, 0).path == out


def test_a_damaged_version_is_refused(source: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    first = grow(source, out, 0)
    grow(source, out, 1)
    path = Path(out, versions.FOLDER, f"000001-{first.digest}.json")
    path.write_bytes(path.read_bytes().replace(b"adcp", b"adcq"))
    with pytest.raises(ManifestError, match=f"{path}: is damaged"):
        open_dataset(f"{out}@{first.digest}")
    with pytest.raises(ManifestError, match="@ffffff.*none of those"):
        open_dataset(f"{out}@ffffff")
