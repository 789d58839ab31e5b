"""How a page words numbers, times and options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoanom.stamps import day_of, format_stamp

if TYPE_CHECKING:
    from echoanom.events import Shares

_DAY_S = 86_400
_LEAST_SHARE = 0.005


def shares(named: Shares) -> list[tuple[str, str]]:
    """Write shares of an error.

    Parameters
    ----------
    named : sequence of (str, float)
        Names and shares.

    Returns
    -------
    list of (str, str)
        Those that do not round to nothing.
    """
    return [(name, percent(share)) for name, share in named if share >= _LEAST_SHARE]


def percent(share: float) -> str:
    """Write a share.

    Parameters
    ----------
    share : float
        In [0, 1].

    Returns
    -------
    str
        In percent, with a decimal below ten.
    """
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def clock(time_s: int, after_s: int | None = None) -> str:
    """Write a time, without its date if that is the date of another time.

    Parameters
    ----------
    time_s : int
        The time [s since 1970 UTC].
    after_s : int, optional
        The other time [s since 1970 UTC].

    Returns
    -------
    str
        Without seconds if there are none.
    """
    day, _, written = format_stamp(time_s).removesuffix("Z").partition("T")
    written = written.removesuffix(":00")
    same_day = after_s is not None and day_of(time_s) == day_of(after_s)
    return written if same_day else f"{day} {written}"


def number(value: float) -> str:
    """Write a score.

    Parameters
    ----------
    value : float
        The score; NaN if there is none.

    Returns
    -------
    str
        Four digits; a dash if there is none.
    """
    return "–" if math.isnan(value) else f"{value:.4g}"


def duration(seconds: int) -> str:
    """Write a length of time.

    Parameters
    ----------
    seconds : int
        The length [s].

    Returns
    -------
    str
        In the unit that reads best.
    """
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.4g} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / _DAY_S:.3g} days"


def how_often(per_day: float) -> str:
    """Write how often something happens, as a number that is easy to read.

    Parameters
    ----------
    per_day : float
        How often it is expected [1/day].

    Returns
    -------
    str
        A number a day, or of days.
    """
    if per_day >= 0.1:
        return f"{per_day:.1f} a day"
    if per_day > 0.001:
        return f"once in {1 / per_day:.0f} days"
    return "once in over 1,000 days"


def count(number: int, one: str, many: str = "") -> str:
    """Write how many of something there are.

    Parameters
    ----------
    number : int
        How many.
    one : str
        What one is called.
    many : str
        What several are called; with an s if left out.

    Returns
    -------
    str
        Number and noun.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def days(named: Sequence[str]) -> str:
    """Write how many days there are, and from when to when.

    Parameters
    ----------
    named : sequence of str
        The days, ascending.

    Returns
    -------
    str
        One line.
    """
    return f"{len(named)} ({named[0]} to {named[-1]})" if named else "0"


def plain_value(value: Any) -> str:
    """Write an option's value.

    Parameters
    ----------
    value : object
        A plain JSON value.

    Returns
    -------
    str
        One line; a dash where it is empty.
    """
    if isinstance(value, Mapping):
        items = (f"{key}: {plain_value(item)}" for key, item in value.items())
        return ", ".join(items) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain_value, value)) or "–"
    return str(value) if value not in (None, "") else "–"
