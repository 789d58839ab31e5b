"""Calls to AWS: who asks, what is checked before, and how a failure is told.

Credentials, region and addresses are those of every AWS tool; ``AWS_ENDPOINT_URL_SAGEMAKER``
and ``AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`` name another control plane and other endpoints.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from echoanom import s3requests
from echoanom.cloud.shapes import check_request
from echoanom.errors import CloudError
from echoanom.redaction import redact

Result = TypeVar("Result")

ATTEMPTS = 8
"""How often a call is made that is throttled, or not answered."""

_CONNECT_S = 5
_SILENCE_S = 70  # an endpoint may take a minute to answer
_MISSING = re.compile(r"could not find|not found|does not exist", re.IGNORECASE)
_MISSING_CODES = ("ResourceNotFound", "ResourceNotFoundException")
_CREDENTIALS = (
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
)
_EXPIRED = ("ExpiredToken", "ExpiredTokenException")
_DENIED = ("AccessDeniedException", "AccessDenied")


class Cloud:
    """Clients of AWS's services, made when they are first asked.

    Parameters
    ----------
    session : boto3.session.Session, optional
        Where region and credentials come from; the environment's if left out.
    """

    def __init__(self, session: Any = None) -> None:
        self._session = session

    @functools.cached_property
    def session(self) -> Any:
        """The session of boto3."""
        if self._session is not None:
            return self._session
        import boto3
        import botocore.exceptions

        try:
            return boto3.session.Session()
        except botocore.exceptions.BotoCoreError as error:
            raise explain(error, "use the profile") from None

    @property
    def region(self) -> str:
        """The region that jobs and endpoints run in."""
        region = self.session.region_name
        if not region:
            raise CloudError(
                "a region must be named, such as eu-west-1, but none is; set"
                " AWS_DEFAULT_REGION"
            )
        return str(region)

    def client(self, service: str) -> Any:
        """Return the client of a service.

        Parameters
        ----------
        service : str
            Its name in boto3.

        Returns
        -------
        botocore.client.BaseClient
            The same one each time.

        Raises
        ------
        CloudError
            If there is no region, or none of this name.
        """
        return self._clients(service)

    @functools.cached_property
    def _clients(self) -> Callable[[str], Any]:
        import botocore.config
        import botocore.exceptions

        config = botocore.config.Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_SILENCE_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )

        @functools.cache
        def make(service: str) -> Any:
            try:
                return self.session.client(
                    service, region_name=self.region, config=config
                )
            except (botocore.exceptions.BotoCoreError, ValueError) as error:
                raise explain(error, f"reach {service}") from None

        return make

    def call(
        self, operation: str, service: str = "sagemaker", **request: Any
    ) -> Mapping[str, Any]:
        """Check a request, and send it.

        Parameters
        ----------
        operation : str
            E.g. ``CreateTrainingJob``.
        service : str
            The service's name in boto3.
        **request : object
            The request.

        Returns
        -------
        mapping
            The answer.

        Raises
        ------
        CloudError
            If the request is wrong, refused, or not answered.
        """
        import botocore.exceptions

        check_request(operation, request, service)
        try:
            return self._send(operation, service, request)
        except (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        ) as error:
            raise explain(error, operation) from None

    def find(self, operation: str, **request: Any) -> Mapping[str, Any] | None:
        """Send a request about something that may not exist.

        Parameters
        ----------
        operation : str
            E.g. ``DescribeEndpoint``.
        **request : object
            The request.

        Returns
        -------
        mapping or None
            The answer; None if there is no such thing.

        Raises
        ------
        CloudError
            If the request is wrong, refused for another reason, or not answered.
        """
        import botocore.exceptions

        check_request(operation, request)
        try:
            return self._send(operation, "sagemaker", request)
        except (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        ) as error:
            if is_missing(error):
                return None
            raise explain(error, operation) from None

    def pages(
        self, operation: str, field: str, **request: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Send a request that lists something, until there is no more.

        Parameters
        ----------
        operation : str
            E.g. ``ListEndpoints``.
        field : str
            Where the answer has the list.
        **request : object
            The request.

        Yields
        ------
        mapping
            An entry after the other.

        Raises
        ------
        CloudError
            If the request is wrong, refused, or not answered.
        """
        while True:
            answer = self.call(operation, **request)
            yield from answer.get(field, ())
            if not answer.get("NextToken"):
                return
            request["NextToken"] = answer["NextToken"]

    def _send(
        self, operation: str, service: str, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        from botocore import xform_name

        answer: Mapping[str, Any] = getattr(
            self.client(service), xform_name(operation)
        )(**request)
        return answer


def is_missing(error: BaseException) -> bool:
    """Tell whether what was asked for does not exist.

    Parameters
    ----------
    error : BaseException
        What a client raised.

    Returns
    -------
    bool
        True if so. SageMaker mostly says it in the words of a ValidationException.
    """
    code, message = _said(error)
    return code in _MISSING_CODES or (
        code in ("ValidationException", "ValidationError")
        and bool(_MISSING.search(message))
    )


def explain(error: BaseException, doing: str) -> CloudError:
    """Put an error of boto3 into one line.

    Parameters
    ----------
    error : BaseException
        What was raised.
    doing : str
        What was to be done.

    Returns
    -------
    CloudError
        Says what could not be done, why, and what may help.
    """
    return CloudError(redact(f"cannot {doing}: {_reason(error)}"))


def _reason(error: BaseException) -> str:
    import botocore.exceptions

    code, message = _said(error)
    if code in _CREDENTIALS:
        return (
            f"the credentials are refused ({code}); check AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
        )
    if code in _EXPIRED:
        return f"the credentials have expired ({code}); sign in again"
    if code in _DENIED:
        return f"access is denied: {message}"
    if code:
        return f"{message} ({code})" if message else code
    if isinstance(
        error,
        botocore.exceptions.NoCredentialsError
        | botocore.exceptions.PartialCredentialsError,
    ):
        return (
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE"
        )
    if isinstance(
        error,
        botocore.exceptions.EndpointConnectionError
        | botocore.exceptions.ConnectTimeoutError,
    ):
        url = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER") or "the service's address"
        return (
            f"nothing answers at {url}; check AWS_DEFAULT_REGION,"
            " AWS_ENDPOINT_URL_SAGEMAKER and the network"
        )
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _said(error: BaseException) -> tuple[str, str]:
    """Return the service's code and message."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return "", ""
    about = answer.get("Error", {})
    message = answer.get("OriginalMessage") or about.get("Message", "")
    return str(about.get("Code", "")), " ".join(str(message).split())


def check_bucket(url: str, region: str) -> None:
    """Require that a bucket is where the job is: SageMaker reads no other.

    Parameters
    ----------
    url : str
        An S3 URL.
    region : str
        Where the job is to run.

    Raises
    ------
    CloudError
        If it is in another region.
    StorageError
        If there is no such bucket, or it cannot be asked for.
    """
    bucket, _ = s3requests.split(url)

    def ask(s3: Any, at: dict[str, str]) -> str:
        answer = s3.head_bucket(Bucket=at["Bucket"])
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return str(headers.get("x-amz-bucket-region") or "")

    found = s3requests.request("use", f"s3://{bucket}", ask)
    if found and found != region:
        raise CloudError(
            f"the bucket {bucket} must be in the job's region, {region}, but is in"
            f" {found}; set AWS_DEFAULT_REGION={found}, or copy what is in it"
        )
