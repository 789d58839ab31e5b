"""Recordings of hydrophones as levels of each minute."""

from __future__ import annotations

import json
import math
import pickle
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from soundfiles import noise, write_sound

from echoanom.errors import (
    DataError,
    InstrumentFileError,
    MissingExtraError,
    OptionError,
)
from echoanom.ingest.hydrophone import Hydrophone
from echoanom.ingest.hydrophoneoptions import HydrophoneOptions
from echoanom.ingest.instrument import InstrumentFile
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.running import ingest
from echoanom.ingest.spectra import band_spectrum

pytestmark = pytest.mark.slow

RATE = 1000
NAME = "67416073.210610033655.wav"
NEXT = "67416073.210610034155.wav"


def run(sources, destination, table=None, **options):
    instrument = Hydrophone(HydrophoneOptions(**options))
    sources = [sources] if isinstance(sources, str | Path) else sources
    return ingest(instrument, [str(x) for x in sources], str(destination), table)


def read(destination, sensor="hydrophone"):
    tables = sorted(Path(destination, sensor, "tabular").glob("*.csv"))
    return pd.concat([pd.read_csv(path, index_col="timestamp") for path in tables])


def content(destination):
    tables = Path(destination, "hydrophone", "tabular")
    return {path.name: path.read_bytes() for path in tables.iterdir()}


def columns(destination):
    return json.loads(Path(destination, "hydrophone", "columns.json").read_text())


def welch_levels(samples, rate_hz, low_hz, high_hz):
    """Mean density of whole lines between two frequencies, after Welch [dB]."""
    lines, density = scipy.signal.welch(
        samples, rate_hz, "hann", nperseg=rate_hz, detrend=False, scaling="density"
    )
    return 10 * np.log10(density[(lines >= low_hz) & (lines <= high_hz)].mean())


def test_a_minute_has_the_levels_that_welchs_method_gives(tmp_path):
    samples = noise(120, RATE)
    path = write_sound(tmp_path / "20210610_120000.wav", samples, RATE)

    run(path, tmp_path / "out", bands="linear", bandwidth_hz=1.0)

    table = read(tmp_path / "out")
    assert list(table.index) == ["2021-06-10T12:00:00Z", "2021-06-10T12:01:00Z"]
    assert list(table.columns) == [f"LTSA_{f}Hz" for f in range(10, 500)]
    for minute in range(2):
        of_minute = samples[minute * 60 * RATE :][: 60 * RATE]
        _, density = scipy.signal.welch(
            of_minute, RATE, "hann", nperseg=RATE, detrend=False
        )
        expected = 10 * np.log10(density[10:500])
        np.testing.assert_allclose(table.iloc[minute], expected, atol=1e-4)


def test_the_real_recordings_have_welchs_levels(shared_data, tmp_path):
    import soundfile

    folder = shared_data / "pypam_hydrophone"
    run([folder / NAME, folder / NEXT], tmp_path, bands="linear")

    table = read(tmp_path)
    assert list(table.index) == [f"2021-06-10T03:{m}:00Z" for m in range(37, 47)]
    samples = np.concatenate([soundfile.read(folder / x)[0] for x in (NAME, NEXT)])
    for minute in (37, 41, 46):  # the two files meet in minute 41
        of_minute = samples[(minute * 60 - 36 * 60 - 55) * 8000 :][: 60 * 8000]
        for middle in (100, 1000, 3900):
            expected = welch_levels(of_minute, 8000, middle - 49, middle + 49)
            found = table.loc[f"2021-06-10T03:{minute}:00Z", f"LTSA_{middle}Hz"]
            # Two lines at the edges count half, or not at all.
            assert found == pytest.approx(expected, abs=0.1)


def test_two_real_recordings_give_the_bytes_of_one(shared_data, tmp_path):
    import soundfile

    folder = shared_data / "pypam_hydrophone"
    both = [soundfile.read(folder / x, dtype="int16")[0] for x in (NAME, NEXT)]
    (tmp_path / "one").mkdir()
    soundfile.write(tmp_path / "one" / NAME, np.concatenate(both), 8000)

    two = run([folder / NAME, folder / NEXT], tmp_path / "a")
    flac = run([folder / NAME.replace("wav", "flac"), folder / NEXT], tmp_path / "b")
    one = run(tmp_path / "one", tmp_path / "c")

    assert two.rows == one.rows == flac.rows == 10
    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")


@settings(max_examples=8, deadline=None)
@given(
    cuts=st.lists(st.integers(2100, 200_000 - 2100), max_size=12),
    start=st.integers(0, 7),
)
def test_a_recording_gives_the_same_bytes_however_it_is_cut(
    tmp_path_factory, cuts, start
):
    folder = tmp_path_factory.mktemp("cut")
    samples = noise(200, RATE, seed=start)
    samples[70_000:70_200] = 0.25
    samples[130_000:130_010] = -1
    edges = [0]
    for cut in sorted(cuts):
        if cut - edges[-1] >= 2000:
            edges.append(cut)
    edges.append(len(samples))
    first = pd.Timestamp("2021-06-10 23:58:20") + pd.Timedelta(seconds=start)
    write_sound(folder / "whole" / f"{first:%Y%m%d_%H%M%S}.wav", samples, RATE)
    for low, high in zip(edges, edges[1:], strict=False):
        named = first + pd.Timedelta(milliseconds=low)
        write_sound(
            folder / "parts" / f"{named:%Y%m%d_%H%M%S}.flac", samples[low:high], RATE
        )

    reports = [run(folder / x, folder / f"{x}-out") for x in ("whole", "parts")]

    assert content(folder / "whole-out") == content(folder / "parts-out")
    assert reports[0].counts == reports[1].counts
    assert reports[0].counts["drop-outs"] == 1
    assert reports[0].counts["clipped samples"] == 10


def test_files_of_a_second_give_the_bytes_of_one(tmp_path):
    samples = noise(180, RATE)
    write_sound(tmp_path / "one" / "20210610_120000.wav", samples, RATE)
    for second in range(180):
        name = f"20210610_12{second // 60:02}{second % 60:02}.wav"
        part = samples[second * RATE : (second + 1) * RATE]
        write_sound(tmp_path / "many" / name, part, RATE)

    run(tmp_path / "one", tmp_path / "a")
    run(tmp_path / "many", tmp_path / "b")

    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(read(tmp_path / "b")) == 3


def test_a_file_that_comes_later_gives_the_bytes_of_both_at_once(tmp_path):
    samples = noise(180, RATE)
    first = write_sound(tmp_path / "20210610_120000.wav", samples[:90_500], RATE)
    second = write_sound(tmp_path / "20210610_120130.wav", samples[90_500:], RATE)

    run([first, second], tmp_path / "a")
    run(second, tmp_path / "b")
    run(first, tmp_path / "b")

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_other_options_place_earlier_files_anew(tmp_path):
    """A file that was looked at is not looked at again."""
    samples = noise(120, RATE)
    path = write_sound(tmp_path / "20210610_120000.wav", samples, RATE)

    run(path, tmp_path / "out")
    run(path, tmp_path / "out", utc_offset_h=2)

    assert "2021-06-10T10:00:00Z" in read(tmp_path / "out").index


def test_a_tone_comes_out_at_its_level_in_micropascals(tmp_path):
    """0.5 of 2 V peak, from -180 dB re 1 V/µPa: an amplitude of 180 dB, 177 rms."""
    times = np.arange(60 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 100 * times)
    path = write_sound(tmp_path / "20210610_120000.wav", tone, RATE, "PCM_24")
    options = {"sensitivity_db": -180.0, "full_scale_v": 2.0}

    run(path, tmp_path / "out", **options)

    table = read(tmp_path / "out")
    described = {one["name"]: one for one in columns(tmp_path / "out")}
    assert described["LTSA_100Hz"]["unit"] == "dB re 1 µPa²/Hz"
    assert described["LTSA_100Hz"]["kind"] == "level"
    assert described["LTSA_63Hz"]["frequency_hz"] == pytest.approx(63.0957, abs=1e-3)
    width = 100 * (10**0.05 - 10**-0.05)
    level = table["LTSA_100Hz"].iloc[0] + 10 * math.log10(width)
    assert level == pytest.approx(180 - 10 * math.log10(2), abs=0.1)


def test_one_figure_for_the_chain_is_the_level_of_full_scale(tmp_path):
    path = write_sound(tmp_path / "20210610_120000.wav", noise(60, RATE), RATE)

    run(path, tmp_path / "a")
    run(path, tmp_path / "b", end_to_end_db=176.5)

    difference = read(tmp_path / "b") - read(tmp_path / "a")
    np.testing.assert_allclose(difference, 176.5, atol=1e-4)
    assert columns(tmp_path / "a")[0]["unit"] == "dB re full scale²/Hz"
    assert columns(tmp_path / "b")[0]["unit"] == "dB re 1 µPa²/Hz"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_how_samples_are_written_does_not_matter(tmp_path, subtype):
    samples = noise(60, RATE)
    for sub in ("PCM_16", subtype):
        write_sound(tmp_path / sub / "20210610_120000.wav", samples, RATE, sub)
        run(tmp_path / sub, tmp_path / "out" / sub)

    assert content(tmp_path / "out" / "PCM_16") == content(tmp_path / "out" / subtype)


def test_bits_channels_and_formats_may_change_between_files(tmp_path):
    samples = noise(180, RATE)
    thirds = np.split(samples, 3)
    stereo = np.stack([thirds[1], noise(60, RATE, seed=9)], axis=1)
    write_sound(tmp_path / "parts" / "20210610_120000.wav", thirds[0], RATE)
    write_sound(tmp_path / "parts" / "20210610_120100.flac", stereo, RATE, "PCM_24")
    write_sound(tmp_path / "parts" / "20210610_120200.wav", thirds[2], RATE, "FLOAT")
    write_sound(tmp_path / "one" / "20210610_120000.wav", samples, RATE)

    run(tmp_path / "parts", tmp_path / "a")
    run(tmp_path / "one", tmp_path / "b")

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_another_channel_is_taken_where_it_is_asked_for(tmp_path):
    both = np.stack([noise(60, RATE), noise(60, RATE, seed=1)], axis=1)
    write_sound(tmp_path / "both" / "20210610_120000.wav", both, RATE)
    write_sound(tmp_path / "second" / "20210610_120000.wav", both[:, 1], RATE)

    run(tmp_path / "both", tmp_path / "a", channel=2)
    run(tmp_path / "second", tmp_path / "b")

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_channel_that_a_file_has_not_is_refused(tmp_path):
    path = write_sound(tmp_path / "20210610_120000.wav", noise(60, RATE), RATE)

    with pytest.raises(InstrumentFileError, match="must have channel 2, got 1 channel"):
        run(path, tmp_path / "out", channel=2)


def test_rates_may_change_where_the_band_fits_both(tmp_path):
    write_sound(tmp_path / "20210610_120000.wav", noise(60, 2000), 2000)
    write_sound(tmp_path / "20210610_120100.wav", noise(60, 3000), 3000)

    run(tmp_path, tmp_path / "out", band_hz=900.0)

    table = read(tmp_path / "out")
    assert len(table) == 2
    # The same deviation over more frequencies: less in each.
    difference = table.iloc[0] - table.iloc[1]
    assert difference.iloc[-5:].mean() == pytest.approx(10 * math.log10(1.5), abs=0.2)


def test_a_rate_too_low_for_the_bands_of_the_others_is_refused(tmp_path):
    write_sound(tmp_path / "20210610_120000.wav", noise(60, 4000), 4000)
    write_sound(tmp_path / "20210610_120100.wav", noise(60, 1000), 1000)

    with pytest.raises(
        InstrumentFileError,
        match="120100.wav: must have the bands of .*120000.wav, recorded at 4000 Hz, up"
        " to 1778 Hz, got a rate of 1000 Hz; limit the band to 500 Hz",
    ):
        run(tmp_path, tmp_path / "out")


def test_a_rate_too_low_for_any_band_is_refused(tmp_path):
    path = write_sound(tmp_path / "20210610_120000.wav", noise(600, 20), 20)

    with pytest.raises(InstrumentFileError, match="must have a band above 10 Hz"):
        run(path, tmp_path / "out")


def test_a_minute_with_less_than_half_its_segments_has_no_row(tmp_path):
    """Minutes of 30.5 s and 30.4 s: 60 and 59 of 119 segments, and 59 is too few."""
    samples = noise(60.9, RATE)
    path = write_sound(tmp_path / "20210610_120029.5.wav", samples, RATE)

    report = run(path, tmp_path / "out")

    assert report.rows == 1
    assert list(read(tmp_path / "out").index) == ["2021-06-10T12:00:00Z"]
    assert run(path, tmp_path / "more", min_coverage=0.49).rows == 2


def test_another_period_takes_the_same_share_of_its_segments(tmp_path):
    path = write_sound(tmp_path / "20210610_120005.wav", noise(75, RATE), RATE)

    report = run(path, tmp_path / "out", IngestOptions(period_s=10))

    # From second 5, with 10 segments of 20, to second 80.
    assert report.rows == 8


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from([200, 441, 999, 1001]),
    late=st.integers(0, 59_999_999),
    seconds=st.floats(0.5, 130),
    segment=st.sampled_from([0.5, 1.0, 2.7]),
)
def test_segments_lie_on_a_grid_from_each_minutes_first_sample(
    tmp_path_factory, rate, late, seconds, segment
):
    folder = tmp_path_factory.mktemp("grid")
    options = HydrophoneOptions(segment_s=segment, lowest_hz=20.0)
    named = f"20210610_1200{late // 1_000_000:02}.{late % 1_000_000:06}.wav"
    path = write_sound(folder / named, noise(seconds, rate), rate)
    reader = Hydrophone(options)
    (file,) = reader.arrange([InstrumentFile(path, 0, "", reader.look(path, path))])

    midnight = 1_623_283_200_000_000
    blocks = reader.blocks([file], midnight, midnight + 86_400_000_000)
    found = np.concatenate([block.times_us for block in blocks]) - midnight

    frames, expected = round(segment * rate), []
    times = [late + Fraction(i * 1_000_000, rate) for i in range(round(seconds * rate))]
    for minute in range(4):
        # As if the recording had begun long before.
        grid = math.ceil(Fraction(minute * 60_000_000 - late) * rate / 1_000_000)
        for start in range(grid, grid + 60 * rate - frames + 1, frames // 2):
            if start >= 0 and start + frames <= len(times):
                expected.append(43_200_000_000 + math.floor(times[start]))
    assert found.tolist() == expected


def test_recordings_in_a_store_are_read(tmp_path):
    samples = noise(60, RATE)
    path = write_sound(tmp_path / "20210610_120000.wav", samples, RATE)
    folder = f"memory://{tmp_path.name}"
    with fsspec.open(f"{folder}/in/20210610_120000.wav", "wb") as file:
        file.write(Path(path).read_bytes())

    run(path, tmp_path / "out")
    run(f"{folder}/in", f"{folder}/out")

    table = "hydrophone/tabular/2021-06-10.csv"
    with fsspec.open(f"{folder}/out/{table}") as file:
        assert file.read() == (tmp_path / "out" / table).read_bytes()


@pytest.mark.slow
def test_processes_give_the_same_bytes(tmp_path):
    for day in (10, 11, 12):
        name = f"202106{day}_120000.wav"
        write_sound(tmp_path / "in" / name, noise(60, RATE, seed=day), RATE)
    sources = [str(tmp_path / "in")]

    ingest(Hydrophone(), sources, str(tmp_path / "a"))
    ingest(Hydrophone(), sources, str(tmp_path / "b"), workers=2)

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_recording_shorter_than_a_segment_has_no_row(tmp_path):
    path = write_sound(tmp_path / "20210610_120000.wav", noise(0.5, RATE), RATE)

    assert run(path, tmp_path / "out").rows == 0


def test_a_gap_is_no_sound_and_is_counted(tmp_path):
    samples = noise(240, RATE)
    write_sound(tmp_path / "20210610_120000.wav", samples[: 60 * RATE], RATE)
    write_sound(tmp_path / "20210610_120200.wav", samples[120 * RATE :], RATE)

    report = run(tmp_path, tmp_path / "out")

    assert report.counts == {"gaps between recordings": 1}
    assert [stamp[11:16] for stamp in read(tmp_path / "out").index] == [
        *("12:00", "12:02", "12:03"),
    ]
    filled = run(tmp_path, tmp_path / "filled", IngestOptions(max_gap_min=1))
    assert filled.rows == 4 and filled.filled_cells == filled.columns


def test_segments_with_a_drop_out_are_left_out(tmp_path):
    samples = noise(60, RATE)
    broken = samples.copy()
    broken[30_200:30_300] = 0
    write_sound(tmp_path / "a" / "20210610_120000.wav", samples, RATE)
    write_sound(tmp_path / "b" / "20210610_120000.wav", broken, RATE)

    run(tmp_path / "a", tmp_path / "out-a")
    report = run(tmp_path / "b", tmp_path / "out-b")

    assert report.counts == {"drop-outs": 1, "segments left out": 2}
    a, b = read(tmp_path / "out-a"), read(tmp_path / "out-b")
    np.testing.assert_allclose(a, b, atol=1.5)
    np.testing.assert_allclose(a.iloc[0, -5:], b.iloc[0, -5:], atol=0.1)


def test_a_silent_recording_has_no_row(tmp_path):
    path = write_sound(tmp_path / "20210610_120000.wav", np.zeros(60 * RATE), RATE)

    report = run(path, tmp_path / "out")

    assert report.rows == 0
    assert report.counts == {"drop-outs": 1, "segments left out": 119}


def test_floats_beyond_full_scale_count_as_clipped_and_keep_their_level(tmp_path):
    samples = noise(60, RATE) * 20
    write_sound(tmp_path / "a" / "20210610_120000.wav", samples, RATE, "FLOAT")
    write_sound(tmp_path / "b" / "20210610_120000.wav", samples / 20, RATE, "FLOAT")

    report = run(tmp_path / "a", tmp_path / "out-a")
    run(tmp_path / "b", tmp_path / "out-b")

    assert report.counts == {"clipped samples": int((np.abs(samples) >= 1).sum())}
    difference = read(tmp_path / "out-a") - read(tmp_path / "out-b")
    np.testing.assert_allclose(difference, 20 * math.log10(20), atol=1e-3)


def test_floats_that_are_no_number_are_left_out(tmp_path):
    samples = noise(60, RATE)
    samples[[5000, 5001, 40_100]] = np.nan, np.inf, -1e300
    path = write_sound(tmp_path / "20210610_120000.wav", samples, RATE, "DOUBLE")

    report = run(path, tmp_path / "out")

    assert report.counts["samples that are no number"] == 3
    assert report.counts["segments left out"] == 4
    assert read(tmp_path / "out").notna().all(axis=None)


def test_the_largest_floats_do_not_overflow(tmp_path):
    samples = noise(60, RATE) * 9e14
    path = write_sound(tmp_path / "20210610_120000.wav", samples, RATE, "DOUBLE")

    run(path, tmp_path / "out")

    assert read(tmp_path / "out").max(axis=None) > 250


def test_files_with_other_sound_for_the_same_time_are_refused(tmp_path):
    """As when a clock was set back between two recordings."""
    write_sound(tmp_path / "a_20210610_120000.wav", noise(120, RATE), RATE)
    write_sound(tmp_path / "b_20210610_120030.wav", noise(60, RATE, seed=1), RATE)

    with pytest.raises(
        InstrumentFileError,
        match=r"b_20210610_120030.wav: must have the sound that .*a_20210610_120000.wav"
        " has for the same time, but it differs from 2021-06-10T12:00:30",
    ):
        run(tmp_path, tmp_path / "out")

    report = run(tmp_path, tmp_path / "out", IngestOptions(on_error="skip"))
    assert len(report.skipped) == 1 and report.rows == 2


def test_files_with_the_same_sound_for_the_same_time_are_taken_once(tmp_path):
    samples = noise(120, RATE)
    write_sound(tmp_path / "wav" / "20210610_120000.wav", samples, RATE)
    part = write_sound(tmp_path / "20210610_120030.flac", samples[30_000:70_000], RATE)

    run(tmp_path / "wav", tmp_path / "a")
    report = run([tmp_path / "wav", part], tmp_path / "b")

    # 59 segments of the first minute, 19 of the second.
    assert report.counts == {"segments found twice": 78}
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_deployment_and_its_conversion_give_the_bytes_of_either(tmp_path):
    """Minutes lie across files in both, and files meet at other times."""
    samples = noise(240, RATE)
    for suffix, cuts in (("wav", [0, 100, 170, 240]), ("flac", [0, 40, 155, 240])):
        for low, high in zip(cuts, cuts[1:], strict=False):
            name = f"20210610_12{low // 60:02}{low % 60:02}.{suffix}"
            part = samples[low * RATE : high * RATE]
            write_sound(tmp_path / suffix / name, part, RATE)

    run(tmp_path / "wav", tmp_path / "a")
    run(tmp_path / "flac", tmp_path / "b")
    report = run([tmp_path / "wav", tmp_path / "flac"], tmp_path / "c")

    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")
    assert report.counts == {"segments found twice": 4 * 119}


def test_many_short_recordings_with_gaps_are_read(tmp_path):
    """20 s of every 30, for half an hour: each is a stream of its own."""
    samples = noise(1800, RATE)
    for start in range(0, 1800, 30):
        name = f"20210610_12{start // 60:02}{start % 60:02}.wav"
        part = samples[start * RATE : (start + 20) * RATE]
        write_sound(tmp_path / "in" / name, part, RATE)

    report = run(tmp_path / "in", tmp_path / "out")

    assert report.rows == 30
    assert report.counts == {"gaps between recordings": 59}


def test_one_bad_file_can_be_left_out(tmp_path):
    write_sound(tmp_path / "20210610_120000.wav", noise(60, RATE), RATE)
    (tmp_path / "20210610_120100.wav").write_text("no sound at all")
    write_sound(tmp_path / "when.wav", noise(60, RATE, seed=2), RATE)

    report = run(tmp_path, tmp_path / "out", IngestOptions(on_error="skip"))

    assert report.rows == 1
    assert [Path(path).name for path, _ in report.skipped] == [
        *("20210610_120100.wav", "when.wav"),
    ]


def test_a_flac_broken_within_is_named_or_left_out(tmp_path):
    path = Path(write_sound(tmp_path / "20210610_120000.flac", noise(90, RATE), RATE))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3 : len(raw) // 2] = bytes(len(raw) // 2 - len(raw) // 3)
    path.write_bytes(raw)

    with pytest.raises(InstrumentFileError, match="120000.flac: must"):
        run(path, tmp_path / "out")

    whole = write_sound(tmp_path / "20210610_130000.wav", noise(60, RATE), RATE)
    table = IngestOptions(on_error="skip")
    report = run([path, whole], tmp_path / "out", table)
    assert (report.rows, [x for x, _ in report.skipped]) == (1, [str(path)])


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()

    with pytest.raises(DataError, match=r"hold files \.wav, \.flac"):
        run(tmp_path / "in", tmp_path / "out")


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Ten minutes, 48 MB as floats, take less than three minutes do."""
    path = write_sound(tmp_path / "20210610_120000.wav", noise(600, 10_000), 10_000)
    run(path, tmp_path / "warm")
    tracemalloc.start()

    run(path, tmp_path / "out")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 60 * 10_000 * 8


@pytest.mark.parametrize("library", ["soundfile", "scipy.fft"])
def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch, library):
    path = write_sound(tmp_path / "20210610_120000.wav", noise(60, RATE), RATE)
    monkeypatch.setitem(sys.modules, library, None)
    band_spectrum.cache_clear()

    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[ingest\]'"):
        run(path, tmp_path / "out")


def test_the_reader_can_be_sent_to_a_process():
    sent = pickle.loads(pickle.dumps(Hydrophone(HydrophoneOptions(channel=2))))

    assert sent.recipe()["channel"] == 2
    json.dumps(sent.recipe())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_s": 0.1}, "segment_s must be long enough for the band at 10 Hz"),
        ({"segment_s": 31.0}, "segment_s must be from 0.001 to 30"),
        ({"band_hz": 10.0}, "lowest_hz must be above 0 and below band_hz"),
        ({"band_hz": 11.0}, "band_hz must be such that a band fits above 10"),
        ({"band_hz": math.nan}, "band_hz must"),
        (
            {"bands": "linear", "bandwidth_hz": 0.5},
            "bandwidth_hz must be at least 1 Hz",
        ),
        (
            {"bands": "linear", "bandwidth_hz": 1.0, "band_hz": 1e6},
            "bandwidth_hz must be at least 10 Hz",
        ),
        ({"bands": "linear", "lowest_hz": 1.0, "bandwidth_hz": 1.0}, "segment_s must"),
        ({"bandwidth_hz": 0.0}, "bandwidth_hz must"),
        ({"channel": 0}, "channel must be at least 1, got 0"),
        ({"min_coverage": 0.0}, "min_coverage must"),
        ({"min_coverage": 1.1}, "min_coverage must"),
        ({"dropout_s": 0.0}, "dropout_s must"),
        ({"join_tolerance_s": -1.0}, "join_tolerance_s must"),
        ({"utc_offset_h": 15.0}, "utc_offset_h must"),
        ({"name_pattern": "%H"}, "name_pattern must"),
        ({"sensitivity_db": -180.0}, "full_scale_v must be above 0, and given with"),
        ({"full_scale_v": 2.0}, "full_scale_v must be given with the sensitivity"),
        ({"sensitivity_db": -180.0, "full_scale_v": -1.0}, "full_scale_v must"),
        ({"sensitivity_db": math.inf, "full_scale_v": 1.0}, "sensitivity_db must"),
        (
            {"end_to_end_db": 176.0, "sensitivity_db": -180.0, "full_scale_v": 1.0},
            "end_to_end_db must be given without",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        HydrophoneOptions(**options)


def test_shorter_segments_take_higher_bands():
    options = HydrophoneOptions(segment_s=0.1, lowest_hz=63.0)

    assert options.bands_up_to(100)[0].label == "63"
    assert Hydrophone(options).least_samples == 600


def test_levels_of_a_sensitivity_count_the_voltage_of_full_scale():
    options = HydrophoneOptions(sensitivity_db=-170.0, full_scale_v=10.0)

    assert options.calibration_db == pytest.approx(190.0)
