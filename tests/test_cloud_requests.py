"""Requests: each as the service takes it, each wrong one told in a line."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import PERIOD_S, small_dataset, small_source

from echoanom.cloud.channels import manifest_name, plan_channels
from echoanom.cloud.endpoints import plan_endpoint
from echoanom.cloud.hyperparameters import Hyperparameters, parse_hyperparameters
from echoanom.cloud.joboptions import (
    AccountOptions,
    ChannelOptions,
    HostingOptions,
    MachineOptions,
    TransformOptions,
)
from echoanom.cloud.requests import (
    Places,
    Request,
    endpoint_requests,
    hyperparameter_texts,
)
from echoanom.cloud.shapes import check_request, problems, service_model
from echoanom.cloud.trainingplan import TrainingPlan, check_plan, plan_training
from echoanom.cloud.transforms import plan_transform
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import CloudError, OptionError
from echoanom.holdout import hold_back
from echoanom.options import ShardOptions, StackOptions, TableOptions

pytestmark = pytest.mark.slow

IMAGE = (
    "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21-cpu-py312"
)
ROLE = "arn:aws:iam::123456789012:role/SageMaker"
ACCOUNT = AccountOptions(
    role=ROLE,
    tags=("project=reef", "who=me and you"),
    subnets=("subnet-0a1b2c3d",),
    security_groups=("sg-0a1b2c3d",),
    encrypt_traffic=True,
    volume_kms_key="1234abcd-12ab-34cd-56ef-1234567890ab",
    output_kms_key="alias/data",
)
PLACES = Places("s3://bucket/jobs", "first")
HALO = ShardOptions(halo=12, shard_mib=0.003, record_kib=0.5)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("requests"), 5, sharding=HALO)


def options(**texts: str) -> Hyperparameters:
    return parse_hyperparameters({"window": "13", "validation": "0.3", **texts})


def plan(dataset: Dataset, **more: Any) -> TrainingPlan:
    """Plan a job as if the dataset were in a bucket."""
    values = {"image": IMAGE, "region": "eu-west-1", "account": ACCOUNT, **more}
    made = plan_training(dataset, values.pop("options", options()), PLACES, **values)
    text = json.dumps(made.request).replace(dataset.path, "s3://bucket/dataset")
    return TrainingPlan(json.loads(text), made.objects)


@pytest.fixture(scope="module")
def made(here: Dataset) -> TrainingPlan:
    return plan(here)


def channel(request: Request, name: str) -> Request:
    (found,) = (one for one in request["InputDataConfig"] if one["ChannelName"] == name)
    return dict(found)


# What is asked for


@pytest.mark.parametrize(
    "channels",
    [
        ChannelOptions(),
        ChannelOptions(distribution="ShardedByS3Key", shuffle_objects=True),
        ChannelOptions(compression="Gzip", record_wrapper="RecordIO"),
        ChannelOptions(input_mode="FastFile"),
        ChannelOptions(input_mode="File"),
    ],
    ids=lambda one: "-".join(str(value) for value in one.as_json().values()),
)
@pytest.mark.parametrize(
    "machine", [MachineOptions(), MachineOptions(spot=True, instance_count=2)]
)
def test_the_service_takes_a_job_of_every_kind(
    here: Dataset, channels: ChannelOptions, machine: MachineOptions
) -> None:
    if machine.instance_count > 1 and channels.distribution == "FullyReplicated":
        channels = dataclasses.replace(channels, shuffle_objects=False)
    made = plan(here, channels=channels, machine=machine)
    check_plan(made)
    request = made.request
    assert channel(request, "train")["InputMode"] == channels.input_mode
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == channels.input_mode
    assert channel(request, "manifest")["InputMode"] == "File"
    assert request["EnableManagedSpotTraining"] is machine.spot
    assert ("MaxWaitTimeInSeconds" in request["StoppingCondition"]) is machine.spot


def test_a_job_has_all_that_was_asked_for(here: Dataset) -> None:
    machine = MachineOptions(
        instance_type="ml.g5.xlarge",
        instance_count=3,
        volume_gib=70,
        max_runtime_s=3600,
        spot=True,
        max_wait_s=4000,
    )
    request = plan(here, machine=machine).request
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.g5.xlarge",
        "InstanceCount": 3,
        "VolumeSizeInGB": 70,
        "VolumeKmsKeyId": ACCOUNT.volume_kms_key,
    }
    assert request["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3600,
        "MaxWaitTimeInSeconds": 4000,
    }
    assert request["VpcConfig"]["Subnets"] == ["subnet-0a1b2c3d"]
    assert request["Tags"][1] == {"Key": "who", "Value": "me and you"}
    assert request["OutputDataConfig"]["KmsKeyId"] == "alias/data"
    assert request["CheckpointConfig"] == {
        "S3Uri": "s3://bucket/jobs/first/checkpoints",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert request["EnableInterContainerTrafficEncryption"] is True
    names = {
        one["Name"] for one in request["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert {"train:loss", "validation:loss"} <= names


def test_pipes_get_the_shards_of_their_rows_and_no_other(
    here: Dataset, made: TrainingPlan
) -> None:
    listed = {}
    for name in ("manifest", "train", "validation"):
        source = channel(made.request, name)["DataSource"]["S3DataSource"]
        assert source["S3DataType"] == "ManifestFile"
        head, *names = json.loads(made.objects[source["S3Uri"]])
        assert head == {"prefix": f"{here.path}/"}
        listed[name] = names
    held = hold_back(here.runs, here.period_s, 13, 0.3)
    days = {
        f"shards/{shard.name}.tfrecord": set(shard.days)
        for shard in here.manifest.shards
    }
    for name, wanted in (
        ("train", held.training_days),
        ("validation", held.validation_days),
    ):
        found = [days[one] for one in listed[name]]
        assert set().union(*found) == {day.isoformat() for day in wanted}
        assert listed[name] == sorted(listed[name])
    assert listed["manifest"][0] == "manifest.json"
    assert listed["manifest"][1:] == [
        one.replace(".tfrecord", ".npz") for one in listed["train"]
    ]


def test_a_folder_is_named_with_its_slash_where_it_is_mounted(here: Dataset) -> None:
    request = plan(here, channels=ChannelOptions(input_mode="FastFile")).request
    source = channel(request, "train")["DataSource"]["S3DataSource"]
    assert source["S3DataType"] == "S3Prefix"
    assert source["S3Uri"] == "s3://bucket/dataset/"
    names = [one["ChannelName"] for one in request["InputDataConfig"]]
    assert names == ["manifest", "train"]


def test_shuffled_objects_are_told_to_the_service_and_to_the_job(here: Dataset) -> None:
    request = plan(here, channels=ChannelOptions(shuffle_objects=True)).request
    # The SDK drops a seed of 0, and the shuffling with it.
    assert channel(request, "train")["ShuffleConfig"]["Seed"] >= 1
    assert "ShuffleConfig" not in channel(request, "validation")
    assert request["HyperParameters"]["object-order"] == "shuffled"


def test_hyperparameters_survive_a_launcher_that_reads_them_as_json() -> None:
    said = options(filters="4,2", normalization="robust", seed="7")
    digest = "1234567890123456789012345678e123"  # as JSON: a number
    job = dataclasses.replace(said.job, dataset="s3://b/d", dataset_version=digest)
    said = dataclasses.replace(said, job=job)

    def decoded(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    texts = hyperparameter_texts(said)
    assert parse_hyperparameters(texts) == said
    assert parse_hyperparameters({k: decoded(v) for k, v in texts.items()}) == said


def test_code_comes_by_a_channel_where_there_is_no_network(here: Dataset) -> None:
    account = dataclasses.replace(ACCOUNT, network_isolation=True)
    made = plan(here, account=account)
    check_plan(made)
    source = channel(made.request, "code")["DataSource"]["S3DataSource"]
    assert source["S3Uri"] in made.objects
    submitted = made.request["HyperParameters"]["sagemaker_submit_directory"]
    assert json.loads(submitted) == "/opt/ml/input/data/code/sourcedir.tar.gz"


def test_an_earlier_version_is_named_by_its_own_file(tmp_path: Path) -> None:
    source = small_source(tmp_path / "source", 4)
    path = str(tmp_path / "dataset")

    def again(**more: Any) -> None:
        convert(
            source,
            path,
            table=TableOptions(period_s=PERIOD_S),
            sharding=ShardOptions(shard_mib=0.003, record_kib=0.5),
            **more,
        )

    again()
    before = open_dataset(path)
    assert manifest_name(before) == "manifest.json"
    again(stacking=StackOptions(sensors=("adcp",)))
    name = manifest_name(open_dataset(f"{path}@{before.digest}"))
    assert name.startswith("versions/") and before.digest in name
    assert manifest_name(open_dataset(path)) == "manifest.json"


# What is refused


@pytest.mark.parametrize(
    ("channels", "texts", "hosts", "said"),
    [
        (
            ChannelOptions(distribution="ShardedByS3Key"),
            {"window": "14"},
            1,
            "must carry a halo of at least 13 rows for windows of 14",
        ),
        (ChannelOptions(shuffle_objects=True), {"window": "14"}, 1, "--halo 13"),
        (
            ChannelOptions(shuffle_objects=True),
            {},
            2,
            "2 workers that read the same shards must get them in the same order",
        ),
        (
            ChannelOptions(),
            {"min-observed": "0.5"},
            1,
            "min_observed must be 0 for a stream",
        ),
        (ChannelOptions(), {"batch-size": "2"}, 3, "a window for each of 3 workers"),
        (
            ChannelOptions(distribution="ShardedByS3Key"),
            {"batch-size": "64"},
            60,
            "60 hosts must have at least one shard each",
        ),
    ],
)
def test_a_job_that_could_not_give_each_window_once_is_refused(
    here: Dataset,
    channels: ChannelOptions,
    texts: dict[str, str],
    hosts: int,
    said: str,
) -> None:
    with pytest.raises(OptionError, match=said):
        plan_channels(here, options(**texts), channels, "s3://b/x", hosts=hosts)


def test_a_shard_larger_than_a_recordio_record_is_refused(here: Dataset) -> None:
    shards = tuple(
        dataclasses.replace(shard, bytes=1 << 29) for shard in here.manifest.shards
    )
    large = Dataset(here.path, dataclasses.replace(here.manifest, shards=shards))
    with pytest.raises(OptionError, match="at most 536,870,911 bytes"):
        plan_channels(
            large, options(), ChannelOptions(record_wrapper="RecordIO"), "s3://b/x"
        )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ChannelOptions(input_mode="Tape"), "input_mode must be one of Pipe"),  # type: ignore[arg-type]
        (
            lambda: ChannelOptions("File", shuffle_objects=True),
            "shuffle_objects must be False in File mode",
        ),
        (
            lambda: ChannelOptions("FastFile", "ShardedByS3Key"),
            "distribution must be FullyReplicated in FastFile mode",
        ),
        (lambda: MachineOptions(max_wait_s=5), "max_wait_s must be 0 without spot"),
        (
            lambda: MachineOptions(spot=True, max_wait_s=5),
            "max_wait_s must be at least max_runtime_s",
        ),
        (lambda: MachineOptions(instance_count=0), "instance_count must be a whole"),
        (lambda: AccountOptions(tags=("red",)), "tags must be name=value each"),
        (lambda: AccountOptions(subnets=("s",)), "together with security groups"),
        (lambda: TransformOptions(payload_mb=60), "payload_mb must be at most 50"),
    ],
)
def test_options_that_cannot_be_are_refused(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (
            ("ResourceConfig", "InstanceType"),
            "ml.m5.tiny",
            "InstanceType must be one of 2.. that SageMaker has, such as ml.m5",
        ),
        (
            ("AlgorithmSpecification", "TrainingInputMode"),
            "Tape",
            "TrainingInputMode must be one of Pipe, File, FastFile, got 'Tape'",
        ),
        (("RoleArn",), "SageMaker", "RoleArn must be the ARN of a role such as"),
        (("RoleArn",), "", "RoleArn must be the ARN of a role such as"),
        (("TrainingJobName",), "my_job", "of letters, digits and hyphens"),
        (("TrainingJobName",), "a" * 64, "must have at most 63 characters, got 64"),
        (("CheckpointConfig", "LocalPath"), 5, "Invalid type for parameter"),
        (("Colour",), "red", "Unknown parameter"),
        (
            ("InputDataConfig", 1, "InputMode"),
            "Tape",
            r"InputDataConfig\[1\].InputMode",
        ),
        (
            ("InputDataConfig", 1, "InputMode"),
            "FastFile",
            "must have S3DataType S3Prefix in FastFile mode",
        ),
        (("InputDataConfig", 1, "ChannelName"), "manifest", "channels of different"),
        (("HyperParameters", "a" * 257), "1", "must have at most 256 characters"),
        (("StoppingCondition", "MaxWaitTimeInSeconds"), 5, "without spot"),
        (("Tags", 0, "Key"), "ä!", r"Tags\[0\].Key must be of the form"),
        (("ResourceConfig", "VolumeSizeInGB"), -1, "must have at least 0"),
    ],
)
def test_a_wrong_field_is_told_in_one_line(
    made: TrainingPlan, where: tuple[Any, ...], value: Any, said: str
) -> None:
    request = copy.deepcopy(made.request)
    inside = request
    for step in where[:-1]:
        inside = inside[step]
    inside[where[-1]] = value
    with pytest.raises(CloudError, match=said) as raised:
        check_request("CreateTrainingJob", request)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("CreateTrainingJob: ")


def test_no_enumeration_takes_what_is_not_in_it(here: Dataset) -> None:
    """botocore itself checks none of them."""
    channels = ChannelOptions(shuffle_objects=True)
    requests = {"CreateTrainingJob": plan(here, channels=channels).request}
    made = plan_endpoint("serve", "s3://b/model.tar.gz", IMAGE, None, ACCOUNT)
    requests["CreateEndpointConfig"] = made[1]
    asked = plan_transform(
        "score", "s3://b/model.tar.gz", IMAGE, "s3://b/in/", "s3://b/out", None, ACCOUNT
    )
    requests["CreateTransformJob"] = asked[1]
    seen = 0
    for operation, request in requests.items():
        shape = service_model().operation_model(operation).input_shape
        for inside, key in enumerations(request, shape):
            before, inside[key] = inside[key], "nonsense"
            wrong = next(problems(operation, request))
            assert "got 'nonsense'" in wrong
            inside[key] = before
            seen += 1
        assert not list(problems(operation, request))
    assert seen >= 20


def enumerations(value: Any, shape: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the places of a request that have a text out of some."""
    if shape.type_name == "structure":
        for name, member in value.items():
            if getattr(shape.members[name], "enum", None):
                yield value, name
            else:
                yield from enumerations(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            yield from enumerations(member, shape.member)


def test_a_dataset_on_this_machine_does_not_go_to_the_service(here: Dataset) -> None:
    made = plan_training(here, options(), PLACES, image=IMAGE, account=ACCOUNT)
    made.request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] = (
        here.path
    )
    with pytest.raises(CloudError, match="must read and write in S3"):
        check_plan(made)


# Endpoints and transforms


def test_the_same_wishes_have_the_same_names_and_others_have_others() -> None:
    def config(**more: Any) -> str:
        values = {
            "endpoint": "serve",
            "model": "s3://b/m/model.tar.gz",
            "image": IMAGE,
            "hosting": HostingOptions(),
            "account": ACCOUNT,
            **more,
        }
        return str(endpoint_requests(**values)[1]["EndpointConfigName"])

    names = [
        config(),
        config(model="s3://b/n/model.tar.gz"),
        config(image="another"),
        config(hosting=HostingOptions(instance_count=2)),
        config(account=dataclasses.replace(ACCOUNT, volume_kms_key="")),
    ]
    assert config() == names[0]
    assert len(set(names)) == len(names)
    assert all(name.startswith("serve-") for name in names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a" * 55}, "must have at most 54 characters, got 55"),
        ({"name": "a_b"}, "of letters, digits and hyphens"),
        ({"hosting": HostingOptions("ml.c5.tiny")}, "InstanceType must be one of"),
        ({"account": AccountOptions()}, "ExecutionRoleArn must be the ARN of a role"),
        ({"model": "model.tar.gz"}, "ModelDataUrl must be of the form"),
    ],
)
def test_a_wrong_endpoint_is_told_in_one_line(change: Any, said: str) -> None:
    values = {
        "name": "serve",
        "model": "s3://b/model.tar.gz",
        "image": IMAGE,
        "account": ACCOUNT,
        **change,
    }
    with pytest.raises(CloudError, match=said) as raised:
        plan_endpoint(**values)
    assert "\n" not in str(raised.value)


def test_a_transform_scores_each_table_whole() -> None:
    model, asked = plan_transform(
        "score", "s3://b/model.tar.gz", IMAGE, "s3://b/in/", "s3://b/out", None, ACCOUNT
    )
    assert asked["TransformInput"]["SplitType"] == "None"
    assert asked["BatchStrategy"] == "SingleRecord"
    assert asked["TransformInput"]["ContentType"] == "text/csv"
    assert model["ModelName"] == asked["ModelName"]
    with pytest.raises(CloudError, match="must read and write in S3"):
        plan_transform("score", "s3://b/m", IMAGE, "in", "s3://b/out", None, ACCOUNT)
