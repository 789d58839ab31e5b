"""Log lines of a local control plane's jobs, as CloudWatch tells them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from echoanom.cloud.standinstate import Answer, ServiceError, now


class Logs:
    """Lines by group and stream; safe between threads."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._lock = threading.Lock()

    def add(self, group: str, stream: str, line: str) -> None:
        """Keep a line.

        Parameters
        ----------
        group, stream : str
            Where.
        line : str
            The line.
        """
        at = int(now().timestamp() * 1000)
        with self._lock:
            self._lines.setdefault((group, stream), []).append((at, line))

    def answer(self, operation: str, request: Mapping[str, Any]) -> Answer:
        """Answer a question to CloudWatch's logs.

        Parameters
        ----------
        operation : {'DescribeLogStreams', 'GetLogEvents'}
            The question.
        request : mapping
            Its parameters.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If it is another, or there is no such log.
        """
        group = request.get("logGroupName", "")
        if operation == "DescribeLogStreams":
            prefix = request.get("logStreamNamePrefix", "")
            with self._lock:
                found = [stream for one, stream in self._lines if one == group]
            names = sorted(stream for stream in found if stream.startswith(prefix))
            return {"logStreams": [{"logStreamName": name} for name in names]}
        if operation != "GetLogEvents":
            raise ServiceError(
                "UnknownOperationException", f"{operation} is not played here"
            )
        with self._lock:
            lines = self._lines.get((group, request.get("logStreamName", "")))
            if lines is None:
                raise ServiceError(
                    "ResourceNotFoundException",
                    "The specified log stream does not exist.",
                )
            token = str(request.get("nextToken", "f/0")).removeprefix("f/")
            begin = int(token) if token.isdecimal() else 0
            events = lines[begin:]
        return {
            "events": [{"timestamp": at, "message": line} for at, line in events],
            "nextForwardToken": f"f/{begin + len(events)}",
            "nextBackwardToken": f"b/{begin}",
        }
