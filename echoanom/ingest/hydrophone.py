"""Recordings of hydrophones: levels of bands of frequency, averaged each minute."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest.hydrophoneoptions import HydrophoneOptions
from echoanom.ingest.instrument import Block, InstrumentFile, Look
from echoanom.ingest.recordings import Header, read_header
from echoanom.ingest.sampleclocks import Placed, Recording, place, sample_time
from echoanom.ingest.soundminutes import Part, density_columns, sound_blocks
from echoanom.ingest.spectra import Band, decibels
from echoanom.ingest.starttimes import StartTimes

_MINUTE_S = 60


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
    # Copies and conversions of a recording overlap, and are compared segment by segment.
    joins_files = True

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
            Recordings, as `arrange` left them; they may overlap.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs], without `stop_us`.

        Yields
        ------
        Block
            Densities [full scale²/Hz], at the time of each segment's first sample.

        Raises
        ------
        InstrumentFileError
            If one cannot be read, or two have different sound for the same time.
        """
        parts = [
            Part(x, Header(**x.look.facts["header"]), Placed(**x.look.facts["placed"]))
            for x in files
        ]
        yield from sound_blocks(parts, self._options, start_us, stop_us)

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
        return density_columns(bands)

    def _bands(self, rate_hz: int) -> tuple[Band, ...]:
        return self._options.bands_at(rate_hz)
