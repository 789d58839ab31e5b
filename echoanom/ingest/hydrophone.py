"""Recordings of hydrophones: levels of bands of frequency, averaged each minute."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError, OptionError
from echoanom.ingest import faultysound
from echoanom.ingest.instrument import Block, InstrumentFile, Look
from echoanom.ingest.recordings import STEPS, Header, SampleReader, read_header
from echoanom.ingest.sampleclocks import (
    Placed,
    Recording,
    place,
    sample_at,
    sample_time,
)
from echoanom.ingest.spectra import (
    LOWEST_LINE,
    Band,
    BandForm,
    band_spectrum,
    decibels,
    make_bands,
)
from echoanom.ingest.starttimes import StartTimes
from echoanom.options import Options

_MINUTE_S = 60
_MINUTE_US = _MINUTE_S * 1_000_000
_MOST_BANDS = 100_000


@dataclasses.dataclass(frozen=True)
class HydrophoneOptions(Options):
    """What levels are computed from recordings, and how.

    Attributes
    ----------
    bands : {'third-octave', 'linear'}
        Bands of a third of an octave, or of the same width.
    bandwidth_hz : float
        Width of linear bands, which lie around its multiples [Hz].
    band_hz : float
        What no band reaches beyond [Hz]; nor beyond half the recording's rate.
    lowest_hz : float
        Least middle of a band [Hz].
    segment_s : float
        Length of the segments whose spectra are averaged [s].
    sensitivity_db : float, optional
        Sensitivity of the hydrophone, with the gain behind it [dB re 1 V/µPa].
    full_scale_v : float, optional
        Voltage of a sample at full scale [V], with `sensitivity_db`.
    end_to_end_db : float, optional
        Instead of both: sound pressure level of full scale [dB re 1 µPa].
    channel : int
        The channel, from 1.
    min_coverage : float
        Least share of a minute's segments that make a row.
    dropout_s : float
        Shortest run of samples of one value that is no sound but a drop-out [s].
    join_tolerance_s : float
        Greatest difference between the end of a recording and the start that the next
        one's name tells, for it to follow without a gap [s].
    name_pattern : str
        How a name tells the start, as for `datetime.datetime.strptime`. Empty: as one
        of the layouts that are known.
    utc_offset_h : float
        How far the recorder's clock is ahead of UTC [h].
    """

    bands: BandForm = "third-octave"
    bandwidth_hz: float = 100.0
    band_hz: float = 12_000.0
    lowest_hz: float = 10.0
    segment_s: float = 1.0
    sensitivity_db: float | None = None
    full_scale_v: float | None = None
    end_to_end_db: float | None = None
    channel: int = 1
    min_coverage: float = 0.5
    dropout_s: float = 0.05
    join_tolerance_s: float = 1.0
    name_pattern: str = ""
    utc_offset_h: float = 0.0

    def __post_init__(self) -> None:
        _require(0.001 <= self.segment_s <= 30, self, "segment_s", "from 0.001 to 30")
        _require(0 < self.band_hz <= 1e7, self, "band_hz", "above 0 and at most 1e7")
        _require(
            0 < self.lowest_hz < self.band_hz,
            *(self, "lowest_hz", f"above 0 and below band_hz ({self.band_hz:g})"),
        )
        _require(0 < self.bandwidth_hz <= 1e7, self, "bandwidth_hz", "above 0")
        _require(self.channel >= 1, self, "channel", "at least 1")
        _require(0 < self.min_coverage <= 1, self, "min_coverage", "above 0, at most 1")
        _require(0.001 <= self.dropout_s <= 60, self, "dropout_s", "from 0.001 to 60")
        _require(
            0 <= self.join_tolerance_s <= 60, self, "join_tolerance_s", "from 0 to 60"
        )
        _require(-14 <= self.utc_offset_h <= 14, self, "utc_offset_h", "from -14 to 14")
        self._check_calibration()
        self._check_resolution()
        StartTimes(self.name_pattern)

    def _check_calibration(self) -> None:
        if self.end_to_end_db is not None:
            _require(
                self.sensitivity_db is None and self.full_scale_v is None,
                *(self, "end_to_end_db", "given without sensitivity and full scale"),
            )
            _require(
                abs(self.end_to_end_db) <= 400, self, "end_to_end_db", "within ±400"
            )
        elif self.sensitivity_db is not None:
            _require(
                abs(self.sensitivity_db) <= 400, self, "sensitivity_db", "within ±400"
            )
            _require(
                self.full_scale_v is not None and 0 < self.full_scale_v <= 1e6,
                *(self, "full_scale_v", "above 0, and given with the sensitivity"),
            )
        else:
            _require(
                self.full_scale_v is None,
                *(self, "full_scale_v", "given with the sensitivity, or not at all"),
            )

    def _check_resolution(self) -> None:
        line_hz = 1 / self.segment_s
        if self.bands == "linear":
            least_hz = max(line_hz * (1 - 1e-9), self.band_hz / _MOST_BANDS)
            _require(
                self.bandwidth_hz >= least_hz,
                *(self, "bandwidth_hz", f"at least {least_hz:.4g} Hz, as segments of"),
                f"{self.segment_s:g} s and at most {_MOST_BANDS:,} bands ask for",
            )
        bands = self.bands_up_to(self.band_hz)
        _require(
            bool(bands),
            *(self, "band_hz", f"such that a band fits above {self.lowest_hz:g} Hz"),
        )
        lowest = bands[0]
        least_s = max(1 / lowest.width_hz, (LOWEST_LINE - 0.5) / lowest.low_hz)
        _require(
            self.segment_s >= least_s * (1 - 1e-9),
            *(
                self,
                "segment_s",
                f"long enough for the band at {lowest.label} Hz, that",
            ),
            f"is {least_s:.3g} at least",
        )

    def bands_up_to(self, highest_hz: float) -> tuple[Band, ...]:
        """Return the bands that lie below a frequency.

        Parameters
        ----------
        highest_hz : float
            The frequency [Hz]; not above `band_hz`.

        Returns
        -------
        tuple of Band
            By frequency.
        """
        return make_bands(self.bands, self.lowest_hz, highest_hz, self.bandwidth_hz)

    @property
    def calibration_db(self) -> float | None:
        """Sound pressure level of full scale [dB re 1 µPa]; None if unknown."""
        if self.end_to_end_db is not None:
            return self.end_to_end_db
        if self.sensitivity_db is None or self.full_scale_v is None:
            return None
        return 20 * math.log10(self.full_scale_v) - self.sensitivity_db


class Hydrophone:
    """The reader of WAV and FLAC recordings.

    Parameters
    ----------
    options : HydrophoneOptions, optional
        What is computed from them.
    """

    name = "hydrophone"
    suffixes = (".wav", ".flac")
    look_version = 1
    context_s = 0

    def __init__(self, options: HydrophoneOptions | None = None) -> None:
        self._options = options or HydrophoneOptions()
        self._starts = StartTimes(
            self._options.name_pattern, self._options.utc_offset_h
        )

    @property
    def least_samples(self) -> int:
        """Segments of a minute that make a row."""
        hop_s = self._options.segment_s / 2
        segments = 1 + int((_MINUTE_S - self._options.segment_s) / hop_s + 1e-9)
        return max(1, math.ceil(self._options.min_coverage * segments - 1e-9))

    def recipe(self) -> Mapping[str, Any]:
        """Return what decides on the result besides the files.

        Returns
        -------
        mapping of str to Any
            Options, and the versions of the libraries.
        """
        versions = {}
        for library in ("soundfile", "scipy"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[library] = metadata.version(library)
        return {"version": 1, **self._options.as_json(), "libraries": versions}

    def look(self, path: str, local: str) -> Look:
        """Read when a recording starts and ends.

        Parameters
        ----------
        path : str
            The file as the caller named it.
        local : str
            Where it is on this machine.

        Returns
        -------
        Look
            Its times, and its header.

        Raises
        ------
        InstrumentFileError
            If it cannot be read, is not whole, does not tell when it starts, or has
            no such channel or band.
        """
        header = read_header(path, local)
        self._columns(header, path)
        start_us = self._starts.of(path, header.note)
        last_us = sample_time(start_us, header.rate_hz, header.frames - 1)
        return Look(start_us, last_us, {"header": dataclasses.asdict(header)})

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        """Put recordings that follow each other on one clock of samples.

        Parameters
        ----------
        files : sequence of InstrumentFile
            All files.

        Returns
        -------
        sequence of InstrumentFile
            By time of their first sample, with that time, and their place on the
            clock. Without those that lie wholly in the one before.

        Raises
        ------
        InstrumentFileError
            If one has not the bands of the others.
        """
        headers = [Header(**file.look.facts["header"]) for file in files]
        self._require_same_bands(files, headers)
        # Another call may have looked at them with other options.
        found = [
            (Recording(self._starts.of(file.path, x.note), x.frames, x.rate_hz), file)
            for file, x in zip(files, headers, strict=True)
        ]
        found.sort(key=lambda one: (one[0].start_us, one[1].path))
        tolerance_us = round(self._options.join_tolerance_s * 1e6)
        placed = place([recording for recording, _ in found], tolerance_us)
        arranged = []
        for where, (_, file) in zip(placed, found, strict=True):
            if where is not None:
                facts = {**file.look.facts, "placed": dataclasses.asdict(where)}
                look = Look(where.first_us, where.last_us, facts)
                arranged.append(dataclasses.replace(file, look=look))
        return sorted(arranged, key=lambda file: (file.look.first_us, file.path))

    def blocks(
        self, files: Sequence[InstrumentFile], start_us: int, stop_us: int
    ) -> Iterator[Block]:
        """Read segments: one row each, a block a minute.

        Segments overlap by half and lie wholly in a minute, the first at the minute's
        first sample. One that a drop-out touches is left out.

        Parameters
        ----------
        files : sequence of InstrumentFile
            Recordings, as `arrange` left them.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs], without `stop_us`.

        Yields
        ------
        Block
            Densities [full scale²/Hz], at the time of each segment's first sample.

        Raises
        ------
        InstrumentFileError
            If a recording cannot be read.
        """
        for joined in _joined(files):
            first_us, behind_us = joined[0].placed.first_us, joined[-1].placed.behind_us
            low_us, high_us = max(first_us, start_us), min(behind_us + 1, stop_us)
            pieces = [
                (one.file, one.placed.first - one.placed.skipped, one.header.frames)
                for one in joined
            ]
            with SampleReader(pieces, self._options.channel) as reader:
                for minute_us in range(
                    low_us // _MINUTE_US * _MINUTE_US, high_us, _MINUTE_US
                ):
                    block = self._minute(joined, reader, minute_us)
                    if block is not None:
                        yield _cut(block, start_us, stop_us)

    def finish(
        self, columns: tuple[Column, ...], values: NDArray[np.float32]
    ) -> tuple[tuple[Column, ...], NDArray[np.float32]]:
        """Turn mean densities into levels.

        Parameters
        ----------
        columns : tuple of Column
            Columns of densities, length C.
        values : ndarray of float32, shape (T, C)
            Means of each period [full scale²/Hz].

        Returns
        -------
        columns : tuple of Column
            Columns of levels.
        values : ndarray of float32, shape (T, C)
            Levels [dB re 1 µPa²/Hz], or re full scale²/Hz without a calibration.
        """
        calibration_db = self._options.calibration_db
        what = "full scale" if calibration_db is None else "1 µPa"
        levels = tuple(
            dataclasses.replace(one, unit=f"dB re {what}²/Hz", kind="level")
            for one in columns
        )
        return levels, decibels(values, calibration_db or 0.0)

    def _require_same_bands(
        self, files: Sequence[InstrumentFile], headers: Sequence[Header]
    ) -> None:
        """Refuse a deployment with files whose rate is too low for the others' bands."""
        by_rate: dict[int, InstrumentFile] = {}
        for file, header in zip(files, headers, strict=True):
            self._columns(header, file.path)
            by_rate.setdefault(header.rate_hz, file)
        low, high = min(by_rate), max(by_rate)
        if self._bands(low) != self._bands(high):
            raise InstrumentFileError(
                f"must have the bands of {by_rate[high].path}, recorded at {high} Hz,"
                f" up to {self._bands(high)[-1].high_hz:.0f} Hz, got a rate of {low} Hz;"
                f" limit the band to {low // 2} Hz, or give another sensor's name to"
                " either rate",
                by_rate[low].path,
            )

    def _columns(self, header: Header, path: str) -> tuple[Column, ...]:
        if header.channels < self._options.channel:
            raise InstrumentFileError(
                f"must have channel {self._options.channel}, got {header.channels}"
                f" channel{'s' * (header.channels > 1)}; choose another",
                path,
            )
        bands = self._bands(header.rate_hz)
        if not bands:
            raise InstrumentFileError(
                f"must have a band above {self._options.lowest_hz:g} Hz and below half"
                f" its rate, got a rate of {header.rate_hz} Hz; lower the lowest band",
                path,
            )
        return _density_columns(bands)

    def _bands(self, rate_hz: int) -> tuple[Band, ...]:
        return _bands_of(self._options, rate_hz)

    def _minute(
        self, joined: Sequence[_Part], reader: SampleReader, minute_us: int
    ) -> Block | None:
        """Compute the segments of a minute; None if it has no sample."""
        clock = joined[0].placed
        grid = sample_at(clock.origin_us, clock.rate_hz, minute_us)
        behind = sample_at(clock.origin_us, clock.rate_hz, minute_us + _MINUTE_US)
        low, high = max(grid, clock.first), min(behind, joined[-1].placed.behind)
        if low >= high:
            return None
        samples, path = reader.read(low, high)
        frames = max(2, round(self._options.segment_s * clock.rate_hz))
        spectrum = band_spectrum(clock.rate_hz, frames, self._bands(clock.rate_hz))
        least = max(2, math.ceil(self._options.dropout_s * clock.rate_hz))
        same = faultysound.runs_of_same(samples, least)
        numberless = faultysound.runs_of_no_number(samples)
        faults = np.concatenate([same, numberless])
        hop = max(1, frames // 2)
        # The grid begins with the minute, even where the recording begins within it.
        starts = range(grid + -((grid - low) // hop) * hop, high - frames + 1, hop)
        rows, times, left_out = [], [], 0
        for start in starts:
            at = start - low
            if len(faults) and faultysound.touched(faults, at, at + frames):
                left_out += 1
                continue
            rows.append(spectrum(samples[at : at + frames]))
            times.append(sample_time(clock.origin_us, clock.rate_hz, start))
        counts = _events(joined, low, high)
        counts["clipped samples"] += self._clipped(samples, joined, low)
        counts["drop-outs"] += len(same)
        counts["samples that are no number"] += int(np.diff(numberless).sum())
        counts["segments left out"] += left_out
        columns = _density_columns(self._bands(clock.rate_hz))
        values = np.array(rows).reshape(len(rows), len(columns))
        told = {what: number for what, number in counts.items() if number}
        return Block(columns, np.array(times, dtype=np.int64), values, path, told)

    @staticmethod
    def _clipped(
        samples: NDArray[np.float64], joined: Sequence[_Part], low: int
    ) -> int:
        """Count samples at full scale: the step to it is another file's own."""
        clipped = 0
        for part in _within(joined, low, low + len(samples)):
            of_part = samples[
                max(0, part.placed.first - low) : part.placed.behind - low
            ]
            step = STEPS[part.header.subtype]
            clipped += faultysound.count_clipped(of_part, step)
        return clipped


@dataclasses.dataclass(frozen=True)
class _Part:
    file: InstrumentFile
    header: Header
    placed: Placed


def _joined(files: Sequence[InstrumentFile]) -> Iterator[list[_Part]]:
    """Gather recordings without a gap between."""
    gathered: list[_Part] = []
    for file in files:
        facts = file.look.facts
        part = _Part(file, Header(**facts["header"]), Placed(**facts["placed"]))
        if gathered:
            before = gathered[-1].placed
            same_clock = (before.origin_us, before.rate_hz, before.behind) == (
                *(part.placed.origin_us, part.placed.rate_hz, part.placed.first),
            )
            if not (part.placed.joined and same_clock):
                yield gathered
                gathered = []
        gathered.append(part)
    if gathered:
        yield gathered


def _within(joined: Sequence[_Part], low: int, high: int) -> Iterator[_Part]:
    """Name those with samples of a stretch; many others may stand beside them."""
    first = bisect.bisect_right(joined, low, key=lambda part: part.placed.behind)
    return itertools.takewhile(
        lambda part: part.placed.first < high, itertools.islice(joined, first, None)
    )


def _events(joined: Sequence[_Part], low: int, high: int) -> Counter[str]:
    """Count what happened between recordings, where the later one begins."""
    counts: Counter[str] = Counter()
    for part in _within(joined, low, high):
        if low <= part.placed.first:
            counts["gaps between recordings"] += part.placed.gap_us > 0
            counts["clock steps"] += part.placed.skipped > 0
    return counts


def _cut(block: Block, start_us: int, stop_us: int) -> Block:
    times = block.times_us
    inside = (times >= start_us) & (times < stop_us)
    if inside.all():
        return block
    return dataclasses.replace(
        block, times_us=times[inside], values=block.values[inside]
    )


@functools.lru_cache(maxsize=64)
def _bands_of(options: HydrophoneOptions, rate_hz: int) -> tuple[Band, ...]:
    return options.bands_up_to(min(options.band_hz, rate_hz / 2))


@functools.lru_cache(maxsize=64)
def _density_columns(bands: tuple[Band, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(
            f"LTSA_{band.label}Hz",
            *("", "full scale²/Hz"),
            frequency_hz=float(f"{band.middle_hz:.9g}"),
        )
        for band in bands
    )


def _require(
    holds: bool, options: HydrophoneOptions, field: str, what: str, more: str = ""
) -> None:
    if not holds:
        wanted = f"{what} {more}".strip()
        raise OptionError(f"{field} must be {wanted}, got {getattr(options, field)!r}")
