"""The requests that make jobs, models and endpoints, as plain values.

Nothing here asks a service: what is needed comes in, and a dictionary as boto3 takes it
goes out. `shapes.check_request` holds each against the service's own model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoanom import storage
from echoanom.cloud.contract import BASE
from echoanom.cloud.hyperparameters import Hyperparameters, as_texts
from echoanom.cloud.joboptions import (
    AccountOptions,
    HostingOptions,
    MachineOptions,
    TransformOptions,
)
from echoanom.cloud.metrics import METRIC_DEFINITIONS
from echoanom.errors import CloudError

if TYPE_CHECKING:
    from echoanom.cloud.channels import Channels

Request = dict[str, Any]

VARIANT = "AllTraffic"
"""The one variant of an endpoint."""

ENDPOINT_TAG = "echoanom:endpoint"
"""Tag of models and configurations: whose they are."""

LONGEST_ENDPOINT = 54
"""Characters that an endpoint's name may have, so that its parts can be named by it."""

# Read from the archive; text as JSON, so that no launcher takes a hash for a number.
_TEXTS = ("dataset", "dataset-version")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a job's objects are in S3.

    Attributes
    ----------
    output : str
        The folder that gets ``<job>/output/model.tar.gz``.
    job : str
        The job's name.
    checkpoints : str
        The folder that the job's state is copied to and from.
    """

    output: str
    job: str
    checkpoints: str = ""

    @property
    def input(self) -> str:
        """The folder of the job's code and lists of objects."""
        return storage.join(self.output, self.job, "input")

    @property
    def state(self) -> str:
        """The folder of the checkpoints, whether it was named or not."""
        return self.checkpoints or storage.join(self.output, self.job, "checkpoints")


def hyperparameter_texts(options: Hyperparameters) -> dict[str, str]:
    """Turn options into hyperparameters that each launcher hands on unchanged.

    Parameters
    ----------
    options : Hyperparameters
        Those of the job.

    Returns
    -------
    dict
        Names and texts; empty ones are left out.
    """
    return {
        name: json.dumps(text) if name in _TEXTS else text
        for name, text in as_texts(options).items()
        if text
    }


def training_request(
    places: Places,
    image: str,
    hyperparameters: Mapping[str, str],
    channels: Channels,
    machine: MachineOptions,
    account: AccountOptions,
    *,
    more_channels: Sequence[Mapping[str, Any]] = (),
) -> Request:
    """Make ``CreateTrainingJob``.

    Parameters
    ----------
    places : Places
        Name and folders.
    image : str
        The container's image.
    hyperparameters : mapping
        Names and texts.
    channels : Channels
        The inputs.
    machine : MachineOptions
        What it runs on.
    account : AccountOptions
        Role, network, keys and tags.
    more_channels : sequence of mapping
        Other inputs.

    Returns
    -------
    dict
        The request.
    """
    modes = [
        one["InputMode"] for one in channels.config if one["ChannelName"] == "train"
    ]
    stopping = {"MaxRuntimeInSeconds": machine.max_runtime_s}
    if machine.spot:
        stopping["MaxWaitTimeInSeconds"] = (
            machine.max_wait_s or 2 * machine.max_runtime_s
        )
    request: Request = {
        "TrainingJobName": places.job,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": modes[0] if modes else "File",
            "MetricDefinitions": [dict(one) for one in METRIC_DEFINITIONS],
            "EnableSageMakerMetricsTimeSeries": True,
        },
        "RoleArn": account.role,
        "HyperParameters": dict(hyperparameters),
        "InputDataConfig": [*channels.config, *map(dict, more_channels)],
        "OutputDataConfig": _with_key(
            {"S3OutputPath": places.output}, "KmsKeyId", account.output_kms_key
        ),
        "ResourceConfig": _with_key(
            {
                "InstanceType": machine.instance_type,
                "InstanceCount": machine.instance_count,
                "VolumeSizeInGB": machine.volume_gib,
            },
            "VolumeKmsKeyId",
            account.volume_kms_key,
        ),
        "StoppingCondition": stopping,
        "CheckpointConfig": {
            "S3Uri": places.state,
            "LocalPath": f"{BASE}/checkpoints",
        },
        "TensorBoardOutputConfig": {
            # The service adds <job>/tensorboard-output.
            "S3OutputPath": places.output,
            "LocalPath": f"{BASE}/output/tensorboard",
        },
        "EnableManagedSpotTraining": machine.spot,
        "EnableNetworkIsolation": account.network_isolation,
        "EnableInterContainerTrafficEncryption": account.encrypt_traffic,
    }
    return {**request, **_vpc(account), **_tags(account)}


def file_channel(name: str, url: str) -> Request:
    """Make a channel of one object or folder that is copied before a job begins.

    Parameters
    ----------
    name : str
        Its name.
    url : str
        What it brings.

    Returns
    -------
    dict
        An entry of ``InputDataConfig``.
    """
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": url,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        "InputMode": "File",
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }


def model_request(
    name: str, model: str, image: str, account: AccountOptions, owner: str = ""
) -> Request:
    """Make ``CreateModel``.

    Parameters
    ----------
    name : str
        The model's name.
    model : str
        URL of its ``model.tar.gz``.
    image : str
        The container that serves it.
    account : AccountOptions
        Role, network and tags.
    owner : str
        The endpoint that it is made for.

    Returns
    -------
    dict
        The request.
    """
    # A day of echo levels is a few seconds of text to read: no shorter silence.
    variables = {"SAGEMAKER_TFS_NGINX_LOGLEVEL": "error"}
    request: Request = {
        "ModelName": name,
        "PrimaryContainer": {
            "Image": image,
            "ModelDataUrl": model,
            "Environment": variables,
        },
        "ExecutionRoleArn": account.role,
        "EnableNetworkIsolation": account.network_isolation,
    }
    return {**request, **_vpc(account), **_tags(account, owner)}


def endpoint_requests(
    endpoint: str,
    model: str,
    image: str,
    hosting: HostingOptions,
    account: AccountOptions,
) -> tuple[Request, Request, Request]:
    """Make ``CreateModel``, ``CreateEndpointConfig`` and ``CreateEndpoint``.

    Model and configuration are named by the endpoint and by what they say, so that the
    same wishes find what is there already.

    Parameters
    ----------
    endpoint : str
        The endpoint's name.
    model : str
        URL of its ``model.tar.gz``.
    image : str
        The container that serves it.
    hosting : HostingOptions
        What it runs on.
    account : AccountOptions
        Role, network, keys and tags.

    Returns
    -------
    model, config, endpoint : dict
        The requests.

    Raises
    ------
    CloudError
        If the endpoint's name is too long.
    """
    if len(endpoint) > LONGEST_ENDPOINT:
        raise CloudError(
            f"an endpoint's name must have at most {LONGEST_ENDPOINT} characters, got"
            f" {len(endpoint)}: {endpoint}"
        )
    variant = {
        "VariantName": VARIANT,
        "InstanceType": hosting.instance_type,
        "InitialInstanceCount": hosting.instance_count,
        "InitialVariantWeight": 1.0,
    }
    key = _with_key({}, "KmsKeyId", account.volume_kms_key)
    said = json.dumps(
        [model_request("", model, image, account), variant, key], sort_keys=True
    )
    name = f"{endpoint}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
    tags = _tags(account, endpoint)
    config = {
        "EndpointConfigName": name,
        "ProductionVariants": [{**variant, "ModelName": name}],
        **key,
        **tags,
    }
    created = {"EndpointName": endpoint, "EndpointConfigName": name, **tags}
    return model_request(name, model, image, account, endpoint), config, created


def transform_request(
    name: str,
    model: str,
    source: str,
    destination: str,
    options: TransformOptions,
    account: AccountOptions,
) -> Request:
    """Make ``CreateTransformJob`` over daily tables: one request to the model a table.

    Parameters
    ----------
    name : str
        The job's name.
    model : str
        The model's name.
    source : str
        What the URLs of the tables begin with.
    destination : str
        The folder that gets ``<table>.out``.
    options : TransformOptions
        What it runs on.
    account : AccountOptions
        Keys and tags.

    Returns
    -------
    dict
        The request.
    """
    request: Request = {
        "TransformJobName": name,
        "ModelName": model,
        "MaxConcurrentTransforms": options.at_once,
        "MaxPayloadInMB": options.payload_mb,
        # A table is not to be cut, for windows cross all of its lines.
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "text/csv",
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": _with_key(
            {
                "S3OutputPath": destination,
                "Accept": "text/csv",
                "AssembleWith": "None",
            },
            "KmsKeyId",
            account.output_kms_key,
        ),
        "TransformResources": _with_key(
            {
                "InstanceType": options.instance_type,
                "InstanceCount": options.instance_count,
            },
            "VolumeKmsKeyId",
            account.volume_kms_key,
        ),
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": 600,
            "InvocationsMaxRetries": 2,
        },
    }
    return {**request, **_tags(account)}


def _with_key(values: Request, name: str, key: str) -> Request:
    return {**values, name: key} if key else values


def _vpc(account: AccountOptions) -> Request:
    if not account.subnets:
        return {}
    return {
        "VpcConfig": {
            "SecurityGroupIds": list(account.security_groups),
            "Subnets": list(account.subnets),
        }
    }


def _tags(account: AccountOptions, owner: str = "") -> Request:
    pairs = [tag.partition("=")[::2] for tag in account.tags]
    if owner:
        pairs.append((ENDPOINT_TAG, owner))
    tags = [{"Key": name, "Value": value} for name, value in pairs]
    return {"Tags": tags} if tags else {}
