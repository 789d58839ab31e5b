"""Geometry, bins and noise: against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from echoanom.ingest import sonar
from echoanom.ingest.ek60options import EK60Options

Floats = NDArray[np.float64]


def pings(seed: int, count: int = 4, samples: int = 60) -> tuple[Floats, Floats]:
    """Return Sv with gaps, and ranges."""
    rng = np.random.default_rng(seed)
    sv = rng.normal(-75, 12, (count, samples))
    sv[rng.random(sv.shape) < 0.2] = np.nan
    sv[:, :3] = np.nan
    return sv, np.arange(samples) * 0.19


def naive_bin_means(sv: Floats, ranges: Floats, edges: Floats) -> Floats:
    result = np.full((len(sv), len(edges) - 1), np.nan)
    for row in range(len(sv)):
        for place in range(len(edges) - 1):
            total, observed = 0.0, 0
            for value, range_m in zip(sv[row], ranges, strict=True):
                if edges[place] <= range_m < edges[place + 1] and not math.isnan(value):
                    total += 10 ** (value / 10)
                    observed += 1
            if observed:
                result[row, place] = 10 * math.log10(total / observed)
    return result


@given(
    seed=st.integers(0, 1000),
    size=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    least=st.sampled_from([0.0, 0.7, 2.0]),
    most=st.sampled_from([None, 5.0, 7.3, 40.0]),
)
def test_a_bin_has_the_mean_power_of_its_samples(
    seed: int, size: float, least: float, most: float | None
) -> None:
    sv, ranges = pings(seed)
    options = EK60Options(range_bin_m=size, min_range_m=least, max_range_m=most)
    edges = sonar.bin_edges(ranges, options)
    found = sonar.bin_means(sv, ranges, edges)
    np.testing.assert_allclose(found, naive_bin_means(sv, ranges, edges), rtol=1e-12)
    assert edges[0] >= least - 1e-9
    if most is not None:
        assert most - size < edges[-1] + 1e-9 and edges[-1] <= most + 1e-9


@given(seed=st.integers(0, 1000), cut=st.integers(1, 3))
def test_a_ping_has_the_same_bins_and_noise_in_any_company(seed: int, cut: int) -> None:
    sv, ranges = pings(seed)
    options = EK60Options(range_bin_m=1.0, noise_cell_m=2.0)
    edges = sonar.bin_edges(ranges, options)

    def both(part: Floats) -> tuple[Floats, Floats]:
        return (
            sonar.bin_means(part, ranges, edges),
            sonar.without_noise(part, ranges, 0.01, 10, options),
        )

    for whole, first, rest in zip(
        both(sv), both(sv[:cut]), both(sv[cut:]), strict=True
    ):
        assert whole.tobytes() == np.concatenate([first, rest]).tobytes()


def test_bins_reach_as_far_as_asked_however_far_was_recorded() -> None:
    options = EK60Options(range_bin_m=10.0, max_range_m=100.0)
    near, far = (sonar.bin_edges(np.arange(n) * 0.2, options) for n in (50, 5000))
    assert near.tolist() == far.tolist() == [10.0 * i for i in range(11)]
    sv, ranges = pings(1)
    assert np.isnan(sonar.bin_means(sv, ranges, near)[:, 2:]).all()


def test_without_a_limit_the_last_sample_has_a_bin() -> None:
    ranges = np.array([0.0, 1.0, 2.0])
    edges = sonar.bin_edges(ranges, EK60Options(range_bin_m=1.0))
    assert edges.tolist() == [0, 1, 2, 3]
    found = sonar.bin_means(np.array([[-60.0, -70.0, -80.0]]), ranges, edges)
    np.testing.assert_allclose(found, [[-60, -70, -80]])


def naive_without_noise(
    sv: Floats, ranges: Floats, absorption: float, cell: int, options: EK60Options
) -> Floats:
    result = np.full(sv.shape, np.nan)
    for row in range(len(sv)):
        loss = [20 * math.log10(max(r, 1)) + 2 * absorption * r for r in ranges]
        means = []
        for start in range(0, len(ranges), cell):
            powers = [
                10 ** ((sv[row, i] - loss[i]) / 10)
                for i in range(start, min(start + cell, len(ranges)))
                if not math.isnan(sv[row, i])
            ]
            if powers:
                means.append(10 * math.log10(sum(powers) / len(powers)))
        if not means:
            continue
        noise = min(means)
        if options.noise_max_db is not None:
            noise = min(noise, options.noise_max_db)
        for i in range(len(ranges)):
            rest = 10 ** (sv[row, i] / 10) - 10 ** ((noise + loss[i]) / 10)
            if rest > 0 and 10 * math.log10(rest) - noise - loss[i] > options.snr_db:
                result[row, i] = 10 * math.log10(rest)
    return result


@given(
    seed=st.integers(0, 1000),
    cell=st.integers(1, 70),
    limit=st.sampled_from([None, -90.0]),
    snr=st.sampled_from([-5.0, 3.0]),
)
def test_noise_is_the_least_mean_of_a_pings_cells(
    seed: int, cell: int, limit: float | None, snr: float
) -> None:
    sv, ranges = pings(seed)
    sv[-1] = np.nan
    options = EK60Options(noise_cell_m=1.0, noise_max_db=limit, snr_db=snr)
    found = sonar.without_noise(sv, ranges, 0.03, cell, options)
    expected = naive_without_noise(sv, ranges, 0.03, cell, options)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("look", "tilt", "expected"),
    [("down", 0, 30.0), ("down", 60, 20.0), ("up", 0, -10.0), ("up", 60, 0.0)],
)
def test_depth_is_the_instruments_with_the_beams_vertical_part(
    look: str, tilt: float, expected: float
) -> None:
    options = EK60Options(look=look, tilt_deg=tilt)  # type: ignore[arg-type]
    assert sonar.depths(np.array([20.0]), 10.0, options)[0] == pytest.approx(expected)
