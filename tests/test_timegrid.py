from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import WriteSource
from hypothesis import given
from hypothesis import strategies as st

from echoanom.averaging import average
from echoanom.columns import column_from_name
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.timegrid import TimeGrid, choose_grid, highest, read_grid, thin_bins

DAY = 1_422_748_800


@pytest.fixture
def dataset(tmp_path: Path, write_source: WriteSource) -> Dataset:
    """Return two days of a level, a direction and a number, with a gap of an hour."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2015-02-01", periods=2880, freq="min")
    table = pd.DataFrame(
        {
            "Sv_1m": rng.uniform(-90, -40, 2880),
            "dir_1m": rng.uniform(0, 360, 2880),
            "temp": rng.normal(7, 1, 2880),
        },
        index=times,
    ).astype(np.float32)
    table.iloc[5:8, 0] = np.nan
    kept = table.drop(times[200:260])
    days = {
        day: kept[kept.index.date == day]
        for day in (datetime.date(2015, 2, 1), datetime.date(2015, 2, 2))
    }
    write_source(tmp_path / "source", {"mast": days})
    convert(str(tmp_path / "source"), str(tmp_path / "dataset"))
    return open_dataset(str(tmp_path / "dataset"))


@given(
    st.integers(0, 10**9),
    st.integers(1, 10**8),
    st.sampled_from([1, 60, 300, 7, 900]),
    st.integers(2, 2000),
)
def test_a_grid_covers_the_time_in_whole_rows_and_few_steps(
    start: int, rows: int, period: int, most: int
) -> None:
    end = start + rows * period
    grid = choose_grid(start, end, period, most)
    assert grid.step_s % period == 0
    assert grid.edges[0] <= start and grid.edges[-1] >= end
    assert grid.edges[1] > start and grid.edges[-2] < end
    assert grid.steps <= most


def test_steps_are_rows_while_they_fit_and_round_when_they_do_not() -> None:
    assert choose_grid(DAY + 60, DAY + 660, 60, 10) == TimeGrid(DAY + 60, 60, 10)
    year = choose_grid(DAY, DAY + 365 * 86_400, 60, 1200)
    assert year.step_s == 8 * 3600


def test_each_kind_is_averaged_in_its_own_units(dataset: Dataset) -> None:
    grid = TimeGrid(DAY, 600, 288)
    found = read_grid(dataset, grid)
    times, (values, _) = dataset.times(), whole(dataset)
    for column, kind in enumerate(("level", "direction", "scalar")):
        for step in (0, 1, 19, 26, 287):
            rows = (times >= DAY + step * 600) & (times < DAY + (step + 1) * 600)
            expected = average(values[rows, column], np.ones(rows.sum()), kind)  # type: ignore[arg-type]
            assert found[step, column] == pytest.approx(float(expected), rel=1e-5)


def whole(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    from echoanom.reader import IndexedReader

    return IndexedReader(dataset).rows(0, dataset.rows)


def test_a_gap_stays_empty_and_a_step_of_one_row_is_that_row(dataset: Dataset) -> None:
    grid = TimeGrid(DAY, 60, 2880)
    found = read_grid(dataset, grid)
    assert np.isnan(found[200:260]).all()
    assert np.isnan(found[5:8, 0]).all() and not np.isnan(found[5:8, 1:]).any()
    values, _ = whole(dataset)
    np.testing.assert_allclose(found[:200], values[:200], rtol=1e-5)


def test_reading_in_parts_is_reading_at_once(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = TimeGrid(DAY, 1800, 96)
    at_once = read_grid(dataset, grid)
    monkeypatch.setattr("echoanom.timegrid._CELLS_AT_ONCE", 100)
    told: list[tuple[int, int]] = []
    in_parts = read_grid(
        dataset, grid, progress=lambda what, done, total: told.append((done, total))
    )
    np.testing.assert_allclose(in_parts, at_once, rtol=1e-6)
    assert told[0] == (0, 2820) and told[-1] == (2820, 2820)


def test_a_grid_may_show_part_of_the_time(dataset: Dataset) -> None:
    part = read_grid(dataset, TimeGrid(DAY + 3600, 60, 10))
    values, _ = whole(dataset)
    np.testing.assert_allclose(part, values[60:70], rtol=1e-5)


def test_the_highest_score_of_a_step_is_kept() -> None:
    times = DAY + 60 * np.array([0, 1, 2, 3, 9])
    score = np.array([1.0, 5.0, np.nan, np.nan, 2.0])
    found = highest(times, score, TimeGrid(DAY, 120, 4))
    np.testing.assert_array_equal(found, [5.0, np.nan, np.nan, np.nan])


def test_bins_are_averaged_in_neighbourhoods() -> None:
    values = np.array([[-80.0, -60.0, -70.0, -70.0, -50.0]], dtype=np.float32)
    thinned, centres = thin_bins(values, [1, 2, 3, 4, 5], "level", 3)
    np.testing.assert_allclose(centres, [1.5, 3.5, 5.0])
    expected = 10 * np.log10((1e-8 + 1e-6) / 2)
    np.testing.assert_allclose(thinned, [[expected, -70, -50]], rtol=1e-6)
    same, _ = thin_bins(values, [1, 2, 3, 4, 5], "level", 5)
    assert same is values


def test_kinds_come_from_names() -> None:
    assert [column_from_name(n, "mast").kind for n in ("Sv_1m", "dir_1m", "temp")] == [
        "level",
        "direction",
        "scalar",
    ]
