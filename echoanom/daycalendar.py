"""What there is of each day, as a table that reads like a calendar."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.events import Event
from echoanom.pagetext import percent

_DAY_S = 86_400


def calendar(
    coverage: Mapping[str, Any],
    times: NDArray[np.int64],
    score: NDArray[np.float64],
    events: Sequence[Event],
) -> dict[str, Any]:
    """Put together what there is of each day.

    Parameters
    ----------
    coverage : mapping
        What `Coverage.summary` returns.
    times : ndarray of int64, shape (N,)
        Starts of the rows that were scored [s since 1970 UTC]; days without any are
        left out before the first and after the last.
    score : ndarray of float64, shape (N,)
        Their scores; NaN counts nothing.
    events : sequence of Event
        Counted on the days of their peaks.

    Returns
    -------
    dict
        ``days`` (each with ``start`` [s], ``name``, ``day``, ``events`` and
        ``highest`` score) and ``rows``, by sensor a list of the days' cells, each with
        ``share`` present in [0, 1] and ``text``.
    """
    if not len(times):
        return {"days": [], "rows": {}}
    first, last = int(times[0]) // _DAY_S, int(times[-1]) // _DAY_S
    missing = {
        _number(found["day"]): found["missing_share"] for found in coverage["days"]
    }
    days = [_day(day, times, score, events) for day in range(first, last + 1)]
    rows = {
        sensor: [
            _cell(1.0 - missing[day][sensor] if day in missing else 0.0)
            for day in range(first, last + 1)
        ]
        for sensor in coverage["sensors"]
    }
    return {"days": days, "rows": rows}


def _number(day: str) -> int:
    epoch = datetime.date(1970, 1, 1)
    return (datetime.date.fromisoformat(day) - epoch).days


def _day(
    day: int,
    times: NDArray[np.int64],
    score: NDArray[np.float64],
    events: Sequence[Event],
) -> dict[str, Any]:
    start = day * _DAY_S
    name = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    begin, end = np.searchsorted(times, [start, start + _DAY_S]).tolist()
    known = score[begin:end][np.isfinite(score[begin:end])]
    return {
        "start": start,
        "name": name.isoformat(),
        "day": f"{name:%d}",
        "events": sum(start <= event.peak < start + _DAY_S for event in events),
        "highest": f"{known.max():.3g}" if len(known) else "–",
    }


def _cell(share: float) -> dict[str, Any]:
    # What is not all there must not read as if it were.
    whole = min(round(100 * share), 99) if share < 1.0 else 100
    return {
        "share": round(share, 3),
        "text": f"{whole}" if share > 0 else "–",
        "words": percent(share),
    }
