"""The code that goes to a job: whole, the same each time, and able to run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import echoanom
from echoanom.cloud.sourcecode import (
    launch_hyperparameters,
    requirements,
    source_archive,
)

ROOT = Path(echoanom.__file__).parent


@pytest.fixture(scope="module")
def archive() -> bytes:
    return source_archive()


def names(archive: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        return set(found.getnames())


def test_it_has_the_package_as_it_is_installed(archive: bytes) -> None:
    wanted = {
        f"echoanom/{path.relative_to(ROOT).as_posix()}"
        for path in ROOT.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names(archive) == wanted | {"train.py", "requirements.txt"}
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        for member in found.getmembers():
            if member.name.startswith("echoanom/"):
                content = found.extractfile(member)
                assert content is not None
                path = ROOT / member.name.removeprefix("echoanom/")
                assert content.read() == path.read_bytes()
            assert (member.uid, member.mtime, member.uname) == (0, 0, "")


def test_it_is_the_same_each_time(archive: bytes) -> None:
    assert source_archive() == archive


def test_it_asks_for_what_the_package_needs_but_not_for_tensorflow() -> None:
    asked = requirements()
    assert any(line.startswith("s3fs>=") for line in asked)
    assert not any(
        line.startswith(("tensorflow", "sagemaker", "pytest")) for line in asked
    )
    assert "requirements.txt" not in names(source_archive(network=False))


def test_the_toolkit_reads_what_it_is_to_run_as_json() -> None:
    said = launch_hyperparameters("s3://b/sourcedir.tar.gz", "job", "eu-west-1")
    assert {name: json.loads(text) for name, text in said.items()} == {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "s3://b/sourcedir.tar.gz",
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": "job",
        "sagemaker_region": "eu-west-1",
    }


@pytest.mark.slow
def test_its_program_runs_the_packed_package(archive: bytes, tmp_path: Path) -> None:
    """Without the folders of a job it fails as a job does: status 1, and the reason."""
    code, base = tmp_path / "code", tmp_path / "ml"
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        found.extractall(code, filter="data")
    done = subprocess.run(
        [sys.executable, "train.py", "--window", "16"],
        cwd=code,
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    assert "inputdataconfig.json: must exist" in (base / "output/failure").read_text()
    where = subprocess.run(
        [sys.executable, "-c", "import echoanom; print(echoanom.__file__)"],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
    )
    assert where.stdout.strip() == str(code / "echoanom/__init__.py")
