"""The Random Cut Forest [1]_ of the library krcf, for vectors of any kind.

References
----------
.. [1] S. Guha, N. Mishra, G. Roy and O. Schrijvers (2016), "Robust Random Cut Forest
   Based Anomaly Detection on Streams", Proc. 33rd ICML, 2712–2721.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ArtifactError, MissingExtraError

_BOX_BYTES = 64 << 20


class CutForest:
    """A Random Cut Forest.

    Parameters
    ----------
    forest : krcf.RandomCutForest
        As the library makes it.
    """

    def __init__(self, forest: Any) -> None:
        self._forest = forest

    @classmethod
    def planted(cls, dimensions: int, trees: int, samples: int, seed: int) -> CutForest:
        """Make a forest that has seen nothing yet.

        Parameters
        ----------
        dimensions : int
            Numbers in a vector, D.
        trees : int
            How many trees.
        samples : int
            Vectors that each keeps.
        seed : int
            Of the vectors' choice and of the cuts.

        Returns
        -------
        CutForest
            The same for one seed and one version of krcf.

        Raises
        ------
        MissingExtraError
            If krcf is not installed.
        """
        # A tree keeps the bounds of its nodes, or computes them anew from the vectors
        # each time; scores are the same.
        boxes = 8 * trees * samples * dimensions
        wanted: dict[str, Any] = {
            "dimensions": dimensions,
            "shingle_size": 1,
            "num_trees": trees,
            "sample_size": samples,
            "random_seed": seed,
            # All vectors count alike, the first as much as the last: as in SageMaker's
            # algorithm, and unlike in krcf's own default for streams.
            "lambda": 0.0,
            "initial_accept_fraction": 1.0,
            "output_after": 1,
            "bounding_box_cache_fraction": min(1.0, _BOX_BYTES / boxes),
            "parallel_execution_enabled": True,
        }
        return cls(_library()(wanted))

    @property
    def dimensions(self) -> int:
        """Numbers in a vector, D."""
        return int(self._forest.dimensions())

    def learn(self, vectors: NDArray[np.float32]) -> None:
        """Show the forest what is usual.

        Parameters
        ----------
        vectors : ndarray of float32, shape (B, D)
            In an order that is kept.
        """
        for vector in vectors:
            self._forest.update(vector)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score vectors.

        Parameters
        ----------
        vectors : ndarray of float32, shape (B, D)
            The vectors.

        Returns
        -------
        ndarray of float64, shape (B,)
            The larger, the more unusual.
        """
        return np.array([self._forest.score(vector) for vector in vectors], np.float64)

    def attribution(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Tell which numbers of vectors are unusual.

        Parameters
        ----------
        vectors : ndarray of float32, shape (B, D)
            The vectors.

        Returns
        -------
        ndarray of float64, shape (B, D)
            What each number adds to the score, by being too high or too low.
        """
        parts = np.empty(vectors.shape)
        for vector, part in zip(vectors, parts, strict=True):
            found = self._forest.attribution(vector)
            np.add(found["high"], found["low"], out=part)
        return parts

    def isolate(
        self, samples: NDArray[np.float32], observed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score vectors by those of their numbers that were observed.

        What the others add to the score is left out, and what is left is scaled to as
        many numbers as a vector has.

        Parameters
        ----------
        samples : ndarray of float32, shape (B, D)
            The vectors.
        observed : ndarray of bool, shape (B, D)
            Which of their numbers were observed, at least one of each.

        Returns
        -------
        score : ndarray of float64, shape (B,)
            The larger, the more unusual; the forest's score where all was observed.
        parts : ndarray of float64, shape (B, D)
            What each number has in it; 0 where nothing was observed.
        """
        parts = np.where(observed, self.attribution(samples), 0)
        # What the numbers add is the score; to ask for it would take as long again.
        share = np.count_nonzero(observed, axis=1) / samples.shape[1]
        return parts.sum(axis=1) / share, parts

    def content(self) -> bytes:
        """Return the forest as a file.

        Returns
        -------
        bytes
            The library's own MessagePack.
        """
        return bytes(self._forest.to_msgpack())

    @classmethod
    def from_content(cls, content: bytes) -> CutForest:
        """Read a forest from a file.

        Parameters
        ----------
        content : bytes
            As `content` returned it.

        Returns
        -------
        CutForest
            As it was: with the same scores, bit for bit.

        Raises
        ------
        ArtifactError
            If this version of krcf cannot read it.
        MissingExtraError
            If krcf is not installed.
        """
        library = _library()
        try:
            return cls(library.from_msgpack(content))
        except (ValueError, TypeError, RuntimeError) as error:
            raise ArtifactError(
                "a Random Cut Forest must be one that the installed krcf can read, but"
                f" {type(error).__name__}: {error}; use the version that wrote it, or"
                " train again"
            ) from None


def _library() -> Any:
    try:
        from krcf import RandomCutForest
    except ImportError:
        raise MissingExtraError("a Random Cut Forest", "baselines") from None
    return RandomCutForest
