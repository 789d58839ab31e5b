#!/usr/bin/env python3
"""Write the page of measured speed, and its chart, from the benchmarks' figures.

::

    python benchmarks/throughput.py --peers --json benchmarks/results/throughput.json
    (and so on: streams, conversion, scoring, training, memory)
    python tools/performance_page.py benchmarks/results docs/performance.md \
        docs/images/throughput.png

Every figure on the page comes from these files; a test holds the page against them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

NAMES = (
    *("throughput", "fifo", "convert", "scoring", "training", "memory"),
    *("s3", "cluster", "serving", "tables", "ingest", "gpu"),
)
CASES = ("shuffled stride 1", "sequential stride 64", "sequential stride 1")
OURS, THEIRS = "#0072b2", "#999999"  # told apart without colour vision, too


def page(results: dict[str, Figures]) -> str:
    """Write the page.

    Parameters
    ----------
    results : dict of str to dict
        The figures of every benchmark of `NAMES`.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        "# Measured speed",
        "Written by `tools/performance_page.py` from the figures in"
        " `benchmarks/results/`; [benchmarks](../benchmarks/README.md) says what each"
        " of them means and how to measure again. Compare figures of one table only:"
        " the machine was virtual, and how fast it was changed from hour to hour.",
        "## Aims",
        _table(("what", "aim", "measured", ""), _aims(results)),
        "## Windows a second",
        _machine(results["throughput"]),
        "Windows of 64 × 1,600 float32 in batches of 32, normalised. Figures are ratios"
        " to the copy limit: a NumPy loop that copies the same windows from memory into"
        " fresh batches, timed just before and just after in the same process.",
        "![Windows a second, as ratio to the copy limit](images/throughput.png)",
        _throughput(results["throughput"]),
        "## From a FIFO",
        _machine(results["fifo"]),
        _table(
            ("case", "MB/s", "held against", "ratio", "lowest", "highest"),
            (
                (
                    line["case"],
                    f"{line['mb_per_s']:,.0f}",
                    line["limit"] or "",
                    *(f"{line[key]:.2f}" for key in ("ratio", "lowest", "highest")),
                )
                for line in results["fifo"]["results"]
            ),
        ),
        "## Instruments' files",
        _machine(results["ingest"]),
        _ingest(results["ingest"]),
        "## Conversion",
        _machine(results["convert"]),
        *_conversion(results["convert"]),
        "## Parquet",
        _machine(results["tables"]),
        _tables(results["tables"]),
        "## Scoring",
        _machine(results["scoring"]),
        _scoring(results["scoring"]),
        "## Training",
        _machine(results["training"]),
        _training(results["training"]),
        "## On a GPU",
        f"One {results['gpu']['machine']['device']}, beside: {_machine(results['gpu'])}",
        *_gpu(results["gpu"]),
        "## Memory",
        _machine(results["memory"]),
        _memory(results["memory"]),
        "## S3",
        _machine(results["s3"]),
        "A real server on the same two cores; what it takes is lost to the rest, so the last"
        " column compares the processor time of the reading process alone.",
        _store(results["s3"]),
        "## Dask workers",
        _machine(results["cluster"]),
        _table(
            ("work", "by", "s", "of 1 worker"),
            (
                (
                    line["work"],
                    line["by"],
                    f"{line['seconds']:.1f}",
                    _number(line["ratio"]),
                )
                for line in results["cluster"]["results"]
            ),
        ),
        "## Serving",
        _machine(results["serving"]),
        _serving(results["serving"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def draw(results: Figures, path: str) -> None:
    """Draw the chart of windows a second.

    Parameters
    ----------
    results : dict
        The figures of the benchmark of throughput.
    path : str
        The PNG.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    lines = results["results"]
    readers = list(dict.fromkeys(line["reader"] for line in lines))
    best = {
        reader: max(line["ratio"] for line in lines if line["reader"] == reader)
        for reader in readers
    }
    readers.sort(key=best.__getitem__)
    figure, panels = plt.subplots(
        1, len(CASES), sharey=True, figsize=(11, 0.26 * len(readers) + 1.2)
    )
    for panel, case in zip(panels, CASES, strict=True):
        ratio = {x["reader"]: x["ratio"] for x in lines if x["case"] == case}
        colours = [OURS if r.startswith("echoanom") else THEIRS for r in readers]
        panel.barh(readers, [ratio.get(r, 0) for r in readers], color=colours)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_xlim(1e-4, 3)
        panel.set_title(case, fontsize=10)
        panel.set_xlabel("of the copy limit")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _aims(results: dict[str, Figures]) -> Iterable[Sequence[str]]:
    throughput = {(x["reader"], x["case"]): x for x in results["throughput"]["results"]}
    fifo = {x["case"]: x for x in results["fifo"]["results"]}
    function = "echoanom function, float32"
    converted = {x["line"]: x for x in results["convert"]["results"]["echosounder"]}
    scored = {x["way"]: x for x in results["scoring"]["results"]}
    trained = {x["input"]: x for x in results["training"]["results"]}
    growth = max(x["growth"] for x in results["memory"]["results"])
    for case, least in zip(CASES, (0.8, 0.6, 0.6), strict=True):
        ratio = throughput["echoanom", case]["ratio"]
        yield _aim(f"{case}, of the copy limit", least, ratio)
    times = throughput["echoanom", CASES[1]]["times_tutorial"]
    yield _aim(f"{CASES[1]}, times the tutorial's generator", 200, times)
    stream = "sequential stride 64"
    yield _aim("from a FIFO, of a plain read", 0.7, fifo[stream]["ratio"])
    ratio = converted[function]["ratio"]
    yield _aim("conversion, of the fastest parser alone", 0.8, ratio)
    times = converted[function]["of_straightforward"]
    yield _aim("conversion, times pandas + `Example(float_list)`", 3, times)
    ratio = scored["echoanom"]["ratio"]
    yield _aim("scoring at stride 1, of the bare model", 0.9, ratio)
    yield _aim("training, input stall", -0.02, -trained["echoanom"]["stall"])
    days = results["memory"]["days"]
    yield _aim(f"memory, {days[-1]} days over {days[0]}", -1.1, -growth)
    stored = {x["case"]: x["ratio"] for x in results["s3"]["results"]}
    cold = min(ratio for case, ratio in stored.items() if case.startswith("cache, "))
    yield _aim("S3: cold shards through the cache, of plain GETs", 0.8, cold)
    warm = stored["epoch from the store, warm"]
    yield _aim("S3: an epoch with the cache full, of one from disk", 0.95, warm)
    converted = stored["store to store"]
    yield _aim("S3: conversion store to store, of disk to disk", 0.8, converted)
    for line in results["cluster"]["results"]:
        if line["by"] == "2 workers":
            name = {"convert": "conversion", "score": "scoring"}[line["work"]]
            yield _aim(f"{name} by two Dask workers, times one", 1.7, line["ratio"])
    served = {x["way"]: x["ratio"] for x in results["serving"]["results"]}
    what = "serving a day in one request, times a request a window"
    yield _aim(what, 50, served["npy"])


def _aim(what: str, least: float, found: float) -> Sequence[str]:
    """Compare; of figures that should be small both are given negative."""
    sign = "at least" if least > 0 else "at most"
    verdict = "reached" if found >= least else "**missed**"
    return what, f"{sign} {_number(abs(least))}", _number(found * _sign(least)), verdict


def _sign(number: float) -> int:
    return 1 if number > 0 else -1


def _throughput(results: Figures) -> str:
    lines = results["results"]
    rate = {(x["reader"], x["case"]): x for x in lines}

    def cells(reader: str) -> Iterable[str]:
        for case in CASES:
            line = rate.get((reader, case))
            if line is None:
                yield ""
                continue
            local = " (local shuffle)" if line["order"] == "local" else ""
            yield _number(line["ratio"]) + local

    readers = list(dict.fromkeys(line["reader"] for line in lines))
    first = rate[readers[0], CASES[0]]
    rows = (
        (
            f"**{reader}**" if reader.startswith("echoanom") else reader,
            rate[reader, CASES[0]]["place"],
            *cells(reader),
            f"{1e3 * rate[reader, CASES[0]]['first_batch_s']:,.0f}",
            f"{rate[reader, CASES[0]]['peak_mb']:,}",
        )
        for reader in readers
    )
    settings = results["settings"]
    table = _table(("reader", "rows in", *CASES, "first batch [ms]", "peak [MB]"), rows)
    left_out = "".join(
        f" Left out: {name} ({reason})."
        for name, reason in {**results["skipped"], **results["failed"]}.items()
    )
    return (
        f"{table}\n\nMedians of {settings['repeats']} turns over {settings['days']} days."
        f" The copy limit was {first['limit_per_s']:,.0f} windows a second, shuffled."
        f" The last two columns are those of the shuffled case.{left_out}"
    )


def _conversion(results: Figures) -> Iterable[str]:
    for what, lines in results["results"].items():
        yield f"{what.capitalize()}, {results['days']} days, {results['workers']} workers:"
        yield _table(
            (
                "line",
                "MB/s",
                "of the fastest parser",
                "of polars",
                "times Example",
                "size, of CSV",
                "peak [MB]",
            ),
            (
                (
                    line["line"],
                    f"{line['mb_per_s']:,.0f}",
                    *(
                        _number(line[key])
                        for key in ("ratio", "of_polars", "of_straightforward")
                    ),
                    f"{line['of_csv']:.2f}" if "of_csv" in line else "",
                    f"{line['peak_mb']:,}",
                )
                for line in lines
            ),
        )


def _ingest(results: Figures) -> str:
    table = _table(
        ("of EK60 files", "files", "MB", "s", "MB/s", "peak MB"),
        (
            (
                line["line"],
                line["files"].removesuffix(" files"),
                f"{line['mb']:,.0f}",
                f"{line['seconds']:.1f}",
                _number(line["mb_per_s"]),
                f"{line['peak_mb']:,.0f}",
            )
            for line in results["results"]
        ),
    )
    return (
        "One process, from raw files to a daily table; the line *echopype* opens and"
        " calibrates one file as a whole.\n\n" + table
    )


def _tables(results: Figures) -> str:
    table = _table(
        (
            *("tables", "what", "CSV", "Parquet", "CSV over Parquet"),
            *("lowest", "highest", "CPU"),
        ),
        (
            (
                line["tables"],
                f"{line['what']} [{line['unit']}]",
                *(_number(line[key]) for key in ("csv", "parquet", "ratio")),
                *(
                    f"{line[key]:.2f}" if key in line else ""
                    for key in ("lowest", "highest", "cpu_ratio")
                ),
            )
            for line in results["results"]
        ),
    )
    return (
        f"Daily tables of {results['columns']:,} columns, rounded to two decimals or of"
        " full precision; above 1, Parquet is smaller or faster. The last column is the"
        " ratio of processor time.\n\n"
        f"{table}\n\nMedians of {results['repeats']} turns over {results['days']} days,"
        " one process."
    )


def _scoring(results: Figures) -> str:
    table = _table(
        (
            "way",
            "windows",
            "batch",
            "ms a window",
            "of bare",
            "of bare, processor time",
        ),
        (
            (
                line["way"],
                f"{line['windows']:,}",
                str(line["batch_size"] or ""),
                f"{line['ms_per_window']:.1f}",
                _number(line["ratio"]),
                _number(line["cpu_ratio"]) if "cpu_ratio" in line else "",
            )
            for line in results["results"]
        ),
    )
    repeats = results["settings"]["repeats"]
    return f"{table}\n\nMedians of {repeats} turns, one day at stride 1."


def _training(results: Figures) -> str:
    table = _table(
        ("input", "s a step", "stall"),
        (
            (
                line["input"],
                f"{line['s_per_step']:.3f}",
                f"{100 * line['stall']:.1f} %" if "stall" in line else "",
            )
            for line in results["results"]
        ),
    )
    alone = results["input_alone"]
    return (
        f"{table}\n\nThe input alone, at full speed:"
        f" {1e3 * alone['s_per_batch']:.1f} ms a batch."
    )


def _gpu(results: Figures) -> Iterable[str]:
    settings, sent, losses = results["settings"], results["upload"], results["losses"]
    stalls = [
        stall
        for line in results["results"]
        if line["model"] == "autoencoder"
        for stall in line.get("stalls", ())
    ]
    yield (
        "Keras on JAX, without TensorFlow, fed by `WindowDataset`: shuffled, stride 1, with"
        f" the mask. {results['checked_windows']:,} windows came back from the device bit for"
        f" bit; the autoencoder's loss fell from {losses[0]:.4f} to {losses[-1]:.4f} in"
        f" {len(losses)} epochs of {settings['steps']} batches."
    )
    yield _table(
        ("model", "input", "ms a step", "windows/s", "stall", "over device"),
        (
            (
                line["model"],
                line["input"],
                f"{line['ms_per_step']:.2f}",
                f"{line['windows_per_s']:,.0f}",
                *(
                    f"{100 * line[key]:.1f} %" if key in line else ""
                    for key in ("stall", "over_device")
                ),
            )
            for line in results["results"]
        ),
    )
    yield (
        f"Medians of {settings['repeats']} turns. The autoencoder waits for at most"
        f" {100 * max(*stalls, 0):.1f} % of a step in any turn,"
        " with any number of threads. A network that"
        " computes next to nothing has no step long enough to hide its input:"
        f" {sent['mb']:.1f} MB a batch, {1e3 * sent['s']:.2f} ms to send one and see it"
        " arrive. Batches that are only read, values alone, in"
        " windows a second:"
    )
    yield _table(
        ("threads", "copy limit", "scratch file", "of limit", "in memory", "of limit"),
        (
            (
                str(line["threads"]),
                f"{line['copy_per_s']:,.0f}",
                *(
                    text
                    for way in ("scratch", "memory")
                    for text in (
                        f"{line[f'{way}_per_s']:,.0f}",
                        _number(line[f"{way}_ratio"]),
                    )
                ),
            )
            for line in results["reader"]
        ),
    )


def _store(results: Figures) -> str:
    return _table(
        ("case", "MB/s", "held against", "ratio", "lowest", "highest", "CPU"),
        (
            (
                line["case"].replace("-", " "),
                f"{line['mb_per_s']:,.0f}",
                line["limit"] or "",
                *(
                    f"{line[key]:.2f}"
                    for key in ("ratio", "lowest", "highest", "cpu_ratio")
                ),
            )
            for line in results["results"]
        ),
    )


def _serving(results: Figures) -> str:
    settings, load = results["settings"], results["load"]
    table = _table(
        ("a day as", "MB a request", "s", "times a request a window"),
        (
            (
                line["way"],
                _number(line["body_mb"]),
                f"{line['seconds']:.1f}",
                _number(line["ratio"]),
            )
            for line in results["results"]
        ),
    )
    return (
        f"`echoanom serve` and a day of {settings['rows']:,} rows of"
        f" {settings['columns']:,} columns, medians of {settings['repeats']} turns.\n\n"
        f"{table}\n\nThe time of the last line follows from {settings['requests']}"
        f" windows. {load['clients']} clients that sent {load['rows']} rows at a time in"
        f" every content type, and bodies that must be refused, for"
        f" {load['seconds']:.0f} s: {load['requests']:,} requests, {load['errors']}"
        f" errors, {load['start_mb']:,} MB of memory at the start and"
        f" {load['end_mb']:,} MB at the end."
    )


def _memory(results: Figures) -> str:
    days = results["days"]
    return _table(
        ("one epoch", *(f"{d} days [MB]" for d in days), f"{days[-1]} over {days[0]}"),
        (
            (
                line["reader"],
                *(f"{line[f'peak_mb_{d}']:,.0f}" for d in days),
                _number(line["growth"]),
            )
            for line in results["results"]
        ),
    )


def _machine(results: Figures) -> str:
    about = results["machine"]
    versions = about["versions"]
    known = ", ".join(f"{n} {v}" for n, v in versions.items() if n != "echoanom")
    return (
        f"{about['processor']}, {about['cores']} cores,"
        f" {about['memory_bytes'] / 2**30:.0f} GiB, Python {about['python']}, {known};"
        f" {about['date']}."
    )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(folder: str) -> dict[str, Figures]:
    """Read the figures of every benchmark.

    Parameters
    ----------
    folder : str
        Holds a JSON file for each of `NAMES`.

    Returns
    -------
    dict of str to dict
        The figures.
    """
    return {
        name: json.loads((Path(folder) / f"{name}.json").read_text()) for name in NAMES
    }


def main(arguments: list[str] | None = None) -> None:
    """Write page and chart.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    folder, path, picture = sys.argv[1:] if arguments is None else arguments
    results = read(folder)
    Path(path).write_text(page(results))
    draw(results["throughput"], picture)


if __name__ == "__main__":
    main()
