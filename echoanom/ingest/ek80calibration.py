"""Calibrate narrow-band pings of an EK80, in pieces of bounded size.

Each channel is calibrated by itself. echopype puts all channels of a file into one
array, where the number of transducer sectors is that of the channel with most, and
takes the nominal length of the pulse for all if one lacks filters: Sv of a channel
would depend on those beside it.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from echoanom.ingest.calibrating import (
    Calibrated,
    check,
    choose,
    compute,
    has_gain,
    no_gain,
)
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.ek80pings import RAW_HEAD_BYTES, EK80Pings, State
from echoanom.ingest.ek80xml import NARROW_BAND, PIECE_ID, WATER
from echoanom.ingest.pings import Ping
from echoanom.ingest.rawfile import HEAD_BYTES, RawFile, frame, precise_stamp

_ID = PIECE_ID.encode().ljust(128, b"\0")
_WHAT = 140
# A transceiver of the EK60 that an EK80's software drives.
_GPT = "GPT"


def calibrate(
    file: RawFile, found: EK80Pings, pings: Sequence[Ping], options: EK60Options
) -> list[Calibrated]:
    """Compute Sv of pings that share their settings.

    Parameters
    ----------
    file : RawFile
        The open file that they are in.
    found : EK80Pings
        All its pings.
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
        If a channel is not there, is broadband, or cannot be calibrated.
    MissingExtraError
        If echopype is not installed.
    StorageError
        If the file cannot be read.
    """
    states = found.states(pings[0])
    frequencies = [one.channel.frequency_hz for one in states]
    chosen = choose(file, frequencies, options)
    return [
        _calibrate(file, states[place], place, pings, options)
        for place in sorted(chosen, key=lambda x: frequencies[x])
    ]


def _calibrate(
    file: RawFile,
    state: State,
    place: int,
    pings: Sequence[Ping],
    options: EK60Options,
) -> Calibrated:
    frequency = state.channel.frequency_hz
    datagram = pings[0].datagrams[place]
    wrong = _wrong(state, options)
    if wrong:
        raise file.error(
            f"ping of {precise_stamp(pings[0].time_us)}, channel"
            f" {state.channel.name!r}: {wrong}",
            datagram.offset,
        )
    pulse, pulses = state.parameter.pulse_s, state.channel.pulse_lengths_s
    if not has_gain(pulse, pulses, options):
        raise no_gain(file, datagram, frequency, pulse, pulses, "the configuration")
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        piece = os.path.join(folder, "piece.raw")
        with open(piece, "wb") as written:
            stamp = datagram.start[4:HEAD_BYTES]
            for content in _front(state, stamp):
                written.write(frame(content))
            for ping in pings:
                content = file.read(ping.datagrams[place])
                written.write(frame(_samples(content, state)))
        encoding = "complex" if state.sectors else "power"
        made = compute(
            *(file, pings, piece, options, "EK80"),
            waveform_mode="CW",
            encode_mode=encoding,
        )[frequency]
    # It goes on with the nominal length where it cannot make out the effective one.
    nominal = float(np.float32(pulse))
    if not 0 < made.pulse_s != nominal:
        raise file.error(
            f"ping of {precise_stamp(pings[0].time_us)}, channel"
            f" {state.channel.name!r}: must have filters (FIL1) and a slope that give"
            f" the effective length of a pulse of {pulse * 1000:g} ms, got"
            f" {made.pulse_s * 1000:g} ms",
            datagram.offset,
        )
    depth = state.channel.offset_m
    if state.environment is None or not state.environment.at_surface:
        depth = None
    return check(*(file, pings, frequency, state.samples, depth, _silent(state)), made)


def _wrong(state: State, options: EK60Options) -> str:
    """Say why samples cannot be calibrated; nothing, if they can."""
    channel, parameter = state.channel, state.parameter
    nominal = channel.frequency_hz
    if parameter.form != NARROW_BAND or parameter.start_hz != parameter.stop_hz:
        return (
            "must be narrow-band (CW), got pulses from"
            f" {parameter.start_hz:g} to {parameter.stop_hz:g} Hz (form"
            f" {parameter.form}); Sv of broadband is not one column, name other"
            " channels"
        )
    if parameter.start_hz != nominal:
        return (
            f"must ping at the transducer's frequency, {nominal:g} Hz, for which its"
            f" gain holds, got {parameter.start_hz:g} Hz; name other channels"
        )
    if channel.transceiver == _GPT:
        return (
            "must be of a wideband transceiver, got a GPT, to whose range in an EK80's"
            " file echopype applies the delays of both kinds; name other channels"
        )
    if not state.filters:
        return (
            "must have filters (FIL1) of both stages, which the effective length of a"
            f" pulse depends on, got none of {channel.transceiver}"
        )
    covered = channel.impedance_hz
    if state.sectors and covered and not min(covered) <= nominal <= max(covered):
        return (
            f"must have the transducer's impedance around {nominal:g} Hz, got it from"
            f" {min(covered):g} to {max(covered):g} Hz"
        )
    return _missing_water(state, options)


def _missing_water(state: State, options: EK60Options) -> str:
    if options.temperature is not None:
        return ""
    recorded = dict(state.environment.water) if state.environment else {}
    missing = [name for name in WATER if name not in recorded]
    if options.sound_speed is not None and "SoundSpeed" in missing:
        missing.remove("SoundSpeed")
    return (
        f"must have {', '.join(missing)} in Environment (XML0) before the ping, got"
        " none; give temperature, salinity and pressure"
        if missing
        else ""
    )


def _front(state: State, stamp: bytes) -> list[bytes]:
    """Make what stands in front of the samples, all of one time.

    For several times of filters echopype looks for pings of exactly these times.
    """
    water = dict(state.environment.water) if state.environment else {}
    water = {**{name: "0" for name in WATER}, **water}
    environment = ElementTree.Element("Environment", water)
    parameter = ElementTree.Element("Parameter")
    attributes = {"ChannelID": PIECE_ID, **dict(state.parameter.written)}
    ElementTree.SubElement(parameter, "Channel", attributes)
    return [
        b"XML0" + stamp + state.channel.content,
        *(
            b"FIL1" + stamp + struct.pack("<hh", stage, 0) + _ID + content
            for stage, content in enumerate(state.filters, start=1)
        ),
        b"XML0" + stamp + ElementTree.tostring(environment),
        b"XML0" + stamp + ElementTree.tostring(parameter),
    ]


def _samples(content: bytes, state: State) -> bytes:
    """Leave out what Sv does not depend on, angles."""
    kind = struct.pack("<h", 8 | state.sectors << 8 if state.sectors else 1)
    size = 8 * state.sectors if state.sectors else 2
    stop = RAW_HEAD_BYTES + state.samples * size
    return content[:HEAD_BYTES] + _ID + kind + content[_WHAT + 2 : stop]


def _silent(state: State) -> int:
    """Count the samples in front that have no Sv.

    Spreading begins a quarter of the pulse's length times sound speed late; that is
    half of it in samples.
    """
    late = state.parameter.pulse_s / state.parameter.interval_s / 2
    return int(late * (1 + 1e-6)) + 1
