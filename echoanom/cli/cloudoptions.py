"""Options that several commands of `echoanom sagemaker` have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from echoanom.cli.parameters import Decorator, Flag, options_object
from echoanom.cloud.joboptions import AccountOptions

Say = Callable[[str], None]

account_options: Decorator[Any] = options_object(
    AccountOptions,
    "account",
    role=Flag(
        "--role",
        "ARN of the role that SageMaker takes on. Also: ECHOANOM_SAGEMAKER_ROLE.",
        metavar="ARN",
        envvar="ECHOANOM_SAGEMAKER_ROLE",
    ),
    tags=Flag("--tags", "Tags, name=value each.", metavar="N=V,..."),
    subnets=Flag("--subnets", "Subnets of a VPC to run in."),
    security_groups=Flag("--security-groups", "Security groups of that VPC."),
    network_isolation=Flag(
        "--network-isolation",
        "Give containers no network. The image must then bring all that is needed.",
    ),
    encrypt_traffic=Flag(
        "--encrypt-traffic", "Encrypt what hosts of one job tell each other."
    ),
    volume_kms_key=Flag("--volume-kms-key", "Key for the disks.", metavar="KEY"),
    output_kms_key=Flag(
        "--output-kms-key", "Key for what is written to S3.", metavar="KEY"
    ),
)

image_option: Decorator[Any] = click.option(
    "--image",
    default="",
    metavar="URI",
    show_default="by --tensorflow",
    help="The container's image.",
)

wait_option: Decorator[Any] = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Stay until it is done.",
)

logs_option: Decorator[Any] = click.option(
    "--logs",
    is_flag=True,
    help="Show on stderr what it does and says, also where that is no terminal.",
)

dry_run_option: Decorator[Any] = click.option(
    "--dry-run",
    is_flag=True,
    help="Check all that would be sent and print it as JSON, but send nothing.",
)


def tensorflow_option(version: str) -> Decorator[Any]:
    """Give a command ``--tensorflow``.

    Parameters
    ----------
    version : str
        The default.

    Returns
    -------
    decorator
        Adds the parameter `tensorflow`.
    """
    return click.option(
        "--tensorflow",
        default=version,
        show_default=True,
        metavar="VERSION",
        help="TensorFlow of AWS's own image for this, which the extra `sagemaker` looks"
        " up.",
    )


def narrator(logs: bool) -> Say | None:
    """Decide who hears what a job does.

    Parameters
    ----------
    logs : bool
        Whether it is asked for.

    Returns
    -------
    callable or None
        Writes a line to stderr; None where nobody looks.
    """
    if not logs and not sys.stderr.isatty():
        return None
    return lambda line: click.echo(line, err=True)
