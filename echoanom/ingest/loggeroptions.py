"""How the text files of point instruments are written, and what is wanted of them."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
import zoneinfo
from typing import Literal

from echoanom.checking import Options
from echoanom.columns import Column, column_from_name
from echoanom.errors import OptionError
from echoanom.ingest import units
from echoanom.options import Duplicates

Order = Literal["refuse", "sort"]

_OFFSET = re.compile(r"^([+-])(\d\d):?(\d\d)$")
_EPOCHS = ("epoch", "epoch-ms")
_SEPARATORS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclasses.dataclass(frozen=True)
class WantedColumn:
    """A column of the table, and the one of the file that it comes from.

    Attributes
    ----------
    name : str
        Name in the table.
    source : str
        Header in the file, or ``#3`` for the third column.
    unit : str
        Unit in the file; empty if the header says, or it is the table's.
    """

    name: str
    source: str
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class PointOptions(Options):
    """How a point instrument's text files are read and judged.

    Attributes
    ----------
    time_column : tuple of str
        Header of the time stamps, or of the date and of the time of day. Empty: the
        usual names are looked for.
    time_format : str
        Format of the time stamps as `datetime.strptime` has it, or ``epoch`` or
        ``epoch-ms`` for seconds or milliseconds since 1970. Empty: ISO 8601.
    day_first : bool
        Dates are written day/month/year.
    utc_offset : str
        Of the clock, ``+HH:MM``: what it is ahead of UTC. Empty: it is in UTC, unless
        stamps carry an offset.
    time_zone : str
        IANA name of the zone in whose legal time the clock runs, in place of an offset.
    columns : tuple of str
        Columns to take, each ``name=header`` or ``name=header:unit``. Empty: all that
        hold numbers.
    depth_m : float, optional
        Depth of the instrument below the surface [m].
    separator : str
        Between cells: one character, or ``tab`` or ``space`` (any number of them).
        Empty: it is found out.
    decimal_comma : bool
        Numbers are written ``12,5``.
    skip_lines : int
        Lines before the header.
    skip_below : int
        Lines between the header and the first sample.
    comment : str
        Lines that begin with this character are passed over. Empty: none.
    missing_numbers : tuple of float
        Numbers that stand for a missing value.
    missing_words : tuple of str
        Cells that stand for a missing value, beside the blank cell, NaN and inf.
    duplicates : {'refuse', 'first', 'last', 'mean'}
        What to do with samples that share a time and differ. Equal ones are always
        taken once and counted.
    order : {'refuse', 'sort'}
        What to do with a file whose clock runs backwards.
    qc : str
        File with the checks of QARTOD to be made, JSON or TOML, as ioos_qc writes
        them. Empty: none.
    flag_column : tuple of str
        Headers of the logger's own quality flags: ``header`` for all columns,
        ``name=header`` for one.
    fail_values, suspect_values : tuple of str
        Flags that mean a wrong, and a suspect value.
    """

    time_column: tuple[str, ...] = ()
    time_format: str = ""
    day_first: bool = False
    utc_offset: str = ""
    time_zone: str = ""
    columns: tuple[str, ...] = ()
    depth_m: float | None = None
    separator: str = ""
    decimal_comma: bool = False
    skip_lines: int = 0
    skip_below: int = 0
    comment: str = "#"
    missing_numbers: tuple[float, ...] = (-999.0, -9999.0)
    missing_words: tuple[str, ...] = ("NA", "N/A", "null", "NULL", "None", "-")
    duplicates: Duplicates = "refuse"
    order: Order = "refuse"
    qc: str = ""
    flag_column: tuple[str, ...] = ()
    fail_values: tuple[str, ...] = ("4",)
    suspect_values: tuple[str, ...] = ("3",)

    def __post_init__(self) -> None:
        _require(
            len(self.time_column) <= 2,
            "time_column must be one header, or that of the date and that of the time,"
            f" got {','.join(self.time_column)}",
        )
        _require(
            not (self.day_first and self.time_format),
            "day_first must not be given together with time_format, which says it",
        )
        _require(
            _is_format(self.time_format),
            "time_format must be a format of strptime, epoch or epoch-ms, got"
            f" {self.time_format!r}",
        )
        _require(
            not self.utc_offset or _OFFSET.match(self.utc_offset) is not None,
            f"utc_offset must be like +02:00 or -03:30, got {self.utc_offset!r}",
        )
        _require(
            not (self.utc_offset and self.time_zone),
            "utc_offset must not be given together with time_zone",
        )
        _require(
            not (self.time_format.startswith("epoch") and self._says_zone),
            "time_format epoch counts from 1970 in UTC, so there must be no offset and"
            " no zone",
        )
        _require(_is_zone(self.time_zone), _no_zone(self.time_zone))
        _require(
            self.depth_m is None or math.isfinite(self.depth_m),
            f"depth_m must be a number, got {self.depth_m!r}",
        )
        _require(
            len(self.delimiter) <= 1 and self.delimiter not in ('"', "\n", "."),
            f"separator must be one character, tab or space, got {self.separator!r}",
        )
        _require(
            not (self.decimal_comma and self.delimiter == ","),
            "separator must not be a comma where it is the decimal mark",
        )
        for name in ("skip_lines", "skip_below"):
            number = getattr(self, name)
            _require(number >= 0, f"{name} must be at least 0, got {number!r}")
        _require(
            len(self.comment) <= 1,
            f"comment must be one character, got {self.comment!r}",
        )
        self._check_columns()

    def _check_columns(self) -> None:
        names = [wanted.name for wanted in self.wanted]
        for name in names:
            _require(names.count(name) == 1, f"columns must name {name!r} once")
        for wanted in self.wanted:
            _require(
                bool(wanted.name and wanted.source) and wanted.name != "timestamp",
                "columns must be name=header or name=header:unit, and no name may be"
                f" 'timestamp', got {wanted.name}={wanted.source}",
            )
            if wanted.unit:
                unit = units.read_unit(wanted.unit)
                _require(
                    unit is not None,
                    f"columns must have known units, got {wanted.unit!r} for"
                    f" {wanted.name}; known are {units.known_units()}",
                )
                target = column_from_name(wanted.name, "").unit
                _require(
                    not target or units.can_convert(unit or "", target),
                    f"columns must have units that can be converted, but {wanted.name}"
                    f" is in {target} and {wanted.unit} is no such unit",
                )

    @property
    def _says_zone(self) -> bool:
        return bool(self.utc_offset or self.time_zone)

    @property
    def delimiter(self) -> str:
        """Character between cells; empty if it is to be found out."""
        return _SEPARATORS.get(self.separator, self.separator)

    @property
    def offset_us(self) -> int:
        """What the clock is ahead of UTC [µs]."""
        match = _OFFSET.match(self.utc_offset)
        if match is None:
            return 0
        minutes = int(match[2]) * 60 + int(match[3])
        return (-1 if match[1] == "-" else 1) * minutes * 60_000_000

    @property
    def wanted(self) -> tuple[WantedColumn, ...]:
        """The columns to take; empty if all that hold numbers."""
        return tuple(_wanted(text) for text in self.columns)

    @property
    def flags_of(self) -> dict[str, str]:
        """Headers of quality flags by column of the table; ``""`` is every column."""
        pairs = [text.rpartition("=") for text in self.flag_column]
        return {name.strip(): header.strip() for name, _, header in pairs}

    def column(self, name: str, unit: str) -> Column:
        """Describe a column of the table.

        Parameters
        ----------
        name : str
            Its name.
        unit : str
            Unit in the file; empty if it is the table's.

        Returns
        -------
        Column
            Its unit is the one that the name asks for or, if it asks for none, the
            one that the dimension is kept in.
        """
        column = column_from_name(name, "")
        target, known = column.unit, units.read_unit(unit)
        if not target and unit:
            target = units.kept_unit(known) if known else unit
        return dataclasses.replace(column, unit=target, depth_m=self.depth_m)


def _wanted(text: str) -> WantedColumn:
    name, equals, rest = text.partition("=")
    if not equals:
        return WantedColumn(name.strip(), name.strip())
    source, _, unit = rest.rpartition(":")
    if not source or units.read_unit(unit) is None and "(" in unit:
        # No unit, but a header that has a colon.
        source, unit = rest, ""
    return WantedColumn(name.strip(), source.strip(), unit.strip())


def _is_format(form: str) -> bool:
    try:
        datetime.datetime.strptime("", form)
    except ValueError as error:
        # Nothing but the empty text itself may be wrong.
        return "does not match" in str(error) and ("%" in form or form in _EPOCHS)
    except re.error:
        return False
    return not form


def _is_zone(name: str) -> bool:
    try:
        return not name or zoneinfo.ZoneInfo(name) is not None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _no_zone(name: str) -> str:
    return f"time_zone must be a name such as Europe/Berlin, got {name!r}"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(message)
