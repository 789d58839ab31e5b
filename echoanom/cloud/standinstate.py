"""What a control plane keeps of jobs, models and endpoints, and when it refuses.

Codes and words of refusals are SageMaker's own, as clients tell by them what happened.
"""

from __future__ import annotations

import dataclasses
import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from echoanom.cloud.shapes import problems

Answer = dict[str, Any]

ACCOUNT = "000000000000"
REGION = "us-east-1"
PAGE = 100


class ServiceError(Exception):
    """A request is refused.

    Parameters
    ----------
    code : str
        SageMaker's code, e.g. ``ValidationException``.
    message : str
        Why.
    status : int
        HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes
    ----------
    name : str
        As operations name it, e.g. ``TrainingJob``.
    arn : str
        As ARNs name it, e.g. ``training-job``.
    words : str
        As messages name it.
    status : str
        Field of its state; empty if it has none.
    listed : str
        Field of the answer that lists it.
    job : bool
        Whether its name is used up for good.
    """

    name: str
    arn: str
    words: str
    status: str
    listed: str
    job: bool = False

    @property
    def key(self) -> str:
        """The field of its name."""
        return f"{self.name}Name"


TRAINING = Kind(
    "TrainingJob",
    "training-job",
    "training job",
    "TrainingJobStatus",
    "TrainingJobSummaries",
    job=True,
)
TRANSFORM = Kind(
    "TransformJob",
    "transform-job",
    "transform job",
    "TransformJobStatus",
    "TransformJobSummaries",
    job=True,
)
MODEL = Kind("Model", "model", "model", "", "Models")
CONFIG = Kind(
    "EndpointConfig",
    "endpoint-config",
    "endpoint configuration",
    "",
    "EndpointConfigs",
)
ENDPOINT = Kind("Endpoint", "endpoint", "endpoint", "EndpointStatus", "Endpoints")


def now() -> datetime.datetime:
    """Return the time.

    Returns
    -------
    datetime
        Now, in UTC, to the millisecond as the service tells it.
    """
    moment = datetime.datetime.now(datetime.UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Shelf:
    """All things of a kind, by name; safe between threads.

    Parameters
    ----------
    kind : Kind
        Which.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._items: dict[str, Answer] = {}
        self._lock = threading.RLock()

    def arn(self, name: str) -> str:
        """Name a thing for the whole world.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        str
            Its ARN.
        """
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{self.kind.arn}/{name}"

    def add(self, item: Mapping[str, Any]) -> Answer:
        """Add a thing.

        Parameters
        ----------
        item : mapping
            What is to be told of it; its ARN and time are added.

        Returns
        -------
        dict
            The answer to the request that made it.

        Raises
        ------
        ServiceError
            If its name is taken.
        """
        name = item[self.kind.key]
        arn = self.arn(name)
        with self._lock:
            if name in self._items:
                if self.kind.job:
                    raise ServiceError(
                        "ResourceInUse",
                        "Job name must be unique within an AWS account and region, and a"
                        f" job with this name already exists ({arn})",
                    )
                raise ServiceError(
                    "ValidationException",
                    f"Cannot create already existing {self.kind.words} {arn}.",
                )
            self._items[name] = {
                **item,
                f"{self.kind.name}Arn": arn,
                "CreationTime": now(),
            }
        return {f"{self.kind.name}Arn": arn}

    def get(self, name: str) -> Answer:
        """Return what is told of a thing.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        dict
            A copy.

        Raises
        ------
        ServiceError
            If there is none.
        """
        with self._lock:
            if name in self._items:
                return dict(self._items[name])
        if self.kind is TRAINING:
            raise ServiceError("ValidationException", "Requested resource not found.")
        raise ServiceError(
            "ValidationException",
            f"Could not find {self.kind.words} {self.arn(name)}.",
        )

    def update(self, name: str, **changes: Any) -> None:
        """Change what is told of a thing, if it is still there.

        Parameters
        ----------
        name : str
            Its name.
        **changes : object
            Fields and values; None removes a field.
        """
        with self._lock:
            if name in self._items:
                item = {**self._items[name], **changes}
                if self.kind.status:
                    item["LastModifiedTime"] = now()
                self._items[name] = {k: v for k, v in item.items() if v is not None}

    def change(
        self, name: str, allowed: Sequence[str], status: str, verb: str
    ) -> Answer:
        """Change a thing's state, if it is in one of some.

        Parameters
        ----------
        name : str
            Its name.
        allowed : sequence of str
            States that it may be in.
        status : str
            Its new state.
        verb : str
            What is asked for, for the message.

        Returns
        -------
        dict
            What was told of it before.

        Raises
        ------
        ServiceError
            If there is none, or it is in another state.
        """
        with self._lock:
            before = self.get(name)
            found = before[self.kind.status]
            if found not in allowed:
                raise ServiceError(
                    "ValidationException",
                    f"Cannot {verb} {self.kind.words} {self.arn(name)}: its status is"
                    f" {found}, must be one of {', '.join(allowed)}.",
                )
            self.update(name, **{self.kind.status: status})
            return before

    def remove(self, name: str) -> Answer:
        """Remove a thing.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        dict
            What was told of it.

        Raises
        ------
        ServiceError
            If there is none.
        """
        with self._lock:
            item = self.get(name)
            del self._items[name]
            return item

    def page(self, request: Mapping[str, Any], fields: Sequence[str]) -> Answer:
        """List things, a page at a time.

        Parameters
        ----------
        request : mapping
            ``StatusEquals``, ``NameContains``, ``MaxResults``, ``NextToken`` count.
        fields : sequence of str
            What is told of each.

        Returns
        -------
        dict
            The answer, the latest first.

        Raises
        ------
        ServiceError
            If the token is none.
        """
        with self._lock:
            items = [dict(item) for item in reversed(self._items.values())]
        wanted, part = request.get("StatusEquals"), request.get("NameContains", "")
        found = [
            item
            for item in items
            if part in item[self.kind.key]
            and (wanted is None or item[self.kind.status] == wanted)
        ]
        token = request.get("NextToken", "0")
        if not token.isdecimal():
            raise ServiceError("ValidationException", "Invalid pagination token")
        begin, size = int(token), request.get("MaxResults", PAGE)
        shown = found[begin : begin + size]
        answer: Answer = {
            self.kind.listed: [
                {name: item[name] for name in fields if name in item} for item in shown
            ]
        }
        if begin + size < len(found):
            answer["NextToken"] = str(begin + size)
        return answer


def validated(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse a request that the service model does not allow.

    Parameters
    ----------
    operation : str
        E.g. ``CreateTrainingJob``.
    request : mapping
        Its parameters.

    Raises
    ------
    ServiceError
        If it does not.
    """
    wrong = list(problems(operation, request))
    if wrong:
        errors = "error" if len(wrong) == 1 else "errors"
        raise ServiceError(
            "ValidationException",
            f"{len(wrong)} validation {errors} detected: {'; '.join(wrong)}",
        )
