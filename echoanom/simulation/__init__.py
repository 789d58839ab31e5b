"""A simulated ocean observatory: four sensors that share one sea, as daily tables.

Layers, each importing only those above it::

    site          the place, and what an instrument is
    settings      what can be chosen
    randomness    random numbers that depend on the day alone
    sun, tides, weather
    anomalies     what is planted, when
    conditions    the state of sea and sky in every minute of a day
    scattering    what scatters sound in the water
    soundscape    hydrophone
    echosounder
    currents      ADCP
    water         CTD
    faults        gaps, blank cells, drop-outs, stuck values
    tables        CSV text
    observatory   everything written to a folder
"""

from __future__ import annotations

from echoanom.simulation.observatory import SimulationSummary, simulate
from echoanom.simulation.settings import SENSORS, SimulationOptions

__all__ = ["SENSORS", "SimulationOptions", "SimulationSummary", "simulate"]
