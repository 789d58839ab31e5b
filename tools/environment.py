#!/usr/bin/env python3
"""Make or repair the virtual environment that the Makefile's targets run in.

::

    python3 tools/environment.py .venv all     what the demo needs
    python3 tools/environment.py .venv dev     what tests and checks need, too
    python3 tools/environment.py .venv-tfio test-tfio
                                               tensorflow-io, and the TensorFlow it fits
    python3 tools/environment.py .venv-serving test-serving
                                               the TensorFlow that SageMaker serves with

A call that finds the environment ready takes a fraction of a second. What it leaves in
the environment's folder decides what the next call does:

``environment.json``
    Written last. Holds what was installed and a fingerprint of what decides on it
    (setup.cfg, the constraints, this folder's place, the Python). If one changed, the
    packages are installed again, into the same environment.
``unfinished``
    Written first and removed at the end. If it is still there, the last set-up was
    interrupted, so the environment is made anew from nothing. What pip has downloaded
    is in its cache and is not downloaded again.

Only the standard library is needed, of any Python 3.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import Callable, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONTAINED = {
    "all": ("all", "dev"),
    "dev": ("dev",),
    "test-tfio": ("test-tfio",),
    "test-serving": ("test-serving",),
}
"""Extra asked for, and the installed extras that hold it."""

CONSTRAINTS = {
    "all": os.path.join("tools", "constraints.txt"),
    "dev": os.path.join("tools", "constraints.txt"),
    "test-tfio": os.path.join("tools", "constraints-tfio.txt"),
    "test-serving": os.path.join("tools", "constraints-serving.txt"),
}
"""Extra asked for, and the versions it gets."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def fingerprint(root: str, extra: str) -> str:
    """Sum up what decides on the content of the environment.

    Parameters
    ----------
    root : str
        The checkout.
    extra : str
        What is asked for, one of `CONTAINED`.

    Returns
    -------
    str
        A hash of the set-up files, the checkout's place and the Python version.
    """
    digest = hashlib.sha256(f"{root}\n{sys.version}\n".encode())
    for name in ("setup.cfg", "pyproject.toml", CONSTRAINTS[extra]):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def ready(folder: str, extra: str, root: str, run: Run = subprocess.run) -> bool:
    """Tell whether the environment can be used as it is.

    Parameters
    ----------
    folder : str
        The environment.
    extra : str
        What must be installed, one of `CONTAINED`.
    root : str
        The checkout.
    run : callable
        Runs a command, as `subprocess.run` does.

    Returns
    -------
    bool
        True if it was finished, for this checkout as it is now, and its command runs.
    """
    try:
        with open(os.path.join(folder, "environment.json"), encoding="utf-8") as file:
            state = json.load(file)
        if os.path.exists(os.path.join(folder, "unfinished")):
            return False
        if state["fingerprint"] != fingerprint(root, extra):
            return False
        if state["extra"] not in CONTAINED[extra]:
            return False
        command = [os.path.join(folder, "bin", "echoanom"), "--version"]
        return run(command, capture_output=True, text=True).returncode == 0
    except (OSError, ValueError, KeyError, TypeError):
        return False


def prepare(folder: str, extra: str, root: str, run: Run = subprocess.run) -> None:
    """Make the environment ready.

    Parameters
    ----------
    folder : str
        The environment.
    extra : str
        What to install, one of `CONTAINED`.
    root : str
        The checkout.
    run : callable
        Runs a command, as `subprocess.run` does.
    """
    python = os.path.join(folder, "bin", "python")
    unfinished = os.path.join(folder, "unfinished")
    if os.path.lexists(folder) and not _usable(folder, python, unfinished, run):
        known = ("pyvenv.cfg", "unfinished")
        if os.listdir(folder) and not any(
            os.path.exists(os.path.join(folder, name)) for name in known
        ):
            raise SystemExit(
                f"{folder} must be a virtual environment or not exist, but it holds"
                " something else; move it away or choose another with VENV=<folder>"
            )
        print(f"{folder} is broken or unfinished: making it anew", flush=True)
        shutil.rmtree(folder)
    fresh = not os.path.exists(folder)
    os.makedirs(folder, exist_ok=True)
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write("The set-up of this environment has not ended.\n")
    if fresh:
        _checked(run, [sys.executable, "-m", "venv", folder])
    print(
        f"Installing echoanom[{extra}] into {folder}. The first time this downloads"
        " about 1 GB (TensorFlow is large).",
        flush=True,
    )
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    _checked(
        run,
        [python, "-m", "pip", "install", "--disable-pip-version-check", *quiet]
        + ["--constraint", os.path.join(root, CONSTRAINTS[extra])]
        + ["--editable", f"{root}[{extra}]"],
    )
    state = os.path.join(folder, "environment.json")
    with open(f"{state}.new", "w", encoding="utf-8") as file:
        json.dump({"extra": extra, "fingerprint": fingerprint(root, extra)}, file)
        file.write("\n")
    os.replace(f"{state}.new", state)
    os.unlink(unfinished)


def _usable(folder: str, python: str, unfinished: str, run: Run) -> bool:
    """Tell whether packages can be installed into what is there."""
    if os.path.exists(unfinished):
        return False
    try:
        pip = run([python, "-m", "pip", "--version"], capture_output=True, text=True)
    except OSError:
        return False
    return pip.returncode == 0


def _checked(run: Run, command: list[str]) -> None:
    status = run(command).returncode
    if status != 0:
        raise SystemExit(
            f"set-up failed: {' '.join(command)} ended with status {status};"
            " the next call begins anew"
        )


def main(arguments: Optional[list[str]] = None) -> None:
    """Check or prepare the environment named on the command line.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    folder, extra = sys.argv[1:] if arguments is None else arguments
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise SystemExit(
            "echoanom needs Python 3.11, 3.12 or 3.13, but"
            f" {sys.executable} is {sys.version.split()[0]};"
            " choose one with PYTHON=<python>"
        )
    folder = os.path.abspath(folder)
    if not ready(folder, extra, ROOT):
        try:
            prepare(folder, extra, ROOT)
        except KeyboardInterrupt:
            raise SystemExit("set-up interrupted; the next call begins anew") from None


if __name__ == "__main__":
    main()
