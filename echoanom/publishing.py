"""Write files and objects that are there whole or not at all.

`publish` is the only way a final name comes to exist: complete, or not at all. `look`
and `replace` decide between two writers of one object.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import IO

from echoanom import objects
from echoanom.errors import StorageError
from echoanom.storage import (
    exists,
    filesystem,
    is_local,
    join,
    list_files,
    read_bytes,
    remove,
    storage_errors,
)

TEMPORARY_PREFIX = ".tmp-"
LOCK = ".lock"

_FLUSH_BYTES = 1 << 25


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
            _put(path, staged.name)
        return
    final = filesystem(path)[1]
    folder, name = os.path.split(final)
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{name}-{uuid.uuid4().hex}")
    with storage_errors(path, "write"):
        if os.path.isdir(final):
            # Found only when all is written, it would come after what goes before.
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
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
    if objects.is_object(path):
        objects.write(path, content)
        return
    with publish(path) as file:
        file.write(content)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was found under a name.

    Attributes
    ----------
    content : bytes, optional
        What it held; None if there was nothing.
    etag : str, optional
        The store's tag for it, where the store has such.
    """

    content: bytes | None
    etag: str | None = None


def look(path: str) -> Seen:
    """Read a file that may be replaced later, or may not be there.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    Seen
        What is there.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    if not exists(path):
        return Seen(None)
    if objects.is_object(path):
        return Seen(*objects.read(path))
    return Seen(read_bytes(path))


def replace(path: str, content: bytes, seen: Seen) -> None:
    """Write a file, unless somebody else has written it since it was looked at.

    On S3 the store decides between two writers. Elsewhere they must be kept apart:
    `exclusive` does so on this machine.

    Parameters
    ----------
    path : str
        The final path or URL.
    content : bytes
        What it shall hold.
    seen : Seen
        What `look` found there.

    Raises
    ------
    ConflictError
        If it holds something else by now.
    StorageError
        If it cannot be written. What was there before stays.
    """
    if objects.is_object(path):
        objects.write(path, content, absent=seen.content is None, etag=seen.etag)
    else:
        write_bytes(path, content)


def _put(path: str, staged: str) -> None:
    if objects.is_object(path):
        objects.upload(path, staged)
        return
    filesystem_, inner = filesystem(path)
    with storage_errors(path, "write"):
        filesystem_.put_file(staged, inner)


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
        filesystem(folder)  # refuses what is no URL
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
