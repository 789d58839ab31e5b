"""The lines of a job, read back by the expressions that SageMaker is given."""

from __future__ import annotations

import re

import pytest

from echoanom.cloud.metrics import METRIC_DEFINITIONS, epoch_line


def found(line: str) -> dict[str, float]:
    return {
        one["Name"]: float(re.findall(one["Regex"], line)[0])
        for one in METRIC_DEFINITIONS
        if re.search(one["Regex"], line)
    }


@pytest.mark.parametrize("loss", [0.0, 1.25e-7, 0.03125, 3e20])
def test_every_number_of_a_line_is_found(loss: float) -> None:
    assert found(epoch_line(3, loss, 2 * loss, 5000, 2.5)) == {
        "train:loss": loss,
        "validation:loss": 2 * loss,
        "train:windows": 5000,
        "train:windows_per_second": 2000,
    }


def test_every_expression_finds_one_number_only() -> None:
    line = epoch_line(1, 0.5, 0.25, 10, 4.0)
    for definition in METRIC_DEFINITIONS:
        assert len(re.findall(definition["Regex"], line)) == 1


def test_an_epoch_of_no_time_has_no_rate() -> None:
    assert found(epoch_line(1, 0.5, 0.25, 10, 0.0))["train:windows_per_second"] == 0
