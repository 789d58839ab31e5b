"""The vectors of a forest: the same numbers that the autoencoder sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from datasets import PERIOD_S, small_dataset

from echoanom import forestrows
from echoanom.dataset import Dataset
from echoanom.forestrows import forest_rows
from echoanom.modeloptions import ForestOptions
from echoanom.normalization import fit_normalization
from echoanom.options import DAY_S
from echoanom.reader import IndexedReader


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("rows"), days=5)


def test_blocks_hold_every_row_once_in_order_and_no_day_but_one(dataset, monkeypatch):
    monkeypatch.setattr(forestrows, "_BLOCK_CELLS", 7 * len(dataset.columns))
    rows = forest_rows(dataset, ForestOptions())
    blocks = list(rows.blocks(dataset.runs))
    assert max(len(block.times) for block in blocks) == 7
    times = np.concatenate([block.times for block in blocks])
    np.testing.assert_array_equal(times, dataset.times())
    for block in blocks:
        assert set(block.times // DAY_S) == {block.day}
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    np.testing.assert_array_equal(
        np.concatenate([block.observed for block in blocks]), observed
    )
    np.testing.assert_array_equal(
        np.concatenate([block.values for block in blocks]),
        rows.normalization.apply(values),
    )
    assert np.isnan(values).any()  # or filling would not be tried


def test_columns_are_scaled_by_the_training_days_alone(dataset):
    rows = forest_rows(dataset, ForestOptions(normalization="standard"))
    days = rows.holdout.training_days
    assert len(days) == 4 and len(rows.holdout.validation_days) == 1
    directions = np.array([column.kind == "direction" for column in dataset.columns])
    expected = fit_normalization(dataset.statistics(days), "standard", directions)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(
            getattr(rows.normalization, field.name), getattr(expected, field.name)
        )


def test_rows_left_out_are_not_learnt_from(dataset):
    start = int(dataset.times()[0])
    begin, end = start + 10 * PERIOD_S, start + 2 * DAY_S
    rows = forest_rows(dataset, ForestOptions(), exclude=[(begin, end)])
    times = np.concatenate([b.times for b in rows.blocks(rows.holdout.training)])
    assert len(times) and not ((times >= begin) & (times < end)).any()


def test_of_one_day_the_last_rows_are_held_back(tmp_path):
    day = small_dataset(tmp_path, days=1)
    held = forest_rows(day, ForestOptions(validation=0.25)).holdout
    assert held.validation.rows.sum() == round(day.rows / 4)
    assert held.training.rows.sum() + held.validation.rows.sum() == day.rows
