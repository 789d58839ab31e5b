"""Recordings on the clock of their samples.

A name tells a start to the second, and a recorder's clock is no better; its samples
come evenly. So recordings that follow each other are put end to end, and time is what
the number of samples says, until names disagree with it by more than is tolerated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

_SECOND_US = 1_000_000


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording as its file describes it.

    Attributes
    ----------
    start_us : int
        When it starts, by its name or note, since 1970 UTC [µs].
    frames : int
        Its samples.
    rate_hz : int
        Samples a second [Hz].
    """

    start_us: int
    frames: int
    rate_hz: int


@dataclasses.dataclass(frozen=True)
class Placed:
    """A recording in its place on a clock of samples.

    Attributes
    ----------
    origin_us : int
        Time of the clock's sample 0 since 1970 UTC [µs].
    rate_hz : int
        Samples a second [Hz].
    first : int
        The clock's number of the recording's first sample that is taken.
    skipped : int
        Samples before it that are not, as the recording before it reaches over them.
    frames : int
        Samples that are taken.
    joined : bool
        Whether the sample before its first is the last of another recording.
    gap_us : int
        Time without samples before it [µs]; 0 if it is joined, or the first of all.
    """

    origin_us: int
    rate_hz: int
    first: int
    skipped: int
    frames: int
    joined: bool = False
    gap_us: int = 0

    @property
    def behind(self) -> int:
        """The clock's number of the sample after the recording's last."""
        return self.first + self.frames

    @property
    def first_us(self) -> int:
        """Time of the first sample that is taken, since 1970 UTC [µs]."""
        return sample_time(self.origin_us, self.rate_hz, self.first)

    @property
    def last_us(self) -> int:
        """Time of the last sample, since 1970 UTC [µs]."""
        return sample_time(self.origin_us, self.rate_hz, self.behind - 1)

    @property
    def behind_us(self) -> int:
        """Time of the sample that would be next, since 1970 UTC [µs]."""
        return sample_time(self.origin_us, self.rate_hz, self.behind)


def sample_time(origin_us: int, rate_hz: int, sample: int) -> int:
    """Tell when a sample is taken.

    Parameters
    ----------
    origin_us : int
        Time of sample 0 since 1970 UTC [µs].
    rate_hz : int
        Samples a second [Hz].
    sample : int
        Its number.

    Returns
    -------
    int
        Its time since 1970 UTC, rounded down [µs].
    """
    return origin_us + sample * _SECOND_US // rate_hz


def sample_at(origin_us: int, rate_hz: int, time_us: int) -> int:
    """Find the first sample that is not before a time.

    Parameters
    ----------
    origin_us : int
        Time of sample 0 since 1970 UTC [µs].
    rate_hz : int
        Samples a second [Hz].
    time_us : int
        The time since 1970 UTC [µs].

    Returns
    -------
    int
        Its number; negative before the clock's sample 0.
    """
    return -((origin_us - time_us) * rate_hz // _SECOND_US)


@dataclasses.dataclass
class _Open:
    """A recording that the next may follow."""

    placed: Placed
    named_behind_us: int
    tolerance_us: int


def place(recordings: Sequence[Recording], tolerance_us: int) -> list[Placed | None]:
    """Put recordings in their places in time.

    One that starts when another ends, give or take the tolerance, follows its last
    sample. If names have moved away from the count of samples by more than the
    tolerance, though each recording follows from the one before by its name, the
    recorder's two clocks have drifted apart: a new clock of samples starts at the
    name's time, and what of the recording the one before it reaches over is left out.
    So it does where the rate changes.

    The tolerance is no more than half the earlier recording, or one that is missing
    would not be noticed.

    Parameters
    ----------
    recordings : sequence of Recording
        By start.
    tolerance_us : int
        Greatest difference between an end and the next start [µs].

    Returns
    -------
    list of (Placed or None)
        One for each. None where all of it is left out.
    """
    made: list[Placed | None] = []
    ends: list[_Open] = []
    latest_us: int | None = None
    for one in recordings:
        # What ended long before can have no follower any more: a few are left.
        ends = [x for x in ends if _latest_start(x) >= one.start_us]
        before = min(
            (x for x in ends if _near(x, one)),
            key=lambda x: abs(x.placed.behind_us - one.start_us),
            default=None,
        )
        if before is not None:
            ends.remove(before)
        placed = _follow(before, one) if before else _start(one, latest_us)
        made.append(placed)
        if placed is not None:
            length_us = one.frames * _SECOND_US // one.rate_hz
            within_us = min(tolerance_us, length_us // 2)
            ends.append(_Open(placed, one.start_us + length_us, within_us))
            latest_us = max(latest_us or 0, placed.behind_us)
    return made


def _latest_start(end: _Open) -> int:
    return max(end.named_behind_us, end.placed.behind_us) + end.tolerance_us


def _near(end: _Open, one: Recording) -> bool:
    return any(
        abs(behind_us - one.start_us) <= end.tolerance_us
        for behind_us in (end.placed.behind_us, end.named_behind_us)
    )


def _start(one: Recording, latest_us: int | None) -> Placed:
    gap_us = 0 if latest_us is None else max(0, one.start_us - latest_us)
    return Placed(one.start_us, one.rate_hz, 0, 0, one.frames, gap_us=gap_us)


def _follow(end: _Open, one: Recording) -> Placed | None:
    before = end.placed
    drift_us = abs(before.behind_us - one.start_us)
    if drift_us <= end.tolerance_us and one.rate_hz == before.rate_hz:
        return Placed(
            *(before.origin_us, one.rate_hz, before.behind, 0, one.frames), joined=True
        )
    skipped = max(0, sample_at(one.start_us, one.rate_hz, before.behind_us))
    if skipped >= one.frames:
        return None
    return Placed(
        *(one.start_us, one.rate_hz, skipped, skipped, one.frames - skipped),
        gap_us=max(0, one.start_us - before.behind_us),
    )
