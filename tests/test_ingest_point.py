"""Loggers' text files become daily tables, however their samples are spread."""

from __future__ import annotations

import csv
import datetime
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoanom.cli.ingest_point import point
from echoanom.columns import column_from_name
from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest.loggeroptions import PointOptions
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.point import Point
from echoanom.ingest.running import IngestReport, ingest

pytestmark = pytest.mark.slow

CHECKS = {
    "level": {
        "qartod": {
            "gross_range_test": {"fail_span": [-50, 50], "suspect_span": [-9, 9]},
            "spike_test": {"suspect_threshold": 3, "fail_threshold": 6},
            "rate_of_change_test": {"threshold": 0.02, "fail_threshold": 0.05},
            "flat_line_test": {
                "suspect_threshold": 1800,
                "fail_threshold": 3600,
                "tolerance": 0.01,
            },
        }
    }
}
GAUGE_CHECKS = {
    "water_level_m": {
        "qartod": {
            "gross_range_test": {"fail_span": [6.8, 8.5]},
            "spike_test": {"suspect_threshold": 0.05, "fail_threshold": 0.1},
            "rate_of_change_test": {"threshold": 0.00014, "fail_threshold": 0.00028},
            "flat_line_test": {
                "suspect_threshold": 3600,
                "fail_threshold": 7200,
                "tolerance": 0.001,
            },
        }
    }
}

Row = tuple[float, float | None, float | None]
"""Seconds since 1970, a level and a direction."""


def stamp(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def write(path: Path, rows: Sequence[Row], names: str = "level,dir") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"time,{names}"]
    for seconds, *cells in rows:
        texts = ("" if cell is None else repr(cell) for cell in cells)
        lines.append(",".join([stamp(seconds), *texts]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def make(
    sources: Sequence[str], destination: Path, max_gap_min: float = 0.0, **options: Any
) -> IngestReport:
    table = IngestOptions(max_gap_min=max_gap_min)
    return ingest(Point(PointOptions(**options)), sources, str(destination), table)


def read_table(destination: Path) -> dict[str, dict[str, float]]:
    """Return the cells of all days by time stamp and column."""
    cells = {}
    for path in sorted((destination / "point" / "tabular").glob("*.csv")):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                moment = row.pop("timestamp")
                cells[moment] = {
                    name: float(cell) if cell else math.nan
                    for name, cell in row.items()
                }
    return cells


def content(destination: Path) -> dict[str, bytes]:
    """Return what was made, without what tells of the files."""
    folder = destination / "point"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name in ("tabular", "flags", "point")
        if path.name != "files.json"
    }


def mean(cells: Sequence[float | None], kind: str) -> float:
    """Average as the definition says."""
    observed = [cell for cell in cells if cell is not None]
    if not observed:
        return math.nan
    if kind == "scalar":
        return math.fsum(observed) / len(observed)
    east = math.fsum(math.sin(math.radians(cell)) for cell in observed)
    north = math.fsum(math.cos(math.radians(cell)) for cell in observed)
    if math.hypot(east, north) < 1e-6 * len(observed):
        return math.nan
    return math.degrees(math.atan2(east, north)) % 360


def minutes(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Average rows over minutes, slowly."""
    by_minute: dict[int, list[Row]] = {}
    for row in rows:
        by_minute.setdefault(int(row[0] // 60), []).append(row)
    return {
        stamp(minute * 60)[:19] + "Z": [
            mean([row[1] for row in inside], "scalar"),
            mean([row[2] for row in inside], "direction"),
        ]
        for minute, inside in by_minute.items()
    }


def irregular(seed: int, count: int) -> list[Row]:
    rng = random.Random(seed)
    seconds, rows = 86_400.0 * 365 - 20_000, []
    for _ in range(count):
        seconds += round(rng.choice((0.25, 7.0, 40.0, 300.0)) * rng.uniform(0.5, 2), 3)
        level = None if rng.random() < 0.1 else round(rng.gauss(0, 2), 3)
        rows.append((seconds, level, round(rng.uniform(0, 360), 1)))
    return rows


def test_minutes_of_an_irregular_series_are_the_naive_means(tmp_path: Path) -> None:
    rows = irregular(1, 900)
    make([write(tmp_path / "log.csv", rows)], tmp_path / "made")
    found, expected = read_table(tmp_path / "made"), minutes(rows)
    assert list(found) == sorted(expected)
    for moment, cells in found.items():
        level, angle = expected[moment]
        assert cells["level"] == pytest.approx(level, rel=1e-6, abs=1e-6, nan_ok=True)
        turned = (cells["dir"] - angle + 180) % 360 - 180
        assert abs(turned) < 1e-4 or math.isnan(cells["dir"]) and math.isnan(angle)


def test_hourly_values_are_joined_by_lines_across_midnight(tmp_path: Path) -> None:
    start = 86_400 * 3 - 7200
    rows: list[Row] = [
        (start, 0.0, 350.0),
        (start + 3600, 6.0, 10.0),
        (start + 7200, 12.0, 10.0),
        # Two hours on: too far.
        (start + 14_400, 0.0, 10.0),
    ]
    make([write(tmp_path / "log.csv", rows)], tmp_path / "made", max_gap_min=60)
    table = read_table(tmp_path / "made")
    assert len(table) == 122
    for at, cells in enumerate(list(table.values())[:121]):
        assert cells["level"] == pytest.approx(at / 10, abs=1e-5)
    # Straight through north, not back through south.
    assert table["1970-01-03T22:30:00Z"]["dir"] == pytest.approx(0, abs=1e-4)


def test_columns_of_several_files_stand_side_by_side(tmp_path: Path) -> None:
    rows = irregular(2, 300)
    one = write(tmp_path / "both.csv", rows)
    level = write(tmp_path / "a" / "level.csv", [r[:2] for r in rows], "level")  # type: ignore[misc]
    angle = write(tmp_path / "b" / "dir.csv", [(r[0], r[2]) for r in rows], "dir")  # type: ignore[misc]
    make([one], tmp_path / "one")
    report = make([level, angle], tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert "samples found twice" not in report.counts


def test_checks_see_neighbours_in_other_files(tmp_path: Path) -> None:
    rows = irregular(4, 400)
    checks = tmp_path / "qc.json"
    checks.write_text(json.dumps(CHECKS))
    one = write(tmp_path / "both.csv", rows)
    angle = write(tmp_path / "b" / "dir.csv", [(r[0], r[2]) for r in rows], "dir")  # type: ignore[misc]
    # The level is in two files while the direction is in one, which overlaps both.
    levels = [
        write(tmp_path / "a" / f"{at}.csv", [r[:2] for r in part], "level")  # type: ignore[misc]
        for at, part in enumerate((rows[:233], rows[233:]))
    ]
    make([one], tmp_path / "one", qc=str(checks))
    make([*levels, angle], tmp_path / "two", qc=str(checks))
    assert content(tmp_path / "one") == content(tmp_path / "two")


def cut(rows: Sequence[Row], cuts: Sequence[int], over: int) -> Iterator[list[Row]]:
    """Cut rows into pieces, each with `over` rows of the one before it."""
    edges = sorted({0, len(rows), *cuts})
    for first, behind in zip(edges, edges[1:], strict=False):
        yield list(rows[max(0, first - over) : behind])


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(0, 9),
    st.lists(st.integers(1, 399), max_size=5),
    st.sampled_from([0, 3]),
    st.booleans(),
)
def test_days_do_not_depend_on_how_files_are_cut(
    tmp_path_factory: Any, seed: int, cuts: list[int], over: int, checked: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    rows = irregular(seed, 400)
    # A stretch that is flat, across midnight perhaps.
    rows[150:220] = [(seconds, 1.0, angle) for seconds, _, angle in rows[150:220]]
    checks = folder / "qc.json"
    checks.write_text(json.dumps(CHECKS))
    options = {"qc": str(checks)} if checked else {}
    whole = write(folder / "whole.csv", rows)
    pieces = [
        write(folder / "pieces" / f"{at}.csv", piece)
        for at, piece in enumerate(cut(rows, cuts, over))
    ]
    make([whole], folder / "a", max_gap_min=30, **options)
    make([str(folder / "pieces")], folder / "b", max_gap_min=30, **options)
    assert content(folder / "a") == content(folder / "b")
    if checked:
        assert any("flags" in name for name in content(folder / "a"))
    # And one file after the other.
    for at in range(len(pieces)):
        make(pieces[: at + 1], folder / "c", max_gap_min=30, **options)
    assert content(folder / "a") == content(folder / "c")


def test_a_value_is_judged_the_same_on_both_sides_of_midnight(tmp_path: Path) -> None:
    midnight = 86_400 * 5
    rows: list[Row] = [(midnight + 60.0 * i, 1.0 + i % 2, 0.0) for i in range(-30, 30)]
    rows[30] = (midnight, 40.0, 0.0)
    checks = tmp_path / "qc.json"
    checks.write_text(
        json.dumps({"level": {"qartod": {"spike_test": {"fail_threshold": 25}}}})
    )
    make([write(tmp_path / "log.csv", rows)], tmp_path / "made", qc=str(checks))
    flags = sorted((tmp_path / "made" / "point" / "flags").iterdir())
    assert [path.name for path in flags] == ["1970-01-06.csv"]
    assert flags[0].read_text().splitlines()[1:] == [
        "1970-01-06T00:00:00Z,level,40,4,spike_test"
    ]
    assert math.isnan(read_table(tmp_path / "made")["1970-01-06T00:00:00Z"]["level"])


def test_the_files_own_flags_take_out_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "time,level,q\n2020-01-01 00:00,1,1\n2020-01-01 00:01,2,3\n2020-01-01 00:02,3,4\n"
    )
    report = make([str(path)], tmp_path / "made", flag_column=("q",))
    table = read_table(tmp_path / "made")
    assert [c["level"] for c in table.values()][:2] == [1, 2]
    assert math.isnan(table["2020-01-01T00:02:00Z"]["level"])
    assert report.flagged_values == 2
    flags = (tmp_path / "made" / "point" / "flags" / "2020-01-01.csv").read_text()
    assert flags.splitlines()[1:] == [
        "2020-01-01T00:01:00Z,level,2,3,file",
        "2020-01-01T00:02:00Z,level,3,4,file",
    ]


def test_equal_samples_are_taken_once_and_counted(tmp_path: Path) -> None:
    rows: list[Row] = [(0.0, 1.0, 5.0), (0.0, 1.0, 5.0), (1.0, 4.0, 5.0)]
    one = write(tmp_path / "a.csv", rows)
    other = write(tmp_path / "b.csv", [*rows[1:], (2.0, 4.0, None)])
    report = make([one, other], tmp_path / "made")
    assert read_table(tmp_path / "made")["1970-01-01T00:00:00Z"]["level"] == 3
    assert report.counts == {"samples found twice": 3}


@pytest.mark.parametrize(
    ("duplicates", "level", "angle"),
    [("first", 1.0, 350.0), ("last", 3.0, 20.0), ("mean", 2.0, 5.0)],
)
@pytest.mark.parametrize("files", [1, 2])
def test_samples_that_differ_are_chosen_from(
    tmp_path: Path, duplicates: Any, level: float, angle: float, files: int
) -> None:
    rows: list[Row] = [(0.0, 1.0, 350.0), (0.0, 3.0, 20.0), (60.0, 9.0, 0.0)]
    if files == 1:
        sources = [write(tmp_path / "log.csv", rows)]
    else:
        sources = [
            write(tmp_path / "a.csv", rows[:1]),
            write(tmp_path / "b.csv", rows[1:]),
        ]
    report = make(sources, tmp_path / "made", duplicates=duplicates)
    cells = read_table(tmp_path / "made")["1970-01-01T00:00:00Z"]
    assert cells["level"] == level
    assert cells["dir"] == pytest.approx(angle, abs=1e-4)
    assert report.counts["times with differing samples"] == 1


def test_samples_that_differ_are_refused_by_line(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", [(0.0, 1.0, 5.0), (60.0, 1.0, 5.0)])
    other = write(tmp_path / "b.csv", [(60.0, 2.0, 5.0), (90.0, 1.0, 5.0)])
    with pytest.raises(InstrumentFileError) as caught:
        make([one, other], tmp_path / "made")
    assert str(caught.value) == (
        f"{other}: must have one value of 'level' at a time, got 2 in line 2, but 1 in"
        f" line 3 of {one}, both at 1970-01-01T00:01:00 UTC; choose with --duplicates"
    )
    twice = write(tmp_path / "c.csv", [(0.0, 1.0, 5.0), (0.0, 1.0, 6.0)])
    with pytest.raises(InstrumentFileError, match="got 6 in line 3, but 5 in line 2"):
        make([twice], tmp_path / "made")


def test_a_column_that_no_file_has_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", [(0.0, 1.0, 5.0)])
    with pytest.raises(InstrumentFileError, match="'salt'.*found were only level"):
        make([path], tmp_path / "made", columns=("level", "salinity=salt"))
    checks = tmp_path / "qc.json"
    checks.write_text(json.dumps({"salinity": CHECKS["level"]}))
    with pytest.raises(OptionError, match="got salinity; there are level, dir"):
        make([path], tmp_path / "made", qc=str(checks))


def test_a_column_in_two_units_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", [(0.0, 1.0, 5.0)], "x (cm),dir")
    other = write(tmp_path / "b.csv", [(60.0, 1.0, 5.0)], "x,dir")
    with pytest.raises(InstrumentFileError, match="must have 'x' in 'm'.*got ''"):
        make([one, other], tmp_path / "made")


def test_a_bad_file_can_be_left_out(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [(0.0, 1.0, 5.0)])
    (tmp_path / "bad.csv").write_text(
        "time,level,dir\n1970-01-01,x,1\n1970-01-01,2,1\n"
    )
    (tmp_path / "empty.csv").write_text("")
    report = ingest(
        Point(), [str(tmp_path)], str(tmp_path / "made"), IngestOptions(on_error="skip")
    )
    assert report.rows == 1 and report.files == 1
    assert [Path(path).name for path, _ in report.skipped] == ["bad.csv", "empty.csv"]
    assert good.endswith("good.csv")


def test_other_options_of_reading_make_all_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", [(0.0, 1.0, 5.0)])
    assert make([path], tmp_path / "made").made == 1
    assert make([path], tmp_path / "made").made == 0
    assert make([path], tmp_path / "made", utc_offset="-01:00").made == 1
    assert "1970-01-01T01:00:00Z" in read_table(tmp_path / "made")


def test_processes_make_the_same(tmp_path: Path) -> None:
    rows = irregular(3, 400)
    checks = tmp_path / "qc.json"
    checks.write_text(json.dumps(CHECKS))
    path = write(tmp_path / "log.csv", rows)
    make([path], tmp_path / "one", qc=str(checks))
    ingest(
        Point(PointOptions(qc=str(checks))),
        [path],
        str(tmp_path / "two"),
        IngestOptions(),
        workers=2,
    )
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "Logger 7\nDate;Time;Temp;P\n01/02/2020;00:00:00;50,0;14,5\n"
        "01/02/2020;01:00:00;53,6;14,5\n"
    )
    arguments = [
        *(str(path), str(tmp_path / "made"), "--sensor", "ctd", "--workers", "1"),
        *("--skip-lines", "1", "--day-first", "--decimal-comma"),
        *("--utc-offset", "+01:00", "--depth", "30"),
        *("--columns", "temperature=Temp:degF,pressure=P:psi"),
    ]
    result = CliRunner().invoke(point, arguments)
    assert result.exit_code == 0, result.output
    assert "2 days made, 0 days kept, 61 rows of 2 columns from 1 file" in result.output
    assert "cells filled: 118" in result.output
    folder = tmp_path / "made" / "ctd"
    day = (folder / "tabular" / "2020-02-01.csv").read_text().splitlines()
    assert day[1] == "2020-02-01T00:00:00Z,12.0,9.997398"
    columns = json.loads((folder / "columns.json").read_text())
    assert {
        "name": "pressure",
        "unit": "dbar",
        "kind": "scalar",
        "depth_m": 30.0,
    } in columns


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--columns", "pressure=P:furlong"], "--columns must have known units"),
        (["--utc-offset", "x"], "--utc-offset must be like"),
        (["--decimal-comma", "--separator", ","], "--separator must not be a comma"),
    ],
)
def test_wrong_options_are_usage_errors(
    tmp_path: Path, arguments: list[str], part: str
) -> None:
    path = write(tmp_path / "log.csv", [(0.0, 1.0, 5.0)])
    result = CliRunner().invoke(point, [path, str(tmp_path / "made"), *arguments])
    assert result.exit_code == 2
    assert part in result.output


@pytest.mark.slow
def test_a_year_of_hourly_sea_level_becomes_minutes(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "oce" / "halifax_sealevel_2003_hourly.csv"
    report = make([str(path)], tmp_path / "made", max_gap_min=60)
    with open(path, newline="") as file:
        hours = {
            datetime.datetime.fromisoformat(row["timestamp"]): float(row["slev_m"])
            for row in csv.DictReader(file)
        }
    table = {
        datetime.datetime.fromisoformat(moment[:-1]): cells["slev_m"]
        for moment, cells in read_table(tmp_path / "made").items()
    }
    expected = {}
    hour, moments = datetime.timedelta(hours=1), sorted(hours)
    for moment, behind in zip(moments, [*moments[1:], None], strict=True):
        expected[moment] = hours[moment]
        if behind is not None and behind - moment == hour:
            for minute in range(1, 60):
                share = minute / 60
                between = hours[moment] * (1 - share) + hours[behind] * share
                expected[moment + share * hour] = between
    assert report.rows == len(expected) == 398_663
    assert table.keys() == expected.keys()
    # What the file says is there as it is.
    assert all(np.float32(table[m]) == np.float32(hours[m]) for m in hours)
    found = np.array([table[moment] for moment in expected])
    np.testing.assert_allclose(found, list(expected.values()), atol=2e-7)


def test_a_mooring_is_what_cutting_it_into_days_gives(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "oce" / "s4_sleiwex2008.csv"
    report = make([str(path)], tmp_path / "made")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    table = read_table(tmp_path / "made")
    assert report.rows == len(rows) == len(table) == 15_225
    for row in rows:
        moment = row.pop("timestamp")
        found = table[moment.replace(" ", "T") + "Z"]
        assert list(found) == list(row)
        for name, cell in row.items():
            # A mean of one direction is found by way of its vector.
            close = 3e-5 if column_from_name(name, "").kind == "direction" else 0
            wanted = float(np.float32(cell))
            assert abs(found[name] - wanted) <= close + abs(wanted) * 1e-7


def test_the_checks_find_most_of_what_a_person_flagged(
    shared_data: Path, tmp_path: Path
) -> None:
    """The settings and the figures of docs/ingest-point.md."""
    path = shared_data / "cotede" / "NOS_8764227_6min.csv"
    checks = tmp_path / "checks.json"
    checks.write_text(json.dumps(GAUGE_CHECKS))
    make([str(path)], tmp_path / "made", qc=str(checks), columns=("water_level_m",))
    failed, suspect = set(), set()
    for day in (tmp_path / "made" / "point" / "flags").iterdir():
        with open(day, newline="") as file:
            for row in csv.DictReader(file):
                (failed if row["flag"] == "4" else suspect).add(row["timestamp"])
    with open(path, newline="") as file:
        bad = {
            row["timestamp"].replace(" ", "T") + "Z": row["flag_bad"] == "True"
            for row in csv.DictReader(file)
        }
    by_person = {moment for moment, flagged in bad.items() if flagged}
    print("         flagged by a person   not flagged")
    print(f"of           {len(by_person)}          {len(bad) - len(by_person)}")
    print(f"failed       {len(failed & by_person)}          {len(failed - by_person)}")
    both = failed | suspect
    print(f"or suspect   {len(both & by_person)}          {len(both - by_person)}")
    assert (len(by_person), len(bad)) == (798, 21_900)
    assert (len(failed & by_person), len(failed - by_person)) == (554, 6)
    assert (len(both & by_person), len(both - by_person)) == (588, 34)


def test_the_flags_of_a_person_take_out_their_values(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "cotede" / "NOS_8764227_6min.csv"
    report = make(
        [str(path)],
        tmp_path / "made",
        flag_column=("flag_bad",),
        fail_values=("True",),
    )
    assert report.flagged_values == 798
    table = read_table(tmp_path / "made")
    missing = sum(math.isnan(cells["water_level_m"]) for cells in table.values())
    assert (missing, len(table)) == (798, 21_900)


@pytest.mark.slow
def test_water_quality_of_months_is_read_whole(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "gecco2018" / "gecco2018_train.csv.gz"
    instrument = Point()
    look = instrument.look(str(path), str(path))
    assert [name for name, _ in look.facts["columns"]] == (
        ["Tp", "Cl", "pH", "Redox", "Leit", "Trueb", "Cl_2", "Fm", "Fm_2"]
    )
    assert look.last_us - look.first_us == 139_565 * 60_000_000
    river = shared_data / "oddwater" / "sandy.csv"
    report = make(
        [str(river)],
        tmp_path / "made",
        day_first=True,
        columns=("level=Level:m", "conductivity=Cond:uS/cm", "turbidity=Tur"),
    )
    with open(river) as file:
        assert report.rows == len(file.readlines()) - 1
