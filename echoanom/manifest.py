"""The manifest: what a dataset holds, down to each record's bytes.

A dataset exists when its ``manifest.json`` does. Beside it stand::

    shards/20150129-1f0c….tfrecord   rows, in records
    shards/20150129-1f0c….npz        statistics of each day in the shard
    shards/20150129-1f0c….json       the shard's entry, as in the manifest

A shard's name is made of its first day and of a hash over everything that decides its
content, so the same sources and options give the same name, and the order of names is
the order of time.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom import storage
from echoanom.checking import Options
from echoanom.columns import Column, columns_from_manifest
from echoanom.errors import EchoanomError, ManifestError, StorageError
from echoanom.options import ShardOptions, StackOptions, TableOptions

FORMAT = "echoanom-dataset"
VERSION = 1
MANIFEST = "manifest.json"
SHARDS = "shards"


@dataclasses.dataclass(frozen=True)
class Records(Options):
    """The records of one shard, own rows first, then halo rows.

    Attributes
    ----------
    offset : tuple of int
        Where each record's frame starts [byte].
    length : tuple of int
        Length of each record's data, without frame [byte].
    rows : tuple of int
        Rows in each record.
    start_s : tuple of int
        Time of each record's first row [s since 1970-01-01 UTC].
    crc : tuple of int
        Masked CRC-32C of each record's data.
    halo : int
        How many of the records, at the end, repeat rows of the next shard.
    """

    offset: tuple[int, ...]
    length: tuple[int, ...]
    rows: tuple[int, ...]
    start_s: tuple[int, ...]
    crc: tuple[int, ...]
    halo: int = 0

    def __post_init__(self) -> None:
        lists = (self.offset, self.length, self.rows, self.start_s, self.crc)
        if len({len(numbers) for numbers in lists}) != 1:
            raise ManifestError("as much must be said of every record")
        for numbers in (*lists, (self.halo,)):
            if set(map(type, numbers)) - {int}:
                raise ManifestError("what is said of records must be whole numbers")
        if not 0 <= self.halo <= len(self.rows):
            raise ManifestError(
                f"{self.halo} of {len(self.rows)} records cannot be halo"
            )

    @property
    def own(self) -> int:
        """Number of records with the shard's own rows."""
        return len(self.rows) - self.halo


@dataclasses.dataclass(frozen=True)
class Source(Options):
    """One file that a dataset was made from.

    Attributes
    ----------
    sensor : str
        Its sensor.
    day : str
        Its day, as ``YYYY-MM-DD``.
    path : str
        Path below the source folder.
    bytes : int
        Size [byte].
    hash : str
        XXH3-128 of the content, in hexadecimal.
    """

    sensor: str
    day: str
    path: str
    bytes: int
    hash: str


@dataclasses.dataclass(frozen=True)
class SetAside(Options):
    """A file that was left out, and why.

    Attributes
    ----------
    path : str
        Path below the source folder.
    reason : str
        The error, in one line.
    """

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard: whole days of rows in one file.

    Attributes
    ----------
    name : str
        File name without ending.
    bytes : int
        Size of the file; 0 if there is no row and so no file [byte].
    hash : str
        XXH3-128 of the file, in hexadecimal.
    statistics_hash : str
        XXH3-128 of the statistics file.
    days : tuple of str
        Days with at least one row, as ``YYYY-MM-DD``.
    records : Records
        Its records.
    coverage : mapping
        What the join gained and lost, per sensor and day.
    sources : tuple of Source
        Files it was made from, context days included.
    set_aside : tuple of SetAside
        Files of its days that were left out.
    """

    name: str
    bytes: int
    hash: str
    statistics_hash: str
    days: tuple[str, ...]
    records: Records
    coverage: Mapping[str, Any]
    sources: tuple[Source, ...]
    set_aside: tuple[SetAside, ...]

    @property
    def rows(self) -> int:
        """Number of own rows."""
        return sum(self.records.rows[: self.records.own])

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return {
            "name": self.name,
            "bytes": self.bytes,
            "hash": self.hash,
            "statistics_hash": self.statistics_hash,
            "days": list(self.days),
            "records": self.records.as_json(),
            "coverage": self.coverage,
            "sources": [source.as_json() for source in self.sources],
            "set_aside": [entry.as_json() for entry in self.set_aside],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Shard:
        """Rebuild from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        Shard
            As it was.
        """
        return cls(
            **{
                **values,
                "days": tuple(values["days"]),
                "records": Records.from_json(values["records"]),
                "sources": tuple(map(Source.from_json, values["sources"])),
                "set_aside": tuple(map(SetAside.from_json, values["set_aside"])),
            }
        )


@dataclasses.dataclass(frozen=True)
class RunTable:
    """Runs: maximal stretches of consecutive rows without a gap.

    Attributes
    ----------
    first_row : ndarray of int64, shape (n,)
        Position of each run's first row in the dataset.
    rows : ndarray of int64, shape (n,)
        Rows in each run.
    start_s : ndarray of int64, shape (n,)
        Time of each run's first row [s since 1970-01-01 UTC].
    """

    first_row: NDArray[np.int64]
    rows: NDArray[np.int64]
    start_s: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a dataset holds.

    Attributes
    ----------
    columns : tuple of Column
        The columns, in the order of the stored values.
    table : TableOptions
        How the tables were read; has the period.
    stack : StackOptions
        How the sensors were joined.
    shard : ShardOptions
        How the rows are stored.
    shards : tuple of Shard
        The shards, in order of time.
    """

    columns: tuple[Column, ...]
    table: TableOptions
    stack: StackOptions
    shard: ShardOptions
    shards: tuple[Shard, ...]

    @property
    def period_s(self) -> int:
        """Sample period [s]."""
        return self.table.period_s

    @property
    def rows(self) -> int:
        """Number of rows over all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def days(self) -> tuple[datetime.date, ...]:
        """Days with at least one row, in order."""
        return tuple(
            datetime.date.fromisoformat(day)
            for shard in self.shards
            for day in shard.days
        )

    @property
    def record_starts(self) -> NDArray[np.int64]:
        """Times of all own records' first rows [s], in order."""
        return self._own("start_s")

    @property
    def record_rows(self) -> NDArray[np.int64]:
        """Rows in all own records, in order."""
        return self._own("rows")

    def _own(self, field: str) -> NDArray[np.int64]:
        parts = [
            np.asarray(getattr(shard.records, field)[: shard.records.own], np.int64)
            for shard in self.shards
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def runs(self) -> RunTable:
        """Find the runs.

        Returns
        -------
        RunTable
            In order of time.
        """
        starts, rows = self.record_starts, self.record_rows
        if not len(rows):
            return RunTable(rows, rows, starts)
        first_rows = np.cumsum(rows) - rows
        follows = starts[1:] == starts[:-1] + rows[:-1] * self.period_s
        heads = np.flatnonzero(np.concatenate(([True], ~follows)))
        return RunTable(
            first_row=first_rows[heads],
            rows=np.add.reduceat(rows, heads),
            start_s=starts[heads],
        )

    def as_bytes(self) -> bytes:
        """Return the content of ``manifest.json``, the same for the same dataset.

        Returns
        -------
        bytes
            JSON, a line for each shard.
        """
        runs = self.runs()
        head = {
            "format": FORMAT,
            "version": VERSION,
            "period_s": self.period_s,
            "rows": self.rows,
            "dtype": self.shard.dtype,
            "columns": [column.as_json() for column in self.columns],
            "options": {
                "table": self.table.as_json(),
                "stack": self.stack.as_json(),
                "shard": self.shard.as_json(),
            },
            "runs": {
                field: getattr(runs, field).tolist()
                for field in ("first_row", "rows", "start_s")
            },
        }
        lines = [f"{json.dumps(key)}: {_compact(value)}" for key, value in head.items()]
        shards = ",\n".join(_compact(shard.as_json()) for shard in self.shards)
        lines.append(f'"shards": [\n{shards}\n]')
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, path: str) -> Manifest:
        """Rebuild from `as_bytes`.

        Parameters
        ----------
        content : bytes
            The file's content.
        path : str
            The file's name, for messages.

        Returns
        -------
        Manifest
            As it was.

        Raises
        ------
        ManifestError
            If the content is no manifest, or one of a newer version.
        """
        try:
            values = json.loads(content)
        except ValueError as error:
            raise ManifestError(f"{path}: must be JSON, got: {error}") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ManifestError(f"{path}: is not the manifest of an echoanom dataset")
        if values.get("version") != VERSION:
            raise ManifestError(
                f"{path}: has format version {values.get('version')!r}, this echoanom"
                f" reads version {VERSION}; use the echoanom that wrote it, or convert"
                " again"
            )
        try:
            options = values["options"]
            manifest = cls(
                columns=columns_from_manifest(values["columns"]),
                table=TableOptions.from_json(options["table"]),
                stack=StackOptions.from_json(options["stack"]),
                shard=ShardOptions.from_json(options["shard"]),
                shards=tuple(map(Shard.from_json, values["shards"])),
            )
            rows, _ = manifest.rows, manifest.days
        except EchoanomError as error:
            raise ManifestError(f"{path}: is damaged: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(f"{path}: is damaged: {error!r}") from None
        if rows != values.get("rows"):
            raise ManifestError(
                f"{path}: is damaged: the records have {rows} rows, the manifest says"
                f" {values.get('rows')!r}"
            )
        return manifest


def manifest_path(dataset: str) -> str:
    """Return where a dataset's manifest is.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.

    Returns
    -------
    str
        Path or URL of the manifest.
    """
    return storage.join(dataset, MANIFEST)


def shard_path(dataset: str, name: str, ending: str) -> str:
    """Return where one of a shard's files is.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.
    name : str
        The shard's name.
    ending : {'tfrecord', 'npz', 'json'}
        Which of its files.

    Returns
    -------
    str
        Path or URL of the file.
    """
    return storage.join(dataset, SHARDS, f"{name}.{ending}")


def read_manifest(dataset: str) -> Manifest:
    """Read a dataset's manifest.

    Parameters
    ----------
    dataset : str
        The dataset's folder, as path or URL.

    Returns
    -------
    Manifest
        What the dataset holds.

    Raises
    ------
    ManifestError
        If there is none, or this version cannot read it.
    """
    path = manifest_path(dataset)
    try:
        content = storage.read_bytes(path)
    except StorageError as error:
        raise ManifestError(
            f"{dataset}: must be a dataset made by `echoanom convert`: {error}"
        ) from None
    return Manifest.from_bytes(content, path)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
