"""Parquet: the same rules as a CSV, the same rows, and a reason for what is refused."""

from __future__ import annotations

import datetime
import io
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.columns import column_from_name
from echoanom.daily import DayTable, read_day, read_header
from echoanom.errors import ColumnsError, TableError
from echoanom.options import TableOptions
from echoanom.stamps import day_start

DAY = datetime.date(2015, 2, 1)
START = day_start(DAY)
TIMES = pl.Series("timestamp", [START, START + 60, START + 120])
STAMPS = pl.from_epoch(TIMES, time_unit="s")
NAN = float("nan")


def parquet(*columns: pl.Series, **more: Any) -> bytes:
    file = io.BytesIO()
    pl.DataFrame([*columns]).with_columns(**more).write_parquet(file)
    return file.getvalue()


def read(content: bytes, **options: Any) -> DayTable:
    return read_day("x.parquet", DAY, TableOptions(**options), content=content)


def refused(
    content: bytes, error: type[TableError] = TableError, **options: Any
) -> str:
    with pytest.raises(error) as caught:
        read(content, **options)
    said = str(caught.value)
    assert "\n" not in said and said.startswith("x.parquet")
    return said


# Time stamps.


@pytest.mark.parametrize("zone", [None, "UTC", "America/Vancouver"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_stamp_is_its_instant_in_any_unit_and_zone(unit: Any, zone: Any) -> None:
    stamps = STAMPS.cast(pl.Datetime(unit))
    if zone:
        stamps = stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    table = read(parquet(stamps, pl.Series("a", [1.0, 2.0, 3.0])))
    assert table.times.tolist() == TIMES.to_list()
    assert table.values.tolist() == [[1], [2], [3]]


def test_a_nanosecond_before_a_minute_is_in_the_minute_before() -> None:
    stamps = pl.Series("timestamp", [(START + 60) * 10**9 - 1]).cast(pl.Datetime("ns"))
    assert read(parquet(stamps, pl.Series("a", [1.0]))).times.tolist() == [START]


def test_stamps_may_be_text_as_in_a_csv() -> None:
    texts = ["2015-02-01T01:00:00+01:00", " 2015-02-01 00:01", "2015-02-01T00:02:00.5Z"]
    table = read(parquet(pl.Series("time", texts), pl.Series("a", [1, 2, 3])))
    assert table.times.tolist() == TIMES.to_list()


def test_a_date_is_its_midnight() -> None:
    content = parquet(pl.Series("timestamp", [DAY]), pl.Series("a", [1.0]))
    assert read(content).times.tolist() == [START]


@pytest.mark.parametrize("name", ["timestamp", "Time", "utc", "datetime"])
def test_the_time_stamp_goes_by_the_names_it_has_in_a_csv(name: str) -> None:
    content = parquet(pl.Series("a", [1, 2, 3]), STAMPS.alias(name))
    assert read_header(content, "x.parquet") == ("a",)
    assert read(content).values.tolist() == [[1], [2], [3]]


def test_another_time_column_can_be_named() -> None:
    content = parquet(STAMPS.alias("then"), STAMPS.alias("a").cast(pl.Int64))
    assert "must have a time stamp column" in refused(content)
    assert read(content, time_column="then").columns == ("a",)


@pytest.mark.parametrize("name", [None, "timestamp"])
def test_the_index_of_pandas_is_the_time_stamp(name: str | None) -> None:
    pytest.importorskip("pyarrow")
    index = pd.to_datetime(TIMES.to_list(), unit="s", utc=True).rename(name)
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": [1, 2, 3]}, index)
    table = read(frame.to_parquet())
    assert table.columns == ("a", "b") and table.times.tolist() == TIMES.to_list()
    np.testing.assert_array_equal(table.values, [[1, 1], [NAN, 2], [3, 3]])


def test_stamps_that_are_none_are_refused_with_their_row() -> None:
    a = pl.Series("a", [1.0, 2.0, 3.0])
    missing = STAMPS.clone().scatter(1, None)
    assert "row 2, column 'timestamp'" in refused(parquet(missing, a))
    texts = pl.Series("timestamp", ["2015-02-01", "2015-02-30", "x"])
    said = refused(parquet(texts, a))
    assert "row 2" in said and "got '2015-02-30'" in said
    outside = pl.Series("timestamp", [START * 1000, 2**62, 0]).cast(pl.Datetime("ms"))
    assert "row 2" in refused(parquet(outside, a))


def test_stamps_that_are_numbers_are_refused() -> None:
    said = refused(parquet(TIMES, pl.Series("a", [1.0, 2.0, 3.0])))
    assert "must be date-times, or text" in said and "got Int64" in said


def test_a_stamp_of_another_day_is_refused_with_its_row() -> None:
    stamps = STAMPS.dt.offset_by("23h58m")
    said = refused(parquet(stamps, pl.Series("a", [1.0, 2.0, 3.0])))
    assert "x.parquet, row 3, column 'timestamp': every stamp must lie in" in said


# Cells.


@pytest.mark.parametrize(
    "dtype",
    [pl.Float32, pl.Float64, pl.Int8, pl.UInt16, pl.Int64, pl.UInt64, pl.Decimal(9, 2)],
)
def test_numbers_of_any_type_are_read_and_null_is_missing(dtype: Any) -> None:
    cells = pl.Series("a", [1, None, 100]).cast(dtype)
    table = read(parquet(STAMPS, cells, pl.Series("b", [0.5, NAN, None])))
    np.testing.assert_array_equal(table.values, [[1, 0.5], [NAN, NAN], [100, NAN]])
    assert table.counts.missing_cells == 3 and table.values.flags.c_contiguous


def test_a_column_that_is_missing_all_day_has_no_type() -> None:
    table = read(parquet(STAMPS, pl.Series("a", [None] * 3), pl.Series("b", [1] * 3)))
    np.testing.assert_array_equal(table.values, [[NAN, 1]] * 3)


def test_float64_is_rounded_as_a_csv_of_it_would_be() -> None:
    wide = [0.1, 16_777_217.0, 1 + 2**-24, 1e-46, -0.0, 3.4028235e38]
    stamps = pl.from_epoch(pl.Series("timestamp", range(START, START + 360, 60)))
    table = read(parquet(stamps, pl.Series("a", wide)))
    expected = np.array(wide, dtype=np.float64).astype(np.float32)
    assert table.values[:, 0].tobytes() == expected.tobytes()


def test_a_number_too_large_for_float32_is_refused_and_may_be_a_missing_one() -> None:
    content = parquet(
        STAMPS, pl.Series("a", [1] * 3), pl.Series("b", [1.0, 1e39, 9e38])
    )
    said = refused(content)
    assert "x.parquet, row 2, column 'b': must fit in float32, got 1e+39" in said
    table = read(content, missing_numbers=(1e39, 9e38))
    np.testing.assert_array_equal(table.values[:, 1], [1, NAN, NAN])


def test_numbers_that_stand_for_missing_are_missing_in_every_type() -> None:
    columns = [
        pl.Series(str(t), [-999, -9999, 5]).cast(t)
        for t in (pl.Float32, pl.Float64, pl.Int16, pl.Decimal(9, 1))
    ]
    table = read(parquet(STAMPS, *columns))
    np.testing.assert_array_equal(table.values, [[NAN] * 4, [NAN] * 4, [5] * 4])


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (pl.Series("a", ["1", "2", "3"]), "String"),
        (pl.Series("a", ["1", "2", "3"]).cast(pl.Categorical), "Categorical"),
        (pl.Series("a", [True, False, None]), "Boolean"),
        (pl.Series("a", [[1.0], [2.0], []]), "List"),
        (pl.Series("a", [{"x": 1}, {"x": 2}, {"x": 3}]), "Struct"),
        (pl.Series("a", [b"1", b"2", b"3"]), "Binary"),
        (STAMPS.alias("a"), "Datetime"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_column_that_holds_no_numbers_is_refused(
    cells: pl.Series, named: str
) -> None:
    said = refused(parquet(STAMPS, cells))
    assert said.startswith("x.parquet, column 'a': must be a column of numbers")
    assert f"got {named};" in said


# Rows: out of order, twice, of one period.


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[int, float | None, float | None]]:
    cell = st.none() | st.sampled_from([0.0, -0.0, 1.0, -71.25, 359.0])
    row = st.tuples(st.integers(0, 400), cell, cell)
    found = draw(st.lists(row, max_size=8))
    again = draw(st.lists(st.sampled_from(found), max_size=3)) if found else []
    return draw(st.permutations(found + again))


@given(rows=rows(), policy=st.sampled_from(["refuse", "first", "last", "mean"]))
@settings(max_examples=150, deadline=None)
def test_rows_in_any_order_and_number_become_what_their_csv_becomes(
    rows: list[tuple[int, float | None, float | None]], policy: Any
) -> None:
    stamps = [
        datetime.datetime(2015, 2, 1) + datetime.timedelta(0, s) for s, *_ in rows
    ]
    content = parquet(
        pl.Series("timestamp", stamps, pl.Datetime("us")),
        pl.Series("Sv_1m", [a for _, a, _ in rows], pl.Float32),
        pl.Series("dir_deg", [b for *_, b in rows], pl.Float64),
    )
    lines = ["timestamp,Sv_1m,dir_deg"]
    for stamp, (_, *cells) in zip(stamps, rows, strict=True):
        written = ["" if cell is None else repr(cell) for cell in cells]
        lines.append(",".join([stamp.isoformat(), *written]))
    csv = "\n".join([*lines, ""]).encode()
    options = TableOptions(duplicates=policy)
    try:
        expected = read_day("x.csv", DAY, options, content=csv)
    except TableError as error:
        said = refused(content, duplicates=policy)
        assert error.line is not None and f", row {error.line - 1}," in said
        return
    table = read(content, duplicates=policy)
    assert table.counts == expected.counts and table.columns == expected.columns
    np.testing.assert_array_equal(table.times, expected.times)
    assert table.values.tobytes() == expected.values.tobytes()


def test_rows_of_one_minute_that_differ_are_refused_with_both_rows() -> None:
    stamps = pl.Series("timestamp", [START, START + 60, START + 61])
    content = parquet(pl.from_epoch(stamps, "s"), pl.Series("a", [1.0, 2.0, 3.0]))
    said = refused(content)
    assert "x.parquet, row 3, column 'a': rows of one period of 60 s" in said
    assert "got 2 on row 2 and 3 here" in said


def test_columns_are_brought_into_the_order_of_the_sensors_other_days() -> None:
    first = read(parquet(STAMPS, pl.Series("a", [1.0] * 3), pl.Series("b", [2.0] * 3)))
    assert first.columns == ("a", "b")
    content = parquet(pl.Series("b", [2.0] * 3), STAMPS, pl.Series("a", [1.0] * 3))
    wanted = [column_from_name(name, "buoy") for name in first.columns]
    table = read_day("x.parquet", DAY, columns=wanted, content=content)
    np.testing.assert_array_equal(table.values, first.values)
    with pytest.raises(
        ColumnsError, match=r"^x\.parquet: columns must be those.*lacks"
    ):
        read_day("x.parquet", DAY, columns=[column_from_name("c", "")], content=content)


# Names.


def test_a_table_needs_a_data_column_with_a_name() -> None:
    assert "must have a data column beside the time stamp" in refused(parquet(STAMPS))
    assert "must have a time stamp column" in refused(parquet(pl.Series("a", [1.0])))
    content = parquet(STAMPS, pl.Series(" ", [1.0] * 3))
    assert "got none for column 2" in refused(content)
    content = parquet(STAMPS, pl.Series("a", [1.0] * 3), pl.Series("a ", [1.0] * 3))
    assert "column names must differ" in refused(content)


def test_a_column_that_is_there_twice_is_refused() -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as arrow_parquet

    cells = [STAMPS.to_arrow(), *2 * [arrow.array([1.0, 2.0, 3.0])]]
    table = arrow.Table.from_arrays(cells, names=["timestamp", "a", "a"])
    file = io.BytesIO()
    arrow_parquet.write_table(table, file)
    assert "'a'" in refused(file.getvalue())


# Files that are no whole Parquet file.

WHOLE = parquet(STAMPS, pl.Series("a", [1.0, 2.0, 3.0]))


def test_a_file_that_ends_too_early_is_refused_wherever_it_ends() -> None:
    for length in range(len(WHOLE)):
        said = refused(WHOLE[:length])
        with pytest.raises(TableError):
            read_header(WHOLE[:length], "x.parquet")
        if length == 0:
            assert "got an empty file" in said
        elif length > 4:
            assert f"got {length} bytes without; it was cut off" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"timestamp,a\n2015-02-01,1\n", r"begins with 'timestamp,a\\n2015'"),
        (b"\x1f\x8b\x08\x00", r"begins with '\\x1f"),
        (b"PARE" + WHOLE[4:-4] + b"PARE", "begins with 'PARE"),
        (b"PAR1PAR1PAR1", "must be a whole Parquet file"),
        (b"PAR1" + b"\xff" * 40 + b"PAR1", "must be a whole Parquet file"),
        (b"PAR1" + WHOLE[len(WHOLE) // 2 :], "must be a whole Parquet file"),
    ],
    ids=["CSV", "gzip", "encrypted", "marks alone", "no footer", "without its half"],
)
def test_a_file_that_is_no_parquet_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        read(content)


def test_a_parquet_file_named_csv_is_refused_as_no_text() -> None:
    with pytest.raises(TableError, match="must be text, got a NUL byte"):
        read_day("x.csv", DAY, content=WHOLE)


def test_damage_inside_gives_an_error_or_a_table_and_no_other_exception() -> None:
    chance = random.Random(5)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(WHOLE)
        for _ in range(3):
            damaged[chance.randrange(4, len(WHOLE) - 4)] = chance.randrange(256)
        try:
            outcomes.add(type(read(bytes(damaged))))
        except TableError as error:
            assert "\n" not in str(error)
            outcomes.add(type(error))
    assert TableError in outcomes


def test_what_polars_panics_at_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_: object) -> None:
        raise pl.exceptions.PanicException("assertion failed\nleft: 1")

    monkeypatch.setattr(pl, "read_parquet", panic)
    said = refused(WHOLE)
    assert said.endswith("got: assertion failed; copy or write it again")


def test_decimal_cells_keep_their_value() -> None:
    cells = pl.Series("a", [Decimal("-71.25"), Decimal("0.1"), None])
    table = read(parquet(STAMPS, cells))
    np.testing.assert_array_equal(
        table.values[:, 0], np.array([-71.25, 0.1, NAN], dtype=np.float32)
    )
