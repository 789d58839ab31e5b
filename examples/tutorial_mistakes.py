"""All mistakes of the tutorial, measured on one record and told as a table."""

from __future__ import annotations

import csv
import dataclasses
import textwrap
from collections.abc import Callable, Sequence

import tutorial_data_mistakes as data
import tutorial_model_mistakes as model
from tutorial_record import Cost, Record

MISTAKES: tuple[Callable[[Record], Cost], ...] = (
    data.rereads_tables,
    data.fills_with_the_loudest,
    model.counts_what_is_missing,
    data.scales_by_batch,
    data.divides_by_zero,
    model.asks_the_impossible,
    model.validates_on_training_data,
    data.crosses_gaps,
    data.jumps_in_windows,
    data.averages_decibels,
    data.interpolates_angles,
    model.calls_for_each_window,
)
"""In the order in which the tutorial makes them."""

_WIDTH = 88


def measure(record: Record) -> list[Cost]:
    """Measure what each mistake costs."""
    return [mistake(record) for mistake in MISTAKES]


def table_lines(costs: Sequence[Cost]) -> list[str]:
    """Tell the costs as a table, and below it what each number is and means."""
    width = max(len(cost.mistake) for cost in costs)
    header = f"   {'the tutorial …':<{width}}  {'tutorial':>10}  {'echoanom':>10}"
    lines = [header]
    for number, cost in enumerate(costs, 1):
        lines.append(
            f"{number:>2} {cost.mistake:<{width}}  {_figure(cost.tutorial):>10}"
            f"  {_figure(cost.echoanom):>10}  {cost.unit}"
        )
    lines.append("")
    for number, cost in enumerate(costs, 1):
        lines += textwrap.wrap(
            f"{cost.measure}: {cost.meaning}.",
            _WIDTH,
            initial_indent=f"{number:>2} ",
            subsequent_indent="   ",
        )
    return lines


def _figure(value: float) -> str:
    if value == 0 or value >= 1000:
        return f"{value:,.0f}"
    return "< 0.0001" if value < 1e-4 else f"{value:.3g}"


def write_costs(path: str, costs: Sequence[Cost]) -> None:
    """Write the costs as CSV."""
    names = [field.name for field in dataclasses.fields(Cost)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(cost) for cost in costs)
