"""The same rows as bodies of every content type, and the scores that they must have."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
from datasets import FIRST_DAY, PERIOD_S, sensor_days, write_tables
from models import untrained_artifact
from numpy.typing import NDArray

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.options import ShardOptions, StackOptions, TableOptions
from echoanom.reader import IndexedReader
from echoanom.scores import ScoreTable
from echoanom.scoring import score
from echoanom.stamps import format_stamp

SENSOR, COLUMNS, WINDOW = "ctd", ("temperature", "salinity", "pressure"), 7


@dataclasses.dataclass(frozen=True)
class Case:
    """A small dataset with gaps and missing cells, a model of it, and its scores."""

    dataset: Dataset
    artifact: str
    expected: ScoreTable
    values: NDArray[np.float32]
    times: NDArray[np.int64]

    def run(self) -> slice:
        """Return rows that follow each other, as long as possible."""
        longest = int(self.dataset.runs.rows.argmax())
        first = int(self.dataset.runs.first_row[longest])
        return slice(first, first + int(self.dataset.runs.rows[longest]))

    def json(self, rows: slice, *, start: bool = True) -> bytes:
        cells = [
            [None if np.isnan(one) else float(one) for one in row]
            for row in self.values[rows]
        ]
        about = {"rows": cells, "start": format_stamp(int(self.times[rows][0]))}
        return json.dumps(about if start else cells).encode()

    def csv(self, rows: slice, header: str = "") -> bytes:
        out = io.StringIO()
        out.write(header)
        for time, row in zip(self.times[rows], self.values[rows], strict=True):
            cells = ["" if np.isnan(one) else repr(float(one)) for one in row]
            out.write(",".join([format_stamp(int(time)), *cells]) + "\n")
        return out.getvalue().encode()

    def npy(self, rows: slice) -> bytes:
        out = io.BytesIO()
        np.save(out, self.values[rows])
        return out.getvalue()

    def records(self) -> bytes:
        shards = sorted(Path(self.dataset.path, "shards").glob("*.tfrecord"))
        return b"".join(shard.read_bytes() for shard in reversed(shards))


def make_case(folder: Path) -> Case:
    """Convert three days with gaps, none of them filled, and score them."""
    source = write_tables(folder / "source", {SENSOR: sensor_days(3, COLUMNS, seed=5)})
    convert(
        source,
        str(folder / "dataset"),
        table=TableOptions(period_s=PERIOD_S),
        stacking=StackOptions(max_gap_min=0),
        sharding=ShardOptions(shard_mib=0.002, record_kib=0.5),
    )
    dataset = open_dataset(str(folder / "dataset"))
    assert len(dataset.runs) > 3 and len(dataset.days) == 3
    assert dataset.days[0] == FIRST_DAY
    artifact = untrained_artifact(dataset, str(folder / "model"), size=WINDOW)
    values, _ = IndexedReader(dataset).rows(0, dataset.rows)
    assert np.isnan(values).any()
    return Case(
        dataset=dataset,
        artifact=artifact.path,
        expected=score(dataset, artifact),
        values=values,
        times=dataset.times(),
    )
