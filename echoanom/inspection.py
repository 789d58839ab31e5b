"""Say what a dataset holds."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import numpy as np

from echoanom.coverage import Coverage
from echoanom.dataset import Dataset
from echoanom.stamps import format_stamp


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a dataset holds.

    Attributes
    ----------
    summary : dict
        Rows, columns, runs, gaps, missing share, shards.
    coverage : dict
        What the join gained and lost, per sensor and day.
    columns : tuple of dict
        Each column with its statistics.
    set_aside : tuple of dict
        Tables that were left out, and why.
    """

    summary: dict[str, Any]
    coverage: dict[str, Any]
    columns: tuple[dict[str, Any], ...]
    set_aside: tuple[dict[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)


def inspect(dataset: Dataset) -> Inspection:
    """Say what a dataset holds.

    Parameters
    ----------
    dataset : Dataset
        What to look at.

    Returns
    -------
    Inspection
        Read from the manifest and the statistics; no row is read.

    Raises
    ------
    CorruptionError
        If a statistics file is not what the manifest says.
    """
    manifest = dataset.manifest
    runs, period = dataset.runs, dataset.period_s
    gaps = runs.start_s[1:] - (runs.start_s[:-1] + runs.rows[:-1] * period)
    cells = dataset.rows * len(dataset.columns)
    columns: list[dict[str, Any]] = [column.as_json() for column in dataset.columns]
    missing = 0
    if dataset.rows:
        statistics = dataset.statistics()
        missing = int(statistics.missing.sum())
        share = statistics.missing / dataset.rows
        figures = {
            "missing_share": share,
            "minimum": statistics.minimum,
            "mean": statistics.mean,
            "maximum": statistics.maximum,
            "std": statistics.std,
        }
        for i, column in enumerate(columns):
            column.update(
                (name, None if np.isnan(values[i]) else float(values[i]))
                for name, values in figures.items()
            )
    summary = {
        "path": dataset.path,
        "digest": dataset.digest,
        "rows": dataset.rows,
        "columns": len(dataset.columns),
        "sensors": list(dict.fromkeys(c.sensor for c in dataset.columns)),
        "period_s": period,
        "dtype": manifest.shard.dtype,
        "codec": manifest.shard.codec,
        "halo": manifest.shard.halo,
        "start": format_stamp(int(runs.start_s[0])) if len(runs) else None,
        "end": (
            format_stamp(int(runs.start_s[-1] + runs.rows[-1] * period))
            if len(runs)
            else None
        ),
        "days": len(dataset.days),
        "runs": len(runs),
        "longest_run_rows": int(runs.rows.max(initial=0)),
        "longest_gap": str(datetime.timedelta(seconds=int(gaps.max(initial=0)))),
        "missing_share": missing / cells if cells else 0.0,
        "shards": len(manifest.shards),
        "records": sum(len(shard.records.rows) for shard in manifest.shards),
        "bytes": sum(shard.bytes for shard in manifest.shards),
    }
    coverage = Coverage.merge(
        [Coverage.from_json(shard.coverage) for shard in manifest.shards]
    )
    return Inspection(
        summary=summary,
        coverage=coverage.summary(),
        columns=tuple(columns),
        set_aside=tuple(
            entry.as_json() for shard in manifest.shards for entry in shard.set_aside
        ),
    )
