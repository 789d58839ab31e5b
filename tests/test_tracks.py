from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from echoanom.tracks import fine_grid

DAY = 86_400


@given(
    start=st.integers(0, 2_000_000_000),
    span=st.integers(60, 400 * DAY),
    period=st.sampled_from([1, 60, 900, 3600, DAY]),
    cost=st.integers(0, 5000),
)
def test_fine_steps_are_whole_rows_and_days_and_cost_what_a_page_has(
    start: int, span: int, period: int, cost: int
) -> None:
    grid = fine_grid(start, start + span, period, cost)
    end = grid.start_s + grid.steps * grid.step_s
    assert grid.start_s <= start and start + span <= end
    assert grid.start_s % DAY == 0 and end % DAY == 0
    assert DAY % grid.step_s == 0 and grid.step_s % period == 0
    assert grid.steps * cost <= 10 << 20 or grid.step_s == DAY


def test_a_step_is_a_row_where_there_is_room() -> None:
    assert fine_grid(0, 14 * DAY, 60, 500).step_s == 60
    # A fortnight of four sensors, as they are simulated.
    assert fine_grid(0, 14 * DAY, 60, 940).step_s == 120
    assert fine_grid(0, 31 * DAY, 60, 940).step_s == 300
