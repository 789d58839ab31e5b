"""The group of commands that read instruments' own files."""

from __future__ import annotations

import click

from echoanom.cli.ingest_adcp import adcp
from echoanom.cli.ingest_ek60 import ek60
from echoanom.cli.ingest_hydrophone import hydrophone
from echoanom.cli.ingest_point import point


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def ingest() -> None:
    """Make daily tables, one row a minute, from instruments' own files.

    SRC are files and folders, DST gets a folder a sensor, which `echoanom convert`
    reads. A day is made from all files that have samples of it, and again when one
    comes later; it is the same however its samples are spread over files.

    \b
    Example:
      echoanom ingest ek60 cruise/*.raw observatory --frequency 38000
      echoanom ingest adcp mooring.nc observatory --max-gap 60
    """


for command in (ek60, adcp, hydrophone, point):
    ingest.add_command(command)
