"""Work on a real Dask cluster: the same bytes as here, also when workers die."""

from __future__ import annotations

import dataclasses
import filecmp
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import pytest
from calls import die, double, either, fail, leave_trace, rest
from datasets import PERIOD_S, small_dataset, small_source
from models import untrained_artifact

from echoanom import distributed as own
from echoanom import scoreparts, scorework, sources
from echoanom.artifact import Artifact
from echoanom.connecting import connect
from echoanom.conversion import ConversionReport, convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.distributed import Cluster, everywhere
from echoanom.errors import (
    ArtifactError,
    ClusterError,
    CorruptionError,
    ManifestError,
    MissingExtraError,
    TableError,
)
from echoanom.options import ShardOptions, StackOptions, TableOptions
from echoanom.scores import ScoreTable, write_scores
from echoanom.scoring import score
from echoanom.verification import verify

pytestmark = pytest.mark.slow

SIZE = 13


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with connect("local", 2) as client:
        yield client


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("distributed"), days=6)


@pytest.fixture(scope="module")
def artifact(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("distributed-model")
    return untrained_artifact(dataset, str(folder), size=SIZE)


# --- calls -----------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_tasks(client):
    tasks = [(number,) for number in range(40)]
    assert list(Cluster(client).map(double, tasks)) == [(i, 2 * i) for i in range(40)]


def test_results_come_as_they_are_made_where_the_order_does_not_matter(client):
    found = list(Cluster(client).map(rest, [(1.0,), (0.0,)], ordered=False))
    assert found == [(1, 0.0), (0, 1.0)]


def test_only_a_few_tasks_are_out_at_the_same_time(client):
    taken = 0

    def tasks() -> Iterator[tuple[int]]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield (number,)

    most = 0
    for position, _ in Cluster(client).map(double, tasks()):
        most = max(most, taken - position)
    assert taken == 200
    assert most <= 16


def test_no_tasks_give_no_results(client):
    assert list(Cluster(client).map(double, [])) == []


def test_what_is_not_taken_any_more_is_cancelled(client, tmp_path):
    tasks = [(str(tmp_path / str(number)), 0.2) for number in range(16)]
    results = Cluster(client).map(leave_trace, tasks)
    next(results)
    results.close()
    time.sleep(1.5)
    # The first, and what ran when it was done, or began before all heard of it.
    assert 1 <= len(list(tmp_path.iterdir())) <= 6


def test_an_iterator_that_is_forgotten_is_cancelled_in_any_thread(client, tmp_path):
    tasks = [(str(tmp_path / str(number)), 0.2) for number in range(16)]
    results = [Cluster(client).map(leave_trace, tasks)]
    next(results[0])

    async def forget() -> None:
        results.clear()

    client.sync(forget)  # in the thread of the client's loop
    time.sleep(1.5)
    assert 1 <= len(list(tmp_path.iterdir())) <= 6
    assert list(Cluster(client).map(double, [(1,)])) == [(0, 2)]


def test_an_error_on_a_worker_arrives_as_it_was(client):
    error = TableError("must be a number", path="a.csv", line=3, column="u")
    with pytest.raises(TableError, match="^a.csv, line 3, column 'u': must") as caught:
        list(Cluster(client).map(fail, [(error,)]))
    assert caught.value.line == 3


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such"), TimeoutError("x")])
def test_an_error_of_the_system_arrives_and_is_not_taken_for_the_cluster_s(
    client, error
):
    with pytest.raises(type(error)):
        list(Cluster(client).map(fail, [(error,)]))


def test_an_error_cancels_the_rest(client, tmp_path):
    errors = [OSError("first"), *[None] * 12]
    tasks = [(error, str(tmp_path / str(i))) for i, error in enumerate(errors)]
    with pytest.raises(OSError, match="first"):
        list(Cluster(client).map(either, tasks))
    time.sleep(1.0)
    assert len(list(tmp_path.iterdir())) <= 5


def test_a_package_that_a_worker_lacks_is_told_in_one_line(client):
    error = ModuleNotFoundError("No module named 'polars'")
    with pytest.raises(ClusterError, match="packages that are here.*polars"):
        list(Cluster(client).map(fail, [(error,)]))


# --- who takes part --------------------------------------------------------------------


def test_a_worker_with_another_echoanom_is_refused_at_once(client, monkeypatch):
    monkeypatch.setattr(own, "_release", lambda: ("99.0", 7))
    with pytest.raises(ClusterError, match=r"must have echoanom 99.0 \(content 7\)"):
        Cluster(client)


def test_a_worker_that_joins_with_another_echoanom_is_refused_by_its_task(
    client, monkeypatch
):
    cluster = Cluster(client)
    monkeypatch.setattr(own, "_release", lambda: ("99.0", 7))
    with pytest.raises(ClusterError, match="the worker tcp://.* install the same"):
        list(cluster.map(double, [(1,)]))


def test_other_versions_of_what_computes_are_warned_of(client, monkeypatch, caplog):
    ours = {**own._packages(), "numpy": "1.0"}
    # By name, not by value: on the workers it stays what it is.
    monkeypatch.setattr(own, "_packages", functools.wraps(own._packages)(lambda: ours))
    Cluster(client)
    assert "numpy" in caplog.text and "1.0 is here" in caplog.text


def test_something_else_than_a_client_is_refused(dataset):
    with pytest.raises(ClusterError, match="must be a distributed.Client"):
        dataset.statistics(client="tcp://127.0.0.1:8786")  # type: ignore[arg-type]


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[dask\]'"):
        Cluster(None)  # type: ignore[arg-type]


def test_a_path_means_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert everywhere("dataset/x") == str(tmp_path / "dataset" / "x")
    assert everywhere("/data") == "/data"
    assert everywhere("s3://bucket/data") == "s3://bucket/data"
    assert everywhere("file:///data") == "file:///data"


# --- conversion ------------------------------------------------------------------------


def convert_small(source: str, destination: str, **options: Any) -> ConversionReport:
    return convert(
        source,
        destination,
        table=TableOptions(period_s=PERIOD_S),
        stacking=StackOptions(max_gap_min=30),
        sharding=ShardOptions(shard_mib=0.003, record_kib=0.5, halo=SIZE),
        on_error="skip",
        **options,
    )


def assert_same_files(one: Path, other: Path) -> None:
    """Require the same files with the same bytes in both folders."""

    def names(folder: Path) -> list[Path]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(folder) for path in files)

    assert names(one) == names(other) and len(names(one)) >= 3
    for name in names(one):
        assert filecmp.cmp(one / name, other / name, shallow=False), name


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Tables of eight days, one of which cannot be taken."""
    source = small_source(tmp_path / "source", days=8)
    damaged = sorted(Path(source).rglob("ctd/tabular/2*.csv"))[3]
    damaged.write_text(damaged.read_text().replace("\n", ",7\n", 5))
    return source


def test_a_dataset_is_the_same_byte_for_byte(client, source, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_TABLES", 3)
    monkeypatch.chdir(tmp_path)
    convert_small(source, str(tmp_path / "here"))
    heard: list[tuple[str, int, int]] = []
    report = convert_small(
        "source", "there", client=client, progress=lambda *now: heard.append(now)
    )
    assert_same_files(tmp_path / "here", tmp_path / "there")
    assert (report.dataset, report.written) == ("there", 8)
    assert len(report.set_aside) == 1
    assert heard == [("Making shards", done, 8) for done in range(9)]
    assert convert_small("source", "there", client=client).kept == 8


def test_this_process_reads_no_table_and_makes_no_shard(
    client, source, tmp_path, monkeypatch
):
    def refuse(*_: object) -> None:
        raise AssertionError("was called here")

    for name in ("identify", "_hash", "read_header"):
        monkeypatch.setattr(f"echoanom.identities.{name}", refuse)
    monkeypatch.setattr("echoanom.shards.stack", refuse)
    convert_small(source, str(tmp_path / "there"), client=client)
    assert verify(open_dataset(str(tmp_path / "there"))).check() is None


def kill(client: distributed.Client) -> None:
    """Kill one worker as a machine that loses its power would."""
    pids = sorted(client.run(os.getpid).values())
    os.kill(pids[0], signal.SIGKILL)


def once(condition: Callable[[str, int], bool], act: Callable[[], None]) -> Any:
    """Return a progress callback that acts when a condition holds for the first time."""
    acted: list[bool] = []

    def progress(description: str, done: int, total: int) -> None:
        if not acted and condition(description, done):
            acted.append(True)
            act()
        if done == total:
            assert acted or description != "Writing shards"

    return progress


def test_a_worker_killed_during_a_conversion_costs_nothing_but_time(
    client, source, tmp_path
):
    convert_small(source, str(tmp_path / "here"))
    progress = once(
        lambda what, done: what == "Writing shards" and done == 2,
        lambda: kill(client),
    )
    convert_small(source, str(tmp_path / "there"), client=client, progress=progress)
    verify(open_dataset(str(tmp_path / "there"))).check()
    # The killed one may have left a file under a temporary name, for the next
    # conversion to remove.
    convert_small(source, str(tmp_path / "there"), client=client)
    assert_same_files(tmp_path / "here", tmp_path / "there")
    client.wait_for_workers(2, timeout=30)


def test_a_table_that_cannot_be_taken_stops_the_conversion(client, source, tmp_path):
    with pytest.raises(TableError, match="ctd/tabular/2020-03-01.csv"):
        convert(
            source,
            str(tmp_path / "there"),
            table=TableOptions(period_s=PERIOD_S),
            client=client,
        )
    with pytest.raises(ManifestError):
        open_dataset(str(tmp_path / "there"))


# --- statistics ------------------------------------------------------------------------


@pytest.mark.parametrize("files", [1, 2, 100])
def test_statistics_are_the_same(client, dataset, files, monkeypatch):
    monkeypatch.setattr("echoanom.dataset._FILES", files)
    for days in (None, dataset.days[1:4], dataset.days[::2]):
        found = dataset.statistics(days, client=client)
        assert found.as_bytes() == dataset.statistics(days).as_bytes()


def test_damaged_statistics_are_found_by_the_workers(client, tmp_path):
    dataset = small_dataset(tmp_path, days=2)
    path = sorted(Path(dataset.path).rglob("*.npz"))[1]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptionError, match=f"{path.name}: must have hash"):
        dataset.statistics(client=client)


# --- scores ----------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoreparts, "_MOST_WINDOWS", 40)
    monkeypatch.setattr(scoreparts, "_WARM_UPS", 1)


def assert_same_scores(one: ScoreTable, other: ScoreTable, folder: Path) -> None:
    for name, table in (("here", one), ("there", other)):
        write_scores(str(folder / name / "scores.csv"), table)
    assert_same_files(folder / "here", folder / "there")
    assert len((folder / "here" / "scores.csv").read_text().splitlines()) > 300


@pytest.mark.slow
@pytest.mark.parametrize("stride, batch_size", [(1, 7), (1, None), (5, 3), (20, 4)])
def test_scores_are_the_same_byte_for_byte(
    client, dataset, artifact, small_parts, tmp_path, stride, batch_size
):
    heard: list[int] = []
    options = {"stride": stride, "batch_size": batch_size}
    there = score(
        dataset,
        artifact,
        **options,
        client=client,
        progress=lambda what, done, total: heard.append(done),
    )
    assert_same_scores(score(dataset, artifact, **options), there, tmp_path)
    assert heard == sorted(heard) and heard[0] == 0
    assert len(heard) > 2 or batch_size is None or stride > 1


def test_a_process_that_computes_with_other_threads_is_refused(dataset, artifact):
    score(dataset, artifact)
    threads = scorework.threads()
    scorework.use_threads(threads)
    with pytest.raises(ClusterError, match="as where the client is.*with") as caught:
        scorework.use_threads(threads + 1)
    assert f"TF_NUM_INTRAOP_THREADS={threads}" in str(caught.value)


@pytest.mark.slow
def test_another_model_under_the_same_path_is_refused(client, dataset, tmp_path):
    artifact = untrained_artifact(dataset, str(tmp_path / "model"), size=SIZE)
    stale = dataclasses.replace(artifact, digest="0" * 32)
    with pytest.raises(ArtifactError, match="must be the model 0000"):
        score(dataset, stale, client=client)


def test_a_model_that_was_never_saved_is_refused(client, dataset, artifact):
    with pytest.raises(ArtifactError, match="must be saved where workers can load it"):
        score(dataset, dataclasses.replace(artifact, path=""), client=client)


@pytest.mark.slow
def test_an_earlier_version_of_a_dataset_is_scored_where_it_changed_since(
    client, artifact, source, small_parts, tmp_path
):
    path = str(tmp_path / "dataset")
    convert_small(source, path)
    opened = open_dataset(path)
    here = score(opened, artifact)
    for table in sorted(Path(source).rglob("2*.csv"))[::2]:
        table.unlink()
    convert_small(source, path)
    assert open_dataset(path).digest != opened.digest
    there = score(opened, artifact, client=client)
    np.testing.assert_array_equal(here.score, there.score)


@pytest.mark.slow
def test_a_worker_killed_while_scoring_costs_nothing_but_time(
    client, dataset, artifact, small_parts, tmp_path
):
    progress = once(lambda what, done: done > 0, lambda: kill(client))
    there = score(dataset, artifact, batch_size=7, client=client, progress=progress)
    assert_same_scores(score(dataset, artifact, batch_size=7), there, tmp_path)
    client.wait_for_workers(2, timeout=30)


# --- clusters that are lost ------------------------------------------------------------


def test_a_task_that_kills_its_workers_is_given_up_with_a_word_on_memory():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        connect("local", 1) as client,
        pytest.raises(ClusterError, match="die-.* on 1 and each of them died.*memory"),
    ):
        list(Cluster(client).map(die, [()]))
