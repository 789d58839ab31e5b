"""The isolation forest: scikit-learn's scores, from plain arrays."""

from __future__ import annotations

import builtins
import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest as Reference

from echoanom import isolation
from echoanom.errors import ArtifactError, MissingExtraError
from echoanom.isolation import IsolationForest, average_path, grow

pytestmark = pytest.mark.slow

CELLS = 6


def usual(count: int, cells: int = CELLS, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, cells)).astype(np.float32)


@pytest.fixture(scope="module")
def forest() -> IsolationForest:
    return grow(usual(500), trees=100, per_tree=256, seed=3)


def isolate(
    forest: IsolationForest, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score samples of which all was observed."""
    return forest.isolate(samples, np.ones(samples.shape, dtype=bool))


@given(
    count=st.integers(2, 300),
    cells=st.integers(1, 9),
    trees=st.integers(1, 20),
    per_tree=st.integers(2, 300),
    seed=st.integers(0, 2**40),
    constant=st.booleans(),
    rounded=st.booleans(),
)
def test_scores_are_those_of_scikit_learn(
    count: int,
    cells: int,
    trees: int,
    per_tree: int,
    seed: int,
    constant: bool,
    rounded: bool,
) -> None:
    samples = usual(count, cells, seed=seed % 1000)
    if constant:
        samples[:, 0] = 1
    if rounded:
        samples = np.round(samples)  # equal samples end in one leaf
    others = np.concatenate([samples[:20], 3 * usual(20, cells, seed=1)])
    reference = Reference(
        n_estimators=trees,
        max_samples=min(per_tree, count),
        random_state=seed % 2**32,
    ).fit(samples)
    score, parts = isolate(grow(samples, trees, per_tree, seed), others)
    np.testing.assert_allclose(score, -reference.score_samples(others), atol=1e-6)
    assert (parts >= 0).all() and np.isfinite(parts).all()


def slow_isolation(
    forest: IsolationForest, sample: np.ndarray, observed: np.ndarray
) -> tuple[float, np.ndarray]:
    """Follow one sample's ways through every tree, one node after the other."""
    lengths, parts = [], np.zeros(forest.dimensions)

    def follow(node: int, share: float, bits: np.ndarray) -> float:
        count = forest.counts[node]
        if forest.left[node] < 0:
            return share * float(average_path(np.array([count]))[0])
        cell = forest.cells[node]
        sides = forest.left[node], forest.right[node]
        if not observed[cell]:
            return share + sum(
                follow(side, share * forest.counts[side] / count, bits)
                for side in sides
            )
        side = sides[0] if sample[cell] <= forest.thresholds[node] else sides[1]
        bits[cell] += share * np.log2(count / forest.counts[side])
        return share + follow(side, share, bits)

    for root in forest.roots.tolist():
        bits = np.zeros(forest.dimensions)
        lengths.append(follow(root, 1.0, bits))
        parts += bits / lengths[-1]
    usual_length = float(average_path(np.array([forest.samples]))[0])
    return 2 ** (-np.mean(lengths) / usual_length), parts


@pytest.mark.parametrize("share", [1.0, 0.7, 0.2, 0.0])
def test_paths_are_followed_as_a_plain_loop_follows_them(
    forest: IsolationForest, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_PATHS_AT_ONCE", 100 * 256 * 4)
    samples = 2 * usual(15, seed=4)
    observed = np.random.default_rng(5).random(samples.shape) < share
    score, parts = forest.isolate(samples, observed)
    assert (parts[~observed] == 0).all()
    for i, sample in enumerate(samples):
        expected = slow_isolation(forest, sample, observed[i])
        assert score[i] == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(parts[i], expected[1], rtol=1e-12)


def test_what_was_not_observed_may_be_anything(forest: IsolationForest) -> None:
    samples, observed = usual(20, seed=6), np.ones((20, CELLS), dtype=bool)
    observed[:, 2] = False
    other = samples.copy()
    other[:, 2] = 1e6
    for ours, theirs in zip(
        forest.isolate(samples, observed), forest.isolate(other, observed), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_the_average_path_is_that_of_the_paper() -> None:
    # 2 H(n - 1) - 2 (n - 1) / n, with H(i) as ln i + 0.5772156649.
    np.testing.assert_allclose(
        average_path(np.array([1, 2, 3, 256])),
        [0, 1, 2 * (np.log(2) + np.euler_gamma) - 4 / 3, 10.244770920],
        rtol=1e-9,
    )


def test_a_cell_that_is_far_off_has_most_of_the_score(forest: IsolationForest) -> None:
    samples = np.zeros((CELLS, CELLS), dtype=np.float32)
    samples[np.arange(CELLS), np.arange(CELLS)] = 8
    score, parts = isolate(forest, samples)
    assert (parts.argmax(axis=1) == np.arange(CELLS)).all()
    assert (parts.max(axis=1) > 0.4 * parts.sum(axis=1)).all()
    usual_score, _ = isolate(forest, np.zeros((1, CELLS), dtype=np.float32))
    assert (score > usual_score + 0.05).all()


def test_no_samples_have_no_scores(forest: IsolationForest) -> None:
    score, parts = isolate(forest, np.empty((0, CELLS), dtype=np.float32))
    assert score.shape == (0,) and parts.shape == (0, CELLS)


def test_a_forest_that_was_stored_scores_the_same(forest: IsolationForest) -> None:
    content = forest.content()
    assert forest.content() == content
    loaded = IsolationForest.from_content(content)
    for field in dataclasses.fields(IsolationForest):
        np.testing.assert_array_equal(
            getattr(loaded, field.name), getattr(forest, field.name)
        )
    samples = usual(50, seed=5)
    for ours, theirs in zip(
        isolate(forest, samples), isolate(loaded, samples), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_one_seed_gives_one_forest_and_another_another() -> None:
    same, again, other = (
        grow(usual(300), trees=20, per_tree=64, seed=seed).content()
        for seed in (1, 1, 2)
    )
    assert same == again != other


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_what_is_no_forest_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"must be an \.npz of roots, cells"):
        IsolationForest.from_content(content)


@pytest.mark.parametrize(
    ("field", "place", "value"),
    [
        ("left", 0, 0),
        ("right", 0, 10**6),
        ("cells", 0, CELLS),
        ("counts", 5, 0),
        ("roots", 1, -1),
    ],
)
def test_nodes_that_lead_nowhere_are_refused(
    forest: IsolationForest, field: str, place: int, value: int
) -> None:
    changed = getattr(forest, field).copy()
    changed[place] = value
    content = dataclasses.replace(forest, **{field: changed}).content()
    with pytest.raises(ArtifactError, match="must be a leaf or have two nodes"):
        IsolationForest.from_content(content)


def test_without_the_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importing = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[baselines\]'"):
        grow(usual(20), trees=10, per_tree=16, seed=0)
