"""What current profilers' variables are called, and their units."""

from __future__ import annotations

import re

# Lower case. Names of MHKiT (dolfyn), pyadps, IMOS, EPIC (USGS), SeaDataNet, OceanSITES.
NAMES: dict[str, tuple[str, ...]] = {
    "east": (
        *("u", "east", "ucur", "u_1205", "ewct", "lcewap01", "vel_east", "east_vel"),
        *("velocity_east", "east_velocity", "eastward_velocity", "u_velocity"),
        *("eastward_sea_water_velocity", "ucur_mag", "water_u", "u_east", "veast"),
    ),
    "north": (
        *("v", "north", "vcur", "v_1206", "nsct", "lcnsap01", "vel_north"),
        *("north_vel", "velocity_north", "north_velocity", "northward_velocity"),
        *(
            "v_velocity",
            "northward_sea_water_velocity",
            "vcur_mag",
            "water_v",
            "v_north",
            "vnorth",
        ),
    ),
    "up": (
        *("w", "up", "wcur", "w_1204", "vcsp", "lrzaap01", "vel_up", "up_vel"),
        *("velocity_up", "up_velocity", "upward_velocity", "vertical_velocity"),
        *("w_velocity", "upward_sea_water_velocity"),
    ),
    "speed": (
        *("u_mag", "current_speed", "speed", "cspd", "sea_water_speed", "hcsp"),
        *("cs_300", "velocity_magnitude", "magnitude", "current_magnitude"),
    ),
    "direction": (
        *("u_dir", "current_direction", "direction", "cdir", "hcdt", "cd_310"),
        *("sea_water_velocity_to_direction", "velocity_direction"),
        "direction_of_sea_water_velocity",
    ),
    "velocity": ("vel", "velocity"),
    "echo": (
        *("echo_intensity", "amp", "amplitude", "echo", "agc_1202", "absi", "beam"),
        *("echointensity", "echo_int", "mean_echo", "tnihce01", "aspamp"),
    ),
    "correlation": ("corr", "correlation", "cor", "cmag", "correlation_magnitude"),
    "percent_good": (
        *("prcnt_gd", "percent_good", "percentgood", "pgood", "perg", "pgd_1203"),
        "pct_good",
    ),
    "pressure": (
        *("pressure", "pres", "press", "p_1", "pres_rel", "presprs01"),
        *("sea_water_pressure", "sea_water_pressure_due_to_sea_water"),
    ),
    "instrument_depth": (
        *("depth", "instrument_depth", "sensor_depth", "xducer_depth", "d_3"),
        *("transducer_depth", "depth_of_transducer"),
    ),
    "time": ("time", "time_utc", "datetime", "date_time", "ensemble_time"),
    "range": (
        *("range", "distance", "bindist", "bin_distance", "bin_range", "ranges"),
        *("height_above_sensor", "cell_range", "height", "distances", "cell_distance"),
    ),
    "depth": ("depth", "depths", "bin_depth", "bindepth", "depth_bin", "z"),
}

# CF standard name table.
STANDARD_NAMES: dict[str, tuple[str, ...]] = {
    "east": ("eastward_sea_water_velocity",),
    "north": ("northward_sea_water_velocity",),
    "up": ("upward_sea_water_velocity",),
    "speed": ("sea_water_speed",),
    "direction": (
        *("sea_water_velocity_to_direction", "direction_of_sea_water_velocity"),
        "sea_water_velocity_from_direction",
    ),
    "echo": (
        "signal_intensity_from_multibeam_acoustic_doppler_velocity_sensor_in_sea_water",
    ),
    "correlation": (
        "beam_consistency_indicator_from_multibeam_acoustic_doppler_velocity"
        "_profiler_in_sea_water",
    ),
    "percent_good": (
        "proportion_of_acceptable_signal_returns_from_acoustic_instrument_in_sea_water",
    ),
    "pressure": ("sea_water_pressure", "sea_water_pressure_due_to_sea_water"),
    "time": ("time",),
}

FROM_DIRECTION = "sea_water_velocity_from_direction"

# Names that tell of velocities along beams, or along the instrument's own axes.
NOT_EARTH = re.compile(
    r"^(vel(ocity)?|v|radial)_?(beam|b)?_?[1-5xyz]$|^beam_?[1-5](_vel.*)?$",
    re.IGNORECASE,
)

_DEGREES = {"", "1", "degree", "degrees", "deg", "°", "degrees_true", "degree_true"}
_DEGREES |= {"degrees_t", "degt", "degrees_cw_from_n", "degrees_cw_from_north"}
_RADIANS = {"radian", "radians", "rad"}
_SPEEDS = {"m/s": 1.0, "cm/s": 0.01, "mm/s": 0.001}
_LENGTHS = {
    **dict.fromkeys(("", "1", "m", "meter", "meters", "metre", "metres"), 1.0),
    **{"cm": 0.01, "mm": 0.001, "dm": 0.1, "km": 1000.0},
}
_PRESSURES = {
    **dict.fromkeys(("", "dbar", "decibar", "decibars"), 1.0),
    **{"bar": 10.0, "mbar": 0.01, "pa": 1e-4, "hpa": 0.01, "kpa": 0.1},
}
_WORDS = (
    (r"millimet(er|re)s?", "mm"),
    (r"centimet(er|re)s?", "cm"),
    (r"met(er|re)s?", "m"),
    (r"sec(ond)?s?", "s"),
)


def speed_factor(unit: str) -> float | None:
    """Return what a velocity is multiplied with.

    Parameters
    ----------
    unit : str
        Its unit, in one of the usual spellings: ``m s-1``, ``cm/s``.

    Returns
    -------
    float or None
        The unit [m/s]; None if it is none of velocity.
    """
    text = unit.strip().lower().replace("^", "").replace("*", "").replace("−", "-")
    for pattern, short in _WORDS:
        text = re.sub(rf"\b{pattern}\b", short, text)
    match = re.fullmatch(
        r"([cm]?m)\s*(?:/\s*s(?:ec)?|\s+per\s+s|[ .]*s\s*(?:\*\*)?(?:-1|⁻¹|-¹))", text
    )
    return _SPEEDS[f"{match[1]}/s"] if match else None


def length_factor(unit: str) -> float | None:
    """Return what a length is multiplied with.

    Parameters
    ----------
    unit : str
        Its unit; metres if empty.

    Returns
    -------
    float or None
        The unit [m]; None if it is none of length.
    """
    return _LENGTHS.get(unit.strip().lower())


def pressure_factor(unit: str) -> float | None:
    """Return what a pressure is multiplied with.

    Parameters
    ----------
    unit : str
        Its unit; decibars if empty.

    Returns
    -------
    float or None
        The unit [dbar]; None if it is none of pressure.
    """
    return _PRESSURES.get(unit.strip().lower())


def angle_factor(unit: str) -> float | None:
    """Return what a direction clockwise from north is multiplied with.

    Parameters
    ----------
    unit : str
        Its unit; degrees if empty.

    Returns
    -------
    float or None
        The unit [degree]; None if it is none of these.
    """
    text = unit.strip().lower().replace(" ", "_")
    if text in _DEGREES:
        return 1.0
    return 57.29577951308232 if text in _RADIANS else None


def is_decibel(unit: str) -> bool:
    """Tell whether echo is a level.

    Parameters
    ----------
    unit : str
        Its unit.

    Returns
    -------
    bool
        True for dB.
    """
    return unit.strip().lower().startswith(("db", "decibel"))
