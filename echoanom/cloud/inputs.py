"""A job's channels as the same windows, whichever way they come.

In Pipe mode the rows to train on are streamed anew in each epoch and lie nowhere. In
FastFile and File mode they lie in files, and are read in any order. What a dataset is
(its manifest and statistics) comes in a channel of its own, in File mode: it is smaller,
is needed before the first row, and is the same for every host, whichever shards that
gets. In the stream it could not stand before the records, as the service shuffles and
deals out objects without knowing of any that comes first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import xxhash

from echoanom.batching import window_index
from echoanom.cloud.contract import ABOUT, TRAIN, VALIDATION, Channel, Job
from echoanom.cloud.fifo import Fifo
from echoanom.cloud.hyperparameters import Hyperparameters
from echoanom.dataset import Dataset
from echoanom.errors import (
    CloudError,
    CorruptionError,
    ManifestError,
    StorageError,
    TruncatedError,
)
from echoanom.feeding import StreamFeed
from echoanom.holdout import (
    Holdout,
    hold_back,
    shards_of,
    training_normalization,
)
from echoanom.manifest import MANIFEST, SHARDS, Manifest, Shard
from echoanom.normalization import Normalization
from echoanom.options import Share
from echoanom.recordio import RecordIOReader

_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a training needs of its channels.

    Attributes
    ----------
    dataset : Dataset
        Has the held-back rows, and, if there is no feed, those to train on.
    holdout : Holdout
        Which are which.
    normalization : Normalization
        Of the rows to train on.
    feed : StreamFeed or None
        Gives the windows to train on, if they come through pipes.
    windows : int
        Windows to train on in an epoch, of all hosts together.
    """

    dataset: Dataset
    holdout: Holdout
    normalization: Normalization
    feed: StreamFeed | None
    windows: int


@contextlib.contextmanager
def open_inputs(
    job: Job, options: Hyperparameters, share: Share | None = None
) -> Iterator[Inputs]:
    """Open a job's channels.

    Parameters
    ----------
    job : Job
        The job.
    options : Hyperparameters
        Its options.
    share : Share, optional
        Which of the hosts this is; the only one if left out.

    Yields
    ------
    Inputs
        Ready to train from.

    Raises
    ------
    CloudError
        If a channel is missing, or comes in a way that cannot give each window once.
    ManifestError
        If there is no manifest, or it is of another version than the job is for.
    StorageError
        If a pipe does not come, or stalls.
    CorruptionError
        If what comes is not what the manifest says.
    """
    train = job.channel(TRAIN)
    about = _about(job, options.job.dataset_version)
    manifest = about.manifest
    window, training = options.window, options.training
    # A job knows the statistics of whole days alone.
    holdout = hold_back(
        about.runs, about.period_s, window.size, training.validation, whole_days=True
    )
    assert training.normalization is not None, "settled for the model"
    normalization = training_normalization(
        about, holdout.training, training.normalization
    )
    timeout_s = options.job.pipe_timeout
    feed = None
    if train.input_mode == "Pipe":
        feed = StreamFeed(
            functools.partial(_open_pipe, train, timeout_s),
            manifest,
            window,
            holdout.training,
            normalization,
            share=share,
            dealt=train.sharded,
            shuffled=options.job.object_order == "shuffled",
            pool_windows=options.job.pool_windows,
            name=f"channel {TRAIN}",
        )
    elif train.sharded:
        raise CloudError(
            f"the channel {TRAIN} must be FullyReplicated in {train.input_mode} mode,"
            " where hosts share windows by their position, but is ShardedByS3Key; use"
            " the Pipe mode, or FullyReplicated"
        )
    with contextlib.ExitStack() as stack:
        if VALIDATION not in job.channels and feed is None:
            path = train.path
        else:
            held_back = job.channel(VALIDATION)
            if held_back.sharded:
                raise CloudError(
                    f"the channel {VALIDATION} must be FullyReplicated, but is"
                    " ShardedByS3Key"
                )
            path = held_back.path
            if held_back.input_mode == "Pipe":
                path = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="echoanom-")
                )
                shards = shards_of(manifest, holdout.validation)
                with contextlib.closing(_open_pipe(held_back, timeout_s, 0)) as file:
                    _spool(file, shards, path)
        dataset = Dataset(path, manifest)
        if feed is None:
            windows = len(window_index(dataset, window, holdout.training))
        else:
            windows = feed.windows
        yield Inputs(dataset, holdout, normalization, feed, windows)


def _about(job: Job, version: str) -> Dataset:
    """Open what a dataset is, without its rows."""
    channel = job.channels.get(ABOUT) or job.channel(TRAIN)
    if channel.input_mode == "Pipe":
        raise CloudError(
            f"a job in Pipe mode must have a channel {ABOUT} in File mode, with the"
            f" dataset's manifest and statistics, but has"
            f" {', '.join(sorted(job.channels))}"
        )
    folder = Path(channel.path)
    files = [folder / MANIFEST, *sorted(folder.glob("versions/*.json"))]
    found = []
    for file in files:
        try:
            dataset = Dataset(
                channel.path, Manifest.from_bytes(file.read_bytes(), str(file))
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{file}: must be readable: {error.strerror}") from None
        if not version or dataset.digest == version:
            return dataset
        found.append(dataset.digest)
    if found:
        raise ManifestError(
            f"{folder}: the dataset must be of version {version}, for which the job was"
            f" made, but is {', '.join(found)}; it has changed meanwhile: start the job"
            " again"
        )
    raise ManifestError(
        f"{folder}: the channel {channel.name} must hold a dataset's {MANIFEST}, but"
        " does not; name the dataset's folder, with a slash at its end"
    )


def _open_pipe(channel: Channel, timeout_s: float, epoch: int) -> BinaryIO:
    pipe = Fifo(channel.fifo(epoch), timeout_s)
    if channel.recordio:
        return cast(BinaryIO, RecordIOReader(pipe, name=pipe.name))
    return cast(BinaryIO, pipe)


def _spool(file: BinaryIO, shards: tuple[Shard, ...], folder: str) -> None:
    """Write the shards of a stream into files: they are read in every epoch."""
    os.makedirs(os.path.join(folder, SHARDS))
    name = getattr(file, "name", VALIDATION)
    for shard in shards:
        digest, left = xxhash.xxh3_128(), shard.bytes
        path = os.path.join(folder, SHARDS, f"{shard.name}.tfrecord")
        try:
            with open(path, "wb") as written:
                while left:
                    piece = file.read(min(left, _PIECE))
                    if not piece:
                        raise TruncatedError(
                            f"{name}: must give {shard.bytes} bytes of the shard"
                            f" {shard.name}, but ends after {shard.bytes - left}"
                        )
                    digest.update(piece)
                    written.write(piece)
                    left -= len(piece)
        except OSError as error:
            raise StorageError(
                f"{path}: held-back rows must have room on this disk:"
                f" {error.strerror or error}"
            ) from None
        if digest.hexdigest() != shard.hash:
            raise CorruptionError(
                f"{name}: must give the shard {shard.name} with hash {shard.hash}, but"
                f" gives {digest.hexdigest()}; held-back shards must come in the order"
                " of their names, not shuffled"
            )
