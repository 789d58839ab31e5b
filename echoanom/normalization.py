"""Scale columns to what the network expects, from statistics of the training days.

``normalised = (value − offset) / scale``; a missing cell becomes `fill`. Nothing is
clipped: what never occurred in training lies outside [0, 1] and cannot be reproduced.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import DatasetError, OptionError
from echoanom.modeloptions import NormalizationKind
from echoanom.statistics import Statistics

_ROBUST_TAIL = 0.005
_FEW = 32
_CACHED_CELLS = 1 << 15  # what is worked on at a time stays in a core's cache
_WIDEST = 1e38  # differences of such numbers are still far from float32's end


@dataclasses.dataclass(frozen=True)
class Normalization:
    """An affine scaling of each of C columns.

    Attributes
    ----------
    kind : {'range', 'standard', 'robust'}
        How it was found.
    offset, scale : ndarray of float32, shape (C,)
        ``normalised = (value − offset) / scale``; no scale is 0.
    fill : ndarray of float32, shape (C,)
        Normalised value that stands in for a missing one: the column's mean, or the
        middle of the circle.
    varies : ndarray of bool, shape (C,), optional
        Which columns varied; all if left out. What never did tells nothing of what is
        usual, so with it nothing counts as observed in such a column.
    """

    kind: NormalizationKind
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    fill: NDArray[np.float32]
    varies: NDArray[np.bool_] | None = None

    def counted(self, observed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Leave out what is observed of columns that did not vary.

        Parameters
        ----------
        observed : ndarray of bool, shape (..., C)
            What was observed. Changed in place.

        Returns
        -------
        ndarray of bool, shape (..., C)
            The same array.
        """
        if self.varies is not None:
            observed &= self.varies
        return observed

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise values and fill missing cells.

        Parameters
        ----------
        values : ndarray of float32, shape (..., C)
            Values in the columns' units; NaN is missing.

        Returns
        -------
        ndarray of float32, shape (..., C)
            Normalised values without NaN.
        """
        normalised = (values - self.offset) / self.scale
        return np.where(np.isnan(normalised), self.fill, normalised)

    def apply_to(
        self,
        values: NDArray[np.float32],
        present: NDArray[np.bool_],
        out: NDArray[np.float32],
    ) -> None:
        """Normalise values as `apply` does, into memory that is there.

        Parameters
        ----------
        values : ndarray of float32, shape (..., C)
            Values in the columns' units; NaN is missing.
        present : ndarray of bool, shape (..., C)
            False where a value is NaN.
        out : ndarray of float32, shape (..., C)
            Takes the normalised values.
        """
        np.subtract(values, self.offset, out=out)
        np.divide(out, self.scale, out=out)
        absent = present.size - int(np.count_nonzero(present))
        if not absent:
            return
        if absent * _FEW < present.size and out.flags.c_contiguous:
            # Faster than to look at every cell, where only some are missing.
            cells = np.flatnonzero(~present)
            out.reshape(-1)[cells] = self.fill[cells % len(self.fill)]
        else:
            np.copyto(out, self.fill, where=~present)

    def invert(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn normalised values back into the columns' units.

        Parameters
        ----------
        normalised : ndarray of float32, shape (..., C)
            Normalised values.

        Returns
        -------
        ndarray of float32, shape (..., C)
            Values in the columns' units.
        """
        return normalised * self.scale + self.offset

    def turns(self, directions: NDArray[np.bool_]) -> list[float]:
        """Return what a whole turn is, normalised.

        Parameters
        ----------
        directions : ndarray of bool, shape (C,)
            Columns that hold angles [degree].

        Returns
        -------
        list of float, length C
            0 for columns that hold none.
        """
        return [
            360.0 / float(scale) if direction else 0.0
            for scale, direction in zip(self.scale, directions, strict=True)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Kind, and a list for each array.
        """
        values = {
            "kind": self.kind,
            "offset": self.offset.tolist(),
            "scale": self.scale.tolist(),
            "fill": self.fill.tolist(),
        }
        if self.varies is not None:
            values["varies"] = self.varies.tolist()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Normalization:
        """Rebuild from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        Normalization
            As it was.
        """
        return cls(
            kind=values["kind"],
            offset=np.asarray(values["offset"], dtype=np.float32),
            scale=np.asarray(values["scale"], dtype=np.float32),
            fill=np.asarray(values["fill"], dtype=np.float32),
            varies=np.asarray(values["varies"], dtype=np.bool_)
            if "varies" in values
            else None,
        )


def take_in(
    rows: NDArray[np.float32],
    filled: NDArray[np.bool_] | None,
    normalization: Normalization | None,
    values: NDArray[np.float32],
    observed: NDArray[np.bool_] | None,
) -> None:
    """Normalise rows, and note what was observed, a few at a time.

    Parameters
    ----------
    rows : ndarray of float32, shape (R, C)
        Rows as they are stored; NaN is missing.
    filled : ndarray of bool, shape (R, C), or None
        True where a value is interpolated; None where none is.
    normalization : Normalization, optional
        Left out, values stay as they are.
    values : ndarray of float32, shape (R, C)
        Takes the values.
    observed : ndarray of bool, shape (R, C), or None
        Takes which of them were observed, if that is asked for.
    """
    if normalization is None and observed is None:
        values[...] = rows
        return
    step = max(1, _CACHED_CELLS // max(rows.shape[1], 1))
    scratch = np.empty((step, rows.shape[1]), dtype=np.bool_)
    for begin in range(0, len(rows), step):
        at = slice(begin, begin + step)
        part = rows[at]
        seen = scratch[: len(part)] if observed is None else observed[at]
        np.equal(part, part, out=seen)  # NaN alone differs from itself
        if normalization is None:
            values[at] = part
        else:
            normalization.apply_to(part, seen, values[at])
        if observed is not None:
            if filled is not None:
                seen &= ~filled[at]
            if normalization is not None:
                normalization.counted(seen)


def fit_normalization(
    statistics: Statistics,
    kind: NormalizationKind,
    directions: NDArray[np.bool_] | None = None,
) -> Normalization:
    """Find the scaling of each column.

    Parameters
    ----------
    statistics : Statistics
        Of the training days.
    kind : {'range', 'standard', 'robust'}
        Range: smallest to largest becomes 0 to 1. Robust: the 0.5 % and 99.5 %
        quantiles become 0 and 1. Standard: mean 0 and standard deviation 1.
    directions : ndarray of bool, shape (C,), optional
        Columns that hold angles [degree]. The circle has no smallest and no largest
        angle, so they are scaled alike whatever occurred: 0 to 360 becomes 0 to 1, or
        for standard as if all angles were equally likely.

    Returns
    -------
    Normalization
        A constant column keeps its unit (scale 1), and does not vary; nor does one
        without any value, which is left as it is.

    Raises
    ------
    OptionError
        If the kind is unknown.
    DatasetError
        If a column spreads further than float32 goes.
    """
    if kind == "range":
        start, end = statistics.minimum, statistics.maximum
    elif kind == "robust":
        start = statistics.quantile(_ROBUST_TAIL)
        end = statistics.quantile(1 - _ROBUST_TAIL)
    elif kind == "standard":
        start, end = statistics.mean, statistics.mean + statistics.std
    else:
        raise OptionError(
            f"normalization must be one of range, standard, robust, got {kind!r}"
        )
    if directions is not None:
        first, span = (180.0, 360 / np.sqrt(12)) if kind == "standard" else (0.0, 360.0)
        start = np.where(directions, first, start)
        end = np.where(directions, first + span, end)
    offset = np.nan_to_num(start).astype(np.float32)
    width = np.nan_to_num(end - start)
    if (width > _WIDEST).any():
        column = int(np.argmax(width))
        raise DatasetError(
            f"normalization {kind} can scale a column whose spread is at most"
            f" {_WIDEST:g}, but column {column} (counted from 0) goes from"
            f" {statistics.minimum[column]:g} to {statistics.maximum[column]:g}; look"
            " for absurd values with `echoanom inspect`, and name missing numbers with"
            " `echoanom convert --missing`"
        )
    # A column is constant when its spread is lost in float32's own rounding.
    rounding = np.spacing(np.abs(offset)).astype(np.float64)
    varies = width > rounding
    scale = np.where(varies, width, 1.0).astype(np.float32)
    mean = np.where(np.isnan(statistics.mean), offset, statistics.mean)
    if directions is not None:
        mean = np.where(directions, 180.0, mean)
        # Whatever the span of the circle, an angle that stays where it is tells nothing.
        varies &= ~directions | (statistics.maximum > statistics.minimum)
    fill = ((mean - offset) / scale).astype(np.float32)
    varied = None if varies.all() else varies
    return Normalization(kind, offset, scale, fill, varied)
