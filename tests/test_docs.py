"""The documentation and the commands change together, or fail here together."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from echoanom.cli import main
from echoanom.cli.commands import echoanom as group

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "benchmarks" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
    if path.exists()
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == language]


def shell_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.partition("  #")[0].strip()
                if command:
                    yield page.name, command


def load_tool(name: str) -> Any:
    path = ROOT / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    tool = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_page_of_measured_speed_has_the_figures_that_were_measured() -> None:
    tool = load_tool("performance_page")
    results = tool.read(str(ROOT / "benchmarks" / "results"))
    page = (ROOT / "docs" / "performance.md").read_text()
    assert page == tool.page(results), "run: make measure"
    # What the README takes from it.
    aims = [
        line for line in page.splitlines() if line.endswith(("reached |", "missed** |"))
    ]
    readme = (ROOT / "README.md").read_text()
    assert len(aims) == 16 and all(line in readme for line in aims)


def test_the_plan_for_decades_follows_from_what_was_measured() -> None:
    tool = load_tool("scale_page")
    results = {
        name: json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in tool.NAMES
    }
    page = (ROOT / "docs" / "scale.md").read_text()
    assert page == tool.page(results), "run: make measure"


def test_the_command_line_page_is_what_the_tool_writes() -> None:
    tool = load_tool("cli_reference")
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == tool.reference(), "run: make docs"


def all_commands(path: str, command: click.Command) -> Iterator[tuple[str, Any]]:
    """Yield a command and, of a group, all that it holds."""
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from all_commands(f"{path} {name}", found)


@pytest.mark.parametrize(("path", "command"), list(all_commands("echoanom", group)))
def test_every_command_and_option_is_on_the_command_line_page(
    path: str, command: click.Command
) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert set(parameter.opts) <= set(re.findall(r"-[\w-]+", section))


@pytest.mark.parametrize(("page", "line"), list(shell_lines()))
def test_a_command_of_the_documentation_exists_with_its_options(
    page: str, line: str
) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{words[1]}( \w+)*:", makefile, re.MULTILINE), line
    elif words[0] == "echoanom":
        while words[1].startswith("-"):  # a switch of the group
            assert any(words[1] in option.opts for option in group.params), line
            del words[1]
        command: click.Command = group
        with contextlib.ExitStack() as contexts:
            while isinstance(command, click.Group):
                context = contexts.enter_context(click.Context(command))
                found = command.get_command(context, words[1])
                assert found is not None, line
                command = found
                del words[1]
            command.make_context(words[0], words[1:], parent=context).close()
    else:
        tool = words[0].removeprefix(".venv-peers/bin/")
        assert tool in ("git", "cd", "pip", "python", "tensorboard", "."), line


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_python_of_the_documentation_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    programs = blocks(page, "python")
    if not programs:
        return
    monkeypatch.chdir(tmp_path)
    source = str(ROOT / "examples" / "data")
    arguments = ["convert", source, "dataset", "--period", "900", "--workers", "1"]
    assert main(arguments) == 0
    capsys.readouterr()
    for program in programs:
        exec(compile(program, str(page), "exec"), {})
        assert capsys.readouterr().out


def test_nothing_is_left_to_be_filled_in() -> None:
    for page in PAGES:
        assert not re.search(r"\b(TODO|TBD|FIXME|XXX)\b", page.read_text()), page.name
