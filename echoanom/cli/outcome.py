"""How a command ends: its exit status, and one line on stderr if it failed.

0 success; 1 a failure, explained in one line; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from echoanom.errors import EchoanomError, OptionError
from echoanom.redaction import redact

FAILURE = 1
USAGE = 2
INTERRUPTED = 130


def run(command: click.Command, arguments: Sequence[str] | None) -> int:
    """Run a command and turn every way it can end into an exit status.

    Parameters
    ----------
    command : click.Command
        The command.
    arguments : sequence of str, optional
        The command line without the program's name; that of the process if left out.

    Returns
    -------
    int
        The exit status.
    """
    try:
        status = command.main(
            args=None if arguments is None else list(arguments),
            prog_name="echoanom",
            standalone_mode=False,
        )
        # A reader that went away shows here, not in a traceback at exit.
        sys.stdout.flush()
    except click.Abort:
        _say("interrupted")
        return INTERRUPTED
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _write(shown.getvalue())
        return error.exit_code
    except OptionError as error:
        _say(f"error: {error}")
        return USAGE
    except EchoanomError as error:
        _say(f"error: {error}")
        _trace()
        return FAILURE
    except BrokenPipeError:
        # What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except OSError as error:
        name = "" if error.filename is None else f"{error.filename}: "
        _say(f"error: {name}{error.strerror or error}")
        _trace()
        return FAILURE
    except MemoryError:
        _say("error: not enough memory; try fewer --workers or a smaller --batch-size")
        return FAILURE
    except Exception as error:
        _say(
            f"error: {type(error).__name__}: {error}"
            " (not foreseen; --verbose shows where)"
        )
        _trace()
        return FAILURE
    return status if isinstance(status, int) else 0


def _say(message: str) -> None:
    _write("echoanom: " + " ".join(message.split()) + "\n")


def _write(text: str) -> None:
    # The text explains the status; losing it must not change the status.
    with contextlib.suppress(OSError):
        click.echo(redact(text), err=True, nl=False)


def _trace() -> None:
    """Show where the error came from, if the user asked for more than a line."""
    if logging.getLogger("echoanom").isEnabledFor(logging.INFO):
        _write(traceback.format_exc())
