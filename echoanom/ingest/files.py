"""Which files there are, whether they changed, and how to have one on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence

from echoanom import arrival, storage
from echoanom.errors import DataError

_LAST_NAME = "\U0010ffff"


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """A file that may hold samples.

    Attributes
    ----------
    path : str
        Where it is, as path or URL.
    size : int
        Its size [byte].
    tag : str
        Changes with the content: a store's own tag, or the time of the last change.
        Empty where there is none.
    """

    path: str
    size: int
    tag: str


def find_files(sources: Sequence[str], suffixes: Sequence[str]) -> list[FoundFile]:
    """Find an instrument's files.

    Parameters
    ----------
    sources : sequence of str
        Files, which are taken whatever their names, and folders, which are searched
        with all folders below; paths or URLs. What begins with a dot is passed over.
    suffixes : sequence of str
        Ends of the names to find in folders, lower case.

    Returns
    -------
    list of FoundFile
        By path, none twice.

    Raises
    ------
    DataError
        If a folder has none of them.
    StorageError
        If something cannot be listed, or is not there.
    """
    found: dict[str, FoundFile] = {}
    for source in sources:
        if storage.is_local(source):
            # They are looked for again, from wherever the next call is made.
            source = os.path.abspath(storage.filesystem(source)[1])
        here = list(_below(source, tuple(suffixes)))
        if not here:
            raise DataError(
                f"{source}: must be a file, or hold files {', '.join(suffixes)}, but"
                " there is none in it"
            )
        found.update((one.path, one) for one in here)
    return [found[path] for path in sorted(found)]


def describe(path: str) -> FoundFile | None:
    """Look whether a file is there.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    FoundFile or None
        None if there is no such file.

    Raises
    ------
    StorageError
        If that cannot be found out.
    """
    folder, _, name = path.rpartition("/")
    if not storage.is_local(path):
        same = storage.list_between(folder, name[:-1], name)
        return next(
            (FoundFile(path, x.size, x.tag or "") for x in same if x.name == name), None
        )
    with storage.storage_errors(path, "read"):
        try:
            status = os.stat(storage.filesystem(path)[1])
        except (FileNotFoundError, NotADirectoryError):
            return None
    return FoundFile(path, status.st_size, str(status.st_mtime_ns))


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Have a file on this machine.

    Parameters
    ----------
    path : str
        A path or URL.

    Yields
    ------
    str
        A local path: the file itself, or a copy that is gone afterwards.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    if storage.is_local(path):
        yield storage.filesystem(path)[1]
        return
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        # Readers look at a name's end, and some write beside the file.
        local = os.path.join(folder, posixpath.basename(path))
        with storage.storage_errors(path, "read"):
            arrival.fetch(path, local)
        yield local


def _below(source: str, suffixes: tuple[str, ...]) -> Iterator[FoundFile]:
    filesystem, inner = storage.filesystem(source)
    with storage.storage_errors(source, "list"):
        folder = filesystem.isdir(inner)
    if not folder:
        if (file := describe(source)) is None:
            raise DataError(f"{source}: must be a file or folder, but does not exist")
        yield file
        return
    for one in storage.list_between(source, "", _LAST_NAME):
        if one.name.lower().endswith(suffixes) and not one.name.startswith("."):
            path = storage.join(source, one.name)
            # A store's list says all there is to say; a folder's does not.
            file = FoundFile(path, one.size, one.tag) if one.tag else describe(path)
            if file is not None:
                yield file
    for name in storage.list_folders(source):
        if not name.startswith("."):
            yield from _below(storage.join(source, name), suffixes)
