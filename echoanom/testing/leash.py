"""Run a command that ends, with all it has started, when whoever wanted it is gone.

::

    python -m echoanom.testing.leash <command> <arguments>

What runs is a process group of its own. A line ``TERM`` or ``KILL`` on the standard input
sends the signal: SIGTERM to the command's process alone, as a container's engine does;
SIGKILL to all. At the end of the command, or of the standard input, all are killed. The
exit status is the command's, or 128 and the number of the signal that ended it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from echoanom.testing.parent import watch_parent

TERM, KILL = "TERM", "KILL"


def leashed(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command so.

    Parameters
    ----------
    command : sequence of str
        The command.

    Returns
    -------
    list of str
        To be started with a pipe as its standard input.
    """
    return [sys.executable, "-m", "echoanom.testing.leash", *command]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command; those of the process if left out.

    Returns
    -------
    int
        The exit status.
    """
    command = sys.argv[1:] if arguments is None else list(arguments)
    if not command:
        print("error: a leash must be given a command", file=sys.stderr)
        return 1
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        print(f"error: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127

    def tell(line: str) -> None:
        if line == TERM:
            process.send_signal(signal.SIGTERM)  # not to a number used again
        elif line == KILL:
            _kill(process.pid)

    def gone() -> None:
        _kill(process.pid)
        os._exit(128 + signal.SIGKILL)

    watch_parent(tell, gone)
    status = process.wait()
    _kill(process.pid)
    return status if status >= 0 else 128 - status


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
