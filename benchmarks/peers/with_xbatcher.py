"""The `BatchGenerator` of xbatcher and its `MapDataset`, over memory and over zarr.

As in the user guide, "Create a PyTorch DataLoader": a generator of windows that overlap,
`MapDataset` around it, a DataLoader that shuffles and batches. It knows no gaps, so there
is a generator a run, one behind the other in a `ConcatDataset`.

- ``RAM``: rows are normalised once; windows are views until the loader stacks them.
- ``zarr``: rows as stored, in chunks of 64 rows, not compressed; opened without dask, read
  when a window is asked for; the transform normalises it.

PyTorch stacks a batch in one thread: two gain little here, and wait long for each other
where the machine has other work.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
import xbatcher
from peers.task import BATCH, WINDOW, Case, Data, normalise
from torch.utils.data import ConcatDataset, DataLoader
from xbatcher.loaders.torch import MapDataset

_FOLDER = "zarr"


def prepare(data: Data, case: Case, variant: str) -> None:
    """Write the rows, for ``zarr``.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Not needed: every case reads the same array.
    variant : str
        Which way.
    """
    if variant == "zarr":
        with data.made(_FOLDER) as folder:
            if folder:
                rows = xr.Dataset({"rows": (("time", "bin"), data.rows())})
                chunks = (WINDOW, rows.sizes["bin"])
                encoding = {"rows": {"chunks": chunks, "compressors": None}}
                rows.to_zarr(str(folder), encoding=encoding, zarr_format=3)


def batches(data: Data, case: Case, variant: str) -> Iterator[torch.Tensor]:
    """Read with xbatcher.

    Parameters
    ----------
    data : Data
        What to read.
    case : Case
        Stride and order.
    variant : {'RAM', 'zarr'}
        Which way.

    Yields
    ------
    torch.Tensor
        Batches of windows.
    """
    if variant == "zarr":
        rows = xr.open_zarr(str(data.folder / _FOLDER), chunks=None)["rows"]
    else:
        rows = xr.DataArray(data.normalised(), dims=("time", "bin"))

    def to_tensor(window: xr.DataArray) -> torch.Tensor:
        values = window.to_numpy()
        if variant == "zarr":
            scaled = np.empty_like(values)
            normalise(values, data.normalization, scaled)
            values = scaled
        return torch.from_numpy(values)

    runs = [
        MapDataset(
            xbatcher.BatchGenerator(
                rows.isel(time=slice(first, first + count)),
                input_dims={"time": WINDOW},
                input_overlap={"time": WINDOW - case.stride},
                preload_batch=False,
            ),
            transform=to_tensor,
        )
        for first, count in zip(data.runs.first_row, data.runs.rows, strict=True)
        if count >= WINDOW
    ]
    torch.set_num_threads(1)
    loader = DataLoader(ConcatDataset(runs), batch_size=BATCH, shuffle=case.shuffle)
    while True:
        yield from loader
