"""The whole way on a real mooring: raw minutes to events, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from echoanom.dataset import open_dataset
from echoanom.verification import verify

ROOT = Path(__file__).resolve().parent.parent
DECK_M = 30.0


def run(*arguments: object) -> str:
    """Run a command as a user would and return what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        # The user's shell has none of what this test suite sets.
        env={k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def echoanom(*arguments: object) -> str:
    return run("-m", "echoanom", *arguments)


@pytest.mark.slow
def test_a_real_mooring_tells_the_hours_out_of_the_water(shared_data, tmp_path):
    csv = shared_data / "oce" / "s4_sleiwex2008.csv"
    table = pd.read_csv(csv, dtype=str)
    times = pd.to_datetime(table["timestamp"], utc=True)
    out_of_water = table["depth_m"].astype(float).to_numpy() <= DECK_M
    source, dataset = tmp_path / "source", tmp_path / "dataset"
    run(ROOT / "tools" / "cut_days.py", csv, source, "--sensor", "s4")
    labels = tmp_path / "labels.csv"
    steps = np.diff(np.concatenate(([0], out_of_water.astype(int), [0])))
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    first = times[np.flatnonzero(steps == 1)]
    last = times[np.flatnonzero(steps == -1) - 1] + pd.Timedelta(minutes=1)
    pd.DataFrame(
        {
            "start": first.dt.strftime(stamp).to_numpy(),
            "end": last.dt.strftime(stamp).to_numpy(),
            "sensor": "s4",
            "kind": "out_of_water",
        }
    ).to_csv(labels, index=False)

    echoanom("convert", source, dataset)
    tf = pytest.importorskip("tensorflow")
    opened = open_dataset(str(dataset))
    # Ten lines of plain TensorFlow.
    rows = []
    for number in range(len(opened.manifest.shards)):
        for example in tf.data.TFRecordDataset(opened.shard_path(number)):
            features = {
                "rows": tf.io.FixedLenFeature([], tf.int64),
                "values": tf.io.FixedLenFeature([], tf.string),
            }
            record = tf.io.parse_single_example(example, features)
            values = tf.io.decode_raw(record["values"], tf.float32)
            rows.append(tf.reshape(values, [record["rows"], -1]).numpy())
    numbers = table.drop(columns="timestamp").replace("", np.nan).map(float)
    np.testing.assert_array_equal(
        np.concatenate(rows), numbers.to_numpy().astype(np.float32)
    )
    assert opened.rows == len(table) == 15_225
    assert not verify(opened).problems

    model, scores, events = tmp_path / "model", tmp_path / "s.csv", tmp_path / "e.csv"
    echoanom(
        "train", dataset, "--model", model, "--epochs", 2, "--stride", 8,
        "--exclude", labels,
    )  # fmt: skip
    echoanom("score", dataset, "--model", model, "--out", scores)
    echoanom("detect", scores, "--out", events)
    found = json.loads(
        echoanom("evaluate", scores, labels, "--events", events, "--json")
    )
    assert len(first) == 2
    assert found["roc_auc"] > 0.9
    assert found["by_event"]["found_labels"] == found["labels"] == 2
    page = tmp_path / "report.html"
    echoanom(
        "report", dataset, "--model", model, "--scores", scores,
        "--events", events, "--out", page,
    )  # fmt: skip
    assert page.read_text().count("<img") >= 4
