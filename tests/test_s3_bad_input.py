"""What is wrong about a store is said in one line, and no secret with it."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from datasets import small_source
from faults import Proxy, faulty

from echoanom import objects, s3requests, storage
from echoanom.cli import main
from echoanom.errors import ConflictError, StorageError
from echoanom.testing.s3server import (
    ACCESS_KEY,
    READER_KEY,
    SECRET_KEY,
    S3Server,
)

pytestmark = pytest.mark.slow

WRONG_SECRET = "wrong-but-a-secret-all-the-same"
PASSWORD = "hunter22hunter22"
HEX = "[0-9a-f]+"

Fails = Callable[..., None]


@pytest.fixture(scope="module")
def source(running_s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a source of three days in the store."""
    folder = tmp_path_factory.mktemp("source")
    small_source(folder, days=3)
    url = running_s3.make_bucket(f"source-{uuid.uuid4().hex}")
    for path in folder.rglob("*"):
        if path.is_file():
            key = path.relative_to(folder).as_posix()
            client(running_s3).upload_file(str(path), url[5:], key)
    return url


@pytest.fixture
def dataset(s3: S3Server, bucket: str, source: str, capsys: Any) -> str:
    """Return a dataset of three shards in the store."""
    url = f"{bucket}/dataset"
    assert (
        main(["convert", source, url, "--period", "900", "--shard-size", ".003"]) == 0
    )
    capsys.readouterr()
    return url


@pytest.fixture
def fails(
    s3: S3Server,
    capsys: pytest.CaptureFixture[str],
    fresh_clients: None,
) -> Fails:
    """Return a function that runs a command which fails with a line, and that alone.

    ``fails(arguments, line)``, where ``line`` is a pattern, whole.
    """

    def run(arguments: str, line: str) -> None:
        assert main(arguments.split()) == 1
        shown = capsys.readouterr()
        assert re.fullmatch(f"echoanom: error: (?:{line})\n", shown.err), shown.err
        assert main(["-vv", *arguments.split()]) == 1
        told = capsys.readouterr()
        assert "Traceback" in told.err  # whoever asks for more gets it
        for secret in (SECRET_KEY, WRONG_SECRET, PASSWORD):
            assert secret not in shown.out + shown.err + told.out + told.err

    return run


def client(server: S3Server) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


def put(server: S3Server, url: str, content: bytes) -> None:
    bucket, key = s3requests.split(url)
    client(server).put_object(Bucket=bucket, Key=key, Body=content)


# Credentials

CHECK = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
NO_DATASET = "must be a dataset made by `echoanom convert`: cannot read"


@pytest.mark.parametrize(
    "variables, reason",
    [
        (
            {"AWS_SECRET_ACCESS_KEY": WRONG_SECRET},
            "the store refuses the credentials: the secret key is not that of the"
            rf" access key \(SignatureDoesNotMatch\); {CHECK}",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "AKIANOBODYNOBODY"},
            "the store refuses the credentials: it does not know the access key"
            rf" \(InvalidAccessKeyId\); {CHECK}",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or read a public"
            r" bucket without \(ECHOANOM_S3_ANONYMOUS=1\)",
        ),
        (
            {"ECHOANOM_S3_ANONYMOUS": "1"},
            "the store denies access; it must be granted to these credentials, or a"
            r" public bucket be read without any \(ECHOANOM_S3_ANONYMOUS=1\)",
        ),
        (
            {"AWS_PROFILE": "nobody"},
            r"The config profile \(nobody\) could not be found",
        ),
    ],
    ids=["secret", "key", "none", "anonymous", "profile"],
)
def test_credentials_that_are_not_right(
    fails: Fails,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    reason: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    fails(f"convert {bucket}/x {bucket}/y", f"cannot list {bucket}/x/: {reason}")
    at = f"{bucket}/x/manifest.json"
    fails(f"inspect {bucket}/x", f"{bucket}/x: {NO_DATASET} {at}: {reason}")


def test_a_password_in_a_url_is_not_repeated(fails: Fails) -> None:
    said = "an S3 URL must be s3://<bucket>/<key>, without user and password; set .*"
    url = f"s3://user:{PASSWORD}@host/x"
    fails(f"inspect {url}", rf"s3://\*\*\*@host/x: {said}|.*: {said}")
    fails(f"convert {url} {url}", said)


def test_no_permission_to_write(
    fails: Fails,
    bucket: str,
    source: str,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    fails(
        f"convert {source} {bucket}/y --period 900",
        f"cannot write {bucket}/y/.*: the store denies access; it must be granted .*",
    )
    assert "Contents" not in client(s3).list_objects_v2(Bucket=bucket[5:])
    for use in (objects.write, lambda url, _: storage.remove(url)):
        with pytest.raises(StorageError, match=f"{bucket}/x: the store denies access"):
            use(f"{bucket}/x", b"1")


# Places


@pytest.mark.parametrize(
    "command, line",
    [
        ("convert s3://nobodys/x OUT", "cannot list s3://nobodys/x/: BUCKET"),
        ("convert s3://nobodys OUT", "cannot list s3://nobodys/: BUCKET"),
        ("inspect s3://nobodys/x", f"s3://nobodys/x: {NO_DATASET} .*: BUCKET"),
        ("tables s3://nobodys/x", "cannot list s3://nobodys/x/: BUCKET"),
        ("convert s3://B!d/x OUT", "cannot list .*: no bucket can have the name B!d"),
        ("convert s3:// OUT", "an S3 URL must be s3://<bucket>/<key>, got s3://"),
        ("convert SRC s3://", "an S3 URL must be s3://<bucket>/<key>, got s3://"),
        ("convert OUT/nowhere OUT", "cannot list OUT/nowhere: it does not exist"),
        (
            "inspect OUT/nowhere",
            f"OUT/nowhere: {NO_DATASET} OUT/nowhere/manifest.json: it does not exist",
        ),
        ("detect OUT/no.csv --out OUT/x", "cannot read OUT/no.csv: it does not exist"),
    ],
)
def test_a_place_that_is_not_there(
    fails: Fails, bucket: str, source: str, command: str, line: str
) -> None:
    def fill(text: str) -> str:
        text = text.replace("OUT", bucket).replace("SRC", source)
        return text.replace("BUCKET", "the bucket nobodys does not exist")

    fails(fill(command), fill(line))


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/"])
def test_a_bucket_is_no_object(s3: S3Server, url: str) -> None:
    message = f"the URL of an object must be s3://<bucket>/<key>, got {url}"
    for use in (objects.read, objects.describe, lambda url: objects.write(url, b"")):
        with pytest.raises(StorageError) as caught:
            use(url)
        assert str(caught.value) == message


def test_a_bucket_without_tables(fails: Fails, bucket: str) -> None:
    fails(
        f"convert {bucket} {bucket}/y",
        rf"{bucket}: must have daily tables .* \(none\).*",
    )


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://a.invalid"])
def test_nobody_at_the_endpoint(
    fails: Fails, bucket: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    said = f"nothing answers at {endpoint}; check AWS_ENDPOINT_URL and the network"
    fails(f"convert {bucket}/x {bucket}/y", f"cannot list {bucket}/x/: {said}")
    fails(f"inspect {bucket}/x", f"{bucket}/x: {NO_DATASET} .*: {said}")
    for use in (storage.list_files, storage.exists):
        with pytest.raises(StorageError, match=said):
            use(f"{bucket}/x")


@pytest.fixture
def elsewhere(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return a proxy before a store that has every bucket in another region."""
    with faulty(s3.endpoint) as proxy:
        proxy.plan(elsewhere="eu-north-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def test_a_bucket_in_another_region(
    fails: Fails, bucket: str, elsewhere: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With credentials boto3 finds it there. An anonymous request stays elsewhere.
    monkeypatch.setenv(s3requests.ANONYMOUS, "1")
    said = (
        f"the bucket {bucket[5:]} is in the region eu-north-1; set AWS_DEFAULT_REGION"
    )
    fails(f"convert {bucket}/x {bucket}/y", f"cannot list {bucket}/x/: {said} to it")
    fails(f"inspect {bucket}/x", f"{bucket}/x: {NO_DATASET} .*: {said} to it")
    with pytest.raises(StorageError, match=said):
        storage.list_files(f"{bucket}/x")
    assert elsewhere.happened()["elsewhere"] > 4


# Objects that are not what they should be


def test_markers_of_folders_are_no_tables_and_no_dataset(
    fails: Fails, s3: S3Server, bucket: str
) -> None:
    for name in ("a/", "a/adcp/", "b/adcp/2020-02-27.csv/", "c/manifest.json/"):
        put(s3, f"{bucket}/{name}", b"")
    for root in ("a", "a/", "b"):
        fails(
            f"convert {bucket}/{root} {bucket}/y",
            rf"{bucket}/{root.rstrip('/')}: must have daily tables .* \(adcp\) has .*",
        )
    fails(f"inspect {bucket}/c", f"{bucket}/c: {NO_DATASET} .*: it does not exist")


def test_markers_of_folders_beside_tables_are_passed_over(
    s3: S3Server, source: str, bucket: str
) -> None:
    for name in ("adcp/", "adcp/tabular/", "logs/"):
        put(s3, f"{source}/{name}", b"")
    assert main(["convert", source, f"{bucket}/y", "--period", "900"]) == 0


@pytest.mark.parametrize(
    "name, command, line",
    [
        (
            "x/adcp/2020-02-27.csv",
            "convert X Y",
            "X/adcp/2020-02-27.csv: must have a header line, got an empty file",
        ),
        (
            "x/manifest.json",
            "inspect X",
            "X/manifest.json: must be JSON, got: Expecting value.*",
        ),
        (
            "y/manifest.json",
            "convert SRC Y --period 900",
            "Y: holds a dataset that cannot be brought up to date: Y/manifest.json: .*",
        ),
        (
            "x.csv",
            "detect X.csv --out Y.csv",
            "X.csv: must have the columns timestamp, score; .*",
        ),
    ],
)
def test_an_object_without_a_byte(
    fails: Fails,
    s3: S3Server,
    bucket: str,
    source: str,
    name: str,
    command: str,
    line: str,
) -> None:
    put(s3, f"{bucket}/{name}", b"")

    def fill(text: str) -> str:
        text = text.replace("SRC", source)
        return text.replace("X", f"{bucket}/x").replace("Y", f"{bucket}/y")

    fails(fill(command), fill(line))


@pytest.mark.parametrize(
    "change, verified, trained",
    [
        ("empty", "the shard must have [0-9]+ bytes, has 0;", "the shard must have"),
        ("longer", "the shard must have [0-9]+ bytes, has", "the shard must have"),
        ("replaced", "the record at byte 0 has a length", "the shard must have hash"),
        ("deleted", "it does not exist", "the shard is missing; convert again"),
    ],
)
def test_a_shard_that_changed_since_the_manifest(
    fails: Fails,
    s3: S3Server,
    dataset: str,
    tmp_path: Path,
    change: str,
    verified: str,
    trained: str,
) -> None:
    shard = nth(dataset, ".tfrecord")
    old = objects.read(shard)[0]
    if change == "deleted":
        storage.remove(shard)
    else:
        new = {"empty": b"", "longer": old + b"x", "replaced": old[::-1]}
        put(s3, shard, new[change])
    fails(f"verify {dataset}", f".*{shard}: {verified}.*")
    fails(
        f"train {dataset} --model {tmp_path / 'model'} --window 8 --epochs 1",
        f"{shard}: {trained}.*",
    )


@pytest.mark.parametrize(
    "change, said",
    [("empty", f": must have hash {HEX}, has {HEX}; convert again"), ("deleted", ".*")],
)
def test_statistics_that_changed_since_the_manifest(
    fails: Fails, s3: S3Server, dataset: str, change: str, said: str
) -> None:
    path = nth(dataset, ".npz")
    storage.remove(path) if change == "deleted" else put(s3, path, b"")
    fails(f"inspect {dataset}", f".*{path}{said}")
    fails(f"verify {dataset}", f".*{path}{said}")


def nth(dataset: str, ending: str) -> str:
    """Return one of a dataset's objects."""
    names = [name for name, _ in storage.list_files(f"{dataset}/shards")]
    return f"{dataset}/shards/{[n for n in names if n.endswith(ending)][1]}"


def test_an_object_that_is_replaced_while_it_is_read(s3: S3Server, bucket: str) -> None:
    path = f"{bucket}/x"
    objects.write(path, bytes(1000))
    with objects.ObjectStream(path, part_bytes=10) as file:
        assert file.read(10) == bytes(10)
        objects.write(path, bytes(1001))
        with pytest.raises(ConflictError, match=f"^cannot read {path}: another writer"):
            while file.read(10):
                pass


def test_an_object_that_is_deleted_while_it_is_read(s3: S3Server, bucket: str) -> None:
    path = f"{bucket}/x"
    objects.write(path, bytes(1000))
    with objects.ObjectStream(path, part_bytes=10) as file:
        assert file.read(10) == bytes(10)
        storage.remove(path)
        with pytest.raises(
            StorageError, match=f"^cannot read {path}: it does not exist"
        ):
            while file.read(10):
                pass


def test_a_stream_of_an_object_that_is_not_there(s3: S3Server, bucket: str) -> None:
    with pytest.raises(
        StorageError, match=f"^cannot read {bucket}/x: it does not exist"
    ):
        objects.ObjectStream(f"{bucket}/x")


def test_a_write_over_an_object_that_was_removed(s3: S3Server, bucket: str) -> None:
    path = f"{bucket}/x"
    objects.write(path, b"1")
    etag = objects.describe(path).etag
    storage.remove(path)
    with pytest.raises(ConflictError, match=f"^cannot write {path}: another writer"):
        objects.write(path, b"2", etag=etag)
    assert not storage.exists(path)


@pytest.mark.parametrize("size", [0, 1])
def test_small_objects_are_moved_whole(
    s3: S3Server, bucket: str, tmp_path: Path, size: int
) -> None:
    (tmp_path / "there").write_bytes(bytes(size))
    objects.upload(f"{bucket}/x", str(tmp_path / "there"))
    assert objects.describe(f"{bucket}/x").size == size
    objects.download(f"{bucket}/x", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == bytes(size)
    with objects.ObjectStream(f"{bucket}/x") as file:
        assert file.read() == bytes(size)
    assert list(objects.list_objects(f"{bucket}/"))[0].size == size


def test_local_files_that_cannot_be_used(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    objects.write(f"{bucket}/x", b"1")
    here = str(tmp_path / "nowhere" / "x")
    with pytest.raises(StorageError, match=f"^cannot write {here}: No such file"):
        objects.download(f"{bucket}/x", here)
    with pytest.raises(StorageError, match=f"^cannot read {here}: No such file"):
        objects.upload(f"{bucket}/y", here)
    assert os.listdir(tmp_path) == []
