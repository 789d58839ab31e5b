"""Quantities over time, with scores and events below: the picture of a gallery's story."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from echoanom import Dataset, Event, ScoreTable
from echoanom.figures import as_png, new_figure, overview, styled
from echoanom.palette import LINES
from echoanom.panels import find_panels
from echoanom.timegrid import choose_grid, highest, read_grid

MOST_STEPS = 900
DPI = 90
_RATES = (0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was written; a notebook shows it.

    Attributes
    ----------
    path : str
        Where it lies.
    """

    path: str

    def _repr_png_(self) -> bytes:
        return Path(self.path).read_bytes()


def save(path: str, content: bytes) -> Picture:
    """Write a picture, and make its folder."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    Path(path).write_bytes(content)
    return Picture(path)


def draw_story(
    path: str,
    dataset: Dataset,
    table: ScoreTable,
    threshold: float,
    events: Sequence[Event],
    quantities: Sequence[tuple[str, str]],
    *,
    since: int = 0,
) -> Picture:
    """Draw quantities, given as sensor and name, the score, and where events lie.

    Everything before `since` [s since 1970 UTC] is left out.
    """
    times = dataset.times()
    begin = max(since, int(times[0]))
    grid = choose_grid(begin, int(times[-1]), dataset.period_s, MOST_STEPS)
    panels = {(p.sensor, p.quantity): p for p in find_panels(dataset.columns)}
    figure = overview(
        [panels[name] for name in quantities],
        grid,
        read_grid(dataset, grid),
        highest(table.times, table.score, grid),
        threshold=threshold,
        events=[event for event in events if event.end > begin],
    )
    return save(path, as_png(figure, DPI))


def draw_rules(
    path: str,
    rules: Mapping[str, tuple[float, int]],
    curve: Sequence[tuple[float, int]],
) -> Picture:
    """Draw labels found over false alarms a day: of rules, and of all thresholds."""
    with styled():
        figure = new_figure(7.0, 3.6)
        axes = figure.subplots()
        axes.plot(*zip(*curve, strict=True), ".", color="0.75", label="any threshold")
        for (name, place), colour in zip(rules.items(), cycle(LINES), strict=False):
            axes.plot(*place, "o", color=colour, markersize=6, label=name, alpha=0.9)
        axes.set_xscale("symlog", linthresh=0.1)
        axes.set_xticks(_RATES, [f"{rate:g}" for rate in _RATES])
        axes.set(xlabel="False alarms a day", ylabel="Labels found")
        axes.set(xlim=(0, _RATES[-1]), ylim=(0, None))
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper")
        return save(path, as_png(figure, DPI))
