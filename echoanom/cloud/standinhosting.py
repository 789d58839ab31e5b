"""Models and endpoints of a local control plane, each endpoint a process that serves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from echoanom import storage
from echoanom.cloud.standinjobs import begin
from echoanom.cloud.standinstate import (
    CONFIG,
    ENDPOINT,
    MODEL,
    Answer,
    ServiceError,
    Shelf,
    now,
)
from echoanom.cloud.standinwork import ModelServer, reason
from echoanom.errors import CloudError, EchoanomError

Request = Mapping[str, Any]

INVOKE_BYTES = 6 << 20
"""Largest request to an endpoint [byte]."""

_END_S = 60.0


class Hosting:
    """Models, configurations and endpoints."""

    def __init__(self) -> None:
        self.models, self.configs = Shelf(MODEL), Shelf(CONFIG)
        self.endpoints = Shelf(ENDPOINT)
        self._servers: dict[str, ModelServer] = {}
        self._threads: list[threading.Thread] = []

    def create_model(self, request: Request) -> Answer:
        """Keep a model.

        Parameters
        ----------
        request : mapping
            ``CreateModel``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If its name is taken, or its data are not there.
        """
        container = request.get("PrimaryContainer") or {}
        url = container.get("ModelDataUrl")
        if not container.get("Image") or not url:
            raise ServiceError(
                "ValidationException",
                "PrimaryContainer must have an Image and a ModelDataUrl",
            )
        try:
            there = storage.exists(url)
        except EchoanomError as error:
            raise ServiceError("ValidationException", str(error)) from None
        if not there:
            raise ServiceError(
                "ValidationException", f"Could not find model data at {url}."
            )
        return self.models.add(request)

    def create_config(self, request: Request) -> Answer:
        """Keep a configuration.

        Parameters
        ----------
        request : mapping
            ``CreateEndpointConfig``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If its name is taken, or there is no such model.
        """
        for variant in request["ProductionVariants"]:
            self.models.get(variant["ModelName"])
        return self.configs.add(request)

    def _model_of(self, config: str) -> str:
        variants = self.configs.get(config)["ProductionVariants"]
        model = self.models.get(variants[0]["ModelName"])
        return str(model["PrimaryContainer"]["ModelDataUrl"])

    def create_endpoint(self, request: Request) -> Answer:
        """Start an endpoint.

        Parameters
        ----------
        request : mapping
            ``CreateEndpoint``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If its name is taken, or there is no such configuration.
        """
        model = self._model_of(request["EndpointConfigName"])
        answer = self.endpoints.add(
            {**request, "EndpointStatus": "Creating", "LastModifiedTime": now()}
        )
        self._threads.append(begin(self._serve, request["EndpointName"], model, ""))
        return answer

    def update_endpoint(self, request: Request) -> Answer:
        """Give an endpoint another configuration.

        Parameters
        ----------
        request : mapping
            ``UpdateEndpoint``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If there is none, or it is busy.
        """
        name, config = request["EndpointName"], request["EndpointConfigName"]
        shelf = self.endpoints
        model = self._model_of(config)
        if shelf.get(name)["EndpointConfigName"] == config:
            raise ServiceError(
                "ValidationException",
                f"Cannot update endpoint {shelf.arn(name)}: it has the configuration"
                f" {config} already.",
            )
        shelf.change(name, ("InService",), "Updating", "update")
        self._threads.append(begin(self._serve, name, model, config))
        return {"EndpointArn": shelf.arn(name)}

    def _serve(self, name: str, model: str, config: str) -> None:
        shelf = self.endpoints
        try:
            server = ModelServer(model)
        except Exception as error:
            # An update that fails leaves the endpoint as it was.
            status = "InService" if config else "Failed"
            shelf.update(name, EndpointStatus=status, FailureReason=reason(error))
            return
        before = self._servers.get(name)
        self._servers[name] = server
        changes = {"EndpointConfigName": config} if config else {}
        shelf.update(name, EndpointStatus="InService", FailureReason=None, **changes)
        if before is not None:
            before.close()

    def delete_endpoint(self, request: Request) -> Answer:
        """End an endpoint.

        Parameters
        ----------
        request : mapping
            ``DeleteEndpoint``.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ServiceError
            If there is none, or it is busy.
        """
        name = request["EndpointName"]
        shelf = self.endpoints
        shelf.change(
            name, ("InService", "Failed", "OutOfService"), "Deleting", "delete"
        )
        self._threads.append(begin(self._end, name))
        return {}

    def _end(self, name: str) -> None:
        server = self._servers.pop(name, None)
        if server is not None:
            server.close()
        self.endpoints.remove(name)

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str
    ) -> tuple[str, bytes]:
        """Send a request to an endpoint's model.

        Parameters
        ----------
        endpoint : str
            Its name.
        body : bytes
            The request's body.
        content_type, accept : str
            Its headers.

        Returns
        -------
        content_type : str
            Of the answer.
        body : bytes
            The answer.

        Raises
        ------
        ServiceError
            If there is no such endpoint, or its model refuses.
        """
        if len(body) > INVOKE_BYTES:
            raise ServiceError(
                "ValidationException",
                f"Request body must have at most {INVOKE_BYTES} bytes, got {len(body)}",
                413,
            )
        try:
            status = self.endpoints.get(endpoint)["EndpointStatus"]
        except ServiceError:
            status = "not found"
        server = self._servers.get(endpoint)
        if server is None or status not in ("InService", "Updating"):
            raise ServiceError(
                "ValidationError",
                f"Endpoint {endpoint} is {status}, must be InService.",
            )
        try:
            code, kind, answer = server.invoke(body, content_type, accept)
        except CloudError as error:
            raise ServiceError("ModelError", str(error), 424) from None
        if code != 200:
            text = answer.decode("utf-8", "replace").strip()
            raise ServiceError(
                "ModelError",
                f"Received {'client' if code < 500 else 'server'} error ({code}) from"
                f" primary with message: {text}",
                424,
            )
        return kind, answer

    def close(self) -> None:
        """End all endpoints."""
        for thread in self._threads:
            thread.join(_END_S)
        for server in list(self._servers.values()):
            server.close()
