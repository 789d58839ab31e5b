"""Errors are held against what is usual, and sensors count alike."""

from __future__ import annotations

import numpy as np
import pytest

from echoanom.columns import Column
from echoanom.normalization import Normalization
from echoanom.weighing import Weighing, weigh

COLUMNS = (
    *(Column(f"Sv_{n}m", "echosounder") for n in range(4)),
    Column("temperature", "ctd"),
)


def normalization(varies: list[bool] | None = None) -> Normalization:
    count = len(COLUMNS)
    return Normalization(
        "standard",
        np.zeros(count, np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.float32),
        None if varies is None else np.array(varies),
    )


def weighed(
    varies: list[bool] | None = None, cells: list[int] | None = None
) -> Weighing:
    return weigh(
        COLUMNS,
        64,
        normalization(varies),
        np.array([1.0, 2, 4, 8, 30]),
        np.array(cells or [10, 10, 10, 10, 10]),
    )


def test_spread_is_the_mean_error() -> None:
    np.testing.assert_allclose(weighed().spread, [0.1, 0.2, 0.4, 0.8, 3.0])


def test_every_column_is_of_its_sensor() -> None:
    np.testing.assert_array_equal(weighed().sensors, [0, 0, 0, 0, 1])


def test_a_column_that_never_varied_is_of_no_sensor() -> None:
    sensors = weighed([True, False, True, True, False]).sensors
    np.testing.assert_array_equal(sensors, [0, -1, 0, 0, -1])


def test_a_column_without_held_back_cells_gets_the_median_spread() -> None:
    assert weighed(cells=[10, 10, 10, 0, 10]).spread[3] == pytest.approx(0.3)


def test_no_spread_is_nothing() -> None:
    found = weigh(
        COLUMNS, 64, normalization(), np.zeros(5), np.full(5, 10, dtype=np.int64)
    )
    assert (found.spread > 0).all()


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (7, 1), (8, 3), (64, 17)])
def test_errors_are_averaged_over_a_quarter_of_the_window(size: int, rows: int) -> None:
    found = weigh(COLUMNS, size, normalization(), np.ones(5), np.ones(5, np.int64))
    assert found.smoothing == rows


def test_what_is_stored_comes_back() -> None:
    found = weighed()
    back = Weighing.from_json(found.as_json())
    np.testing.assert_array_equal(back.spread, found.spread)
    np.testing.assert_array_equal(back.sensors, found.sensors)
    assert back.smoothing == found.smoothing
