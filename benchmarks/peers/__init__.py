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


READERS: tuple[Reader, ...] = (
    Reader("echoanom", "with_echoanom", "float32"),
    Reader("echoanom + mask", "with_echoanom", "float32 observed"),
    Reader("echoanom, float16", "with_echoanom", "float16", tolerance=1e-3),
    Reader("echoanom, int16", "with_echoanom", "int16", tolerance=1e-3),
    Reader("copy loop", "with_numpy", "copy", place="RAM"),
    Reader("NumPy copy + normalise", "with_numpy", "normalise", place="RAM"),
    Reader("tf.gather", "with_tensorflow", "gather", place="RAM", order="global"),
    Reader(
        "keras timeseries_dataset", "with_tensorflow", "keras", place="RAM",
        order="global",
    ),
    Reader("tf.data window", "with_tensorflow", "window", order="local"),
    Reader("the tutorial's generator", "with_pandas"),
)  # fmt: skip
"""All readers, in the order of the table."""
