"""WebDataset: blocks of 64 rows in tar files, one file a run.

Written by `ShardWriter`'s sibling `TarWriter`, read as the README's pipelines are: shards
shuffled, decoded, mapped, and `compose` for the step that makes windows of the blocks that
come one after the other. Blocks are normalised, once. Windows are shuffled within a
buffer, which holds views of rows. Reading is sequential by design, in this process;
`WebLoader` with workers would lose the order in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import webdataset as wds
from peers.blocks import Rows, cut
from peers.task import BATCH, WINDOW, Case, Data, normalise

_FOLDER = "tar"
_SHUFFLED_WINDOWS = 4096


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the blocks.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same files.
    variant : str
        Not needed.
    """
    with data.made(_FOLDER) as folder:
        if not folder:
            return
        folder.mkdir()
        writers: dict[int, wds.TarWriter] = {}
        for number, (run, rows) in enumerate(cut(data)):
            if run not in writers:
                for finished in writers.values():
                    finished.close()
                writers = {run: wds.TarWriter(str(folder / f"{run:04}.tar"))}
            writers[run].write({"__key__": f"{run:04}-{number:06}", "npy": rows})
        for finished in writers.values():
            finished.close()


def batches(data: Data, case: Case, variant: str) -> Iterator[Any]:
    """Read one tar file after the other, epoch after epoch.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : str
        Not needed.

    Yields
    ------
    ndarray of float32, shape (B, T, C)
        Batches of windows.
    """
    scaling = data.normalization

    def scaled(sample: dict[str, Any]) -> tuple[str, Rows]:
        out = np.empty_like(sample["npy"])
        normalise(sample["npy"], scaling, out)
        return sample["__key__"].partition("-")[0], out

    def frame(blocks: Iterator[tuple[str, Rows]]) -> Iterator[Rows]:
        current, rows, begin = "", np.empty((0, 0), np.float32), 0
        for run, block in blocks:
            if run == current and begin < len(rows):
                rows = np.concatenate([rows[begin:], block])
            else:
                rows = block
            current, begin = run, 0
            while begin + WINDOW <= len(rows):
                yield rows[begin : begin + WINDOW]
                begin += case.stride

    files = [str(path) for path in sorted((data.folder / _FOLDER).glob("*.tar"))]
    shards = len(files) if case.shuffle else False
    pipeline = wds.WebDataset(files, shardshuffle=shards).decode().map(scaled)
    windows = pipeline.compose(frame)
    if case.shuffle:
        windows = windows.shuffle(_SHUFFLED_WINDOWS, initial=_SHUFFLED_WINDOWS)
    batched = windows.batched(BATCH, collation_fn=np.stack)
    while True:
        yield from batched
