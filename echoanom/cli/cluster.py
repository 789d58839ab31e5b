"""The option that lets the workers of a Dask cluster do the work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from echoanom.cli.parameters import Decorator

if TYPE_CHECKING:
    from distributed import Client

dask_option: Decorator[Any] = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Let the workers of a Dask cluster do the work: the scheduler's address such as"
    " tcp://host:8786, the path of its .json file, or `local` for --workers processes"
    " of this machine.",
)

processes_option: Decorator[Any] = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="one a core",
    help="Processes of `--dask local`.",
)


def check_processes(address: str | None, workers: int | None) -> None:
    """Require that `processes_option` is only used where it means something.

    Parameters
    ----------
    address : str, optional
        What ``--dask`` says.
    workers : int, optional
        What ``--workers`` says.

    Raises
    ------
    click.UsageError
        If it is given for another cluster, or none.
    """
    if workers is not None and address != "local":
        raise click.UsageError("--workers goes with --dask local")


@contextlib.contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[Client | None]:
    """Connect to the cluster that ``--dask`` names.

    Parameters
    ----------
    address : str, optional
        What the option says.
    workers : int, optional
        Processes of ``local``; one a core if left out.

    Yields
    ------
    Client or None
        Its client; None without the option.
    """
    if address is None:
        yield None
        return
    from echoanom.connecting import connect

    with connect(address, workers or os.cpu_count() or 1) as client:
        yield client
