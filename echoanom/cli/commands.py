"""The group of all commands."""

from __future__ import annotations

import functools
import importlib
import os
from typing import Any

import click

from echoanom import __version__
from echoanom.cli.console import start_logging

# In the order in which the data meet them: the module, and what `echoanom --help` says,
# which a test holds against the first line of the command's own help.
_COMMANDS = {
    "simulate": (
        "simulation",
        "Write daily tables of an observatory that does not exist, and their labels.",
    ),
    "ingest": (
        "ingest",
        "Make daily tables, one row a minute, from instruments' own files.",
    ),
    "tables": (
        "stores",
        "List the daily tables of a folder or bucket: sensor, day and path.",
    ),
    "fetch": ("stores", "Copy daily tables from a store, or to one."),
    "plot": ("plot", "Draw daily tables of a sensor, without a dataset or a model."),
    "convert": (
        "data",
        "Convert daily tables to a dataset of shards, or bring a dataset up to date.",
    ),
    "inspect": (
        "data",
        "Say what a dataset holds: rows, runs, gaps, missing shares, statistics.",
    ),
    "verify": ("data", "Check every byte of a dataset against its manifest."),
    "versions": (
        "stores",
        "List the versions of a dataset that can still be read, the current one first.",
    ),
    "train": ("model", "Train a model on what is usual in a dataset."),
    "score": ("model", "Score every row of a dataset by how unusual it is."),
    "forest": (
        "forest",
        "Score every row by a Random Cut Forest, to compare a model with.",
    ),
    "detect": ("findings", "Find events: stretches of rows that score high."),
    "report": ("reporting", "Draw data, scores and events on a page that moves."),
    "evaluate": (
        "evaluating",
        "Hold scores against labels: do they find what is known?",
    ),
    "serve": (
        "serve",
        "Answer requests for scores, as the model's endpoint on SageMaker does.",
    ),
    "sagemaker": (
        "sagemaker",
        "Train, serve and score on Amazon SageMaker, and see what it costs.",
    ),
}


class Commands(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of the work.

        Parameters
        ----------
        ctx : click.Context
            The group's context.

        Returns
        -------
        list of str
            The names.
        """
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Parameters
        ----------
        ctx : click.Context
            The group's context.
        cmd_name : str
            Its name.

        Returns
        -------
        click.Command or None
            None if there is no such command.
        """
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"echoanom.cli.{_COMMANDS[cmd_name][0]}")
        command: Any = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} must be a command, got {command!r}")
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands without importing them.

        Parameters
        ----------
        ctx : click.Context
            The group's context.
        formatter : click.HelpFormatter
            Gets the list.
        """
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="echoanom")
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Log what is being done to stderr, and where an error came from."
    " Twice for more.",
)
@click.option(
    "--s3-anonymous",
    is_flag=True,
    help="Send no credentials to S3: for public buckets. Also: ECHOANOM_S3_ANONYMOUS=1.",
)
@click.option(
    "--s3-requester-pays",
    is_flag=True,
    help="Pay for what is read from S3 buckets whose owner asks for it. Also:"
    " ECHOANOM_S3_REQUESTER_PAYS=1.",
)
def echoanom(verbose: int, s3_anonymous: bool, s3_requester_pays: bool) -> None:
    """Find the moments in ocean observatory records that do not look like the others.

    Tables of one row a minute become a dataset of shards; an autoencoder learns what
    is usual in it; what it cannot reproduce is scored, gathered into events and drawn.
    Every command takes local paths and URLs (s3://...) alike.

    \b
    The whole way:
      echoanom convert observatory dataset
      echoanom train dataset --model model
      echoanom score dataset --model model --out scores.csv
      echoanom detect scores.csv --out events.csv
      echoanom report dataset --model model --scores scores.csv \\
          --events events.csv --out report.html
    """
    start_logging(verbose)
    # Processes and threads that a command starts are to reach stores in the same way.
    for name, wanted in (
        ("ECHOANOM_S3_ANONYMOUS", s3_anonymous),
        ("ECHOANOM_S3_REQUESTER_PAYS", s3_requester_pays),
    ):
        if wanted and name not in os.environ:
            os.environ[name] = "1"
            click.get_current_context().call_on_close(
                functools.partial(os.environ.pop, name)
            )
