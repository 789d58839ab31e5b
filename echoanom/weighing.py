"""What an error in each column counts for: by its usual spread, and sensor by sensor.

A squared error says little by itself. Of a column that is easily reproduced a small one
is unusual; of a noisy column a large one is not. So each is divided by the mean that it
has on held-back days, and averaged over the columns of its sensor: 1,600 bins of an
echosounder are one voice, and a temperature alone is another. Sensors are joined by the
mean that each of them weighs by itself, the contraharmonic mean:

    S_g = mean over the observed columns c of sensor g of  e_c / s_c,
    score = Σ_g S_g² / Σ_g S_g,

where e_c is the squared error and s_c its usual mean. It has no unit and is about 1
where all is as usual; and if one sensor sees much, others that see nothing take little
of it away. What is missing counts for nothing. The units of columns, their number and
their scaling cancel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.normalization import Normalization

_LEAST_SPREAD = 1e-6  # that a column is taken to have; 1 is about its variance
_SMOOTHED_PART = 8  # of a window, on either side of a row


@dataclasses.dataclass(frozen=True)
class Weighing:
    """What errors count for, in each of C columns.

    Attributes
    ----------
    spread : ndarray of float32, shape (C,)
        Usual squared error, of normalised values; more than 0.
    sensors : ndarray of int64, shape (C,)
        Number of each column's sensor; -1 of a column that did not vary in training.
    smoothing : int
        Rows that errors of a column are averaged over, within a window; odd.
    """

    spread: NDArray[np.float32]
    sensors: NDArray[np.int64]
    smoothing: int

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            A list for each array.
        """
        return {
            "spread": self.spread.tolist(),
            "sensors": self.sensors.tolist(),
            "smoothing": self.smoothing,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Weighing:
        """Rebuild from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        Weighing
            As it was.
        """
        return cls(
            spread=np.asarray(values["spread"], dtype=np.float32),
            sensors=np.asarray(values["sensors"], dtype=np.int64),
            smoothing=int(values["smoothing"]),
        )


def weigh(
    columns: Sequence[Column],
    size: int,
    normalization: Normalization,
    errors: NDArray[np.float64],
    cells: NDArray[np.int64],
) -> Weighing:
    """Find what errors count for.

    Parameters
    ----------
    columns : sequence of Column, length C
        The columns.
    size : int
        Rows in a window, T. Errors are averaged over a quarter of it.
    normalization : Normalization
        Of the columns.
    errors : ndarray of float64, shape (C,)
        Sums of squared errors on held-back days.
    cells : ndarray of int64, shape (C,)
        Observed cells that they are sums over. A column without any is taken to have
        the median of the others' usual errors.

    Returns
    -------
    Weighing
        Of the columns.
    """
    varies = normalization.varies
    if varies is None:
        varies = np.ones(len(columns), dtype=np.bool_)
    known = varies & (cells > 0)
    usual = np.ones(len(columns))
    if known.any():
        usual[known] = np.maximum(errors[known] / cells[known], _LEAST_SPREAD)
        usual[~known] = np.median(usual[known])
    number: dict[str, int] = {}
    sensors = [
        number.setdefault(column.sensor, len(number)) if varied else -1
        for column, varied in zip(columns, varies.tolist(), strict=True)
    ]
    return Weighing(
        spread=usual.astype(np.float32),
        sensors=np.array(sensors, dtype=np.int64),
        smoothing=2 * (size // _SMOOTHED_PART) + 1,
    )
