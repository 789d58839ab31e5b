"""What SageMaker tells a training job: folders, channels, hosts and hyperparameters.

::

    /opt/ml/input/config/hyperparameters.json    names and texts
    /opt/ml/input/config/inputdataconfig.json    channels
    /opt/ml/input/config/resourceconfig.json     hosts
    /opt/ml/input/data/<channel>                 File and FastFile mode: a folder
    /opt/ml/input/data/<channel>_<epoch>         Pipe mode: a FIFO for each epoch
    /opt/ml/checkpoints                          copied to and from S3 all the time
    /opt/ml/model, /opt/ml/output                what is kept of the job

The files are what the service itself writes. Where a launcher sets ``SM_*`` variables
beside them, those count: it has decoded what it was given.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echoanom.errors import CloudError

BASE = "/opt/ml"
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"
TRAIN, VALIDATION, ABOUT = "train", "validation", "manifest"
"""Names of channels: rows to train on, rows held back, and what the dataset is."""

INPUT_MODES = ("Pipe", "FastFile", "File")

_WRAPPERS = ("None", "RecordIO")
_DISTRIBUTIONS = ("FullyReplicated", "ShardedByS3Key")


@dataclasses.dataclass(frozen=True)
class Channel:
    """One input of a job.

    Attributes
    ----------
    name : str
        Its name.
    input_mode : {'Pipe', 'FastFile', 'File'}
        How it comes.
    sharded : bool
        Whether each host has objects of its own, instead of all of them.
    recordio : bool
        Whether each object comes wrapped as one RecordIO record.
    path : str
        Folder of a File or FastFile channel; of a pipe, without its epoch.
    """

    name: str
    input_mode: str
    sharded: bool
    recordio: bool
    path: str

    def fifo(self, epoch: int) -> str:
        """Return where the pipe of an epoch is.

        Parameters
        ----------
        epoch : int
            From 0, since the job began or was started again.

        Returns
        -------
        str
            A path.
        """
        return f"{self.path}_{epoch}"


@dataclasses.dataclass(frozen=True)
class Job:
    """A training job, as one of its hosts sees it.

    Attributes
    ----------
    base : str
        The folder that everything is in.
    channels : mapping of str to Channel
        Inputs by name.
    hosts : tuple of str
        All hosts, in order; the first one writes the model.
    worker : int
        Which of them this is.
    addresses : tuple of str
        ``host:port`` of each, if they are told; else empty.
    hyperparameters : mapping
        Names and texts.
    model_dir, output_dir, data_dir : str
        Folders for the model, for the failure's text, and for what else is kept.
    """

    base: str
    channels: Mapping[str, Channel]
    hosts: tuple[str, ...]
    worker: int
    addresses: tuple[str, ...]
    hyperparameters: Mapping[str, Any]
    model_dir: str
    output_dir: str
    data_dir: str

    @property
    def checkpoints(self) -> str:
        """The folder that is copied to S3 and back."""
        return os.path.join(self.base, "checkpoints")

    @property
    def tensorboard(self) -> str:
        """The folder of TensorBoard's logs."""
        return os.path.join(self.output_dir, "tensorboard")

    def channel(self, name: str) -> Channel:
        """Return a channel.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Channel
            The channel.

        Raises
        ------
        CloudError
            If there is none of this name.
        """
        if name not in self.channels:
            raise CloudError(
                f"the job must have a channel {name}, but has"
                f" {', '.join(sorted(self.channels)) or 'none'}"
            )
        return self.channels[name]


def output_dir(environment: Mapping[str, str]) -> str:
    """Return where a failure is written, also when nothing else can be read.

    Parameters
    ----------
    environment : mapping
        Variables of the process.

    Returns
    -------
    str
        A folder.
    """
    base = environment.get(BASE_VARIABLE) or BASE
    return environment.get("SM_OUTPUT_DIR") or os.path.join(base, "output")


def read_job(environment: Mapping[str, str]) -> Job:
    """Read what the service and its launcher say.

    Parameters
    ----------
    environment : mapping
        Variables of the process.

    Returns
    -------
    Job
        The job.

    Raises
    ------
    CloudError
        If a file is missing, or says what it cannot say.
    """
    base = environment.get(BASE_VARIABLE) or BASE
    config = environment.get("SM_INPUT_CONFIG_DIR") or f"{base}/input/config"
    inputs = environment.get("SM_INPUT_DIR") or f"{base}/input"
    hosts, worker = _hosts(environment, config)
    output = output_dir(environment)
    return Job(
        base=base,
        channels=_channels(environment, config, f"{inputs}/data"),
        hosts=hosts,
        worker=worker,
        addresses=_addresses(environment, len(hosts)),
        hyperparameters=_hyperparameters(environment, config),
        model_dir=environment.get("SM_MODEL_DIR") or f"{base}/model",
        output_dir=output,
        data_dir=environment.get("SM_OUTPUT_DATA_DIR") or f"{output}/data",
    )


def _hyperparameters(environment: Mapping[str, str], config: str) -> Mapping[str, Any]:
    if environment.get("SM_HPS"):
        return _object("SM_HPS", environment["SM_HPS"])
    return _read(f"{config}/hyperparameters.json", missing={})


def _channels(
    environment: Mapping[str, str], config: str, data: str
) -> dict[str, Channel]:
    path = f"{config}/inputdataconfig.json"
    if environment.get("SM_INPUT_DATA_CONFIG"):
        path = "SM_INPUT_DATA_CONFIG"
        said = _object(path, environment[path])
    else:
        said = _read(path)
    return {name: _channel(path, name, about, data) for name, about in said.items()}


def _channel(path: str, name: str, about: Any, data: str) -> Channel:
    where = f"{path}, channel {name}"
    if not isinstance(about, dict):
        raise CloudError(f"{where}: must be an object, got {about!r}")

    def choice(key: str, choices: tuple[str, ...], default: str) -> str:
        found = about.get(key) or default
        if found not in choices:
            raise CloudError(
                f"{where}: {key} must be one of {', '.join(choices)}, got {found!r}"
            )
        return str(found)

    return Channel(
        name=name,
        input_mode=choice("TrainingInputMode", INPUT_MODES, "File"),
        sharded=choice("S3DistributionType", _DISTRIBUTIONS, _DISTRIBUTIONS[0])
        == "ShardedByS3Key",
        recordio=choice("RecordWrapperType", _WRAPPERS, "None") == "RecordIO",
        # Launchers set SM_CHANNEL_<NAME> in Pipe mode, too, to what does not exist.
        path=os.path.join(data, name),
    )


def _hosts(environment: Mapping[str, str], config: str) -> tuple[tuple[str, ...], int]:
    path = f"{config}/resourceconfig.json"
    said = _read(path, missing={"current_host": "algo-1", "hosts": ["algo-1"]})
    hosts, current = said.get("hosts"), said.get("current_host")
    if environment.get("SM_HOSTS") and environment.get("SM_CURRENT_HOST"):
        path, current = "SM_HOSTS", environment["SM_CURRENT_HOST"]
        try:
            hosts = json.loads(environment["SM_HOSTS"])
        except ValueError:
            hosts = None
    if not isinstance(hosts, list) or current not in hosts:
        raise CloudError(
            f"{path}: must list this host, {current!r}, among all hosts, got {hosts!r}"
        )
    ordered = tuple(sorted(map(str, hosts), key=_number))
    return ordered, ordered.index(str(current))


def _number(host: str) -> tuple[str, int]:
    """Order algo-10 behind algo-9."""
    head, _, tail = host.rpartition("-")
    return (head, int(tail)) if tail.isdecimal() else (host, 0)


def _addresses(environment: Mapping[str, str], hosts: int) -> tuple[str, ...]:
    if not environment.get("TF_CONFIG"):
        return ()
    said = _object("TF_CONFIG", environment["TF_CONFIG"])
    workers = (said.get("cluster") or {}).get("worker")
    if not isinstance(workers, list) or len(workers) != hosts:
        raise CloudError(
            f"TF_CONFIG: must name an address for each of {hosts} hosts as workers, got"
            f" {workers!r}"
        )
    return tuple(map(str, workers))


def _read(path: str, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise CloudError(
            f"{path}: must exist; a training job runs where SageMaker, or"
            " `echoanom sagemaker train --local`, has laid out its folders"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CloudError(f"{path}: must be readable: {error}") from None
    return _object(path, text)


def _object(where: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CloudError(f"{where}: must be JSON: {error}") from None
    if not isinstance(found, dict):
        raise CloudError(f"{where}: must be a JSON object, got {text[:80]!r}")
    return found
