"""Sensors joined on one grid: what stays, what is filled, and what is counted."""

from __future__ import annotations

import datetime
import tracemalloc

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.columns import Column
from echoanom.daily import DayTable, TableCounts
from echoanom.errors import ColumnsError, DataError, OptionError
from echoanom.options import StackOptions
from echoanom.stacking import Grid, find_runs, stack
from echoanom.stamps import day_of, day_start

DAY = datetime.date(2015, 2, 1)
START = day_start(DAY)
NAN = np.nan


def columns_of(sensor: str, kinds: list[str]) -> tuple[Column, ...]:
    return tuple(
        Column(f"c{i}", sensor, kind=kind)  # type: ignore[arg-type]
        for i, kind in enumerate(kinds)
    )


def table_of(
    columns: tuple[Column, ...],
    rows: dict[int, list[float]],
    period_s: int = 60,
    day: datetime.date = DAY,
) -> DayTable:
    """Make a table from {row of the day: cells}."""
    values = np.array(list(rows.values()), np.float32).reshape(-1, len(columns))
    times = day_start(day) + period_s * np.array(list(rows), np.int64)
    names = tuple(column.name for column in columns)
    return DayTable(f"{day}.csv", day, names, times, values, TableCounts(len(rows)))


def stack_one(
    kind: str, cells: list[float | None], max_gap_min: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stack one column, None for an absent row; return values, filled, present."""
    columns = columns_of("s", [kind])
    rows = {i: [cell] for i, cell in enumerate(cells) if cell is not None}
    result = stack(
        [[table_of(columns, rows)]],
        [columns],
        Grid(START, 60, len(cells)),
        StackOptions(max_gap_min=max_gap_min),
    )
    return result.values[:, 0], result.filled[:, 0], result.present


# -- filling


def test_a_scalar_gap_is_filled_on_a_straight_line_and_marked() -> None:
    values, filled, present = stack_one("scalar", [1, None, NAN, 4], 2)
    assert values.tolist() == [1, 2, 3, 4]
    assert filled.tolist() == [False, True, True, False]
    assert present.all()


def test_a_level_gap_is_filled_linearly_in_power() -> None:
    values, _, _ = stack_one("level", [-60, None, -70], 1)
    assert values[1] == pytest.approx(10 * np.log10((1e-6 + 1e-7) / 2))
    assert values[1] > -65


def test_very_different_levels_do_not_overflow() -> None:
    values, _, _ = stack_one("level", [-30_000, None, 30_000], 1)
    assert values[1] == pytest.approx(30_000 - 10 * np.log10(2), rel=1e-6)


def test_a_direction_gap_across_north_is_filled_near_north() -> None:
    values, filled, _ = stack_one("direction", [350, None, None, None, 10], 3)
    turn = (values + 180) % 360 - 180
    np.testing.assert_allclose(turn, [-10, -5, 0, 5, 10], atol=0.05)
    assert np.all((values >= 0) & (values < 360))
    assert filled.tolist() == [False, True, True, True, False]


def test_half_way_between_opposite_directions_stays_missing() -> None:
    values, filled, present = stack_one("direction", [0, None, 180], 1)
    assert np.isnan(values[1]) and not filled[1] and present[1]


def test_a_direction_just_below_north_is_never_360() -> None:
    values, _, _ = stack_one("direction", [359.99999, None, 359.99998], 1)
    assert 0 <= values[1] < 360


@pytest.mark.parametrize(
    ("max_gap_min", "is_filled"),
    [(0, False), (1, False), (1.99, False), (2, True), (60, True)],
)
def test_only_gaps_up_to_the_limit_are_filled(
    max_gap_min: float, is_filled: bool
) -> None:
    values, filled, present = stack_one("scalar", [1, None, None, 4], max_gap_min)
    assert filled.any() == is_filled == present.all()
    assert np.isnan(values[1]) != is_filled


def test_gaps_without_an_end_are_not_filled() -> None:
    values, filled, present = stack_one("scalar", [None, NAN, 3, NAN, None], 60)
    assert not filled.any()
    assert present.tolist() == [False, True, True, True, False]
    assert np.isnan(values).tolist() == [True, True, False, True, True]


def test_a_gap_over_midnight_is_filled() -> None:
    columns = columns_of("s", ["scalar"])
    next_day = DAY + datetime.timedelta(1)
    tables = [
        table_of(columns, {0: [7], 1: [8]}, day=next_day),
        table_of(columns, {1437: [4], 1438: [5]}),
    ]
    result = stack(
        [tables], [columns], Grid(START, 60, 2880), StackOptions(max_gap_min=1)
    )
    assert result.values[1437:1442, 0].tolist() == [4, 5, 6, 7, 8]
    assert find_runs(result.present).tolist() == [[1437, 5]]


def test_each_column_is_filled_for_itself() -> None:
    columns = columns_of("s", ["scalar", "scalar"])
    rows = {0: [0, 0], 1: [NAN, 10], 2: [NAN, NAN], 3: [30, 30]}
    result = stack(
        [[table_of(columns, rows)]],
        [columns],
        Grid(START, 60, 4),
        StackOptions(max_gap_min=1),
    )
    np.testing.assert_array_equal(
        result.values, [[0, 0], [NAN, 10], [NAN, 20], [30, 30]]
    )


# -- joining


@pytest.mark.parametrize(
    ("join", "kept"),
    [("outer", [0, 1, 2, 3]), ("inner", [1, 2]), ("left", [0, 1, 2])],
)
def test_the_join_decides_which_rows_stay(join: str, kept: list[int]) -> None:
    first, second = columns_of("a", ["scalar"]), columns_of("b", ["scalar"])
    result = stack(
        [
            [table_of(first, {0: [1], 1: [2], 2: [3]})],
            [table_of(second, {1: [5], 2: [NAN], 3: [7]})],
        ],
        [first, second],
        Grid(START, 60, 5),
        StackOptions(join=join),  # type: ignore[arg-type]
    )
    assert np.flatnonzero(result.present).tolist() == kept
    every = np.array([[1, NAN], [2, 5], [3, NAN], [NAN, 7], [NAN, NAN]])
    every[[i for i in range(5) if i not in kept]] = NAN
    np.testing.assert_array_equal(result.values, every)


def test_rows_a_join_drops_are_not_marked_as_filled() -> None:
    first, second = columns_of("a", ["scalar"]), columns_of("b", ["scalar"])
    result = stack(
        [[table_of(first, {0: [1], 2: [3]})], [table_of(second, {0: [1]})]],
        [first, second],
        Grid(START, 60, 3),
        StackOptions(join="inner", max_gap_min=5),
    )
    assert result.present.tolist() == [True, False, False]
    assert not result.filled.any() and np.isnan(result.values[1:]).all()
    assert result.coverage.days[DAY].filled_cells == 0


def test_rows_outside_the_grid_are_left_out() -> None:
    columns = columns_of("s", ["scalar"])
    table = table_of(columns, {0: [1], 9: [2], 10: [3], 19: [4], 20: [5]})
    result = stack([[table]], [columns], Grid(START + 600, 60, 10), StackOptions())
    assert result.values[result.present, 0].tolist() == [3, 4]
    assert result.coverage.tables["s", DAY].rows == 2


def test_a_sensor_without_a_table_is_all_missing() -> None:
    first, second = columns_of("a", ["scalar"]), columns_of("b", ["scalar"])
    result = stack(
        [[table_of(first, {0: [1]})], []], [first, second], Grid(START, 60, 2)
    )
    np.testing.assert_array_equal(result.values, [[1, NAN], [NAN, NAN]])
    assert result.coverage.missing_share("b", DAY) == 1


def test_an_empty_grid_is_an_empty_stack() -> None:
    columns = columns_of("s", ["scalar"])
    result = stack(
        [[table_of(columns, {0: [1]})]], [columns], Grid(START, 60, 0), StackOptions()
    )
    assert result.values.shape == result.filled.shape == (0, 1)
    assert result.coverage.days == {}


# -- refused


def test_a_table_with_other_columns_is_refused_and_named() -> None:
    columns = columns_of("s", ["scalar", "scalar"])
    table = table_of(columns_of("s", ["scalar"]), {0: [1]})
    with pytest.raises(ColumnsError, match=r"2015-02-01\.csv, line 1: .* lacks c1"):
        stack([[table]], [columns], Grid(START, 60, 2))
    turned = columns[::-1]
    table = table_of(turned, {0: [1, 2]})
    with pytest.raises(ColumnsError, match="but it has another order"):
        stack([[table]], [columns], Grid(START, 60, 2))


def test_two_tables_of_one_day_are_refused() -> None:
    columns = columns_of("s", ["scalar"])
    table = table_of(columns, {0: [1]})
    with pytest.raises(DataError, match="got a second one for 2015-02-01"):
        stack([[table, table]], [columns], Grid(START, 60, 2))


def test_stamps_off_the_grid_are_refused() -> None:
    columns = columns_of("s", ["scalar"])
    table = table_of(columns, {1: [1]}, period_s=30)
    with pytest.raises(DataError, match=r"multiples of the period of the grid \(60 s"):
        stack([[table]], [columns], Grid(START, 60, 2))


def test_a_stack_without_sensors_is_refused() -> None:
    with pytest.raises(DataError, match="must have sensors"):
        stack([], [], Grid(START, 60, 2))


@pytest.mark.parametrize("fields", [(30, 60, 1), (0, 0, 1), (0, 60, -1)])
def test_a_grid_that_is_none_is_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(OptionError, match="a grid must have"):
        Grid(*fields)


# -- properties


@given(st.lists(st.booleans(), max_size=40))
def test_runs_are_the_stretches_that_are_there(present: list[bool]) -> None:
    runs = find_runs(np.array(present, dtype=np.bool_))
    assert runs.shape == (len(runs), 2) and runs.dtype == np.int64
    assert [tuple(run) for run in runs.tolist()] == naive.naive_runs(present)


def check_against_naive(
    rows_of: list[dict[int, list[float]]],
    kinds: list[list[str]],
    days: int,
    period_s: int,
    options: StackOptions,
) -> None:
    """Cut each sensor's {grid row: cells} into days, stack, and compare all."""
    per_day = 86_400 // period_s
    grid = Grid(START, period_s, days * per_day)
    columns = [columns_of(f"s{i}", of_sensor) for i, of_sensor in enumerate(kinds)]
    tables: list[list[DayTable]] = []
    for rows, of_sensor in zip(rows_of, columns, strict=True):
        cut: dict[int, dict[int, list[float]]] = {}
        for row in sorted(rows):
            cut.setdefault(row // per_day, {})[row % per_day] = rows[row]
        tables.append(
            [
                table_of(of_sensor, part, period_s, DAY + datetime.timedelta(day))
                for day, part in cut.items()
            ]
        )
    result = stack(tables, columns, grid, options)
    expected = naive.naive_stack(
        [[(START + period_s * t, row) for t, row in rows.items()] for rows in rows_of],
        kinds,
        START,
        period_s,
        grid.rows,
        options.join,
        options.max_gap_min,
    )
    assert result.present.tolist() == expected["present"]
    filled = np.array(expected["filled"])
    np.testing.assert_array_equal(result.filled, filled)
    values = np.array(expected["values"])
    assert result.values.dtype == np.float32 and result.values.flags.c_contiguous
    np.testing.assert_array_equal(
        result.values[~filled], values[~filled].astype(np.float32)
    )
    direction = np.array([kind == "direction" for part in kinds for kind in part])
    difference = result.values - values
    turned = (difference + 180) % 360 - 180
    difference = np.where(direction, turned, difference)
    np.testing.assert_allclose(difference[filled], 0, atol=1e-3)
    assert np.all(result.values[:, direction][filled[:, direction]] < 360)

    coverage = result.coverage
    for i in range(days):
        day = DAY + datetime.timedelta(i)
        rows = slice(i * per_day, (i + 1) * per_day)
        joined = coverage.days[day]
        assert joined.grid_rows == per_day
        assert joined.in_some == sum(expected["in_some"][rows])
        assert joined.in_all == sum(expected["in_all"][rows])
        assert joined.kept == sum(expected["present"][rows])
        assert joined.filled_cells == filled[rows].sum()
        assert joined.filled_rows == filled[rows].any(axis=1).sum()
        for rows_of_sensor, of_sensor in zip(rows_of, columns, strict=True):
            its = [cells for t, cells in rows_of_sensor.items() if t // per_day == i]
            counted = coverage.tables.get((of_sensor[0].sensor, day))
            assert (counted.rows if counted else 0) == len(its)
            missing = sum(np.isnan(cell) for cells in its for cell in cells)
            assert (counted.missing_cells if counted else 0) == missing


CELLS = st.one_of(
    st.floats(-150, 360, width=32),
    st.sampled_from([0.0, 90.0, 180.0, 270.0, 350.0, 10.0]),
    st.just(NAN),
)


@st.composite
def small_sensors(
    draw: st.DrawFn,
) -> tuple[list[dict[int, list[float]]], list[list[str]], int, int]:
    """Draw one to three sensors of few rows and columns over one to three days."""
    days = draw(st.integers(1, 3))
    per_day = draw(st.sampled_from([2, 4, 8]))
    kind = st.sampled_from(["scalar", "level", "direction"])
    rows_of, kinds = [], []
    for _ in range(draw(st.integers(1, 3))):
        of_sensor = draw(st.lists(kind, min_size=1, max_size=3))
        cells = st.lists(CELLS, min_size=len(of_sensor), max_size=len(of_sensor))
        times = st.integers(0, days * per_day - 1)
        rows_of.append(draw(st.dictionaries(times, cells)))
        kinds.append(of_sensor)
    return rows_of, kinds, days, 86_400 // per_day


@given(
    sensors=small_sensors(),
    join=st.sampled_from(["outer", "inner", "left"]),
    max_gap=st.sampled_from([0, 1, 2, 3, 7]),
)
def test_stacking_equals_the_plain_reference(
    sensors: tuple[list[dict[int, list[float]]], list[list[str]], int, int],
    join: str,
    max_gap: int,
) -> None:
    period_s = sensors[3]
    minutes = min(max_gap * period_s / 60, 1439)
    options = StackOptions(join=join, max_gap_min=minutes)  # type: ignore[arg-type]
    check_against_naive(*sensors, options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("join", "max_gap_min"), [("outer", 3), ("inner", 200), ("left", 0)]
)
def test_whole_days_of_minutes_equal_the_plain_reference(
    join: str, max_gap_min: float
) -> None:
    random = np.random.default_rng(7)

    def rows(times: np.ndarray, width: int) -> dict[int, list[float]]:
        cells = random.uniform(0, 359, (len(times), width)).astype(np.float32)
        cells[random.random(cells.shape) < 0.2] = NAN
        return dict(zip(times.tolist(), cells.astype(float).tolist(), strict=True))

    gappy = np.flatnonzero(random.random(2880) < 0.8)
    options = StackOptions(join=join, max_gap_min=max_gap_min)  # type: ignore[arg-type]
    check_against_naive(
        [
            rows(np.arange(1440), 2),
            rows(gappy[(gappy < 1000) | (gappy > 1100)], 1),
            rows(np.array([1441]), 1),
        ],
        [["level", "scalar"], ["direction"], ["scalar"]],
        2,
        60,
        options,
    )


def wide_tables(
    rows: int, width: int, days: int, missing: float
) -> tuple[list[DayTable], tuple[Column, ...]]:
    random = np.random.default_rng(3)
    columns = columns_of("s", ["level"] * width)
    names = tuple(column.name for column in columns)
    tables = []
    for i in range(days):
        values = random.normal(-70, 8, (rows, width)).astype(np.float32)
        values[random.random(values.shape) < missing] = NAN
        day = DAY + datetime.timedelta(i)
        times = day_start(day) + 60 * np.arange(rows)
        tables.append(
            DayTable("x.csv", day, names, times, values, TableCounts(len(times)))
        )
    return tables, columns


@pytest.mark.slow
def test_filling_takes_little_memory_beside_the_result() -> None:
    tables, columns = wide_tables(1440, 1200, 3, 0.4)
    grid = Grid(START, 60, 3 * 1440)
    tracemalloc.start()
    result = stack([tables], [columns], grid, StackOptions(max_gap_min=10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.filled.sum() > 1_000_000
    assert peak < result.values.nbytes + result.filled.nbytes + 80e6


def test_filling_in_blocks_of_columns_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables, columns = wide_tables(200, 40, 1, 0.4)
    grid, options = Grid(START, 60, 200), StackOptions(max_gap_min=10)
    whole = stack([tables], [columns], grid, options)
    monkeypatch.setattr("echoanom.filling._BLOCK_CELLS", 200 * 7)
    monkeypatch.setattr("echoanom.stacking._COPY_BYTES", 4 * 40 * 3)
    parts = stack([tables], [columns], grid, options)
    np.testing.assert_array_equal(whole.values, parts.values)
    np.testing.assert_array_equal(whole.filled, parts.filled)
    assert whole.coverage == parts.coverage


def test_the_days_of_the_grid_are_those_of_its_rows() -> None:
    columns = columns_of("s", ["scalar"])
    grid = Grid(START + 86_400 - 120, 60, 1440 + 4)
    table = table_of(columns, {1439: [1]})
    result = stack([[table]], [columns], grid, StackOptions())
    grid_rows = {day: joined.grid_rows for day, joined in result.coverage.days.items()}
    days = [DAY + datetime.timedelta(i) for i in range(3)]
    assert grid_rows == dict(zip(days, [2, 1440, 2], strict=True))
    assert day_of(grid.start_s) == DAY
