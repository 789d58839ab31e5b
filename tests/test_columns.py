"""Columns: what their names tell, and what ``columns.json`` may say instead."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.columns import (
    Column,
    Kind,
    column_from_name,
    columns_from_json,
    columns_from_manifest,
    kind_mask,
)
from echoanom.errors import ColumnsError

PATH = "adcp/columns.json"
SV, LEVEL = "dB re 1 m⁻¹", "dB re 1 µPa²/Hz"


@pytest.mark.parametrize(
    "name, unit, kind",
    [
        # Echosounders.
        ("Sv_12.5m", SV, "level"),
        ("sv_250m", SV, "level"),
        ("SV", SV, "level"),
        ("Sv_38kHz_12.5m", SV, "level"),
        ("38kHz_Sv_12.5m", SV, "level"),
        ("mean_Sv_100m", SV, "level"),
        ("noise_dB", "dB", "level"),
        # Current profilers.
        ("speed_4.24m", "m/s", "scalar"),
        ("u_10m", "m/s", "scalar"),
        ("v", "m/s", "scalar"),
        ("w_vel_5m", "m/s", "scalar"),
        ("east_12m", "m/s", "scalar"),
        ("up", "m/s", "scalar"),
        ("current_velocity_3m", "m/s", "scalar"),
        ("speed_cm_s", "cm/s", "scalar"),
        ("dir_4.24m", "degree", "direction"),
        ("direction_10m", "degree", "direction"),
        ("Direction", "degree", "direction"),
        ("current_dir_5m", "degree", "direction"),
        ("wind_direction_deg", "degree", "direction"),
        ("heading", "degree", "direction"),
        ("heading_deg", "degree", "direction"),
        ("echo_intensity_3m", "count", "scalar"),
        ("amp_beam1_3m", "count", "scalar"),
        # Angles that do not go round.
        ("pitch_deg", "degree", "scalar"),
        ("roll_degrees", "degree", "scalar"),
        ("latitude_deg", "degree", "scalar"),
        # Hydrophones.
        ("LTSA_63Hz", LEVEL, "level"),
        ("spl_1kHz", LEVEL, "level"),
        ("PSD_125hz", LEVEL, "level"),
        # Point sensors.
        ("temperature", "degC", "scalar"),
        ("water_temp_deg_C", "degC", "scalar"),
        ("Temp_10m", "degC", "scalar"),
        ("salinity", "1e-3", "scalar"),
        ("pressure_dbar", "dbar", "scalar"),
        ("depth", "m", "scalar"),
        ("water_level_m", "m", "scalar"),
        ("significant_wave_height", "m", "scalar"),
        ("sound_speed_m_s", "m/s", "scalar"),
        # Names that tell nothing, some of which begin like one that does.
        ("value", "", "scalar"),
        ("turbidity", "", "scalar"),
        ("conductivity", "", "scalar"),
        ("oxygen_umol_kg", "", "scalar"),
        ("direct_current_V", "", "scalar"),
        ("update_count", "", "scalar"),
        ("voltage", "", "scalar"),
        ("svalbard", "", "scalar"),
        ("", "", "scalar"),
    ],
)
def test_a_name_tells_unit_and_kind(name: str, unit: str, kind: Kind) -> None:
    column = column_from_name(name, "sensor")
    assert (column.unit, column.kind) == (unit, kind)
    assert (column.name, column.sensor) == (name, "sensor")


@pytest.mark.parametrize(
    "name, range_m, frequency_hz",
    [
        ("Sv_12.5m", 12.5, None),
        ("Sv_250M", 250.0, None),
        ("u_0m", 0.0, None),
        ("LTSA_63Hz", None, 63.0),
        ("LTSA_1.25kHz", None, 1250.0),
        ("spl_20KHZ", None, 20_000.0),
        ("Sv_38kHz", None, 38_000.0),
        ("Sv_38kHz_12.5m", 12.5, 38_000.0),
        ("200kHz_Sv_3m", 3.0, 200_000.0),
        ("water_level_m", None, None),
        ("speed_m_s", None, None),
        ("mean_5min", None, None),
        ("count_3m_average", None, None),
        ("Sv12m", None, None),
        ("12m", None, None),
    ],
)
def test_a_name_tells_range_and_frequency(
    name: str, range_m: float | None, frequency_hz: float | None
) -> None:
    column = column_from_name(name, "sensor")
    assert (column.range_m, column.frequency_hz) == (range_m, frequency_hz)


@given(st.text(), st.text())
def test_any_name_makes_a_column_of_its_name(name: str, sensor: str) -> None:
    column = column_from_name(name, sensor)
    assert (column.name, column.sensor) == (name, sensor)
    assert column.label == f"{sensor}/{name}"


COLUMNS = st.builds(
    Column,
    name=st.text(),
    sensor=st.text(),
    unit=st.text(),
    kind=st.sampled_from(["scalar", "level", "direction"]),
    range_m=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    frequency_hz=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(COLUMNS))
def test_columns_come_back_from_a_manifest(columns: list[Column]) -> None:
    text = json.dumps([column.as_json() for column in columns])
    assert columns_from_manifest(json.loads(text)) == tuple(columns)


def test_fields_without_a_value_are_not_written() -> None:
    written = Column("temperature", "ctd").as_json()
    assert written == {
        "name": "temperature",
        "sensor": "ctd",
        "unit": "",
        "kind": "scalar",
    }


def test_columns_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Column("a", "b").name = "c"  # type: ignore[misc]


def test_kind_mask_tells_which_columns_are_of_a_kind() -> None:
    columns = [column_from_name(name, "s") for name in ("Sv_1m", "dir_1m", "u", "v")]
    assert kind_mask(columns, "level").tolist() == [True, False, False, False]
    assert kind_mask(columns, "direction").tolist() == [False, True, False, False]
    assert kind_mask(columns, "scalar").tolist() == [False, False, True, True]
    assert kind_mask([], "scalar").tolist() == []
    assert kind_mask([], "scalar").dtype == bool


# columns.json


def test_columns_json_is_taken_by_name_and_bound_to_its_sensor() -> None:
    text = json.dumps(
        [
            {
                "name": "bin1",
                "unit": "cm/s",
                "kind": "scalar",
                "range_m": 4,
                "frequency_hz": 1e6,
            },
            {"name": "bin2", "unit": ""},
        ]
    )
    assert columns_from_json(text, "adcp", PATH) == {
        "bin1": Column("bin1", "adcp", "cm/s", "scalar", 4, 1e6),
        "bin2": Column("bin2", "adcp"),
    }


def test_what_columns_json_leaves_out_is_read_from_the_name() -> None:
    text = '[{"name": "Sv_3m"}, {"name": "dir_5m", "range_m": 7.5}]'
    assert columns_from_json(text, "s", PATH) == {
        "Sv_3m": Column("Sv_3m", "s", SV, "level", 3.0),
        "dir_5m": Column("dir_5m", "s", "degree", "direction", 7.5),
    }


def test_columns_json_can_contradict_the_name() -> None:
    text = '[{"name": "Sv_3m", "kind": "scalar", "unit": "", "range_m": null}]'
    assert columns_from_json(text, "s", PATH)["Sv_3m"] == Column("Sv_3m", "s")


def test_an_empty_columns_json_describes_nothing() -> None:
    assert columns_from_json("[]", "s", PATH) == {}


def test_a_byte_order_mark_is_no_harm() -> None:
    assert list(columns_from_json('\ufeff[{"name": "a"}]', "s", PATH)) == ["a"]


LIST = "must be a list of objects with a 'name'"
KNOWN = "known are depth_m, frequency_hz, kind, name, range_m, standard_name, unit"


MALFORMED = {
    "nothing": ("", "line 1: must be JSON, got: "),
    "a cut file": ('[{"name": "a"},\n{"na', "line 2: must be JSON, got: "),
    "CSV": ("name,unit\na,m\n", "line 1: must be JSON, got: "),
    "an object": ('{"name": "a"}', LIST),
    "a number": ("3", LIST),
    "null": ("null", LIST),
    "a list of names": ('["a", "b"]', LIST),
    "an entry without a name": ('[{"name": "a"}, {"unit": "m"}]', LIST),
    "a name that is a number": ('[{"name": 3}]', LIST),
    "an unknown key": (
        '[{"name": "a", "units": "m", "colour": 1}]',
        f"column 'a': has unknown keys colour, units; {KNOWN}",
    ),
    "a sensor of its own": (
        '[{"name": "a", "sensor": "ctd"}]',
        f"column 'a': has unknown keys sensor; {KNOWN}",
    ),
    "a name twice": (
        '[{"name": "a"}, {"name": "a", "unit": "m"}]',
        "column 'a': must be described once, is described again",
    ),
    "an unknown kind": (
        '[{"name": "a", "kind": "angle"}]',
        "column 'a': kind must be scalar, level or direction, got 'angle'",
    ),
    "a kind that is a list": (
        '[{"name": "a", "kind": ["level"]}]',
        r"column 'a': kind must be scalar, level or direction, got \['level'\]",
    ),
    "a kind that is null": (
        '[{"name": "a", "kind": null}]',
        "column 'a': kind must be scalar, level or direction, got None",
    ),
    "a unit that is a number": (
        '[{"name": "a", "unit": 3}]',
        "column 'a': unit must be text, got 3",
    ),
    "a range in words": (
        '[{"name": "a", "range_m": "12 m"}]',
        "column 'a': range_m must be a number or null, got '12 m'",
    ),
    "a range without end": (
        '[{"name": "a", "range_m": Infinity}]',
        "column 'a': range_m must be a number or null, got inf",
    ),
    "a frequency that is none": (
        '[{"name": "a", "frequency_hz": true}]',
        "column 'a': frequency_hz must be a number or null, got True",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_columns_json_is_refused_with_its_place(case: str) -> None:
    text, message = MALFORMED[case]
    with pytest.raises(ColumnsError, match=f"^{PATH}(, |: ){message}") as caught:
        columns_from_json(text, "adcp", PATH)
    assert "\n" not in str(caught.value)
    assert caught.value.path == PATH
