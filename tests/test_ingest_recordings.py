"""Headers and samples of files of sound."""

from __future__ import annotations

import dataclasses
import shutil
import struct
from contextlib import closing

import numpy as np
import pytest
from soundfiles import chunk, noise, wav_bytes, write_sound

from echoanom.errors import InstrumentFileError
from echoanom.ingest.instrument import InstrumentFile, Look
from echoanom.ingest.recordings import Header, SampleReader, read_header

SAMPLES = np.arange(1000, dtype="<i2").tobytes()


def header(path) -> Header:
    return read_header(str(path), str(path))


def file_at(path) -> InstrumentFile:
    return InstrumentFile(str(path), 0, "", Look(0, 0))


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_32"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.flac", "PCM_16"),
        ("a.flac", "PCM_24"),
    ],
)
def test_a_header_says_how_many_samples_of_what_kind(tmp_path, name, subtype):
    write_sound(tmp_path / name, np.zeros((500, 2)), 8000, subtype)

    assert header(tmp_path / name) == Header(500, 8000, 2, subtype, "")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_header_has_the_comment(tmp_path, name):
    note = "Recorded at 03:36:55 10/06/2021 (UTC) by AudioMoth 247AA5015FDF2C75"
    write_sound(tmp_path / name, noise(1, 1000), 1000, comment=note)

    assert header(tmp_path / name).note == note


def test_a_header_has_the_time_of_a_broadcast_wav(tmp_path):
    bext = bytes(320) + b"2021:06:1003-36-55" + bytes(264)
    (tmp_path / "a.wav").write_bytes(wav_bytes(SAMPLES, extra=chunk(b"bext", bext)))

    assert header(tmp_path / "a.wav").note == "2021-06-10T03:36:55"


def test_a_header_has_guano(tmp_path):
    guano = chunk(b"guan", b"GUANO|Version: 1.0\nTimestamp: 2021-06-10T03:36:55Z\n")
    (tmp_path / "a.wav").write_bytes(wav_bytes(SAMPLES) + guano)

    assert "Timestamp: 2021-06-10T03:36:55Z" in header(tmp_path / "a.wav").note


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"timestamp,level\n2021-06-10,3\n" * 50,
            "must be WAV or FLAC that can be read",
        ),
        (b"RIFF", "must be WAV or FLAC that can be read"),
        (wav_bytes(SAMPLES)[:30], "must be WAV or FLAC that can be read"),
        (wav_bytes(b""), "must hold samples, got a header"),
        (
            wav_bytes(SAMPLES, promised=4000),
            "the 4000 bytes of samples that its header promises, got 2000: it was cut",
        ),
        (wav_bytes(SAMPLES, promised=0xFFFFFFFF), "promises, got 2000: it was cut"),
        (
            wav_bytes(SAMPLES).replace(b"\xe8\x03\0\0", b"\0\0\0\x70", 1),
            "must be recorded at 1 to 2000000 Hz, got 1879048192",
        ),
        (
            wav_bytes(SAMPLES, promised=0),
            "got 0 and 2000 bytes behind it: it was never",
        ),
        (wav_bytes(SAMPLES).replace(b"WAVE", b"WOVE"), "must be WAV or FLAC"),
        (b"fLaC" + bytes(100), "must be WAV or FLAC that can be read"),
    ],
    ids=[
        *("text", "four bytes", "half a header", "no samples", "cut short"),
        *("streamed", "fast", "never closed", "not a wave", "broken flac"),
    ],
)
def test_what_is_no_whole_recording_is_refused(tmp_path, content, message):
    (tmp_path / "a.wav").write_bytes(content)

    with pytest.raises(InstrumentFileError, match=message) as caught:
        header(tmp_path / "a.wav")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "ULAW"), ("a.wav", "IMA_ADPCM"), ("a.ogg", "VORBIS")],
)
def test_what_loses_sound_is_refused(tmp_path, name, subtype):
    write_sound(tmp_path / name, noise(1, 8000), 8000, subtype)

    with pytest.raises(InstrumentFileError, match="as integers or floats, got"):
        header(tmp_path / name)


def test_any_bytes_in_a_header_end_in_the_one_error(tmp_path):
    whole = wav_bytes(SAMPLES, extra=chunk(b"LIST", b"INFOICMT\x04\0\0\0abcd"))
    random = np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(whole)
        for place in random.integers(0, 70, 3):
            broken[place] = random.integers(0, 256)
        (tmp_path / "a.wav").write_bytes(broken[: random.integers(1, len(broken) + 1)])
        try:
            found = header(tmp_path / "a.wav")
        except InstrumentFileError:
            continue
        assert found.frames > 0 and found.rate_hz > 0 and found.channels > 0


def test_samples_are_read_across_files_as_if_they_were_one(tmp_path):
    samples = noise(3, 1000)
    cuts = [0, 700, 701, 2000, 3000]
    pieces = []
    for low, high in zip(cuts, cuts[1:], strict=False):
        path = tmp_path / f"{low}.wav"
        write_sound(path, samples[low:high], 1000)
        pieces.append((file_at(path), low, high - low))

    with closing(SampleReader(pieces, 1)) as reader:
        for low, high, first in ((10, 650, 0), (650, 2500, 0), (2400, 3000, 2000)):
            found, path = reader.read(low, high)
            np.testing.assert_array_equal(found, samples[low:high])
            assert path == str(tmp_path / f"{first}.wav")


def test_a_channel_is_read_alone(tmp_path):
    both = np.stack([noise(1, 1000), noise(1, 1000, seed=1)], axis=1)
    write_sound(tmp_path / "a.wav", both, 1000)

    with closing(SampleReader([(file_at(tmp_path / "a.wav"), 0, 1000)], 2)) as reader:
        found, _ = reader.read(0, 1000)

    np.testing.assert_array_equal(found, both[:, 1])


def flac_promising(path, frames):
    """Write a FLAC of 20,000 samples whose header has another number."""
    write_sound(path, noise(20, 1000), 1000)
    raw = bytearray(path.read_bytes())
    raw[21] = raw[21] & 0xF0 | frames >> 32
    raw[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (20_001, "must hold the 20001 samples that its header promises"),
        (2**36 - 1, "samples that its header promises, but the last is not there"),
        (0, "must say in its header how many samples it has, got a stream"),
    ],
)
def test_a_flac_that_promises_what_it_has_not_is_refused(tmp_path, frames, message):
    flac_promising(tmp_path / "a.flac", frames)

    with pytest.raises(InstrumentFileError, match=message):
        header(tmp_path / "a.flac")


def test_a_flac_cut_short_is_refused(tmp_path):
    write_sound(tmp_path / "a.flac", noise(20, 1000), 1000)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])

    with pytest.raises(InstrumentFileError, match="it was cut short"):
        header(tmp_path / "a.flac")


def test_a_flac_broken_within_is_refused_where_it_is_read(tmp_path):
    write_sound(tmp_path / "a.flac", noise(200, 1000), 1000)
    raw = bytearray((tmp_path / "a.flac").read_bytes())
    raw[len(raw) // 3 : len(raw) // 2] = bytes(len(raw) // 2 - len(raw) // 3)
    (tmp_path / "a.flac").write_bytes(raw)
    assert header(tmp_path / "a.flac").frames == 200_000

    with closing(
        SampleReader([(file_at(tmp_path / "a.flac"), 0, 200_000)], 1)
    ) as reader:
        with pytest.raises(InstrumentFileError, match="a.flac: must"):
            reader.read(0, 200_000)


def test_the_wide_size_of_a_large_wav_counts(tmp_path):
    """RF64 (EBU Tech 3306) has 0xFFFFFFFF where the size would not fit."""
    write_sound(tmp_path / "a.wav", noise(1, 1000), 1000)
    plain = (tmp_path / "a.wav").read_bytes()
    at = plain.index(b"data")
    wide = chunk(b"ds64", struct.pack("<QQQI", len(plain) + 28, 2000, 1000, 0))
    content = b"RF64\xff\xff\xff\xffWAVE" + wide + plain[12:at]
    content += b"data\xff\xff\xff\xff" + plain[at + 8 :]
    (tmp_path / "a.wav").write_bytes(content)
    assert header(tmp_path / "a.wav").frames == 1000

    (tmp_path / "a.wav").write_bytes(content[:-100])
    with pytest.raises(InstrumentFileError, match="2000 bytes .* got 1900"):
        header(tmp_path / "a.wav")


def test_the_real_recordings_are_read(shared_data, tmp_path):
    folder = shared_data / "pypam_hydrophone"
    wav, flac = (folder / f"67416073.210610033655.{x}" for x in ("wav", "flac"))

    assert header(wav) == Header(2_400_137, 8000, 1, "PCM_16", "")
    assert header(flac) == dataclasses.replace(header(wav))
    found = []
    for path in (wav, flac):
        with closing(SampleReader([(file_at(path), 0, 2_400_137)], 1)) as reader:
            found.append(reader.read(0, 2_400_137)[0])
    np.testing.assert_array_equal(*found)


def test_a_real_recording_cut_short_is_refused(shared_data, tmp_path):
    source = shared_data / "pypam_hydrophone" / "67416073.210610033655.wav"
    shutil.copyfile(source, tmp_path / "a.wav")
    with open(tmp_path / "a.wav", "r+b") as file:
        file.truncate(3_000_000)

    with pytest.raises(InstrumentFileError, match="it was cut short"):
        header(tmp_path / "a.wav")
