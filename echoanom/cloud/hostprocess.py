"""The program of one host of a job on this machine, and what it says."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from echoanom import storage
from echoanom.testing.leash import KILL, TERM, leashed

logger = logging.getLogger(__name__)

_LAST_WORDS_S = 5.0

OnLine = Callable[[str], None]


class HostProcess:
    """A program that was started, and ends with this process at the latest.

    Parameters
    ----------
    name : str
        The host's name.
    command : sequence of str
        The program.
    environment : mapping of str to str
        All of its variables.
    log : str
        File that gets what it says.
    on_line : callable
        Gets each line that it says, standard output and error alike.
    ended : callable
        Called once, from another thread, with the exit status.

    Raises
    ------
    StorageError
        If the log cannot be written.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: str,
        on_line: OnLine,
        ended: Callable[[int], None],
    ) -> None:
        self.name = name
        self._on_line = on_line
        self._ended = ended
        with storage.storage_errors(log, "write"):
            self._log = open(log, "wb", buffering=0)
        self._process = subprocess.Popen(
            leashed(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # what is typed at a terminal is for its parent
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def ask(self) -> None:
        """Send SIGTERM to the program."""
        self._send(TERM)

    def kill(self) -> None:
        """Send SIGKILL to the program and to all that it has started."""
        self._send(KILL)

    def close(self) -> None:
        """End it at once, if it has not ended, and wait until it has."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._waiter.join()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        heard = True
        for line in self._process.stdout:
            with contextlib.suppress(OSError):  # a full disk must not stop the job
                self._log.write(line)
            if not heard:
                continue
            try:
                self._on_line(line.decode(errors="replace").rstrip("\r\n"))
            except Exception as error:
                logger.warning(
                    "lines of %s are no longer passed on: %s", self.name, error
                )
                heard = False

    def _wait(self) -> None:
        status = self._process.wait()
        self._reader.join(_LAST_WORDS_S)
        if not self._reader.is_alive():
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._log.close()
        self._ended(status)


def inherited() -> dict[str, str]:
    """Return the variables of this process that a job may see.

    Returns
    -------
    dict
        All but those that would tell it of another job.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SM_") and name != "TF_CONFIG"
    }
