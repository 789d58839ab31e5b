"""The agent of the Pipe mode, in its own process, read as a job reads it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from processes import alive, wait_until

from echoanom import objects, recordio
from echoanom.errors import OptionError, StorageError
from echoanom.testing.pipeagent import PipeAgent, pipe_agent
from echoanom.testing.pipefaults import Fault
from echoanom.testing.pipeoptions import AgentOptions, PipeChannel

pytestmark = pytest.mark.slow

SIZES = (70_000, 1, 300_000, 0, 5, 131_072, 64, 9)


def contents(sizes: Sequence[int] = SIZES, seed: int = 0) -> dict[str, bytes]:
    rng = random.Random(seed)
    return {
        f"part-{number:02}": rng.randbytes(size) for number, size in enumerate(sizes)
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> str:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return f"{folder}/"


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_folder(tmp_path / "source", contents())


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "pipes")


def wait_for(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    wait_until(lambda: os.path.exists(path))
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    return path


def read(folder: str, name: str, size: int = -1) -> bytes:
    """Read a FIFO to its end, or so many bytes and close it early."""
    with open(wait_for(folder, name), "rb") as file:
        return file.read(size)


def agent(folder: str, source: str, **more: object) -> AgentOptions:
    place = {
        name: more.pop(name) for name in ("host", "hosts", "faults") if name in more
    }
    channel = PipeChannel("train", source, **more)  # type: ignore[arg-type]
    return AgentOptions(folder, (channel,), **place)  # type: ignore[arg-type]


def splits(stream: bytes, files: dict[str, bytes]) -> list[str]:
    """Return the names of the files that a stream consists of, in order."""
    found, left = [], {name: content for name, content in files.items() if content}
    while stream:
        name = max(
            (name for name, content in left.items() if stream.startswith(content)),
            key=lambda name: len(left[name]),
        )
        stream = stream.removeprefix(left.pop(name))
        found.append(name)
    return found


def test_every_epoch_is_all_objects_back_to_back(folder: str, source: str) -> None:
    whole = b"".join(contents().values())
    with pipe_agent(agent(folder, source)):
        for epoch in range(3):
            assert read(folder, f"train_{epoch}") == whole
    assert os.listdir(folder) == []


def test_the_next_pipe_never_comes_while_one_is_open(folder: str, source: str) -> None:
    """Looked for all the time, while epochs are read to the end or closed early."""
    seen: list[set[str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(set(os.listdir(folder)))

    with pipe_agent(agent(folder, source)):
        watcher = threading.Thread(target=look)
        watcher.start()
        for epoch in range(6):
            path = wait_for(folder, f"train_{epoch}")
            with open(path, "rb", buffering=0) as file:
                file.read(10)
                time.sleep(0.05)
                assert os.listdir(folder) == [f"train_{epoch}"]
                if epoch % 2:
                    while file.read(1 << 16):
                        pass
        over.set()
        watcher.join()
    assert max(map(len, seen)) == 1


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_closing_early_begins_the_next_epoch(
    folder: str, source: str, size: int
) -> None:
    whole = b"".join(contents().values())
    with pipe_agent(agent(folder, source)):
        assert read(folder, "train_0", size) == whole[:size]
        assert read(folder, "train_1") == whole


def test_channels_do_not_wait_for_each_other(folder: str, tmp_path: Path) -> None:
    first = write_folder(tmp_path / "first", {"a": b"a" * 500_000})
    second = write_folder(tmp_path / "second", {"b": b"b" * 10})
    channels = (PipeChannel("train", first), PipeChannel("validation", second))
    with pipe_agent(AgentOptions(folder, channels)):
        with open(wait_for(folder, "train_0"), "rb") as file:
            assert file.read(1) == b"a"
            for epoch in range(4):
                assert read(folder, f"validation_{epoch}") == b"b" * 10
            assert file.read() == b"a" * 499_999
        assert read(folder, "train_1") == b"a" * 500_000


def test_objects_are_shuffled_anew_in_every_epoch(folder: str, source: str) -> None:
    files = contents()
    with pipe_agent(agent(folder, source, shuffle_seed=5)):
        orders = [splits(read(folder, f"train_{e}"), files) for e in range(4)]
    assert len(set(map(tuple, orders))) == 4
    for order in orders:
        assert sorted(order) == [name for name, content in files.items() if content]
    with pipe_agent(agent(folder, source, shuffle_seed=5)):
        assert [splits(read(folder, f"train_{e}"), files) for e in range(4)] == orders


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 11])
def test_hosts_share_the_objects_of_every_epoch(
    folder: str, bucket: str, seed: int | None
) -> None:
    """From a real S3 server, with more hosts than there are objects for."""
    files = {name: content for name, content in contents().items() if content}
    for name, content in files.items():
        objects.write(f"{bucket}/shards/{name}", content)
    hosts = 9
    agents = [
        PipeAgent(
            agent(
                f"{folder}/{host}",
                f"{bucket}/shards/",
                sharded=True,
                shuffle_seed=seed,
                host=host,
                hosts=hosts,
            )
        )
        for host in range(hosts)
    ]
    try:
        for one in agents:
            one.wait_ready()
        shares = [
            [splits(read(f"{folder}/{h}", f"train_{e}"), files) for h in range(hosts)]
            for e in range(3)
        ]
    finally:
        for one in agents:
            one.close()
    for share in shares:
        assert sorted(itertools.chain.from_iterable(share)) == sorted(files)
        assert max(map(len, share)) == 1
        assert [] in share
    assert (shares[0] == shares[1]) == (seed is None)


def test_objects_come_from_s3_in_the_order_of_a_manifest(
    folder: str, bucket: str
) -> None:
    files = contents()
    for name, content in files.items():
        objects.write(f"{bucket}/shards/{name}", content)
    names = ["part-05", "part-00", "part-03", "part-07"]
    manifest = json.dumps([{"prefix": f"{bucket}/shards/"}, *names]).encode()
    objects.write(f"{bucket}/my.manifest", manifest)
    options = agent(folder, f"{bucket}/my.manifest", data_type="ManifestFile")
    with pipe_agent(options):
        for epoch in range(2):
            whole = b"".join(files[name] for name in names)
            assert read(folder, f"train_{epoch}") == whole


def members(content: bytes) -> Iterator[bytes]:
    """Gzip in several members, one of them empty, with padding between."""
    half = len(content) // 2
    yield gzip.compress(content[:half], mtime=0)
    yield gzip.compress(b"") + bytes(7)
    yield gzip.compress(content[half:], mtime=0)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_objects_are_unpacked_and_wrapped(
    folder: str, tmp_path: Path, zipped: bool, wrapped: bool
) -> None:
    files = {name: content for name, content in contents().items() if content}
    files["long"] = b"compresses well" * 300_000
    stored = files
    if zipped:
        stored = {name: b"".join(members(content)) for name, content in files.items()}
    source = write_folder(tmp_path / "source", stored)
    order = sorted(files)
    expected = b"".join(
        recordio.encode(files[n]) if wrapped else files[n] for n in order
    )
    with pipe_agent(agent(folder, source, gzip=zipped, wrapped=wrapped)):
        assert read(folder, "train_0") == expected
        assert read(folder, "train_1", 1000) == expected[:1000]
        assert read(folder, "train_2") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzipped", "must be gzipped, as the channel's CompressionType says"),
        (gzip.compress(b"x" * 99, mtime=0)[:-9], "inside of a gzipped member"),
        (gzip.compress(b"x" * 99, mtime=0)[:-8] + bytes(8), "incorrect data check"),
    ],
)
def test_what_is_not_gzipped_ends_the_agent(
    folder: str, tmp_path: Path, content: bytes, message: str
) -> None:
    source = write_folder(tmp_path / "source", {"a": content})
    with pipe_agent(agent(folder, source, gzip=True)) as running:
        read(folder, "train_0")
        assert running.wait() == 1
        assert running.error().startswith(f"channel train: {source}a: ")
        assert message in running.error()
    assert os.listdir(folder) == []


def test_an_object_that_is_replaced_ends_the_agent(folder: str, bucket: str) -> None:
    objects.write(f"{bucket}/a", bytes(10 << 20))
    with pipe_agent(agent(folder, f"{bucket}/a")) as running:
        objects.write(f"{bucket}/a", bytes(9 << 20))
        read(folder, "train_0")
        assert running.wait() == 1
        assert running.error().startswith(f"channel train: cannot read {bucket}/a: ")


def test_a_stall_passes_or_lasts(folder: str, source: str) -> None:
    whole = b"".join(contents().values())
    faults = (
        Fault("stall", epoch=0, at_byte=70_000, seconds=0.5),
        Fault("stall", epoch=1, at_byte=90_000),
    )
    with pipe_agent(agent(folder, source, faults=faults)):
        with open(wait_for(folder, "train_0"), "rb", buffering=0) as file:
            began = time.monotonic()
            found = b""
            while len(found) < 70_000:
                found += file.read(70_000 - len(found))
            while piece := file.read(1 << 16):
                found += piece
            assert found == whole
            assert 0.45 < time.monotonic() - began
        number = os.open(wait_for(folder, "train_1"), os.O_RDONLY)
        with open(number, "rb", buffering=0) as file:
            found = b""
            while len(found) < 90_000:
                found += file.read(90_000)
            os.set_blocking(number, False)
            time.sleep(0.3)
            assert file.read(1) is None  # no end
            assert os.listdir(folder) == ["train_1"]


def test_a_stream_is_cut_and_flipped(folder: str, source: str) -> None:
    whole = b"".join(contents().values())
    faults = (
        Fault("cut", epoch=0, at_byte=100_001),
        Fault("flip", epoch=1, at_byte=70_001),
    )
    with pipe_agent(agent(folder, source, faults=faults)):
        assert read(folder, "train_0") == whole[:100_001]
        flipped = bytearray(whole)
        flipped[70_001] ^= 0xFF
        assert read(folder, "train_1") == flipped
        assert read(folder, "train_2") == whole


def test_a_pipe_comes_late_or_never(folder: str, source: str) -> None:
    faults = (Fault("delay", epoch=1, seconds=0.6), Fault("missing", epoch=2))
    with pipe_agent(agent(folder, source, faults=faults)):
        read(folder, "train_0")
        began = time.monotonic()
        wait_for(folder, "train_1")
        assert 0.4 < time.monotonic() - began < 3
        read(folder, "train_1")
        time.sleep(0.3)
        assert os.listdir(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_agent_ends_when_asked_and_takes_its_pipes_along(
    folder: str, source: str, number: int
) -> None:
    with pipe_agent(agent(folder, source)) as running:
        with open(wait_for(folder, "train_0"), "rb") as file:
            file.read(1)  # the next write waits
            os.kill(running.pid, number)
            assert running.wait() == 0
    assert os.listdir(folder) == []


@pytest.mark.parametrize("reading", [False, True])
def test_the_agent_ends_with_whoever_started_it(
    folder: str, source: str, reading: bool
) -> None:
    program = f"""
import time
from echoanom.testing.pipeagent import PipeAgent
from echoanom.testing.pipeoptions import AgentOptions
agent = PipeAgent(AgentOptions.from_json({agent(folder, source).as_json()!r}))
agent.wait_ready()
print(agent.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        number = int(parent.stdout.readline())
        path = wait_for(folder, "train_0")
        file = open(path, "rb") if reading else None
        parent.kill()
        wait_until(lambda: os.listdir(folder) == [])
        if file is not None:
            file.close()
        wait_until(lambda: not alive(number))


def test_a_pipe_that_a_killed_agent_left_is_replaced(folder: str, source: str) -> None:
    with pipe_agent(agent(folder, source)) as running:
        wait_for(folder, "train_0")
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert os.listdir(folder) == ["train_0"]
    with pipe_agent(agent(folder, source)):
        assert read(folder, "train_0") == b"".join(contents().values())


def test_anything_else_is_not_replaced(folder: str, source: str) -> None:
    os.makedirs(folder)
    Path(folder, "train_0").write_text("mine")
    with pipe_agent(agent(folder, source)) as running:
        assert running.wait() == 1
        assert f"{folder}/train_0: must not exist" in running.error()
    assert Path(folder, "train_0").read_text() == "mine"


def test_a_source_that_cannot_be_read_is_refused_at_once(folder: str) -> None:
    with pytest.raises(
        StorageError, match="^cannot list /no/such/: it does not exist$"
    ):
        with pipe_agent(agent(folder, "/no/such/")):
            pass
    assert not os.path.exists(folder)


@pytest.mark.slow
def test_no_object_is_held_as_a_whole(folder: str, bucket: str, tmp_path: Path) -> None:
    """Of 240 MB, most in one object; the agent's own peak is looked at."""
    source = tmp_path / "big"
    with open(source, "wb") as file:
        file.truncate(200 << 20)
    objects.upload(f"{bucket}/p/big", str(source))
    for number in range(20):
        objects.write(f"{bucket}/p/small-{number}", bytes(2 << 20))
    with pipe_agent(agent(folder, f"{bucket}/p/", wrapped=True)) as running:
        with open(wait_for(folder, "train_0"), "rb", buffering=0) as pipe:
            count = 0
            while piece := pipe.read(1 << 20):
                count += len(piece)
            status = Path(f"/proc/{running.pid}/status").read_text()
    assert count == (240 << 20) + 21 * recordio.HEADER_BYTES
    peak_kb = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kb < 180 << 10


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "echoanom.testing.pipeagent", *arguments],
        capture_output=True,
        text=True,
    )


def test_the_command_line_serves_a_channel(folder: str, source: str) -> None:
    command = [sys.executable, "-m", "echoanom.testing.pipeagent"]
    flags = ["--shuffle", "3", "--recordio", "--sharded", "--host", "1", "--hosts", "2"]
    flags += ["--fault", "cut,epoch=1,at_byte=10"]
    with subprocess.Popen([*command, "train", source, folder, *flags]) as process:
        stream = read(folder, "train_0")
        with pipe_agent(
            agent(
                f"{folder}2",
                source,
                shuffle_seed=3,
                wrapped=True,
                sharded=True,
                host=1,
                hosts=2,
            )
        ):
            assert read(f"{folder}2", "train_0") == stream
        assert len(read(folder, "train_1")) == 10
        process.terminate()
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "an agent must be given CHANNEL, SOURCE and FOLDER, or --options"),
        (["a/b", "x", "y"], "a channel's name must have 1 to 64 letters"),
        (["..", "x", "y"], "a channel's name must have 1 to 64 letters"),
        (["a", "x", "y", "--host", "2"], "a host must be one of 1, counted from 0"),
        (["a", "x", "y", "--fault", "x"], "a fault must be one of"),
        (["a", "gs://x", "y"], "must be at s3://, file:// or a local path, got gs://x"),
        (["--options", "{}"], "an agent's options must be JSON as"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_survive_json() -> None:
    options = AgentOptions(
        "folder",
        (PipeChannel("a", "s3://b/é", "ManifestFile", True, 2**63, True, True),),
        (Fault("stall", 1, 2, 3.5, "a", 0),),
        host=1,
        hosts=2,
    )
    assert AgentOptions.from_json(options.as_json()) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an agent's options must be JSON"),
        ("[]", "an agent's options must be JSON"),
        ('{"folder": "x", "channels": [{"name": "a"}]}', "must be JSON.*'source'"),
        (
            '{"folder": "x", "channels": [{"name": "a", "source": "x", "data_type": 1}]}',
            "data type must be one of S3Prefix, ManifestFile, got 1",
        ),
    ],
)
def test_options_that_cannot_be_read_are_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        AgentOptions.from_json(text)


def test_two_channels_cannot_have_one_name() -> None:
    channel = PipeChannel("a", "x")
    with pytest.raises(OptionError, match="must have different names, got a, a"):
        AgentOptions("folder", (channel, channel))
