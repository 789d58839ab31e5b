"""The command that makes daily tables of loggers' text files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from echoanom.cli.ingesting import ingest_command
from echoanom.cli.parameters import Flag
from echoanom.ingest.loggeroptions import PointOptions

if TYPE_CHECKING:
    from echoanom.ingest.instrument import Instrument


def _make(options: Any) -> Instrument:
    from echoanom.ingest.point import Point

    return Point(options)


@ingest_command(
    PointOptions,
    _make,
    # Hourly values are joined by lines.
    {"max_gap_min": 60.0},
    columns=Flag(
        "--columns",
        "Columns to take, each name=header or name=header:unit, for example"
        " temperature=Temp:degF; a header may be #3, the third column. Units become"
        " those of the tables.",
        default="all that hold numbers",
    ),
    time_column=Flag(
        "--time-column",
        "Header of the times, or of the date and the time of day.",
        default="the usual names",
    ),
    time_format=Flag(
        "--time-format",
        "How times are written, as strptime has it, or epoch or epoch-ms.",
        metavar="FORMAT",
        default="ISO 8601",
    ),
    day_first=Flag("--day-first", "Dates are written day/month/year."),
    utc_offset=Flag(
        "--utc-offset",
        "What the logger's clock is ahead of UTC: +02:00.",
        metavar="+HH:MM",
        default="none, or what the times say",
    ),
    time_zone=Flag(
        "--time-zone",
        "Zone whose legal time the logger's clock shows, with summer time.",
        metavar="NAME",
        default="UTC",
    ),
    depth_m=Flag("--depth", "Depth of the instrument [m].", metavar="M"),
    separator=Flag(
        "--separator",
        "Between cells: one character, or tab or space.",
        metavar="CHARACTER",
        default="found out",
    ),
    decimal_comma=Flag("--decimal-comma", "Numbers are written 12,5."),
    skip_lines=Flag("--skip-lines", "Lines before the header.", metavar="N"),
    skip_below=Flag(
        "--skip-below", "Lines between the header and the first sample.", metavar="N"
    ),
    comment=Flag(
        "--comment",
        "Lines that begin with this character are passed over.",
        metavar="CHARACTER",
    ),
    missing_numbers=Flag("--missing", "Numbers that stand for a missing value."),
    missing_words=Flag("--missing-words", "Cells that stand for a missing value."),
    duplicates=Flag(
        "--duplicates", "What to do with samples that share a time and differ."
    ),
    order=Flag("--order", "What to do with a file whose clock runs backwards."),
    qc=Flag(
        "--qc",
        "Checks of QARTOD to be made, as ioos_qc writes them, JSON or TOML. What fails"
        " becomes missing, what is suspect stays; both are listed.",
        metavar="FILE",
        default="none",
    ),
    flag_column=Flag(
        "--flag-column",
        "Headers of the file's own flags: header for all columns, name=header for one.",
        default="none",
    ),
    fail_values=Flag("--fail-values", "Flags that mean a wrong value."),
    suspect_values=Flag("--suspect-values", "Flags that mean a suspect value."),
)
def point() -> None:
    """Make daily tables of loggers: text files with a time and values in each line.

    Files are CSV or the like, packed by gzip or not. Several may follow each other, or
    have different columns of the same times. Samples further apart than a minute are
    joined by lines, up to --max-gap.

    \b
    Example:
      echoanom ingest point ctd.csv observatory --sensor ctd --utc-offset +02:00
      echoanom ingest point gauge/ observatory --columns level=WL:ft --qc checks.json
    """
