"""Which content source tables have, found out without reading them more than once.

A table is known by the hash of its content. Where a store gives each object a tag that
changes with the content, the hash is looked up in what an earlier conversion wrote
down beside the dataset, so bringing a decade up to date reads its new days alone. What
had to be read for its hash is spooled on this machine, and not asked for again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import tempfile
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence

from echoanom import publishing, storage
from echoanom.discovery import SensorFiles
from echoanom.distributed import Cluster
from echoanom.errors import StorageError
from echoanom.identities import Identity, TableFile, identify_tables, relative
from echoanom.manifest import Source
from echoanom.options import TableOptions

logger = logging.getLogger(__name__)

NAME = "sources.json"

_VERSION = 1
_SPOOL_BYTES = 4 << 30
_TABLES = 64  # that a worker reads at once

_Known = tuple[str, int, str, int, str | None]
"""Tag, size, hash, which of the lists of names, and hash of the record count file."""


class KnownTables:
    """What an earlier conversion found in tables, by what the store said of them.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL; they stand in its ``sources.json``.
    time_column : str, optional
        Column of the time stamps, which is not among a table's names.
    """

    def __init__(self, dataset: str, time_column: str | None) -> None:
        self._path = storage.join(dataset, NAME)
        self._time_column = time_column
        self._content = publishing.look(self._path).content
        self._tables, self._names = self._read()

    def find(
        self, sensor: str, day: str, path: str, tag: str | None
    ) -> Identity | None:
        """Look a table up.

        Parameters
        ----------
        sensor, day : str
            Of the table.
        path : str
            Path below the source folder.
        tag : str, optional
            What the store says of it now.

        Returns
        -------
        Identity or None
            What it is, if the tag is the same as then.
        """
        known = self._tables.get(path)
        if tag is None or known is None or known[0] != tag:
            return None
        _, size, digest, names, count_hash = known
        source = Source(sensor, day, path, size, digest)
        return Identity(source, self._names[names], count_hash)

    def remember(self, found: Iterable[Identity], tags: Mapping[str, str]) -> None:
        """Write down what is known now, if it is new.

        Parameters
        ----------
        found : iterable of Identity
            Tables.
        tags : mapping of str to str
            What the store says of them, by path below the source folder. Nothing is
            written of tables without.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        names: dict[tuple[str, ...], int] = {}
        tables = {}
        for one in found:
            source = one.source
            if source.path in tags and isinstance(one.names, tuple):
                number = names.setdefault(one.names, len(names))
                tables[source.path] = (
                    *(tags[source.path], source.bytes, source.hash, number),
                    one.count_hash,
                )
        content = json.dumps(
            {
                "version": _VERSION,
                "time_column": self._time_column,
                "names": list(names),
                "tables": tables,
            },
            separators=(",", ":"),
        ).encode()
        if tables and content != self._content:
            publishing.write_bytes(self._path, content)

    def _read(self) -> tuple[dict[str, _Known], list[tuple[str, ...]]]:
        if self._content is None:
            return {}, []
        try:
            values = json.loads(self._content)
            if values["version"] != _VERSION:
                return {}, []
            if values["time_column"] != self._time_column:
                return {}, []
            names = [tuple(map(str, one)) for one in values["names"]]
            tables: dict[str, _Known] = {}
            for path, (tag, size, digest, number, count) in values["tables"].items():
                names[number]  # must be there
                tables[path] = (tag, int(size), str(digest), number, count)
            return tables, names
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            logger.warning("%s is damaged, so every table is read again", self._path)
        return {}, []


class Spool:
    """Keeps the content of tables on this machine until it is taken, once.

    Parameters
    ----------
    limit : int
        How much it keeps; what is more has to be read again [byte].
    """

    def __init__(self, limit: int = _SPOOL_BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="echoanom-")
        self._left = limit
        self._numbers = itertools.count()
        self._files: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put(self, path: str, content: bytes) -> None:
        """Keep a table's content, if there is room.

        Parameters
        ----------
        path : str
            The table.
        content : bytes
            Its content.
        """
        with self._lock:
            if len(content) > self._left:
                return
            self._left -= len(content)
            name = os.path.join(self._folder.name, str(next(self._numbers)))
        try:
            with open(name, "wb") as file:
                file.write(content)
        except OSError as error:
            logger.info("%s: %s, so tables are read twice", name, error.strerror)
            return
        with self._lock:
            self._files[path] = name

    def read(self, path: str) -> bytes:
        """Take a table's content out of the spool, or read the table.

        Parameters
        ----------
        path : str
            The table, as path or URL.

        Returns
        -------
        bytes
            Its content.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        with self._lock:
            name = self._files.pop(path, None)
        if name is None:
            return storage.read_bytes(path)
        try:
            with open(name, "rb") as file:
                content = file.read()
            os.unlink(name)
        except OSError as error:
            raise StorageError(f"cannot read {name}: {error.strerror}") from None
        with self._lock:
            self._left += len(content)
        return content


class Identifier:
    """Finds out what tables are: looked up, read here, or read by workers.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    sensors : sequence of SensorFiles
        The tables, and what the store says of them.
    options : TableOptions
        How tables are read.
    known : KnownTables
        What an earlier conversion found.
    spool : Spool
        Takes what has to be read here.
    cluster : Cluster, optional
        Reads instead of this process.

    Attributes
    ----------
    found : list of Identity
        What was found so far.
    tags : dict of str to str
        What the store says of the tables, by path below the source folder.
    """

    def __init__(
        self,
        root: str,
        sensors: Sequence[SensorFiles],
        options: TableOptions,
        known: KnownTables,
        spool: Spool,
        cluster: Cluster | None,
    ) -> None:
        self._root = root
        self._options = options
        self._known = known
        self._spool = spool
        self._cluster = cluster
        self.tags = {
            relative(path, root): tag
            for sensor in sensors
            for path, tag in sensor.tags.items()
        }
        self.found: list[Identity] = []
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __call__(self, tables: Iterable[TableFile]) -> Generator[Identity]:
        """Find out what some tables are.

        Parameters
        ----------
        tables : iterable of TableFile
            Where they are.

        Yields
        ------
        Identity
            Of each, in their order.

        Raises
        ------
        StorageError
            If one cannot be read.
        """
        tables = list(tables)
        looked_up = [self._look_up(table) for table in tables]
        pairs = zip(tables, looked_up, strict=True)
        with contextlib.closing(self._read(t for t, one in pairs if not one)) as read:
            for one in looked_up:
                found = one or next(read)
                if isinstance(found.names, tuple):
                    # Most tables have the same names: they are kept once.
                    names = self._names.setdefault(found.names, found.names)
                    found = dataclasses.replace(found, names=names)
                self.found.append(found)
                yield found

    def _look_up(self, table: TableFile) -> Identity | None:
        path = relative(table.path, self._root)
        tag = self.tags.get(path)
        return self._known.find(table.sensor, table.day.isoformat(), path, tag)

    def _read(self, tables: Iterable[TableFile]) -> Generator[Identity]:
        if self._cluster is None:
            yield from identify_tables(
                self._root, tables, self._options, self._spool.put
            )
            return
        left = iter(tables)
        parts = iter(lambda: tuple(itertools.islice(left, _TABLES)), ())
        tasks = ((self._root, part, self._options) for part in parts)
        with contextlib.closing(self._cluster.map(_identify_all, tasks)) as results:
            for _, identified in results:
                yield from identified


def _identify_all(
    root: str, tables: Sequence[TableFile], options: TableOptions
) -> list[Identity]:
    return list(identify_tables(root, tables, options))
