"""What SageMaker takes in a request, from its own service model.

botocore checks types, required fields and least lengths before it sends a request, but
neither enumerations, patterns nor greatest lengths; those the service finds later, and
says so at length. Here all of it is checked, and what fails first is told in one line.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from echoanom.errors import CloudError

_SHOWN = 8
_LONGEST = 80
# Java's names of classes of characters, as they are written in Python. In the service's
# patterns letters always stand beside numbers and the underscore, as in \w.
_CLASSES = (
    (r"\p{L}", r"\w"),
    (r"\p{M}", ""),
    (r"\p{Z}", r"\s"),
    (r"\p{N}", r"\d"),
    (r"\p{Alnum}", "a-zA-Z0-9"),
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"\p{Print}", r"\x20-\x7e"),
)


@functools.cache
def service_model(service: str = "sagemaker") -> Any:
    """Return the model of a service, as botocore brings it.

    Parameters
    ----------
    service : str
        Its name in botocore.

    Returns
    -------
    botocore.model.ServiceModel
        The model.
    """
    import botocore.session

    return botocore.session.Session().get_service_model(service)


def check_request(
    operation: str, request: Mapping[str, Any], service: str = "sagemaker"
) -> None:
    """Require that a request is one that the service takes.

    Parameters
    ----------
    operation : str
        E.g. ``CreateTrainingJob``.
    request : mapping
        Its parameters, as a client of boto3 takes them.
    service : str
        The service's name in botocore.

    Raises
    ------
    CloudError
        If it is not: says where, what must hold, and what came.
    """
    wrong = next(problems(operation, request, service), None)
    if wrong is not None:
        raise CloudError(f"{operation}: {wrong}")


def problems(
    operation: str, request: Mapping[str, Any], service: str = "sagemaker"
) -> Iterator[str]:
    """Find all that is wrong with a request.

    Parameters
    ----------
    operation : str
        E.g. ``CreateTrainingJob``.
    request : mapping
        Its parameters.
    service : str
        The service's name in botocore.

    Yields
    ------
    str
        A line for each.
    """
    from botocore.validate import ParamValidator

    shape = service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    # Lengths and ranges are told better below.
    wrong = [
        line
        for line in report.generate_report().splitlines()
        if ", valid min " not in line
    ]
    for line in wrong:
        yield _LONG.sub("got a value of another type", line)
    if wrong:
        return
    yield from _walk(request, shape, "")
    if operation in _RULES:
        yield from _RULES[operation](request)


# botocore repeats a value of the wrong type whole.
_LONG = re.compile(r"value: .{200,}, type: .*")


def enumeration(shape: str) -> tuple[str, ...]:
    """List the values that a text may have.

    Parameters
    ----------
    shape : str
        The name of its shape, e.g. ``TrainingInstanceType``.

    Returns
    -------
    tuple of str
        The values.
    """
    return tuple(service_model().shape_for(shape).enum)


def _walk(value: Any, shape: Any, where: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _walk(
                member, shape.members[name], f"{where}.{name}" if where else name
            )
    elif shape.type_name == "list":
        yield from _bounds(len(value), shape, where, "entries")
        for place, member in enumerate(value):
            yield from _walk(member, shape.member, f"{where}[{place}]")
    elif shape.type_name == "map":
        yield from _bounds(len(value), shape, where, "entries")
        for name, member in value.items():
            yield from _walk(name, shape.key, f"the name of {where}.{name}")
            yield from _walk(member, shape.value, f"{where}.{name}")
    elif shape.type_name == "string":
        yield from _text(value, shape, where)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _bounds(value, shape, where, "")
    elif shape.type_name == "blob" and isinstance(value, bytes | bytearray):
        yield from _bounds(len(value), shape, where, "bytes")


def _text(value: str, shape: Any, where: str) -> Iterator[str]:
    shown = repr(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    if shape.enum:
        if value not in shape.enum:
            yield f"{where} must be {_choices(value, shape.enum)}, got {shown}"
        return
    pattern = shape.metadata.get("pattern")
    if shape.name not in _FORMS or len(value) > _LONGEST:
        yield from _bounds(len(value), shape, where, "characters", shown)
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield f"{where} must be {_form(shape.name, pattern)}, got {shown}"


def _choices(value: str, enum: list[str]) -> str:
    if len(enum) <= _SHOWN:
        return f"one of {', '.join(enum)}"
    close = difflib.get_close_matches(value, enum, n=3, cutoff=0.5)
    like = ", ".join(close or enum[:3])
    return f"one of {len(enum)} that SageMaker has, such as {like}"


def _bounds(
    number: float, shape: Any, where: str, unit: str, shown: str = ""
) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    got = f"{number} {unit}".strip() + (f": {shown}" if shown else "")
    if least is not None and number < least:
        yield f"{where} must have at least {least} {unit}".strip() + f", got {got}"
    if most is not None and number > most:
        yield f"{where} must have at most {most} {unit}".strip() + f", got {got}"


_FORMS = {
    "RoleArn": "the ARN of a role such as arn:aws:iam::123456789012:role/SageMaker",
    "S3Uri": "an S3 URL such as s3://bucket/folder",
}
_NAMES = ("JobName", "EndpointName", "EndpointConfigName", "ModelName")


def _form(shape: str, pattern: str) -> str:
    if shape in _FORMS:
        return _FORMS[shape]
    if shape.endswith(_NAMES):
        return "of letters, digits and hyphens between them"
    return f"of the form {pattern}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    for java, python in _CLASSES:
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern)
    except re.error:
        return None  # a class that Python does not have; the service will check it


def _training_rules(request: Mapping[str, Any]) -> Iterator[str]:
    """Find what only fields together make wrong."""
    algorithm = request.get("AlgorithmSpecification", {})
    if bool(algorithm.get("TrainingImage")) == bool(algorithm.get("AlgorithmName")):
        yield "AlgorithmSpecification must have either TrainingImage or AlgorithmName"
    stopping = request.get("StoppingCondition", {})
    runtime = stopping.get("MaxRuntimeInSeconds", 86_400)
    wait = stopping.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            yield (
                "StoppingCondition.MaxWaitTimeInSeconds must be at least"
                f" MaxRuntimeInSeconds ({runtime}) with spot instances, got {wait}"
            )
    elif wait is not None:
        yield (
            "StoppingCondition.MaxWaitTimeInSeconds must be left out without spot"
            f" instances, got {wait}"
        )
    resources = request.get("ResourceConfig", {})
    if not resources.get("InstanceType") and not resources.get("InstanceGroups"):
        yield "ResourceConfig must have an InstanceType"
    seen: set[str] = set()
    for channel in request.get("InputDataConfig", ()):
        yield from _channel_rules(channel, algorithm.get("TrainingInputMode"))
        name = channel["ChannelName"]
        if name in seen:
            yield f"InputDataConfig must have channels of different names, got two {name}"
        seen.add(name)


def _channel_rules(channel: Mapping[str, Any], default_mode: str) -> Iterator[str]:
    where = f"the channel {channel['ChannelName']}"
    mode = channel.get("InputMode") or default_mode
    source = channel["DataSource"].get("S3DataSource")
    if channel.get("CompressionType", "None") != "None" and mode != "Pipe":
        yield (
            f"{where} must be in Pipe mode to have CompressionType"
            f" {channel['CompressionType']}, got {mode}"
        )
    if source and mode == "FastFile" and source["S3DataType"] != "S3Prefix":
        yield (
            f"{where} must have S3DataType S3Prefix in FastFile mode, got"
            f" {source['S3DataType']}"
        )
    if source and source["S3DataType"] == "AugmentedManifestFile" and mode != "Pipe":
        yield (f"{where} must be in Pipe mode for an AugmentedManifestFile, got {mode}")


def _transform_rules(request: Mapping[str, Any]) -> Iterator[str]:
    at_once = request.get("MaxConcurrentTransforms") or 1
    payload = request.get("MaxPayloadInMB", 6)
    if at_once * payload > 100:
        yield (
            "MaxConcurrentTransforms times MaxPayloadInMB must be at most 100, got"
            f" {at_once} times {payload}"
        )


def _variant_rules(request: Mapping[str, Any]) -> Iterator[str]:
    for place, variant in enumerate(request["ProductionVariants"]):
        serverless = "ServerlessConfig" in variant
        if serverless == ("InstanceType" in variant):
            yield (
                f"ProductionVariants[{place}] must have either an InstanceType or a"
                " ServerlessConfig"
            )


_RULES = {
    "CreateTrainingJob": _training_rules,
    "CreateTransformJob": _transform_rules,
    "CreateEndpointConfig": _variant_rules,
}
