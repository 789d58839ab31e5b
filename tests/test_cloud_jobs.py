"""Training jobs over a control plane: started, followed, found again, stopped, refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from clouds import IMAGE, ROLE, LocalCloud, local_cloud
from conftest import forget_clients
from datasets import PERIOD_S, small_source
from faults import faulty

from echoanom import storage
from echoanom.cloud.clients import Cloud, check_bucket
from echoanom.cloud.hyperparameters import parse_hyperparameters
from echoanom.cloud.joboptions import AccountOptions, MachineOptions
from echoanom.cloud.jobs import TrainingJob, attach, find_model, start_training
from echoanom.cloud.requests import Places
from echoanom.cloud.running import list_running, stop_running
from echoanom.cloud.trainingplan import TrainingPlan, plan_training
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import CloudError
from echoanom.options import ShardOptions, TableOptions
from echoanom.testing.s3server import REGION, S3Server

pytestmark = pytest.mark.slow

ACCOUNT = AccountOptions(role=ROLE)


@pytest.fixture(scope="module")
def cloud(running_s3: S3Server) -> Iterator[LocalCloud]:
    with local_cloud(running_s3) as made:
        yield made


@pytest.fixture(scope="module")
def dataset(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    convert(
        small_source(tmp_path_factory.mktemp("jobs")),
        f"{cloud.bucket}/dataset",
        table=TableOptions(period_s=PERIOD_S),
        sharding=ShardOptions(halo=12, shard_mib=0.003, record_kib=0.5),
    )
    return open_dataset(f"{cloud.bucket}/dataset")


def plan(cloud: LocalCloud, dataset: Dataset, name: str, **more: Any) -> TrainingPlan:
    texts = {"window": "13", "filters": "4,2", "kernel": "3", "epochs": "2"}
    return plan_training(
        dataset,
        parse_hyperparameters({**texts, **more.pop("texts", {})}),
        Places(f"{cloud.bucket}/jobs", name),
        image=IMAGE,
        region=REGION,
        **{"account": ACCOUNT, **more},
    )


@pytest.mark.slow
def test_a_job_is_followed_found_again_and_its_model_found(
    cloud: LocalCloud, dataset: Dataset
) -> None:
    job = start_training(plan(cloud, dataset, "first"))
    (shown,) = list_running()
    assert (shown.kind, shown.name, shown.machines) == (
        "training job",
        "first",
        "1 x ml.m5.xlarge",
    )
    with pytest.raises(CloudError, match="must be Completed to have a model"):
        job.model_url()
    with pytest.raises(
        CloudError, match="must have a name of its own, but first exists"
    ):
        start_training(plan(cloud, dataset, "first"))
    lines: list[str] = []
    done = job.wait(lines.append)
    assert done.status == "Completed" and done.billable_s > 0
    assert lines[0].startswith("Starting: ")
    assert any(line.startswith("epoch=2 train_loss=") for line in lines)
    assert any(line.startswith("Completed: ") for line in lines)
    assert set(done.metrics) >= {"train:loss", "validation:loss"}
    assert attach("first").status() == done
    assert find_model("first") == f"{cloud.bucket}/jobs/first/output/model.tar.gz"
    assert storage.exists(find_model("first"))
    assert list_running() == ()
    assert stop_running("first") == ()


@pytest.mark.slow
def test_a_job_is_stopped_and_one_that_fails_says_why(
    cloud: LocalCloud, dataset: Dataset
) -> None:
    long = start_training(plan(cloud, dataset, "long", texts={"epochs": "1000"}))
    other = plan(cloud, dataset, "other")
    other.request["HyperParameters"]["epochs"] = "two"
    failing = start_training(other)
    assert stop_running("long") == ("training job long",)
    with pytest.raises(CloudError, match="the training job long was stopped"):
        long.wait()
    with pytest.raises(CloudError, match="failed: .*epochs must be a whole number"):
        failing.wait()
    with pytest.raises(CloudError, match="cannot StopTrainingJob: .*Failed"):
        failing.stop()


def test_a_job_that_does_not_exist_is_told_in_one_line(cloud: LocalCloud) -> None:
    for call in (attach, find_model, stop_running):
        with pytest.raises(CloudError, match=f"a (training )?job none in {REGION}"):
            call("none")
    with pytest.raises(CloudError, match="TrainingJobName must"):
        attach("no_such_name")


def test_a_wrong_job_is_refused_before_anything_is_written(
    cloud: LocalCloud, dataset: Dataset
) -> None:
    for more, said in (
        ({"account": AccountOptions(role="me")}, "RoleArn must be the ARN of a role"),
        ({"machine": MachineOptions("ml.m5.tiny")}, "InstanceType must be one of"),
    ):
        with pytest.raises(CloudError, match=said):
            start_training(plan(cloud, dataset, "wrong", **more))
    assert not storage.exists(f"{cloud.bucket}/jobs/wrong")
    assert Cloud().find("DescribeTrainingJob", TrainingJobName="wrong") is None


def test_throttling_is_outlived(cloud: LocalCloud) -> None:
    cloud.plane.plane.throttled = 3
    assert list_running() == ()
    assert cloud.plane.plane.throttled == 0


def test_a_bucket_elsewhere_is_refused(
    running_s3: S3Server, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_bucket(cloud.bucket, REGION)
    with faulty(running_s3.endpoint) as proxy:
        proxy.plan(elsewhere="ap-south-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        forget_clients()
        try:
            with pytest.raises(
                CloudError, match="must be in the job's region"
            ) as raised:
                check_bucket(cloud.bucket, REGION)
            assert "is in ap-south-1; set AWS_DEFAULT_REGION" in str(raised.value)
            assert "\n" not in str(raised.value)
        finally:
            forget_clients()


def test_what_keeps_the_service_away_is_told_without_secrets(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    monkeypatch.setattr("echoanom.cloud.clients.ATTEMPTS", 1)
    with pytest.raises(CloudError, match="nothing answers at http://127.0.0.1:9"):
        TrainingJob("one").describe()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(CloudError, match="credentials") as raised:
        TrainingJob("one").describe()
    assert "not-a-secret" not in str(raised.value)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CloudError, match="a region must be named"):
        TrainingJob("one").describe()


def test_a_plan_keeps_the_version_it_was_made_for(
    cloud: LocalCloud, dataset: Dataset
) -> None:
    made = plan(cloud, dataset, "first")
    assert dataset.digest in made.request["HyperParameters"]["dataset-version"]
    assert set(made.objects) == {
        f"{cloud.bucket}/jobs/first/input/{name}"
        for name in (
            *("manifest.objects", "train.objects", "validation.objects"),
            "sourcedir.tar.gz",
        )
    }
    assert dataclasses.asdict(made)["request"]["TrainingJobName"] == "first"
