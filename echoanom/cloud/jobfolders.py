"""The folders, files and variables of a training job's host, as SageMaker makes them."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import socket
import stat
from collections.abc import Sequence
from typing import Any

from echoanom import objects, storage
from echoanom.cloud.contract import BASE_VARIABLE
from echoanom.cloud.jobrequest import InputChannel, JobRequest
from echoanom.errors import StorageError
from echoanom.testing.channelobjects import ChannelObject, dealt
from echoanom.unwaited import call_each

_FOLDERS = (
    *("input/config", "input/data", "model", "checkpoints", "code"),
    *("output/data", "output/intermediate", "output/tensorboard"),
)
_NETWORK = "eth0"
_AT_ONCE = 4


def lay_out(base: str, job: JobRequest, host: int) -> None:
    """Make a host's folders and write what the service says there.

    Parameters
    ----------
    base : str
        The folder that stands for ``/opt/ml``.
    job : JobRequest
        The job.
    host : int
        Which of its hosts.

    Raises
    ------
    StorageError
        If something cannot be written.
    """
    config = {
        "hyperparameters": dict(job.hyperparameters),
        "inputdataconfig": input_config(job),
        "resourceconfig": resource_config(job, host),
    }
    with storage.storage_errors(base, "write"):
        for name in _FOLDERS:
            os.makedirs(os.path.join(base, name), exist_ok=True)
        for name, values in config.items():
            path = os.path.join(base, "input/config", f"{name}.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(values, file)


def input_config(job: JobRequest) -> dict[str, dict[str, str]]:
    """Return what ``inputdataconfig.json`` says.

    Parameters
    ----------
    job : JobRequest
        The job.

    Returns
    -------
    dict
        By channel.
    """
    return {
        channel.name: {
            **({"ContentType": channel.content_type} if channel.content_type else {}),
            "TrainingInputMode": channel.input_mode,
            # Not named as in the request.
            "S3DistributionType": (
                "ShardedByS3Key" if channel.sharded else "FullyReplicated"
            ),
            "RecordWrapperType": "RecordIO" if channel.wrapped else "None",
        }
        for channel in job.channels
    }


def resource_config(job: JobRequest, host: int) -> dict[str, Any]:
    """Return what ``resourceconfig.json`` says.

    Parameters
    ----------
    job : JobRequest
        The job.
    host : int
        Which of its hosts.

    Returns
    -------
    dict
        Its values.
    """
    group = "homogeneousCluster"
    return {
        "current_host": job.hosts[host],
        "current_instance_type": job.instance_type,
        "current_group_name": group,
        "hosts": list(job.hosts),
        "instance_groups": [
            {
                "instance_group_name": group,
                "instance_type": job.instance_type,
                "hosts": list(job.hosts),
            }
        ],
        "network_interface_name": _NETWORK,
    }


def variables(
    base: str, job: JobRequest, host: int, arn: str, ports: Sequence[int]
) -> dict[str, str]:
    """Return the variables that launchers set for a host's program.

    Parameters
    ----------
    base : str
        The folder that stands for ``/opt/ml``.
    job : JobRequest
        The job.
    host : int
        Which of its hosts.
    arn : str
        The job's ARN.
    ports : sequence of int
        A free port of this machine for each host.

    Returns
    -------
    dict
        Names and values.
    """
    values = {name: _decoded(text) for name, text in job.hyperparameters.items()}
    found = {
        BASE_VARIABLE: base,
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": arn,
        "SM_HOSTS": json.dumps(list(job.hosts)),
        "SM_CURRENT_HOST": job.hosts[host],
        "SM_CURRENT_INSTANCE_TYPE": job.instance_type,
        "SM_NETWORK_INTERFACE_NAME": _NETWORK,
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": str(len(glob.glob("/dev/nvidia[0-9]*"))),
        "SM_LOG_LEVEL": "20",
        "SM_MODEL_DIR": f"{base}/model",
        "SM_INPUT_DIR": f"{base}/input",
        "SM_INPUT_CONFIG_DIR": f"{base}/input/config",
        "SM_OUTPUT_DIR": f"{base}/output",
        "SM_OUTPUT_DATA_DIR": f"{base}/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": f"{base}/output/intermediate",
        "SM_CHANNELS": json.dumps([channel.name for channel in job.channels]),
        "SM_INPUT_DATA_CONFIG": json.dumps(input_config(job)),
        "SM_RESOURCE_CONFIG": json.dumps(resource_config(job, host)),
        "SM_HPS": json.dumps(values),
    }
    for channel in job.channels:
        # In Pipe mode nothing is there; launchers set it all the same.
        name = f"SM_CHANNEL_{channel.name.upper()}"
        found[name] = f"{base}/input/data/{channel.name}"
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        found[f"SM_HP_{name.upper()}"] = text
    if len(job.hosts) > 1:
        workers = [f"127.0.0.1:{port}" for port in ports]
        found["TF_CONFIG"] = json.dumps(
            {
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": host},
            }
        )
    return {**found, **job.environment}


def _decoded(text: str) -> Any:
    """Read a hyperparameter as launchers do: JSON if it is any."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def free_ports(count: int) -> tuple[int, ...]:
    """Find ports of this machine that nobody listens on.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    tuple of int
        Different ones.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def download_channel(
    channel: InputChannel,
    found: Sequence[ChannelObject],
    base: str,
    host: int,
    hosts: int,
) -> None:
    """Bring a host's share of a File or FastFile channel to its folder.

    Parameters
    ----------
    channel : InputChannel
        The channel. What comes in FastFile mode cannot be written to.
    found : sequence of ChannelObject
        All of its objects.
    base : str
        The folder that stands for ``/opt/ml``.
    host, hosts : int
        Which of how many hosts.

    Raises
    ------
    StorageError
        If an object cannot be read, or its name leads out of the folder.
    """
    folder = os.path.join(base, "input/data", channel.name)
    if channel.sharded:
        found = dealt(found, host, hosts)

    def fetch(one: ChannelObject) -> None:
        path = copy_here(one, folder)
        if channel.input_mode == "FastFile":
            os.chmod(path, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)

    with storage.storage_errors(folder, "write"):
        os.makedirs(folder, exist_ok=True)
    call_each(fetch, found, _AT_ONCE)


def copy_here(one: ChannelObject, folder: str) -> str:
    """Copy an object or local file into a folder.

    Parameters
    ----------
    one : ChannelObject
        What is copied.
    folder : str
        Where to. Folders below are made.

    Returns
    -------
    str
        Path of the copy.

    Raises
    ------
    StorageError
        If it cannot be read or written, or its name leads out of the folder.
    """
    path = os.path.normpath(os.path.join(folder, one.name))
    if not path.startswith(os.path.normpath(folder) + os.sep):
        raise StorageError(
            f"{one.url}: an object's name must stay below the folder it is copied to,"
            f" got {one.name!r}"
        )
    with storage.storage_errors(path, "write"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    if objects.is_object(one.url):
        objects.download(one.url, path)
    else:
        with storage.storage_errors(one.url, "copy"):
            shutil.copyfile(one.url, path)
    return path
