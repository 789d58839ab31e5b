"""What several test files share: real data, small source trees, a quiet TensorFlow."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from hypothesis import settings

from echoanom import s3requests
from echoanom.testing.s3server import S3Server, s3_server

# They need an environment and a model of their own: make test-serving.
collect_ignore_glob = [] if "ECHOANOM_SERVED" in os.environ else ["serving220/*"]

# Before anything imports TensorFlow, which reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# No test uses the credentials, or the shard cache, of whoever runs it.
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")
# For `make quick`: every property, on fewer examples.
settings.register_profile("quick", max_examples=10, deadline=None)

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count what needs a server among the slow tests."""
    for item in items:
        if "running_s3" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


Table = pd.DataFrame | str | bytes
WriteSource = Callable[..., str]


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real data beside the checkout; skip without it."""
    if not SHARED_DATA.is_dir():
        reason = "needs the real data in ../shared/data, which is not here"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["ECHOANOM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undo what the import of some libraries does to the logs of a whole process."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3Server]:
    """Return a real S3 server, started once for all tests."""
    with s3_server() as server:
        forget_clients()
        yield server


@pytest.fixture
def s3(
    running_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> S3Server:
    """Return the server, with the environment set to use it."""
    for name, value in running_s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ECHOANOM_CACHE", str(tmp_path / "cache"))
    return running_s3


@pytest.fixture
def fresh_clients() -> Iterator[None]:
    """For a test that changes how stores are reached."""
    forget_clients()
    yield
    forget_clients()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """Return the URL of a new bucket."""
    return s3.make_bucket(f"test-{uuid.uuid4().hex}")


def forget_clients() -> None:
    """Let the environment decide anew how stores are reached."""
    s3requests.forget_clients()
    for filesystem in ("s3", "s3a"):
        fsspec.get_filesystem_class(filesystem).clear_instance_cache()


@pytest.fixture(params=["path", "file URL", "memory URL", "s3 URL"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return a folder, as local path, local URL and URLs of other stores."""
    if request.param == "path":
        yield str(tmp_path)
    elif request.param == "file URL":
        yield f"file://{tmp_path}"
    elif request.param == "s3 URL":
        yield request.getfixturevalue("bucket") + "/folder"
    else:
        folder = f"memory://test-{uuid.uuid4().hex}"
        yield folder
        with contextlib.suppress(FileNotFoundError):
            fsspec.filesystem("memory").rm(folder, recursive=True)


def csv_bytes(table: Table) -> bytes:
    """Return a table as the bytes of a daily CSV; text is taken as it is.

    A DataFrame is written with its shortest exact floats. Its ``timestamp`` is its
    column of that name, or else its index.
    """
    if isinstance(table, bytes):
        return table
    if isinstance(table, str):
        return table.encode()
    if "timestamp" not in table.columns:
        stamps = pd.DatetimeIndex(table.index).strftime("%Y-%m-%d %H:%M:%S")
        table = table.set_axis(pd.Index(stamps, name="timestamp")).reset_index()
    return table.to_csv(index=False, lineterminator="\n").encode()


def count_rows(content: bytes) -> int:
    """Count the data rows of a daily CSV."""
    return max(0, sum(bool(line.strip()) for line in content.splitlines()) - 1)


@pytest.fixture
def write_source() -> WriteSource:
    """Return a function that writes a source tree of daily CSVs.

    ``write_source(root, {sensor: {day: DataFrame, text or bytes}}, meta=True)`` writes
    ``root/sensor/tabular/DAY.csv`` and its ``meta_info_DAY.txt`` and returns ``root``
    as str. A day is a date or its ISO text.
    """

    def write(
        root: str | Path,
        sensors: Mapping[str, Mapping[datetime.date | str, Table]],
        *,
        meta: bool = True,
    ) -> str:
        for sensor, days in sensors.items():
            folder = Path(root) / sensor / "tabular"
            folder.mkdir(parents=True, exist_ok=True)
            for day, table in days.items():
                content = csv_bytes(table)
                (folder / f"{day}.csv").write_bytes(content)
                if meta:
                    (folder / f"meta_info_{day}.txt").write_text(
                        f"file={day}.csv\nname={count_rows(content)}\n"
                    )
        return str(root)

    return write
