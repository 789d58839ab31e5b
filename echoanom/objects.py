"""Objects of an S3 store: read in parallel ranges, written whole or not at all.

What is small and rare, such as listing a folder, goes through fsspec's s3fs (`storage`
does that). What carries data, or a condition, goes through boto3 here: its transfer
manager reads one object in threads of ranged GETs and aborts an upload of many parts
that fails, and a conditional PUT decides between two writers.

Credentials, region and endpoint are those of every AWS tool: environment, shared files,
container or instance. ``ECHOANOM_S3_ANONYMOUS=1`` sends none, for public buckets;
``ECHOANOM_S3_REQUESTER_PAYS=1`` agrees to pay for the transfer.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from echoanom import s3errors
from echoanom.errors import StorageError
from echoanom.retries import ATTEMPTS, attempt

Result = TypeVar("Result")

ANONYMOUS = "ECHOANOM_S3_ANONYMOUS"
REQUESTER_PAYS = "ECHOANOM_S3_REQUESTER_PAYS"

PART_BYTES = 8 << 20
"""Size of the ranges that are read, and of the parts that are uploaded, in parallel."""

THREADS = 8
_AHEAD = 4
CONNECT_S = 5
SILENCE_S = 20
_CHUNK_BYTES = 1 << 20


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


def switched_on(name: str) -> bool:
    """Read a switch from the environment.

    Parameters
    ----------
    name : str
        `ANONYMOUS` or `REQUESTER_PAYS`.

    Returns
    -------
    bool
        False if it is not set, or to 0, no or false.
    """
    return os.environ.get(name, "").lower() not in ("", "0", "no", "false")


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
    found = _request("read", url, lambda s3, at: s3.head_object(**at))
    return ObjectInfo(
        url=url,
        size=found["ContentLength"],
        etag=found["ETag"],
        modified_s=found["LastModified"].timestamp(),
    )


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
    more = {} if etag is None else {"IfMatch": etag}
    if begin or size is not None:
        last = "" if size is None else str(begin + size - 1)
        more["Range"] = f"bytes={begin}-{last}"

    def get(s3: Any, at: dict[str, str]) -> tuple[bytes, str]:
        try:
            answer = s3.get_object(**at, **more)
        except s3.exceptions.ClientError as error:
            if s3errors.code(error) == "InvalidRange":  # it ends before
                return b"", s3.head_object(**at)["ETag"]
            raise
        with answer["Body"] as body:
            return body.read(), answer["ETag"]

    return _request("read", url, get)


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

    def get(s3: Any, at: dict[str, str]) -> None:
        place = {"Bucket": at.pop("Bucket"), "Key": at.pop("Key")}
        with open(path, "wb") as file:
            s3.download_fileobj(**place, Fileobj=file, ExtraArgs=at, Config=_transfer())

    _request("read", url, get)


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

    def put(s3: Any, at: dict[str, str]) -> None:
        place = {"Bucket": at.pop("Bucket"), "Key": at.pop("Key")}
        s3.upload_file(path, **place, ExtraArgs=at, Config=_transfer())

    _request("write", url, put)


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
            uncertain = uncertain or s3errors.code(error) != s3errors.UNDECIDED
            raise

    _request("write", url, put, conditional=bool(condition))


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
        page = _request(
            "list",
            prefix,
            lambda s3, at: s3.list_objects_v2(**place, **_payer()),
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


def abort_uploads(prefix: str) -> int:
    """Remove the parts of uploads that never came to an end.

    Parameters
    ----------
    prefix : str
        What the URLs of their objects begin with.

    Returns
    -------
    int
        How many uploads there were.

    Raises
    ------
    StorageError
        If they cannot be listed or removed.
    """
    bucket, start = split(prefix)

    def find(s3: Any, at: dict[str, str]) -> list[dict[str, Any]]:
        pages = s3.get_paginator("list_multipart_uploads")
        found = pages.paginate(Bucket=bucket, Prefix=start)
        return [upload for page in found for upload in page.get("Uploads", ())]

    uploads = _request("list", prefix, find)
    for one in uploads:

        def abort(s3: Any, at: dict[str, str], one: dict[str, Any] = one) -> None:
            place = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}
            with contextlib.suppress(s3.exceptions.NoSuchUpload):  # it ended meanwhile
                s3.abort_multipart_upload(**place)

        _request("remove", prefix, abort)
    return len(uploads)


class ObjectStream(io.RawIOBase):
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
        self.name = url
        self._pool = concurrent.futures.ThreadPoolExecutor(_AHEAD, "echoanom-object")
        self._begins = iter(range(0, info.size, part_bytes))
        self._fetch = functools.partial(read, url, size=part_bytes, etag=info.etag)
        self._parts: collections.deque[concurrent.futures.Future[tuple[bytes, str]]] = (
            collections.deque()
        )
        self._left = memoryview(b"")
        for _ in range(_AHEAD):
            self._ask()

    def readable(self) -> bool:
        """Tell that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def readinto(self, buffer: Any) -> int:
        """Read on.

        Parameters
        ----------
        buffer : writable buffer
            Takes the bytes.

        Returns
        -------
        int
            How many it took; 0 at the end.
        """
        if not self._left and self._parts:
            self._left = memoryview(self._parts.popleft().result()[0])
            self._ask()
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Fetch no more."""
        if not self.closed:
            self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _ask(self) -> None:
        begin = next(self._begins, None)
        if begin is not None:
            self._parts.append(self._pool.submit(self._fetch, begin))


def split(url: str) -> tuple[str, str]:
    """Take an S3 URL apart.

    Parameters
    ----------
    url : str
        The URL.

    Returns
    -------
    bucket, key : str
        Its parts; the key is empty for a bucket.

    Raises
    ------
    StorageError
        If it names no bucket.
    """
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket:
        raise StorageError(f"an S3 URL must be s3://<bucket>/<key>, got {url}")
    return bucket, key


def _request(
    doing: str,
    url: str,
    call: Callable[[Any, dict[str, str]], Result],
    conditional: bool = False,
) -> Result:
    """Do one request, again if need be, and say in one line what went wrong."""
    bucket, key = split(url)

    def once() -> Result:
        s3 = _client(os.getpid(), switched_on(ANONYMOUS), conditional)
        try:
            return call(s3, {"Bucket": bucket, "Key": key, **_payer()})
        except Exception as error:
            if s3errors.is_expired(error):
                forget_clients()  # what the next one finds may be newer
            raise

    try:
        return attempt(once, s3errors.worth, f"to {doing} {url}")
    except StorageError:
        raise
    except Exception as error:
        raise s3errors.explain(error, doing, url) from error


def forget_clients() -> None:
    """Let the environment decide anew how stores are reached."""
    _client.cache_clear()


def _payer() -> dict[str, str]:
    return {"RequestPayer": "requester"} if switched_on(REQUESTER_PAYS) else {}


@functools.cache
def _client(process: int, anonymous: bool, conditional: bool) -> Any:
    # One a process: connections do not survive a fork. Of a conditional request only
    # `write` knows whether it may be tried again.
    import boto3
    import botocore
    import botocore.config

    config = botocore.config.Config(
        connect_timeout=CONNECT_S,
        read_timeout=SILENCE_S,
        retries={"mode": "standard", "total_max_attempts": 1 if conditional else 3},
        max_pool_connections=4 * THREADS,
        tcp_keepalive=True,
        **({"signature_version": botocore.UNSIGNED} if anonymous else {}),
    )
    return boto3.session.Session().client("s3", config=config)


@functools.cache
def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=2 * PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_concurrency=THREADS,
        num_download_attempts=ATTEMPTS,
        io_chunksize=_CHUNK_BYTES,
    )
