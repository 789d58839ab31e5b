from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_red_noise, naive_table_text
from numpy.typing import NDArray

from echoanom.columns import Column, column_from_name, columns_from_json
from echoanom.errors import OptionError, StorageError
from echoanom.simulation import (
    SENSORS,
    SimulationOptions,
    SimulationSummary,
    simulate,
    sun,
    tides,
    weather,
)
from echoanom.simulation.anomalies import KINDS, labels_of, planted_on, starting_on
from echoanom.simulation.conditions import Conditions, conditions_of_day
from echoanom.simulation.currents import ekman_current
from echoanom.simulation.echosounder import bubbles
from echoanom.simulation.echosounder import instrument as echosounder
from echoanom.simulation.randomness import red_noise, texture, white_noise
from echoanom.simulation.site import DAY_MIN, DEPTH_M, Block
from echoanom.simulation.soundscape import ambient_noise_db
from echoanom.simulation.soundscape import instrument as hydrophone
from echoanom.simulation.tables import table_text
from echoanom.simulation.water import sound_speed

pytestmark = pytest.mark.slow

SMALL = SimulationOptions(days=12, bins=64, seed=3)
FEBRUARY = datetime.date(2015, 2, 1).toordinal()


@dataclasses.dataclass(frozen=True)
class Simulated:
    root: Path
    options: SimulationOptions
    summary: SimulationSummary

    def table(self, sensor: str, day: int) -> tuple[list[str], NDArray[np.float64]]:
        """Return column names, and values (1440, C) with NaN where a row is away."""
        date = datetime.date.fromordinal(day)
        lines = (self.root / sensor / "tabular" / f"{date}.csv").read_text()
        header, *rows = csv.reader(lines.splitlines())
        values = np.full((DAY_MIN, len(header) - 1), np.nan)
        for row in rows:
            assert re.fullmatch(rf"{date}T\d\d:\d\d:00Z", row[0])
            minute = 60 * int(row[0][11:13]) + int(row[0][14:16])
            values[minute] = [float(cell) if cell else np.nan for cell in row[1:]]
        return header[1:], values

    @property
    def days(self) -> range:
        first = self.options.first_day
        return range(first, first + self.options.days)

    def planted(self, kind: str) -> list[tuple[int, slice, tuple[str, ...]]]:
        """Return day, rows and sensors of everything planted of one kind."""
        return [
            (day, anomaly.rows(day), anomaly.sensors)
            for day in self.days
            for anomaly in planted_on(self.options, day)
            if anomaly.kind == kind
        ]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    root = tmp_path_factory.mktemp("observatory")
    return Simulated(root, SMALL, simulate(str(root), SMALL))


@pytest.fixture
def february() -> Conditions:
    return conditions_of_day(0, FEBRUARY, ())


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


# What is written


def test_every_sensor_has_a_table_and_a_count_for_every_day(
    simulated: Simulated,
) -> None:
    expected = {"labels.csv"}
    for sensor in SENSORS:
        expected.add(f"{sensor}/columns.json")
        for date in SMALL.dates:
            expected.add(f"{sensor}/tabular/{date}.csv")
            expected.add(f"{sensor}/tabular/meta_info_{date}.txt")
    assert set(files(simulated.root)) == expected


def test_counts_equal_the_rows(simulated: Simulated) -> None:
    total = tables = 0
    for path in simulated.root.glob("*/tabular/*.csv"):
        rows = path.read_text().count("\n") - 1
        counted = path.with_name(f"meta_info_{path.stem}.txt").read_text()
        assert counted.splitlines()[1] == f"name={rows}"
        total += rows
        tables += 1
    assert (simulated.summary.rows, simulated.summary.files) == (total, tables)


def test_columns_are_described_as_their_names_tell(simulated: Simulated) -> None:
    total = 0
    for sensor in SENSORS:
        path = simulated.root / sensor / "columns.json"
        columns = columns_from_json(path.read_text(), sensor, str(path))
        names, _ = simulated.table(sensor, SMALL.first_day)
        assert list(columns) == names
        for name, column in columns.items():
            guessed = column_from_name(name, sensor)
            assert (column.kind, column.range_m) == (guessed.kind, guessed.range_m)
            assert column.unit
        total += len(columns)
    assert simulated.summary.columns == total


def test_1600_bins_make_about_3000_columns() -> None:
    from echoanom.simulation.observatory import _INSTRUMENTS

    assert sum(len(make(1600).columns) for make in _INSTRUMENTS.values()) == 2996


def test_every_cell_is_blank_or_finite_and_few_are_blank(simulated: Simulated) -> None:
    for sensor in SENSORS:
        for day in simulated.days:
            _, values = simulated.table(sensor, day)
            assert np.isfinite(values[~np.isnan(values)]).all()
            calm = np.ones(DAY_MIN, dtype=bool)
            for anomaly in planted_on(SMALL, day):
                calm[anomaly.rows(day)] = False
            there = calm & ~np.isnan(values).all(axis=1)
            assert np.isnan(values[there]).mean() < 0.003


def test_gaps_are_whole_minutes_short_and_long() -> None:
    from echoanom.simulation.faults import _outside_gaps

    options = SimulationOptions(gap_rate=3.0)
    lengths = []
    for day in range(FEBRUARY, FEBRUARY + 200):
        away = ~np.pad(_outside_gaps(options, "ctd", day), 1, constant_values=True)
        edges = np.flatnonzero(np.diff(away.astype(int)))
        lengths += list(np.diff(edges)[::2])
    assert 500 < len(lengths) < 700
    assert np.median(lengths) < 8
    assert 0.04 < np.mean(np.array(lengths) >= 45) < 0.14


def test_without_gaps_and_blanks_every_cell_is_there(tmp_path: Path) -> None:
    options = SimulationOptions(
        days=1, bins=16, anomalies=0, gap_rate=0.0, missing_rate=0.0
    )
    summary = simulate(str(tmp_path), options)
    assert summary.rows == DAY_MIN * len(SENSORS)
    whole = Simulated(tmp_path, options, summary)
    for sensor in SENSORS:
        assert np.isfinite(whole.table(sensor, options.first_day)[1]).all()


def test_progress_is_told_after_every_day(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    options = SimulationOptions(days=3, bins=16, sensors=("ctd",))
    simulate(str(tmp_path), options, lambda _, done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


# The same seed, the same bytes


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_workers(
    tmp_path: Path,
) -> None:
    options = SimulationOptions(days=2, bins=32, seed=5, anomalies=4)
    simulate(str(tmp_path / "one"), options)
    simulate(str(tmp_path / "two"), options, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    options = SimulationOptions(days=1, bins=16)
    simulate(str(tmp_path / "one"), options)
    simulate(str(tmp_path / "two"), dataclasses.replace(options, seed=1))
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    for sensor in SENSORS:
        name = f"{sensor}/tabular/2015-02-01.csv"
        assert one[name] != two[name]


def test_a_longer_simulation_and_a_later_start_share_their_days(
    simulated: Simulated, tmp_path: Path
) -> None:
    later = dataclasses.replace(SMALL, days=2, start="2015-02-06")
    simulate(str(tmp_path), later)
    long = files(simulated.root)
    for name, content in files(tmp_path).items():
        if name != "labels.csv":
            assert long[name] == content, name


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(OptionError, match="workers must be at least 1"):
        simulate(str(tmp_path), SimulationOptions(days=1, bins=16), workers=workers)


def test_labels_are_gone_while_a_simulation_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimulationOptions(days=2, bins=16, sensors=("ctd",))
    simulate(str(tmp_path), options)
    assert (tmp_path / "labels.csv").exists()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(str(tmp_path), options, stop)
    assert not (tmp_path / "labels.csv").exists()


def test_days_of_another_simulation_are_refused(tmp_path: Path) -> None:
    options = SimulationOptions(days=2, bins=16, sensors=("ctd",))
    simulate(str(tmp_path), options)
    before = files(tmp_path)
    shorter = dataclasses.replace(options, days=1)
    with pytest.raises(StorageError, match=r"ctd/tabular has 2015-02-02\.csv"):
        simulate(str(tmp_path), shorter)
    other = dataclasses.replace(options, sensors=("hydrophone",))
    with pytest.raises(StorageError, match="give an empty folder"):
        simulate(str(tmp_path), other)
    assert files(tmp_path) == before
    simulate(str(tmp_path), options)
    assert files(tmp_path) == before


# Options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": 0}, "days must be a whole number of at least 1, got 0"),
        ({"days": True}, "days must be"),
        ({"start": "2015-2-1"}, "start must be a date as YYYY-MM-DD"),
        ({"start": "20150201"}, "start must be"),
        ({"start": "2015-02-30"}, "start must be"),
        ({"start": "1899-12-31"}, "start must be"),
        ({"start": "2199-12-31", "days": 2}, "all days from 1900 to 2199"),
        ({"start": 20150201}, "start must be"),
        ({"bins": 15}, "bins must be"),
        ({"bins": 1600.0}, "bins must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
        ({"anomalies": -1}, "anomalies must be"),
        (
            {"anomalies": 17, "days": 2},
            "anomalies must be a whole number from 0 to 16, got 17",
        ),
        ({"sensors": ()}, "sensors must be"),
        ({"sensors": ("ctd", "ctd")}, "each once"),
        ({"sensors": ("radar",)}, "one or more of adcp, ctd, echosounder, hydrophone"),
        ({"sensors": "ctd"}, "sensors must be"),
        ({"gap_rate": -0.1}, "gap_rate must be"),
        ({"gap_rate": float("nan")}, "gap_rate must be"),
        ({"missing_rate": 0.6}, "missing_rate must be"),
    ],
)
def test_options_that_cannot_be_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        SimulationOptions(**changes)  # type: ignore[arg-type]


def test_options_survive_json() -> None:
    options = SimulationOptions(days=3, sensors=("ctd", "adcp"), anomalies=2)
    text = json.dumps(options.as_json())
    assert SimulationOptions.from_json(json.loads(text)) == options


# Labels and what was planted


def test_labels_tell_what_was_planted(simulated: Simulated) -> None:
    labels = labels_of(SMALL)
    with (simulated.root / "labels.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(labels) == simulated.summary.labels
    assert {line["kind"] for line in lines} == set(KINDS)
    assert [line["start"] for line in lines] == sorted(line["start"] for line in lines)
    for line, label in zip(lines, labels, strict=True):
        start, end = (
            datetime.datetime.fromisoformat(line[k]) for k in ("start", "end")
        )
        assert (end - start).total_seconds() == 60 * label.minutes
        assert line["start"].endswith(":00Z")
        several = line["kind"] in ("ship_passing", "surge")
        assert (line["sensor"] == "") == several


@given(
    st.integers(0, 2**40),
    st.one_of(st.none(), st.integers(0, 48)),
    st.sets(st.sampled_from(SENSORS), min_size=1),
    st.integers(6, 30),
)
@settings(deadline=None, max_examples=60)
def test_anomalies_do_not_meet_and_are_as_many_as_asked_for(
    seed: int, anomalies: int | None, sensors: set[str], days: int
) -> None:
    options = SimulationOptions(
        days=days, seed=seed, anomalies=anomalies, sensors=tuple(sorted(sensors))
    )
    labels = labels_of(options)
    for before, after in zip(labels, labels[1:], strict=False):
        assert before.stop <= after.start
    for label in labels:
        assert label.sensors
        assert set(label.sensors) <= sensors & set(KINDS[label.kind])
    for day in range(options.first_day, options.first_day + days):
        for anomaly in starting_on(options, day):
            # The value that stays belongs to the day on which it got stuck.
            assert anomaly.kind != "stuck_values" or anomaly.rows(day).stop == (
                anomaly.stop - day * DAY_MIN
            )
    if anomalies is not None:
        assert len(labels) == anomalies
        counts = [sum(label.kind == kind for label in labels) for kind in KINDS]
        possible = [
            n
            for n, seen in zip(counts, KINDS.values(), strict=True)
            if set(seen) & sensors
        ]
        assert max(possible) - min(possible) <= 1


def test_one_anomaly_a_day_is_planted_on_average() -> None:
    assert len(labels_of(SimulationOptions(days=600))) == pytest.approx(600, abs=8)


def test_some_anomalies_run_on_over_midnight() -> None:
    options = SimulationOptions(days=200)
    touched = sum(
        len(planted_on(options, day))
        for day in range(options.first_day, options.first_day + 200)
    )
    assert touched > len(labels_of(options))


def test_a_sensor_that_drops_out_has_no_signal(simulated: Simulated) -> None:
    found = 0
    for day, rows, (sensor,) in simulated.planted("sensor_dropout"):
        _, values = simulated.table(sensor, day)
        gone = values[rows]
        reported = ~np.isnan(gone).all(axis=1)
        assert reported.any()
        before = values[max(rows.start - 60, 0) : rows.start]
        if sensor == "ctd":
            assert (gone[reported] == 0).all()
        elif sensor == "echosounder":
            signal = np.nanmean(before[:, :-6]) - np.nanmean(gone[:, :-6])
            assert signal > 5
        else:
            assert np.nanmean(np.abs(gone[reported])) < np.nanmean(np.abs(before))
        found += 1
    assert found


def test_stuck_values_repeat_one_row_and_nothing_else_does(
    simulated: Simulated,
) -> None:
    found = 0
    for day, rows, (sensor,) in simulated.planted("stuck_values"):
        _, values = simulated.table(sensor, day)
        stuck = values[rows]
        np.testing.assert_array_equal(stuck, np.broadcast_to(stuck[0], stuck.shape))
        before = values[rows.start - 1]
        assert not np.array_equal(before, stuck[0], equal_nan=True)
        found += 1
    assert found


def test_a_dense_school_is_louder_than_what_is_around_it() -> None:
    options = SimulationOptions(days=6, anomalies=6, sensors=("echosounder",))
    found = 0
    for day in range(options.first_day, options.first_day + options.days):
        for school in planted_on(options, day):
            if school.kind != "dense_school":
                continue
            with_it = echogram(conditions_of_day(0, day, (school,)))
            without = echogram(conditions_of_day(0, day, ()))
            rows = school.rows(day)
            changed = with_it != without
            assert not changed[: rows.start].any()
            assert not changed[rows.stop :].any()
            # Deep, where ordinary schools are not.
            ranges = np.flatnonzero((with_it - without).max(axis=0) > 6) * 272 / 200
            assert 10 < ranges.min() < ranges.max() < 140
            assert (with_it - without)[rows].max() > 15
            found += 1
    assert found


def test_a_ship_is_heard_and_leaves_bubbles() -> None:
    ship = first_of("ship_passing")
    day = ship.start // DAY_MIN
    quiet, passing = conditions_of_day(0, day, ()), conditions_of_day(0, day, (ship,))
    rows = ship.rows(day)
    closest = (rows.start + rows.stop) // 2
    (heard,) = hydrophone(200).measure(passing)
    (silent,) = hydrophone(200).measure(quiet)
    louder = (heard - silent)[:, :40].mean(axis=1)
    assert louder[closest] > 8
    assert louder[closest] > louder[rows.start] + 3
    assert not louder[: rows.start].any()
    seen = echogram(passing) - echogram(quiet)
    near_surface = slice(
        int((DEPTH_M - 12) / 272 * 200), int((DEPTH_M - 5) / 272 * 200)
    )
    assert seen[closest + 1 : closest + 5, near_surface].mean() > 5
    assert seen[rows.start : closest - 3, near_surface].mean() < 2


def test_a_surge_moves_current_and_pressure_together() -> None:
    surge = first_of("surge")
    day = surge.start // DAY_MIN
    calm, moved = conditions_of_day(0, day, ()), conditions_of_day(0, day, (surge,))
    rows = surge.rows(day)
    lifted = moved.level - calm.level
    carried = np.hypot(moved.east - calm.east, moved.north - calm.north)
    assert lifted[rows].max() > 0.5
    assert carried[rows].max() > 0.5
    np.testing.assert_allclose(
        lifted / lifted.max(), carried / carried.max(), atol=1e-6
    )
    assert not lifted[: rows.start].any()
    assert not lifted[rows.stop :].any()


def test_interference_draws_lines_in_every_minute() -> None:
    lines = first_of("interference_lines")
    day = lines.start // DAY_MIN
    added = echogram(conditions_of_day(0, day, (lines,))) - echogram(
        conditions_of_day(0, day, ())
    )
    rows = lines.rows(day)
    louder = added > 3
    assert (louder[rows].sum(axis=1) >= 2).all()
    assert louder[rows].mean() < 0.2
    assert not louder[: rows.start].any()


def first_of(kind: str):  # type: ignore[no-untyped-def]
    """Return the first anomaly of a kind that ends on the day it starts."""
    for anomaly in labels_of(SimulationOptions(days=60)):
        day = anomaly.start // DAY_MIN
        if anomaly.kind == kind and anomaly.stop <= (day + 1) * DAY_MIN:
            return anomaly
    raise AssertionError(kind)


def echogram(conditions: Conditions, bins: int = 200) -> NDArray[np.float32]:
    """Measure a day; row by row the same scatter, so that differences are clean."""
    (values,) = echosounder(bins).measure(conditions)
    return values


# One sea


def test_the_scattering_layer_is_deeper_by_day(simulated: Simulated) -> None:
    names, values = simulated.table("echosounder", SMALL.first_day)
    ranges = np.array([float(name[3:-1]) for name in names])
    water = (ranges > 25) & (ranges < 245)

    def middle(rows: slice) -> float:
        sv = np.nanmean(10 ** (values[rows][:, water] / 10), axis=0)
        return float((sv * ranges[water]).sum() / sv.sum())

    noon, night = middle(slice(10 * 60, 13 * 60)), middle(slice(0, 4 * 60))
    assert night - noon > 40


def test_a_storm_raises_noise_and_bubbles_and_current(february: Conditions) -> None:
    ones = np.ones(DAY_MIN)
    storm = dataclasses.replace(february, wind=20 * ones, waves=6 * ones)
    calm = dataclasses.replace(february, wind=3 * ones, waves=0.5 * ones)
    (loud,), (quiet,) = (hydrophone(100).measure(c) for c in (storm, calm))
    assert (loud - quiet)[:, 5:].mean() > 10
    depth = np.full((DAY_MIN, 3), [-1, 5, 20], dtype=np.float32)
    many, few = bubbles(storm, depth), bubbles(calm, depth)
    assert not many[:, 0].any()
    assert (many[:, 1:] > 1000 * few[:, 1:]).all()
    assert (many[:, 1] > many[:, 2]).all()
    strong, weak = (np.hypot(*ekman_current(c, depth))[:, 1] for c in (storm, calm))
    assert (strong > 2 * weak).all()


def test_sensors_feel_the_same_weather(simulated: Simulated) -> None:
    wind, noise, near_surface = [], [], []
    for day in simulated.days:
        conditions = conditions_of_day(SMALL.seed, day, ())
        clean = np.ones(DAY_MIN, dtype=bool)
        for anomaly in planted_on(SMALL, day):
            clean[anomaly.rows(day)] = False
        _, heard = simulated.table("hydrophone", day)
        names, seen = simulated.table("echosounder", day)
        ranges = np.array([float(name[3:-1]) for name in names])
        band = (ranges > DEPTH_M - 16) & (ranges < DEPTH_M - 6)
        # Fish are away from the surface by day, and bubbles are not.
        rows = clean & (conditions.light > 0.9)
        for hour in range(24):
            part = slice(60 * hour, 60 * hour + 60)
            picked = np.flatnonzero(rows[part]) + 60 * hour
            both = np.isfinite(heard[picked, 10]) & np.isfinite(seen[picked, 9])
            if both.sum() < 30:
                continue
            wind.append(conditions.wind[picked[both]].mean())
            noise.append(np.nanmean(heard[picked[both], 5:]))
            near_surface.append(np.nanmean(seen[picked[both]][:, band]))
    assert len(wind) > 20
    assert np.corrcoef(wind, noise)[0, 1] > 0.9
    assert np.corrcoef(wind, near_surface)[0, 1] > 0.6


def test_the_tide_moves_the_pressure_and_the_surface_alike(
    simulated: Simulated,
) -> None:
    day = next(day for day in simulated.days if not planted_on(SMALL, day))
    level = conditions_of_day(SMALL.seed, day, ()).level
    names, values = simulated.table("ctd", day)
    pressure = values[:, names.index("pressure_dbar")]
    there = np.isfinite(pressure)
    assert np.corrcoef(pressure[there], level[there])[0, 1] > 0.999
    assert pressure[there].mean() == pytest.approx(257, abs=3)


def test_the_surface_is_the_loudest_echo_and_follows_the_tide(
    february: Conditions,
) -> None:
    sv = echogram(february, bins=1600)
    loudest = (sv[:, 100:].argmax(axis=1) + 100.5) * 0.17
    assert np.abs(loudest - (DEPTH_M + february.level)).mean() < 0.5
    assert sv[:, 100:].max() > -25
    # The transducer rings in its first metre, and nothing is heard beyond the surface.
    assert sv[:, :3].min() > -40
    assert np.median(sv[:, -10:]) < -65


def test_days_meet_at_midnight() -> None:
    one, two = (conditions_of_day(0, FEBRUARY + i, ()) for i in (0, 1))
    for field in ("light", "wind", "waves", "level", "east", "north", "shipping"):
        before, after = getattr(one, field), getattr(two, field)
        step = np.abs(np.diff(before)).max()
        assert abs(after[0] - before[-1]) <= 3 * step, field
    ranges = np.array([10.0, 100.0])
    fields = [texture(0, "t", c.minutes, ranges, 15, 8.0) for c in (one, two)]
    step = np.abs(np.diff(fields[0], axis=0)).max()
    assert np.abs(fields[1][0] - fields[0][-1]).max() <= 3 * step


# The arithmetic


def test_the_sun_stands_where_almanacs_say() -> None:
    # At noon of an equinox the sun stands at 90 degrees less the latitude; at the
    # solstices it is 23.44 degrees off.
    for date, expected in (
        (datetime.date(2015, 3, 20), 90 - 68.91),
        (datetime.date(2015, 6, 21), 90 - 68.91 + 23.44),
        (datetime.date(2015, 12, 22), 90 - 68.91 - 23.44),
    ):
        minutes = date.toordinal() * DAY_MIN + np.arange(DAY_MIN)
        assert sun.elevation(minutes).max() == pytest.approx(expected, abs=0.4)


def test_the_sun_culminates_an_hour_before_noon_at_15_degrees_east() -> None:
    # On 2015-04-16 the equation of time is zero.
    minutes = datetime.date(2015, 4, 16).toordinal() * DAY_MIN + np.arange(DAY_MIN)
    assert sun.elevation(minutes).argmax() == pytest.approx(12 * 60 - 61.6, abs=2)


def test_the_midnight_sun_keeps_the_animals_down_and_polar_night_up() -> None:
    june = datetime.date(2015, 6, 21).toordinal() * DAY_MIN + np.arange(DAY_MIN)
    december = datetime.date(2015, 12, 21).toordinal() * DAY_MIN + np.arange(DAY_MIN)
    assert sun.light(june).min() > 0.9
    assert sun.light(december)[: 4 * 60].max() < 0.01


def test_tides_have_two_highs_a_day_and_springs_each_fortnight() -> None:
    minutes = FEBRUARY * DAY_MIN + np.arange(60 * DAY_MIN)
    level = tides.level(minutes)
    highs = ((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])).sum()
    # The moon's half day has 12.42 hours.
    assert highs == pytest.approx(60 * 24 / 12.42, abs=2)
    daily = level.reshape(60, DAY_MIN)
    extent = daily.max(axis=1) - daily.min(axis=1)
    assert extent.max() > 1.5 * extent.min()


def test_red_noise_is_an_autoregressive_process() -> None:
    step, memory, lags = 60, 600.0, 80
    minutes = FEBRUARY * DAY_MIN + np.arange(DAY_MIN)
    first = int(minutes[0]) // step
    white = white_noise(1, "x", first - lags, first + 25, 24, 1)[:, 0]
    expected = naive_red_noise(list(white), float(np.exp(-step / memory)))[lags:]
    noise = red_noise(1, "x", minutes, memory, step)
    np.testing.assert_allclose(noise[::step], expected[:24], atol=0.01)
    halfway = noise[30::60][:23]
    np.testing.assert_allclose(
        halfway, (np.array(expected[:23]) + expected[1:24]) / 2, atol=0.01
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda m: red_noise(0, "a", m, 60.0, 5),
        lambda m: texture(0, "b", m, np.linspace(1, 270, 300), 30, 6.0),
    ],
)
def test_noise_has_zero_mean_and_unit_variance(
    make: Callable[[NDArray[np.int64]], NDArray[np.float64]],
) -> None:
    noise = make(FEBRUARY * DAY_MIN + np.arange(20 * DAY_MIN))
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(1, abs=0.1)


def test_winds_follow_a_weibull_distribution() -> None:
    minutes = FEBRUARY * DAY_MIN + np.arange(400 * DAY_MIN)
    speed, direction = weather.wind(0, minutes)
    # Scale 9.5 m/s and shape 2: the mean is 9.5 * sqrt(pi) / 2.
    assert speed.mean() == pytest.approx(8.42, rel=0.1)
    assert np.median(speed) == pytest.approx(9.5 * np.sqrt(np.log(2)), rel=0.1)
    assert speed.min() >= 0
    assert ((direction >= 0) & (direction < 360)).all()


def test_sound_speed_is_that_of_medwin() -> None:
    # 1449.2 + 46 - 5.5 + 0.29 + 0 + 1.6 at 10 degC, 35, 100 m.
    speed = sound_speed(np.array([10.0]), np.array([35.0]), 100.0)
    assert speed[0] == pytest.approx(1491.59)


def test_ambient_noise_falls_with_frequency_and_rises_with_wind() -> None:
    f = np.array([1000.0, 10_000.0])
    noise = ambient_noise_db(f, np.array([2.0, 20.0]), np.array([0.5, 0.5]))
    assert (np.diff(noise, axis=1) < -10).all()
    # By wind alone: 7.5 dB times the difference of the roots.
    assert noise[1, 1] - noise[0, 1] == pytest.approx(
        7.5 * (np.sqrt(20) - np.sqrt(2)), abs=0.5
    )


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_tables_are_written_as_cell_by_cell(data: st.DataObject) -> None:
    decimals = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    rows = data.draw(st.integers(0, 5))
    minutes = FEBRUARY * DAY_MIN + np.arange(rows)
    values, blocks, names = [], [], []
    for b, digits in enumerate(decimals):
        width = data.draw(st.integers(1, 4))
        # Numbers that have these decimals: float32 is exact enough to write them.
        numbers = st.one_of(st.none(), st.integers(-(10**5), 10**5))
        cells = data.draw(
            st.lists(numbers, min_size=rows * width, max_size=rows * width)
        )
        block = [np.nan if n is None else n / 10**digits for n in cells]
        values.append(np.array(block, dtype=np.float32).reshape(rows, width))
        columns = tuple(Column(f"c{b}_{i}", "ctd") for i in range(width))
        names += [column.name for column in columns]
        blocks.append(Block(columns, digits, np.zeros(width, dtype=np.float32), 0.0))
    there = np.array(
        data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), dtype=bool
    )
    kept = np.flatnonzero(there)
    expected = naive_table_text(
        [f"2015-02-01T00:0{i}:00Z" for i in kept],
        names,
        [[float(v) for block in values for v in block[i]] for i in kept],
        [d for d, b in zip(decimals, blocks, strict=True) for _ in b.columns],
    )
    written = table_text(minutes, values, blocks, there).decode()
    assert written == expected


def test_a_direction_just_below_north_is_written_as_zero() -> None:
    block = Block(
        (Column("dir_1m", "adcp", kind="direction"),), 1, np.zeros(1, np.float32), 0.0
    )
    values = [np.array([[359.96], [359.94]], dtype=np.float32)]
    minutes = FEBRUARY * DAY_MIN + np.arange(2)
    text = table_text(minutes, values, [block], np.ones(2, dtype=bool)).decode()
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == ["0.0", "359.9"]


# Speed


@pytest.mark.slow
def test_a_day_of_1600_bins_takes_about_a_second(tmp_path: Path) -> None:
    options = SimulationOptions(days=3)
    start = time.perf_counter()
    simulate(str(tmp_path), options)
    # Half a second on a quiet core; other work on the machine is allowed for.
    assert (time.perf_counter() - start) / options.days < 4
