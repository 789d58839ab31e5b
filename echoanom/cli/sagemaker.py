"""The group of commands for SageMaker."""

from __future__ import annotations

import click

from echoanom.cli.cloudforest import forest
from echoanom.cli.cloudserving import delete, deploy, predict, running, transform
from echoanom.cli.cloudtraining import status, train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def sagemaker() -> None:
    """Train, serve and score on Amazon SageMaker, and see what it costs.

    Credentials, region and endpoints are those of every AWS tool. `python -m
    echoanom.cloud.standin` plays SageMaker on this machine for all of these commands.

    \b
    Example:
      echoanom sagemaker train s3://bucket/dataset --output s3://bucket/jobs \\
          --role $ROLE --name first
      echoanom sagemaker deploy echoanom --model first --role $ROLE
      echoanom sagemaker predict echoanom day.csv --out scores.csv
      echoanom sagemaker delete echoanom
      echoanom sagemaker list
    """


for command in (train, status, deploy, predict, transform, delete, forest):
    sagemaker.add_command(command)
sagemaker.add_command(running, "list")
