"""Files and objects by path or URL: look up, list, read, remove.

Local paths and URLs are used through fsspec, so one function serves both. What carries
data of an S3 store goes through `objects`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import posixpath
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import fsspec
from fsspec.core import url_to_fs

from echoanom import objects, s3errors, s3requests
from echoanom.errors import EchoanomError, StorageError
from echoanom.retries import attempt

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """A file of a folder.

    Attributes
    ----------
    name : str
        Its name, without the folder.
    size : int
        Size [byte].
    tag : str, optional
        Changes with the content, where the store has such.
    """

    name: str
    size: int
    tag: str | None = None


def is_local(path: str) -> bool:
    """Tell whether a path is on this machine's file system.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    bool
        False for URLs of other file systems.
    """
    return "://" not in path or path.startswith(("file://", "local://"))


def join(path: str, *parts: str) -> str:
    """Join path parts with ``/``.

    Parameters
    ----------
    path : str
        A path or URL.
    *parts : str
        What comes below it.

    Returns
    -------
    str
        The joined path.
    """
    return posixpath.join(path, *parts)


def filesystem(path: str) -> tuple[Any, str]:
    """Return the file system of a path, and the path as that file system takes it.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    filesystem : fsspec.AbstractFileSystem
        The file system.
    inner : str
        The path within it.

    Raises
    ------
    StorageError
        If there is no such kind of file system, or its library is not installed.
    """
    with storage_errors(path, "use"):
        # Other processes write too, so a listing is only true when it is made.
        filesystem, inner = url_to_fs(path, use_listings_cache=False, **_options(path))
    if objects.is_object(path):
        filesystem.retries = 1  # `attempt` does
    return filesystem, inner


def _options(path: str) -> dict[str, Any]:
    if not objects.is_object(path):
        return {}
    s3requests.split(path)  # refuses a URL without bucket
    return {
        "anon": s3requests.switched_on(s3requests.ANONYMOUS),
        "requester_pays": s3requests.switched_on(s3requests.REQUESTER_PAYS),
        "config_kwargs": {
            "connect_timeout": s3requests.CONNECT_S,
            "read_timeout": s3requests.SILENCE_S,
            "retries": {"mode": "standard", "total_max_attempts": 1},
        },
    }


def _ask(path: str, doing: str, call: Callable[[Any, str], Result]) -> Result:
    """Use a path's file system; again, if an S3 store is busy."""

    def once() -> Result:
        filesystem_, inner = filesystem(path)
        try:
            return call(filesystem_, inner)
        except Exception as error:
            if objects.is_object(path) and s3errors.is_expired(error):
                filesystem_.clear_instance_cache()  # the next one's may be newer
            raise

    with storage_errors(path, doing):
        if objects.is_object(path):
            return attempt(once, s3errors.worth, f"to {doing} {path}")
        return once()


@contextlib.contextmanager
def storage_errors(path: str, doing: str) -> Iterator[None]:
    """Turn errors of the system, or of a remote store, into one-line `StorageError`.

    Parameters
    ----------
    path : str
        What is read or written.
    doing : str
        The verb for the message, e.g. ``read``.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    StorageError
        Instead of an OSError, and for URLs instead of any error but our own.
    """
    try:
        yield
    except EchoanomError:
        raise
    except FileNotFoundError:
        raise StorageError(f"cannot {doing} {path}: it does not exist") from None
    except Exception as error:
        # The libraries of remote stores raise their own.
        if is_local(path) and not isinstance(error, OSError):
            raise
        if objects.is_object(path):
            raise s3errors.explain(error, doing, path) from error
        raise StorageError(f"cannot {doing} {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def exists(path: str) -> bool:
    """Tell whether a file or folder exists.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    bool
        True if it does.

    Raises
    ------
    StorageError
        If that cannot be found out.
    """
    return _ask(path, "read", lambda files, inner: bool(files.exists(inner)))


def size(path: str) -> int:
    """Return a file's size.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    int
        Size [byte].

    Raises
    ------
    StorageError
        If there is no such file.
    """
    return _ask(path, "read", lambda files, inner: int(files.size(inner)))


def list_files(path: str) -> list[tuple[str, int]]:
    """List the files directly in a folder.

    Parameters
    ----------
    path : str
        A folder, as path or URL.

    Returns
    -------
    list of (str, int)
        File names (without the folder) and sizes [byte], by name.

    Raises
    ------
    StorageError
        If the folder cannot be listed.
    """
    return [(name, size) for name, size, kind in _entries(path) if kind != "directory"]


def list_between(folder: str, after: str, last: str) -> list[FoundFile]:
    """List those files directly in a folder whose names lie between two.

    An S3 store is asked for these alone, however many there are.

    Parameters
    ----------
    folder : str
        A folder, as path or URL.
    after, last : str
        Names; the first is left out, the last taken.

    Returns
    -------
    list of FoundFile
        By name. Empty, on S3, if there is no such folder.

    Raises
    ------
    StorageError
        If the folder cannot be listed.
    """
    if objects.is_object(folder):
        prefix = folder.rstrip("/") + "/"
        return [
            FoundFile(found.url.removeprefix(prefix), found.size, found.etag)
            for found in objects.list_objects(prefix, after, last)
            if found.url != prefix
        ]
    return [
        FoundFile(name, size)
        for name, size in list_files(folder)
        if after < name <= last
    ]


def list_folders(path: str) -> list[str]:
    """List the folders directly in a folder.

    Parameters
    ----------
    path : str
        A folder, as path or URL.

    Returns
    -------
    list of str
        Folder names, by name.

    Raises
    ------
    StorageError
        If the folder cannot be listed.
    """
    return [name for name, _, kind in _entries(path) if kind == "directory"]


def _entries(path: str) -> list[tuple[str, int, str]]:
    def read(files: Any, inner: str) -> list[tuple[str, int, str]]:
        entries = []
        for entry in files.ls(inner, detail=True):
            name, kind = entry["name"].rstrip("/"), entry["type"]
            if kind == "other" and files.isdir(name):
                kind = "directory"  # behind a link
            # A store may hold an object of the folder's own name.
            if name != inner.rstrip("/") and not entry["name"].endswith("/"):
                entries.append((posixpath.basename(name), entry["size"], kind))
        return sorted(entries)

    return _ask(path, "list", read)


def read_bytes(path: str) -> bytes:
    """Read a whole file.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    if objects.is_object(path):
        return objects.read(path)[0]
    with storage_errors(path, "read"):
        if is_local(path):
            with open(filesystem(path)[1], "rb") as file:
                return file.read()
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())


def read_head(path: str, size: int = 1 << 20) -> bytes:
    """Read the beginning of a file.

    Parameters
    ----------
    path : str
        A path or URL.
    size : int
        How much, at most [byte].

    Returns
    -------
    bytes
        Its first bytes.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    if objects.is_object(path):
        return objects.read(path, 0, size)[0]
    with storage_errors(path, "read"), fsspec.open(path, "rb") as file:
        return bytes(file.read(size))


def remove(path: str) -> None:
    """Remove a file; one that is already gone is fine.

    Parameters
    ----------
    path : str
        A path or URL.

    Raises
    ------
    StorageError
        If it cannot be removed.
    """

    def forget(files: Any, inner: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            files.rm_file(inner)

    _ask(path, "remove", forget)
