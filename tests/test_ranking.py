from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)

from echoanom.ranking import Ranking

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({marked for marked, _, weight in rows if weight}) == 2)


@given(ROWS)
def test_measures_are_those_of_scikit_learn_ties_and_weights_included(
    rows: list[tuple[bool, int, int]],
) -> None:
    marked, score, weights = (np.array(column) for column in zip(*rows, strict=True))
    ranking = Ranking(marked, score.astype(float))
    expected = (
        average_precision_score(marked, score, sample_weight=weights),
        roc_auc_score(marked, score, sample_weight=weights),
    )
    assert ranking.areas(weights.astype(float)) == pytest.approx(expected)


def test_the_curve_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    marked, score = random.random(50) < 0.3, random.integers(0, 9, 50).astype(float)
    recall, precision = Ranking(marked, score).curve(np.ones(50))
    theirs = precision_recall_curve(marked, score)
    np.testing.assert_allclose(precision, theirs[0][-2::-1])
    np.testing.assert_allclose(recall, theirs[1][-2::-1])


def test_without_weight_on_one_sort_of_rows_it_is_not_defined() -> None:
    ranking = Ranking(np.array([True, False]), np.array([1.0, 0.0]))
    assert np.isnan(ranking.areas(np.array([0.0, 1.0]))).all()
    average_precision, roc_auc = ranking.areas(np.array([1.0, 0.0]))
    assert average_precision == 1.0 and np.isnan(roc_auc)
