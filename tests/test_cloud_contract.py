"""The folders and variables of a job, as the service and its launchers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from echoanom.cloud.contract import BASE_VARIABLE, Job, read_job
from echoanom.errors import CloudError

CHANNELS = {
    "train": {
        "ContentType": "application/x-tfrecord",
        "TrainingInputMode": "Pipe",
        "S3DistributionType": "ShardedByS3Key",
        "RecordWrapperType": "RecordIO",
    },
    "manifest": {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    },
}
HOSTS = {"current_host": "algo-2", "hosts": ["algo-10", "algo-1", "algo-2"]}


def write(base: Path, **files: Any) -> dict[str, str]:
    """Write the files of a job, and return the variable that leads to them."""
    config = base / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (config / f"{name}.json").write_text(text)
    return {BASE_VARIABLE: str(base)}


def read(base: Path, **files: Any) -> Job:
    defaults = {
        "hyperparameters": {"window": "13"},
        "inputdataconfig": CHANNELS,
        "resourceconfig": HOSTS,
    }
    return read_job(write(base, **{**defaults, **files}))


def test_a_job_is_what_the_files_of_the_service_say(tmp_path: Path) -> None:
    job = read(tmp_path)
    assert job.hyperparameters == {"window": "13"}
    assert job.hosts == ("algo-1", "algo-2", "algo-10")
    assert job.worker == 1
    train = job.channel("train")
    assert (train.input_mode, train.sharded, train.recordio) == ("Pipe", True, True)
    assert train.fifo(2) == f"{tmp_path}/input/data/train_2"
    manifest = job.channel("manifest")
    assert (manifest.input_mode, manifest.sharded, manifest.recordio) == (
        *("File", False),
        False,
    )
    assert manifest.path == f"{tmp_path}/input/data/manifest"
    assert job.checkpoints == f"{tmp_path}/checkpoints"
    assert job.model_dir == f"{tmp_path}/model"
    assert job.output_dir == f"{tmp_path}/output"
    assert job.tensorboard == f"{tmp_path}/output/tensorboard"


def test_what_a_launcher_has_decoded_counts_more(tmp_path: Path) -> None:
    environment = write(
        tmp_path, hyperparameters={}, inputdataconfig=CHANNELS, resourceconfig=HOSTS
    )
    job = read_job(
        {
            **environment,
            "SM_HPS": '{"window": 7}',
            "SM_HOSTS": '["algo-1", "algo-2"]',
            "SM_CURRENT_HOST": "algo-2",
            "SM_MODEL_DIR": "/model",
            "SM_OUTPUT_DIR": "/out",
            "TF_CONFIG": json.dumps({"cluster": {"worker": ["a:1", "b:2"]}}),
        }
    )
    assert job.hyperparameters == {"window": 7}
    assert (job.hosts, job.worker) == (("algo-1", "algo-2"), 1)
    assert job.addresses == ("a:1", "b:2")
    assert (job.model_dir, job.output_dir) == ("/model", "/out")


def test_one_host_needs_no_list_of_hosts(tmp_path: Path) -> None:
    job = read_job(write(tmp_path, inputdataconfig=CHANNELS))
    assert (job.hosts, job.worker, job.hyperparameters) == (("algo-1",), 0, {})


@pytest.mark.parametrize(
    "files, message",
    [
        ({"inputdataconfig": "{"}, "inputdataconfig.json: must be JSON"),
        ({"inputdataconfig": []}, "must be a JSON object"),
        ({"inputdataconfig": {"train": 3}}, "channel train: must be an object, got 3"),
        (
            {"inputdataconfig": {"train": {"TrainingInputMode": "Tube"}}},
            "TrainingInputMode must be one of Pipe, FastFile, File, got 'Tube'",
        ),
        (
            {"inputdataconfig": {"train": {"S3DistributionType": "Some"}}},
            "S3DistributionType must be one of FullyReplicated, ShardedByS3Key",
        ),
        (
            {"resourceconfig": {"current_host": "algo-3", "hosts": ["algo-1"]}},
            "must list this host, 'algo-3', among all hosts",
        ),
        ({"hyperparameters": "[1]"}, "hyperparameters.json: must be a JSON object"),
    ],
)
def test_files_that_say_what_they_cannot_are_refused(
    tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        read(tmp_path, **files)


def test_a_folder_that_nobody_laid_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"inputdataconfig.json: must exist"):
        read_job({BASE_VARIABLE: str(tmp_path)})


def test_addresses_that_are_not_one_a_host_are_refused(tmp_path: Path) -> None:
    environment = write(tmp_path, inputdataconfig=CHANNELS, resourceconfig=HOSTS)
    with pytest.raises(CloudError, match="an address for each of 3 hosts"):
        read_job({**environment, "TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'})


def test_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="a channel validation, but has manifest, tr"):
        read(tmp_path).channel("validation")
