"""Units of loggers become the units of the tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.ingest import units

ALL = units.known_units().split(", ")


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        (212.0, "degF", "degC", 100.0),
        (273.15, "K", "degC", 0.0),
        # 1 psi = 6894.757293168361 Pa
        (1.0, "psi", "dbar", 0.6894757293168361),
        (1.0, "bar", "dbar", 10.0),
        (101.325, "kPa", "dbar", 10.1325),
        (1013.25, "hPa", "dbar", 10.1325),
        (250.0, "cm", "m", 2.5),
        (10.0, "ft", "m", 3.048),
        # A knot is a nautical mile, 1852 m, in an hour.
        (3600.0, "knot", "m/s", 1852.0),
        (36.0, "km/h", "m/s", 10.0),
        (50_000.0, "uS/cm", "S/m", 5.0),
        (50.0, "mS/cm", "S/m", 5.0),
        (np.pi, "rad", "degree", 180.0),
        (35.0, "1e-3", "1e-3", 35.0),
    ],
)
def test_a_value_is_expressed_in_another_unit(
    value: float, unit: str, target: str, expected: float
) -> None:
    assert units.can_convert(unit, target)
    result = units.convert(np.array([value, np.nan]), unit, target)
    np.testing.assert_allclose(result, [expected, np.nan], rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("°F", "degF"),
        ("deg C", "degC"),
        ("Celsius", "degC"),
        ("µS/cm", "uS/cm"),
        ("μS/cm", "uS/cm"),
        ("knots", "knot"),
        ("PSU", "1e-3"),
        ("deg", "degree"),
        ("°", "degree"),
        ("mbar", "mbar"),
        ("MPa", "MPa"),
        ("furlong", None),
        ("dB", None),
        ("", None),
    ],
)
def test_units_are_known_as_loggers_write_them(written: str, unit: str | None) -> None:
    assert units.read_unit(written) == unit


@given(st.sampled_from(ALL), st.sampled_from(ALL), st.floats(-1e4, 1e4))
def test_there_and_back_is_the_same(unit: str, other: str, value: float) -> None:
    if not units.can_convert(unit, other):
        return
    there = units.convert(np.array([value]), unit, other)
    back = units.convert(there, other, unit)
    # Kelvin and pascal are far from what they are expressed in.
    np.testing.assert_allclose(back, value, rtol=1e-9, atol=1e-6)


def test_the_same_unit_changes_no_bit() -> None:
    values = np.array([0.1, 0.3])
    assert units.convert(values, "degC", "degC") is values


def test_units_of_other_dimensions_cannot_be_converted() -> None:
    assert not units.can_convert("degC", "dbar")
    assert not units.can_convert("furlong", "m")


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("Temp (°F)", "Temp", "°F"),
        ("Pressure [psi]", "Pressure", "psi"),
        ("Turbidity (NTU)", "Turbidity (NTU)", ""),
        ("Temp", "Temp", ""),
        ("(degC)", "(degC)", ""),
    ],
)
def test_a_header_may_end_with_the_unit(header: str, name: str, unit: str) -> None:
    assert units.split_header(header) == (name, unit)
