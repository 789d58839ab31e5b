"""What a training job needs, decided before anything is sent: request and objects."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from echoanom import objects, publishing, storage
from echoanom.cloud.channels import manifest_name, plan_channels
from echoanom.cloud.clients import check_bucket
from echoanom.cloud.hyperparameters import Hyperparameters
from echoanom.cloud.joboptions import AccountOptions, ChannelOptions, MachineOptions
from echoanom.cloud.requests import (
    Places,
    Request,
    file_channel,
    hyperparameter_texts,
    training_request,
)
from echoanom.cloud.shapes import check_request
from echoanom.cloud.sourcecode import (
    ARCHIVE,
    CODE_CHANNEL,
    launch_hyperparameters,
    source_archive,
)
from echoanom.dataset import Dataset
from echoanom.errors import CloudError


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """A job that can be started.

    Attributes
    ----------
    request : dict
        ``CreateTrainingJob``.
    objects : dict of str to bytes
        What must be written before, by URL: code and lists of objects.
    """

    request: Request
    objects: dict[str, bytes]


def plan_training(
    dataset: Dataset,
    options: Hyperparameters,
    places: Places,
    *,
    image: str = "",
    region: str = "",
    channels: ChannelOptions | None = None,
    machine: MachineOptions | None = None,
    account: AccountOptions | None = None,
) -> TrainingPlan:
    """Decide all that is to be sent, and send nothing.

    Parameters
    ----------
    dataset : Dataset
        What to train on. The job refuses any other version of it.
    options : Hyperparameters
        How.
    places : Places
        The job's name and folders: URLs of S3, or local paths for a job here.
    image : str
        The container's image; without one the job can only run on this machine, from
        the package itself.
    region : str
        Where it is to run.
    channels : ChannelOptions, optional
        How rows come.
    machine : MachineOptions, optional
        What it runs on.
    account : AccountOptions, optional
        Role, network, keys and tags.

    Returns
    -------
    TrainingPlan
        Request and objects.

    Raises
    ------
    OptionError
        If the job could not give each window once.
    TrainingError
        If there is nothing to train on, or to hold back.
    StorageError
        If the dataset cannot be read.
    """
    channels = channels or ChannelOptions()
    machine = machine or MachineOptions()
    account = account or AccountOptions()
    options = dataclasses.replace(
        options,
        job=dataclasses.replace(
            options.job,
            dataset=dataset.path,
            dataset_version=dataset.digest,
            object_order="shuffled" if channels.shuffle_objects else "listed",
        ),
    )
    inputs = plan_channels(
        dataset,
        options,
        channels,
        places.input,
        manifest=manifest_name(dataset),
        hosts=machine.instance_count,
    )
    content = dict(inputs.lists)
    texts = hyperparameter_texts(options)
    more = []
    if image:
        archive = storage.join(places.input, ARCHIVE)
        content[archive] = source_archive(network=not account.network_isolation)
        by_network = "" if account.network_isolation else archive
        texts.update(launch_hyperparameters(by_network, places.job, region))
        if account.network_isolation:
            more.append(file_channel(CODE_CHANNEL, archive))
    request = training_request(
        places, image, texts, inputs, machine, account, more_channels=more
    )
    return TrainingPlan(request, content)


def prepare(plan: TrainingPlan, region: str) -> None:
    """Check a plan for AWS, and write its objects.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.
    region : str
        Where the job is to run.

    Raises
    ------
    CloudError
        If the service would not take the request, or a bucket is elsewhere.
    StorageError
        If an object cannot be written.
    """
    check_plan(plan)
    for bucket in sorted({_bucket(url) for url in _urls(plan.request)}):
        check_bucket(bucket, region)
    write_objects(plan)


def check_plan(plan: TrainingPlan) -> None:
    """Hold a plan against the service's model, without asking anybody.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.

    Raises
    ------
    CloudError
        If the service would not take the request.
    """
    for url in _urls(plan.request):
        if not objects.is_object(url):
            raise CloudError(
                "a job on SageMaker must read and write in S3 (s3://bucket/folder), got"
                f" {url}; copy the dataset there, or run the job on this machine with"
                " --local"
            )
    check_request("CreateTrainingJob", plan.request)


def write_objects(plan: TrainingPlan) -> None:
    """Write what a job needs beside its dataset.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.

    Raises
    ------
    StorageError
        If an object cannot be written.
    """
    for url, content in plan.objects.items():
        publishing.write_bytes(url, content)


def _urls(request: Request) -> list[str]:
    channels = request["InputDataConfig"]
    urls = [
        *(one["DataSource"]["S3DataSource"]["S3Uri"] for one in channels),
        request["OutputDataConfig"]["S3OutputPath"],
    ]
    if "CheckpointConfig" in request:  # a built-in algorithm keeps none
        urls.append(request["CheckpointConfig"]["S3Uri"])
    # In Pipe mode the dataset itself is named in lists of objects alone.
    if dataset := _dataset(request["HyperParameters"]):
        urls.append(dataset)
    return urls


def _dataset(hyperparameters: Mapping[str, str]) -> str:
    return str(json.loads(hyperparameters.get("dataset", '""')))


def _bucket(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
