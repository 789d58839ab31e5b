"""Archives of shards in memory, and ways to stream them: pipes, sockets, short reads."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from hypothesis import strategies as st

from echoanom import records
from echoanom.columns import Column
from echoanom.manifest import Manifest, Records, Shard
from echoanom.options import ShardOptions, StackOptions, StorageDtype, TableOptions

PERIOD_S = 60
START_S = 1_600_000_020  # a whole minute, but no whole day


class Archive:
    """Shards as bytes, what their manifest says, and every row that they hold.

    Rows are numbered on a grid of one a period; `present` tells which exist. `values`
    (shape (grid, C)) are as stored, NaN where there is no row, and `observed` is False
    where a cell is missing or filled.
    """

    def __init__(
        self,
        manifest: Manifest,
        shards: list[bytes],
        spans: list[tuple[int, int]],
        present: list[bool],
        values: np.ndarray,
        observed: np.ndarray,
    ) -> None:
        self.manifest = manifest
        self.shards = shards
        self.spans = spans
        self.present = present
        self.values = values
        self.observed = observed

    def stream(self, order: Sequence[int] | None = None) -> bytes:
        """Return whole shards, one behind the other."""
        order = range(len(self.shards)) if order is None else order
        return b"".join(self.shards[i] for i in order)

    def shard_of(self, row: int) -> int:
        """Return the shard that owns a row of the grid."""
        return next(
            i for i, (begin, end) in enumerate(self.spans) if begin <= row < end
        )

    def record_offsets(self) -> list[int]:
        """Return where each record starts in the stream of all shards, and its end."""
        offsets, before = [], 0
        for shard in self.manifest.shards:
            offsets += [before + offset for offset in shard.records.offset]
            before += shard.bytes
        return [*offsets, before]


def time_of(row: int) -> int:
    return START_S + row * PERIOD_S


def row_of(times: np.ndarray) -> list[int]:
    return ((times - START_S) // PERIOD_S).tolist()


def make_archive(
    runs: Sequence[tuple[int, int]],
    borders: Sequence[int] = (),
    *,
    halo: int = 0,
    record_rows: int = 5,
    columns: int = 2,
    dtype: StorageDtype = "float32",
    missing: float = 0.1,
    filled: float = 0.1,
    seed: int = 0,
) -> Archive:
    """Make an archive of runs, given as (rows, gap behind), cut at rows of the grid.

    Records are cut at shard borders and gaps, as the converter cuts them.
    """
    rng = np.random.default_rng(seed)
    present = [there for rows, gap in runs for there in [True] * rows + [False] * gap]
    grid = len(present)
    values = rng.normal(size=(grid, columns)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    marks = (rng.random(values.shape) < filled) & ~np.isnan(values)
    edges = sorted({0, grid, *(border for border in borders if 0 < border < grid)})
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    stored = np.full(values.shape, np.nan, np.float32)
    shards, listed = [], []
    for begin, end in spans:
        blocks = list(_cut(present, begin, end, record_rows))
        own = len(blocks)
        if halo and present[end - 1]:
            stop = end
            while stop < min(grid, end + halo) and present[stop]:
                stop += 1
            blocks += _cut(present, end, stop, record_rows)
        content, entries = b"", []
        for number, (first, last) in enumerate(blocks):
            block = records.Block(
                time_of(first),
                values[first:last],
                marks[first:last] if marks[first:last].any() else None,
                number >= own,
            )
            record, crc = records.encode(block, dtype, len(content))
            length = len(record) - records.HEADER_BYTES - records.TRAILER_BYTES
            entries.append((len(content), length, last - first, block.start_s, crc))
            content += record
            if number < own:
                data = memoryview(record)[records.HEADER_BYTES : -records.TRAILER_BYTES]
                stored[first:last] = records.decode(data, columns, dtype).values
        columns_of = list(zip(*entries, strict=True)) or [()] * 5
        shards.append(content)
        listed.append(
            Shard(
                f"shard-{begin:04}",
                len(content),
                "",
                "",
                (),
                Records(*cast(Any, columns_of), halo=len(blocks) - own),
                {},
                (),
                (),
            )  # fmt: skip
        )
    manifest = Manifest(
        tuple(Column(f"c{i}", "sensor") for i in range(columns)),
        TableOptions(period_s=PERIOD_S),
        StackOptions(),
        ShardOptions(dtype=dtype, halo=halo),
        tuple(listed),
    )
    observed = ~np.isnan(stored) & ~marks
    return Archive(manifest, shards, spans, present, stored, observed)


def assert_stored(archive: Archive, values: np.ndarray, row: int) -> None:
    """Hold rows of a window to those that are stored.

    Halo rows of int16 data have a scale of their own, and so a rounding of their own.
    """
    expected = archive.values[row : row + len(values)]
    if archive.manifest.shard.dtype == "int16" and archive.manifest.shard.halo:
        np.testing.assert_allclose(values, expected, rtol=0, atol=2e-4)
    else:
        np.testing.assert_array_equal(values, expected)


def _cut(
    present: Sequence[bool], begin: int, end: int, record_rows: int
) -> Iterator[tuple[int, int]]:
    first = begin
    while first < end:
        if not present[first]:
            first += 1
            continue
        last = first
        while last < min(end, first + record_rows) and present[last]:
            last += 1
        yield first, last
        first = last


def archives(halo: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Archive]:
    """Return a strategy of archives: runs, gaps, shards, records, types of any kind."""
    return st.builds(
        make_archive,
        runs=st.lists(
            st.tuples(st.integers(1, 40), st.integers(1, 6)), min_size=1, max_size=5
        ),
        borders=st.lists(st.integers(1, 150), max_size=8),
        halo=st.integers(0, 30) if halo is None else halo,
        record_rows=st.integers(1, 25),
        columns=st.integers(1, 3),
        dtype=st.sampled_from(("float32", "float16", "int16")),
        missing=st.sampled_from((0.0, 0.2)),
        filled=st.sampled_from((0.0, 0.2)),
        seed=st.integers(0, 9),
    )


class Short:
    """A file that has `read` alone and returns less than asked for."""

    def __init__(self, content: bytes, seed: int = 0, largest: int = 100) -> None:
        self._content = memoryview(content)
        self._random = random.Random(seed)
        self._largest = largest

    def read(self, size: int) -> bytes:
        size = min(size, self._random.randint(1, self._largest))
        piece, self._content = self._content[:size], self._content[size:]
        return bytes(piece)


class ShortInto(Short):
    """The same with `readinto`."""

    def readinto(self, buffer: memoryview) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


_WRITER = """
import os, sys, time
fifo, source, end = sys.argv[1:]
with open(source, "rb") as file:
    content = memoryview(file.read())
try:
    with open(fifo, "wb", buffering=0) as out:
        while content:
            content = content[out.write(content[: 1 << 20]) :]
        if end == "stall":
            time.sleep(600)
        if end == "kill":
            os.kill(os.getpid(), 9)
except BrokenPipeError:
    sys.exit(32)
"""


@contextlib.contextmanager
def fifo_writer(
    folder: Path, content: bytes, end: str = "close"
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Write to a FIFO from another process, which then closes it, stalls or is killed.

    Yields the FIFO and the process, whose exit status is 32 if nobody read on.
    """
    fifo, source = folder / "fifo", folder / "content"
    if not fifo.exists():
        os.mkfifo(fifo)
    source.write_bytes(content)
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(fifo), str(source), end]
    )
    try:
        yield str(fifo), process
    finally:
        process.kill()
        process.wait()
