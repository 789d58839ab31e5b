#!/usr/bin/env python3
"""Measure what a second Dask worker is worth, for conversion and for scoring.

::

    python benchmarks/cluster.py --json cluster.json

Some simulated days of all sensors are converted, and then scored with an untrained model,
in turns: in this process, by one Dask worker on this machine, and by two. A worker is a
process of one thread, TensorFlow's included, and so is this one. Clusters are started, and
models loaded, before the clock runs. The ratio is to one worker; above 1 is faster. All
ways must give the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import measuring
import xxhash

from echoanom import storage

if TYPE_CHECKING:
    from distributed import Client

WINDOW = 64
WORKERS = (1, 2)
COLUMNS = {
    "work": "work",
    "by": "by",
    "seconds": "seconds",
    "ratio": "of 1 worker",
}


def convert_once(
    source: str, folder: str, shard_mib: float, client: Client | None
) -> tuple[float, str]:
    """Convert the source once.

    Parameters
    ----------
    source : str
        Folder of daily tables.
    folder : str
        Where the dataset goes; removed again.
    shard_mib : float
        Aimed size of a shard [MiB].
    client : distributed.Client, optional
        Of the cluster that does the work; this process if left out.

    Returns
    -------
    seconds : float
        How long it took [s].
    digest : str
        Of the manifest, which has the hash of every shard.
    """
    from echoanom.conversion import convert
    from echoanom.options import ShardOptions

    begin = time.perf_counter()
    convert(source, folder, sharding=ShardOptions(shard_mib=shard_mib), client=client)
    seconds = time.perf_counter() - begin
    content = storage.read_bytes(f"{folder}/manifest.json")
    shutil.rmtree(folder)
    return seconds, xxhash.xxh3_128_hexdigest(content)


def score_once(
    dataset: str, model: str, stride: int, client: Client | None
) -> tuple[float, str]:
    """Score the dataset once.

    Parameters
    ----------
    dataset : str
        The dataset's folder.
    model : str
        The model's folder.
    stride : int
        Rows between the starts of neighbouring windows [rows].
    client : distributed.Client, optional
        Of the cluster that does the work; this process if left out.

    Returns
    -------
    seconds : float
        How long it took [s].
    digest : str
        Of all scores and shares.
    """
    from echoanom.artifact import load_artifact
    from echoanom.dataset import open_dataset
    from echoanom.scoring import score

    opened, artifact = open_dataset(dataset), load_artifact(model)
    begin = time.perf_counter()
    table = score(opened, artifact, stride=stride, client=client)
    seconds = time.perf_counter() - begin
    digest = xxhash.xxh3_128()
    for array in (table.times, table.score, table.window_score, table.shares):
        digest.update(array.tobytes())
    return seconds, digest.hexdigest()


def save_model(dataset: str, folder: str) -> None:
    """Save a model that nobody trained: its speed does not depend on it.

    Parameters
    ----------
    dataset : str
        The dataset's folder.
    folder : str
        Where the model goes.
    """
    import keras

    from echoanom.artifact import Artifact, save_artifact
    from echoanom.autoencoder import build_autoencoder
    from echoanom.dataset import open_dataset
    from echoanom.history import EpochLosses, TrainingRecord
    from echoanom.modeloptions import ModelOptions, TrainOptions
    from echoanom.normalization import fit_normalization
    from echoanom.options import WindowOptions

    opened = open_dataset(dataset)
    keras.utils.set_random_seed(0)
    days = tuple(day.isoformat() for day in opened.days)
    record = TrainingRecord(
        dataset_path=dataset,
        dataset_digest=opened.digest,
        training_days=days,
        validation_days=(),
        include=None,
        exclude=(),
        history=(EpochLosses(1, 1.0, 1.0),),
        stop_reason="not trained",
    )
    artifact = Artifact(
        columns=opened.columns,
        period_s=opened.period_s,
        window=WindowOptions(size=WINDOW),
        network=ModelOptions(kind="autoencoder"),
        training=TrainOptions(),
        normalization=fit_normalization(opened.statistics(), "range"),
        record=record,
        model=build_autoencoder(WINDOW, len(opened.columns)),
    )
    save_artifact(artifact, folder)


def compare(
    work: str,
    once: Callable[[Client | None], tuple[float, str]],
    clients: Sequence[Client],
    repeats: int,
) -> list[measuring.Figures]:
    """Let this process and each cluster do the same work, in turns.

    Parameters
    ----------
    work : str
        Its name.
    once : callable
        Does it, by a cluster or here, and returns seconds and a digest of the result.
    clients : sequence of distributed.Client
        Of clusters of one worker, two and so on.
    repeats : int
        Turns.

    Returns
    -------
    list of dict
        A line each.

    Raises
    ------
    ValueError
        If they do not all have the same result.
    """
    digests: dict[str, str] = {}

    def run(name: str, client: Client | None) -> float:
        seconds, digests[name] = once(client)
        return seconds

    ways: dict[str, Client | None] = {"this process": None}
    for client in clients:
        workers = len(client.nthreads())
        ways[f"{workers} worker{'s' if workers > 1 else ''}"] = client
    found = measuring.in_turns(
        {name: functools.partial(run, name, client) for name, client in ways.items()},
        repeats,
    )
    if len(set(digests.values())) > 1:
        raise ValueError(f"{work}: all must give the same bytes, got {digests}")
    return [
        {
            "work": work,
            "by": name,
            "seconds": statistics.median(seconds),
            "turns_s": seconds,
            "ratio": measuring.median_ratio(found["1 worker"], seconds),
        }
        for name, seconds in found.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        0.
    """
    parser = measuring.parser(__doc__, repeats=3)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--columns", type=int, default=1600, help="of the echosounder")
    parser.add_argument("--shard-size", type=float, default=16.0, help="[MiB]")
    parser.add_argument("--stride", type=int, default=32, help="of the scored windows")
    parser.add_argument("--folder", help="where to work  [default: the temporary one]")
    options = parser.parse_args(arguments)
    if options.toy:
        options.days, options.columns, options.repeats = 3, 16, 1
        options.shard_size = 0.5
    # Before anything imports them, here or in a worker.
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", POLARS_MAX_THREADS="1")
    from echoanom.connecting import connect
    from echoanom.conversion import convert
    from echoanom.options import ShardOptions
    from echoanom.simulation import SimulationOptions, simulate

    lines: list[measuring.Figures] = []
    with (
        tempfile.TemporaryDirectory(prefix="echoanom-", dir=options.folder) as folder,
        contextlib.ExitStack() as stack,
    ):
        source, dataset, model = (f"{folder}/{n}" for n in ("source", "kept", "model"))
        simulated = SimulationOptions(days=options.days, bins=options.columns)
        simulate(source, simulated, workers=len(os.sched_getaffinity(0)))
        clients = [stack.enter_context(connect("local", n)) for n in WORKERS]
        lines += compare(
            "convert",
            lambda client: convert_once(
                source, f"{folder}/dataset", options.shard_size, client
            ),
            clients,
            options.repeats,
        )
        sharding = ShardOptions(shard_mib=options.shard_size)
        convert(source, dataset, sharding=sharding)
        save_model(dataset, model)
        for client in clients:  # a short scoring would not meet every worker
            client.run(importlib.import_module, "echoanom.scoring")
        lines += compare(
            "score",
            lambda client: score_once(dataset, model, options.stride, client),
            clients,
            options.repeats,
        )
    measuring.print_table(
        f"{options.days} days, {options.columns} columns of the echosounder",
        COLUMNS,
        lines,
    )
    measuring.write_json(
        options.json,
        "cluster",
        {
            "machine": measuring.machine("distributed", "polars", "tensorflow"),
            "days": options.days,
            "columns": options.columns,
            "stride": options.stride,
            "shards": dataclasses.asdict(sharding),
            "results": lines,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
