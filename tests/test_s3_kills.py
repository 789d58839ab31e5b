"""Killed at any moment, or raced, against a real S3 server: whole, once, nothing left.

ECHOANOM_KILLS sets how many moments each is killed at; the usual few keep the tests short.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import PERIOD_S, small_source

from echoanom import objects, publishing, storage
from echoanom.cli import main
from echoanom.dataset import open_dataset
from echoanom.errors import ConflictError
from echoanom.s3requests import request
from echoanom.simulation import SimulationOptions, simulate
from echoanom.verification import verify

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ECHOANOM_KILLS", "2"))
ROUNDS = int(os.environ.get("ECHOANOM_KILLS", "4"))
# Says when its imports are done, so that moments fall into the work.
COMMAND = """
import sys
from echoanom.cli import main
import {imports}
if __name__ == "__main__":  # processes of its own import this again
    print("ready", flush=True)
    sys.exit(main(sys.argv[1:]))
"""


def start(folder: Path, imports: str, *arguments: str) -> subprocess.Popen[str]:
    script = folder / "command.py"
    script.write_text(COMMAND.format(imports=imports))
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def kill_at_moments(
    folder: Path, imports: str, undisturbed: list[str], killed: list[str]
) -> Iterator[int]:
    """Run a command to its end, and then kill others like it at random moments.

    ``{}`` stands for the number of the moment. Yields after each kill.
    """
    began = time.monotonic()
    process = start(folder, imports, *undisturbed)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    took = time.monotonic() - began
    moments = random.Random(0)
    for number in range(KILLS):
        command = [argument.format(number) for argument in killed]
        process = start(folder, imports, *command)
        time.sleep(moments.uniform(0, took))
        process.kill()
        process.communicate()
        yield number


def content(url: str) -> dict[str, bytes]:
    """Read all objects below a URL, by name."""
    files, inner = storage.filesystem(url)
    return {
        name.removeprefix(inner.rstrip("/") + "/"): storage.read_bytes(f"s3://{name}")
        for name in files.find(inner)
    }


def open_uploads(bucket: str) -> list[object]:
    return request(
        "list",
        bucket,
        lambda s3, at: s3.list_multipart_uploads(Bucket=at["Bucket"]).get(
            "Uploads", []
        ),
    )


def test_a_conversion_killed_at_any_moment_leaves_nothing_after_the_next(
    bucket: str, tmp_path: Path
) -> None:
    # Shards of two parts each.
    options = SimulationOptions(
        3, bins=1600, anomalies=0, gap_rate=0.0, sensors=("echosounder",)
    )
    simulate(f"{bucket}/source", options)
    command = ["convert", "--shard-size", "19", f"{bucket}/source"]
    killed = [*command, bucket + "/killed-{}"]
    undisturbed = [*command, f"{bucket}/undisturbed"]
    expected: dict[str, bytes] = {}
    for number in kill_at_moments(tmp_path, "echoanom.conversion", undisturbed, killed):
        expected = expected or content(f"{bucket}/undisturbed")
        out = f"{bucket}/killed-{number}"
        assert main([*command, out]) == 0
        assert content(out) == expected
        assert not verify(open_dataset(out)).problems
        assert not open_uploads(bucket)
    assert any(name.endswith(".tfrecord") for name in expected)


def test_of_two_conversions_at_once_one_wins_and_the_other_says_so(
    bucket: str, tmp_path: Path
) -> None:
    source = small_source(tmp_path / "source")
    more = small_source(tmp_path / "more", 5)
    for number in range(ROUNDS):
        out = f"{bucket}/round-{number}"
        racing = [
            start(
                tmp_path,
                "echoanom.conversion",
                *(
                    "convert",
                    "--period",
                    str(PERIOD_S),
                    "--shard-size",
                    "0.003",
                    one,
                    out,
                ),
            )
            for one in (source, more)
        ]
        ended = [(one.communicate()[1], one.returncode) for one in racing]
        dataset = open_dataset(out)
        assert not verify(dataset).problems
        assert len(dataset.days) in (4, 5)
        for said, status in ended:
            if status:
                assert status == 1
                assert said.count("\n") == 1
                assert "another conversion changed the dataset meanwhile" in said
        # One behind the other is fine, too: then the second saw what the first made.
        assert [status for _, status in ended].count(0) >= 1


def test_of_many_writers_of_one_object_exactly_one_wins(bucket: str) -> None:
    for number in range(20):
        path = f"{bucket}/raced-{number}"
        seen = publishing.look(path)

        def write(writer: int, path: str = path, seen: publishing.Seen = seen) -> bool:
            try:
                publishing.replace(path, b"%d" % writer, seen)
            except ConflictError:
                return False
            return True

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            won = list(pool.map(write, range(4)))
        assert won.count(True) == 1
        assert objects.read(path)[0] == b"%d" % won.index(True)


def test_a_training_killed_at_any_moment_goes_on_to_the_same_model(
    bucket: str, tmp_path: Path
) -> None:
    source = small_source(tmp_path / "source")
    period = ("--period", str(PERIOD_S))
    assert main(["convert", source, f"{bucket}/dataset", *period]) == 0
    command = ["train", f"{bucket}/dataset", "--window", "8", "--stride", "1"]
    command += ["--epochs", "3", "--checkpoint-every", "3", "--resume"]
    killed = [*command, "--model", bucket + "/killed-{}"]
    undisturbed = [*command, "--model", f"{bucket}/undisturbed"]
    weights = "model.weights.h5"
    for number in kill_at_moments(tmp_path, "echoanom.training", undisturbed, killed):
        model = f"{bucket}/killed-{number}"
        process = start(tmp_path, "echoanom.training", *command, "--model", model)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        found, expected = content(model), content(f"{bucket}/undisturbed")
        assert found[weights] == expected[weights]
        logs = "logs/"  # the names of TensorBoard's files have a time in them
        assert {n for n in found if not n.startswith(logs)} == {
            n for n in expected if not n.startswith(logs)
        }
        assert not open_uploads(bucket)


def test_a_scoring_killed_at_any_moment_leaves_whole_scores_or_none(
    bucket: str, tmp_path: Path
) -> None:
    source = small_source(tmp_path / "source")
    period = ("--period", str(PERIOD_S))
    assert main(["convert", source, f"{bucket}/dataset", *period]) == 0
    train = ["train", f"{bucket}/dataset", "--window", "8", "--model"]
    assert main([*train, f"{bucket}/model", "--epochs", "1", "--stride", "4"]) == 0
    command = ["score", f"{bucket}/dataset", "--model", f"{bucket}/model", "--out"]
    killed = [*command, bucket + "/killed-{}/scores.csv"]
    undisturbed = [*command, f"{bucket}/undisturbed/scores.csv"]
    for number in kill_at_moments(tmp_path, "echoanom.scoring", undisturbed, killed):
        expected = content(f"{bucket}/undisturbed")
        found = content(f"{bucket}/killed-{number}")
        assert found.items() <= expected.items()
        assert main([*command, f"{bucket}/killed-{number}/scores.csv"]) == 0
        assert content(f"{bucket}/killed-{number}") == expected
        assert not open_uploads(bucket)
