from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from echoanom.imagecodes import Codes, choose_codes, image_rows, packed

VALUES = arrays(
    np.float32,
    st.integers(0, 40),
    elements=st.floats(-200, 200, width=32) | st.just(float("nan")),
)


@given(values=VALUES, low=st.floats(-100, 0), span=st.floats(0.5, 200))
def test_a_byte_gives_its_value_back_within_half_a_step(
    values: np.ndarray, low: float, span: float
) -> None:
    codes = Codes(low, low + span)
    back = codes.decode(codes.encode(values))
    expected = np.clip(values.astype(np.float64), low, low + span)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    known = ~np.isnan(values)
    assert (np.abs(back - expected)[known] <= span / 254 / 2 + 1e-4).all()


def test_only_a_missing_value_is_code_zero() -> None:
    codes = Codes(0.0, 1.0).encode(np.array([np.nan, -5.0, 0.0, 1.0, 5.0, np.inf]))
    assert codes.tolist() == [0, 1, 1, 255, 255, 255]


def test_a_spike_costs_no_resolution() -> None:
    assert choose_codes((-80, -44), -90.0, 300.0) == Codes(-90.0, -26.0)
    assert choose_codes((-80, -44), -70.0, -60.0) == Codes(-80, -44)
    assert choose_codes((0.0, 1.0), np.nan, np.nan) == Codes(0.0, 1.0)


def test_bins_of_one_height_are_a_row_each() -> None:
    assert image_rows(np.arange(6.0), False, 100).tolist() == [0, 1, 2, 3, 4]
    assert image_rows(np.arange(6.0)[::-1], False, 100).tolist() == [4, 3, 2, 1, 0]
    assert image_rows(2.0 ** np.arange(5), True, 100).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("down", [False, True])
def test_a_bin_twice_as_high_has_twice_the_rows(down: bool) -> None:
    edges = np.array([0.0, 1.0, 2.0, 4.0])
    if down:
        assert image_rows(10 - edges, False, 100).tolist() == [2, 2, 1, 0]
    else:
        assert image_rows(edges, False, 100).tolist() == [0, 1, 2, 2]
    assert len(image_rows(np.array([0.0, 1e-3, 5.0]), False, 50)) == 50


def test_packed_numbers_are_a_zlib_stream_in_base64() -> None:
    values = np.arange(6, dtype=">i4").reshape(2, 3)
    text = packed(values)
    back = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<i4")
    assert back.tolist() == [0, 1, 2, 3, 4, 5]
