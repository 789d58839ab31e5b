"""Recordings on the clock of their samples."""

from __future__ import annotations

import time
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.ingest.sampleclocks import (
    Placed,
    Recording,
    place,
    sample_at,
    sample_time,
)

S = 1_000_000
RATES = st.sampled_from([1000, 8000, 11025, 44100, 96000, 384_000])


@settings(deadline=None)
@given(st.integers(0, 2 * 10**15), RATES, st.integers(-(10**13), 10**13))
def test_the_first_sample_from_a_time_on_is_exact(origin, rate, after):
    found = sample_at(origin, rate, origin + after)

    assert Fraction(found * S, rate) >= after
    assert Fraction((found - 1) * S, rate) < after


@settings(deadline=None)
@given(st.integers(0, 2 * 10**15), RATES, st.integers(0, 10**13))
def test_a_samples_time_is_exact_but_for_a_microsecond(origin, rate, sample):
    exact = origin + Fraction(sample * S, rate)

    assert 0 <= exact - sample_time(origin, rate, sample) < 1


@settings(deadline=None)
@given(
    st.lists(st.integers(2 * 8000 + 1, 40 * 8000), min_size=1, max_size=20),
    st.integers(0, S - 1),
)
def test_a_recording_cut_into_files_with_whole_seconds_in_names_is_one(frames, late):
    """Whatever the fraction of a second at which it began."""
    recordings, done = [], 0
    for n in frames:
        named = (late + done * S // 8000) // S * S
        recordings.append(Recording(named, n, 8000))
        done += n

    placed = place(recordings, S)

    assert all(one is not None and one.origin_us == 0 for one in placed)
    assert [one.behind for one in placed] == [
        sum(frames[: i + 1]) for i in range(len(frames))
    ]
    assert [one.joined for one in placed] == [False] + [True] * (len(frames) - 1)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3 * S, 20 * S), st.integers(1, 90_000)),
        min_size=1,
        max_size=15,
    )
)
def test_joined_recordings_stay_within_the_tolerance_of_their_names(moves):
    recordings, at = [], 100 * S
    for shift, frames in moves:
        at = max(at + shift, 0)
        recordings.append(Recording(at, frames, 8000))
        at += frames * S // 8000
    recordings.sort(key=lambda one: one.start_us)

    placed = place(recordings, S)

    for one, recording in zip(placed, recordings, strict=True):
        if one is not None:
            assert one.frames + one.skipped == recording.frames
            named = recording.start_us + one.skipped * S // 8000
            assert abs(one.first_us - named) <= S


def test_recordings_within_the_tolerance_follow_each_other():
    for gap, joined in ((-S, True), (S, True), (0, True), (S + 1, False)):
        placed = place(
            [Recording(0, 80_000, 8000), Recording(10 * S + gap, 80_000, 8000)], S
        )

        assert placed[1].joined == joined
        assert placed[1].gap_us == (0 if joined else gap)


def test_an_overlap_beyond_the_tolerance_stays_one():
    """Two files that claim the same time are compared, not pushed apart."""
    placed = place([Recording(0, 80_000, 8000), Recording(5 * S, 80_000, 8000)], S)

    assert placed[1] == Placed(5 * S, 8000, 0, 0, 80_000)


def test_a_missing_second_among_files_of_a_second_is_a_gap():
    starts = [0, 1, 2, 4, 5]

    placed = place([Recording(s * S, 1000, 1000) for s in starts], S)

    assert [one.joined for one in placed] == [False, True, True, False, True]
    assert [one.first_us for one in placed] == [s * S for s in starts]
    assert placed[3].gap_us == S


def test_a_clock_that_drifts_is_set_again_and_no_sample_comes_twice():
    """Samples come 100 ppm too slowly for the count: 30 ms a file."""
    recordings = [Recording(i * 300 * S, 8000 * 300 + 240, 8000) for i in range(100)]

    placed = place(recordings, S)

    steps = [one for one in placed if one.skipped]
    assert len(steps) == 2
    for one, other in zip(placed, placed[1:], strict=False):
        assert other.first_us > one.last_us
    for one, recording in zip(placed, recordings, strict=True):
        named = recording.start_us + one.skipped * S // 8000
        assert abs(one.first_us - named) <= S


def test_a_clock_that_drifts_the_other_way_leaves_a_gap():
    recordings = [Recording(i * 300 * S, 8000 * 300 - 240, 8000) for i in range(100)]

    placed = place(recordings, S)

    gaps = [one.gap_us for one in placed if one.gap_us]
    assert len(gaps) == 2 and all(S < gap < 1.1 * S for gap in gaps)


def test_a_change_of_rate_starts_a_new_clock_behind_the_last_sample():
    placed = place([Recording(0, 80_100, 8000), Recording(10 * S, 480_000, 48_000)], S)

    assert placed[1].first_us >= placed[0].behind_us
    assert (placed[1].origin_us, placed[1].skipped) == (10 * S, 600)


def test_copies_beside_a_recording_do_not_break_its_clock():
    """A second recorder's files lie between, by start."""
    first = [Recording(i * 60 * S, 480_000, 8000) for i in range(5)]
    other = [Recording(i * 60 * S + 30 * S, 480_000, 8000) for i in range(5)]
    both = sorted(first + other, key=lambda one: one.start_us)

    placed = place(both, S)

    assert [one.joined for one in placed] == [False, False] + [True] * 8


def test_a_day_of_files_of_a_second_is_placed_in_seconds():
    recordings = [Recording(i * S, 8000, 8000) for i in range(86_400)]
    started = time.process_time()

    placed = place(recordings, S)

    assert placed[-1].behind == 86_400 * 8000
    assert time.process_time() - started < 5
