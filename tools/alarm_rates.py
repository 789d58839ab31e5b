#!/usr/bin/env python3
"""Hold rates of alarms that were asked for against those that come, for docs/events.md.

::

    python tools/alarm_rates.py
    python tools/alarm_rates.py --sea

The first makes the page's table from scores that are drawn from seeds: it is the same on
every machine. The second trains the default model on simulated seas without anomalies, and
tells what came there; networks trained on another machine differ a little.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm

from echoanom import (
    Calibration,
    EventOptions,
    StackOptions,
    TrainOptions,
    WindowOptions,
    convert,
    detect,
    open_dataset,
    score,
    simulate,
    train,
)
from echoanom.alarmrates import event_peaks
from echoanom.options import DAY_S, EVER_S
from echoanom.simulation import SimulationOptions

MEMORY = 0.9
TIMES = 40
JUDGED_DAYS = 1000
SEAS = 7
SEA_DAYS = 60
ASKED_AT_SEA = (3.0, 1.0, 0.3, 0.1)
ASKED = ((3.0, 14), (1.0, 14), (1.0, 60), (0.3, 14), (0.3, 60), (0.02, 60))

_DAY_ROWS = 1440


def red_noise(days: int, seed: int, memory: float = MEMORY) -> NDArray[np.float64]:
    """Draw scores that are exponential, and alike from minute to minute.

    Parameters
    ----------
    days : int
        How many days of a row a minute.
    seed : int
        Of the random numbers.
    memory : float
        Correlation of the underlying normal numbers from one row to the next.

    Returns
    -------
    ndarray of float64, shape (days * 1440,)
        The scores.
    """
    white = np.random.default_rng(seed).normal(size=days * _DAY_ROWS)
    noise = lfilter([np.sqrt(1 - memory**2)], [1, -memory], white)
    return np.asarray(-norm.logsf(noise))


def table() -> str:
    """Make the table of what was asked for and what came.

    Returns
    -------
    str
        In Markdown.
    """
    options = EventOptions()
    judged = red_noise(JUDGED_DAYS, TIMES)
    lines = [
        "| asked for, a day | held back | eight in ten thresholds got | median |",
        "|---|---|---|---|",
    ]
    rates = {}
    for days in sorted({held_back for _, held_back in ASKED}):
        for seed in range(TIMES):
            usual = red_noise(days, seed)
            times = 60 * np.arange(len(usual))
            calibration = Calibration.from_scores(usual, times, 60)
            rates[days, seed] = calibration.alarm_rates(options)
    for rate, days in ASKED:
        found = []
        for seed in range(TIMES):
            above = np.flatnonzero(judged > rates[days, seed].level(rate))
            how = (60, options.merge_gap_min, options.min_duration_min)
            events = event_peaks(judged[above], 60 * above, *how)
            found.append(len(events) / JUDGED_DAYS)
        low, middle, high = np.quantile(found, [0.1, 0.5, 0.9])
        lines.append(
            f"| {rate:g} | {days} days | {low:.2g} to {high:.2g} | {middle:.2g} |"
        )
    return "\n".join(lines) + "\n"


def at_sea(seed: int) -> list[float]:
    """Simulate a sea, train on a half of it, and count the alarms in the other.

    Parameters
    ----------
    seed : int
        Of the sea.

    Returns
    -------
    list of float
        What came for each rate that was asked for [1/day].
    """
    half, options = SEA_DAYS // 2, EventOptions()
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        tables, stored, model = (
            f"{folder}/{name}" for name in ("sea", "data", "model")
        )
        simulate(
            tables, SimulationOptions(days=SEA_DAYS, bins=32, anomalies=0, seed=seed)
        )
        convert(tables, stored, stacking=StackOptions(max_gap_min=5))
        dataset = open_dataset(stored)
        middle = (int(dataset.times()[0]) // DAY_S + half) * DAY_S
        artifact = train(
            dataset,
            model,
            WindowOptions(size=32, stride=4, shuffle=True),
            training=TrainOptions(validation=1 / 3),
            include=[(-EVER_S, middle)],
        )
        scores = score(dataset, artifact, stride=4, include=[(middle, EVER_S)])
    found = []
    for rate in ASKED_AT_SEA:
        threshold = scores.threshold(f"alarms:{rate:g}", options).value
        found.append(len(detect(scores, options, threshold)) / half)
    return found


def table_at_sea() -> str:
    """Make the table of what was asked for and what came on simulated seas.

    Returns
    -------
    str
        In Markdown.
    """
    found = np.array([at_sea(seed) for seed in range(SEAS)])
    lines = ["| asked for, a day | least | median | most |", "|---|---|---|---|"]
    for rate, came in zip(ASKED_AT_SEA, found.T, strict=True):
        lines.append(
            f"| {rate:g} | {came.min():.2g} | {np.median(came):.2g} | {came.max():.2g} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table_at_sea() if "--sea" in sys.argv else table(), end="")
