"""What a column holds: its sensor, unit, range or frequency, and kind of quantity.

The kind decides the arithmetic. Levels in dB are averaged and interpolated in linear
units, directions as vectors; everything else as plain numbers.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ColumnsError

Kind = Literal["scalar", "level", "direction"]


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Name in the sensor's own table.
    sensor : str
        The sensor it comes from.
    unit : str
        Unit, empty if unknown.
    kind : {'scalar', 'level', 'direction'}
        Level: logarithmic [dB]. Direction: an angle [degree], 360 is 0.
    range_m : float, optional
        Distance from the instrument [m].
    frequency_hz : float, optional
        Acoustic frequency [Hz].
    depth_m : float, optional
        Depth below the surface [m], where it is not the range.
    standard_name : str, optional
        Name in the CF standard name table, where it has one.
    """

    name: str
    sensor: str
    unit: str = ""
    kind: Kind = "scalar"
    range_m: float | None = None
    frequency_hz: float | None = None
    depth_m: float | None = None
    standard_name: str | None = None

    @property
    def label(self) -> str:
        """Name that is unique over sensors: ``sensor/name``."""
        return f"{self.sensor}/{self.name}"

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are set, as plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        # Every value is plain, so `dataclasses.asdict`, which copies deeply, is not
        # needed: thousands of columns are written for every shard.
        return {key: value for key, value in vars(self).items() if value is not None}


# (pattern, unit, kind): the first that is found in the name decides.
_QUANTITIES: tuple[tuple[str, str, Kind], ...] = (
    (r"^sv(?=[_\d]|$)|_sv(?=[_\d]|$)", "dB re 1 m⁻¹", "level"),
    (r"echo|amp(?=_|$)", "count", "scalar"),
    (r"^(ltsa|spl|psd)", "dB re 1 µPa²/Hz", "level"),
    (r"_db(?=_|$)", "dB", "level"),
    (r"temp", "degC", "scalar"),
    (
        r"(^|_)(dir|direction|heading|bearing|azimuth|course)(?=[_\d]|$)",
        "degree",
        "direction",
    ),
    # Pitch, roll and latitude are angles that do not go round.
    (r"_deg(rees?)?(?=_|$)", "degree", "scalar"),
    (r"_cm_s(?=_|$)", "cm/s", "scalar"),
    (r"speed|^(u|v|w|east|north|up|vel)(?=_|$)|velocity|_m_s(?=_|$)", "m/s", "scalar"),
    (r"depth|height|level_m", "m", "scalar"),
    (r"salin", "1e-3", "scalar"),
    (r"press", "dbar", "scalar"),
)
_RANGE = re.compile(r"_(\d+(?:\.\d+)?)m$", re.IGNORECASE)
_FREQUENCY = re.compile(r"(?:^|_)(\d+(?:\.\d+)?)(k?)hz(?=_|$)", re.IGNORECASE)


def column_from_name(name: str, sensor: str) -> Column:
    """Read what a column holds from its name.

    ``_<number>m`` at the end is a range; ``<number>Hz`` or ``kHz`` between underscores,
    or at either end, a frequency.

    Parameters
    ----------
    name : str
        The column's name, e.g. ``Sv_12.5m``.
    sensor : str
        The sensor it belongs to.

    Returns
    -------
    Column
        Unit ``""`` and kind ``scalar`` where the name tells nothing.
    """
    range_m = frequency_hz = None
    if match := _RANGE.search(name):
        range_m = float(match[1])
    if match := _FREQUENCY.search(name):
        frequency_hz = float(match[1]) * (1000.0 if match[2] else 1.0)
    unit, kind = "", "scalar"
    for pattern, found_unit, found_kind in _QUANTITIES:
        if re.search(pattern, name, re.IGNORECASE):
            unit, kind = found_unit, found_kind
            break
    return Column(name, sensor, unit, kind, range_m, frequency_hz)  # type: ignore[arg-type]


def columns_from_json(text: str, sensor: str, path: str) -> dict[str, Column]:
    """Read a sensor's ``columns.json``: a list of objects with at least ``name``.

    Parameters
    ----------
    text : str
        The file's content.
    sensor : str
        The sensor it belongs to.
    path : str
        The file's name, for messages.

    Returns
    -------
    dict of str to Column
        By name. What the file leaves out is read from the name.

    Raises
    ------
    ColumnsError
        If the text is not such a list, has unknown keys or values, or describes a
        column twice.
    """
    try:
        entries = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise ColumnsError(
            f"must be JSON, got: {error.msg}", path=path, line=error.lineno
        ) from None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str)
        for entry in entries
    ):
        raise ColumnsError("must be a list of objects with a 'name'", path=path)
    columns: dict[str, Column] = {}
    for entry in entries:
        name = entry["name"]
        if wrong := _wrong_entry(entry, columns):
            raise ColumnsError(wrong, path=path, column=name)
        guessed = vars(column_from_name(name, sensor))
        columns[name] = Column(**{**guessed, **entry})
    return columns


def _wrong_entry(entry: Mapping[str, Any], columns: Mapping[str, Column]) -> str:
    """Say what is wrong with an entry of ``columns.json``; nothing, if nothing is."""
    known = {field.name for field in dataclasses.fields(Column)} - {"sensor"}
    if unknown := sorted(set(entry) - known):
        return (
            f"has unknown keys {', '.join(unknown)};"
            f" known are {', '.join(sorted(known))}"
        )
    if entry["name"] in columns:
        return "must be described once, is described again"
    if entry.get("kind", "scalar") not in get_args(Kind):
        return f"kind must be scalar, level or direction, got {entry['kind']!r}"
    if not isinstance(entry.get("unit", ""), str):
        return f"unit must be text, got {entry['unit']!r}"
    if not isinstance(entry.get("standard_name", ""), str | None):
        return f"standard_name must be text or null, got {entry['standard_name']!r}"
    for key in ("range_m", "frequency_hz", "depth_m"):
        value = entry.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value)):
            return f"{key} must be a number or null, got {value!r}"
    return ""


def columns_to_json(columns: Sequence[Column]) -> str:
    """Write what `columns_from_json` reads.

    Parameters
    ----------
    columns : sequence of Column
        Of one sensor.

    Returns
    -------
    str
        A list of objects, one a line; without the sensor, which the folder names.
    """
    entries = []
    for column in columns:
        entry = column.as_json()
        del entry["sensor"]
        # What is left out would be read from the name.
        guessed = column_from_name(column.name, column.sensor)
        for key in ("range_m", "frequency_hz"):
            if getattr(column, key) is None and getattr(guessed, key) is not None:
                entry[key] = None
        entries.append(json.dumps(entry, ensure_ascii=False))
    return "[\n" + ",\n".join(entries) + "\n]\n"


def columns_from_manifest(entries: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Rebuild columns from `Column.as_json`.

    Parameters
    ----------
    entries : sequence of mapping
        One for each column.

    Returns
    -------
    tuple of Column
        In the same order.
    """
    return tuple(Column(**entry) for entry in entries)


def kind_mask(columns: Sequence[Column], kind: Kind) -> NDArray[np.bool_]:
    """Tell which columns are of one kind.

    Parameters
    ----------
    columns : sequence of Column
        The columns, length C.
    kind : {'scalar', 'level', 'direction'}
        The kind asked for.

    Returns
    -------
    ndarray of bool, shape (C,)
        True where it is.
    """
    return np.array([column.kind == kind for column in columns], dtype=np.bool_)
