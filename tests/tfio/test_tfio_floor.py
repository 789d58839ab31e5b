"""The oldest TensorFlow that setup.cfg accepts is enough, and tensorflow-io has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from datasets import small_source


def test_this_is_the_oldest_tensorflow_that_is_accepted() -> None:
    assert tf.__version__.startswith("2.16.")
    assert np.__version__.startswith("1.26.")


def test_tables_become_scores_and_events(tmp_path: Path) -> None:
    dataset, model = str(tmp_path / "dataset"), str(tmp_path / "model")
    scores, events = tmp_path / "scores.csv", tmp_path / "events.csv"
    for command in (
        ["convert", small_source(tmp_path / "source", 6), dataset, "--period", "900"],
        ["verify", dataset],
        ["train", dataset, "--model", model, "--window", "12", "--epochs", "2"],
        ["score", dataset, "--model", model, "--out", str(scores)],
        ["detect", str(scores), "--out", str(events), "--threshold", "mad:3"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "echoanom", *command], capture_output=True, text=True
        )
        assert done.returncode == 0, (command[0], done.stderr)
    found = pd.read_csv(scores)
    assert len(found) > 30
    assert np.isfinite(found["score"]).all()
    assert events.exists()
