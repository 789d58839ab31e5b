"""The same training job, started by version 3 of SageMaker's SDK.

The SDK's `ModelTrainer` brings code, drivers and channels to a job in its own way: it runs
``train.py`` by a shell script, beside the container's own toolkit. What it sends is held
against the plan before it goes out, as the SDK is able to change it: an ``InputData``, for
one, becomes File mode whatever mode the trainer has. So channels are given whole here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoanom import s3requests
from echoanom.cloud.clients import Cloud, explain
from echoanom.cloud.jobs import TrainingJob
from echoanom.cloud.shapes import check_request
from echoanom.cloud.sourcecode import ARCHIVE, CODE_CHANNEL, PROGRAM, REQUIREMENTS
from echoanom.errors import CloudError, MissingExtraError

if TYPE_CHECKING:
    from echoanom.cloud.trainingplan import TrainingPlan

_OPERATION = "CreateTrainingJob"
_EVENT = f"before-parameter-build.sagemaker.{_OPERATION}"
_VALIDATE_ROLE = "SAGEMAKER_VALIDATE_ROLE"
_LONGEST_BASE = 48  # the SDK adds the time to a job's name
_THEIRS = ("code", "sm_drivers")
# Nothing of a user's data goes to anybody but the user's own account.
_CONFIG = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def start_by_sdk(plan: TrainingPlan, cloud: Cloud | None = None) -> TrainingJob:
    """Start a job on SageMaker by the SDK.

    Parameters
    ----------
    plan : TrainingPlan
        The plan. The SDK adds the time to the job's name.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    TrainingJob
        The job, under way.

    Raises
    ------
    MissingExtraError
        If the SDK is not installed.
    CloudError
        If the request is wrong, refused, or not the one that was planned.
    StorageError
        If an object cannot be written.
    """
    from echoanom.cloud.trainingplan import prepare

    cloud = cloud or Cloud()
    _require_sdk()
    prepare(plan, cloud.region)
    with _checked(cloud, plan), _sdk_errors():
        trainer, channels = model_trainer(plan, cloud)
        trainer.train(input_data_config=channels, wait=False, logs=False)
        name = str(trainer._latest_training_job.training_job_name)
    return TrainingJob(name, cloud)


def model_trainer(plan: TrainingPlan, cloud: Cloud) -> tuple[Any, list[Any]]:
    """Make the SDK's trainer for a plan.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.
    cloud : Cloud
        Who asks.

    Returns
    -------
    trainer : sagemaker.train.ModelTrainer
        Its `train` starts the job.
    channels : list of sagemaker.core.training.configs.Channel
        What `train` takes as `input_data_config`.

    Raises
    ------
    MissingExtraError
        If the SDK is not installed.
    """
    _require_sdk()
    from sagemaker.core import shapes
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training import configs
    from sagemaker.train.model_trainer import ModelTrainer

    request = plan.request
    output = request["OutputDataConfig"]
    bucket, folder = s3requests.split(output["S3OutputPath"])
    resources, stopping = request["ResourceConfig"], request["StoppingCondition"]
    vpc = request.get("VpcConfig", {})
    isolated = request["EnableNetworkIsolation"]
    (archive,) = (url for url in plan.objects if url.endswith(f"/{ARCHIVE}"))
    algorithm = request["AlgorithmSpecification"]
    trainer = ModelTrainer(
        training_image=algorithm["TrainingImage"],
        training_input_mode=algorithm["TrainingInputMode"],
        role=request["RoleArn"],
        base_job_name=request["TrainingJobName"][:_LONGEST_BASE].rstrip("-"),
        sagemaker_session=Session(
            boto_session=cloud.session,
            sagemaker_client=cloud.client("sagemaker"),
            default_bucket=bucket,
            default_bucket_prefix=folder.strip("/") or None,
            sagemaker_config=_CONFIG,
        ),
        source_code=configs.SourceCode(
            source_dir=archive,
            entry_script=PROGRAM,
            requirements=None if isolated else REQUIREMENTS,
        ),
        compute=configs.Compute(
            instance_type=resources["InstanceType"],
            instance_count=resources["InstanceCount"],
            volume_size_in_gb=resources["VolumeSizeInGB"],
            volume_kms_key_id=resources.get("VolumeKmsKeyId"),
            enable_managed_spot_training=request["EnableManagedSpotTraining"],
        ),
        networking=configs.Networking(
            subnets=vpc.get("Subnets"),
            security_group_ids=vpc.get("SecurityGroupIds"),
            enable_network_isolation=isolated,
            enable_inter_container_traffic_encryption=request[
                "EnableInterContainerTrafficEncryption"
            ],
        ),
        stopping_condition=shapes.StoppingCondition(
            max_runtime_in_seconds=stopping["MaxRuntimeInSeconds"],
            max_wait_time_in_seconds=stopping.get("MaxWaitTimeInSeconds"),
        ),
        output_data_config=configs.OutputDataConfig(
            s3_output_path=output["S3OutputPath"], kms_key_id=output.get("KmsKeyId")
        ),
        checkpoint_config=configs.CheckpointConfig(
            s3_uri=request["CheckpointConfig"]["S3Uri"],
            local_path=request["CheckpointConfig"]["LocalPath"],
        ),
        hyperparameters={
            name: text
            for name, text in request["HyperParameters"].items()
            if not name.startswith("sagemaker_")
        },
        tags=[
            shapes.Tag(key=tag["Key"], value=tag["Value"])
            for tag in request.get("Tags", ())
        ]
        or None,
    )
    trainer = trainer.with_tensorboard_output_config(
        configs.TensorBoardOutputConfig(
            s3_output_path=request["TensorBoardOutputConfig"]["S3OutputPath"],
            local_path=request["TensorBoardOutputConfig"]["LocalPath"],
        )
    ).with_metric_definitions(
        [
            shapes.MetricDefinition(name=one["Name"], regex=one["Regex"])
            for one in algorithm["MetricDefinitions"]
        ]
    )
    return trainer, [
        _channel(one)
        for one in request["InputDataConfig"]
        if one["ChannelName"] != CODE_CHANNEL
    ]


def _channel(channel: Mapping[str, Any]) -> Any:
    from sagemaker.core import shapes

    source = channel["DataSource"]["S3DataSource"]
    more = {}
    if "ShuffleConfig" in channel:
        seed = channel["ShuffleConfig"]["Seed"]
        more["shuffle_config"] = shapes.ShuffleConfig(seed=seed)
    return shapes.Channel(
        channel_name=channel["ChannelName"],
        data_source=shapes.DataSource(
            s3_data_source=shapes.S3DataSource(
                s3_data_type=source["S3DataType"],
                s3_uri=source["S3Uri"],
                s3_data_distribution_type=source["S3DataDistributionType"],
            )
        ),
        input_mode=channel["InputMode"],
        compression_type=channel["CompressionType"],
        record_wrapper_type=channel["RecordWrapperType"],
        **more,
    )


def check_sent(sent: Mapping[str, Any], plan: TrainingPlan) -> None:
    """Require that what the SDK is about to send is what was planned.

    Parameters
    ----------
    sent : mapping
        Its ``CreateTrainingJob``.
    plan : TrainingPlan
        The plan.

    Raises
    ------
    CloudError
        If the service would not take it, or it differs in what decides the training.
    """
    check_request(_OPERATION, sent)
    wanted, found = _essence(plan.request), _essence(sent)
    for name, value in wanted.items():
        if not _holds(value, found.get(name)):
            raise CloudError(
                f"the SDK must send {name} as {value}, but was about to send"
                f" {found.get(name)}"
            )


def _holds(wanted: Any, found: Any) -> bool:
    """Tell whether what is sent says all that is wanted; it may say defaults beside."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_holds(value, found.get(name)) for name, value in wanted.items())
    return bool(wanted == found)


def _essence(request: Mapping[str, Any]) -> dict[str, Any]:
    essence: dict[str, Any] = {
        f"the channel {one['ChannelName']}": {
            "InputMode": request["AlgorithmSpecification"]["TrainingInputMode"],
            **one,
        }
        for one in request["InputDataConfig"]
        if one["ChannelName"] not in _THEIRS
    }
    essence["HyperParameters"] = {
        name: text
        for name, text in request["HyperParameters"].items()
        if not name.startswith("sagemaker_")
    }
    for name in (
        *("RoleArn", "ResourceConfig", "StoppingCondition", "CheckpointConfig"),
        *("EnableManagedSpotTraining", "EnableNetworkIsolation", "VpcConfig", "Tags"),
        *("OutputDataConfig", "TensorBoardOutputConfig"),
        "EnableInterContainerTrafficEncryption",
    ):
        essence[name] = request.get(name) or None  # false is the default
    return essence


@contextlib.contextmanager
def _checked(cloud: Cloud, plan: TrainingPlan) -> Iterator[None]:
    """Hold what is sent against the plan, whichever client sends it."""

    def check(params: Mapping[str, Any], **_: Any) -> None:
        check_sent(params, plan)

    events = cloud.session.events
    before = os.environ.get(_VALIDATE_ROLE)
    os.environ[_VALIDATE_ROLE] = "false"  # else IAM is asked to simulate the role
    events.register(_EVENT, check)
    try:
        yield
    finally:
        events.unregister(_EVENT, check)
        if before is None:
            os.environ.pop(_VALIDATE_ROLE, None)
        else:
            os.environ[_VALIDATE_ROLE] = before


@contextlib.contextmanager
def _sdk_errors() -> Iterator[None]:
    import botocore.exceptions

    logger = logging.getLogger("sagemaker")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with _quiet_warnings():
            yield
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        raise explain(error, f"start the job by the SDK ({_OPERATION})") from None
    except ValueError as error:  # pydantic's are ValueErrors, too
        reason = " ".join(str(error).split())[:500]
        raise CloudError(
            f"the SDK must take the job, but refuses it: {reason}"
        ) from None
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Leave out what the SDK warns of: its own use of what it has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _require_sdk() -> None:
    try:
        with _quiet_warnings():
            import sagemaker.train.model_trainer  # noqa: F401
    except ImportError:
        raise MissingExtraError("starting a job by the SDK", "sagemaker") from None
