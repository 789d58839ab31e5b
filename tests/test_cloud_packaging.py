"""The archive: what SageMaker finds in it, the same bytes again, and a safe way back."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from requests_of_rows import COLUMNS, PERIOD_S, SENSOR, WINDOW, Case, make_case

from echoanom import storage
from echoanom.artifact import copy_files, load_artifact
from echoanom.cloud import packaging
from echoanom.cloud.packaging import (
    package_model,
    unpack_model,
    unpacked_artifact,
    write_model_dir,
)
from echoanom.errors import ArtifactError, StorageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("packaging"))


@pytest.fixture(scope="module")
def archive(case: Case, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("archive") / "model.tar.gz")
    package_model(case.artifact, path)
    return path


def names(path: str) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def write_archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def test_the_archive_has_one_saved_model_where_tensorflow_serving_looks(
    archive: str,
) -> None:
    found = names(archive)
    assert {"1/saved_model.pb", "1/variables/variables.index"} <= set(found)
    assert [name for name in found if name.endswith("saved_model.pb")] == [
        "1/saved_model.pb"
    ]
    assert {name.split("/")[0] for name in found} == {"1", "artifact", "code"}
    assert "code/inference.py" in found
    with tarfile.open(archive) as opened:
        about = opened.extractfile(packaging.ABOUT_MODEL)
        assert about is not None and json.load(about) == {
            "format": 1,
            "columns": [f"{SENSOR}/{name}" for name in COLUMNS],
            "period_s": PERIOD_S,
            "window": WINDOW,
        }


def test_the_archive_is_the_same_whenever_it_is_written(
    case: Case, archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "other" / "model"
    copy_files(case.artifact, str(copy))
    for folder, _, files in os.walk(copy):
        for name in files:
            os.utime(os.path.join(folder, name), (1, 1))
            os.chmod(os.path.join(folder, name), 0o600)
    again = tmp_path / "again.tar.gz"
    package_model(str(copy), str(again))
    assert again.read_bytes() == Path(archive).read_bytes()


def test_the_packed_code_needs_nothing_but_numpy(archive: str, tmp_path: Path) -> None:
    unpack_model(archive, str(tmp_path / "model"))
    code = tmp_path / "model" / "code"
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import inference;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, code, code / "lib"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names)
    # What is imported by .pth files is not ours.
    assert {"numpy", "echoanom", "inference"} <= loaded
    assert not loaded & {
        "pandas",
        "tensorflow",
        "keras",
        "fsspec",
        "xxhash",
        "requests",
    }


def test_what_was_packed_can_be_loaded_again(
    case: Case, archive: str, tmp_path: Path
) -> None:
    unpack_model(archive, str(tmp_path / "model"))
    artifact = load_artifact(unpacked_artifact(str(tmp_path / "model")))
    assert artifact.digest == load_artifact(case.artifact).digest
    assert os.listdir(tmp_path) == ["model"]


def test_an_archive_goes_to_a_store_and_comes_back(
    case: Case, archive: str, root: str, tmp_path: Path
) -> None:
    url = storage.join(root, "model.tar.gz")
    artifact = storage.join(root, "artifact")
    copy_files(case.artifact, artifact)
    package_model(artifact, url)
    assert storage.read_bytes(url) == Path(archive).read_bytes()
    unpack_model(url, str(tmp_path / "unpacked"))
    assert (tmp_path / "unpacked" / "code" / "inference.py").exists()


def test_a_model_folder_can_be_written_again(case: Case, tmp_path: Path) -> None:
    for _ in range(2):
        write_model_dir(case.artifact, str(tmp_path / "model"))
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]


def test_what_is_no_artifact_is_not_packed(case: Case, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"holds no artifact\.json"):
        package_model(str(tmp_path / "empty"), str(tmp_path / "model.tar.gz"))
    copy_files(case.artifact, str(tmp_path / "model"))
    (tmp_path / "model" / "saved_model" / "1" / "saved_model.pb").unlink()
    with pytest.raises(ArtifactError, match="must hold a SavedModel"):
        package_model(str(tmp_path / "model"), str(tmp_path / "model.tar.gz"))
    (tmp_path / "model" / "artifact.json").write_text('{"columns": 3}')
    with pytest.raises(ArtifactError, match="must say columns, period and window"):
        package_model(str(tmp_path / "model"), str(tmp_path / "model.tar.gz"))
    assert not (tmp_path / "model.tar.gz").exists()


def link(name: str, kind: bytes, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


ESCAPES = {
    "a name with dots": (tarfile.TarInfo("../escaped"), b"x"),
    "a name with dots inside": (tarfile.TarInfo("code/../../escaped"), b"x"),
    "a link": link("code", tarfile.SYMTYPE, "/tmp"),
    "a hard link": link("code", tarfile.LNKTYPE, "../escaped"),
    "a device": link("code", tarfile.CHRTYPE, ""),
    "a pipe": link("code", tarfile.FIFOTYPE, ""),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_an_archive_cannot_write_beside_its_folder(name: str, tmp_path: Path) -> None:
    good = (tarfile.TarInfo("1/saved_model.pb"), b"x")
    path = write_archive(tmp_path / "bad.tar.gz", good, ESCAPES[name])
    with pytest.raises(ArtifactError, match="must (be a whole|hold files)"):
        unpack_model(path, str(tmp_path / "deep" / "model"))
    assert os.listdir(tmp_path / "deep") == []
    assert sorted(os.listdir(tmp_path)) == ["bad.tar.gz", "deep"]


def test_an_absolute_name_stays_below_the_folder(tmp_path: Path) -> None:
    member = tarfile.TarInfo(f"{tmp_path}/escaped")
    path = write_archive(tmp_path / "bad.tar.gz", (member, b"x"))
    unpack_model(path, str(tmp_path / "model"))
    assert not (tmp_path / "escaped").exists()


def test_an_archive_that_holds_too_much_is_not_unpacked(tmp_path: Path) -> None:
    # A thousand times smaller than what it says to hold.
    path = write_archive(
        tmp_path / "bomb.tar.gz",
        *((tarfile.TarInfo(f"{number}"), bytes(10 << 20)) for number in range(3)),
    )
    assert os.path.getsize(path) < 100_000
    with pytest.raises(ArtifactError, match="at most 25,000,000 bytes"):
        unpack_model(path, str(tmp_path / "model"), most_bytes=25_000_000)
    with pytest.raises(ArtifactError, match="at most 2 files"):
        unpack_model(path, str(tmp_path / "model"), most_files=2)
    assert os.listdir(tmp_path) == ["bomb.tar.gz"]


@pytest.mark.parametrize("damage", ["cut", "no gzip", "no tar", "altered", "empty"])
def test_a_damaged_archive_leaves_nothing(
    archive: str, damage: str, tmp_path: Path
) -> None:
    content = Path(archive).read_bytes()
    middle = len(content) // 2
    (tmp_path / "model.tar.gz").write_bytes(
        {
            "cut": content[:middle],
            "no gzip": b"no archive",
            "no tar": gzip.compress(b"no archive" * 100),
            "altered": content[:middle] + bytes(9) + content[middle + 9 :],
            "empty": b"",
        }[damage]
    )
    with pytest.raises(ArtifactError, match=r"model\.tar\.gz: must be a whole gzipped"):
        unpack_model(str(tmp_path / "model.tar.gz"), str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["model.tar.gz"]


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        unpack_model(str(tmp_path / "model.tar.gz"), str(tmp_path / "model"))


def test_a_folder_that_is_in_use_is_kept(archive: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("mine")
    with pytest.raises(StorageError, match="cannot write"):
        unpack_model(archive, str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["model"]
    assert (tmp_path / "model" / "mine").read_text() == "mine"


def test_an_archive_of_something_else_has_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must be a model that echoanom packed"):
        unpacked_artifact(str(tmp_path))
