"""Earlier versions of a dataset: kept when it changes, found by name, removed in time.

A version's name is the hash of its manifest, as `Dataset.digest`. The current one is
``manifest.json``; those before stand in ``versions/<number>-<name>.json``, and their shards
stay where they are. ``DATASET@NAME`` opens one, so what a model was trained on can be read
again for as long as the version is kept.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import xxhash

from echoanom import objects, publishing, storage
from echoanom.errors import ManifestError
from echoanom.manifest import SHARDS, Manifest, manifest_path

FOLDER = "versions"

KEPT = 10
"""Versions that stay, the current one included, unless told otherwise."""

UNSURE_S = 24 * 3600
"""Age from which an object that no version lists is nobody's work in progress [s]."""

_AT = re.compile(r"(.+)@([0-9a-f]{6,32})")
_FILE = re.compile(r"(\d{6,})-([0-9a-f]{32})\.json")


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of a dataset.

    Attributes
    ----------
    name : str
        Hash of its manifest, 32 hexadecimal digits.
    current : bool
        Whether it is the one that the dataset's own path opens.
    rows : int
        Number of rows.
    first_day, last_day : str
        First and last day with rows, as ``YYYY-MM-DD``; empty without rows.
    """

    name: str
    current: bool
    rows: int
    first_day: str
    last_day: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def split(path: str) -> tuple[str, str | None]:
    """Take ``DATASET@NAME`` apart.

    Parameters
    ----------
    path : str
        A dataset, as path or URL.

    Returns
    -------
    dataset : str
        The dataset's folder.
    name : str or None
        Beginning of the version's name, at least 6 hexadecimal digits, if it is given.
    """
    match = _AT.fullmatch(path)
    return (match[1], match[2]) if match else (path, None)


def keep(dataset: str, content: bytes) -> None:
    """Keep a manifest that is about to be replaced.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.
    content : bytes
        The manifest's content.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    name = xxhash.xxh3_128_hexdigest(content)
    earlier = _earlier(dataset)
    if not earlier or earlier[0].name != name:
        number = earlier[0].number + 1 if earlier else 1
        path = storage.join(dataset, FOLDER, f"{number:06}-{name}.json")
        publishing.write_bytes(path, content)


def read_version(dataset: str, name: str) -> Manifest:
    """Read the manifest of a version.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.
    name : str
        Beginning of the version's name.

    Returns
    -------
    Manifest
        What the dataset held then.

    Raises
    ------
    ManifestError
        If there is no such version, more than one, or it is damaged.
    """
    seen = publishing.look(manifest_path(dataset))
    if seen.content is not None:
        if xxhash.xxh3_128_hexdigest(seen.content).startswith(name):
            return Manifest.from_bytes(seen.content, manifest_path(dataset))
    found = {
        one.name: one.path for one in _earlier(dataset) if one.name.startswith(name)
    }
    if len(found) != 1:
        raise ManifestError(
            f"{dataset}@{name}: must be one version of the dataset, but"
            f" {len(found) or 'none'} of those that are kept begins so; `echoanom"
            " versions` lists them"
        )
    ((whole, path),) = found.items()
    content = storage.read_bytes(path)
    if xxhash.xxh3_128_hexdigest(content) != whole:
        raise ManifestError(f"{path}: is damaged: its hash is not its name")
    return Manifest.from_bytes(content, path)


def list_versions(dataset: str) -> tuple[Version, ...]:
    """List the versions of a dataset that can be read.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.

    Returns
    -------
    tuple of Version
        The current one first, then those before, the latest first.

    Raises
    ------
    ManifestError
        If there is no dataset, or a manifest is damaged.
    """
    path = manifest_path(dataset)
    content = publishing.look(path).content
    if content is None:
        raise ManifestError(f"{dataset}: must be a dataset made by `echoanom convert`")
    current = xxhash.xxh3_128_hexdigest(content)
    listed = [_describe(current, Manifest.from_bytes(content, path), current=True)]
    for name in _names(_earlier(dataset), current):
        manifest = read_version(dataset, name)
        listed.append(_describe(name, manifest, current=False))
    return tuple(listed)


def tidy(dataset: str, manifest: Manifest, kept: int = KEPT) -> None:
    """Remove the versions that are too many, and files that no version lists.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL. Its current manifest is there.
    manifest : Manifest
        The current version.
    kept : int
        Versions to keep, the current one included; at least 1.

    Raises
    ------
    StorageError
        If something cannot be listed, read or removed.
    """
    current = xxhash.xxh3_128_hexdigest(manifest.as_bytes())
    earlier = _earlier(dataset)
    names = _names(earlier, current)[: kept - 1]
    listed = {shard.name for shard in manifest.shards}
    for name in names:
        listed |= {shard.name for shard in read_version(dataset, name).shards}
    for one in earlier:
        if one.name not in names:
            storage.remove(one.path)
    for name in _idle(dataset):
        if name.split(".")[0] not in listed:
            storage.remove(storage.join(dataset, SHARDS, name))


def _idle(dataset: str) -> Iterable[str]:
    """Yield the files of shards that nobody can be about to list in a manifest."""
    folder = storage.join(dataset, SHARDS)
    if storage.is_local(dataset):
        # Who may write here holds the folder's lock.
        for name, _ in storage.list_files(folder) if storage.exists(folder) else ():
            yield name
    elif objects.is_object(dataset):
        now = objects.describe(manifest_path(dataset)).modified_s
        for found in objects.list_objects(folder + "/"):
            if now - found.modified_s > UNSURE_S:
                yield found.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True, order=True)
class _Earlier:
    number: int
    name: str
    path: str


def _earlier(dataset: str) -> list[_Earlier]:
    """Find the versions that are kept, the latest first; one may be there twice."""
    folder = storage.join(dataset, FOLDER)
    if not storage.exists(folder):
        return []
    found = [
        _Earlier(int(match[1]), match[2], storage.join(folder, name))
        for name, _ in storage.list_files(folder)
        if (match := _FILE.fullmatch(name))
    ]
    return sorted(found, reverse=True)


def _names(earlier: Iterable[_Earlier], current: str) -> list[str]:
    """Name each once; what is current again is not an earlier one."""
    names = dict.fromkeys(one.name for one in earlier)
    return [name for name in names if name != current]


def _describe(name: str, manifest: Manifest, current: bool) -> Version:
    days = manifest.days
    return Version(
        name=name,
        current=current,
        rows=manifest.rows,
        first_day=days[0].isoformat() if days else "",
        last_day=days[-1].isoformat() if days else "",
    )
