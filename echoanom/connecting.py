"""Connect to a Dask cluster by what a person types."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import re
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from echoanom import storage
from echoanom.distributed import require_distributed
from echoanom.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

LOCAL = "local"
CONNECT_S = 10

_ADDRESS = re.compile(r"[a-z][a-z+]*://[^\s/]+$")
# A process has one thread to itself: pools of threads would fight for the cores.
_ENVIRONMENT = {"POLARS_MAX_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Dask's default gives the memory of each array back to the system, and it is filled
# with zeros for the next one: that costs more than a conversion itself.
_MEMORY = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
# While it loads, TensorFlow writes to stderr whatever the level of its log.
_SILENCE = "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 2)"


@contextlib.contextmanager
def connect(address: str, workers: int = 1) -> Iterator[Client]:
    """Connect to a cluster.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://host:8786``; or the path of its scheduler file,
        which ends in ``.json``; or ``local`` for processes of this machine that live as
        long as the connection.
    workers : int
        How many processes, of one thread each; only for ``local``.

    Yields
    ------
    Client
        To be handed to what takes long.

    Raises
    ------
    MissingExtraError
        If Dask distributed is not installed.
    ClusterError
        If there is no such scheduler, or it does not answer within 10 s.
    """
    distributed = require_distributed()
    with contextlib.ExitStack() as stack:
        quiet = not logger.isEnabledFor(logging.INFO)
        if quiet:
            # What fails is raised here; what is tried again is nobody's trouble.
            stack.enter_context(_quiet())
        if address == LOCAL:
            import dask

            with _uninterrupted(), dask.config.set(_MEMORY):
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL if quiet else logging.INFO,
                    env=_ENVIRONMENT,
                    preload=[_SILENCE] if quiet else [],
                )
                stack.enter_context(cluster)
            yield stack.enter_context(distributed.Client(cluster, set_as_default=False))
            return
        place = _scheduler_address(address)
        _probe(address, place)
        yield stack.enter_context(distributed.Client(place, set_as_default=False))


def _probe(address: str, place: str) -> None:
    """Require that a scheduler answers, before a client waits for it or trusts it."""
    distributed = require_distributed()

    async def ask() -> object:
        arguments = distributed.Security().get_connection_args("client")
        comm = await distributed.core.connect(place, CONNECT_S, **arguments)
        try:
            question = distributed.core.send_recv(comm, op="identity")
            return await asyncio.wait_for(question, CONNECT_S)
        finally:
            comm.abort()

    # A thread of its own: an event loop may be running in this one.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(asyncio.run, ask()).result()
        except Exception as error:  # whatever another kind of server makes of it
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ClusterError(
                f"{address}: must be a Dask scheduler that answers within {CONNECT_S} s,"
                f" but: {reason}"
            ) from None


def _scheduler_address(address: str) -> str:
    """Return a scheduler's address; read from its file, if it is one."""
    if not address.endswith(".json"):
        if not _ADDRESS.match(address):
            raise ClusterError(
                f"{address}: must be the address of a Dask scheduler such as"
                f" tcp://host:8786, the path of its .json file, or {LOCAL}"
            )
        return address
    try:
        return str(json.loads(storage.read_bytes(address))["address"])
    except (ValueError, KeyError, TypeError):
        raise ClusterError(
            f"{address}: must be what a Dask scheduler writes with --scheduler-file,"
            " but has no address in JSON"
        ) from None


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let what is started now never hear of Ctrl-C; this thread does afterwards."""
    # The terminal interrupts workers, too, which would all tell where they were. Threads
    # and processes inherit the mask, also workers that are started again later. The
    # tracker's start would take it away.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    found = [
        logging.getLogger(name)
        for name in list(logging.root.manager.loggerDict)
        if name.partition(".")[0] == "distributed"
    ]
    levels = [log.level for log in found]
    for log in found:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(found, levels, strict=True):
            log.setLevel(level)
