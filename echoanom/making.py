"""Make the shards of a plan: those that are not there, here or on a cluster's workers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
from collections.abc import Callable, Iterator

from echoanom import storage
from echoanom.distributed import Cluster
from echoanom.manifest import SHARDS, Manifest, Shard, shard_path
from echoanom.planning import Plan, ShardTask
from echoanom.progress import Progress
from echoanom.shards import convert_shard


class Making:
    """Makes the shards of a plan that are not there, as the plan goes on.

    Parameters
    ----------
    destination : str
        Folder of the dataset, as path or URL.
    before : Manifest, optional
        What the dataset was before.
    planned : Plan
        What to make.
    progress : callable
        Told how many shards are there.
    """

    def __init__(
        self,
        destination: str,
        before: Manifest | None,
        planned: Plan,
        progress: Progress,
    ) -> None:
        self._destination = destination
        self._finished = _Finished(destination, before)
        self._planned = planned
        self._progress = progress
        self._shards: dict[int, Shard] = {}
        self.written = 0
        """Shards that had to be made."""
        self._tell()

    def here(
        self, workers: int, read_bytes: Callable[[str], bytes]
    ) -> tuple[Shard, ...]:
        """Make them in this process, one after the other or several at a time.

        Parameters
        ----------
        workers : int
            Threads that read tables and summarise days.
        read_bytes : callable
            Reads a table's content.

        Returns
        -------
        tuple of Shard
            All shards of the plan, in order.

        Raises
        ------
        DataError
            If a table cannot be taken and the rules say to fail.
        StorageError
            If something cannot be read or written.
        """
        if workers <= 1:
            for position, task in self._todo():
                made = convert_shard(task, self._destination, None, read_bytes)
                self._take(position, made)
            return self._whole()
        futures: dict[concurrent.futures.Future[Shard], int] = {}
        with (
            concurrent.futures.ThreadPoolExecutor(workers) as pool,
            # While one shard is joined and written, the tables of the next are read.
            concurrent.futures.ThreadPoolExecutor(max(2, 2 * workers)) as makers,
        ):
            try:
                for position, task in self._todo():
                    together = max(2, -(-2 * workers // max(len(task.sources), 1)))
                    self._wait(futures, together)
                    future = makers.submit(
                        convert_shard, task, self._destination, pool, read_bytes
                    )
                    futures[future] = position
                self._wait(futures, 1)
            except BaseException:
                makers.shutdown(wait=False, cancel_futures=True)
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._whole()

    def on(self, cluster: Cluster) -> tuple[Shard, ...]:
        """Let workers make them.

        Parameters
        ----------
        cluster : Cluster
            Has the workers.

        Returns
        -------
        tuple of Shard
            All shards of the plan, in order.

        Raises
        ------
        ClusterError
            If the cluster is lost.
        EchoanomError
            As `here`.
        """
        positions: list[int] = []

        def calls() -> Iterator[tuple[ShardTask, str]]:
            for position, task in self._todo():
                positions.append(position)
                yield task, self._destination

        with contextlib.closing(
            cluster.map(convert_shard, calls(), ordered=False)
        ) as results:
            for number, shard in results:
                self._take(positions[number], shard)
        return self._whole()

    def _todo(self) -> Iterator[tuple[int, ShardTask]]:
        for position, task in enumerate(self._planned.tasks):
            shard = self._finished.find(task)
            if shard is None:
                self.written += 1
                yield position, task
            else:
                self._take(position, shard)

    def _wait(
        self, futures: dict[concurrent.futures.Future[Shard], int], fewer: int
    ) -> None:
        """Wait until fewer are being made; take those that are done."""
        while len(futures) >= fewer:
            done, _ = concurrent.futures.wait(
                futures, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                self._take(futures.pop(future), future.result())

    def _take(self, position: int, shard: Shard) -> None:
        self._shards[position] = shard
        self._tell()

    def _tell(self) -> None:
        self._progress("Making shards", len(self._shards), self._planned.shards)

    def _whole(self) -> tuple[Shard, ...]:
        return tuple(self._shards[position] for position in sorted(self._shards))


class _Finished:
    """Finds shards that are there already."""

    def __init__(self, destination: str, before: Manifest | None) -> None:
        folder = storage.join(destination, SHARDS)
        self._destination = destination
        self._sizes = dict(storage.list_files(folder)) if storage.exists(folder) else {}
        self._listed = {shard.name: shard for shard in before.shards} if before else {}

    def find(self, task: ShardTask) -> Shard | None:
        """Find a task's shard; None if it has to be made."""
        shard = self._listed.get(task.name)
        if shard is None and f"{task.name}.json" in self._sizes:
            path = shard_path(self._destination, task.name, "json")
            shard = Shard.from_json(json.loads(storage.read_bytes(path)))
        if shard is None or (shard.set_aside and task.rules.on_error == "fail"):
            return None  # making it again raises what was set aside
        size = self._sizes.get(f"{task.name}.tfrecord")
        return shard if not shard.bytes or size == shard.bytes else None
