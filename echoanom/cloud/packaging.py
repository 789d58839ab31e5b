"""An artifact as the archive that SageMaker deploys, and back.

::

    1/saved_model.pb, 1/variables/…   the network, where TensorFlow Serving looks for it
    code/inference.py                 what the container calls for each request
    code/lib/echoanom/…               the few modules of this package that it needs
    code/echoanom.json                columns, window and period of the model
    artifact/…                        everything else of the artifact

TensorFlow Serving's container loads every SavedModel that it finds in the archive, and
names its default model after the first. So there is one: the artifact's own copy is left
out, which loading an artifact does not need.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.resources
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from echoanom import objects, publishing, storage
from echoanom.errors import ArtifactError

ABOUT_MODEL = "code/echoanom.json"
"""Where the archive says what its model takes."""

MOST_BYTES = 8 << 30
"""What an archive may hold, unpacked [byte]."""

MOST_FILES = 10_000
"""Files and folders that an archive may hold."""

FORMAT = 1

_SAVED_MODEL = "saved_model/1"
_ABOUT_ARTIFACT = "artifact.json"
_SHIPPED = (
    "exampleproto.py",
    "stamps.py",
    "cloud/__init__.py",
    "cloud/answers.py",
    "cloud/blocks.py",
    "cloud/handler.py",
    "cloud/payloads.py",
    "cloud/requestrows.py",
    "cloud/tfserving.py",
)
_INFERENCE = '''"""What SageMaker's TensorFlow Serving container calls for each request."""

import os

from echoanom.cloud.handler import Handler

handler = Handler(os.path.dirname(os.path.abspath(__file__)))
'''
_PADDING_BYTES = 1 << 20
_PACKAGE = '"""The part of echoanom that answers requests for scores."""\n'


def write_model_dir(artifact_path: str, folder: str) -> None:
    """Lay an artifact out as SageMaker's TensorFlow Serving container takes it.

    Parameters
    ----------
    artifact_path : str
        Folder of the artifact, as path or URL.
    folder : str
        The local folder that gets ``1/``, ``code/`` and ``artifact/``: in a training
        job ``SM_MODEL_DIR``. Files of these names are replaced.

    Raises
    ------
    ArtifactError
        If there is no artifact, or it has no SavedModel.
    StorageError
        If something cannot be read or written.
    """
    artifact_path = artifact_path.rstrip("/") or artifact_path
    about = _about(artifact_path)
    names = list(_walk(artifact_path))
    if f"{_SAVED_MODEL}/saved_model.pb" not in names:
        raise ArtifactError(
            f"{artifact_path}: must hold a SavedModel in {_SAVED_MODEL} to be served, but"
            " has none; train a network again; a forest has none, and scores by"
            " `echoanom score`"
        )
    for name in names:
        inside = name.removeprefix(f"{_SAVED_MODEL}/")
        target = f"artifact/{name}" if inside == name else f"1/{inside}"
        _write(folder, target, storage.read_bytes(storage.join(artifact_path, name)))
    source = importlib.resources.files("echoanom")
    code = {f"lib/echoanom/{name}": source / name for name in _SHIPPED}
    for name, module in code.items():
        _write(folder, f"code/{name}", module.read_bytes())
    _write(folder, "code/lib/echoanom/__init__.py", _PACKAGE.encode())
    _write(folder, "code/inference.py", _INFERENCE.encode())
    _write(folder, ABOUT_MODEL, _json(about))


def package_model(artifact_path: str, destination: str) -> None:
    """Write an artifact as ``model.tar.gz``; the same bytes whenever it is done.

    Parameters
    ----------
    artifact_path : str
        Folder of the artifact, as path or URL.
    destination : str
        The archive's path or URL.

    Raises
    ------
    ArtifactError
        If there is no artifact, or it has no SavedModel.
    StorageError
        If something cannot be read or written.
    """
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        write_model_dir(artifact_path, folder)
        with publishing.publish(destination) as file:
            pack_folder(folder, file)


def pack_folder(folder: str, file: IO[bytes]) -> None:
    """Write the files of a folder as a gzipped tar archive.

    Neither names of users, nor times, nor the order in which a disk lists files go in.

    Parameters
    ----------
    folder : str
        A local folder.
    file : file
        Open for binary writing.

    Raises
    ------
    OSError
        If something cannot be read or written.
    """
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(_walk(folder)):
            member = tarfile.TarInfo(name)
            path = os.path.join(folder, name)
            member.size = os.path.getsize(path)
            with open(path, "rb") as content:
                archive.addfile(member, content)


def unpack_model(
    source: str,
    folder: str,
    *,
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> None:
    """Unpack a ``model.tar.gz``: all of it, or nothing.

    Parameters
    ----------
    source : str
        The archive's path or URL.
    folder : str
        The local folder to make. It must not exist, or be empty.
    most_bytes : int
        How much it may hold, unpacked [byte].
    most_files : int
        How many files and folders it may hold.

    Raises
    ------
    ArtifactError
        If it is no such archive, is cut short, holds too much, or something other than
        files and folders below the folder.
    StorageError
        If it cannot be read, or the folder not be written.
    """
    folder = os.path.abspath(folder)
    parent, name = os.path.split(folder)
    with storage.storage_errors(folder, "write"):
        os.makedirs(parent, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix=f".tmp-{name}-", dir=parent)
    try:
        with _local(source) as path:
            _extract(source, path, unfinished, most_bytes, most_files)
        with storage.storage_errors(folder, "write"):
            os.chmod(unfinished, 0o755)
            os.replace(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def unpacked_artifact(folder: str) -> str:
    """Name the artifact of a model folder.

    Parameters
    ----------
    folder : str
        What `write_model_dir` or `unpack_model` filled.

    Returns
    -------
    str
        Path of the artifact, for `echoanom.artifact.load_artifact`.

    Raises
    ------
    ArtifactError
        If it holds none.
    """
    artifact = os.path.join(folder, "artifact")
    if not os.path.exists(os.path.join(artifact, _ABOUT_ARTIFACT)):
        raise ArtifactError(
            f"{folder}: must be a model that echoanom packed, with its artifact in"
            " artifact/, but holds none"
        )
    return artifact


def _about(path: str) -> dict[str, Any]:
    """Say what a model takes, from its artifact."""
    name = storage.join(path, _ABOUT_ARTIFACT)
    if not storage.exists(name):
        raise ArtifactError(
            f"{path}: must be a folder that `echoanom train` wrote, but holds no"
            f" {_ABOUT_ARTIFACT}"
        )
    try:
        artifact = json.loads(storage.read_bytes(name))
        return {
            "format": FORMAT,
            "columns": [
                f"{column['sensor']}/{column['name']}" for column in artifact["columns"]
            ],
            "period_s": int(artifact["period_s"]),
            "window": int(artifact["window"]["size"]),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{name}: must say columns, period and window of the model, but"
            f" {type(error).__name__}: {error}; train again"
        ) from None


def _walk(folder: str, below: str = "") -> Iterator[str]:
    """Yield the names of all files below a folder, relative to it."""
    path = storage.join(folder, below) if below else folder
    for name, _ in storage.list_files(path):
        if not name.startswith(publishing.TEMPORARY_PREFIX):
            yield f"{below}{name}"
    for name in storage.list_folders(path):
        yield from _walk(folder, f"{below}{name}/")


def _write(folder: str, name: str, content: bytes) -> None:
    publishing.write_bytes(os.path.join(folder, *name.split("/")), content)


def _json(about: dict[str, Any]) -> bytes:
    return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()


@contextlib.contextmanager
def _local(source: str) -> Iterator[str]:
    """Give a file a local path."""
    if storage.is_local(source):
        yield storage.filesystem(source)[1]
        return
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        path = os.path.join(folder, "model.tar.gz")
        if objects.is_object(source):
            objects.download(source, path)
        else:
            publishing.write_bytes(path, storage.read_bytes(source))
        yield path


def _extract(
    source: str, path: str, folder: str, most_bytes: int, most_files: int
) -> None:
    total = count = 0
    try:
        # Read once from front to end, so that nothing is unpacked before it is known to
        # be too much. tarfile itself would not look at gzip's checksum.
        with gzip.open(path) as zipped, tarfile.open(None, "r|", zipped) as archive:
            for member in archive:
                total, count = total + member.size, count + 1
                _check(source, member, (total, most_bytes), (count, most_files))
                archive.extract(member, folder, filter="data")
            padding = zipped.read(_PADDING_BYTES)
            if len(padding) == _PADDING_BYTES or padding.strip(b"\0"):
                raise tarfile.ReadError("something follows its end")
    except FileNotFoundError:
        raise ArtifactError(
            f"{source}: must be a model.tar.gz, does not exist"
        ) from None
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            with storage.storage_errors(folder, "write"):
                raise
        raise ArtifactError(
            f"{source}: must be a whole gzipped tar archive of files below its folder,"
            f" but {error or type(error).__name__}"
        ) from None


def _check(
    source: str,
    member: tarfile.TarInfo,
    size: Sequence[int],
    files: Sequence[int],
) -> None:
    if not (member.isreg() or member.isdir()):
        raise ArtifactError(
            f"{source}: must hold files and folders alone, but {member.name!r} is a link"
            " or device"
        )
    if size[0] > size[1]:
        raise ArtifactError(
            f"{source}: must hold at most {size[1]:,} bytes unpacked, but holds more"
        )
    if files[0] > files[1]:
        raise ArtifactError(
            f"{source}: must hold at most {files[1]:,} files, but holds more"
        )


def is_archive(path: str) -> bool:
    """Tell by its name whether a path is that of an archive.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    bool
        True for ``….tar.gz`` and ``….tgz``.
    """
    return path.endswith((".tar.gz", ".tgz"))
