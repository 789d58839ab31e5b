"""What a request must say to be played, and what it is taken to say."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from echoanom.cloud.jobrequest import MirroredFolder, parse_request
from echoanom.errors import CloudError

LEAST: dict[str, Any] = {
    "TrainingJobName": "my-job",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceCount": 1},
}
SOURCE = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}
CHANNEL = {"ChannelName": "train", "DataSource": {"S3DataSource": SOURCE}}


def changed(place: str, value: Any) -> dict[str, Any]:
    """Return a request with a value put, or left out, at a place like ``A.0.B``."""
    request = copy.deepcopy({**LEAST, "InputDataConfig": [CHANNEL]})
    *path, last = [int(p) if p.isdecimal() else p for p in place.split(".")]
    at: Any = request
    for part in path:
        at = at[part] if isinstance(part, int) else at.setdefault(part, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return request


def test_what_is_not_said_has_its_default() -> None:
    job = parse_request({**LEAST, "InputDataConfig": [CHANNEL]})
    assert job.hosts == ("algo-1",)
    assert job.max_runtime_s == 86_400
    assert job.checkpoints is job.tensorboard is None
    assert job.metrics == () and job.hyperparameters == job.environment == {}
    (channel,) = job.channels
    assert channel.input_mode == "File"
    assert channel.shuffle_seed is None
    assert not (channel.sharded or channel.gzip or channel.wrapped)


def test_a_channel_has_its_own_mode_or_that_of_the_job() -> None:
    channels = [
        {**CHANNEL, "ChannelName": "a"},
        {**CHANNEL, "ChannelName": "b", "InputMode": "FastFile"},
    ]
    job = parse_request(
        {
            **LEAST,
            "AlgorithmSpecification": {"TrainingInputMode": "Pipe"},
            "InputDataConfig": channels,
        }
    )
    assert [one.input_mode for one in job.channels] == ["Pipe", "FastFile"]


def test_folders_are_moved_with_opt_ml() -> None:
    job = parse_request(
        {
            **LEAST,
            "CheckpointConfig": {"S3Uri": "s3://bucket/state/"},
            "TensorBoardOutputConfig": {
                "S3OutputPath": "s3://bucket/logs",
                "LocalPath": "/opt/ml/output/other",
            },
        }
    )
    assert job.checkpoints == MirroredFolder("checkpoints", "s3://bucket/state")
    assert job.tensorboard == MirroredFolder(
        "output/other", "s3://bucket/logs/my-job/tensorboard-output"
    )


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("TrainingJobName", None, "TrainingJobName must be a text, but is missing"),
        ("TrainingJobName", "a/b", "TrainingJobName must have 1 to 63 letters"),
        ("TrainingJobName", "../x", "TrainingJobName must have 1 to 63 letters"),
        ("ResourceConfig", None, "ResourceConfig must be an object, but is missing"),
        ("ResourceConfig.InstanceCount", 0, "must be a positive integer, got 0"),
        ("ResourceConfig.InstanceCount", "2", "must be a positive integer, got '2'"),
        (
            "AlgorithmSpecification.TrainingInputMode",
            "Pip",
            "AlgorithmSpecification.TrainingInputMode must be one of Pipe, FastFile,"
            " File, got 'Pip'",
        ),
        ("OutputDataConfig.S3OutputPath", None, "S3OutputPath must be a text, but is"),
        ("OutputDataConfig.CompressionType", "NONE", "must be one of GZIP, got 'NONE'"),
        ("HyperParameters.epochs", 3, "HyperParameters: epochs must be a text, got 3"),
        ("Environment.A", 1, "Environment: A must be a text, got 1"),
        ("InputDataConfig", "x", "InputDataConfig must be a list, got 'x'"),
        ("InputDataConfig", ["x"], "InputDataConfig[0] must be an object, got 'x'"),
        (
            "InputDataConfig",
            [CHANNEL] * 2,
            "must have different names, got train, train",
        ),
        (
            "InputDataConfig.0.ChannelName",
            None,
            "InputDataConfig[0].ChannelName must be",
        ),
        (
            "InputDataConfig.0.ChannelName",
            "..",
            "ChannelName must have 1 to 64 letters",
        ),
        ("InputDataConfig.0.DataSource", None, "channel train: DataSource must be an"),
        (
            "InputDataConfig.0.DataSource",
            {"FileSystemDataSource": {}},
            "channel train: S3DataSource must be an object, but is missing",
        ),
        (
            "InputDataConfig.0.DataSource.S3DataSource.S3DataType",
            "AugmentedManifestFile",
            "channel train: S3DataType must be one of S3Prefix, ManifestFile, got"
            " 'AugmentedManifestFile'",
        ),
        (
            "InputDataConfig.0.DataSource.S3DataSource.S3DataDistributionType",
            "Sharded",
            "S3DataDistributionType must be one of FullyReplicated, ShardedByS3Key",
        ),
        ("InputDataConfig.0.InputMode", "Fast", "channel train: InputMode must be one"),
        ("InputDataConfig.0.CompressionType", "Zip", "CompressionType must be one of"),
        (
            "InputDataConfig.0.CompressionType",
            "Gzip",
            "channel train: CompressionType must be None in File mode, got Gzip",
        ),
        (
            "InputDataConfig.0.RecordWrapperType",
            "RecordIO",
            "channel train: RecordWrapperType must be None in File mode, got RecordIO",
        ),
        ("CheckpointConfig.LocalPath", "/tmp/x", "must be a folder below /opt/ml"),
        (
            "CheckpointConfig.LocalPath",
            "/opt/ml/../x",
            "must be a folder below /opt/ml",
        ),
        ("CheckpointConfig.LocalPath", "/opt/ml/x", "CheckpointConfig.S3Uri must be a"),
        (
            "AlgorithmSpecification.MetricDefinitions",
            [{"Name": "a", "Regex": "("}],
            "the metric a must have a regular expression, got '('",
        ),
        (
            "AlgorithmSpecification.MetricDefinitions",
            [{"Name": "a", "Regex": "b"}],
            "the metric a must have a regular expression with a group for the value",
        ),
        ("AlgorithmSpecification.MetricDefinitions", [1], "must be an object, got 1"),
    ],
)
def test_a_request_that_cannot_be_played_is_refused(
    place: str, value: Any, message: str
) -> None:
    with pytest.raises(CloudError, match=re.escape(message)) as caught:
        parse_request(changed(place, value))
    assert "\n" not in str(caught.value)


def test_a_manifest_has_no_fast_file() -> None:
    request = changed("InputDataConfig.0.InputMode", "FastFile")
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3DataType"] = "ManifestFile"
    with pytest.raises(CloudError, match="must be S3Prefix in FastFile mode"):
        parse_request(request)
