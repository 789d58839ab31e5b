"""NetCDF of current profilers: names, units, times, places; and what is refused."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from adcpfiles import look, profiles, refusal, samples, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError, MissingExtraError
from echoanom.ingest.adcpvariables import (
    angle_factor,
    is_decibel,
    length_factor,
    pressure_factor,
    speed_factor,
)

EAST = ["east_2m", "east_4m", "east_6m"]
NORTH = ["north_2m", "north_4m", "north_6m"]


# Units.


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("m s-1|m/s|M/s|meters per second|metre/second|m s^-1|m.s-1|m s**-1", 1.0),
        ("m*s-1|m s⁻¹|ms-1|meter second-1|m/sec", 1.0),
        ("cm s-1|cm/s|CM/S|centimeters/second", 0.01),
        ("mm s-1|mm/s|millimeter s-1", 0.001),
        ("|1|m|s|m s-2|knots|km/h|counts|m/s2|m s", None),
    ],
)
def test_units_of_velocity(units: str, factor: float | None) -> None:
    for unit in units.split("|"):
        assert speed_factor(unit) == factor, unit


def test_units_of_length_pressure_and_angle() -> None:
    assert [length_factor(x) for x in ("", "m", "Metres", "cm", "km", "s")] == [
        *(1.0, 1.0, 1.0, 0.01, 1000.0, None),
    ]
    assert [pressure_factor(x) for x in ("dbar", "Pa", "kPa", "bar", "m")] == [
        *(1.0, 1e-4, 0.1, 10.0, None),
    ]
    assert angle_factor("degrees_CW_from_N") == angle_factor("degrees true") == 1.0
    assert angle_factor("rad") == pytest.approx(180 / np.pi)
    assert angle_factor("degrees_CCW_from_E") is None
    assert is_decibel("dB re 1 V") and not is_decibel("count") and not is_decibel("")


@pytest.mark.parametrize(("unit", "factor"), [("cm/s", 100), ("mm s-1", 1000)])
def test_velocities_are_converted_to_metres_per_second(
    tmp_path: Path, unit: str, factor: float
) -> None:
    dataset = profiles(unit=unit)
    dataset["u"].values[:] *= factor
    dataset["v"].values[:] *= factor
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_allclose(values[EAST], profiles()["u"], rtol=1e-12)


@pytest.mark.parametrize("unit", [None, "knots"])
def test_unknown_units_are_refused_until_they_are_said(
    tmp_path: Path, unit: str | None
) -> None:
    path = write(profiles(unit=unit), tmp_path / "a.nc")
    assert f"got {unit or ''!r}; say them with --velocity-unit" in refusal(path)
    values, _ = samples(path, velocity_unit="cm/s")
    np.testing.assert_allclose(values[EAST], profiles()["u"] / 100, rtol=1e-12)


def test_packed_numbers_and_fill_values_are_decoded(tmp_path: Path) -> None:
    dataset = profiles()
    dataset["u"].values[1, 1] = np.nan
    packed = {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -32768}
    path = write(dataset, tmp_path / "a.nc", encoding={"u": packed, "v": packed})
    values, counts = samples(path)
    assert counts == {"velocities missing in the files": 1}
    there = dataset["u"].values[0]
    np.testing.assert_allclose(values[EAST].iloc[0], there, atol=5.1e-4)


# Names.


@pytest.mark.parametrize(
    "names",
    ["U V", "UCUR VCUR", "u_1205 v_1206", "EWCT NSCT", "LCEWAP01 LCNSAP01"],
)
def test_usual_names_are_found_in_any_case(tmp_path: Path, names: str) -> None:
    dataset = profiles(names=tuple(names.split()))
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_array_equal(values[EAST], dataset[names.split()[0]])
    np.testing.assert_array_equal(values[NORTH], dataset[names.split()[1]])


def test_standard_names_go_before_usual_names(tmp_path: Path) -> None:
    dataset = profiles(names=("u", "v", "a", "b"))
    dataset["a"].attrs["standard_name"] = "eastward_sea_water_velocity"
    dataset["b"].attrs["standard_name"] = "northward_sea_water_velocity"
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_array_equal(values[EAST], dataset["a"])


def test_of_two_variables_with_a_standard_name_one_must_be_named(
    tmp_path: Path,
) -> None:
    dataset = profiles(names=("a", "b", "v"))
    for name in "ab":
        dataset[name].attrs["standard_name"] = "eastward_sea_water_velocity"
    path = write(dataset, tmp_path / "a.nc")
    assert "got a, b; say which with --variables east=a" in refusal(path)
    values, _ = samples(path, variables=("east=b",))
    np.testing.assert_array_equal(values[EAST], dataset["b"])


def test_unknown_names_are_told_with_those_looked_for(tmp_path: Path) -> None:
    path = write(profiles(names=("ucomp", "vcomp")), tmp_path / "a.nc")
    message = refusal(path)
    assert "must have east and north along time, got ucomp, vcomp, amp" in message
    assert "looked for east as u, east, ucur" in message
    assert "--variables east=NAME,north=NAME" in message
    look(path, variables=("east=ucomp", "north=vcomp"))


def test_a_name_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    message = refusal(path, variables=("east=nope", "north=v"))
    assert "must have the variable nope that --variables names, got " in message
    assert "numbers along time" in refusal(path, variables=("east=range", "north=v"))


def test_single_dimensions_of_a_place_are_no_matter(tmp_path: Path) -> None:
    dataset = profiles().rename(range="depth").expand_dims({"lat": [54.0]}, axis=2)
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_array_equal(values[EAST], profiles()["u"])


def test_dimensions_may_be_in_any_order(tmp_path: Path) -> None:
    path = write(profiles().transpose("range", "time"), tmp_path / "a.nc")
    values, _ = samples(path)
    np.testing.assert_array_equal(values[EAST], profiles()["u"])


def test_what_pyadps_writes_is_read(tmp_path: Path) -> None:
    # cm/s with a fill value, depths that rise, hours as float32.
    dataset = profiles(5, step_s=900).rename(range="depth").drop_vars("amp")
    for name in "uvw":
        dataset[name] = (dataset[name] * 100).astype("float32")
        dataset[name].attrs["units"] = "cm/s"
    dataset["u"].values[2, 1] = np.nan
    fill = {name: {"_FillValue": -32768.0} for name in "uvw"}
    hours = {"time": {"units": "hours since 2000-01-01", "dtype": "float32"}}
    path = write(dataset, tmp_path / "a.nc", encoding=fill | hours)
    values, counts = samples(path)
    assert counts == {"velocities missing in the files": 1}
    np.testing.assert_allclose(values[EAST].iloc[0], profiles()["u"][0], rtol=1e-6)
    assert (values.index == dataset["time"].values).all()


def test_a_current_meter_without_bins_has_one_column_each(tmp_path: Path) -> None:
    dataset = profiles().isel(range=0, drop=True)
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    assert list(values) == ["east", "north", "echo"]


def test_speed_and_direction_do_where_there_are_no_components(tmp_path: Path) -> None:
    dataset = polar()
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_allclose(values[EAST], profiles()["u"], atol=1e-12)
    np.testing.assert_allclose(values[NORTH], profiles()["v"], atol=1e-12)


def test_directions_from_are_turned_round(tmp_path: Path) -> None:
    declared = polar()
    declared["current_direction"].attrs["standard_name"] = (
        "sea_water_velocity_from_direction"
    )
    path = write(declared, tmp_path / "a.nc")
    values, _ = samples(path)
    np.testing.assert_allclose(values[EAST], -profiles()["u"], atol=1e-12)
    towards, _ = samples(path, directions="towards")
    np.testing.assert_allclose(towards[EAST], profiles()["u"], atol=1e-12)
    silent, _ = samples(write(polar(), tmp_path / "b.nc"), directions="from")
    np.testing.assert_allclose(silent[EAST], -profiles()["u"], atol=1e-12)


def test_directions_in_radians_are_converted_and_others_refused(tmp_path: Path) -> None:
    dataset = polar()
    dataset["current_direction"] = np.deg2rad(dataset["current_direction"])
    dataset["current_direction"].attrs["units"] = "radians"
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_allclose(values[EAST], profiles()["u"], atol=1e-12)
    dataset["current_direction"].attrs["units"] = "degrees_CCW_from_E"
    message = refusal(write(dataset, tmp_path / "b.nc"))
    assert "clockwise from north, got 'degrees_CCW_from_E'" in message


def polar() -> xr.Dataset:
    dataset = profiles()
    dataset["current_speed"] = np.hypot(dataset["u"], dataset["v"])
    dataset["current_speed"].attrs["units"] = "m/s"
    angle = np.rad2deg(np.arctan2(dataset["u"], dataset["v"])) % 360
    dataset["current_direction"] = angle.assign_attrs(units="")
    return dataset.drop_vars(["u", "v", "w"])


# Coordinates.


def vectors(labels: list[Any], frame: str | None) -> xr.Dataset:
    dataset = profiles()[["amp"]]
    random = np.random.default_rng(0).normal(size=(len(labels), 3, 4))
    dataset["vel"] = (("dir", "range", "time"), random, {"units": "m s-1"})
    dataset = dataset.assign_coords(dir=labels)
    return dataset.assign_attrs({} if frame is None else {"coord_sys": frame})


@pytest.mark.parametrize(
    ("labels", "frame", "got"),
    [
        (["X", "Y", "Z"], "inst", "got inst"),
        ([1, 2, 3, 4], "beam", "got beam"),
        (["streamwise", "x-stream", "vert"], "principal", "got principal"),
        (["X", "Y", "Z", "err"], None, "got components X, Y, Z, err"),
        (["E", "N", "U"], "ship", "got ship"),
    ],
)
def test_other_than_earth_coordinates_are_refused(
    tmp_path: Path, labels: list[Any], frame: str | None, got: str
) -> None:
    path = write(vectors(labels, frame), tmp_path / "a.nc")
    message = refusal(path)
    assert got in message and "rotate2(dataset, 'earth')" in message
    # Echo has no coordinates.
    assert list(samples(path, quantities=("echo",))[0]) == [
        "echo_2m",
        "echo_4m",
        "echo_6m",
    ]


def test_beams_in_variables_of_their_own_are_refused(tmp_path: Path) -> None:
    names = ("vel1", "vel2", "vel3", "vel4")
    message = refusal(write(profiles(names=names), tmp_path / "a.nc"))
    assert "what looks like beams or axes: vel1, vel2, vel3, vel4" in message


def test_components_by_name_do_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    dataset = vectors(["X", "Y", "Z"], "inst").merge(profiles()[["u", "v"]])
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_array_equal(values[EAST], profiles()["u"])


def test_labelled_earth_coordinates_are_taken_by_their_labels(tmp_path: Path) -> None:
    dataset = vectors(["N", "U", "E"], "earth")
    path = write(dataset, tmp_path / "a.nc")
    values, _ = samples(path, quantities=("speed", "up"))
    velocity = dataset["vel"].values
    np.testing.assert_array_equal(values[EAST], velocity[2].T)
    np.testing.assert_array_equal(values[NORTH], velocity[0].T)
    np.testing.assert_array_equal(values["up_4m"], velocity[1, 1])


@pytest.mark.parametrize("quantity", ["up", "echo"])
def test_what_is_asked_for_must_be_there(tmp_path: Path, quantity: str) -> None:
    dataset = profiles(names=("u", "v")).drop_vars("amp")
    path = write(dataset, tmp_path / "a.nc")
    assert f"{quantity}=NAME" in refusal(path, quantities=("speed", quantity))
    assert "echo_2m" not in samples(path)[0]


# Times.


def test_a_time_by_the_fraction_of_a_day_stays_in_its_minute(tmp_path: Path) -> None:
    dataset = profiles(2000)
    encoding = {"time": {"units": "days since 1950-01-01", "dtype": "float64"}}
    path = write(dataset, tmp_path / "a.nc", encoding=encoding)
    values, _ = samples(path)
    assert (values.index == dataset["time"].values).all()


@pytest.mark.parametrize(
    ("attrs", "got"),
    [
        ({}, "units of time must be such as 'seconds since 1970-01-01', got ''"),
        ({"units": "days"}, "got 'days'"),
        ({"units": "True Julian Day"}, "got 'True Julian Day'"),
        ({"units": "fortnights since 2015-01-01"}, "got 'fortnights since"),
        ({"units": "days since yesterday"}, "got 'days since yesterday'"),
        (
            {"units": "days since 2015-01-01", "calendar": "360_day"},
            "must be times of the standard calendar",
        ),
        (
            {"units": "days since 2015-01-01", "calendar": "maya"},
            "must be times of the standard calendar",
        ),
    ],
)
def test_times_that_mean_nothing_are_refused(
    tmp_path: Path, attrs: dict[str, str], got: str
) -> None:
    dataset = profiles().assign_coords(time=("time", [1.0, 2.0, 3.0, 4.0], attrs))
    assert got in refusal(write(dataset, tmp_path / "a.nc"))


def test_a_file_without_time_is_refused(tmp_path: Path) -> None:
    path = write(profiles().drop_vars("time"), tmp_path / "a.nc")
    message = refusal(path)
    assert message.startswith("must have time, got u, v, w, amp, range; looked for ")
    assert message.endswith("name them with --variables time=NAME")


def test_another_time_can_be_named(tmp_path: Path) -> None:
    dataset = profiles()
    dataset["clock"] = dataset["time"] + np.timedelta64(1, "D")
    dataset = dataset.drop_vars("time")
    path = write(dataset, tmp_path / "a.nc")
    file = look(path, variables=("time=clock",))
    assert file.look.first_us == 1_422_835_200_000_000


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 1, 2)])
def test_a_clock_that_does_not_run_forwards_is_refused(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    dataset = profiles().isel(time=list(order))
    message = refusal(write(dataset, tmp_path / "a.nc"))
    place = "profile 3"
    assert "time must rise from profile to profile" in message and place in message


def test_a_missing_time_is_refused(tmp_path: Path) -> None:
    units = {"units": "hours since 2015-01-01"}
    dataset = profiles().assign_coords(time=("time", [0.0, 1.0, np.nan, 3.0], units))
    assert "got none for profile 3" in refusal(write(dataset, tmp_path / "a.nc"))


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = write(profiles(0), tmp_path / "a.nc", unlimited_dims=["time"])
    assert refusal(path) == "must hold samples, got no profile"


# Places.


@pytest.mark.parametrize("ranges", [(2.0, 6.0, 4.0), (2.0, 2.0, 4.0), (4.0, 2.0, 2.0)])
def test_places_that_go_back_are_refused(
    tmp_path: Path, ranges: tuple[float, ...]
) -> None:
    path = write(profiles().assign_coords(range=list(ranges)), tmp_path / "a.nc")
    assert "range must rise, or fall, from bin to bin" in refusal(path)


def test_places_that_fall_are_taken(tmp_path: Path) -> None:
    dataset = profiles().rename(range="DEPTH").assign_coords(DEPTH=[30.0, 20.0, 10.0])
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    assert list(values)[:3] == ["east_30m", "east_20m", "east_10m"]


def test_heights_above_an_instrument_that_looks_down_are_ranges(tmp_path: Path) -> None:
    dataset = profiles().rename(range="HEIGHT_ABOVE_SENSOR")
    dataset = dataset.assign_coords(HEIGHT_ABOVE_SENSOR=[-2.0, -4.0, -6.0])
    values, _ = samples(write(dataset, tmp_path / "a.nc"))
    np.testing.assert_array_equal(values[EAST], profiles()["u"])


def test_places_that_are_missing_are_refused(tmp_path: Path) -> None:
    dataset = profiles().assign_coords(range=[2.0, np.nan, 6.0])
    assert "got nan for bin 2" in refusal(write(dataset, tmp_path / "a.nc"))
    bare = profiles().drop_vars("range")
    assert "must say where bins along range are" in refusal(
        write(bare, tmp_path / "b.nc")
    )


def test_places_too_near_each_other_to_have_names_are_refused(tmp_path: Path) -> None:
    dataset = profiles().assign_coords(range=[0.001, 0.002, 0.003])
    assert "0.01 m apart" in refusal(write(dataset, tmp_path / "a.nc"))


def test_places_in_other_units_are_converted_or_refused(tmp_path: Path) -> None:
    dataset = profiles().assign_coords(
        range=("range", [200, 400, 600], {"units": "cm"})
    )
    assert "east_2m" in samples(write(dataset, tmp_path / "a.nc"))[0]
    dataset["range"].attrs["units"] = "s"
    assert "units of range must be of length" in refusal(
        write(dataset, tmp_path / "b.nc")
    )


# Damage.


def test_without_xarray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"echoanom\[ingest\]"):
        look(path)


def test_files_of_others_are_named(tmp_path: Path, shared_data: Path) -> None:
    starts = {
        "a.wav": (b"RIFF\x00\x00\x00\x00WAVE", "a WAV file"),
        "a.raw": (b"\x00\x00\x00\x00CON0", "an echosounder's raw file"),
        "a.000": (b"\x7f\x7f\x00\x01", "RDI's own binary file"),
        "a.txt": (b"hello there", "got b'hello th' at byte 0"),
    }
    for name, (start, told) in starts.items():
        path = tmp_path / name
        path.write_bytes(start + bytes(100))
        assert told in refusal(path)
    wave = next((shared_data / "pypam_hydrophone").rglob("*.wav"))
    assert "a WAV file" in refusal(wave)
    echosounder = next((shared_data / "pyecholab_ek60").rglob("*.raw"))
    assert "an echosounder's raw file" in refusal(echosounder)
    assert "RDI's own binary file" in refusal(shared_data / "pyadps_adcp/demo.000")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = Path(write(profiles(500), tmp_path / "a.nc"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "must be NetCDF that can be read to its end" in refusal(path)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(["NETCDF4", "NETCDF3_CLASSIC"]),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=20),
    st.integers(0, 200),
)
def test_whatever_is_in_a_file_it_is_taken_or_refused_in_a_line(
    tmp_path: Path, form: str, changes: list[tuple[int, int]], removed: int
) -> None:
    original = tmp_path / f"{form}.nc"
    if not original.exists():
        write(profiles(100), original, format=form)
    content = bytearray(original.read_bytes())
    for place, byte in changes:
        content[place % len(content)] = byte
    middle = len(content) // 2
    del content[middle : middle + removed]
    path = tmp_path / "damaged.nc"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            samples(path)
        except InstrumentFileError as error:
            assert "\n" not in str(error)
