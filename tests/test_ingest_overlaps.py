"""Samples that several files have: the same once, different ones refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakeinstrument import FakeInstrument
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError
from echoanom.ingest.instrument import InstrumentFile
from echoanom.ingest.overlaps import joined

FAKE = FakeInstrument()


def write(path: Path, rows: Sequence[Sequence[float | None]]) -> InstrumentFile:
    """Write a file of two columns; None is a missing cell."""
    rows = [[float("nan") if x is None else x for x in row] for row in rows]
    content = {"columns": {"a": "scalar", "b": "scalar"}, "rows": rows}
    path.write_text(json.dumps(content))
    look = FAKE.look(str(path), str(path))
    return InstrumentFile(str(path), path.stat().st_size, path.name, look)


def read(files: Sequence[InstrumentFile]) -> tuple[list[int], np.ndarray, dict]:
    blocks = list(joined(FAKE, files, 0, 86_400_000_000))
    times = [int(t) // 1_000_000 for block in blocks for t in block.times_us]
    counts: dict[str, int] = {}
    for block in blocks:
        for name, number in block.counts.items():
            counts[name] = counts.get(name, 0) + number
    return times, np.concatenate([block.values for block in blocks]), counts


def test_files_that_follow_each_other_are_read_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "1", [[0, 1, 2], [5, 3, 4]])
    second = write(tmp_path / "2", [[6, 5, 6]])
    times, values, counts = read([first, second])
    assert times == [0, 5, 6]
    assert values.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert "samples found twice" not in counts


def test_a_sample_of_two_files_comes_once_with_the_cells_of_both(
    tmp_path: Path,
) -> None:
    first = write(tmp_path / "1", [[0, 1, None], [5, None, 4]])
    second = write(tmp_path / "2", [[5, 3, 4], [9, 7, 8]])
    times, values, counts = read([first, second])
    assert times == [0, 5, 9]
    np.testing.assert_array_equal(values, [[1, np.nan], [3, 4], [7, 8]])
    assert counts["samples found twice"] == 1


def test_files_that_disagree_are_refused_with_both_names_and_the_time(
    tmp_path: Path,
) -> None:
    first = write(tmp_path / "1", [[0, 1, 2], [65, 3, 4]])
    second = write(tmp_path / "2", [[65, 3, 4.5], [70, 7, 8]])
    with pytest.raises(InstrumentFileError) as caught:
        read([first, second])
    assert str(caught.value) == (
        f"{second.path}: must have what {first.path} has for the same time, but b is"
        " 4.5 instead of 4 at 1970-01-01T00:01:05Z"
    )
    assert caught.value.path == second.path


def test_a_file_within_another_is_merged(tmp_path: Path) -> None:
    outer = write(tmp_path / "1", [[0, 1, 1], [10, 2, 2], [20, 3, 3]])
    inner = write(tmp_path / "2", [[5, 9, 9], [10, 2, 2]])
    after = write(tmp_path / "3", [[21, 4, 4]])
    times, values, counts = read([outer, inner, after])
    assert times == [0, 5, 10, 20, 21]
    assert values[:, 0].tolist() == [1, 9, 2, 3, 4]
    assert counts["samples found twice"] == 1


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True),
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 20)), min_size=1, max_size=5),
)
def test_any_files_that_agree_give_the_samples_of_all_of_them(
    tmp_path_factory: pytest.TempPathFactory,
    seconds: list[int],
    stretches: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("files")
    rows = [[second, second * 2.0, second * 3.0] for second in sorted(seconds)]
    files, there = [], set()
    for number, (first, length) in enumerate(stretches):
        chosen = rows[first : first + length]
        if chosen:
            files.append(write(folder / str(number), chosen))
            there.update(row[0] for row in chosen)
    if not files:
        return
    files.sort(key=lambda file: (file.look.first_us, file.path))
    times, values, _ = read(files)
    assert times == sorted(there)
    assert values[:, 0].tolist() == [second * 2.0 for second in times]
