"""The end of a job that is asked to end: SIGTERM, and 120 seconds until SIGKILL.

The signal may come while the training waits for data or for other hosts, inside of
TensorFlow, where Python cannot answer it. So a thread learns of it as well, and ends the
process if the training has not done so in time. What is stored then is what was stored
last.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType

STATUS = 128 + signal.SIGTERM
"""Exit status of a job that was asked to end."""

GRACE_S = 90.0


class Stopping:
    """Learns of SIGTERM. To be made in the main thread.

    Parameters
    ----------
    grace_s : float
        Time in which the process has to end by itself [s].
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._asked = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        threading.Thread(target=self._watch, name="echoanom-stop", daemon=True).start()
        # Python's own handler only runs when Python does; the number of the signal is
        # written into the socket at once.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self.listen()

    def listen(self) -> None:
        """Take the signal, also from whoever has taken it since.

        TensorFlow does where hosts work together, and then lets nobody know.
        """
        signal.signal(signal.SIGTERM, self._handle)

    def __call__(self) -> bool:
        """Tell whether the process was asked to end.

        Returns
        -------
        bool
            True if it was.
        """
        return self._asked.is_set()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def _watch(self) -> None:
        while signal.SIGTERM not in self._reader.recv(64):
            pass
        self._asked.set()
        threading.Event().wait(self._grace_s)
        os._exit(STATUS)
