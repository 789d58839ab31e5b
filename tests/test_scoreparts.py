"""Parts of a scoring: all batches once, and together bit for bit the whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom import scoreparts
from echoanom.folding import Fold, FoldedRows, RowSums, between, sum_rows
from echoanom.manifest import RunTable
from echoanom.options import WindowOptions
from echoanom.rowspans import lay_out
from echoanom.scoreparts import cut, warm_up
from echoanom.windowing import WindowIndex

PERIOD_S = 60
COLUMNS = 3


def run_table(rows: list[int], gaps: list[int]) -> RunTable:
    """Runs one behind the other in the dataset, with gaps of time between them."""
    first = np.cumsum([0, *rows[:-1]])
    start = first + np.cumsum([0, *gaps[: len(rows) - 1]])
    return RunTable(first, np.array(rows), start * PERIOD_S)


@st.composite
def indexes(draw: st.DrawFn) -> tuple[RunTable, WindowIndex]:
    """Windows of several runs, some too short for any, in batches of any size."""
    size = draw(st.integers(1, 12))
    options = WindowOptions(
        size=size,
        stride=draw(st.integers(1, 14)),
        batch_size=draw(st.integers(1, 20)),
    )
    rows = draw(st.lists(st.integers(1, 90), min_size=1, max_size=5))
    gaps = draw(st.lists(st.integers(1, 40), min_size=5, max_size=5))
    runs = run_table([*rows, size + draw(st.integers(0, 30))], gaps)
    return runs, WindowIndex(runs, options)


def times(runs: RunTable, rows: np.ndarray) -> np.ndarray:
    run = np.searchsorted(runs.first_row, rows, side="right") - 1
    return runs.start_s[run] + (rows - runs.first_row[run]) * PERIOD_S


def fold(
    runs: RunTable, index: WindowIndex, batches: range, seed: int
) -> list[FoldedRows]:
    """Fold random errors, which a batch has from its number and not from who asks."""
    folding = Fold(index.options.size)
    # Whether a cell was observed belongs to its row, not to a batch.
    cells = np.random.default_rng(seed).random((runs.rows.sum(), COLUMNS)) < 0.8
    found: list[FoldedRows] = []
    for batch in batches:
        layout = lay_out(index.batch(batch), index.options.size)
        frame = layout.places[:, None] + np.arange(index.options.size)
        observed = cells[layout.rows]
        rng = np.random.default_rng((seed, batch))
        errors = rng.random((*frame.shape, COLUMNS), dtype=np.float32) ** 8
        errors = np.where(observed[frame], errors, np.float32(0))
        sums: RowSums = sum_rows(
            times(runs, layout.rows),
            observed,
            layout.places,
            errors,
            errors.mean(axis=(1, 2)),
        )
        found += folding.add(sums)
    return found + folding.finish()


def assert_same_bytes(found: FoldedRows, expected: FoldedRows) -> None:
    for field in dataclasses.fields(FoldedRows):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes(), field.name


@given(indexes(), st.sets(st.integers(1, 60), max_size=6), st.integers(0, 2**32 - 1))
def test_any_parts_together_are_bit_for_bit_the_whole(drawn, cuts, seed):
    runs, index = drawn
    whole = between(fold(runs, index, range(index.batches), seed), 0)
    edges = [0, *sorted(c for c in cuts if c < index.batches), index.batches]
    parts = []
    for first, stop in zip(edges, edges[1:], strict=False):
        part = range(first, stop)
        begin_s, *end_s = times(
            runs, np.array([index.batch(b)[0] for b in (first, stop) if b < edges[-1]])
        ).tolist()
        folded = fold(runs, index, warm_up(index, part), seed)
        parts.append(between(folded, begin_s, *end_s))
    assert_same_bytes(between(parts, 0), whole)


@given(indexes())
def test_a_part_is_warmed_up_with_no_more_batches_than_a_window_reaches(drawn):
    _, index = drawn
    options = index.options
    most = -(-(options.size - 1) // options.stride)
    for first in range(index.batches):
        batches = warm_up(index, range(first, index.batches))
        assert batches.stop == index.batches
        assert 0 <= first - batches.start <= -(-most // options.batch_size)


@given(indexes(), st.integers(1, 2000), st.integers(1, 50))
def test_parts_have_every_batch_once(drawn, columns, least):
    _, index = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoreparts, "_MOST_WINDOWS", least)
        patch.setattr(scoreparts, "_WARM_UPS", 1)
        parts = cut(index, columns)
    assert [b for part in parts for b in part] == list(range(index.batches))
    assert all(parts)


def test_parts_are_a_few_thousand_windows_and_warm_up_is_a_few_per_cent_of_them():
    runs = run_table([10 * 365 * 1440], [])
    options = WindowOptions(size=64, stride=1, batch_size=5, shuffle=False)
    index = WindowIndex(runs, options)
    parts = cut(index, 1600)
    whole = len(parts[1])
    assert 2000 <= whole * 5 <= 2048
    assert len(warm_up(index, parts[1])) - whole == 13
    assert 13 / whole < 0.04


def test_a_short_scoring_still_has_parts_for_many_workers():
    options = WindowOptions(size=64, stride=1, batch_size=5)
    index = WindowIndex(run_table([30 * 1440], []), options)
    parts = cut(index, 1600)
    assert len(parts) >= 28
    assert len(warm_up(index, parts[1])) <= 1.05 * len(parts[1])


@pytest.mark.parametrize(
    "size, columns, most_bytes", [(64, 1600, 2**26), (1440, 1600, 2**26), (64, 10, 2e6)]
)
def test_what_comes_back_from_a_part_is_bounded(size, columns, most_bytes):
    index = WindowIndex(
        run_table([100_000], []), WindowOptions(size=size, stride=1, batch_size=5)
    )
    rows = 5 * len(cut(index, columns)[0])
    assert rows * (2 * columns + 32) <= most_bytes


def test_rows_of_some_time_are_kept_across_the_borders_of_parts():
    def part(*starts: int) -> FoldedRows:
        values = np.array(starts)
        zeros = np.zeros((len(values), 2), dtype=np.float16)
        return FoldedRows(values, values / 2, values / 4, values * 2, zeros)

    parts = [part(), part(60, 120), part(180), part(300, 360)]
    assert between(parts, 120, 360).times.tolist() == [120, 180, 300]
    assert between(parts, 120, 360).windows.tolist() == [240, 360, 600]
    assert between(parts, 130).times.tolist() == [180, 300, 360]
    assert between(parts, 0, 10).shares.shape == (0, 2)
