from __future__ import annotations

import json

import numpy as np
import pytest

from echoanom.comparing import Contender, compare
from echoanom.comparisonplot import draw_comparison
from echoanom.errors import ScoresError
from echoanom.evaluation import evaluate
from echoanom.evaluationoptions import EvaluationOptions
from echoanom.events import Event
from echoanom.figures import as_png
from echoanom.labels import Label
from echoanom.scores import ScoreTable

ROWS = 1000
LABELS = [Label(60_000, 72_000, kind="ship"), Label(240_000, 250_000)]


def table(lift: float, seed: int = 0, period_s: int = 600) -> ScoreTable:
    times = np.arange(ROWS, dtype=np.int64) * period_s
    marked = np.zeros(ROWS)
    for label in LABELS:
        marked[(times >= label.start) & (times < label.end)] = lift
    score = np.random.default_rng(seed).normal(size=ROWS) + marked
    return ScoreTable(times, score, score, np.ones(ROWS, int), period_s=period_s)


def test_each_is_measured_as_it_would_be_alone() -> None:
    tables = [table(3.0), table(1.0, seed=1)]
    contenders = [Contender(str(i), one, 2.5) for i, one in enumerate(tables)]
    options = EvaluationOptions(buffer=10, bootstrap=20)
    for one, alone in zip(
        compare(contenders, LABELS, measures=options), tables, strict=True
    ):
        assert one.rows_left_out == 0
        assert one.evaluation == evaluate(
            alone, LABELS, threshold=2.5, measures=options
        )


def test_the_better_one_is_better_by_an_interval_above_zero() -> None:
    contenders = [
        Contender("weak", table(0.5), 2.0),
        Contender("good", table(4.0), 2.0),
    ]
    options = EvaluationOptions(buffer=10, bootstrap=100)
    weak, good = compare(contenders, LABELS, measures=options)
    assert not weak.differences
    difference = good.differences["vus_pr"]
    assert difference.value == good.evaluation.vus_pr - weak.evaluation.vus_pr
    assert difference.interval is not None and 0 < difference.interval[0]


def test_the_same_scores_differ_by_nothing_in_every_draw() -> None:
    contenders = [Contender(name, table(1.0), 2.0) for name in "ab"]
    options = EvaluationOptions(buffer=10, bootstrap=20)
    other = compare(contenders, LABELS, measures=options)[1]
    for name, difference in other.differences.items():
        assert (difference.value, difference.interval) == (0.0, (0.0, 0.0)), name


def test_only_rows_that_all_have_a_score_for_are_measured() -> None:
    whole, part = table(3.0), table(3.0, seed=2)
    part.score[:100] = np.nan
    cut = ScoreTable(
        *(column[:-50] for column in (part.times, part.score)),
        window_score=part.score[:-50],
        windows=part.windows[:-50],
        period_s=600,
    )
    one, two = compare([Contender("one", whole), Contender("two", cut)], LABELS)
    assert (one.rows_left_out, two.rows_left_out) == (150, 0)
    assert one.evaluation.rows == two.evaluation.rows == 850
    assert one.evaluation.labelled_rows == two.evaluation.labelled_rows


def test_what_has_no_rows_in_common_cannot_be_compared() -> None:
    late = table(1.0)
    late = ScoreTable(
        late.times + 10**9, late.score, late.score, late.windows, period_s=600
    )
    with pytest.raises(ScoresError, match="must have rows in common"):
        compare([Contender("a", table(1.0)), Contender("b", late)], LABELS)
    other = table(1.0, period_s=60)
    with pytest.raises(ScoresError, match="b: must have rows of 600 s, as a has"):
        compare([Contender("a", table(1.0)), Contender("b", other)], LABELS)


def test_the_curve_is_thinned_and_ends_where_all_is_found() -> None:
    (one,) = compare([Contender("a", table(1.0))], LABELS)
    assert len(one.recall) == len(one.precision) <= 2000
    assert (np.diff(one.recall) > 0).all() and one.recall[-1] == 1.0


def test_events_that_are_given_are_held_against_the_labels() -> None:
    events = (Event(1, 60_000, 66_000, 60_000, 1.0, 1.0),)
    (one,) = compare([Contender("a", table(1.0), events=events)], LABELS)
    assert one.evaluation.by_event is not None
    assert one.evaluation.by_event.recall == 0.5
    json.dumps(one.as_json(), allow_nan=False)


@pytest.mark.parametrize("bootstrap", [0, 10])
def test_the_picture_has_a_curve_and_a_row_of_points_for_each(bootstrap: int) -> None:
    contenders = [Contender(f"n${i}_x.csv", table(i, seed=i), 2.0) for i in range(3)]
    options = EvaluationOptions(buffer=6, bootstrap=bootstrap)
    figure = draw_comparison(compare(contenders, LABELS, measures=options))
    curves, measures = figure.axes
    assert len(curves.lines) == 4  # and what random scores reach
    points = [line for line in measures.lines if line.get_marker() == "o"]
    assert len(points) == 3 * 4
    assert len(measures.lines) - len(points) == (12 if bootstrap else 0)
    assert as_png(figure).startswith(b"\x89PNG")


def test_without_events_the_picture_has_the_measures_by_row_alone() -> None:
    figure = draw_comparison(compare([Contender("a", table(1.0))], LABELS))
    assert len(figure.axes[1].lines) == 2
