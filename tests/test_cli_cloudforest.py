"""`echoanom sagemaker forest`, against an S3 server and a control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from echoanom import storage
from echoanom.cli import main
from echoanom.cloud.clients import Cloud
from echoanom.cloud.standin import standin
from echoanom.testing.s3server import S3Server

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "data"
LABELS = str(SAMPLE / "labels.csv")
ROLE = "arn:aws:iam::123456789012:role/trains"
IMAGE = "438346466558.dkr.ecr.eu-west-1.amazonaws.com/randomcutforest:1"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("forest") / "dataset")
    assert main(["convert", str(SAMPLE), path, "--period", "900"]) == 0
    return path


@pytest.fixture
def aws(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with standin() as plane:
        for name, value in plane.environment().items():
            monkeypatch.setenv(name, value)
        yield


def test_rows_go_to_a_folder_and_are_counted(sample, tmp_path, capsys):
    out = str(tmp_path / "out")
    arguments = ["sagemaker", "forest", sample, "--out", out, "--exclude", LABELS]
    assert main(arguments) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{out}/train/: 320 rows of 48 columns in 4 objects (")
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["export"]["train"]["rows"] == 320 and found["job"] is None


@pytest.mark.slow
def test_a_job_is_started_over_the_rows_in_a_bucket(sample, aws, bucket, capsys):
    out = f"{bucket}/forest"
    arguments = ["sagemaker", "forest", sample, "--out", out, "--labels", LABELS]
    arguments += ["--train", "--role", ROLE, "--name", "forest-1", "--image", IMAGE]
    arguments += ["--trees", "100", "--metrics", "accuracy", "--no-wait", "--json"]
    assert main([*arguments, "--instances", "2", "--tags", "team=ocean"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["job"]["name"] == "forest-1"
    sent = Cloud().find("DescribeTrainingJob", TrainingJobName="forest-1")
    assert sent is not None
    assert sent["HyperParameters"] == {
        "feature_dim": "48",
        "num_trees": "100",
        "num_samples_per_tree": "256",
        "eval_metrics": '["accuracy"]',
    }
    assert sent["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert sent["OutputDataConfig"]["S3OutputPath"] == f"{out}/models"
    for channel in sent["InputDataConfig"]:
        part = found["export"][channel["ChannelName"]]
        url = channel["DataSource"]["S3DataSource"]["S3Uri"]
        sizes = [size for _, size in storage.list_files(url)]
        assert (len(sizes), sum(sizes)) == (part["objects"], part["bytes"])
    # The same name again: one line, and nothing is started.
    assert main(arguments) == 1
    assert "but forest-1 exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--trees", "10"], "--trees must be a whole number from 50 to 1000, got 10"),
        (["--samples", "4096"], "--samples must be a whole number from 3 to 2048"),
        (["--metrics", "accuracy"], "--metrics goes with --labels"),
        (["--seed", "1"], "No such option '--seed'"),
        (["--train", "--role", ROLE], "--train needs --out in S3 (s3://...), got "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_told_in_one_line(sample, tmp_path, capsys, options, rule):
    out = tmp_path / "out"
    assert main(["sagemaker", "forest", sample, "--out", str(out), *options]) == 2
    assert rule in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ([], "RoleArn"),
        (["--role", "admin"], "RoleArn"),
        (["--role", ROLE, "--instance-type", "big"], "InstanceType"),
        (["--role", ROLE, "--name", "a b"], "TrainingJobName"),
        (["--role", ROLE, "--output", "/models"], "must read and write in S3"),
        (["--role", ROLE, "--labels", LABELS, "--metrics", "f1"], "got 'f1'"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_a_wrong_job_is_refused_before_any_row_is_written(
    sample, s3, bucket, capsys, monkeypatch, options, rule
):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    out = f"{bucket}/forest"
    arguments = ["sagemaker", "forest", sample, "--out", out, "--image", IMAGE]
    assert main([*arguments, "--train", *options]) in (1, 2)
    error = capsys.readouterr().err
    assert rule in error and error.count("\n") == 1
    assert not storage.exists(out)
