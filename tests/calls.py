"""What tests let the workers of a cluster do. Imports little: they import it, too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def rest(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def leave_trace(path: str, seconds: float) -> None:
    """Make a file after a while."""
    time.sleep(seconds)
    Path(path).touch()


def fail(error: Exception, seconds: float = 0) -> None:
    time.sleep(seconds)
    raise error


def either(error: Exception | None, path: str) -> None:
    """Fail, or make a file, after a while."""
    time.sleep(0.2)
    if error is not None:
        raise error
    Path(path).touch()


def die() -> None:
    """End this process as a machine that loses its power would."""
    os.kill(os.getpid(), signal.SIGKILL)


def environment() -> dict[str, str]:
    return dict(os.environ)
