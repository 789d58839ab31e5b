"""Inspect: what a dataset holds, without reading a row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import PERIOD_S, sensor_days, small_dataset, write_tables

from echoanom.cli import main
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.inspection import inspect
from echoanom.options import ShardOptions, TableOptions
from echoanom.reader import IndexedReader


def test_the_figures_are_those_of_the_rows(tmp_path):
    dataset = small_dataset(tmp_path)
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    found = inspect(dataset)
    assert found.summary["rows"] == len(values)
    assert found.summary["columns"] == 5
    assert found.summary["sensors"] == ["adcp", "ctd"]
    assert found.summary["start"] == "2020-02-27T00:00:00Z"
    assert found.summary["end"] == "2020-03-02T00:00:00Z"
    assert found.summary["days"] == found.summary["shards"] == 4
    assert found.summary["missing_share"] == pytest.approx(1 - observed.mean())
    for i, column in enumerate(found.columns):
        seen = values[observed[:, i], i].astype(np.float64)
        assert column["mean"] == pytest.approx(seen.mean())
        assert column["minimum"] == seen.min()
        assert column["missing_share"] == pytest.approx(1 - observed[:, i].mean())


def test_gaps_and_runs_are_told(tmp_path):
    source = write_tables(tmp_path / "source", {"ctd": sensor_days(3, ("t_degc",))})
    convert(source, str(tmp_path / "out"), table=TableOptions(period_s=PERIOD_S))
    dataset = open_dataset(str(tmp_path / "out"))
    times = dataset.times()
    gaps = np.diff(times)[np.diff(times) > dataset.period_s] - dataset.period_s
    found = inspect(dataset).summary
    assert found["runs"] == len(gaps) + 1
    hours, minutes, seconds = map(int, found["longest_gap"].split(":"))
    assert hours * 3600 + minutes * 60 + seconds == gaps.max()


def test_no_row_is_read(tmp_path):
    dataset = small_dataset(tmp_path)
    for path in Path(dataset.path).rglob("*.tfrecord"):
        path.unlink()
    assert inspect(dataset).summary["rows"] == dataset.rows


def test_it_is_plain_json(tmp_path):
    found = inspect(small_dataset(tmp_path, days=1)).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(
        json.dumps(found)
    )


@pytest.mark.parametrize(
    "codec, told", [("none", "as float16\n"), ("zstd", "as float16, zstd\n")]
)
def test_it_tells_how_rows_are_stored(tmp_path, capsys, codec, told):
    sharding = ShardOptions(dtype="float16", codec=codec)
    dataset = small_dataset(tmp_path, days=1, sharding=sharding)
    assert inspect(dataset).summary["codec"] == codec
    assert main(["inspect", dataset.path]) == 0
    assert told in capsys.readouterr().out
