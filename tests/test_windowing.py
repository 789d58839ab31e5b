"""Windows: which there are, where they start, and in what order they come."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_select, naive_windows

from echoanom.errors import OptionError, WindowError
from echoanom.manifest import RunTable
from echoanom.options import Share, WindowOptions
from echoanom.windowing import WindowIndex, locate, permute, select

PERIOD = 4


def make_runs(lengths_and_gaps: list[tuple[int, int]]) -> RunTable:
    """Make runs of (rows, gap behind) at one row every PERIOD seconds."""
    rows = np.array([rows for rows, _ in lengths_and_gaps], dtype=np.int64)
    steps = np.array([sum(pair) for pair in lengths_and_gaps], dtype=np.int64)
    return RunTable(
        first_row=np.cumsum(rows) - rows,
        rows=rows,
        start_s=(np.cumsum(steps) - steps) * PERIOD,
    )


def as_pairs(runs: RunTable) -> list[tuple[int, int]]:
    return list(zip(runs.first_row.tolist(), runs.rows.tolist(), strict=True))


run_tables = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 5)), min_size=1, max_size=6
).map(make_runs)
intervals = st.lists(
    st.tuples(st.integers(-20, 700), st.integers(0, 200)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ),
    max_size=4,
)


@given(run_tables, st.integers(1, 45), st.integers(1, 10), st.integers(1, 9))
def test_windows_are_those_of_the_oracle(runs, size, stride, batch_size):
    expected = naive_windows(as_pairs(runs), size, stride)
    options = WindowOptions(size=size, stride=stride, batch_size=batch_size)
    if not expected:
        with pytest.raises(WindowError, match=f"a window of {size} rows"):
            WindowIndex(runs, options)
        return
    index = WindowIndex(runs, options)
    assert len(index) == len(expected)
    assert index.first_rows(np.arange(len(index))).tolist() == expected
    batches = [index.batch(i).tolist() for i in range(index.batches)]
    assert sum(batches, []) == expected
    assert all(len(batch) == batch_size for batch in batches[:-1])


@given(run_tables, st.integers(0, 2**63 - 1), st.integers(0, 5), st.integers(1, 9))
def test_a_shuffled_epoch_has_each_window_once(runs, seed, epoch, batch_size):
    options = WindowOptions(
        size=1, stride=1, batch_size=batch_size, shuffle=True, seed=seed
    )
    index = WindowIndex(runs, options)
    first = epoch * index.batches
    rows = [r for i in range(index.batches) for r in index.batch(first + i).tolist()]
    assert sorted(rows) == list(range(runs.rows.sum()))


def test_a_dropped_remainder_leaves_whole_batches_only():
    options = WindowOptions(size=1, batch_size=4, drop_remainder=True)
    index = WindowIndex(make_runs([(11, 1)]), options)
    assert index.batches == 2
    assert len(index.batch(1)) == 4


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {
        tuple(permute(np.arange(1000), 1000, seed, epoch).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_the_order_is_the_same_on_every_machine():
    # Computed once; a change would silently reorder every training in the world.
    order = permute(np.arange(10), 10, seed=7, epoch=2)
    assert order.tolist() == [1, 4, 3, 6, 5, 0, 2, 9, 8, 7]


@given(st.integers(1, 3000), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_the_order_is_a_bijection(size, seed, epoch):
    numbers = permute(np.arange(size), size, seed, epoch)
    assert np.array_equal(np.sort(numbers), np.arange(size))


def test_positions_are_mapped_alone_as_they_are_together():
    together = permute(np.arange(5000), 5000, 3, 1)
    alone = [int(permute(np.array([i]), 5000, 3, 1)[0]) for i in range(0, 5000, 97)]
    assert alone == together[::97].tolist()


def test_a_shuffled_order_looks_uniform():
    # Mean rank correlation of neighbours over many seeds: 0 within 4 standard errors.
    size, seeds = 2000, 50
    correlations = []
    for seed in range(seeds):
        numbers = permute(np.arange(size), size, seed, 0).astype(float)
        correlations.append(np.corrcoef(numbers[:-1], numbers[1:])[0, 1])
        correlations.append(np.corrcoef(np.arange(size), numbers)[0, 1])
    assert abs(np.mean(correlations)) < 4 / np.sqrt(size * seeds * 2)


@given(run_tables, st.none() | intervals, intervals)
def test_selected_rows_are_those_of_the_oracle(runs, include, exclude):
    times, rows, run_of = [], [], []
    for number, (first, count) in enumerate(as_pairs(runs)):
        rows += range(first, first + count)
        times += [int(runs.start_s[number]) + i * PERIOD for i in range(count)]
        run_of += [number] * count
    kept = naive_select(times, PERIOD, include, exclude)
    selected = select(runs, PERIOD, include, exclude)
    expected = [row for row, keep in zip(rows, kept, strict=True) if keep]
    found = [
        r for first, count in as_pairs(selected) for r in range(first, first + count)
    ]
    assert found == expected
    # No two selected rows of one piece lie in different runs, and pieces are maximal.
    for number, (first, count) in enumerate(as_pairs(selected)):
        assert run_of[first] == run_of[first + count - 1]
        assert selected.start_s[number] == times[first]
        before = first - 1
        assert before < 0 or not kept[before] or run_of[before] != run_of[first]


def test_an_interval_that_ends_before_it_starts_is_refused():
    with pytest.raises(OptionError, match="must not end before it starts"):
        select(make_runs([(5, 1)]), PERIOD, include=[(10, 5)])


def test_a_window_longer_than_every_run_names_the_longest():
    with pytest.raises(WindowError, match="longest of 2 runs has 7 rows"):
        WindowIndex(make_runs([(5, 1), (7, 1)]), WindowOptions(size=8))


def test_an_index_without_runs_has_no_window():
    empty = RunTable(*(np.empty(0, np.int64) for _ in dataclasses.fields(RunTable)))
    with pytest.raises(WindowError, match="there are no rows"):
        WindowIndex(empty, WindowOptions())


@given(
    runs=run_tables,
    size=st.integers(1, 5),
    stride=st.integers(1, 6),
    batch_size=st.integers(16, 40),
    workers=st.integers(1, 16),
    shuffle=st.booleans(),
    drop=st.booleans(),
    resume=st.integers(0, 100),
)
def test_workers_together_deliver_each_window_once_from_any_point_on(
    runs, size, stride, batch_size, workers, shuffle, drop, resume
):
    options = WindowOptions(
        size=size,
        stride=stride,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=5,
        drop_remainder=drop,
    )
    expected = naive_windows(as_pairs(runs), size, stride)
    if not expected or (drop and len(expected) < batch_size):
        return
    index = WindowIndex(runs, options)
    total = 2 * index.batches
    start = resume % (total + 1)
    delivered = [
        [
            row
            for position in range(start, total)
            for row in index.batch(position, Share(worker, workers)).tolist()
        ]
        for worker in range(workers)
    ]
    alone = [
        row
        for position in range(start, total)
        for row in index.batch(position).tolist()
    ]
    assert sorted(sum(delivered, [])) == sorted(alone)
    if start == 0 and not drop:
        assert sorted(alone) == sorted(2 * expected)


@given(run_tables, st.lists(st.integers(1, 16), min_size=1, max_size=6), st.data())
def test_the_order_is_the_same_however_the_number_of_workers_changes(
    runs, workers_of_each_stretch, data
):
    """Position by position, what all workers deliver is the batch of a single one."""
    index = WindowIndex(runs, WindowOptions(size=1, batch_size=16, shuffle=True))
    position = 0
    for workers in workers_of_each_stretch:
        for _ in range(data.draw(st.integers(1, 3))):
            whole = index.batch(position)
            dealt = np.empty_like(whole)
            for worker in range(workers):
                dealt[worker::workers] = index.batch(position, Share(worker, workers))
            assert dealt.tolist() == whole.tolist()
            position += 1


@pytest.mark.parametrize(
    "rows, batch_size, workers, most",
    [(5, 8, 5, 4), (5, 8, 9, 4), (50, 8, 9, 8), (2, 8, 2, 1)],
)
def test_too_many_workers_are_refused(rows, batch_size, workers, most):
    index = WindowIndex(
        make_runs([(rows, 1)]), WindowOptions(size=1, batch_size=batch_size)
    )
    with pytest.raises(OptionError, match=f"at most {most} workers can share {rows}"):
        index.check(Share(0, workers))
    index.check(Share(0, most))


def test_one_worker_can_take_a_single_window():
    WindowIndex(make_runs([(3, 1)]), WindowOptions(size=3)).check(Share())


@given(
    run_tables,
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(0, 10),
    st.integers(0, 2**32),
)
def test_windows_observed_too_little_are_left_out(runs, size, stride, tenths, seed):
    least = tenths / 10
    cells = np.random.default_rng(seed).integers(0, 11, int(runs.rows.sum()))
    options = WindowOptions(size=size, stride=stride, min_observed=least)
    expected = [
        first
        for first in naive_windows(as_pairs(runs), size, stride)
        if 10 * sum(cells[first : first + size].tolist()) >= tenths * 10 * size
    ]
    if not expected:
        with pytest.raises(WindowError):
            WindowIndex(runs, options, cells / 10)
        return
    index = WindowIndex(runs, options, cells / 10)
    assert index.first_rows(np.arange(len(index))).tolist() == expected


def test_no_window_observed_well_enough_is_refused_with_what_the_best_has():
    options = WindowOptions(size=2, min_observed=0.8)
    with pytest.raises(WindowError, match="at least 0.8 of its cells.* has 0.75;"):
        WindowIndex(make_runs([(3, 1)]), options, np.array([0.5, 0.5, 1.0]))


def test_a_least_share_needs_to_know_the_shares():
    with pytest.raises(OptionError, match="min_observed needs to know"):
        WindowIndex(make_runs([(3, 1)]), WindowOptions(size=2, min_observed=0.8))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_positions_are_located_in_the_part_they_lie_in(lengths):
    expected = [(p, i) for p, length in enumerate(lengths) for i in range(length)]
    positions = np.arange(sum(lengths))
    part, within = locate(np.cumsum(lengths), positions)
    assert list(zip(part.tolist(), within.tolist(), strict=True)) == expected
