"""The isolation forest [1]_: random trees that part unusual samples from others early.

scikit-learn grows it. What is kept are plain arrays, and scores are computed from them
without scikit-learn, the same whichever version of it grew the trees.

References
----------
.. [1] F. T. Liu, K. M. Ting and Z.-H. Zhou (2008), "Isolation Forest", Proc. 8th IEEE
   Int. Conf. on Data Mining, 413-422, doi:10.1109/ICDM.2008.17.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ArtifactError, MissingExtraError

_LEAF = -1
_UNREADABLE = (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile)
_PATHS_AT_ONCE = 1 << 20
_TYPES = {
    "roots": np.int32,
    "cells": np.int32,
    "thresholds": np.float64,
    "left": np.int32,
    "right": np.int32,
    "counts": np.int32,
}


@dataclasses.dataclass(frozen=True)
class IsolationForest:
    """The trees of a forest for samples of D cells, their N nodes one after the other.

    Attributes
    ----------
    dimensions : int
        Cells of a sample, D.
    samples : int
        Samples that each tree was grown from, at least 2.
    roots : ndarray of int32, shape (trees,)
        First node of each tree.
    cells : ndarray of int32, shape (N,)
        The cell that a node splits by; −1 for a leaf.
    thresholds : ndarray of float64, shape (N,)
        What is not above it goes to the left.
    left, right : ndarray of int32, shape (N,)
        The nodes below a node, behind it in the order; −1 for a leaf.
    counts : ndarray of int32, shape (N,)
        Samples that came to a node when the tree was grown, at least 1.
    """

    dimensions: int
    samples: int
    roots: NDArray[np.int32]
    cells: NDArray[np.int32]
    thresholds: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    counts: NDArray[np.int32]

    def isolate(
        self, samples: NDArray[np.float32], observed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score samples, and tell which cells isolate them.

        The score is that of [1]_, Eq. 2: 2 to the power of −E[h] / c, where h is the
        length of a sample's path through a tree, and c what it is on average. Where a
        tree splits by a cell that was not observed, the sample goes both ways, with the
        shares of the samples that the tree was grown from.

        A split counts for its cell by the bits it isolates the sample by, log2 of the
        samples before it over those after it: where one of 256 is cut off, 8; where
        they are halved, 1. A tree counts by 1 / h, so that those count that isolate
        the sample early, as in the local DIFFI of [2]_, which counts all splits of a
        path alike.

        Parameters
        ----------
        samples : ndarray of float32, shape (B, D)
            The samples.
        observed : ndarray of bool, shape (B, D)
            Which of their cells were observed.

        Returns
        -------
        score : ndarray of float64, shape (B,)
            In (0, 1]; the larger, the more unusual.
        parts : ndarray of float64, shape (B, D)
            What each cell has in it; at least 0, and of no scale. 0 where nothing was
            observed.

        References
        ----------
        .. [1] F. T. Liu, K. M. Ting and Z.-H. Zhou (2008), "Isolation Forest", Proc. 8th
           IEEE Int. Conf. on Data Mining, 413-422, doi:10.1109/ICDM.2008.17.
        .. [2] M. Carletti, M. Terzi and G. A. Susto (2023), "Interpretable Anomaly
           Detection with DIFFI: Depth-based feature importance of Isolation Forest",
           Engineering Applications of Artificial Intelligence 119, 105730,
           doi:10.1016/j.engappai.2022.105730.
        """
        score, parts = np.empty(len(samples)), np.empty(samples.shape)
        step = max(1, _PATHS_AT_ONCE // (len(self.roots) * self.samples))
        whole = observed.all(axis=1)
        # Where all was observed, a sample has one path in each tree.
        for rows in (np.flatnonzero(whole), *_cut(np.flatnonzero(~whole), step)):
            score[rows], parts[rows] = self._isolate(samples[rows], observed[rows])
        return score, parts

    def _isolate(
        self, samples: NDArray[np.float32], observed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        count, trees = len(samples), len(self.roots)
        # A pair is a sample in a tree. Each way it goes is at a node, and has a share.
        pair, node = np.arange(count * trees), np.tile(self.roots, count)
        share = np.ones(len(pair))
        length = np.zeros(len(pair))
        steps = []
        while len(pair):
            ended = self.cells[node] == _LEAF
            rest = share * average_path(self.counts[node])
            length += np.bincount(pair[ended], rest[ended], minlength=len(length))
            pair, node, share = pair[~ended], node[~ended], share[~ended]
            length += np.bincount(pair, share, minlength=len(length))
            sample, cell = pair // trees, self.cells[node]
            seen = observed[sample, cell]
            to_left = samples[sample, cell] <= self.thresholds[node]
            below = np.where(to_left, self.left[node], self.right[node])
            bits = np.log2(self.counts[node] / self.counts[below])
            place = sample * self.dimensions + cell
            steps.append((pair[seen], place[seen], (share * bits)[seen]))
            both = ~seen
            ways = [(pair[seen], below[seen], share[seen])]
            for side in (self.left[node[both]], self.right[node[both]]):
                part = self.counts[side] / self.counts[node[both]]
                ways.append((pair[both], side, share[both] * part))
            pair, node, share = (
                np.concatenate(parts) for parts in zip(*ways, strict=True)
            )
        parts = np.zeros(count * self.dimensions)
        for pairs, place, bits in steps:
            parts += np.bincount(place, bits / length[pairs], minlength=len(parts))
        mean = length.reshape(count, trees).mean(axis=1)
        usual = float(average_path(np.array([self.samples]))[0])
        return np.exp2(-mean / usual), parts.reshape(count, self.dimensions)

    def content(self) -> bytes:
        """Return the forest as a file.

        Returns
        -------
        bytes
            A compressed .npz.
        """
        file = io.BytesIO()
        names = ("dimensions", "samples", *_TYPES)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_content(cls, content: bytes) -> IsolationForest:
        """Read a forest from a file.

        Parameters
        ----------
        content : bytes
            As `content` returned it.

        Returns
        -------
        IsolationForest
            As it was.

        Raises
        ------
        ArtifactError
            If it is no such file.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                forest = cls(
                    dimensions=int(arrays["dimensions"]),
                    samples=int(arrays["samples"]),
                    **{name: arrays[name] for name in _TYPES},
                )
        except _UNREADABLE as error:
            raise ArtifactError(
                f"an isolation forest must be an .npz of {', '.join(_TYPES)}, but"
                f" {type(error).__name__}: {error}; train again"
            ) from None
        if not forest._is_whole():
            raise ArtifactError(
                "every node of an isolation forest must be a leaf or have two nodes"
                " behind it, but some are not; train again"
            )
        return forest

    def _is_whole(self) -> bool:
        """Tell whether every path ends: whether nodes lie behind what they are below."""
        nodes = len(self.cells)
        for name, dtype in _TYPES.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != 1:
                return False
            if name != "roots" and len(array) != nodes:
                return False
        inner = np.flatnonzero(self.cells != _LEAF)
        below = np.concatenate([self.left[inner], self.right[inner]])
        return bool(
            self.samples >= 2
            and len(self.roots)
            and ((self.roots >= 0) & (self.roots < nodes)).all()
            and ((self.cells >= _LEAF) & (self.cells < self.dimensions)).all()
            and ((below > np.tile(inner, 2)) & (below < nodes)).all()
            and (self.counts >= 1).all()
        )


def _cut(rows: NDArray[np.intp], step: int) -> list[NDArray[np.intp]]:
    return [rows[begin : begin + step] for begin in range(0, len(rows), step)]


def average_path(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Compute how long a path is on average that ends among so many samples.

    Parameters
    ----------
    counts : ndarray of int
        Numbers of samples, at least 1.

    Returns
    -------
    ndarray of float64
        c of [1]_, Eq. 1, with the harmonic number H(n) as ln n plus Euler's constant
        there; 1 for two samples and 0 for one, as in the authors' later work [2]_.

    References
    ----------
    .. [1] F. T. Liu, K. M. Ting and Z.-H. Zhou (2008), "Isolation Forest", Proc. 8th
       IEEE Int. Conf. on Data Mining, 413-422, doi:10.1109/ICDM.2008.17.
    .. [2] F. T. Liu, K. M. Ting and Z.-H. Zhou (2012), "Isolation-Based Anomaly
       Detection", ACM Trans. Knowl. Discov. Data 6(1), Eq. 1.
    """
    others = np.maximum(counts - 1, 1).astype(np.float64)
    harmonic = np.log(others) + np.euler_gamma
    found = 2 * harmonic - 2 * others / np.maximum(counts, 1)
    return np.where(counts <= 1, 0.0, np.where(counts == 2, 1.0, found))


def grow(
    samples: NDArray[np.float32], trees: int, per_tree: int, seed: int
) -> IsolationForest:
    """Grow a forest.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, D)
        What is usual; n at least 2.
    trees : int
        How many trees.
    per_tree : int
        Samples that each is grown from, at least 2; all, if there are fewer.
    seed : int
        Of the samples' choice and of the splits.

    Returns
    -------
    IsolationForest
        The same for one seed and one version of scikit-learn.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import IsolationForest as Grown
    except ImportError:
        raise MissingExtraError("an isolation forest", "baselines") from None
    count, dimensions = samples.shape
    per_tree = min(per_tree, count)
    # scikit-learn takes seeds of 32 bits.
    grown = Grown(n_estimators=trees, max_samples=per_tree, random_state=seed % 2**32)
    grown.fit(samples)
    nodes = [estimator.tree_ for estimator in grown.estimators_]
    ends = np.cumsum([tree.node_count for tree in nodes])
    roots = (ends - [tree.node_count for tree in nodes]).astype(np.int32)

    def below(name: str) -> NDArray[np.int32]:
        """Name the nodes of all trees together, leaving leaves as they are."""
        found = [getattr(tree, name) for tree in nodes]
        parts = [
            np.where(part == _LEAF, _LEAF, part + root)
            for part, root in zip(found, roots, strict=True)
        ]
        return np.concatenate(parts).astype(np.int32)

    left = below("children_left")
    cells = np.concatenate([tree.feature for tree in nodes])
    return IsolationForest(
        dimensions=dimensions,
        samples=per_tree,
        roots=roots,
        cells=np.where(left == _LEAF, _LEAF, cells).astype(np.int32),
        thresholds=np.concatenate([tree.threshold for tree in nodes]),
        left=left,
        right=below("children_right"),
        counts=np.concatenate([tree.n_node_samples for tree in nodes]).astype(np.int32),
    )
