#!/usr/bin/env python3
"""Write docs/cli.md from the help of the commands themselves.

::

    python tools/cli_reference.py docs/cli.md

A test fails if docs/cli.md is not what this writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from echoanom.cli.commands import echoanom

HEAD = """\
# Command line

Written by `make docs` from the help of the commands; do not edit.

Every command takes local paths and URLs (`s3://…`) alike. On a terminal it shows
progress on stderr; in a pipe it is quiet. It exits with 0 on success, 1 on a failure,
which one line on stderr explains, 2 on wrong usage, and 130 when interrupted. What it
writes appears under its final name complete or not at all.
"""


def help_text(command: click.Command, path: str) -> str:
    """Return a command's help as a terminal of 80 columns shows it.

    Parameters
    ----------
    command : click.Command
        The command.
    path : str
        How it is called.

    Returns
    -------
    str
        The text.
    """
    with click.Context(
        command, info_name=path, terminal_width=80, **command.context_settings
    ) as context:
        return command.get_help(context)


def reference() -> str:
    """Return the whole page.

    Returns
    -------
    str
        Markdown.
    """
    return "\n".join([HEAD, *_sections("echoanom", echoanom)])


def _sections(path: str, command: click.Command) -> Iterator[str]:
    """Yield the section of a command, and of each that a group holds."""
    yield _section(path, command)
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from _sections(f"{path} {name}", found)


def _section(path: str, command: click.Command) -> str:
    return f"## {path}\n\n```text\n{help_text(command, path)}\n```\n"


def main(arguments: list[str] | None = None) -> None:
    """Write the page.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    (path,) = sys.argv[1:] if arguments is None else arguments
    with open(path, "w", encoding="utf-8") as file:
        file.write(reference())


if __name__ == "__main__":
    main()
