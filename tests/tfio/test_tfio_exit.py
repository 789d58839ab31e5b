"""A process that read through tensorflow-io ends as it would have ended without."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from echoanom import objects

READ = """
from echoanom.tfiosource import TensorFlowStream
assert TensorFlowStream(url).read(4) == b"ping"
"""
UNCONTAINED = """
import tensorflow, tensorflow_io
assert tensorflow.io.gfile.GFile(url, "rb").read(4) == b"ping"
"""


@pytest.fixture
def url(bucket: str) -> str:
    objects.write(f"{bucket}/object", b"ping, ping")
    return f"{bucket}/object"


def run(url: str, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own."""
    # Without a terminal, standard output is only written when it is flushed.
    program = f"url = {url!r}\n{textwrap.dedent(program)}"
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_without_the_containment_it_is_aborted(url: str) -> None:
    # If this fails tensorflow-io was mended: see whether `_contain_exit` can go.
    done = run(url, UNCONTAINED, S3_ENDPOINT=os.environ["AWS_ENDPOINT_URL"])
    assert done.returncode == -6
    assert "pure virtual method called" in done.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("from echoanom.errors import DatasetError; raise DatasetError('no')", 1),
    ],
)
def test_the_exit_code_is_kept(url: str, ending: str, code: int) -> None:
    done = run(url, READ + ending)
    assert done.returncode == code, done.stderr
    assert "pure virtual" not in done.stderr


def test_nothing_that_was_to_be_done_at_the_end_is_left_out(url: str) -> None:
    done = run(
        url,
        """
        import atexit, ctypes, threading, time
        atexit.register(print, "registered before")
        """
        + textwrap.indent(READ, " " * 8)
        + """
        atexit.register(print, "registered after")
        ctypes.CDLL(None).puts(b"written by C")
        def work():
            time.sleep(0.5)
            print("a thread's work")
        threading.Thread(target=work).start()
        print("not flushed")
        """,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(
        ["not flushed", "a thread's work", "registered after", "registered before"]
        + ["written by C"]
    )


def test_who_loaded_tensorflow_io_before_is_contained_too(url: str) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    done = run(url, UNCONTAINED + READ + "raise SystemExit(3)", S3_ENDPOINT=endpoint)
    assert done.returncode == 3, done.stderr


def test_spawned_and_forked_processes_end_well(url: str, tmp_path) -> None:
    # What is spawned imports the program again, so it must be a file.
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, os, sys

            def read(url):
                from echoanom.tfiosource import TensorFlowStream
                assert TensorFlowStream(url).read(4) == b"ping"
                sys.exit(5)

            if __name__ == "__main__":
                spawned = multiprocessing.get_context("spawn").Process(
                    target=read, args=sys.argv[1:]
                )
                spawned.start()
                spawned.join()
                child = os.fork()
                if not child:
                    read(sys.argv[1])
                _, status = os.waitpid(child, 0)
                print(spawned.exitcode, os.waitstatus_to_exitcode(status))
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(program), url], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["5", "5"], done.stderr


def test_a_file_system_that_was_never_used_ends_well(url: str) -> None:
    done = run(url, "from echoanom import tfiosource; tfiosource.load_filesystem()")
    assert (done.returncode, done.stdout) == (0, "")
