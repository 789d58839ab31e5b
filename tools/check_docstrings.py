#!/usr/bin/env python3
"""Validate the docstrings of everything public with numpydoc.

The checks are those listed under ``[tool:numpydoc_validation]`` in setup.cfg. Public is
a module, class, function or method whose name does not start with an underscore, nor
lies in something whose name does, nor in a function. A command of the command line is
left out: its docstring is its help, and its parameters' help stands at the parameters.
"""

from __future__ import annotations

import ast
import glob
import os
import shutil
import sys
import tempfile

from numpydoc.hooks.validate_docstrings import parse_config, process_file

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("echoanom", "tools", "benchmarks")


def left_out(tree: ast.Module) -> set[str]:
    """Name the functions and classes that are not checked.

    Parameters
    ----------
    tree : ast.Module
        A module.

    Returns
    -------
    set of str
        Commands, and what lies in functions; names with those of what they lie in,
        e.g. ``function.inner``.
    """
    found = set()

    def walk(node: ast.AST, name: str, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                full = f"{name}.{child.name}"
                if inside or is_command(child):
                    found.add(full.lstrip("."))
                walk(child, full, inside or isinstance(child, ast.FunctionDef))
            else:
                walk(child, name, inside)

    walk(tree, "", False)
    return found


def is_command(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a function is a command.

    Parameters
    ----------
    node : ast.FunctionDef or ast.ClassDef
        The function, or a class, which is none.

    Returns
    -------
    bool
        True if a decorator makes it one.
    """
    decorators = (ast.unparse(decorator) for decorator in node.decorator_list)
    return any(
        name.partition("(")[0] in ("command", "click.command", "click.group")
        for name in decorators
    )


def main() -> int:
    """Check every module and list what is wrong.

    Returns
    -------
    int
        0 if nothing is.
    """
    os.chdir(ROOT)
    # numpydoc reads setup.cfg only where no pyproject.toml lies beside it.
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("setup.cfg", folder)
        config = parse_config(folder)
    failures = 0
    for path in sorted(
        path
        for folder in FOLDERS
        for path in glob.glob(f"{folder}/**/*.py", recursive=True)
    ):
        with open(path, encoding="utf-8") as file:
            skipped = left_out(ast.parse(file.read()))
        for place, name, check, description in process_file(path, config):
            if name.partition(".")[2] not in skipped:
                print(f"{place}: {name}: {check} {description}")
                failures += 1
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
