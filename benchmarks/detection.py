#!/usr/bin/env python3
"""Hold every model against every labelled record: tell what each finds.

::

    make results DATA=<folder of published data>

Models learn from the train part of each record (`observatories`), with the end of it
held back for the threshold, and are judged on the test part. Each finished line goes to a
file beside the JSON; what is called again with the same options goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import measuring
import numpy as np
import skab_protocol
import xxhash
from alarm_budget import at_thresholds, within_budget
from contenders import CONTENDERS, Contender
from numpy.typing import NDArray
from observatories import OBSERVATORIES, Observatory, Series
from skab_protocol import Counts

from echoanom import __version__
from echoanom.artifact import Artifact
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import ScoresError
from echoanom.evaluation import evaluate
from echoanom.events import Event
from echoanom.options import EventOptions, StackOptions, TableOptions, WindowOptions
from echoanom.outages import find_outages
from echoanom.reader import IndexedReader
from echoanom.scores import ScoreTable
from echoanom.scoring import score
from echoanom.thresholds import Calibration
from echoanom.training import train

ROOT = Path(__file__).resolve().parent.parent
THRESHOLD = "quantile:0.999"
# By these, what is found of planted events is told, too: some count the planted events
# among the rows held back as usual, and one hardly does.
RULES = (THRESHOLD, "alarms:1", "mad:5")
ALARMS_PER_DAY = 1.0
SEEDS = 3
MEASURES = (
    *("vus_pr", "average_precision", "event_f1", "false_alarms_per_day"),
    *("event_precision", "event_recall", "affiliation_f1", "roc_auc"),
)
COLUMNS = {
    "set": "data",
    "model": "model",
    "seed": "seed",
    "vus_pr": "VUS-PR",
    "average_precision": "AP",
    "event_f1": "event F1",
    "false_alarms_per_day": "false alarms a day",
    "event_recall": "recall",
    "train_s": "training [s]",
    "score_s": "scoring [s]",
}


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A record, converted.

    Attributes
    ----------
    series : Series
        What is known of it.
    dataset : Dataset
        Its rows.
    """

    series: Series
    dataset: Dataset


def prepare(
    observatory: Observatory, data: Path, folder: Path, seed: int, toy: bool
) -> list[Prepared]:
    """Make daily tables of a set's records, and convert them.

    Parameters
    ----------
    observatory : Observatory
        The set.
    data : Path
        Folder of published data.
    folder : Path
        Takes tables and datasets.
    seed : int
        Of what is simulated.
    toy : bool
        As small as it goes.

    Returns
    -------
    list of Prepared
        The records.
    """
    prepared = []
    for series in observatory.prepare(
        data / observatory.file, folder / "tables", seed, toy
    ):
        dataset = str(folder / "datasets" / series.name)
        convert(
            str(series.source),
            dataset,
            table=TableOptions(period_s=observatory.period_s),
            stacking=StackOptions(max_gap_min=observatory.max_gap_min),
        )
        prepared.append(Prepared(series, open_dataset(dataset)))
    return prepared


def measure(
    observatory: Observatory,
    contender: Contender,
    prepared: Sequence[Prepared],
    seed: int,
    rule: str,
    epochs: int,
) -> measuring.Figures:
    """Train, score and judge one model on all records of a set.

    Parameters
    ----------
    observatory : Observatory
        The set.
    contender : Contender
        The model.
    prepared : sequence of Prepared
        Its records.
    seed : int
        Of weights, order and choice.
    rule : str
        Of the threshold, from the rows held back.
    epochs : int
        Of networks.

    Returns
    -------
    dict
        Means over the records, sums of rows and labels.
    """
    found: list[measuring.Figures] = []
    counts: list[dict[str, Counts]] = []
    for one in prepared:
        with tempfile.TemporaryDirectory(prefix="echoanom-") as model:
            began = time.perf_counter()
            artifact = _train(one, observatory, contender, seed, epochs, model)
            trained = time.perf_counter()
            stride, test = observatory.score_stride, one.series.test
            table = score(one.dataset, artifact, stride=stride, include=test)
            scored = time.perf_counter()
            line = {"train_s": trained - began, "score_s": scored - trained}
            if contender.random:
                table = _random(table, artifact.calibration, seed)
            found.append({**line, **_judge(table, one.series, observatory, rule)})
            if any(label.kind for label in one.series.labels):
                found[-1] |= _budgets(table, one, observatory)
            as_published = artifact.window.size == observatory.window
            if one.series.published and as_published and not contender.random:
                counts.append(_published(artifact, one, contender))
    whole: measuring.Figures = {"series": len(found)}
    for name in ("rows", "labelled_rows", "labels", "train_s", "score_s"):
        whole[name] = sum(line[name] for line in found)
    for name in (*MEASURES, "threshold"):
        whole[name] = float(np.mean([line[name] for line in found]))
    for name in ("alone", "with_outages", "by_rule"):
        if name in found[0]:
            whole[name] = found[0][name]
    if counts:
        whole["published"] = {}
        for name in counts[0]:
            total = Counts.total(one[name] for one in counts)
            whole["published"][name] = {**dataclasses.asdict(total), **total.rates()}
    return whole


def _train(
    one: Prepared,
    observatory: Observatory,
    contender: Contender,
    seed: int,
    epochs: int,
    model: str,
) -> Artifact:
    window = WindowOptions(
        size=contender.window or observatory.window,
        stride=observatory.train_stride,
        shuffle=True,
        seed=seed,
    )
    return train(
        one.dataset,
        model,
        window,
        contender.network,
        contender.training(epochs, observatory.score_stride),
        include=[one.series.train],
        overwrite=True,
    )


def _judge(
    table: ScoreTable, series: Series, observatory: Observatory, rule: str
) -> measuring.Figures:
    options = observatory.event_options()
    held_back = table.calibration
    assert held_back is not None
    # A model that reproduces everything, as components of one column do, has scores
    # that are all the same: no rule tells then, and what exceeds them is unusual.
    threshold = (
        held_back.grid[0]
        if held_back.constant
        else table.threshold(rule, options).value
    )
    judged = evaluate(table, series.labels, threshold=threshold, options=options)
    events = judged.by_event
    assert events is not None
    return {
        "rows": judged.rows,
        "labelled_rows": judged.labelled_rows,
        "labels": judged.labels,
        "threshold": threshold,
        "vus_pr": judged.vus_pr,
        "average_precision": judged.average_precision,
        "roc_auc": judged.roc_auc,
        "event_f1": events.f1,
        "event_precision": events.precision or 0.0,
        "event_recall": events.recall,
        "false_alarms_per_day": events.false_alarms_per_day,
        "affiliation_f1": events.affiliation_f1,
    }


def _budgets(
    table: ScoreTable, one: Prepared, observatory: Observatory
) -> measuring.Figures:
    options, labels = observatory.event_options(), one.series.labels
    outages: tuple[Event, ...] = find_outages(one.dataset, table, events=options)
    return {
        "alone": within_budget(table, labels, options, ALARMS_PER_DAY),
        "with_outages": within_budget(table, labels, options, ALARMS_PER_DAY, outages),
        "by_rule": at_thresholds(
            table, labels, options, _thresholds(table, options), outages
        ),
    }


def _thresholds(table: ScoreTable, options: EventOptions) -> dict[str, float]:
    """Return the thresholds of those rules that tell on the rows held back."""
    found = {}
    for rule in RULES:
        with contextlib.suppress(ScoresError):
            found[rule] = table.threshold(rule, options).value
    return found


def _random(
    table: ScoreTable, calibration: Calibration | None, seed: int
) -> ScoreTable:
    """Put random numbers in place of scores, and of those held back."""
    assert calibration is not None
    numbers = np.random.default_rng([seed, int(table.times[0])])
    held_back = Calibration.from_scores(numbers.random(calibration.count))
    drawn = np.where(np.isnan(table.score), np.nan, numbers.random(len(table.score)))
    return dataclasses.replace(table, score=drawn, calibration=held_back)


def _published(
    artifact: Artifact, one: Prepared, contender: Contender
) -> dict[str, Counts]:
    """Judge a file of SKAB as is published, by the model's error and the published."""
    table = score(one.dataset, artifact, stride=1)
    counts = {"own": _outliers(table.window_score, table, one, artifact.window.size)}
    if contender.reproduces:
        errors = _absolute_errors(table, one.dataset, artifact)
        counts["absolute"] = _outliers(errors, table, one, artifact.window.size)
    return counts


def _absolute_errors(
    table: ScoreTable, dataset: Dataset, artifact: Artifact
) -> NDArray[np.float64]:
    """Return each window's mean absolute error, normalised; NaN where none begins."""
    reader, size = IndexedReader(dataset), artifact.window.size
    found = np.full(len(table.times), np.nan)
    for first, rows in zip(dataset.runs.first_row, dataset.runs.rows, strict=True):
        if rows < size:
            continue
        values, observed = reader.rows(int(first), int(rows))
        windows, seen = (
            np.lib.stride_tricks.sliding_window_view(cells, size, axis=0).swapaxes(1, 2)
            for cells in (values, observed)
        )
        wanted, made = (
            artifact.normalization.apply(cells)
            for cells in (windows, artifact.reconstruct(windows))
        )
        errors = np.abs(wanted - made).sum(axis=(1, 2), where=seen)
        place = int(np.searchsorted(table.times, dataset.times()[first]))
        found[place : place + len(errors)] = errors / seen.sum(axis=(1, 2))
    return found


def _outliers(
    errors: NDArray[np.float64], table: ScoreTable, one: Prepared, size: int
) -> Counts:
    """Count the rows after those to train on."""
    begin, end = one.series.train
    inside = (table.times >= begin) & (table.times + (size - 1) * table.period_s < end)
    limit = skab_protocol.threshold(errors[inside & ~np.isnan(errors)])
    unusual = np.where(np.isnan(errors), np.nan, errors > limit)
    outlier = skab_protocol.outliers(unusual, size)
    rows = one.series.rows
    assert rows is not None
    rows = rows[rows.index >= end]
    # A row in a run too short for a window was never judged.
    places = np.searchsorted(table.times, rows.index.to_numpy())
    places = np.minimum(places, len(table.times) - 1)
    there = table.times[places] == rows.index.to_numpy()
    return Counts.of(outlier[places] & there, rows.to_numpy())


class Lines:
    """Finished lines, in a file of one JSON object a line.

    Parameters
    ----------
    path : Path
        The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # What was being written when a run was killed lacks its end.
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self._lines = [json.loads(line) for line in whole.splitlines()]

    def find(self, asked: measuring.Figures) -> measuring.Figures | None:
        """Find the line that was made as is asked now.

        Parameters
        ----------
        asked : dict
            Set, model, seed and all options.

        Returns
        -------
        dict or None
            The figures; None if there are none.
        """
        for line in reversed(self._lines):
            if line["asked"] == asked:
                figures: measuring.Figures = line["figures"]
                return figures
        return None

    def add(self, asked: measuring.Figures, figures: measuring.Figures) -> None:
        """Append a line.

        Parameters
        ----------
        asked : dict
            Set, model, seed and all options.
        figures : dict
            What was measured.
        """
        line = {"asked": asked, "figures": figures}
        self._lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def run(
    given: argparse.Namespace, names: Sequence[str], lines: Lines
) -> Iterator[measuring.Figures]:
    """Measure what was asked for, or take it from the lines that are there.

    Parameters
    ----------
    given : Namespace
        The options.
    names : sequence of str
        The sets.
    lines : Lines
        What is finished, and takes what is.

    Yields
    ------
    dict
        A line for each set, model and seed.
    """
    source = source_digest()
    for name in names:
        observatory = OBSERVATORIES[name]
        epochs = 1 if given.toy else observatory.epochs
        # Of each record of its own, all models are measured before it is dropped.
        drawn = range(given.seeds) if observatory.drawn_anew else (0,)
        for record in drawn:
            seeds = (record,) if observatory.drawn_anew else range(given.seeds)
            with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
                prepared: list[Prepared] = []
                for model in given.models:
                    contender = CONTENDERS[model]
                    for seed in seeds:
                        key = {"set": name, "model": model, "seed": seed}
                        asked = {
                            **key,
                            "observatory": observatory.as_json(),
                            "contender": contender.as_json(),
                            "epochs": epochs,
                            "threshold": given.threshold,
                            "toy": given.toy,
                        }
                        figures = lines.find(asked)
                        if figures is None:
                            prepared = prepared or prepare(
                                observatory,
                                Path(given.data),
                                Path(folder),
                                record,
                                given.toy,
                            )
                            figures = measure(
                                observatory,
                                contender,
                                prepared,
                                seed,
                                given.threshold,
                                epochs,
                            )
                            figures["source"] = source
                            lines.add(asked, figures)
                        _tell(key, figures)
                        yield {**key, **figures}


def source_digest() -> str:
    """Return the identity of the code that is measured and that measures.

    Returns
    -------
    str
        XXH3-128 of all that the figures may depend on, beside what a line was asked
        with.
    """
    digest = xxhash.xxh3_128()
    measuring_code = {"alarm_budget.py", "detection.py", "skab_protocol.py"}
    for path in sorted(ROOT.glob("echoanom/**/*.py")):
        digest.update(path.read_bytes())
    for name in sorted({*measuring_code, "observatories.py"}):
        digest.update((ROOT / "benchmarks" / name).read_bytes())
    return digest.hexdigest()


def _tell(key: measuring.Figures, figures: measuring.Figures) -> None:
    print(
        f"{key['set']}, {key['model']}, seed {key['seed']}:"
        f" VUS-PR {figures['vus_pr']:.3f}, AP {figures['average_precision']:.3f},"
        f" F1 {figures['event_f1']:.2f},"
        f" {figures['false_alarms_per_day']:.2f} false alarms a day;"
        f" {figures['train_s']:.0f} s + {figures['score_s']:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = measuring.parser(__doc__)
    add = parser.add_argument
    add("--data", default="../shared/data", help="folder of the published data")
    add("--only", nargs="+", choices=OBSERVATORIES, help="these sets alone")
    add("--models", nargs="+", choices=CONTENDERS, help="these models alone")
    add("--seeds", type=int, default=SEEDS, help="how many")
    add("--threshold", default=THRESHOLD, help="rule, from the rows held back")
    add("--lines", help="file of finished lines; beside the JSON if left out")
    given = parser.parse_args()
    given.models = given.models or list(CONTENDERS)
    return given


def main() -> None:
    """Run the benchmark."""
    given = _arguments()
    began = time.perf_counter()
    asked = given.only or list(OBSERVATORIES)
    names, left_out = [], {}
    for name in asked:
        file = OBSERVATORIES[name].file
        if (Path(given.data) / file).exists():
            names.append(name)
        else:
            left_out[name] = f"{file} is not in the folder of published data"
            print(f"left out {name}: {left_out[name]}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="echoanom-") as scratch:
        default = f"{given.json}l" if given.json else f"{scratch}/lines.jsonl"
        lines = list(run(given, names, Lines(Path(given.lines or default))))
    measuring.print_table("What each model finds", COLUMNS, lines)
    whole = (names, given.models) == (list(OBSERVATORIES), list(CONTENDERS))
    outdated = sum(line.pop("source") != source_digest() for line in lines)
    results = {
        "machine": measuring.machine("keras", "tensorflow", "krcf", "scikit-learn"),
        "version": __version__,
        "complete": whole and given.seeds >= SEEDS and not given.toy and not outdated,
        "outdated_lines": outdated,
        "seconds": sum(line["train_s"] + line["score_s"] for line in lines),
        "seeds": given.seeds,
        "threshold": given.threshold,
        "alarms_per_day": ALARMS_PER_DAY,
        "sets": {name: OBSERVATORIES[name].as_json() for name in names},
        "left_out": left_out,
        "models": {name: CONTENDERS[name].as_json() for name in given.models},
        "results": lines,
    }
    measuring.write_json(given.json, "detection", results)
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
