"""Which days are held back, and statistics of the others alone."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from datasets import (
    PERIOD_S,
    ROWS_PER_DAY,
    sensor_days,
    small_dataset,
    write_tables,
)
from hypothesis import given
from hypothesis import strategies as st

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import TrainingError
from echoanom.holdout import hold_back, training_statistics
from echoanom.manifest import RunTable
from echoanom.options import DAY_S, TableOptions
from echoanom.reader import IndexedReader
from echoanom.statistics import summarise
from echoanom.windowing import select

MINUTE = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("holdout"))


def table(*runs: tuple[int, int]) -> RunTable:
    """Runs of (first minute since 1970, rows)."""
    starts, rows = (
        np.array(column, dtype=np.int64) for column in zip(*runs, strict=True)
    )
    return RunTable(np.cumsum(rows) - rows, rows, starts * MINUTE)


def days(count: int) -> RunTable:
    return table((0, count * 1440))


@pytest.mark.parametrize(
    "count, share, held", [(2, 0.2, 1), (5, 0.2, 1), (10, 0.2, 2), (14, 0.2, 3)]
)
def test_the_fewest_last_days_with_the_share_are_held_back(count, share, held):
    holdout = hold_back(days(count), MINUTE, 64, share)
    assert len(holdout.validation_days) == held
    assert len(holdout.training_days) == count - held
    assert holdout.validation_days[-1] == datetime.date(1970, 1, count)


def test_at_least_one_day_stays_to_train_on():
    assert len(hold_back(days(3), MINUTE, 64, 0.99).training_days) == 1


def test_a_run_across_the_boundary_is_cut_at_midnight():
    holdout = hold_back(days(2), MINUTE, 64, 0.2)
    assert holdout.training.rows.tolist() == [1440]
    assert holdout.validation.rows.tolist() == [1440]
    assert holdout.validation.first_row.tolist() == [1440]
    assert holdout.validation.start_s.tolist() == [DAY_S]


def test_a_last_day_too_short_for_a_window_is_held_back_with_the_day_before():
    runs = table((0, 3 * 1440), (3 * 1440 + 30, 20))
    holdout = hold_back(runs, MINUTE, 64, 0.001)
    assert [day.day for day in holdout.validation_days] == [3, 4]


NOTHING = RunTable(*[np.empty(0, int)] * 3)


@pytest.mark.parametrize("runs", [days(1), days(2), NOTHING])
def test_fewer_than_two_days_are_refused_where_whole_days_are_asked_for(runs):
    if len(runs) and runs.rows[0] > 1440:
        runs = select(runs, MINUTE, [(0, 3600)])
    with pytest.raises(TrainingError, match="at least 2 days"):
        hold_back(runs, MINUTE, 8, 0.2, whole_days=True)


def test_nothing_at_all_is_refused():
    with pytest.raises(TrainingError, match="needs rows on a day.* rows on 0"):
        hold_back(NOTHING, MINUTE, 8, 0.2)


@pytest.mark.parametrize(
    "runs, share, held, first",
    [
        (table((0, 400)), 0.2, [80], 320),
        # A share too small for a window holds one back.
        (table((0, 400)), 0.001, [64], 336),
        # A run too short for a window at the end is held back with one before it.
        (table((0, 300), (310, 20)), 0.01, [64, 20], 236),
        # The boundary cuts the run that it lies in.
        (table((0, 200), (210, 200)), 0.5, [200], 210),
    ],
)
def test_of_one_day_the_last_rows_are_held_back(runs, share, held, first):
    holdout = hold_back(runs, MINUTE, 64, share)
    assert holdout.validation.rows.tolist() == held
    assert holdout.validation.start_s[0] == first * MINUTE
    assert holdout.training.rows.sum() == runs.rows.sum() - sum(held)
    day = (datetime.date(1970, 1, 1),)
    assert holdout.training_days == holdout.validation_days == day


@pytest.mark.parametrize("runs", [table((0, 100)), table((0, 60), (70, 60))])
def test_a_day_without_room_for_a_window_on_either_side_is_refused(runs):
    with pytest.raises(TrainingError, match="window of 64 rows .* of one day"):
        hold_back(runs, MINUTE, 64, 0.2)


def test_windows_that_fit_on_no_side_are_refused_with_the_longest_run():
    with pytest.raises(TrainingError, match="longest run has 100 rows"):
        hold_back(table((0, 100), (1440, 50)), MINUTE, 64, 0.2)


@given(
    st.lists(
        st.tuples(st.integers(1, 900), st.integers(1, 2000)), min_size=1, max_size=8
    ),
    st.integers(1, 100),
    st.floats(0.01, 0.99),
)
def test_either_side_has_every_row_once_and_the_later_ones_are_held_back(
    gaps_and_rows, size, share
):
    runs, start = [], 0
    for gap, rows in gaps_and_rows:
        runs.append((start + gap, rows))
        start += gap + rows
    whole = table(*runs)
    try:
        holdout = hold_back(whole, MINUTE, size, share)
    except TrainingError:
        return
    sides = holdout.training, holdout.validation
    assert sum(side.rows.sum() for side in sides) == whole.rows.sum()
    assert all(side.rows.max() >= size for side in sides)
    times = [
        {
            start + i * MINUTE
            for start, rows in zip(side.start_s.tolist(), side.rows, strict=True)
            for i in range(rows)
        }
        for side in sides
    ]
    assert max(times[0]) < min(times[1])
    found = [{time // DAY_S for time in side} for side in times]
    assert len(found[0]) == len(holdout.training_days)
    assert len(found[1]) == len(holdout.validation_days)
    # Only a record of one day is cut within a day.
    assert found[0].isdisjoint(found[1]) or len(found[0] | found[1]) == 1


def assert_same_statistics(dataset: Dataset, training: RunTable) -> None:
    rows = np.concatenate(
        [
            np.arange(first, first + count)
            for first, count in zip(training.first_row, training.rows, strict=True)
        ]
    )
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    expected = summarise(values[rows], ~observed[rows] & ~np.isnan(values[rows]))
    found = training_statistics(dataset, training)
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_array_equal(found.minimum, expected.minimum)
    np.testing.assert_array_equal(found.maximum, expected.maximum)
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.std, expected.std)


def test_statistics_are_of_the_training_days_alone(dataset):
    holdout = hold_back(dataset.runs, PERIOD_S, 8, 0.2)
    assert len(holdout.validation_days) == 1
    assert_same_statistics(dataset, holdout.training)


def test_excluded_rows_of_a_training_day_do_not_count(dataset):
    start = int(dataset.runs.start_s[0])
    exclude = [(start + 3600, start + 7200), (start + DAY_S, start + 2 * DAY_S - 3600)]
    runs = select(dataset.runs, PERIOD_S, exclude=exclude)
    holdout = hold_back(runs, PERIOD_S, 8, 0.2)
    assert holdout.training.rows.sum() < 2.5 * ROWS_PER_DAY
    assert_same_statistics(dataset, holdout.training)


def test_a_day_used_in_part_only_is_enough(dataset, tmp_path: Path):
    start = int(dataset.runs.start_s[0])
    runs = select(dataset.runs, PERIOD_S, [(start, start + DAY_S // 2)])
    assert_same_statistics(dataset, runs)


def test_days_on_which_nothing_was_observed_cannot_be_learned_from(tmp_path: Path):
    tables = sensor_days(2, ("a", "b"))
    for table_ in tables.values():
        table_[:] = np.nan
    source = write_tables(tmp_path / "source", {"silent": tables})
    destination = str(tmp_path / "dataset")
    convert(source, destination, table=TableOptions(period_s=PERIOD_S))
    silent = open_dataset(destination)
    with pytest.raises(TrainingError, match="must have observed values, but all cells"):
        training_statistics(silent, silent.runs)
