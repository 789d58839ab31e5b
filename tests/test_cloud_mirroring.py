"""Folders that are copied to a store while they change."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest
from processes import wait_until

from echoanom import storage
from echoanom.cloud.mirroring import Mirror, mirrored
from echoanom.errors import StorageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def replace(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(content)
    temporary.replace(path)


def stored(url: str) -> dict[str, bytes]:
    files, inner = storage.filesystem(url)
    found = {}
    for name in files.find(inner):
        # What is just being copied gets its final name between the two calls.
        with contextlib.suppress(FileNotFoundError):
            found[name.removeprefix(inner).lstrip("/")] = files.cat_file(name)
    return found


def test_what_is_new_is_copied_and_the_rest_is_not(root: str, folder: Path) -> None:
    if root.startswith("memory://"):
        pytest.skip("a job has its data on S3 or on this machine")
    url = f"{root}/there/"
    mirror = Mirror(str(folder), url)
    mirror.restore()
    replace(folder / "a", "1")
    replace(folder / "b" / "c", "2")
    (folder / ".tmp-half").write_text("written")
    mirror.push()
    assert stored(url) == {"a": b"1", "b/c": b"2"}
    # What nobody touches is not copied again, even over another's.
    storage.remove(f"{url}a")
    replace(folder / "b" / "c", "3")
    mirror.push()
    assert stored(url) == {"b/c": b"3"}
    os.unlink(folder / "b" / "c")
    mirror.push()
    assert stored(url) == {"b/c": b"3"}


def test_what_was_brought_back_only_goes_when_it_changes(
    tmp_path: Path, folder: Path
) -> None:
    url = f"{tmp_path}/there"
    Path(url).mkdir()
    for name in ("a", "b"):
        Path(url, name).write_text("old")
    mirror = Mirror(str(folder), url)
    mirror.restore()
    assert (folder / "a").read_text() == "old"
    for name in ("a", "b"):
        Path(url, name).write_text("newer, of another host")
    replace(folder / "b", "new")
    mirror.push()
    assert stored(url) == {"a": b"newer, of another host", "b": b"new"}


def test_copying_goes_on_beside_and_once_at_the_end(
    tmp_path: Path, folder: Path
) -> None:
    url = f"{tmp_path}/there"
    with mirrored([Mirror(str(folder), url)], every_s=0.02):
        replace(folder / "a", "1")
        wait_until(lambda: stored(url) == {"a": b"1"})
        replace(folder / "a", "2")
        wait_until(lambda: stored(url) == {"a": b"2"})
    with mirrored([Mirror(str(folder), url)], every_s=60):
        replace(folder / "b", "3")
    assert stored(url) == {"a": b"2", "b": b"3"}
    assert "echoanom-mirror" not in {one.name for one in threading.enumerate()}


def test_a_store_that_fails_is_tried_again(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "there"
    place.write_text("a file, where a folder must be")
    with mirrored([Mirror(str(folder), f"{place}")], every_s=0.02):
        replace(folder / "a", "1")
        wait_until(lambda: "it will be tried again" in caplog.text)
        place.unlink()
        wait_until(lambda: stored(str(place)) == {"a": b"1"})
    place = tmp_path / "other"
    place.write_text("for good")
    with pytest.raises(StorageError, match=f"cannot write {place}/a"):
        with mirrored([Mirror(str(folder), f"{place}")], every_s=60):
            pass
