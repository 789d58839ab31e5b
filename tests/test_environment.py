"""The environment's set-up heals after an interruption, however it ended."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = (
    "tools/constraints.txt",
    "tools/constraints-tfio.txt",
    "tools/constraints-serving.txt",
)


def load_tool() -> ModuleType:
    """Import tools/environment.py, which is not in a package."""
    path = ROOT / "tools" / "environment.py"
    spec = importlib.util.spec_from_file_location("environment", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


environment = load_tool()


class Machine:
    """Stands for venv and pip; can fail, or be interrupted, while installing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed: list[str] = []
        self.constraints: list[str] = []
        self.made = 0
        self.on_install: Callable[[], int] = lambda: 0

    def __call__(self, command: Sequence[str], **options: Any) -> Any:
        def answer(status: int) -> Any:
            return subprocess.CompletedProcess(command, status, "", "")

        if command[1:3] == ["-m", "venv"]:
            self.made += 1
            for name in ("pyvenv.cfg", "bin/python"):
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            return answer(0)
        if not Path(command[0]).exists():
            raise FileNotFoundError(command[0])
        if "install" in command:
            status = self.on_install()
            if status == 0:
                (self.folder / "bin" / "echoanom").touch()
                self.installed.append(command[-1])
                place = list(command).index("--constraint") + 1
                self.constraints.append(Path(command[place]).name)
            return answer(status)
        return answer(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "venv"


@pytest.fixture
def machine(folder: Path) -> Machine:
    return Machine(folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "tools").mkdir(parents=True)
    for name in ("setup.cfg", "pyproject.toml", *CONSTRAINTS):
        (root / name).write_text(name)
    return root


def make(folder: Path, extra: str, checkout: Path, machine: Machine) -> None:
    """Do what a make target does first."""
    if not environment.ready(str(folder), extra, str(checkout), machine):
        environment.prepare(str(folder), extra, str(checkout), machine)


def test_a_ready_environment_is_left_alone(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    for _ in range(3):
        make(folder, "all", checkout, machine)
    assert machine.made == 1
    assert machine.installed == [f"{checkout}[all]"]


def test_what_tests_need_also_serves_the_demo(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    make(folder, "dev", checkout, machine)
    make(folder, "all", checkout, machine)
    assert machine.installed == [f"{checkout}[dev]"]


def test_what_the_demo_needs_is_completed_for_tests(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    make(folder, "all", checkout, machine)
    make(folder, "dev", checkout, machine)
    assert machine.installed == [f"{checkout}[all]", f"{checkout}[dev]"]
    assert machine.made == 1


def test_changed_requirements_are_installed_into_the_same_environment(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    make(folder, "all", checkout, machine)
    (checkout / "setup.cfg").write_text("more")
    make(folder, "all", checkout, machine)
    assert (machine.made, len(machine.installed)) == (1, 2)


def test_each_environment_has_its_own_constraints(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    make(folder, "test-tfio", checkout, machine)
    (checkout / "tools/constraints.txt").write_text("more")
    make(folder, "test-tfio", checkout, machine)
    assert machine.constraints == ["constraints-tfio.txt"]
    (checkout / "tools/constraints-tfio.txt").write_text("more")
    make(folder, "test-tfio", checkout, machine)
    assert machine.constraints == ["constraints-tfio.txt"] * 2
    make(folder, "dev", checkout, machine)
    assert machine.constraints[2:] == ["constraints.txt"]


def test_an_interrupted_set_up_begins_anew(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    machine.on_install = interrupt
    with pytest.raises(KeyboardInterrupt):
        make(folder, "all", checkout, machine)
    (folder / "half-written").touch()
    machine.on_install = lambda: 0
    make(folder, "all", checkout, machine)
    assert machine.made == 2
    assert not (folder / "half-written").exists()
    assert environment.ready(str(folder), "all", str(checkout), machine)


def test_a_failed_download_is_told_and_begins_anew(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    machine.on_install = lambda: 1
    with pytest.raises(SystemExit, match="status 1; the next call begins anew"):
        make(folder, "all", checkout, machine)
    machine.on_install = lambda: 0
    make(folder, "all", checkout, machine)
    assert machine.made == 2


def test_an_interruption_before_the_environment_exists_begins_anew(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    folder.mkdir()
    (folder / "unfinished").touch()
    make(folder, "all", checkout, machine)
    assert environment.ready(str(folder), "all", str(checkout), machine)


def test_an_environment_whose_python_is_gone_is_made_anew(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    make(folder, "all", checkout, machine)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "echoanom").unlink()
    make(folder, "all", checkout, machine)
    assert machine.made == 2


def test_a_folder_that_is_no_environment_is_never_removed(
    folder: Path, checkout: Path, machine: Machine
) -> None:
    folder.mkdir()
    (folder / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="holds something else"):
        make(folder, "all", checkout, machine)
    assert (folder / "thesis.txt").exists()


def test_an_old_python_is_refused_with_the_versions_that_do() -> None:
    program = (
        f"import sys; sys.version_info = (3, 9, 0); sys.argv = ['', 'x', 'all'];"
        f"sys.path.insert(0, {str(ROOT / 'tools')!r});"
        f"import environment; environment.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr


def pins(name: str) -> dict[str, str]:
    """Read the versions of a file of constraints, by names as pip compares them."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(equals for _, equals, _ in pairs)
    return {re.sub("[-_.]+", "-", name).lower(): pin for name, _, pin in pairs}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_are_names_and_versions_only(name: str) -> None:
    found = pins(name)
    assert len(found) > 50
    for package, version in found.items():
        assert re.fullmatch("[a-z0-9-]+", package), package
        assert re.fullmatch("[a-z0-9.]+", version), package


def test_what_the_older_tensorflow_does_not_decide_on_is_the_same() -> None:
    newest, oldest, _ = (pins(name) for name in CONSTRAINTS)
    other = {name for name in oldest if oldest[name] != newest.get(name)}
    assert other == {
        *("tensorflow", "tensorflow-io", "tensorflow-io-gcs-filesystem"),
        *("tensorboard", "ml-dtypes", "numpy", "pandas", "protobuf"),
    }


def test_what_serving_does_not_decide_on_is_the_same() -> None:
    newest, _, serving = (pins(name) for name in CONSTRAINTS)
    other = {name for name in serving if serving[name] != newest.get(name)}
    assert other == {
        *("tensorflow", "tensorboard", "tensorflow-serving-api"),
        *("falcon", "gevent", "zope-event", "zope-interface"),
    }
