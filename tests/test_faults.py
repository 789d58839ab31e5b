"""A store far away: whatever happens between, nothing is lost, doubled or half there."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import logging
import os
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from datasets import PERIOD_S, ROWS_PER_DAY, small_source
from faults import KINDS, Proxy, faulty

from echoanom import (
    Dataset,
    IndexedReader,
    WindowOptions,
    convert,
    objects,
    open_dataset,
    publishing,
    retries,
    s3requests,
    storage,
    streaming,
    verify,
    windows,
)
from echoanom.errors import ConflictError, StorageError
from echoanom.multipart import abort_uploads
from echoanom.options import ShardOptions, StackOptions, TableOptions
from echoanom.testing.s3server import (
    ACCESS_KEY,
    PUBLIC_BUCKET,
    RENEWED_KEY,
    SECRET_KEY,
    S3Server,
)

pytestmark = pytest.mark.slow

TABLE = TableOptions(period_s=PERIOD_S)
STACKING = StackOptions(max_gap_min=30)
SHARDING = ShardOptions(shard_mib=0.003, record_kib=0.5)  # one day a shard
FAILING = tuple(kind for kind in KINDS if kind != "slow")
SILENCE_S = 0.3
LONG_SILENCE_S = 2.0  # for large parts on a busy machine


@pytest.fixture(scope="module")
def running_proxy(running_s3: S3Server) -> Iterator[Proxy]:
    with faulty(running_s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(
    running_proxy: Proxy,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    fresh_clients: None,
) -> Iterator[Proxy]:
    """Return a proxy that everything passes, in the way to the store from now on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_proxy.endpoint)
    monkeypatch.setattr(s3requests, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(retries, "_LONGEST_PAUSE_S", 0.2)
    running_proxy.plan()
    yield running_proxy
    running_proxy.plan()


@pytest.fixture(scope="module")
def source(running_s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a source of 12 days and two sensors in the store."""
    folder = tmp_path_factory.mktemp("source")
    small_source(folder, days=12)
    return put_folder(running_s3, folder)


@pytest.fixture(scope="module")
def dataset_url(source: str, running_s3: S3Server) -> str:
    """Return a dataset of 12 shards in the store, made without a fault."""
    url = running_s3.make_bucket(f"dataset-{uuid.uuid4().hex}") + "/dataset"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_s3.environment().items():
            patch.setenv(name, value)
        make(source, url)
    return url


def put_folder(server: S3Server, folder: Path) -> str:
    """Put a folder's files into a new bucket, past every proxy."""
    url = server.make_bucket(f"source-{uuid.uuid4().hex}")
    s3 = direct(server)
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), url[5:], path.relative_to(folder).as_posix())
    return url


def direct(server: S3Server) -> Any:
    """Return a client that goes past every proxy."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


def contents(server: S3Server, bucket: str, folder: str) -> dict[str, bytes]:
    """Return all objects below a folder, by name."""
    s3 = direct(server)
    pages = s3.get_paginator("list_objects_v2")
    found = {}
    for page in pages.paginate(Bucket=bucket[5:], Prefix=folder + "/"):
        for entry in page.get("Contents", ()):
            name = entry["Key"].removeprefix(folder + "/")
            answer = s3.get_object(Bucket=bucket[5:], Key=entry["Key"])
            found[name] = answer["Body"].read()
    return found


def unfinished(server: S3Server, bucket: str) -> list[str]:
    """Return the keys of uploads that did not come to an end."""
    answer = direct(server).list_multipart_uploads(Bucket=bucket[5:])
    return [upload["Key"] for upload in answer.get("Uploads", ())]


def make(source: str, destination: str, workers: int = 2) -> None:
    convert(
        source,
        destination,
        table=TABLE,
        stacking=STACKING,
        sharding=SHARDING,
        workers=workers,
    )


# Conversion


@pytest.mark.parametrize("share, seed", [(0.05, 1), (0.05, 2), (0.3, 3)])
def test_a_conversion_comes_out_the_same_however_requests_fail(
    proxy: Proxy,
    s3: S3Server,
    bucket: str,
    source: str,
    dataset_url: str,
    share: float,
    seed: int,
) -> None:
    proxy.plan(share=share, seed=seed)
    make(source, f"{bucket}/disturbed")
    happened = proxy.happened()
    assert happened.total() > 2
    if share > 0.1:
        assert set(happened) == set(KINDS)
    verify(open_dataset(f"{bucket}/disturbed")).check()
    proxy.plan()
    calm = contents(s3, dataset_url.removesuffix("/dataset"), "dataset")
    assert contents(s3, bucket, "disturbed") == calm
    assert len(calm) >= 12 * 3 + 1
    assert unfinished(s3, bucket) == []


def test_shards_of_several_parts_come_out_the_same(
    proxy: Proxy,
    s3: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3requests, "SILENCE_S", LONG_SILENCE_S)
    folder = tmp_path / "source" / "wide"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(1200)]
    for day in pd.date_range("2020-01-01", periods=40):
        values = rng.integers(0, 10, size=(ROWS_PER_DAY, len(names))).astype("U1")
        times = pd.date_range(day, periods=ROWS_PER_DAY, freq=f"{PERIOD_S}s")
        lines = [
            f"{time:%Y-%m-%d %H:%M:%S},{','.join(row)}"
            for time, row in zip(times, values, strict=True)
        ]
        head = ",".join(["timestamp", *names])
        (folder / f"{day:%Y-%m-%d}.csv").write_text("\n".join([head, *lines, ""]))
    source = put_folder(s3, tmp_path / "source")

    def make(source: str, destination: str) -> None:
        convert(source, destination, table=TABLE, sharding=ShardOptions(shard_mib=64))

    calm = tmp_path / "calm"
    make(str(tmp_path / "source"), str(calm))
    proxy.plan(share=0.15, seed=5)
    make(source, f"{bucket}/disturbed")
    parts = [r for r in proxy.requests() if "partNumber" in r.target]
    assert len(parts) >= 3 and any(r.happened for r in parts)
    verify(open_dataset(f"{bucket}/disturbed")).check()
    proxy.plan()
    disturbed = contents(s3, bucket, "disturbed")
    for name in ["manifest.json", *(f"shards/{p.name}" for p in calm.glob("shards/*"))]:
        assert disturbed[name] == (calm / name).read_bytes()
    assert max(map(len, disturbed.values())) > 16 << 20
    assert unfinished(s3, bucket) == []


@pytest.mark.parametrize("kind", ["broken", "forgotten", "cut", "stalled"])
def test_an_object_of_several_parts_arrives_whole_both_ways(
    proxy: Proxy,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(s3requests, "SILENCE_S", LONG_SILENCE_S)
    content = np.random.default_rng(1).bytes((26 << 20) + 17)
    (tmp_path / "there").write_bytes(content)
    for method, times, move, path in (
        ("PUT", 3, objects.upload, tmp_path / "there"),
        ("GET", 2, objects.download, tmp_path / "back"),
    ):
        proxy.plan(kinds=(kind,), methods=(method,), first=times)
        move(f"{bucket}/x", str(path))
        assert proxy.happened()[kind] == times
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize("what", ["?uploads", "?uploadId"])
def test_an_upload_is_whole_if_its_first_or_last_answer_is_lost(
    proxy: Proxy,
    s3: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.setattr(s3requests, "SILENCE_S", LONG_SILENCE_S)
    content = np.random.default_rng(2).bytes(17 << 20)
    (tmp_path / "there").write_bytes(content)
    proxy.plan(kinds=("forgotten",), methods=("POST",), naming=what, first=2)
    objects.upload(f"{bucket}/folder/x", str(tmp_path / "there"))
    assert proxy.happened()["forgotten"] == 2
    proxy.plan()
    assert contents(s3, bucket, "folder")["x"] == content
    # Uploads that nobody knows of have no parts. The next conversion removes them.
    left = unfinished(s3, bucket)
    assert len(left) == (2 if what == "?uploads" else 0)
    assert abort_uploads(f"{bucket}/folder/") == len(left)
    assert unfinished(s3, bucket) == []


def test_an_upload_that_fails_for_good_leaves_nothing(
    proxy: Proxy,
    s3: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3requests, "SILENCE_S", LONG_SILENCE_S)
    (tmp_path / "there").write_bytes(bytes(17 << 20))
    proxy.plan(share=1.0, kinds=("broken",), naming="partNumber=2")
    with pytest.raises(StorageError, match=rf"^cannot write {bucket}/x: .*Internal"):
        objects.upload(f"{bucket}/x", str(tmp_path / "there"))
    assert unfinished(s3, bucket) == []
    assert contents(s3, bucket, "") == {}


# An epoch


def epoch(dataset: Dataset, shuffle: bool) -> dict[str, np.ndarray]:
    options = WindowOptions(size=8, stride=3, batch_size=16, shuffle=shuffle, seed=7)
    fields = ("values", "observed", "start")
    batches = list(windows(dataset, options, fields=fields).as_numpy_iterator())
    return {field: np.concatenate([b[field] for b in batches]) for field in fields}


@pytest.fixture
def cold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Return a function after which no shard is on this machine."""
    numbers = iter(range(100))

    def forget() -> None:
        monkeypatch.setenv("ECHOANOM_CACHE", str(tmp_path / f"cache{next(numbers)}"))

    yield forget


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("share, seed", [(0.05, 1), (0.05, 2), (0.3, 3)])
def test_an_epoch_has_the_same_windows_each_once(
    proxy: Proxy,
    dataset_url: str,
    cold: Callable[[], None],
    shuffle: bool,
    share: float,
    seed: int,
) -> None:
    cold()
    calm = epoch(open_dataset(dataset_url), shuffle)
    cold()
    proxy.plan(share=share, seed=seed)
    disturbed = epoch(open_dataset(dataset_url), shuffle)
    assert len(proxy.requests()) > 12  # shards were fetched
    assert share < 0.1 or proxy.happened().total() > 2
    assert len(np.unique(calm["start"])) == len(calm["start"]) > 100
    assert (np.diff(calm["start"]) > 0).all() != shuffle
    for field, array in calm.items():
        np.testing.assert_array_equal(disturbed[field], array)


def test_a_reader_has_the_same_rows(
    proxy: Proxy, dataset_url: str, cold: Callable[[], None]
) -> None:
    cold()
    dataset = open_dataset(dataset_url)
    calm = IndexedReader(dataset).rows(0, dataset.rows)
    cold()
    proxy.plan(share=0.5, seed=5)
    disturbed = IndexedReader(dataset).rows(0, dataset.rows)
    assert proxy.happened().total() > 3
    for one, other in zip(calm, disturbed, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stream_of_objects_has_the_same_windows(
    proxy: Proxy, dataset_url: str, seed: int
) -> None:
    dataset = open_dataset(dataset_url)
    options = WindowOptions(size=8, stride=3, batch_size=16)

    def read() -> list[dict[str, np.ndarray]]:
        with contextlib.ExitStack() as stack:
            shards = [
                stack.enter_context(
                    objects.ObjectStream(dataset.shard_path(i), part_bytes=2000)
                )
                for i in range(len(dataset.manifest.shards))
            ]
            joined = Joined(shards)
            found = streaming.stream_windows(joined, dataset.manifest, options)
            return [{k: v.copy() for k, v in batch.items()} for batch in found]

    calm = read()
    proxy.plan(share=0.4, seed=seed)
    disturbed = read()
    assert proxy.happened().total() > 3
    assert len(disturbed) == len(calm) > 5
    for one, other in zip(calm, disturbed, strict=True):
        for field, array in one.items():
            np.testing.assert_array_equal(other[field], array)


class Joined:
    """Files one behind the other."""

    def __init__(self, files: list[objects.ObjectStream]) -> None:
        self._files = collections.deque(files)

    def read(self, size: int, /) -> bytes:
        while self._files:
            if found := self._files[0].read(size):
                return found
            self._files.popleft()
        return b""


# Two writers


def test_of_two_writers_exactly_one_wins_though_answers_are_lost(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_PAUSE_S", 0.02)
    path = f"{bucket}/manifest.json"
    proxy.plan(share=0.5, kinds=("forgotten",), methods=("PUT",), seed=6)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number in range(40):
            seen = publishing.look(path)

            def write(content: bytes, seen: publishing.Seen = seen) -> str:
                try:
                    publishing.replace(path, content, seen)
                except ConflictError as error:
                    return str(error)
                return ""

            mine, theirs = b"%d mine" % number, b"%d theirs" % number
            said = list(pool.map(write, (mine, theirs)))
            assert said.count("") == 1, f"round {number}"
            assert storage.read_bytes(path) == (theirs if said[0] else mine)
            assert max(said).startswith(f"cannot write {path}: another writer")
    assert proxy.happened()["forgotten"] > 20


# Giving up

CAUSES = {
    "busy": r"SlowDown \(503\)",
    "broken": r"InternalError \(500\)",
    "refused": "the connection was (reset|closed before an answer)",
    "forgotten": "the connection was (reset|closed before an answer)",
    "cut": "the answer ended early",
    "stalled": "nothing came any more, for too long",
}


@pytest.mark.parametrize("kind", FAILING)
def test_giving_up_names_the_object_and_the_last_cause(
    proxy: Proxy,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_PAUSE_S", 0.05)
    url = f"{bucket}/folder/x"
    objects.write(url, bytes(1000))
    caplog.clear()
    monkeypatch.setattr(s3requests, "SILENCE_S", 0.1)
    s3requests.forget_clients()
    proxy.plan(share=1.0, kinds=(kind,))
    uses: dict[str, Callable[[], object]] = {
        "read": lambda: objects.read(url),
        "read ": lambda: objects.download(url, str(tmp_path / "x")),
        "write": lambda: objects.write(url, bytes(10)),
        "list": lambda: storage.list_files(f"{bucket}/folder"),
    }
    began = time.monotonic()
    with caplog.at_level(logging.INFO, "echoanom"):
        for doing, use in uses.items():
            if kind == "cut" and doing == "write":
                continue  # the first line of the answer says that it was done
            about = f"{bucket}/folder" if doing == "list" else url
            said = (
                f"^cannot {doing.strip()} {about}: the store failed, again and again,"
                f" last with: {CAUSES[kind]}$"
            )
            with pytest.raises(StorageError, match=said):
                use()
    assert time.monotonic() - began < 30
    tried_again = [r for r in caplog.records if "attempt" in r.getMessage()]
    assert len(tried_again) == (retries.ATTEMPTS - 1) * (3 if kind == "cut" else 4)
    assert SECRET_KEY not in caplog.text


def test_what_cannot_be_asked_is_not_taken_for_missing(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_PAUSE_S", 0.05)
    publishing.write_bytes(f"{bucket}/x", b"1")
    for kind in ("busy", "refused", "cut"):
        proxy.plan(share=1.0, kinds=(kind,))
        for use in (storage.exists, storage.size):
            with pytest.raises(StorageError, match=f"^cannot read {bucket}/x: the "):
                use(f"{bucket}/x")


# Credentials


def test_a_new_key_in_the_shared_file_is_taken_up_in_the_middle(
    proxy: Proxy,
    s3: S3Server,
    bucket: str,
    source: str,
    dataset_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = tmp_path / "credentials"

    def write(key: str) -> None:
        shared.write_text(
            f"[default]\naws_access_key_id={key}\naws_secret_access_key={SECRET_KEY}\n"
        )

    def expire(description: str, done: int, total: int) -> None:
        if "shards" in description and done == 3:
            write(RENEWED_KEY)
            proxy.plan(expired=(ACCESS_KEY,))

    write(ACCESS_KEY)
    use_file(monkeypatch, "AWS_SHARED_CREDENTIALS_FILE", shared)
    convert(
        source,
        f"{bucket}/renewed",
        table=TABLE,
        stacking=STACKING,
        sharding=SHARDING,
        progress=expire,
    )
    assert 0 < proxy.happened()["expired"] < 10
    proxy.plan()
    calm = contents(s3, dataset_url.removesuffix("/dataset"), "dataset")
    assert contents(s3, bucket, "renewed") == calm


def test_a_program_is_asked_for_new_keys(
    proxy: Proxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sign-in"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib\n"
        f"asked = pathlib.Path({str(tmp_path / 'asked')!r})\n"
        f"key = {RENEWED_KEY!r} if asked.exists() else {ACCESS_KEY!r}\n"
        "asked.touch()\n"
        f"answer = {{'Version': 1, 'AccessKeyId': key, 'SecretAccessKey': {SECRET_KEY!r}"
        "}\nprint(json.dumps(answer))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process={program}\nregion=us-east-1\n"
    )
    use_file(monkeypatch, "AWS_CONFIG_FILE", tmp_path / "config")
    objects.write(f"{bucket}/x", b"1")
    proxy.plan(expired=(ACCESS_KEY,))
    assert objects.read(f"{bucket}/x")[0] == b"1"
    assert [r.happened for r in proxy.requests()] == ["expired", ""]


@pytest.mark.parametrize("use", [storage.list_files, storage.exists])
def test_s3fs_takes_up_new_keys_too(
    proxy: Proxy,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[str], object],
) -> None:
    shared = tmp_path / "credentials"
    text = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
    shared.write_text(text.format(ACCESS_KEY, SECRET_KEY))
    use_file(monkeypatch, "AWS_SHARED_CREDENTIALS_FILE", shared)
    publishing.write_bytes(f"{bucket}/folder/x", b"1")
    assert use(f"{bucket}/folder")
    shared.write_text(text.format(RENEWED_KEY, SECRET_KEY))
    proxy.plan(expired=(ACCESS_KEY,))
    assert use(f"{bucket}/folder")
    assert 0 < proxy.happened()["expired"] < 3


def test_keys_that_stay_expired_are_said_so_soon(proxy: Proxy, bucket: str) -> None:
    proxy.plan(expired=(ACCESS_KEY,))
    with pytest.raises(StorageError, match=r"have expired \(ExpiredToken\); sign"):
        storage.read_bytes(f"{bucket}/x")
    with pytest.raises(StorageError, match="whether the credentials have expired"):
        storage.exists(f"{bucket}/x")
    # After HEAD, which has no body, s3fs asks for the bucket's region too.
    assert proxy.happened()["expired"] <= 3 * retries.FEW_ATTEMPTS


def use_file(monkeypatch: pytest.MonkeyPatch, variable: str, path: Path) -> None:
    """Let credentials come of a file alone."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, str(path))


# Who asks, and who pays


def test_requests_say_who_pays(
    proxy: Proxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3requests, "SILENCE_S", LONG_SILENCE_S)
    (tmp_path / "x").write_bytes(bytes(17 << 20))

    def use_all() -> None:
        objects.upload(f"{bucket}/folder/x", str(tmp_path / "x"))
        objects.download(f"{bucket}/folder/x", str(tmp_path / "y"))
        storage.list_between(f"{bucket}/folder", "", "z")
        storage.list_files(f"{bucket}/folder")
        storage.exists(f"{bucket}/folder/x")
        storage.size(f"{bucket}/folder/x")

    use_all()
    silent = proxy.requests()
    assert not any("x-amz-request-payer" in r.headers for r in silent)
    monkeypatch.setenv(s3requests.REQUESTER_PAYS, "1")
    proxy.plan()
    use_all()
    paid = proxy.requests()
    assert len(paid) == len(silent) > 8
    assert {r.headers.get("x-amz-request-payer") for r in paid} == {"requester"}


def test_anonymous_requests_carry_no_credentials(
    proxy: Proxy, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"folder-{uuid.uuid4().hex}"
    direct(s3).put_object(Bucket=PUBLIC_BUCKET, Key=f"{name}/x", Body=b"1")
    url = f"s3://{PUBLIC_BUCKET}/{name}"
    monkeypatch.setenv(s3requests.ANONYMOUS, "1")
    assert storage.list_files(url) == [("x", 1)]
    assert [f.name for f in storage.list_between(url, "", "z")] == ["x"]
    assert storage.read_bytes(f"{url}/x") == b"1"
    with objects.ObjectStream(f"{url}/x") as file:
        assert file.read() == b"1"
    seen = proxy.requests()
    assert len(seen) >= 4
    for request in seen:
        assert "authorization" not in request.headers
        assert "Signature" not in request.target
    monkeypatch.delenv(s3requests.ANONYMOUS)
    proxy.plan()
    assert storage.read_bytes(f"{url}/x") == b"1"
    assert all("authorization" in r.headers for r in proxy.requests())


# Elsewhere


def test_a_bucket_in_another_region_is_found_there(proxy: Proxy, bucket: str) -> None:
    objects.write(f"{bucket}/folder/x", b"1")
    proxy.plan(elsewhere="eu-north-1")
    assert storage.read_bytes(f"{bucket}/folder/x") == b"1"
    assert storage.list_files(f"{bucket}/folder") == [("x", 1)]
    assert proxy.happened()["elsewhere"] > 0


def test_the_proxy_really_resets_and_stalls(proxy: Proxy, bucket: str) -> None:
    proxy.plan(share=1.0, kinds=("refused",))
    s3 = boto3.session.Session().client(
        "s3",
        config=boto3.session.Config(
            retries={"total_max_attempts": 1}, read_timeout=0.3
        ),
    )
    with pytest.raises(Exception, match="Connection was closed"):
        s3.list_objects_v2(Bucket=bucket[5:])
    proxy.plan(share=1.0, kinds=("stalled",))
    with pytest.raises(Exception, match="Read timeout"):
        s3.list_objects_v2(Bucket=bucket[5:])
    assert os.environ["AWS_ENDPOINT_URL"] == proxy.endpoint
