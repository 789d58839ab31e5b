"""Ways to read windows: echoanom's, the limits, and what else people use.

One module a library, ``with_<library>``. Each has two functions::

    batches(data, case, variant)   an endless iterator over epochs of batches
    prepare(data, case, variant)   writes what it reads, once; may be missing

A batch is whatever the library gives: an array or tensor of float32, shape (B, T, C),
in memory of its own, normalised, missing cells filled. Modules import their library at
the top, so that its import does not count as reading; this one imports none.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Literal

Place = Literal["RAM", "disk"]
Order = Literal["same", "global", "local"]


@dataclasses.dataclass(frozen=True)
class Reader:
    """A line of the table.

    Attributes
    ----------
    name : str
        What stands in the table.
    module : str
        Module of this package.
    variant : str
        Tells the module which of its ways is meant.
    place : {'RAM', 'disk'}
        Where the rows are when reading begins.
    order : {'same', 'global', 'local'}
        Shuffled: the same order as echoanom's, another over all windows, or one within
        a buffer or chunk. In sequence, every reader gives all windows in order.
    peer : bool
        Whether it needs what echoanom does not: ``requirements-peers.txt``.
    needs : tuple of str
        Modules that must be there.
    tolerance : float
        How far the sum of a window may be off, as a share of it. Other than 0 only
        for rows that are stored in fewer bits.
    """

    name: str
    module: str
    variant: str = ""
    place: Place = "disk"
    order: Order = "same"
    peer: bool = False
    needs: tuple[str, ...] = ()
    tolerance: float = 0.0

    def missing(self) -> list[str]:
        """Name the modules that it needs and that are not installed.

        Returns
        -------
        list of str
            Empty if it can run.
        """
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


_NEEDS = {
    "with_torch": ("torch",),
    "with_grain": ("grain", "array_record"),
    "with_mosaicml": ("streaming", "torch"),
    "with_litdata": ("litdata", "torch"),
    "with_webdataset": ("webdataset",),
    "with_xbatcher": ("xbatcher", "torch", "zarr"),
}


def _peer(
    name: str,
    module: str,
    variant: str = "",
    place: Place = "disk",
    order: Order = "global",
) -> Reader:
    return Reader(name, module, variant, place, order, True, _NEEDS[module])


READERS: tuple[Reader, ...] = (
    Reader("echoanom", "with_echoanom"),
    Reader("echoanom + mask", "with_echoanom", "observed"),
    Reader("echoanom for Keras", "with_echoanom", "keras"),
    Reader("echoanom, zstd", "with_echoanom", "zstd"),
    Reader("echoanom, float16", "with_echoanom", "float16", tolerance=1e-3),
    Reader("echoanom, int16", "with_echoanom", "int16", tolerance=1e-3),
    Reader("copy loop", "with_numpy", "copy", place="RAM"),
    Reader("NumPy copy + normalise", "with_numpy", "normalise", place="RAM"),
    Reader("tf.gather", "with_tensorflow", "gather", "RAM", "global"),
    Reader("keras timeseries", "with_tensorflow", "keras", "RAM", "global"),
    Reader("tf.data window", "with_tensorflow", "window", order="local"),
    Reader("the tutorial's generator", "with_pandas"),
    _peer("torch, memmap", "with_torch", "0"),
    _peer("torch, memmap, 2 workers", "with_torch", "2"),
    _peer("grain, array", "with_grain", "RAM", "RAM"),
    _peer("grain, array_record", "with_grain", "array_record"),
    _peer("mosaicml-streaming", "with_mosaicml", "0"),
    _peer("litdata", "with_litdata", "0"),
    _peer("webdataset", "with_webdataset", order="local"),
    _peer("xbatcher, array", "with_xbatcher", "RAM", "RAM"),
    _peer("xbatcher, zarr", "with_xbatcher", "zarr"),
)
"""All readers, in the order of the table."""
