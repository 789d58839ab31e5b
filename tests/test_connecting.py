"""Connections to schedulers that are there, are lost, are none, or answer wrongly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from calls import double, environment, rest
from datasets import PERIOD_S, small_dataset, small_source
from models import untrained_artifact

from echoanom import connecting
from echoanom.cli import main
from echoanom.connecting import connect
from echoanom.distributed import Cluster
from echoanom.errors import ClusterError, StorageError

pytestmark = pytest.mark.slow

LINE = ("--period", str(PERIOD_S), "--shard-size", "0.003")


@contextlib.contextmanager
def running(name: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """Run a `dask` command as a person does, until it is killed or the block ends."""
    command = [sys.executable, "-m", f"distributed.cli.{name}", *arguments]
    with open(folder / f"{name}.log", "wb") as log:
        variables = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen, subprocess.Popen]]:
    """Run a scheduler and one worker without a nanny; yield the scheduler's file."""
    file = folder / "scheduler.json"
    at = ("--host", "127.0.0.1", "--no-dashboard")
    with running(
        "dask_scheduler", folder, *at, "--port", "0", "--scheduler-file", str(file)
    ) as scheduler:
        told = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny")
        with running("dask_worker", folder, *at, *told) as worker:
            wait_for(file.exists)
            yield str(file), scheduler, worker


def wait_for(condition: object) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_scheduler_is_found_by_its_file_and_by_its_address(tmp_path, capsys):
    source = small_source(tmp_path / "source", days=2)
    with cluster(tmp_path) as (file, _, _):
        address = json.loads(Path(file).read_text())["address"]
        with connect(file) as client:
            assert list(Cluster(client).map(double, [(4,)])) == [(0, 8)]
        for name, place in (("one", file), ("other", address)):
            target = str(tmp_path / name)
            assert main(["convert", source, target, *LINE, "--dask", place]) == 0
    assert capsys.readouterr().err == ""
    assert main(["convert", source, str(tmp_path / "here"), *LINE]) == 0
    manifests = {
        (tmp_path / name / "manifest.json").read_bytes()
        for name in ("one", "other", "here")
    }
    assert len(manifests) == 1


def test_workers_of_this_machine_have_one_thread_and_keep_their_memory(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with connect("local", 2) as client:
        assert list(client.nthreads().values()) == [1, 1]
        for found in client.run(environment).values():
            assert found["POLARS_MAX_THREADS"] == "1"
            assert "MALLOC_TRIM_THRESHOLD_" not in found


def test_when_all_workers_die_it_ends_with_a_clear_error(tmp_path):
    with (
        cluster(tmp_path) as (file, _, worker),
        connect(file) as client,
        dask.config.set({"distributed.scheduler.no-workers-timeout": "2s"}),
    ):
        results = Cluster(client).map(rest, [(0.2,), (0.2,), (60.0,), (0.2,)])
        assert [next(results), next(results)] == [(0, 0.2), (1, 0.2)]
        worker.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        with pytest.raises(ClusterError, match="all have been gone for 2 s; start w"):
            next(results)
        assert 2 < time.monotonic() - begin < 15


def test_a_worker_that_comes_back_in_time_goes_on(tmp_path):
    with (
        cluster(tmp_path) as (file, _, worker),
        connect(file) as client,
        dask.config.set({"distributed.scheduler.no-workers-timeout": "30s"}),
    ):
        results = Cluster(client).map(rest, [(0.0,), (1.0,), (0.1,)])
        assert next(results) == (0, 0.0)
        worker.kill()
        told = ("--scheduler-file", file, "--nthreads", "1", "--no-nanny")
        with running("dask_worker", tmp_path, *told, "--no-dashboard"):
            assert list(results) == [(1, 1.0), (2, 0.1)]


def test_a_scheduler_that_dies_ends_the_work_with_one_line(tmp_path):
    with cluster(tmp_path) as (file, scheduler, _), connect(file) as client:
        results = Cluster(client).map(rest, [(0.0,), (60.0,)])
        next(results)
        scheduler.kill()
        with pytest.raises(ClusterError, match="scheduler must stay until") as caught:
            next(results)
    assert "\n" not in str(caught.value)


@contextlib.contextmanager
def other_server(answer: bytes) -> Iterator[str]:
    """Answer every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(answer)
                        connection.recv(1 << 16)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""]
)
def test_a_server_of_another_kind_is_told_from_a_scheduler(answer, monkeypatch):
    monkeypatch.setattr(connecting, "CONNECT_S", 1)
    with other_server(answer) as address:
        with pytest.raises(ClusterError, match=f"^{address}: must be a Dask scheduler"):
            connect(address).__enter__()


def test_a_scheduler_that_cannot_be_reached_is_told_in_time(capsys, monkeypatch):
    monkeypatch.setattr(connecting, "CONNECT_S", 1)
    begin = time.monotonic()
    assert main(["convert", "a", "b", "--dask", "tcp://127.0.0.1:1"]) == 1
    assert time.monotonic() - begin < 8
    said = capsys.readouterr().err
    assert said.startswith("echoanom: error: tcp://127.0.0.1:1: must be a Dask sched")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "address", ["host", "host:8786", "tcp://", "tcp://a b", "Local", ""]
)
def test_what_is_no_address_is_refused_before_anything_is_tried(address):
    with pytest.raises(ClusterError, match="such as tcp://host:8786, the path of its"):
        connect(address).__enter__()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"addr": 1}', "tcp://host:8786"])
def test_a_file_that_no_scheduler_wrote_is_refused(content, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(content)
    with pytest.raises(ClusterError, match="must be what a Dask scheduler writes"):
        connect(str(path)).__enter__()


def test_a_scheduler_file_that_is_not_there_is_not_waited_for(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        connect(str(tmp_path / "scheduler.json")).__enter__()


@pytest.mark.slow
def test_an_interrupted_conversion_ends_quietly_with_its_workers(tmp_path):
    source = small_source(tmp_path / "source", days=200, gaps=False)
    target = tmp_path / "dataset"
    command = [sys.executable, "-m", "echoanom", "convert", source, str(target)]
    process = subprocess.Popen(
        [*command, *LINE, "--dask", "local", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_for(lambda: len(list(target.glob("shards/*.json"))) > 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, the workers included
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"\nechoanom: interrupted\n")
    assert not (target / "manifest.json").exists()
    # What cannot run any more cannot be told to.
    wait_for(lambda: not alive(process.pid))


def alive(session: int) -> list[str]:
    """List the processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.slow
def test_scores_of_one_thread_are_the_same_on_processes_of_this_machine(tmp_path):
    dataset = small_dataset(tmp_path)
    untrained_artifact(dataset, str(tmp_path / "model"))
    program = (
        "from echoanom.cli import main\n"
        "line = ['score', 'dataset', '--model', 'model', '--out']\n"
        "assert main([*line, 'here.csv']) == 0\n"
        "there = ['there.csv', '--dask', 'local', '--workers', '1']\n"
        "assert main([*line, *there]) == 0\n"
    )
    variables = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}
    del variables["TF_CPP_MIN_LOG_LEVEL"]  # a person has not set it
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for suffix in (".csv", ".columns.npy", ".json"):
        here, there = (tmp_path / f"{name}{suffix}" for name in ("here", "there"))
        assert here.read_bytes() == there.read_bytes(), suffix


def test_processes_are_only_chosen_where_they_are_started(capsys, tmp_path):
    line = ["score", "a", "--model", "b", "--out", "c.csv", "--workers", "2"]
    assert main(line) == 2
    assert "--workers goes with --dask local" in capsys.readouterr().err
    assert main([*line, "--dask", "tcp://127.0.0.1:1"]) == 2
