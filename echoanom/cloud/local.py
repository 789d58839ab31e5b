"""A training job on this machine: everything that SageMaker does around the program.

`run_training_job` takes the request that would go to the service, and plays it: for each
host a folder that stands for ``/opt/ml``, with the service's files and variables;
channels downloaded, or streamed through FIFOs by an agent in its own process;
checkpoints brought there and back; the program itself; its metrics; its end, in any way;
and ``model.tar.gz`` where the request wants it. No container is involved. Everything
that was started ends with this process, however that ends.

::

    <folder>/algo-1/            stands for /opt/ml, as SAGEMAKER_BASE_DIR says
    <folder>/algo-1.log         what the program said
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from echoanom import publishing
from echoanom.cloud.jobfolders import download_channel, lay_out
from echoanom.cloud.jobhosts import COMPLETED, FAILED, JobHosts, Outcome, Program
from echoanom.cloud.jobrequest import Request, parse_request
from echoanom.cloud.jobstatus import JobStatus
from echoanom.cloud.mirroring import Mirror, mirrored
from echoanom.cloud.packaging import pack_folder
from echoanom.errors import CloudError, EchoanomError, StorageError
from echoanom.redaction import redact
from echoanom.storage import join, storage_errors
from echoanom.testing.channelobjects import find_objects
from echoanom.testing.pipefaults import Fault

OnLine = Callable[[str, str], None]

GRACE_S = 120.0
"""Time from SIGTERM to SIGKILL where a job is stopped [s]."""

logger = logging.getLogger(__name__)


class LocalJob:
    """A training job that is played on this machine.

    Parameters
    ----------
    request : mapping
        As boto3's ``create_training_job`` takes it. Instead of S3 URIs there may be
        local paths and file URLs. FastFile channels are downloaded, and cannot be
        written to; a mount would need rights that few have.
    folder : str, optional
        Where the hosts' folders are made; kept. Left out, they are gone with the job.
    command : sequence of str, optional
        The program; ``python -m echoanom.cloud.train`` if left out. It is run in the
        current folder.
    environment : mapping of str to str, optional
        More variables for the program, beside those of this process and of the request.
    faults : sequence of Fault
        What goes wrong with pipes.
    on_line : callable, optional
        Gets the host's name and each line that it says, from other threads.
    grace_s : float
        Time from SIGTERM to SIGKILL where the job is stopped [s].

    Raises
    ------
    CloudError
        If the request cannot be played.
    """

    def __init__(
        self,
        request: Request,
        *,
        folder: str | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
        on_line: OnLine | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self._job = parse_request(request)
        self._folder = None if folder is None else os.path.abspath(folder)
        self._root = self._folder or ""
        region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        arn = f"arn:aws:sagemaker:{region}:000000000000:training-job/{self._job.name}"
        self._status = JobStatus(request, self._job, arn)
        self._program = Program(
            command=tuple(command or (sys.executable, "-m", "echoanom.cloud.train")),
            environment=dict(environment or {}),
            faults=tuple(faults),
            on_line=on_line,
            grace_s=grace_s,
        )
        self._hosts = JobHosts(self._job, self._program, self._status, arn)
        self._thread = threading.Thread(
            target=self._play, name=f"echoanom-job-{self._job.name}", daemon=True
        )

    def __enter__(self) -> LocalJob:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._hosts.close()
            self._thread.join()

    @property
    def bases(self) -> tuple[str, ...]:
        """The hosts' folders that stand for ``/opt/ml``, once the job is started."""
        return tuple(os.path.join(self._root, host) for host in self._job.hosts)

    def start(self) -> None:
        """Begin.

        Raises
        ------
        CloudError
            If the folder has hosts already.
        StorageError
            If it cannot be made.
        """
        if self._folder is None:
            self._root = tempfile.mkdtemp(prefix="echoanom-job-")
        for base in self.bases:
            if os.path.exists(base):
                raise CloudError(
                    f"{base}: must not exist, as a job begins on a new machine; remove"
                    " it, or give another folder"
                )
        with storage_errors(self._root, "write"):
            os.makedirs(self._root, exist_ok=True)
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the end.

        Parameters
        ----------
        timeout_s : float, optional
            How long, at most [s].

        Returns
        -------
        dict
            As `describe` returns it.
        """
        self._thread.join(timeout_s)
        return self.describe()

    def stop(self) -> None:
        """Have it stopped: SIGTERM, and SIGKILL after its grace."""
        self._hosts.stop()

    def lose(self, host: int) -> None:
        """End a host with SIGKILL, as when its machine is lost.

        Parameters
        ----------
        host : int
            Which one, from 0.
        """
        self._hosts.lose(host)

    def describe(self) -> dict[str, Any]:
        """Say what is known.

        Returns
        -------
        dict
            In the shape of ``DescribeTrainingJob``. Without a model there are no
            ``ModelArtifacts``.
        """
        return self._status.describe()

    def _play(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                if self._folder is None:
                    stack.callback(shutil.rmtree, self._root, ignore_errors=True)
                outcome = self._run()
                if outcome.state != FAILED:
                    self._upload("model", "model.tar.gz")
                self._upload("output/data", "output.tar.gz")
        except EchoanomError as error:
            outcome = Outcome(FAILED, f"ClientError: {error}")
        except Exception as error:
            logger.exception("the job %s failed where it should not", self._job.name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            outcome = Outcome(FAILED, reason)
        self._status.end(outcome.state, redact(outcome.reason))

    def _run(self) -> Outcome:
        job, hosts = self._job, len(self._job.hosts)
        for number, base in enumerate(self.bases):
            lay_out(base, job, number)
        self._status.enter("Downloading")
        for channel in job.channels:
            found = find_objects(channel.source, channel.data_type)
            if not found:
                raise StorageError(
                    f"channel {channel.name}: there must be objects at"
                    f" {channel.source}, but none is found"
                )
            if channel.input_mode != "Pipe":
                for number, base in enumerate(self.bases):
                    download_channel(channel, found, base, number, hosts)
        mirrors = []
        for base in self.bases:
            if job.checkpoints is not None:
                place = os.path.join(base, job.checkpoints.folder)
                mirrors.append(Mirror(place, job.checkpoints.url))
                mirrors[-1].restore()
            if job.tensorboard is not None:
                place = os.path.join(base, job.tensorboard.folder)
                mirrors.append(Mirror(place, job.tensorboard.url))
        self._status.enter("Training")
        with mirrored(mirrors):
            outcome = self._hosts.run(self.bases)
        if outcome.state == COMPLETED:
            self._status.enter("Uploading")
        return outcome

    def _upload(self, name: str, archive: str) -> None:
        """Pack a folder of the hosts, if there is something in it."""
        folders = [os.path.join(base, name) for base in self.bases]
        filled = [folder for folder in folders if _has_files(folder)]
        if not filled:
            return
        url = join(self._job.output, self._job.name, "output", archive)
        with contextlib.ExitStack() as stack:
            folder = filled[0]
            if len(filled) > 1:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(dir=self._root)
                )
                with storage_errors(folder, "write"):
                    for one in reversed(filled):  # the first host's files count
                        shutil.copytree(one, folder, dirs_exist_ok=True)
            with publishing.publish(url) as file:
                pack_folder(folder, file)
        if name == "model":
            self._status.model(url)


def run_training_job(
    request: Request,
    *,
    folder: str | None = None,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
    on_line: OnLine | None = None,
    grace_s: float = GRACE_S,
) -> dict[str, Any]:
    """Play a training job on this machine, from its beginning to its end.

    Parameters
    ----------
    request : mapping
        As boto3's ``create_training_job`` takes it; `LocalJob` says what else it takes.
    folder : str, optional
        Where the hosts' folders are made; kept. Left out, they are gone with the job.
    command : sequence of str, optional
        The program; ``python -m echoanom.cloud.train`` if left out.
    environment : mapping of str to str, optional
        More variables for the program.
    faults : sequence of Fault
        What goes wrong with pipes.
    on_line : callable, optional
        Gets the host's name and each line that it says, from other threads.
    grace_s : float
        Time from SIGTERM to SIGKILL when the job takes too long [s].

    Returns
    -------
    dict
        In the shape of ``DescribeTrainingJob``: also of a job that has failed.

    Raises
    ------
    CloudError
        If the request cannot be played, or the folder has hosts already.
    StorageError
        If the folder cannot be made.
    """
    with LocalJob(
        request,
        folder=folder,
        command=command,
        environment=environment,
        faults=faults,
        on_line=on_line,
        grace_s=grace_s,
    ) as job:
        job.start()
        return job.wait()


def _has_files(folder: str) -> bool:
    return any(names for _, _, names in os.walk(folder))
