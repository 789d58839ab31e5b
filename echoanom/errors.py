"""Every error echoanom raises on purpose.

::

    EchoanomError
    ├── OptionError          an option has a value it cannot have (also a ValueError)
    ├── DataError            an input cannot be taken as it is
    │   ├── InstrumentFileError  an instrument's own file
    │   └── TableError       a daily table: names file, line or row, and column
    │       ├── MetaInfoError    a record count file, or a count that is not kept
    │       └── ColumnsError     tables whose columns do not fit together
    ├── DatasetError         a dataset of shards cannot be used
    │   ├── ManifestError    no manifest, or one this version cannot read
    │   └── CorruptionError  bytes that are not what the manifest says
    │       └── TruncatedError   a file or stream that ends too early
    ├── WindowError          no window, or no such window
    ├── TrainingError        a model cannot be trained on this, or not go on
    │   └── TrainingStoppedError it was asked to stop; its state is kept
    ├── ArtifactError        a model directory cannot be used
    ├── EncoderError         an encoder that was trained before cannot be used
    ├── ScoresError          a score, label or event table cannot be used
    ├── StorageError         a file or object cannot be read or written
    │   ├── ConflictError    another writer was there before
    │   └── CacheFullError   the cache's limit is less than what is needed at once
    ├── ClusterError         a Dask cluster cannot be used
    ├── CloudError           a SageMaker job or endpoint cannot be used
    └── MissingExtraError    an optional dependency is not installed

A message says what must hold, what came, where, and what to do. The command line
prints it in one line and exits with 1.
"""

from __future__ import annotations


class EchoanomError(Exception):
    """Base of all errors that echoanom raises on purpose."""


class OptionError(EchoanomError, ValueError):
    """An option has a value it cannot have."""


class DataError(EchoanomError):
    """An input cannot be taken as it is."""


class InstrumentFileError(DataError):
    """An instrument's file cannot be taken as it is.

    Parameters
    ----------
    message : str
        What must hold, what came, and where in the file.
    path : str
        The file.
    """

    def __init__(  # noqa: B042 - `__reduce__` brings the arguments along
        self, message: str, path: str
    ) -> None:
        super().__init__(f"{path}: {message}")
        self.message = message
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.path)


class TableError(DataError):
    """A daily table is malformed.

    Parameters
    ----------
    message : str
        What must hold and what came.
    path : str
        The file.
    line : int, optional
        The line, counted from 1 as editors do.
    column : str, optional
        The column's name.
    row : int, optional
        The data row, counted from 1, of a table that has no lines.
    """

    def __init__(  # noqa: B042 - `__reduce__` brings the arguments along
        self,
        message: str,
        *,
        path: str,
        line: int | None = None,
        column: str | None = None,
        row: int | None = None,
    ) -> None:
        where = path
        if line is not None:
            where += f", line {line}"
        if row is not None:
            where += f", row {row}"
        if column is not None:
            where += f", column {column!r}"
        super().__init__(f"{where}: {message}")
        self.message = message
        self.path = path
        self.line = line
        self.column = column
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default way between processes.
        return _rebuild_table_error, (
            type(self),
            self.message,
            self.path,
            self.line,
            self.column,
            self.row,
        )


def _rebuild_table_error(
    cls: type[TableError],
    message: str,
    path: str,
    line: int | None,
    column: str | None,
    row: int | None,
) -> TableError:
    return cls(message, path=path, line=line, column=column, row=row)


class MetaInfoError(TableError):
    """A record count file is malformed, or its count is not kept."""


class ColumnsError(TableError):
    """Tables whose columns do not fit together."""


class DatasetError(EchoanomError):
    """A dataset of shards cannot be used."""


class ManifestError(DatasetError):
    """There is no manifest, or this version cannot read it."""


class CorruptionError(DatasetError):
    """Bytes are not what the manifest says."""


class TruncatedError(CorruptionError):
    """A file or stream ends too early: what came is right, but more must come."""


class WindowError(EchoanomError):
    """There is no window, or no such window."""


class TrainingError(EchoanomError):
    """A model cannot be trained on this, or its training cannot go on."""


class TrainingStoppedError(TrainingError):
    """A training was asked to stop; its state is kept."""


class ArtifactError(EchoanomError):
    """A model directory cannot be used."""


class EncoderError(EchoanomError):
    """An encoder that was trained before cannot be used."""


class ScoresError(EchoanomError):
    """A score, label or event table cannot be used."""


class StorageError(EchoanomError):
    """A file or object cannot be read or written."""


class ConflictError(StorageError):
    """Another writer was there before."""


class CacheFullError(StorageError):
    """The cache's limit is less than what is needed at once."""


class ClusterError(EchoanomError):
    """A Dask cluster cannot be used."""


class CloudError(EchoanomError):
    """A SageMaker job, model or endpoint cannot be made or used."""


class MissingExtraError(EchoanomError):
    """An optional dependency is not installed.

    Parameters
    ----------
    feature : str
        What was asked for.
    extra : str
        The extra that brings it.
    """

    def __init__(  # noqa: B042 - `__reduce__` brings the arguments along
        self, feature: str, extra: str
    ) -> None:
        super().__init__(f"{feature} needs: pip install 'echoanom[{extra}]'")
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.feature, self.extra)
