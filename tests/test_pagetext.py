from __future__ import annotations

import pytest

from echoanom.pagetext import how_often


@pytest.mark.parametrize(
    ("per_day", "words"),
    [
        (12.34, "12.3 a day"),
        (0.1, "0.1 a day"),
        (0.0318, "once in 31 days"),
        (0.0001, "once in over 1,000 days"),
    ],
)
def test_how_often_something_happens_reads_as_days(per_day: float, words: str) -> None:
    assert how_often(per_day) == words
