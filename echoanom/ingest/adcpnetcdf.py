"""Read current profiles from NetCDF, whoever named the variables."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError, MissingExtraError
from echoanom.ingest import currents
from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.adcpprofiles import (
    Array,
    Bins,
    Layout,
    Profiles,
    places_of,
    times_of,
)
from echoanom.ingest.adcpsearch import Search
from echoanom.ingest.adcpsources import Source, Sources
from echoanom.ingest.adcpvariables import (
    NAMES,
    is_decibel,
    length_factor,
    pressure_factor,
)

if TYPE_CHECKING:
    import xarray as xr

# What xarray and the libraries below it raise for files that are damaged, or whose
# attributes contradict each other.
_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, ArithmeticError, NotImplementedError),
)


@contextlib.contextmanager
def open_netcdf(
    path: str, local: str, options: AdcpOptions
) -> Iterator[NetcdfProfiles]:
    """Open a NetCDF file with current profiles.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.
    options : AdcpOptions
        How it is read.

    Yields
    ------
    NetcdfProfiles
        The open file.

    Raises
    ------
    InstrumentFileError
        If it is no such file, or misses what is needed.
    MissingExtraError
        If xarray or netCDF4 is not installed.
    """
    try:
        import netCDF4  # noqa: F401 - xarray reads with it
        import xarray as xr
    except ImportError:
        raise MissingExtraError("reading NetCDF", "ingest") from None
    with _reading(path):
        dataset = xr.open_dataset(
            local,
            engine="netcdf4",
            decode_times=False,
            decode_timedelta=False,
            cache=False,
        )
    with dataset:
        with _reading(path):
            profiles = NetcdfProfiles(path, dataset, options)
        yield profiles


class NetcdfProfiles:
    """An open NetCDF file with current profiles.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    dataset : xarray.Dataset
        Its content, times not decoded.
    options : AdcpOptions
        How it is read.

    Raises
    ------
    InstrumentFileError
        If it misses what is needed.
    """

    def __init__(self, path: str, dataset: xr.Dataset, options: AdcpOptions) -> None:
        self._path, self._dataset, self._options = path, dataset, options
        self._search = Search(path, dataset, options)
        found = Sources(self._search, dataset, options)
        self._sources, self._from = found.found, found.turned_round
        leading = next(iter(self._sources.values()))
        self._time_dim, self._bin_dim = self._dimensions(leading)
        self._bins = self._find_bins()
        if options.needs_velocity and "echo" in options.wanted:
            echo = self._search.find("echo", self._bin_dim)
            if echo and self._time_dim in dataset.variables[echo].dims:
                self._sources["echo"] = found.source(echo)
        for source in self._sources.values():
            if self._dimensions(source) != (self._time_dim, self._bin_dim):
                raise self._search.error(
                    f"{source.name} must have the dimensions of {leading.name},"
                    f" {self._time_dim} and {self._bin_dim}, got"
                    f" {', '.join(map(str, dataset.variables[source.name].dims))}"
                )
        self.times_us: NDArray[np.int64] = self._read_times()
        asked = {
            "correlation": options.min_correlation,
            "percent_good": options.min_percent_good,
        }
        self._judges = {
            role: name
            for role, least in asked.items()
            if least
            and (name := self._search.find(role, self._bin_dim))
            and self._time_dim in dataset.variables[name].dims
        }
        self._depth = self._find_depth()
        self.layout = self._describe()

    def read(self, first: int, behind: int) -> Profiles:
        """Read profiles.

        Parameters
        ----------
        first, behind : int
            Which: from `first` up to, not including, `behind`.

        Returns
        -------
        Profiles
            What they hold.

        Raises
        ------
        InstrumentFileError
            If the file is damaged.
        """
        rows = slice(first, behind)
        with _reading(self._path):
            beams = {
                quantity: self._array(source.name, rows, source.entry)
                for quantity, source in self._sources.items()
            }
            flags = {
                quantity: [
                    self._array(name, rows, source.entry) for name in source.quality
                ]
                for quantity, source in self._sources.items()
            }
            judges = {
                role: self._array(name, rows) for role, name in self._judges.items()
            }
            depth = self._array(self._depth.name, rows) if self._depth else None
        fields = {}
        for quantity, source in self._sources.items():
            level = quantity == "echo" and self.layout.echo_is_level
            values = currents.beam_mean(beams[quantity] * source.factor, level)
            for one in flags[quantity]:
                bad = np.isin(one, self._options.bad_flags).any(axis=0)
                values = np.where(bad, np.nan, values)
            fields[quantity] = values
        if "speed" in fields:
            speeds, towards = fields.pop("speed"), fields.pop("direction")
            speeds = np.where(speeds < 0, np.nan, speeds)
            if self._from:
                towards = towards + 180.0
            fields["east"], fields["north"] = currents.components(speeds, towards)
        if depth is not None and self._depth:
            depth = depth.reshape(len(depth[0])) * self._depth.factor
        return Profiles(fields, depth_m=depth, **judges)

    def _dimensions(self, source: Source) -> tuple[Hashable, Hashable | None]:
        variable = self._dataset.variables[source.name]
        taken = source.entry[0] if source.entry else None
        time = next(dim for dim in variable.dims if dim in self._search.clocks)
        others = [dim for dim in variable.dims if dim not in (time, taken)]
        # The dimension of beams has no place of bins along it.
        placed = [dim for dim in others if self._search.places_along(dim)]
        long = [dim for dim in others if variable.sizes[dim] > 1]
        if len(placed) > 1:
            placed = [dim for dim in placed if dim in long]
        candidates = placed or ([] if source is self._sources.get("echo") else long)
        if len(candidates) > 1:
            raise self._search.error(
                f"{source.name} must have one dimension of bins, got"
                f" {', '.join(map(str, candidates))}; name another variable with"
                " --variables"
            )
        rest = [dim for dim in long if dim not in candidates]
        if rest and source is not self._sources.get("echo"):
            raise self._search.error(
                f"{source.name} must have time and bins, got {rest[0]} too;"
                " name other variables with --variables east=NAME,north=NAME"
            )
        return time, (candidates[0] if candidates else None)

    def _find_bins(self) -> Bins:
        if self._bin_dim is None:
            return Bins()
        places: dict[str, tuple[float, ...]] = {}
        for role, name in self._search.places_along(self._bin_dim):
            unit = self._search.attribute(name, "units")
            factor = length_factor(unit)
            if factor is None:
                raise self._search.error(
                    f"units of {name} must be of length, got {unit!r}; name another"
                    f" variable with --variables {role}=NAME"
                )
            values = self._dataset.variables[name].values.astype(np.float64) * factor
            if role == "range" and (values < 0).all():
                # Heights above an instrument that looks down.
                values = -values
            places[role] = places_of(values, name, self._path)
        if not places:
            found = ", ".join(map(str, self._dataset.variables))
            raise self._search.error(
                f"must say where bins along {self._bin_dim} are, got {found}; looked for"
                f" {', '.join(NAMES['range'])} and {', '.join(NAMES['depth'])}; name it"
                " with --variables range=NAME or depth=NAME"
            )
        return Bins(places.get("range"), places.get("depth"))

    def _read_times(self) -> NDArray[np.int64]:
        import xarray as xr

        name = self._search.clocks[self._time_dim]
        unit = self._search.attribute(name, "units")
        if " since " not in unit:
            raise self._search.error(
                f"units of {name} must be such as 'seconds since 1970-01-01', got"
                f" {unit!r}; name another variable with --variables time=NAME"
            )
        numbers = self._dataset.variables[name].values
        if np.issubdtype(numbers.dtype, np.floating) and np.isnan(numbers).any():
            at = int(np.flatnonzero(np.isnan(numbers))[0])
            raise self._search.error(
                f"{name} must have a time for each profile, got none for"
                f" profile {at + 1}"
            )
        coder = xr.coders.CFDatetimeCoder(use_cftime=False, time_unit="ns")
        try:
            decoded = coder.decode(self._dataset.variables[name].load(), name).values
        except _UNREADABLE:
            calendar = self._search.attribute(name, "calendar") or "standard"
            raise self._search.error(
                f"{name} must be times of the standard calendar, got {unit!r} of the"
                f" {calendar} one; write it again with another unit"
            ) from None
        # Days counted as a fraction are off by less than a millisecond, and would put
        # what was measured on the minute into the one before.
        ns = decoded.astype("datetime64[ns]").astype(np.int64)
        times_us = (ns + 500_000) // 1_000_000 * 1000
        return times_of(times_us, self._path)

    def _find_depth(self) -> Source | None:
        """Return how deep the instrument is: depth itself, or pressure."""
        for role in ("instrument_depth", "pressure"):
            named = self._options.named.get(role)
            if named is not None:
                self._search.require(named)
            names = [self._search.names.get(one) for one in NAMES[role]]
            for name in [named] if named else [one for one in names if one]:
                variable = self._dataset.variables[name]
                longer = [dim for dim, size in variable.sizes.items() if size > 1]
                unit = self._search.attribute(name, "units")
                pressure = role == "pressure"
                factor = pressure_factor(unit) if pressure else length_factor(unit)
                if (
                    factor is not None
                    and self._search.usable(name)
                    and set(longer) <= {self._time_dim}
                    and self._time_dim in variable.dims
                ):
                    per_m = currents.DBAR_PER_M if pressure else 1.0
                    return Source(name, factor / per_m)
                if named:
                    raise self._search.error(
                        f"{named} must be {role.replace('_', ' ')} along"
                        f" {self._time_dim}, got dimensions {variable.dims!r} and unit"
                        f" {unit!r}"
                    )
        return None

    def _describe(self) -> Layout:
        attributes = {
            str(key).lower(): value for key, value in self._dataset.attrs.items()
        }
        declared = str(attributes.get("orientation", "")).strip().lower()
        looking: Literal["up", "down", ""] = ""
        if declared.startswith("up"):
            looking = "up"
        elif declared.startswith("down"):
            looking = "down"
        quantities = set(self._sources)
        if "speed" in quantities:
            quantities = quantities - {"speed", "direction"} | {"east", "north"}
        echo = self._sources.get("echo")
        return Layout(
            self._bins,
            frozenset(quantities),
            echo is not None and is_decibel(self._search.attribute(echo.name, "units")),
            looking,
            _number(attributes.get("beam_angle")),
            _number(attributes.get("declination"))
            or _number(attributes.get("magnetic_var_deg"))
            or 0.0,
        )

    def _array(
        self,
        name: str,
        rows: slice,
        entry: tuple[Hashable, int] | None = None,
    ) -> Array:
        """Read part of a variable: beams or 1, times, bins or 1."""
        variable = self._dataset.variables[name]
        chosen: dict[Hashable, Any] = {self._time_dim: rows}
        if entry is not None and entry[0] in variable.dims:
            chosen[entry[0]] = entry[1]
        part = variable.isel(chosen)
        for dim in part.dims:
            if dim not in (self._time_dim, self._bin_dim) and part.sizes[dim] == 1:
                part = part.isel({dim: 0})
        last = [dim for dim in part.dims if dim in (self._time_dim, self._bin_dim)]
        last.sort(key=lambda dim: dim != self._time_dim)
        beams = [dim for dim in part.dims if dim not in last]
        values = part.transpose(*beams, *last).values.astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        bins = values.shape[-1] if self._bin_dim in last else 1
        times = part.sizes[self._time_dim]
        return np.ascontiguousarray(values.reshape(-1, times, bins))


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turn what the libraries say of a file into one line, and keep them quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except _UNREADABLE as error:
            raise InstrumentFileError(
                f"must be NetCDF that can be read to its end, got {_one_line(error)};"
                " copy or write it again",
                path,
            ) from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def _number(value: Any) -> float | None:
    try:
        return float(np.asarray(value).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        return None
