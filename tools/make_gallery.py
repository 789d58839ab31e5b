#!/usr/bin/env python3
"""Run the gallery, and write its notebook and the pictures of its page.

::

    python tools/make_gallery.py examples docs/images

Runs the cells of ``gallery.py`` in a folder of their own, and writes ``gallery.ipynb`` beside
it, with what the cells printed and drew. The pictures go to the second folder, too, as
``gallery-<name>.png``. No notebook server is needed: a cell is Python, and the value of its
last line is shown by its ``_repr_png_``.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
from nbformat import NotebookNode

NAME = "gallery"


def main(arguments: list[str] | None = None) -> None:
    """Write notebook and pictures.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    examples, images = map(Path, sys.argv[1:] if arguments is None else arguments)
    notebook = run(examples / f"{NAME}.py")
    jupytext.write(notebook, examples / f"{NAME}.ipynb")
    os.makedirs(images, exist_ok=True)
    for picture in sorted((examples.parent / "demo-output").glob("*/*.png")):
        if picture.parent.name == picture.stem:
            shutil.copyfile(picture, images / f"{NAME}-{picture.name}")


def run(script: Path) -> NotebookNode:
    """Run a script's cells, in its folder.

    Parameters
    ----------
    script : Path
        A script in jupytext's percent format.

    Returns
    -------
    NotebookNode
        Its cells, each cell of code with its output.
    """
    notebook: NotebookNode = jupytext.read(script)
    number = 0
    sys.path.insert(0, str(script.parent.resolve()))
    try:
        with contextlib.chdir(script.parent):
            for position, cell in enumerate(notebook.cells):
                # Else each run has other identities, and with them another file.
                cell["id"] = f"{script.stem}-{position}"
                if cell.cell_type == "code":
                    number += 1
                    cell.execution_count = number
                    cell.outputs = run_cell(cell.source, number)
    finally:
        sys.path.remove(str(script.parent.resolve()))
    return notebook


def run_cell(source: str, number: int) -> list[NotebookNode]:
    """Run a cell that ends in an expression.

    Parameters
    ----------
    source : str
        Its Python, which needs nothing of other cells.
    number : int
        Its place among the cells of code.

    Returns
    -------
    list of NotebookNode
        What it printed, and the picture that its last line gives.
    """
    module = ast.parse(source)
    last = module.body[-1]
    assert isinstance(last, ast.Expr), source
    module.body[-1] = ast.copy_location(
        ast.Assign([ast.Name("shown", ast.Store())], last.value), last
    )
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        cell = Path(folder) / "cell.py"
        cell.write_text(ast.unparse(ast.fix_missing_locations(module)))
        value = runpy.run_path(str(cell))["shown"]
    png = base64.b64encode(value._repr_png_()).decode()
    output: Any = NotebookNode
    return [
        output(output_type="stream", name="stdout", text=printed.getvalue()),
        output(
            output_type="execute_result",
            data={"image/png": png, "text/plain": type(value).__name__},
            metadata={},
            execution_count=number,
        ),
    ]


if __name__ == "__main__":
    main()
