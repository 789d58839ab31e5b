from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naiveevaluation import naive_affiliation

from echoanom.affiliation import affiliation, zones

REFERENCES = json.loads(
    (Path(__file__).parent / "data" / "evaluation" / "references.json").read_text()
)
CELLS = 24


def spans(pairs: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    "case", [c for c in REFERENCES["cases"] if c["affiliation_precision"] is not None]
)
def test_it_is_what_the_authors_code_computes(case: dict[str, Any]) -> None:
    precision, recall = affiliation(
        spans(case["marked"]), spans(case["alarmed"]), len(case["score"])
    )
    expected = case["affiliation_precision"], case["affiliation_recall"]
    found = np.nanmean(precision), recall.mean()
    assert found == pytest.approx(expected, abs=1e-12)


@st.composite
def flags(draw: st.DrawFn) -> tuple[list[bool], list[bool]]:
    size = draw(st.integers(2, 14))
    row = st.lists(st.booleans(), min_size=size, max_size=size)
    return draw(row), draw(row)


def ranges(row: list[bool]) -> list[tuple[int, int]]:
    steps = np.diff(np.array(row, dtype=np.int64), prepend=0, append=0)
    return [
        (int(a), int(b))
        for a, b in zip(
            np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True
        )
    ]


@settings(deadline=None, max_examples=40)
@given(flags())
def test_it_is_what_counting_small_cells_comes_to(
    rows: tuple[list[bool], list[bool]],
) -> None:
    marked, events = ranges(rows[0]), ranges(rows[1])
    if not marked:
        return
    fast = affiliation(spans(marked), spans(events), len(rows[0]))
    slow = naive_affiliation(marked, events, len(rows[0]), CELLS)
    for number in range(len(marked)):
        near = slow[0][number]
        assert np.isnan(fast[0][number]) == (near is None)
        if near is not None:
            assert fast[0][number] == pytest.approx(near, abs=1.5 / CELLS)
        assert fast[1][number] == pytest.approx(slow[1][number], abs=1.5 / CELLS)


def test_every_row_belongs_to_the_zone_of_the_nearest_stretch() -> None:
    assert zones([(2, 4), (10, 11)], 20) == [(0.0, 7.0), (7.0, 20.0)]


def test_exact_events_are_perfect_and_none_find_nothing() -> None:
    marked = spans([(3, 5), (9, 12)])
    precision, recall = affiliation(marked, marked, 30)
    assert precision.tolist() == recall.tolist() == [1.0, 1.0]
    precision, recall = affiliation(marked, spans([]), 30)
    assert np.isnan(precision).all() and recall.tolist() == [0.0, 0.0]


def test_a_near_miss_is_worth_more_than_a_far_one() -> None:
    marked = spans([(50, 60)])
    found = [affiliation(marked, spans([(at, at + 5)]), 200)[0][0] for at in (61, 90)]
    assert 1 > found[0] > found[1]


def test_events_everywhere_are_worth_as_much_as_chance() -> None:
    precision, recall = affiliation(spans([(500, 501)]), spans([(0, 1000)]), 1000)
    assert precision[0] == pytest.approx(0.5, abs=0.01) and recall[0] == 1.0
