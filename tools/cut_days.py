#!/usr/bin/env python3
"""Cut one long CSV into the daily tables that ``echoanom convert`` reads.

For example, a year of water quality with a label column::

    tools/cut_days.py quality.csv.gz observatory --sensor water --label EVENT

A CSV holds the cells as they were written; Parquet holds what is read from them, as
float32.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import get_args

import click
import numpy as np
import pandas as pd

from echoanom import cells, publishing, storage
from echoanom.errors import TableError
from echoanom.options import TableOptions
from echoanom.tablewriting import TableFormat, count_text, table_path, write_day


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
@click.argument("destination", type=click.Path(file_okay=False))
@click.option("--sensor", required=True, help="Name of the sensor: its folder.")
@click.option("--time", "time_column", default="timestamp", show_default=True)
@click.option("--dayfirst", is_flag=True, help="Times are written day/month/year.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option(
    "--label",
    help="Column that is true or 1 where something is the matter: becomes labels.csv.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(TableFormat)),
    default="csv",
    show_default=True,
    help="Format of the daily tables.",
)
def main(
    source: str,
    destination: str,
    sensor: str,
    time_column: str,
    dayfirst: bool,
    drop: tuple[str, ...],
    label: str | None,
    form: TableFormat,
) -> None:
    """Cut SOURCE, a CSV of any length, into DESTINATION/SENSOR/tabular/DAY.csv.

    With --format parquet the tables are DAY.parquet.
    """
    # Cells are copied as they are written: no number is parsed and printed again.
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    for name in (time_column, *drop, *([label] if label else [])):
        if name not in table:
            raise click.ClickException(
                f"{source} has no column {name!r}; it has {', '.join(table.columns)}"
            )
    times = pd.to_datetime(table[time_column], dayfirst=dayfirst, utc=True)
    left_out = {time_column, *drop, *([label] if label else [])}
    cells = table[[name for name in table.columns if name not in left_out]]
    cells.insert(0, "timestamp", times.dt.strftime("%Y-%m-%d %H:%M:%S"))
    folder = storage.join(destination, sensor, "tabular")
    days = 0
    for day, part in cells.groupby(times.dt.strftime("%Y-%m-%d")):
        content = part.to_csv(index=False).encode()
        _write(folder, datetime.date.fromisoformat(day), content, len(part), form)
        days += 1
    said = f"{folder}: {len(table)} rows in {days} days"
    if label:
        marked = table[label].str.lower().isin(["true", "1", "1.0"]).to_numpy()
        labels = _intervals(times, marked, sensor)
        publishing.write_bytes(
            storage.join(destination, "labels.csv"), labels.to_csv(index=False).encode()
        )
        said += f"; {len(labels)} labels in {Path(destination, 'labels.csv')}"
    click.echo(said)


def _write(
    folder: str, day: datetime.date, content: bytes, rows: int, form: TableFormat
) -> None:
    """Write a day, given as CSV; a table of the other format that it had is removed."""
    path = table_path(folder, day, "csv")
    if form == "parquet":
        options = TableOptions()
        try:
            header = cells.parse_header(content, path, options)
            found = cells.parse_rows(content, path, header, options)
        except TableError as error:
            raise click.ClickException(str(error)) from None
        times = found.times_us // 1_000_000
        write_day(folder, day, header.columns, times, found.values, form)
        return
    publishing.write_bytes(path, content)
    publishing.write_bytes(
        storage.join(folder, f"meta_info_{day}.txt"), count_text(path, rows).encode()
    )
    storage.remove(table_path(folder, day, "parquet"))


def _intervals(
    times: pd.Series[pd.Timestamp], marked: np.ndarray, sensor: str
) -> pd.DataFrame:
    """Return a line for each stretch of marked rows, its end after the last."""
    order = np.argsort(times.to_numpy(), kind="stable")
    moments, flags = times.iloc[order], marked[order].astype(np.int8)
    steps = np.diff(np.concatenate(([0], flags, [0])))
    period = moments.diff().median()
    first = moments.iloc[np.flatnonzero(steps == 1)]
    last = moments.iloc[np.flatnonzero(steps == -1) - 1] + period
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    return pd.DataFrame(
        {
            "start": first.dt.strftime(stamp).to_numpy(),
            "end": last.dt.strftime(stamp).to_numpy(),
            "sensor": sensor,
            "kind": "",
        }
    )


if __name__ == "__main__":
    main()
