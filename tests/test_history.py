"""The record of a training: as JSON, as a table, as a picture."""

from __future__ import annotations

import json
import sys

import pytest

from echoanom.history import EpochLosses, TrainingRecord, history_csv, loss_curve


@pytest.fixture(params=[None, ((0, 10), (20, 30))])
def record(request: pytest.FixtureRequest) -> TrainingRecord:
    return TrainingRecord(
        dataset_path="dataset",
        dataset_digest="abc",
        training_days=("2020-02-28",),
        validation_days=("2020-02-29", "2020-03-01"),
        include=request.param,
        exclude=((5, 6),),
        history=(
            EpochLosses(1, 0.1, 0.2),
            EpochLosses(2, 0.0, 0.1),
            EpochLosses(3, 1e-3, 0.1),
        ),
        stop_reason="all 3 epochs done",
    )


def test_a_record_survives_json(record):
    assert TrainingRecord.from_json(json.loads(json.dumps(record.as_json()))) == record


def test_of_equally_good_epochs_the_first_is_the_best(record):
    assert record.best.epoch == 2


def test_the_table_has_a_line_for_each_epoch(record):
    assert history_csv(record.history) == (
        b"epoch,loss,validation_loss\n1,0.1,0.2\n2,0.0,0.1\n3,0.001,0.1\n"
    )


def test_the_curve_is_a_picture_even_of_a_loss_of_zero(record):
    picture = loss_curve(record)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert loss_curve(record) is None
