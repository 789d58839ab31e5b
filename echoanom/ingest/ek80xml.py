"""What an EK80 says in XML: its channels, the water, and how a channel pings.

Datagrams XML0 hold one document each [1]_. Configuration comes first, Environment when
it is changed, and Parameter in front of a channel's samples. Numbers are kept as they
are written, so that they can be handed on.

References
----------
.. [1] Kongsberg Maritime (2023). Simrad EK80 Reference Manual, Raw file format.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

NARROW_BAND = 0
"""The pulse form of a pulse of one frequency, CW."""

# An EC150 is a current profiler that records into the sounder's file.
_CURRENT_PROFILER = "EC150"


class UnfitError(ValueError):
    """A document that is not what it must be: what must hold, and what came."""


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel as the configuration has it.

    Attributes
    ----------
    name : str
        Its ID.
    frequency_hz : float
        Frequency of the transducer [Hz].
    pulse_lengths_s : tuple of float
        Pulse lengths for which a gain is recorded [s].
    transceiver : str
        Kind of the transceiver: WBT, GPT, ...
    offset_m : float, optional
        How far the transducer is below the ship's origin [m]. None: not recorded.
    impedance_hz : tuple of float
        Frequencies for which the transducer's impedance is recorded [Hz]. Empty: none.
    content : bytes
        A configuration of this channel alone, without the ID.
    """

    name: str
    frequency_hz: float
    pulse_lengths_s: tuple[float, ...]
    transceiver: str
    offset_m: float | None
    impedance_hz: tuple[float, ...]
    content: bytes


@dataclasses.dataclass(frozen=True)
class Environment:
    """The water, and where the ship's origin is in it.

    Attributes
    ----------
    water : mapping of str to str
        ``Depth``, ``Acidity``, ``Salinity``, ``SoundSpeed`` and ``Temperature``, as far
        as they are recorded, as tuple of pairs.
    at_surface : bool
        Whether the ship's origin is at the surface and the keel is not lowered.
    """

    water: tuple[tuple[str, str], ...]
    at_surface: bool


@dataclasses.dataclass(frozen=True)
class Parameter:
    """How a channel pings.

    Attributes
    ----------
    name : str
        ID of the channel.
    form : int
        Form of the pulse.
    start_hz, stop_hz : float
        Frequency at the pulse's start and end [Hz].
    pulse_s : float
        Pulse length [s].
    interval_s : float
        Time from one sample to the next [s].
    power_w : float
        Transmit power [W].
    written : tuple of tuple of str
        What calibration depends on, by attribute, as it is written.
    """

    name: str
    form: int
    start_hz: float
    stop_hz: float
    pulse_s: float
    interval_s: float
    power_w: float
    written: tuple[tuple[str, str], ...]


def parse(content: bytes) -> ElementTree.Element:
    """Parse a datagram's document.

    Parameters
    ----------
    content : bytes
        What stands behind the datagram's head.

    Returns
    -------
    Element
        The root.

    Raises
    ------
    UnfitError
        If it is no XML.
    """
    try:
        return ElementTree.fromstring(content.strip(b"\0"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnfitError(f"must hold XML, got {content[:40]!r} ({error})") from error


def read_channels(root: ElementTree.Element) -> dict[str, Channel]:
    """Read a configuration.

    Parameters
    ----------
    root : Element
        The document.

    Returns
    -------
    dict of str to Channel
        Channels of echosounders by their ID, in the document's order.

    Raises
    ------
    UnfitError
        If it is none, or without a channel, or a number is not what it must be.
    """
    if root.tag != "Configuration":
        raise UnfitError(
            f"must begin with the configuration of an EK80, got XML of {root.tag!r}"
        )
    channels: dict[str, Channel] = {}
    for transceiver in root.iter("Transceiver"):
        for element in transceiver.iter("Channel"):
            name = element.get("ChannelID", "")
            if _CURRENT_PROFILER in name:
                continue
            if not name or name in channels:
                raise UnfitError(
                    f"must have an ID of its own for each channel, got {name!r} after"
                    f" {', '.join(map(repr, channels)) or 'none'}"
                )
            channels[name] = _channel(root, transceiver, element)
    if not channels:
        raise UnfitError("must have channels in its configuration, got none")
    return channels


def read_environment(
    root: ElementTree.Element, before: Environment | None
) -> Environment | None:
    """Read an environment.

    Parameters
    ----------
    root : Element
        The document.
    before : Environment, optional
        The one before: some documents have the keel's position alone.

    Returns
    -------
    Environment, optional
        As it is from here on. None: nothing is known of the water yet.

    Raises
    ------
    UnfitError
        If a number is none.
    """
    water = tuple((name, root.attrib[name]) for name in WATER if name in root.attrib)
    for name, _ in water:
        _number(root.attrib, name, WATER[name])
    at_surface = all(
        _number(root.attrib, name, _ANY) == 0
        for name in ("DropKeelOffset", "WaterLevelDraft")
        if name in root.attrib
    )
    if not water:
        return before and dataclasses.replace(before, at_surface=at_surface)
    return Environment(water, at_surface)


def read_parameter(root: ElementTree.Element) -> Parameter | None:
    """Read how a channel pings.

    Parameters
    ----------
    root : Element
        The document.

    Returns
    -------
    Parameter, optional
        None, if it is of no echosounder.

    Raises
    ------
    UnfitError
        If it has no channel, or a number is not what it must be.
    """
    element = next(root.iter("Channel"), None)
    if element is None:
        raise UnfitError("must have a Channel in Parameter, got none")
    found = element.attrib
    name = found.get("ChannelID", "")
    if _CURRENT_PROFILER in name:
        return None
    form = _number(found, "PulseForm", _FORM)
    # Up to version 1.8 or so of the software the pulse's length had another name.
    pulse = "PulseDuration" if "PulseDuration" in found else "PulseLength"
    both = ("Frequency", "Frequency")
    start, stop = both if "Frequency" in found else ("FrequencyStart", "FrequencyEnd")
    slope = found.get("Slope", "0")
    _number({"Slope": slope}, "Slope", _SLOPE)
    return Parameter(
        name,
        int(form),
        _number(found, start, _FREQUENCY),
        _number(found, stop, _FREQUENCY),
        _number(found, pulse, _PULSE),
        _number(found, "SampleInterval", _INTERVAL),
        _number(found, "TransmitPower", _POWER),
        (
            ("ChannelMode", "0"),
            ("PulseForm", str(int(form))),
            ("Frequency", found[start]),
            ("PulseDuration", found[pulse]),
            ("SampleInterval", found["SampleInterval"]),
            ("TransmitPower", found["TransmitPower"]),
            ("Slope", slope),
        ),
    )


@dataclasses.dataclass(frozen=True)
class _Rule:
    """What a number must be: the widest that any sounder has."""

    words: str
    holds: Callable[[float], bool]


def _between(least: float, most: float, unit: str = "") -> _Rule:
    words = f"from {least:g} to {most:g}{unit}"
    return _Rule(words, lambda value: least <= value <= most)


_ANY = _Rule("a number", lambda value: True)
_FORM = _between(0, 99)
_FREQUENCY = _between(1e3, 1e7, " Hz")
_PULSE = _between(1e-6, 0.1, " s")
_INTERVAL = _between(1e-7, 0.1, " s")
_POWER = _between(1e-3, 1e6, " W")
# Part of the pulse within which it rises, and falls.
_SLOPE = _between(0, 0.5)
# 0, where it is not known.
_RATE = _between(0, 1e7, " Hz")
_OHM = _between(1, 1e6, " ohm")
_DECIBELS = _between(-100, 100, " dB")

WATER: Mapping[str, _Rule] = {
    "Depth": _between(0, 12_000, " m"),
    "Acidity": _between(0, 14),
    "Salinity": _between(0, 60),
    "SoundSpeed": _between(1000, 2000, " m/s"),
    "Temperature": _between(-5, 60, " degC"),
}
"""What is recorded of the water."""


def _number(found: Mapping[str, str], name: str, rule: _Rule) -> float:
    text = found.get(name)
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and rule.holds(value)):
        got = "nothing" if text is None else repr(text[:40])
        raise UnfitError(f"must have {name} {rule.words}, got {got}")
    return value


def _numbers(found: Mapping[str, str], name: str, rule: _Rule) -> tuple[float, ...]:
    parts = found.get(name, "").split(";")
    return tuple(_number({name: part}, name, rule) for part in parts)


def _channel(
    root: ElementTree.Element,
    transceiver: ElementTree.Element,
    element: ElementTree.Element,
) -> Channel:
    name = element.attrib["ChannelID"]
    try:
        transducers = element.findall("Transducer")
        if len(transducers) != 1:
            raise UnfitError(f"must have one Transducer, got {len(transducers)}")
        (transducer,) = transducers
        frequency = _number(transducer.attrib, "Frequency", _FREQUENCY)
        which = "PulseDuration" if "PulseDuration" in element.attrib else "PulseLength"
        pulses = _numbers(element.attrib, which, _PULSE)
        for table in ("Gain", "SaCorrection"):
            if len(_numbers(transducer.attrib, table, _DECIBELS)) != len(pulses):
                raise UnfitError(
                    f"must have {len(pulses)} numbers in {table}, one for each in"
                    f" {which}, got {transducer.attrib[table][:80]!r}"
                )
        _number(transducer.attrib, "EquivalentBeamAngle", _between(-100, 0, " dB"))
        for optional, rule in (("RxSampleFrequency", _RATE), ("Impedance", _OHM)):
            if optional in transceiver.attrib:
                _number(transceiver.attrib, optional, rule)
        kind = transceiver.get("TransceiverType", "")
        if not kind:
            raise UnfitError("must have a TransceiverType, got none")
        impedances = _impedances(transducer)
        return Channel(
            *(name, frequency, pulses, kind, _offset(root, transducer)),
            tuple(impedances),
            _alone(transceiver, element, transducer, impedances),
        )
    except UnfitError as error:
        raise UnfitError(f"channel {name!r}: {error}") from error


def _offset(root: ElementTree.Element, transducer: ElementTree.Element) -> float | None:
    """Find how far a transducer is below the ship's origin."""
    places = [transducer.attrib]
    for element in root.findall("Transducers/Transducer"):
        if element.get("TransducerName") == transducer.get("TransducerName"):
            places.append(element.attrib)
    # Of two of the same name it is not known which is meant.
    known = [one for one in places if "TransducerOffsetZ" in one]
    return (
        _number(known[0], "TransducerOffsetZ", _between(-100, 12_000, " m"))
        if len(known) == 1
        else None
    )


def _impedances(transducer: ElementTree.Element) -> dict[float, str]:
    """Return a transducer's impedance by frequency, as it is written."""
    found = {}
    for element in transducer.findall("FrequencyPar"):
        if "Impedance" in element.attrib:
            _number(element.attrib, "Impedance", _OHM)
            frequency = _number(element.attrib, "Frequency", _FREQUENCY)
            found[frequency] = element.attrib["Impedance"]
    return found


def _alone(
    transceiver: ElementTree.Element,
    element: ElementTree.Element,
    transducer: ElementTree.Element,
    impedances: Mapping[float, str],
) -> bytes:
    """Write a configuration of one channel, of what Sv depends on alone.

    echopype lines up the attributes of all channels, so these must not lack any, nor
    have more pulse lengths than others. And it wants names and angles, which Sv does
    not depend on.
    """
    root = ElementTree.Element("Configuration")
    ElementTree.SubElement(root, "Header", ApplicationName="EK80", Version="0")
    station = ElementTree.SubElement(
        ElementTree.SubElement(root, "Transceivers"), "Transceiver", SerialNumber="0"
    )
    channel = ElementTree.SubElement(
        ElementTree.SubElement(station, "Channels"),
        "Channel",
        {"ChannelID": PIECE_ID, "ChannelIdShort": ""},
    )
    beam = ElementTree.SubElement(
        channel, "Transducer", {"TransducerName": "", "SerialNumber": "0"}
    )
    for source, copy, names in (
        (transceiver, station, ("TransceiverType", "RxSampleFrequency", "Impedance")),
        (element, channel, ("PulseDuration", "PulseLength")),
        (transducer, beam, ("Frequency", "Gain", "SaCorrection")),
        (transducer, beam, ("EquivalentBeamAngle",)),
    ):
        for name in names:
            if name in source.attrib:
                copy.set(name, source.attrib[name])
    for frequency, ohm in impedances.items():
        found = {"Frequency": f"{frequency:.0f}", "Impedance": ohm}
        others = dict.fromkeys(_OF_A_BAND, "0")
        ElementTree.SubElement(beam, "FrequencyPar", {**others, **found})
    return ElementTree.tostring(root)


# What else a broadband channel has at each frequency.
_OF_A_BAND = (
    *("Gain", "Phase", "BeamWidthAlongship", "BeamWidthAthwartship"),
    *("AngleOffsetAlongship", "AngleOffsetAthwartship"),
)
PIECE_ID = "WBT 000000-1"
"""What a channel is called in a configuration of its own, of the form that an EK80's
serial number and channel have: not every file keeps to it."""
