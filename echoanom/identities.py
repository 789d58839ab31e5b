"""What a table is, as far as planning has to know: its hash, and its columns' names."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import datetime
from collections.abc import Callable, Generator, Iterable

import xxhash

from echoanom import storage
from echoanom.daily import read_header
from echoanom.errors import DataError
from echoanom.hashing import hash_file
from echoanom.manifest import Source
from echoanom.options import TableOptions
from echoanom.parquetcells import is_parquet

_READERS = 8
_AHEAD = 4 * _READERS


@dataclasses.dataclass(frozen=True)
class TableFile:
    """Where a table is.

    Attributes
    ----------
    sensor : str
        Its sensor.
    day : date
        Its day.
    path : str
        The table, as path or URL.
    count_path : str, optional
        The file that says how many rows it must have.
    """

    sensor: str
    day: datetime.date
    path: str
    count_path: str | None = None


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a table is, as far as planning has to know.

    Attributes
    ----------
    source : Source
        Its size and hash.
    names : tuple of str, or DataError
        Names of its data columns, or why it has none that can be read.
    count_hash : str, optional
        XXH3-128 of the file that says how many rows it must have.
    """

    source: Source
    names: tuple[str, ...] | DataError
    count_hash: str | None = None


def identify(
    root: str,
    table: TableFile,
    options: TableOptions,
    keep: Callable[[str, bytes], None] | None = None,
) -> Identity:
    """Read what a table is.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    table : TableFile
        Where it is.
    options : TableOptions
        How tables are read.
    keep : callable, optional
        Given path and content of a table that had to be fetched from elsewhere.

    Returns
    -------
    Identity
        Size, hash and column names.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    path, count_hash = table.path, None
    if table.count_path is not None:
        said = storage.read_bytes(table.count_path)
        count_hash = xxhash.xxh3_128_hexdigest(said)
    local = storage.is_local(path)
    if local and not is_parquet(path):
        head = storage.read_head(path)
        size, digest = _hash(path)
    else:  # Parquet has its names at the end
        head = storage.read_bytes(path)
        size, digest = len(head), xxhash.xxh3_128_hexdigest(head)
        if keep is not None and not local:
            keep(path, head)
    names: tuple[str, ...] | DataError
    try:
        names = read_header(head, path, options)
    except DataError as error:
        names = error
    source = Source(
        table.sensor, table.day.isoformat(), relative(path, root), size, digest
    )
    return Identity(source, names, count_hash)


def identify_tables(
    root: str,
    tables: Iterable[TableFile],
    options: TableOptions,
    keep: Callable[[str, bytes], None] | None = None,
) -> Generator[Identity]:
    """Read what some tables are, several at a time and a few ahead.

    Parameters
    ----------
    root : str
        Source folder, as path or URL.
    tables : iterable of TableFile
        Where they are.
    options : TableOptions
        How tables are read.
    keep : callable, optional
        Given path and content of a table that had to be fetched from elsewhere.

    Yields
    ------
    Identity
        Of each table, in the same order.

    Raises
    ------
    StorageError
        If one cannot be read.
    """
    waiting: collections.deque[concurrent.futures.Future[Identity]]
    waiting = collections.deque()
    # Reading waits for the disk, or the network, and lets other threads run.
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        try:
            for table in tables:
                waiting.append(pool.submit(identify, root, table, options, keep))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _hash(path: str) -> tuple[int, str]:
    with (
        storage.storage_errors(path, "read"),
        open(storage.filesystem(path)[1], "rb", buffering=0) as file,
    ):
        return hash_file(file)


def relative(text: str, root: str) -> str:
    """Drop the source folder from a path or message: where it stood is not content.

    Parameters
    ----------
    text : str
        Has paths in it.
    root : str
        The source folder, as path or URL.

    Returns
    -------
    str
        The rest.
    """
    return text.replace(root.rstrip("/") + "/", "")
