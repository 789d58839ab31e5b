"""What went wrong with an S3 store, in one line that says what to do about it.

boto3, s3fs and what they stand on raise errors of their own, one around the other. The
innermost says what happened. Nothing of a request is repeated but its object's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from echoanom.errors import ConflictError, StorageError
from echoanom.retries import ATTEMPTS, FEW_ATTEMPTS

UNDECIDED = "ConditionalRequestConflict"
"""The code for two conditional writes at the same moment: neither was carried out."""

MISSING = ("NoSuchKey", "404", "NotFound")
"""Codes for an object that is not there."""

CUT = "the answer ended early"

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_BUSY = (
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    UNDECIDED,
)
# An upload that is gone was removed by another conversion, at its end.
_CONFLICTS = ("PreconditionFailed", "412", "NoSuchUpload")
_REFUSED = {
    "InvalidAccessKeyId": "it does not know the access key",
    "SignatureDoesNotMatch": "the secret key is not that of the access key",
    "InvalidToken": "the session token is not valid",
    "InvalidSecurity": "they are not valid",
}


# What libraries say of a broken connection holds the whole request. By parts of their
# errors' names, the first that fits:
_BROKEN = {
    "Timeout": "nothing came any more, for too long",
    "IncompleteRead": CUT,
    "ResponseStreaming": CUT,
    "ClientPayload": CUT,
    "ResponseParser": "an answer that is not XML as it must be",
    "Checksum": "the content's checksum was wrong",
    "BrokenPipe": "the connection was reset",
    "ConnectionReset": "the connection was reset",
    "ConnectionClosed": "the connection was closed before an answer",
    "RemoteDisconnected": "the connection was closed before an answer",
    "ServerDisconnected": "the connection was closed before an answer",
}
_ANONYMOUS = "ECHOANOM_S3_ANONYMOUS=1"


def code(error: BaseException) -> str:
    """Return the store's code of an error.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    str
        E.g. ``NoSuchKey``, or an HTTP status such as ``404`` where the answer had no
        body; empty if the store did not answer.
    """
    for one in _chain(error):
        answer = getattr(one, "response", None)
        if isinstance(answer, dict) and "Error" in answer:
            return str(answer["Error"].get("Code", ""))
    return ""


def is_expired(error: BaseException) -> bool:
    """Tell whether the credentials are past their time.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    bool
        True if newer ones may do.
    """
    # The answer to HEAD has no body that would say so.
    return code(error) in (*_EXPIRED, "400")


def is_conflict(error: BaseException) -> bool:
    """Tell whether a request's condition did not hold.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    bool
        True if another writer was there before.
    """
    return code(error) in _CONFLICTS


def worth(error: BaseException) -> int:
    """Tell how many attempts a request is worth that ended with an error.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    int
        Many if the store was too busy or broken for an answer, or the connection broke
        or stalled; a few if nobody answers at all, or credentials ran out and newer
        ones may be there; 1 for the rest.
    """
    if is_expired(error) or _is_unanswered(error):
        return FEW_ATTEMPTS
    return ATTEMPTS if _passes(error) else 1


def _passes(error: BaseException) -> bool:
    import aiohttp
    import botocore.exceptions
    import botocore.parsers
    import urllib3.exceptions

    if isinstance(error, StorageError):
        return False
    found = code(error)
    if found:
        return found in _BUSY or _status(error) in (429, 500, 502, 503, 504)
    broken = (
        botocore.exceptions.ConnectionError,
        botocore.exceptions.HTTPClientError,
        botocore.exceptions.ResponseStreamingError,
        botocore.exceptions.IncompleteReadError,
        botocore.exceptions.FlexibleChecksumError,
        botocore.parsers.ResponseParserError,
        urllib3.exceptions.HTTPError,
        aiohttp.ClientError,
        ConnectionError,
        TimeoutError,
    )
    return any(isinstance(one, broken) for one in _chain(error))


def explain(error: BaseException, doing: str, url: str) -> StorageError:
    """Put an error into one line.

    Parameters
    ----------
    error : BaseException
        What boto3 or s3fs raised.
    doing : str
        The verb, e.g. ``read``.
    url : str
        The object or folder.

    Returns
    -------
    StorageError
        Says what could not be done, why, and what may help.
    """
    kind = ConflictError if is_conflict(error) else StorageError
    return kind(f"cannot {doing} {url}: {_reason(error, url)}")


def _reason(error: BaseException, url: str) -> str:
    bucket = url.partition("://")[2].partition("/")[0]
    found = code(error)
    names = [type(one).__name__ for one in _chain(error)]
    if found in _CONFLICTS:
        return (
            "another writer changed it meanwhile; look at what is there, and run again"
        )
    if found == "NoSuchBucket":
        return f"the bucket {bucket} does not exist"
    if found in MISSING:
        return "it does not exist"
    if found in _REFUSED:
        return (
            f"the store refuses the credentials: {_REFUSED[found]} ({found}); check"
            " AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
        )
    if found in _EXPIRED:
        return f"the credentials have expired ({found}); sign in again"
    if found in ("AccessDenied", "403", "AllAccessDisabled"):
        return (
            "the store denies access; it must be granted to these credentials, or a"
            f" public bucket be read without any ({_ANONYMOUS})"
        )
    if found == "400":
        return (
            "the store refuses the request (400); check whether the credentials have"
            " expired, and AWS_DEFAULT_REGION"
        )
    if found in ("PermanentRedirect", "301", "AuthorizationHeaderMalformed"):
        region = _header(error, "x-amz-bucket-region")
        where = f"in the region {region}" if region else "in another region"
        return f"the bucket {bucket} is {where}; set AWS_DEFAULT_REGION to it"
    if any("NoCredentials" in name or "PartialCredentials" in name for name in names):
        return (
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or read a public"
            f" bucket without ({_ANONYMOUS})"
        )
    if "ParamValidationError" in names and "bucket name" in str(error):
        return f"no bucket can have the name {bucket}"
    if _is_unanswered(error):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get(
            "AWS_ENDPOINT_URL", "the store's address"
        )
        return f"nothing answers at {endpoint}; check AWS_ENDPOINT_URL and the network"
    if _passes(error):
        return f"the store failed, again and again, last with: {_said(error)}"
    return _said(error)


def _said(error: BaseException) -> str:
    found, status = code(error), _status(error)
    if found:
        return f"{found} ({status})" if status and found != str(status) else found
    names = " ".join(type(one).__name__ for one in _chain(error))
    for part, text in _BROKEN.items():
        if part in names:
            return text
    innermost = list(_chain(error))[-1]
    return str(innermost).strip().partition("\n")[0] or type(innermost).__name__


def _is_unanswered(error: BaseException) -> bool:
    import botocore.exceptions

    silent = (
        botocore.exceptions.EndpointConnectionError,
        botocore.exceptions.ConnectTimeoutError,
    )
    chain = list(_chain(error))
    # aiobotocore says the same of a connection that was made, and broke.
    broken = any(
        isinstance(one, ConnectionResetError | BrokenPipeError) for one in chain
    )
    return not broken and any(isinstance(one, silent) for one in chain)


def _status(error: BaseException) -> int:
    for one in _chain(error):
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):
            return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def _header(error: BaseException, name: str) -> str:
    for one in _chain(error):
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):
            headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return str(headers.get(name, ""))
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those it came of, outermost first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
