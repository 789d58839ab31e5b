"""Storage: files and objects are there whole or not at all, and failures take a line."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from echoanom import storage
from echoanom.errors import CorruptionError, StorageError
from echoanom.storage import TEMPORARY_PREFIX


@pytest.fixture(params=["path", "file URL", "memory URL"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return a folder, as local path, local URL and URL of another store."""
    if request.param == "path":
        yield str(tmp_path)
    elif request.param == "file URL":
        yield f"file://{tmp_path}"
    else:
        folder = f"memory://test-{uuid.uuid4().hex}"
        yield folder
        with contextlib.suppress(FileNotFoundError):
            fsspec.filesystem("memory").rm(folder, recursive=True)


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
        storage.write_bytes(path, b"")


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
    storage.write_bytes(path, content)
    assert storage.exists(path)
    assert storage.size(path) == len(content)
    assert storage.read_bytes(path) == content
    assert storage.read_head(path, 100) == content[:100]
    assert storage.read_head(path) == content[: 1 << 20]


def test_a_file_is_replaced(root: str) -> None:
    path = storage.join(root, "x")
    storage.write_bytes(path, b"long content")
    storage.write_bytes(path, b"short")
    assert storage.read_bytes(path) == b"short"


def test_a_relative_name_without_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage.write_bytes("here.txt", b"1")
    assert (tmp_path / "here.txt").read_bytes() == b"1"


def test_files_and_folders_are_listed_by_name(root: str) -> None:
    for name in ("b.csv", "a.csv", "folder/inner.csv", "Z/y/x.csv"):
        storage.write_bytes(storage.join(root, name), name.encode())
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
    storage.write_bytes(path, b"1")
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
        storage.write_bytes(path, b"")
    with pytest.raises(StorageError, match="^cannot write to "):
        with storage.exclusive(str(tmp_path / "file")):
            pass


def test_a_folder_under_the_final_name_stays(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match=f"^cannot write {tmp_path}/x: Is a dir"):
        storage.write_bytes(str(tmp_path / "x"), b"")
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied$"):
        storage.write_bytes(str(tmp_path / "x"), b"")


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
        storage.write_bytes(refusing, b"new")
    assert str(caught.value) == f"cannot write {refusing}: Unable to locate credentials"
    assert fsspec.filesystem("memory").cat("/there/x") == b"old"


def test_our_own_errors_pass_through_unchanged() -> None:
    for path in ("x", "s3://bucket/x"):
        with pytest.raises(CorruptionError, match="^damaged$"):
            with storage.storage_errors(path, "read"):
                raise CorruptionError("damaged")


# All or nothing


class Interruption(BaseException):
    """Stands for whatever ends a block before its time."""


@pytest.mark.parametrize("size", [0, 3, 10_000_000])
@pytest.mark.parametrize("old", [None, b"old content"])
def test_an_interrupted_publish_leaves_what_was_there_and_nothing_else(
    root: str, old: bytes | None, size: int
) -> None:
    path = storage.join(root, "x")
    if old is not None:
        storage.write_bytes(path, old)
    with contextlib.suppress(Interruption), storage.publish(path) as file:
        file.write(bytes(size))
        raise Interruption
    if old is None:
        assert not storage.exists(path)
    else:
        assert storage.read_bytes(path) == old
        assert [name for name, _ in storage.list_files(root)] == ["x"]


def test_the_final_name_does_not_exist_before_the_end(root: str) -> None:
    path = storage.join(root, "x")
    with storage.publish(path) as file:
        file.write(b"1")
        file.flush()
        assert not storage.exists(path)
    assert storage.exists(path)


def test_a_reader_of_the_old_content_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    storage.write_bytes(str(path), b"old")
    with open(path, "rb") as reader:
        storage.write_bytes(str(path), b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_published_file_has_the_usual_permissions(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "x"), b"")
    (tmp_path / "plain").write_bytes(b"")
    modes = {entry.stat().st_mode for entry in tmp_path.iterdir()}
    assert len(modes) == 1


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    code = """if True:
        import resource, sys
        from echoanom import storage
        from echoanom.errors import StorageError
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            storage.write_bytes(sys.argv[1], bytes(1_000_000))
        except StorageError as error:
            print(error)
    """
    ended = run_python(code, str(tmp_path / "x"))
    assert ended.stderr == ""
    assert ended.stdout == f"cannot write {tmp_path}/x: File too large\n"
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_what_a_kill_leaves_is_found_and_removed(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from echoanom import storage
        with storage.publish(sys.argv[1]) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / ".hidden").write_bytes(b"not ours")
    assert run_python(code, str(tmp_path / "x")).returncode == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == b"old"
    (left,) = {path.name for path in tmp_path.iterdir()} - {"x", ".hidden"}
    assert left.startswith(TEMPORARY_PREFIX)
    storage.remove_temporaries(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"x", ".hidden"}


def test_there_are_no_temporaries_to_remove_elsewhere(tmp_path: Path) -> None:
    storage.remove_temporaries(str(tmp_path / "nowhere"))
    storage.remove_temporaries("memory://nowhere")


# The lock

HOLD = """if True:
    import sys
    from echoanom import storage
    with storage.exclusive(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_until_the_lock_is_given_back(
    tmp_path: Path,
) -> None:
    folder = str(tmp_path / "new" / "folder")
    with holder(folder) as process:
        message = f"^{folder}: another process is writing here; wait for it to end$"
        for _ in range(2):
            with pytest.raises(StorageError, match=message):
                with storage.exclusive(folder):
                    pytest.fail("two processes hold the lock")
        process.communicate("")
        assert process.returncode == 0
        with storage.exclusive(folder):
            pass


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    with holder(str(tmp_path)) as process:
        process.kill()
        process.wait()
        with storage.exclusive(str(tmp_path)):
            pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Interruption), storage.exclusive(str(tmp_path)):
            raise Interruption


def test_an_error_within_is_not_called_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="^mine$"), storage.exclusive(str(tmp_path)):
        raise OSError("mine")


def test_locks_of_different_folders_do_not_meet(tmp_path: Path) -> None:
    with storage.exclusive(str(tmp_path / "a")), storage.exclusive(str(tmp_path / "b")):
        pass


def test_there_is_no_lock_in_other_stores() -> None:
    with storage.exclusive("memory://x"), storage.exclusive("memory://x"):
        pass
    assert not storage.exists("memory://x")
