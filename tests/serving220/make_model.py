"""Make a model, requests and their scores for the other environment, into a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
from requests_of_rows import make_case  # noqa: E402

from echoanom.cloud.packaging import package_model  # noqa: E402


def main(folder: Path) -> None:
    case = make_case(folder / "made")
    package_model(case.artifact, str(folder / "model.tar.gz"))
    (folder / "day.csv").write_bytes(case.csv(slice(None)))
    (folder / "day.tfrecord").write_bytes(case.records())
    # Of every row, NaN where no window covers it.
    place = {int(time): at for at, time in enumerate(case.expected.times)}
    known = np.array([place.get(int(time), -1) for time in case.times])
    score, window_score = (
        np.where(known >= 0, column[known], np.nan)
        for column in (case.expected.score, case.expected.window_score)
    )
    runs = case.dataset.runs
    np.savez(
        folder / "expected.npz",
        values=case.values,
        first_row=runs.first_row,
        rows=runs.rows,
        score=score,
        window_score=window_score,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
