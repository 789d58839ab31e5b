"""The command that takes the baseline to SageMaker: forest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from echoanom.cli.cloudoptions import (
    account_options,
    logs_option,
    narrator,
    wait_option,
)
from echoanom.cli.console import (
    print_json,
    print_lines,
    progress_bar,
    quiet_tensorflow,
)
from echoanom.cli.forest import forest_flags
from echoanom.cli.model import interval_options, intervals
from echoanom.cli.parameters import (
    CommaList,
    Flag,
    command,
    json_option,
    options_object,
)
from echoanom.cli.wording import count, size
from echoanom.cloud.joboptions import AccountOptions, MachineOptions
from echoanom.modeloptions import ForestOptions

if TYPE_CHECKING:
    from echoanom.cloud.forestdata import ForestExport


@command
@click.argument("dataset")
@click.option(
    "--out",
    required=True,
    metavar="URL",
    help="Folder that gets the rows, in S3 if a job is to be trained on them.",
)
@click.option(
    "--labels",
    metavar="CSV",
    help="Write all rows to test with, too, those in these intervals marked.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace rows of another kind that are there."
)
@options_object(ForestOptions, "options", **forest_flags(seed=False))
@interval_options("Learn from")
@click.option("--train", "trains", is_flag=True, help="Start a training job, too.")
@click.option(
    "--output",
    metavar="URL",
    show_default="<out>/models",
    help="Folder in S3 that gets <job>/output/model.tar.gz.",
)
@click.option(
    "--name",
    metavar="JOB",
    show_default="echoanom-forest-<time>-<random>",
    help="Name of the job, unlike any before.",
)
@click.option(
    "--metrics",
    type=CommaList(str),
    default=(),
    help="What the job tells of rows with labels: accuracy, precision_recall_fscore;"
    " both if left out.",
)
@options_object(
    MachineOptions,
    "machine",
    instance_type=Flag("--instance-type", "Machines to train on.", metavar="TYPE"),
    instance_count=Flag("--instances", "How many, at most one for each day."),
    volume_gib=Flag("--volume-size", "Disk of each [GiB].", metavar="GIB"),
    max_runtime_s=Flag(
        "--max-runtime", "End the job after this time [s].", metavar="S"
    ),
)
@account_options
@click.option(
    "--image",
    default="",
    metavar="URI",
    show_default="AWS's own for the region",
    help="The algorithm's image.",
)
@wait_option
@logs_option
@json_option
def forest(
    dataset: str,
    out: str,
    labels: str | None,
    overwrite: bool,
    options: ForestOptions,
    begin: int | None,
    end: int | None,
    exclude: str | None,
    trains: bool,
    output: str | None,
    name: str | None,
    metrics: tuple[str, ...],
    machine: MachineOptions,
    account: AccountOptions,
    image: str,
    wait: bool,
    logs: bool,
    as_json: bool,
) -> None:
    """Take rows to SageMaker's built-in Random Cut Forest, and train it.

    Rows become vectors as `echoanom forest` learns from them, in objects of
    recordIO-protobuf, one a day below <out>/train. The same rows that are there already
    are kept.

    \b
    Example:
      echoanom sagemaker forest dataset --out s3://bucket/forest \\
          --exclude labels.csv --train --role $ROLE
    """
    include, left_out = intervals(begin, end, exclude)
    if metrics and not labels:
        raise click.UsageError("--metrics goes with --labels")
    if trains and not out.startswith("s3://"):
        raise click.UsageError(f"--train needs --out in S3 (s3://...), got {out}")
    from echoanom.cloud.forestdata import ForestExport, Objects, export_rows
    from echoanom.dataset import open_dataset
    from echoanom.labels import read_labels

    opened = open_dataset(dataset)
    known = (
        [label for label in read_labels(labels) if label.is_unusual] if labels else []
    )
    job: dict[str, Any] | None = None
    if trains:
        quiet_tensorflow()
        from echoanom.cloud import jobs
        from echoanom.cloud.clients import Cloud
        from echoanom.cloud.forest import forest_image, forest_request
        from echoanom.cloud.requests import Places
        from echoanom.cloud.trainingplan import TrainingPlan, check_plan

        cloud = Cloud()
        image = forest_image(cloud.region, image)
        models = output or f"{out.rstrip('/')}/models"
        places = Places(models, name or jobs.new_name("echoanom-forest"))

        def plan(export: ForestExport) -> TrainingPlan:
            return TrainingPlan(
                forest_request(
                    export, places, image, options, machine, account, metrics=metrics
                ),
                {},
            )

        # What is wrong with the job is told before all rows are written.
        some = Objects(machine.instance_count, 0, 0)
        check_plan(
            plan(ForestExport(out, len(opened.columns), some, some if labels else None))
        )
    with progress_bar() as progress:
        export = export_rows(
            opened,
            out,
            options,
            include=include,
            exclude=left_out,
            labels=None if labels is None else known,
            overwrite=overwrite,
            progress=progress,
        )
    if trains:
        started = jobs.start_training(plan(export), cloud)
        found = started.wait(narrator(logs)) if wait else started.status()
        job = found.as_json()
    if as_json:
        print_json({"export": export.as_json(), "job": job})
    else:
        print_lines(_lines(export, job))


def _lines(export: ForestExport, job: dict[str, Any] | None) -> list[str]:
    lines = [
        f"{url}: {count(part.rows, 'row')} of {count(export.columns, 'column')} in"
        f" {count(part.objects, 'object')} ({size(part.bytes)})"
        for url, part in (
            (export.train_url, export.train),
            (export.test_url, export.test),
        )
        if part is not None
    ]
    if job is not None:
        lines.append(f"training job {job['name']}: {job['status']} {job['model']}")
    return [line.rstrip() for line in lines]
