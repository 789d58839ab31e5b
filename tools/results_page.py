#!/usr/bin/env python3
"""Write the page of what each model finds from the benchmark's figures.

::

    python benchmarks/detection.py --data <folder of published data> \
        --json benchmarks/results/detection.json
    python benchmarks/skab_trials.py --data <folder of published data> \
        --json benchmarks/results/skab_trials.json
    python tools/results_page.py benchmarks/results/detection.json \
        benchmarks/results/skab_trials.json docs/results.md

Every figure on the page comes from these files; a test holds the page against them.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

MEASURES = {
    "vus_pr": "VUS-PR",
    "average_precision": "Average precision",
    "event_f1": "Event F1",
    "false_alarms_per_day": "False alarms a day",
}
ABOUT = {
    "vus_pr": "Needs no threshold. Differences of less than 0.03 are ties.",
    "average_precision": "Needs no threshold. Random scores reach the share of labelled"
    " rows.",
    "event_f1": "An event counts as right if it shares a row with a label, however long"
    " either is. So chance finds much where labels cover much, as in SKAB: read it"
    " beside the line *random*, and beside the false alarms.",
    "false_alarms_per_day": "Events that share no row with a label, by days of scored"
    " rows. A day of SKAB is a day of rows a second: a false alarm in one file of"
    " 20 minutes is some hundred a day.",
}
PUBLISHED = (
    ("Conv-AE, as published", "0.78", "13.55", "28.02"),
    ("MSET, as published", "0.78", "39.73", "14.13"),
    ("T² + Q, as published", "0.76", "26.62", "24.92"),
    ("LSTM-AE, as published", "0.74", "29.96", "25.92"),
    ("isolation forest, as published", "0.29", "2.56", "82.89"),
)


def page(found: Figures, trials: Figures) -> str:
    """Write the page.

    Parameters
    ----------
    found : dict
        The figures of ``benchmarks/detection.py``.
    trials : dict
        Those of ``benchmarks/skab_trials.py``.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        "# What each model finds",
        "Written by `tools/results_page.py` from the figures in"
        " `benchmarks/results/detection.json`;"
        " [benchmarks](../benchmarks/README.md#what-each-model-finds) says how to"
        " measure again, and [how to evaluate](evaluate.md) what the measures are.",
        _machine(found),
        *_incomplete(found),
        "Each model learns from the train part of a record and is judged on the test"
        " part, which it has not seen. The last fifth of the train part is held back:"
        f" the threshold, `{found['threshold']}`, comes from its scores, and so does the"
        " end of a network's training. No model sees a label. Figures are medians over"
        f" the seeds ({found['seeds']}), with the range in brackets where it is not"
        " nothing; the best of each column is bold.",
        "## Records",
        _records(found),
        *(f"- **{one['title']}**: {one['about']}" for one in found["sets"].values()),
    ]
    # A list stays together.
    begin = len(parts) - len(found["sets"])
    parts[begin:] = ["\n".join(parts[begin:])]
    parts += [
        "## Models",
        "Seconds are for all records of one seed, by the clock on the wall: other work on"
        " the machine lengthens them. Read them as orders of magnitude.",
        _models(found),
    ]
    for measure, title in MEASURES.items():
        parts += [f"## {title}", ABOUT[measure], _measure(found, measure)]
    parts += [*_published(found, trials), *_kinds(found)]
    return "\n\n".join(parts) + "\n"


def _machine(found: Figures) -> str:
    machine = found["machine"]
    names = {name: text for name, text in machine["versions"].items()}
    versions = ", ".join(f"{name} {text}" for name, text in names.items())
    return (
        f"Measured on {machine['date']} on {machine['cores']} cores"
        f" ({machine['processor']}), Python {machine['python']}, {versions}; seeds 0 to"
        f" {found['seeds'] - 1}. Training and scoring took"
        f" {found['seconds'] / 60:.0f} minutes."
    )


def _incomplete(found: Figures) -> list[str]:
    if found["complete"]:
        return []
    left_out = "".join(f" {name}: {why}." for name, why in found["left_out"].items())
    outdated = (
        f" Lines that an earlier version of the code measured: {count}."
        if (count := found["outdated_lines"])
        else ""
    )
    return [
        "**Not complete**: not every model, set and seed was measured with this version."
        f"{left_out}{outdated}"
    ]


def _records(found: Figures) -> str:
    lines = []
    for name, one in found["sets"].items():
        of_set = _lines(found, set=name)
        first = of_set[0]
        lines.append(
            (
                one["title"],
                f"{first['rows']:,}",
                f"{100 * first['labelled_rows'] / first['rows']:.1f} %",
                f"{first['labels']:,}",
                _period(one["period_s"]),
                f"{one['window']}",
                f"{one['train_stride']} / {one['score_stride']}",
                f"{one['epochs']}",
                f"{one['merge_gap_min']:g} min",
            )
        )
    head = ("record", "rows judged", "labelled", "labels", "period", "window")
    return _table((*head, "strides", "epochs", "events merged"), lines)


def _models(found: Figures) -> str:
    lines = []
    for name, one in found["models"].items():
        network = {key: value for key, value in one["network"].items() if value}
        said = ", ".join(
            f"{key} {_plain(value)}" for key, value in network.items() if key != "kind"
        )
        if one["window"]:
            said = ", ".join(filter(None, (said, f"windows of {one['window']} rows")))
        kind = network.get("kind", "autoencoder")
        if one["random"]:
            kind, said = "random numbers", "what chance finds"
        of_model = _lines(found, model=name)
        seconds = sum(line["train_s"] for line in of_model) / found["seeds"]
        scoring = sum(line["score_s"] for line in of_model) / found["seeds"]
        normalization = "" if one["random"] else one["normalization"]
        lines.append(
            (name, f"{kind}", normalization, said, f"{seconds:.0f}", f"{scoring:.0f}")
        )
    head = ("model", "kind", "normalization", "options", "training [s]", "scoring [s]")
    return _table(head, lines, left=4)


def _measure(found: Figures, measure: str) -> str:
    """A line a model, a column a set, and the mean of the medians."""
    most = measure != "false_alarms_per_day"
    digits = 3 if most else 2
    figures = {
        (model, name): [line[measure] for line in _lines(found, set=name, model=model)]
        for model in found["models"]
        for name in found["sets"]
    }
    medians = {
        key: statistics.median(values) for key, values in figures.items() if values
    }
    means = {
        model: statistics.fmean(medians[model, name] for name in found["sets"])
        for model in found["models"]
        if all((model, name) in medians for name in found["sets"])
    }
    rivals = [
        model for model, one in found["models"].items() if most and not one["random"]
    ]

    def best(values: dict[str, float]) -> float | None:
        of_rivals = [values[model] for model in rivals if model in values]
        return max(of_rivals, default=None)

    columns = {
        name: best({m: v for (m, of), v in medians.items() if of == name})
        for name in found["sets"]
    }
    lines = []
    for model in found["models"]:
        cells = [
            _cell(figures[model, name], digits, columns[name]) for name in found["sets"]
        ]
        if most:
            mean = [means[model]] if model in means else []
            cells.append(_cell(mean, digits, best(means)))
        lines.append((model, *cells))
    titles = [one["title"] for one in found["sets"].values()]
    return _table(("model", *titles, *(["mean"] if most else [])), lines)


def _published(found: Figures, trials: Figures) -> list[str]:
    of_skab = [line for line in found["results"] if "published" in line]
    if not of_skab:
        return []
    lines = []
    for model in dict.fromkeys(line["model"] for line in of_skab):
        of_model = [line["published"] for line in of_skab if line["model"] == model]
        cells = []
        for error in ("absolute", "own"):
            rates = [one[error] for one in of_model if error in one]
            for key, digits in (("f1", 3), ("far", 1), ("mar", 1)):
                cells.append(_cell([one[key] for one in rates], digits, None))
        lines.append((model, *cells))
    return [
        "## SKAB by its published protocol",
        "400 training rows a file, windows of 60 rows, every one of them; a window is"
        " unusual above 4/3 of the 0.999 quantile of those to train on; a row is an"
        " outlier if all windows are unusual that begin before it and hold it. The rows"
        " after the first 400 of all files are counted together. The published error of"
        " a window is the mean of its absolute errors; the last three columns take the"
        " one that the model scores by, which weighs large errors more. FAR is the rate"
        " of false alarms, MAR that of missed ones. Published figures are for 34 files,"
        " of which 25 are measured here, and the published Conv-AE decodes one channel"
        " for eight sensors.",
        _table(
            (
                "model",
                *("F1", "FAR [%]", "MAR [%]"),
                *("F1, own error", "FAR [%]", "MAR [%]"),
            ),
            [
                *lines,
                *((*line, "", "", "") for line in (_always(of_skab[0]), *PUBLISHED)),
            ],
        ),
        _limits(trials),
    ]


def _always(line: Figures) -> Sequence[str]:
    """Tell what an alarm reaches that is always on."""
    counts = line["published"]["own"]
    labelled = counts["right"] + counts["missed"]
    rows = labelled + counts["false"] + counts["quiet"]
    return "always on", f"{2 * labelled / (labelled + rows):.3f}", "100.0", "0.0"


def _limits(trials: Figures) -> str:
    """Tell what keeps F1 low, whatever is chosen."""
    lines = trials["results"]
    first = max(lines, key=lambda line: line["f1"])
    known = max(line["best_f1"] for line in lines)
    before, after = (
        f"{100 * first[place]['false'] / first[place]['rows']:.0f} % of the rows {place}"
        f" the fault, in {first[place]['files']} of {trials['files']} files"
        for place in ("before", "after")
    )
    return (
        "How much could be had? `benchmarks/skab_trials.py` fits principal components of"
        f" windows to the rows as they are, in {len(lines)} ways: how many, to how much"
        " of the rows to train on, squared or absolute errors. Chosen by the labels, the"
        f" best reaches an F1 of {first['f1']:.3f} ({first['components']} components,"
        f" fitted to {100 * first['share']:.0f} %, {first['error']} errors; FAR"
        f" {first['far']:.1f} %, MAR {first['mar']:.1f} %), and with another factor than"
        f" 4/3, chosen by the labels, too, {known:.3f}. It raises false alarms in"
        f" {before}, and {after}: rows there differ as much from those to train on as"
        " some faults do."
    )


def _kinds(found: Figures) -> list[str]:
    of_kinds = [line for line in found["results"] if "alone" in line]
    if not of_kinds:
        return []
    kinds = sorted({kind for line in of_kinds for kind in line["alone"]["kinds"]})
    budget = found["alarms_per_day"]
    labels = {
        kind: sum(
            line["alone"]["kinds"].get(kind, {"labels": 0})["labels"]
            for line in of_kinds
            if line["model"] == of_kinds[0]["model"]
        )
        for kind in kinds
    }
    head = (
        "model",
        *(f"{kind.replace('_', ' ')} ({labels[kind]})" for kind in kinds),
        f"all ({sum(labels.values())})",
        "false alarms a day",
    )
    parts = [
        "## Which kind of event which model misses",
        f"Share of the planted events that are found in the simulation at {budget:g}"
        " false alarm a day: the threshold is lowered, with the labels known, until one"
        " more step would raise more. It tells what scores can do. In brackets: how many"
        " were planted in the test parts of all seeds.",
    ]
    for how, title, about in (
        ("alone", "By the score alone", ""),
        (
            "with_outages",
            "With sensors that are silent or stuck",
            "As `echoanom detect --dataset` lists them, at their default limits."
            " Such an event finds what was planted of its kind in its sensor"
            " alone. That a sensor is silent is a fact: it is no false alarm, as gaps"
            " that nobody planted are real, too. A sensor that is said to be stuck and"
            " is not is one.",
        ),
    ):
        lines = []
        for model in found["models"]:
            of_model = [line[how] for line in of_kinds if line["model"] == model]
            if not of_model:
                continue
            shares = []
            for kind in kinds:
                counts = [
                    one["kinds"][kind] for one in of_model if kind in one["kinds"]
                ]
                shares.append(_share(counts))
            every = [count for one in of_model for count in one["kinds"].values()]
            alarms = statistics.fmean(one["false_alarms_per_day"] for one in of_model)
            lines.append((model, *shares, _share(every), f"{alarms:.2f}"))
        parts += [f"### {title}", *([about] if about else []), _table(head, lines)]
    return [*parts, *_rules(of_kinds, list(found["models"]))]


def _rules(of_kinds: Sequence[Figures], models: Sequence[str]) -> list[str]:
    """A line a model, what each rule finds and what it costs."""
    # A rule does not tell where too little was held back.
    rules = list(dict.fromkeys(rule for line in of_kinds for rule in line["by_rule"]))
    lines = []
    for model in models:
        of_model = [line["by_rule"] for line in of_kinds if line["model"] == model]
        if not of_model:
            continue
        cells = []
        for rule in rules:
            every = [one[rule] for one in of_model if rule in one]
            counts = [count for one in every for count in one["kinds"].values()]
            alarms = [one["false_alarms_per_day"] for one in every]
            cells += [
                _share(counts),
                f"{statistics.fmean(alarms):.2f}" if alarms else "",
            ]
        lines.append((model, *cells))
    head = ["model"]
    for rule in rules:
        head += [f"`{rule}`: found", "false alarms a day"]
    return [
        "### With a threshold that knows no label",
        "The same, silent and stuck sensors included, with thresholds from the rows held"
        " back. Those hold planted events, too, more than one a day: a quantile or a"
        " rate of alarms takes them for usual, and the threshold becomes too high. The"
        " median and the median distance from it (`mad`) hardly notice.",
        _table(head, lines),
    ]


def _share(counts: Sequence[Figures]) -> str:
    labels = sum(count["labels"] for count in counts)
    return f"{sum(count['found'] for count in counts) / labels:.2f}" if labels else ""


def _lines(found: Figures, **wanted: str) -> list[Figures]:
    return [
        line
        for line in found["results"]
        if all(line[key] == value for key, value in wanted.items())
    ]


def _cell(values: Sequence[float], digits: int, best: float | None) -> str:
    """Median and range; bold where the median is the best to the digits shown."""
    if not values:
        return ""

    def text(value: float) -> str:
        return f"{value:,.{digits}f}"

    middle = text(statistics.median(values))
    if best and middle == text(best):
        middle = f"**{middle}**"
    low, high = text(min(values)), text(max(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def _period(seconds: int) -> str:
    for unit, size in (("min", 60), ("s", 1)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    raise ValueError(seconds)


def _plain(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], left: int = 1) -> str:
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *lines))


def main(arguments: Sequence[str]) -> int:
    """Write the page.

    Parameters
    ----------
    arguments : sequence of str
        The benchmarks' two JSON files, and the page.

    Returns
    -------
    int
        Always 0.
    """
    *sources, target = arguments
    found, trials = (json.loads(Path(one).read_text("utf-8")) for one in sources)
    Path(target).write_text(page(found, trials), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
