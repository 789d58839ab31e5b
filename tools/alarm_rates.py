#!/usr/bin/env python3
"""Hold rates of alarms that were asked for against those that come, for docs/events.md.

Everything is drawn from seeds: the table is the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm

from echoanom import Calibration, EventOptions
from echoanom.alarmrates import event_peaks

MEMORY = 0.9
TIMES = 40
JUDGED_DAYS = 1000
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


if __name__ == "__main__":
    print(table(), end="")
