"""Files and objects by path or URL: list, read, publish whole.

Local paths and URLs (``s3://…``) are read and written through fsspec, so one function
serves both. `publish` is the only way a final name comes to exist: complete, or not at
all.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import os
import posixpath
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import IO, Any

import fsspec
from fsspec.core import url_to_fs

from echoanom.errors import EchoanomError, StorageError

TEMPORARY_PREFIX = ".tmp-"
LOCK = ".lock"

_FLUSH_BYTES = 1 << 25


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
        filesystem, inner = url_to_fs(path, use_listings_cache=False)
    return filesystem, inner


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
    filesystem_, inner = filesystem(path)
    with storage_errors(path, "read"):
        return bool(filesystem_.exists(inner))


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
    filesystem_, inner = filesystem(path)
    with storage_errors(path, "read"):
        return int(filesystem_.size(inner))


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
    filesystem_, inner = filesystem(path)
    with storage_errors(path, "list"):
        entries = []
        for entry in filesystem_.ls(inner, detail=True):
            name, kind = entry["name"].rstrip("/"), entry["type"]
            if kind == "other" and filesystem_.isdir(name):
                kind = "directory"  # behind a link
            if name != inner.rstrip("/"):
                entries.append((posixpath.basename(name), entry["size"], kind))
    return sorted(entries)


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
    with storage_errors(path, "read"), fsspec.open(path, "rb") as file:
        return bytes(file.read(size))


@contextlib.contextmanager
def publish(path: str) -> Iterator[IO[bytes]]:
    """Write a file that exists under its name complete or not at all.

    Locally the content goes to a temporary neighbour that is flushed to disk and
    renamed; elsewhere to a local temporary file that is then put whole.

    Parameters
    ----------
    path : str
        The final path or URL.

    Yields
    ------
    file
        Open for binary writing.

    Raises
    ------
    StorageError
        If it cannot be written. What was there before stays.
    """
    if not is_local(path):
        # A file opened in a remote store may complete its upload however it is closed.
        with tempfile.NamedTemporaryFile(prefix="echoanom-") as staged:
            with storage_errors(staged.name, "write"):
                yield staged
                staged.flush()
            filesystem_, inner = filesystem(path)
            with storage_errors(path, "write"):
                filesystem_.put_file(staged.name, inner)
        return
    final = filesystem(path)[1]
    folder, name = os.path.split(final)
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{name}-{uuid.uuid4().hex}")
    with storage_errors(path, "write"):
        os.makedirs(folder or ".", exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def write_bytes(path: str, content: bytes) -> None:
    """Write a whole file, complete or not at all.

    Parameters
    ----------
    path : str
        The final path or URL.
    content : bytes
        What it shall hold.

    Raises
    ------
    StorageError
        If it cannot be written. What was there before stays.
    """
    with publish(path) as file:
        file.write(content)


@contextlib.contextmanager
def flushed_behind(file: IO[bytes], path: str) -> Iterator[Callable[[int], None]]:
    """Send a local file to the disk while it is written, not only at its end.

    Parameters
    ----------
    file : file
        What `publish` gives.
    path : str
        Its final name, as path or URL.

    Yields
    ------
    callable
        To be told after each write how much has been written [byte].
    """
    pending: list[concurrent.futures.Future[None]] = []
    flushed = 0

    def flush(position: int) -> None:
        nonlocal flushed
        if position - flushed < _FLUSH_BYTES or not is_local(path):
            return
        while pending:
            pending.pop().result()
        file.flush()
        pending.append(thread.submit(os.fsync, file.fileno()))
        flushed = position

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        yield flush
        # The system tells of an error once, maybe here and not when it is published.
        while pending:
            pending.pop().result()


@contextlib.contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Keep other processes out of a local folder's contents.

    The lock is the system's: it is gone with the process, however that ends.

    Parameters
    ----------
    folder : str
        A folder, as path or URL. It is made if need be. Elsewhere than on this
        machine there is no lock.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    StorageError
        If another process holds the lock, or the folder cannot be made or locked.
    """
    if not is_local(folder):
        yield
        return
    inner = filesystem(folder)[1]
    with storage_errors(folder, "write to"):
        os.makedirs(inner, exist_ok=True)
        handle = os.open(os.path.join(inner, LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with storage_errors(folder, "lock"):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"{folder}: another process is writing here; wait for it to end"
                ) from None
        yield
    finally:
        os.close(handle)


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
    filesystem_, inner = filesystem(path)
    with storage_errors(path, "remove"), contextlib.suppress(FileNotFoundError):
        filesystem_.rm_file(inner)


def remove_temporaries(path: str) -> None:
    """Remove what an interrupted `publish` left in a local folder.

    Parameters
    ----------
    path : str
        The folder, as path or URL.
    """
    if is_local(path) and exists(path):
        for name, _ in list_files(path):
            if name.startswith(TEMPORARY_PREFIX):
                remove(join(path, name))
