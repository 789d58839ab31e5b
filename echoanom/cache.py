"""Shards of a store on a local disk: fetched ahead, checked, held while in use.

A shard is fetched once, however many threads and processes want it, and stays until its
room is needed. `arrival` fetches and checks one, `cachefolder` shares the folder.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator

from echoanom import storage
from echoanom.arrival import Download
from echoanom.arrival import Wanted as Wanted
from echoanom.arrival import abandoned, fetch, fill, is_full
from echoanom.cachefolder import FOLDER, LIMIT_GIB, CacheFolder, Part
from echoanom.errors import EchoanomError, OptionError

DEFAULT_GIB = 20.0

_PAUSE_S = 0.02
_PAUSE_AHEAD_S = 0.2
# So long a shard that was fetched ahead is kept for its reader.
_PATIENCE_NS = 3600 * 10**9

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What to fetch ahead, and when each that nobody has mapped yet counts as used."""

    queue: collections.deque[Wanted] = dataclasses.field(
        default_factory=collections.deque
    )
    marks: dict[str, int] = dataclasses.field(default_factory=dict)


class ShardCache:
    """Shards on a local disk, bounded in size.

    Threads and processes may share a folder, each with a cache of its own or all with
    one.

    Parameters
    ----------
    folder : str
        A local folder, made if need be. Other files there are left alone.
    limit_bytes : int
        What its shards may take together, those that are on their way included [byte].
    threads : int
        How many shards are fetched ahead at once.
    download : callable
        Fetches one.

    Raises
    ------
    StorageError
        If the folder cannot be made or written.
    """

    def __init__(
        self,
        folder: str,
        limit_bytes: int,
        threads: int = 4,
        download: Download = fetch,
    ) -> None:
        self._folder = CacheFolder(folder, limit_bytes)
        self._threads = threads
        self._download = download
        self._start_anew()
        _caches.add(self)

    @property
    def limit_bytes(self) -> int:
        """What its shards may take together [byte]."""
        return self._folder.limit_bytes

    def map(self, wanted: Wanted) -> memoryview:
        """Map a shard, and fetch it before if need be.

        Parameters
        ----------
        wanted : Wanted
            The shard.

        Returns
        -------
        memoryview
            Its content, as it was hashed when it came. It keeps its room for as long as
            this lives.

        Raises
        ------
        CorruptionError
            If it is missing, or is not what it should be.
        CacheFullError
            If the limit leaves no room for it beside what is in use.
        StorageError
            If it cannot be fetched, or the disk is full.
        """
        if not wanted.size:
            return memoryview(b"")
        with self._lock:
            self._plan.marks.pop(wanted.key, None)
        folder = self._folder
        while True:
            with folder.locked():
                if (found := folder.use(wanted.key)) is not None:
                    return memoryview(found)
                part = None
                coming = folder.is_coming(wanted.key)
                if not coming:
                    part = folder.reserve(wanted.key)
            if part is not None:
                fill(part, wanted, self._download)
                with abandoned(part), folder.locked():
                    folder.publish(part)
                    if (found := folder.use(wanted.key)) is not None:
                        return memoryview(found)
            elif coming:
                folder.wait(wanted.key)
            else:
                with self._first():
                    time.sleep(_PAUSE_S)

    def ahead(self, shards: Iterable[Wanted]) -> None:
        """Fetch shards in the background, as far as there is room.

        Those that came are kept for whoever maps them first, for an hour or until other
        ones are mapped that need the room. An error comes up when the shard is mapped.

        Parameters
        ----------
        shards : iterable of Wanted
            They are fetched in this order. What an earlier call asked for is given up
            if it has not begun.
        """
        plan = _Plan()
        first = time.time_ns() + _PATIENCE_NS
        reach = 0
        for wanted in shards:
            if not wanted.size or wanted.key in plan.marks:
                continue
            plan.queue.append(wanted)
            # Later ones give way first.
            plan.marks[wanted.key] = first + 1000 * len(plan.marks)
        with self._folder.locked(), self._lock:
            for wanted in plan.queue:
                reach += wanted.size
                if reach > self._folder.limit_bytes:
                    break
                # Nothing that comes before it may take its room.
                self._folder.mark(wanted.key, plan.marks[wanted.key])
            self._replace(plan)
            while self._workers < min(self._threads, len(plan.queue)):
                threading.Thread(
                    target=self._work, name="echoanom-cache", daemon=True
                ).start()
                self._workers += 1

    def close(self) -> None:
        """Fetch no more ahead.

        What is mapped stays mapped, and what is on its way still arrives.
        """
        with self._folder.locked(), self._lock:
            self._replace(_Plan())

    def _start_anew(self) -> None:
        # Also after a fork: the child has none of the threads, and maybe their locks.
        self._lock = threading.Lock()  # of what follows; taken after the folder's
        self._plan = _Plan()
        self._workers = 0
        self._hungry = 0
        self._turn = threading.Lock()  # to take the next shard, and wait for its room

    @contextlib.contextmanager
    def _first(self) -> Iterator[None]:
        """Let nothing be fetched ahead while there is no room for what is needed."""
        with self._lock:
            self._hungry += 1
        try:
            yield
        finally:
            with self._lock:
                self._hungry -= 1

    def _replace(self, plan: _Plan) -> None:
        for key in self._plan.marks.keys() - plan.marks.keys():
            self._folder.mark(key, time.time_ns())
        self._plan.queue.clear()
        self._plan = plan

    def _work(self) -> None:
        """Fetch ahead until nothing is left to fetch."""
        while True:
            with self._turn:
                with self._lock:
                    plan = self._plan
                    if not plan.queue:
                        self._workers -= 1
                        return
                    wanted = plan.queue.popleft()
                try:
                    part = self._room_ahead(plan, wanted)
                except EchoanomError as error:
                    logger.info("%s is not fetched ahead: %s", wanted.url, error)
                    continue
            if part is not None:
                try:
                    self._arrive(plan, wanted, part)
                except Exception as error:  # it comes up where the shard is mapped
                    logger.info("%s was not fetched ahead: %s", wanted.url, error)
                    if is_full(error):
                        plan.queue.clear()

    def _room_ahead(self, plan: _Plan, wanted: Wanted) -> Part | None:
        """Wait for room; None if it is there, coming, or nobody waits for it."""
        folder = self._folder
        while True:
            with folder.locked(), self._lock:
                mark = plan.marks.get(wanted.key)
                if plan is not self._plan or mark is None:
                    return None
                if folder.mark(wanted.key, mark) or folder.is_coming(wanted.key):
                    return None
                if not self._hungry:
                    part = folder.reserve(wanted.key, ahead=True)
                    if part is not None:
                        return part
            time.sleep(_PAUSE_AHEAD_S)

    def _arrive(self, plan: _Plan, wanted: Wanted, part: Part) -> None:
        fill(part, wanted, self._download)
        with abandoned(part), self._folder.locked(), self._lock:
            self._folder.publish(part)
            if plan is self._plan and wanted.key in plan.marks:
                self._folder.mark(wanted.key, plan.marks[wanted.key])


_caches: weakref.WeakSet[ShardCache] = weakref.WeakSet()


def _after_fork() -> None:
    for cache in list(_caches):
        cache._start_anew()


os.register_at_fork(after_in_child=_after_fork)


def default_cache() -> ShardCache:
    """Return the cache that the environment asks for, the same in all of a process.

    ``ECHOANOM_CACHE`` names its folder; left out, it is ``echoanom`` in the user's
    folder of caches. ``ECHOANOM_CACHE_GIB`` is its limit, 20 if left out [GiB].

    Returns
    -------
    ShardCache
        The cache.

    Raises
    ------
    OptionError
        If a variable has a value it cannot have.
    StorageError
        If the folder cannot be made or written.
    """
    folder = os.environ.get(FOLDER, "")
    if not folder:
        parent = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(parent):  # the standard has others ignored
            parent = "~/.cache"
        folder = os.path.join(parent, "echoanom")
    if not storage.is_local(folder):
        raise OptionError(f"{FOLDER} must name a local folder, got {folder}")
    said = os.environ.get(LIMIT_GIB, "") or str(DEFAULT_GIB)
    try:
        limit = int(float(said) * 2**30)
    except (ValueError, OverflowError):
        limit = 0
    if limit <= 0:
        raise OptionError(f"{LIMIT_GIB} must be a number above 0, got {said!r}")
    return _cache(os.path.abspath(os.path.expanduser(folder)), limit)


@functools.cache
def _cache(folder: str, limit_bytes: int) -> ShardCache:
    return ShardCache(folder, limit_bytes)
