"""The state of a training: complete after any kill, and only for its own training."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest

from echoanom import publishing
from echoanom.autoencoder import build_autoencoder
from echoanom.checkpoints import (
    Checkpoint,
    TrainingState,
    add_metrics,
    read_metrics,
    read_variables,
    write_variables,
)
from echoanom.errors import TrainingError
from echoanom.history import EpochLosses
from echoanom.modeloptions import ModelOptions

IDENTITY = {"dataset": "abc", "window": {"size": 8, "seed": 0}, "exclude": ((1, 2),)}


def state(epochs: int) -> TrainingState:
    return TrainingState(
        history=tuple(EpochLosses(i + 1, 1 / (i + 1), 0.1 + i) for i in range(epochs)),
        position=10 * epochs,
        stop_reason="enough" if epochs > 2 else "",
        variables=(np.arange(3.0), np.array(7), np.ones((2, 2), np.float32)) * 5,
        best_weights=(np.full((2, 1), epochs, np.float32),),
        metrics=(np.array(3.5), np.array(epochs)),
    )


def assert_same(found: TrainingState, expected: TrainingState) -> None:
    assert found.history == expected.history
    assert found.position == expected.position
    assert found.stop_reason == expected.stop_reason
    for name in ("variables", "best_weights", "metrics"):
        for ours, theirs in zip(
            getattr(found, name), getattr(expected, name), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("folder", ["local", "memory://checkpoints"])
def test_what_is_saved_last_is_what_is_loaded(tmp_path, folder):
    checkpoint = Checkpoint(str(tmp_path / folder) if folder == "local" else folder, {})
    assert not checkpoint.exists()
    for epochs in (1, 2, 3):
        checkpoint.save(state(epochs))
        assert checkpoint.exists()
        assert_same(checkpoint.load(), state(epochs))
    checkpoint.remove()
    assert not checkpoint.exists()


def test_the_last_two_states_take_space_and_nothing_is_left_behind(tmp_path):
    checkpoint = Checkpoint(str(tmp_path), IDENTITY)
    for epochs in (1, 2, 3):
        checkpoint.save(state(epochs))
    files = sorted(os.listdir(tmp_path / "checkpoint"))
    assert files == ["batch-00000020.npz", "batch-00000030.npz"]
    checkpoint.remove()
    assert os.listdir(tmp_path) == []


def test_an_interrupted_save_leaves_the_state_before(tmp_path, monkeypatch):
    checkpoint = Checkpoint(str(tmp_path), IDENTITY)
    checkpoint.save(state(1))

    def interrupted(path: str, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(state(2))
    assert_same(Checkpoint(str(tmp_path), IDENTITY).load(), state(1))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_state_that_was_copied_in_part_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
):
    checkpoint = Checkpoint(str(tmp_path), IDENTITY)
    checkpoint.save(state(1))
    checkpoint.save(state(2))
    newest = tmp_path / "checkpoint" / "batch-00000020.npz"
    newest.write_bytes(newest.read_bytes()[: int(kept * newest.stat().st_size)])
    assert_same(checkpoint.load(), state(1))
    assert "batch-00000020.npz" in caplog.text


def test_a_state_with_a_flipped_byte_gives_way_to_the_one_before(tmp_path: Path):
    checkpoint = Checkpoint(str(tmp_path), IDENTITY)
    checkpoint.save(state(1))
    checkpoint.save(state(2))
    newest = tmp_path / "checkpoint" / "batch-00000020.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert_same(checkpoint.load(), state(1))


def test_another_training_is_refused_with_what_differs(tmp_path):
    Checkpoint(str(tmp_path), IDENTITY).save(state(1))
    other = {**IDENTITY, "dataset": "xyz", "window": {"size": 9, "seed": 0}}
    with pytest.raises(
        TrainingError,
        match="dataset was 'abc' and is now 'xyz', window.size was 8 and is now 9;",
    ):
        Checkpoint(str(tmp_path), other).load()


def write_about(folder: Path, **arrays: np.ndarray) -> None:
    (folder / "checkpoint").mkdir(exist_ok=True)
    np.savez(folder / "checkpoint" / "batch-00000010.npz", **arrays)


@pytest.mark.parametrize("about", ["{", "[]", '{"format": 3}', '{"format": 2}'])
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, about: str):
    write_about(tmp_path, about=np.frombuffer(about.encode(), np.uint8))
    with pytest.raises(TrainingError, match="must hold the state of a training"):
        Checkpoint(str(tmp_path), IDENTITY).load()


def test_a_folder_without_a_whole_state_is_refused(tmp_path: Path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "batch-00000010.npz").write_text("no archive")
    with pytest.raises(TrainingError, match="is not whole"):
        Checkpoint(str(tmp_path), IDENTITY).load()


def test_a_pickle_is_not_read(tmp_path: Path):
    write_about(tmp_path, about=np.array([object()], dtype=object))
    with pytest.raises(TrainingError, match="allow_pickle"):
        Checkpoint(str(tmp_path), IDENTITY).load()


def compiled() -> keras.Model:
    model = build_autoencoder(4, 4, ModelOptions(filters=(2,), dropout=0.5))
    model.compile(keras.optimizers.Adam(1e-2))
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.slow
def test_a_model_goes_on_from_its_variables_as_if_it_had_never_stopped():
    keras.utils.set_random_seed(0)
    values = np.random.default_rng(0).random((8, 4, 4), dtype=np.float32)
    observed = np.ones(values.shape, dtype=bool)
    model = compiled()
    model.fit(values, observed, epochs=2, shuffle=False, verbose=0)
    between = read_variables(model)
    model.fit(values, observed, epochs=2, shuffle=False, verbose=0)
    expected = read_variables(model)

    keras.utils.set_random_seed(9)
    model = compiled()
    write_variables(model, between)
    model.fit(values, observed, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(read_variables(model), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Weights, state of dropout, and of Adam: its steps, its rate, two moments each.
    weights = len(model.get_weights())
    assert len(expected) == weights + 1 + 2 + 2 * weights


def test_variables_of_another_model_are_refused():
    with pytest.raises(TrainingError, match="1 stored variables are not the"):
        write_variables(compiled(), (np.zeros(3),))


def test_metrics_go_on_from_where_they_were():
    values = np.random.default_rng(0).random((8, 4, 4), dtype=np.float32)
    observed = np.ones(values.shape, dtype=bool)
    model = compiled()
    model.evaluate(values, observed, batch_size=2, verbose=0)
    expected = model.get_metrics_result()
    model.evaluate(values[:6], observed[:6], batch_size=2, verbose=0)
    before = read_metrics(model)
    model.evaluate(values[6:], observed[6:], batch_size=2, verbose=0)
    add_metrics(model, before)
    assert model.get_metrics_result() == expected
    assert len(before) == 2
