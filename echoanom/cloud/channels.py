"""The channels of a training job, and the lists of objects that they name.

========== ================================================================ ============
manifest   manifest and statistics, the same for every host                 File
train      Pipe: exactly the shards that hold rows to train on; else all of as asked
           the dataset's folder
validation Pipe: the shards with held-back rows, which the job reads once   Pipe
========== ================================================================ ============
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from echoanom import storage, versions
from echoanom.cloud.contract import ABOUT, TRAIN, VALIDATION
from echoanom.cloud.hyperparameters import Hyperparameters
from echoanom.cloud.joboptions import ChannelOptions
from echoanom.dataset import Dataset
from echoanom.dealing import check_dealing
from echoanom.errors import CloudError, OptionError
from echoanom.holdout import hold_back, shards_of
from echoanom.manifest import MANIFEST, SHARDS, Shard

_RECORDIO_BYTES = (1 << 29) - 1


@dataclasses.dataclass(frozen=True)
class Channels:
    """What a request says of its inputs.

    Attributes
    ----------
    config : tuple of dict
        ``InputDataConfig``.
    lists : dict of str to bytes
        Objects that must be there before the job begins, by URL.
    """

    config: tuple[dict[str, Any], ...]
    lists: dict[str, bytes]


def plan_channels(
    dataset: Dataset,
    options: Hyperparameters,
    channels: ChannelOptions,
    folder: str,
    *,
    manifest: str = MANIFEST,
    hosts: int = 1,
) -> Channels:
    """Decide which objects go to a job, and how.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    options : Hyperparameters
        Those of the job: they say which rows are held back.
    channels : ChannelOptions
        How the rows to train on come.
    folder : str
        URL of the folder that gets the lists.
    manifest : str
        Name of the dataset's manifest, below its folder.
    hosts : int
        How many machines the job has.

    Returns
    -------
    Channels
        Request and lists.

    Raises
    ------
    OptionError
        If the job could not give each window once.
    TrainingError
        If there is nothing to train on, or to hold back.
    """
    held = hold_back(
        dataset.runs,
        dataset.period_s,
        options.window.size,
        options.training.validation,
        whole_days=True,
    )
    root = _root(dataset.path)
    shards = shards_of(dataset.manifest, held.training)
    statistics = [f"{SHARDS}/{shard.name}.npz" for shard in shards]
    lists = {ABOUT: [manifest, *statistics]}
    about = _listed(ABOUT, storage.join(folder, "manifest.objects"), "File")
    if channels.input_mode != "Pipe":
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"{root}/",
            "S3DataDistributionType": "FullyReplicated",
        }
        config = [about, _channel(TRAIN, source, channels.input_mode)]
    else:
        check_dealing(
            dataset.manifest,
            options.window,
            hosts,
            dealt=channels.distribution == "ShardedByS3Key",
            shuffled=channels.shuffle_objects,
        )
        if channels.distribution == "ShardedByS3Key" and len(shards) < hosts:
            raise OptionError(
                f"{hosts} hosts must have at least one shard each to train on, but"
                f" {len(shards)} hold rows to train on; take fewer hosts, or convert"
                " with a smaller --shard-size"
            )
        kept = shards_of(dataset.manifest, held.validation)
        _check_wrapped((*shards, *kept), channels)
        lists[TRAIN] = [f"{SHARDS}/{shard.name}.tfrecord" for shard in shards]
        lists[VALIDATION] = [f"{SHARDS}/{shard.name}.tfrecord" for shard in kept]
        train = _listed(TRAIN, storage.join(folder, "train.objects"), "Pipe")
        source = train["DataSource"]["S3DataSource"]
        source["S3DataDistributionType"] = channels.distribution
        if channels.shuffle_objects:
            # Not 0: the SDK takes that for none, and leaves out the whole.
            train["ShuffleConfig"] = {"Seed": max(options.window.seed, 1)}
        kept_back = _listed(
            VALIDATION, storage.join(folder, "validation.objects"), "Pipe"
        )
        for channel in (train, kept_back):
            channel["CompressionType"] = channels.compression
            channel["RecordWrapperType"] = channels.record_wrapper
        config = [about, train, kept_back]
    return Channels(
        config=tuple(config),
        lists={
            storage.join(folder, f"{name}.objects"): _content(root, names)
            for name, names in lists.items()
        },
    )


def manifest_name(dataset: Dataset) -> str:
    """Find the file that holds the manifest of a dataset's version.

    Parameters
    ----------
    dataset : Dataset
        The dataset, of this version or an earlier one.

    Returns
    -------
    str
        Its name, below the dataset's folder.

    Raises
    ------
    CloudError
        If the version is not kept any more.
    StorageError
        If the folder cannot be read.
    """
    current = storage.read_bytes(storage.join(dataset.path, MANIFEST))
    if current == dataset.manifest.as_bytes():
        return MANIFEST
    folder = storage.join(dataset.path, versions.FOLDER)
    names = storage.list_files(folder) if storage.exists(folder) else []
    for name, _ in reversed(names):
        if name.endswith(f"-{dataset.digest}.json"):
            return f"{versions.FOLDER}/{name}"
    raise CloudError(
        f"{dataset.path}: must hold its version {dataset.digest}, but does not any more;"
        " open it again"
    )


def _check_wrapped(shards: Sequence[Shard], channels: ChannelOptions) -> None:
    largest = max(shards, key=lambda shard: shard.bytes)
    if channels.record_wrapper == "RecordIO" and largest.bytes > _RECORDIO_BYTES:
        raise OptionError(
            f"shards must have at most {_RECORDIO_BYTES:,} bytes to be wrapped as a"
            f" RecordIO record each, but {largest.name} has {largest.bytes:,}; convert"
            " with a smaller --shard-size"
        )


def _listed(name: str, list_url: str, mode: str) -> dict[str, Any]:
    source = {
        "S3DataType": "ManifestFile",
        "S3Uri": list_url,
        "S3DataDistributionType": "FullyReplicated",
    }
    return _channel(name, source, mode)


def _channel(name: str, source: dict[str, str], mode: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        "InputMode": mode,
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }


def _content(root: str, names: Sequence[str]) -> bytes:
    return (json.dumps([{"prefix": f"{root}/"}, *names], indent=1) + "\n").encode()


def _root(path: str) -> str:
    """Return the dataset's folder as a request names it."""
    path = path.rstrip("/")
    if storage.is_local(path):
        return os.path.abspath(storage.filesystem(path)[1])
    return "s3://" + path.removeprefix("s3a://") if path.startswith("s3a://") else path
