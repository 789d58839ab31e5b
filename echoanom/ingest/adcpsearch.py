"""Find a current profiler's variables in a NetCDF file, or tell what is missing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from echoanom.errors import InstrumentFileError
from echoanom.ingest.adcpoptions import AdcpOptions
from echoanom.ingest.adcpvariables import NAMES, NOT_EARTH, STANDARD_NAMES

if TYPE_CHECKING:
    import xarray as xr

TO_EARTH = (
    "turn it first, with rotate2(dataset, 'earth') of MHKiT's dolfyn for example, and"
    " write it again"
)


class Search:
    """The variables of a NetCDF file, by what they hold.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    dataset : xarray.Dataset
        Its content, times not decoded.
    options : AdcpOptions
        With the names that were given.

    Raises
    ------
    InstrumentFileError
        If nothing tells the time.
    """

    def __init__(self, path: str, dataset: xr.Dataset, options: AdcpOptions) -> None:
        self._path, self._dataset, self._options = path, dataset, options
        self.names = {str(name).lower(): str(name) for name in dataset.variables}
        """Names as they are, by those in lower case."""
        self.clocks = self._find_clocks()
        """The time variable along each dimension that has one."""

    def find(self, role: str, also: Hashable | None = None) -> str | None:
        """Find the variable of something.

        Parameters
        ----------
        role : str
            What it holds: one of `ROLES`.
        also : hashable, optional
            A dimension that it has beside that of time.

        Returns
        -------
        str or None
            Its name: the one that was given, or by standard name, or a usual one.

        Raises
        ------
        InstrumentFileError
            If the one that was given is not there, or several could be meant.
        """
        if (named := self._options.named.get(role)) is not None:
            self.require(named)
            if not self.usable(named, also):
                raise self.error(
                    f"{named} must be numbers along time"
                    + (f" and {also}" if also is not None else "")
                    + f", got dimensions {self._dataset.variables[named].dims!r}"
                )
            return named
        standard = [
            str(name)
            for name in self._dataset.variables
            if self.attribute(str(name), "standard_name")
            in STANDARD_NAMES.get(role, ())
            and self.usable(str(name), also)
        ]
        if len(standard) > 1:
            usual = [name for name in standard if name.lower() in NAMES[role]]
            if len(usual) != 1:
                raise self.error(
                    f"must have one variable of {role}, got {', '.join(standard)}; say"
                    f" which with --variables {role}={standard[0]}"
                )
            standard = usual
        if standard:
            return standard[0]
        for lower in NAMES[role]:
            name = self.names.get(lower)
            if name is not None and self.usable(name, also):
                return name
        return None

    def usable(self, name: str, also: Hashable | None = None) -> bool:
        """Tell whether a variable is numbers along time.

        Parameters
        ----------
        name : str
            The variable.
        also : hashable, optional
            A dimension that it must have beside that of time.

        Returns
        -------
        bool
            True if it is.
        """
        variable = self._dataset.variables[name]
        return (
            variable.dtype.kind in "fiu"
            and any(dim in self.clocks for dim in variable.dims)
            and name not in self.clocks.values()
            and (also is None or also in variable.dims)
        )

    def places_along(self, dim: Hashable) -> list[tuple[str, str]]:
        """Find what says where the bins along a dimension are.

        Parameters
        ----------
        dim : hashable
            The dimension.

        Returns
        -------
        list of (str, str)
            ``range`` or ``depth``, and the variable.
        """
        found: list[tuple[str, str]] = []
        for role in ("range", "depth"):
            named = self._options.named.get(role)
            if named is not None:
                self.require(named)
                if self._dataset.variables[named].dims == (dim,):
                    found.append((role, named))
                continue
            for name in self._dataset.variables:
                text, lower = str(name), str(name).lower()
                if self._dataset.variables[text].dims != (dim,) or dim in self.clocks:
                    continue
                standard = self.attribute(text, "standard_name")
                if role == "depth" and standard == "depth" or lower in NAMES[role]:
                    found.append((role, text))
                    break
        return found

    def require(self, name: str) -> None:
        """Refuse a file without a variable that was named.

        Parameters
        ----------
        name : str
            The variable.

        Raises
        ------
        InstrumentFileError
            If it is not there.
        """
        if name not in self._dataset.variables:
            found = ", ".join(map(str, self._dataset.variables)) or "no variable at all"
            raise self.error(
                f"must have the variable {name} that --variables names, got {found}"
            )

    def attribute(self, name: str, key: str) -> str:
        """Read an attribute of a variable.

        Parameters
        ----------
        name : str
            The variable.
        key : str
            The attribute.

        Returns
        -------
        str
            Its text; empty if there is none.
        """
        return str(self._dataset.variables[name].attrs.get(key, "")).strip()

    def frame(self) -> str:
        """Read which coordinates the file says its velocities are in.

        Returns
        -------
        str
            Lower case, ``earth`` for example; empty if it does not say.
        """
        for key, value in self._dataset.attrs.items():
            if key.lower() in ("coord_sys", "coordinate_system", "coord_system"):
                return str(value).strip().lower()
        return ""

    def missing(self, roles: Sequence[str], flag: str) -> InstrumentFileError:
        """Make the error for what is not there.

        Parameters
        ----------
        roles : sequence of str
            What was looked for.
        flag : str
            What ``--variables`` could say.

        Returns
        -------
        InstrumentFileError
            It says what was looked for, and what there is.
        """
        looked = "; ".join(
            f"{role} as {', '.join(NAMES[role])}, or by standard name" for role in roles
        )
        found = ", ".join(map(str, self._dataset.variables)) or "no variable at all"
        frame = self.frame()
        odd = [name for name in self.names.values() if NOT_EARTH.match(name)]
        if "east" in roles and (odd or frame not in ("", "earth")):
            return self.error(
                "must be in earth coordinates, got"
                f" {frame or 'what looks like beams or axes: ' + ', '.join(odd)};"
                f" {TO_EARTH}, or name variables with --variables {flag}"
            )
        what = " and ".join(roles) + ("" if "time" in roles else " along time")
        return self.error(
            f"must have {what}, got {found}; looked for {looked}; name them with"
            f" --variables {flag}"
        )

    def error(self, message: str) -> InstrumentFileError:
        """Make an error about the file.

        Parameters
        ----------
        message : str
            What must hold, and what came.

        Returns
        -------
        InstrumentFileError
            To be raised.
        """
        return InstrumentFileError(message, self._path)

    def _find_clocks(self) -> dict[Hashable, str]:
        """Return the time variable along each dimension that has one."""
        named = self._options.named.get("time")
        if named is not None:
            self.require(named)
        clocks: dict[Hashable, str] = {}
        ranked = []
        for name, variable in self._dataset.variables.items():
            text = str(name)
            if variable.ndim != 1 or (named is not None and text != named):
                continue
            lower = text.lower()
            by_name = lower in NAMES["time"] or text == variable.dims[0]
            standard = self.attribute(text, "standard_name") == "time"
            since = " since " in self.attribute(text, "units")
            if named or standard or since or lower in NAMES["time"]:
                ranked.append((not since, not by_name, not standard, text))
        for *_, text in sorted(ranked):
            clocks.setdefault(self._dataset.variables[text].dims[0], text)
        if not clocks:
            raise self.missing(("time",), "time=NAME")
        return clocks
