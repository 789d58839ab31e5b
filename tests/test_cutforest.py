"""The Random Cut Forest: what it keeps, gives back, and how its score is shared out."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from echoanom import cutforest
from echoanom.cutforest import CutForest
from echoanom.errors import ArtifactError, MissingExtraError

pytestmark = pytest.mark.slow

CELLS = 12


def usual(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, CELLS)).astype(np.float32)


@pytest.fixture(scope="module")
def forest() -> CutForest:
    planted = CutForest.planted(CELLS, trees=30, samples=64, seed=3)
    planted.learn(usual(200))
    return planted


def isolate(forest: CutForest, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score vectors of which all was observed."""
    return forest.isolate(vectors, np.ones(vectors.shape, dtype=bool))


def test_what_numbers_add_that_were_not_observed_is_left_out(forest: CutForest) -> None:
    vectors = usual(200, seed=8)
    expected = forest.scores(vectors)
    vectors[:, 2] = 20
    observed = np.ones(vectors.shape, dtype=bool)
    observed[:, 2] = False
    score, parts = forest.isolate(vectors, observed)
    assert (parts[:, 2] == 0).all()
    assert forest.scores(vectors).mean() > 2 * expected.mean()
    assert score.mean() < 1.2 * expected.mean()


def test_all_vectors_to_learn_from_count_alike() -> None:
    # The mean position of the vectors that trees keep is the middle of the stream; a
    # forest that forgets has it near the end.
    forest = CutForest.planted(1, trees=50, samples=256, seed=0)
    count = 20_000
    forest.learn(np.arange(count, dtype=np.float32)[:, np.newaxis])
    inner = forest._forest
    low, high = (inner.density([count * share]) for share in (0.25, 0.75))
    assert 0.6 < low / high < 1.6


def test_what_the_numbers_add_is_the_score(forest: CutForest) -> None:
    vectors = usual(20, seed=1)
    score, parts = isolate(forest, vectors)
    assert parts.shape == (20, CELLS) and (parts >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), score)
    np.testing.assert_allclose(score, forest.scores(vectors), rtol=1e-6)


def test_a_number_that_is_far_off_has_most_of_the_score(forest: CutForest) -> None:
    vectors = usual(CELLS, seed=2)
    vectors[np.arange(CELLS), np.arange(CELLS)] += 20
    score, parts = isolate(forest, vectors)
    assert (parts.argmax(axis=1) == np.arange(CELLS)).all()
    assert score.min() > 2 * forest.scores(usual(50, seed=4)).mean()


def test_a_forest_that_was_stored_scores_the_same_bit_for_bit(
    forest: CutForest,
) -> None:
    loaded = CutForest.from_content(forest.content())
    assert loaded.dimensions == CELLS
    for ours, theirs in zip(
        isolate(forest, usual(30, seed=5)),
        isolate(loaded, usual(30, seed=5)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_one_seed_gives_one_forest_and_another_another() -> None:
    found = []
    for seed in (1, 1, 2):
        forest = CutForest.planted(CELLS, trees=10, samples=32, seed=seed)
        forest.learn(usual(100))
        found.append(forest.scores(usual(10, seed=6)))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_bounds_that_are_not_kept_change_no_score(
    forest: CutForest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutforest, "_BOX_BYTES", 1000)
    smaller = CutForest.planted(CELLS, trees=30, samples=64, seed=3)
    smaller.learn(usual(200))
    assert len(smaller.content()) < len(forest.content())
    vectors = usual(20, seed=7)
    np.testing.assert_array_equal(
        isolate(smaller, vectors)[1], isolate(forest, vectors)[1]
    )


@pytest.mark.parametrize("content", [b"", b"no forest", b"\x81\xa1a\x01"])
def test_what_is_no_forest_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="must be one that the installed krcf"):
        CutForest.from_content(content)


def test_without_the_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importing = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "krcf":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[baselines\]'"):
        CutForest.planted(CELLS, trees=10, samples=32, seed=0)
