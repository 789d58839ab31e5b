"""Each benchmark runs at toy size, checks what it measures, and writes its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def run(folder: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark in a process of its own, and return the JSON that it writes."""
    figures = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments, "--json", figures],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    return found


@pytest.mark.slow
def test_throughput_measures_every_reader_on_the_same_windows(tmp_path: Path) -> None:
    found = run(tmp_path, "throughput.py", "--toy")
    assert found["benchmark"] == "throughput" and found["machine"]["cores"] >= 1
    assert found["skipped"] == found["failed"] == {}
    lines = found["results"]
    assert len(lines) == 3 * len({line["reader"] for line in lines})
    assert {"echoanom", "copy loop", "tf.gather", "the tutorial's generator"} <= {
        line["reader"] for line in lines
    }
    for line in lines:
        assert line["sum_check"] == "right", line
        assert line["windows_per_s"] > 0 and line["ratio"] > 0, line
        assert line["first_batch_s"] > 0 and line["peak_bytes"] > 1e7, line
    # Small windows, timed briefly: no more than that the limit is its own limit.
    limits = [line["ratio"] for line in lines if line["reader"] == "copy loop"]
    assert len(limits) == 3 and all(0.2 < ratio < 5 for ratio in limits)


@pytest.mark.slow
def test_a_reader_that_gives_other_windows_is_not_measured(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from peers import Reader\n"
        "from peers import trial, with_numpy\n"
        "from peers.task import CASES, Data\n"
        "data = Data.make(sys.argv[2], days=1, columns=16)\n"
        "case = CASES['sequential stride 64']\n"
        "reader = Reader('copy', 'with_numpy', 'copy')\n"
        "trial.verify(reader, case, data)\n"
        "right, other = with_numpy.batches, CASES['sequential stride 1']\n"
        "with_numpy.batches = lambda data, case, variant: right(data, other, variant)\n"
        "try:\n"
        "    trial.verify(reader, case, data)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, BENCHMARKS, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not the wanted ones" in done.stdout


@pytest.mark.slow
def test_scoring_finds_the_same_errors_every_way(tmp_path: Path) -> None:
    found = run(tmp_path, "scoring.py", "--toy")
    assert found["benchmark"] == "scoring"
    assert found["apart"] < 1e-4
    lines = {line["way"]: line for line in found["results"]}
    assert lines.keys() == {
        *("predict_on_batch", "echoanom", "predict", "SavedModel rows"),
        "request per window",
    }
    assert lines["predict_on_batch"]["ratio"] == 1
    # 100 rows, and the few of them that are sent.
    assert {way: line["windows"] for way, line in lines.items()} == {
        way: 3 if way == "request per window" else 37 for way in lines
    }
    for way, line in lines.items():
        assert line["ms_per_window"] > 0 and line["ratio"] > 0, line
        assert way == "request per window" or line["first_s"] > 0, line
    sizes = {line["batch_size"]: line for line in found["batch_sizes"]}
    assert lines["predict_on_batch"]["batch_size"] == min(
        sizes, key=lambda size: sizes[size]["predict_on_batch"]
    )


@pytest.mark.slow
def test_training_is_timed_with_the_batch_in_memory_and_with_each_input(
    tmp_path: Path,
) -> None:
    found = run(tmp_path, "training.py", "--toy")
    assert found["benchmark"] == "training"
    memory, own, tutorial = found["results"]
    assert [line["input"] for line in found["results"]] == [
        *("batch in memory", "echoanom", "the tutorial's generator"),
    ]
    assert "stall" not in memory
    for line in (own, tutorial):
        assert line["stall"] < 1 and len(line["stalls"]) == 1
    for line in found["results"]:
        assert line["s_per_step"] > 0 and line["cpu_s_per_step"] > 0
    assert found["input_alone"]["cpu_s_per_batch"] > 0


@pytest.mark.slow
def test_keras_on_jax_is_timed_with_held_batches_and_with_windows(
    tmp_path: Path,
) -> None:
    pytest.importorskip("jax")
    found = run(tmp_path, "gpu.py", "--toy")
    assert found["benchmark"] == "gpu" and found["machine"]["device"]
    assert found["checked_windows"] == 8 * 32
    assert found["losses"][-1] < found["losses"][0]
    inputs = (
        *("batch on the device", "batch in memory"),
        *("echoanom, 1 thread", "echoanom, 2 threads"),
    )
    assert [(line["model"], line["input"]) for line in found["results"]] == [
        (model, name)
        for model in ("autoencoder", "two small layers")
        for name in inputs
    ]
    for line in found["results"]:
        assert line["s_per_step"] > 0, line
        assert ("stall" in line) == line["input"].startswith("echoanom"), line
    assert [line["threads"] for line in found["reader"]] == [1, 2]
    for line in found["reader"]:
        assert line["scratch_ratio"] > 0 and line["memory_ratio"] > 0, line


@pytest.mark.slow
def test_fifo_measures_streams_beside_plain_reads_and_copies(tmp_path: Path) -> None:
    found = run(tmp_path, "fifo.py", "--toy")
    lines = {line["case"]: line for line in found["results"]}
    assert len(lines) == 9
    for line in lines.values():
        assert line["mb_per_s"] > 0 and line["ratio"] > 0, line
    limits = [line for line in lines.values() if line["limit"] is None]
    assert len(limits) == 3 and all(line["ratio"] == 1 for line in limits)
    # However windows come out of a FIFO, as many come as the index counts.
    for name in ("… and what was observed", "… through tf.data", "shuffled stride 64"):
        assert lines[name]["windows"] == lines["sequential stride 64"]["windows"] > 0
    for name in ("sequential stride 1", "shuffled stride 1", "copy loop, shuffled"):
        assert lines[name]["windows"] == lines["copy loop"]["windows"] > 0


@pytest.mark.slow
def test_conversion_is_held_against_parsers_of_the_same_cells(tmp_path: Path) -> None:
    lines = ("polars", "pandas C", "int16", "function", "Example")
    found = run(tmp_path, "convert.py", "--toy", "--workers", "2", "--lines", *lines)
    assert found["benchmark"] == "convert" and found["days"] == 2
    (results,) = found["results"].values()
    by_name = {line["line"].partition(";")[0]: line for line in results}
    assert by_name.keys() == {
        *("polars", "polars, typed", "pandas C", "echoanom convert, int16"),
        *("echoanom function, float32", "pandas + Example(float_list)"),
    }
    # The fastest parser comes last of them, and its ratio is its own.
    speeds = [line["mb_per_s"] for line in results[:3]]
    assert speeds == sorted(speeds) and results[2]["ratio"] == 1
    for line in results:
        assert line["mb_per_s"] > 0 and line["peak_bytes"] > 1e7, line
    # Two bytes a cell, and what a few columns cost beside; four; four and more.
    small, block, row = (line["written"] for line in results[3:])
    assert small < block < row


@pytest.mark.slow
def test_parquet_is_measured_beside_csv_of_the_same_tables(tmp_path: Path) -> None:
    found = run(tmp_path, "tables.py", "--toy")
    assert found["benchmark"] == "tables" and found["columns"] == 16
    lines = {(line["tables"], line["what"]): line for line in found["results"]}
    assert lines.keys() == {
        (tables, what)
        for tables in ("rounded", "full")
        for what in ("size", "write", "read", "convert")
    }
    assert all(min(x["csv"], x["parquet"], x["ratio"]) > 0 for x in lines.values())
    # More digits are more text; Parquet is smaller than either.
    assert lines["full", "size"]["csv"] > lines["rounded", "size"]["csv"]
    assert all(lines[kind, "size"]["ratio"] > 1 for kind in ("rounded", "full"))


@pytest.mark.slow
def test_clusters_of_one_and_two_workers_do_the_same_work(tmp_path: Path) -> None:
    found = run(tmp_path, "cluster.py", "--toy")
    assert found["benchmark"] == "cluster"
    assert [(line["work"], line["by"]) for line in found["results"]] == [
        (work, by)
        for work in ("convert", "score")
        for by in ("this process", "1 worker", "2 workers")
    ]
    for line in found["results"]:
        assert line["seconds"] > 0 and line["ratio"] > 0, line
        assert line["by"] != "1 worker" or line["ratio"] == 1


@pytest.mark.slow
def test_a_store_is_measured_beside_plain_gets_and_the_disk(tmp_path: Path) -> None:
    found = run(tmp_path, "s3.py", "--toy")
    assert found["benchmark"] == "s3"
    ways = ("plain GETs", "s3fs", "boto3 transfer", "cache")
    sets = ("shards-of-a-day", "one-shard")
    assert [line["case"] for line in found["results"] if "CRT" not in line["case"]] == [
        *(f"{way}, {name}" for name in sets for way in ways),
        *(
            "epoch from disk",
            "epoch from the store, cold",
            "epoch from the store, warm",
        ),
        *("disk to disk", "store to store"),
    ]
    for line in found["results"]:
        assert line["mb_per_s"] > 0 and line["lowest"] <= line["ratio"], line
        assert line["limit"] or line["ratio"] == 1


@pytest.mark.slow
def test_memory_is_measured_for_each_number_of_days(tmp_path: Path) -> None:
    found = run(tmp_path, "memory.py", "--toy", "--readers", "shuffled, stride 1")
    assert found["days"] == [1, 2]
    (line,) = found["results"]
    assert line["windows_2"] > line["windows_1"] > 0
    assert 1e8 < line["peak_bytes_1"] < 1e10
    assert line["growth"] == line["peak_bytes_2"] / line["peak_bytes_1"]


@pytest.mark.slow
def test_every_model_is_held_against_the_same_labelled_rows(tmp_path: Path) -> None:
    options = ("detection.py", "--toy", "--seeds", "1", "--only", "simulated")
    found = run(tmp_path, *options)
    assert found["benchmark"] == "detection" and not found["complete"]
    lines = {line["model"]: line for line in found["results"]}
    assert {"autoencoder", "pca", "pca-rows", "zscore", "step"} < lines.keys()
    assert len({(x["rows"], x["labelled_rows"]) for x in lines.values()}) == 1
    for line in lines.values():
        assert 0 < line["vus_pr"] < 1 and 0 < line["average_precision"] < 1, line
        assert line["alone"]["recall"] <= line["with_outages"]["recall"] <= 1
        assert line["train_s"] > 0 and line["score_s"] > 0, line
    # What is there is not measured again; what is asked for differently is.
    finished = tmp_path / "figures.jsonl"
    kept = [json.loads(line) for line in finished.read_text().splitlines()]
    (zscore,) = [line for line in kept if line["asked"]["model"] == "zscore"]
    zscore["figures"]["vus_pr"] = 0.123
    half = json.dumps(zscore)[:100]  # what a killed run leaves at the end
    finished.write_text(json.dumps(zscore) + "\n" + half)
    again = run(tmp_path, *options, "--models", "zscore")
    assert [line["vus_pr"] for line in again["results"]] == [0.123]
    other = run(tmp_path, *options, "--models", "zscore", "--threshold", "mad:6")
    (line,) = other["results"]
    assert line["vus_pr"] == lines["zscore"]["vus_pr"]
    assert line["threshold"] != lines["zscore"]["threshold"]
    assert len(finished.read_text().splitlines()) == 2


@pytest.mark.slow
def test_published_records_are_split_and_judged_where_they_are_labelled(
    shared_data: Path, tmp_path: Path
) -> None:
    options = ("--toy", "--seeds", "1", "--models", "zscore", "--data", shared_data)
    found = run(tmp_path, "detection.py", *map(str, options))
    lines = {line["set"]: line for line in found["results"]}
    # Rows after the train part, and the labels that overlap them.
    judged = {name: (line["rows"], line["labels"]) for name, line in lines.items()}
    assert judged.pop("simulated")[1] > 2
    assert judged == {
        "gecco": (99_184, 43),
        "skab": (1492, 2),
        "sandy-creek": (5115, 4),
        "mooring": (9464, 2),
        "tide-gauge": (11_820, 27),
    }
    # The hours on deck are nothing like the sea.
    assert lines["mooring"]["average_precision"] > 0.99
    published = lines["skab"]["published"]
    for counts in published.values():
        rows = sum(counts[name] for name in ("right", "false", "missed", "quiet"))
        assert rows == 1147 + 1145 - 2 * 400
    assert published["own"] != published["absolute"]


@pytest.mark.slow
def test_no_choice_of_components_is_left_untried_by_skabs_protocol(
    shared_data: Path, tmp_path: Path
) -> None:
    found = run(tmp_path, "skab_trials.py", "--toy", "--data", str(shared_data))
    lines = found["results"]
    assert found["files"] == 2
    assert len({(x["components"], x["share"], x["error"]) for x in lines}) == 6 * 4 * 2
    for line in lines:
        assert 0 < line["f1"] < 1 and 0 < line["best_f1"] < 1, line
        for place in ("before", "after"):
            assert 0 <= line[place]["false"] <= line[place]["rows"], line
    # Rows after the first 400 of both files, without those that are labelled.
    rows = {line["before"]["rows"] + line["after"]["rows"] for line in lines}
    assert rows == {1492 - 401 - 402}


@pytest.mark.slow
def test_records_that_are_not_there_are_left_out_and_named(tmp_path: Path) -> None:
    options = ("--toy", "--seeds", "1", "--models", "step", "--data", str(tmp_path))
    found = run(tmp_path, "detection.py", *options)
    assert {line["set"] for line in found["results"]} == {"simulated"}
    assert len(found["left_out"]) == 5
    assert found["left_out"]["gecco"].startswith("gecco2018/gecco2018_train.csv.gz is")


@pytest.mark.slow
def test_without_the_files_of_skab_no_trial_is_written(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    script = [sys.executable, BENCHMARKS / "skab_trials.py", "--data", tmp_path]
    done = subprocess.run(
        [*script, "--json", figures], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "left out: " in done.stdout
    assert not figures.exists()
