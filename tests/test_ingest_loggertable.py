"""What is read from a logger's text file, and what is refused."""

from __future__ import annotations

import csv
import datetime
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest.loggeroptions import PointOptions
from echoanom.ingest.loggertable import LoggerTable, read_logger

TEMPS = "time,temperature\n2020-01-01 00:00,1.5\n2020-01-01 01:00,2.5\n"


def at(text: str) -> int:
    """Return a UTC time as the table has it [µs]."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1e6)


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read_text(
        text: str | bytes, name: str = "log.csv", **options: Any
    ) -> LoggerTable:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_logger(name, str(path), PointOptions(**options))

    return read_text


@pytest.fixture
def refused(read: Any) -> Any:
    def message(text: str | bytes, name: str = "log.csv", **options: Any) -> str:
        with pytest.raises(InstrumentFileError) as caught:
            read(text, name, **options)
        assert caught.value.path == name
        assert "\n" not in str(caught.value)
        return caught.value.message

    return message


def test_times_and_values_are_those_of_the_file(read: Any) -> None:
    table = read(TEMPS)
    assert table.times_us.tolist() == [at("2020-01-01"), at("2020-01-01T01:00")]
    assert table.values.tolist() == [[1.5], [2.5]]
    assert [(c.name, c.unit, c.kind) for c in table.columns] == [
        ("temperature", "degC", "scalar")
    ]
    assert table.lines.tolist() == [2, 3]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "  "])
def test_the_separator_is_found_out(read: Any, separator: str) -> None:
    text = TEMPS.replace("2020-01-01 0", "2020-01-01T0").replace(",", separator)
    assert read(text).values.tolist() == [[1.5], [2.5]]


def test_decimal_commas_are_points(read: Any) -> None:
    text = "time;a;b\n2020-01-01 00:00;1,5;2\n2020-01-01 01:00;-0,25;1,0E3\n"
    assert read(text, decimal_comma=True).values.tolist() == [[1.5, 2], [-0.25, 1000]]


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("utf-8", "Temp (°F)"),
        ("utf-8-sig", "Temp (°F)"),
        ("latin-1", "Temp (°F)"),
        ("utf-16", "Temp (°F)"),
    ],
)
def test_a_file_may_be_in_any_usual_encoding(
    read: Any, encoding: str, header: str
) -> None:
    text = f"time,{header}\n2020-01-01 00:00,50\n".encode(encoding)
    table = read(text)
    assert table.values.tolist() == [[pytest.approx(10.0)]]
    assert (table.columns[0].name, table.columns[0].unit) == ("Temp", "degC")


def test_a_packed_file_is_read_whatever_its_name(read: Any) -> None:
    packed = gzip.compress(TEMPS.encode())
    assert read(packed, "log.csv.gz").values.tolist() == [[1.5], [2.5]]
    assert read(packed, "log.csv").values.tolist() == [[1.5], [2.5]]


def test_lines_around_the_header_and_comments_are_passed_over(read: Any) -> None:
    text = (
        "Logger, model 7, serial 123, and so on\n"
        "# a comment\n\n"
        "time,temperature\n"
        "yyyy,degC\n"
        "2020-01-01 00:00,1.5\n"
        "# battery changed\n"
        "2020-01-01 01:00,2.5\n"
    )
    table = read(text, skip_lines=1, skip_below=1)
    assert table.values.tolist() == [[1.5], [2.5]]
    assert table.lines.tolist() == [6, 8]


def test_a_file_with_a_title_and_commas_in_its_headers_is_read(read: Any) -> None:
    text = (
        '"Plot Title: pier"\r\n'
        '"#","Date Time, GMT-04:00","Temp, °F (S/N: 12)","Abs Pres (kPa)",""\r\n'
        "1,06/01/20 08:00:00 AM,50.0,101.3,\r\n"
        "2,06/01/20 08:10:00 AM,50.9,101.4,\r\n"
    )
    table = read(
        text,
        skip_lines=1,
        time_column=("#2",),
        time_format="%m/%d/%y %I:%M:%S %p",
        utc_offset="-04:00",
        columns=("temperature=#3:degF", "pressure=Abs Pres"),
    )
    assert table.times_us[0] == at("2020-06-01T12:00")
    np.testing.assert_allclose(table.values, [[10, 10.13], [10.5, 10.14]])


def test_columns_may_be_set_apart_by_any_number_of_spaces(read: Any) -> None:
    text = "date        time      a   b\n2020-06-01  12:00:00  1.5  -999\n"
    table = read(text)
    assert table.times_us.tolist() == [at("2020-06-01T12:00")]
    assert [column.name for column in table.columns] == ["a"]
    assert table.values.tolist() == [[1.5]]


@pytest.mark.parametrize(
    ("stamp", "options", "utc"),
    [
        ("20200601T120000", {}, "2020-06-01T12:00"),
        ("2020-06-01T12:00:00Z", {}, "2020-06-01T12:00"),
        ("2020-06-01 12:00:00+02:00", {}, "2020-06-01T10:00"),
        ("2020-06-01 12:00:00.250", {}, "2020-06-01T12:00:00.25"),
        ("2020-06-01 12:00", {"utc_offset": "+02:00"}, "2020-06-01T10:00"),
        ("2020-06-01 12:00", {"utc_offset": "-03:30"}, "2020-06-01T15:30"),
        ("2020-06-01 12:00", {"time_zone": "Europe/Berlin"}, "2020-06-01T10:00"),
        ("2020-01-01 12:00", {"time_zone": "Europe/Berlin"}, "2020-01-01T11:00"),
        ("1591012800", {"time_format": "epoch"}, "2020-06-01T12:00"),
        ("1591012800.5", {"time_format": "epoch"}, "2020-06-01T12:00:00.5"),
        ("1591012800500", {"time_format": "epoch-ms"}, "2020-06-01T12:00:00.5"),
        ("01/06/2020 12:00", {"day_first": True}, "2020-06-01T12:00"),
        ("1.6.2020 7:05", {"day_first": True}, "2020-06-01T07:05"),
        (
            "06/01/20 12:00:00 PM",
            {"time_format": "%m/%d/%y %I:%M:%S %p"},
            "2020-06-01T12:00",
        ),
        (
            "2020-06-01 12:00 +0200",
            {"time_format": "%Y-%m-%d %H:%M %z"},
            "2020-06-01T10:00",
        ),
    ],
)
def test_times_become_utc(
    read: Any, stamp: str, options: dict[str, Any], utc: str
) -> None:
    table = read(f"time,a\n{stamp},1\n", **options)
    assert table.times_us.tolist() == [at(utc)]


def test_date_and_time_of_day_may_be_apart(read: Any) -> None:
    text = "Date,Time,a\n2020-06-01,12:00:00,1\n"
    assert read(text).times_us.tolist() == [at("2020-06-01T12:00")]
    text = "Day,Hour,a\n01/06/2020,12:00,1\n"
    table = read(text, time_column=("Day", "Hour"), day_first=True)
    assert table.times_us.tolist() == [at("2020-06-01T12:00")]


def test_columns_are_named_and_converted(read: Any) -> None:
    text = "t,Temp_C,P,Cond,Spd,other\n2020-01-01,50,1.0,30000,10,9\n"
    table = read(
        text,
        time_column=("t",),
        columns=(
            "temperature=Temp_C:degF",
            "pressure=P:bar",
            "conductivity=Cond:µS/cm",
            "speed=#5:knots",
            "other",
        ),
        depth_m=12.0,
    )
    assert [(c.name, c.unit) for c in table.columns] == [
        ("temperature", "degC"),
        ("pressure", "dbar"),
        ("conductivity", "S/m"),
        ("speed", "m/s"),
        ("other", ""),
    ]
    np.testing.assert_allclose(table.values, [[10, 10, 3, 5.144444444444444, 9]])
    assert {c.depth_m for c in table.columns} == {12.0}


def test_an_unknown_unit_is_kept_as_it_is_written(read: Any) -> None:
    table = read("time,Turbidity (NTU)\n2020-01-01,5\n")
    assert table.columns[0].name == "Turbidity_(NTU)"
    assert table.values.tolist() == [[5.0]]


def test_directions_are_known_by_name(read: Any) -> None:
    table = read("time,dir (rad)\n2020-01-01,3.141592653589793\n")
    assert (table.columns[0].kind, table.columns[0].unit) == ("direction", "degree")
    assert table.values.tolist() == [[180.0]]


def test_missing_cells_have_many_faces(read: Any) -> None:
    cells = ["", " ", "NA", "NaN", "-999", "-999.0", "-9999", "null", "E"]
    cells += ["inf", "1e39"]
    lines = [f"2020-01-01 00:{i:02},{cell},1" for i, cell in enumerate(cells)]
    text = "time,a,b\n" + "\n".join(lines) + "\n2020-01-01 01:00,5,1\n"
    words = (*PointOptions().missing_words, "E")
    table = read(text, missing_words=words)
    assert np.isnan(table.values[:-1, 0]).all()
    assert table.values[-1].tolist() == [5.0, 1.0]
    assert len(table.events["infinite values"]) == 2
    assert read("time,a\n2020-01-01,-999\n", missing_numbers=()).values == [[-999.0]]


def test_columns_without_numbers_are_left_out(read: Any) -> None:
    text = "time,a,remark,spare\n2020-01-01,1,fine,\n2020-01-02,2,True,\n"
    assert [column.name for column in read(text).columns] == ["a"]


def test_a_column_that_was_asked_for_may_be_all_missing(read: Any) -> None:
    text = "time,a,b\n2020-01-01,1,\n"
    table = read(text, columns=("a", "b"))
    np.testing.assert_array_equal(table.values, [[1.0, np.nan]])


def test_the_files_own_flags_are_read(read: Any) -> None:
    text = (
        "time,a,b,q,qb\n2020-01-01,1,1,4.0,\n2020-01-02,2,2,3,Bad\n2020-01-03,3,3,1,\n"
    )
    table = read(
        text, flag_column=("q", "b=qb"), fail_values=("4", "bad"), columns=("a", "b")
    )
    assert table.flags.tolist() == [[4, 4], [3, 4], [0, 0]]


def test_lines_out_of_order_are_sorted_on_request(read: Any) -> None:
    text = "time,a\n2020-01-02,2\n2020-01-01,1\n2020-01-03,3\n"
    table = read(text, order="sort")
    assert table.values.tolist() == [[1], [2], [3]]
    assert table.lines.tolist() == [3, 2, 4]
    assert len(table.events["steps back in time"]) == 1


def test_a_file_longer_than_a_piece_is_whole(read: Any) -> None:
    count = 70_000
    lines = "".join(f"{1.6e9 + i:.0f},{i}\n" for i in range(count))
    table = read("time,a\n" + lines, time_format="epoch")
    np.testing.assert_array_equal(table.values[:, 0], np.arange(count))
    np.testing.assert_array_equal(table.lines, np.arange(count) + 2)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e30, 1e30, allow_nan=False)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([",", ";", "\t"]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path_factory: Any, cells: list[float | None], separator: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["time", "value", "one"])
        for second, cell in enumerate(cells):
            text = "" if cell is None else repr(cell)
            writer.writerow([f"2020-01-01T00:00:{second:02}", text, 1])
    table = read_logger("log", str(path), PointOptions(missing_numbers=()))
    names = [column.name for column in table.columns]
    if all(cell is None for cell in cells):
        assert names == ["one"]
        return
    expected = [np.nan if cell is None else cell for cell in cells]
    np.testing.assert_array_equal(table.values[:, 0], expected)


MALFORMED = {
    "a header alone": ("time,a\n", {}, ["no line below the header in line 1"]),
    "blank lines": ("\n\n  \n", {}, ["no line of text"]),
    "one column": ("time\n2020-01-01\n", {}, ["must have cells between"]),
    "binary": (b"CSV\0\1\2\3" * 9, {}, ["got a binary file", "byte 3 is zero"]),
    "a raw sonar file": (b"\x10\x00\x00\x00CON0" * 9, {}, ["binary"]),
    "a picture without zeros": (bytes(range(128, 256)) * 9, {}, ["must have"]),
    "half a gzip": (gzip.compress(b"x" * 9999)[:-9], {}, ["whole gzip file"]),
    "damaged gzip": (
        gzip.compress(TEMPS.encode())[:12] + b"abcd" + b"\xff" * 30,
        {},
        ["whole gzip file"],
    ),
    "no time column": (
        "when,a\n2020-01-01,1\n",
        {},
        ["must have a column timestamp, time", "got when, a", "--time-column"],
    ),
    "another time column": (
        TEMPS,
        {"time_column": ("when",)},
        ["must have the time column 'when'", "got time, temperature in line 1"],
    ),
    "another flag column": (TEMPS, {"flag_column": ("q",)}, ["flag column 'q'"]),
    "other columns": (
        TEMPS,
        {"columns": ("temperature=Temp_C", "salinity=Sal")},
        ["one of the columns Temp_C, Sal", "got time, temperature in line 1"],
    ),
    "the wrong separator": (
        TEMPS,
        {"separator": ";"},
        ["got one column in line 1", "separator ';'"],
    ),
    "a short line": (
        "time,a,b\n2020-01-01,1,2\n2020-01-02,1\n",
        {},
        ["3 cells in every line", "got 2 in line 3"],
    ),
    "a long line": (
        "time,a,b\n2020-01-01,1,2\n2020-01-02,1,2,3\n",
        {},
        ["got 4 in line 3"],
    ),
    "a torn last line": (TEMPS + "2020-01-0", {}, ["got 1 in line 4"]),
    "no time": (
        "time,a\n2020-01-01,1\nyesterday,2\n",
        {},
        ["got 'yesterday' in line 3"],
    ),
    "a day that is not": ("time,a\n2020-02-30,1\n", {}, ["'2020-02-30' in line 2"]),
    "slashes": ("time,a\n03/04/2020,1\n", {}, ["--day-first"]),
    "month first": (
        "time,a\n03/14/2020 1:00,1\n",
        {"day_first": True},
        ["'03/14/2020 1:00' in line 2"],
    ),
    "seconds": ("time,a\n1591012800,1\n", {}, ["line 2", "--time-format epoch"]),
    "a lone number": ("time,a\n2020,1\n", {}, ["'2020' in line 2"]),
    "days since 1900": ("time,a\n43831.5,1\n", {}, ["'43831.5' in line 2"]),
    "a format that is not read": (
        "time,a\n2020-01,1\n",
        {"time_format": "%G-%V"},
        ["got --time-format '%G-%V'"],
    ),
    "a unit of something else": (
        "time,Level (m)\n2020-01-01,1\n",
        {"columns": ("pressure=Level",)},
        ["'pressure' in a unit", "converted to dbar", "'Level (m)' in line 1"],
    ),
    "a line without end": (b"a" * 200_000, {}, ["must"]),
    "another format": (TEMPS, {"time_format": "%H:%M"}, ["'%H:%M' right?"]),
    "milliseconds as seconds": (
        "time,a\n1591012800000,1\n",
        {"time_format": "epoch"},
        ["between 1900 and 2100", "line 2"],
    ),
    "an offset against an offset": (
        "time,a\n2020-01-01T00:00Z,1\n",
        {"utc_offset": "+01:00"},
        ["line 2", "leave out --utc-offset"],
    ),
    "an offset now and then": (
        "time,a\n2020-01-01T00:00Z,1\n2020-01-01T01:00,1\n",
        {},
        ["with every time or with none", "line 3"],
    ),
    "an hour that is shown twice": (
        "time,a\n2020-10-25 02:30,1\n",
        {"time_zone": "Europe/Berlin"},
        ["Europe/Berlin", "line 2", "--utc-offset"],
    ),
    "an hour that is never shown": (
        "time,a\n2020-03-29 02:30,1\n",
        {"time_zone": "Europe/Berlin"},
        ["Europe/Berlin", "line 2"],
    ),
    "a word among numbers": (
        "time,a\n2020-01-01,1\n2020-01-02,E\n",
        {},
        ["every cell of 'a'", "'E' in line 3", "--missing-words"],
    ),
    "a decimal comma": (
        "time;a\n2020-01-01;1,5\n2020-01-02;2\n",
        {},
        ["'1,5' in line 2"],
    ),
    "a word in a wanted column": (
        "time,a,b\n2020-01-01,x,1\n",
        {"columns": ("a",)},
        ["'x' in line 2"],
    ),
    "nothing but missing values": (
        "time,a,b\n2020-01-01,NA,\n",
        {},
        ["must have a number in some column", "a, b"],
    ),
    "a clock that runs backwards": (
        "time,a\n2020-01-02,1\n2020-01-01,2\n",
        {},
        ["2020-01-01T00:00:00 UTC in line 3 after 2020-01-02T00:00:00 in line 2"],
    ),
    "a name twice": ("time,a,a\n2020-01-01,1,2\n", {}, ["'a' 2 times", "#3"]),
    "a wanted name twice": (
        "time,a,a\n2020-01-01,1,2\n",
        {"columns": ("b=a",)},
        ["one column 'a'", "#2 or #3"],
    ),
    "an open quote": (
        'time,a\n2020-01-01,"1\n' + "2020-01-01,1\n" * 20_000,
        {},
        ["line"],
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused_by_name(refused: Any, name: str) -> None:
    content, options, parts = MALFORMED[name]
    message = refused(content, **options)
    assert "must" in message
    for part in parts:
        assert part in message, message


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300), st.booleans())
def test_no_content_ends_in_another_error(
    tmp_path_factory: Any, content: bytes, headed: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_bytes((TEMPS.encode() if headed else b"") + content)
    try:
        read_logger("log", str(path), PointOptions())
    except InstrumentFileError:
        pass


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"time_column": ("a", "b", "c")}, "time_column must be one header"),
        ({"utc_offset": "2"}, "utc_offset must be like +02:00"),
        ({"utc_offset": "+02:00", "time_zone": "UTC"}, "together with time_zone"),
        ({"time_zone": "Mars/Olympus"}, "time_zone must be a name"),
        ({"time_format": "%Q"}, "time_format must be a format"),
        ({"time_format": "iso"}, "time_format must be a format"),
        ({"time_format": "epoch", "utc_offset": "+01:00"}, "in UTC"),
        ({"day_first": True, "time_format": "%d.%m.%Y"}, "day_first must not"),
        ({"separator": "::"}, "separator must be one character"),
        ({"separator": ",", "decimal_comma": True}, "decimal mark"),
        ({"skip_lines": -1}, "skip_lines must be at least 0"),
        ({"comment": "//"}, "comment must be one character"),
        ({"columns": ("a", "a=b")}, "must name 'a' once"),
        ({"columns": ("=b",)}, "name=header"),
        ({"columns": ("timestamp=b",)}, "'timestamp'"),
        ({"columns": ("pressure=P:furlong",)}, "known units, got 'furlong'"),
        ({"columns": ("pressure=P:degF",)}, "pressure is in dbar and degF is no such"),
        ({"depth_m": float("nan")}, "depth_m must be a number"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(OptionError) as caught:
        PointOptions(**options)
    assert part in str(caught.value)
