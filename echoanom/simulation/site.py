"""Where the simulated observatory stands, and what every part of it agrees on.

The place and the depth are those of the LoVe observatory off Vesterålen, Norway: a
frame on the seabed at 255 m whose instruments look up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column, Kind

LATITUDE_DEG = 68.91
LONGITUDE_DEG = 15.39
DEPTH_M = 255.0
"""Mean water depth, and so the mean range from the transducer to the surface [m]."""

ECHOSOUNDER_RANGE_M = 272.0
"""Range at which the echosounder stops listening, above the highest water [m]."""

DAY_MIN = 1440

Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Block:
    """Neighbouring columns of one quantity, written with the same decimals.

    Attributes
    ----------
    columns : tuple of Column
        The columns, length C.
    decimals : int
        Decimals in the daily table.
    silence : ndarray of float32, shape (C,)
        What the instrument reports when its signal is gone.
    spread : float
        Standard deviation of that report around `silence`.
    """

    columns: tuple[Column, ...]
    decimals: int
    silence: Floats
    spread: float

    @property
    def kind(self) -> Kind:
        """Kind of quantity, the same for all columns."""
        return self.columns[0].kind


@dataclasses.dataclass(frozen=True)
class Instrument:
    """One sensor: what its table holds and how a day of it is made.

    Attributes
    ----------
    name : str
        The sensor's name.
    blocks : tuple of Block
        Its columns, in the order of the table.
    measure : callable
        Takes the `Conditions` of a day and returns one float32 array for each block,
        shape (1440, C), every cell finite.
    """

    name: str
    blocks: tuple[Block, ...]
    measure: Callable[[Any], list[Floats]]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in the order of the table."""
        return tuple(column for block in self.blocks for column in block.columns)


def number(value: float) -> str:
    """Write a range or frequency for a column's name: no more digits than it needs.

    Parameters
    ----------
    value : float
        The number.

    Returns
    -------
    str
        At most three decimals, e.g. ``0.085`` or ``250``.
    """
    return f"{value:.3f}".rstrip("0").rstrip(".")
