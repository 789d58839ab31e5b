"""Window errors folded to scores of rows, held against plain loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_fold

from echoanom.errors import WindowError
from echoanom.folding import Fold, FoldedRows, RowSums, sum_rows
from echoanom.rowspans import lay_out

PERIOD_S = 60


@dataclasses.dataclass
class Windows:
    starts: np.ndarray
    errors: np.ndarray
    observed: np.ndarray
    batches: list[slice]

    @property
    def window_errors(self) -> np.ndarray:
        cells = np.maximum(self.observed.sum(axis=(1, 2)), 1)
        return (self.errors.sum(axis=(1, 2)) / cells).astype(np.float32)


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """Windows of several runs at one stride, in batches of any size.

    As in a dataset, whether a cell was observed belongs to its row, not to a window.
    """
    size = draw(st.integers(1, 9))
    stride = draw(st.integers(1, 12))
    columns = draw(st.integers(1, 4))
    counts = draw(st.lists(st.integers(1, 60), min_size=1, max_size=4))
    gaps = draw(st.lists(st.integers(1, 300), min_size=4, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    starts: list[int] = []
    first = draw(st.integers(0, 10**6))
    for count, gap in zip(counts, gaps, strict=False):
        starts += [first + i * stride for i in range(count)]
        first = starts[-1] + size + gap
    rows = starts[-1] + size - starts[0]
    seen = rng.random((rows, columns)) < draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))
    places = np.array(starts)[:, None] - starts[0] + np.arange(size)
    observed = seen[places]
    errors = np.where(observed, rng.random(observed.shape), 0).astype(np.float32)
    batch = draw(st.integers(1, 70))
    batches = [slice(i, i + batch) for i in range(0, len(starts), batch)]
    return Windows(np.array(starts) * PERIOD_S, errors, observed, batches)


def batch_sums(windows: Windows, batch: slice) -> RowSums:
    """Sum a batch over the rows of its own, as if a period were a dataset's row."""
    size = windows.errors.shape[1]
    layout = lay_out(windows.starts[batch] // PERIOD_S, size)
    observed = np.empty((len(layout.rows), windows.errors.shape[2]), dtype=bool)
    observed[layout.places[:, None] + np.arange(size)] = windows.observed[batch]
    return sum_rows(
        layout.rows * PERIOD_S,
        observed,
        layout.places,
        windows.errors[batch],
        windows.window_errors[batch],
    )


def fold(windows: Windows) -> FoldedRows:
    folding = Fold(windows.errors.shape[1])
    parts = []
    for batch in windows.batches:
        parts += folding.add(batch_sums(windows, batch))
    parts += folding.finish()
    return FoldedRows(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(FoldedRows)
        }
    )


@given(windows())
def test_folding_equals_the_oracle_whatever_the_batches_and_gaps(windows):
    folded = fold(windows)
    expected = naive_fold(windows.starts, windows.errors, windows.observed, PERIOD_S)
    assert folded.times.tolist() == list(expected)
    score, count, shares = zip(*expected.values(), strict=True)
    np.testing.assert_allclose(folded.score, score, rtol=1e-12)
    assert folded.windows.tolist() == list(count)
    np.testing.assert_allclose(folded.shares, shares, atol=1e-3)
    starts = np.isin(folded.times, windows.starts)
    np.testing.assert_array_equal(folded.window_score[starts], windows.window_errors)
    assert np.isnan(folded.window_score[~starts]).all()


@given(windows())
def test_shares_of_a_row_sum_to_one_or_are_all_zero(windows):
    folded = fold(windows)
    total = folded.shares.astype(np.float64).sum(axis=1)
    expected = np.where(folded.score > 0, 1, 0)
    np.testing.assert_allclose(total, expected, atol=3e-3)


def test_a_row_without_any_observed_cell_has_no_score_and_no_shares():
    observed = np.ones((1, 3, 2), dtype=bool)
    observed[0, 1] = False
    windows = Windows(
        np.array([600]), np.where(observed, 0.5, 0).astype("f4"), observed, [slice(1)]
    )
    folded = fold(windows)
    np.testing.assert_array_equal(folded.score, [0.5, np.nan, 0.5])
    np.testing.assert_array_equal(folded.shares[1], [0, 0])


def one_window(start: int, size: int, error: float = 1.0) -> RowSums:
    observed = np.ones((1, size, 3), dtype=bool)
    errors = np.full(observed.shape, error, dtype=np.float32)
    return batch_sums(Windows(np.array([start]), errors, observed, []), slice(1))


@pytest.mark.parametrize("starts", [[120, 60], [60, 60]])
def test_batches_that_do_not_ascend_are_refused(starts):
    folding = Fold(2)
    folding.add(one_window(starts[0], 2))
    with pytest.raises(WindowError, match="order of time"):
        folding.add(one_window(starts[1], 2))


def test_no_more_rows_are_held_than_a_window_has():
    folding = Fold(4)
    given_back = 0
    for i in range(200):
        folded = folding.add(one_window(i * PERIOD_S, 4))
        given_back += sum(len(part) for part in folded)
        assert i + 4 - given_back == 4
    assert given_back + sum(len(part) for part in folding.finish()) == 203


def test_an_error_that_is_no_number_stays_in_its_rows():
    folding = Fold(2)
    parts = folding.add(one_window(0, 2, np.nan))
    for start in (1, 2, 3):
        parts += folding.add(one_window(start * PERIOD_S, 2))
    parts += folding.finish()
    score = np.concatenate([part.score for part in parts])
    np.testing.assert_array_equal(score, [np.nan, np.nan, 1, 1, 1])


def test_nothing_added_gives_nothing_back():
    assert Fold(3).finish() == []
