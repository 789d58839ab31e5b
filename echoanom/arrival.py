"""Fetch one shard into a local file, and make sure that it is what was asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import re
from collections.abc import Callable, Iterator

from echoanom import objects, s3errors, storage
from echoanom.cachefolder import FOLDER, LIMIT_GIB, Part
from echoanom.errors import CorruptionError, ManifestError, StorageError
from echoanom.hashing import hash_file

Download = Callable[[str, str], None]
"""Writes what a URL holds into the file of a path, which is there."""

_TRIES = 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MISSING = ("NoSuchKey", "NotFound", "404")

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A shard to be read.

    Attributes
    ----------
    url : str
        Where it is.
    size : int
        Its size [byte].
    hash : str
        XXH3-128 of its content, in hexadecimal.

    Raises
    ------
    ManifestError
        If size or hash cannot be one.
    """

    url: str
    size: int
    hash: str

    def __post_init__(self) -> None:
        # They become a file's name.
        if not re.fullmatch("[0-9a-f]{32}", self.hash):
            raise ManifestError(
                f"{self.url}: a hash must be 32 hexadecimal digits, got {self.hash!r}"
            )
        if not 0 <= self.size < 10**18:
            raise ManifestError(f"{self.url}: a shard cannot have {self.size} bytes")

    @property
    def key(self) -> str:
        """Name of its content, wherever it is."""
        return f"{self.hash}-{self.size}"


def fetch(url: str, path: str) -> None:
    """Read a file or object into a local file.

    Parameters
    ----------
    url : str
        What to read.
    path : str
        The file.

    Raises
    ------
    StorageError, OSError
        If it cannot be read.
    """
    if objects.is_object(url):
        objects.download(url, path)
        return
    filesystem, inner = storage.filesystem(url)
    filesystem.get_file(inner, path)


def fill(part: Part, wanted: Wanted, download: Download) -> None:
    """Fetch a shard and check it.

    Parameters
    ----------
    part : Part
        Takes the shard. It is abandoned if this fails.
    wanted : Wanted
        The shard.
    download : callable
        Fetches it.

    Raises
    ------
    CorruptionError
        If it is missing, or twice not what it should be.
    StorageError
        If it cannot be fetched, or the disk is full.
    """
    with abandoned(part):
        for left in reversed(range(_TRIES)):
            with _explained(wanted, part):
                download(wanted.url, part.path)
                wrong = _difference(wanted, part)
                if wrong is None:
                    return
                part.file.truncate(0)
            if not left:
                raise CorruptionError(
                    f"{wanted.url}: {wrong}, each of {_TRIES} times it was fetched;"
                    " convert again"
                )
            logger.info("%s: %s; it is fetched again", wanted.url, wrong)


@contextlib.contextmanager
def abandoned(part: Part) -> Iterator[None]:
    """Leave nothing behind of a part that fails to get its final name.

    Parameters
    ----------
    part : Part
        The part.

    Yields
    ------
    None
        Nothing.
    """
    try:
        yield
    except BaseException:
        part.abandon()
        raise


def is_full(error: BaseException) -> bool:
    """Tell whether an error came of a full disk.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    bool
        True if the disk, a quota or a limit on a file's size was in the way.
    """
    return any(getattr(cause, "errno", None) in _FULL for cause in _causes(error))


@contextlib.contextmanager
def _explained(wanted: Wanted, part: Part) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        folder = os.path.dirname(part.path)
        for cause in _causes(error):
            if isinstance(cause, OSError) and cause.errno in _FULL:
                raise StorageError(
                    f"{folder} must have room for {wanted.url}, of {wanted.size} bytes,"
                    f" but: {cause.strerror}; lower {LIMIT_GIB}, or let {FOLDER} name a"
                    " folder on a larger disk"
                ) from cause
            if isinstance(cause, OSError) and cause.filename == part.path:
                raise StorageError(
                    f"cannot keep shards in {folder}: {cause.strerror}"
                ) from cause
            if _is_missing(cause):
                raise CorruptionError(
                    f"{wanted.url}: the shard is missing; convert again"
                ) from cause
        with storage.storage_errors(wanted.url, "read"):
            raise


def _difference(wanted: Wanted, part: Part) -> str | None:
    """Say in what a part differs from what is wanted."""
    size = os.fstat(part.file.fileno()).st_size
    if size != wanted.size:
        return f"the shard must have {wanted.size} bytes, has {size}"
    # A file that stayed open would stay locked.
    part.file.seek(0)
    _, found = hash_file(part.file)
    if found != wanted.hash:
        return f"the shard must have hash {wanted.hash}, has {found}"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def _is_missing(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError):
        return True
    return hasattr(error, "response") and s3errors.code(error) in _MISSING
