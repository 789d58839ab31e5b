"""When a recording starts."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest.starttimes import StartTimes

STAMP = datetime.datetime(2021, 6, 10, 3, 36, 55)


def start(name: str, note: str = "", pattern: str = "", offset: float = 0.0):
    found = StartTimes(pattern, offset).of(f"folder/{name}", note)
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=found)


@pytest.mark.parametrize(
    "name",
    [
        "67416073.210610033655.wav",
        "20210610T033655Z.wav",
        "20210610_033655.WAV",
        "20210610033655.flac",
        "2021-06-10_03-36-55.wav",
        "2021-06-10T03:36:55Z.wav",
        "2021-06-10 03.36.55.wav",
        "SCW1984_20210610_033655.wav",
        "ICLISTENHF1234_20210610T033655.000Z.wav",
        "AMAR512.1.20210610T033655Z.wav",
        "20210610T053655+0200_REC.wav",
        "20210609T230655-0430_REC.wav",
        "site7_210610_033655.wav",
        "20210610T033655Z_20210610T034155Z.wav",
        "99999999_999999_20210610_033655.wav",
    ],
)
def test_the_usual_names_tell_it(name):
    assert start(name) == STAMP


def test_a_name_tells_fractions_of_a_second():
    assert start("20210610T033655.25Z.wav") == STAMP + datetime.timedelta(seconds=0.25)


@pytest.mark.parametrize(
    "note",
    [
        "Recorded at 03:36:55 10/06/2021 (UTC) by AudioMoth 247AA5015FDF2C75 at"
        " medium gain while battery was 4.2V.",
        "Recorded at 05:36:55 10/06/2021 (UTC+2) by AudioMoth 247AA5015FDF2C75",
        "Recorded at 00:06:55 10/06/2021 (UTC-3:30) by AudioMoth 247AA5015FDF2C75",
        "Recorded at 03:36:55 10/06/2021 by AudioMoth 247AA5015FDF2C75",
        "GUANO|Version: 1.0 Timestamp: 2021-06-10T05:36:55+02:00 TE: 1",
        "2021-06-10T03:36:55",
    ],
)
def test_a_note_in_the_file_tells_it_where_the_name_does_not(note):
    assert start("hydrophone one.wav", note) == STAMP


def test_the_name_comes_before_the_note():
    assert start("20210610_033655.wav", "2001-01-01T00:00:00") == STAMP


def test_the_recorders_offset_counts_unless_the_file_says_it():
    assert start("20210610_053655.wav", offset=2) == STAMP
    assert start("20210610_000655.wav", offset=-3.5) == STAMP
    assert start("20210610T033655Z.wav", offset=2) == STAMP
    assert start("a.wav", "Recorded at 03:36:55 10/06/2021 (UTC)", offset=2) == STAMP


def test_numbers_that_are_no_time_are_passed_over():
    assert start("12345678.999999999999_20210610_033655.wav") == STAMP


def test_a_pattern_is_found_within_a_name():
    assert start("buoy-100621-033655-a.wav", pattern="%d%m%y-%H%M%S") == STAMP
    assert start("x2021_161_03h36m55.wav", pattern="%Y_%j_%Hh%Mm%S") == STAMP
    assert start("f 10.06.2021 03.wav", pattern="%d.%m.%Y %H").hour == 3


def test_a_pattern_is_not_found_within_a_longer_number():
    with pytest.raises(InstrumentFileError, match="as %y%m%d%H"):
        start("12106100336559.wav", pattern="%y%m%d%H")


@settings(deadline=None)
@given(st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2068, 12, 31)))
def test_a_pattern_reads_what_it_writes(moment):
    pattern = "%Y-%j_%H-%M-%S.%f"

    assert start(moment.strftime(pattern) + ".wav", pattern=pattern) == moment


def test_the_pattern_alone_counts_where_it_is_given():
    with pytest.raises(InstrumentFileError, match="in its name as %d%m%Y_%H"):
        start("20210610_033655.wav", pattern="%d%m%Y_%H")


def test_a_name_that_does_not_tell_is_refused_with_what_was_tried():
    with pytest.raises(
        InstrumentFileError,
        match=r"67416073\.210610033655, .*AudioMoths.*got 'song' and no note",
    ):
        start("song.wav")


@pytest.mark.parametrize("name", ["20211310_033655.wav", "20210610_253655.wav"])
def test_a_name_with_an_impossible_time_is_refused(name):
    with pytest.raises(InstrumentFileError, match="start time in its name"):
        start(name)


@pytest.mark.parametrize(
    "pattern", ["%Q", "%Y%m%d", "%H%M%S", "%Y%Y%m%d%H", "a%", "%%"]
)
def test_a_pattern_that_cannot_tell_a_time_is_refused(pattern):
    with pytest.raises(OptionError, match="name_pattern must"):
        StartTimes(pattern)
