"""Pings of a sounder's raw file: samples of all channels that belong together.

Both formats, EK60's and EK80's, have a datagram of samples a channel and ping, all with
the ping's time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from echoanom.errors import InstrumentFileError
from echoanom.ingest.rawfile import Datagram, RawFile, precise_stamp


@dataclasses.dataclass(frozen=True, slots=True)
class Raw:
    """Samples of one channel in one ping.

    Attributes
    ----------
    datagram : Datagram
        Where they are.
    channel : str
        The channel, as messages call it.
    settings : bytes
        The same for samples that are calibrated the same way.
    """

    datagram: Datagram
    channel: str
    settings: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """A ping of all channels.

    Attributes
    ----------
    time_us : int
        Its time since 1970 UTC [µs].
    datagrams : tuple of Datagram
        Its samples, one datagram a channel, in the file's order.
    settings : bytes
        The same for pings that are calibrated the same way: its channels' settings, one
        behind the other.
    """

    time_us: int
    datagrams: tuple[Datagram, ...]
    settings: bytes


def gather(
    file: RawFile, raws: Iterable[Raw], channels: Sequence[str]
) -> Iterator[Ping]:
    """Gather samples into pings, and check that these follow each other whole.

    Parameters
    ----------
    file : RawFile
        The file.
    raws : iterable of Raw
        Samples in the file's order.
    channels : sequence of str
        All channels that the file knows of.

    Yields
    ------
    Ping
        In the file's order, which is that of time.

    Raises
    ------
    InstrumentFileError
        If a ping lacks a channel, channels take turns, the clock runs backwards, or
        there is no ping.
    """
    first: tuple[str, ...] = ()
    count, before_us = 0, None
    for group in _groups(raws):
        ping = _ping(file, group)
        found = tuple(one.channel for one in group)
        first = first or found
        if found != first:
            raise _lacking(file, ping, found, first)
        if before_us is not None and ping.time_us <= before_us:
            raise file.error(
                "must have pings in order of time, but that of"
                f" {precise_stamp(ping.time_us)} comes after"
                f" {precise_stamp(before_us)}: the clock runs backwards; split the"
                " file there, or leave it out",
                ping.datagrams[0].offset,
            )
        before_us = ping.time_us
        count += 1
        yield ping
    if not count:
        raise InstrumentFileError(
            "must have pings (RAW0 or RAW3), got a configuration without any", file.path
        )
    if count == 1 and len(first) < len(channels):
        # Of several pings, all have the same channels; of one, it may be cut.
        raise _lacking(file, ping, first, channels)


def check_clock(file: RawFile, datagram: Datagram) -> None:
    """Refuse a time that no sounder can have recorded.

    Parameters
    ----------
    file : RawFile
        The file.
    datagram : Datagram
        One of its datagrams.

    Raises
    ------
    InstrumentFileError
        If it is not from 1980 to 2099.
    """
    # What a clock that was never set, or damage, looks like.
    if not 315_532_800 <= datagram.time_us // 1_000_000 < 4_102_444_800:
        raise file.error(
            f"must have a time from 1980 to 2099 in {datagram.kind.decode()}, got"
            f" {datagram.time_us // 1_000_000} s since 1970; the file is damaged,"
            " or the sounder's clock was not set",
            datagram.offset,
        )


def _groups(raws: Iterable[Raw]) -> Iterator[list[Raw]]:
    """Gather samples until a channel comes again."""
    group: list[Raw] = []
    seen: set[str] = set()
    for raw in raws:
        if raw.channel in seen:
            yield group
            group, seen = [], set()
        group.append(raw)
        seen.add(raw.channel)
    if group:
        yield group


def _ping(file: RawFile, group: Sequence[Raw]) -> Ping:
    time_us = group[0].datagram.time_us
    for one in group:
        if one.datagram.time_us != time_us:
            raise file.error(
                "must have one time for all channels of a ping, got"
                f" {precise_stamp(one.datagram.time_us)} for channel"
                f" {one.channel} and {precise_stamp(time_us)} for channel"
                f" {group[0].channel}; channels that take turns cannot be read",
                one.datagram.offset,
            )
    settings = b"".join(one.settings for one in group)
    return Ping(time_us, tuple(one.datagram for one in group), settings)


def _lacking(
    file: RawFile, ping: Ping, found: Sequence[str], wanted: Sequence[str]
) -> InstrumentFileError:
    return file.error(
        f"must have channels {', '.join(wanted)} in each ping, got {', '.join(found)}"
        f" in that of {precise_stamp(ping.time_us)}; the file is cut within a ping, or"
        " datagrams are missing",
        ping.datagrams[0].offset,
    )
