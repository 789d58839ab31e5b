"""Training jobs: started, followed, found again by name, stopped."""

from __future__ import annotations

import dataclasses
import datetime
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from echoanom import objects
from echoanom.cloud.clients import Cloud
from echoanom.cloud.waiting import LogTail, pauses
from echoanom.errors import CloudError

if TYPE_CHECKING:
    from echoanom.cloud.trainingplan import TrainingPlan

Say = Callable[[str], None]

ENDED = ("Completed", "Failed", "Stopped")
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """How far a training job is.

    Attributes
    ----------
    name : str
        Its name.
    status : str
        E.g. ``InProgress``, ``Completed``, ``Failed``, ``Stopped``.
    phase : str
        What it does just now, e.g. ``Downloading``.
    model : str
        URL of its ``model.tar.gz``; empty before it is written.
    failure : str
        Why it failed; empty if it did not.
    created : str
        When it was asked for, ISO 8601.
    seconds : float
        How long it has been training, until now or its end [s].
    billable_s : int
        Seconds of a machine that are paid for, of all machines [s]; 0 while unknown.
    metrics : dict of str to float
        What it has last said of itself.
    """

    name: str
    status: str
    phase: str
    model: str
    failure: str
    created: str
    seconds: float
    billable_s: int
    metrics: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def new_name(kind: str = "echoanom") -> str:
    """Invent the name of a job.

    Parameters
    ----------
    kind : str
        What it begins with.

    Returns
    -------
    str
        With the time and four random digits.
    """
    now = datetime.datetime.now(datetime.UTC)
    return f"{kind}-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"


def start_training(plan: TrainingPlan, cloud: Cloud | None = None) -> TrainingJob:
    """Start a job on SageMaker.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    TrainingJob
        The job, under way.

    Raises
    ------
    CloudError
        If the request is wrong, refused, or not answered.
    StorageError
        If an object cannot be written.
    """
    from echoanom.cloud.trainingplan import check_plan, prepare

    cloud = cloud or Cloud()
    name = plan.request["TrainingJobName"]
    check_plan(plan)
    if cloud.find("DescribeTrainingJob", TrainingJobName=name) is not None:
        raise CloudError(
            f"a training job must have a name of its own, but {name} exists; `echoanom"
            f" sagemaker status {name} --wait` follows it"
        )
    prepare(plan, cloud.region)
    cloud.call("CreateTrainingJob", **plan.request)
    return TrainingJob(name, cloud)


def run_here(
    plan: TrainingPlan, *, folder: str | None = None, say: Say | None = None
) -> JobStatus:
    """Run a job on this machine, as SageMaker would.

    Parameters
    ----------
    plan : TrainingPlan
        The plan, of local paths or URLs; without image, role and account.
    folder : str, optional
        Gets a folder for each host, as the job saw it; gone with the job if left out.
    say : callable, optional
        Gets each line that a host says.

    Returns
    -------
    JobStatus
        Completed.

    Raises
    ------
    CloudError
        If the job fails, or cannot be run.
    StorageError
        If something cannot be written.
    """
    from echoanom.cloud.local import run_training_job
    from echoanom.cloud.trainingplan import write_objects

    write_objects(plan)
    hosts = plan.request["ResourceConfig"]["InstanceCount"]

    def show(host: str, line: str) -> None:
        if say is not None:
            say(line if hosts == 1 else f"{host}: {line}")

    return _completed(
        _status(run_training_job(plan.request, folder=folder, on_line=show))
    )


class TrainingJob:
    """A training job, running or ended.

    Parameters
    ----------
    name : str
        Its name.
    cloud : Cloud, optional
        Who asks.
    """

    def __init__(self, name: str, cloud: Cloud | None = None) -> None:
        self.name = name
        self.cloud = cloud or Cloud()

    def __repr__(self) -> str:
        return f"<TrainingJob {self.name}>"

    def describe(self) -> Mapping[str, Any]:
        """Return what the service says of it.

        Returns
        -------
        mapping
            The answer to ``DescribeTrainingJob``.

        Raises
        ------
        CloudError
            If there is no such job, or no answer.
        """
        found = self.cloud.find("DescribeTrainingJob", TrainingJobName=self.name)
        if found is None:
            raise CloudError(
                f"there must be a training job {self.name} in {self.cloud.region}, but"
                " there is none; `echoanom sagemaker list` shows what runs"
            )
        return found

    def status(self) -> JobStatus:
        """Say how far it is.

        Returns
        -------
        JobStatus
            Now.

        Raises
        ------
        CloudError
            If there is no such job, or no answer.
        """
        return _status(self.describe())

    def model_url(self) -> str:
        """Find its model.

        Returns
        -------
        str
            URL of ``model.tar.gz``.

        Raises
        ------
        CloudError
            If it has none, or not yet.
        """
        status = self.status()
        if status.status != "Completed" or not status.model:
            raise CloudError(
                f"the training job {self.name} must be Completed to have a model, but is"
                f" {status.status}{': ' if status.failure else ''}{status.failure}"
            )
        return status.model

    def stop(self) -> None:
        """Ask it to end; its state is kept in its checkpoints.

        Raises
        ------
        CloudError
            If there is no such job, or it has ended.
        """
        self.cloud.call("StopTrainingJob", TrainingJobName=self.name)

    def wait(self, say: Say | None = None, timeout_s: float | None = None) -> JobStatus:
        """Follow it to its end.

        Parameters
        ----------
        say : callable, optional
            Gets each line of what the job does and, where they can be read, its logs.
        timeout_s : float, optional
            How long to wait [s]; without end if left out.

        Returns
        -------
        JobStatus
            Completed.

        Raises
        ------
        CloudError
            If it fails, is stopped, or does not end in time. The job itself goes on.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        tail = LogTail(self.cloud, _LOG_GROUP, f"{self.name}/") if say else None
        said = 0
        for pause in pauses():
            found = self.describe()
            ended = found["TrainingJobStatus"] in ENDED
            if say is not None and tail is not None:
                steps = found.get("SecondaryStatusTransitions", ())
                for step in steps[said:]:
                    say(f"{step['Status']}: {step.get('StatusMessage', '')}".strip())
                said = len(steps)
                for line in tail.lines():
                    say(line)
            if ended:
                return _completed(_status(found))
            if until is not None and time.monotonic() + pause > until:
                raise CloudError(
                    f"the training job {self.name} must end within {timeout_s:g} s, but"
                    f" is {found['TrainingJobStatus']}; it goes on"
                )
            time.sleep(pause)
        raise AssertionError("pauses never end")


def attach(name: str, cloud: Cloud | None = None) -> TrainingJob:
    """Find a job by its name.

    Parameters
    ----------
    name : str
        Its name.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    TrainingJob
        The job, running or ended.

    Raises
    ------
    CloudError
        If there is none.
    """
    job = TrainingJob(name, cloud)
    job.describe()
    return job


def find_model(what: str, cloud: Cloud | None = None) -> str:
    """Find a model.

    Parameters
    ----------
    what : str
        URL of a ``model.tar.gz``, or name of the training job that wrote one.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    str
        Its URL.

    Raises
    ------
    CloudError
        If there is no such job, or it has no model.
    """
    if objects.is_object(what):
        return what
    return attach(what, cloud).model_url()


def _completed(status: JobStatus) -> JobStatus:
    if status.status == "Failed":
        raise CloudError(f"the training job {status.name} failed: {status.failure}")
    if status.status == "Stopped":
        raise CloudError(
            f"the training job {status.name} was stopped ({status.phase}); its state is"
            " kept: another job with the same --checkpoints goes on from there"
        )
    return status


def _status(found: Mapping[str, Any]) -> JobStatus:
    begun, created = found.get("TrainingStartTime"), found.get("CreationTime")
    now = datetime.datetime.now(datetime.UTC)
    ended = found.get("TrainingEndTime") or now
    return JobStatus(
        name=found["TrainingJobName"],
        status=found["TrainingJobStatus"],
        phase=found.get("SecondaryStatus", ""),
        model=found.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        failure=" ".join(found.get("FailureReason", "").split()),
        created=created.isoformat() if created else "",
        seconds=round((ended - begun).total_seconds(), 1) if begun else 0.0,
        billable_s=found.get("BillableTimeInSeconds", 0)
        * found.get("ResourceConfig", {}).get("InstanceCount", 1),
        metrics={
            one["MetricName"]: one["Value"]
            for one in found.get("FinalMetricDataList", ())
        },
    )
