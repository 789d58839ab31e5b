"""A pipe of SageMaker's Pipe mode as a file that is read once, and never for ever.

There is a FIFO for each epoch. It may not exist yet when it is looked for, its writer
may come late, and may stall; each may take so long and no longer.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from typing import Any

from echoanom.errors import StorageError

_PAUSE_S = 0.05


class Fifo(io.RawIOBase):
    """The stream of one epoch.

    Parameters
    ----------
    path : str
        Where the FIFO is, or will be.
    timeout_s : float
        Longest time in which it may not exist, or nothing may come [s].

    Raises
    ------
    StorageError
        If it does not come to exist, is no FIFO, or cannot be opened.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__()
        self.name = path
        self._timeout_s = timeout_s
        self._bytes = 0
        self._number = -1
        self._number = self._open()
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLIN)

    def _open(self) -> int:
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                # Without waiting for the writer, so that this cannot wait for ever.
                number = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                break
            except FileNotFoundError:
                if time.monotonic() > until:
                    raise StorageError(
                        f"{self.name}: must exist within {self._timeout_s:g} s, but the"
                        " pipe does not; is the channel in Pipe mode, and is its agent"
                        " running?"
                    ) from None
                time.sleep(_PAUSE_S)
            except OSError as error:
                raise StorageError(
                    f"{self.name}: must be readable: {error.strerror}"
                ) from None
        if not stat.S_ISFIFO(os.fstat(number).st_mode):
            os.close(number)
            raise StorageError(f"{self.name}: must be a FIFO, as Pipe mode makes them")
        return number

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
            If nothing comes for too long, or it cannot be read.
        ValueError
            If it is closed.
        """
        if self.closed:
            raise ValueError("the pipe is closed")
        while True:
            # A FIFO that no writer has opened yet is quiet; one whose writer is gone
            # has an end.
            if not self._poll.poll(self._timeout_s * 1000):
                raise StorageError(
                    f"{self.name}: must give data within {self._timeout_s:g} s, but"
                    f" stalls after {self._bytes} bytes"
                )
            try:
                count = os.readv(self._number, [buffer])
            except BlockingIOError:
                continue
            except OSError as error:
                raise StorageError(
                    f"{self.name}: must be readable, but after {self._bytes} bytes:"
                    f" {error.strerror}"
                ) from None
            self._bytes += count
            return count

    def fileno(self) -> int:
        """Return the file's number.

        Returns
        -------
        int
            As the system knows it.
        """
        return self._number

    def close(self) -> None:
        """Close it, also early: the writer goes on with the next epoch then."""
        if not self.closed and self._number >= 0:
            os.close(self._number)
        super().close()
