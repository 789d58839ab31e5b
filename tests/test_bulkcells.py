"""Cells parsed in bulk: exactly as alone, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom import bulkcells
from echoanom.options import TableOptions

HEADER = "timestamp,a,b,c"


def table(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    stamps = (f"2015-02-01T{i // 60:02}:{i % 60:02}:00Z" for i in range(len(rows)))
    lines = [header, *(f"{s},{row}" for s, row in zip(stamps, rows, strict=True))]
    return (end.join(lines) + end).encode()


def parse(content: bytes, **options: object) -> np.ndarray | None:
    found = bulkcells.parse_cells(content, 4, TableOptions(**options))  # type: ignore[arg-type]
    return None if found is None else found[1]


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Return texts of numbers, many half-way between two float32 or next to it."""
    if draw(st.booleans()):
        return draw(
            st.from_regex(r"[-+]?([0-9]{1,9}|[0-9]{0,5}\.[0-9]{1,5})", fullmatch=True)
        )
    single = np.float32(draw(st.floats(-1e4, 1e4, width=32)))
    middle = (float(single) + float(np.nextafter(single, np.float32(np.inf)))) / 2
    return f"{middle:.{draw(st.integers(1, 25))}f}"


@pytest.mark.slow
@settings(deadline=None)  # the first example imports polars
@given(rows=st.lists(st.tuples(numbers(), numbers(), numbers()), min_size=1))
def test_a_cell_is_its_float64_rounded_to_float32(
    rows: list[tuple[str, str, str]],
) -> None:
    expected = np.array([[float(cell) for cell in row] for row in rows])
    found = parse(table(*map(",".join, rows)), missing_numbers=())
    assert found is not None and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_text_next_to_half_way_is_rounded_twice_like_any_other() -> None:
    # 1 + 2**-24 is half-way; a little more of it is lost in float64, but not in float32.
    text = "1.0000000596046447753906250000001"
    assert np.float32(float(text)) == 1
    found = parse(table(f"{text},2,3"))
    assert found is not None and found.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_cells_and_what_is_not_finite_are_missing(end: str) -> None:
    found = parse(table(",,", "nan,inf,-inf", "1,,3", end=end))
    nan = np.nan
    np.testing.assert_array_equal(found, [[nan] * 3, [nan] * 3, [1, nan, 3]])


def test_a_missing_number_is_told_from_its_neighbours_in_float64() -> None:
    assert np.float32(-999.00001) == -999
    found = parse(table("-999,-999.00001,-998.9", "1,2,3"))
    np.testing.assert_array_equal(found[0], np.float32([np.nan, -999, -998.9]))
    found = parse(table("7,7.0000001,-7"), missing_numbers=(7.0,))
    np.testing.assert_array_equal(found, [[np.nan, 7, -7]])


def test_missing_words_are_missing_also_where_they_are_numbers() -> None:
    found = parse(table("NA,2,-", "4,null,6"))
    np.testing.assert_array_equal(found, [[np.nan, 2, np.nan], [4, np.nan, 6]])
    found = parse(table("5,5.0,6"), missing_words=("5",))
    np.testing.assert_array_equal(found, [[np.nan, 5, 6]])


@pytest.mark.parametrize(
    "content",
    [
        table("1,2", "3,4,5,6"),  # as many cells as there should be
        table("1,2", "8e37,4,5,6"),  # and one that looks like the mark of a row
        table("1,2,3,4"),
        table("1,2"),
        table("1,2,3", "", "4,5,6"),
        table("1,x,3"),
        table("1,2 ,3"),
        table("1,2\x1f3,4"),
        table('1,"2",3'),
        table("1,2,1e39"),
        table("1,2,3", header="timestamp,a,b"),
        table("1,2,3").replace(b"01T", b"01x"),
        HEADER.encode(),
        HEADER.encode() + b"\n",
    ],
)
def test_what_looks_odd_is_left_to_others(content: bytes) -> None:
    assert parse(content) is None


def test_a_cell_may_be_the_number_that_marks_a_row() -> None:
    content = table("8e37,2,3", "4,8e37,6")
    found = bulkcells.parse_columns(content, 4, 0, TableOptions())
    assert parse(content) is None and found is not None
    np.testing.assert_array_equal(found[1], np.float32([[8e37, 2, 3], [4, 8e37, 6]]))


def test_a_table_of_many_pieces_is_that_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    texts = random.normal(0, 100, (500, 3)).round(2).astype(str)
    texts[::7, 1] = ""
    texts[100:110, 2] = "-999"  # these pieces need float64
    texts[300, 0] = "1.23456789012345"
    content = table(*map(",".join, texts))
    whole = parse(content)
    monkeypatch.setattr(bulkcells, "_PIECE_BYTES", 400)
    np.testing.assert_array_equal(parse(content), whole)
    assert whole is not None and np.isnan(whole).sum() == 72 + 10


@given(lengths=st.lists(st.integers(0, 20), min_size=1), chunk=st.sampled_from([8, 64]))
def test_cells_of_more_than_ten_characters_are_seen(
    lengths: list[int], chunk: int
) -> None:
    cells = "".join("1" * length + "," for length in lengths).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulkcells, "_CHUNK_BYTES", chunk)
        short = bulkcells._has_short_cells(cells)
    if max(lengths) > 10:
        assert not short
    if max(lengths) < 8:
        assert short
