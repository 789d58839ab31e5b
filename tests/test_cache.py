"""A shard is fetched once, held while in use, and never in anybody's way."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from shelves import (
    copy,
    counting_copy,
    is_right,
    kept,
    make_shard,
    make_shards,
    map_one,
    slow_copy,
    taken,
    until,
    wander,
    wander_for_ever,
)

from echoanom import objects
from echoanom.cache import ShardCache, Wanted, default_cache
from echoanom.errors import CacheFullError, CorruptionError, OptionError, StorageError

SIZE = 1000
processes = multiprocessing.get_context("spawn")


@pytest.fixture
def shards(tmp_path: Path) -> list[Wanted]:
    return make_shards(tmp_path / "store", 12, SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def keys(shards: list[Wanted]) -> set[str]:
    return {wanted.key for wanted in shards}


def test_a_shard_is_mapped_read_only_and_fetched_once(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 4 * SIZE, download=counting_copy(log))
    for _ in range(3):
        data = cache.map(shards[0])
        assert data.readonly and is_right(data, shards[0])
    again = ShardCache(str(folder), 4 * SIZE, download=counting_copy(log))
    assert is_right(again.map(shards[0]), shards[0])
    assert log.read_text().splitlines() == [shards[0].url]


def test_two_urls_of_one_content_share_it(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 4 * SIZE, download=counting_copy(log))
    copied = make_shard(tmp_path / "elsewhere" / "other.name", SIZE, 0)
    assert is_right(cache.map(shards[0]), shards[0])
    assert is_right(cache.map(copied), copied)
    assert log.read_text().splitlines() == [shards[0].url]


def test_a_shard_without_bytes_is_not_asked_for(folder):
    cache = ShardCache(str(folder), SIZE)
    wanted = Wanted("s3://nowhere/nothing", 0, "0" * 32)
    cache.ahead([wanted])
    assert cache.map(wanted) == b""


def test_what_one_cache_holds_no_other_evicts(folder, shards):
    one = ShardCache(str(folder), 2 * SIZE, download=copy)
    other = ShardCache(str(folder), 2 * SIZE, download=copy)
    held = [one.map(shards[0]), one.map(shards[1])]
    with pytest.raises(CacheFullError, match="are in use"):
        other.map(shards[2])
    part = held[1][3:5]
    del held[1]
    with pytest.raises(CacheFullError):
        other.map(shards[2])
    part.release()
    assert is_right(other.map(shards[2]), shards[2])
    assert is_right(held[0], shards[0])
    assert kept(folder) == keys([shards[0], shards[2]])


def test_threads_that_want_one_shard_fetch_it_once(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), SIZE, download=counting_copy(log))
    right = []
    threads = [
        threading.Thread(
            target=lambda: right.append(is_right(cache.map(shards[0]), shards[0]))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 8
    assert log.read_text().splitlines() == [shards[0].url]


@pytest.mark.slow
def test_processes_that_want_one_shard_fetch_it_once(tmp_path, folder, shards):
    log = tmp_path / "log"
    running = [
        processes.Process(target=map_one, args=(str(folder), SIZE, shards[0], str(log)))
        for _ in range(4)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
        assert process.exitcode == 0
    assert log.read_text().splitlines() == [shards[0].url]


@pytest.mark.slow
def test_ahead_fetches_in_order_as_far_as_there_is_room(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=counting_copy(log))
    cache.ahead(shards)
    until(lambda: len(kept(folder)) == 4)
    time.sleep(0.5)
    assert kept(folder) == keys(shards[:4]), "those that wait for their reader stay"
    for number, wanted in enumerate(shards):
        until(lambda wanted=wanted: wanted.key in kept(folder))
        assert is_right(cache.map(wanted), wanted)
        assert taken(folder) <= 4 * SIZE
        # One was read, so one more has room.
        last = min(number + 5, len(shards))
        until(lambda last=last: keys(shards[last - 1 : last]) <= kept(folder))
    assert log.read_text().splitlines() == [wanted.url for wanted in shards]


def test_ahead_keeps_what_is_there_and_will_be_read(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=copy)
    for wanted in shards[:4]:
        cache.map(wanted)
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=counting_copy(log))
    order = [shards[5], shards[0], shards[6], shards[1], shards[7]]
    cache.ahead(order)
    until(lambda: keys(order[:4]) == kept(folder))
    for wanted in order:
        assert is_right(cache.map(wanted), wanted)
    assert log.read_text().splitlines() == [shards[i].url for i in (5, 6, 7)]


def test_a_later_list_replaces_what_has_not_begun(folder, shards):
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=slow_copy(0.02))
    cache.ahead(shards[:8])
    cache.ahead(shards[8:])
    until(lambda: keys(shards[8:]) <= kept(folder))
    assert len(kept(folder) & keys(shards[1:8])) == 0


def test_a_later_list_replaces_what_waits_for_room(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 2 * SIZE, threads=1, download=counting_copy(log))
    held = [cache.map(shards[0]), cache.map(shards[1])]
    cache.ahead([shards[2]])
    time.sleep(0.1)
    cache.ahead([shards[3]])
    del held[0]
    until(lambda: shards[3].key in kept(folder))
    assert log.read_text().splitlines() == [shards[i].url for i in (0, 1, 3)]


def test_what_was_mapped_is_not_kept_for_its_reader_any_more(folder, shards):
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=copy)
    cache.ahead(shards[:6])
    until(lambda: len(kept(folder)) == 4)
    assert is_right(cache.map(shards[4]), shards[4])  # for which the thread waits
    until(lambda: kept(folder) == keys([*shards[:3], shards[5]]))


def test_close_gives_up_what_has_not_begun_and_lets_go_of_the_rest(folder, shards):
    cache = ShardCache(str(folder), 4 * SIZE, threads=2, download=slow_copy(0.02))
    cache.ahead(shards)
    until(lambda: len(kept(folder)) >= 2)
    cache.close()
    until(lambda: not kept(folder, ".part"))
    came = kept(folder)
    time.sleep(0.4)
    assert kept(folder) == came
    now = time.time() + 1
    assert all(path.stat().st_mtime < now for path in folder.glob("*.shard"))
    assert is_right(cache.map(shards[-1]), shards[-1])


def test_map_joins_a_fetch_in_progress(tmp_path, folder, shards):
    log = tmp_path / "log"
    cache = ShardCache(str(folder), 4 * SIZE, download=counting_copy(log))
    cache.ahead(shards[:1])
    until(lambda: kept(folder, ".part") == keys(shards[:1]))
    assert is_right(cache.map(shards[0]), shards[0])
    assert log.read_text().splitlines() == [shards[0].url]


def test_map_goes_first(folder, shards):
    gate = threading.Event()

    def download(url: str, path: str) -> None:
        if url != shards[11].url:
            gate.wait(20)
        copy(url, path)

    cache = ShardCache(str(folder), 5 * SIZE, download=download)
    cache.ahead(shards)
    until(lambda: len(kept(folder, ".part")) == 4)
    assert is_right(cache.map(shards[11]), shards[11])
    assert not gate.is_set() and len(kept(folder, ".part")) == 4
    gate.set()
    until(lambda: keys(shards[:4]) <= kept(folder))


def test_map_waits_for_the_room_of_what_is_fetched_ahead(folder, shards):
    cache = ShardCache(str(folder), 4 * SIZE, download=slow_copy(0.05))
    cache.ahead(shards)
    until(lambda: len(kept(folder, ".part")) == 4)
    assert is_right(cache.map(shards[11]), shards[11])
    assert taken(folder) <= 4 * SIZE


def test_errors_come_up_where_a_shard_is_mapped_which_tries_itself(folder, shards):
    calls: list[str] = []

    def download(url: str, path: str) -> None:
        calls.append(url)
        if url == shards[1].url or (url == shards[0].url and calls.count(url) == 1):
            raise ConnectionResetError(104, "Connection reset by peer")
        copy(url, path)

    cache = ShardCache(str(folder), 8 * SIZE, threads=1, download=download)
    cache.ahead(shards[:3])
    until(lambda: kept(folder) == keys([shards[2]]))
    assert is_right(cache.map(shards[2]), shards[2])
    assert is_right(cache.map(shards[0]), shards[0])
    with pytest.raises(StorageError, match="Connection reset"):
        cache.map(shards[1])
    assert calls.count(shards[0].url) == calls.count(shards[1].url) == 2


def test_what_has_no_room_at_all_is_passed_over_ahead(tmp_path, folder, shards):
    large = make_shard(tmp_path / "store" / "large", 5 * SIZE, 99)
    cache = ShardCache(str(folder), 4 * SIZE, threads=1, download=copy)
    cache.ahead([large, shards[0]])
    until(lambda: kept(folder) == keys([shards[0]]))
    with pytest.raises(CacheFullError):
        cache.map(large)


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.002])
def test_many_processes_keep_the_limit_and_every_byte(folder, shards, pause_s):
    limit = 4 * SIZE
    running = [
        processes.Process(
            target=wander, args=(str(folder), limit, shards, seed, 300, pause_s)
        )
        for seed in range(4)
    ]
    for process in running:
        process.start()
    most = 0
    while any(process.is_alive() for process in running):
        with contextlib.suppress(FileNotFoundError):
            most = max(most, disk_use(folder))
    for process in running:
        process.join()
        assert process.exitcode == 0
    assert limit - SIZE < most <= limit
    ShardCache(str(folder), limit)
    assert not kept(folder, ".part")


def disk_use(folder: Path) -> int:
    """Add up the sizes of a folder's files as one moment has them."""
    from echoanom.cachefolder import CacheFolder

    with CacheFolder(str(folder), 0).locked():
        return max(taken(folder), sum(p.stat().st_size for p in folder.iterdir()))


@pytest.mark.slow
def test_killed_processes_leave_neither_locks_nor_parts(tmp_path, folder, shards):
    limit = 4 * SIZE
    draw = random.Random(5)
    for number in range(8):
        said = [tmp_path / f"said-{number}-{i}" for i in range(2)]
        running = [
            processes.Process(
                target=wander_for_ever,
                args=(str(folder), limit, shards, 10 * number + i, str(said[i])),
            )
            for i in range(2)
        ]
        for process in running:
            process.start()
        until(lambda said=said: all(path.exists() for path in said))
        time.sleep(draw.random() * 0.2)
        for process in running:
            os.kill(process.pid, signal.SIGKILL)
        for process in running:
            process.join()
            assert process.exitcode == -signal.SIGKILL
        cache = ShardCache(str(folder), limit, download=copy)
        assert not kept(folder, ".part")
        for wanted in draw.sample(shards, 6):
            assert is_right(cache.map(wanted), wanted)
        assert taken(folder) <= limit


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a program that may import what the tests share."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


STUCK = """
    import sys, threading, time
    from echoanom.cache import ShardCache, Wanted
    folder, url, digest, size, other = sys.argv[1:]
    shards = [Wanted(url, int(size), digest), Wanted(url, int(size), other)]
    begun = threading.Event()
    def download(url, path):
        print("begun", flush=True)
        begun.set()
        time.sleep(3600)
    cache = ShardCache(folder, 10**6, download=download)
    cache.ahead(shards[:1])
    begun.wait()
"""


def start_stuck(folder: Path, shards: list[Wanted], more: str) -> subprocess.Popen[str]:
    one = shards[0]
    program = textwrap.dedent(STUCK) + textwrap.dedent(more)
    arguments = (one.url, one.hash, str(one.size), shards[1].hash)
    return start(program, str(folder), *arguments)


@pytest.mark.slow
def test_a_process_ends_while_a_fetch_ahead_hangs(folder, shards):
    process = start_stuck(folder, shards, "cache.close()")
    said, errors = process.communicate(timeout=20)
    assert (process.returncode, said, errors) == (0, "begun\n", "")
    cache = ShardCache(str(folder), 10**6, download=copy)
    assert is_right(cache.map(shards[0]), shards[0])


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [0, 1], ids=["joined", "own"])
def test_an_interrupt_ends_a_map_that_hangs(folder, shards, wanted):
    process = start_stuck(folder, shards, f"cache.map(shards[{wanted}])")
    assert process.stdout is not None
    for _ in range(1 + wanted):
        assert process.stdout.readline() == "begun\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert kept(folder, ".part") <= keys(shards[:1]), "the interrupted one is removed"
    ShardCache(str(folder), 10**6)
    assert not kept(folder, ".part")


@pytest.mark.slow
def test_a_forked_child_keeps_nothing_locked_and_has_a_cache_that_works(folder, shards):
    # The child lives on, with all that was open when it was forked.
    program = """
        import os, signal, sys, time
        from shelves import copy
        parent = os.getpid()
        child = os.fork()
        if child:
            os.kill(parent, signal.SIGKILL)
        # As long as the parent lives it fetches the shard, and nobody fetches it ahead.
        while os.getppid() == parent:
            time.sleep(0.001)
        print(os.getpid(), flush=True)
        cache._download = copy
        cache.ahead(shards[:1])
        while not any(name.endswith(".shard") for name in os.listdir(folder)):
            time.sleep(0.001)
        print(cache.map(shards[0]).nbytes, flush=True)
        time.sleep(3600)
    """
    process = start_stuck(folder, shards, program)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    child = int(process.stdout.readline())
    try:
        assert process.stdout.readline() == f"{SIZE}\n"
        assert process.wait(20) == -signal.SIGKILL
        cache = ShardCache(str(folder), 10**6, download=copy)
        assert not kept(folder, ".part")
        assert is_right(cache.map(shards[0]), shards[0])
        assert is_right(cache.map(shards[2]), shards[2])
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
def test_a_process_ends_soon_while_objects_are_fetched_ahead(bucket, folder, tmp_path):
    shards = make_shards(tmp_path / "store", 3, 24 << 20)
    remote = []
    for wanted in shards:
        url = f"{bucket}/{Path(wanted.url).name}"
        objects.upload(url, wanted.url)
        remote.append(Wanted(url, wanted.size, wanted.hash))
    program = """
        import sys, time
        from pathlib import Path
        from echoanom.cache import ShardCache, Wanted
        folder, *said = sys.argv[1:]
        shards = [Wanted(*eval(one)) for one in said]
        cache = ShardCache(folder, 2**30)
        cache.ahead(shards)
        while not any(p.stat().st_size for p in Path(folder).glob("*.part")):
            time.sleep(0.001)
        print(time.time(), flush=True)
    """
    process = start(
        program, str(folder), *(repr((w.url, w.size, w.hash)) for w in remote)
    )
    said, errors = process.communicate(timeout=60)
    took = time.time() - float(said)
    assert (process.returncode, errors) == (0, "")
    assert took < 10
    cache = ShardCache(str(folder), 1 << 30)
    assert not kept(folder, ".part")
    cache.ahead(remote)
    for wanted, one in zip(remote, shards, strict=True):
        assert is_right(cache.map(wanted), one)


@pytest.mark.parametrize(
    "variables, place",
    [
        ({"ECHOANOM_CACHE": "{}/here"}, "here"),
        ({"XDG_CACHE_HOME": "{}/there"}, "there/echoanom"),
        ({"HOME": "{}/me"}, "me/.cache/echoanom"),
        ({"HOME": "{}/me", "XDG_CACHE_HOME": "relative"}, "me/.cache/echoanom"),
        ({"HOME": "{}/me", "ECHOANOM_CACHE": "~/mine"}, "me/mine"),
    ],
)
def test_the_environment_places_the_default_cache(
    variables, place, tmp_path, monkeypatch, shards
):
    for name in ("ECHOANOM_CACHE", "ECHOANOM_CACHE_GIB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    cache = default_cache()
    assert is_right(cache.map(shards[0]), shards[0])
    assert kept(tmp_path / place) == keys(shards[:1])
    assert default_cache() is cache


def test_the_environment_limits_the_default_cache(tmp_path, monkeypatch, shards):
    monkeypatch.setenv("ECHOANOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ECHOANOM_CACHE_GIB", str(2 * SIZE / 2**30))
    for wanted in shards:
        default_cache().map(wanted)
    assert len(kept(tmp_path / "cache")) == 2
    for wrong in ("0", "-1", "nan", "inf", "much", "20 GiB"):
        monkeypatch.setenv("ECHOANOM_CACHE_GIB", wrong)
        with pytest.raises(OptionError, match=f"above 0, got {wrong!r}"):
            default_cache()


def test_the_default_cache_is_on_this_machine(monkeypatch):
    monkeypatch.setenv("ECHOANOM_CACHE", "s3://bucket/cache")
    with pytest.raises(OptionError, match="must name a local folder, got s3://bucket"):
        default_cache()


def test_bad_bytes_of_a_fetch_ahead_are_told_at_map(folder, shards):
    def download(url: str, path: str) -> None:
        Path(path).write_bytes(bytes(SIZE))

    cache = ShardCache(str(folder), 4 * SIZE, download=download)
    cache.ahead(shards)
    with pytest.raises(CorruptionError, match=f"^{shards[0].url}: .*convert again"):
        cache.map(shards[0])
    cache.close()
