#!/usr/bin/env python3
"""Hold the autoencoder against baselines: tell what each model finds.

::

    python benchmarks/detection.py --table quality.csv.gz --label EVENT --json detection.json

Each model learns from the same days of a simulated fortnight, planted anomalies included,
and sees no label; then all of the days are scored and held against the labels. Given
``--table``, a CSV of a row a minute with a column that is true where something was the
matter, the same is done with that. VUS-PR and average precision are those of
``echoanom evaluate``, over all rows; a random score has the share of labelled rows as its
average precision. Windows have 64 rows and begin every 8 to learn, every 4 to score.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring

from echoanom.comparing import Contender, compare
from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.labels import read_labels
from echoanom.options import ModelOptions, StackOptions, TrainOptions, WindowOptions
from echoanom.scoring import score
from echoanom.simulation import SimulationOptions, simulate
from echoanom.training import train

CUT_DAYS = Path(__file__).resolve().parent.parent / "tools" / "cut_days.py"
WINDOW = 64
STRIDE = 8
SCORE_STRIDE = 4
COLUMNS = {
    "data": "data",
    "model": "model",
    "vus_pr": "VUS-PR",
    "average_precision": "avg. precision",
    "labelled_rows": "labelled",
    "loss": "loss",
    "validation_loss": "held back",
    "train_s": "training [s]",
}


def models(epochs: int) -> dict[str, tuple[ModelOptions, TrainOptions]]:
    """Name what is compared: the autoencoder at either scaling, and the baselines.

    Parameters
    ----------
    epochs : int
        Of the autoencoder.

    Returns
    -------
    dict
        Model and how it is fitted, by name.
    """
    standard = TrainOptions(normalization="standard")
    return {
        "autoencoder": (ModelOptions(), TrainOptions(epochs=epochs)),
        "autoencoder, standard": (
            ModelOptions(output="linear"),
            TrainOptions(epochs=epochs, normalization="standard"),
        ),
        "pca": (ModelOptions(kind="pca"), standard),
        "pca-rows": (ModelOptions(kind="pca-rows"), standard),
        "zscore": (ModelOptions(kind="zscore"), standard),
        "step": (ModelOptions(kind="step"), standard),
    }


def measure(
    data: str, source: str, folder: Path, epochs: int
) -> list[measuring.Figures]:
    """Train, score and evaluate every model on one observatory.

    Parameters
    ----------
    data : str
        Name of the data.
    source : str
        Folder of daily tables, with labels.csv.
    folder : Path
        Takes the dataset and the models.
    epochs : int
        Of the autoencoder.

    Returns
    -------
    list of dict
        A line a model.
    """
    convert(source, str(folder / "dataset"), stacking=StackOptions(max_gap_min=5))
    dataset = open_dataset(str(folder / "dataset"))
    window = WindowOptions(size=WINDOW, stride=STRIDE, shuffle=True)
    lines: list[measuring.Figures] = []
    contenders = []
    for name, (network, training) in models(epochs).items():
        began = time.perf_counter()
        model = str(folder / name.replace(", ", "-"))
        artifact = train(dataset, model, window, network, training)
        took = time.perf_counter() - began
        best = artifact.record.best
        lines.append(
            {
                "data": data,
                "model": name,
                "loss": best.loss,
                "validation_loss": best.validation_loss,
                "train_s": took,
            }
        )
        table = score(dataset, artifact, stride=SCORE_STRIDE)
        contenders.append(Contender(name, table))
    labels = read_labels(str(Path(source) / "labels.csv"))
    for line, compared in zip(lines, compare(contenders, labels), strict=True):
        found = compared.evaluation.as_json()
        line["rows"] = found["rows"]
        line["labelled_rows"] = found["labelled_rows"]
        line["vus_pr"] = found["vus_pr"]
        line["average_precision"] = found["average_precision"]
    return lines


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="a CSV of a row a minute, with labels")
    parser.add_argument("--label", default="EVENT", help="its column of labels")
    parser.add_argument("--epochs", type=int, default=10, help="of the autoencoder")
    parser.add_argument("--json", help="where the figures go")
    parser.add_argument("--toy", action="store_true", help="as small as it goes")
    given = parser.parse_args()
    days, bins, epochs = (4, 16, 1) if given.toy else (14, 64, given.epochs)
    lines = []
    with tempfile.TemporaryDirectory(prefix="echoanom-") as name:
        simulated = Path(name) / "simulated"
        simulate(str(simulated / "source"), SimulationOptions(days=days, bins=bins))
        lines += measure("simulated", str(simulated / "source"), simulated, epochs)
        if given.table:
            real = Path(name) / "real"
            cut = [given.table, real / "source", "--sensor", "real"]
            command = [sys.executable, CUT_DAYS, *cut, "--label", given.label]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            table = Path(given.table).name
            lines += measure(table, str(real / "source"), real, epochs)
    measuring.print_table("What each model finds", COLUMNS, lines)
    results = {
        "machine": measuring.machine("keras", "tensorflow"),
        "epochs": epochs,
        "results": lines,
    }
    measuring.write_json(given.json, "detection", results)


if __name__ == "__main__":
    main()
