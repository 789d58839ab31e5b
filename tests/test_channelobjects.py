"""The objects of a channel: which, in which order, and on which host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom import objects
from echoanom.errors import StorageError
from echoanom.testing.channelobjects import (
    ChannelObject,
    dealt,
    find_objects,
    shuffled,
)

pytestmark = pytest.mark.slow

# As UTF-8 they are in this order; as S3 folders, or UTF-16, in others.
NAMES = ("a.x", "a/b", "a/c/d", "a0", "b", "é", "\uffff", "𝄞")
OBJECTS = st.integers(0, 40).map(
    lambda count: [ChannelObject(f"/x/{i}", str(i), i) for i in range(count)]
)


def write_tree(root: str) -> None:
    for name in NAMES:
        place = f"{root}/data/{name}"
        if objects.is_object(root):
            objects.write(place, name.encode())
        else:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_bytes(name.encode())


@pytest.fixture(params=["path", "file URL", "s3 URL"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a folder, local or on S3, with files in ``data/``."""
    root = str(tmp_path)
    if request.param == "s3 URL":
        root = request.getfixturevalue("bucket")
    write_tree(root)
    return f"file://{root}" if request.param == "file URL" else root


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("data/", NAMES),
        ("data", tuple(f"data/{name}" for name in NAMES)),
        ("data/a", ("a.x", "a/b", "a/c/d", "a0")),
        ("data/a/", ("b", "c/d")),
        ("data/a/b", ("b",)),
        ("data/z", ()),
    ],
)
def test_a_prefix_is_all_that_begins_with_it(
    tree: str, prefix: str, names: tuple[str, ...]
) -> None:
    found = find_objects(f"{tree}/{prefix}")
    assert tuple(one.name for one in found) == names
    for one in found:
        full = f"{prefix.rpartition('/')[0]}/{one.name}".lstrip("/")
        assert one.url == f"{tree.removeprefix('file://')}/{full}"
        assert one.size == len(full.removeprefix("data/").encode())
        assert (one.etag is None) == (not objects.is_object(tree))


def test_what_only_marks_a_folder_is_no_object(bucket: str) -> None:
    objects.write(f"{bucket}/p/", b"")
    objects.write(f"{bucket}/p/q/", b"")
    objects.write(f"{bucket}/p/empty", b"")
    assert [one.name for one in find_objects(f"{bucket}/p/")] == ["empty"]


def test_a_manifest_is_taken_as_it_lists(tree: str) -> None:
    inner = tree.removeprefix("file://")
    listed = ["b", "a/c/d", "a.x"]
    content = json.dumps([{"prefix": f"{tree}/data/"}, *listed]).encode()
    place = f"{inner}/my.manifest"
    if objects.is_object(tree):
        objects.write(place, content)
    else:
        Path(place).write_bytes(content)
    found = find_objects(f"{tree}/my.manifest", "ManifestFile")
    assert [one.name for one in found] == listed
    assert [one.url for one in found] == [f"{inner}/data/{name}" for name in listed]
    assert [one.size for one in found] == [1, 5, 3]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'["a"]', b'[{"prefix": 1}]', b'[{"prefix": "p"}, 1]', b"\xff"],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "my.manifest"
    place.write_bytes(content)
    with pytest.raises(StorageError, match=rf"^{place}: a manifest must be JSON like"):
        find_objects(str(place), "ManifestFile")


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    place = tmp_path / "my.manifest"
    with pytest.raises(StorageError, match=rf"^cannot read {place}: it does not exist"):
        find_objects(str(place), "ManifestFile")
    place.write_text(json.dumps([{"prefix": f"{tmp_path}/"}, "gone"]))
    with pytest.raises(StorageError, match=f"cannot read {tmp_path}/gone: it does not"):
        find_objects(str(place), "ManifestFile")
    with pytest.raises(
        StorageError, match=f"cannot list {tmp_path}/no/folder: it does"
    ):
        find_objects(f"{tmp_path}/no/folder")


@pytest.mark.parametrize("source", ["gs://bucket/x", "https://host/x", "memory://x"])
def test_other_stores_are_refused(source: str) -> None:
    message = f"must be at s3://, file:// or a local path, got {source}"
    with pytest.raises(StorageError, match=re.escape(message)):
        find_objects(source)


@given(OBJECTS, st.integers(0, 2**63), st.integers(0, 5))
def test_shuffling_is_an_order_of_seed_and_epoch_alone(
    found: list[ChannelObject], seed: int, epoch: int
) -> None:
    order = shuffled(found, seed, epoch)
    assert sorted(order, key=found.index) == found
    assert order == shuffled(tuple(found), seed, epoch)
    assert shuffled(found, None, epoch) == found


def test_every_epoch_is_shuffled_anew() -> None:
    found = [ChannelObject(f"/x/{i}", str(i), i) for i in range(20)]
    orders = [
        tuple(shuffled(found, seed, epoch)) for seed in range(3) for epoch in range(5)
    ]
    assert len(set(orders)) == len(orders)


@given(OBJECTS, st.integers(1, 50))
def test_every_object_is_dealt_to_one_host(
    found: list[ChannelObject], hosts: int
) -> None:
    shares = [dealt(found, host, hosts) for host in range(hosts)]
    together = [one for share in shares for one in share]
    assert sorted(together, key=found.index) == found
    assert {len(share) for share in shares} <= {
        len(found) // hosts,
        -(-len(found) // hosts),
    }
