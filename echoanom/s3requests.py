"""Requests to an S3 store: who asks, and how often.

Credentials, region and endpoint are those of every AWS tool: environment, shared files,
container or instance. ``ECHOANOM_S3_ANONYMOUS=1`` sends none, for public buckets;
``ECHOANOM_S3_REQUESTER_PAYS=1`` agrees to pay for the transfer.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from echoanom import s3errors
from echoanom.errors import StorageError
from echoanom.retries import attempt

Result = TypeVar("Result")

ANONYMOUS = "ECHOANOM_S3_ANONYMOUS"
REQUESTER_PAYS = "ECHOANOM_S3_REQUESTER_PAYS"

THREADS = 8
"""Ranges of an object that are read, and parts that are written, at a time."""

CONNECT_S = 5
SILENCE_S = 20


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
        If it names no bucket, or holds a password.
    """
    bucket, _, key = url.partition("://")[2].partition("/")
    if not bucket:
        raise StorageError(f"an S3 URL must be s3://<bucket>/<key>, got {url}")
    if "@" in bucket:  # or libraries would repeat it in their errors
        raise StorageError(
            "an S3 URL must be s3://<bucket>/<key>, without user and password; set"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return bucket, key


def require_key(url: str) -> None:
    """Refuse the URL of a bucket where that of an object must be.

    Parameters
    ----------
    url : str
        The URL.

    Raises
    ------
    StorageError
        If it names no object.
    """
    if not split(url)[1]:
        raise StorageError(
            f"the URL of an object must be s3://<bucket>/<key>, got {url}"
        )


def request(
    doing: str, url: str, call: Callable[[Any, dict[str, str]], Result]
) -> Result:
    """Do one request, again if need be, and say in one line what went wrong.

    Parameters
    ----------
    doing : str
        The verb for the message, e.g. ``read``.
    url : str
        The object, or what the URLs of several begin with.
    call : callable
        Does the request. Gets a client of boto3, and bucket, key and who pays as its
        arguments.

    Returns
    -------
    object
        What the call returned.

    Raises
    ------
    ConflictError
        If the request's condition does not hold.
    StorageError
        If the request fails for good, or again and again.
    """
    bucket, key = split(url)

    def once() -> Result:
        anonymous = switched_on(ANONYMOUS)
        s3 = _client(os.getpid(), anonymous)
        try:
            return call(s3, {"Bucket": bucket, "Key": key, **payer()})
        except Exception as error:
            # What the next client finds may be newer, if no thread has made one yet.
            if s3errors.is_expired(error) and s3 is _client(os.getpid(), anonymous):
                forget_clients()
            raise

    try:
        return attempt(once, s3errors.worth, f"to {doing} {url}")
    except StorageError:
        raise
    except Exception as error:
        raise s3errors.explain(error, doing, url) from error


def whole(answer: Mapping[str, Any], *fields: str) -> Mapping[str, Any]:
    """Require of an answer what every whole one has.

    A connection that ends within an answer's head goes unnoticed below, also in the
    middle of a value.

    Parameters
    ----------
    answer : mapping
        What a client of boto3 returned.
    *fields : str
        What it must have.

    Returns
    -------
    mapping
        The answer.

    Raises
    ------
    ConnectionError
        If a field is missing, or a tag is not whole.
    """
    missing = any(field not in answer for field in fields)
    if missing or answer.get("ETag", "").count('"') % 2:
        raise ConnectionError(s3errors.CUT)
    return answer


def payer() -> dict[str, str]:
    """Return the arguments of a request that say who pays for it.

    Returns
    -------
    dict
        Empty if the bucket's owner does.
    """
    return {"RequestPayer": "requester"} if switched_on(REQUESTER_PAYS) else {}


def forget_clients() -> None:
    """Let the environment decide anew how stores are reached."""
    _client.cache_clear()


@functools.cache
def _client(process: int, anonymous: bool) -> Any:
    # One a process: connections do not survive a fork.
    import boto3
    import botocore
    import botocore.config

    config = botocore.config.Config(
        connect_timeout=CONNECT_S,
        read_timeout=SILENCE_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=4 * THREADS,
        tcp_keepalive=True,
        **({"signature_version": botocore.UNSIGNED} if anonymous else {}),
    )
    return boto3.session.Session().client("s3", config=config)
