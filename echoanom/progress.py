"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


def no_progress(description: str, done: int, total: int) -> None:
    """Listen to nothing.

    Parameters
    ----------
    description : str
        What is being done.
    done : int
        How much is done.
    total : int
        How much there is.
    """
