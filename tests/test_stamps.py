"""Time stamps: text to microseconds since 1970 UTC."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.stamps import day_of, day_start, format_stamp, parse_stamp, parse_stamps

NOON_US = 1_422_792_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2015-02-01 12:00",
        "2015-02-01 12:00:00",
        "2015-02-01T12:00:00Z",
        "2015-02-01t12:00:00z",
        "2015-02-01 13:30:00+01:30",
        "2015-02-01 13:30:00+0130",
        "2015-02-01T01:00:00-11",
        "2015-02-01 12:00:00.0000000",
    ],
)
def test_all_these_are_the_same_noon(text: str) -> None:
    assert parse_stamp(text) == NOON_US


def test_fractions_of_a_second_count_to_the_microsecond() -> None:
    assert parse_stamp("2015-02-01 12:00:00.1234567") == NOON_US + 123_456
    assert parse_stamp("1969-12-31 23:59:59.5") == -500_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "2015-2-1 12:00",
        "2015-02-29 12:00",
        "2015-02-01 12",
        "2015-02-01 12:00:00 Z",
        "2015-02-01 12:00\n",
        "01.02.2015 12:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_what_is_no_stamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stamp|calendar|day"):
        parse_stamp(text)
    with pytest.raises(ValueError, match="stamp|calendar|day"):
        parse_stamps(["2015-02-01", text])


@given(st.datetimes(timezones=st.timezones()))
def test_a_stamp_with_any_offset_is_its_moment(moment: datetime.datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60 or moment.year in (1, 9999):
        return
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    microsecond = datetime.timedelta(microseconds=1)
    assert parse_stamp(moment.isoformat()) == (moment - epoch) // microsecond


@given(st.integers(-(10**10), 10**11))
def test_a_written_stamp_reads_back(time_s: int) -> None:
    assert parse_stamp(format_stamp(time_s)) == time_s * 1_000_000
    start = day_start(day_of(time_s))
    assert start <= time_s < start + 86_400
    assert start % 86_400 == 0


@given(
    moments=st.lists(
        st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1)),
        min_size=1,
        max_size=5,
    ),
    form=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]),
    edits=st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(0, 20), st.sampled_from("0369-:T tZ/")
        ),
        max_size=2,
    ),
)
def test_many_stamps_read_as_each_alone(
    moments: list[datetime.datetime], form: str, edits: list[tuple[int, int, str]]
) -> None:
    texts = [moment.strftime(form) for moment in moments]
    for number, at, character in edits:
        text = texts[number % len(texts)]
        texts[number % len(texts)] = text[:at] + character + text[at + 1 :]
    try:
        expected = [parse_stamp(text) for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="stamp|calendar|year|month|day"):
            parse_stamps(texts)
    else:
        assert parse_stamps(texts).tolist() == expected
