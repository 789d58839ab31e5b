"""Time stamps: text to microseconds since 1970 UTC."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[ Tt](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
    r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_SECONDS = re.compile(r"[-\d]{10}[ Tt]\d\d:\d\d:\d\d[Zz]?", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def parse_stamp(text: str) -> int:
    """Read one time stamp.

    Parameters
    ----------
    text : str
        ``YYYY-MM-DD hh:mm[:ss[.fraction]]`` with a blank or ``T`` between and
        optionally ``Z`` or an offset such as ``+01:00`` behind; without one it is
        UTC. A date alone is its midnight, which is how pandas writes a table that
        has only midnights.

    Returns
    -------
    int
        Time since 1970 UTC [µs].

    Raises
    ------
    ValueError
        If the text is no such stamp, or no date of the calendar.
    """
    if not _STAMP.fullmatch(text):
        raise ValueError(f"not a time stamp: {text!r}")
    # The pattern is narrower than `fromisoformat`, which takes week dates and any
    # separator; the calendar is left to it.
    stamp = datetime.datetime.fromisoformat(text.upper())
    if stamp.tzinfo is not None:
        try:
            stamp = stamp.astimezone(datetime.UTC).replace(tzinfo=None)
        except OverflowError:
            raise ValueError(f"outside the calendar: {text!r}") from None
    return (stamp - _EPOCH) // _MICROSECOND


def parse_stamps(texts: Iterable[str]) -> NDArray[np.int64]:
    """Read many time stamps.

    Parameters
    ----------
    texts : iterable of str
        Stamps as `parse_stamp` takes them.

    Returns
    -------
    ndarray of int64, shape (N,)
        Times since 1970 UTC [µs].

    Raises
    ------
    ValueError
        If one of them is not a stamp.
    """
    stamps = list(texts)
    found = _parse_alike(stamps)
    if found is not None:
        return found
    return np.array([parse_stamp(text) for text in stamps], dtype=np.int64)


def _parse_alike(stamps: Sequence[str]) -> NDArray[np.int64] | None:
    """Read stamps to the second of one form and few dates; None if they are not."""
    if not stamps or set(map(len, stamps)) - {len(stamps[0])}:
        return None
    text = "".join(stamps)
    if not text.isascii() or not _SECONDS.fullmatch(stamps[0]):
        return None
    characters = np.frombuffer(text.encode(), np.uint8).reshape(len(stamps), -1)
    # All but digits of the time must be as in the first.
    other = [10, 13, 16, *range(19, len(stamps[0]))]
    digits = characters[:, [11, 12, 14, 15, 17, 18]].astype(np.int64) - ord("0")
    if (characters[:, other] != characters[0, other]).any() or (digits > 9).any():
        return None
    tens, ones = digits[:, ::2], digits[:, 1::2]
    clock = 10 * tens + ones
    if (digits < 0).any() or (clock >= (24, 60, 60)).any():
        return None
    dates = [stamp[:10] for stamp in stamps]
    midnights = {date: parse_stamp(date) for date in set(dates)}
    midnight_us = np.array([midnights[date] for date in dates], dtype=np.int64)
    return midnight_us + clock @ (3_600_000_000, 60_000_000, 1_000_000)


def format_stamp(time_s: int) -> str:
    """Write a time as text.

    Parameters
    ----------
    time_s : int
        Time since 1970 UTC [s].

    Returns
    -------
    str
        ``YYYY-MM-DDThh:mm:ssZ``.
    """
    stamp = _EPOCH + datetime.timedelta(seconds=int(time_s))
    return stamp.isoformat() + "Z"


def day_start(day: datetime.date) -> int:
    """Return when a UTC day starts.

    Parameters
    ----------
    day : datetime.date
        The day.

    Returns
    -------
    int
        Its midnight, since 1970 UTC [s].
    """
    return (day - _EPOCH.date()).days * 86_400


def day_of(time_s: int) -> datetime.date:
    """Return the UTC day a time lies in.

    Parameters
    ----------
    time_s : int
        Time since 1970 UTC [s].

    Returns
    -------
    datetime.date
        The day.
    """
    return _EPOCH.date() + datetime.timedelta(days=int(time_s) // 86_400)
