"""Storage: files and objects are there whole or not at all, and failures take a line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from echoanom import publishing, storage
from echoanom.errors import CorruptionError, StorageError

pytestmark = pytest.mark.slow

# Names


@pytest.mark.parametrize(
    "path, local",
    [
        ("data/site", True),
        ("/data/site", True),
        ("file:///data/site", True),
        ("local:///data/site", True),
        ("s3://bucket/site", False),
        ("memory://site", False),
        ("https://example.org/site", False),
    ],
)
def test_local_paths_are_told_from_urls(path: str, local: bool) -> None:
    assert storage.is_local(path) is local


@pytest.mark.parametrize(
    "parts, joined",
    [
        (("a", "b", "c.csv"), "a/b/c.csv"),
        (("a/", "b"), "a/b"),
        (("/a",), "/a"),
        (("s3://bucket", "shards", "x.json"), "s3://bucket/shards/x.json"),
        (("s3://bucket/site/", "x"), "s3://bucket/site/x"),
    ],
)
def test_parts_are_joined_alike_for_paths_and_urls(
    parts: tuple[str, ...], joined: str
) -> None:
    assert storage.join(*parts) == joined


@pytest.mark.parametrize(
    "path, reason",
    [("gopher://host/x", "gopher"), ("s3a-b://bucket/x", "s3a-b")],
)
def test_an_unknown_kind_of_url_is_refused_in_one_line(path: str, reason: str) -> None:
    for use in (storage.read_bytes, storage.exists, storage.list_files):
        with pytest.raises(StorageError, match=f"^cannot .* {path}: .*{reason}"):
            use(path)
    with pytest.raises(StorageError, match=f"^cannot .* {path}: .*{reason}"):
        publishing.write_bytes(path, b"")


@pytest.mark.slow
def test_listings_of_remote_stores_are_never_remembered() -> None:
    filesystem, inner = storage.filesystem("s3://bucket/site")
    assert inner == "bucket/site"
    assert filesystem.dircache.use_listings_cache is False


# Reading and writing


@pytest.mark.parametrize("content", [b"", b"one", bytes(range(256)) * 5000])
def test_what_is_written_is_read(root: str, content: bytes) -> None:
    path = storage.join(root, "deep", "er", "name with space & ü.bin")
    assert not storage.exists(path)
    publishing.write_bytes(path, content)
    assert storage.exists(path)
    assert storage.size(path) == len(content)
    assert storage.read_bytes(path) == content
    assert storage.read_head(path, 100) == content[:100]
    assert storage.read_head(path) == content[: 1 << 20]


def test_a_file_is_replaced(root: str) -> None:
    path = storage.join(root, "x")
    publishing.write_bytes(path, b"long content")
    publishing.write_bytes(path, b"short")
    assert storage.read_bytes(path) == b"short"


def test_a_relative_name_without_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publishing.write_bytes("here.txt", b"1")
    assert (tmp_path / "here.txt").read_bytes() == b"1"


def test_files_and_folders_are_listed_by_name(root: str) -> None:
    for name in ("b.csv", "a.csv", "folder/inner.csv", "Z/y/x.csv"):
        publishing.write_bytes(storage.join(root, name), name.encode())
    expected = [("a.csv", 5), ("b.csv", 5)]
    for folder in (root, root + "/"):
        assert storage.list_files(folder) == expected
        assert storage.list_folders(folder) == ["Z", "folder"]
    assert storage.list_files(storage.join(root, "Z")) == []
    assert storage.list_folders(storage.join(root, "Z")) == ["y"]


def test_links_are_listed_as_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "archive" / "adcp").mkdir(parents=True)
    (tmp_path / "archive" / "day.csv").write_bytes(b"12345")
    site = tmp_path / "site"
    site.mkdir()
    (site / "adcp").symlink_to(tmp_path / "archive" / "adcp")
    (site / "day.csv").symlink_to(tmp_path / "archive" / "day.csv")
    (site / "lost.csv").symlink_to(tmp_path / "nowhere")
    assert storage.list_folders(str(site)) == ["adcp"]
    assert storage.list_files(str(site))[0] == ("day.csv", 5)


def test_removing_is_done_once_and_fine_twice(root: str) -> None:
    path = storage.join(root, "x")
    publishing.write_bytes(path, b"1")
    storage.remove(path)
    assert not storage.exists(path)
    storage.remove(path)


# Failures


@pytest.mark.parametrize(
    "use", [storage.read_bytes, storage.read_head, storage.size, storage.list_files]
)
def test_what_does_not_exist_is_said_so(root: str, use: Any) -> None:
    path = storage.join(root, "nowhere", "x")
    with pytest.raises(StorageError) as caught:
        use(path)
    doing = "list" if use is storage.list_files else "read"
    assert str(caught.value) == f"cannot {doing} {path}: it does not exist"


def test_a_folder_is_not_read_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"^cannot read {tmp_path}: Is a directory$"):
        storage.read_bytes(str(tmp_path))


def test_a_file_in_the_way_of_a_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file" / "x")
    with pytest.raises(StorageError, match=f"^cannot write {path}: "):
        publishing.write_bytes(path, b"")
    with pytest.raises(StorageError, match="^cannot write to "):
        with publishing.exclusive(str(tmp_path / "file")):
            pass


def test_a_folder_under_the_final_name_stays(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match=f"^cannot write {tmp_path}/x: Is a dir"):
        publishing.write_bytes(str(tmp_path / "x"), b"")
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied$"):
        publishing.write_bytes(str(tmp_path / "x"), b"")


@pytest.mark.parametrize(
    "error, reason",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("first line\nsecond line"), "first line"),
        (OSError(), "OSError"),
        (PermissionError("Access Denied"), "Access Denied"),
        (FileNotFoundError("x"), "it does not exist"),
    ],
)
def test_an_error_of_the_system_becomes_one_line(error: OSError, reason: str) -> None:
    with pytest.raises(StorageError) as caught:
        with storage.storage_errors("shards/x", "write"):
            raise error
    assert str(caught.value) == f"cannot write shards/x: {reason}"


def test_a_mistake_in_our_own_code_is_not_called_a_storage_error() -> None:
    with pytest.raises(KeyError), storage.storage_errors("x", "read"):
        raise KeyError("x")


class NoCredentials(Exception):
    """Stands for what a remote store's library raises."""


class Refusing(MemoryFileSystem):  # type: ignore[misc]
    """A remote store that holds files and takes no new ones."""

    protocol = "refusing"

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        raise NoCredentials("Unable to locate credentials\nsee the manual")

    exists = put_file
    ls = put_file


@pytest.fixture
def refusing() -> Iterator[str]:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    fsspec.filesystem("memory").pipe("/there/x", b"old")
    yield "refusing://there/x"
    fsspec.filesystem("memory").rm("/there", recursive=True)


def test_an_error_of_a_remote_stores_library_becomes_one_line(refusing: str) -> None:
    for use in (storage.exists, storage.list_files):
        with pytest.raises(StorageError, match=": Unable to locate credentials$"):
            use(refusing)
    with pytest.raises(StorageError) as caught:
        publishing.write_bytes(refusing, b"new")
    assert str(caught.value) == f"cannot write {refusing}: Unable to locate credentials"
    assert fsspec.filesystem("memory").cat("/there/x") == b"old"


def test_our_own_errors_pass_through_unchanged() -> None:
    for path in ("x", "s3://bucket/x"):
        with pytest.raises(CorruptionError, match="^damaged$"):
            with storage.storage_errors(path, "read"):
                raise CorruptionError("damaged")
