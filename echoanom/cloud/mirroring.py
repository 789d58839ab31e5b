"""A folder whose files are copied to a store while others write them.

Files are copied when they are new or have changed, each as a whole. What is removed from
the folder stays in the store, as far as is known of SageMaker. Files that are not yet
published, by their names, are passed over.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence

from echoanom import objects, publishing, storage
from echoanom.cloud.jobfolders import copy_here
from echoanom.errors import StorageError
from echoanom.testing.channelobjects import find_objects

EVERY_S = 1.0

logger = logging.getLogger(__name__)

_State = tuple[int, int, int]


class Mirror:
    """Copies one folder.

    Parameters
    ----------
    folder : str
        The local folder.
    url : str
        Where it is copied to: an S3 URL, a path, or a file URL.
    """

    def __init__(self, folder: str, url: str) -> None:
        self._folder = folder
        self._url = url.rstrip("/")
        self._copied: dict[str, _State] = {}
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Bring what the store has into the folder.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        if objects.is_object(self._url) or storage.exists(self._url):
            for one in find_objects(f"{self._url}/"):
                copy_here(one, self._folder)
        # Only what the job changes goes back: several hosts may have the same files.
        self._copied = dict(self._files())

    def push(self) -> None:
        """Copy what is new.

        Raises
        ------
        StorageError
            If a file cannot be copied.
        """
        with self._lock:
            for name, state in self._files():
                if self._copied.get(name) == state:
                    continue
                path = os.path.join(self._folder, name)
                try:
                    copy_there(path, storage.join(self._url, name))
                except StorageError:
                    if os.path.exists(path):
                        raise
                    continue  # it was removed meanwhile
                self._copied[name] = state

    def _files(self) -> Iterator[tuple[str, _State]]:
        for below, _, names in os.walk(self._folder):
            for name in sorted(names):
                path = os.path.join(below, name)
                if name.startswith(publishing.TEMPORARY_PREFIX):
                    continue
                try:
                    found = os.stat(path)
                except FileNotFoundError:
                    continue
                state = (found.st_ino, found.st_mtime_ns, found.st_size)
                yield os.path.relpath(path, self._folder), state


@contextlib.contextmanager
def mirrored(mirrors: Sequence[Mirror], every_s: float = EVERY_S) -> Iterator[None]:
    """Keep mirrors up to date from a thread of its own, and at the end once more.

    Parameters
    ----------
    mirrors : sequence of Mirror
        The mirrors.
    every_s : float
        How often the folders are looked at [s].

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    StorageError
        If something cannot be copied at the end.
    """
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            for mirror in mirrors:
                try:
                    mirror.push()
                except StorageError as error:
                    logger.warning("%s; it will be tried again", error)

    thread = threading.Thread(target=run, name="echoanom-mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for mirror in mirrors:
            mirror.push()


def copy_there(path: str, url: str) -> None:
    """Copy a local file to a store, whole or not at all.

    Parameters
    ----------
    path : str
        The file.
    url : str
        Where to: an S3 URL, a path, or a file URL.

    Raises
    ------
    StorageError
        If it cannot be read or written.
    """
    if objects.is_object(url):
        objects.upload(url, path)
        return
    with publishing.publish(url) as there, open(path, "rb") as here:
        while piece := here.read(1 << 20):
            there.write(piece)
