"""An instrument whose files are made of nothing but times and numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from echoanom.columns import Column
from echoanom.errors import InstrumentFileError
from echoanom.ingest.instrument import Block, Flag, InstrumentFile, Look


@dataclasses.dataclass(frozen=True)
class FakeInstrument:
    """Reads JSON: ``{"columns": {name: kind}, "rows": [[seconds, value, ...], ...]}``."""

    gain: float = 1.0
    least_samples: int = 1
    context_s: int = 0
    name: str = "fake"
    suffixes: tuple[str, ...] = (".fake",)
    look_version: int = 1
    joins_files: bool = False
    block_rows: int = 3

    def recipe(self) -> Mapping[str, Any]:
        return {"gain": self.gain}

    def look(self, path: str, local: str) -> Look:
        rows = self._read(path, local)["rows"]
        return Look(int(rows[0][0] * 1e6), int(rows[-1][0] * 1e6), {"rows": len(rows)})

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        return files

    def blocks(
        self, files: Sequence[InstrumentFile], start_us: int, stop_us: int
    ) -> Iterator[Block]:
        for file in files:
            with file.here() as local:
                content = self._read(file.path, local)
            columns = tuple(
                Column(name, "", "m", kind) for name, kind in content["columns"].items()
            )
            rows = np.array(content["rows"], dtype=float)
            times = (rows[:, 0] * 1e6).astype(np.int64)
            values = rows[:, 1:] * self.gain
            inside = np.flatnonzero((times >= start_us) & (times < stop_us))
            for first in range(0, len(inside), self.block_rows):
                chosen = inside[first : first + self.block_rows]
                flags = tuple(
                    Flag(int(times[row]), columns[0].name, values[row, 0], 3, "loud")
                    for row in chosen
                    if values[row, 0] > 900
                )
                yield Block(
                    *(columns, times[chosen], values[chosen], file.path),
                    counts={"samples": len(chosen)},
                    flags=flags,
                )

    def finish(
        self, columns: tuple[Column, ...], values: np.ndarray
    ) -> tuple[tuple[Column, ...], np.ndarray]:
        return columns, values

    @staticmethod
    def _read(path: str, local: str) -> dict[str, Any]:
        with open(local) as file:
            try:
                content: dict[str, Any] = json.load(file)
            except ValueError as error:
                raise InstrumentFileError(f"must be JSON, got {error}", path) from None
        return content
