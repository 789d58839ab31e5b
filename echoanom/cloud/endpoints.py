"""Endpoints: made, found again and changed, and deleted with all that belongs to them."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from echoanom.cloud.clients import Cloud
from echoanom.cloud.joboptions import AccountOptions, HostingOptions
from echoanom.cloud.requests import Request, endpoint_requests
from echoanom.cloud.shapes import check_request
from echoanom.cloud.waiting import pauses
from echoanom.errors import CloudError

Say = Callable[[str], None]
Outcome = Literal["created", "updated", "unchanged"]

DEPLOY_S = 3600.0
"""How long an endpoint may take to come or go [s]."""

_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


@dataclasses.dataclass(frozen=True)
class Deployed:
    """An endpoint in service.

    Attributes
    ----------
    name : str
        Its name.
    outcome : {'created', 'updated', 'unchanged'}
        What was done.
    status : str
        E.g. ``InService``.
    config : str
        Name of its configuration, and of its model.
    model : str
        URL of its ``model.tar.gz``.
    """

    name: str
    outcome: Outcome
    status: str
    config: str
    model: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def plan_endpoint(
    name: str,
    model: str,
    image: str,
    hosting: HostingOptions | None = None,
    account: AccountOptions | None = None,
) -> tuple[Request, Request, Request]:
    """Make the requests for an endpoint, and check them; send none.

    Parameters
    ----------
    name : str
        The endpoint's name.
    model : str
        URL of its ``model.tar.gz``.
    image : str
        The container that serves it.
    hosting : HostingOptions, optional
        What it runs on.
    account : AccountOptions, optional
        Role, network, keys and tags.

    Returns
    -------
    model, config, endpoint : dict
        The requests.

    Raises
    ------
    CloudError
        If the service would not take them.
    """
    made = endpoint_requests(
        name, model, image, hosting or HostingOptions(), account or AccountOptions()
    )
    operations = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint")
    for operation, request in zip(operations, made, strict=True):
        check_request(operation, request)
    return made


def deploy(
    name: str,
    model: str,
    image: str,
    hosting: HostingOptions | None = None,
    account: AccountOptions | None = None,
    *,
    cloud: Cloud | None = None,
    wait: bool = True,
    say: Say | None = None,
) -> Deployed:
    """Bring an endpoint to what is wished, whatever it is now.

    Parameters
    ----------
    name : str
        The endpoint's name.
    model : str
        URL of its ``model.tar.gz``.
    image : str
        The container that serves it.
    hosting : HostingOptions, optional
        What it runs on.
    account : AccountOptions, optional
        Role, network, keys and tags.
    cloud : Cloud, optional
        Who asks.
    wait : bool
        Whether to wait until it is in service. Without, what it had before stays until
        it is deleted.
    say : callable, optional
        Gets a line for each step.

    Returns
    -------
    Deployed
        The endpoint.

    Raises
    ------
    CloudError
        If a request is wrong or refused, or the endpoint fails.
    """
    cloud, say = cloud or Cloud(), say or _quiet
    made = plan_endpoint(name, model, image, hosting, account)
    config = made[1]["EndpointConfigName"]
    found = cloud.find("DescribeEndpoint", EndpointName=name)
    if found is not None and found["EndpointStatus"] in _BUSY:
        say(f"{name} is {found['EndpointStatus']}")
        found = _settled(cloud, name, say)
    if found is not None and found["EndpointStatus"] == "Failed":
        raise CloudError(
            f"the endpoint {name} must be InService to be used or changed, but Failed:"
            f" {_failure(found)}; `echoanom sagemaker delete {name}` removes it"
        )
    outcome: Outcome = "unchanged"
    if found is None or found["EndpointConfigName"] != config:
        _make_parts(cloud, made, say)
        outcome = "created" if found is None else "updated"
        if found is None:
            cloud.call("CreateEndpoint", **made[2])
        else:
            cloud.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=config)
        say(f"{name} is {'made' if found is None else 'changed'}")
    status = "InService" if outcome == "unchanged" else "Creating"
    if wait and outcome != "unchanged":
        found = _settled(cloud, name, say)
        status = "gone" if found is None else found["EndpointStatus"]
        used = found["EndpointConfigName"] if found is not None else ""
        if status != "InService" or used != config:
            raise CloudError(
                f"the endpoint {name} must come InService with {config}, but is"
                f" {status} with {used or 'nothing'}: {_failure(found or {})}"
            )
        _remove_parts(cloud, name, keep=config)
    return Deployed(name, outcome, status, config, model)


def describe_endpoint(name: str, cloud: Cloud | None = None) -> Mapping[str, Any]:
    """Return what the service says of an endpoint.

    Parameters
    ----------
    name : str
        Its name.
    cloud : Cloud, optional
        Who asks.

    Returns
    -------
    mapping
        The answer to ``DescribeEndpoint``.

    Raises
    ------
    CloudError
        If there is none.
    """
    cloud = cloud or Cloud()
    found = cloud.find("DescribeEndpoint", EndpointName=name)
    if found is None:
        raise CloudError(
            f"there must be an endpoint {name} in {cloud.region}, but there is none;"
            " `echoanom sagemaker list` shows those there are"
        )
    return found


def delete_endpoint(
    name: str,
    *,
    cloud: Cloud | None = None,
    say: Say | None = None,
    required: bool = True,
) -> tuple[str, ...]:
    """Delete an endpoint, its configurations and its models.

    Parameters
    ----------
    name : str
        The endpoint's name.
    cloud : Cloud, optional
        Who asks.
    say : callable, optional
        Gets a line for each step.
    required : bool
        Whether there must be something to delete.

    Returns
    -------
    tuple of str
        What is gone, each as ``kind name``.

    Raises
    ------
    CloudError
        If there is nothing of this name, or something is not deleted.
    """
    cloud, say = cloud or Cloud(), say or _quiet
    gone: list[str] = []
    found = cloud.find("DescribeEndpoint", EndpointName=name)
    others: list[str] = []
    if found is not None:
        if found["EndpointStatus"] in ("Creating", "Updating", "RollingBack"):
            found = _settled(cloud, name, say) or found  # none is deleted before
        others.append(found["EndpointConfigName"])
        if found["EndpointStatus"] != "Deleting":
            cloud.call("DeleteEndpoint", EndpointName=name)
        say(f"{name} is being deleted")
        _settled(cloud, name, say, gone=True)
        gone.append(f"endpoint {name}")
    gone += _remove_parts(cloud, name, others=others)
    if not gone and required:
        raise CloudError(
            f"there must be an endpoint {name} in {cloud.region}, but there is none, nor"
            " anything that belongs to it"
        )
    return tuple(gone)


def _make_parts(cloud: Cloud, made: tuple[Request, Request, Request], say: Say) -> None:
    model, config, _ = made
    if cloud.find("DescribeModel", ModelName=model["ModelName"]) is None:
        cloud.call("CreateModel", **model)
        say(f"the model {model['ModelName']} is made")
    name = config["EndpointConfigName"]
    if cloud.find("DescribeEndpointConfig", EndpointConfigName=name) is None:
        cloud.call("CreateEndpointConfig", **config)
        say(f"the configuration {name} is made")


def _remove_parts(
    cloud: Cloud, name: str, keep: str = "", others: list[str] | None = None
) -> list[str]:
    """Delete configurations and models, those that `endpoint_requests` named."""
    own = re.compile(rf"{re.escape(name)}-[0-9a-f]{{8}}")
    configs = dict.fromkeys(others or ())
    listed = cloud.pages("ListEndpointConfigs", "EndpointConfigs", NameContains=name)
    configs.update(
        (one["EndpointConfigName"], None)
        for one in listed
        if own.fullmatch(one["EndpointConfigName"])
    )
    models: dict[str, None] = {}
    gone = []
    for config in configs:
        if config == keep:
            continue
        found = cloud.find("DescribeEndpointConfig", EndpointConfigName=config)
        if found is None:
            continue
        if config in (others or ()):
            models.update(
                (one["ModelName"], None)
                for one in found["ProductionVariants"]
                if "ModelName" in one
            )
        cloud.call("DeleteEndpointConfig", EndpointConfigName=config)
        gone.append(f"configuration {config}")
    models.update(
        (one["ModelName"], None)
        for one in cloud.pages("ListModels", "Models", NameContains=name)
        if own.fullmatch(one["ModelName"])
    )
    for model in models:
        if model != keep and cloud.find("DescribeModel", ModelName=model) is not None:
            cloud.call("DeleteModel", ModelName=model)
            gone.append(f"model {model}")
    return gone


def _settled(
    cloud: Cloud, name: str, say: Say, *, gone: bool = False
) -> Mapping[str, Any] | None:
    """Wait until an endpoint does not change any more, or is gone."""
    until = time.monotonic() + DEPLOY_S
    last = ""
    for pause in pauses():
        found = cloud.find("DescribeEndpoint", EndpointName=name)
        if found is None:
            return None
        status = found["EndpointStatus"]
        if status != last:
            say(f"{name} is {status}")
            last = status
        if status not in _BUSY and not gone:
            return found
        if time.monotonic() > until:
            raise CloudError(
                f"the endpoint {name} must settle within {DEPLOY_S:g} s, but is still"
                f" {status}"
            )
        time.sleep(pause)
    raise AssertionError("pauses never end")


def _failure(found: Mapping[str, Any]) -> str:
    return " ".join(found.get("FailureReason", "no reason is given").split())


def _quiet(line: str) -> None:
    pass
