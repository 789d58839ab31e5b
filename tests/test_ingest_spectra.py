"""Bands of frequency and the power in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from echoanom.ingest.spectra import Band, BandSpectrum, decibels, make_bands

RATE = 4000


def naive_means(power, rate_hz, frames, bands):
    """Share each line's power out to bands, line by line."""
    line_hz = rate_hz / frames
    means = []
    for band in bands:
        total = 0.0
        for number, density in enumerate(power):
            low, high = (number - 0.5) * line_hz, (number + 0.5) * line_hz
            total += density * max(0, min(high, band.high_hz) - max(low, band.low_hz))
        means.append(total / band.width_hz)
    return np.array(means)


def test_thirds_of_an_octave_have_the_middles_of_iec_61260_and_names_of_iso_266():
    bands = make_bands("third-octave", 10, 12_000, 100)

    assert [band.label for band in bands] == (
        "10 12.5 16 20 25 31.5 40 50 63 80 100 125 160 200 250 315 400 500 630 800"
        " 1000 1250 1600 2000 2500 3150 4000 5000 6300 8000 10000"
    ).split()
    by_label = {band.label: band for band in bands}
    assert by_label["1000"].middle_hz == 1000
    assert by_label["63"].middle_hz == pytest.approx(63.0957, rel=1e-6)
    assert by_label["63"].low_hz == pytest.approx(56.2341, rel=1e-6)
    assert by_label["63"].high_hz == pytest.approx(70.7946, rel=1e-6)


@settings(deadline=None)
@given(lowest=st.floats(0.01, 5000), ratio=st.floats(1.3, 1000), linear=st.booleans())
def test_bands_touch_and_lie_below_the_highest_frequency(lowest, ratio, linear):
    form = "linear" if linear else "third-octave"
    bands = make_bands(form, lowest, lowest * ratio, lowest * ratio / 50)

    for one, other in zip(bands, bands[1:], strict=False):
        assert one.high_hz == pytest.approx(other.low_hz, rel=1e-9)
    assert all(band.high_hz <= lowest * ratio * (1 + 1e-9) for band in bands)
    assert all(float(band.label) >= lowest * (1 - 1e-9) for band in bands)
    assert len({band.label for band in bands}) == len(bands)


def test_linear_bands_lie_around_the_multiples_of_their_width():
    bands = make_bands("linear", 10, 450, 100)

    assert [(b.label, b.low_hz, b.high_hz) for b in bands] == [
        ("100", 50, 150),
        ("200", 150, 250),
        ("300", 250, 350),
        ("400", 350, 450),
    ]


def test_linear_bands_of_a_tenth_of_a_hertz_have_short_names():
    bands = make_bands("linear", 2, 3, 0.1)

    assert [band.label for band in bands][:4] == ["2", "2.1", "2.2", "2.3"]


@pytest.mark.parametrize("frames", [4000, 4001, 400])
def test_means_of_bands_are_those_of_welchs_density_shared_out_line_by_line(frames):
    samples = np.random.default_rng(1).standard_normal(frames) + 3
    bands = make_bands("third-octave", 60, RATE / 2, 100)
    _, density = scipy.signal.welch(
        samples, RATE, "hann", nperseg=frames, detrend=False, scaling="density"
    )

    found = BandSpectrum(RATE, frames, bands)(samples)

    expected = naive_means(density, RATE, frames, bands)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(frequency=st.floats(100, 1900), amplitude=st.floats(1e-4, 1))
def test_a_tone_has_its_level_whatever_its_frequency(frequency, amplitude):
    times = np.arange(RATE) / RATE
    bands = make_bands("linear", 10, RATE / 2, 10)

    density = BandSpectrum(RATE, RATE, bands)(
        amplitude * np.sin(2 * np.pi * frequency * times)
    )

    level = 10 * math.log10(sum(density * 10.0))
    assert level == pytest.approx(10 * math.log10(amplitude**2 / 2), abs=0.1)


@pytest.mark.parametrize("form", ["third-octave", "linear"])
def test_white_noise_has_its_density_in_every_band(form):
    random = np.random.default_rng(2)
    bands = make_bands(form, 100, RATE / 2, 100)
    spectrum = BandSpectrum(RATE, RATE, bands)

    means = np.mean(
        [spectrum(random.standard_normal(RATE)) for _ in range(1500)], axis=0
    )

    levels = 10 * np.log10(means / (2 / RATE))
    np.testing.assert_allclose(levels, 0, atol=0.1)


def test_a_constant_offset_does_not_reach_a_band_above_line_one():
    bands = make_bands("linear", 2, RATE / 2, 1)

    density = BandSpectrum(RATE, RATE, bands)(np.full(RATE, 0.7))

    assert density.max() < 1e-25


def test_bands_up_to_half_the_rate_share_out_all_power_but_that_below():
    samples = np.random.default_rng(3).standard_normal(RATE)
    bands = (Band("x", 1.5, 0, 700.2), Band("y", 700.2, 0, RATE / 2))
    _, density = scipy.signal.welch(samples, RATE, "hann", nperseg=RATE, detrend=False)

    found = BandSpectrum(RATE, RATE, bands)(samples)

    power = sum(found * [band.width_hz for band in bands])
    assert power == pytest.approx(density[2:].sum(), rel=1e-12)


def test_silence_has_no_level():
    levels = decibels(np.array([0.01, 0, np.nan], dtype=np.float32), 170)

    np.testing.assert_allclose(levels, [150, np.nan, np.nan], rtol=1e-6)
