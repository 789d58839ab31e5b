"""Tides at the observatory: level and current of the five greatest constituents.

The frequencies are those of the harmonic constituents [1]_. Amplitudes and phases are
set to the size that tides have on this coast; no harmonic analysis stands behind them,
and nodal corrections are left out.

References
----------
.. [1] Schureman, P. (1958), Manual of Harmonic Analysis and Prediction of Tides.
   U.S. Coast and Geodetic Survey, Special Publication 98.
"""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.site import DAY_MIN

_EPOCH_MIN = datetime.date(2000, 1, 1).toordinal() * DAY_MIN


@dataclasses.dataclass(frozen=True)
class Constituent:
    """One harmonic of the tide.

    Attributes
    ----------
    name : str
        Its usual name.
    speed_deg_h : float
        Angular speed [degree/h].
    level_m : float
        Amplitude of the level [m].
    current_m_s : float
        Greatest current, along the shelf edge [m/s].
    roundness : float
        Least current over greatest; negative turns clockwise.
    phase_deg : float
        Phase at 2000-01-01T00:00Z [degree].
    """

    name: str
    speed_deg_h: float
    level_m: float
    current_m_s: float
    roundness: float
    phase_deg: float


CONSTITUENTS = (
    Constituent("M2", 28.9841042, 0.65, 0.110, -0.35, 20.0),
    Constituent("S2", 30.0000000, 0.23, 0.038, -0.35, 60.0),
    Constituent("N2", 28.4397295, 0.13, 0.022, -0.35, 355.0),
    Constituent("K1", 15.0410686, 0.08, 0.030, -0.60, 170.0),
    Constituent("O1", 13.9430356, 0.03, 0.015, -0.60, 320.0),
)

# The shelf edge runs to the north-east, clockwise from north.
SHELF_DIRECTION_DEG = 40.0
_CURRENT_LEAD_DEG = 65.0


def level(minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the tide's level.

    Parameters
    ----------
    minutes : ndarray of int64, shape (T,)
        Minutes of UTC, counted from day 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        Height above mean sea level [m].
    """
    total = np.zeros(len(minutes))
    for constituent in CONSTITUENTS:
        total += constituent.level_m * np.cos(_phase(constituent, minutes))
    return total


def current(
    minutes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the tide's current, the same at all depths outside the bottom layer.

    Parameters
    ----------
    minutes : ndarray of int64, shape (T,)
        Minutes of UTC, counted from day 0.

    Returns
    -------
    east, north : ndarray of float64, shape (T,)
        Components of the current [m/s].
    """
    along, across = np.zeros(len(minutes)), np.zeros(len(minutes))
    for constituent in CONSTITUENTS:
        phase = _phase(constituent, minutes) + np.deg2rad(_CURRENT_LEAD_DEG)
        along += constituent.current_m_s * np.cos(phase)
        across += constituent.current_m_s * constituent.roundness * np.sin(phase)
    return from_shelf(along, across)


def from_shelf(
    along: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn components along and across the shelf edge to east and north.

    Parameters
    ----------
    along : ndarray of float64, shape (T,)
        Component to the north-east along the edge [m/s].
    across : ndarray of float64, shape (T,)
        Component to its left, away from the coast [m/s].

    Returns
    -------
    east, north : ndarray of float64, shape (T,)
        Components [m/s].
    """
    angle = np.deg2rad(SHELF_DIRECTION_DEG)
    east = along * np.sin(angle) - across * np.cos(angle)
    north = along * np.cos(angle) + across * np.sin(angle)
    return east, north


def _phase(constituent: Constituent, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    hours = (minutes - _EPOCH_MIN) / 60
    return np.deg2rad(constituent.speed_deg_h * hours - constituent.phase_deg)
