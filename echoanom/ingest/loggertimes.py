"""The times of a logger's samples, from the text of its time stamps to UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError
from echoanom.ingest.loggeroptions import PointOptions

if TYPE_CHECKING:
    import pandas as pd

_EPOCHS = {"epoch": 1_000_000, "epoch-ms": 1_000}
_OFFSET = r":\d\d(?:[.,]\d+)?\s*(?:Z|UTC|[+-]\d\d(?::?\d\d)?)$"
_ISO = r"^(?:\d{4}-\d\d-\d\d|\d{8}(?:[T ]|$))"
_FIRST_US, _BEHIND_US = -2_208_988_800_000_000, 4_102_444_800_000_000  # 1900, 2100


def parse_times(
    texts: Sequence[str], lines: Sequence[int], options: PointOptions, path: str
) -> NDArray[np.int64]:
    """Read time stamps.

    Parameters
    ----------
    texts : sequence of str
        The stamps, length N; date and time of day with a space between them.
    lines : sequence of int
        Their lines in the file, for messages.
    options : PointOptions
        How they are written, and in which time.
    path : str
        The file, for messages.

    Returns
    -------
    ndarray of int64, shape (N,)
        Times since 1970 UTC [µs].

    Raises
    ------
    InstrumentFileError
        If a stamp cannot be read, is not between 1900 and 2100, some carry an offset
        and others none, or the clock of the zone shows a time twice or never.
    """
    import pandas as pd

    stamps = pd.Series(list(texts), dtype=str).str.strip()
    if factor := _EPOCHS.get(options.time_format):
        parsed = pd.to_numeric(stamps, errors="coerce").to_numpy(np.float64)
        bad = ~np.isfinite(parsed) | (np.abs(parsed) * factor > 9e18)
        times = np.rint(np.where(bad, 0.0, parsed) * factor).astype(np.int64)
    else:
        aware = np.array(stamps.str.contains(_OFFSET, regex=True), dtype=np.bool_)
        if "%z" in options.time_format.lower():
            aware[:] = True
        _require_alike(aware, stamps, lines, options, path)
        try:
            moments = _moments(stamps, options)
        except ValueError as error:
            # Not all that strptime reads is read here.
            raise InstrumentFileError(
                f"must have times of a format that can be read, got --time-format"
                f" {options.time_format!r}: {error}",
                path,
            ) from None
        bad = moments.isna().to_numpy()
        whole = moments.fillna(pd.Timestamp(0, tz="UTC"))
        times = np.array(whole.dt.as_unit("us").astype(np.int64), dtype=np.int64)
    if bad.any():
        at = int(np.argmax(bad))
        raise InstrumentFileError(
            f"must have a time in every line, got {stamps[at]!r} in line {lines[at]};"
            f" {_advice(stamps[at], options)}",
            path,
        )
    if not (options.time_format in _EPOCHS or aware.any()):
        if options.time_zone:
            times = _from_zone(times, stamps, lines, options.time_zone, path)
        else:
            times -= options.offset_us
    _require_plausible(times, stamps, lines, path)
    result: NDArray[np.int64] = times
    return result


def _moments(stamps: pd.Series[str], options: PointOptions) -> pd.Series[pd.Timestamp]:
    """Read stamps, as UTC if they say no offset."""
    import pandas as pd

    if options.day_first:
        # Day and month are exchanged in the text: guessing takes what fits.
        stamps = stamps.str.replace(
            r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", _iso_date, regex=True
        )
        stamps = stamps.str.replace(r"([ T])(\d):", r"\g<1>0\2:", regex=True)
    form = options.time_format or "ISO8601"
    if not options.time_format:
        # A lone number would be taken for a year.
        stamps = stamps.where(stamps.str.contains(_ISO), "")
    return pd.to_datetime(stamps, format=form, utc=True, errors="coerce")


def _iso_date(match: re.Match[str]) -> str:
    return f"{match[3]}-{int(match[2]):02d}-{int(match[1]):02d}"


def _require_alike(
    aware: NDArray[np.bool_],
    stamps: pd.Series[str],
    lines: Sequence[int],
    options: PointOptions,
    path: str,
) -> None:
    if not aware.any():
        return
    if options.utc_offset or options.time_zone:
        at = int(np.argmax(aware))
        raise InstrumentFileError(
            f"must have times without an offset where one is given, got"
            f" {stamps[at]!r} in line {lines[at]}; leave out --utc-offset and"
            " --time-zone",
            path,
        )
    if not aware.all():
        at = int(np.argmin(aware))
        raise InstrumentFileError(
            "must have an offset from UTC with every time or with none, got"
            f" {stamps[at]!r} in line {lines[at]}",
            path,
        )


def _from_zone(
    times: NDArray[np.int64],
    stamps: pd.Series[str],
    lines: Sequence[int],
    zone: str,
    path: str,
) -> NDArray[np.int64]:
    import pandas as pd

    local = pd.DatetimeIndex(times.astype("datetime64[us]"))
    found = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    bad = found.isna()
    if bad.any():
        at = int(np.argmax(bad))
        raise InstrumentFileError(
            f"must have times that the clocks of {zone} show once, got {stamps[at]!r}"
            f" in line {lines[at]}, which they show twice or never as they are changed;"
            " if the logger's clock was not changed, give --utc-offset",
            path,
        )
    utc = found.tz_convert("UTC").tz_localize(None)
    result: NDArray[np.int64] = utc.as_unit("us").to_numpy().astype(np.int64)
    return result


def _require_plausible(
    times: NDArray[np.int64], stamps: pd.Series[str], lines: Sequence[int], path: str
) -> None:
    bad = (times < _FIRST_US) | (times >= _BEHIND_US)
    if bad.any():
        at = int(np.argmax(bad))
        raise InstrumentFileError(
            f"must have times between 1900 and 2100, got {stamps[at]!r} in line"
            f" {lines[at]}; is --time-format right?",
            path,
        )


def _advice(stamp: str, options: PointOptions) -> str:
    if options.time_format:
        return f"is the format {options.time_format!r} right?"
    if options.day_first:
        return "say how it is written with --time-format"
    if re.match(r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{4}", stamp):
        return (
            "say --day-first if it is day/month/year, or --time-format, for example"
            " '%m/%d/%Y %H:%M'"
        )
    if re.match(r"^\d{9,13}(\.\d*)?$", stamp):
        return "say --time-format epoch if these are seconds since 1970"
    if re.match(_ISO, stamp):
        return "correct or remove that line"
    return "say how it is written with --time-format"
