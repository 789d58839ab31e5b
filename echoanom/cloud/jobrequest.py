"""What a ``CreateTrainingJob`` request says to whoever runs the job on this machine."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from echoanom.cloud.contract import BASE, INPUT_MODES
from echoanom.errors import CloudError
from echoanom.testing.channelobjects import DATA_TYPES, DataType

Request = Mapping[str, Any]

_DAY_S = 86_400
_JOB = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_CHANNEL = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
_DISTRIBUTIONS = ("FullyReplicated", "ShardedByS3Key")
_REQUIRED: Any = object()


@dataclasses.dataclass(frozen=True)
class InputChannel:
    """A channel.

    Attributes
    ----------
    name : str
        Its name.
    input_mode : {'Pipe', 'FastFile', 'File'}
        How it comes; the job's own mode if the channel says nothing.
    source : str
        Where its objects are.
    data_type : {'S3Prefix', 'ManifestFile'}
        What lies there.
    sharded : bool
        Whether each host gets a share of them.
    content_type : str
        As it is handed on; may be empty.
    gzip, wrapped : bool
        Whether a pipe unpacks objects, and wraps them as RecordIO records.
    shuffle_seed : int, optional
        By which a pipe shuffles them.
    """

    name: str
    input_mode: str
    source: str
    data_type: DataType
    sharded: bool
    content_type: str
    gzip: bool
    wrapped: bool
    shuffle_seed: int | None


@dataclasses.dataclass(frozen=True)
class MirroredFolder:
    """A folder of each host that is copied to a store while the job runs.

    Attributes
    ----------
    folder : str
        Below ``/opt/ml``.
    url : str
        Where it is copied to.
    """

    folder: str
    url: str


@dataclasses.dataclass(frozen=True)
class JobRequest:
    """A training job.

    Attributes
    ----------
    name : str
        Its name.
    hosts : tuple of str
        Names of the hosts, ``algo-1`` and so on.
    instance_type : str
        What they are.
    channels : tuple of InputChannel
        The inputs.
    hyperparameters : mapping of str to str
        As they were given.
    environment : mapping of str to str
        Variables of the job.
    output : str
        The folder that gets ``<job>/output/model.tar.gz``.
    checkpoints, tensorboard : MirroredFolder, optional
        The first is also brought back before the job begins.
    max_runtime_s : float
        When it is ended [s].
    metrics : tuple of (str, re.Pattern)
        Names of metrics, and how their values are found in lines.
    """

    name: str
    hosts: tuple[str, ...]
    instance_type: str
    channels: tuple[InputChannel, ...]
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]
    output: str
    checkpoints: MirroredFolder | None
    tensorboard: MirroredFolder | None
    max_runtime_s: float
    metrics: tuple[tuple[str, re.Pattern[str]], ...]


def parse_request(request: Request) -> JobRequest:
    """Read a request.

    Parameters
    ----------
    request : mapping
        As boto3's ``create_training_job`` takes it; places may be local paths, too.

    Returns
    -------
    JobRequest
        What it says.

    Raises
    ------
    CloudError
        If something is missing, is what it cannot be, or is not played here.
    """
    name = _text(request, "TrainingJobName")
    if not _JOB.fullmatch(name):
        raise CloudError(
            "TrainingJobName must have 1 to 63 letters, digits and dashes, got"
            f" {name!r}"
        )
    resources = _mapping(request, "ResourceConfig")
    count = resources.get("InstanceCount")
    if not isinstance(count, int) or count < 1:
        raise CloudError(
            f"ResourceConfig.InstanceCount must be a positive integer, got {count!r}"
            " (instance groups are not played on this machine)"
        )
    algorithm = _mapping(request, "AlgorithmSpecification", {})
    output = _mapping(request, "OutputDataConfig")
    _choice(output, "OutputDataConfig.CompressionType", ("GZIP",), "GZIP")
    mode = _choice(
        algorithm, "AlgorithmSpecification.TrainingInputMode", INPUT_MODES, "File"
    )
    channels = tuple(
        _channel(one, number, mode)
        for number, one in enumerate(_list(request, "InputDataConfig"))
    )
    names = [channel.name for channel in channels]
    if len(set(names)) < len(names):
        raise CloudError(f"channels must have different names, got {', '.join(names)}")
    stopping = _mapping(request, "StoppingCondition", {})
    return JobRequest(
        name=name,
        hosts=tuple(f"algo-{number + 1}" for number in range(count)),
        instance_type=str(resources.get("InstanceType", "local")),
        channels=channels,
        hyperparameters=_texts(request, "HyperParameters"),
        environment=_texts(request, "Environment"),
        output=_text(output, "OutputDataConfig.S3OutputPath"),
        checkpoints=_mirrored(
            request, "CheckpointConfig", "S3Uri", f"{BASE}/checkpoints", ""
        ),
        tensorboard=_mirrored(
            request,
            "TensorBoardOutputConfig",
            "S3OutputPath",
            f"{BASE}/output/tensorboard",
            f"/{name}/tensorboard-output",
        ),
        max_runtime_s=float(stopping.get("MaxRuntimeInSeconds", _DAY_S)),
        metrics=tuple(_metric(one) for one in _list(algorithm, "MetricDefinitions")),
    )


def _channel(about: Any, number: int, default_mode: str) -> InputChannel:
    where = f"InputDataConfig[{number}]"
    if not isinstance(about, Mapping):
        raise CloudError(f"{where} must be an object, got {about!r}")
    name = _text(about, f"{where}.ChannelName")
    if not _CHANNEL.fullmatch(name):
        raise CloudError(
            f"{where}.ChannelName must have 1 to 64 letters, digits, dots, dashes and"
            f" underscores, got {name!r}"
        )
    where = f"channel {name}:"
    source = _mapping(_mapping(about, f"{where} DataSource"), f"{where} S3DataSource")
    mode = _choice(about, f"{where} InputMode", INPUT_MODES, default_mode)
    data_type = _choice(source, f"{where} S3DataType", DATA_TYPES)
    if mode == "FastFile" and data_type != "S3Prefix":
        raise CloudError(
            f"{where} S3DataType must be S3Prefix in FastFile mode, got {data_type}"
        )
    gzip = _choice(about, f"{where} CompressionType", ("None", "Gzip"), "None")
    wrapper = _choice(about, f"{where} RecordWrapperType", ("None", "RecordIO"), "None")
    for key, value in (("CompressionType", gzip), ("RecordWrapperType", wrapper)):
        if mode != "Pipe" and value != "None":
            raise CloudError(
                f"{where} {key} must be None in {mode} mode, got {value}; only Pipe mode"
                " changes objects on their way"
            )
    seed = _mapping(about, f"{where} ShuffleConfig", {}).get("Seed")
    distribution = _choice(
        source, f"{where} S3DataDistributionType", _DISTRIBUTIONS, _DISTRIBUTIONS[0]
    )
    return InputChannel(
        name=name,
        input_mode=mode,
        source=_text(source, f"{where} S3Uri"),
        data_type=cast(DataType, data_type),
        sharded=distribution == "ShardedByS3Key",
        content_type=str(about.get("ContentType") or ""),
        gzip=gzip == "Gzip",
        wrapped=wrapper == "RecordIO",
        shuffle_seed=None if seed is None else int(seed),
    )


def _mirrored(
    request: Request, key: str, url_key: str, default: str, below: str
) -> MirroredFolder | None:
    if request.get(key) is None:
        return None
    about = _mapping(request, key)
    path = str(about.get("LocalPath") or default)
    inside = path.removeprefix(f"{BASE}/").strip("/")
    if not path.startswith(f"{BASE}/") or ".." in inside.split("/") or not inside:
        raise CloudError(
            f"{key}.LocalPath must be a folder below {BASE}, which is moved on this"
            f" machine, got {path!r}"
        )
    url = _text(about, f"{key}.{url_key}").rstrip("/")
    return MirroredFolder(inside, url + below)


def _metric(about: Any) -> tuple[str, re.Pattern[str]]:
    if not isinstance(about, Mapping):
        raise CloudError(f"a metric definition must be an object, got {about!r}")
    name = _text(about, "Name")
    expression = _text(about, "Regex")
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise CloudError(
            f"the metric {name} must have a regular expression, got {expression!r}:"
            f" {error}"
        ) from None
    if not pattern.groups:
        raise CloudError(
            f"the metric {name} must have a regular expression with a group for the"
            f" value, got {expression!r}"
        )
    return name, pattern


def _key(where: str) -> str:
    """Return the last part of a place in a request."""
    return re.split(r"[. ]", where)[-1]


def _get(
    of: Mapping[str, Any],
    where: str,
    right: Callable[[Any], bool],
    kind: str,
    default: Any = _REQUIRED,
) -> Any:
    value = of.get(_key(where))
    if value is None and default is not _REQUIRED:
        return default
    if value is None or not right(value):
        came = "is missing" if value is None else f"got {value!r}"
        raise CloudError(f"{where} must be {kind}, {'but ' * (value is None)}{came}")
    return value


def _text(of: Mapping[str, Any], where: str) -> str:
    return str(
        _get(of, where, lambda one: isinstance(one, str) and one != "", "a text")
    )


def _mapping(of: Mapping[str, Any], where: str, default: Any = _REQUIRED) -> Request:
    found = _get(of, where, lambda one: isinstance(one, Mapping), "an object", default)
    return cast(Request, found)


def _list(of: Mapping[str, Any], where: str) -> Sequence[Any]:
    found = _get(of, where, lambda one: isinstance(one, list | tuple), "a list", ())
    return cast(Sequence[Any], found)


def _texts(of: Mapping[str, Any], where: str) -> Mapping[str, str]:
    found = _mapping(of, where, {})
    for name, value in found.items():
        if not isinstance(value, str):
            raise CloudError(f"{where}: {name} must be a text, got {value!r}")
    return dict(found)


def _choice(
    of: Mapping[str, Any],
    where: str,
    choices: Sequence[str],
    default: Any = _REQUIRED,
) -> str:
    kind = f"one of {', '.join(choices)}"
    return str(_get(of, where, lambda one: one in choices, kind, default))
