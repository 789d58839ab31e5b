"""The hosts of a job on this machine, from their start to the end of the last one."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from echoanom.cloud.hostprocess import HostProcess, inherited
from echoanom.cloud.jobfolders import free_ports, variables
from echoanom.cloud.jobrequest import JobRequest
from echoanom.cloud.jobstatus import JobStatus
from echoanom.testing.pipeagent import PipeAgent
from echoanom.testing.pipefaults import Fault
from echoanom.testing.pipeoptions import AgentOptions, PipeChannel

COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
TOO_LONG = "MaxRuntimeExceeded"

_OTHERS_S = 5.0  # from SIGTERM to SIGKILL for other hosts, after one has failed
_AGENT_S = 0.2
_SPOKEN = {"PYTHONUNBUFFERED": "1"}  # as the service's containers have it
_STOP, _CLOSE, _LOSE, _HOST, _AGENT = "stop", "close", "lose", "host", "agent"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job has ended.

    Attributes
    ----------
    state : {'Completed', 'Stopped', 'MaxRuntimeExceeded', 'Failed'}
        In which state.
    reason : str
        Why it failed.
    """

    state: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Program:
    """What is run on each host, and how.

    Attributes
    ----------
    command : tuple of str
        The program.
    environment : mapping of str to str
        Variables that replace all others.
    faults : tuple of Fault
        What goes wrong with pipes.
    on_line : callable, optional
        Gets the host's name and each line that it says.
    grace_s : float
        Time from SIGTERM to SIGKILL where the job is stopped [s].
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    faults: tuple[Fault, ...]
    on_line: Callable[[str, str], None] | None
    grace_s: float


class JobHosts:
    """Runs a program on each host.

    Parameters
    ----------
    job : JobRequest
        The job.
    program : Program
        What is run.
    status : JobStatus
        Is told of metrics and states.
    arn : str
        The job's ARN.
    """

    def __init__(
        self,
        job: JobRequest,
        program: Program,
        status: JobStatus,
        arn: str,
    ) -> None:
        self._job = job
        self._bases: Sequence[str] = ()
        self._program = program
        self._status = status
        self._arn = arn
        self._events: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._agents: list[PipeAgent] = []
        self._broken: list[threading.Event] = []
        self._hosts: list[HostProcess] = []
        self._running: set[int] = set()
        self._end: Outcome | None = None
        self._kill_at = math.inf

    def stop(self) -> None:
        """Have the job stopped, in order; from any thread."""
        self._events.put((_STOP, 0, 0))

    def close(self) -> None:
        """Have the job ended at once; from any thread."""
        self._events.put((_CLOSE, 0, 0))

    def lose(self, host: int) -> None:
        """Have a host ended at once; from any thread.

        Parameters
        ----------
        host : int
            Which one.
        """
        self._events.put((_LOSE, host, 0))

    def run(self, bases: Sequence[str]) -> Outcome:
        """Run the job to its end.

        Parameters
        ----------
        bases : sequence of str
            The hosts' folders, laid out; logs are written beside them.

        Returns
        -------
        Outcome
            How it ended.

        Raises
        ------
        StorageError
            If pipes or logs cannot be made.
        """
        self._bases = bases
        with contextlib.suppress(queue.Empty):
            while self._events.get_nowait()[0] not in (_STOP, _CLOSE):
                pass
            return Outcome(STOPPED)  # nobody waits for it any more
        with contextlib.ExitStack() as stack:
            self._start_agents(stack)
            self._start_hosts(stack)
            deadline = time.monotonic() + self._job.max_runtime_s
            while self._running:
                now = time.monotonic()
                if now >= self._kill_at:
                    self._kill_at = math.inf
                    self._each(HostProcess.kill)
                if now >= deadline and self._end is None:
                    self._status.enter("Stopping", "Stopping")
                    self._finish(Outcome(TOO_LONG), self._program.grace_s)
                until = self._kill_at if self._end else deadline
                with contextlib.suppress(queue.Empty):
                    left = max(0.0, until - time.monotonic())
                    wait_s = min(left, threading.TIMEOUT_MAX)
                    self._take(*self._events.get(timeout=wait_s))
        return self._end or Outcome(COMPLETED)

    def _take(self, what: str, number: int, status: int) -> None:
        if what == _STOP:
            if self._end is None:
                self._status.enter("Stopping", "Stopping")
            self._finish(Outcome(STOPPED), self._program.grace_s)
        elif what == _CLOSE:
            self._finish(Outcome(STOPPED), 0.0)
            self._each(HostProcess.kill)
        elif what == _LOSE:
            self._hosts[number].kill()
        elif what == _HOST:
            self._running.discard(number)
            if status:
                self._finish(Outcome(FAILED, self._reason(number, status)), _OTHERS_S)
        elif what == _AGENT and status:
            reason = f"ClientError: {self._agents[number].error()}"
            self._finish(Outcome(FAILED, reason), _OTHERS_S)

    def _finish(self, outcome: Outcome, grace_s: float) -> None:
        """Ask all to end, for the first reason there is."""
        if self._end is None:
            self._end = outcome
            self._kill_at = time.monotonic() + grace_s
            self._each(HostProcess.ask)

    def _each(self, call: Callable[[HostProcess], None]) -> None:
        for number in self._running:
            call(self._hosts[number])

    def _reason(self, number: int, status: int) -> str:
        # An agent that fails takes its pipe along: then the job's reason is a
        # consequence.
        if self._agents and self._broken[number].wait(_AGENT_S):
            return f"ClientError: {self._agents[number].error()}"
        failure = Path(self._bases[number], "output", "failure")
        text = ""
        with contextlib.suppress(OSError):
            text = failure.read_text(encoding="utf-8", errors="replace").strip()
        return f"AlgorithmError: {f'{text}, ' if text else ''}exit code: {status}"

    def _start_agents(self, stack: contextlib.ExitStack) -> None:
        channels = tuple(
            PipeChannel(
                name=channel.name,
                source=channel.source,
                data_type=channel.data_type,
                sharded=channel.sharded,
                shuffle_seed=channel.shuffle_seed,
                gzip=channel.gzip,
                wrapped=channel.wrapped,
            )
            for channel in self._job.channels
            if channel.input_mode == "Pipe"
        )
        if not channels:
            return
        for number, base in enumerate(self._bases):
            options = AgentOptions(
                folder=os.path.join(base, "input/data"),
                channels=channels,
                faults=self._program.faults,
                host=number,
                hosts=len(self._bases),
            )
            agent = PipeAgent(options)
            stack.callback(agent.close)
            self._agents.append(agent)
            self._broken.append(threading.Event())
        for number, agent in enumerate(self._agents):
            agent.wait_ready()
            threading.Thread(
                target=self._wait_for, args=(agent, number), daemon=True
            ).start()

    def _wait_for(self, agent: PipeAgent, number: int) -> None:
        if status := agent.wait():
            self._broken[number].set()
        self._events.put((_AGENT, number, status))

    def _start_hosts(self, stack: contextlib.ExitStack) -> None:
        ports = free_ports(len(self._bases))
        for number, base in enumerate(self._bases):
            name = self._job.hosts[number]
            told = variables(base, self._job, number, self._arn, ports)
            host = HostProcess(
                name,
                self._program.command,
                {**_SPOKEN, **inherited(), **told, **self._program.environment},
                f"{base}.log",
                functools.partial(self._hear, name),
                functools.partial(self._host_ended, number),
            )
            stack.callback(host.close)
            self._hosts.append(host)
            self._running.add(number)

    def _host_ended(self, number: int, status: int) -> None:
        self._events.put((_HOST, number, status))

    def _hear(self, name: str, line: str) -> None:
        self._status.line(line)
        if self._program.on_line is not None:
            self._program.on_line(name, line)
