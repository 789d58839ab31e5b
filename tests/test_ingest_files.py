"""Which files are found, and how they come to this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echoanom import publishing
from echoanom.errors import DataError
from echoanom.ingest.files import describe, find_files, local_copy


def write(path: Path, content: bytes = b"x") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_folders_are_searched_with_all_below_and_files_taken_as_they_are(
    tmp_path: Path,
) -> None:
    inside = write(tmp_path / "a" / "deep" / "1.RAW")
    other = write(tmp_path / "b.bin")
    write(tmp_path / "a" / "notes.txt")
    write(tmp_path / "a" / ".hidden.raw")
    write(tmp_path / "a" / ".trash" / "2.raw")
    found = find_files([str(tmp_path / "a"), other, inside], [".raw"])
    assert [file.path for file in found] == [inside, other]
    assert [file.size for file in found] == [1, 1]


def test_paths_are_absolute_so_that_a_later_call_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "1.raw")
    monkeypatch.chdir(tmp_path)
    assert [x.path for x in find_files(["."], [".raw"])] == [str(tmp_path / "1.raw")]


def test_a_folder_without_the_instruments_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt")
    with pytest.raises(
        DataError, match=r"or hold files \.raw, \.dat, but there is none"
    ):
        find_files([str(tmp_path)], [".raw", ".dat"])
    with pytest.raises(DataError, match="must be a file or folder, but does not exist"):
        find_files([str(tmp_path / "no")], [".raw"])


def test_a_tag_changes_when_a_file_does(tmp_path: Path) -> None:
    path = write(tmp_path / "1.raw")
    before = describe(path)
    assert before is not None
    os.utime(path, ns=(0, 0))
    assert describe(path) != before
    assert describe(str(tmp_path / "no")) is None
    assert describe(path + "/no") is None


def test_a_local_file_is_used_where_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "1.raw", b"abc")
    with local_copy(path) as local:
        assert local == path


def test_an_object_is_found_and_copied_for_as_long_as_it_is_needed(bucket: str) -> None:
    publishing.write_bytes(f"{bucket}/cruise/day/1.raw", b"abc")
    publishing.write_bytes(f"{bucket}/cruise/2.txt", b"abc")
    (found,) = find_files([f"{bucket}/cruise"], [".raw"])
    assert (found.path, found.size) == (f"{bucket}/cruise/day/1.raw", 3)
    assert found.tag and describe(found.path) == found
    assert describe(f"{bucket}/cruise/no.raw") is None
    (alone,) = find_files([found.path], [".raw"])
    assert alone == found
    with local_copy(found.path) as local:
        assert Path(local).read_bytes() == b"abc"
        assert local.endswith("1.raw")
    assert not os.path.exists(local)
