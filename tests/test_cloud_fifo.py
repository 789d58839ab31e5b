"""A pipe: read to its end, closed early, late, stalled, or never there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from echoanom.cloud.fifo import Fifo
from echoanom.errors import StorageError

pytestmark = pytest.mark.slow

SHORT_S = 0.3
LONG_S = 20.0


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = str(tmp_path / "train_0")
    os.mkfifo(found)
    return found


def write(path: str, *pieces: bytes, pause_s: float = 0.0) -> None:
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            file.write(piece)
            time.sleep(pause_s)


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_a_stream_is_read_to_its_end(path: str, pause_s: float) -> None:
    pieces = [os.urandom(200_000) for _ in range(3)]
    thread = in_thread(lambda: write(path, *pieces, pause_s=pause_s))
    with Fifo(path, LONG_S) as fifo:
        found = fifo.readall()
        assert fifo.read(1) == b""
    thread.join()
    assert found == b"".join(pieces)


def test_an_empty_stream_has_an_end(path: str) -> None:
    thread = in_thread(lambda: write(path))
    with Fifo(path, LONG_S) as fifo:
        assert fifo.readall() == b""
    thread.join()


def test_a_pipe_and_its_writer_may_come_late(tmp_path: Path) -> None:
    path = str(tmp_path / "train_1")

    def come_late() -> None:
        time.sleep(0.2)
        os.mkfifo(path)
        time.sleep(0.2)
        write(path, b"late")

    thread = in_thread(come_late)
    with Fifo(path, LONG_S) as fifo:
        assert fifo.readall() == b"late"
    thread.join()


def test_closed_early_its_writer_is_told(path: str) -> None:
    told = []

    def write_on() -> None:
        try:
            write(path, *[b"x" * 100_000] * 100)
        except BrokenPipeError:
            told.append(True)

    thread = in_thread(write_on)
    with Fifo(path, LONG_S) as fifo:
        assert len(fifo.read(10)) == 10
    thread.join()
    assert told
    with pytest.raises(ValueError, match="closed"):
        fifo.readinto(bytearray(1))


def test_a_pipe_that_never_comes_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"train_7: must exist within 0.3 s"):
        Fifo(str(tmp_path / "train_7"), SHORT_S)
    assert SHORT_S <= time.monotonic() - began < LONG_S


def test_a_writer_that_never_comes_is_given_up(path: str) -> None:
    with (
        Fifo(path, SHORT_S) as fifo,
        pytest.raises(StorageError, match="within 0.3 s, but stalls after 0 bytes"),
    ):
        fifo.read(1)


def test_a_writer_that_stalls_is_given_up(path: str) -> None:
    done = threading.Event()

    def stall() -> None:
        with open(path, "wb", buffering=0) as file:
            file.write(b"begun")
            done.wait(LONG_S)

    thread = in_thread(stall)
    try:
        with Fifo(path, SHORT_S) as fifo:
            assert fifo.read(100) == b"begun"
            with pytest.raises(StorageError, match="stalls after 5 bytes"):
                fifo.read(100)
    finally:
        done.set()
        thread.join()


def test_what_is_no_fifo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train_0"
    path.write_bytes(b"a file")
    with pytest.raises(StorageError, match="must be a FIFO"):
        Fifo(str(path), SHORT_S)
