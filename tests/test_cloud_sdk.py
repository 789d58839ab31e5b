"""The SDK's own request, caught before the wire and held against the plan."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from typing import Any

import pytest
from clouds import IMAGE, ROLE
from datasets import PERIOD_S, small_source

from echoanom import storage
from echoanom.cloud import images, sdk
from echoanom.cloud.clients import Cloud
from echoanom.cloud.hyperparameters import parse_hyperparameters
from echoanom.cloud.joboptions import AccountOptions, ChannelOptions, MachineOptions
from echoanom.cloud.requests import Places
from echoanom.cloud.shapes import check_request
from echoanom.cloud.trainingplan import TrainingPlan, plan_training
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.errors import CloudError, MissingExtraError, OptionError
from echoanom.options import ShardOptions, TableOptions

pytestmark = pytest.mark.slow


class Caught(Exception):
    """The request, instead of an answer."""


@pytest.fixture
def planned(bucket: str, tmp_path: Any) -> TrainingPlan:
    convert(
        small_source(tmp_path / "source"),
        f"{bucket}/dataset",
        table=TableOptions(period_s=PERIOD_S),
        sharding=ShardOptions(halo=12, shard_mib=0.003, record_kib=0.5),
    )
    return plan_training(
        open_dataset(f"{bucket}/dataset"),
        parse_hyperparameters({"window": "13", "epochs": "2"}),
        Places(f"{bucket}/jobs", "first"),
        image=IMAGE,
        region="us-east-1",
        channels=ChannelOptions(
            distribution="ShardedByS3Key",
            shuffle_objects=True,
            compression="Gzip",
            record_wrapper="RecordIO",
        ),
        machine=MachineOptions(
            instance_count=2, spot=True, max_runtime_s=600, max_wait_s=900
        ),
        account=AccountOptions(
            role=ROLE,
            tags=("project=reef",),
            subnets=("subnet-1",),
            security_groups=("sg-1",),
            encrypt_traffic=True,
            volume_kms_key="key-1",
            output_kms_key="",
        ),
    )


def caught(plan: TrainingPlan) -> dict[str, Any]:
    """Return what the SDK would have sent."""
    cloud = Cloud()
    found: list[dict[str, Any]] = []

    def stop(params: Any, **_: Any) -> None:
        found.append(json.loads(params["body"]))
        raise Caught

    cloud.session.events.register("before-call.sagemaker.*", stop)
    with pytest.raises(Caught):
        sdk.start_by_sdk(plan, cloud)
    (request,) = found
    return request


def test_it_sends_the_same_job_pipe_and_all(planned: TrainingPlan) -> None:
    sent = caught(planned)
    check_request("CreateTrainingJob", sent)
    by_name = {one["ChannelName"]: one for one in sent["InputDataConfig"]}
    for channel in planned.request["InputDataConfig"]:
        assert by_name.pop(channel["ChannelName"]) == channel
    assert set(by_name) == {"code", "sm_drivers"}
    train = sent["InputDataConfig"][1]
    assert (train["InputMode"], train["RecordWrapperType"]) == ("Pipe", "RecordIO")
    assert train["ShuffleConfig"]["Seed"] >= 1
    code = by_name["code"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert storage.exists(code) and code.endswith("/input/sourcedir.tar.gz")
    assert sent["EnableManagedSpotTraining"] is True
    assert sent["StoppingCondition"]["MaxWaitTimeInSeconds"] == 900
    assert sent["TrainingJobName"].startswith("first-")
    assert not any(name.startswith("sagemaker_") for name in sent["HyperParameters"])
    drivers = by_name["sm_drivers"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert drivers.startswith(planned.request["OutputDataConfig"]["S3OutputPath"])


def test_what_the_sdk_changes_is_found_before_it_is_sent(planned: TrainingPlan) -> None:
    sent = copy.deepcopy(planned.request)
    sdk.check_sent(sent, planned)
    sent["InputDataConfig"][1]["InputMode"] = "File"
    del sent["InputDataConfig"][1]["CompressionType"]
    with pytest.raises(CloudError, match="the SDK must send the channel train as"):
        sdk.check_sent(sent, planned)
    sent = copy.deepcopy(planned.request)
    sent["ResourceConfig"]["InstanceType"] = "ml.m5.tiny"
    with pytest.raises(CloudError, match="InstanceType must be one of"):
        sdk.check_sent(sent, planned)
    sent = copy.deepcopy(planned.request)
    sent["HyperParameters"]["epochs"] = "3"
    with pytest.raises(CloudError, match="the SDK must send HyperParameters"):
        sdk.check_sent(sent, planned)


def test_a_wrong_plan_is_refused_before_anything_is_written(
    planned: TrainingPlan, bucket: str
) -> None:
    request = copy.deepcopy(planned.request)
    request["RoleArn"] = "SageMaker"
    with pytest.raises(CloudError, match="RoleArn must be the ARN of a role"):
        sdk.start_by_sdk(dataclasses.replace(planned, request=request))
    assert not storage.exists(f"{bucket}/jobs")


@pytest.mark.parametrize(
    ("scope", "version", "machine", "ending"),
    [
        ("training", "2.21", "ml.m5.xlarge", "tensorflow-training:2.21-cpu-py312"),
        ("training", "2.21", "ml.g5.xlarge", "tensorflow-training:2.21-gpu-py312"),
        ("inference", "2.20", "ml.c5.xlarge", "tensorflow-inference:2.20-cpu-py312"),
    ],
)
def test_an_image_is_found_by_version(
    scope: images.Scope, version: str, machine: str, ending: str
) -> None:
    found = images.image_uri(scope, version, "eu-west-1", machine)
    assert found == f"763104351884.dkr.ecr.eu-west-1.amazonaws.com/{ending}"


def test_an_image_that_there_is_not_is_told_in_one_line() -> None:
    for version, region, said in (
        ("9.9", "eu-west-1", "Unsupported tensorflow version: 9.9"),
        ("2.21", "xx-west-1", "Unsupported region: xx-west-1"),
        ("2.18", "eu-west-1", "must bring Python 3.11 or newer"),
    ):
        with pytest.raises(OptionError, match=said) as raised:
            images.image_uri("training", version, region, "ml.m5.xlarge")
        assert len(str(raised.value)) < 400


def test_without_the_sdk_it_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("sagemaker.core", "sagemaker.train.model_trainer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[sagemaker\]'"):
        images.image_uri("training", "2.21", "eu-west-1", "ml.m5.xlarge")
    assert images.image_uri("training", "", "", "", "mine") == "mine"
    with pytest.raises(MissingExtraError, match="starting a job by the SDK"):
        sdk.start_by_sdk(TrainingPlan({}, {}))
