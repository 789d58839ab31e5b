"""Publishing: a final name comes to exist whole or not at all, and one writer wins."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from echoanom import publishing, storage
from echoanom.errors import StorageError
from echoanom.publishing import TEMPORARY_PREFIX


class Interruption(BaseException):
    """Stands for whatever ends a block before its time."""


@pytest.mark.parametrize("size", [0, 3, 10_000_000])
@pytest.mark.parametrize("old", [None, b"old content"])
def test_an_interrupted_publish_leaves_what_was_there_and_nothing_else(
    root: str, old: bytes | None, size: int
) -> None:
    path = storage.join(root, "x")
    if old is not None:
        publishing.write_bytes(path, old)
    with contextlib.suppress(Interruption), publishing.publish(path) as file:
        file.write(bytes(size))
        raise Interruption
    if old is None:
        assert not storage.exists(path)
    else:
        assert storage.read_bytes(path) == old
        assert [name for name, _ in storage.list_files(root)] == ["x"]


def test_the_final_name_does_not_exist_before_the_end(root: str) -> None:
    path = storage.join(root, "x")
    with publishing.publish(path) as file:
        file.write(b"1")
        file.flush()
        assert not storage.exists(path)
    assert storage.exists(path)


def test_a_reader_of_the_old_content_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    publishing.write_bytes(str(path), b"old")
    with open(path, "rb") as reader:
        publishing.write_bytes(str(path), b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_published_file_has_the_usual_permissions(tmp_path: Path) -> None:
    publishing.write_bytes(str(tmp_path / "x"), b"")
    (tmp_path / "plain").write_bytes(b"")
    modes = {entry.stat().st_mode for entry in tmp_path.iterdir()}
    assert len(modes) == 1


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    code = """if True:
        import resource, sys
        from echoanom import publishing
        from echoanom.errors import StorageError
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            publishing.write_bytes(sys.argv[1], bytes(1_000_000))
        except StorageError as error:
            print(error)
    """
    ended = run_python(code, str(tmp_path / "x"))
    assert ended.stderr == ""
    assert ended.stdout == f"cannot write {tmp_path}/x: File too large\n"
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_what_a_kill_leaves_is_found_and_removed(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from echoanom import publishing
        with publishing.publish(sys.argv[1]) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / ".hidden").write_bytes(b"not ours")
    assert run_python(code, str(tmp_path / "x")).returncode == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == b"old"
    (left,) = {path.name for path in tmp_path.iterdir()} - {"x", ".hidden"}
    assert left.startswith(TEMPORARY_PREFIX)
    publishing.remove_temporaries(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"x", ".hidden"}


def test_there_are_no_temporaries_to_remove_elsewhere(tmp_path: Path) -> None:
    publishing.remove_temporaries(str(tmp_path / "nowhere"))
    publishing.remove_temporaries("memory://nowhere")


# The lock

HOLD = """if True:
    import sys
    from echoanom import publishing
    with publishing.exclusive(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_until_the_lock_is_given_back(
    tmp_path: Path,
) -> None:
    folder = str(tmp_path / "new" / "folder")
    with holder(folder) as process:
        message = f"^{folder}: another process is writing here; wait for it to end$"
        for _ in range(2):
            with pytest.raises(StorageError, match=message):
                with publishing.exclusive(folder):
                    pytest.fail("two processes hold the lock")
        process.communicate("")
        assert process.returncode == 0
        with publishing.exclusive(folder):
            pass


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    with holder(str(tmp_path)) as process:
        process.kill()
        process.wait()
        with publishing.exclusive(str(tmp_path)):
            pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Interruption), publishing.exclusive(str(tmp_path)):
            raise Interruption


def test_an_error_within_is_not_called_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="^mine$"), publishing.exclusive(str(tmp_path)):
        raise OSError("mine")


def test_locks_of_different_folders_do_not_meet(tmp_path: Path) -> None:
    with (
        publishing.exclusive(str(tmp_path / "a")),
        publishing.exclusive(str(tmp_path / "b")),
    ):
        pass


def test_there_is_no_lock_in_other_stores() -> None:
    with publishing.exclusive("memory://x"), publishing.exclusive("memory://x"):
        pass
    assert not storage.exists("memory://x")
