"""The commands of `make demo`, with less training, so that they cannot break unseen."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from echoanom.cli import main

ROOT = Path(__file__).resolve().parent.parent


def demo_commands(output: Path) -> list[list[str]]:
    """Return the arguments of each echoanom command that the demo runs."""
    recipe = subprocess.run(
        ["make", "--dry-run", "demo", "VENV=venv", f"OUTPUT={output}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    start = "venv/bin/echoanom "
    return [
        shlex.split(line.removeprefix(start))
        for line in recipe.splitlines()
        if line.startswith(start)
    ]


@pytest.mark.slow
def test_the_demo_finds_the_hours_on_deck_and_draws_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    commands = demo_commands(tmp_path)
    names = "convert inspect verify train score evaluate detect report"
    assert [command[0] for command in commands] == names.split()
    for command in commands:
        if command[0] == "train":
            command[command.index("--epochs") + 1] = "1"
        assert main(command) == 0, command
    events = pd.read_csv(tmp_path / "events.csv")
    assert events.loc[0, "start"] == "2004-05-19T02:30:00Z"
    page = (tmp_path / "report.html").read_text()
    assert "2004-05-19T02:30:00Z" in page
    assert capsys.readouterr().out.splitlines()[-1].startswith(str(tmp_path))
