"""What goes wrong with a sensor: gaps, blank cells, drop-outs and stuck values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from echoanom.simulation.conditions import Conditions
from echoanom.simulation.randomness import stream
from echoanom.simulation.settings import SimulationOptions
from echoanom.simulation.site import DAY_MIN, Block, Floats, Instrument

_LONG_GAP_SHARE = 1 / 12
_SHORT_GAP_MIN = 6.0

# A loose connector: the sensor reports without a signal, reports nothing, or is away,
# and changes between the three every few minutes.
_DEAD, _BLANK, _AWAY = 0, 1, 2
_STATE_CHANCES = (0.6, 0.2, 0.2)
_STATE_MIN = 7.0


def spoil(
    values: Sequence[Floats],
    instrument: Instrument,
    conditions: Conditions,
    options: SimulationOptions,
) -> NDArray[np.bool_]:
    """Spoil a sensor's day: anomalies of the sensor itself, blank cells, gaps.

    Parameters
    ----------
    values : sequence of ndarray of float32, shape (1440, C)
        One for each block, changed in place; NaN is a blank cell.
    instrument : Instrument
        The sensor.
    conditions : Conditions
        The day.
    options : SimulationOptions
        How often cells are blank and rows are missing.

    Returns
    -------
    ndarray of bool, shape (1440,)
        Rows that are there. No gap hides a minute of an anomaly that shows in this
        sensor.
    """
    name, day = instrument.name, conditions.day
    there = _outside_gaps(options, name, day)
    for anomaly in conditions.anomalies:
        if name in anomaly.sensors:
            there[anomaly.rows(day)] = True
    _blank_cells(values, options, name, day)
    for anomaly in conditions.anomalies:
        if anomaly.sensors != (name,):
            continue
        rows = anomaly.rows(day)
        if anomaly.kind == "stuck_values":
            for block in values:
                block[rows] = block[rows.start]
        elif anomaly.kind == "sensor_dropout":
            state = _states(anomaly.stream(), anomaly.minutes)
            skipped = day * DAY_MIN + rows.start - anomaly.start
            state = state[skipped : skipped + rows.stop - rows.start]
            draw = stream(options.seed, f"{name} silence", day)
            for block, described in zip(values, instrument.blocks, strict=True):
                block[rows] = np.where(
                    (state == _DEAD)[:, None],
                    _silence(described, len(state), draw),
                    np.nan,
                )
            there[rows] = state != _AWAY
    return there


def _outside_gaps(options: SimulationOptions, name: str, day: int) -> NDArray[np.bool_]:
    draw = stream(options.seed, f"{name} gaps", day)
    there = np.ones(DAY_MIN, dtype=np.bool_)
    for _ in range(int(draw.poisson(options.gap_rate))):
        first = int(draw.integers(DAY_MIN))
        if draw.random() < _LONG_GAP_SHARE:
            minutes = int(draw.integers(45, 300))
        else:
            minutes = int(draw.geometric(1 / _SHORT_GAP_MIN))
        there[first : first + minutes] = False
    return there


def _blank_cells(
    values: Sequence[Floats], options: SimulationOptions, name: str, day: int
) -> None:
    draw = stream(options.seed, f"{name} blanks", day)
    for block in values:
        count = int(draw.binomial(block.size, options.missing_rate))
        block.flat[draw.integers(block.size, size=count)] = np.nan


def _silence(block: Block, rows: int, draw: np.random.Generator) -> Floats:
    scatter = draw.standard_normal((rows, len(block.columns)), dtype=np.float32)
    values = block.silence + np.float32(block.spread) * scatter
    if block.kind == "direction":
        return np.asarray(np.mod(values, 360))
    if block.columns[0].unit == "m/s":
        return np.abs(values)
    return values


def _states(draw: np.random.Generator, minutes: int) -> NDArray[np.int64]:
    """Draw the state of a loose connector in each minute; dead in the first."""
    changes = draw.random(minutes) < 1 / _STATE_MIN
    drawn = draw.choice(3, size=minutes, p=_STATE_CHANCES)
    last_change = np.maximum.accumulate(np.where(changes, np.arange(minutes), 0))
    drawn[0] = _DEAD
    return np.asarray(drawn[last_change], dtype=np.int64)
