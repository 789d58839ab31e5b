"""An opened dataset: what it says of itself."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from datasets import FIRST_DAY, PERIOD_S, small_dataset

from echoanom.dataset import open_dataset
from echoanom.errors import CorruptionError, DatasetError, ManifestError
from echoanom.reader import IndexedReader


def test_statistics_of_some_days_are_those_of_their_rows(tmp_path):
    dataset = small_dataset(tmp_path)
    days = dataset.days[1:3]
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    day_of_row = dataset.times() // 86_400
    chosen = np.isin(day_of_row, [(d - datetime.date(1970, 1, 1)).days for d in days])
    expected = np.where(observed, values, np.nan)[chosen].astype(np.float64)
    statistics = dataset.statistics(days)
    np.testing.assert_allclose(statistics.mean, np.nanmean(expected, axis=0))
    np.testing.assert_allclose(statistics.std, np.nanstd(expected, axis=0))
    np.testing.assert_array_equal(statistics.minimum, np.nanmin(expected, axis=0))
    np.testing.assert_array_equal(statistics.count, observed[chosen].sum(axis=0))


def test_times_follow_the_runs(tmp_path):
    dataset = small_dataset(tmp_path)
    times = dataset.times()
    assert len(times) == dataset.rows
    jumps = np.flatnonzero(np.diff(times) != PERIOD_S) + 1
    assert jumps.tolist() == dataset.runs.first_row[1:].tolist()


def test_days_are_those_with_rows(tmp_path):
    dataset = small_dataset(tmp_path, days=3)
    assert dataset.days == tuple(
        FIRST_DAY + datetime.timedelta(number) for number in range(3)
    )


def test_days_without_rows_have_no_statistics(tmp_path):
    dataset = small_dataset(tmp_path, days=1)
    with pytest.raises(DatasetError, match="no rows on the days asked for"):
        dataset.statistics([datetime.date(1999, 1, 1)])


def test_damaged_statistics_are_refused(tmp_path):
    dataset = small_dataset(tmp_path, days=1)
    (path,) = Path(dataset.path).rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptionError, match="must have hash"):
        dataset.statistics()


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(ManifestError, match="must be a dataset made by"):
        open_dataset(str(tmp_path))


def test_the_digest_changes_with_the_data_only(tmp_path):
    one = small_dataset(tmp_path / "one")
    again = small_dataset(tmp_path / "again")
    other = small_dataset(tmp_path / "other", days=3)
    assert one.digest == again.digest != other.digest
