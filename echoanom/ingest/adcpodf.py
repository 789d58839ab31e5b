"""Read current profiles from ODF, the text files of Canada's ocean data archive.

A header of blocks comes first, each a line ``NAME_HEADER,`` with lines ``KEY=VALUE,``
below; then a line ``-- DATA --``, and a line for each time, with a number for each
``PARAMETER_HEADER`` in their order.
"""

from __future__ import annotations

import datetime
import functools
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError
from echoanom.ingest import currents
from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.adcpprofiles import (
    Array,
    Bins,
    Layout,
    Profiles,
    places_of,
    times_of,
)
from echoanom.ingest.adcpvariables import angle_factor, is_decibel, speed_factor

MAGIC = b"ODF_HEADER"

# GF3 codes, without the number of the sensor behind.
_CODES = {
    "east": "EWCT",
    "north": "NSCT",
    "up": "VCSP",
    "speed": "HCSP",
    "direction": "HCDT",
    "echo": "BEAM",
    "time": "SYTM",
}
_TOKEN = re.compile(r"'[^']*'|[^\s']+")
_TIME = re.compile(r"(\d{1,2})-([A-Z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d(?:\.\d*)?)")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_EPOCH = datetime.datetime(1970, 1, 1)

Block = tuple[str, Mapping[str, str]]


class OdfProfiles:
    """An ODF file with currents at one depth.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.
    options : AdcpOptions
        How it is read.

    Raises
    ------
    InstrumentFileError
        If it is not whole, or misses what is needed.
    """

    def __init__(self, path: str, local: str, options: AdcpOptions) -> None:
        self._path, self._options = path, options
        status = os.stat(local)
        try:
            table = _read(local, status.st_size, status.st_mtime_ns)
        except InstrumentFileError as error:
            raise InstrumentFileError(error.message, path) from None
        self._parameters, self._cells = table.parameters, table.cells
        roles = (*_CODES, "correlation", "percent_good")
        if others := sorted(set(options.named) - set(roles[:6]) - set(roles[7:])):
            raise self._error(
                f"--variables can name {', '.join(roles[:6] + roles[7:])} of ODF, got"
                f" {others[0]}"
            )
        self._index = {
            role: index for role in roles if (index := self._find(role)) is not None
        }
        self._factors = self._check_parameters()
        self.times_us: NDArray[np.int64] = times_of(
            table.times_us, path, "line of data"
        )
        quantities = set(self._factors)
        if {"speed", "direction"} <= quantities:
            quantities |= {"east", "north"}
        echo = self._index.get("echo")
        self.layout = Layout(
            self._find_bins(),
            frozenset(quantities & {"east", "north", "up", "echo"}),
            echo is not None and is_decibel(self._parameters[echo].get("UNITS", "")),
        )

    def read(self, first: int, behind: int) -> Profiles:
        """Take profiles.

        Parameters
        ----------
        first, behind : int
            Which: from `first` up to, not including, `behind`.

        Returns
        -------
        Profiles
            What they hold.
        """
        rows = slice(first, behind)
        fields = {
            role: self._unflagged(rows, self._index[role])[:, None] * factor
            for role, factor in self._factors.items()
        }
        if "speed" in fields:
            towards = fields.pop("direction")
            if self._options.directions == "from":
                towards = towards + 180.0
            speeds = np.where(fields["speed"] < 0, np.nan, fields["speed"])
            del fields["speed"]
            fields["east"], fields["north"] = currents.components(speeds, towards)
        judges = {
            role: self._cells[None, rows, self._index[role], None]
            for role in ("correlation", "percent_good")
            if role in self._index
        }
        return Profiles(fields, **judges)

    def _unflagged(self, rows: slice, index: int) -> Array:
        """Take a parameter's values, without those that the flag behind it calls bad."""
        values: Array = self._cells[rows, index]
        code = self._parameters[index].get("CODE", "")
        behind = self._parameters[index + 1 : index + 2]
        for parameter in behind:
            flag = parameter.get("CODE", "")
            if flag == f"Q{code}" or re.fullmatch(r"QQQQ(_\d+)?", flag):
                bad = np.isin(self._cells[rows, index + 1], self._options.bad_flags)
                values = np.where(bad, np.nan, values)
        return values

    def _error(self, message: str) -> InstrumentFileError:
        return InstrumentFileError(message, self._path)

    def _find(self, role: str) -> int | None:
        """Return which parameter, and column of the data, something is."""
        codes = [one.get("CODE", "") for one in self._parameters]
        named = self._options.named.get(role)
        if named is not None:
            found = [index for index, code in enumerate(codes) if code == named]
            if not found:
                raise self._error(
                    f"must have the parameter {named} that --variables names, got"
                    f" {', '.join(codes)}"
                )
        elif role in _CODES:
            pattern = re.compile(rf"{_CODES[role]}(_\d+)?")
            found = [i for i, code in enumerate(codes) if pattern.fullmatch(code)]
        else:
            words = role.replace("_", " ")
            names = [one.get("NAME", "").lower() for one in self._parameters]
            found = [i for i, name in enumerate(names) if words in name][:1]
        if len(found) > 1:
            raise self._error(
                f"must have one parameter of {role}, got"
                f" {', '.join(codes[index] for index in found)}; say which with"
                f" --variables {role}={codes[found[0]]}"
            )
        return found[0] if found else None

    def _check_parameters(self) -> dict[str, float]:
        """Return what to read, and what to multiply it with."""
        index, wanted = self._index, self._options.wanted
        pairs = [("east", "north"), ("speed", "direction")]
        if {"speed", "direction"} & set(self._options.named):
            pairs.reverse()
        roles: list[str] = []
        if self._options.needs_velocity:
            complete = [pair for pair in pairs if set(pair) <= set(index)]
            if not complete:
                raise self._missing("EWCT and NSCT, or HCSP and HCDT", "east=CODE")
            roles += complete[0]
        if "up" in wanted and "up" not in index:
            raise self._missing("VCSP", "up=CODE")
        if self._options.wanted == ("echo",) and "echo" not in index:
            raise self._missing("BEAM", "echo=CODE")
        roles += [role for role in ("up", "echo") if role in wanted and role in index]
        factors = {}
        for role in roles:
            parameter = self._parameters[index[role]]
            unit = parameter.get("UNITS", "")
            factor: float | None = 1.0
            if role == "direction":
                factor = angle_factor(unit)
            elif role != "echo":
                factor = speed_factor(self._options.velocity_unit or unit)
            if factor is None:
                raise self._error(
                    f"UNITS of {parameter.get('CODE')} must be"
                    f" {'degrees' if role == 'direction' else 'm/s, cm/s or mm/s'}, got"
                    f" {unit!r}; say those of velocities with --velocity-unit"
                )
            factors[role] = factor
        return factors

    def _missing(self, what: str, flag: str) -> InstrumentFileError:
        found = ", ".join(one.get("CODE", "?") for one in self._parameters)
        return self._error(
            f"must have parameters {what}, got {found}; name them with --variables"
            f" {flag}"
        )

    def _find_bins(self) -> Bins:
        leading = self._parameters[self._index[next(iter(self._factors))]]
        try:
            depth = float(leading.get("DEPTH", ""))
        except ValueError:
            return Bins()
        places = places_of(np.array([depth]), "DEPTH", self._path)
        return Bins(depths_m=places)


class _Table:
    """A whole ODF file: its parameters, and its data, NaN where missing."""

    def __init__(self, local: str) -> None:
        with open(local, "rb") as file:
            # `splitlines` would take other control characters for ends, too.
            lines = re.split(r"\r\n|\n|\r", file.read().decode("latin-1"))
        blocks, start = _header(lines, local)
        self.parameters: Sequence[Mapping[str, str]] = [
            values for name, values in blocks if name == "PARAMETER_HEADER"
        ]
        codes = [one.get("CODE", "") for one in self.parameters]
        clocks = [i for i, code in enumerate(codes) if re.match(r"SYTM(_|$)", code)]
        if len(clocks) != 1:
            raise InstrumentFileError(
                "must have one parameter SYTM, the time, got"
                f" {', '.join(codes) or 'no PARAMETER_HEADER'}",
                local,
            )
        rows = [(n, line) for n, line in enumerate(lines[start:], start + 1) if line]
        rows = [(n, line) for n, line in rows if line.strip("\x1a \t")]
        self.cells = np.full((len(rows), len(codes)), np.nan)
        self.times_us = np.zeros(len(rows), dtype=np.int64)
        for row, (number, line) in enumerate(rows):
            tokens = _TOKEN.findall(line)
            if len(tokens) != len(codes):
                raise InstrumentFileError(
                    f"must have {len(codes)} values on each line of data, got"
                    f" {len(tokens)} on line {number}; copy the file again",
                    local,
                )
            for column, token in enumerate(tokens):
                if column == clocks[0]:
                    self.times_us[row] = _time(token, number, local)
                else:
                    self.cells[row, column] = _value(token, number, local)
        self._check_rows(blocks, local)
        self._mask()
        self.cells.setflags(write=False)
        self.times_us.setflags(write=False)

    def _check_rows(self, blocks: Sequence[Block], local: str) -> None:
        for name, values in blocks:
            stated = values.get("NUM_CYCLE", "")
            if name == "RECORD_HEADER" and stated.isdecimal():
                if int(stated) != len(self.cells):
                    raise InstrumentFileError(
                        f"must have the {stated} lines of data that NUM_CYCLE states,"
                        f" got {len(self.cells)}; copy the file again",
                        local,
                    )

    def _mask(self) -> None:
        for column, parameter in enumerate(self.parameters):
            try:
                missing = float(parameter.get("NULL_VALUE", ""))
            except ValueError:
                continue
            cells = self.cells[:, column]
            cells[cells == missing] = np.nan
        self.cells[~np.isfinite(self.cells)] = np.nan


# A day's samples are read in several stretches, and text cannot be read from its
# middle.
@functools.lru_cache(maxsize=1)
def _read(local: str, size: int, changed_ns: int) -> _Table:
    return _Table(local)


def _header(lines: Sequence[str], local: str) -> tuple[list[Block], int]:
    """Return the header's blocks, and where data begin."""
    blocks: list[tuple[str, dict[str, str]]] = []
    for index, line in enumerate(lines):
        text = line.strip()
        if text.strip("- ").upper() == "DATA" and text.startswith("-"):
            return list(blocks), index + 1
        name = text.rstrip(",")
        if name.endswith("_HEADER") and "=" not in name:
            blocks.append((name, {}))
        elif "=" in text and blocks:
            key, _, value = text.partition("=")
            blocks[-1][1][key.strip()] = value.strip().rstrip(",").strip().strip("' ")
    raise InstrumentFileError(
        "must have a line '-- DATA --' behind its header, got none in"
        f" {len(lines)} lines; copy the file again",
        local,
    )


def _time(token: str, number: int, local: str) -> int:
    match = _TIME.fullmatch(token.strip("' ").upper())
    try:
        if match is None or match[2] not in _MONTHS:
            raise ValueError
        day = datetime.datetime(
            int(match[3]), _MONTHS.index(match[2]) + 1, int(match[1]), int(match[4])
        )
        seconds = float(match[6])
        if int(match[5]) > 59 or seconds >= 61:
            raise ValueError
    except ValueError:
        raise InstrumentFileError(
            f"SYTM must be like '04-JUL-2013 13:03:00.00', got {token} on line"
            f" {number}",
            local,
        ) from None
    whole = (day - _EPOCH) // datetime.timedelta(microseconds=1)
    return whole + int(match[5]) * 60_000_000 + round(seconds * 1000) * 1000


def _value(token: str, number: int, local: str) -> float:
    try:
        return float(token.strip("'"))
    except ValueError:
        # Text, such as a flag or a name, is no quantity.
        if token.startswith("'"):
            return float("nan")
        raise InstrumentFileError(
            f"must have numbers in its data, got {token!r} on line {number}", local
        ) from None
