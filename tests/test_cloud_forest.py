"""The job of the built-in Random Cut Forest, held against SageMaker's own model."""

from __future__ import annotations

import dataclasses
import json

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.cloud.forest import METRICS, forest_image, forest_request
from echoanom.cloud.forestdata import ForestExport, Objects
from echoanom.cloud.joboptions import AccountOptions, MachineOptions
from echoanom.cloud.requests import Places
from echoanom.cloud.shapes import problems
from echoanom.errors import CloudError, OptionError
from echoanom.modeloptions import ForestOptions

IMAGE = "438346466558.dkr.ecr.eu-west-1.amazonaws.com/randomcutforest:1"
PLACES = Places("s3://bucket/models", "forest-1")
PLAIN = ForestExport("s3://bucket/forest", 48, Objects(4, 370, 80_000), None)
LABELLED = dataclasses.replace(PLAIN, test=Objects(6, 500, 100_000))
SHAPE = (
    Session()
    .get_service_model("sagemaker")
    .operation_model("CreateTrainingJob")
    .input_shape
)
ACCOUNT = AccountOptions(role="arn:aws:iam::123456789012:role/trains")


def request(export=PLAIN, **more):
    return forest_request(export, PLACES, IMAGE, account=ACCOUNT, **more)


@settings(max_examples=20)  # the service's model is large
@given(
    st.builds(ForestOptions, trees=st.integers(50, 1000), samples=st.integers(3, 2048)),
    st.integers(1, 10_000),
    st.booleans(),
    st.lists(st.sampled_from(METRICS), unique=True),
)
def test_every_request_is_one_that_the_service_takes(options, columns, spot, metrics):
    export = dataclasses.replace(LABELLED, columns=columns)
    machine = MachineOptions(
        "ml.c5.xlarge", instance_count=2, spot=spot, max_runtime_s=1200
    )
    made = request(export, options=options, machine=machine, metrics=metrics)
    assert list(problems("CreateTrainingJob", made)) == []
    assert not ParamValidator().validate(made, SHAPE).has_errors()


def test_the_job_is_what_the_algorithm_asks_for():
    made = request(LABELLED, options=ForestOptions(trees=100, samples=512))
    assert made["HyperParameters"] == {
        "feature_dim": "48",
        "num_trees": "100",
        "num_samples_per_tree": "512",
    }
    assert made["AlgorithmSpecification"] == {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
    }
    channels = {one["ChannelName"]: one for one in made["InputDataConfig"]}
    assert list(channels) == ["train", "test"]
    for name, distribution in (
        ("train", "ShardedByS3Key"),
        ("test", "FullyReplicated"),
    ):
        assert channels[name]["ContentType"] == "application/x-recordio-protobuf"
        assert channels[name]["InputMode"] == "File"
        assert channels[name]["RecordWrapperType"] == "None"
        assert channels[name]["DataSource"]["S3DataSource"] == {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://bucket/forest/{name}/",
            "S3DataDistributionType": distribution,
        }
    assert made["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/models"}
    # A built-in algorithm is refused with metrics of one's own.
    assert not {"CheckpointConfig", "TensorBoardOutputConfig"} & made.keys()


def test_metrics_are_a_list_in_json_and_need_labels():
    made = request(LABELLED, metrics=METRICS)
    assert json.loads(made["HyperParameters"]["eval_metrics"]) == list(METRICS)
    with pytest.raises(OptionError, match="must come with labels"):
        request(metrics=METRICS)
    with pytest.raises(OptionError, match="must be some of accuracy, .* got 'f1'"):
        request(LABELLED, metrics=["f1"])


def test_without_labels_there_is_no_channel_to_test_with():
    assert [one["ChannelName"] for one in request()["InputDataConfig"]] == ["train"]


@pytest.mark.parametrize(
    ("machine", "rule"),
    [
        (MachineOptions(instance_count=5), "has 4, one a day, for 5 machines"),
        (MachineOptions(spot=True), "at most 3600 s in all, got 172800 s"),
        (
            MachineOptions(spot=True, max_runtime_s=1800, max_wait_s=3601),
            "at most 3600 s in all, got 3601 s",
        ),
    ],
)
def test_machines_that_the_algorithm_cannot_use_are_refused(machine, rule):
    with pytest.raises(CloudError, match=rule):
        request(machine=machine)


def test_an_unknown_machine_is_found_by_the_service_model():
    made = request(machine=MachineOptions("ml.c5.huge"))
    assert "ml.c5.huge" in next(problems("CreateTrainingJob", made))


def test_a_named_image_is_taken_without_looking():
    assert forest_image("nowhere", "registry/image:1") == "registry/image:1"


@pytest.mark.slow
def test_the_image_is_that_of_the_region():
    pytest.importorskip("sagemaker", reason="needs the extra sagemaker")
    assert forest_image("eu-west-1") == IMAGE
    china = forest_image("cn-north-1")
    assert china.endswith(".amazonaws.com.cn/randomcutforest:1")
    with pytest.raises(OptionError, match="got 'eu-nowhere-1'; name its image"):
        forest_image("eu-nowhere-1")
