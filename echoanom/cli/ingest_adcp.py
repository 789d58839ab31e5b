"""The command that reads current profilers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoanom.cli.ingesting import ingest_command
from echoanom.cli.parameters import Flag
from echoanom.ingest.adcpoptions import AdcpOptions

if TYPE_CHECKING:
    from echoanom.ingest.instrument import Instrument


def _make(options: AdcpOptions) -> Instrument:
    from echoanom.ingest.adcp import Adcp

    return Adcp(options)


@ingest_command(
    AdcpOptions,
    _make,
    {"max_gap_min": 60.0},
    quantities=Flag(
        "--quantities",
        "What to write of each bin: speed, direction, east, north, up, echo.",
        default="speed,direction, and echo where there is one",
    ),
    variables=Flag(
        "--variables",
        "What variables are called: east=NAME,north=NAME and so on; also up, speed,"
        " direction, velocity, echo, correlation, percent_good, pressure,"
        " instrument_depth, time, range, depth.",
        default="the usual names",
    ),
    velocity_unit=Flag(
        "--velocity-unit",
        "Unit of velocities, in place of the file's: m/s, cm/s, mm/s.",
        metavar="UNIT",
        default="the file's",
    ),
    declination_deg=Flag(
        "--declination",
        "Magnetic declination, east positive: currents are turned clockwise by it"
        " [degree].",
        metavar="DEG",
    ),
    directions=Flag(
        "--directions",
        "What a direction means where the file has no components.",
    ),
    looking=Flag(
        "--looking",
        "Where the instrument looks. If up, bins that the surface disturbs are missing.",
    ),
    beam_angle_deg=Flag(
        "--beam-angle",
        "Angle between beams and vertical [degree].",
        metavar="DEG",
        default="the file's, or 0",
    ),
    instrument_depth_m=Flag(
        "--instrument-depth",
        "The instrument's depth below the surface [m].",
        metavar="M",
        default="the file's",
    ),
    max_range_m=Flag(
        "--max-range",
        "Leave out bins beyond [m].",
        metavar="M",
        default="all bins",
    ),
    max_speed_m_s=Flag(
        "--max-speed", "Faster currents are missing [m/s].", metavar="M/S"
    ),
    min_correlation=Flag(
        "--min-correlation",
        "Velocities with less correlation are missing, in the file's unit.",
        metavar="N",
    ),
    min_percent_good=Flag(
        "--min-percent-good",
        "Velocities from a smaller share of the pings are missing [%].",
        metavar="N",
    ),
    bad_flags=Flag(
        "--bad-flags", "Flags of quality variables that make a value missing."
    ),
)
def adcp() -> None:
    """Make daily tables of current profilers' files: NetCDF or ODF.

    Each minute has the vector mean of its currents: speed, direction (where the water
    moves to, clockwise from true north) and echo of each bin. Gaps of at most --max-gap
    are filled along the vector. Velocities must be in earth coordinates.

    \b
    Example:
      echoanom ingest adcp mooring.nc observatory --declination -3.5
      echoanom ingest adcp awac/ observatory --looking up --beam-angle 25
      echoanom ingest adcp old.nc observatory --variables east=U1,north=V1
    """
