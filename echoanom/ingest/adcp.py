"""Read current profilers: speed, direction and echo of each bin."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest import currents
from echoanom.ingest.adcpnetcdf import open_netcdf
from echoanom.ingest.adcpodf import MAGIC, OdfProfiles
from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.adcpprofiles import (
    Array,
    Bins,
    Layout,
    ProfileFile,
    Profiles,
    columns_of,
)
from echoanom.ingest.classicnetcdf import require_whole
from echoanom.ingest.instrument import Block, InstrumentFile, Look

# A piece of this many cells of one variable is read at a time.
_PIECE_CELLS = 1 << 19
_RECIPE_VERSION = 1

_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")
_OTHERS = (
    (b"RIFF", 0, "a WAV file"),
    (b"fLaC", 0, "a FLAC file"),
    (b"CON0", 4, "an echosounder's raw file"),
    (b"XML0", 4, "an echosounder's raw file"),
    (b"RAW", 4, "an echosounder's raw file"),
    (b"\x7f\x7f", 0, "RDI's own binary file; read it with MHKiT or pyadps"),
    (b"\xa5\x05", 0, "Nortek's own binary file; read it with MHKiT"),
    (b"\xa5\x0a", 0, "Nortek's own binary file; read it with MHKiT"),
    (b"PK\x03\x04", 0, "a ZIP archive"),
    (b"\x1f\x8b", 0, "a gzip file"),
)


@dataclasses.dataclass(frozen=True)
class Adcp:
    """The reader of current profilers.

    Attributes
    ----------
    options : AdcpOptions
        How they are read.
    """

    options: AdcpOptions = AdcpOptions()

    name = "adcp"
    suffixes = (".nc", ".nc4", ".cdf", ".netcdf", ".odf")
    context_s = 0
    least_samples = 1
    joins_files = False

    @property
    def look_version(self) -> int:
        """Changes with the variable that is taken for time."""
        clock = self.options.named.get("time", "")
        return _RECIPE_VERSION + (zlib.crc32(clock.encode()) if clock else 0)

    def recipe(self) -> Mapping[str, Any]:
        """Return what decides on the result besides the files.

        Returns
        -------
        mapping of str to Any
            The options.
        """
        return {"version": _RECIPE_VERSION, **self.options.as_json()}

    def look(self, path: str, local: str) -> Look:
        """Read when a file starts and ends, and check what it has.

        Parameters
        ----------
        path : str
            The file as the caller named it.
        local : str
            Where it is on this machine.

        Returns
        -------
        Look
            Its times.

        Raises
        ------
        InstrumentFileError
            If it is not whole, or has no currents in earth coordinates.
        """
        with self._open(path, local) as file:
            self._plan(file.layout, path)
            times = file.times_us
            # What is damaged shows here, not after days were made.
            file.read(len(times) - 1, len(times))
            return Look(int(times[0]), int(times[-1]), {"profiles": len(times)})

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        """Leave files where their clocks put them.

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
        """Read the samples of a stretch of time: east, north, up and echo.

        Parameters
        ----------
        files : sequence of InstrumentFile
            Those with samples in it.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs], without `stop_us`.

        Yields
        ------
        Block
            Some hours of samples.

        Raises
        ------
        InstrumentFileError
            If a file cannot be read.
        """
        for one in files:
            if one.look.last_us < start_us or one.look.first_us >= stop_us:
                continue
            with one.here() as local, self._open(one.path, local) as file:
                plan = self._plan(file.layout, one.path)
                times = file.times_us
                first, behind = np.searchsorted(times, [start_us, stop_us])
                step = max(1, _PIECE_CELLS // file.layout.bins.number)
                for start in range(int(first), int(behind), step):
                    stop = min(start + step, int(behind))
                    values, counts = self._judge(plan, file.read(start, stop), one.path)
                    yield Block(
                        plan.columns, times[start:stop], values, one.path, counts
                    )

    def finish(
        self, columns: tuple[Column, ...], values: NDArray[np.float32]
    ) -> tuple[tuple[Column, ...], NDArray[np.float32]]:
        """Compute speed and direction from the means of components.

        Parameters
        ----------
        columns : tuple of Column
            Columns of the blocks, length C.
        values : ndarray of float32, shape (T, C)
            Means of each period, short gaps filled.

        Returns
        -------
        columns : tuple of Column
            Columns of the table, length D.
        values : ndarray of float32, shape (T, D)
            Its cells.
        """
        at: dict[str, list[int]] = collections.defaultdict(list)
        for index, column in enumerate(columns):
            at[column.name.partition("_")[0]].append(index)
        fields = {key: values[:, one].astype(np.float64) for key, one in at.items()}
        if "east" in fields:
            pair = fields["east"], fields["north"]
            fields["speed"], fields["direction"] = (
                currents.speed(*pair),
                currents.direction(*pair),
            )
        quantities = [one for one in self.options.wanted if one in fields]
        first = columns[0], [columns[index] for index in next(iter(at.values()))]
        bins = Bins(
            _places([one.range_m for one in first[1]]),
            _places([one.depth_m for one in first[1]]),
        )
        level = any(columns[index].kind == "level" for index in at.get("echo", ()))
        made = columns_of(quantities, bins, level)
        cells = np.concatenate([fields[one] for one in quantities], axis=1)
        return made, cells.astype(np.float32)

    @contextlib.contextmanager
    def _open(self, path: str, local: str) -> Iterator[ProfileFile]:
        with open(local, "rb") as file:
            start = file.read(64)
        if start.lstrip().startswith(MAGIC):
            yield OdfProfiles(path, local, self.options)
            return
        if not start.startswith(_NETCDF):
            what = f"{start[:8]!r} at byte 0"
            for magic, offset, other in _OTHERS:
                if start[offset : offset + len(magic)] == magic:
                    what = other
                    break
            raise InstrumentFileError(
                f"must be NetCDF or ODF with current profiles, got {what}", path
            )
        require_whole(path, local)
        with open_netcdf(path, local, self.options) as profiles:
            yield profiles

    def _plan(self, layout: Layout, path: str) -> _Plan:
        """Decide what to take of a file, and how to judge it."""
        options = self.options
        bins, ranges = layout.bins, layout.bins.ranges_m
        if options.max_range_m is not None:
            if ranges is None or ranges[-1] < ranges[0]:
                raise InstrumentFileError(
                    "must have bins with rising ranges for --max-range, got"
                    f" {'falling ranges' if ranges else 'none'}; name them with"
                    " --variables range=NAME",
                    path,
                )
            bins = bins.first(sum(one <= options.max_range_m for one in ranges))
            if not bins.ranges_m:
                raise InstrumentFileError(
                    f"must have bins within --max-range {options.max_range_m:g}, got"
                    f" the first at {ranges[0]:g} m",
                    path,
                )
        if options.declination_deg and layout.turned_deg:
            raise InstrumentFileError(
                "must have directions from magnetic north for --declination, got a file"
                f" that says it was turned by {layout.turned_deg:g} degrees; leave"
                " --declination out",
                path,
            )
        looking = options.looking
        if looking == "declared":
            looking = layout.looking or "down"
        elif looking == "up" and ranges is None:
            raise InstrumentFileError(
                "must have ranges of bins for --looking up, got none; name them with"
                " --variables range=NAME",
                path,
            )
        known = options.looking != "declared" or layout.looking
        instrument_m = options.instrument_depth_m
        if instrument_m is not None and not known and bins.ranges_m:
            raise InstrumentFileError(
                "must say where the instrument looks for --instrument-depth, got"
                " nothing; say it with --looking",
                path,
            )
        if instrument_m is not None and bins.ranges_m and not bins.depths_m:
            sign = -1 if looking == "up" else 1
            depths = tuple(round(instrument_m + sign * x, 4) for x in bins.ranges_m)
            bins = dataclasses.replace(bins, depths_m=depths)
        order = ("east", "north", "up", "echo")
        there = [one for one in order if one in layout.quantities]
        if "echo" in options.quantities and "echo" not in there:
            raise InstrumentFileError(
                "must have echo for --quantities echo, got none; name it with"
                " --variables echo=NAME, or leave it out",
                path,
            )
        columns = columns_of(there, bins, layout.echo_is_level)
        angle = options.beam_angle_deg
        return _Plan(
            bins,
            tuple(there),
            columns,
            cut_surface=looking == "up" and bins.ranges_m is not None,
            cell_m=layout.bins.cell_m,
            beam_angle_deg=(layout.beam_angle_deg or 0.0) if angle is None else angle,
        )

    def _judge(
        self, plan: _Plan, profiles: Profiles, path: str
    ) -> tuple[Array, dict[str, int]]:
        """Turn to true north, and take out what is not to be believed."""
        options = self.options
        fields = {
            key: value[:, : plan.bins.number] for key, value in profiles.fields.items()
        }
        counts: dict[str, int] = {}
        wet = self._wet(plan, profiles, path)
        if "east" in fields:
            east, north = currents.turned(
                fields["east"], fields["north"], options.declination_deg
            )
            there = ~(np.isnan(east) | np.isnan(north))
            counts["velocities missing in the files"] = int(np.count_nonzero(~there))
            good = there.copy()
            checks: list[tuple[str, NDArray[np.bool_] | None]] = [
                (
                    "velocities too fast",
                    currents.speed(east, north) <= options.max_speed_m_s,
                ),
                ("velocities beyond the surface", wet),
                (
                    "velocities of low correlation",
                    self._correlated(plan, profiles, path),
                ),
                ("velocities of few good pings", self._frequent(plan, profiles, path)),
            ]
            for what, passed in checks:
                if passed is not None:
                    counts[what] = int(np.count_nonzero(good & ~passed))
                    good &= passed
            fields["east"] = np.where(good, east, np.nan)
            fields["north"] = np.where(good, north, np.nan)
            if "up" in fields:
                # Of a sample whose horizontal part is not believed, no part is.
                believed = good & (np.abs(fields["up"]) <= options.max_speed_m_s)
                fields["up"] = np.where(believed, fields["up"], np.nan)
        if "echo" in fields and wet is not None:
            fields["echo"] = np.where(wet, fields["echo"], np.nan)
        values = np.concatenate([fields[one] for one in plan.quantities], axis=1)
        return values, {key: number for key, number in counts.items() if number}

    def _wet(
        self, plan: _Plan, profiles: Profiles, path: str
    ) -> NDArray[np.bool_] | None:
        if not plan.cut_surface:
            return None
        depth = profiles.depth_m
        if self.options.instrument_depth_m is not None:
            rows = len(next(iter(profiles.fields.values())))
            depth = np.full(rows, self.options.instrument_depth_m)
        if depth is None:
            if self.options.looking == "declared":
                return None
            raise InstrumentFileError(
                "must have the instrument's depth or pressure for --looking up, got"
                " neither; say the depth with --instrument-depth, or name a variable"
                " with --variables instrument_depth=NAME",
                path,
            )
        return currents.below_surface(
            np.array(plan.bins.ranges_m), plan.cell_m, depth, plan.beam_angle_deg
        )

    def _correlated(
        self, plan: _Plan, profiles: Profiles, path: str
    ) -> NDArray[np.bool_] | None:
        least = self.options.min_correlation
        if not least:
            return None
        if profiles.correlation is None:
            raise _unjudged("correlation", "--min-correlation", path)
        beams = profiles.correlation[:, :, : plan.bins.number]
        return currents.enough_beams(beams, least)

    def _frequent(
        self, plan: _Plan, profiles: Profiles, path: str
    ) -> NDArray[np.bool_] | None:
        least = self.options.min_percent_good
        if not least:
            return None
        if profiles.percent_good is None:
            raise _unjudged("percent_good", "--min-percent-good", path)
        share = currents.percent_good(profiles.percent_good[:, :, : plan.bins.number])
        return np.asarray(share >= least)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What to take of a file, and how to judge it."""

    bins: Bins
    quantities: tuple[str, ...]
    columns: tuple[Column, ...]
    cut_surface: bool
    cell_m: float
    beam_angle_deg: float


def _places(values: Sequence[float | None]) -> tuple[float, ...] | None:
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def _unjudged(role: str, flag: str, path: str) -> InstrumentFileError:
    return InstrumentFileError(
        f"must have {role} for {flag}, got none; name it with --variables {role}=NAME,"
        f" or leave {flag} out",
        path,
    )
