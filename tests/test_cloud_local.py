"""A training job on this machine, with a program that tells what it has seen."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from processes import alive, descendants, wait_until

from echoanom import objects, storage
from echoanom.cloud.local import LocalJob, run_training_job
from echoanom.errors import CloudError
from echoanom.testing.pipefaults import Fault

pytestmark = pytest.mark.slow

JOB = [sys.executable, str(Path(__file__).with_name("anyjob.py"))]
FILES = {
    "a.bin": b"a" * 200_000,
    "b/c.bin": b"c" * 10,
    "b/d.bin": b"",
    "e.bin": b"e" * 70_000,
}
METRICS = [
    {"Name": "train:loss", "Regex": r"train_loss=([0-9.]+)"},
    {"Name": "other", "Regex": r"other=(\S+)"},
    {"Name": "never", "Regex": r"never=(\S+)"},
]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def put(url: str, content: bytes) -> None:
    if objects.is_object(url):
        objects.write(url, content)
        return
    path = Path(url.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def get(url: str) -> bytes:
    return storage.read_bytes(url)


def members(url: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(get(url))) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }


@pytest.fixture(params=["path", "file URL", "s3 URL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where the data are and the model goes: on this machine, or on S3."""
    if request.param == "s3 URL":
        return str(request.getfixturevalue("bucket"))
    return f"{'file://' if request.param == 'file URL' else ''}{tmp_path}/store"


@pytest.fixture
def local(tmp_path: Path) -> str:
    return f"{tmp_path}/store"


def channel(
    name: str, uri: str, mode: str | None = None, /, **more: Any
) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    for key in ("S3DataType", "S3DataDistributionType"):
        if key in more:
            source[key] = more.pop(key)
    made = {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}
    return {**made, "InputMode": mode} if mode else made


def make_request(
    place: str,
    channels: Sequence[dict[str, Any]],
    hosts: int = 1,
    hyperparameters: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "TrainingJobName": "my-job",
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "Pipe",
            "MetricDefinitions": METRICS,
        },
        "RoleArn": "arn:aws:iam::123456789012:role/name",
        "HyperParameters": hyperparameters or {},
        "InputDataConfig": list(channels),
        "OutputDataConfig": {"S3OutputPath": f"{place}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.xlarge",
            "InstanceCount": hosts,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Tags": [{"Key": "a", "Value": "b"}],
        **more,
    }


def put_files(place: str) -> str:
    for name, content in FILES.items():
        put(f"{place}/data/set/{name}", content)
    return f"{place}/data/set/"


def seen(place: str, host: str = "algo-1") -> dict[str, Any]:
    archive = members(f"{place}/out/my-job/output/output.tar.gz")
    return dict(json.loads(archive[f"{host}.json"]))


def test_a_job_gets_what_it_would_get(place: str, tmp_path: Path) -> None:
    data = put_files(place)
    listed = ["e.bin", "b/c.bin"]
    put(f"{place}/lists/some", json.dumps([{"prefix": data}, *listed]).encode())
    channels = [
        channel("train", data, ContentType="application/x-tfrecord"),
        channel("wrapped", data, RecordWrapperType="RecordIO"),
        channel("manifest", f"{place}/lists/some", "File", S3DataType="ManifestFile"),
        channel("slash", f"{data}b/", "File"),
        channel("part", data.rstrip("/")[:-1], "FastFile"),
    ]
    hyperparameters = {"epochs": "2", "filters": "16,8", "name": '"text"'}
    request = make_request(
        place, channels, hyperparameters=hyperparameters, Environment={"MINE": "1"}
    )
    lines: list[tuple[str, str]] = []
    about = run_training_job(
        request,
        folder=str(tmp_path / "job"),
        command=JOB,
        environment={"MORE": "2"},
        on_line=lambda *one: lines.append(one),
    )
    assert about["TrainingJobStatus"] == "Completed", about
    found = seen(place)
    whole = b"".join(FILES[name] for name in sorted(FILES))
    names = {name: md5(content) for name, content in FILES.items()}
    assert found["channels"]["train"] == [md5(whole)] * 2
    assert len(set(found["channels"]["wrapped"])) == 1
    assert found["channels"]["wrapped"][0] != md5(whole)
    assert found["channels"]["manifest"] == {name: names[name] for name in listed}
    assert found["channels"]["slash"] == {
        n[2:]: names[n] for n in ("b/c.bin", "b/d.bin")
    }
    assert found["channels"]["part"] == {
        f"set/{n}": digest for n, digest in names.items()
    }
    assert found["hyperparameters"] == hyperparameters
    plain = {"S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert found["inputdataconfig"] == {
        "train": {
            "ContentType": "application/x-tfrecord",
            "TrainingInputMode": "Pipe",
            **plain,
        },
        "wrapped": {
            "TrainingInputMode": "Pipe",
            **plain,
            "RecordWrapperType": "RecordIO",
        },
        "manifest": {"TrainingInputMode": "File", **plain},
        "slash": {"TrainingInputMode": "File", **plain},
        "part": {"TrainingInputMode": "FastFile", **plain},
    }
    base = f"{tmp_path}/job/algo-1"
    told = found["environment"]
    assert told["SAGEMAKER_BASE_DIR"] == base
    assert told["SM_CHANNEL_TRAIN"] == f"{base}/input/data/train"
    assert json.loads(told["SM_CHANNELS"]) == [one["ChannelName"] for one in channels]
    assert told["SM_MODEL_DIR"] == f"{base}/model"
    assert told["SM_OUTPUT_DATA_DIR"] == f"{base}/output/data"
    assert json.loads(told["SM_HPS"]) == {
        "epochs": 2,
        "filters": "16,8",
        "name": "text",
    }
    assert (told["SM_HP_EPOCHS"], told["SM_HP_NAME"]) == ("2", "text")
    assert json.loads(told["SM_INPUT_DATA_CONFIG"]) == found["inputdataconfig"]
    assert json.loads(told["SM_HOSTS"]) == ["algo-1"]
    assert (told["MINE"], told["MORE"]) == ("1", "2")
    assert "TF_CONFIG" not in told
    fast = tmp_path / "job/algo-1/input/data/part/set/a.bin"
    assert fast.stat().st_mode & 0o222 == 0
    assert ("algo-1", "to the error output") in lines
    log = (tmp_path / "job/algo-1.log").read_text().splitlines()
    assert [("algo-1", line) for line in log] == lines
    url = f"{place}/out/my-job/output/model.tar.gz"
    assert about["ModelArtifacts"] == {"S3ModelArtifacts": url}
    assert members(url) == {"algo-1/weights": b"algo-1", "common": b"algo-1"}
    assert not list(Path(base).glob("input/data/*_*"))


def test_a_job_is_described_as_the_service_describes_it(local: str) -> None:
    request = make_request(local, [channel("train", put_files(local))])
    about = run_training_job(request, command=JOB)
    assert "Tags" not in about
    assert {k: about[k] for k in request if k != "Tags"} == {
        k: v for k, v in request.items() if k != "Tags"
    }
    assert about["SecondaryStatus"] == "Completed"
    states = [one["Status"] for one in about["SecondaryStatusTransitions"]]
    assert states == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    for one in about["SecondaryStatusTransitions"]:
        assert one["StartTime"] <= one["EndTime"]
    assert (
        about["CreationTime"] <= about["TrainingStartTime"] <= about["TrainingEndTime"]
    )
    assert about["CreationTime"].tzinfo is datetime.UTC
    found = {one["MetricName"]: one["Value"] for one in about["FinalMetricDataList"]}
    assert found == {"train:loss": 0.333, "other": 1e-3}
    assert about["TrainingJobArn"].endswith(":training-job/my-job")
    import botocore.session

    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model("DescribeTrainingJob").output_shape
    assert set(about) <= set(shape.members)
    assert set(shape.required_members) <= set(about)


def test_the_archives_are_the_same_every_time(local: str) -> None:
    request = make_request(local, [channel("train", put_files(local))])
    archives = []
    for _ in range(2):
        about = run_training_job(request, command=JOB)
        archives.append(get(about["ModelArtifacts"]["S3ModelArtifacts"]))
    assert archives[0] == archives[1]


def test_hosts_share_what_is_sharded(local: str) -> None:
    data = put_files(local)
    sharded = {"S3DataDistributionType": "ShardedByS3Key"}
    channels = [
        channel("pipe", data, ShuffleConfig={"Seed": 3}, **sharded),
        channel("file", data, "File", **sharded),
        channel("all", data, "File"),
    ]
    request = make_request(local, channels, 2, {"epochs": "3"})
    about = run_training_job(request, command=JOB)
    assert about["TrainingJobStatus"] == "Completed", about
    first, second = (seen(local, host) for host in ("algo-1", "algo-2"))
    whole = {name: md5(content) for name, content in FILES.items()}
    assert {**first["channels"]["file"], **second["channels"]["file"]} == whole
    assert len(first["channels"]["file"]) == len(second["channels"]["file"]) == 2
    assert first["channels"]["all"] == second["channels"]["all"] == whole
    for epoch in range(3):
        assert first["channels"]["pipe"][epoch] != second["channels"]["pipe"][epoch]
    clusters = [json.loads(one["environment"]["TF_CONFIG"]) for one in (first, second)]
    assert clusters[0]["cluster"] == clusters[1]["cluster"]
    workers = clusters[0]["cluster"]["worker"]
    assert len(set(workers)) == 2 and all(w.startswith("127.0.0.1:") for w in workers)
    tasks = [one["task"] for one in clusters]
    assert tasks == [{"type": "worker", "index": 0}, {"type": "worker", "index": 1}]
    assert first["resourceconfig"]["hosts"] == ["algo-1", "algo-2"]
    assert second["resourceconfig"]["current_host"] == "algo-2"
    model = members(about["ModelArtifacts"]["S3ModelArtifacts"])
    assert model == {
        "algo-1/weights": b"algo-1",
        "algo-2/weights": b"algo-2",
        "common": b"algo-1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("place", ["path", "s3 URL"], indirect=True)
def test_checkpoints_go_and_come_back(place: str) -> None:
    request = make_request(
        place,
        [channel("train", put_files(place))],
        hosts=2,
        CheckpointConfig={"S3Uri": f"{place}/state/"},
        TensorBoardOutputConfig={"S3OutputPath": f"{place}/logs"},
    )
    lines: list[str] = []
    for number in range(2):
        about = run_training_job(
            request, command=JOB, on_line=lambda host, line: lines.append(line)
        )
        assert about["TrainingJobStatus"] == "Completed", about
        assert lines.count(f"begins at {number}") == 2
        assert get(f"{place}/state/state") == f"{number + 1}".encode()
    files, inner = storage.filesystem(f"{place}/state")
    assert [name.rpartition("/")[2] for name in files.find(inner)] == ["state"]
    for host in ("algo-1", "algo-2"):
        logs = f"{place}/logs/my-job/tensorboard-output/{host}.log"
        assert get(logs) == b"events"


def started(job: LocalJob, lines: list[str], what: str, hosts: int = 1) -> None:
    job.start()
    wait_until(
        lambda: (
            sum(what in line for line in lines) == hosts
            or job.describe()["TrainingJobStatus"] == "Failed"
        )
    )


@pytest.fixture
def sleeping(local: str) -> Iterator[tuple[LocalJob, list[str]]]:
    """Return a job that sleeps, stores its state when asked to end, and its lines."""
    request = make_request(
        local,
        [channel("train", put_files(local))],
        hyperparameters={"do": "sleep"},
        CheckpointConfig={"S3Uri": f"{local}/state"},
    )
    lines: list[str] = []
    with LocalJob(
        request, command=JOB, on_line=lambda host, line: lines.append(line)
    ) as job:
        started(job, lines, "sleeps beside")
        yield job, lines


def child_of(lines: list[str]) -> int:
    (line,) = (line for line in lines if "sleeps beside" in line)
    return int(line.rpartition(" ")[2])


def test_a_job_is_stopped_in_time(
    sleeping: tuple[LocalJob, list[str]], local: str
) -> None:
    job, lines = sleeping
    wait_until(lambda: os.path.exists(f"{local}/state/state"))  # while it runs
    assert get(f"{local}/state/state") == b"1"
    assert job.describe()["SecondaryStatus"] == "Training"
    assert job.wait(0.1)["TrainingJobStatus"] == "InProgress"
    job.stop()
    about = job.wait()
    assert about["TrainingJobStatus"] == about["SecondaryStatus"] == "Stopped"
    assert lines.count("asked to end") == 1
    states = [one["Status"] for one in about["SecondaryStatusTransitions"]]
    assert states[-2:] == ["Stopping", "Stopped"]
    assert get(f"{local}/state/state") == b"10"
    assert "algo-1/weights" in members(about["ModelArtifacts"]["S3ModelArtifacts"])
    assert not alive(child_of(lines))


def test_a_lost_host_is_a_failure_that_keeps_its_state(
    sleeping: tuple[LocalJob, list[str]], local: str
) -> None:
    job, lines = sleeping
    job.lose(0)
    about = job.wait()
    assert about["TrainingJobStatus"] == "Failed"
    assert about["FailureReason"] == "AlgorithmError: exit code: 137"
    assert "ModelArtifacts" not in about
    assert get(f"{local}/state/state") == b"1"
    assert not alive(child_of(lines))


def test_leaving_a_job_ends_it_at_once(local: str) -> None:
    lines: list[str] = []
    request = make_request(
        local, [channel("train", put_files(local))], hyperparameters={"do": "stubborn"}
    )
    with LocalJob(
        request, command=JOB, on_line=lambda h, line: lines.append(line)
    ) as job:
        started(job, lines, "sleeps beside")
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert job.describe()["TrainingJobStatus"] == "Stopped"
    assert not alive(child_of(lines))


@pytest.mark.slow
@pytest.mark.parametrize("do", ["sleep", "stubborn"])
def test_a_job_that_takes_too_long_is_ended(local: str, do: str) -> None:
    request = make_request(
        local,
        [channel("train", put_files(local))],
        hyperparameters={"do": do},
        StoppingCondition={"MaxRuntimeInSeconds": 2},
    )
    lines: list[str] = []
    about = run_training_job(
        request, command=JOB, on_line=lambda h, line: lines.append(line), grace_s=0.5
    )
    assert about["TrainingJobStatus"] == "Stopped"
    assert about["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert "asked to end" in lines
    assert not alive(child_of(lines))


def test_when_one_host_fails_the_others_are_ended(local: str) -> None:
    request = make_request(
        local,
        [channel("train", put_files(local))],
        hosts=2,
        hyperparameters={"do": "fail", "host": "algo-2"},
    )
    lines: list[str] = []
    about = run_training_job(
        request, command=JOB, on_line=lambda h, line: lines.append(f"{h} {line}")
    )
    assert about["TrainingJobStatus"] == about["SecondaryStatus"] == "Failed"
    reason = "AlgorithmError: algo-2 was told to\nfail, exit code: 1"
    assert about["FailureReason"] == reason
    assert "ModelArtifacts" not in about
    assert "algo-2.json" in members(f"{local}/out/my-job/output/output.tar.gz")


def test_a_stop_before_the_program_runs_needs_none(local: str) -> None:
    request = make_request(local, [channel("train", put_files(local))])
    with LocalJob(request, command=["/no/such/program"]) as job:
        job.stop()
        job.start()
        about = job.wait()
    assert about["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("data_type", "reason"),
    [
        (
            "S3Prefix",
            "channel train: there must be objects at {uri}, but none is found",
        ),
        ("ManifestFile", "cannot read {uri}: it does not exist"),
    ],
)
@pytest.mark.parametrize("mode", ["Pipe", "File"])
def test_a_job_without_data_fails(
    local: str, mode: str, data_type: str, reason: str
) -> None:
    uri = f"{put_files(local)}none"
    request = make_request(local, [channel("train", uri, mode, S3DataType=data_type)])
    about = run_training_job(request, command=JOB)
    assert about["TrainingJobStatus"] == "Failed"
    assert about["FailureReason"] == f"ClientError: {reason.format(uri=uri)}"


def test_an_object_cannot_leave_its_folder(local: str, tmp_path: Path) -> None:
    put_files(local)
    put(
        f"{local}/list",
        json.dumps([{"prefix": f"{local}/data/"}, "set/../../x"]).encode(),
    )
    put(f"{local}/x", b"")
    listed = channel("train", f"{local}/list", "File", S3DataType="ManifestFile")
    about = run_training_job(
        make_request(local, [listed]), folder=str(tmp_path / "job"), command=JOB
    )
    assert about["TrainingJobStatus"] == "Failed"
    assert "must stay below the folder it is copied to" in about["FailureReason"]


def test_a_pipe_that_breaks_is_the_reason(local: str) -> None:
    put(f"{local}/data/a", b"not gzipped")
    zipped = channel("train", f"{local}/data/", CompressionType="Gzip")
    about = run_training_job(make_request(local, [zipped]), command=JOB)
    assert about["TrainingJobStatus"] == "Failed"
    reason = f"ClientError: channel train: {local}/data/a: must be gzipped"
    assert about["FailureReason"].startswith(reason)


def test_faults_happen_to_pipes(local: str) -> None:
    request = make_request(
        local, [channel("train", put_files(local))], hyperparameters={"epochs": "2"}
    )
    faults = [Fault("cut", epoch=1, at_byte=5)]
    about = run_training_job(request, command=JOB, faults=faults)
    assert about["TrainingJobStatus"] == "Completed", about
    assert seen(local)["channels"]["train"][1] == md5(b"a" * 5)


def test_a_program_that_is_not_there_is_a_failure(local: str) -> None:
    request = make_request(local, [channel("train", put_files(local))])
    about = run_training_job(request, command=["/no/such/program"])
    assert about["FailureReason"] == "AlgorithmError: exit code: 127"


def test_a_folder_is_not_used_twice(local: str, tmp_path: Path) -> None:
    request = make_request(local, [channel("train", put_files(local))])
    folder = str(tmp_path / "job")
    run_training_job(request, folder=folder, command=JOB)
    with pytest.raises(CloudError, match=f"{folder}/algo-1: must not exist"):
        run_training_job(request, folder=folder, command=JOB)


def test_lines_that_nobody_takes_do_not_stop_a_job(local: str) -> None:
    def take(host: str, line: str) -> None:
        raise RuntimeError("no more")

    request = make_request(local, [channel("train", put_files(local))])
    about = run_training_job(request, command=JOB, on_line=take)
    assert about["TrainingJobStatus"] == "Completed"


PARENT = """
import json, sys
from echoanom.cloud.local import run_training_job
print("starts", flush=True)
run_training_job(
    json.loads(sys.argv[1]),
    folder=sys.argv[2],
    command=json.loads(sys.argv[3]),
    on_line=lambda host, line: print(line, flush=True),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_parent_is_ended(
    local: str, tmp_path: Path, number: int
) -> None:
    request = make_request(
        local,
        [channel("train", put_files(local)), channel("more", put_files(local))],
        hosts=2,
        hyperparameters={"do": "stubborn", "epochs": "2"},
    )
    folder = tmp_path / "job"
    with subprocess.Popen(
        [
            *(sys.executable, "-c", PARENT, json.dumps(request)),
            *(str(folder), json.dumps(JOB)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            while "sleeps beside" not in parent.stdout.readline():
                assert parent.poll() is None
        wait_until(lambda: len(list(folder.glob("algo-*/input/data/*_2"))) == 4)
        started = descendants(parent.pid)
        # Two agents, and two hosts of three processes each.
        assert len(started) == 8
        parent.send_signal(number)
        parent.wait()
        wait_until(lambda: not any(map(alive, started)))
        wait_until(lambda: not list(folder.glob("algo-*/input/data/*_*")))
