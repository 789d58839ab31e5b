"""Write one daily table, as CSV or as Parquet, so that reading it loses nothing."""

from __future__ import annotations

import datetime
import posixpath
from collections.abc import Sequence
from typing import IO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echoanom import publishing, storage

TableFormat = Literal["csv", "parquet"]

TIME_NAME = "timestamp"


def write_day(
    folder: str,
    day: datetime.date,
    columns: Sequence[str],
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    form: TableFormat = "csv",
) -> str:
    """Write one sensor's rows of one day, and the file that says how many there are.

    ``<folder>/YYYY-MM-DD.csv`` or ``.parquet``, then ``meta_info_YYYY-MM-DD.txt``. A
    table of the other format that the day had is removed.

    Parameters
    ----------
    folder : str
        The folder of the sensor's tables, as path or URL.
    day : date
        The UTC day.
    columns : sequence of str
        Names of the columns, length C.
    times : ndarray of int64, shape (N,)
        Start of each row's period since 1970 UTC [s], ascending.
    values : ndarray of float32, shape (N, C)
        The cells; NaN where missing. CSV has the shortest text that reads as the same
        float32.
    form : {'csv', 'parquet'}
        Format of the table.

    Returns
    -------
    str
        The table's path or URL.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    path = table_path(folder, day, form)
    with publishing.publish(path) as file:
        _write(file, columns, times, values, form)
    meta = storage.join(folder, f"meta_info_{day.isoformat()}.txt")
    publishing.write_bytes(meta, count_text(path, len(times)).encode())
    for other in get_args(TableFormat):
        if other != form:
            storage.remove(table_path(folder, day, other))
    return path


def table_path(folder: str, day: datetime.date, form: TableFormat) -> str:
    """Name the table of a day.

    Parameters
    ----------
    folder : str
        The folder of the sensor's tables, as path or URL.
    day : date
        The UTC day.
    form : {'csv', 'parquet'}
        Format of the table.

    Returns
    -------
    str
        Its path or URL.
    """
    return storage.join(folder, f"{day.isoformat()}.{form}")


def count_text(table: str, rows: int) -> str:
    """Say how many rows a daily table has, as its ``meta_info`` file does.

    Parameters
    ----------
    table : str
        The table's path or URL.
    rows : int
        Its data rows.

    Returns
    -------
    str
        Two lines; the second is ``name=<rows>``.
    """
    return f"file={posixpath.basename(table)}\nname={rows}\n"


def _write(
    file: IO[bytes],
    columns: Sequence[str],
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    form: TableFormat,
) -> None:
    import polars as pl

    frame = pl.from_numpy(values, schema=list(columns), orient="row").fill_nan(None)
    stamps = pl.from_epoch(pl.Series(TIME_NAME, times), time_unit="s")
    frame.insert_column(0, stamps)
    if form == "csv":
        frame.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        utc = pl.col(TIME_NAME).dt.replace_time_zone("UTC")
        frame.with_columns(utc).write_parquet(file, compression="zstd")
