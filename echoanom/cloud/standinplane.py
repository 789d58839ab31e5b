"""A control plane on this machine: SageMaker's operations, with their life cycles."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from echoanom.cloud.shapes import service_model
from echoanom.cloud.standinhosting import Hosting
from echoanom.cloud.standinjobs import TrainingJobs, TransformJobs
from echoanom.cloud.standinlogs import Logs
from echoanom.cloud.standinstate import Answer, ServiceError, Shelf, validated

Request = Mapping[str, Any]


class ControlPlane:
    """Jobs, models and endpoints of this machine.

    Parameters
    ----------
    folder : str, optional
        Gets the training jobs' folders. Left out, they are gone with it.

    Attributes
    ----------
    logs : Logs
        What jobs said.
    hosting : Hosting
        Models and endpoints.
    throttled : int
        How many of the next requests are refused as too many.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._kept = folder is not None
        root = Path(folder or tempfile.mkdtemp(prefix="echoanom-standin-"))
        self._folder = root
        self.logs = Logs()
        self.hosting = Hosting()
        self.throttled = 0
        self._training = TrainingJobs(root, self.logs)
        self._transforms = TransformJobs(self.hosting.models, self.logs)
        self._lock = threading.Lock()
        self._operations = self._table()

    def answer(self, operation: str, request: Request) -> Answer:
        """Do what a request asks for.

        Parameters
        ----------
        operation : str
            E.g. ``CreateTrainingJob``.
        request : mapping
            Its parameters.

        Returns
        -------
        dict
            The answer, as the service model has it.

        Raises
        ------
        ServiceError
            If it is refused.
        """
        with self._lock:
            if self.throttled > 0:
                self.throttled -= 1
                raise ServiceError("ThrottlingException", "Rate exceeded")
        if operation not in self._operations:
            raise ServiceError(
                "UnknownOperationException", f"{operation} is not played here"
            )
        validated(operation, request)
        found = self._operations[operation](request)
        shape = service_model().operation_model(operation).output_shape
        members = shape.members if shape is not None else {}
        return {name: value for name, value in found.items() if name in members}

    def close(self) -> None:
        """End everything that runs."""
        self._transforms.close()
        self._training.close()
        self.hosting.close()
        if not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _table(self) -> dict[str, Callable[[Request], Answer]]:
        hosting = self.hosting
        table: dict[str, Callable[[Request], Answer]] = {
            "CreateTrainingJob": self._training.create,
            "StopTrainingJob": self._training.stop,
            "CreateModel": hosting.create_model,
            "CreateEndpointConfig": hosting.create_config,
            "CreateEndpoint": hosting.create_endpoint,
            "UpdateEndpoint": hosting.update_endpoint,
            "DeleteEndpoint": hosting.delete_endpoint,
            "CreateTransformJob": self._transforms.create,
            "StopTransformJob": self._transforms.stop,
        }
        shelves = (
            *(self._training.shelf, self._transforms.shelf),
            *(hosting.models, hosting.configs, hosting.endpoints),
        )
        for shelf in shelves:
            name = shelf.kind.name
            table[f"Describe{name}"] = _describe(shelf)
            table[f"List{name}s"] = _list(shelf)
        for shelf in (hosting.models, hosting.configs):
            table[f"Delete{shelf.kind.name}"] = _delete(shelf)
        return table


def _describe(shelf: Shelf) -> Callable[[Request], Answer]:
    return lambda request: shelf.get(request[shelf.kind.key])


def _list(shelf: Shelf) -> Callable[[Request], Answer]:
    operation = service_model().operation_model(f"List{shelf.kind.name}s")
    fields = tuple(operation.output_shape.members[shelf.kind.listed].member.members)
    return lambda request: shelf.page(request, fields)


def _delete(shelf: Shelf) -> Callable[[Request], Answer]:
    def delete(request: Request) -> Answer:
        shelf.remove(request[shelf.kind.key])
        return {}

    return delete
