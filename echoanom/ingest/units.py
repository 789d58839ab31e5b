"""Units that loggers write, and what they are in the units of the tables.

One linear step: ``(value + shift) · factor`` is the value in the unit its dimension is
kept in.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Dimension: unit, then (factor, shift, spellings). The first unit is the one kept.
# Exact by definition [1]_, but for psi (rounded to 16 digits):
# .. [1] BIPM (2019). The International System of Units, 9th ed.; NIST SP 811, App. B.
_DIMENSIONS: dict[str, dict[str, tuple[float, float, str]]] = {
    "temperature": {
        "degC": (1.0, 0.0, "c celsius degc deg_c degreec degreescelsius degreecelsius"),
        "degF": (5.0 / 9.0, -32.0, "f fahrenheit degf deg_f degreesfahrenheit"),
        "K": (1.0, -273.15, "kelvin degk"),
    },
    "pressure": {
        "dbar": (1.0, 0.0, "decibar decibars dbars"),
        "bar": (10.0, 0.0, "bars"),
        "mbar": (0.01, 0.0, "millibar millibars"),
        "Pa": (1e-4, 0.0, "pascal"),
        "hPa": (0.01, 0.0, "hpa"),
        "kPa": (0.1, 0.0, "kpa"),
        "MPa": (100.0, 0.0, ""),
        "psi": (0.6894757293168361, 0.0, "psia psig"),
        "atm": (10.1325, 0.0, ""),
    },
    "length": {
        "m": (1.0, 0.0, "meter meters metre metres"),
        "cm": (0.01, 0.0, "centimeter centimeters centimetre centimetres"),
        "mm": (0.001, 0.0, "millimeter millimeters millimetre millimetres"),
        "km": (1000.0, 0.0, ""),
        "ft": (0.3048, 0.0, "foot feet"),
        "in": (0.0254, 0.0, "inch inches"),
        "fathom": (1.8288, 0.0, "fathoms"),
    },
    "speed": {
        "m/s": (1.0, 0.0, "m_s mps ms-1 m.s-1 ms^-1"),
        "cm/s": (0.01, 0.0, "cm_s cms-1 cm.s-1"),
        "mm/s": (0.001, 0.0, "mm_s mms-1 mm.s-1"),
        "km/h": (1.0 / 3.6, 0.0, "kmh kph kmh-1"),
        "knot": (1852.0 / 3600.0, 0.0, "knots kn kt kts"),
        "ft/s": (0.3048, 0.0, "fps"),
        "mph": (0.44704, 0.0, "mi/h"),
    },
    "conductivity": {
        "S/m": (1.0, 0.0, "sm-1"),
        "mS/m": (1e-3, 0.0, ""),
        "uS/m": (1e-6, 0.0, ""),
        "mS/cm": (0.1, 0.0, "mscm-1"),
        "uS/cm": (1e-4, 0.0, "uscm-1"),
    },
    "salinity": {"1e-3": (1.0, 0.0, "psu ppt pss pss-78 g/kg ‰ o/oo")},
    "angle": {
        "degree": (1.0, 0.0, "deg degrees degt degm"),
        "rad": (180.0 / np.pi, 0.0, "radian radians"),
    },
}
_UNITS = {unit: dimension for dimension, units in _DIMENSIONS.items() for unit in units}
_SPELLINGS = {
    spelling: unit
    for units in _DIMENSIONS.values()
    for unit, (_, _, spellings) in units.items()
    for spelling in spellings.split()
}
_BRACKETS = re.compile(r"^(.*\S)\s*[(\[]([^()\[\]]+)[)\]]$")


def read_unit(text: str) -> str | None:
    """Recognize a unit as a logger writes it.

    Parameters
    ----------
    text : str
        For example ``°F``, ``deg C``, ``µS/cm`` or ``knots``.

    Returns
    -------
    str or None
        The unit by its one name here; None if it is not known.
    """
    plain = text.strip().replace("µ", "u").replace("μ", "u")
    plain = plain.replace("°", "deg").replace("º", "deg").replace(" ", "")
    if plain == "deg":
        return "degree"
    # MPa is not mPa: a spelling in lower case comes second.
    if plain in _UNITS:
        return plain
    return _SPELLINGS.get(plain.lower())


def kept_unit(unit: str) -> str:
    """Return the unit that a dimension is kept in.

    Parameters
    ----------
    unit : str
        A unit that `read_unit` returned.

    Returns
    -------
    str
        For example ``S/m`` for ``uS/cm``.
    """
    return next(iter(_DIMENSIONS[_UNITS[unit]]))


def can_convert(unit: str, target: str) -> bool:
    """Tell whether two units measure the same.

    Parameters
    ----------
    unit, target : str
        Names of units.

    Returns
    -------
    bool
        True if both are known and of one dimension, or the same.
    """
    dimension = _UNITS.get(unit)
    return unit == target or (dimension is not None and dimension == _UNITS.get(target))


def convert(values: NDArray[np.float64], unit: str, target: str) -> NDArray[np.float64]:
    """Express values in another unit.

    Parameters
    ----------
    values : ndarray of float64
        Values [`unit`].
    unit, target : str
        Units that `can_convert` allows.

    Returns
    -------
    ndarray of float64, same shape
        Values [`target`]; the same array if the units are.
    """
    if unit == target:
        return values
    units = _DIMENSIONS[_UNITS[unit]]
    (factor, shift, _), (other, back, _) = units[unit], units[target]
    result: NDArray[Any] = (values + shift) * (factor / other) - back
    return result


def split_header(header: str) -> tuple[str, str]:
    """Take the unit off a column's header.

    Parameters
    ----------
    header : str
        For example ``Temp (°F)``.

    Returns
    -------
    name : str
        What stands before the brackets; the whole if there are none at the end, or
        what they hold is no known unit.
    unit : str
        What stands in the brackets; empty if nothing does.
    """
    match = _BRACKETS.match(header.strip())
    if match is None or read_unit(match[2]) is None:
        return header.strip(), ""
    return match[1], match[2]


def known_units() -> str:
    """List the units, for messages.

    Returns
    -------
    str
        Their names, separated by commas.
    """
    return ", ".join(_UNITS)
