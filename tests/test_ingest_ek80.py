"""EK80 files: a known Sv comes back, it is echopype's, and bad files are named."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ek80files
import numpy as np
import pytest
from click.testing import CliRunner
from ek60files import put_together, six_pings, take_apart
from ek80files import GPT, START_TICKS, Unit, stamped
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echoanom.cli.ingest_ek60 import ek60
from echoanom.errors import InstrumentFileError, MissingExtraError
from echoanom.ingest.ek60 import EK60
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.instrument import Block, InstrumentFile
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.running import IngestReport, ingest

pytestmark = pytest.mark.slow

POWER = Unit(angles=True)
FOUR = Unit(frequency_hz=120_000.0, number=714582, sectors=4)
THREE = Unit(frequency_hz=70_000.0, number=714583, sectors=3, samples=250)
ONE = Unit(frequency_hz=200_000.0, number=714584, sectors=1, power_w=90.0)
UNITS = (POWER, FOUR, THREE, ONE)
PINGS = 6
# Spreading begins half a pulse of 1024 µs late, which are four samples of 128 µs.
SILENT = 5


@pytest.fixture(autouse=True)
def _echopype_is_there() -> None:
    pytest.importorskip("echopype")


def known_sv(unit: Unit, pings: int = PINGS) -> NDArray[np.float64]:
    rng = np.random.default_rng(unit.number)
    return rng.uniform(-90, -40, (pings, unit.samples))


def groups(units: Sequence[Unit], pings: int = PINGS) -> list[list[bytes]]:
    """Return the datagrams of each ping, with what is known."""
    raws = [
        ek80files.samples(one, ek80files.power_db(one, known_sv(one, pings)))
        for one in units
    ]
    return ek80files.pings(units, raws)


def datagrams(units: Sequence[Unit], pings: int = PINGS) -> list[bytes]:
    return take_apart(ek80files.content(units, groups(units, pings)))


def write(path: Path, found: Sequence[bytes]) -> Path:
    path.write_bytes(put_together(found))
    return path


def as_file(path: Path) -> InstrumentFile:
    look = EK60().look(str(path), str(path))
    return InstrumentFile(str(path), path.stat().st_size, path.name, look)


def blocks(path: Path, **options: Any) -> list[Block]:
    instrument = EK60(EK60Options(**options))
    return list(instrument.blocks([as_file(path)], 0, 1 << 62))


def samples(path: Path, **options: Any) -> NDArray[np.float64]:
    return np.concatenate([block.values for block in blocks(path, **options)])


def run(source: Path, destination: Path, **options: Any) -> IngestReport:
    how = IngestOptions(**options.pop("table", {}))
    instrument = EK60(EK60Options(**options))
    return ingest(instrument, [str(source)], str(destination), how)


def tables(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "ek60" / "tabular").iterdir())
    return {path.name: path.read_bytes() for path in found}


def change(
    found: Sequence[bytes], kind: bytes, how: Callable[[bytes], bytes]
) -> list[bytes]:
    """Change the datagrams that begin like this, head left out."""
    return [
        how(one) if (one[:4] + one[12:]).find(kind, 0, 120) >= 0 else one
        for one in found
    ]


def like(datagram: bytes) -> Callable[[bytes], bytes]:
    """Put another datagram in one's place, at its time."""
    return lambda one: one[:12] + datagram[12:]


def echopypes(path: Path, encoding: str, **given: Any) -> Any:
    """Return what echopype makes of a whole file, channels by frequency."""
    import echopype

    data = echopype.open_raw(str(path), sonar_model="EK80")
    computed = echopype.calibrate.compute_Sv(
        data, waveform_mode="CW", encode_mode=encoding, **given
    )
    order = np.argsort(computed["frequency_nominal"].values)
    return computed.isel(channel=order).load()


# What Sv is.


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: f"sectors={one.sectors}")
def test_a_known_sv_comes_back(tmp_path: Path, unit: Unit) -> None:
    found = samples(write(tmp_path / "known.raw", datagrams([unit])))
    off_db = np.abs(found - known_sv(unit)[:, SILENT:])
    # Half a count of power; the precision of complex samples.
    assert off_db.max() < (2e-6 if unit.sectors else ek80files.COUNT_DB / 2 + 1e-6)


@pytest.mark.parametrize(
    "unit",
    [
        Unit(pulse_s=0.000512, slope=0.1, gain_db=22.0),
        Unit(pulse_s=0.002048, decimation=(10, 8), samples=900),
        Unit(frequency_hz=333_000.0, slope=0.5, sectors=2, ohm=1000),
        Unit(slope=0.0, sectors=4, frequencies_with_impedance=(34_000, 45_000)),
    ],
    ids=["short", "long", "steep", "impedance"],
)
def test_a_known_sv_comes_back_of_any_pulse(tmp_path: Path, unit: Unit) -> None:
    gains = {0.000512: 21.0, 0.001024: unit.gain_db, 0.002048: 23.0}
    sa = {0.001024: unit.sa_correction_db}
    # The tables of the configuration have others for other pulses.
    there = dataclasses.replace(
        unit,
        gain_db=gains[unit.pulse_s],
        sa_correction_db=sa.get(unit.pulse_s, 0.0),
    )
    raws = ek80files.samples(unit, ek80files.power_db(there, known_sv(unit)))
    content = ek80files.content([unit], ek80files.pings([unit], [raws]))
    path = tmp_path / "known.raw"
    path.write_bytes(content)
    found = samples(path)
    silent = unit.samples - found.shape[1]
    assert silent == int(unit.pulse_s / unit.interval_s / 2 + 1e-6) + 1
    off_db = np.abs(found - known_sv(unit)[:, silent:])
    assert off_db.max() < (2e-6 if unit.sectors else ek80files.COUNT_DB / 2 + 1e-6)


def test_channels_of_all_kinds_stand_side_by_side_by_frequency(tmp_path: Path) -> None:
    path = write(tmp_path / "all.raw", datagrams(UNITS))
    (block,) = blocks(path)
    start = 0
    for unit in sorted(UNITS, key=lambda one: one.frequency_hz):
        stop = start + unit.samples - SILENT
        alone = samples(path, frequencies_hz=(unit.frequency_hz,))
        assert block.values[:, start:stop].tobytes() == alone.tobytes()
        by_itself = write(tmp_path / "one.raw", datagrams([unit]))
        assert samples(by_itself).tobytes() == alone.tobytes()
        assert {one.frequency_hz for one in block.columns[start:stop]} == {
            unit.frequency_hz
        }
        start = stop
    assert start == len(block.columns)
    step = POWER.interval_s * ek80files.SOUND_SPEED_M_S / 2
    assert block.columns[0].range_m == pytest.approx(SILENT * step, abs=1e-6)
    assert block.columns[0].name == "Sv_38kHz_0.472m"


@pytest.mark.parametrize(
    ("encoding", "units"),
    [
        ("power", [POWER, dataclasses.replace(ONE, sectors=0)]),
        ("complex", [FOUR, dataclasses.replace(ONE, sectors=4)]),
    ],
)
def test_sv_is_what_echopype_makes_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, units: list[Unit]
) -> None:
    path = write(tmp_path / "whole.raw", datagrams(units, 40))
    expected = echopypes(path, encoding)
    monkeypatch.setattr("echoanom.ingest.ek60._PIECE_SAMPLES", 20_000)
    found = blocks(path)
    assert len(found) > 1
    values = np.concatenate([block.values for block in found])
    sv = expected["Sv"].transpose("ping_time", "channel", "range_sample").values
    # Where spreading begins, echopype has a first sample of nearly no power.
    sv = np.ascontiguousarray(sv[:, :, SILENT:])
    assert values.reshape(sv.shape).tobytes() == sv.tobytes()
    times = np.concatenate([block.times_us for block in found])
    theirs = expected["ping_time"].values.astype("datetime64[us]").astype(np.int64)
    assert np.abs(times - theirs).max() <= 5


@pytest.mark.parametrize("pings", [1, 4])
def test_sv_does_not_depend_on_the_size_of_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pings: int
) -> None:
    path = write(tmp_path / "all.raw", datagrams(UNITS))
    options = {"frequencies_hz": (38000.0, 120000.0), "noise_cell_m": 5.0}
    expected = samples(path, **options)
    assert np.isfinite(expected).any()
    monkeypatch.setattr("echoanom.ingest.ek60._PIECE_SAMPLES", pings * 5 * 300)
    found = blocks(path, **options)
    assert max(len(block.times_us) for block in found) == pings
    values = np.concatenate([block.values for block in found])
    assert values.tobytes() == expected.tobytes()


def test_given_parameters_reach_echopype_at_their_frequencies(tmp_path: Path) -> None:
    units = [FOUR, dataclasses.replace(ONE, sectors=4)]
    path = write(tmp_path / "two.raw", datagrams(units))
    # echopype has channels by their names, 120 kHz first.
    expected = echopypes(
        path,
        "complex",
        env_params={"sound_speed": 1490.0, "sound_absorption": [0.03, 0.05]},
        cal_params={
            "gain_correction": [26.0, 27.0],
            "sa_correction": [-0.3, -0.7],
            "equivalent_beam_angle": [-20.1, -20.5],
        },
    )
    found = samples(
        path,
        frequencies_hz=(200000.0, 120000.0),
        gain=(27.0, 26.0),
        sa_correction=(-0.7, -0.3),
        beam_angle=(-20.5, -20.1),
        absorption=(0.05, 0.03),
        sound_speed=1490.0,
    ).reshape(PINGS, 2, -1)
    sv = expected["Sv"].transpose("ping_time", "channel", "range_sample").values
    assert found.tobytes() == np.ascontiguousarray(sv[:, :, SILENT:]).tobytes()


def test_given_water_replaces_what_is_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "one.raw", datagrams([POWER]))
    water = {"temperature": 4.0, "salinity": 33.0, "pressure": 50.0}
    expected = echopypes(path, "power", env_params={**water, "pH": 8.0})
    found = samples(path, **water)
    sv = np.ascontiguousarray(expected["Sv"].values[0, :, SILENT:])
    assert found.tobytes() == sv.tobytes()
    # Then nothing of it need be recorded.
    bare = [one for one in datagrams([POWER]) if b"<Environment" not in one]
    without = write(tmp_path / "bare.raw", bare)
    assert samples(without, **water).tobytes() == found.tobytes()


# What holds when.


def test_the_water_holds_from_where_it_stands(tmp_path: Path) -> None:
    found = groups([POWER])
    warmer = ek80files.environment(Temperature="14", SoundSpeed="1476.5")
    front = ek80files.front([POWER])
    # The keel's position alone says nothing of the water.
    keel = stamped(
        ek80files.document(ek80files.ElementTree.Element("Environment")), START_TICKS
    )
    turned = [*front, *sum(found[:2], [keel]), stamped(warmer, START_TICKS)]
    mixed = write(tmp_path / "mixed.raw", [*turned, *sum(found[2:], [])])
    cold = write(tmp_path / "cold.raw", [*front, *sum(found, [])])
    warm = [*front[:-1], stamped(warmer, START_TICKS), *sum(found, [])]
    values = samples(mixed)
    assert values[:2].tobytes() == samples(cold)[:2].tobytes()
    expected = samples(write(tmp_path / "warm.raw", warm))
    assert values[2:].tobytes() == expected[2:].tobytes()
    assert not np.array_equal(values[2:], samples(cold)[2:])


def test_settings_that_alternate_are_calibrated_each_its_own_way(
    tmp_path: Path,
) -> None:
    louder = dataclasses.replace(POWER, power_w=100.0)
    even, odd = groups([POWER]), groups([louder])
    mixed = [even[i] if i % 2 == 0 else odd[i] for i in range(PINGS)]
    path = tmp_path / "mixed.raw"
    path.write_bytes(ek80files.content([POWER], mixed))
    off_db = np.abs(samples(path) - known_sv(POWER)[:, SILENT:])
    assert off_db.max() < ek80files.COUNT_DB / 2 + 1e-6


def test_filters_hold_from_where_they_stand(tmp_path: Path) -> None:
    narrower = dataclasses.replace(POWER, decimation=(12, 16))
    found = groups([POWER])
    anew = [stamped(one, START_TICKS) for one in ek80files.filters(narrower)]
    front = ek80files.front([POWER])
    path = write(
        tmp_path / "anew.raw", [*front, *sum(found[:3], []), *anew, *sum(found[3:], [])]
    )
    from_start = [*front, *anew, *sum(found, [])]
    expected = samples(write(tmp_path / "start.raw", from_start))
    before = samples(write(tmp_path / "old.raw", [*front, *sum(found, [])]))
    values = samples(path)
    assert values[:3].tobytes() == before[:3].tobytes()
    assert values[3:].tobytes() == expected[3:].tobytes()
    assert not np.array_equal(expected, before)


@pytest.mark.parametrize("options", [{}, {"range_bin_m": 1.0, "noise_cell_m": 5.0}])
def test_files_split_within_a_minute_give_the_same_bytes(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    units = [POWER, THREE]
    every = groups(units, 70)
    (tmp_path / "whole").mkdir()
    (tmp_path / "split").mkdir()
    whole = tmp_path / "whole" / "a.raw"
    whole.write_bytes(ek80files.content(units, every))
    for name, start, stop in (("a", 0, 11), ("b", 11, 12), ("c", 12, 70)):
        part = tmp_path / "split" / f"{name}.raw"
        part.write_bytes(ek80files.content(units, every[start:stop]))
    run(whole.parent, tmp_path / "a", **options)
    report = run(tmp_path / "split", tmp_path / "b", **options)
    assert (report.files, report.rows, report.counts) == (3, 2, {"pings": 70})
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


# What stands besides.


def test_what_is_no_samples_of_a_sounder_is_passed_over(tmp_path: Path) -> None:
    found = datagrams([POWER])
    path = write(tmp_path / "plain.raw", found)
    profiler = ek80files.samples(
        dataclasses.replace(POWER, kind="EC150-3C"), np.zeros((1, 300))
    )
    sequence = b"XML0" + bytes(8) + b"<PingSequence><Ping /></PingSequence>"
    initial = b"XML0" + bytes(8) + b"<InitialParameter><Channels /></InitialParameter>"
    others = [sequence, initial, b"RAW4" + found[6][4:], b"TAG0" + bytes(30)]
    others += [*profiler, b"NME0" + bytes(8) + b"$GPGGA,", b"XML0" + bytes(8) + b"<?"]
    more = [*found[:1], *others, *found[1:5], *others, *found[5:], *others]
    assert (
        samples(write(tmp_path / "more.raw", more)).tobytes() == samples(path).tobytes()
    )


def test_older_and_newer_names_of_attributes_do(tmp_path: Path) -> None:
    found = datagrams([POWER])

    def older(datagram: bytes) -> bytes:
        datagram = datagram.replace(b"PulseDuration=", b"PulseLength=")
        datagram = datagram.replace(b' SerialNumber="714581"', b"")
        datagram = datagram.replace(b'ChannelIdShort="ES"', b"")
        return datagram.replace(
            b'Frequency="38000" PulseL',
            b'FrequencyStart="38000" FrequencyEnd="38000" PulseL',
        )

    renamed = change(found, b"<Parameter", older)
    renamed = [older(renamed[0]), *renamed[1:]]
    assert renamed[0] != found[0] and renamed[5] != found[5]
    path = write(tmp_path / "older.raw", renamed)
    expected = samples(write(tmp_path / "newer.raw", found))
    assert samples(path).tobytes() == expected.tobytes()


def test_what_sv_does_not_depend_on_may_be_missing(tmp_path: Path) -> None:
    unit = dataclasses.replace(FOUR, frequencies_with_impedance=(90_000, 150_000))
    found = datagrams([unit])
    needless = rb' (Angle|Beam|TransducerAlpha|Directivity|MaxTx|IP|Phase)\w+="[^"]*"'
    bare = [re.sub(needless, b"", found[0]), *found[1:]]
    assert len(bare[0]) < len(found[0]) - 500
    path = write(tmp_path / "bare.raw", bare)
    expected = samples(write(tmp_path / "full.raw", found))
    assert samples(path).tobytes() == expected.tobytes()


def test_channels_may_have_any_name(tmp_path: Path) -> None:
    found = datagrams([FOUR])
    name = FOUR.name.encode()
    odd = "Breiður geisli 18°".encode()

    def named(datagram: bytes) -> bytes:
        if datagram[:4] == b"XML0":
            return datagram.replace(name, odd)
        return datagram.replace(name.ljust(128, b"\0"), odd.ljust(128, b"\0"))

    renamed = [named(one) for one in found]
    assert all(name not in one for one in renamed)
    expected = samples(write(tmp_path / "plain.raw", found))
    assert samples(write(tmp_path / "odd.raw", renamed)).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("water", "depth_m"),
    [
        ({}, 5.2),
        ({"DropKeelOffset": "2.5"}, None),
        ({"WaterLevelDraft": "-1"}, None),
        ({"DropKeelOffset": "", "WaterLevelDraft": ""}, 5.2),
    ],
)
def test_depth_is_known_while_the_ships_origin_is_at_the_surface(
    tmp_path: Path, water: dict[str, str], depth_m: float | None
) -> None:
    found = change(
        datagrams([POWER]), b"<Environment", like(ek80files.environment(**water))
    )
    path = write(tmp_path / "depth.raw", found)
    column = blocks(path, range_bin_m=1.0)[0].columns[3]
    assert column.range_m == 3.5
    assert column.depth_m == (depth_m and pytest.approx(depth_m + 3.5))
    given = blocks(path, range_bin_m=1.0, instrument_depth_m=7.0)[0].columns[3]
    assert given.depth_m == pytest.approx(10.5)


# Samples that cannot be calibrated.

BROAD = {"PulseForm": "1", "Frequency": "", "FrequencyStart": "34000"}


def with_parameter(unit: Unit, **changed: str) -> list[bytes]:
    return change(
        datagrams([unit]), b"<Parameter", like(ek80files.parameter(unit, **changed))
    )


@pytest.mark.parametrize(
    ("name", "found", "message"),
    [
        (
            "broadband",
            with_parameter(FOUR, **BROAD, FrequencyEnd="45000"),
            r"byte \d+: ping of 2024-05-17T10:20:30.000Z, channel 'WBT 714582-15"
            r" ES120-7C': must be narrow-band \(CW\), got pulses from 34000 to 45000 Hz",
        ),
        (
            "other_frequency",
            with_parameter(FOUR, Frequency="115000"),
            "must ping at the transducer's frequency, 120000 Hz, .* got 115000 Hz",
        ),
        (
            "gpt",
            datagrams([GPT]),
            "must be of a wideband transceiver, got a GPT",
        ),
        (
            "no_filters",
            [one for one in datagrams([POWER]) if one[:4] != b"FIL1"],
            r"must have filters \(FIL1\) of both stages",
        ),
        (
            "one_filter",
            [one for one in datagrams([POWER]) if one[12:13] != b"\2"],
            r"must have filters \(FIL1\) of both stages",
        ),
        (
            "slope_without_length",
            with_parameter(POWER, Slope="0.00033"),
            "must have filters .* and a slope that give the effective length of a pulse"
            " of 1.024 ms, got",
        ),
        (
            "no_water",
            [one for one in datagrams([POWER]) if b"<Environment" not in one],
            "must have Depth, Acidity, Salinity, SoundSpeed, Temperature in Environment"
            ".*give temperature",
        ),
        (
            "no_acidity",
            change(
                datagrams([POWER]),
                b"<Environment",
                like(ek80files.environment(Acidity="")),
            ),
            "must have Acidity in Environment",
        ),
        (
            "no_gain",
            with_parameter(POWER, PulseDuration="0.0007"),
            "must have a gain for pulses of 0.7 ms at 38000 Hz in the configuration,"
            " which it has for 0.256, 0.512, 1.024, 2.048, 4.096 ms alone",
        ),
        (
            "no_impedance",
            datagrams([dataclasses.replace(FOUR, frequencies_with_impedance=(90000,))]),
            "must have the transducer's impedance around 120000 Hz, got it from 90000",
        ),
        (
            "two_alike",
            datagrams([POWER, dataclasses.replace(POWER, number=714599)]),
            "must have one channel a frequency, got 38000, 38000",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_what_cannot_be_calibrated_is_refused(
    tmp_path: Path, name: str, found: list[bytes], message: str
) -> None:
    path = write(tmp_path / f"{name}.raw", found)
    with pytest.raises(InstrumentFileError, match=message) as caught:
        blocks(path)
    assert "\n" not in str(caught.value)


def test_narrow_band_beside_broadband_can_be_taken_by_its_frequency(
    tmp_path: Path,
) -> None:
    found = datagrams([POWER, FOUR, dataclasses.replace(GPT, frequency_hz=18e3)])
    broad = ek80files.parameter(FOUR, **BROAD, FrequencyEnd="45000")
    mixed = [
        like(broad)(one) if b"<Parameter" in one and b"ES120" in one else one
        for one in found
    ]
    path = write(tmp_path / "mixed.raw", mixed)
    with pytest.raises(InstrumentFileError, match="narrow-band.*name other channels"):
        blocks(path, frequencies_hz=(38000.0, 120000.0))
    alone = write(tmp_path / "alone.raw", datagrams([POWER]))
    values = samples(path, frequencies_hz=(38000.0,))
    assert values.tobytes() == samples(alone).tobytes()


# Files that cannot be taken.


def patched(offset: int, form: str, value: float) -> Callable[[bytes], bytes]:
    def change_it(datagram: bytes) -> bytes:
        changed = bytearray(datagram)
        struct.pack_into(form, changed, offset, value)
        return bytes(changed)

    return change_it


TWO = datagrams([POWER, FOUR])
# Configuration, two filters each, environment; motion, parameter and samples twice.
FRONT, EACH = 6, 5
PING = TWO[FRONT + EACH : FRONT + 2 * EACH]


def with_datagram(place: int, *instead: bytes) -> list[bytes]:
    return [*TWO[:place], *instead, *TWO[place + 1 :]]


SAMPLES = FRONT + EACH + 2


@pytest.mark.parametrize(
    ("name", "found", "message"),
    [
        ("no_pings", TWO[:FRONT], "must have pings"),
        ("no_configuration", TWO[1:], "must begin with the configuration"),
        (
            "starts_with_water",
            [TWO[5], *TWO[1:]],
            "byte 0: must begin with the configuration of an EK80, got XML of 'Env",
        ),
        (
            "broken_xml",
            [TWO[0][:400], *TWO[1:]],
            "byte 0: must hold XML, got .*the file is damaged",
        ),
        (
            "unknown_encoding",
            [TWO[0].replace(b"utf-8", b"utf-77"), *TWO[1:]],
            "byte 0: must hold XML",
        ),
        (
            "no_transducer",
            [TWO[0].replace(b"<Transducer ", b"<Transduced "), *TWO[1:]],
            "channel 'WBT 714581-15 ES38-7C': must have one Transducer, got 0",
        ),
        (
            "no_transceiver_type",
            [TWO[0].replace(b' TransceiverType="WBT"', b""), *TWO[1:]],
            "channel 'WBT 714581-15 ES38-7C': must have a TransceiverType, got none",
        ),
        (
            "gains_missing",
            [TWO[0].replace(b'Gain="20;', b'Gain="'), *TWO[1:]],
            "must have 5 numbers in Gain, one for each in PulseDuration, got '21;25.7",
        ),
        (
            "gain_no_number",
            [TWO[0].replace(b'Gain="20;', b'Gain="high;'), *TWO[1:]],
            "must have Gain from -100 to 100 dB, got 'high'",
        ),
        (
            "rate_beyond",
            [TWO[0].replace(b'"1500000"', b'"1500000000000"'), *TWO[1:]],
            "must have RxSampleFrequency from 0 to 1e.07 Hz, got '1500000000000'",
        ),
        (
            "two_of_one_id",
            [TWO[0].replace(FOUR.name.encode(), POWER.name.encode()), *TWO[1:]],
            "must have an ID of its own for each channel, got 'WBT 714581-15",
        ),
        (
            "water_no_number",
            with_datagram(5, ek80files.environment(Temperature="warm")),
            "must have Temperature from -5 to 60 degC, got 'warm'; the file is damaged",
        ),
        (
            "another_configuration",
            with_datagram(SAMPLES + 3, TWO[0].replace(b"25.7", b"25.8")),
            "must have one configuration",
        ),
        (
            "of_an_ek60_inside",
            with_datagram(SAMPLES + 3, six_pings()[1]),
            "must be of one sounder from start to end, got a datagram of an EK60",
        ),
        (
            "parameter_missing",
            [one for one in TWO if b"<Parameter" not in one or b"ES120" not in one],
            r"ping of 2024-05-17T10:20:30.000Z: must have Parameter \(XML0\) for 'WBT"
            " 714582",
        ),
        (
            "parameter_empty",
            with_datagram(SAMPLES - 1, b"XML0" + bytes(8) + b"<Parameter />"),
            "must have a Channel in Parameter, got none",
        ),
        (
            "interval_missing",
            with_datagram(SAMPLES - 1, ek80files.parameter(POWER, SampleInterval="")),
            "must have SampleInterval from 1e-07 to 0.1 s, got nothing",
        ),
        (
            "pulse_infinite",
            with_datagram(SAMPLES - 1, ek80files.parameter(POWER, PulseDuration="inf")),
            "must have PulseDuration from 1e-06 to 0.1 s, got 'inf'",
        ),
        (
            "channel_of_none",
            with_datagram(
                SAMPLES, TWO[SAMPLES].replace(b"WBT 714581", b"WBT 999999", 1)
            ),
            r"must be of a channel of the configuration \(WBT .*got 'WBT 999999",
        ),
        (
            "complex_16",
            with_datagram(SAMPLES, patched(140, "<h", 0x404)(TWO[SAMPLES])),
            "got complex ones of 16 bit, which echopype cannot read",
        ),
        (
            "no_samples_at_all",
            with_datagram(SAMPLES, patched(140, "<h", 2)(TWO[SAMPLES])),
            "must have either power or complex samples, got data type 2",
        ),
        (
            "first_sample_not_0",
            with_datagram(SAMPLES, patched(144, "<i", 7)(TWO[SAMPLES])),
            "must have samples from the first on, got 300 from 7",
        ),
        (
            "samples_beyond",
            with_datagram(SAMPLES, patched(148, "<i", 9999)(TWO[SAMPLES])),
            "must have 40148 bytes in RAW3 for 9999 samples, got 1352",
        ),
        (
            "range_beyond",
            with_datagram(
                SAMPLES - 1, ek80files.parameter(POWER, SampleInterval="0.08")
            ),
            "must have a range up to 15000 m, got 18000 m",
        ),
        (
            "short_raw",
            with_datagram(SAMPLES, TWO[SAMPLES][:100]),
            "must have a head of 152 bytes in RAW3, got 100",
        ),
        (
            "clock_not_set",
            with_datagram(SAMPLES, stamped(TWO[SAMPLES], 0)),
            "must have a time from 1980 to 2099 in RAW3",
        ),
        (
            "short_filter",
            with_datagram(1, TWO[1][:100]),
            "must have a head of 148 bytes in FIL1, got 100",
        ),
        (
            "filter_of_no_stage",
            with_datagram(1, patched(12, "<h", 9)(TWO[1])),
            "must have stage 1 or 2, .*got stage 9, 47 coefficients",
        ),
        (
            "lost_samples",
            with_datagram(SAMPLES + 2),
            r"byte \d+: must have channels WBT 714581-15 ES38-7C, WBT 714582-15"
            r" ES120-7C in each ping, got WBT 714581-15 ES38-7C in that of"
            r" 2024-05-17T10:20:31.000Z",
        ),
        (
            "cut_within_a_ping",
            TWO[:-1],
            r"must have channels .* got WBT 714581-15 ES38-7C in that of"
            r" 2024-05-17T10:20:35.000Z; the file is cut within a ping",
        ),
        (
            "backwards",
            [*TWO, *PING],
            r"byte \d+: must have pings in order of time, but that of"
            r" 2024-05-17T10:20:31.000Z comes after 2024-05-17T10:20:35.000Z",
        ),
        (
            "turns",
            with_datagram(SAMPLES, stamped(TWO[SAMPLES], START_TICKS + 9_000_000)),
            "must have one time for all channels of a ping",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_a_bad_file_is_refused_when_it_is_looked_at(
    tmp_path: Path, name: str, found: list[bytes], message: str
) -> None:
    path = write(tmp_path / f"{name}.raw", found)
    with pytest.raises(InstrumentFileError, match=message) as caught:
        as_file(path)
    assert "\n" not in str(caught.value)


CONTENT = put_together(TWO)
EDGES = [len(put_together(TWO[:count])) for count in range(len(TWO) + 1)]


def whole_pings(size: int) -> int:
    """Return how many pings a file of this size has, 0 unless it ends behind one."""
    if size not in EDGES:
        return 0
    kinds = [one[:4] for one in TWO[: EDGES.index(size)]]
    raws = kinds.count(b"RAW3")
    return raws // 2 if raws % 2 == 0 else 0


@settings(max_examples=200)
@given(st.integers(0, len(CONTENT) - 1) | st.sampled_from(EDGES[:-1]))
def test_a_cut_anywhere_is_refused_but_between_pings(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cut.raw")
        path.write_bytes(CONTENT[:size])
        pings = whole_pings(size)
        if pings:
            assert EK60().look(str(path), str(path)).facts == {"pings": pings}
            return
        with pytest.raises(InstrumentFileError) as caught:
            EK60().look(str(path), str(path))
    assert "\n" not in str(caught.value)
    assert "byte " in caught.value.message or size in (0, *EDGES[: FRONT + EACH])


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
    # Where most meaning is: configuration, filters, water, and the first ping's head.
    | st.lists(
        st.tuples(st.integers(0, EDGES[FRONT + 3]), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_damage_ends_in_one_line_or_not_at_all(changes: list[tuple[int, int]]) -> None:
    content = bytearray(CONTENT)
    for place, value in changes:
        content[place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "damaged.raw")
        path.write_bytes(content)
        try:
            found = blocks(path, range_bin_m=5.0)
        except InstrumentFileError as error:
            assert "\n" not in str(error)
        else:
            assert sum(len(block.times_us) for block in found) == PINGS


# The command.


def test_the_command_takes_both_sounders(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    write(source / "ek80.raw", TWO)
    write(source / "ek60.raw", six_pings())
    arguments = [str(source), str(tmp_path / "out"), "--frequency", "38000,120000"]
    arguments += ["--range-bin", "1", "--max-range", "20", "--workers", "1", "--json"]
    arguments += ["--instrument-depth", "5"]
    done = CliRunner().invoke(ek60, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["rows"], report["columns"], report["counts"]) == (
        2,
        40,
        {"pings": 12},
    )


def test_nothing_of_echopypes_reaches_the_terminal(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from echoanom.cli.ingest_ek60 import ek60\n"
        "if __name__ == '__main__':\n"
        "    ek60(sys.argv[1:], standalone_mode=False)\n"
    )
    source = write(tmp_path / "a.raw", TWO)
    done = subprocess.run(
        [sys.executable, script, source, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["pings: 6"]


def test_without_echopype_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.raw", TWO)
    monkeypatch.setitem(sys.modules, "echopype", None)
    with pytest.raises(MissingExtraError, match=r"EK80 files needs: pip install"):
        blocks(path)
