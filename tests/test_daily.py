"""Daily tables: what is refused, what is taken and counted, and that values are exact."""

from __future__ import annotations

import datetime
import pickle
from pathlib import Path

import naive
import numpy as np
import pandas as pd
import pytest
from conftest import csv_bytes
from hypothesis import given
from hypothesis import strategies as st

from echoanom import cells
from echoanom.columns import Column
from echoanom.daily import read_day, read_header
from echoanom.errors import ColumnsError, StorageError, TableError
from echoanom.options import TableOptions
from echoanom.stamps import day_start, format_stamp

DATA = Path(__file__).parent / "data"
DAY = datetime.date(2015, 2, 1)
COLUMNS = (
    Column("Sv_1m", "buoy", "dB", "level"),
    Column("dir_deg", "buoy", "degree", "direction"),
    Column("temp", "buoy", "degC", "scalar"),
)
PLAIN = np.array(
    [[-70.5, 350, 7.25], [-71.25, 10, 7.5], [-69, 20, 7.75], [-68.5, 30, 8]],
    dtype=np.float32,
)
START = day_start(DAY)


def read_odd(name: str, options: TableOptions | None = None):
    return read_day(str(DATA / "odd" / name), DAY, options)


# -- refused


@pytest.mark.parametrize(
    ("name", "line", "column", "words"),
    [
        ("empty", None, None, "must have a header line, got an empty file"),
        ("blank_lines_only", None, None, "must have a header line"),
        ("no_timestamp_column", 1, None, "got 'minute_of_day', 'Sv_1m', 'dir_deg'"),
        ("no_header", 1, None, "got '2015-02-01 00:00:00', '-70.5', '350.0' and 1"),
        ("semicolons", 1, None, "got 'timestamp;Sv_1m;dir_deg;temp'"),
        ("only_a_timestamp_column", 1, None, "must have a data column"),
        ("duplicate_column_names", 1, "Sv_1m", "column names must differ"),
        ("unnamed_column", 1, None, "every column must have a name"),
        ("unparsable_timestamp", 4, "timestamp", "got '01.02.2015 00:02'"),
        ("impossible_date", 4, "timestamp", "got '2015-02-30 00:02:00'"),
        ("blank_timestamp", 4, "timestamp", "got ''"),
        (
            "non_numeric_cell",
            4,
            "dir_deg",
            "got 'twenty degrees or a little more than tha'...;",
        ),
        ("number_with_underscore", 4, "dir_deg", "got '2_0.0'"),
        ("decimal_comma", 4, "dir_deg", "got '20,0'"),
        ("short_row", 4, None, "every row must have 4 cells like the header, got 3"),
        ("long_row", 4, None, "every row must have 4 cells like the header, got 5"),
        ("trailing_comma", 4, None, "got 5"),
        ("short_and_long_row", 3, None, "got 3"),
        ("cut_in_mid_row", 5, None, "got 2"),
        ("cut_in_quoted_cell", 5, None, "unexpected end of data"),
        ("carriage_return_in_row", 4, None, "got 2"),
        ("another_day", 4, "timestamp", "lie in 2015-02-01 UTC"),
        ("another_day_by_offset", 4, "timestamp", "got 2015-01-31T23:02:00Z"),
        ("conflicting_stamps", 5, "Sv_1m", "got -69 on line 4 and -68.5 here"),
        ("conflicting_seconds_of_a_minute", 5, "Sv_1m", "2015-02-01T00:02:00Z"),
        ("unbalanced_quote", 5, None, "must be comma-separated text"),
        ("too_large_for_float32", 4, "dir_deg", "must fit in float32, got 2e+39"),
        ("not_utf8", 1, None, "must be UTF-8 text, got byte 0xb0"),
        ("utf16", 1, None, "must be text, got a NUL byte"),
        ("nul_byte", 4, None, "must be text, got a NUL byte"),
    ],
)
def test_a_malformed_table_is_refused_naming_file_line_and_column(
    name: str, line: int | None, column: str | None, words: str
) -> None:
    path = str(DATA / "malformed" / f"{name}.csv")
    with pytest.raises(TableError) as caught:
        read_day(path, DAY)
    error = caught.value
    assert words in str(error)
    assert (error.path, error.line, error.column) == (path, line, column)
    assert "\n" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_every_malformed_table_has_its_test() -> None:
    marks = test_a_malformed_table_is_refused_naming_file_line_and_column.pytestmark
    tested = {case[0] for case in marks[0].args[1]} | {"other_columns"}
    assert {path.stem for path in (DATA / "malformed").glob("*.csv")} == tested


def test_columns_unlike_those_of_the_sensors_other_days_are_refused_and_named() -> None:
    path = str(DATA / "malformed" / "other_columns.csv")
    with pytest.raises(ColumnsError, match="lacks dir_deg, has unexpected speed_cm_s"):
        read_day(path, DAY, columns=COLUMNS)


def test_only_the_first_few_of_many_different_columns_are_named() -> None:
    content = b"timestamp," + b",".join(b"c%d" % i for i in range(1000)) + b"\n"
    with pytest.raises(ColumnsError, match="c0, c1, c2, c3, c4 and 995 more") as caught:
        read_day("x.csv", DAY, columns=COLUMNS, content=content)
    assert len(str(caught.value)) < 250


def test_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.csv: it does not exist"):
        read_day(str(tmp_path / "none.csv"), DAY)


@pytest.mark.parametrize(
    "stamp",
    [
        "2015-02-01 24:00:00",
        "2015-02-01 00:00:60",
        "2015-02-01T00:00:00+25:00",
        "2015-W05-7 00:00:00",
        "20150201T000000",
        "2015-02-01x00:00:00",
        "1422748800",
        "2015-02-01 00:00:00 CET",
        "٢٠١٥-02-01 00:00:00",
    ],
)
def test_a_stamp_that_could_mean_something_else_is_refused(stamp: str) -> None:
    with pytest.raises(TableError, match="line 2.*time stamp must look like"):
        read_day("x.csv", DAY, content=f"timestamp,a\n{stamp},1\n".encode())


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"])
def test_a_stamp_at_the_end_of_the_calendar_is_of_another_day(stamp: str) -> None:
    with pytest.raises(TableError, match="line 2, column .timestamp."):
        read_day("x.csv", DAY, content=f"timestamp,a\n{stamp},1\n".encode())


def test_a_quote_that_never_ends_does_not_swallow_a_large_file() -> None:
    content = b'timestamp,a\n"2015-02-01,1\n' + b"2015-02-01,1\n" * 20_000
    with pytest.raises(TableError, match="must be comma-separated text"):
        read_day("x.csv", DAY, content=content)


# -- taken


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "crlf",
        "bare_cr",
        "bom",
        "quoted_header",
        "quoted_cells",
        "spaces_after_commas",
        "trailing_blank_lines",
        "blank_line_between",
        "no_last_newline",
        "timestamp_not_first",
        "unnamed_index",
        "zulu",
        "offsets",
        "seconds_within_the_minute",
    ],
)
def test_a_table_written_oddly_reads_like_a_plain_one(name: str) -> None:
    table = read_odd(f"{name}.csv")
    assert table.columns == ("Sv_1m", "dir_deg", "temp")
    np.testing.assert_array_equal(table.times, START + 60 * np.arange(4))
    np.testing.assert_array_equal(table.values, PLAIN)
    assert table.values.dtype == np.float32 and table.values.flags.c_contiguous
    assert table.times.dtype == np.int64
    counts = table.counts
    assert (counts.rows, counts.duplicates, counts.merged) == (4, 0, 0)
    assert (counts.out_of_order, counts.missing_cells) == (0, 0)


@pytest.mark.parametrize("name", ["header_only.csv", "header_only_no_newline.csv"])
def test_a_header_alone_is_a_table_of_no_rows(name: str) -> None:
    table = read_odd(name)
    assert table.values.shape == (0, 3)
    assert table.times.shape == (0,)
    assert table.counts.rows == 0


def test_a_date_alone_is_its_midnight() -> None:
    table = read_odd("midnight_as_date.csv")
    assert table.times.tolist() == [START]


def test_blank_cells_are_missing_and_counted() -> None:
    table = read_odd("blank_cells.csv")
    expected = PLAIN.copy()
    expected[1, 0] = expected[2, 2] = np.nan
    np.testing.assert_array_equal(table.values, expected)
    assert table.counts.missing_cells == 2


def test_nan_inf_words_and_marker_numbers_are_missing_and_counted() -> None:
    table = read_odd("missing_markers.csv")
    expected = np.full((4, 3), np.nan, dtype=np.float32)
    expected[0, 2], expected[1, 1], expected[3, 1] = 7.25, 10, 30
    np.testing.assert_array_equal(table.values, expected)
    assert table.counts.missing_cells == 9


def test_missing_markers_can_be_named() -> None:
    options = TableOptions(missing_numbers=(999.9,), missing_words=("bad",))
    table = read_odd("other_markers.csv", options)
    assert np.isnan(table.values).tolist() == [[0, 1, 0], [1, 0, 0]]
    with pytest.raises(TableError, match="line 3, column 'Sv_1m'.*got 'bad'"):
        read_odd("other_markers.csv")


def test_without_marker_numbers_they_are_values() -> None:
    content = b"timestamp,a\n2015-02-01,-999\n"
    options = TableOptions(missing_numbers=())
    assert read_day("x.csv", DAY, options, content=content).values.item() == -999


def test_rows_out_of_order_are_sorted_and_counted() -> None:
    table = read_odd("out_of_order.csv")
    np.testing.assert_array_equal(table.values, PLAIN)
    assert table.counts.out_of_order == 2


def test_exact_duplicate_rows_are_dropped_and_counted() -> None:
    table = read_odd("duplicate_rows.csv")
    np.testing.assert_array_equal(table.values, PLAIN)
    counts = table.counts
    assert (counts.rows, counts.duplicates, counts.out_of_order) == (6, 2, 1)


def test_the_time_column_can_be_named() -> None:
    content = b"timestamp,when\n5,2015-02-01\n"
    options = TableOptions(time_column="when")
    table = read_day("x.csv", DAY, options, content=content)
    assert table.columns == ("timestamp",) and table.values.item() == 5
    with pytest.raises(TableError, match="must have a time stamp column .then."):
        read_day("x.csv", DAY, TableOptions(time_column="then"), content=content)


def test_columns_come_in_the_order_they_are_wanted() -> None:
    wanted = (COLUMNS[2], COLUMNS[0], COLUMNS[1])
    table = read_day(str(DATA / "odd" / "plain.csv"), DAY, columns=wanted)
    assert table.columns == ("temp", "Sv_1m", "dir_deg")
    np.testing.assert_array_equal(table.values, PLAIN[:, [2, 0, 1]])
    assert table.values.flags.c_contiguous


def test_the_header_lists_the_data_columns_in_file_order() -> None:
    content = (DATA / "odd" / "timestamp_not_first.csv").read_bytes()
    assert read_header(content, "x.csv") == ("Sv_1m", "dir_deg", "temp")


# -- rows of one period that differ

CONFLICT = (
    b"timestamp,Sv_1m,dir_deg,temp\n"
    b"2015-02-01 00:00:20,-60,350,1\n"
    b"2015-02-01 00:00:00,-70,20,3\n"
    b"2015-02-01 00:00:40,,,8\n"
    b"2015-02-01 00:01:00,-70,0,1\n"
)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("first", [-70, 20, 3]),
        ("last", [np.nan, np.nan, 8]),
        ("mean", [10 * np.log10((1e-6 + 1e-7) / 2), 5, 4]),
    ],
)
def test_rows_of_one_period_merge_as_the_policy_says(
    policy: str, expected: list[float]
) -> None:
    table = read_day(
        "x.csv", DAY, TableOptions(duplicates=policy), columns=COLUMNS, content=CONFLICT
    )
    np.testing.assert_allclose(table.values[0], expected, rtol=1e-6)
    assert table.times.tolist() == [START, START + 60]
    assert (table.counts.rows, table.counts.merged) == (4, 2)


def test_the_mean_of_a_period_counts_equal_values_of_different_seconds_each() -> None:
    content = b"timestamp,a\n" + b"".join(
        b"2015-02-01 00:00:%02d,%d\n" % (second, value)
        for second, value in [(0, 1), (10, 1), (20, 1), (30, 5)]
    )
    table = read_day("x.csv", DAY, TableOptions(duplicates="mean"), content=content)
    assert table.values.item() == 2


def test_opposite_directions_have_no_mean() -> None:
    content = b"timestamp,dir\n2015-02-01,90\n2015-02-01,270\n"
    table = read_day("x.csv", DAY, TableOptions(duplicates="mean"), content=content)
    assert np.isnan(table.values.item())


def test_equal_rows_of_one_period_merge_under_any_policy() -> None:
    content = b"timestamp,a,b\n2015-02-01 00:00:01,0,\n2015-02-01 00:00:02,-0.0,NaN\n"
    table = read_day("x.csv", DAY, content=content)
    assert (table.counts.duplicates, table.counts.merged) == (0, 1)


# -- properties

NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-1e30, 1e30),
    st.floats(-400, 400).map(lambda number: round(number, 3)),
    st.sampled_from([-999.0, -9999.0, 0.0, -0.0, 1e-46, 3.4e38]),
)
NUMERALS = st.builds(
    lambda number, form: form % number,
    NUMBERS,
    st.sampled_from(["%r", "%.17g", "%e", "%+.3f", "%.1E"]),
)
MISSING = st.sampled_from(["", "NA", "nan", "NaN", "inf", "-Infinity", "null", "-"])


@st.composite
def daily_tables(draw: st.DrawFn) -> bytes:
    """Draw a well-formed daily CSV in some dialect."""
    width = draw(st.integers(1, 4))
    cell = st.one_of(NUMERALS, NUMERALS, MISSING)
    row = st.tuples(
        st.integers(0, draw(st.sampled_from([20, 900, 86_399]))),
        st.lists(cell, min_size=width, max_size=width),
    )
    rows = draw(st.lists(row, max_size=12))
    form = draw(st.sampled_from(["{}", "{}Z", "{}+00:00", "{}.000", "T"]))
    quote = draw(st.sampled_from(["", '"']))
    lines = [",".join(["timestamp", *(f"c{i}" for i in range(width))])]
    for second, texts in rows:
        stamp = format_stamp(START + second).removesuffix("Z")
        stamp = stamp if form == "T" else form.format(stamp.replace("T", " "))
        lines.append(",".join(quote + text + quote for text in [stamp, *texts]))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    end = draw(st.sampled_from(["", newline, newline * 2]))
    bom = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return bom + (newline.join(lines) + end).encode()


@given(
    content=daily_tables(),
    policy=st.sampled_from(["refuse", "first", "last"]),
    period_s=st.sampled_from([1, 10, 60, 3600]),
)
def test_reading_equals_the_plain_reference(
    content: bytes, policy: str, period_s: int
) -> None:
    expected = naive.naive_read(content, period_s, policy)
    options = TableOptions(period_s=period_s, duplicates=policy)
    if policy == "refuse" and expected["conflict"]:
        with pytest.raises(TableError, match="rows of one period"):
            read_day("x.csv", DAY, options, content=content)
        return
    table = read_day("x.csv", DAY, options, content=content)
    assert table.times.tolist() == expected["times"]
    width = len(table.columns)
    np.testing.assert_array_equal(
        table.values, np.array(expected["values"], np.float32).reshape(-1, width)
    )
    for name in ("rows", "duplicates", "merged", "out_of_order", "missing_cells"):
        assert getattr(table.counts, name) == expected[name], name


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 120),
            st.tuples(*(st.one_of(st.floats(-200, 360), st.just(np.nan)),) * 3),
        ),
        max_size=12,
    )
)
def test_the_mean_policy_equals_the_plain_reference(
    rows: list[tuple[int, tuple[float, ...]]],
) -> None:
    content = "timestamp,Sv_1m,dir_deg,temp\n" + "".join(
        f"{format_stamp(START + second)},{','.join(map(repr, row))}\n"
        for second, row in rows
    )
    kinds = ["level", "direction", "scalar"]
    expected = naive.naive_read(content.encode(), 60, "mean", kinds)
    table = read_day(
        "x.csv",
        DAY,
        TableOptions(duplicates="mean"),
        columns=COLUMNS,
        content=content.encode(),
    )
    assert table.times.tolist() == expected["times"]
    wanted = np.array(expected["values"]).reshape(-1, 3)
    np.testing.assert_allclose(
        table.values[:, [0, 2]], wanted[:, [0, 2]], rtol=1e-5, atol=1e-5
    )
    turn = (table.values[:, 1] - wanted[:, 1] + 180) % 360 - 180
    np.testing.assert_allclose(turn[~np.isnan(wanted[:, 1])], 0, atol=1e-2)
    np.testing.assert_array_equal(np.isnan(table.values[:, 1]), np.isnan(wanted[:, 1]))


@given(
    content=daily_tables(),
    edits=st.lists(
        st.tuples(
            st.integers(0, 10_000),
            st.integers(0, 2),
            st.sampled_from(
                [*"0123456789.,,,,\n\n\r\"' \t+-eE_:TZxXnaif#;", "1,", ",\n"]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_what_the_fast_parser_takes_the_careful_one_takes_alike(
    content: bytes, edits: list[tuple[int, int, str]]
) -> None:
    content += b"" if b"\n" in content else b"\n"
    body = content.index(b"\n") + 1
    for position, removed, inserted in edits:
        at = body + position % (len(content) - body + 1)
        content = content[:at] + inserted.encode() + content[at + removed :]
    options = TableOptions()
    header = cells.parse_header(content, "x.csv", options)
    fast = cells._parse_fast(content, header, options)
    if fast is not None:
        slow = cells._parse_slow(content, "x.csv", header, options)
        np.testing.assert_array_equal(fast.times_us, slow.times_us)
        np.testing.assert_array_equal(fast.values, slow.values)


@pytest.mark.parametrize(("rows", "width"), [(0, 3), (1, 1), (1, 7), (1440, 5)])
def test_a_table_written_and_read_back_is_the_same(rows: int, width: int) -> None:
    random = np.random.default_rng(rows + width)
    values = random.normal(-70, 30, (rows, width)).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    seconds = START + 60 * np.sort(random.choice(1440, rows, replace=False))
    frame = pd.DataFrame(
        values.astype(np.float64),
        index=pd.to_datetime(seconds, unit="s"),
        columns=[f"Sv_{i}m" for i in range(width)],
    )
    content = csv_bytes(frame)
    table = read_day("x.csv", DAY, content=content)
    np.testing.assert_array_equal(table.times, seconds)
    np.testing.assert_array_equal(table.values, values)
    expected = naive.naive_read(content, 60)
    np.testing.assert_array_equal(
        table.values, np.array(expected["values"], np.float32).reshape(rows, width)
    )


def test_an_ordinary_table_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_parse_slow", None)
    for name in (
        "plain",
        "crlf",
        "bom",
        "quoted_cells",
        "blank_cells",
        "missing_markers",
        "trailing_blank_lines",
    ):
        assert read_odd(f"{name}.csv").counts.rows == 4


def test_a_real_mooring_cut_into_days_arrives_whole(shared_data: Path) -> None:
    path = shared_data / "oce" / "s4_sleiwex2008.csv"
    # As text first: not every pandas rounds every number correctly by default.
    whole = pd.read_csv(path, dtype=str, index_col="timestamp").astype(float)
    lines = path.read_text().splitlines(keepends=True)
    rows = 0
    for text in sorted({line[:10] for line in lines[1:]}):
        content = lines[0] + "".join(line for line in lines if line.startswith(text))
        day = datetime.date.fromisoformat(text)
        table = read_day(f"{text}.csv", day, content=content.encode())
        expected = whole[whole.index.str.startswith(text)]
        np.testing.assert_array_equal(
            table.values, expected.to_numpy().astype(np.float32)
        )
        assert [format_stamp(time) for time in table.times] == [
            stamp.replace(" ", "T") + "Z" for stamp in expected.index
        ]
        assert table.columns == tuple(whole.columns)
        rows += len(table.times)
    assert rows == len(whole) == 15_225
