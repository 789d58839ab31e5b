"""Errors of windows: a network's, and a forest's, dealt out among what was observed."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from echoanom.autoencoder import build_autoencoder
from echoanom.cellerrors import ForestErrors, network_errors
from echoanom.modeloptions import ModelOptions

SIZE, COLUMNS, ROWS = 3, 4, 9


class Fixed:
    """A forest whose score and parts are told."""

    dimensions = SIZE * COLUMNS

    def __init__(self, parts: np.ndarray | None = None) -> None:
        self.parts = parts
        self.samples = np.empty(0)

    def isolate(
        self, samples: np.ndarray, observed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.samples = samples
        score = 1 + np.arange(len(samples), dtype=np.float64)
        if self.parts is not None:
            return score, np.where(observed, self.parts.ravel(), 0)
        rng = np.random.default_rng(0)
        return score, np.where(observed, rng.random(observed.shape), 0)

    def content(self) -> bytes:
        return b""


def rows(share: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    observed = rng.random(values.shape) < share
    return values, observed, np.array([0, 1, 5, 6], dtype=np.int32)


def test_a_forest_sees_windows_row_after_row() -> None:
    values, observed, places = rows()
    forest = Fixed()
    ForestErrors(forest, SIZE)(values, observed, places)
    for place, sample in zip(places, forest.samples, strict=True):
        np.testing.assert_array_equal(sample, values[place : place + SIZE].ravel())


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
def test_the_mean_over_observed_cells_of_every_row_is_the_score(share: float) -> None:
    values, observed, places = rows(share)
    cells, score = ForestErrors(Fixed(), SIZE)(values, observed, places)
    assert (
        cells.shape == (4, SIZE, COLUMNS) and cells.dtype == score.dtype == np.float32
    )
    for place, of_window, expected in zip(places, cells, score, strict=True):
        seen = observed[place : place + SIZE]
        assert (of_window[~seen] == 0).all()
        for of_row, in_row in zip(of_window, seen, strict=True):
            if in_row.any():
                assert of_row[in_row].mean() == pytest.approx(expected, rel=1e-5)
        assert of_window[seen].mean() == pytest.approx(expected, rel=1e-5)


def test_columns_share_the_score_by_what_was_observed_of_them() -> None:
    parts = np.zeros((SIZE, COLUMNS))
    parts[0, 1], parts[1, 1], parts[2, 3], parts[2, 0] = 1, 2, 1, 5
    values, observed, _ = rows()
    observed[2, 0] = False
    cells, _ = ForestErrors(Fixed(parts), SIZE)(
        values, observed, np.zeros(1, dtype=np.int32)
    )
    shares = cells[0] / cells[0].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.tile([0, 0.75, 0, 0.25], (SIZE, 1)))


def test_where_no_tree_looked_all_observed_cells_are_alike() -> None:
    parts = np.zeros((SIZE, COLUMNS))
    parts[:, 0] = 1
    values, observed, _ = rows()
    observed[:, 0] = False
    cells, score = ForestErrors(Fixed(parts), SIZE)(
        values, observed, np.zeros(1, dtype=np.int32)
    )
    np.testing.assert_allclose(cells[0, :, 1:], score[0])
    assert (cells[0, :, 0] == 0).all()


def test_a_window_of_which_nothing_was_observed_is_not_asked_for() -> None:
    values, observed, places = rows()
    observed[5:] = False
    forest = Fixed()
    cells, score = ForestErrors(forest, SIZE)(values, observed, places)
    assert len(forest.samples) == 2
    assert (score[:2] > 0).all() and (score[2:] == 0).all()
    assert (cells[2:] == 0).all() and np.isfinite(cells).all()


def test_networks_one_after_the_other_warn_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    values, observed, places = rows(0.6)
    network = ModelOptions(kind="autoencoder", filters=(2,), kernel=2)
    tensorflow = tf.get_logger()
    tensorflow.addHandler(caplog.handler)
    try:
        for _ in range(8):  # it used to warn from the fifth on
            errors = network_errors(build_autoencoder(SIZE, COLUMNS, network))
            for count in (4, 2):
                cells, windows = errors(values, observed, places[:count])
                assert cells.shape == (count, SIZE, COLUMNS)
                assert windows.shape == (count,) and (windows > 0).all()
    finally:
        tensorflow.removeHandler(caplog.handler)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
