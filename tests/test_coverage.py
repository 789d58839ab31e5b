"""What the sensors have, and what joining them gained and lost."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from echoanom.coverage import Coverage, JoinedDay, SensorDay
from echoanom.errors import DatasetError

DAYS = [datetime.date(2015, 2, 1) + datetime.timedelta(i) for i in range(3)]


def coverage_of(*days: datetime.date, kept: int = 90) -> Coverage:
    return Coverage(
        60,
        {"ek60": 4, "adcp": 2},
        {day: JoinedDay(100, 95, 80, kept, 5, 7) for day in days},
        {
            ("ek60", day): SensorDay(90, 36, 93, duplicates=2, merged=1, out_of_order=4)
            for day in days
        },
    )


def test_coverage_survives_json() -> None:
    coverage = coverage_of(*DAYS)
    assert Coverage.from_json(json.loads(json.dumps(coverage.as_json()))) == coverage


def test_coverages_of_stretches_of_days_merge_to_that_of_all() -> None:
    merged = Coverage.merge([coverage_of(*DAYS[1:]), coverage_of(DAYS[0])])
    assert merged == coverage_of(*DAYS)
    assert list(merged.days) == DAYS


def test_of_a_day_that_two_coverages_have_the_later_counts() -> None:
    old, new = coverage_of(*DAYS[:2]), coverage_of(*DAYS[1:], kept=50)
    del new.tables["ek60", DAYS[1]]  # type: ignore[attr-defined]
    merged = Coverage.merge([old, new])
    assert [merged.days[day].kept for day in DAYS] == [90, 50, 50]
    assert sorted(day for _, day in merged.tables) == [DAYS[0], DAYS[2]]


def test_coverages_of_different_sensors_do_not_merge() -> None:
    other = Coverage(60, {"ek60": 5, "adcp": 2}, {}, {})
    with pytest.raises(DatasetError, match="same period and columns"):
        Coverage.merge([coverage_of(DAYS[0]), other])
    with pytest.raises(DatasetError, match="at least one"):
        Coverage.merge([])


def test_some_days_of_a_coverage_are_their_own() -> None:
    assert coverage_of(*DAYS).between(DAYS[1], DAYS[1]) == coverage_of(DAYS[1])


def test_the_missing_share_counts_absent_rows_and_missing_cells() -> None:
    coverage = coverage_of(DAYS[0])
    # 100 rows of 4 cells; 90 are there, of which 36 cells are missing.
    assert coverage.missing_share("ek60", DAYS[0]) == pytest.approx(0.19)
    assert coverage.missing_share("adcp", DAYS[0]) == 1


def test_the_summary_tells_what_the_join_gained_and_lost() -> None:
    summary = coverage_of(*DAYS[:2]).summary()
    assert summary["minutes"] == {
        "grid": 200,
        "in_some": 190,
        "in_all": 160,
        "kept": 180,
        "filled": 10,
    }
    assert summary["filled_cells"] == 14
    assert summary["sensors"]["ek60"] == {
        "columns": 4,
        "days": 2,
        "rows": 180,
        "missing_share": 0.19,
        "duplicates": 4,
        "merged": 2,
        "out_of_order": 8,
    }
    assert summary["sensors"]["adcp"]["missing_share"] == 1
    assert summary["days"][1] == {
        "day": "2015-02-02",
        "grid": 100,
        "in_some": 95,
        "in_all": 80,
        "kept": 90,
        "filled": 5,
        "missing_share": {"ek60": 0.19, "adcp": 1.0},
    }
    json.dumps(summary)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"period_s": 60, "sensors": [], "days": {}, "tables": {}},
        {"period_s": 60, "sensors": {}, "days": {"2015-02-30": [1]}, "tables": {}},
        {"period_s": 60, "sensors": {}, "days": {"2015-02-01": []}, "tables": {}},
        {"period_s": 60, "sensors": {}, "days": {}, "tables": {"a": {"x": [1]}}},
    ],
)
def test_json_that_is_no_coverage_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="coverage must have"):
        Coverage.from_json(values)
