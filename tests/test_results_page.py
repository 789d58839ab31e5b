"""The page of what each model finds says what was measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "benchmarks" / "results" / "detection.json"
TRIALS = ROOT / "benchmarks" / "results" / "skab_trials.json"
MODELS = {"pca": [0.5, 0.9, 0.7], "step": [0.25, 0.25, 0.25], "random": [1.0] * 3}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "tools" / "results_page.py"
    spec = importlib.util.spec_from_file_location("results_page", path)
    assert spec is not None and spec.loader is not None
    found = sys.modules["results_page"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def figures(**changes: Any) -> dict[str, Any]:
    """Two sets, three models and three seeds; the other set has a tenth less."""
    kinds = {"school": {"labels": 2, "found": 1}, "surge": {"labels": 1, "found": 0}}
    budget = {"kinds": kinds, "false_alarms_per_day": 0.9}
    counts = {"right": 1, "false": 1, "missed": 1, "quiet": 1}
    rates = {**counts, "f1": 0.875, "far": 12.5, "mar": 25.0}
    lines = []
    for model, values in MODELS.items():
        for seed, value in enumerate(values):
            line = {"model": model, "seed": seed, "train_s": 30.0, "score_s": 6.0}
            line |= {"rows": 1000, "labelled_rows": 100, "labels": 3}
            measures = ("vus_pr", "average_precision", "event_f1")
            line["false_alarms_per_day"] = 2.0
            sea = {**line, "set": "sea", **dict.fromkeys(measures, value)}
            sea |= {"alone": budget, "with_outages": budget}
            lines.append({**sea, "by_rule": {"mad:5": budget}})
            river = dict.fromkeys(measures, value - 0.1)
            lines.append({**line, "set": "river", **river, "published": {"own": rates}})
    of_set = {
        **{"about": "Water.", "period_s": 5400, "window": 64, "train_stride": 8},
        **{"score_stride": 4, "epochs": 10, "merge_gap_min": 30.0},
    }
    machine = {"date": "2026-11-27", "cores": 2, "processor": "a processor"}
    return {
        "machine": {**machine, "python": "3.11", "versions": {"numpy": "2.4"}},
        "complete": True,
        "outdated_lines": 0,
        "seconds": 648.0,
        "seeds": 3,
        "threshold": "quantile:0.999",
        "alarms_per_day": 1.0,
        "sets": {
            "sea": {**of_set, "title": "the sea"},
            "river": {**of_set, "title": "a river"},
        },
        "left_out": {},
        "models": {
            name: {
                "network": {"kind": name},
                "normalization": "standard",
                "window": None,
                "random": name == "random",
            }
            for name in MODELS
        },
        "results": lines,
        **changes,
    }


def trials() -> dict[str, Any]:
    """Two ways to choose, of which one is better."""
    place = {"rows": 200, "false": 30, "files": 3}
    line = {"share": 0.5, "error": "squared", "far": 20.0, "mar": 10.0}
    line |= {"before": place, "after": {**place, "false": 50}, "best_f1": 0.75}
    lines = [{**line, "components": n, "f1": 0.5 + n / 100} for n in (4, 8)]
    return {"files": 25, "results": lines}


def test_figures_are_medians_with_their_range_and_the_best_is_bold(tool):
    lines = tool.page(figures(), trials()).splitlines()
    begin = lines.index("## VUS-PR")
    assert lines[begin + 4 : begin + 9] == [
        "| model | the sea | a river | mean |",
        "| --- | --: | --: | --: |",
        "| pca | **0.700** (0.500 to 0.900) | **0.600** (0.400 to 0.800) | **0.650** |",
        "| step | 0.250 | 0.150 | 0.200 |",
        # What chance finds is never the best.
        "| random | 1.000 | 0.900 | 0.950 |",
    ]
    alarms = lines.index("## False alarms a day")
    assert lines[alarms + 6] == "| pca | 2.00 | 2.00 |"


def test_kinds_are_shares_of_what_was_planted_for_all_seeds(tool):
    lines = tool.page(figures(), trials()).splitlines()
    begin = lines.index("### By the score alone")
    assert lines[begin + 2 : begin + 5] == [
        "| model | school (6) | surge (3) | all (9) | false alarms a day |",
        "| --- | --: | --: | --: | --: |",
        "| pca | 0.50 | 0.00 | 0.33 | 0.90 |",
    ]


def test_rules_that_know_no_label_are_told_with_what_they_cost(tool):
    lines = tool.page(figures(), trials()).splitlines()
    begin = lines.index("### With a threshold that knows no label")
    assert lines[begin + 4 : begin + 7] == [
        "| model | `mad:5`: found | false alarms a day |",
        "| --- | --: | --: |",
        "| pca | 0.33 | 0.90 |",
    ]


def test_published_figures_stand_beside_those_of_the_same_protocol(tool):
    page = tool.page(figures(), trials())
    assert "| pca |  |  |  | 0.875 | 12.5 | 25.0 |" in page
    assert "| always on | 0.667 | 100.0 | 0.0 |  |  |  |" in page
    assert "| Conv-AE, as published | 0.78 | 13.55 | 28.02 |  |  |  |" in page


def test_the_best_that_could_be_chosen_is_told_with_its_false_alarms(tool):
    page = tool.page(figures(), trials())
    assert "in 2 ways" in page and "F1 of 0.580 (8 components, fitted to 50 %," in page
    assert "chosen by the labels, too, 0.750." in page
    assert "15 % of the rows before the fault, in 3 of 25 files, and 25 %" in page


def test_what_was_not_measured_is_said(tool):
    assert "Not complete" not in tool.page(figures(), trials())
    left_out = {"lake": "lake.csv is not there"}
    page = tool.page(
        figures(complete=False, left_out=left_out, outdated_lines=4), trials()
    )
    assert "**Not complete**" in page and "lake: lake.csv is not there." in page
    assert "earlier version of the code measured: 4." in page


@pytest.mark.skipif(not MEASURED.exists(), reason="nothing was measured yet")
def test_the_page_has_the_figures_that_were_measured(tool):
    found = json.loads(MEASURED.read_text())
    trials = json.loads(TRIALS.read_text())
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == tool.page(found, trials), "run: python tools/results_page.py"
    assert found["complete"] != ("**Not complete**" in page)
