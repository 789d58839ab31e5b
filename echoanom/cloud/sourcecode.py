"""The code of a training job: this package, as it is installed, in one archive.

``sourcedir.tar.gz`` has ``train.py``, which the launchers of both generations of the SDK
run; ``echoanom/``; and ``requirements.txt`` with what the package needs beside
TensorFlow, of which the container installs what it lacks.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import io
import json
import os
import tempfile
from collections.abc import Iterator
from importlib.resources.abc import Traversable

from echoanom.cloud.packaging import pack_folder
from echoanom.errors import CloudError

ARCHIVE = "sourcedir.tar.gz"
PROGRAM = "train.py"
REQUIREMENTS = "requirements.txt"

CODE_CHANNEL = "code"
"""The channel that brings the archive where the container has no network."""

_CHANNEL_PATH = f"/opt/ml/input/data/{CODE_CHANNEL}/{ARCHIVE}"
_PROGRAM = '''"""What SageMaker runs on each host of the job."""

import sys

from echoanom.cloud.train import main

if __name__ == "__main__":
    sys.exit(main())
'''


def source_archive(*, network: bool = True) -> bytes:
    """Pack the code.

    Parameters
    ----------
    network : bool
        Whether the container can install packages. Without, none are asked for, and
        the image must bring them.

    Returns
    -------
    bytes
        A gzipped tar archive, the same whenever it is packed.

    Raises
    ------
    CloudError
        If it is not known what the package needs.
    """
    package = importlib.resources.files("echoanom")
    files = {f"echoanom/{name}": content for name, content in _files(package)}
    files[PROGRAM] = _PROGRAM.encode()
    if network:
        files[REQUIREMENTS] = "".join(f"{line}\n" for line in requirements()).encode()
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        for name, content in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        pack_folder(folder, packed)
    return packed.getvalue()


def requirements() -> tuple[str, ...]:
    """List what the package needs, but TensorFlow, which is the container's own.

    Returns
    -------
    tuple of str
        As pip takes it.

    Raises
    ------
    CloudError
        If the package is not installed, and so does not say.
    """
    try:
        needed = importlib.metadata.requires("echoanom") or []
    except importlib.metadata.PackageNotFoundError:
        raise CloudError(
            "echoanom must be installed to be sent to a job, so that it is known what it"
            " needs; install it with pip"
        ) from None
    return tuple(
        line
        for line in needed
        if "extra ==" not in line and not line.startswith("tensorflow")
    )


def launch_hyperparameters(archive: str, job: str, region: str) -> dict[str, str]:
    """Say to the container's training toolkit what it is to run.

    Parameters
    ----------
    archive : str
        URL of the archive; empty if it comes by `CODE_CHANNEL`.
    job : str
        The job's name.
    region : str
        Where it runs.

    Returns
    -------
    dict
        Hyperparameters; texts in JSON, as the toolkit reads them.
    """
    said = {
        "sagemaker_program": PROGRAM,
        "sagemaker_submit_directory": archive or _CHANNEL_PATH,
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": job,
        "sagemaker_region": region,
    }
    return {name: json.dumps(value) for name, value in said.items()}


def _files(folder: Traversable, below: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{below}{entry.name}/")
        elif not entry.name.startswith("."):
            yield f"{below}{entry.name}", entry.read_bytes()
