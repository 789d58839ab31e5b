"""EK80 files written from the format's description, of an Sv that is known.

Simrad's equation is turned round: from Sv to what the receiver would have recorded. It
shares nothing with the reader, nor with echopype.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

import numpy as np
from ek60files import put_together
from numpy.typing import NDArray

Values = NDArray[np.float64]

# 2024-05-17T10:20:30Z, 100 ns since 1601.
START_TICKS = (11_644_473_600 + 1_715_941_230) * 10_000_000
# One count of received power [dB].
COUNT_DB = 10 * math.log10(2) / 256

SOUND_SPEED_M_S = 1476.5
WATER = {
    "Depth": "20",
    "Acidity": "8",
    "Salinity": "33.5",
    "SoundSpeed": "1476.5",
    "Temperature": "6.5",
}
_TRANSDUCER_OHM = 75.0


@dataclasses.dataclass(frozen=True)
class Unit:
    """A transceiver with one channel, and how it pings."""

    frequency_hz: float = 38_000.0
    kind: str = "WBT"
    # 0: power.
    sectors: int = 0
    angles: bool = False
    number: int = 714581
    samples: int = 300
    pulse_s: float = 0.001024
    power_w: float = 400.0
    slope: float = 0.02
    gain_db: float = 25.7
    sa_correction_db: float = -0.12
    beam_db: float = -20.7
    ohm: int = 5400
    # Of the receiver; decimation by both stages gives the sample interval.
    rate_hz: float = 1_500_000.0
    decimation: tuple[int, int] = (16, 12)
    frequencies_with_impedance: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}-15 ES{self.frequency_hz / 1000:g}-7C"

    @property
    def interval_s(self) -> float:
        return self.decimation[0] * self.decimation[1] / self.rate_hz


GPT = Unit(kind="GPT", ohm=1000, rate_hz=500_000.0, decimation=(16, 8), number=720017)
"""As an EK60 has it, driven by an EK80's software."""


def configuration(units: Sequence[Unit]) -> bytes:
    """Return the configuration as the software writes it, the needless left out."""
    root = ElementTree.Element("Configuration")
    header = {"ApplicationName": "EK80", "Version": "21.15.1.0"}
    ElementTree.SubElement(root, "Header", {**header, "FileFormatVersion": "1.24"})
    ElementTree.SubElement(root, "ActivePingMode", Mode="SimultaneousPinging")
    every = ElementTree.SubElement(root, "Transceivers", MergeOperation="AddNodeTree")
    for place, one in enumerate(units, start=1):
        transceiver = {
            "TransceiverName": f"{one.kind} {one.number}",
            "IPAddress": "10.0.0.1",
            "Version": "[0] Ethernet\r\n[1] Parts-list",
            "TransceiverSoftwareVersion": "2.54",
            "TransceiverNumber": str(place),
            "MarketSegment": "Scientific",
            "TransceiverType": one.kind,
            "SerialNumber": str(one.number),
            "Impedance": str(one.ohm),
            "Multiplexing": "0",
            "RxSampleFrequency": f"{one.rate_hz:.0f}",
        }
        channel = {
            "ChannelID": one.name,
            "ChannelIdShort": "ES",
            "MaxTxPowerTransceiver": "2000",
            "PulseDuration": "0.000256;0.000512;0.001024;0.002048;0.004096",
            "PulseDurationFM": "0.000512;0.001024;0.002048;0.004096;0.008192",
            "HWChannelConfiguration": "15",
        }
        transducer = {
            "TransducerName": "ES",
            "SerialNumber": "117",
            "Frequency": f"{one.frequency_hz:.0f}",
            "FrequencyMinimum": "10000",
            "FrequencyMaximum": "500000",
            "BeamType": "1",
            "EquivalentBeamAngle": str(one.beam_db),
            "Gain": f"20;21;{one.gain_db};23;24",
            "SaCorrection": f"0;0;{one.sa_correction_db};0;0",
            "MaxTxPowerTransducer": "2000",
            "TransducerOffsetZ": "5.2",
            "DirectivityDropAt2XBeamWidth": "0",
            **dict.fromkeys(_BEAM, "7"),
            **dict.fromkeys(_ANGLES, "0"),
        }
        element = ElementTree.SubElement(every, "Transceiver", transceiver)
        element = ElementTree.SubElement(element, "Channels")
        element = ElementTree.SubElement(element, "Channel", channel)
        element = ElementTree.SubElement(element, "Transducer", transducer)
        for frequency in one.frequencies_with_impedance:
            table = {"Frequency": str(frequency), "Gain": "26", "Phase": "0"}
            beam = {**dict.fromkeys(_BEAM[:2], "7"), **dict.fromkeys(_ANGLES[:2], "0")}
            ElementTree.SubElement(
                element, "FrequencyPar", {**table, "Impedance": "75", **beam}
            )
    return document(root)


_BEAM = (
    *("BeamWidthAlongship", "BeamWidthAthwartship"),
    *("AngleSensitivityAlongship", "AngleSensitivityAthwartship"),
)
_ANGLES = (
    *("AngleOffsetAlongship", "AngleOffsetAthwartship"),
    *("TransducerOffsetX", "TransducerOffsetY"),
    *("TransducerAlphaX", "TransducerAlphaY", "TransducerAlphaZ"),
)


def environment(**changed: str) -> bytes:
    """Return what is known of the water; an attribute without text is left out."""
    found = {**WATER, "Latitude": "58", "SoundVelocityProfile": "1;1480;1000;1480"}
    found |= {"DropKeelOffset": "0", "WaterLevelDraft": "0", **changed}
    root = ElementTree.Element("Environment", with_text(found))
    transducer = {"TransducerName": "Unknown", "SoundSpeed": "1476.5"}
    ElementTree.SubElement(root, "Transducer", transducer)
    return document(root)


def parameter(unit: Unit, **changed: str) -> bytes:
    """Return how a channel pings; an attribute without text is left out."""
    found = {
        "ChannelID": unit.name,
        "ChannelMode": "0",
        "PulseForm": "0",
        "Frequency": f"{unit.frequency_hz:.0f}",
        "PulseDuration": repr(unit.pulse_s),
        "SampleInterval": repr(unit.interval_s),
        "TransmitPower": f"{unit.power_w:g}",
        "Slope": repr(unit.slope),
        **changed,
    }
    root = ElementTree.Element("Parameter")
    ElementTree.SubElement(root, "Channel", with_text(found))
    return document(root)


def with_text(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}


def document(root: ElementTree.Element) -> bytes:
    declaration = b'<?xml version="1.0" encoding="utf-8"?>\r\n'
    return b"XML0" + bytes(8) + declaration + ElementTree.tostring(root) + b"\0"


def taps(unit: Unit) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return a band-pass around the frequency, and a low-pass of what is left."""
    first = np.hanning(49)[1:-1] / 24
    turned = np.exp(2j * np.pi * unit.frequency_hz / unit.rate_hz * np.arange(47))
    second = np.hanning(15)[1:-1] / 7
    rate = unit.rate_hz / unit.decimation[0]
    aliased = np.exp(2j * np.pi * unit.frequency_hz / rate * np.arange(13))
    return first * turned, second * aliased


def filters(unit: Unit) -> list[bytes]:
    """Return FIL1 of both stages."""
    found = []
    for stage, coefficients in enumerate(taps(unit), start=1):
        head = struct.pack(
            "<hh128shh",
            *(stage, 0, unit.name.encode(), len(coefficients)),
            unit.decimation[stage - 1],
        )
        body = coefficients.astype("<c8").tobytes()
        found.append(b"FIL1" + bytes(8) + head + body)
    return found


def effective_pulse_s(unit: Unit) -> float:
    """Sum up the energy of a pulse behind the filters, sample by sample.

    Over its peak, and the rate at which it is sampled.
    """
    if unit.kind == "GPT":
        return unit.pulse_s
    count = math.floor(unit.pulse_s * unit.rate_hz + 1e-3)
    rise = round(unit.pulse_s * unit.rate_hz * unit.slope * 2)
    signal: list[complex] = []
    for place in range(count):
        value = math.cos(2 * math.pi * unit.frequency_hz * place / unit.rate_hz)
        nearest = min(place, count - 1 - place)
        if nearest < rise // 2:
            value *= 0.5 * (1 - math.cos(2 * math.pi * nearest / (rise - 1)))
        signal.append(value)
    peak = max(value.real for value in signal)
    signal = [value / peak for value in signal]
    for coefficients, step in zip(taps(unit), unit.decimation, strict=True):
        written_as = coefficients.astype(np.complex64)
        signal = list(np.convolve(signal, written_as)[::step])
    energy = [abs(value) ** 2 for value in signal]
    return math.fsum(energy) / max(energy) * unit.interval_s


def absorption_db_m(frequency_hz: float) -> float:
    """Compute absorption in `WATER`.

    After Francois and Garrison (1982), J. Acoust. Soc. Am. 72, 1879-1890.
    """
    depth, ph, salinity, speed, temperature = (float(one) for one in WATER.values())
    kelvin, khz = 273 + temperature, frequency_hz / 1000
    boric_khz = 2.8 * math.sqrt(salinity / 35) * 10 ** (4 - 1245 / kelvin)
    boric = 8.86 / speed * 10 ** (0.78 * ph - 5)
    magnesium_khz = 8.17 * 10 ** (8 - 1990 / kelvin) / (1 + 0.0018 * (salinity - 35))
    magnesium = 21.44 * salinity / speed * (1 + 0.025 * temperature)
    magnesium *= 1 - 1.37e-4 * depth + 6.2e-9 * depth**2
    water = 4.937e-4 - 2.59e-5 * temperature + 9.11e-7 * temperature**2
    water -= 1.5e-8 * temperature**3
    water *= 1 - 3.83e-5 * depth + 4.9e-10 * depth**2
    relaxed = sum(
        strength * at * khz**2 / (at**2 + khz**2)
        for strength, at in ((boric, boric_khz), (magnesium, magnesium_khz))
    )
    return (relaxed + water * khz**2) / 1000


def power_db(unit: Unit, sv_db: Values) -> Values:
    """Return the received power that an Sv stands for [dB re 1 W], shape (P, S)."""
    absorption = absorption_db_m(unit.frequency_hz)
    step = unit.interval_s * SOUND_SPEED_M_S / 2
    late = 2 * step if unit.kind == "GPT" else SOUND_SPEED_M_S * unit.pulse_s / 4
    gained = np.maximum(np.arange(unit.samples) * step - late, 1e-9)
    length = SOUND_SPEED_M_S / unit.frequency_hz
    constant = unit.power_w * length**2 * SOUND_SPEED_M_S * effective_pulse_s(unit)
    return np.asarray(
        sv_db
        - 20 * np.log10(gained)
        - 2 * absorption * gained
        + 10 * math.log10(constant / (32 * math.pi**2))
        + 2 * (unit.gain_db + unit.sa_correction_db)
        + unit.beam_db
    )


def samples(unit: Unit, power: Values, seed: int = 0) -> list[bytes]:
    """Return RAW3 of each ping.

    Complex samples have a phase by chance, and sectors that differ but average to the
    signal.
    """
    kind = 8 | unit.sectors << 8 if unit.sectors else 3 if unit.angles else 1
    head = struct.pack("<128shhii", unit.name.encode(), kind, 0, 0, unit.samples)
    if not unit.sectors:
        counts = np.rint(power / COUNT_DB).clip(-32768, 32767).astype("<i2")
        angles = bytes(2 * unit.samples if unit.angles else 0)
        bodies = [one.tobytes() + angles for one in counts]
    else:
        # Over the matched load of receiver and transducer.
        divided = (unit.ohm + _TRANSDUCER_OHM) / unit.ohm
        volts = np.sqrt(10 ** (power / 10) * _TRANSDUCER_OHM / unit.sectors)
        volts = volts * 2 * math.sqrt(2) / divided
        rng = np.random.default_rng(seed)
        signal = volts * np.exp(2j * np.pi * rng.random(volts.shape))
        apart = np.linspace(0.8, 1.2, unit.sectors) if unit.sectors > 1 else np.ones(1)
        each = (signal[..., None] * apart).astype("<c8")
        bodies = [one.tobytes() for one in each]
    return [b"RAW3" + bytes(8) + head + body for body in bodies]


def stamped(datagram: bytes, ticks: int) -> bytes:
    return datagram[:4] + struct.pack("<Q", ticks) + datagram[12:]


def front(units: Sequence[Unit]) -> list[bytes]:
    """Return what stands in front of the pings."""
    found = [configuration(units)]
    found += [one for unit in units if unit.kind != "GPT" for one in filters(unit)]
    found.append(environment())
    return [stamped(one, START_TICKS) for one in found]


def pings(
    units: Sequence[Unit], raws: Sequence[Sequence[bytes]], every_s: float = 1.0
) -> list[list[bytes]]:
    """Return the datagrams of each ping: parameters and samples of each channel."""
    found = []
    for place in range(len(raws[0])):
        ticks = START_TICKS + round(place * every_s * 10_000_000)
        motion = b"MRU0" + bytes(8) + struct.pack("<4f", 0, 1, 2, 3)
        ping = [motion]
        for unit, samples_of_unit in zip(units, raws, strict=True):
            ping += [parameter(unit), samples_of_unit[place]]
        found.append([stamped(one, ticks) for one in ping])
    return found


def content(units: Sequence[Unit], groups: Iterable[Sequence[bytes]]) -> bytes:
    """Return a file of some pings."""
    return put_together([*front(units), *(one for group in groups for one in group)])
