"""A folder of files, bounded in size, that several processes fill and use at once.

::

    <key>.shard         complete; whoever uses it holds a shared lock on it
    <key>.part          on its way; whoever fetches it holds an exclusive lock on it
    .echoanom-cache     locked while files are looked for, given a name, or removed

A key is a hash of the content and its size. As the size stands in the name, a file that
is on its way counts in full from its beginning. No other file of the folder is touched.

Locks are the system's (``flock``). They belong to an open file, so one that is mapped
stays locked until the mapping is gone, and nothing stays locked when a process is. They
work between the processes of one machine: the folder should lie on a disk of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import mmap
import os
import re
import time
import weakref
from collections.abc import Iterator

from echoanom import storage
from echoanom.errors import CacheFullError

FOLDER = "ECHOANOM_CACHE"
"""The variable that names the folder."""

LIMIT_GIB = "ECHOANOM_CACHE_GIB"
"""The variable that gives the limit [GiB]."""

LOCK = ".echoanom-cache"

_NAME = re.compile(r"(?P<key>[0-9a-f]{32}-(?P<size>[0-9]{1,18}))\.(?P<kind>shard|part)")

# What a fork must not hand down: a lock ends when nobody has its file open any more.
_opened: weakref.WeakSet[io.FileIO] = weakref.WeakSet()


@dataclasses.dataclass(frozen=True)
class _File:
    key: str
    path: str
    size: int
    used_ns: int
    complete: bool


class Part:
    """A file on its way, locked for whoever fetches it.

    Parameters
    ----------
    key : str
        What it will hold.
    path : str
        Where to write.
    file : io.FileIO
        The file, opened and locked.
    """

    def __init__(self, key: str, path: str, file: io.FileIO) -> None:
        self.key = key
        self.path = path
        self.file = file

    def abandon(self) -> None:
        """Remove it, unless it has got its final name."""
        if not self.file.closed:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(self.path), os.fstat(self.file.fileno())):
                    os.unlink(self.path)
            _release(self.file)


class CacheFolder:
    """A folder of files, bounded in size.

    Parameters
    ----------
    folder : str
        A local folder, made if need be.
    limit_bytes : int
        What its files may take together [byte].

    Raises
    ------
    StorageError
        If it cannot be made or written.
    """

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        with self.locked():
            self._clean()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody else from looking for files, naming or removing them.

        Yields
        ------
        None
            Nothing. Every method that follows must be called within.

        Raises
        ------
        StorageError
            If the folder cannot be used, here or within.
        """
        with storage.storage_errors(self.folder, "keep shards in"):
            os.makedirs(self.folder, exist_ok=True)
            lock = _open(os.path.join(self.folder, LOCK), "ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                _release(lock)

    def use(self, key: str) -> mmap.mmap | None:
        """Map a complete file, as the one used last.

        Parameters
        ----------
        key : str
            What it holds.

        Returns
        -------
        mmap.mmap or None
            Its content, read-only. It is not evicted while this lives. None if it is
            not there.
        """
        path = self._path(key, "shard")
        try:
            file = _open(path, "rb")
        except FileNotFoundError:
            return None
        with file:
            # After a power failure the system may have lost an end of it.
            if os.fstat(file.fileno()).st_size != _size(key):
                os.unlink(path)
                return None
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            now = time.time_ns()  # the system's own clock of files is a coarse one
            os.utime(file.fileno(), ns=(now, now))
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def mark(self, key: str, used_ns: int) -> bool:
        """Say when a file counts as used last.

        Parameters
        ----------
        key : str
            What it holds.
        used_ns : int
            The time [ns since 1970-01-01 UTC]. Until then, if it is in the future, the
            file makes room only for files that are needed at once.

        Returns
        -------
        bool
            Whether it is there.
        """
        try:
            os.utime(self._path(key, "shard"), ns=(used_ns, used_ns))
        except FileNotFoundError:
            return False
        return True

    def is_coming(self, key: str) -> bool:
        """Tell whether somebody fetches a file.

        Parameters
        ----------
        key : str
            What it will hold.

        Returns
        -------
        bool
            True until it is complete, or given up.
        """
        path = self._path(key, "part")
        if (lock := _lock_unused(path)) is not None:
            os.unlink(path)
            _release(lock)
        return os.path.exists(path)

    def reserve(self, key: str, ahead: bool = False) -> Part | None:
        """Make room for a file that is neither there nor coming.

        Files that nobody uses give way, the least recently used first; then those that
        were fetched ahead, the one that is needed last first.

        Parameters
        ----------
        key : str
            What it will hold.
        ahead : bool
            Whether it is fetched ahead, and may not take the room of others that are.

        Returns
        -------
        Part or None
            Where to write it. None if there is no room now: another file is on its way
            and may give way later, or this one is fetched ahead.

        Raises
        ------
        CacheFullError
            If there will not be room.
        """
        files = self._clean()
        if not self._make_room(files, _size(key), ahead):
            if _size(key) > self.limit_bytes:
                raise self._full(key, "")
            if ahead or not all(file.complete for file in files):
                return None
            used = sum(file.size for file in files)
            raise self._full(key, f" while {_gib(used)} of it are in use")
        path = self._path(key, "part")
        file = _open(path, "x+b")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Part(key, path, file)

    def publish(self, part: Part) -> None:
        """Give a complete file its final name.

        Parameters
        ----------
        part : Part
            It must hold what its key says.
        """
        os.replace(part.path, self._path(part.key, "shard"))
        _release(part.file)

    def wait(self, key: str) -> None:
        """Wait until a file has come or is given up; the folder must not be locked.

        Parameters
        ----------
        key : str
            What it will hold.
        """
        with contextlib.suppress(FileNotFoundError):
            file = _open(self._path(key, "part"), "rb")
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
            finally:
                _release(file)

    def _path(self, key: str, kind: str) -> str:
        name = f"{key}.{kind}"
        assert _NAME.fullmatch(name), name
        return os.path.join(self.folder, name)

    def _files(self) -> Iterator[_File]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is None or not entry.is_file(follow_symlinks=False):
                    continue
                with contextlib.suppress(FileNotFoundError):  # given up just now
                    found = entry.stat(follow_symlinks=False)
                    yield _File(
                        match["key"],
                        entry.path,
                        max(int(match["size"]), found.st_size),
                        found.st_mtime_ns,
                        match["kind"] == "shard",
                    )

    def _clean(self) -> list[_File]:
        """Remove what processes left that ended while they fetched it; list the rest."""
        files = []
        for file in self._files():
            if not file.complete and (lock := _lock_unused(file.path)) is not None:
                os.unlink(file.path)
                _release(lock)
            else:
                files.append(file)
        return files

    def _make_room(self, files: list[_File], size: int, ahead: bool) -> bool:
        """Evict as much as is needed, or nothing if that is not enough."""
        missing = sum(file.size for file in files) + size - self.limit_bytes
        now = time.time_ns()
        used = [file for file in files if file.complete and file.used_ns <= now]
        used.sort(key=lambda file: file.used_ns)
        coming = [file for file in files if file.complete and file.used_ns > now]
        coming.sort(key=lambda file: -file.used_ns)
        leaving: list[tuple[str, io.FileIO]] = []
        try:
            for file in used if ahead else used + coming:
                if missing <= 0:
                    break
                if (lock := _lock_unused(file.path)) is not None:
                    leaving.append((file.path, lock))
                    missing -= file.size
            if missing <= 0:
                for path, _ in leaving:
                    os.unlink(path)
            return missing <= 0
        finally:
            for _, lock in leaving:
                _release(lock)

    def _full(self, key: str, why: str) -> CacheFullError:
        return CacheFullError(
            f"{self.folder} must have room for a shard of {_gib(_size(key))}, but may"
            f" hold {_gib(self.limit_bytes)} in all{why}; raise {LIMIT_GIB}"
        )


def _open(path: str, mode: str) -> io.FileIO:
    file = io.FileIO(path, mode)
    _opened.add(file)
    return file


def _lock_unused(path: str) -> io.FileIO | None:
    """Lock a file if nobody has; None if somebody has, or it is gone."""
    try:
        file = _open(path, "rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _release(file: io.FileIO) -> None:
    if not file.closed:
        # Closing does not unlock while a child that was just forked has it open, too.
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()


def _close_in_child() -> None:
    for file in list(_opened):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)


def _size(key: str) -> int:
    return int(key.partition("-")[2])


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
