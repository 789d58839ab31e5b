"""A file that is read once, in order, and whose parts are fetched a few ahead."""

from __future__ import annotations

import collections
import concurrent.futures
import io
from collections.abc import Callable, Iterator
from typing import Any

_AHEAD = 4


class PartStream(io.RawIOBase):
    """Parts one behind the other as a file, each fetched by a call of its own.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    parts : iterator of callable
        Each fetches the next bytes, in a thread of its own. Taken as they are needed.
    """

    def __init__(self, name: str, parts: Iterator[Callable[[], bytes]]) -> None:
        self.name = name
        self._pool = concurrent.futures.ThreadPoolExecutor(_AHEAD, "echoanom-parts")
        self._coming = parts
        self._parts: collections.deque[concurrent.futures.Future[bytes]] = (
            collections.deque()
        )
        self._left = memoryview(b"")
        for _ in range(_AHEAD):
            self._ask()

    def readable(self) -> bool:
        """Tell that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def readinto(self, buffer: Any) -> int:
        """Read on.

        Parameters
        ----------
        buffer : writable buffer
            Takes the bytes.

        Returns
        -------
        int
            How many it took; 0 at the end.

        Raises
        ------
        StorageError
            If a part cannot be fetched.
        ValueError
            If the stream is closed.
        """
        if self.closed:
            raise ValueError("the stream is closed")
        if not self._left and self._parts:
            self._left = memoryview(self._parts.popleft().result())
            self._ask()
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Fetch no more."""
        if not self.closed and hasattr(self, "_pool"):
            self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _ask(self) -> None:
        fetch = next(self._coming, None)
        if fetch is not None:
            self._parts.append(self._pool.submit(fetch))
