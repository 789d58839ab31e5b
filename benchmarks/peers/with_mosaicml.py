"""MosaicML Streaming: blocks of 64 rows in MDS shards, read as a `LocalDataset`.

Written by `MDSWriter` as in "Basic Dataset Conversion", not compressed. `LocalDataset` is
the map-style dataset of the API reference for shards that are on disk already; windows
are put together from its samples and batched by torch's DataLoader, so that the order
is global. `StreamingDataset` would shuffle blocks, not windows.

The library imports torchvision for its image datasets, and torchvision refuses a torch of
another build (PyTorch without CUDA beside torchvision with it). Nothing here needs it, so
a stand-in takes its place then.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from peers.blocks import Assembler, Rows, cut
from peers.task import Case, Data
from peers.with_torch import load

try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    for _name, _attribute in (
        ("torchvision", "transforms"),
        ("torchvision.datasets", "VisionDataset"),
        ("torchvision.datasets", "CIFAR10"),
        ("torchvision.transforms.functional", "to_tensor"),
    ):
        _module = sys.modules.setdefault(_name, types.ModuleType(_name))
        _module.__spec__ = importlib.machinery.ModuleSpec(_name, None)
        setattr(_module, _attribute, object)
from streaming import LocalDataset, MDSWriter  # noqa: E402

_FOLDER = "mds"


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the blocks.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same shards.
    variant : str
        Not needed.
    """
    with data.made(_FOLDER) as folder:
        if folder:
            with MDSWriter(out=str(folder), columns={"rows": "bytes"}) as writer:
                for _, rows in cut(data):
                    writer.write({"rows": rows.tobytes()})


def batches(data: Data, case: Case, variant: str) -> Iterator[torch.Tensor]:
    """Read by number, with a DataLoader.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : str
        Number of workers.

    Returns
    -------
    iterator of torch.Tensor
        Batches of windows.
    """
    blocks = LocalDataset(str(data.folder / _FOLDER))
    columns = len(data.normalization.offset)

    def read(number: int) -> Rows:
        rows: NDArray[np.float32] = np.frombuffer(blocks[number]["rows"], np.float32)
        return rows.reshape(-1, columns)

    return load(data, case, Assembler(data, case, read).fill, int(variant))
