"""Calls in threads that nobody waits for: not at exit, and not after an error.

The standard library's pools have their threads joined when the process ends. A thread
that waits for a store that has gone silent would then keep the process for minutes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def call_each(
    call: Callable[[Item], object], items: Iterable[Item], threads: int
) -> None:
    """Call a function for each of several items, some at a time.

    Parameters
    ----------
    call : callable
        Takes an item. After an error of another call it may still run to its end.
    items : iterable
        The items.
    threads : int
        How many calls run at the same time.

    Raises
    ------
    BaseException
        What a call raises first; items that were not begun are left out then.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    given_up = threading.Event()
    count = 0
    for item in items:
        todo.put(item)
        count += 1

    def work() -> None:
        while not given_up.is_set():
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                call(item)
            except BaseException as error:  # noqa: B036 - raised where it is waited for
                ended.put(error)
                return
            ended.put(None)

    for _ in range(min(threads, count)):
        threading.Thread(target=work, name="echoanom-unwaited", daemon=True).start()
    try:
        for _ in range(count):
            if (error := ended.get()) is not None:
                raise error
    finally:
        given_up.set()
