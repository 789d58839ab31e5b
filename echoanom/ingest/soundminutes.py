"""Segments of sound, minute by minute, from all recordings that have some of it.

Recordings without a gap between them are a stream. Streams may overlap in time, when
files have been copied or converted: what they have in common is taken once.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest import faultysound
from echoanom.ingest.hydrophoneoptions import HydrophoneOptions
from echoanom.ingest.instrument import Block, InstrumentFile
from echoanom.ingest.recordings import STEPS, Header, SampleReader
from echoanom.ingest.sampleclocks import Placed, sample_at, sample_time
from echoanom.ingest.spectra import Band, band_spectrum
from echoanom.stamps import format_stamp

MINUTE_US = 60_000_000
# Of a slow recording, two neighbours are often the same.
_FEWEST_SAME = 10


@dataclasses.dataclass(frozen=True)
class Part:
    """A recording in a stream.

    Attributes
    ----------
    file : InstrumentFile
        Its file.
    header : Header
        What that says of itself.
    placed : Placed
        Its place on the stream's clock.
    """

    file: InstrumentFile
    header: Header
    placed: Placed


def sound_blocks(
    parts: Sequence[Part], options: HydrophoneOptions, start_us: int, stop_us: int
) -> Iterator[Block]:
    """Compute the densities of all segments of a stretch of time.

    Parameters
    ----------
    parts : sequence of Part
        The recordings, by time of their first sample; they may overlap.
    options : HydrophoneOptions
        What is computed.
    start_us, stop_us : int
        The stretch since 1970 UTC [µs], without `stop_us`.

    Yields
    ------
    Block
        One a minute; a row for each segment that begins in the stretch, at the time of
        its first sample [full scale²/Hz].

    Raises
    ------
    InstrumentFileError
        If one cannot be read, or two have different sound for the same time.
    """
    with contextlib.ExitStack() as closing:
        waiting = collections.deque(
            closing.enter_context(contextlib.closing(_Stream(joined, options)))
            for joined in _joined(parts)
        )
        minute_us = start_us // MINUTE_US * MINUTE_US
        active: list[_Stream] = []
        while minute_us < stop_us and (waiting or active):
            if not active:
                minute_us = max(minute_us, waiting[0].first_minute_us)
                if minute_us >= stop_us:
                    return
            while waiting and waiting[0].first_minute_us <= minute_us:
                active.append(waiting.popleft())
            of_minute = [
                minute
                for stream in active
                if (minute := stream.minute(minute_us)) is not None
            ]
            if of_minute:
                yield _cut(_merged(of_minute).block, start_us, stop_us)
            minute_us += MINUTE_US
            for stream in active:
                if stream.behind_us <= minute_us:
                    stream.close()
            active = [x for x in active if x.behind_us > minute_us]


@functools.lru_cache(maxsize=64)
def density_columns(bands: tuple[Band, ...]) -> tuple[Column, ...]:
    """Describe columns of densities.

    Parameters
    ----------
    bands : tuple of Band
        The bands.

    Returns
    -------
    tuple of Column
        One for each, without a sensor.
    """
    return tuple(
        Column(
            f"LTSA_{band.label}Hz",
            *("", "full scale²/Hz"),
            frequency_hz=float(f"{band.middle_hz:.9g}"),
        )
        for band in bands
    )


@dataclasses.dataclass(frozen=True)
class _Minute:
    """A stream's segments of a minute, by their number on the minute's grid."""

    stream: _Stream
    numbers: NDArray[np.int64]
    block: Block


class _Stream:
    """Recordings without a gap between."""

    def __init__(self, parts: Sequence[Part], options: HydrophoneOptions) -> None:
        self._parts, self._options = parts, options
        self._clock = parts[0].placed
        self._behind = parts[-1].placed.behind
        self._reader = SampleReader(
            [
                (one.file, one.placed.first - one.placed.skipped, one.header.frames)
                for one in parts
            ],
            options.channel,
        )
        rate_hz = self._clock.rate_hz
        self._bands = options.bands_at(rate_hz)
        self._frames = max(2, round(options.segment_s * rate_hz))
        self._least_same = max(_FEWEST_SAME, math.ceil(options.dropout_s * rate_hz))
        self.first_minute_us = self._clock.first_us // MINUTE_US * MINUTE_US
        # Rounded up: the last sample lies before.
        self.behind_us = parts[-1].placed.last_us + 1

    def close(self) -> None:
        self._reader.close()

    def path_at(self, time_us: int) -> str:
        sample = sample_at(self._clock.origin_us, self._clock.rate_hz, time_us)
        return next(self._within(sample, sample + 1)).file.path

    def minute(self, minute_us: int) -> _Minute | None:
        """Compute the segments of a minute; None if it has no sample."""
        clock = self._clock
        grid = sample_at(clock.origin_us, clock.rate_hz, minute_us)
        behind = sample_at(clock.origin_us, clock.rate_hz, minute_us + MINUTE_US)
        low, high = max(grid, clock.first), min(behind, self._behind)
        if low >= high:
            return None
        samples, path = self._reader.read(low, high)
        same = faultysound.runs_of_same(samples, self._least_same)
        numberless = faultysound.runs_of_no_number(samples)
        faults = np.concatenate([same, numberless])
        spectrum = band_spectrum(clock.rate_hz, self._frames, self._bands)
        hop = max(1, self._frames // 2)
        # The grid begins with the minute, even where the recording begins within it.
        first = -((grid - low) // hop)
        rows, numbers, left_out = [], [], 0
        for number in range(first, (high - self._frames - grid) // hop + 1):
            at = grid + number * hop - low
            if len(faults) and faultysound.touched(faults, at, at + self._frames):
                left_out += 1
                continue
            rows.append(spectrum(samples[at : at + self._frames]))
            numbers.append(number)
        times = [
            sample_time(clock.origin_us, clock.rate_hz, grid + number * hop)
            for number in numbers
        ]
        counts = self._events(low, high)
        counts["clipped samples"] += self._clipped(samples, low)
        counts["drop-outs"] += len(same)
        counts["samples that are no number"] += int(np.diff(numberless).sum())
        counts["segments left out"] += left_out
        block = Block(
            density_columns(self._bands),
            np.array(times, dtype=np.int64),
            np.array(rows).reshape(len(rows), len(self._bands)),
            path,
            {what: count for what, count in counts.items() if count},
        )
        return _Minute(self, np.array(numbers, dtype=np.int64), block)

    def _within(self, low: int, high: int) -> Iterator[Part]:
        """Name those with samples of a stretch; many others may stand beside them."""
        first = bisect.bisect_right(self._parts, low, key=lambda x: x.placed.behind)
        return itertools.takewhile(
            lambda part: part.placed.first < high,
            itertools.islice(self._parts, first, None),
        )

    def _events(self, low: int, high: int) -> Counter[str]:
        """Count what happened between recordings, where the later one begins."""
        counts: Counter[str] = Counter()
        for part in self._within(low, high):
            if low <= part.placed.first:
                counts["gaps between recordings"] += part.placed.gap_us > 0
                counts["clock steps"] += part.placed.skipped > 0
        return counts

    def _clipped(self, samples: NDArray[np.float64], low: int) -> int:
        """Count samples at full scale: the step to it is another file's own."""
        clipped = 0
        for part in self._within(low, low + len(samples)):
            first = max(0, part.placed.first - low)
            step = STEPS[part.header.subtype]
            clipped += faultysound.count_clipped(
                samples[first : part.placed.behind - low], step
            )
        return clipped


def _joined(parts: Sequence[Part]) -> list[list[Part]]:
    """Gather recordings without a gap between, by time of the first."""
    streams: list[list[Part]] = []
    open_: dict[tuple[int, int, int], list[list[Part]]] = {}
    for part in parts:
        placed = part.placed
        before = open_.get((placed.origin_us, placed.rate_hz, placed.first))
        if placed.joined and before:
            stream = before.pop(0)
        else:
            streams.append(stream := [])
        stream.append(part)
        end = (placed.origin_us, placed.rate_hz, placed.behind)
        open_.setdefault(end, []).append(stream)
    return streams


def _merged(minutes: Sequence[_Minute]) -> _Minute:
    return functools.reduce(_merge, minutes)


def _merge(one: _Minute, other: _Minute) -> _Minute:
    """Take the segments of both, and those that both have once."""
    _, in_one, in_other = np.intersect1d(
        one.numbers, other.numbers, assume_unique=True, return_indices=True
    )
    differ = one.block.values[in_one] != other.block.values[in_other]
    for place in np.flatnonzero(differ.any(axis=1))[:1]:
        time_us = int(other.block.times_us[in_other[place]])
        raise InstrumentFileError(
            f"must have the sound that {one.stream.path_at(time_us)} has for the same"
            f" time, but it differs from {format_stamp(time_us // 1_000_000)} on; leave"
            " one of them out, or correct its name",
            other.stream.path_at(time_us),
        )
    new = ~np.isin(other.numbers, one.numbers)
    numbers = np.concatenate([one.numbers, other.numbers[new]])
    order = np.argsort(numbers)
    values = np.concatenate([one.block.values, other.block.values[new]])
    times = np.concatenate([one.block.times_us, other.block.times_us[new]])
    counts = _counts_of_both(one.block.counts, other.block.counts, len(in_one))
    block = Block(
        one.block.columns, times[order], values[order], one.block.path, counts
    )
    return _Minute(one.stream, numbers[order], block)


def _counts_of_both(
    one: Mapping[str, int], other: Mapping[str, int], twice: int
) -> Mapping[str, int]:
    """Count what the same sound has once, and what different sound has together."""
    if not twice:
        return Counter(one) + Counter(other)
    return {**(Counter(one) | Counter(other)), "segments found twice": twice}


def _cut(block: Block, start_us: int, stop_us: int) -> Block:
    times = block.times_us
    inside = (times >= start_us) & (times < stop_us)
    if inside.all():
        return block
    return dataclasses.replace(
        block, times_us=times[inside], values=block.values[inside]
    )
