"""Endpoints that serve for real: made, used, changed, and gone without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clouds import IMAGE, ROLE, LocalCloud, local_cloud
from datasets import small_dataset
from models import untrained_artifact

from echoanom import objects
from echoanom.artifact import Artifact
from echoanom.cloud.clients import Cloud
from echoanom.cloud.endpoints import delete_endpoint, deploy, describe_endpoint
from echoanom.cloud.joboptions import AccountOptions, TransformOptions
from echoanom.cloud.packaging import package_model
from echoanom.cloud.predictions import (
    Prediction,
    predict_dataset,
    predict_file,
    predict_rows,
    write_prediction,
)
from echoanom.cloud.running import list_running, stop_running
from echoanom.cloud.transforms import (
    plan_transform,
    start_transform,
    transform_status,
    wait_for_transform,
)
from echoanom.dataset import Dataset
from echoanom.errors import CloudError
from echoanom.reader import IndexedReader
from echoanom.scoring import score
from echoanom.testing.s3server import S3Server

ACCOUNT = AccountOptions(role=ROLE, tags=("project=reef",))
NAME = "reef"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("endpoints"), 3, max_gap_min=0)


@pytest.fixture(scope="module")
def artifact(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return untrained_artifact(dataset, str(tmp_path_factory.mktemp("model") / "a"))


@pytest.fixture(scope="module")
def cloud(running_s3: S3Server) -> Iterator[LocalCloud]:
    with local_cloud(running_s3) as made:
        yield made


@pytest.fixture(scope="module")
def model(cloud: LocalCloud, artifact: Artifact) -> str:
    url = f"{cloud.bucket}/first/model.tar.gz"
    package_model(artifact.path, url)
    return url


@pytest.fixture(scope="module")
def endpoint(cloud: LocalCloud, model: str) -> str:
    done = deploy(NAME, model, IMAGE, account=ACCOUNT)
    assert (done.outcome, done.status) == ("created", "InService")
    return NAME


def same(one: Prediction, other: Prediction) -> None:
    np.testing.assert_array_equal(one.windows, other.windows)
    np.testing.assert_allclose(one.score, other.score, rtol=2e-6)
    np.testing.assert_allclose(one.window_score, other.window_score, rtol=2e-6)


def test_days_of_a_dataset_get_the_scores_that_they_get_here(
    endpoint: str, dataset: Dataset, artifact: Artifact
) -> None:
    found = predict_dataset(endpoint, dataset)
    table = score(dataset, artifact)
    assert found.times is not None
    np.testing.assert_array_equal(found.times.astype(np.int64), table.times)
    np.testing.assert_array_equal(found.windows, table.windows)
    np.testing.assert_allclose(found.score, table.score, rtol=1e-4)
    day = dataset.days[1]
    first = int(np.datetime64(day, "s").astype(np.int64))
    part = predict_dataset(endpoint, dataset, first, first + 86_400)
    assert part.times is not None
    assert {str(time)[:10] for time in part.times} == {day.isoformat()}
    with pytest.raises(CloudError, match="must have rows in the time"):
        predict_dataset(endpoint, dataset, 0, 60)


def test_what_is_sent_in_stretches_comes_together_as_if_it_were_not(
    endpoint: str, dataset: Dataset, tmp_path: Path
) -> None:
    run = int(np.argmax(dataset.runs.rows))
    first, rows = (int(a[run]) for a in (dataset.runs.first_row, dataset.runs.rows))
    values, _ = IndexedReader(dataset).rows(first, rows)
    whole = predict_rows(endpoint, values)
    assert whole.requests == 1
    for size in (1_200, 3_000):
        parts = predict_rows(endpoint, values, request_bytes=size)
        assert parts.requests > 2
        same(parts, whole)
    np.save(tmp_path / "rows.npy", values)
    same(predict_file(endpoint, str(tmp_path / "rows.npy"), request_bytes=2_000), whole)
    with pytest.raises(
        CloudError, match="25 rows must fit into a request of 300 bytes"
    ):
        predict_rows(endpoint, values, request_bytes=300)


def test_a_daily_table_with_gaps_is_scored_whole_or_in_stretches(
    endpoint: str, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "day.csv"
    write_table(dataset, path)
    whole = predict_file(endpoint, str(path))
    assert whole.requests == 1 and whole.times is not None
    parts = predict_file(endpoint, str(path), request_bytes=4_000)
    assert parts.requests > 2 and parts.times is not None
    same(parts, whole)
    np.testing.assert_array_equal(parts.times, whole.times)
    assert (whole.windows == 0).sum() == np.isnan(whole.score).sum()
    out = tmp_path / "scores.csv"
    write_prediction(str(out), whole)
    lines = out.read_text().splitlines()
    assert lines[0] == "timestamp,score,window_score,windows"
    assert len(lines) == len(whole.score) + 1


def write_table(dataset: Dataset, path: Path, columns: int | None = None) -> None:
    """Write the rows of a dataset, of which a few are left out, as a table."""
    values, _ = IndexedReader(dataset).rows(0, dataset.rows)
    times = dataset.times()
    names = [column.name for column in dataset.columns][:columns]
    lines = ["timestamp," + ",".join(names)]
    for row in range(len(values)):
        if row not in (40, 41, 90):
            cells = ["" if np.isnan(v) else f"{v:.6g}" for v in values[row, :columns]]
            stamp = str(np.datetime64(int(times[row]), "s")).replace("T", " ")
            lines.append(f"{stamp}," + ",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def test_what_does_not_fit_the_model_is_told_in_one_line(
    endpoint: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(CloudError, match="rows must have the 5 columns") as raised:
        predict_rows(endpoint, np.zeros((20, 4), dtype=np.float32))
    assert "\n" not in str(raised.value)
    narrow = tmp_path / "narrow.csv"
    write_table(dataset, narrow, columns=3)
    with pytest.raises(CloudError, match="but lacks"):
        predict_file(endpoint, str(narrow))
    (tmp_path / "day.txt").write_bytes(b"1,2\n")
    with pytest.raises(CloudError, match="must be a .csv, a .npy, or a dataset"):
        predict_file(endpoint, str(tmp_path / "day.txt"))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(CloudError, match=r"bad.npy: must be an array"):
        predict_file(endpoint, str(tmp_path / "bad.npy"))
    with pytest.raises(CloudError, match="Endpoint other is not found"):
        predict_rows("other", np.zeros((20, 5), dtype=np.float32))


def test_an_endpoint_is_left_alone_changed_and_removed(
    endpoint: str, model: str, cloud: LocalCloud, dataset: Dataset, tmp_path: Path
) -> None:
    client = Cloud()
    sent: list[str] = []

    def note(model: Any, **_: Any) -> None:
        sent.append(model.name)

    client.session.events.register("before-call.sagemaker", note)
    again = deploy(NAME, model, IMAGE, account=ACCOUNT, cloud=client)
    assert (again.outcome, sent) == ("unchanged", ["DescribeEndpoint"])
    (shown,) = list_running()
    assert (shown.kind, shown.name) == ("endpoint", NAME)
    assert shown.machines == "1 x ml.c5.xlarge"

    other = f"{cloud.bucket}/second/model.tar.gz"
    package_model(untrained_artifact(dataset, str(tmp_path / "m"), size=9).path, other)
    lines: list[str] = []
    changed = deploy(
        NAME, other, IMAGE, account=ACCOUNT, cloud=client, say=lines.append
    )
    assert changed.outcome == "updated" and changed.config != again.config
    assert f"{NAME} is Updating" in lines and lines[-1] == f"{NAME} is InService"
    assert predict_rows(NAME, np.zeros((20, 5), dtype=np.float32)).window == 9
    names = [one["ModelName"] for one in client.call("ListModels")["Models"]]
    assert names == [changed.config]

    gone = stop_running(NAME)
    assert gone == (
        f"endpoint {NAME}",
        f"configuration {changed.config}",
        f"model {changed.config}",
    )
    assert list_running() == ()
    for operation, field in (
        ("ListModels", "Models"),
        ("ListEndpointConfigs", "EndpointConfigs"),
    ):
        assert client.call(operation)[field] == []
    for call in (stop_running, delete_endpoint, describe_endpoint):
        with pytest.raises(CloudError, match=f"there must be an endpoint .*{NAME}"):
            call(NAME)


def test_a_transform_scores_each_table_of_a_folder(
    cloud: LocalCloud, model: str, dataset: Dataset, tmp_path: Path
) -> None:
    write_table(dataset, tmp_path / "day.csv")
    content = (tmp_path / "day.csv").read_bytes()
    for name in ("2020-02-27", "more/2020-02-28"):
        objects.write(f"{cloud.bucket}/days/{name}.csv", content)
    out = f"{cloud.bucket}/scores"

    def run(name: str, source: str) -> Any:
        options = TransformOptions()
        made = plan_transform(name, model, IMAGE, source, out, options, ACCOUNT)
        started = start_transform(made)
        assert transform_status(started).name == name
        return wait_for_transform(started)

    # One table is not the model's: the others are scored all the same.
    objects.write(f"{cloud.bucket}/days/bad.csv", b"timestamp,a\n2020-02-27,1\n")
    refused = (
        "must be Completed, but is Failed: .*refused 1 objects, first bad.csv: 400"
    )
    with pytest.raises(CloudError, match=refused):
        run("score-1", f"{cloud.bucket}/days/")
    answers = [
        objects.read(f"{out}/{name}.csv.out")[0]
        for name in ("2020-02-27", "more/2020-02-28")
    ]
    assert answers[0] == answers[1]
    lines = answers[0].decode().splitlines()
    assert lines[0] == "timestamp,score,window_score,windows"
    assert len(lines) == len(content.splitlines())
    assert Cloud().find("DescribeModel", ModelName="score-1") is None

    with pytest.raises(CloudError, match="no S3 objects were found"):
        run("score-2", f"{cloud.bucket}/nights/")
    with pytest.raises(CloudError, match="there must be a transform job score-3"):
        transform_status("score-3")
