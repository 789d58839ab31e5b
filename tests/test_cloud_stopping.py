"""SIGTERM: noticed at once, also where Python does not run, and never ignored."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import signal, sys, time
from echoanom.cloud.stopping import Stopping

stopping = Stopping(grace_s=float(sys.argv[1]))
assert not stopping()
print("ready", flush=True)
if sys.argv[2] == "busy":
    # Like TensorFlow, which waits where no handler of Python's can run: the call
    # goes on after a signal, and Python with it never.
    import ctypes

    libc = ctypes.CDLL(None)
    libc.siginterrupt(signal.SIGTERM, 0)
    libc.sem_wait(ctypes.create_string_buffer(64))
while not stopping():
    time.sleep(0.01)
print("asked", flush=True)
sys.exit(7)
"""


def run(grace_s: float, kind: str) -> tuple[int, str, float]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(grace_s), kind],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    rest = process.communicate(timeout=60)[0]
    return process.returncode, rest, time.monotonic() - began


def test_a_process_that_was_asked_to_end_knows_it() -> None:
    assert run(30, "idle")[:2] == (7, "asked\n")


@pytest.mark.parametrize("grace_s", [0.0, 1.0])
def test_a_process_that_cannot_answer_is_ended_after_its_grace(grace_s: float) -> None:
    status, _, took_s = run(grace_s, "busy")
    assert status == 143
    assert grace_s <= took_s < grace_s + 20
