"""Daily tables: what is written as CSV or Parquet is read back, bit for bit."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from echoanom.columns import (
    Column,
    column_from_name,
    columns_from_json,
    columns_to_json,
)
from echoanom.daily import DayTable, read_day
from echoanom.discovery import find_sensors, read_record_count
from echoanom.options import TableOptions
from echoanom.stamps import day_start
from echoanom.tablewriting import TableFormat, table_path, write_day

DAY = datetime.date(2015, 2, 1)
START = day_start(DAY)
BOTH: tuple[TableFormat, ...] = ("csv", "parquet")
EXACTLY = TableOptions(period_s=1, missing_numbers=())
F32 = np.finfo(np.float32)
CORNERS = np.array(
    [
        *(0.0, -0.0, 1.0, -71.2, 0.1, np.nan, -9999.0),
        *(F32.max, F32.min, F32.tiny, F32.smallest_subnormal, -F32.smallest_subnormal),
        *(np.float32(1.1754942e-38), 16_777_216, 16_777_218, 3.4e38, 1e-45, 9.8e-45),
        *(np.nextafter(np.float32(2**k), np.float32(0)) for k in range(-126, 127, 23)),
    ],
    dtype=np.float32,
)


def bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the bits of floats, with one NaN for all."""
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.uint32)


def written_and_read(
    columns: list[str],
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    form: TableFormat,
) -> DayTable:
    with tempfile.TemporaryDirectory() as folder:
        path = write_day(folder, DAY, columns, times, values, form)
        assert path == table_path(folder, DAY, form)
        count = Path(folder, f"meta_info_{DAY}.txt")
        assert read_record_count(str(count)) == len(times)
        return read_day(path, DAY, EXACTLY)


# What a header can hold: a name has no blanks around it, and is one line of text.
names = st.text(
    st.characters(exclude_categories=("C", "Z"), include_characters=" "),
    min_size=1,
    max_size=8,
).filter(lambda name: name == name.strip() and name.lower() != "timestamp")


@st.composite
def tables(
    draw: st.DrawFn,
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    seconds = draw(st.sets(st.integers(0, 86_399), max_size=6))
    values = draw(
        npst.arrays(
            np.float32,
            (len(seconds), len(columns)),
            elements=st.floats(width=32, allow_infinity=False)
            | st.sampled_from(CORNERS.tolist()),
        )
    )
    return columns, START + np.array(sorted(seconds), dtype=np.int64), values


@pytest.mark.parametrize("form", BOTH)
@given(table=tables())
@settings(max_examples=80, deadline=None)
@example(table=(["a"], np.empty(0, np.int64), np.empty((0, 1), np.float32)))
@example(table=(["#a", 'b"', "c,d"], np.array([START]), np.zeros((1, 3), np.float32)))
def test_a_table_written_and_read_back_is_the_same_bit_for_bit(
    form: TableFormat,
    table: tuple[list[str], NDArray[np.int64], NDArray[np.float32]],
) -> None:
    columns, times, values = table
    found = written_and_read(columns, times, values, form)
    assert found.columns == tuple(columns)
    np.testing.assert_array_equal(found.times, times)
    np.testing.assert_array_equal(bits(found.values), bits(values))
    assert found.counts.rows == len(times)
    assert found.counts.missing_cells == np.count_nonzero(np.isnan(values))


@pytest.mark.parametrize("form", BOTH)
def test_floats_of_every_exponent_come_back_bit_for_bit(form: TableFormat) -> None:
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2**32, 60_000, dtype=np.uint64).astype(np.uint32)
    cells = np.concatenate([CORNERS, patterns.view(np.float32)])
    cells = cells[np.isfinite(cells)]
    cells = cells[: len(cells) // 60 * 60].reshape(-1, 60)
    times = START + np.arange(len(cells))
    found = written_and_read([f"c{i}" for i in range(60)], times, cells, form)
    np.testing.assert_array_equal(bits(found.values), bits(cells))


@pytest.mark.parametrize("form", BOTH)
def test_an_infinite_cell_is_a_missing_one_when_it_is_read(form: TableFormat) -> None:
    values = np.array([[np.inf, -np.inf, 1.0]], dtype=np.float32)
    found = written_and_read(["a", "b", "c"], np.array([START]), values, form)
    np.testing.assert_array_equal(found.values, [[np.nan, np.nan, 1.0]])


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("number", [-9999.0, -9999.9, 0.1, 1e20])
def test_a_number_for_missing_cells_is_known_in_both_formats(
    tmp_path: Path, form: TableFormat, number: float
) -> None:
    values = np.array([[number, 2.0]], dtype=np.float32)
    path = write_day(str(tmp_path), DAY, ["a", "b"], np.array([START]), values, form)
    found = read_day(path, DAY, TableOptions(missing_numbers=(number,)))
    np.testing.assert_array_equal(found.values, [[np.nan, 2.0]])


@pytest.mark.parametrize(("first", "second"), [BOTH, BOTH[::-1]])
def test_a_day_written_anew_in_another_format_has_one_table(
    tmp_path: Path, first: TableFormat, second: TableFormat
) -> None:
    for form in (first, second):
        rows = np.ones((1, 1), dtype=np.float32)
        write_day(str(tmp_path), DAY, ["a"], np.array([START]), rows, form)
    (found,) = find_sensors(str(tmp_path))
    assert found.days == {DAY: table_path(str(tmp_path), DAY, second)}


def test_parquet_has_utc_stamps_float32_and_nulls_for_other_readers(
    tmp_path: Path,
) -> None:
    values = np.array([[1.5, np.nan]], dtype=np.float32)
    path = write_day(
        str(tmp_path), DAY, ["a", "b"], np.array([START]), values, "parquet"
    )
    frame = pl.read_parquet(path)
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert frame.schema["a"] == frame.schema["b"] == pl.Float32
    assert frame["timestamp"].item().isoformat() == "2015-02-01T00:00:00+00:00"
    assert frame.row(0)[1:] == (1.5, None)


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@st.composite
def described(draw: st.DrawFn) -> Column:
    # Names that tell something, and names that do not.
    name = draw(texts | st.sampled_from(["Sv_12.5m", "dir_38kHz_3m", "temp", "a"]))
    known = draw(st.none() | st.just(column_from_name(name, "buoy")))
    return known or Column(
        name,
        "buoy",
        draw(texts),
        draw(st.sampled_from(["scalar", "level", "direction"])),
        draw(numbers),
        draw(numbers),
        draw(numbers),
        draw(st.none() | texts),
    )


@given(st.lists(described(), unique_by=lambda column: column.name, max_size=5))
def test_what_columns_hold_is_written_and_read_back_whole(
    columns: list[Column],
) -> None:
    found = columns_from_json(columns_to_json(columns), "buoy", "columns.json")
    assert list(found.values()) == columns
    assert list(found) == [column.name for column in columns]
