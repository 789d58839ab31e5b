"""Training and transform jobs of a local control plane, run for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoanom.cloud.standinlogs import Logs
from echoanom.cloud.standinstate import (
    TRAINING,
    TRANSFORM,
    Answer,
    ServiceError,
    Shelf,
    now,
)
from echoanom.cloud.standinwork import reason, transform
from echoanom.errors import CloudError, EchoanomError

if TYPE_CHECKING:
    from echoanom.cloud.local import LocalJob

Request = Mapping[str, Any]

_TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
_TRANSFORM_LOGS = "/aws/sagemaker/TransformJobs"
_LOOK_S = 0.2
_END_S = 60.0
# What a job on this machine tells, and a request does not.
_TOLD = (
    *("TrainingJobStatus", "SecondaryStatus", "SecondaryStatusTransitions"),
    *("ModelArtifacts", "FailureReason", "FinalMetricDataList"),
    *("TrainingStartTime", "TrainingEndTime"),
    *("TrainingTimeInSeconds", "BillableTimeInSeconds"),
)


def begin(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Do something while requests go on.

    Parameters
    ----------
    target : callable
        What is done.
    *arguments : object
        Its arguments.

    Returns
    -------
    threading.Thread
        Where it is done.
    """
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


class TrainingJobs:
    """Training jobs.

    Parameters
    ----------
    folder : Path
        Gets a folder for each.
    logs : Logs
        Gets what they say.
    """

    def __init__(self, folder: Path, logs: Logs) -> None:
        self.shelf = Shelf(TRAINING)
        self._folder = folder
        self._logs = logs
        self._runs: dict[str, LocalJob] = {}

    def create(self, request: Request) -> Answer:
        """Start a job.

        Parameters
        ----------
        request : mapping
            ``CreateTrainingJob``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If its name is taken, or it cannot be played here.
        """
        from echoanom.cloud.local import LocalJob

        shelf, name = self.shelf, request["TrainingJobName"]
        image = {"TrainingInputMode": "File", **request["AlgorithmSpecification"]}

        def note(host: str, line: str) -> None:
            self._logs.add(_TRAINING_LOGS, f"{name}/{host}", line)

        try:
            job = LocalJob(request, folder=str(self._folder / name), on_line=note)
        except CloudError as error:
            raise ServiceError("ValidationException", str(error)) from None
        answer = shelf.add(
            {
                **request,
                "AlgorithmSpecification": image,
                "ModelArtifacts": {"S3ModelArtifacts": ""},
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Starting",
            }
        )
        self._runs[name] = job
        begin(self._follow, name, job)
        return answer

    def _follow(self, name: str, job: LocalJob) -> None:
        try:
            job.start()
        except EchoanomError as error:
            self.shelf.update(
                name,
                TrainingJobStatus="Failed",
                SecondaryStatus="Failed",
                FailureReason=reason(error),
            )
            del self._runs[name]
            return
        while not self._take(name, job.wait(_LOOK_S)):
            pass
        del self._runs[name]

    def _take(self, name: str, found: Answer) -> bool:
        """Keep what is known of a job, and tell whether it has ended."""
        shelf = self.shelf
        told = {key: found[key] for key in _TOLD if key in found}
        stopping = shelf.get(name)["TrainingJobStatus"] == "Stopping"
        if stopping and told["TrainingJobStatus"] == "InProgress":
            del told["TrainingJobStatus"], told["SecondaryStatus"]
        shelf.update(name, **told)
        return found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")

    def stop(self, request: Request) -> Answer:
        """Ask a job to end.

        Parameters
        ----------
        request : mapping
            ``StopTrainingJob``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If there is none, or it has ended.
        """
        name = request["TrainingJobName"]
        shelf = self.shelf
        shelf.change(name, ("InProgress", "Stopping"), "Stopping", "stop")
        shelf.update(name, SecondaryStatus="Stopping")
        run = self._runs.get(name)
        if run is not None:
            run.stop()
        return {}

    def close(self) -> None:
        """End them all."""
        for job in list(self._runs.values()):
            with job:
                pass


class TransformJobs:
    """Transform jobs.

    Parameters
    ----------
    models : Shelf
        The models.
    logs : Logs
        Gets what they say.
    """

    def __init__(self, models: Shelf, logs: Logs) -> None:
        self.shelf = Shelf(TRANSFORM)
        self._models = models
        self._logs = logs
        self._stops: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def create(self, request: Request) -> Answer:
        """Start a job.

        Parameters
        ----------
        request : mapping
            ``CreateTransformJob``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If its name is taken, or there is no such model.
        """
        name = request["TransformJobName"]
        try:
            container = self._models.get(request["ModelName"])["PrimaryContainer"]
        except ServiceError as error:
            raise ServiceError("ResourceNotFound", error.message) from None
        answer = self.shelf.add(
            {**request, "TransformJobStatus": "InProgress", "TransformStartTime": now()}
        )
        self._stops[name] = threading.Event()
        thread = begin(self._transform, name, str(container["ModelDataUrl"]), request)
        self._threads.append(thread)
        return answer

    def _transform(self, name: str, model: str, request: Request) -> None:
        shelf, stop = self.shelf, self._stops[name]
        try:
            for line in transform(model, request, stop):
                self._logs.add(_TRANSFORM_LOGS, f"{name}/algo-1", line)
        except Exception as error:
            shelf.update(name, TransformJobStatus="Failed", FailureReason=reason(error))
        else:
            status = "Stopped" if stop.is_set() else "Completed"
            shelf.update(name, TransformJobStatus=status)
        shelf.update(name, TransformEndTime=now())
        del self._stops[name]

    def stop(self, request: Request) -> Answer:
        """Ask a job to end.

        Parameters
        ----------
        request : mapping
            ``StopTransformJob``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If there is none, or it has ended.
        """
        name = request["TransformJobName"]
        self.shelf.change(name, ("InProgress",), "Stopping", "stop")
        self._stops[name].set()
        return {}

    def close(self) -> None:
        """End them all."""
        for stop in list(self._stops.values()):
            stop.set()
        for thread in self._threads:
            thread.join(_END_S)
