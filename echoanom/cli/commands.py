"""The group of all commands."""

from __future__ import annotations

import importlib
from typing import Any

import click

from echoanom import __version__
from echoanom.cli.console import start_logging

# In the order in which the data meet them.
_MODULES = {
    "simulate": "data",
    "convert": "data",
    "inspect": "data",
    "verify": "data",
    "train": "model",
    "score": "model",
    "detect": "findings",
    "report": "findings",
    "evaluate": "findings",
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
        return list(_MODULES)

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
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"echoanom.cli.{_MODULES[cmd_name]}")
        command: Any = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} must be a command, got {command!r}")
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="echoanom")
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Log what is being done to stderr, and where an error came from."
    " Twice for more.",
)
def echoanom(verbose: int) -> None:
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
