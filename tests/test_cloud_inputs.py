"""Channels: the same windows from pipes and folders, and what cannot give them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import small_dataset

from echoanom.batching import window_index
from echoanom.cloud.contract import Channel, Job
from echoanom.cloud.hyperparameters import parse_hyperparameters
from echoanom.cloud.inputs import open_inputs
from echoanom.dataset import Dataset
from echoanom.errors import (
    CloudError,
    CorruptionError,
    EchoanomError,
    ManifestError,
    StorageError,
    TruncatedError,
)
from echoanom.holdout import hold_back, shards_of
from echoanom.manifest import Shard
from echoanom.options import ShardOptions
from echoanom.recordio import frame

pytestmark = pytest.mark.slow

WINDOW = 13
TEXTS = {"window": str(WINDOW), "stride": "3", "batch-size": "16", "shuffle": "false"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(
        tmp_path_factory.mktemp("inputs"),
        sharding=ShardOptions(halo=WINDOW - 1, shard_mib=0.003, record_kib=0.5),
    )


def make_job(base: Path, dataset: Dataset, **channels: Any) -> Job:
    """Lay out channels: of each its mode, or how it differs from one in Pipe mode."""
    data = base / "input" / "data"
    data.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, about in channels.items():
        options = {"input_mode": about} if isinstance(about, str) else about
        channel = Channel(name, "Pipe", False, False, str(data / name))
        made[name] = dataclasses.replace(channel, **options)
        if made[name].input_mode != "Pipe":
            shutil.copytree(dataset.path, data / name)
    where = {"model_dir": "model", "output_dir": "output", "data_dir": "output/data"}
    folders = {name: str(base / folder) for name, folder in where.items()}
    return Job(str(base), made, ("algo-1",), 0, (), TEXTS, **folders)


def contents(dataset: Dataset, shards: Sequence[Shard]) -> list[bytes]:
    folder = Path(dataset.path) / "shards"
    return [(folder / f"{shard.name}.tfrecord").read_bytes() for shard in shards]


def sides(dataset: Dataset) -> tuple[list[bytes], list[bytes]]:
    """Return the shards to train on, and those held back."""
    holdout = hold_back(dataset.runs, dataset.period_s, WINDOW, 0.2)
    return (
        contents(dataset, shards_of(dataset.manifest, holdout.training)),
        contents(dataset, shards_of(dataset.manifest, holdout.validation)),
    )


class Writer(threading.Thread):
    """Writes into the pipe of one epoch."""

    def __init__(self, channel: Channel, epoch: int, pieces: Sequence[bytes]) -> None:
        super().__init__()
        self._path, self._pieces = channel.fifo(epoch), pieces
        os.mkfifo(self._path)
        self.start()

    def run(self) -> None:
        with open(self._path, "wb") as file:
            try:
                for piece in self._pieces:
                    file.write(piece)
                file.flush()
            except BrokenPipeError:
                pass


def batches(stream: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for values, observed in stream:
        yield values.numpy(), observed.numpy()


PIPES = {"train": "Pipe", "validation": "Pipe", "manifest": "File"}


@pytest.mark.parametrize("recordio", [False, True], ids=["plain", "RecordIO"])
def test_pipes_give_the_windows_and_held_back_rows_of_the_dataset(
    dataset: Dataset, tmp_path: Path, recordio: bool
) -> None:
    from echoanom.pipeline import windows

    wrapped = {"recordio": recordio}
    job = make_job(
        tmp_path,
        dataset,
        **{**PIPES, "train": wrapped, "validation": wrapped},
    )
    training, validation = sides(dataset)
    if recordio:
        training, validation = (
            [b"".join(frame([one], len(one))) for one in side]
            for side in (training, validation)
        )
    writers = [
        Writer(job.channel("validation"), 0, validation),
        Writer(job.channel("train"), 0, training),
        Writer(job.channel("train"), 1, training),
    ]
    options = parse_hyperparameters(TEXTS)
    with open_inputs(job, options) as inputs:
        assert inputs.feed is not None
        stream = inputs.feed.stream()
        for _ in range(2):
            expected = windows(
                dataset,
                options.window,
                runs=inputs.holdout.training,
                normalization=inputs.normalization,
            )
            for (values, observed), one in zip(batches(stream), expected, strict=True):
                np.testing.assert_array_equal(values, one["values"])
                np.testing.assert_array_equal(observed, one["observed"])
        held_back = {"runs": inputs.holdout.validation}
        for one, other in zip(
            windows(inputs.dataset, options.window, **held_back),
            windows(dataset, options.window, **held_back),
            strict=True,
        ):
            np.testing.assert_array_equal(one["values"], other["values"])
        scratch = inputs.dataset.path
    for writer in writers:
        writer.join()
    assert not os.path.exists(scratch)


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_folders_are_read_where_they_are(
    dataset: Dataset, tmp_path: Path, mode: str
) -> None:
    job = make_job(tmp_path, dataset, train=mode)
    with open_inputs(job, parse_hyperparameters(TEXTS)) as inputs:
        assert inputs.feed is None
        assert inputs.dataset.path == job.channel("train").path
        assert inputs.dataset.digest == dataset.digest


def test_the_version_that_the_job_was_made_for_is_found_or_missed(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = make_job(tmp_path, dataset, train="File")
    texts = {**TEXTS, "dataset-version": dataset.digest}
    with open_inputs(job, parse_hyperparameters(texts)) as inputs:
        assert inputs.dataset.digest == dataset.digest
    texts["dataset-version"] = "0" * 32
    with pytest.raises(ManifestError, match=f"version 0+, .*but is {dataset.digest}"):
        open_with(job, texts)


def open_with(job: Job, texts: dict[str, str]) -> None:
    with open_inputs(job, parse_hyperparameters({"pipe-timeout": "0.3", **texts})):
        pass


@pytest.mark.parametrize(
    "channels, message",
    [
        ({}, "must have a channel train, but has none"),
        ({"train": "Pipe"}, "must have a channel manifest in File mode"),
        ({"train": "Pipe", "manifest": "File"}, "must have a channel validation"),
        (
            {"train": {"input_mode": "File", "sharded": True}},
            "train must be FullyReplicated in File mode",
        ),
        (
            {**PIPES, "validation": {"sharded": True}},
            "validation must be FullyReplicated",
        ),
    ],
)
def test_channels_that_cannot_give_each_window_once_are_refused(
    dataset: Dataset, tmp_path: Path, channels: dict[str, Any], message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        open_with(make_job(tmp_path, dataset, **channels), TEXTS)


def test_a_channel_without_a_manifest_is_refused(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = make_job(tmp_path, dataset, train="File")
    os.unlink(f"{job.channel('train').path}/manifest.json")
    with pytest.raises(ManifestError, match=r"train must hold a dataset's manifest"):
        open_with(job, TEXTS)


def cut(shards: list[bytes]) -> list[bytes]:
    return [*shards[:-1], shards[-1][:-10]]


def flip(shards: list[bytes]) -> list[bytes]:
    damaged = bytearray(shards[0])
    damaged[100] ^= 1
    return [bytes(damaged), *shards[1:]]


@pytest.mark.parametrize(
    "damage, error, message",
    [
        (cut, TruncatedError, "but ends after"),
        (flip, CorruptionError, "must give the shard .* with hash"),
        (lambda shards: [], TruncatedError, "but ends after 0"),
    ],
    ids=["cut", "flipped", "empty"],
)
def test_held_back_shards_that_are_not_what_they_should_be_are_refused(
    dataset: Dataset,
    tmp_path: Path,
    damage: Any,
    error: type[EchoanomError],
    message: str,
) -> None:
    job = make_job(tmp_path, dataset, **PIPES)
    writer = Writer(job.channel("validation"), 0, damage(sides(dataset)[1]))
    with pytest.raises(error, match=message):
        open_with(job, TEXTS)
    writer.join()


def test_a_pipe_that_never_comes_ends_the_job_in_its_time(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = make_job(tmp_path, dataset, **PIPES)
    with pytest.raises(StorageError, match=r"validation_0: must exist within 0.3 s"):
        open_with(job, TEXTS)


def test_folders_leave_out_windows_of_which_too_little_was_observed(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = make_job(tmp_path, dataset, train="File")
    with open_inputs(job, parse_hyperparameters(TEXTS)) as inputs:
        every = inputs.windows
    options = parse_hyperparameters({**TEXTS, "min-observed": "0.97"})
    with open_inputs(job, options) as inputs:
        index = window_index(inputs.dataset, options.window, inputs.holdout.training)
        assert inputs.windows == len(index)
        assert 0 < inputs.windows < every
