"""Batch transforms: every daily table of a folder scored, with no endpoint left over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from echoanom import objects
from echoanom.cloud.clients import Cloud, check_bucket
from echoanom.cloud.joboptions import AccountOptions, TransformOptions
from echoanom.cloud.requests import model_request, transform_request
from echoanom.cloud.shapes import check_request
from echoanom.cloud.waiting import LogTail, pauses
from echoanom.errors import CloudError

Say = Callable[[str], None]

_ENDED = ("Completed", "Failed", "Stopped")
_LOG_GROUP = "/aws/sagemaker/TransformJobs"


@dataclasses.dataclass(frozen=True)
class TransformStatus:
    """How far a transform job is.

    Attributes
    ----------
    name : str
        Its name.
    status : str
        E.g. ``InProgress``, ``Completed``, ``Failed``, ``Stopped``.
    source, destination : str
        Where tables come from, and scores go to.
    failure : str
        Why it failed; empty if it did not.
    """

    name: str
    status: str
    source: str
    destination: str
    failure: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def plan_transform(
    name: str,
    model: str,
    image: str,
    source: str,
    destination: str,
    options: TransformOptions | None = None,
    account: AccountOptions | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the requests for a transform, and check them; send none.

    Parameters
    ----------
    name : str
        Name of the job, and of its model.
    model : str
        URL of the ``model.tar.gz``.
    image : str
        The container that serves it.
    source : str
        What the URLs of the daily tables begin with.
    destination : str
        The folder that gets ``<table>.out``.
    options : TransformOptions, optional
        What it runs on.
    account : AccountOptions, optional
        Role, network, keys and tags.

    Returns
    -------
    model, transform : dict
        ``CreateModel`` and ``CreateTransformJob``.

    Raises
    ------
    CloudError
        If the service would not take them.
    """
    account = account or AccountOptions()
    for url in (source, destination, model):
        if not objects.is_object(url):
            raise CloudError(
                f"a transform must read and write in S3 (s3://bucket/folder), got {url}"
            )
    made = model_request(name, model, image, account)
    asked = transform_request(
        name, name, source, destination, options or TransformOptions(), account
    )
    check_request("CreateModel", made)
    check_request("CreateTransformJob", asked)
    return made, asked


def start_transform(
    requests: tuple[Mapping[str, Any], Mapping[str, Any]], cloud: Cloud | None = None
) -> str:
    """Start a transform job.

    Parameters
    ----------
    requests : tuple of mapping
        What `plan_transform` made.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    CloudError
        If a request is refused, or a bucket is elsewhere.
    """
    cloud = cloud or Cloud()
    model, asked = requests
    source = asked["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    for url in (source, asked["TransformOutput"]["S3OutputPath"]):
        check_bucket(url, cloud.region)
    name = str(asked["TransformJobName"])
    if cloud.find("DescribeModel", ModelName=name) is None:
        cloud.call("CreateModel", **model)
    try:
        cloud.call("CreateTransformJob", **asked)
    except CloudError:
        cloud.call("DeleteModel", ModelName=name)
        raise
    return name


def transform_status(name: str, cloud: Cloud | None = None) -> TransformStatus:
    """Say how far a transform job is.

    Parameters
    ----------
    name : str
        Its name.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    TransformStatus
        Now.

    Raises
    ------
    CloudError
        If there is none.
    """
    cloud = cloud or Cloud()
    found = cloud.find("DescribeTransformJob", TransformJobName=name)
    if found is None:
        raise CloudError(
            f"there must be a transform job {name} in {cloud.region}, but there is none"
        )
    return _status(found)


def wait_for_transform(
    name: str, *, cloud: Cloud | None = None, say: Say | None = None
) -> TransformStatus:
    """Follow a transform job to its end, and remove its model.

    Parameters
    ----------
    name : str
        Its name.
    cloud : Cloud, optional
        Who asks.
    say : callable, optional
        Gets each line of its state and, where they can be read, its logs.

    Returns
    -------
    TransformStatus
        Completed.

    Raises
    ------
    CloudError
        If it fails, or is stopped.
    """
    cloud = cloud or Cloud()
    tail = LogTail(cloud, _LOG_GROUP, f"{name}/") if say else None
    last = ""
    for pause in pauses():
        status = transform_status(name, cloud)
        if say is not None and tail is not None:
            if status.status != last:
                say(status.status)
                last = status.status
            for line in tail.lines():
                say(line)
        if status.status in _ENDED:
            break
        time.sleep(pause)
    if cloud.find("DescribeModel", ModelName=name) is not None:
        cloud.call("DeleteModel", ModelName=name)
    if status.status != "Completed":
        raise CloudError(
            f"the transform job {name} must be Completed, but is {status.status}"
            f"{': ' if status.failure else ''}{status.failure}"
        )
    return status


def _status(found: Mapping[str, Any]) -> TransformStatus:
    source = found["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    return TransformStatus(
        name=found["TransformJobName"],
        status=found["TransformJobStatus"],
        source=source,
        destination=found.get("TransformOutput", {}).get("S3OutputPath", ""),
        failure=" ".join(found.get("FailureReason", "").split()),
    )
