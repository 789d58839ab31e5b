"""What a command found out about a dataset, as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from echoanom.cli.wording import count, percent, size, table_lines


def coverage_lines(coverage: Mapping[str, Any], *, days: bool) -> list[str]:
    """Tell what the join of the sensors gained and lost.

    Parameters
    ----------
    coverage : mapping
        As `Coverage.summary` returns it.
    days : bool
        Whether to list each day.

    Returns
    -------
    list of str
        Lines.
    """
    sensors = coverage["sensors"]
    lines = table_lines(
        ["sensor", "columns", "days", "rows", "missing", "duplicate", "merged"]
        + ["out of order"],
        [
            [name, f"{s['columns']:,}", f"{s['days']:,}", f"{s['rows']:,}"]
            + [percent(s["missing_share"]), f"{s['duplicates']:,}"]
            + [f"{s['merged']:,}", f"{s['out_of_order']:,}"]
            for name, s in sensors.items()
        ],
    )
    minutes = coverage["minutes"]
    lines += [
        "",
        f"minutes: {minutes['in_some']:,.0f} in at least one sensor,"
        f" {minutes['in_all']:,.0f} in all, {minutes['kept']:,.0f} kept by the join,"
        f" {minutes['filled']:,.0f} with filled cells",
    ]
    if days:
        lines += [
            "",
            *table_lines(
                ["day", "min in some", "in all", "kept", "filled"]
                + [f"missing {name}" for name in sensors],
                [
                    [d["day"]]
                    + [f"{d[k]:,.0f}" for k in ("in_some", "in_all", "kept", "filled")]
                    + [percent(d["missing_share"][name]) for name in sensors]
                    for d in coverage["days"]
                ],
            ),
        ]
    return lines


def set_aside_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the tables that were left out.

    Parameters
    ----------
    entries : sequence of mapping
        Path and reason of each.

    Returns
    -------
    list of str
        Lines; none if there is none.
    """
    if not entries:
        return []
    return [
        "",
        f"{count(len(entries), 'table')} set aside:",
        *(f"  {entry['path']}: {entry['reason']}" for entry in entries),
    ]


def conversion_lines(report: Mapping[str, Any]) -> list[str]:
    """Tell what a conversion did.

    Parameters
    ----------
    report : mapping
        As `ConversionReport.as_json` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    return [
        f"{report['dataset']}: {count(report['rows'], 'row')};"
        f" {count(report['shards_written'], 'shard')} written,"
        f" {report['shards_kept']:,} kept",
        "",
        *coverage_lines(report["coverage"], days=False),
        *set_aside_lines(report["set_aside"]),
    ]


def inspection_lines(found: Mapping[str, Any], columns: bool) -> list[str]:
    """Tell what a dataset holds.

    Parameters
    ----------
    found : mapping
        As `Inspection.as_json` returns it.
    columns : bool
        Whether to list each column.

    Returns
    -------
    list of str
        Lines.
    """
    s = found["summary"]
    lines = [
        f"{s['path']}: {count(s['rows'], 'row')} of {count(s['columns'], 'column')},"
        f" one every {s['period_s']} s, as {s['dtype']}"
        + (f", {s['codec']}" if s["codec"] != "none" else ""),
        f"from {s['start']} to {s['end']}: {count(s['days'], 'day')},"
        f" {count(s['runs'], 'run')} without a gap, the longest"
        f" {count(s['longest_run_rows'], 'row')}; longest gap {s['longest_gap']}",
        f"{percent(s['missing_share'])} of the cells missing;"
        f" {count(s['shards'], 'shard')}, {count(s['records'], 'record')},"
        f" {size(s['bytes'])}",
        "",
        *coverage_lines(found["coverage"], days=True),
        *set_aside_lines(found["set_aside"]),
    ]
    if columns:
        lines += [
            "",
            *table_lines(
                ["column", "unit", "missing", "minimum", "mean", "maximum", "std"],
                [
                    [f"{c['sensor']}/{c['name']}", c.get("unit", "")]
                    + [percent(c.get("missing_share", 0.0))]
                    + [_figure(c.get(k)) for k in ("minimum", "mean", "maximum", "std")]
                    for c in found["columns"]
                ],
                left=["unit"],
            ),
        ]
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def verification_lines(dataset: str, found: Mapping[str, Any]) -> list[str]:
    """Tell what a check of a dataset found.

    Parameters
    ----------
    dataset : str
        The dataset.
    found : mapping
        As `Verification.as_json` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    checked = (
        f"{count(found['shards'], 'shard')}, {count(found['records'], 'record')},"
        f" {size(found['bytes'])}"
    )
    if not found["problems"]:
        return [f"{dataset}: every byte is as the manifest says ({checked})"]
    return [f"{dataset}: {checked} checked", *found["problems"]]
