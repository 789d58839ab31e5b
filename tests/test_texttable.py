from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from echoanom.errors import ScoresError
from echoanom.texttable import TextTable, read_text_table


def read(tmp_path: Path, content: str | bytes, *required: str) -> TextTable:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_text_table(str(path), required)


def quoted(*cells: str) -> str:
    """Return a CSV of one column."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([cell] for cell in cells)
    return text.getvalue()


def test_bom_crlf_quotes_blanks_and_blank_lines_are_taken(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        '\ufeff"time", value ,note\r\n2015-02-01, 1.5 ," a, b "\r\n\r\n'
        "2015-02-01T01:00:00+01:00,,\r\n",
        "time",
    )
    assert table.times("time").tolist() == [1_422_748_800, 1_422_748_800]
    np.testing.assert_array_equal(table.numbers("value"), [1.5, np.nan])
    assert table.texts("note") == ("a, b", "")
    assert table.lines == (2, 4)


def test_a_column_that_is_not_there_is_all_blank(tmp_path: Path) -> None:
    table = read(tmp_path, "a\n1\n2\n", "a")
    assert table.texts("b") == ("", "")
    assert np.isnan(table.numbers("b")).all()


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\n", "a")
    assert len(table.times("a")) == len(table.numbers("b")) == len(table.lines) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must have the columns a; lacks a, has none"),
        ("b\n1\n", "lacks a, has b"),
        ("a,a\n1,2\n", "has 'a' twice"),
        ("a,b\n1\n", "line 2: must have 2 cells, as the header has, got 1"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4: must have 2 cells, as the header has, got 3"),
        (b"a\n\xff\n", "must be a CSV table in UTF-8"),
        ("a\n" + "x" * 200_000 + "\n", "line 2: must be CSV: field larger"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        read(tmp_path, content, "a")


@pytest.mark.parametrize(
    "cell", ["", "tomorrow", "2015-02-30", "2015-02-01T00:00:00.5"]
)
def test_a_cell_that_is_no_time_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ScoresError, match="line 3, column 'a': must be a UTC time"):
        read(tmp_path, quoted("a", "2015-02-01", cell), "a").times("a")


@pytest.mark.parametrize("cell", ["high", "inf", "1,5"])
def test_a_cell_that_is_no_number_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ScoresError, match="line 2, column 'a': must be a finite"):
        read(tmp_path, quoted("a", cell), "a").numbers("a")
