"""The command line: one short function a command that parses, calls and prints.

A command's module is imported when the command is called, and a stage when its command
runs, so that ``echoanom --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from echoanom.cli import outcome
from echoanom.cli.commands import echoanom


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; that of the process if left out.

    Returns
    -------
    int
        The exit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted.
    """
    return outcome.run(echoanom, arguments)
