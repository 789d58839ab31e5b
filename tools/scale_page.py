#!/usr/bin/env python3
"""Write the plan for decades, `docs/scale.md`, from the benchmarks' figures.

::

    python tools/scale_page.py benchmarks/results docs/scale.md

What is measured comes from the results; what is assumed, prices included, stands below and
on the page. A test holds the page against both.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

NAMES = ("convert", "scoring", "training", "s3", "cluster")

SENSORS = {
    "echosounder, 38 kHz": 1600,
    "echosounder, 200 kHz": 1600,
    "hydrophone": 1200,
    "current profiler": 190,
    "CTD": 6,
}
DAYS = 3653
ROWS_PER_DAY = 1440
WINDOW = 64
BATCH = 32
EPOCHS = 10
STRIDE = 64
SHARD_MIB = 128
PART_MIB = 8
STATISTICS_BYTES = 64 * 4 + 8 * 8
"""Of a column and day: a histogram of 64 counts, and eight numbers."""

# List prices of Amazon in us-east-1, on demand, as known in November 2026 [USD].
STORAGE_GB_MONTH = 0.023
PUT_1000 = 0.005
GET_1000 = 0.0004
VCPU_HOUR = 0.0446
"""A c7i instance, by the virtual processor; spot instances cost about a third."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What so many observatories come to.

    Attributes
    ----------
    observatories : int
        How many, each with its own dataset.
    results : dict of str to dict
        The benchmarks' figures.
    """

    observatories: int
    results: dict[str, Figures]

    @property
    def columns(self) -> int:
        """Columns of one observatory."""
        return sum(SENSORS.values())

    @property
    def rows(self) -> int:
        """Rows over all observatories."""
        return self.observatories * DAYS * ROWS_PER_DAY

    @property
    def shard_bytes(self) -> float:
        """Size of all shards, float32 [byte]."""
        return 4.0 * self.rows * self.columns

    @property
    def table_bytes(self) -> float:
        """Size of all daily CSVs, as large by the cell as the measured ones [byte]."""
        of_csv = self._line("echoanom function, float32")["of_csv"]
        return self.shard_bytes / float(of_csv)

    @property
    def tables(self) -> int:
        """Daily tables; as many record counts stand beside them."""
        return self.observatories * DAYS * len(SENSORS)

    @property
    def shards(self) -> int:
        """Shards, of whole days."""
        day = 4 * ROWS_PER_DAY * self.columns
        days = max(1, int(SHARD_MIB * 2**20 // day))
        return self.observatories * math.ceil(DAYS / days)

    @property
    def reads(self) -> int:
        """Requests that read, over a conversion and one epoch from an empty cache."""
        ranges = math.ceil(self.shard_bytes / self.shards / (PART_MIB * 2**20))
        return 2 * self.tables + self.shards * ranges

    @property
    def writes(self) -> int:
        """Requests that write or list, over a conversion."""
        parts = math.ceil(self.shard_bytes / self.shards / (PART_MIB * 2**20)) + 2
        return self.shards * (parts + 2) + math.ceil(2 * self.tables / 1000)

    @property
    def convert_core_s(self) -> float:
        """Processor time of a conversion [s]."""
        line = self._line("echoanom function, float32")
        cores = self.results["convert"]["machine"]["cores"]
        return float(self.table_bytes / 1e6 / line["mb_per_s"] * cores)

    @property
    def train_core_s(self) -> float:
        """Processor time of a training [s]."""
        line = self.results["training"]["results"][1]
        steps = self.rows / STRIDE / BATCH * EPOCHS
        return float(steps * line["cpu_s_per_step"] * self._wider("training"))

    @property
    def score_core_s(self) -> float:
        """Processor time of scoring every window [s]."""
        line = self.results["scoring"]["results"][1]
        return float(
            self.rows * line["cpu_ms_per_window"] / 1e3 * self._wider("scoring")
        )

    @property
    def statistics_bytes(self) -> float:
        """What normalising one dataset reads [byte]."""
        return float(DAYS * self.columns * STATISTICS_BYTES)

    @property
    def share_bytes(self) -> float:
        """Size of the columns' shares in the scores of one dataset [byte]."""
        return 2.0 * DAYS * ROWS_PER_DAY * self.columns

    def _line(self, name: str) -> Figures:
        lines = self.results["convert"]["results"]["echosounder"]
        found: Figures = next(line for line in lines if line["line"] == name)
        return found

    def _wider(self, benchmark: str) -> float:
        settings = self.results[benchmark]["settings"]
        return float(self.columns / settings["columns"])


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
    plans = Plan(1, results), Plan(1000, results)
    one = plans[0]
    cluster = _speed_up(results["cluster"])
    sensors = ", ".join(f"{name} ({count:,})" for name, count in SENSORS.items())
    parts = [
        "# A plan for decades",
        "Written by `tools/scale_page.py`: arithmetic on figures that the benchmarks"
        " measured here, and on list prices. It is a plan, and no decade was converted to"
        " make it.",
        "## What it is",
        f"An observatory of five instruments, one row a minute over ten years, by columns:"
        f" {sensors}. Float32, without compression.",
        _table(
            ("", "one observatory", "a thousand"),
            [
                ("rows", *(f"{p.rows:,}" for p in plans)),
                ("daily tables", *(f"{p.tables:,}" for p in plans)),
                ("their size", *(_size(p.table_bytes) for p in plans)),
                ("shards", *(f"{p.shards:,}" for p in plans)),
                ("their size", *(_size(p.shard_bytes) for p in plans)),
                (
                    "storage of tables and shards a month",
                    *(
                        _dollars(
                            (p.table_bytes + p.shard_bytes) / 1e9 * STORAGE_GB_MONTH
                        )
                        for p in plans
                    ),
                ),
                ("requests that read", *(f"{p.reads:,}" for p in plans)),
                ("requests that write or list", *(f"{p.writes:,}" for p in plans)),
                (
                    "all of them once",
                    *(
                        _dollars(p.reads / 1e3 * GET_1000 + p.writes / 1e3 * PUT_1000)
                        for p in plans
                    ),
                ),
            ],
        ),
        "Reads are a conversion (tables and their record counts) and one epoch from an empty"
        f" cache, in ranges of {PART_MIB} MiB; writes are a conversion.",
        "## What it takes",
        _table(
            ("work", "core hours", "on 16 cores", "on 256 cores", "on demand"),
            [
                (f"{name}, {label}", *_work(seconds, cluster, plan.observatories))
                for plan, label in zip(plans, ("one", "a thousand"), strict=True)
                for name, seconds in (
                    ("convert", plan.convert_core_s),
                    (f"train, {EPOCHS} epochs, stride {STRIDE}", plan.train_core_s),
                    ("score every window", plan.score_core_s),
                )
            ],
        ),
        "Conversion and scoring spread over workers; two of them did"
        f" {cluster:.2f} times the conversion of one, and hours count each doubling of"
        " workers in a run as that. So they do for training, which is one process and was"
        " not measured on more than two cores. A thousand observatories are runs of 16 cores"
        f" side by side. A virtual processor costs {VCPU_HOUR} USD an hour, on a spot market"
        " about a third, and hours that workers wait cost, too: what is on demand counts"
        " none. GPUs were not measured.",
        "## Where it runs",
        "- **One observatory**: one machine of 16 cores, `convert --workers 16`, and"
        " `--dask local` for the scores. The decade is converted in minutes; scoring every"
        " window takes a day, and with `--stride 16` an hour or two.",
        "- **A thousand**: a dataset each, so a thousand independent runs: no manifest, no"
        " scheduler and no cache sees more than one. On an HPC queue or Kubernetes with"
        " spot nodes, 16 workers a run and as many runs at a time as the budget has; a"
        " worker that is taken away costs the shard or part it was at"
        " ([how](dask.md)).",
        "## Where it breaks first, and what would change",
        f"1. **Scores of all columns.** `scores.columns.npy` of one decade takes"
        f" {_size(one.share_bytes)}. Scores would become a dataset of shards of their own,"
        " with the shares of the largest columns only.",
        f"2. **Statistics.** Normalising reads {_size(one.statistics_bytes)}, a histogram a"
        " column and day. Moments would go into a file of their own (a fifth), and years be"
        " merged once.",
        "3. **The price of the network.** Training and scoring cost two hundred times the"
        " conversion. First a coarser stride, then a GPU, then a network that shares its first"
        " level between neighbouring windows.",
        "4. **One table a sensor and day.** A thousand observatories have"
        f" {plans[1].tables / 1e6:.0f} million, and listing them costs more than it should;"
        " Parquet of a month would.",
        "5. **Request rates.** A store takes 3,500 writes and 5,500 reads a second below a"
        " prefix; 256 workers stay far below. Beyond that, datasets need prefixes of their"
        " own, which they have.",
        "## Measured figures behind it",
        _table(("figure", "value", "by"), _figures(results, cluster)),
    ]
    return "\n\n".join(parts) + "\n"


def _figures(
    results: dict[str, Figures], cluster: float
) -> Iterable[tuple[str, str, str]]:
    convert = results["convert"]
    line = next(
        line
        for line in convert["results"]["echosounder"]
        if line["line"] == "echoanom function, float32"
    )
    yield (
        "conversion, CSV",
        f"{line['mb_per_s']:.0f} MB/s on {convert['machine']['cores']} cores",
        "`benchmarks/convert.py`",
    )
    for name, key, unit in (
        ("training", "cpu_s_per_step", "s of processor time a batch of 32"),
        ("scoring", "cpu_ms_per_window", "ms of processor time a window"),
    ):
        value = results[name]["results"][1][key]
        yield (
            f"{name}, 64 × 1,600",
            f"{value:.1f} {unit}",
            f"`benchmarks/{name}.py`",
        )
    for line in results["s3"]["results"]:
        if line["case"].startswith(("cache", "store to store")):
            yield (
                f"S3, {line['case'].replace('-', ' ')}",
                f"{line['mb_per_s']:.0f} MB/s, {line['ratio']:.2f} of {line['limit']}",
                "`benchmarks/s3.py`",
            )
    yield "two workers over one", f"{cluster:.2f}", "`benchmarks/cluster.py`"


def _speed_up(cluster: Figures) -> float:
    for line in cluster["results"]:
        if (line["work"], line["by"]) == ("convert", "2 workers"):
            return float(line["ratio"])
    raise KeyError("the conversion with two workers")


def _work(core_s: float, speed_up: float, runs: int) -> tuple[str, ...]:
    hours = core_s / 3600

    def worth(cores: int) -> float:
        # Runs of 16 cores side by side, as far as there are runs.
        together = min(runs, cores // 16)
        return float(together * min(speed_up, 2.0) ** math.log2(cores / together))

    return (
        f"{hours:,.1f}" if hours < 100 else f"{hours:,.0f}",
        *(_hours(hours / worth(cores)) for cores in (16, 256)),
        _dollars(hours * VCPU_HOUR),
    )


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:,.0f} h" if hours < 72 else f"{hours / 24:,.0f} days"


def _dollars(dollars: float) -> str:
    return f"{dollars:,.2f} USD" if dollars < 100 else f"{dollars:,.0f} USD"


def _size(size: float) -> str:
    for unit in ("GB", "TB", "PB"):
        size /= 1e9 if unit == "GB" else 1e3
        if size < 1000:
            break
    return f"{size:,.1f} {unit}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] + ["--:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Write the page.

    Parameters
    ----------
    arguments : sequence of str
        The folder of the figures, and the page.

    Returns
    -------
    int
        Always 0.
    """
    folder, target = arguments
    results = {
        name: json.loads(Path(folder, f"{name}.json").read_text(encoding="utf-8"))
        for name in NAMES
    }
    Path(target).write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
