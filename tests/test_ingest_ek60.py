"""EK60 files: Sv is echopype's, minutes are power means, and bad files are named."""

from __future__ import annotations

import csv
import functools
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ek60files import (
    CHANNELS,
    SIX_PINGS,
    change,
    later,
    put_together,
    six_pings,
    take_apart,
    ticks,
    with_number,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echoanom.cli.ingest_ek60 import ek60
from echoanom.columns import columns_from_json
from echoanom.errors import InstrumentFileError, MissingExtraError, OptionError
from echoanom.ingest.ek60 import EK60, STANDARD_NAME
from echoanom.ingest.ek60options import EK60Options
from echoanom.ingest.instrument import Block, InstrumentFile
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.running import IngestReport, ingest

pytestmark = pytest.mark.slow

FREQUENCIES = (18000.0, 38000.0, 70000.0, 120000.0, 200000.0)
DAY = "2012-02-14"


@pytest.fixture(autouse=True)
def _echopype_is_there() -> None:
    pytest.importorskip("echopype")


@pytest.fixture
def whole(shared_data: Path) -> Path:
    return shared_data / "pyecholab_ek60" / "DY1201_EK60-D20120214-T231011.raw"


def as_file(path: Path) -> InstrumentFile:
    look = EK60().look(str(path), str(path))
    return InstrumentFile(str(path), path.stat().st_size, path.name, look)


def blocks(path: Path, **options: Any) -> list[Block]:
    """Return all blocks of a file, of whatever day."""
    instrument = EK60(EK60Options(**options))
    return list(instrument.blocks([as_file(path)], 0, 1 << 62))


def samples(path: Path, **options: Any) -> NDArray[np.float64]:
    return np.concatenate([block.values for block in blocks(path, **options)])


def write(path: Path, datagrams: list[bytes]) -> Path:
    path.write_bytes(put_together(datagrams))
    return path


def run(source: Path, destination: Path, **options: Any) -> IngestReport:
    how = IngestOptions(**options.pop("table", {}))
    instrument = EK60(EK60Options(**options))
    return ingest(instrument, [str(source)], str(destination), how)


def tables(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "ek60" / "tabular").iterdir())
    return {path.name: path.read_bytes() for path in found}


def read_table(folder: Path, day: str = DAY) -> tuple[list[str], list[list[str]]]:
    with open(folder / "ek60" / "tabular" / f"{day}.csv", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def echopypes(path: Path, **given: Any) -> Any:
    """Return what echopype makes of a whole file, channels by frequency."""
    import echopype

    data = echopype.open_raw(str(path), sonar_model="EK60")
    computed = echopype.calibrate.compute_Sv(data, **given)
    order = np.argsort(computed["frequency_nominal"].values)
    return computed.isel(channel=order).load()


# What Sv is.


def test_sv_is_what_echopype_makes_of_the_whole_file(whole: Path) -> None:
    expected = echopypes(whole)
    found = blocks(whole)
    values = np.concatenate([block.values for block in found]).reshape(136, 5, -1)
    # The first three samples lie before spreading begins.
    sv = expected["Sv"].transpose("ping_time", "channel", "range_sample").values
    assert values.tobytes() == np.ascontiguousarray(sv[:, :, 3:]).tobytes()
    ranges = [column.range_m for column in found[0].columns]
    np.testing.assert_allclose(
        ranges, expected["echo_range"].values[:, 0, 3:].ravel(), atol=1e-6
    )
    times = np.concatenate([block.times_us for block in found])
    theirs = expected["ping_time"].values.astype("datetime64[us]").astype(np.int64)
    assert np.abs(times - theirs).max() <= 5


@pytest.mark.parametrize("pings", [1, 4])
def test_sv_does_not_depend_on_the_size_of_the_pieces(
    monkeypatch: pytest.MonkeyPatch, pings: int
) -> None:
    options = {"frequencies_hz": (38000.0, 120000.0), "noise_cell_m": 10.0}
    expected = samples(SIX_PINGS, **options)
    monkeypatch.setattr("echoanom.ingest.ek60._PIECE_SAMPLES", pings * 2 * 994)
    found = blocks(SIX_PINGS, **options)
    assert max(len(block.times_us) for block in found) == pings
    values = np.concatenate([block.values for block in found])
    assert values.tobytes() == expected.tobytes()


def test_a_channel_alone_is_as_among_all() -> None:
    every = samples(SIX_PINGS).reshape(6, 5, -1)
    for place, frequency in enumerate(FREQUENCIES):
        alone = samples(SIX_PINGS, frequencies_hz=(frequency,))
        assert alone.tobytes() == every[:, place].tobytes()


def test_given_parameters_reach_echopype_at_their_frequencies() -> None:
    # echopype has channels in another order: 38, 70, 18, 200, 120 kHz, say.
    frequencies = (200000.0, 18000.0, 120000.0)
    gain, sa, angle = (26.0, 21.5, 25.0), (-0.3, -0.7, -0.5), (-20.1, -17.0, -20.5)
    absorption = (0.05, 0.002, 0.03)
    import echopype

    data = echopype.open_raw(str(SIX_PINGS), sonar_model="EK60")
    order = data["Sonar/Beam_group1"]["frequency_nominal"].values.tolist()

    def listed(values: tuple[float, ...], rest: float) -> list[float]:
        given = dict(zip(frequencies, values, strict=True))
        return [given.get(frequency, rest) for frequency in order]

    computed = echopype.calibrate.compute_Sv(
        data,
        env_params={
            "sound_speed": 1480.0,
            "sound_absorption": listed(absorption, 0.01),
        },
        cal_params={
            "gain_correction": listed(gain, 20.0),
            "sa_correction": listed(sa, 0.0),
            "equivalent_beam_angle": listed(angle, -20.0),
        },
    ).load()
    found = samples(
        SIX_PINGS,
        frequencies_hz=frequencies,
        gain=gain,
        sa_correction=sa,
        beam_angle=angle,
        absorption=absorption,
        sound_speed=1480.0,
    ).reshape(6, 3, -1)
    for place, frequency in enumerate(sorted(frequencies)):
        expected = computed["Sv"].values[order.index(frequency), :, 3:]
        assert found[:, place].tobytes() == np.ascontiguousarray(expected).tobytes()


def test_temperature_salinity_and_pressure_give_speed_and_absorption() -> None:
    water = {"temperature": 4.0, "salinity": 33.0, "pressure": 50.0}
    expected = echopypes(SIX_PINGS, env_params={**water, "pH": 8.0})
    found = samples(SIX_PINGS, **water).reshape(6, 5, -1)
    sv = expected["Sv"].transpose("ping_time", "channel", "range_sample").values
    assert found.tobytes() == np.ascontiguousarray(sv[:, :, 3:]).tobytes()
    assert not np.array_equal(found, samples(SIX_PINGS).reshape(6, 5, -1))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_noise_is_taken_off_as_echopype_does_over_one_ping() -> None:
    import echopype

    computed = echopypes(SIX_PINGS)
    # 10 m of 0.185 m.
    cleaned = echopype.clean.remove_background_noise(
        computed, ping_num=1, range_sample_num=54, SNR_threshold="3.0dB"
    )
    expected = cleaned["Sv_corrected"].transpose("ping_time", "channel", "range_sample")
    found = samples(SIX_PINGS, noise_cell_m=10.0).reshape(6, 5, -1)
    np.testing.assert_allclose(found, expected.values[:, :, 3:], rtol=1e-9)
    assert np.isnan(found).any() and not np.isnan(found).all()


# What a minute is.


def test_a_minute_is_the_mean_power_of_its_pings(whole: Path, tmp_path: Path) -> None:
    run(whole, tmp_path, range_bin_m=5.0, frequencies_hz=(38000.0,))
    header, rows = read_table(tmp_path)
    sv = echopypes(whole)["Sv"].values[1]
    ranges = echopypes(whole)["echo_range"].values[1, 0]
    assert len(rows) == 1 and rows[0][0].startswith("2012-02-14T23:10:00")
    for place, name in enumerate(header[1:]):
        assert name == f"Sv_38kHz_{place * 5 + 2.5}m"
        total, pings = 0.0, 0
        for ping in sv:
            inside = [
                10 ** (value / 10)
                for value, range_m in zip(ping, ranges, strict=True)
                if place * 5 <= range_m < place * 5 + 5 and not math.isnan(value)
            ]
            if inside:
                total += sum(inside) / len(inside)
                pings += 1
        expected = 10 * math.log10(total / pings)
        assert float(rows[0][1 + place]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"range_bin_m": 1.0, "noise_cell_m": 5.0}])
def test_files_split_within_a_minute_give_the_same_bytes(
    whole: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    halves = whole.parent / "split"
    run(whole, tmp_path / "a", **options)
    report = run(halves, tmp_path / "b", **options)
    assert report.files == 2 and report.counts == {"pings": 136}
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_pings_before_and_after_midnight_have_their_days(tmp_path: Path) -> None:
    # From 23:10:11; the third ping on is on the next day.
    datagrams = six_pings()
    start = ticks(datagrams[1])
    source = tmp_path / "six.raw"
    far = change(datagrams, range(2 * CHANNELS, 6 * CHANNELS), lambda x: later(x, 3600))
    write(source, far)
    report = run(source, tmp_path / "out", range_bin_m=50.0)
    assert (report.made, report.rows, report.counts) == (2, 2, {"pings": 6})
    alone = [datagrams[0], *far[1 + 2 * CHANNELS :]]
    assert ticks(alone[1]) > start
    run(write(tmp_path / "late.raw", alone), tmp_path / "late", range_bin_m=50.0)
    name = "2012-02-15.csv"
    assert tables(tmp_path / "out")[name] == tables(tmp_path / "late")[name]


def test_a_second_call_keeps_what_is_there(tmp_path: Path) -> None:
    run(SIX_PINGS, tmp_path, range_bin_m=10.0)
    assert run(SIX_PINGS, tmp_path, range_bin_m=10.0).kept == 1
    # Another option: made again.
    again = run(SIX_PINGS, tmp_path, range_bin_m=10.0, noise_cell_m=10.0)
    assert (again.made, again.kept) == (1, 0)


# Columns.


def test_columns_say_frequency_range_and_depth(tmp_path: Path) -> None:
    run(SIX_PINGS, tmp_path, range_bin_m=1.0, frequencies_hz=(38000.0, 200000.0))
    path = tmp_path / "ek60" / "columns.json"
    columns = list(columns_from_json(path.read_text(), "ek60", "").values())
    assert [one.frequency_hz for one in columns] == [38000.0] * 184 + [200000.0] * 184
    first = columns[12]
    assert first.name == "Sv_38kHz_12.5m" and first.unit == "dB re 1 m⁻¹"
    assert first.kind == "level" and first.standard_name == STANDARD_NAME
    # The transducer is at 9.15 m and looks down.
    assert (first.range_m, first.depth_m) == (12.5, pytest.approx(21.65))
    assert [one.name for one in columns] == read_table(tmp_path)[0][1:]


def test_a_beam_that_looks_up_has_depths_if_the_instruments_is_known() -> None:
    def described(**options: Any) -> Any:
        chosen = {"range_bin_m": 10.0, "look": "up", "frequencies_hz": (38000.0,)}
        return blocks(SIX_PINGS, **chosen, **options)[0].columns

    assert {one.depth_m for one in described()} == {None}
    tilted = described(instrument_depth_m=120.0, tilt_deg=60.0)
    assert tilted[3].range_m == 35.0
    assert tilted[3].depth_m == pytest.approx(120 - 35 / 2)


def test_limits_of_depth_leave_out_surface_and_bottom() -> None:
    columns = blocks(
        SIX_PINGS,
        range_bin_m=10.0,
        look="up",
        instrument_depth_m=120.0,
        min_depth_m=12.0,
        max_depth_m=95.0,
        frequencies_hz=(38000.0,),
    )[0].columns
    # Bins of 20 to 30 m would begin at 100 m; that of 100 to 110 m ends at 10 m.
    assert [one.range_m for one in columns] == [35.0 + 10 * i for i in range(7)]


def test_limits_of_range_cut_samples() -> None:
    columns = blocks(
        SIX_PINGS, min_range_m=2.0, max_range_m=3.0, frequencies_hz=(70000.0,)
    )[0].columns
    assert [one.name for one in columns] == [
        f"Sv_70kHz_{x}m" for x in ("2.036", "2.221", "2.406", "2.591", "2.776", "2.961")
    ]


def test_nothing_within_the_limits_is_an_error() -> None:
    with pytest.raises(InstrumentFileError, match="samples within the limits"):
        blocks(SIX_PINGS, min_range_m=500.0)


# Settings that change.


def longer_interval(datagram: bytes) -> bytes:
    return with_number(datagram, 36, "<f", 0.000512)


def test_changed_ranges_are_refused_unless_they_have_the_same_bins(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "changed.raw",
        change(six_pings(), range(2 * CHANNELS, 6 * CHANNELS), longer_interval),
    )
    with pytest.raises(
        InstrumentFileError, match=r"from 2012-02-14T23:10:12\.\d+Z on .* --range-bin"
    ):
        blocks(source)
    options = {"range_bin_m": 1.0, "max_range_m": 100.0}
    (block,) = blocks(source, **options)
    assert block.values[:2].tobytes() == samples(SIX_PINGS, **options)[:2].tobytes()
    wider = write(tmp_path / "all.raw", change(six_pings(), range(30), longer_interval))
    assert block.values[2:].tobytes() == samples(wider, **options)[2:].tobytes()


def test_settings_that_alternate_are_calibrated_each_its_own_way(
    tmp_path: Path,
) -> None:
    # echopype takes a whole file's pulse length from its first ping.
    def shorter(datagram: bytes) -> bytes:
        return with_number(datagram, 28, "<f", 0.000512)

    odd = [5 * ping + channel for ping in (1, 3, 5) for channel in range(5)]
    mixed = write(tmp_path / "mixed.raw", change(six_pings(), odd, shorter))
    short = write(tmp_path / "short.raw", change(six_pings(), range(30), shorter))
    found, even_all, odd_all = samples(mixed), samples(SIX_PINGS), samples(short)
    assert found[::2].tobytes() == even_all[::2].tobytes()
    assert found[1::2].tobytes() == odd_all[1::2].tobytes()
    assert not np.array_equal(even_all[1], odd_all[1])


# Files that overlap.


def test_the_same_pings_in_two_files_count_once(tmp_path: Path) -> None:
    datagrams = six_pings()
    source = tmp_path / "raw"
    source.mkdir()
    write(source / "a.raw", datagrams[: 1 + 4 * CHANNELS])
    write(source / "b.raw", [datagrams[0], *datagrams[1 + 2 * CHANNELS :]])
    report = run(source, tmp_path / "out", range_bin_m=10.0)
    assert report.counts["samples found twice"] == 2
    run(SIX_PINGS, tmp_path / "whole", range_bin_m=10.0)
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


def test_other_samples_at_the_same_time_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    write(source / "a.raw", six_pings())
    louder = change(six_pings(), [12], lambda x: with_number(x, 284, "<h", 0))
    write(source / "b.raw", louder)
    with pytest.raises(InstrumentFileError, match=r"b.raw: must have what .*a.raw has"):
        run(source, tmp_path / "out")


# Files that cannot be taken.


def whole_pings(content: bytes) -> int:
    """Return how many pings a file has, 0 unless it ends behind one."""
    offset = raws = 0
    while offset < len(content):
        if offset + 4 > len(content):
            return 0
        (length,) = struct.unpack_from("<i", content, offset)
        raws += content[offset + 4 : offset + 8] == b"RAW0"
        offset += length + 8
    return raws // CHANNELS if offset == len(content) and raws % CHANNELS == 0 else 0


CONTENT = SIX_PINGS.read_bytes()
EDGES = [
    len(put_together(take_apart(CONTENT)[:count]))
    for count in range(len(take_apart(CONTENT)) + 1)
]


@settings(max_examples=300)
@given(st.integers(0, len(CONTENT) - 1) | st.sampled_from(EDGES[:-1]))
def test_a_cut_anywhere_is_refused_but_between_pings(size: int) -> None:
    content = CONTENT[:size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cut.raw")
        path.write_bytes(content)
        pings = whole_pings(content)
        if pings:
            assert EK60().look(str(path), str(path)).facts == {"pings": pings}
            return
        with pytest.raises(InstrumentFileError) as caught:
            EK60().look(str(path), str(path))
    assert "\n" not in str(caught.value)
    # The place, but of a file without any ping, which is whole so far.
    assert "byte " in caught.value.message or size in (0, *EDGES[:3])


def test_a_cut_within_a_ping_at_a_datagrams_end_is_noticed(tmp_path: Path) -> None:
    cut = write(tmp_path / "cut.raw", six_pings()[: 1 + 3 * CHANNELS + 2])
    with pytest.raises(
        InstrumentFileError,
        match=r"byte \d+: must have channels 1, 2, 3, 4, 5 in each ping, got 1, 2 in"
        r" that of 2012-02-14T23:10:12\.\d{3}Z; the file is cut",
    ):
        as_file(cut)


def test_a_lost_datagram_is_noticed(tmp_path: Path) -> None:
    datagrams = six_pings()
    del datagrams[1 + CHANNELS + 2]
    with pytest.raises(InstrumentFileError, match="got 1, 2, 4, 5 in that of"):
        as_file(write(tmp_path / "lost.raw", datagrams))


def test_a_clock_that_runs_backwards_is_named_with_time_and_byte(
    tmp_path: Path,
) -> None:
    back = change(
        six_pings(), range(3 * CHANNELS, 4 * CHANNELS), lambda x: later(x, -60)
    )
    offset = len(put_together(back[: 1 + 3 * CHANNELS]))
    with pytest.raises(
        InstrumentFileError,
        match=rf"byte {offset}: must have pings in order of time, but that of"
        r" 2012-02-14T23:09:\S+ comes after 2012-02-14T23:10:12\S+: the clock runs",
    ):
        as_file(write(tmp_path / "back.raw", back))


@pytest.mark.parametrize(
    ("name", "offset", "form", "value", "message"),
    [
        ("channel_of_none", 12, "<h", 6, "must be of a channel up to 5, got 6"),
        ("mode_without_power", 14, "<h", 2, "must have power samples, got mode 2"),
        ("depth_nan", 16, "<f", math.nan, "a transducer depth .* got nan"),
        ("other_frequency", 20, "<f", 19000.0, "must be at 18000 Hz on channel 1"),
        ("no_power", 24, "<f", 0.0, "a transmit power .* got 0"),
        ("pulse_negative", 28, "<f", -0.001, "a pulse length"),
        ("interval_zero", 36, "<f", 0.0, "a sample interval"),
        ("sound_speed_zero", 40, "<f", 0.0, "a sound speed .* got 0"),
        ("absorption_inf", 44, "<f", math.inf, "an absorption .* got inf"),
        ("first_sample_not_0", 76, "<i", 5, "samples from the first on"),
        ("no_samples", 80, "<i", 0, "samples from the first on, got 0"),
        ("samples_beyond", 80, "<i", 10_000, "must have 40084 bytes in RAW0"),
        ("clock_not_set", 4, "<Q", 0, "a time from 1980 to 2099"),
        ("time_beyond", 4, "<Q", 2**64 - 1, "a time from 1980 to 2099"),
        ("range_beyond", 36, "<f", 0.09, "a range .* got 64"),
    ],
)
def test_wrong_numbers_in_a_ping_are_named(
    tmp_path: Path, name: str, offset: int, form: str, value: float, message: str
) -> None:
    wrong = change(
        six_pings(), [CHANNELS], lambda x: with_number(x, offset, form, value)
    )
    place = len(put_together(wrong[: 1 + CHANNELS]))
    with pytest.raises(InstrumentFileError, match=rf"byte {place}: .*{message}"):
        as_file(write(tmp_path / f"{name}.raw", wrong))


def test_sv_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    def absorbing(datagram: bytes) -> bytes:
        return with_number(datagram, 44, "<f", 9.0)

    path = write(tmp_path / "dark.raw", change(six_pings(), [2, 7], absorbing))
    with pytest.raises(InstrumentFileError, match=r"got 3\d{3}.* dB at 70000 Hz"):
        blocks(path)


def test_a_pulse_without_a_gain_needs_one_given(tmp_path: Path) -> None:
    odd = functools.partial(with_number, offset=28, form="<f", value=0.0007)
    path = write(tmp_path / "odd.raw", change(six_pings(), range(30), odd))
    with pytest.raises(
        InstrumentFileError, match="a gain for pulses of 0.7 ms at 18000"
    ):
        blocks(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", b"", "must hold samples, got an empty file"),
        ("wave", b"RIFF" + bytes(100), "byte 0: must have a datagram here"),
        ("table", b"timestamp,a\n2012-02-14,1\n" * 9, "must have a datagram here"),
        ("zeros", bytes(5000), "byte 0: must have a datagram here"),
        (
            "ek80",
            put_together([b"XML0" + bytes(8) + b"<Configuration/>"]),
            "must have channels in its configuration, got none",
        ),
        ("headless", put_together(six_pings()[1:]), "must begin with .*CON0.*got RAW0"),
        ("no_pings", put_together(six_pings()[:1]), "must have pings"),
        (
            "me70",
            put_together([six_pings()[0].replace(b"ER60", b"MBES"), *six_pings()[1:]]),
            "must be of an EK60 .*got one of 'MBES'",
        ),
        (
            "short_configuration",
            put_together([six_pings()[0][:-320], *six_pings()[1:]]),
            "320 bytes for each of 5 transceivers",
        ),
        (
            "gain_nan",
            put_together(
                [
                    with_number(six_pings()[0], 528 + 220, "<f", math.nan),
                    *six_pings()[1:],
                ]
            ),
            "must have gains .dB. from -100 to 100, got nan for channel 1 in CON0",
        ),
    ],
)
def test_files_of_another_kind_are_refused_or_left_out(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    source = tmp_path / "raw"
    source.mkdir()
    (source / f"{name}.raw").write_bytes(content)
    with pytest.raises(InstrumentFileError, match=message) as caught:
        run(source, tmp_path / "out")
    assert str(caught.value).startswith(str(source / f"{name}.raw"))
    (source / "right.raw").write_bytes(CONTENT)
    report = run(source, tmp_path / "out", range_bin_m=10.0, table={"on_error": "skip"})
    assert report.rows == 1
    assert report.skipped == ((caught.value.path, caught.value.message),)


def test_channels_that_take_turns_are_refused(tmp_path: Path) -> None:
    turns = change(six_pings(), range(1, 30, 5), lambda x: later(x, 0.1))
    with pytest.raises(
        InstrumentFileError, match="one time for all channels of a ping"
    ):
        as_file(write(tmp_path / "turns.raw", turns))


def test_a_frequency_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InstrumentFileError, match="at 333000 Hz, got 18000, 38000"):
        blocks(SIX_PINGS, frequencies_hz=(333000.0,))


@settings(max_examples=50, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
    # Where most meaning is: configuration, and the head of a ping.
    | st.lists(
        st.tuples(st.integers(0, 2300), st.integers(0, 255)), min_size=1, max_size=4
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
            found = blocks(path, range_bin_m=20.0)
        except InstrumentFileError as error:
            assert "\n" not in str(error)
        else:
            assert sum(len(block.times_us) for block in found) == 6


# Options and the command.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies_hz": (38.0,)}, "at least 1000 Hz, got 38.0"),
        ({"frequencies_hz": (38000.0, 38000.0)}, "must be different frequencies"),
        ({"gain": (20.0,)}, "gain must have a value for each .*, 0, got 1"),
        ({"temperature": 4.0}, "must come with salinity and pressure"),
        ({"max_range_m": 5.0, "min_range_m": 5.0}, "max_range_m must be more than 5.0"),
        ({"look": "up", "min_depth_m": 5.0}, "instrument_depth_m must be given"),
        ({"look": "left"}, "look must be down or up"),
        ({"tilt_deg": 90.0}, "from 0 to less than 90"),
        ({"range_bin_m": math.nan}, "range_bin_m must be 0, or from"),
        ({"range_bin_m": 9.0, "max_range_m": 5.0}, "range_bin_m must fit between"),
        ({"beam_angle": (0.0,), "frequencies_hz": (38000.0,)}, "from -100 to 0 dB"),
        ({"sound_speed": 1.5}, "from 1300 to 1700"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        EK60Options(**options)


@pytest.mark.slow
def test_the_benchmark_runs_at_toy_size(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "benchmarks" / "ingest.py"
    figures = tmp_path / "figures.json"
    subprocess.run([sys.executable, script, "--toy", "--json", figures], check=True)
    found = json.loads(figures.read_text())
    assert found["benchmark"] == "ingest" and found["machine"]["cores"] >= 1
    assert [line["line"] for line in found["results"]][0] == "echopype"
    for line in found["results"][1:]:
        # Five channels, bins of 1 m up to 184 m; one ping a second.
        assert line["columns"] == 5 * 184
        assert line["rows"] == -(-line["pings"] // 60)
        assert line["mb_per_s"] > 0 and line["peak_bytes"] > 1e7


def test_options_survive_json() -> None:
    options = EK60Options(frequencies_hz=(38000.0,), gain=(25.0,), look="up")
    assert EK60Options.from_json(json.loads(json.dumps(options.as_json()))) == options


def test_the_reader_goes_to_other_processes() -> None:
    instrument = EK60(EK60Options(frequencies_hz=(38000.0,), range_bin_m=1.0))
    assert pickle.loads(pickle.dumps(instrument)) == instrument


def test_without_echopype_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "echopype", None)
    with pytest.raises(
        MissingExtraError, match=r"needs: pip install 'echoanom.ingest.'"
    ):
        blocks(SIX_PINGS)


def test_the_command_takes_all_of_it(tmp_path: Path) -> None:
    arguments = [str(SIX_PINGS), str(tmp_path), "--frequency", "38000,120000"]
    arguments += ["--range-bin", "1", "--max-range", "100", "--gain", "24,25"]
    arguments += ["--look", "up", "--instrument-depth", "120", "--min-depth", "5"]
    arguments += ["--noise-cell", "10", "--workers", "1", "--json"]
    done = CliRunner().invoke(ek60, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["rows"], report["columns"], report["counts"]) == (
        1,
        200,
        {"pings": 6},
    )


def test_wrong_usage_names_the_flag(tmp_path: Path) -> None:
    arguments = [str(SIX_PINGS), str(tmp_path), "--gain", "24"]
    done = CliRunner().invoke(ek60, arguments)
    assert done.exit_code == 2
    assert "--gain must have a value for each of the frequencies" in done.stderr


def test_nothing_of_echopypes_reaches_the_terminal_or_the_log(tmp_path: Path) -> None:
    script = (
        "import logging, sys\n"
        "from echoanom.cli.ingest_ek60 import ek60\n"
        "if __name__ == '__main__':\n"
        "    ek60(sys.argv[1:], standalone_mode=False)\n"
        "    assert logging.root.manager.disable == 0\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", SIX_PINGS, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["pings: 6"]
