"""What is known of a job, in the shape of ``DescribeTrainingJob``."""

from __future__ import annotations

import copy
import datetime
import re
import threading
from typing import Any

from echoanom.cloud.jobrequest import JobRequest, Request

_LONGEST_REASON = 1024
_MESSAGES = {
    "Starting": "Laying out the hosts' folders",
    "Downloading": "Downloading input data",
    "Training": "Training in progress on this machine",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
}


class JobStatus:
    """A job's status, to be told and asked from any thread.

    Parameters
    ----------
    request : mapping
        The request.
    job : JobRequest
        What it says.
    arn : str
        The job's ARN.
    """

    def __init__(self, request: Request, job: JobRequest, arn: str) -> None:
        self._metrics = job.metrics
        self._lock = threading.Lock()
        self._found: dict[str, dict[str, Any]] = {}
        now = _now()
        asked = {key: value for key, value in request.items() if key != "Tags"}
        self._about: dict[str, Any] = {
            **copy.deepcopy(asked),
            "TrainingJobArn": arn,
            "CreationTime": now,
            "LastModifiedTime": now,
            "SecondaryStatusTransitions": [],
        }
        self._about.setdefault("StoppingCondition", {})
        self.enter("Starting")

    def enter(self, secondary: str, status: str = "InProgress") -> None:
        """Go on to another state.

        Parameters
        ----------
        secondary : str
            E.g. ``Downloading``.
        status : {'InProgress', 'Stopping', 'Completed', 'Failed', 'Stopped'}
            What it belongs to.
        """
        with self._lock:
            self._enter(secondary, status, _MESSAGES.get(secondary, secondary))

    def end(self, secondary: str, reason: str = "") -> None:
        """Come to the end.

        Parameters
        ----------
        secondary : {'Completed', 'Failed', 'Stopped', 'MaxRuntimeExceeded'}
            How.
        reason : str
            Why it failed.
        """
        status = "Stopped" if secondary == "MaxRuntimeExceeded" else secondary
        with self._lock:
            now = self._enter(secondary, status, reason or _MESSAGES[secondary])
            self._about["SecondaryStatusTransitions"][-1]["EndTime"] = now
            if reason:
                self._about["FailureReason"] = reason[:_LONGEST_REASON]
            began = self._about.setdefault("TrainingStartTime", now)
            seconds = max(0, round((now - began).total_seconds()))
            self._about |= {
                "TrainingEndTime": now,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": seconds,
            }

    def model(self, url: str) -> None:
        """Tell where the model is.

        Parameters
        ----------
        url : str
            Its archive.
        """
        with self._lock:
            self._about["ModelArtifacts"] = {"S3ModelArtifacts": url}

    def line(self, line: str) -> None:
        """Look for metrics in a line.

        Parameters
        ----------
        line : str
            What a host said.
        """
        for name, pattern in self._metrics:
            for match in pattern.finditer(line):
                value = _number(match)
                if value is not None:
                    about = {"MetricName": name, "Value": value, "Timestamp": _now()}
                    with self._lock:
                        self._found[name] = about

    def describe(self) -> dict[str, Any]:
        """Say what is known.

        Returns
        -------
        dict
            In the shape of ``DescribeTrainingJob``.
        """
        with self._lock:
            about = copy.deepcopy(self._about)
            metrics = list(map(dict, self._found.values()))
        return {**about, **({"FinalMetricDataList": metrics} if metrics else {})}

    def _enter(self, secondary: str, status: str, message: str) -> datetime.datetime:
        now = _now()
        transitions = self._about["SecondaryStatusTransitions"]
        if transitions:
            transitions[-1].setdefault("EndTime", now)
        transitions.append(
            {"Status": secondary, "StartTime": now, "StatusMessage": message}
        )
        if secondary == "Downloading":
            self._about.setdefault("TrainingStartTime", now)
        self._about |= {
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "LastModifiedTime": now,
        }
        return now


def _number(match: re.Match[str]) -> float | None:
    try:
        return float(match[1])
    except (TypeError, ValueError):
        return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
