"""Processes of others, looked at from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def alive(number: int) -> bool:
    """Tell whether a process runs, and is not just waiting to be collected."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def descendants(number: int) -> set[int]:
    """Return the processes that one has started, and they, and so on."""
    found = set()
    for task in Path(f"/proc/{number}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in map(int, children):
            found |= {child} | descendants(child)
    return found


def wait_until(true: Callable[[], bool], limit_s: float = 20) -> None:
    """Wait until something is true, and fail if it does not become so."""
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)
