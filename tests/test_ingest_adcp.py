"""Daily tables of current profilers: vector means, gaps, and what is not believed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from adcpfiles import look, profiles, refusal, samples, tables, write
from click.testing import CliRunner

from echoanom.cli.ingest_adcp import adcp as command
from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest.adcpoptions import AdcpOptions

pytestmark = pytest.mark.slow

ODF = "oce/MADCPS_hud2013021_1840_12556-106_3600.ODF"
PYADPS = "pyadps_adcp/demo_earth.nc"
AWAC = "mhkit_adcp/AWAC_test01_full_2h47.nc"


def naive_minutes(
    dataset: xr.Dataset, bins: int
) -> dict[pd.Timestamp, list[tuple[float, float]]]:
    """Average vectors minute by minute in plain Python: speed and direction."""
    sums: dict[pd.Timestamp, list[list[float]]] = {}
    east, north = dataset["u"].values, dataset["v"].values
    for row, moment in enumerate(pd.to_datetime(dataset["time"].values)):
        minute = sums.setdefault(moment.floor("min"), [[0, 0, 0] for _ in range(bins)])
        for index in range(bins):
            u, v = float(east[row, index]), float(north[row, index])
            if not (math.isnan(u) or math.isnan(v)):
                minute[index][0] += u
                minute[index][1] += v
                minute[index][2] += 1
    found = {}
    for moment, of_bins in sums.items():
        found[moment] = [
            (
                math.hypot(u / n, v / n),
                math.degrees(math.atan2(u / n, v / n)) % 360,
            )
            if n
            else (math.nan, math.nan)
            for u, v, n in of_bins
        ]
    return found


def agrees(table: pd.DataFrame, dataset: xr.Dataset) -> None:
    bins = dataset.sizes["range"]
    naive = naive_minutes(dataset, bins)
    assert list(table.index) == list(naive)
    cells = np.array(list(naive.values()))
    speeds = table[[c for c in table if c.startswith("speed_")]].to_numpy()
    directions = table[[c for c in table if c.startswith("direction_")]].to_numpy()
    np.testing.assert_allclose(speeds, cells[:, :, 0], rtol=2e-5, atol=1e-6)
    off = (directions - cells[:, :, 1] + 180) % 360 - 180
    # A direction is as uncertain as the rounded components of a slow current.
    bound = np.rad2deg(1e-6 / np.maximum(cells[:, :, 0], 1e-6)) + 1e-4
    assert (np.isnan(off) | (np.abs(off) <= bound)).all()
    assert (np.isnan(directions) == np.isnan(cells[:, :, 1])).all()


def test_a_minute_of_awac_has_the_vector_mean_of_its_60_samples(
    tmp_path: Path, shared_data: Path
) -> None:
    path = shared_data / AWAC
    table, report = tables([str(path)], tmp_path)
    with xr.open_dataset(path) as dataset:
        agrees(table, dataset)
        speeds = dataset["current_speed"].resample(time="1min").mean()
    # 2 h 46 min 37 s: the last minute has 37 samples.
    assert report.rows == 167
    mean = table["speed_1.4m"].mean()
    assert mean < float(speeds.isel(range=0).mean()), (
        "speeds were averaged, not vectors"
    )


def test_a_period_of_pyadps_with_one_sample_is_that_sample(
    tmp_path: Path, shared_data: Path
) -> None:
    path = shared_data / PYADPS
    table, report = tables([str(path)], tmp_path)
    with xr.open_dataset(path) as dataset:
        agrees(table, dataset)
    assert report.rows == 500


def test_what_pyadps_lacks_stays_missing_without_filling(
    tmp_path: Path, shared_data: Path
) -> None:
    path = str(shared_data / PYADPS)
    bare, report = tables([path], tmp_path / "bare")
    speeds = [column for column in bare if column.startswith("speed_")]
    assert report.filled_cells == 0
    assert report.counts == {"velocities missing in the files": 863}
    share = bare[speeds].isna().to_numpy().mean()
    assert share == pytest.approx(863 / 8000)

    filled, _ = tables([path], tmp_path / "filled", max_gap_min=60)
    # It was in the air for its first 13 hours: that is no gap between samples.
    at_samples = filled.loc[bare.index, speeds].isna().to_numpy().mean()
    assert at_samples == share
    assert filled[speeds].isna().to_numpy().mean() == pytest.approx(0.108077, abs=1e-6)
    # What was observed is as it was, and each gap that was filled is short.
    there = bare[speeds].notna()
    pd.testing.assert_frame_equal(
        filled.loc[bare.index, speeds][there], bare[speeds][there]
    )
    for column in speeds:
        observed = bare.index[bare[column].notna()]
        for before, after in zip(observed, observed[1:], strict=False):
            inside = filled.loc[before:after, column].iloc[1:-1]
            short = after - before <= pd.Timedelta("61min")
            assert inside.notna().all() if short else inside.isna().all()


def test_short_gaps_of_a_bin_are_filled_and_long_ones_are_not(tmp_path: Path) -> None:
    dataset = profiles(20, step_s=900)
    # Of samples each 15 minutes, 3 missing are 59 minutes without, 4 are 74.
    dataset["u"].values[2:5, 0] = np.nan
    dataset["u"].values[8:12, 0] = np.nan
    path = write(dataset, tmp_path / "a.nc")
    table, _ = tables([path], tmp_path / "out", max_gap_min=60)
    missing = table["speed_2m"].isna().to_numpy()
    assert np.flatnonzero(missing).tolist() == list(range(7 * 15 + 1, 12 * 15))
    assert table["direction_2m"].isna().to_numpy().tolist() == missing.tolist()


def test_a_direction_that_crosses_north_stays_near_north(tmp_path: Path) -> None:
    angles = np.deg2rad([[350.0] * 3, [350.0] * 3, [10.0] * 3])
    dataset = profiles(3, step_s=600)
    dataset["u"].values[:] = np.sin(angles)
    dataset["v"].values[:] = np.cos(angles)
    path = write(dataset, tmp_path / "a.nc")
    table, _ = tables([path], tmp_path / "out", max_gap_min=60)
    assert len(table) == 21
    between = table["direction_2m"].iloc[11:20]
    assert ((between > 349) | (between < 11)).all()
    assert between.iloc[4] == pytest.approx(0.0, abs=1e-4) or between.iloc[
        4
    ] == pytest.approx(360.0, abs=1e-4)
    # The vector's end moves along a line: slower half-way, by the cosine of 10°.
    assert table["speed_2m"].iloc[15] == pytest.approx(math.cos(math.radians(10)))
    plain = np.interp(np.arange(10, 21), [10, 20], [350.0, 10.0])
    assert plain[5] == 180.0, "numbers that are interpolated go through south"


def test_a_minute_that_swings_through_north_has_its_mean_near_north(
    tmp_path: Path,
) -> None:
    angles = np.deg2rad(np.array([355.0, 5.0, 350.0, 10.0]))[:, None] + np.zeros(3)
    dataset = profiles(4, step_s=10)
    dataset["u"].values[:] = np.sin(angles)
    dataset["v"].values[:] = np.cos(angles)
    table, _ = tables([write(dataset, tmp_path / "a.nc")], tmp_path / "out")
    direction = table["direction_2m"].iloc[0]
    assert min(direction, 360 - direction) < 1e-3


@pytest.mark.parametrize("gap", [0, 60])
def test_a_file_cut_in_two_makes_the_same_bytes(
    tmp_path: Path, shared_data: Path, gap: int
) -> None:
    with xr.open_dataset(shared_data / PYADPS) as dataset:
        whole = write(dataset, tmp_path / "whole" / "a.nc")
        parts = tmp_path / "parts"
        for index, (first, behind) in enumerate([(0, 171), (171, 172), (172, 500)]):
            part = dataset.isel(time=slice(first, behind))
            write(part, parts / f"{index}.nc", format="NETCDF3_64BIT")
    tables([whole], tmp_path / "of_whole", max_gap_min=gap, declination_deg=7.3)
    tables([str(parts)], tmp_path / "of_parts", max_gap_min=gap, declination_deg=7.3)
    days = sorted((tmp_path / "of_whole" / "adcp" / "tabular").iterdir())
    assert len(days) == 12
    for day in days:
        other = tmp_path / "of_parts" / "adcp" / "tabular" / day.name
        assert other.read_bytes() == day.read_bytes()


def test_pieces_of_any_size_hold_the_same_samples(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only speed and direction: components are computed for each piece.
    path = tmp_path / "a.nc"
    with xr.open_dataset(shared_data / PYADPS) as dataset:
        dataset["current_speed"].attrs["units"] = "m s-1"
        write(dataset.drop_vars(["u", "v"]), path)
    whole, _ = samples(path, declination_deg=3.0)
    for cells in (16, 48, 1000):
        monkeypatch.setattr("echoanom.ingest.adcp._PIECE_CELLS", cells)
        pieces, _ = samples(path, declination_deg=3.0)
        assert pieces.to_numpy().tobytes() == whole.to_numpy().tobytes()


def test_a_year_of_odf_has_its_missing_values_missing(
    tmp_path: Path, shared_data: Path
) -> None:
    values, counts = samples(shared_data / ODF, quantities=("speed", "up", "echo"))
    assert len(values) == 8833
    # As the header counts them: NUMBER_VALID, NUMBER_NULL, MINIMUM, MAXIMUM.
    assert counts == {"velocities missing in the files": 186}
    assert values["east_106.21m"].isna().sum() == 186
    assert values["east_106.21m"].min() == -0.3379
    assert values["north_106.21m"].max() == 0.5085
    assert values["up_106.21m"].isna().sum() == 186
    assert values["echo_106.21m"].notna().all()


@pytest.mark.slow
def test_a_year_of_odf_is_a_year_of_days(tmp_path: Path, shared_data: Path) -> None:
    table, report = tables([str(shared_data / ODF)], tmp_path)
    assert (report.made, report.rows) == (369, 8833)
    assert table["speed_106.21m"].isna().sum() == 186
    assert table["speed_106.21m"].max() < 1.0


def test_an_hourly_year_is_filled_between_its_hours_but_not_across_missing_ones(
    tmp_path: Path, shared_data: Path
) -> None:
    lines = (shared_data / ODF).read_text("latin-1").splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if "-- DATA --" in line) + 1
    text = "".join(lines[: start + 9]).replace("NUM_CYCLE=8833", "NUM_CYCLE=9")
    path = tmp_path / "a.ODF"
    path.write_text(text, "latin-1")
    table, _ = tables([str(path)], tmp_path / "out", max_gap_min=60)
    speed = table["speed_106.21m"]
    assert len(table) == 8 * 60 + 1
    # 13:03 has a value, the five hours behind it have none.
    assert speed.notna().iloc[0] and speed.iloc[1 : 6 * 60].isna().all()
    assert speed.iloc[6 * 60 :].notna().all()


def test_columns_say_what_they_are(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    options = {"looking": "down", "instrument_depth_m": 10.0}
    quantities = ("speed", "direction", "east", "north", "up", "echo")
    table, _ = tables([path], tmp_path / "out", quantities=quantities, **options)
    columns = json.loads((tmp_path / "out/adcp/columns.json").read_text())
    assert [one["name"] for one in columns] == list(table)
    by_name = {one["name"]: one for one in columns}
    assert len(by_name) == 18
    assert by_name["direction_4m"] == {
        "name": "direction_4m",
        "unit": "degree",
        "kind": "direction",
        "range_m": 4.0,
        "depth_m": 14.0,
        "standard_name": "sea_water_velocity_to_direction",
    }
    assert by_name["up_6m"]["standard_name"] == "upward_sea_water_velocity"
    assert by_name["echo_6m"]["unit"] == "count"
    # Of bins below an instrument that looks up, the depth is less.
    up, _ = tables([path], tmp_path / "up", looking="up", instrument_depth_m=10.0)
    columns = json.loads((tmp_path / "up/adcp/columns.json").read_text())
    assert columns[0]["depth_m"] == 8.0


def test_echo_in_decibels_is_a_level(tmp_path: Path) -> None:
    dataset = profiles(2, step_s=10)
    dataset["amp"].values[:] = [[60.0] * 3, [50.0] * 3]
    dataset["amp"].attrs["units"] = "dB"
    table, _ = tables([write(dataset, tmp_path / "a.nc")], tmp_path / "out")
    power = 10 * math.log10((1e6 + 1e5) / 2)
    assert table["echo_2m"].iloc[0] == pytest.approx(power)


def test_a_sample_with_half_a_vector_has_none(tmp_path: Path) -> None:
    dataset = profiles(3)
    dataset["u"].values[1, 0] = np.nan
    values, counts = samples(write(dataset, tmp_path / "a.nc"))
    assert np.isnan(values[["east_2m", "north_2m"]].iloc[1]).all()
    assert counts == {"velocities missing in the files": 1}


def test_declination_turns_currents_clockwise(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    plain, _ = tables([path], tmp_path / "plain")
    turned, _ = tables([path], tmp_path / "turned", declination_deg=10.0)
    off = (turned["direction_4m"] - plain["direction_4m"]) % 360
    np.testing.assert_allclose(off, 10.0, atol=1e-3)


@pytest.mark.parametrize("key", ["declination", "magnetic_var_deg"])
def test_currents_are_not_turned_twice(tmp_path: Path, key: str) -> None:
    path = write(profiles(attrs={key: 12.5}), tmp_path / "a.nc")
    assert "turned by 12.5" in refusal(path, declination_deg=12.5)
    look(path)


def test_bins_beyond_the_surface_are_missing_echo_too(tmp_path: Path) -> None:
    dataset = profiles(3, attrs={"orientation": "up", "beam_angle": 25})
    # 4 m is 3.63 m along the beams, 7 m is 6.3 m; a bin at 4 ends at 5, at 6 at 7.
    dataset["pressure"] = ("time", np.array([4.0, 7.0, np.nan]) * 1.0052, {})
    dataset["pressure"].attrs["units"] = "dbar"
    path = write(dataset, tmp_path / "a.nc")
    values, counts = samples(path)
    assert values["east_2m"].notna().tolist() == [True, True, False]
    assert values["east_4m"].notna().tolist() == [False, True, False]
    assert values["east_6m"].notna().tolist() == [False, False, False]
    assert (values["echo_6m"].isna() == values["east_6m"].isna()).all()
    assert counts == {"velocities beyond the surface": 6}
    down, _ = samples(path, looking="down")
    assert down.notna().all().all()
    straight, _ = samples(path, beam_angle_deg=0.0, instrument_depth_m=7.0)
    assert straight["east_6m"].notna().all()


def test_the_surface_cannot_be_told_without_a_depth(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    with pytest.raises(InstrumentFileError, match="--instrument-depth"):
        samples(path, looking="up")
    # What the file says of itself is no order.
    declared = write(profiles(attrs={"orientation": "up"}), tmp_path / "b.nc")
    assert samples(declared)[0].notna().all().all()


def test_a_depth_needs_to_know_where_the_instrument_looks(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    assert "say it with --looking" in refusal(path, instrument_depth_m=20.0)


def test_bins_beyond_the_longest_range_have_no_columns(tmp_path: Path) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    values, _ = samples(path, max_range_m=4.0)
    assert list(values) == [
        *("east_2m", "east_4m", "north_2m", "north_4m", "echo_2m", "echo_4m"),
    ]
    assert "the first at 2 m" in refusal(path, max_range_m=1.0)


def test_low_correlation_makes_velocities_missing(tmp_path: Path) -> None:
    dataset = profiles(2)
    correlation = np.full((4, 2, 3), 90, dtype=np.uint8)
    correlation[0, 0, 0] = correlation[1, 0, 0] = correlation[2, 1, 2] = 20
    dataset["corr"] = (("beam", "time", "range"), correlation)
    values, counts = samples(write(dataset, tmp_path / "a.nc"), min_correlation=64.0)
    assert counts == {"velocities of low correlation": 1}
    assert np.isnan(values["east_2m"].iloc[0]) and values["echo_2m"].notna().all()


def test_few_good_pings_make_velocities_missing(tmp_path: Path) -> None:
    dataset = profiles(2)
    dataset["prcnt_gd"] = (("time", "range"), [[100, 49, 100], [50, 100, 0]])
    values, counts = samples(write(dataset, tmp_path / "a.nc"), min_percent_good=50.0)
    assert counts == {"velocities of few good pings": 2}
    assert values["east_4m"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "option", [{"min_correlation": 50.0}, {"min_percent_good": 50.0}]
)
def test_a_check_needs_what_it_checks(tmp_path: Path, option: dict[str, float]) -> None:
    path = write(profiles(), tmp_path / "a.nc")
    with pytest.raises(InstrumentFileError, match="got none; name it with"):
        samples(path, **option)


def test_flagged_values_are_missing(tmp_path: Path) -> None:
    dataset = profiles(3)
    flags = np.ones((3, 3), dtype=np.int8)
    flags[0, 0], flags[1, 1], flags[2, 2] = 4, 3, 2
    dataset["checked_qc"] = (("time", "range"), flags)
    dataset["u"].attrs["ancillary_variables"] = "checked_qc u_error"
    path = write(dataset, tmp_path / "a.nc")
    values, _ = samples(path)
    assert np.isnan(values["north_2m"].iloc[0])
    assert values.isna().sum().sum() == 4
    lenient, _ = samples(path, bad_flags=(4,))
    assert lenient.isna().sum().sum() == 2


def test_impossible_speeds_are_missing(tmp_path: Path) -> None:
    dataset = profiles(2)
    dataset["v"].values[0, 1] = -32.768
    values, counts = samples(write(dataset, tmp_path / "a.nc"))
    assert counts == {"velocities too fast": 1}
    assert np.isnan(values["east_4m"].iloc[0])


@pytest.mark.parametrize("name", ["Sig1000_tidal", "Sig500_Echo", "RDI_withBT"])
def test_files_of_mhkit_are_read_along_their_labelled_dimension(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "mhkit_adcp" / f"{name}.nc"
    values, _ = samples(path, quantities=("speed", "up", "echo"))
    with xr.open_dataset(path) as dataset:
        velocity, amplitude = dataset["vel"].values, dataset["amp"].values
    for place, quantity in enumerate(("east", "north", "up")):
        columns = [c for c in values if c.startswith(f"{quantity}_")]
        np.testing.assert_array_equal(values[columns].to_numpy(), velocity[place].T)
    columns = [c for c in values if c.startswith("echo_")]
    mean = amplitude.astype(float).mean(axis=0).T
    np.testing.assert_allclose(values[columns].to_numpy(), mean, rtol=1e-12)


def test_files_that_overlap_with_the_same_content_count_once(tmp_path: Path) -> None:
    dataset = profiles(10)
    write(dataset.isel(time=slice(0, 7)), tmp_path / "in" / "a.nc")
    write(dataset.isel(time=slice(4, 10)), tmp_path / "in" / "b.nc")
    whole = write(dataset, tmp_path / "whole.nc")
    table, report = tables([str(tmp_path / "in")], tmp_path / "out")
    pd.testing.assert_frame_equal(table, tables([whole], tmp_path / "other")[0])
    assert report.counts == {"samples found twice": 3}


def test_files_that_overlap_with_other_content_are_refused(tmp_path: Path) -> None:
    write(profiles(10), tmp_path / "in" / "a.nc")
    write(profiles(10, seed=1), tmp_path / "in" / "b.nc")
    with pytest.raises(InstrumentFileError, match="east_2m is .* instead of") as error:
        tables([str(tmp_path / "in")], tmp_path / "out")
    assert error.value.path.endswith("b.nc")


def test_a_change_of_bins_is_refused(tmp_path: Path) -> None:
    write(profiles(10), tmp_path / "in" / "a.nc")
    later = profiles(10).isel(range=slice(0, 2))
    write(
        later.assign_coords(time=later["time"] + np.timedelta64(1, "h")),
        tmp_path / "in/b.nc",
    )
    with pytest.raises(InstrumentFileError, match="columns of the day's other files"):
        tables([str(tmp_path / "in")], tmp_path / "out")


def test_options_that_contradict_themselves_are_refused() -> None:
    for wrong in (
        {"quantities": ("speed", "salinity")},
        {"quantities": ("speed", "speed")},
        {"variables": ("east",)},
        {"variables": ("salt=S",)},
        {"variables": ("east=u", "east=v")},
        {"velocity_unit": "knots"},
        {"declination_deg": math.nan},
        {"max_range_m": 0.0},
        {"beam_angle_deg": 90.0},
    ):
        with pytest.raises(OptionError, match="must"):
            AdcpOptions(**wrong)


def test_the_command_makes_tables_and_fails_in_one_line(tmp_path: Path) -> None:
    path = write(profiles(names=("ucomp", "vcomp")), tmp_path / "a.nc")
    run = CliRunner().invoke
    named = ["--variables", "east=ucomp,north=vcomp", "--workers", "1"]
    done = run(command, [path, str(tmp_path / "out"), *named, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["made"], report["rows"], report["columns"]) == (1, 4, 9)
    again = run(command, [path, str(tmp_path / "out"), *named])
    assert "0 days made, 1 day kept" in again.output
    bare = run(command, [path, str(tmp_path / "out2")])
    assert isinstance(bare.exception, InstrumentFileError)
    wrong = run(command, [path, str(tmp_path / "out"), "--velocity-unit", "knots"])
    assert wrong.exit_code == 2
    assert "--velocity-unit must be m/s, cm/s or mm/s" in wrong.output


def test_gaps_are_filled_by_default_up_to_an_hour(tmp_path: Path) -> None:
    path = write(profiles(3, step_s=3600), tmp_path / "a.nc")
    run = CliRunner().invoke(command, [path, str(tmp_path / "out"), "--workers", "1"])
    assert "121 rows" in run.output
