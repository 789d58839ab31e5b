"""How current profilers are read."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from echoanom.checking import Options
from echoanom.errors import OptionError

QUANTITIES = ("speed", "direction", "east", "north", "up", "echo")

# Whose variables can be named.
ROLES = (
    *("east", "north", "up", "speed", "direction", "velocity", "echo", "correlation"),
    *("percent_good", "pressure", "instrument_depth", "time", "range", "depth"),
)

Directions = Literal["declared", "towards", "from"]
Looking = Literal["declared", "up", "down"]


@dataclasses.dataclass(frozen=True)
class AdcpOptions(Options):
    """How current profilers are read.

    Attributes
    ----------
    quantities : tuple of str
        What to write of each bin: speed, direction, east, north, up, echo. Empty:
        speed, direction, and echo where there is one.
    variables : tuple of str
        What variables are called, as ``east=NAME``, where it is not one of the usual
        names.
    velocity_unit : str
        Unit of velocities, in place of what the file says: m/s, cm/s, mm/s.
    declination_deg : float
        Magnetic declination, by which currents are turned clockwise [degree].
    directions : {'declared', 'towards', 'from'}
        What a direction in the file means, where there are no components: as the file
        declares it, or else towards.
    looking : {'declared', 'up', 'down'}
        Where the instrument looks.
    beam_angle_deg : float, optional
        Angle between beams and vertical [degree]. None: as the file declares it.
    instrument_depth_m : float, optional
        The instrument's depth below the surface, in place of what the file says [m].
    max_range_m : float, optional
        Bins beyond are left out [m].
    max_speed_m_s : float
        Faster currents are missing [m/s].
    min_correlation : float
        Least correlation of a beam, in the file's unit. 0 asks for none.
    min_percent_good : float
        Least share of pings that made a velocity [%]. 0 asks for none.
    bad_flags : tuple of int
        Flags of quality variables that make a value missing.
    """

    quantities: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    velocity_unit: str = ""
    declination_deg: float = 0.0
    directions: Directions = "declared"
    looking: Looking = "declared"
    beam_angle_deg: float | None = None
    instrument_depth_m: float | None = None
    max_range_m: float | None = None
    max_speed_m_s: float = 30.0
    min_correlation: float = 0.0
    min_percent_good: float = 0.0
    bad_flags: tuple[int, ...] = (3, 4, 9)

    def __post_init__(self) -> None:
        if unknown := [one for one in self.quantities if one not in QUANTITIES]:
            raise OptionError(
                f"quantities must be of {', '.join(QUANTITIES)}, got {unknown[0]!r}"
            )
        if len(set(self.quantities)) < len(self.quantities):
            raise OptionError(
                f"quantities must be different from each other, got {self.quantities!r}"
            )
        self._check_variables()
        if self.velocity_unit not in ("", "m/s", "cm/s", "mm/s"):
            raise OptionError(
                f"velocity_unit must be m/s, cm/s or mm/s, got {self.velocity_unit!r}"
            )
        for name, least, most in (
            ("declination_deg", -180.0, 180.0),
            ("beam_angle_deg", 0.0, 60.0),
            ("instrument_depth_m", 0.0, 12_000.0),
            ("max_range_m", 0.01, 12_000.0),
            ("max_speed_m_s", 0.001, 1000.0),
            ("min_correlation", 0.0, 255.0),
            ("min_percent_good", 0.0, 100.0),
        ):
            value = getattr(self, name)
            if value is not None and not (
                math.isfinite(value) and least <= value <= most
            ):
                raise OptionError(
                    f"{name} must be from {least:g} to {most:g}, got {value!r}"
                )

    def _check_variables(self) -> None:
        roles = []
        for one in self.variables:
            role, equals, name = one.partition("=")
            if not equals or not name or role not in ROLES:
                raise OptionError(
                    f"variables must be like east=NAME, for {', '.join(ROLES)};"
                    f" got {one!r}"
                )
            roles.append(role)
        if len(set(roles)) < len(roles):
            raise OptionError(
                f"variables must name each once, got {', '.join(self.variables)}"
            )

    @property
    def named(self) -> dict[str, str]:
        """Names of variables that were given, by what they hold."""
        return {
            role: name
            for role, _, name in (one.partition("=") for one in self.variables)
        }

    @property
    def wanted(self) -> tuple[str, ...]:
        """What to write of each bin, echo included where it may be missing."""
        return self.quantities or ("speed", "direction", "echo")

    @property
    def needs_velocity(self) -> bool:
        """Whether anything but echo is asked for."""
        return set(self.wanted) != {"echo"}
