"""Run functions on the workers of a Dask cluster, as if they ran here.

What runs there is what runs on one machine: a function of one task, which reads files
and objects and gives back something small. A worker that dies takes nothing with it but
time, as the scheduler gives its tasks to others.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import itertools
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import echoanom
from echoanom import storage
from echoanom.errors import ClusterError, EchoanomError, MissingExtraError
from echoanom.planning import CONTENT_VERSION

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Task = tuple[Any, ...]
"""Arguments of one call."""


_LEAST_AHEAD = 16  # enough for a cluster that grows with its work to start growing
_AHEAD = 3  # tasks for each thread
_LOOK_S = 1.0
_DONE = ("finished", "error", "cancelled")
_PATIENCE = "distributed.scheduler.no-workers-timeout"
_PATIENCE_S = 60.0
_GATHER_S = 60.0
_COMPARED = ("numpy", "polars", "tensorflow", "keras")

_Release = tuple[str, int]


class Cluster:
    """The workers behind a client of Dask distributed.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.

    Raises
    ------
    MissingExtraError
        If Dask distributed is not installed.
    ClusterError
        If the client is no such client or not connected, or a worker has another
        echoanom, or none.
    """

    def __init__(self, client: Client) -> None:
        distributed = require_distributed()
        if not isinstance(client, distributed.Client) or client.asynchronous:
            raise ClusterError(
                "client must be a distributed.Client that is not asynchronous, got"
                f" {client!r}"
            )
        self._client = client
        self._check_releases()

    def __repr__(self) -> str:
        return f"<Cluster {self._client!r}>"

    def map(
        self,
        function: Callable[..., Result],
        tasks: Iterable[Task],
        *,
        ordered: bool = True,
    ) -> Generator[tuple[int, Result]]:
        """Call a function for each of several tasks.

        A few tasks for each thread of the cluster are out at the same time, so neither
        this process nor the scheduler holds more than that, and results wait on the
        workers until they are taken. Close the iterator to cancel what is left.

        Parameters
        ----------
        function : callable
            Can be imported on the workers; gives the same result if it is called again,
            as it is when a worker dies.
        tasks : iterable of tuple
            Arguments of each call.
        ordered : bool
            Whether results come in the order of the tasks, or as they are made.

        Yields
        ------
        position : int
            Number of the task.
        result : object
            What the function returned.

        Raises
        ------
        ClusterError
            If the scheduler is lost, all workers are gone for a minute (or what Dask's
            option ``distributed.scheduler.no-workers-timeout`` says), or workers die of
            one task again and again.
        EchoanomError
            What the function raises.
        """
        waiting: dict[Future[Result], int] = {}
        numbered = enumerate(tasks)
        ahead, asked = 0, -math.inf
        try:
            while True:
                if time.monotonic() - asked > _LOOK_S:  # it may grow, or shrink
                    ahead, asked = self._ahead(), time.monotonic()
                free = ahead - len(waiting)
                for position, task in itertools.islice(numbered, max(free, 0)):
                    waiting[self._submit(function, task)] = position
                if not waiting:
                    return
                for future in self._finished(waiting, ordered):
                    yield waiting[future], self._result(future)
                    # Forgotten only now: an error on the way cancels it, too.
                    del waiting[future]
        finally:
            self._cancel(waiting)

    def _submit(self, function: Callable[..., Result], task: Task) -> Future[Result]:
        with self._lost_scheduler():
            future: Future[Result] = self._client.submit(
                _call,
                _release(),
                function,
                task,
                # The dashboard groups by what stands before the first dash.
                key=f"{function.__name__}-{uuid.uuid4().hex}",
                pure=False,
            )
        return future

    def _ahead(self) -> int:
        with self._lost_scheduler():
            threads: int = sum(self._client.nthreads().values())
        return max(_AHEAD * threads, _LEAST_AHEAD)

    def _finished(
        self, waiting: dict[Future[Result], int], ordered: bool
    ) -> list[Future[Result]]:
        """Wait for the next result, or for any."""
        distributed = require_distributed()
        wanted = [next(iter(waiting))] if ordered else list(waiting)
        idle = _Idle()
        while True:
            with (
                contextlib.suppress(TimeoutError),
                self._lost_scheduler(),
                self._client.as_current(),
            ):
                distributed.wait(wanted, _LOOK_S, return_when="FIRST_COMPLETED")
            if found := [future for future in wanted if future.status in _DONE]:
                return found
            self._check_workers(idle)

    def _result(self, future: Future[Result]) -> Result:
        import distributed.scheduler

        idle = _Idle()
        while True:
            try:
                with self._lost_scheduler():
                    return future.result(timeout=_GATHER_S)
            except TimeoutError:
                if future.status == "error":
                    raise  # the function's own
                # Its worker is gone, and it is made again.
                self._check_workers(idle)
            except distributed.scheduler.KilledWorker as error:
                raise ClusterError(
                    f"a worker must live through a task, but {error.task} was tried on"
                    f" {error.allowed_failures + 1} and each of them died; see their"
                    " logs: the usual cause is too little memory"
                ) from None
            except (
                distributed.scheduler.NoWorkerError,
                distributed.scheduler.NoValidWorkerError,
            ) as error:
                raise ClusterError(f"{self._place}: {error}") from None
            except ImportError as error:
                raise ClusterError(
                    f"{self._place}: its workers must have the packages that are here,"
                    f" but: {error}"
                ) from None

    def _check_workers(self, idle: _Idle) -> None:
        with self._lost_scheduler():
            any_ = bool(self._client.nthreads())
        if idle.too_long(any_):
            raise ClusterError(
                f"{self._place}: there must be a worker, but all have been gone for"
                f" {idle.patience_s:.3g} s; start workers, see in their logs why they"
                f" ended, or wait longer with Dask's option {_PATIENCE}"
            )

    def _check_releases(self) -> None:
        ours = _packages()
        with self._lost_scheduler():
            found = self._client.run(_packages, on_error="return")
        for worker, theirs in found.items():
            if isinstance(theirs, ImportError):
                raise ClusterError(
                    f"the worker {worker} must have echoanom {echoanom.__version__},"
                    f" but: {theirs}"
                )
            if not isinstance(theirs, dict):
                continue  # it has just died, or each task will say what it has
            for name in _COMPARED:
                if theirs.get(name) != ours[name]:
                    logger.warning(
                        "the worker %s has %s %s, but %s is here; results may differ"
                        " in their last digits",
                        *(worker, name, theirs.get(name), ours[name]),
                    )
            _check_release(tuple(theirs["echoanom"]), _release(), worker)

    @property
    def _place(self) -> str:
        scheduler = self._client.scheduler
        return f"the cluster {scheduler.address}" if scheduler else "the cluster"

    @contextlib.contextmanager
    def _lost_scheduler(self) -> Iterator[None]:
        import concurrent.futures

        try:
            if self._client.status != "running":
                raise OSError("the client is not connected")
            yield
        except (TimeoutError, EchoanomError):
            raise
        except (OSError, concurrent.futures.CancelledError) as error:
            if isinstance(error, OSError) and self._client.status == "running":
                # One that a task has raised; what Dask raises comes with the loss.
                raise
            said = " ".join(str(error).split())
            raise ClusterError(
                f"{self._place}: the scheduler must stay until the work is done, but it"
                f" is lost or has cancelled the work: {said}"
            ) from None

    def _cancel(self, waiting: dict[Future[Result], int]) -> None:
        if not waiting or self._client.status != "running":
            return
        futures = list(waiting)

        async def cancel() -> None:
            # The error that led here is the one to tell.
            with contextlib.suppress(Exception):
                await self._client.cancel(futures, asynchronous=True)

        # Not waited for: where an iterator was forgotten, the collector ends it in any
        # thread, that of the client's loop included.
        self._client.loop.add_callback(cancel)


class _Idle:
    """How long there has been no worker."""

    def __init__(self) -> None:
        import dask
        from dask.utils import parse_timedelta

        said = parse_timedelta(dask.config.get(_PATIENCE, None))
        self.patience_s = _PATIENCE_S if said is None else float(said)
        self._since: float | None = None

    def too_long(self, any_workers: bool) -> bool:
        now = time.monotonic()
        if any_workers:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since > self.patience_s


def everywhere(path: str) -> str:
    """Make a path mean the same in processes of other folders.

    Parameters
    ----------
    path : str
        A path or URL.

    Returns
    -------
    str
        URLs as they are, local paths from the root.
    """
    if "://" in path or not storage.is_local(path):
        return path
    return os.path.abspath(os.path.expanduser(path))


def require_distributed() -> Any:
    """Import Dask distributed.

    Returns
    -------
    module
        `distributed`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("a Dask cluster", "dask") from None
    return distributed


def _call(release: _Release, function: Callable[..., Result], task: Task) -> Result:
    """Call a function on a worker, if it is the function that is meant."""
    if release != _release():
        from distributed import get_worker

        _check_release(_release(), release, get_worker().address)
    return function(*task)


def _release() -> _Release:
    return echoanom.__version__, CONTENT_VERSION


def _check_release(theirs: _Release, ours: _Release, worker: str) -> None:
    if theirs != ours:
        raise ClusterError(
            f"the worker {worker} must have echoanom {ours[0]} (content {ours[1]}) as"
            f" the client has, but has {theirs[0]} (content {theirs[1]}); install the"
            " same everywhere"
        )


@functools.cache
def _packages() -> dict[str, Any]:
    """Return the versions that results may depend on."""
    found: dict[str, Any] = {"echoanom": _release()}
    for name in _COMPARED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
