"""Calibrate pings of an EK60, in pieces of bounded size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from echoanom.ingest.calibrating import (
    Calibrated,
    check,
    choose,
    compute,
    has_gain,
    no_gain,
)
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.ek60pings import Config, Settings, read_settings, without_angles
from echoanom.ingest.pings import Ping
from echoanom.ingest.rawfile import RawFile, frame

# Spreading begins two samples late in an EK60: the first three have no Sv.
_SILENT = 3


def calibrate(
    file: RawFile, config: Config, pings: Sequence[Ping], options: EK60Options
) -> list[Calibrated]:
    """Compute Sv of pings that share their settings.

    Parameters
    ----------
    file : RawFile
        The open file that they are in.
    config : Config
        Its configuration.
    pings : sequence of Ping
        P pings with the same `settings`.
    options : EK60Options
        Which channels, and what to use instead of recorded values.

    Returns
    -------
    list of Calibrated
        One a channel, in order of the frequency.

    Raises
    ------
    InstrumentFileError
        If a channel is not there, or cannot be calibrated.
    MissingExtraError
        If echopype is not installed.
    StorageError
        If the file cannot be read.
    """
    chosen = _choose(file, config, pings[0], options)
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        piece = os.path.join(folder, "piece.raw")
        with open(piece, "wb") as written:
            written.write(frame(config.content))
            for ping in pings:
                for place in chosen:
                    content = file.read(ping.datagrams[place])
                    written.write(frame(without_angles(content)))
        made = compute(file, pings, piece, options, "EK60")
    channels = []
    for place in sorted(chosen, key=lambda x: _settings(pings[0], x).frequency_hz):
        one = _settings(pings[0], place)
        channels.append(
            check(
                *(file, pings, one.frequency_hz, one.samples, one.depth_m, _SILENT),
                made[one.frequency_hz],
            )
        )
    return channels


def _choose(
    file: RawFile, config: Config, ping: Ping, options: EK60Options
) -> list[int]:
    """Say which datagrams of a ping are asked for."""
    there = [_settings(ping, x) for x in range(len(ping.datagrams))]
    chosen = choose(file, [one.frequency_hz for one in there], options)
    for place in chosen:
        one = there[place]
        pulses = config.channels[one.channel].pulse_lengths_s
        if not has_gain(one.pulse_s, pulses, options):
            raise no_gain(
                file, ping.datagrams[0], one.frequency_hz, one.pulse_s, pulses, "CON0"
            )
    return chosen


def _settings(ping: Ping, place: int) -> Settings:
    return read_settings(ping.datagrams[place])
