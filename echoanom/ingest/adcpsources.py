"""Say where each quantity of a current profiler's NetCDF file is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING

from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.adcpsearch import TO_EARTH, Search
from echoanom.ingest.adcpvariables import FROM_DIRECTION, angle_factor, speed_factor

if TYPE_CHECKING:
    import xarray as xr

_QUALITY_NAMES = ("{}_qc", "{}_quality_control", "{}_quality_flag", "{}_flag", "qc_{}")
_QUALITY = re.compile(r"(^|_)(qc|qartod|flags?|quality)(_|$)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a quantity is: a variable, or one entry along a dimension of it.

    Attributes
    ----------
    name : str
        The variable.
    factor : float
        What it is multiplied with to have the quantity's unit.
    entry : (dimension, int), optional
        Which entry along which dimension.
    quality : tuple of str
        Variables with a flag for each of its values.
    """

    name: str
    factor: float = 1.0
    entry: tuple[Hashable, int] | None = None
    quality: tuple[str, ...] = ()


class Sources:
    """Where currents are, or echo if nothing else is wanted.

    Parameters
    ----------
    search : Search
        Finds variables.
    dataset : xarray.Dataset
        The file's content.
    options : AdcpOptions
        What is wanted.

    Raises
    ------
    InstrumentFileError
        If something is missing, or not in earth coordinates.
    """

    def __init__(
        self, search: Search, dataset: xr.Dataset, options: AdcpOptions
    ) -> None:
        self._search, self._dataset, self._options = search, dataset, options
        self.turned_round = False
        """Directions say where the water comes from."""
        self.found: dict[str, Source] = {}
        """By quantity."""
        if options.needs_velocity:
            self._find_velocity()
        elif echo := search.find("echo"):
            self.found["echo"] = self.source(echo)
        else:
            raise search.missing(("echo",), "echo=NAME")

    def _find_velocity(self) -> None:
        named = self._options.named
        vector = self._search.find("velocity")
        parts = {role: self._search.find(role) for role in ("east", "north")}
        polar = {role: self._search.find(role) for role in ("speed", "direction")}
        if {"speed", "direction"} & set(named) and not {"east", "north"} & set(named):
            parts = {"east": None, "north": None}
            vector = named.get("velocity")
        if "velocity" in named and not {"east", "north"} & set(named):
            parts = {"east": None, "north": None}
        up = self._search.find("up") if "up" in self._options.wanted else None
        if parts["east"] and parts["north"]:
            for role, name in parts.items():
                assert name is not None
                self.found[role] = self._velocity(name)
        elif vector:
            self._split(vector)
        elif polar["speed"] and polar["direction"]:
            self.found["speed"] = self._velocity(polar["speed"])
            self.found["direction"] = self._direction(polar["direction"])
        else:
            raise self._search.missing(("east", "north"), "east=NAME,north=NAME")
        if up and "up" not in self.found:
            self.found["up"] = self._velocity(up)
        if "up" in self._options.wanted and "up" not in self.found:
            raise self._search.missing(("up",), "up=NAME")

    def _split(self, name: str) -> None:
        """Take components from along a dimension whose labels say which they are."""
        variable = self._dataset.variables[name]
        frame = self._search.frame()
        shown = frame
        for dim in variable.dims:
            if dim in self._search.clocks or dim not in self._dataset.variables:
                continue
            labels = [str(one).strip() for one in self._dataset.variables[dim].values]
            places = {label.lower(): index for index, label in enumerate(labels)}
            east = places.get("e", places.get("east"))
            north = places.get("n", places.get("north"))
            if east is not None and north is not None and frame in ("", "earth"):
                self.found["east"] = self._velocity(name, (dim, east))
                self.found["north"] = self._velocity(name, (dim, north))
                for label in ("u", "up", "u1"):
                    if label in places and "up" in self._options.wanted:
                        up = self._velocity(name, (dim, places[label]))
                        self.found.setdefault("up", up)
                return
            if len(labels) <= 5 and not shown:
                shown = f"components {', '.join(labels)}"
        raise self._search.error(
            f"{name} must be in earth coordinates, got {shown or 'no labels of them'};"
            f" {TO_EARTH}, or name variables with --variables east=NAME,north=NAME"
        )

    def source(
        self,
        name: str,
        factor: float = 1.0,
        entry: tuple[Hashable, int] | None = None,
    ) -> Source:
        """Describe a source, with the variables of its quality.

        Parameters
        ----------
        name : str
            The variable.
        factor : float
            What it is multiplied with.
        entry : (dimension, int), optional
            Which entry along which dimension.

        Returns
        -------
        Source
            The source.
        """
        names = [one.format(name.lower()) for one in _QUALITY_NAMES]
        names += [
            one.lower()
            for one in self._search.attribute(name, "ancillary_variables").split()
            if _QUALITY.search(one)
        ]
        dims = set(self._dataset.variables[name].dims)
        quality = {
            self._search.names[one]
            for one in names
            if one in self._search.names
            and set(self._dataset.variables[self._search.names[one]].dims) == dims
        }
        return Source(name, factor, entry, tuple(sorted(quality)))

    def _velocity(self, name: str, entry: tuple[Hashable, int] | None = None) -> Source:
        unit = self._options.velocity_unit or self._search.attribute(name, "units")
        factor = speed_factor(unit)
        if factor is None:
            raise self._search.error(
                f"units of {name} must be m/s, cm/s or mm/s, got {unit!r}; say them"
                " with --velocity-unit"
            )
        return self.source(name, factor, entry)

    def _direction(self, name: str) -> Source:
        unit = self._search.attribute(name, "units")
        factor = angle_factor(unit)
        if factor is None:
            raise self._search.error(
                f"units of {name} must be degrees or radians clockwise from north, got"
                f" {unit!r}; write it again in degrees"
            )
        declared = self._search.attribute(name, "standard_name") == FROM_DIRECTION
        self.turned_round = self._options.directions == "from" or (
            self._options.directions == "declared" and declared
        )
        return self.source(name, factor)
