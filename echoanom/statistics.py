"""Statistics of each day and column, merged over any choice of days.

A day's summary is made once, when the day is converted. Statistics of the training
days are then merged from the summaries, without reading the data again, and adding
a day costs a day.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import CorruptionError

BINS = 64
_SPREAD = 4.0  # inner bins cover mean ± 4 standard deviations, the rest is tail
_COLUMNS_AT_ONCE = 256
_BISECTIONS = 60

Float = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Summaries of D days and C columns, and what they say together.

    A histogram has 64 bins: the first from `minimum` to `low`, the last from `high` to
    `maximum`, and 62 of equal width between.

    Attributes
    ----------
    counts : ndarray of int64, shape (D, C)
        Observed cells.
    missings : ndarray of int64, shape (D, C)
        Cells that are missing or were filled.
    means, m2s : ndarray of float64, shape (D, C)
        Mean, and sum of squared distances from it; 0 where nothing is observed.
    minima, maxima : ndarray of float64, shape (D, C)
        Smallest and largest; +inf and −inf where nothing is observed.
    lows, highs : ndarray of float64, shape (D, C)
        Edges of the inner bins.
    histograms : ndarray of uint32, shape (D, 64, C)
        Observed cells in each bin.
    """

    counts: NDArray[np.int64]
    missings: NDArray[np.int64]
    means: Float
    m2s: Float
    minima: Float
    maxima: Float
    lows: Float
    highs: Float
    histograms: NDArray[np.uint32]

    @property
    def count(self) -> NDArray[np.int64]:
        """Observed cells over all days, shape (C,)."""
        return np.asarray(self.counts.sum(axis=0), dtype=np.int64)

    @property
    def missing(self) -> NDArray[np.int64]:
        """Missing or filled cells over all days, shape (C,)."""
        return np.asarray(self.missings.sum(axis=0), dtype=np.int64)

    @property
    def mean(self) -> Float:
        """Mean over all days, shape (C,); NaN where nothing is observed."""
        return self._moments()[0]

    @property
    def std(self) -> Float:
        """Population standard deviation, shape (C,); NaN where nothing is observed."""
        return self._moments()[1]

    @property
    def minimum(self) -> Float:
        """Smallest observed value, shape (C,); NaN where nothing is observed."""
        return _finite(np.min(self.minima, axis=0, initial=np.inf))

    @property
    def maximum(self) -> Float:
        """Largest observed value, shape (C,); NaN where nothing is observed."""
        return _finite(np.max(self.maxima, axis=0, initial=-np.inf))

    def _moments(self) -> tuple[Float, Float]:
        # Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for
        # computing sample variances", for D parts at once.
        count = self.count
        some = count > 0
        divisor = np.where(some, count, 1)
        mean = (self.counts * self.means).sum(axis=0) / divisor
        m2 = self.m2s.sum(axis=0)
        m2 = m2 + (self.counts * (self.means - mean) ** 2).sum(axis=0)
        std = np.sqrt(m2 / divisor)
        return np.where(some, mean, np.nan), np.where(some, std, np.nan)

    def quantile(self, q: float) -> Float:
        """Estimate a quantile from the days' histograms.

        The days' distribution functions, linear inside each bin, are added up, and the
        sum is solved by bisection. The estimate is off by at most the width of the
        widest bin that holds a value: between the tails, 8 / 62 of the largest standard
        deviation of a day.

        Parameters
        ----------
        q : float
            Share of the observed cells below, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (C,)
            NaN where nothing is observed.
        """
        columns = self.counts.shape[1]
        result = np.empty(columns)
        for first in range(0, columns, _COLUMNS_AT_ONCE):
            part = slice(first, first + _COLUMNS_AT_ONCE)
            result[part] = self._quantile(q, part)
        return result

    def _quantile(self, q: float, part: slice) -> Float:
        cumulative = np.cumsum(self.histograms[:, :, part], axis=1, dtype=np.float64)
        cumulative = np.pad(cumulative, ((0, 0), (1, 0), (0, 0)))
        minima, maxima = self.minima[:, part], self.maxima[:, part]
        lows, highs = self.lows[:, part], self.highs[:, part]
        target = q * self.count[part]
        below, above = self.minimum[part], self.maximum[part]
        with np.errstate(invalid="ignore"):  # NaN columns stay NaN
            for _ in range(_BISECTIONS):
                middle = (below + above) / 2
                position = _bin_position(middle, minima, lows, highs, maxima)
                whole = np.clip(np.floor(position), 0, BINS - 1)
                bins = np.nan_to_num(whole).astype(np.int64)[:, None, :]
                start = np.take_along_axis(cumulative, bins, axis=1)[:, 0]
                end = np.take_along_axis(cumulative, bins + 1, axis=1)[:, 0]
                reached = (start + (position - whole) * (end - start)).sum(axis=0)
                enough = reached >= target
                above = np.where(enough, middle, above)
                below = np.where(enough, below, middle)
        return np.asarray(above)

    def days(self, chosen: Sequence[int]) -> Statistics:
        """Keep some of the days.

        Parameters
        ----------
        chosen : sequence of int
            Positions of the days to keep.

        Returns
        -------
        Statistics
            Of those days alone.
        """
        rows = np.asarray(chosen, dtype=np.int64)
        fields = dataclasses.fields(self)
        return Statistics(**{f.name: getattr(self, f.name)[rows] for f in fields})

    def as_bytes(self) -> bytes:
        """Pack into one file's content, the same bytes for the same numbers.

        Returns
        -------
        bytes
            A NumPy ``.npz`` archive.
        """
        buffer = io.BytesIO()
        fields = dataclasses.fields(self)
        np.savez(buffer, **{f.name: getattr(self, f.name) for f in fields})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Statistics:
        """Unpack `as_bytes`.

        Parameters
        ----------
        content : bytes
            The file's content.

        Returns
        -------
        Statistics
            As it was.

        Raises
        ------
        CorruptionError
            If the content is something else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls(**dict(arrays))
        except (
            ValueError,
            OSError,
            TypeError,
            EOFError,
            RuntimeError,  # what zipfile says of an archive it has no means to read
            zipfile.BadZipFile,
        ) as error:
            raise CorruptionError(f"not a statistics file: {error}") from None


def merge(parts: Sequence[Statistics]) -> Statistics:
    """Put the days of several statistics together.

    Parameters
    ----------
    parts : sequence of Statistics
        At least one, all of the same columns.

    Returns
    -------
    Statistics
        Of all their days, in order.
    """
    return Statistics(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Statistics)
        }
    )


def summarise(
    values: NDArray[np.float32], filled: NDArray[np.bool_] | None = None
) -> Statistics:
    """Summarise one day.

    Parameters
    ----------
    values : ndarray of float32, shape (R, C)
        The day's rows; NaN is missing.
    filled : ndarray of bool, shape (R, C), optional
        Cells that were filled and do not count.

    Returns
    -------
    Statistics
        Of one day (D = 1).
    """
    columns = values.shape[1]
    parts = []
    for first in range(0, columns, _COLUMNS_AT_ONCE):
        part = slice(first, first + _COLUMNS_AT_ONCE)
        parts.append(
            _summarise(values[:, part], None if filled is None else filled[:, part])
        )
    if not parts:
        parts = [_summarise(values, filled)]
    return Statistics(
        **{
            field.name: np.concatenate(
                [getattr(part, field.name) for part in parts], axis=-1
            )
            for field in dataclasses.fields(Statistics)
        }
    )


def _summarise(
    values: NDArray[np.float32], filled: NDArray[np.bool_] | None
) -> Statistics:
    rows, columns = values.shape
    known = values.copy()
    missing = np.isnan(known)
    if filled is not None:
        missing |= filled
    absent = _count_down(missing)
    count = rows - absent
    some = count > 0
    whole = not absent.any()

    def leave_out(cells: NDArray[Any], instead: float) -> None:
        if not whole:
            np.copyto(cells, instead, where=missing)

    leave_out(known, np.inf)
    minimum = known.min(axis=0, initial=np.float32(np.inf)).astype(np.float64)
    leave_out(known, -np.inf)
    maximum = known.max(axis=0, initial=-np.float32(np.inf)).astype(np.float64)
    leave_out(known, 0.0)
    wide = known.astype(np.float64)
    mean = wide.sum(axis=0) / np.maximum(count, 1)
    distance = wide - mean
    leave_out(distance, 0.0)
    m2 = np.einsum("ij,ij->j", distance, distance)
    std = np.sqrt(m2 / np.maximum(count, 1))
    low = np.where(some, np.maximum(minimum, mean - _SPREAD * std), 0.0)
    high = np.where(some, np.minimum(maximum, mean + _SPREAD * std), 0.0)
    # Rounding of the mean of equal values can put an edge on the wrong side.
    low, high = np.minimum(low, high), np.maximum(low, high)
    width = high - low
    scale = np.divide(BINS - 2, width, out=np.zeros_like(width), where=width > 0)
    above = wide > high
    position = np.subtract(wide, low, out=distance)
    below = position < 0
    position *= scale
    np.clip(position, 0, BINS - 3, out=position)
    # Each bin's columns side by side; missing cells get a bin of their own.
    places = position.astype(np.int32)
    places += 1
    np.copyto(places, 0, where=below)
    np.copyto(places, BINS - 1, where=above)
    leave_out(places, BINS)
    places *= columns
    places += np.arange(columns, dtype=np.int32)
    histogram = np.bincount(places.ravel(), minlength=(BINS + 1) * columns)
    histogram = histogram.reshape(BINS + 1, columns)[:BINS]
    return Statistics(
        counts=count[None].astype(np.int64),
        missings=absent[None].astype(np.int64),
        means=np.where(some, mean, 0.0)[None],
        m2s=m2[None],
        minima=minimum[None],
        maxima=maximum[None],
        lows=low[None],
        highs=high[None],
        histograms=histogram[None].astype(np.uint32),
    )


def _count_down(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count what is set in each column."""
    # Bytes are added much faster than they are widened: as many as one can count.
    counts = np.zeros(flags.shape[1], dtype=np.int64)
    for first in range(0, len(flags), 255):
        counts += np.add.reduce(
            flags[first : first + 255].view(np.uint8), axis=0, dtype=np.uint8
        )
    return counts


def _bin_position(
    value: Float, minimum: Float, low: Float, high: Float, maximum: Float
) -> Float:
    """Where a value lies among the bins' edges, from 0 (minimum) to 64 (maximum)."""
    inner = _fraction(value, low, high) * (BINS - 2) + 1
    position = np.where(value < low, _fraction(value, minimum, low), inner)
    position = np.where(
        value > high, BINS - 1 + _fraction(value, high, maximum), position
    )
    position = np.where(value < minimum, 0.0, position)
    return np.where(value >= maximum, float(BINS), position)


def _fraction(value: Float, start: Float, end: Float) -> Float:
    width = end - start
    inside = np.isfinite(width) & (width > 0)
    part = np.divide(value - start, width, out=np.zeros_like(width), where=inside)
    return np.clip(part, 0.0, 1.0)


def _finite(values: Float) -> Float:
    return np.where(np.isfinite(values), values, np.nan)
