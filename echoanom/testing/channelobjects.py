"""Which objects a channel of a training job has, in which order, and on which host.

A channel names a prefix, as S3 knows it: what begins with it, folders or not. Or it
names a manifest, ``[{"prefix": "s3://bucket/folder/"}, "name", "name"]``. Everything
works the same on local files: a path is a prefix, too.

SageMaker does not say in which order objects come, nor which host gets which. Here they
come in the order of their names as UTF-8, or as a manifest lists them; shuffled by a
seed and the number of the epoch, on every host alike; and are dealt out one by one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from echoanom import objects, storage
from echoanom.errors import StorageError
from echoanom.s3requests import THREADS, payer, request, split, whole
from echoanom.unwaited import call_each

DataType = Literal["S3Prefix", "ManifestFile"]
DATA_TYPES = ("S3Prefix", "ManifestFile")


@dataclasses.dataclass(frozen=True)
class ChannelObject:
    """One object of a channel.

    Attributes
    ----------
    url : str
        Where it is: an S3 URL or a local path.
    name : str
        Its path below the channel's folder in File mode.
    size : int
        Size [byte].
    etag : str, optional
        Changes with the content, on S3.
    """

    url: str
    name: str
    size: int
    etag: str | None = None


def find_objects(source: str, data_type: DataType = "S3Prefix") -> list[ChannelObject]:
    """List the objects of a channel, those that only mark folders left out.

    Parameters
    ----------
    source : str
        Prefix, or place of the manifest: an S3 URL, a path, or a file URL.
    data_type : {'S3Prefix', 'ManifestFile'}
        Which of both it is.

    Returns
    -------
    list of ChannelObject
        In order. Names are what follows the last slash of the prefix, or what the
        manifest lists.

    Raises
    ------
    StorageError
        If the source cannot be read, is no manifest, or names what does not exist.
    """
    if data_type == "ManifestFile":
        return _listed(local_path(source))
    source = local_path(source)
    found = list(_on_s3(source) if objects.is_object(source) else _on_disk(source))
    return sorted(found, key=lambda one: os.fsencode(one.url))


def local_path(source: str) -> str:
    """Take the scheme off a file URL.

    Parameters
    ----------
    source : str
        An S3 URL, a path, or a file URL.

    Returns
    -------
    str
        An S3 URL or a path.

    Raises
    ------
    StorageError
        If it is anything else.
    """
    if source.startswith("file://"):
        return source.removeprefix("file://")
    if "://" in source and not objects.is_object(source):
        raise StorageError(
            f"a channel's data must be at s3://, file:// or a local path, got {source}"
        )
    return source


def shuffled(
    found: Sequence[ChannelObject], seed: int | None, epoch: int
) -> list[ChannelObject]:
    """Put objects into the order of an epoch.

    Parameters
    ----------
    found : sequence of ChannelObject
        The objects.
    seed : int, optional
        That of a ``ShuffleConfig``. Left out, they stay as they are.
    epoch : int
        Its number.

    Returns
    -------
    list of ChannelObject
        All of them, in an order that only depends on seed, epoch and their number.
    """
    order = list(found)
    if seed is not None:
        random.Random(f"{seed}/{epoch}").shuffle(order)
    return order


def dealt(
    found: Sequence[ChannelObject], host: int, hosts: int
) -> Sequence[ChannelObject]:
    """Take a host's share of objects, as ``ShardedByS3Key`` does.

    Parameters
    ----------
    found : sequence of ChannelObject
        The objects.
    host, hosts : int
        Which of how many hosts.

    Returns
    -------
    sequence of ChannelObject
        Every `hosts`-th. None, if there are more hosts than objects.
    """
    return found[host::hosts]


def _on_s3(prefix: str) -> Iterator[ChannelObject]:
    bucket, start = split(prefix)
    head = start.rpartition("/")[0]
    place: dict[str, Any] = {"Bucket": bucket, "Prefix": start}
    while True:
        page = request(
            "list",
            prefix,
            lambda s3, at: whole(s3.list_objects_v2(**place, **payer()), "Name"),
        )
        for entry in page.get("Contents", ()):
            key = entry["Key"]
            if not key.endswith("/"):
                name = key[len(head) + 1 if head else 0 :]
                url = f"s3://{bucket}/{key}"
                yield ChannelObject(url, name, entry["Size"], entry["ETag"])
        if not page.get("IsTruncated"):
            return
        place["ContinuationToken"] = page["NextContinuationToken"]


def _on_disk(prefix: str) -> Iterator[ChannelObject]:
    folder, start = os.path.split(prefix)
    folder = folder or "."
    with storage.storage_errors(prefix, "list"):
        for entry in os.scandir(folder):
            if not entry.name.startswith(start):
                continue
            paths = [entry.path]
            if entry.is_dir():
                paths = [
                    os.path.join(below, name)
                    for below, _, names in os.walk(entry.path)
                    for name in names
                ]
            for path in paths:
                if os.path.isfile(path):
                    name = os.path.relpath(path, folder)
                    yield ChannelObject(path, name, os.path.getsize(path))


def _listed(manifest: str) -> list[ChannelObject]:
    prefix, names = _parse_manifest(manifest, storage.read_bytes(manifest))
    described: dict[int, ChannelObject] = {}

    def describe(number: int) -> None:
        url = local_path(prefix + names[number])
        if objects.is_object(url):
            info = objects.describe(url)
            size, etag = info.size, info.etag
        else:
            size, etag = storage.size(url), None
        described[number] = ChannelObject(url, names[number], size, etag)

    call_each(describe, range(len(names)), THREADS)
    return [described[number] for number in range(len(names))]


def _parse_manifest(where: str, content: bytes) -> tuple[str, list[str]]:
    try:
        head, *names = json.loads(content)
        prefix = head["prefix"]
        right = isinstance(prefix, str) and all(isinstance(one, str) for one in names)
    except (ValueError, TypeError, KeyError):
        right = False
    if not right:
        raise StorageError(
            f'{where}: a manifest must be JSON like [{{"prefix": "s3://bucket/folder/"}},'
            f' "name", "name"], got {content[:60]!r}'
        )
    return prefix, names
