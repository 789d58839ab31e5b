"""Rows that windows share, each once: against sets, the reader's windows and gaps."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from datasets import PERIOD_S, small_dataset
from hypothesis import given
from hypothesis import strategies as st

from echoanom.dataset import Dataset
from echoanom.errors import CorruptionError, WindowError
from echoanom.manifest import RunTable
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.reader import IndexedReader
from echoanom.rowspans import lay_out, row_spans
from echoanom.windowing import WindowIndex, select


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four days, four records each."""
    return small_dataset(tmp_path_factory.mktemp("rowspans"))


@pytest.fixture(scope="module")
def runs(dataset: Dataset) -> RunTable:
    """Cut to five runs, one of them short, the longest over several records."""
    start = int(dataset.runs.start_s[0])
    left_out = [(60, 90), (100, 101), (105, 130), (260, 261)]
    exclude = [(start + a * PERIOD_S, start + b * PERIOD_S) for a, b in left_out]
    return select(dataset.runs, PERIOD_S, exclude=exclude)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=50),
    st.integers(1, 12),
)
def test_a_layout_has_every_covered_row_once_in_order(steps, size):
    first_rows = np.cumsum(steps)
    layout = lay_out(first_rows, size)
    covered = sorted({int(first) + i for first in first_rows for i in range(size)})
    assert layout.rows.tolist() == covered
    assert layout.places.tolist() == [covered.index(first) for first in first_rows]
    assert layout.places.dtype == np.int32
    # Stretches are as long as they can be: the reader is asked as rarely as possible.
    gaps = sum(b - a > 1 for a, b in zip(covered, covered[1:], strict=False))
    assert len(layout.first) == len(layout.count) == gaps + 1


@pytest.mark.parametrize("first_rows", [[4, 3], [4, 4]])
def test_windows_that_do_not_ascend_are_refused(first_rows):
    with pytest.raises(WindowError, match="order of time"):
        lay_out(np.array(first_rows), 2)


@pytest.mark.parametrize("size, stride", [(1, 1), (16, 1), (16, 5), (16, 16), (9, 30)])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_framed_spans_are_the_windows(dataset, runs, size, stride, batch_size):
    options = WindowOptions(size=size, stride=stride, batch_size=batch_size)
    index = WindowIndex(runs, options)
    assert runs.rows.tolist() == [60, 10, 4, 130, 123]
    normalization = fit_normalization(dataset.statistics(), "range")
    expected = IndexedReader(dataset, normalization)
    spans = list(row_spans(IndexedReader(dataset, normalization), index))
    assert len(spans) == index.batches
    for batch, span in enumerate(spans):
        first_rows = index.batch(batch)
        values = np.empty((len(first_rows), size, len(dataset.columns)), np.float32)
        observed = np.empty(values.shape, np.bool_)
        expected.gather(first_rows, values, observed)
        frame = span.places[:, None] + np.arange(size)
        np.testing.assert_array_equal(span.values[frame], values)
        np.testing.assert_array_equal(span.observed[frame], observed)
        np.testing.assert_array_equal(
            span.rows[frame], first_rows[:, None] + np.arange(size)
        )
        assert len(span.rows) == len(span.values) == len(np.unique(frame))


def test_the_next_batch_is_read_ahead_and_no_other(dataset):
    index = WindowIndex(dataset.runs, WindowOptions(size=4, batch_size=8))
    reader = IndexedReader(dataset)
    read: list[int] = []
    done = threading.Semaphore(0)
    rows = reader.rows

    def tell(first_row: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        read.append(first_row)
        done.release()
        return rows(first_row, count)

    reader.rows = tell  # type: ignore[method-assign]
    spans = row_spans(reader, index)
    next(spans)
    for _ in range(2):
        assert done.acquire(timeout=30)
    assert read == [0, 8]
    spans.close()
    assert read == [0, 8]


def test_an_error_of_the_reader_comes_as_it_is(dataset):
    reader = IndexedReader(dataset)

    def fail(first_row: int, count: int) -> None:
        raise CorruptionError(f"row {first_row} is damaged")

    reader.rows = fail  # type: ignore[assignment]
    index = WindowIndex(dataset.runs, WindowOptions(size=4))
    with pytest.raises(CorruptionError, match="row 0 is damaged"):
        next(row_spans(reader, index))
