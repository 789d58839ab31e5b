from __future__ import annotations

import numpy as np

from echoanom.daycalendar import calendar
from echoanom.events import Event

DAY = 86_400


def test_a_calendar_has_each_day_with_what_was_recorded_found_and_scored() -> None:
    coverage = {
        "sensors": {"ctd": {}, "ek": {}},
        "days": [
            {"day": "1970-01-02", "missing_share": {"ctd": 0.0, "ek": 0.001}},
            {"day": "1970-01-04", "missing_share": {"ctd": 1.0, "ek": 0.25}},
        ],
    }
    times = np.array([DAY, DAY + 60, 3 * DAY], dtype=np.int64)
    score = np.array([0.5, np.nan, 0.25])
    events = [Event(1, DAY, DAY + 60, DAY, 0.5, 0.5)]
    found = calendar(coverage, times, score, events)
    assert [day["name"] for day in found["days"]] == [
        "1970-01-02",
        "1970-01-03",
        "1970-01-04",
    ]
    assert [day["events"] for day in found["days"]] == [1, 0, 0]
    assert [day["highest"] for day in found["days"]] == ["0.5", "–", "0.25"]
    # What is not all there does not read as if it were.
    assert [cell["text"] for cell in found["rows"]["ek"]] == ["99", "–", "75"]
    assert [cell["text"] for cell in found["rows"]["ctd"]] == ["100", "–", "–"]


def test_without_scores_there_is_no_day() -> None:
    none = np.empty(0, dtype=np.int64)
    found = calendar({"sensors": {}, "days": []}, none, np.empty(0), [])
    assert found == {"days": [], "rows": {}}
