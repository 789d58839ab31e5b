"""Commands around endpoints and what costs money: deploy, predict, transform, delete."""

from __future__ import annotations

import datetime
import re
from typing import Any

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
from echoanom.cli.console import print_json, print_lines
from echoanom.cli.parameters import (
    Flag,
    command,
    days_options,
    json_option,
    options_object,
)
from echoanom.cloud.joboptions import (
    SERVING_TENSORFLOW,
    AccountOptions,
    HostingOptions,
    TransformOptions,
)

_DAY_S = 86_400

_model_option = click.option(
    "--model",
    required=True,
    metavar="JOB|URL",
    help="The training job that wrote the model, or the model.tar.gz in S3.",
)


@command
@click.argument("endpoint")
@_model_option
@options_object(
    HostingOptions,
    "hosting",
    instance_type=Flag("--instance-type", "Machines to serve on.", metavar="TYPE"),
    instance_count=Flag("--instances", "How many."),
)
@account_options
@image_option
@tensorflow_option(SERVING_TENSORFLOW)
@wait_option
@logs_option
@dry_run_option
@json_option
def deploy(
    endpoint: str,
    model: str,
    hosting: HostingOptions,
    account: AccountOptions,
    image: str,
    tensorflow: str,
    wait: bool,
    logs: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Serve a model at an endpoint, which costs money until it is deleted.

    An endpoint that is there is used: left alone if it serves this model in this way, else
    changed, without a pause. `delete` removes it with all that belongs to it.

    \b
    Example:
      echoanom sagemaker deploy echoanom --model my-job \\
          --role arn:aws:iam::123456789012:role/SageMaker
    """
    from echoanom.cloud import endpoints, images, jobs
    from echoanom.cloud.clients import Cloud

    cloud = Cloud()
    url = jobs.find_model(model, cloud)
    image = images.image_uri(
        "inference", tensorflow, cloud.region, hosting.instance_type, image
    )
    if dry_run:
        made = endpoints.plan_endpoint(endpoint, url, image, hosting, account)
        names = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint")
        print_json(dict(zip(names, made, strict=True)))
        return
    done = endpoints.deploy(
        endpoint,
        url,
        image,
        hosting,
        account,
        cloud=cloud,
        wait=wait,
        say=narrator(logs),
    )
    if as_json:
        print_json(done.as_json())
    else:
        print_lines([f"endpoint {done.name}: {done.outcome}, {done.status}"])


@command
@click.argument("endpoint")
@click.argument("source", metavar="SRC")
@days_options
@click.option(
    "--out", metavar="CSV", show_default="stdout", help="Where the scores go."
)
@json_option
def predict(
    endpoint: str,
    source: str,
    first: datetime.date | None,
    last: datetime.date | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Score rows at an endpoint.

    SRC is a daily table with the model's columns (.csv), an array of rows (.npy), or a
    dataset, of which days can be chosen. What is larger than a request may be is sent in
    stretches that overlap, and comes together as if it had been one.

    \b
    Example:
      echoanom sagemaker predict echoanom s3://bucket/dataset --from 2015-02-01 \\
          --to 2015-02-01 --out scores.csv
    """
    from echoanom.cloud import predictions

    if source.endswith((".csv", ".npy")):
        if first or last:
            raise click.UsageError("--from and --to choose days of a dataset")
        found = predictions.predict_file(endpoint, source)
    else:
        from echoanom.dataset import open_dataset

        found = predictions.predict_dataset(
            endpoint, open_dataset(source), _start_s(first), _start_s(last, 1)
        )
    if out:
        predictions.write_prediction(out, found)
    scored = int((found.windows > 0).sum())
    summary = {
        "rows": len(found.score),
        "scored": scored,
        "window": found.window,
        "requests": found.requests,
        "out": out,
    }
    if as_json:
        print_json(summary)
    elif out:
        print_lines(
            [f"{out}: {scored:,} of {len(found.score):,} rows scored at {endpoint}"]
        )
    else:
        click.echo(found.as_csv(), nl=False)


@command
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@_model_option
@click.option(
    "--name",
    metavar="JOB",
    show_default="echoanom-<time>-<random>",
    help="Name of the transform job, unlike any before.",
)
@options_object(
    TransformOptions,
    "options",
    instance_type=Flag("--instance-type", "Machines to score on.", metavar="TYPE"),
    instance_count=Flag("--instances", "How many."),
    payload_mb=Flag("--max-payload", "Largest table [MB].", metavar="MB"),
    at_once=Flag(
        "--at-once",
        "Tables that a machine scores at the same time; together they may have 100 MB.",
    ),
)
@account_options
@image_option
@tensorflow_option(SERVING_TENSORFLOW)
@wait_option
@logs_option
@dry_run_option
@json_option
def transform(
    source: str,
    destination: str,
    model: str,
    name: str | None,
    options: TransformOptions,
    account: AccountOptions,
    image: str,
    tensorflow: str,
    wait: bool,
    logs: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Score all daily tables of a folder in one batch, with no endpoint.

    SRC is what the tables' URLs begin with; for each, DST gets <table>.out with a score for
    each row. The machines are gone when the job ends.

    \b
    Example:
      echoanom sagemaker transform s3://bucket/days/ s3://bucket/scores --model my-job \\
          --role arn:aws:iam::123456789012:role/SageMaker
    """
    from echoanom.cloud import images, jobs, transforms
    from echoanom.cloud.clients import Cloud

    cloud = Cloud()
    url = jobs.find_model(model, cloud)
    image = images.image_uri(
        "inference", tensorflow, cloud.region, options.instance_type, image
    )
    made = transforms.plan_transform(
        name or jobs.new_name(), url, image, source, destination, options, account
    )
    if dry_run:
        print_json({"CreateModel": made[0], "CreateTransformJob": made[1]})
        return
    started = transforms.start_transform(made, cloud)
    if wait:
        done = transforms.wait_for_transform(started, cloud=cloud, say=narrator(logs))
    else:
        done = transforms.transform_status(started, cloud)
    if as_json:
        print_json(done.as_json())
    else:
        print_lines(
            [f"transform job {done.name}: {done.status}", f"  {done.destination}"]
        )


@command
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@logs_option
@json_option
def delete(names: tuple[str, ...], logs: bool, as_json: bool) -> None:
    """Delete endpoints with all that belongs to them, and stop jobs.

    Afterwards nothing of these names costs money. What jobs have written to S3 stays.

    \b
    Example:
      echoanom sagemaker delete echoanom
    """
    from echoanom.cloud.clients import Cloud
    from echoanom.cloud.running import stop_running

    cloud, say = Cloud(), narrator(logs)
    gone: dict[str, Any] = {}
    for name in names:
        gone[name] = stop_running(name, cloud=cloud, say=say)
    if as_json:
        print_json({name: list(parts) for name, parts in gone.items()})
    else:
        print_lines(
            [
                f"{name}: {', '.join(parts) or 'nothing of it runs any more'}"
                for name, parts in gone.items()
            ]
        )


@command
@json_option
def running(as_json: bool) -> None:
    """List what runs and costs money: jobs and endpoints.

    It is told for the account and region, whoever started it.

    \b
    Example:
      echoanom sagemaker list
    """
    from echoanom.cloud.running import list_running

    found = list_running()
    if as_json:
        print_json([one.as_json() for one in found])
    elif not found:
        print_lines(["nothing runs"])
    else:
        print_lines(
            [
                f"{one.kind}  {one.name}  {one.status}  since"
                f" {re.sub('[.].*', '', one.since)}  {one.machines}"
                for one in found
            ]
        )


def _start_s(day: datetime.date | None, later: int = 0) -> int | None:
    if day is None:
        return None
    return (day - datetime.date(1970, 1, 1)).days * _DAY_S + later * _DAY_S
