"""A dataset's rows as SageMaker's built-in algorithms take them, an object a day.

::

    train/2015-02-01.pbr   rows to learn from, one record each
    test/2015-02-01.pbr    with labels: all rows, those inside a label marked
    export.json            written last: with it the export is complete

A job takes all that lies in ``train/``, so nothing else may be there.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from echoanom import protorecords, publishing, recordio, storage
from echoanom.dataset import Dataset
from echoanom.errors import CloudError, DatasetError
from echoanom.forestrows import Block, ForestRows, forest_rows
from echoanom.labels import Label, labelled_rows
from echoanom.manifest import RunTable
from echoanom.modeloptions import ForestOptions
from echoanom.progress import Progress, no_progress
from echoanom.stamps import format_stamp
from echoanom.windowing import Interval

FORMAT = 1
MOST_COLUMNS = 10_000
"""Columns that the built-in algorithm takes."""

_ABOUT = "export.json"
_SUFFIX = ".pbr"
_EPOCH = datetime.date(1970, 1, 1)


@dataclasses.dataclass(frozen=True)
class Objects:
    """What was written to a folder.

    Attributes
    ----------
    objects : int
        Number of objects, one a day with rows.
    rows : int
        Number of records in all.
    bytes : int
        Size of all [byte].
    """

    objects: int
    rows: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class ForestExport:
    """Rows that a job can be started on.

    Attributes
    ----------
    path : str
        The export's folder, as path or URL.
    columns : int
        Length of each vector.
    train : Objects
        Rows to learn from.
    test : Objects or None
        Rows with labels; None without.
    """

    path: str
    columns: int
    train: Objects
    test: Objects | None

    @property
    def train_url(self) -> str:
        """Where the rows to learn from are: a folder, with the slash at its end."""
        return storage.join(self.path, "train", "")

    @property
    def test_url(self) -> str:
        """Where the rows with labels are: a folder, with the slash at its end."""
        return storage.join(self.path, "test", "")

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def export_rows(
    dataset: Dataset,
    path: str,
    options: ForestOptions | None = None,
    *,
    include: Sequence[Interval] | None = None,
    exclude: Sequence[Interval] = (),
    labels: Sequence[Label] | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ForestExport:
    """Write the vectors that a forest learns from, a day at a time.

    They are those that `score_with_forest` learns from: normalised, filled, and of the
    training days alone. A row of which nothing was observed is left out.

    Parameters
    ----------
    dataset : Dataset
        What is written.
    path : str
        A folder, as path or URL. An export of the same rows that is there is kept.
    options : ForestOptions, optional
        Normalization, and the share that is held back.
    include : sequence of (int, int), optional
        Learn from rows inside these half-open intervals only [s since 1970-01-01 UTC].
    exclude : sequence of (int, int)
        Do not learn from rows inside these.
    labels : sequence of Label, optional
        Write all rows to test with, too, each with whether it overlaps one of these.
    overwrite : bool
        Replace another export.
    progress : callable
        Told the rows done and all rows.

    Returns
    -------
    ForestExport
        What is there now.

    Raises
    ------
    DatasetError
        If there are more columns than the algorithm takes.
    CloudError
        If something else is there.
    TrainingError
        If there are too few rows to hold some back, or nothing was observed.
    StorageError
        If something cannot be written.
    """
    if len(dataset.columns) > MOST_COLUMNS:
        raise DatasetError(
            f"{dataset.path}: must have at most {MOST_COLUMNS} columns for a Random Cut"
            f" Forest on SageMaker, but has {len(dataset.columns)}; convert fewer"
            " sensors, or compare with `echoanom forest`, which has no limit"
        )
    options = options or ForestOptions()
    path = path.rstrip("/") or path
    about = {
        "format": FORMAT,
        "dataset": dataset.digest,
        "normalization": options.normalization,
        "validation": options.validation,
        "include": None if include is None else [list(one) for one in include],
        "exclude": [list(one) for one in exclude],
        "labels": None if labels is None else [[one.start, one.end] for one in labels],
    }
    with publishing.exclusive(path):
        found = _found(path, about)
        if found is not None:
            return found
        _make_room(path, overwrite)
        rows = forest_rows(dataset, options, include, exclude)
        training, tested = rows.holdout.training, None
        train = _write(rows, training, storage.join(path, "train"), None, progress)
        if labels is not None:
            test = storage.join(path, "test")
            tested = _write(rows, dataset.runs, test, labels, progress)
        export = ForestExport(path, len(dataset.columns), train, tested)
        content = json.dumps({**about, "export": export.as_json()}, indent=2) + "\n"
        publishing.write_bytes(storage.join(path, _ABOUT), content.encode())
    return export


def _found(path: str, about: dict[str, Any]) -> ForestExport | None:
    """Return what is there if it is what is wanted."""
    place = storage.join(path, _ABOUT)
    if not storage.exists(place):
        return None
    try:
        there = json.loads(storage.read_bytes(place))
        if {name: there[name] for name in about} != about:
            return None
        export = there["export"]
        return ForestExport(
            path,
            int(export["columns"]),
            Objects(**export["train"]),
            Objects(**export["test"]) if export["test"] else None,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _make_room(path: str, overwrite: bool) -> None:
    folders = [storage.join(path, name) for name in ("train", "test")]
    there = {
        folder: [name for name, _ in storage.list_files(folder)]
        for folder in folders
        if storage.exists(folder)
    }
    for folder, names in there.items():
        ours = [name for name in names if _is_ours(name)]
        if len(ours) < len(names):
            other = next(name for name in names if not _is_ours(name))
            raise CloudError(
                f"{folder}: must hold an export alone, as a job takes all that is in it,"
                f" but has {other}; take another folder"
            )
        if ours and not overwrite:
            raise CloudError(
                f"{path}: must be a folder without an export, but holds one of other"
                " rows, or one that was interrupted; overwrite it, or take another"
                " folder"
            )
    storage.remove(storage.join(path, _ABOUT))
    for folder, names in there.items():
        for name in names:
            storage.remove(storage.join(folder, name))


def _is_ours(name: str) -> bool:
    return name.endswith(_SUFFIX) or name.startswith(publishing.TEMPORARY_PREFIX)


def _write(
    rows: ForestRows,
    runs: RunTable,
    folder: str,
    labels: Sequence[Label] | None,
    progress: Progress,
) -> Objects:
    total = int(runs.rows.sum())
    objects = written = size = 0
    doing = "writing rows to learn from" if labels is None else "writing rows to test"
    progress(doing, 0, total)
    days = itertools.groupby(rows.observed_blocks(runs), lambda block: block.day)
    for day, blocks in days:
        name = f"{_EPOCH + datetime.timedelta(day)}{_SUFFIX}"
        with publishing.publish(storage.join(folder, name)) as file:
            for block in blocks:
                size += _write_block(block, rows.dataset.period_s, labels, file.write)
                written += len(block.times)
                progress(doing, written, total)
        objects += 1
    return Objects(objects, written, size)


def _write_block(
    block: Block,
    period_s: int,
    labels: Sequence[Label] | None,
    write: Callable[[bytes], Any],
) -> int:
    size = 0
    for time, values, label in zip(
        block.times.tolist(),
        block.values,
        _labels(block, period_s, labels),
        strict=True,
    ):
        record = protorecords.encode(values, label, uid=format_stamp(time))
        size += len(framed := recordio.encode(record))
        write(framed)
    return size


def _labels(
    block: Block, period_s: int, labels: Sequence[Label] | None
) -> Iterator[float | None]:
    if labels is None:
        return itertools.repeat(None, len(block.times))
    marked = labelled_rows(block.times, period_s, labels)
    return iter(marked.astype(np.float64).tolist())
