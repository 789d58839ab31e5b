"""Whole jobs, as the service runs them: each way in, several hosts, interruptions."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloudjobs import LIST, PAUSE, losses_of, starts_of
from datasets import small_dataset

from echoanom import storage
from echoanom.artifact import Artifact, load_artifact
from echoanom.cloud.hyperparameters import parse_hyperparameters
from echoanom.cloud.joboptions import ChannelOptions, MachineOptions
from echoanom.cloud.local import LocalJob
from echoanom.cloud.packaging import unpack_model, unpacked_artifact
from echoanom.cloud.requests import Places
from echoanom.cloud.trainingplan import plan_training, write_objects
from echoanom.dataset import Dataset, open_dataset
from echoanom.holdout import hold_back
from echoanom.options import ShardOptions
from echoanom.testing.pipefaults import Fault
from echoanom.training import train
from echoanom.windowing import WindowIndex

pytestmark = pytest.mark.slow

WINDOW, EPOCHS = 13, 3
TEXTS = {
    "window": str(WINDOW),
    "stride": "3",
    "batch-size": "16",
    "epochs": str(EPOCHS),
    "filters": "4,2",
    "kernel": "3",
    "shuffle": "false",
    "checkpoint-every": "2",
    "pipe-timeout": "60",
}
MOST = 6
MANY = {"epochs": str(MOST), "patience": "0"}
JOB = [sys.executable, str(Path(__file__).with_name("cloudjobs.py"))]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight days, a shard each, with a halo."""
    return small_dataset(
        tmp_path_factory.mktemp("jobs"),
        8,
        sharding=ShardOptions(halo=WINDOW - 1, shard_mib=0.003, record_kib=0.5),
    )


class Done:
    """A job that has ended."""

    def __init__(self, described: Any, lines: list[str], starts: Path) -> None:
        self.status = described["TrainingJobStatus"]
        self.failure = described.get("FailureReason", "")
        self.model = described.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        self.metrics = {
            one["MetricName"]: one["Value"]
            for one in described.get("FinalMetricDataList", ())
        }
        self.losses = losses_of(lines)
        self.lines = lines
        self.starts = starts_of(starts)


Run = Callable[..., Done]


@pytest.fixture
def run(dataset: Dataset, tmp_path: Path) -> Run:
    """Return a function that runs a job to its end."""
    number = iter(range(100))

    def run(
        texts: dict[str, str] | None = None,
        *,
        of: Dataset = dataset,
        hosts: int = 1,
        output: str = "",
        checkpoints: str = "",
        faults: tuple[Fault, ...] = (),
        after: Callable[[LocalJob, list[str]], None] | None = None,
        pause_s: float = 0.0,
        **channels: Any,
    ) -> Done:
        name = f"job-{next(number)}"
        starts = tmp_path / name
        starts.mkdir()
        plan = plan_training(
            of,
            parse_hyperparameters({**TEXTS, **(texts or {})}),
            Places(output or str(tmp_path / "output"), name, checkpoints),
            channels=ChannelOptions(**channels),
            machine=MachineOptions(instance_count=hosts),
        )
        write_objects(plan)
        lines: list[str] = []
        job = LocalJob(
            plan.request,
            command=JOB,
            environment={LIST: str(starts), PAUSE: str(pause_s)},
            faults=faults,
            on_line=lambda host, line: lines.append(f"{host} {line}"),
        )
        job.start()
        if after is not None:
            after(job, lines)
        return Done(job.wait(), lines, starts)

    return run


@pytest.fixture(scope="module")
def every_window(dataset: Dataset) -> Counter[int]:
    """The start of each window to train on."""
    holdout = hold_back(dataset.runs, dataset.period_s, WINDOW, 0.2)
    options = parse_hyperparameters(TEXTS).window
    index = WindowIndex(holdout.training, options)
    rows = index.first_rows(np.arange(len(index)))
    return Counter(dataset.times()[rows].tolist())


def assert_each_once(done: Done, windows: Counter[int], epochs: int = EPOCHS) -> None:
    assert done.status == "Completed", (done.failure, done.lines[-5:])
    assert set(windows.values()) == {1}
    assert done.starts == dict.fromkeys(range(epochs), windows)


@pytest.fixture(scope="module")
def plain(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What a training without SageMaker comes to in many epochs."""
    options = parse_hyperparameters({**TEXTS, **MANY})
    folder = str(tmp_path_factory.mktemp("plain") / "model")
    return train(dataset, folder, options.window, options.network, options.training)


def assert_losses(done: Done, plain: Artifact, first: int = 0) -> None:
    """Check losses of epochs, from one of them on."""
    history = plain.record.history[first : first + len(done.losses)]
    expected = [(one.loss, one.validation_loss) for one in history]
    np.testing.assert_allclose(done.losses, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("way", ["Pipe", "FastFile", "File"])
def test_each_way_in_gives_each_window_once_and_the_losses_of_a_plain_training(
    dataset: Dataset,
    run: Run,
    every_window: Counter[int],
    plain: Artifact,
    tmp_path: Path,
    way: str,
) -> None:
    done = run(input_mode=way)
    assert_each_once(done, every_window)
    assert len(done.losses) == EPOCHS
    assert_losses(done, plain)
    assert done.metrics["train:windows"] == sum(every_window.values())
    assert done.metrics["validation:loss"] == pytest.approx(done.losses[-1][1])
    unpack_model(done.model, str(tmp_path / "model"))
    artifact = load_artifact(unpacked_artifact(str(tmp_path / "model")))
    assert artifact.record.dataset_path == dataset.path
    assert artifact.record.dataset_digest == dataset.digest
    assert artifact.window.size == WINDOW
    assert artifact.calibration is not None
    assert len(artifact.record.history) == EPOCHS


def test_shuffled_the_losses_differ_by_the_noise_of_the_order(
    dataset: Dataset, run: Run, every_window: Counter[int], tmp_path: Path
) -> None:
    done = run({"shuffle": "true"}, input_mode="Pipe")
    assert_each_once(done, every_window)
    options = parse_hyperparameters({**TEXTS, "shuffle": "true"})
    folder = str(tmp_path / "plain")
    plain = train(dataset, folder, options.window, options.network, options.training)
    np.testing.assert_allclose(
        [validation for _, validation in done.losses],
        [one.validation_loss for one in plain.record.history],
        rtol=0.05,
    )


def test_two_hosts_that_read_the_same_pipes_train_the_model_of_one(
    run: Run, every_window: Counter[int], plain: Artifact
) -> None:
    done = run(hosts=2)
    assert_each_once(done, every_window)
    assert_losses(done, plain)


def test_hosts_with_shuffled_shards_of_their_own_have_each_window_once(
    dataset: Dataset, run: Run, every_window: Counter[int], bucket: str
) -> None:
    files, inner = storage.filesystem(bucket + "/dataset")
    files.put(dataset.path, inner, recursive=True)
    done = run(
        {"shuffle": "true"},
        of=open_dataset(bucket + "/dataset"),
        hosts=2,
        output=bucket + "/jobs",
        distribution="ShardedByS3Key",
        shuffle_objects=True,
    )
    assert_each_once(done, every_window)
    assert storage.exists(done.model)


def after_epoch(number: int) -> Callable[[LocalJob, list[str]], None]:
    """Wait until a line says that an epoch is done."""

    def wait(job: LocalJob, lines: list[str]) -> None:
        until = time.monotonic() + 120
        while len(losses_of(list(lines))) < number:
            assert time.monotonic() < until, lines
            time.sleep(0.005)

    return wait


def stopped_in_epoch(number: int) -> Callable[[LocalJob, list[str]], None]:
    def stop(job: LocalJob, lines: list[str]) -> None:
        after_epoch(number - 1)(job, lines)
        job.stop()

    return stop


def killed_in_epoch(number: int) -> Callable[[LocalJob, list[str]], None]:
    def kill(job: LocalJob, lines: list[str]) -> None:
        after_epoch(number - 1)(job, lines)
        for host in range(len(job.bases)):
            job.lose(host)

    return kill


@pytest.mark.parametrize(
    "interrupt, status, way, hosts",
    [
        (stopped_in_epoch, "Stopped", "Pipe", 1),
        (stopped_in_epoch, "Stopped", "FastFile", 2),
        (killed_in_epoch, "Failed", "FastFile", 1),
        (killed_in_epoch, "Failed", "Pipe", 2),
    ],
    ids=["SIGTERM", "SIGTERM, two hosts", "SIGKILL", "SIGKILL, two hosts"],
)
def test_an_interrupted_job_goes_on_from_its_checkpoints(
    run: Run,
    tmp_path: Path,
    plain: Artifact,
    interrupt: Callable[[int], Any],
    status: str,
    way: str,
    hosts: int,
) -> None:
    given = {"input_mode": way, "hosts": hosts, "checkpoints": str(tmp_path / "state")}
    first = run(MANY, after=interrupt(2), pause_s=0.1, **given)
    assert first.status == status, first.lines[-5:]
    second = run(MANY, **given)
    assert second.status == "Completed", second.failure
    assert any("goes on after" in line for line in second.lines)
    done_before = MOST - len(second.losses)
    assert 0 < done_before < MOST
    assert_losses(second, plain, done_before)
    # What was done is not done again.
    assert sorted(second.starts) == list(range(done_before, MOST))


@pytest.mark.parametrize(
    "fault, message",
    [
        (Fault("stall", 1, 5000), "channel train|train_1: must give data within 3 s"),
        (Fault("missing", 1), r"train_1: must exist within 3 s, but the pipe does not"),
        (Fault("cut", 1, 5000), "ends|cut|must"),
        (Fault("flip", 1, 5000), "byte"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_pipe_that_fails_ends_the_job_in_its_time_and_says_why(
    run: Run, fault: Fault, message: str
) -> None:
    began = time.monotonic()
    fault = dataclasses.replace(fault, channel="train")
    done = run({"pipe-timeout": "3"}, faults=(fault,))
    assert time.monotonic() - began < 60
    assert done.status == "Failed"
    assert "channel train" in done.failure or "train_1" in done.failure
    assert re.search(message, done.failure), done.failure
    assert "\n" not in done.failure.strip()
