"""A command on a leash: it ends with all it has started when nobody wants it any more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import alive, wait_until

from echoanom.testing.leash import leashed

# A job with a child of its own that takes no notice of SIGTERM.
FAMILY = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
'''])
def end(*_):
    print("asked", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
print(child.pid, flush=True)
time.sleep(600)
"""


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        leashed(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@contextlib.contextmanager
def family() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the job; yields its leash and the number of its child."""
    process = start(sys.executable, "-c", FAMILY)
    assert process.stdout is not None and process.stdin is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_that_of_the_command(status: int) -> None:
    with start(sys.executable, "-c", f"print('x'); exit({status})") as process:
        assert process.stdout is not None and process.stdout.read() == "x\n"
        assert process.wait() == status


def test_a_command_that_is_killed_says_so() -> None:
    program = "import os; os.kill(os.getpid(), 9)"
    with start(sys.executable, "-c", program) as process:
        assert process.wait() == 128 + signal.SIGKILL


def test_sigterm_goes_to_the_command_and_all_end_with_it() -> None:
    with family() as (process, child):
        assert process.stdin is not None and process.stdout is not None
        print("TERM", file=process.stdin, flush=True)
        assert process.stdout.read() == "asked\n"
        assert process.wait() == 7
        wait_until(lambda: not alive(child))


def test_sigkill_goes_to_all() -> None:
    with family() as (process, child):
        print("KILL", file=process.stdin, flush=True)
        assert process.wait() == 128 + signal.SIGKILL
        wait_until(lambda: not alive(child))


def test_all_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    program = f"""
import subprocess, sys, time
from echoanom.testing.leash import leashed
command = [sys.executable, "-c", {FAMILY!r}]
process = subprocess.Popen(
    leashed(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
print(process.pid, process.stdout.readline(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        numbers = [int(number) for number in parent.stdout.readline().split()]
        assert all(map(alive, numbers))
        os.kill(parent.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, numbers)))


def test_a_command_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        leashed(["/no/such/command"]), capture_output=True, text=True, input=""
    )
    assert done.returncode == 127
    assert (
        done.stderr == "error: cannot run /no/such/command: No such file or directory\n"
    )
    done = subprocess.run(leashed([]), capture_output=True, text=True, input="")
    assert done.returncode == 1
    assert done.stderr == "error: a leash must be given a command\n"
