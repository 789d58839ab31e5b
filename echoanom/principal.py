"""Principal components: the few directions in which samples differ most.

What is usual lies near the mean and in these directions; what they leave of a sample is
its error.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

EXPLAINED = 0.9
"""Share of the variance that components explain if their number is left open."""
MOST = 32
"""Most components if their number is left open."""

_NOTHING = 1e-12  # share of the largest variance that is rounding alone
_AT_ONCE = 1 << 20  # cells that are worked on in double precision at a time


@dataclasses.dataclass(frozen=True)
class Principal:
    """The principal components of samples of D numbers.

    Attributes
    ----------
    mean : ndarray of float64, shape (D,)
        Mean of the samples.
    directions : ndarray of float64, shape (D, K)
        Orthonormal columns, by falling variance; 0 where the samples have fewer.
    kept : int
        How many there are.
    explained : float
        Share of the variance that lies in them, in [0, 1]; 1 where nothing varies.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    kept: int
    explained: float


def width(dimensions: int, components: int | None) -> int:
    """Tell how many components there can be.

    Parameters
    ----------
    dimensions : int
        Numbers in a sample, D.
    components : int, optional
        How many are asked for.

    Returns
    -------
    int
        K: never more than there are dimensions, and `MOST` if nothing is asked for.
    """
    return min(MOST if components is None else components, dimensions)


class Covariance:
    """Mean and covariance of samples that come a part at a time.

    Parameters
    ----------
    dimensions : int
        Numbers in a sample, D. D² numbers of 8 bytes are held.
    """

    def __init__(self, dimensions: int) -> None:
        self._count = 0
        self._shift: NDArray[np.float64] | None = None
        self._sum = np.zeros(dimensions)
        self._products = np.zeros((dimensions, dimensions))

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take in samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, D)
            The samples, n at least 1.
        """
        if self._shift is None:
            # About the mean: what is far from 0 loses no digits to its square.
            self._shift = samples.mean(axis=0, dtype=np.float64)
        step = max(1, _AT_ONCE // samples.shape[1])
        for begin in range(0, len(samples), step):
            part = samples[begin : begin + step] - self._shift
            self._count += len(part)
            self._sum += part.sum(axis=0)
            self._products += part.T @ part

    def principal(self, components: int | None) -> Principal:
        """Find the components of all samples.

        Parameters
        ----------
        components : int, optional
            How many; those of 90 % of the variance, at most 32, if left out.

        Returns
        -------
        Principal
            With K as `width` tells.
        """
        assert self._shift is not None
        mean = self._sum / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        variances, vectors = np.linalg.eigh(covariance)
        variances, vectors = variances[::-1], vectors[:, ::-1]
        kept, explained = _choose(variances, components)
        return _padded(mean + self._shift, vectors[:, :kept], explained, components)


def of_samples(samples: NDArray[np.float32], components: int | None) -> Principal:
    """Find the components of samples in memory.

    Where there are fewer samples than numbers in one, they are found from the products
    of samples with each other, as in [1]_, Sec. 12.1.4: n x n instead of D x D.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, D)
        The samples; their mean is taken from them in place.
    components : int, optional
        How many; those of 90 % of the variance, at most 32, if left out.

    Returns
    -------
    Principal
        With K as `width` tells.

    References
    ----------
    .. [1] C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006.
    """
    count, dimensions = samples.shape
    if dimensions <= count:
        covariance = Covariance(dimensions)
        covariance.add(samples)
        return covariance.principal(components)
    mean = samples.mean(axis=0, dtype=np.float64)
    samples -= mean.astype(np.float32)
    step = max(1, _AT_ONCE // count)
    products = np.zeros((count, count))
    for begin in range(0, dimensions, step):
        part = samples[:, begin : begin + step].astype(np.float64)
        products += part @ part.T
    variances, vectors = np.linalg.eigh(products / count)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    kept, explained = _choose(variances, components)
    vectors = np.ascontiguousarray(vectors[:, :kept])
    directions = np.empty((dimensions, kept))
    for begin in range(0, dimensions, step):
        part = samples[:, begin : begin + step].astype(np.float64)
        directions[begin : begin + step] = part.T @ vectors
    # Bishop's Eq. 12.30 scales to length 1; this makes them orthogonal to rounding, too.
    directions, _ = np.linalg.qr(directions)
    return _padded(mean, directions, explained, components)


def _choose(
    variances: NDArray[np.float64], components: int | None
) -> tuple[int, float]:
    """Tell how many directions to keep, and what share of the variance they have."""
    variances = np.maximum(variances, 0)
    total = variances.sum()
    there = int(np.count_nonzero(variances > _NOTHING * variances[0]))
    if not there:
        return 0, 1.0
    shares = np.cumsum(variances) / total
    if components is None:
        components = min(int(np.searchsorted(shares, EXPLAINED)) + 1, MOST)
    kept = min(components, there)
    return kept, min(float(shares[kept - 1]), 1.0)


def _padded(
    mean: NDArray[np.float64],
    found: NDArray[np.float64],
    explained: float,
    components: int | None,
) -> Principal:
    dimensions, kept = found.shape
    directions = np.zeros((dimensions, width(dimensions, components)))
    directions[:, :kept] = found
    return Principal(mean, directions, kept, explained)
