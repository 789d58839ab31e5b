"""Look at every file once, and remember what was seen in the sensor's folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from echoanom import publishing, storage
from echoanom.errors import InstrumentFileError
from echoanom.hashing import hash_file
from echoanom.ingest.files import FoundFile, describe, local_copy
from echoanom.ingest.instrument import Instrument, InstrumentFile, Look

NAME = "files.json"
_VERSION = 1

Map = Callable[..., Iterable[Any]]
"""Like `map`, over processes perhaps."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is known of the files of a sensor.

    Attributes
    ----------
    files : tuple of InstrumentFile
        Those that can be taken, each content once, by time of their first sample.
    known : tuple of InstrumentFile
        The same, and those with the content of another.
    skipped : tuple of (str, str)
        Those that cannot, each with the reason.
    same : tuple of (str, str)
        Those with the content of another, each with that other.
    """

    files: tuple[InstrumentFile, ...]
    known: tuple[InstrumentFile, ...]
    skipped: tuple[tuple[str, str], ...]
    same: tuple[tuple[str, str], ...]


class Memory:
    """The files that a sensor's days were made from, in ``<folder>/files.json``.

    Parameters
    ----------
    folder : str
        The sensor's folder, as path or URL.
    instrument : Instrument
        The reader. What another one, or another version, saw is not believed.
    """

    def __init__(self, folder: str, instrument: Instrument) -> None:
        self._path = storage.join(folder, NAME)
        self._reader = f"{instrument.name} {instrument.look_version}"
        self._entries: dict[str, dict[str, Any]] = {}
        self._content = publishing.look(self._path).content
        self.remembered: dict[str, InstrumentFile] = {}
        """Files of earlier calls, by path."""
        self._read()

    def _read(self) -> None:
        try:
            known = json.loads(self._content or b"{}")
            if known.get("version") != _VERSION or known.get("reader") != self._reader:
                return
            for path, entry in known["files"].items():
                look = Look(entry["first_us"], entry["last_us"], entry["facts"])
                file = InstrumentFile(path, entry["size"], entry["hash"], look)
                self.remembered[path] = file
                self._entries[path] = entry
        except (ValueError, KeyError, TypeError, AttributeError):
            self.remembered, self._entries = {}, {}

    def find(self, found: FoundFile) -> InstrumentFile | None:
        """Return what was seen of a file, if it is the same as then.

        Parameters
        ----------
        found : FoundFile
            The file as it is now.

        Returns
        -------
        InstrumentFile or None
            None if it was not seen, or has changed.
        """
        entry = self._entries.get(found.path)
        if entry is None or not found.tag:
            return None
        same = (entry["size"], entry["tag"]) == (found.size, found.tag)
        return self.remembered[found.path] if same else None

    def keep(
        self, files: Iterable[InstrumentFile], found: Mapping[str, FoundFile]
    ) -> None:
        """Write down what is known now.

        Parameters
        ----------
        files : iterable of InstrumentFile
            The files, as they were looked at.
        found : mapping of str to FoundFile
            The files of this call, by path.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        entries = {}
        for file in files:
            before = self._entries.get(file.path, {"tag": ""})
            entries[file.path] = {
                "size": file.size,
                "tag": found[file.path].tag if file.path in found else before["tag"],
                "hash": file.hash,
                "first_us": file.look.first_us,
                "last_us": file.look.last_us,
                "facts": dict(file.look.facts),
            }
        known = {"version": _VERSION, "reader": self._reader, "files": entries}
        content = (json.dumps(known, sort_keys=True) + "\n").encode()
        if content != self._content:
            publishing.write_bytes(self._path, content)


def look_at(
    instrument: Instrument,
    found: Sequence[FoundFile],
    memory: Memory,
    map_: Map,
    on_error: str,
) -> Seen:
    """Look at files that are new or have changed.

    Parameters
    ----------
    instrument : Instrument
        The reader.
    found : sequence of FoundFile
        The files of this call.
    memory : Memory
        What earlier calls saw. Their files belong to the sensor still.
    map_ : callable
        Like `map`.
    on_error : {'fail', 'skip'}
        What to do with a file that cannot be taken.

    Returns
    -------
    Seen
        All files of the sensor.

    Raises
    ------
    InstrumentFileError
        If a file cannot be taken and `on_error` is ``fail``.
    StorageError
        If one cannot be read.
    """
    files = dict(memory.remembered)
    skipped = []
    news = [one for one in found if memory.find(one) is None]
    for one, result in zip(
        news, map_(_look, [instrument] * len(news), news), strict=True
    ):
        if isinstance(result, InstrumentFile):
            files[one.path] = result
            continue
        if on_error == "fail":
            raise result
        files.pop(one.path, None)
        skipped.append((one.path, result.message))
    by_hash: dict[str, InstrumentFile] = {}
    same = []
    given = {one.path for one in found}
    # Of two with the same content, one that is known to be there.
    for file in sorted(files.values(), key=lambda x: (x.path not in given, x.path)):
        first = by_hash.setdefault(file.hash, file)
        if first is not file and file.path in given:
            same.append((file.path, first.path))
    order = sorted(by_hash.values(), key=lambda x: (x.look.first_us, x.path))
    return Seen(tuple(order), tuple(files.values()), tuple(skipped), tuple(same))


def is_there(
    file: InstrumentFile, found: Mapping[str, FoundFile], memory: Memory
) -> bool:
    """Tell whether a file can be read again.

    Parameters
    ----------
    file : InstrumentFile
        The file.
    found : mapping of str to FoundFile
        The files of this call, by path, which were looked at.
    memory : Memory
        What earlier calls saw.

    Returns
    -------
    bool
        False if it is gone, or has changed since it was looked at.
    """
    if file.path in found:
        return True
    now = describe(file.path)
    if now is None or now.size != file.size:
        return False
    return not now.tag or memory.find(now) is not None


def _look(
    instrument: Instrument, found: FoundFile
) -> InstrumentFile | InstrumentFileError:
    with local_copy(found.path) as local:
        try:
            if found.size == 0:
                raise InstrumentFileError(
                    "must hold samples, got an empty file", found.path
                )
            look = instrument.look(found.path, local)
            if look.last_us < look.first_us:
                raise InstrumentFileError(
                    "must end after it starts, but its clock runs backwards",
                    found.path,
                )
            with storage.storage_errors(found.path, "read"), open(local, "rb") as file:
                size, digest = hash_file(file)
            return InstrumentFile(found.path, size, digest, look)
        except InstrumentFileError as error:
            return error
