"""Hyperparameters: texts of either launcher become options, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from echoanom.cloud.hyperparameters import (
    Hyperparameters,
    JobOptions,
    as_texts,
    parse_hyperparameters,
)
from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import WindowOptions

OTHERS = Hyperparameters(
    WindowOptions(size=13, stride=3, batch_size=7, shuffle=False, seed=5),
    ModelOptions(
        kind="autoencoder", filters=(4, 2), kernel=3, dropout=0.25, output="linear"
    ),
    TrainOptions(epochs=9, learning_rate=2e-4, normalization="robust", patience=0),
    JobOptions("s3://bucket/dataset", "0" * 32, "shuffled", 99, 1.5, 3, 8000),
)


def test_nothing_said_is_what_a_training_does_by_itself() -> None:
    assert parse_hyperparameters({}) == Hyperparameters(
        WindowOptions(stride=64, shuffle=True),
        ModelOptions(kind="autoencoder"),
        TrainOptions(),
        JobOptions(),
    )


def test_the_stride_is_the_window_unless_it_is_said() -> None:
    assert parse_hyperparameters({"window": "16"}).window.stride == 16
    assert parse_hyperparameters({"window": "16", "stride": "1"}).window.stride == 1


@pytest.mark.parametrize(
    "written",
    [str, json.dumps, lambda text: text],
    ids=["plain texts", "texts as JSON", "as they are"],
)
def test_every_option_comes_back_from_its_text(written: Any) -> None:
    texts = {name: written(text) for name, text in as_texts(OTHERS).items()}
    assert parse_hyperparameters(texts) == OTHERS


def test_values_that_a_launcher_has_decoded_are_taken() -> None:
    found = parse_hyperparameters(
        {"window": 8, "learning_rate": 0.5, "shuffle": False, "filters": [4, 2]}
    )
    assert (found.window.size, found.window.shuffle) == (8, False)
    assert found.training.learning_rate == 0.5
    assert found.network.filters == (4, 2)


def test_what_launchers_add_is_passed_over() -> None:
    added = {
        "sagemaker_program": '"train.py"',
        "sagemaker_region": '"eu-west-1"',
        "model_dir": '"s3://bucket/model"',
    }
    assert parse_hyperparameters(added) == parse_hyperparameters({})


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"widnow": "64"}, "must be one of .*window.*, got 'widnow'"),
        ({"window": "many"}, "window must be a whole number, got 'many'"),
        ({"window": "6.5"}, "window must be a whole number, got '6.5'"),
        ({"window": "0"}, "size must be a whole number of at least 1, got 0"),
        ({"learning-rate": "fast"}, "learning-rate must be a number, got 'fast'"),
        ({"learning-rate": "nan"}, "learning_rate must be more than 0, got nan"),
        ({"shuffle": "1"}, "shuffle must be true or false, got '1'"),
        ({"filters": "4,x"}, "filters must be a whole number, got 'x'"),
        ({"normalization": "max"}, "normalization must be one of"),
        ({"object-order": "random"}, "object_order must be one of listed, shuffled"),
        ({"pipe-timeout": "0"}, "pipe_timeout must be more than 0"),
        ({"pipe-timeout": "inf"}, "pipe_timeout must be more than 0"),
        ({"normalization": "standard"}, "output must be linear with normalization"),
        ({"port": "70000"}, "port must be a whole number from 1 to 65535"),
        (
            {"checkpoint-every": "-1"},
            "checkpoint_every must be a whole number of at least 0",
        ),
    ],
)
def test_a_text_that_is_not_what_its_option_takes_is_refused(
    texts: dict[str, str], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        parse_hyperparameters(texts)
