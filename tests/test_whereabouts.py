from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_densest_band

from echoanom.columns import Column, column_from_name
from echoanom.panels import find_panels
from echoanom.whereabouts import (
    MOST_PLACES,
    densest_band,
    find_bands,
    named_panels,
    places,
)

share_lists = st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any)


def bins(sensor: str, pattern: str, numbers: range) -> list[Column]:
    return [column_from_name(pattern.format(number), sensor) for number in numbers]


def said(share: list[float], columns: list[Column]) -> list[tuple[str, float]]:
    whole = np.array(share, dtype=np.float64)
    return [
        (place.words, round(place.share, 3))
        for place in places(whole / whole.sum(), columns)
    ]


@given(share_lists)
def test_no_band_has_more_above_its_width_than_the_one_that_is_found(
    shares: list[int],
) -> None:
    low, high = densest_band(np.array(shares, dtype=np.float64))
    excess = sum(shares[low:high]) / sum(shares) - (high - low) / len(shares)
    assert excess == pytest.approx(naive_densest_band(shares), abs=1e-12)


@given(share_lists)
def test_bands_are_in_order_and_do_not_overlap(shares: list[int]) -> None:
    bands = find_bands(np.array(shares, dtype=np.float64))
    ends = [end for band in bands for end in band]
    assert 1 <= len(bands) <= 2 and ends == sorted(ends)
    assert all(low < high for low, high in bands)


@given(share_lists, st.floats(0.01, 100))
def test_bands_do_not_depend_on_the_unit_of_the_shares(
    shares: list[int], factor: float
) -> None:
    whole = np.array(shares, dtype=np.float64)
    assert find_bands(whole) == find_bands(whole * 2.0 ** round(factor))


def test_neighbouring_bins_with_large_shares_are_a_band() -> None:
    columns = bins("ek60", "Sv_{}m", range(100, 200))
    noise = np.random.default_rng(0).uniform(0.2, 1.8, 100)
    noise[20:46] += 10
    ((words, share),) = said(noise.tolist(), columns)
    assert words == "Sv, 120–145 m" and 0.7 < share < 0.85


def test_an_error_all_over_a_quantity_has_no_band_but_its_whole_range() -> None:
    noise = np.random.default_rng(1).exponential(size=200)
    ((words, share),) = said(noise.tolist(), bins("ek60", "Sv_{}m", range(200)))
    assert (words, share) == ("Sv, 0–199 m", 1.0)


def test_an_error_at_two_ends_of_a_quantity_is_two_bands() -> None:
    share = [4.0] * 2 + [0.1] * 16 + [5.0] * 2
    found = said(share, bins("ek60", "Sv_{}m", range(20)))
    assert [words for words, _ in found] == ["Sv, 18–19 m", "Sv, 0–1 m"]


def test_quantities_are_named_by_their_shares_without_their_units() -> None:
    columns = [
        column_from_name("temperature_degC", "ctd"),
        column_from_name("salinity", "ctd"),
        *bins("hydrophone", "ltsa_{}Hz", range(250, 2000, 250)),
    ]
    share = [60.0, 5.0, 0.0, 0.0, 10.0, 12.0, 13.0, 0.0, 0.0]
    assert said(share, columns) == [
        ("temperature", 0.6),
        ("ltsa, 750 Hz–1.25 kHz", 0.35),
    ]


def test_bins_that_know_their_depth_are_named_by_it() -> None:
    columns = [
        dataclasses.replace(column, depth_m=258 - (column.range_m or 0))
        for column in bins("ek60", "Sv_38kHz_{}m", range(10))
    ]
    share = [9.0, 9.0] + [0.0] * 8
    assert said(share, columns) == [("Sv 38 kHz, 257–258 m depth", 1.0)]


def test_a_quantity_of_two_sensors_is_named_with_its_sensor() -> None:
    columns = [
        column_from_name("temperature", "ctd"),
        column_from_name("temperature", "adcp"),
    ]
    assert said([3.0, 1.0], columns) == [
        ("ctd temperature", 0.75),
        ("adcp temperature", 0.25),
    ]


def test_small_shares_and_those_beyond_the_fourth_are_not_named() -> None:
    columns = [Column(name, "ctd") for name in "abcdefg"]
    assert len(said([1.0] * 7, columns)) == MOST_PLACES
    assert [words for words, _ in said([91.0, 9, 0, 0, 0, 0, 0], columns)] == ["a"]


def test_no_error_is_nowhere() -> None:
    assert places(np.zeros(2), bins("ek60", "Sv_{}m", range(2))) == ()
    assert find_bands(np.zeros(2)) == [(0, 2)]


def test_the_panels_of_places_are_those_with_the_largest_shares() -> None:
    columns = [
        *bins("ek60", "Sv_{}m", range(1, 7)),
        *(Column("speed", sensor, "m/s") for sensor in ("north", "south")),
        Column("depth", "ctd", "m"),
    ]
    share = np.array([0, 0.2, 0, 0, 0, 0.15, 0.05, 0.3, 0.3])
    found = places(share, columns)
    assert [place.words for place in found[:2]] == ["south speed", "depth"]
    panels = find_panels(columns)
    named = [(place.words, place.share) for place in found]
    chosen = named_panels(panels, named, 3)
    # Two bands of one quantity count together.
    assert [(panel.sensor, panel.quantity) for panel in chosen] == [
        ("ek60", "Sv"),
        ("south", "speed"),
        ("ctd", "depth"),
    ]
    assert named_panels(panels, named, 1) == chosen[:1]


def test_places_that_are_not_known_name_no_panel() -> None:
    panels = find_panels([Column("speed", "adcp", "m/s")])
    assert named_panels(panels, [("speed of sound", 0.9)], 2) == ()
    assert named_panels(panels, [], 2) == ()
