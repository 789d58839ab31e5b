"""What a person sees: a progress bar, log lines, JSON, and no chatter."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from echoanom.progress import Progress, no_progress
from echoanom.redaction import redact

_SILENCE = "3"  # the level of TensorFlow's C++ log above that of its errors


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress bar on stderr if that is a terminal, else nothing.

    Yields
    ------
    Progress
        To be handed to what takes long.
    """
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
    )
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn, TimeRemainingColumn

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def show(description: str, done: int, total: int) -> None:
        if description not in tasks:
            for finished in tasks.values():
                bars.update(finished, visible=False)
            tasks[description] = bars.add_task(description, total=total)
        bars.update(tasks[description], completed=done, total=total, visible=True)

    with bars:
        yield show


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def start_logging(verbosity: int) -> None:
    """Send log lines to stderr.

    Parameters
    ----------
    verbosity : int
        0: warnings. 1: what is being done. 2 and more: everything, and Python's own
        warnings with it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacted("echoanom: %(levelname)s: %(message)s"))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    for name in ("echoanom", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").disabled = verbosity < 1


def quiet_tensorflow() -> None:
    """Import TensorFlow with its C++ log off stderr, unless the user asked for some.

    While it loads and looks for devices, TensorFlow writes to the file descriptor
    without asking for the level, so what is written there meanwhile is dropped. Errors
    that matter are raised, too; what it logs as errors beside them is about the
    processor. A level of 3, which asks for silence, gets it.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _SILENCE) != _SILENCE:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def print_json(value: Any) -> None:
    """Print a value as JSON.

    Parameters
    ----------
    value : object
        Plain JSON values.
    """
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of text.

    Parameters
    ----------
    lines : sequence of str
        The lines.
    """
    for line in lines:
        click.echo(line)
