"""Commands around training jobs on SageMaker: train, status."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import click

from echoanom.cli.cloudoptions import (
    account_options,
    dry_run_option,
    image_option,
    logs_option,
    narrator,
    tensorflow_option,
    wait_option,
)
from echoanom.cli.console import print_json, print_lines, quiet_tensorflow
from echoanom.cli.learning import learning_options
from echoanom.cli.parameters import Flag, command, json_option, options_object
from echoanom.cloud.hyperparameters import Hyperparameters, JobOptions
from echoanom.cloud.joboptions import (
    TRAINING_TENSORFLOW,
    AccountOptions,
    ChannelOptions,
    MachineOptions,
)
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import WindowOptions

if TYPE_CHECKING:
    from echoanom.cloud.jobs import JobStatus
    from echoanom.cloud.trainingplan import TrainingPlan


@command
@click.argument("dataset")
@click.option(
    "--output",
    required=True,
    metavar="URL",
    help="Folder in S3 that gets <job>/output/model.tar.gz; with --local, on this"
    " machine, too.",
)
@click.option(
    "--name",
    metavar="JOB",
    show_default="echoanom-<time>-<random>",
    help="Name of the job, unlike any before.",
)
@options_object(
    ChannelOptions,
    "channels",
    input_mode=Flag(
        "--input-mode",
        "How rows reach the job: streamed anew in each epoch, mounted, or copied first.",
    ),
    distribution=Flag(
        "--distribution",
        "Give each host all shards, or, in Pipe mode, shards of its own, which must carry"
        " a halo of the window's length less one.",
    ),
    shuffle_objects=Flag(
        "--shuffle-objects",
        "Stream the shards of each epoch in another order (Pipe mode); they must carry"
        " such a halo.",
    ),
    compression=Flag(
        "--compression",
        "How the shards' objects were compressed after the conversion (Pipe mode).",
    ),
    record_wrapper=Flag(
        "--record-wrapper", "How Pipe mode wraps each object on its way."
    ),
)
@options_object(
    MachineOptions,
    "machine",
    instance_type=Flag("--instance-type", "Machines to train on.", metavar="TYPE"),
    instance_count=Flag("--instances", "How many; they train one model."),
    volume_gib=Flag("--volume-size", "Disk of each [GiB].", metavar="GIB"),
    max_runtime_s=Flag(
        "--max-runtime", "End the job after this time [s].", metavar="S"
    ),
    spot=Flag(
        "--spot",
        "Take spare machines, for less. The job goes on after an interruption.",
    ),
    max_wait_s=Flag(
        "--max-wait",
        "Longest time with interruptions, running included [s]; 0: twice --max-runtime.",
        metavar="S",
    ),
)
@click.option(
    "--checkpoints",
    default="",
    metavar="URL",
    show_default="<output>/<job>/checkpoints",
    help="Folder in S3 for the state. A job that is given that of another goes on from"
    " there.",
)
@options_object(
    JobOptions,
    "job",
    checkpoint_every=Flag(
        "--checkpoint-every",
        "Store the training after so many batches, beside after each epoch; 0: never.",
        metavar="BATCHES",
    ),
    pool_windows=Flag(
        "--pool-windows",
        "Windows that the pool has room for from which a stream's shuffled ones are"
        " drawn.",
        metavar="N",
    ),
    pipe_timeout=Flag(
        "--pipe-timeout",
        "Longest time in which a pipe may not exist, or nothing may come from it [s].",
        metavar="S",
    ),
    port=Flag("--port", "Where hosts of one job listen for each other."),
)
@account_options
@image_option
@tensorflow_option(TRAINING_TENSORFLOW)
@learning_options(activation="--activation", baselines=False)
@click.option(
    "--local",
    is_flag=True,
    help="Run the whole job on this machine, Pipe mode included, without AWS. DATASET and"
    " --output may be local folders.",
)
@click.option(
    "--keep",
    metavar="DIR",
    help="With --local: keep here what the job saw as /opt/ml, a folder a host.",
)
@click.option(
    "--sdk",
    is_flag=True,
    help="Start the job by the SDK's ModelTrainer, instead of by a request of our own.",
)
@wait_option
@logs_option
@dry_run_option
@json_option
def train(
    dataset: str,
    output: str,
    name: str | None,
    channels: ChannelOptions,
    machine: MachineOptions,
    checkpoints: str,
    job: JobOptions,
    account: AccountOptions,
    image: str,
    tensorflow: str,
    window: WindowOptions,
    stride: int | None,
    training: TrainOptions,
    network: ModelOptions,
    local: bool,
    keep: str | None,
    sdk: bool,
    wait: bool,
    logs: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train on SageMaker, or as there on this machine.

    Rows come straight from the dataset's bucket. Code, requirements and lists of objects
    go to <output>/<job>/input; the state to its checkpoints. The job ends with 1 and says
    why if it fails; `status` finds it again by its name.

    \b
    Example:
      echoanom sagemaker train s3://bucket/dataset --output s3://bucket/jobs \\
          --role arn:aws:iam::123456789012:role/SageMaker --spot --epochs 20
      echoanom sagemaker train dataset --local --output jobs --epochs 2
    """
    if keep and not local:
        raise click.UsageError("--keep goes with --local")
    if local and sdk:
        raise click.UsageError("--sdk starts jobs on SageMaker, not with --local")
    quiet_tensorflow()
    from echoanom.cloud import images, jobs, trainingplan
    from echoanom.cloud.clients import Cloud
    from echoanom.cloud.requests import Places
    from echoanom.dataset import open_dataset

    window = dataclasses.replace(window, stride=stride or window.size, shuffle=True)
    options = Hyperparameters(window, network, training, job)
    cloud = Cloud()
    region = "local" if local else cloud.region
    opened = open_dataset(dataset)
    if not local:
        image = images.image_uri(
            "training", tensorflow, region, machine.instance_type, image
        )
    plan = trainingplan.plan_training(
        opened,
        options,
        Places(
            _here(output) if local else output, name or jobs.new_name(), checkpoints
        ),
        image="" if local else image,
        region=region,
        channels=channels,
        machine=machine,
        account=account,
    )
    say = narrator(logs)
    if dry_run:
        if not local:
            trainingplan.check_plan(plan)
        print_json(plan.request)
        return
    if local:
        _finish(jobs.run_here(plan, folder=keep, say=say), as_json)
        return
    started = _start(plan, cloud, sdk)
    _finish(started.wait(say) if wait else started.status(), as_json)


@command
@click.argument("name")
@click.option("--wait", is_flag=True, help="Follow a job to its end.")
@logs_option
@json_option
def status(name: str, wait: bool, logs: bool, as_json: bool) -> None:
    """Say how far a job or endpoint is, by its name.

    Of a training job it tells state, metrics, why it failed, and where its model is. With
    --wait it exits with 1 unless the job completes.

    \b
    Example:
      echoanom sagemaker status my-job --wait
      echoanom sagemaker status my-job --json | jq -r .model
    """
    from echoanom.cloud import endpoints, jobs, transforms
    from echoanom.cloud.clients import Cloud
    from echoanom.errors import CloudError

    cloud, say = Cloud(), narrator(logs)
    if cloud.find("DescribeTrainingJob", TrainingJobName=name) is not None:
        found = jobs.TrainingJob(name, cloud)
        _finish(found.wait(say) if wait else found.status(), as_json)
    elif cloud.find("DescribeTransformJob", TransformJobName=name) is not None:
        one = transforms.transform_status(name, cloud)
        if wait:
            one = transforms.wait_for_transform(name, cloud=cloud, say=say)
        _show({"kind": "transform job", **one.as_json()}, as_json)
    elif cloud.find("DescribeEndpoint", EndpointName=name) is not None:
        endpoint = endpoints.describe_endpoint(name, cloud)
        about = {
            "kind": "endpoint",
            "name": name,
            "status": endpoint["EndpointStatus"],
            "config": endpoint["EndpointConfigName"],
            "failure": endpoint.get("FailureReason", ""),
            "created": endpoint["CreationTime"].isoformat(),
        }
        _show(about, as_json)
    else:
        raise CloudError(
            f"there must be a job or an endpoint {name} in {cloud.region}, but there is"
            " none; `echoanom sagemaker list` shows what runs"
        )


def _here(output: str) -> str:
    from echoanom import storage

    return os.path.abspath(output) if storage.is_local(output) else output


def _start(plan: TrainingPlan, cloud: Any, sdk: bool) -> Any:
    if sdk:
        from echoanom.cloud.sdk import start_by_sdk

        return start_by_sdk(plan, cloud)
    from echoanom.cloud.jobs import start_training

    return start_training(plan, cloud)


def _finish(status: JobStatus, as_json: bool) -> None:
    _show({"kind": "training job", **status.as_json()}, as_json)


def _show(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(about)
        return
    lines = [f"{about.pop('kind')} {about.pop('name')}: {about.pop('status')}"]
    metrics = about.pop("metrics", {})
    labels = {"seconds": "training [s]", "billable_s": "paid for [s]"}
    lines += [
        f"  {labels.get(key, key)}: {value}" for key, value in about.items() if value
    ]
    lines += [f"  {key} = {value:.6g}" for key, value in sorted(metrics.items())]
    print_lines(lines)
