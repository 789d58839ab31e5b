"""What runs and is paid for, and the end of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from echoanom.cloud.clients import Cloud
from echoanom.cloud.endpoints import delete_endpoint
from echoanom.errors import CloudError

Say = Callable[[str], None]

_RUNNING = ("InProgress", "Stopping")


@dataclasses.dataclass(frozen=True)
class Running:
    """Something that machines are paid for.

    Attributes
    ----------
    kind : {'training job', 'transform job', 'endpoint'}
        What it is.
    name : str
        Its name.
    status : str
        E.g. ``InProgress`` or ``InService``.
    since : str
        When it was made, ISO 8601.
    machines : str
        What it runs on, e.g. ``2 x ml.m5.xlarge``.
    """

    kind: str
    name: str
    status: str
    since: str
    machines: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def list_running(cloud: Cloud | None = None) -> tuple[Running, ...]:
    """List what runs: training and transform jobs, and endpoints.

    Parameters
    ----------
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    tuple of Running
        Of the account and region, whoever started it.

    Raises
    ------
    CloudError
        If there is no answer.
    """
    cloud = cloud or Cloud()
    return (*_training(cloud), *_transforms(cloud), *_endpoints(cloud))


def stop_running(
    name: str, *, cloud: Cloud | None = None, say: Say | None = None
) -> tuple[str, ...]:
    """End what has a name: stop jobs, delete an endpoint and all that belongs to it.

    Parameters
    ----------
    name : str
        Of a job or endpoint.
    cloud : Cloud, optional
        Who asks.
    say : callable, optional
        Gets a line for each step.

    Returns
    -------
    tuple of str
        What was ended, each as ``kind name``; empty if nothing of it runs any more.

    Raises
    ------
    CloudError
        If nothing has this name.
    """
    cloud = cloud or Cloud()
    training = cloud.find("DescribeTrainingJob", TrainingJobName=name)
    transform = cloud.find("DescribeTransformJob", TransformJobName=name)
    done = []
    if training is not None and training["TrainingJobStatus"] == "InProgress":
        cloud.call("StopTrainingJob", TrainingJobName=name)
        done.append(f"training job {name}")
    if transform is not None and transform["TransformJobStatus"] == "InProgress":
        cloud.call("StopTransformJob", TransformJobName=name)
        done.append(f"transform job {name}")
    if transform is not None and cloud.find("DescribeModel", ModelName=name):
        cloud.call("DeleteModel", ModelName=name)
        done.append(f"model {name}")
    done += delete_endpoint(name, cloud=cloud, say=say, required=False)
    if not done and training is None and transform is None:
        raise CloudError(
            f"there must be an endpoint or a job {name} in {cloud.region}, but there is"
            " none; `echoanom sagemaker list` shows what runs"
        )
    return tuple(done)


def _training(cloud: Cloud) -> Iterator[Running]:
    for status in _RUNNING:
        for one in cloud.pages(
            "ListTrainingJobs", "TrainingJobSummaries", StatusEquals=status
        ):
            name = one["TrainingJobName"]
            found = cloud.find("DescribeTrainingJob", TrainingJobName=name) or {}
            resources = found.get("ResourceConfig", {})
            yield Running(
                "training job",
                name,
                one["TrainingJobStatus"],
                one["CreationTime"].isoformat(),
                _machines(
                    resources.get("InstanceCount"), resources.get("InstanceType")
                ),
            )


def _transforms(cloud: Cloud) -> Iterator[Running]:
    for status in _RUNNING:
        for one in cloud.pages(
            "ListTransformJobs", "TransformJobSummaries", StatusEquals=status
        ):
            name = one["TransformJobName"]
            found = cloud.find("DescribeTransformJob", TransformJobName=name) or {}
            resources = found.get("TransformResources", {})
            yield Running(
                "transform job",
                name,
                one["TransformJobStatus"],
                one["CreationTime"].isoformat(),
                _machines(
                    resources.get("InstanceCount"), resources.get("InstanceType")
                ),
            )


def _endpoints(cloud: Cloud) -> Iterator[Running]:
    for one in cloud.pages("ListEndpoints", "Endpoints"):
        name = one["EndpointName"]
        found = cloud.find("DescribeEndpoint", EndpointName=name)
        if found is None:
            continue  # deleted just now
        config = (
            cloud.find(
                "DescribeEndpointConfig",
                EndpointConfigName=found["EndpointConfigName"],
            )
            or {}
        )
        parts = [
            _machines(one.get("InitialInstanceCount"), one.get("InstanceType"))
            for one in config.get("ProductionVariants", ())
        ]
        yield Running(
            "endpoint",
            name,
            found["EndpointStatus"],
            one["CreationTime"].isoformat(),
            ", ".join(parts),
        )


def _machines(count: int | None, kind: str | None) -> str:
    return f"{count} x {kind}" if count and kind else ""
