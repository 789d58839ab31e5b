"""Objects of an S3 store: read in parallel ranges, written whole or not at all.

What is small and rare goes through fsspec's s3fs (`storage` does that). What carries
data, or a condition, goes through boto3 here: one object is read and written in several
threads, each part with its own attempts; a conditional PUT decides between writers.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

from echoanom import s3errors
from echoanom.errors import ConflictError, StorageError
from echoanom.multipart import PART_BYTES, upload_parts
from echoanom.partstream import PartStream
from echoanom.s3requests import THREADS, payer, request, require_key, split, whole
from echoanom.unwaited import call_each

_TOLD = ("ContentLength", "ETag", "LastModified")


@dataclasses.dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object.

    Attributes
    ----------
    url : str
        The object.
    size : int
        Size [byte].
    etag : str
        Changes with the content.
    modified_s : float
        When it was written, by the store's clock [s since 1970-01-01 UTC].
    """

    url: str
    size: int
    etag: str
    modified_s: float


def is_object(path: str) -> bool:
    """Tell whether a path is an S3 URL.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    bool
        True for ``s3://`` and ``s3a://``.
    """
    return path.startswith(("s3://", "s3a://"))


def describe(url: str) -> ObjectInfo:
    """Ask for an object's size, tag and time.

    Parameters
    ----------
    url : str
        The object.

    Returns
    -------
    ObjectInfo
        What the store says.

    Raises
    ------
    StorageError
        If there is no such object, or it cannot be asked for.
    """
    return _read(url, 0, 1)[1]


def read(
    url: str, begin: int = 0, size: int | None = None, etag: str | None = None
) -> tuple[bytes, str]:
    """Read an object, or a range of it, in one request.

    Parameters
    ----------
    url : str
        The object.
    begin : int
        First byte.
    size : int, optional
        How many, at most [byte]; all if left out.
    etag : str, optional
        What the object's tag must be.

    Returns
    -------
    content : bytes
        What is there; empty if the object ends before.
    etag : str
        The object's tag.

    Raises
    ------
    StorageError
        If it cannot be read, or is another object by now.
    """
    content, found = _read(url, begin, size, etag)
    return content, found.etag


def _read(
    url: str, begin: int = 0, size: int | None = None, etag: str | None = None
) -> tuple[bytes, ObjectInfo]:
    require_key(url)
    more = {} if etag is None else {"IfMatch": etag}
    ranged = begin > 0 or size is not None
    if ranged:
        last = "" if size is None else str(begin + size - 1)
        more["Range"] = f"bytes={begin}-{last}"

    def get(s3: Any, at: dict[str, str]) -> tuple[bytes, ObjectInfo]:
        try:
            answer = whole(s3.get_object(**at, **more), *_TOLD)
        except s3.exceptions.ClientError as error:
            if s3errors.code(error) == "InvalidRange":  # it ends before
                return b"", _info(url, whole(s3.head_object(**at), *_TOLD))
            raise
        with answer["Body"] as body:
            content = body.read()
        if len(content) != answer["ContentLength"]:
            raise ConnectionError(s3errors.CUT)
        return content, _info(url, answer)

    return request("read", url, get)


def _info(url: str, answer: Mapping[str, Any]) -> ObjectInfo:
    _, _, total = answer.get("ContentRange", "").rpartition("/")
    return ObjectInfo(
        url=url,
        size=int(total or answer["ContentLength"]),
        etag=answer["ETag"],
        modified_s=answer["LastModified"].timestamp(),
    )


def download(url: str, path: str) -> None:
    """Read an object into a local file, in parallel ranges.

    Parameters
    ----------
    url : str
        The object.
    path : str
        The file. It may hold anything if this fails.

    Raises
    ------
    StorageError
        If it cannot be read, or is replaced meanwhile.
    """

    # One request is enough for most, and all of a small one.
    head, found = _read(url, 0, 2 * PART_BYTES)
    try:
        file = _SharedFile(path)

        def fetch(begin: int) -> None:
            file.write(begin, _read(url, begin, PART_BYTES, found.etag)[0])

        file.write(0, head)
        call_each(fetch, range(len(head), found.size, PART_BYTES), THREADS)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


class _SharedFile:
    """A file that the last one who holds it closes: threads may outlast a failure."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def write(self, begin: int, content: bytes) -> None:
        left = memoryview(content)
        while left:
            written = os.pwrite(self._handle, left, begin)
            begin, left = begin + written, left[written:]


def upload(url: str, path: str) -> None:
    """Write an object from a local file: whole, or not at all.

    Parameters
    ----------
    url : str
        The object.
    path : str
        The local file.

    Raises
    ------
    StorageError
        If it cannot be written. Parts that were uploaded are removed.
    """

    try:
        if os.path.getsize(path) >= 2 * PART_BYTES:
            upload_parts(url, path)
            return
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    write(url, content)


def write(
    url: str, content: bytes, *, absent: bool = False, etag: str | None = None
) -> None:
    """Write an object in one request, on a condition if one is given.

    Parameters
    ----------
    url : str
        The object.
    content : bytes
        What it shall hold.
    absent : bool
        Write only if there is no such object.
    etag : str, optional
        Write only over the object with this tag.

    Raises
    ------
    ConflictError
        If the condition does not hold.
    StorageError
        If it cannot be written.
    """
    require_key(url)
    condition: dict[str, str] = {}
    if absent:
        condition = {"IfNoneMatch": "*"}
    elif etag is not None:
        condition = {"IfMatch": etag}
    uncertain = False

    def put(s3: Any, at: dict[str, str]) -> None:
        nonlocal uncertain
        try:
            s3.put_object(**at, **condition, Body=content)
        except Exception as error:
            # An attempt whose answer was lost may have been carried out.
            if s3errors.is_conflict(error) and uncertain and read(url)[0] == content:
                return
            if etag is not None and s3errors.code(error) in s3errors.MISSING:
                raise ConflictError(
                    f"cannot write {url}: another writer removed it meanwhile; run"
                    " again"
                ) from error
            uncertain = True
            raise

    request("write", url, put)


def list_objects(
    prefix: str, after: str = "", last: str | None = None
) -> Iterator[ObjectInfo]:
    """List a folder's objects in the order of their names, no more than asked for.

    Parameters
    ----------
    prefix : str
        What their URLs begin with. What lies in folders below is left out.
    after : str
        Names (what follows the prefix) up to this one are not asked for.
    last : str, optional
        Listing ends behind this name.

    Yields
    ------
    ObjectInfo
        One after the other.

    Raises
    ------
    StorageError
        If the bucket cannot be listed.
    """
    bucket, start = split(prefix)
    scheme = prefix.partition("://")[0]
    place: dict[str, Any] = {"Bucket": bucket, "Prefix": start, "Delimiter": "/"}
    if after:
        place["StartAfter"] = start + after
    while True:
        page = request(
            "list",
            prefix,
            lambda s3, at: whole(s3.list_objects_v2(**place, **payer()), "Name"),
        )
        for entry in page.get("Contents", ()):
            if last is not None and entry["Key"] > start + last:
                return
            yield ObjectInfo(
                url=f"{scheme}://{bucket}/{entry['Key']}",
                size=entry["Size"],
                etag=entry["ETag"],
                modified_s=entry["LastModified"].timestamp(),
            )
        if not page.get("IsTruncated"):
            return
        place["ContinuationToken"] = page["NextContinuationToken"]


class ObjectStream(PartStream):
    """An object as a file that is read once, in order, with ranges fetched ahead.

    Parameters
    ----------
    url : str
        The object.
    part_bytes : int
        Size of a range [byte].

    Raises
    ------
    StorageError
        If there is no such object.
    """

    def __init__(self, url: str, part_bytes: int = PART_BYTES) -> None:
        info = describe(url)

        def fetch(begin: int) -> bytes:
            return read(url, begin, part_bytes, info.etag)[0]

        begins = range(0, info.size, part_bytes)
        super().__init__(url, (functools.partial(fetch, begin) for begin in begins))
