"""Calls in threads: all of them, some at a time, and none that keeps the process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from echoanom.unwaited import call_each


@pytest.mark.parametrize("items", [0, 1, 3, 50])
def test_each_item_is_called_once(items: int) -> None:
    done: list[int] = []
    call_each(done.append, range(items), 4)
    assert sorted(done) == list(range(items))


def test_no_more_run_at_a_time_than_there_are_threads() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def call(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    call_each(call, range(12), 3)
    assert most == 3


def test_the_first_error_is_raised_and_the_rest_is_left() -> None:
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        call_each(call, range(100), 1)
    assert begun == [0]


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    code = """if True:
        import threading, time
        from echoanom.unwaited import call_each
        def call(item):
            if item: time.sleep(600)
            raise KeyboardInterrupt
        try:
            call_each(call, [1, 0], 2)
        except KeyboardInterrupt:
            print("over")
    """
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout, ended.returncode) == ("over\n", 0)
