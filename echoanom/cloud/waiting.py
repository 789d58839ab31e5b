"""Wait for what a service does: pauses that grow, and logs as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from echoanom.cloud.clients import Cloud
from echoanom.errors import CloudError
from echoanom.redaction import redact

logger = logging.getLogger(__name__)

_FIRST_S = 0.5
_LONGEST_S = 10.0
_GROWTH = 1.3
_PAGES = 100


def pauses() -> Iterator[float]:
    """Give the pauses between questions.

    Yields
    ------
    float
        From half a second to ten [s], without end.
    """
    pause = _FIRST_S
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_S)


class LogTail:
    """Log lines of a job from CloudWatch, each once.

    Parameters
    ----------
    cloud : Cloud
        Who asks.
    group : str
        The group of logs.
    prefix : str
        What the names of the job's streams begin with.
    """

    def __init__(self, cloud: Cloud, group: str, prefix: str) -> None:
        self._cloud = cloud
        self._group = group
        self._prefix = prefix
        self._tokens: dict[str, str] = {}
        self._works = True

    def lines(self) -> list[str]:
        """Return what has come since.

        Returns
        -------
        list of str
            The lines. Empty, too, where logs may not be read: a job goes on without.
        """
        if not self._works:
            return []
        try:
            return [line for name in self._streams() for line in self._stream(name)]
        except CloudError as error:
            if "ResourceNotFoundException" not in str(error):  # else not yet
                logger.info("the job's log cannot be read: %s", error)
                self._works = False
            return []

    def _streams(self) -> list[str]:
        answer = self._cloud.call(
            "DescribeLogStreams",
            "logs",
            logGroupName=self._group,
            logStreamNamePrefix=self._prefix,
        )
        return sorted(one["logStreamName"] for one in answer.get("logStreams", ()))

    def _stream(self, name: str) -> Iterator[str]:
        for _ in range(_PAGES):
            token = self._tokens.get(name)
            answer = self._cloud.call(
                "GetLogEvents",
                "logs",
                logGroupName=self._group,
                logStreamName=name,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in answer["events"]:
                yield redact(event["message"].rstrip())
            self._tokens[name] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token:
                return
