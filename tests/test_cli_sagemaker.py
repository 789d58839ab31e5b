"""`echoanom sagemaker`: what it prints, how it ends, and that it runs here unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from clouds import IMAGE, ROLE, LocalCloud, local_cloud
from datasets import PERIOD_S, small_dataset, small_source
from models import untrained_artifact

from echoanom import objects
from echoanom.cli import main
from echoanom.cli.sagemaker import sagemaker
from echoanom.cloud.packaging import package_model
from echoanom.cloud.shapes import check_request
from echoanom.conversion import convert
from echoanom.options import ShardOptions, TableOptions
from echoanom.testing.s3server import S3Server

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]

SMALL = "--window 13 --filters 4,2 --kernel 3 --epochs 1".split()
AWS = ["--role", ROLE, "--image", IMAGE]


@pytest.fixture(scope="module")
def cloud(running_s3: S3Server) -> Iterator[LocalCloud]:
    with local_cloud(running_s3) as made:
        yield made


@pytest.fixture(scope="module")
def dataset(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = f"{cloud.bucket}/dataset"
    convert(
        small_source(tmp_path_factory.mktemp("cli")),
        path,
        table=TableOptions(period_s=PERIOD_S),
        sharding=ShardOptions(halo=12, shard_mib=0.003, record_kib=0.5),
    )
    return path


def run(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    """Run a command; return its JSON, or the line that says why it failed."""
    assert main(["sagemaker", *arguments]) == status, capsys.readouterr().err
    captured = capsys.readouterr()
    if status:
        assert captured.out == ""
        return captured.err
    return json.loads(captured.out)


@pytest.mark.parametrize("name", sorted(sagemaker.commands))
def test_a_command_has_help_an_example_and_json(name: str) -> None:
    command = sagemaker.commands[name]
    example = (command.help or "").partition("Example:")[2]
    assert f"  echoanom sagemaker {name}" in example
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert all(one.help and one.help.endswith(".") for one in options)
    assert any("--json" in one.opts for one in options)


def test_what_would_be_sent_is_shown_and_nothing_is_sent(
    cloud: LocalCloud, dataset: str, capsys: Capture
) -> None:
    jobs = f"{cloud.bucket}/jobs"
    sharded = "--distribution ShardedByS3Key --shuffle-objects --instances 2 --spot"
    request = run(
        capsys,
        *("train", dataset, "--output", jobs, "--name", "dry", "--dry-run"),
        *(*AWS, *SMALL, *sharded.split(), "--max-wait", "172800"),
        *("--tags", "a=b,c=d", "--network-isolation", "--learning-rate", "0.01"),
    )
    check_request("CreateTrainingJob", request)
    train = request["InputDataConfig"][1]
    assert train["InputMode"] == "Pipe" and train["ShuffleConfig"]
    assert request["HyperParameters"]["learning-rate"] == "0.01"
    assert request["HyperParameters"]["stride"] == "13"
    assert request["Tags"] == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
    assert run(capsys, "list", "--json") == []
    model = f"{cloud.bucket}/m/model.tar.gz"
    made = run(capsys, "deploy", "reef", "--model", model, *AWS, "--dry-run")
    for operation, one in made.items():
        check_request(operation, one)
    folders = [f"{cloud.bucket}/days/", f"{cloud.bucket}/scores"]
    made = run(capsys, "transform", *folders, "--model", model, *AWS, "--dry-run")
    for operation, one in made.items():
        check_request(operation, one)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--instance-type", "ml.m5.tiny"], "InstanceType must be one of"),
        (["--role", "SageMaker"], "RoleArn must be the ARN of a role such as"),
        (["--name", "a_b"], "TrainingJobName must be of letters, digits and hyphens"),
        (["--output", "jobs"], "must read and write in S3"),
        (["--checkpoints", "/tmp/state"], "must read and write in S3"),
        (["--window", "400"], "a window of 400 rows must fit into a run"),
    ],
)
def test_a_wrong_job_fails_in_one_line(
    cloud: LocalCloud, dataset: str, more: list[str], said: str, capsys: Capture
) -> None:
    line = run(
        capsys,
        *("train", dataset, "--output", f"{cloud.bucket}/jobs", *AWS, *SMALL, *more),
        status=1,
    )
    assert said in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "d", "--output", "o", "--input-mode", "Tape"], "'--input-mode'"),
        (["train", "d"], "Missing option '--output'"),
        (["train", "d", "--output", "o", "--keep", "k"], "--keep goes with --local"),
        (["train", "d", "--output", "o", "--local", "--sdk"], "not with --local"),
        (["train", "d", "--output", "o", "--max-wait", "9"], "--max-wait must be 0"),
        (["train", "d", "--output", "o", "--instances", "0"], "--instances must be"),
        (["train", "d", "--output", "o", "--tags", "red"], "--tags must be name=value"),
        (["deploy", "e"], "Missing option '--model'"),
        (
            ["predict", "e", "day.csv", "--from", "2015-02-01"],
            "choose days of a dataset",
        ),
        (["delete"], "Missing argument 'NAME...'"),
        (["swim"], "No such command 'swim'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], said: str, capsys: Capture
) -> None:
    assert said in run(capsys, *arguments, status=2)


def test_what_cannot_give_each_window_once_is_wrong_usage(
    cloud: LocalCloud, dataset: str, capsys: Capture
) -> None:
    jobs = ["--output", f"{cloud.bucket}/jobs", *AWS]
    line = run(
        capsys,
        *("train", dataset, *jobs, "--window", "14", "--shuffle-objects"),
        status=2,
    )
    assert "convert with --halo 13" in line


def test_what_does_not_exist_fails_in_one_line(
    cloud: LocalCloud, capsys: Capture, tmp_path: Path
) -> None:
    (tmp_path / "day.csv").write_text("a\n1\n")
    for arguments, said in (
        (["status", "none"], "there must be a job or an endpoint none"),
        (["delete", "none"], "there must be an endpoint or a job none"),
        (["deploy", "e", "--model", "none", *AWS], "there must be a training job none"),
        (["predict", "none", str(tmp_path / "day.csv")], "Endpoint none is not found"),
        (["predict", "none", str(tmp_path / "no.csv")], "it does not exist"),
        (
            ["train", f"{cloud.bucket}/nothing", "--output", "s3://b/o", *AWS],
            "must be a dataset made by `echoanom convert`",
        ),
    ):
        line = run(capsys, *arguments, status=1)
        assert said in line and line.count("\n") == 1


@pytest.mark.slow
def test_a_whole_job_runs_here_without_aws(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    small_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = run(
        capsys,
        *("train", "dataset", "--local", "--output", "jobs", "--name", "one", *SMALL),
        *("--keep", "hosts", "--json"),
    )
    assert done["status"] == "Completed"
    assert done["model"] == str(tmp_path / "jobs/one/output/model.tar.gz")
    assert Path(done["model"]).stat().st_size > 0
    config = json.loads(
        (tmp_path / "hosts/algo-1/input/config/inputdataconfig.json").read_text()
    )
    assert config["train"]["TrainingInputMode"] == "Pipe"
    # As a job fails, so does the command.
    line = run(
        capsys,
        *("train", "dataset", "--local", "--output", "jobs", "--name", "one", *SMALL),
        *("--keep", "hosts"),
        status=1,
    )
    assert "must not exist, as a job begins on a new machine" in line


@pytest.mark.slow
def test_the_whole_way_over_an_endpoint_runs_here_unchanged(
    cloud: LocalCloud, dataset: str, tmp_path: Path, capsys: Capture
) -> None:
    here = small_dataset(tmp_path, 2, max_gap_min=0)
    model = f"{cloud.bucket}/own/model.tar.gz"
    package_model(untrained_artifact(here, str(tmp_path / "m")).path, model)
    done = run(capsys, "deploy", "reef", "--model", model, *AWS, "--json")
    assert (done["outcome"], done["status"]) == ("created", "InService")
    (shown,) = run(capsys, "list", "--json")
    assert shown["name"] == "reef" and shown["machines"] == "1 x ml.c5.xlarge"
    assert run(capsys, "status", "reef", "--json")["status"] == "InService"
    out = tmp_path / "scores.csv"
    day = here.days[0].isoformat()
    days = ["--from", day, "--to", day]
    summary = run(
        capsys, "predict", "reef", here.path, *days, "--out", str(out), "--json"
    )
    lines = out.read_text().splitlines()
    assert len(lines) == summary["rows"] + 1
    assert all(line.startswith(day) for line in lines[1:])
    assert main(["sagemaker", "predict", "reef", here.path, *days]) == 0
    assert capsys.readouterr().out == out.read_text()
    assert main(["sagemaker", "delete", "reef"]) == 0
    assert "reef: endpoint reef, configuration reef-" in capsys.readouterr().out
    assert run(capsys, "list", "--json") == []
    assert main(["sagemaker", "list"]) == 0
    assert capsys.readouterr().out == "nothing runs\n"

    values = ",".join(["1"] * 5)
    rows = "".join(f"{day} {hour:02}:00:00,{values}\n" for hour in range(24))
    objects.write(f"{cloud.bucket}/days/{day}.csv", rows.encode())
    folders = [f"{cloud.bucket}/days/", f"{cloud.bucket}/scores"]
    done = run(
        capsys, "transform", *folders, "--model", model, *AWS, "--json", "--name", "t"
    )
    assert done["status"] == "Completed"
    content, _ = objects.read(f"{cloud.bucket}/scores/{day}.csv.out")
    assert len(content.splitlines()) == 25
    assert run(capsys, "status", "t", "--json")["kind"] == "transform job"
    assert run(capsys, "delete", "t", "--json") == {"t": []}
