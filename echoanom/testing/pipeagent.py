"""The agent of SageMaker's Pipe mode, as a process of its own.

For each channel and each epoch, from 0, it makes the FIFO ``<folder>/<channel>_<epoch>``,
waits for a reader, writes the channel's objects into it back to back, closes it, removes
it, and turns to the next epoch, for ever. A reader may close early: then the next epoch
begins. Channels do not wait for each other.

::

    python -m echoanom.testing.pipeagent train s3://bucket/dataset/shards/ folder

Written after the service's documentation, and after ``ishaaq/sagemaker-pipe``, by an
engineer of the service. What neither says is said where it is decided: order and shares
in `channelobjects`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import queue
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

from echoanom.errors import EchoanomError, OptionError, StorageError
from echoanom.redaction import redact
from echoanom.testing.channelobjects import (
    ChannelObject,
    dealt,
    find_objects,
    shuffled,
)
from echoanom.testing.channelstream import Piece, stream_objects
from echoanom.testing.parent import watch_parent
from echoanom.testing.pipefaults import parse_fault, spoil
from echoanom.testing.pipeoptions import AgentOptions, PipeChannel

_READY = "ready"
_END_S = 10.0


class PipeAgent:
    """An agent that was started, and ends with this process at the latest.

    Parameters
    ----------
    options : AgentOptions
        What it does.
    """

    def __init__(self, options: AgentOptions) -> None:
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "echoanom.testing.pipeagent"),
                *("--until-input-ends", "--options", options.as_json()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # what is typed at a terminal is for its parent
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it has found all objects and makes FIFOs.

        Raises
        ------
        StorageError
            If it ends before, with what it said.
        """
        assert self._process.stdout is not None
        if self._process.stdout.readline().decode().strip() != _READY:
            self._process.wait()
            raise StorageError(self.error())

    def poll(self) -> int | None:
        """Tell whether it has ended.

        Returns
        -------
        int or None
            Its exit status; None while it runs.
        """
        return self._process.poll()

    def wait(self) -> int:
        """Wait until it has ended.

        Returns
        -------
        int
            Its exit status.
        """
        return self._process.wait()

    def error(self) -> str:
        """Return what it said at its end.

        Returns
        -------
        str
            One line.
        """
        size = os.fstat(self._said.fileno()).st_size
        lines = (
            os.pread(self._said.fileno(), size, 0).decode(errors="replace").split("\n")
        )
        said = [line for line in lines if line.strip()]
        status = self._process.poll()
        return (
            said[-1].removeprefix("error: ") if said else f"the agent ended: {status}"
        )

    def close(self) -> None:
        """End it; its FIFOs are gone then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()


@contextlib.contextmanager
def pipe_agent(options: AgentOptions) -> Iterator[PipeAgent]:
    """Run an agent.

    Parameters
    ----------
    options : AgentOptions
        What it does.

    Yields
    ------
    PipeAgent
        Ready to be read from.

    Raises
    ------
    StorageError
        If objects cannot be found, or the folder not be used.
    """
    agent = PipeAgent(options)
    try:
        agent.wait_ready()
        yield agent
    finally:
        agent.close()


class _Agent:
    """The agent, in its process."""

    def __init__(self, options: AgentOptions) -> None:
        self._options = options
        self._over: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._serving = self._ended = False

    def end(self) -> None:
        if not self._serving:
            os._exit(0)  # nothing is there yet, and a store may be silent
        self._over.put("")

    def run(self) -> int:
        found = [
            (channel, find_objects(channel.source, channel.data_type))
            for channel in self._options.channels
        ]
        with _folder_errors(self._options.folder):
            os.makedirs(self._options.folder, exist_ok=True)
        self._serving = True
        for channel, objects in found:
            threading.Thread(
                target=self._serve, args=(channel, objects), daemon=True
            ).start()
        print(_READY, flush=True)
        error = self._over.get()
        with self._lock:
            self._ended = True
            for path in self._paths:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        if error:
            _say(error)
        return int(bool(error))

    def _serve(self, channel: PipeChannel, found: Sequence[ChannelObject]) -> None:
        try:
            for epoch in itertools.count():
                if not self._stream(channel, found, epoch):
                    return
        except EchoanomError as error:
            self._over.put(f"channel {channel.name}: {error}")
        except Exception as error:
            self._over.put(f"channel {channel.name}: {type(error).__name__}: {error}")

    def _stream(
        self, channel: PipeChannel, found: Sequence[ChannelObject], epoch: int
    ) -> bool:
        """Play an epoch; tell whether there is another."""
        options = self._options
        faults = [
            fault
            for fault in options.faults
            if fault.strikes(channel.name, epoch, options.host)
        ]
        for fault in faults:
            if fault.kind == "delay":
                _pause(fault.seconds)
        if any(fault.kind == "missing" for fault in faults):
            return False
        order: Sequence[ChannelObject] = shuffled(found, channel.shuffle_seed, epoch)
        if channel.sharded:
            order = dealt(order, options.host, options.hosts)
        path = os.path.join(options.folder, f"{channel.name}_{epoch}")
        if not self._make(path):
            return False
        number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # waits for a reader
        pieces = stream_objects(
            order, gzip=channel.gzip, wrapped=channel.wrapped, name=channel.name
        )
        # After an error it stays open until the process ends: the reader shall not
        # learn of its end before anybody can learn of the error.
        with contextlib.closing(pieces), contextlib.suppress(BrokenPipeError):
            for piece in spoil(pieces, faults, _pause):
                _write(number, piece)
        os.close(number)
        with self._lock, contextlib.suppress(FileNotFoundError):
            self._paths.discard(path)
            os.unlink(path)
        return True

    def _make(self, path: str) -> bool:
        with self._lock, _folder_errors(path):
            if self._ended:
                return False
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISFIFO(os.lstat(path).st_mode):
                    raise StorageError(
                        f"{path}: must not exist, or be a FIFO that an agent left"
                    )
                os.unlink(path)
            os.mkfifo(path)
            self._paths.add(path)
            return True


@contextlib.contextmanager
def _folder_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error.strerror}") from None


def _pause(seconds: float | None) -> None:
    if seconds is None:
        threading.Event().wait()
    else:
        time.sleep(seconds)


def _write(number: int, piece: Piece) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(number, left) :]


def _say(error: object) -> None:
    print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent in this process until it is asked to end.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line; those of the process if left out.

    Returns
    -------
    int
        The exit status: 1 after an error.
    """
    parsed = _parser().parse_args(arguments)
    try:
        agent = _Agent(_options(parsed))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: agent.end())
        if parsed.until_input_ends:
            watch_parent(lambda line: None, agent.end)
        return agent.run()
    except EchoanomError as error:
        _say(error)
        return 1


def _options(parsed: argparse.Namespace) -> AgentOptions:
    if parsed.options is not None:
        return AgentOptions.from_json(parsed.options)
    if parsed.folder is None:
        raise OptionError(
            "an agent must be given CHANNEL, SOURCE and FOLDER, or --options"
        )
    channel = PipeChannel(
        name=parsed.channel,
        source=parsed.source,
        data_type="ManifestFile" if parsed.manifest else "S3Prefix",
        sharded=parsed.sharded,
        shuffle_seed=parsed.shuffle,
        gzip=parsed.gzip,
        wrapped=parsed.recordio,
    )
    faults = tuple(map(parse_fault, parsed.fault))
    return AgentOptions(parsed.folder, (channel,), faults, parsed.host, parsed.hosts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m echoanom.testing.pipeagent",
        description="Stream objects into FIFOs, one an epoch, as SageMaker's Pipe mode"
        " does. Ends at SIGINT or SIGTERM, and takes the FIFOs along.",
    )
    add = parser.add_argument
    add("channel", nargs="?", help="name of the channel")
    add("source", nargs="?", help="prefix, or manifest: s3://… or a path")
    add("folder", nargs="?", help="where the FIFOs CHANNEL_0, CHANNEL_1, … are made")
    add("--manifest", action="store_true", help="the source is a manifest")
    add("--shuffle", type=int, metavar="SEED", help="shuffle objects in every epoch")
    add("--sharded", action="store_true", help="deal objects out to the hosts")
    add("--host", type=int, default=0, help="number of this host, from 0")
    add("--hosts", type=int, default=1, help="how many hosts there are")
    add("--gzip", action="store_true", help="unpack gzipped objects")
    add("--recordio", action="store_true", help="wrap each object as a RecordIO record")
    add(
        "--fault",
        action="append",
        default=[],
        help="what goes wrong, like stall,epoch=1,at_byte=4096,seconds=5; kinds are"
        " stall, cut, flip, missing and delay; may be repeated",
    )
    add("--options", metavar="JSON", help="everything at once; replaces all others")
    add(
        "--until-input-ends",
        action="store_true",
        help="end, too, when the standard input does",
    )
    return parser


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads may wait for readers for ever
