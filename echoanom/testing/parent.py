"""Learn in a process of ours that whoever started it is gone, however that ended.

The parent holds the other end of the standard input. A copy of that end may outlive the
parent, in a process that it forked: so the parent's number is looked at as well.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

_LOOK_S = 1.0
_LINE_BYTES = 4096


def watch_parent(tell: Callable[[str], None], gone: Callable[[], None]) -> None:
    """Watch from a thread of its own.

    Parameters
    ----------
    tell : callable
        Gets each line that the parent writes, without its end.
    gone : callable
        Called once, when the parent has closed its end or is gone.
    """
    parent = os.getppid()

    def watch() -> None:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        line = b""
        while os.getppid() == parent:
            if not poll.poll(_LOOK_S * 1000):
                continue
            came = os.read(0, _LINE_BYTES)
            if not came:
                break
            *lines, line = (line + came).split(b"\n")
            for one in lines:
                tell(one.decode(errors="replace"))
        gone()

    threading.Thread(target=watch, name="echoanom-parent", daemon=True).start()
