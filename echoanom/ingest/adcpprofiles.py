"""What the readers of current profilers' files hand over, and its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column, Kind
from echoanom.errors import InstrumentFileError

Array = NDArray[np.float64]

_UNITS: dict[str, tuple[str, Kind, str | None]] = {
    "speed": ("m/s", "scalar", "sea_water_speed"),
    "direction": ("degree", "direction", "sea_water_velocity_to_direction"),
    "east": ("m/s", "scalar", "eastward_sea_water_velocity"),
    "north": ("m/s", "scalar", "northward_sea_water_velocity"),
    "up": ("m/s", "scalar", "upward_sea_water_velocity"),
}
_ECHO_COUNTS: tuple[str, Kind, str | None] = (
    "count",
    "scalar",
    "signal_intensity_from_multibeam_acoustic_doppler_velocity_sensor_in_sea_water",
)
_ECHO_LEVEL: tuple[str, Kind, str | None] = ("dB", "level", None)


@dataclasses.dataclass(frozen=True)
class Bins:
    """Where the bins of a profile are.

    Attributes
    ----------
    ranges_m : tuple of float, optional
        Distance of each from the instrument, length B [m].
    depths_m : tuple of float, optional
        Depth of each below the surface, length B [m].
    """

    ranges_m: tuple[float, ...] | None = None
    depths_m: tuple[float, ...] | None = None

    @property
    def number(self) -> int:
        """How many there are; 1 if it is not known where."""
        return len(self.ranges_m or self.depths_m or (0.0,))

    @property
    def cell_m(self) -> float:
        """Distance between neighbours [m]; 0 if there is one."""
        places = self.ranges_m or self.depths_m or ()
        return float(np.median(np.abs(np.diff(places)))) if len(places) > 1 else 0.0

    def first(self, number: int) -> Bins:
        """Take the first of them.

        Parameters
        ----------
        number : int
            How many.

        Returns
        -------
        Bins
            These.
        """
        return Bins(
            self.ranges_m and self.ranges_m[:number],
            self.depths_m and self.depths_m[:number],
        )


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a file has of each bin.

    Attributes
    ----------
    bins : Bins
        Its bins.
    quantities : frozenset of str
        What there is: east, north, up, echo.
    echo_is_level : bool
        Echo is in dB, else in counts.
    looking : {'up', 'down', ''}
        Where the instrument looks; empty if the file does not tell.
    beam_angle_deg : float, optional
        Angle between beams and vertical [degree].
    turned_deg : float
        Declination by which its velocities have been turned [degree].
    """

    bins: Bins
    quantities: frozenset[str]
    echo_is_level: bool = False
    looking: Literal["up", "down", ""] = ""
    beam_angle_deg: float | None = None
    turned_deg: float = 0.0


@dataclasses.dataclass(frozen=True)
class Profiles:
    """Profiles of a stretch of time.

    Attributes
    ----------
    fields : mapping of str to ndarray of float64, shape (N, B)
        east, north, up [m/s] and echo; NaN where missing.
    correlation, percent_good : ndarray of float64, shape (K, N, B), optional
        As measured by each beam.
    depth_m : ndarray of float64, shape (N,), optional
        The instrument's depth below the surface [m].
    """

    fields: Mapping[str, Array]
    correlation: Array | None = None
    percent_good: Array | None = None
    depth_m: Array | None = None


class ProfileFile(Protocol):
    """A current profiler's file that is open."""

    @property
    def layout(self) -> Layout:
        """What it has."""

    @property
    def times_us(self) -> NDArray[np.int64]:
        """Time of each profile since 1970 UTC, shape (N,) [µs]."""

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
            If they cannot be read.
        """


def columns_of(
    quantities: Sequence[str], bins: Bins, echo_is_level: bool
) -> tuple[Column, ...]:
    """Describe the columns of some quantities.

    Parameters
    ----------
    quantities : sequence of str
        Which.
    bins : Bins
        Their bins; those without a place have names without one.
    echo_is_level : bool
        Echo is in dB, else in counts.

    Returns
    -------
    tuple of Column
        Quantity after quantity, each with all bins.
    """
    columns = []
    places = bins.ranges_m or bins.depths_m
    for quantity in quantities:
        echo = _ECHO_LEVEL if echo_is_level else _ECHO_COUNTS
        unit, kind, standard_name = _UNITS.get(quantity, echo)
        for index in range(bins.number):
            name = f"{quantity}_{_label(places[index])}m" if places else quantity
            columns.append(
                Column(
                    name,
                    "",
                    unit,
                    kind,
                    range_m=bins.ranges_m[index] if bins.ranges_m else None,
                    depth_m=bins.depths_m[index] if bins.depths_m else None,
                    standard_name=standard_name,
                )
            )
    return tuple(columns)


def places_of(values: NDArray[np.floating], name: str, path: str) -> tuple[float, ...]:
    """Check where bins are.

    Parameters
    ----------
    values : ndarray of float, shape (B,)
        Their ranges or depths [m].
    name : str
        The variable's name, for the message.
    path : str
        The file's, for the message.

    Returns
    -------
    tuple of float
        The same, to a tenth of a millimetre [m].

    Raises
    ------
    InstrumentFileError
        If they do not rise, or fall, from one bin to the next.
    """
    places = [round(float(value), 4) for value in values]
    if not np.isfinite(places).all():
        raise InstrumentFileError(
            f"{name} must say where each bin is, got {places[_not_finite(places)]!r}"
            f" for bin {_not_finite(places) + 1}; name another variable with"
            " --variables range=NAME",
            path,
        )
    steps = np.diff(places)
    wrong = np.flatnonzero(steps * (steps[0] if len(steps) else 1.0) <= 0)
    if len(wrong):
        at = int(wrong[0])
        raise InstrumentFileError(
            f"{name} must rise, or fall, from bin to bin, got {places[at + 1]:g} m after"
            f" {places[at]:g} m at bin {at + 2}; name another variable with"
            " --variables range=NAME",
            path,
        )
    labels = [_label(place) for place in places]
    if len(set(labels)) < len(labels):
        raise InstrumentFileError(
            f"bins must be 0.01 m apart at least, got {name} in steps of"
            f" {np.abs(steps).min():g} m; check its unit",
            path,
        )
    return tuple(places)


def times_of(
    times_us: NDArray[np.int64], path: str, where: str = "profile"
) -> NDArray[np.int64]:
    """Check that the clock runs forwards.

    Parameters
    ----------
    times_us : ndarray of int64, shape (N,)
        Times since 1970 UTC [µs].
    path : str
        The file's, for the message.
    where : str
        What they count.

    Returns
    -------
    ndarray of int64, shape (N,)
        The same.

    Raises
    ------
    InstrumentFileError
        If there is none, or one is not later than that before.
    """
    if not len(times_us):
        raise InstrumentFileError(f"must hold samples, got no {where}", path)
    wrong = np.flatnonzero(np.diff(times_us) <= 0)
    if len(wrong):
        at = int(wrong[0])
        before, after = (
            np.datetime64(int(times_us[x]), "us").item().isoformat(" ")
            for x in (at, at + 1)
        )
        raise InstrumentFileError(
            f"time must rise from {where} to {where}, got {after} after {before} at"
            f" {where} {at + 2}; sort it, or cut it there",
            path,
        )
    return times_us


def _label(place: float) -> str:
    return f"{round(place, 2):.10g}"


def _not_finite(places: Sequence[float]) -> int:
    return int(np.flatnonzero(~np.isfinite(places))[0])
