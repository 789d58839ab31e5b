from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import WriteSource

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import ScoresError
from echoanom.events import Event
from echoanom.normalization import Normalization
from echoanom.options import StackOptions, WindowOptions
from echoanom.panels import find_panels
from echoanom.reader import IndexedReader
from echoanom.reconstruction import Comparison, compare

DAY = 1_422_748_800


class Echo:
    """A model that gives back each row's position in its window, and nothing else."""

    def __init__(self, columns: int, size: int = 16) -> None:
        self.window = WindowOptions(size=size)
        ones = np.ones(columns, dtype=np.float32)
        self.normalization = Normalization("range", 0 * ones, ones, 0 * ones)

    def reconstruct(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        position = np.arange(self.window.size, dtype=np.float32)
        assert values.shape[1:] == (self.window.size, len(self.normalization.scale))
        return np.broadcast_to(position[None, :, None], values.shape).copy()


@pytest.fixture
def dataset(tmp_path: Path, write_source: WriteSource) -> Dataset:
    """Return 300 rows with a gap after 100 and one after 110."""
    times = pd.date_range("2015-02-01", periods=300, freq="min")
    table = pd.DataFrame(
        {
            "temp": np.arange(300.0),
            "dir": np.arange(300.0) % 360,
            **{f"Sv_{n}m": np.full(300, -70.0) for n in range(1, 6)},
        },
        index=times,
    )
    table.loc[times[50], "temp"] = np.nan
    kept = table.drop(times[[100, 111]]).drop(times[200:203])
    write_source(tmp_path / "source", {"mast": {"2015-02-01": kept}})
    convert(
        str(tmp_path / "source"),
        str(tmp_path / "dataset"),
        stacking=StackOptions(max_gap_min=0),
    )
    return open_dataset(str(tmp_path / "dataset"))


def event(start: int, end: int, peak: int | None = None) -> Event:
    peak = start if peak is None else peak
    return Event(1, DAY + start * 60, DAY + end * 60, DAY + peak * 60, 1.0, 2.0)


def around(dataset: Dataset, found: Event, size: int = 16) -> Comparison | None:
    model: Any = Echo(len(dataset.columns), size)
    return compare(dataset, model, found, IndexedReader(dataset))


def test_a_short_event_is_shown_in_one_window_around_it(dataset: Dataset) -> None:
    found = around(dataset, event(40, 44))
    assert found is not None
    rows = (found.edges - DAY) // 60
    assert len(found.original) == 16 and (rows[0], rows[-1]) == (34, 50)
    np.testing.assert_array_equal(found.original[:, 0], np.arange(34, 50))


def test_an_event_has_time_around_it_and_a_very_long_one_is_cut(
    dataset: Dataset,
) -> None:
    half = around(dataset, event(120, 150))
    assert half is not None
    assert ((half.edges[[0, -1]] - DAY) // 60).tolist() == [112, 172]
    long = around(dataset, event(203, 300, 290))
    assert long is not None
    assert len(long.original) == 96
    assert (long.edges[-1] - DAY) // 60 == 300


def test_rows_come_from_the_run_of_the_peak_alone(dataset: Dataset) -> None:
    found = around(dataset, event(95, 120, 99))
    assert found is not None
    assert (found.edges[-1] - DAY) // 60 == 100
    assert np.array_equal(np.diff(found.edges), np.full(len(found.original), 60))


def test_every_row_is_taken_from_near_the_middle_of_a_window(
    dataset: Dataset,
) -> None:
    found = around(dataset, event(140, 160))
    assert found is not None
    # The model tells each row's position in its window of 16.
    assert found.reproduced.min() >= 5 and found.reproduced.max() <= 10


def test_a_run_shorter_than_a_window_cannot_be_reproduced(dataset: Dataset) -> None:
    assert around(dataset, event(102, 105)) is None
    assert around(dataset, event(102, 105), size=10) is not None


def test_events_of_another_dataset_are_refused(dataset: Dataset) -> None:
    for minute in (100, 5000):
        with pytest.raises(ScoresError, match="peaks at 2015-02-0.*has no row"):
            around(dataset, event(minute, minute + 5))


def test_differences_go_the_short_way_round_and_leave_out_what_is_missing(
    dataset: Dataset,
) -> None:
    panels = {panel.quantity: panel for panel in find_panels(dataset.columns)}
    compared = Comparison(
        edges=DAY + 60 * np.arange(3),
        original=np.array([[7.0, 359, *[-70] * 5]] * 2, dtype=np.float32),
        observed=np.array([[True] * 7, [False] * 7]),
        reproduced=np.array([[6.5, 1, *[-60] * 5]] * 2, dtype=np.float32),
        normalization=Echo(7).normalization,
    )
    assert compared.difference(panels["dir"])[0, 0] == -2
    assert compared.difference(panels["temp"])[0, 0] == 0.5
    assert np.isnan(compared.difference(panels["temp"])[1, 0])
    assert compared.error(panels["Sv"], event(0, 2)) == pytest.approx(500)
    assert compared.error(panels["Sv"], event(1, 2)) == 0
    (worst,) = compared.worst_panels(
        [panels["temp"], panels["Sv"]], event(0, 2), most=2
    )
    assert worst.quantity == "Sv"
