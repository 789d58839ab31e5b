"""Scores of a dataset: against plain loops, the SavedModel, gaps and masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from datasets import PERIOD_S, sensor_days, write_tables
from models import untrained_artifact
from naive import naive_fold

from echoanom import folding
from echoanom.artifact import Artifact
from echoanom.autoencoder import build_autoencoder
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import ArtifactError, CorruptionError, WindowError
from echoanom.manifest import RunTable
from echoanom.options import DAY_S, StackOptions, TableOptions, WindowOptions
from echoanom.pipeline import windows
from echoanom.reader import IndexedReader
from echoanom.scoring import covered_rows, default_batch_size, score

pytestmark = pytest.mark.slow

SIZE = 13


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One sensor with gaps: shorter ones filled, longer ones left."""
    folder = tmp_path_factory.mktemp("scoring")
    days = sensor_days(4, ("u", "v", "w", "echo", "temperature"), seed=5)
    # Leaves a run that no window fits into.
    second = days["2020-02-28"]
    days["2020-02-28"] = second.drop(second.index[[*range(20, 30), *range(36, 46)]])
    return converted(folder, days, max_gap_min=15)


@pytest.fixture(scope="module")
def artifact(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("scoring-model")
    return untrained_artifact(dataset, str(folder), size=SIZE)


def converted(
    folder: Path, days: dict[str, pd.DataFrame], max_gap_min: float = 0
) -> Dataset:
    source = write_tables(folder / "source", {"adcp": days})
    convert(
        source,
        str(folder / "dataset"),
        table=TableOptions(period_s=PERIOD_S),
        stacking=StackOptions(max_gap_min=max_gap_min),
    )
    return open_dataset(str(folder / "dataset"))


def naive_scores(
    dataset: Dataset, artifact: Artifact, stride: int
) -> tuple[dict[int, tuple[float, int, list[float]]], dict[int, float]]:
    """Score windows all at once, and fold them with the oracle."""
    options = WindowOptions(size=artifact.window.size, stride=stride, batch_size=10**6)
    stream = windows(dataset, options, normalization=artifact.normalization)
    (batch,) = stream.as_numpy_iterator()
    reproduced = np.asarray(artifact.model(batch["values"]))
    errors = np.where(batch["observed"], (batch["values"] - reproduced) ** 2, 0)
    cells = batch["observed"].sum(axis=(1, 2))
    starts = batch["start"].tolist()
    window_errors = errors.sum(axis=(1, 2)) / np.maximum(cells, 1)
    return (
        naive_fold(starts, errors, batch["observed"], dataset.period_s),
        dict(zip(starts, window_errors.tolist(), strict=True)),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "stride, batch_size",
    [(1, None), (1, 1), (1, 7), (5, 3), (SIZE, 4), (20, 1), (20, 16)],
)
def test_scores_equal_the_oracle(dataset, artifact, stride, batch_size):
    table = score(dataset, artifact, stride=stride, batch_size=batch_size)
    folded, window_errors = naive_scores(dataset, artifact, stride)
    assert table.times.tolist() == list(folded)
    expected, count, shares = zip(*folded.values(), strict=True)
    np.testing.assert_allclose(table.score, expected, rtol=1e-4)
    assert table.windows.tolist() == list(count)
    np.testing.assert_allclose(table.shares, shares, atol=2e-3)
    found = dict(zip(table.times.tolist(), table.window_score.tolist(), strict=True))
    started = {time: error for time, error in found.items() if not np.isnan(error)}
    assert started.keys() == window_errors.keys()
    np.testing.assert_allclose(
        list(started.values()), list(window_errors.values()), rtol=1e-4
    )


@pytest.mark.slow
def test_scoring_again_gives_the_same_bytes(dataset, artifact):
    tables = [score(dataset, artifact, batch_size=7) for _ in range(2)]
    for name in ("times", "score", "window_score", "windows", "shares"):
        first, second = (getattr(table, name).tobytes() for table in tables)
        assert first == second, name


def test_rows_of_runs_shorter_than_a_window_are_absent(dataset, artifact):
    table = score(dataset, artifact)
    runs = dataset.runs
    assert (runs.rows < SIZE).any()
    covered = np.concatenate(
        [
            start + np.arange(rows) * PERIOD_S
            for start, rows in zip(runs.start_s, runs.rows, strict=True)
            if rows >= SIZE
        ]
    )
    np.testing.assert_array_equal(table.times, covered)


def test_the_table_says_what_it_comes_from(dataset, artifact):
    table = score(dataset, artifact, stride=4)
    assert table.calibration == artifact.calibration
    assert table.columns == dataset.columns
    assert table.period_s == PERIOD_S
    assert table.provenance["dataset"] == {
        "path": dataset.path,
        "digest": dataset.digest,
    }
    assert table.provenance["model"] == {
        "path": artifact.path,
        "digest": artifact.digest,
        "trained": [artifact.record.training_days[i] for i in (0, -1)],
    }
    assert table.provenance["window"]["stride"] == 4


@pytest.mark.slow
def test_the_saved_model_gives_the_same_errors(tmp_path):
    # Without filled cells: a served model is told of missing cells alone.
    days = sensor_days(2, ("u", "v", "w"), seed=3)
    dataset = converted(tmp_path, days)
    artifact = untrained_artifact(dataset, str(tmp_path / "model"), size=SIZE)
    table = score(dataset, artifact)
    rows = tf.saved_model.load(f"{artifact.path}/saved_model/1").signatures["rows"]
    reader = IndexedReader(dataset)
    for first, count, start in zip(
        dataset.runs.first_row, dataset.runs.rows, dataset.runs.start_s, strict=True
    ):
        values, _ = reader.rows(int(first), int(count))
        errors = rows(values=tf.constant(values))["error"].numpy()
        if not len(errors):
            continue
        at = np.searchsorted(table.times, start)
        found = table.window_score[at : at + len(errors)]
        np.testing.assert_allclose(found, errors, rtol=1e-5)


def test_only_included_rows_are_scored(dataset, artifact):
    start = int(dataset.runs.start_s[0]) + DAY_S
    whole = score(dataset, artifact)
    part = score(dataset, artifact, include=[(start, start + DAY_S)])
    assert part.times.min() >= start
    assert part.times.max() < start + DAY_S
    left = score(dataset, artifact, exclude=[(start, start + DAY_S)])
    assert not np.isin(left.times, part.times).any()
    assert len(left.times) + len(part.times) <= len(whole.times)


def test_filled_and_missing_cells_change_no_score(dataset, artifact):
    # A network that reproduces nothing, so that it hides no cell either.
    table = score(dataset, dataclasses.replace(artifact, model=zero_model(artifact)))
    values, observed = IndexedReader(dataset).rows(0, dataset.rows)
    filled = ~observed & ~np.isnan(values)
    assert filled.any()
    assert np.isnan(values).any()
    rows = np.searchsorted(dataset.times(), table.times)
    squares = (artifact.normalization.apply(values) - 0.5) ** 2
    for row, found in zip(rows, table.score, strict=True):
        expected = squares[row][observed[row]]
        assert found == pytest.approx(
            expected.mean() if len(expected) else np.nan, nan_ok=True
        )


def zero_model(artifact: Artifact) -> keras.Model:
    """A network whose every weight is 0: its sigmoid gives 0.5 for anything."""
    model = build_autoencoder(SIZE, len(artifact.columns), artifact.network)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    return model


@pytest.mark.slow
def test_constant_and_wholly_missing_columns_make_no_nan(tmp_path):
    days = sensor_days(2, ("steady", "absent", "wave"), gaps=False)
    for table in days.values():
        table["steady"] = 7.5
        table["absent"] = np.nan
    dataset = converted(tmp_path, days)
    artifact = untrained_artifact(dataset, str(tmp_path / "model"), size=SIZE)
    table = score(dataset, artifact)
    assert np.isfinite(table.score).all()
    absent = [column.name for column in dataset.columns].index("absent")
    assert (table.shares[:, absent] == 0).all()


@pytest.mark.slow
def test_rows_without_any_observed_cell_have_no_score(tmp_path):
    days = sensor_days(2, ("one", "two"), gaps=False)
    first = next(iter(days.values()))
    first.iloc[30:33] = np.nan
    dataset = converted(tmp_path, days)
    artifact = untrained_artifact(dataset, str(tmp_path / "model"), size=SIZE)
    table = score(dataset, artifact)
    silent = np.isnan(table.score)
    assert silent.sum() in (0, 3)  # 0 if such rows are no rows of the dataset
    assert np.isfinite(table.score[~silent]).all()


def test_other_columns_are_refused(dataset, artifact):
    narrow = dataclasses.replace(artifact, columns=artifact.columns[:3])
    with pytest.raises(ArtifactError, match="must have the 3 columns of the model"):
        score(dataset, narrow)


def test_a_dataset_without_a_long_enough_run_is_refused(dataset, artifact):
    start = int(dataset.runs.start_s[0])
    with pytest.raises(WindowError, match="must fit into a run"):
        score(dataset, artifact, include=[(start, start + 5 * PERIOD_S)])
    with pytest.raises(WindowError, match="no rows; include more time, or exclude"):
        score(dataset, artifact, exclude=[(0, 2**40)])


def test_a_damaged_shard_is_named(dataset, artifact, tmp_path: Path):
    damaged = converted(
        tmp_path, sensor_days(3, ("u", "v", "w", "echo", "temperature"))
    )
    path = Path(damaged.shard_path(0))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=path.name):
        score(damaged, artifact)


def test_many_shares_go_to_a_scratch_file(dataset, artifact, monkeypatch):
    plain = score(dataset, artifact)
    monkeypatch.setattr(folding, "_MEMORY_BYTES", 100)
    mapped = score(dataset, artifact)
    assert isinstance(mapped.shares, np.memmap)
    np.testing.assert_array_equal(mapped.shares, plain.shares)


def test_progress_counts_windows(dataset, artifact):
    told: list[tuple[str, int, int]] = []
    table = score(
        dataset,
        artifact,
        batch_size=16,
        progress=lambda *state: told.append(state),
    )
    total = int(np.isfinite(table.window_score).sum())
    assert told[0] == ("scoring", 0, total)
    assert told[-1] == ("scoring", total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@pytest.mark.parametrize("size, stride", [(1, 1), (5, 1), (5, 3), (5, 5), (5, 9)])
def test_covered_rows_are_those_of_a_loop(size, stride):
    lengths = [0, 1, 4, 5, 6, 13, 40]
    rows = np.array(lengths, dtype=np.int64)
    runs = RunTable(np.cumsum(rows) - rows, rows, rows)
    covered = sum(
        len({s + i for s in range(0, n - size + 1, stride) for i in range(size)})
        for n in lengths
    )
    assert covered_rows(runs, WindowOptions(size=size, stride=stride)) == covered


def test_a_batch_has_about_half_a_million_cells():
    assert default_batch_size(64, 1600) == 5
    assert default_batch_size(64, 3000) == 2
    assert default_batch_size(64, 10**6) == 1
    assert default_batch_size(64, 5) == 1024
