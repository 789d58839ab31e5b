"""Arithmetic of currents: vectors, beams, and which bins are in the water.

References
----------
.. [1] Gordon, R. L. (1996). Acoustic Doppler Current Profilers, Principles of
   Operation: A Practical Primer. RD Instruments. (Sections on echoes from the surface,
   and on data quality.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Three beams make a velocity in three dimensions.
_BEAMS_NEEDED = 3
# Pressure of a metre of sea water, 1025 kg/m³ at 9.80665 m/s² [dbar].
DBAR_PER_M = 1025.0 * 9.80665 / 1e4


def speed(east: Array, north: Array) -> Array:
    """Compute how fast the water moves.

    Parameters
    ----------
    east, north : ndarray of float64
        Components, of one shape [m/s].

    Returns
    -------
    ndarray of float64
        Speed, of the same shape [m/s].
    """
    return np.hypot(east, north)


def direction(east: Array, north: Array) -> Array:
    """Compute where the water moves to.

    Parameters
    ----------
    east, north : ndarray of float64
        Components, of one shape [m/s].

    Returns
    -------
    ndarray of float64
        Direction clockwise from north, in [0, 360), of the same shape [degree]. NaN
        where the water stands still.
    """
    angles = np.mod(np.rad2deg(np.arctan2(east, north)), 360.0)
    # Just below north rounds up to 360, at the latest in float32.
    angles = np.where(angles.astype(np.float32) >= 360, 0.0, angles)
    return np.where((east == 0) & (north == 0), np.nan, angles)


def components(speeds: Array, towards: Array) -> tuple[Array, Array]:
    """Compute components from speed and direction.

    Parameters
    ----------
    speeds : ndarray of float64
        Speed [m/s].
    towards : ndarray of float64
        Where the water moves to, clockwise from north, of the same shape [degree].

    Returns
    -------
    east, north : ndarray of float64
        Components, of the same shape [m/s].
    """
    # NumPy may take other instructions for arrays that are not contiguous, and then the
    # last bit depends on the piece that was read.
    angles = np.deg2rad(np.ascontiguousarray(towards))
    speeds = np.ascontiguousarray(speeds)
    # Water that stands still needs no direction.
    still = speeds == 0
    east = np.where(still, 0.0, speeds * np.sin(angles))
    return east, np.where(still, 0.0, speeds * np.cos(angles))


def turned(east: Array, north: Array, declination_deg: float) -> tuple[Array, Array]:
    """Turn components from magnetic to true north.

    Parameters
    ----------
    east, north : ndarray of float64
        Components towards magnetic east and north [m/s].
    declination_deg : float
        Magnetic declination, positive where the needle points east of north [degree].

    Returns
    -------
    east, north : ndarray of float64
        Components towards true east and north [m/s].
    """
    if declination_deg == 0:
        return east, north
    angle = math.radians(declination_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    return east * cos + north * sin, north * cos - east * sin


def beam_mean(beams: Array, level: bool) -> Array:
    """Average over beams.

    Parameters
    ----------
    beams : ndarray of float64, shape (K, N, B)
        What each of K beams measured; NaN where missing.
    level : bool
        They are levels [dB], and averaged as power.

    Returns
    -------
    ndarray of float64, shape (N, B)
        Means of the beams that have a value.
    """
    if len(beams) == 1:
        only: Array = beams[0]
        return only
    total = np.zeros(beams.shape[1:])
    number = np.zeros(beams.shape[1:])
    # Beam by beam: the order of the sum does not depend on the arrays' layout.
    for beam in beams:
        there = ~np.isnan(beam)
        terms = 10.0 ** (np.ascontiguousarray(beam) / 10.0) if level else beam
        total += np.where(there, terms, 0.0)
        number += there
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / number
        return 10.0 * np.log10(mean) if level else mean


def enough_beams(correlation: Array, least: float) -> NDArray[np.bool_]:
    """Tell where enough beams have a good correlation.

    Parameters
    ----------
    correlation : ndarray of float64, shape (K, N, B)
        Correlation of each of K beams, in the file's unit.
    least : float
        Least good one.

    Returns
    -------
    ndarray of bool, shape (N, B)
        Three beams at least, or all if there are fewer, are as good as that.
    """
    good = np.count_nonzero(correlation >= least, axis=0)
    return np.asarray(good >= min(_BEAMS_NEEDED, len(correlation)))


def percent_good(fields: Array) -> Array:
    """Compute the share of pings that made a velocity.

    Parameters
    ----------
    fields : ndarray of float64, shape (K, N, B)
        Percentages. Of RDI's four in earth coordinates the first counts solutions of
        three beams and the fourth those of four.

    Returns
    -------
    ndarray of float64, shape (N, B)
        Share [%].
    """
    four = len(fields) == 4
    share: Array = fields[0] + fields[3] if four else fields.min(axis=0)
    return share


def below_surface(
    ranges_m: Array, cell_m: float, depth_m: Array, beam_angle_deg: float
) -> NDArray[np.bool_]:
    """Tell which bins of an upward-looking profiler the surface does not disturb.

    Side lobes that go straight up come back from the surface when slanted beams have
    gone `depth_m` along their way, so bins beyond ``depth_m * cos(beam_angle_deg)`` hold
    an echo of the surface [1]_.

    Parameters
    ----------
    ranges_m : ndarray of float64, shape (B,)
        Vertical distance of each bin's centre from the instrument [m].
    cell_m : float
        Size of a bin [m].
    depth_m : ndarray of float64, shape (N,)
        The instrument's depth below the surface [m].
    beam_angle_deg : float
        Angle between the beams and the vertical [degree].

    Returns
    -------
    ndarray of bool, shape (N, B)
        True where a bin ends before. False where the depth is missing.
    """
    reach = depth_m * math.cos(math.radians(beam_angle_deg))
    ends = ranges_m + cell_m / 2
    return np.asarray(ends[None, :] <= reach[:, None])
