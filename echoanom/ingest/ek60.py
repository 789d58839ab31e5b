"""Read EK60 and EK80 echosounders: calibrated Sv of each ping."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest import ek80calibration, sonar
from echoanom.ingest.calibrating import Calibrated
from echoanom.ingest.ek60calibration import calibrate
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.ek60pings import Pings
from echoanom.ingest.ek80pings import EK80Pings
from echoanom.ingest.instrument import Block, InstrumentFile, Look
from echoanom.ingest.pings import Ping
from echoanom.ingest.rawfile import RawFile, precise_stamp

STANDARD_NAME = "acoustic_volume_backscattering_strength_in_sea_water"
UNIT = "dB re 1 m⁻¹"

# Pings are calibrated in pieces of so many samples. Each takes a hundred bytes or so
# while it is calibrated.
_PIECE_SAMPLES = 1 << 21


@dataclasses.dataclass(frozen=True)
class EK60:
    """The reader of EK60 and EK80 echosounders' raw files.

    Attributes
    ----------
    options : EK60Options
        How they are calibrated and gridded.
    """

    options: EK60Options = EK60Options()

    name = "ek60"
    suffixes = (".raw",)
    look_version = 1
    context_s = 0
    least_samples = 1
    joins_files = False

    def recipe(self) -> Mapping[str, Any]:
        """Return what decides on the result besides the files.

        Returns
        -------
        mapping of str to Any
            The options, and the version of echopype.
        """
        try:
            version = importlib.metadata.version("echopype")
        except importlib.metadata.PackageNotFoundError:
            version = ""
        return {"echopype": version, **self.options.as_json()}

    def look(self, path: str, local: str) -> Look:
        """Go through a file's datagrams and check them.

        Parameters
        ----------
        path : str
            The file as the caller named it.
        local : str
            Where it is on this machine.

        Returns
        -------
        Look
            Time of its first and last ping, and the number of pings.

        Raises
        ------
        InstrumentFileError
            If it is cut or damaged, of another instrument, or its clock runs backwards.
        StorageError
            If it cannot be read.
        """
        first = last = None
        count = 0
        with RawFile(path, local) as file:
            for ping in open_pings(file):
                first = first or ping
                last = ping
                count += 1
        assert first is not None and last is not None  # or it was refused
        return Look(first.time_us, last.time_us, {"pings": count})

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        """Leave files where they are: each ping has its time.

        Parameters
        ----------
        files : sequence of InstrumentFile
            All files.

        Returns
        -------
        sequence of InstrumentFile
            The same.
        """
        return files

    def blocks(
        self, files: Sequence[InstrumentFile], start_us: int, stop_us: int
    ) -> Iterator[Block]:
        """Calibrate the pings of a stretch of time.

        Parameters
        ----------
        files : sequence of InstrumentFile
            Files with pings in it, in order of time.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs], without `stop_us`.

        Yields
        ------
        Block
            Pings, with a column for each channel and range.

        Raises
        ------
        InstrumentFileError
            If a file cannot be read or calibrated, or its columns are others.
        MissingExtraError
            If echopype is not installed.
        StorageError
            If a file cannot be read.
        """
        columns: tuple[Column, ...] = ()
        for one in files:
            if one.look.last_us < start_us or one.look.first_us >= stop_us:
                continue
            with one.here() as local, RawFile(one.path, local) as file:
                found = open_pings(file)
                for pings in _pieces(found, start_us, stop_us, self.options):
                    block = self._block(file, found, pings)
                    if columns and block.columns != columns:
                        raise _other_columns(one.path, pings[0], columns, block.columns)
                    columns = block.columns
                    yield block

    def finish(
        self, columns: tuple[Column, ...], values: NDArray[np.float32]
    ) -> tuple[tuple[Column, ...], NDArray[np.float32]]:
        """Leave the means of a day as they are.

        Parameters
        ----------
        columns : tuple of Column
            Columns of the blocks, length C.
        values : ndarray of float32, shape (T, C)
            Means [dB re 1 m⁻¹].

        Returns
        -------
        columns : tuple of Column
            The same.
        values : ndarray of float32, shape (T, C)
            The same.
        """
        return columns, values

    def _block(
        self, file: RawFile, found: Pings | EK80Pings, pings: Sequence[Ping]
    ) -> Block:
        # Settings may alternate: pings that share them are calibrated together.
        groups: dict[bytes, list[int]] = {}
        for row, ping in enumerate(pings):
            groups.setdefault(ping.settings, []).append(row)
        columns: tuple[Column, ...] = ()
        values = np.empty((0, 0))
        for rows in groups.values():
            chosen = [pings[row] for row in rows]
            if isinstance(found, EK80Pings):
                channels = ek80calibration.calibrate(file, found, chosen, self.options)
            else:
                channels = calibrate(file, found.config, chosen, self.options)
            described, part = self._table(channels)
            if not described:
                raise InstrumentFileError(
                    "must have samples within the limits of range and depth, got"
                    f" {channels[0].ranges_m[-1]:.1f} m of range with the transducer"
                    f" at {self._depth(channels[0])} m",
                    file.path,
                )
            if not columns:
                columns, values = described, np.empty((len(pings), len(described)))
            if described != columns:
                raise _other_columns(file.path, chosen[0], columns, described)
            values[rows] = part
        times = np.array([ping.time_us for ping in pings], dtype=np.int64)
        return Block(columns, times, values, file.path, {"pings": len(pings)})

    def _table(
        self, channels: Sequence[Calibrated]
    ) -> tuple[tuple[Column, ...], NDArray[np.float64]]:
        """Put channels side by side."""
        columns: list[Column] = []
        parts = []
        for channel in channels:
            ranges, kept, values = self._grid(channel)
            depth_m = self._depth(channel)
            depths = (
                [None] * len(ranges)
                if depth_m is None
                else sonar.depths(ranges, depth_m, self.options).tolist()
            )
            khz = _number(channel.frequency_hz / 1000, 3)
            for place in kept:
                depth = depths[place]
                columns.append(
                    Column(
                        f"Sv_{khz}kHz_{_number(ranges[place], 3)}m",
                        *(self.name, UNIT, "level"),
                        range_m=round(float(ranges[place]), 6),
                        frequency_hz=channel.frequency_hz,
                        depth_m=None if depth is None else round(depth, 6),
                        standard_name=STANDARD_NAME,
                    )
                )
            parts.append(values[:, kept])
        return tuple(columns), np.concatenate(parts, axis=1)

    def _grid(
        self, channel: Calibrated
    ) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Return ranges, which of them are kept, and Sv at each."""
        options, ranges = self.options, channel.ranges_m
        sv = channel.sv_db
        if options.noise_cell_m:
            step = float(ranges[1]) if len(ranges) > 1 else options.noise_cell_m
            cell = max(1, round(options.noise_cell_m / step))
            sv = sonar.without_noise(sv, ranges, channel.absorption, cell, options)
        if options.range_bin_m:
            edges = sonar.bin_edges(ranges, options)
            near, far = edges[:-1], edges[1:]
            sv = sonar.bin_means(sv, ranges, edges)
            inside = np.ones(len(near), dtype=np.bool_)
        else:
            near = far = ranges
            inside = ranges >= options.min_range_m
            if options.max_range_m is not None:
                inside &= ranges <= options.max_range_m
            inside[: channel.silent] = False
        depth_m = self._depth(channel)
        if depth_m is not None:
            ends = [sonar.depths(x, depth_m, options) for x in (near, far)]
            if options.min_depth_m is not None:
                inside &= np.minimum(*ends) >= options.min_depth_m
            if options.max_depth_m is not None:
                inside &= np.maximum(*ends) <= options.max_depth_m
        return (near + far) / 2, np.flatnonzero(inside), sv

    def _depth(self, channel: Calibrated) -> float | None:
        if self.options.instrument_depth_m is not None:
            return self.options.instrument_depth_m
        # A sounder on the bottom is rarely told how deep it is.
        return None if self.options.look == "up" else channel.depth_m


def open_pings(file: RawFile) -> Pings | EK80Pings:
    """Begin to read a file's pings.

    Parameters
    ----------
    file : RawFile
        The open file.

    Returns
    -------
    Pings or EK80Pings
        Its pings, by what it begins with.

    Raises
    ------
    InstrumentFileError
        If it is the file of another instrument.
    StorageError
        If it cannot be read.
    """
    first = next(file.datagrams(), None)
    return EK80Pings(file) if first and first.kind == b"XML0" else Pings(file)


def _pieces(
    pings: Pings | EK80Pings, start_us: int, stop_us: int, options: EK60Options
) -> Iterator[list[Ping]]:
    piece: list[Ping] = []
    sizes: dict[bytes, int] = {}
    samples = 0
    for ping in pings:
        if ping.time_us >= stop_us:
            break
        if ping.time_us < start_us:
            continue
        if ping.settings not in sizes:
            sizes[ping.settings] = pings.size(ping, options.frequencies_hz)
        size = sizes[ping.settings]
        if piece and samples + size > _PIECE_SAMPLES:
            yield piece
            piece, samples = [], 0
        piece.append(ping)
        samples += size
    if piece:
        yield piece


def _other_columns(
    path: str, ping: Ping, before: Sequence[Column], now: Sequence[Column]
) -> InstrumentFileError:
    same = sum(a == b for a, b in zip(before, now, strict=False))
    return InstrumentFileError(
        f"must keep its channels and ranges, but from {precise_stamp(ping.time_us)} on"
        f" there are {len(now)} columns after {len(before)}, of which {same} are as"
        " before: settings were changed; give --range-bin and --max-range, and"
        " --instrument-depth if that changed",
        path,
    )


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".")
