"""Uploads in parts: in parallel, and whole or not at all.

Each part has its own attempts, with credentials that are renewed between them, so an
upload of hours does not start anew for what takes a moment.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import os
import zlib
from typing import Any

from echoanom import s3errors
from echoanom.errors import StorageError
from echoanom.s3requests import THREADS, payer, request, split, whole

PART_BYTES = 8 << 20
"""Size of a part, unless there would be too many."""

_MOST_PARTS = 10_000
_TRIES = 3
_SUM = "ChecksumCRC32"


class _Lost(Exception):
    """An upload is gone that may have been completed, or not."""


def upload_parts(url: str, path: str) -> None:
    """Write an object from a local file, in parts.

    Parameters
    ----------
    url : str
        The object.
    path : str
        The local file. It must not be empty.

    Raises
    ------
    ConflictError
        If somebody else removed the parts meanwhile.
    StorageError
        If it cannot be written. Parts that were uploaded are removed.
    """
    for left in reversed(range(_TRIES)):
        upload = request("write", url, _create)
        try:
            parts = _send(url, path, upload)
            _complete(url, upload, parts)
            return
        except BaseException as error:
            # Without a word of its own: the upload's error says more.
            with contextlib.suppress(StorageError):
                _abort(url, split(url)[1], upload)
            if not isinstance(error, _Lost):
                raise
            if not left:
                raise StorageError(
                    f"cannot write {url}: whether its upload was completed could not"
                    f" be found out, {_TRIES} times; run again"
                ) from error


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
        return [
            one for page in found for one in whole(page, "Bucket").get("Uploads", ())
        ]

    uploads = request("list", prefix, find)
    for one in uploads:
        _abort(prefix, one["Key"], one["UploadId"])
    return len(uploads)


def _create(s3: Any, at: dict[str, str]) -> str:
    made = s3.create_multipart_upload(**at, **_checked(s3))
    return str(whole(made, "UploadId")["UploadId"])


def _checked(s3: Any) -> dict[str, str]:
    """Return the arguments that let the store check what arrives."""
    if s3.meta.config.request_checksum_calculation == "when_required":
        return {}  # so users tell of stores that know no such checksums
    return {"ChecksumAlgorithm": "CRC32"}


def _send(url: str, path: str, upload: str) -> list[dict[str, Any]]:
    """Upload the parts; return what completes the upload."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        length = max(PART_BYTES, -(-size // _MOST_PARTS))
        told: set[str] = set()

        def send(number: int) -> dict[str, Any]:
            content = os.pread(file.fileno(), length, (number - 1) * length)

            def put(s3: Any, at: dict[str, str]) -> dict[str, Any]:
                sent = s3.upload_part(
                    **at,
                    **_checked(s3),
                    UploadId=upload,
                    PartNumber=number,
                    Body=content,
                )
                if _SUM in sent:
                    told.add(_SUM)
                return {"PartNumber": number, "ETag": whole(sent, "ETag")["ETag"]}

            part = request("write", url, put)
            # As boto3 computed it; an answer may have lost it.
            sum_ = zlib.crc32(content).to_bytes(4, "big")
            return {**part, _SUM: base64.b64encode(sum_).decode()}

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            try:
                parts = list(pool.map(send, range(1, -(-size // length) + 1)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    # A store that tells no sums of parts need not know what to do with them.
    return [{k: v for k, v in p.items() if k != _SUM or told} for p in parts]


def _complete(url: str, upload: str, parts: list[dict[str, Any]]) -> None:
    uncertain = False

    def complete(s3: Any, at: dict[str, str]) -> None:
        nonlocal uncertain
        try:
            done = s3.complete_multipart_upload(
                **at, UploadId=upload, MultipartUpload={"Parts": parts}
            )
            whole(done, "ETag")
        except Exception as error:
            if uncertain and s3errors.code(error) == "NoSuchUpload":
                raise _Lost from error
            uncertain = True
            raise

    try:
        request("write", url, complete)
    except StorageError as error:
        if isinstance(error.__cause__, _Lost):
            raise error.__cause__ from None
        raise


def _abort(url: str, key: str, upload: str) -> None:
    bucket, _ = split(url)

    def abort(s3: Any, at: dict[str, str]) -> None:
        with contextlib.suppress(s3.exceptions.NoSuchUpload):  # it ended meanwhile
            s3.abort_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload, **payer()
            )

    request("remove", url, abort)
