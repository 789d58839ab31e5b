"""What a report shows: texts, tables and pictures, before they become a page."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from echoanom import figures
from echoanom.dataset import Dataset
from echoanom.errors import OptionError
from echoanom.events import Event, Shares
from echoanom.inspection import inspect
from echoanom.options import Options
from echoanom.panels import Looking, Mounting, Panel, find_panels
from echoanom.progress import Progress
from echoanom.reader import IndexedReader
from echoanom.reconstruction import compare
from echoanom.scores import ScoreTable
from echoanom.stamps import day_of, format_stamp
from echoanom.thresholds import Threshold
from echoanom.timegrid import TimeGrid, choose_grid, highest, read_grid

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

_PACKAGES = ("numpy", "matplotlib", "tensorflow", "keras")
_MOST_PANELS = 12
_LEAST_SHARE = 0.005
_DAY_S = 86_400


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """What a report shows.

    Attributes
    ----------
    title : str
        Heading of the page. Empty: named after the dataset.
    top_events : int
        Events to show in detail, by rank.
    looking : mapping of str to {'up', 'down'}
        Where each sensor's range increases to. A sensor that is not named looks up, as
        instruments on the sea floor do.
    depth_m : mapping of str to float
        Depths of instruments [m]. With it, range is drawn as depth.
    most_steps : int
        Most steps of time in an overview.
    """

    title: str = ""
    top_events: int = 5
    looking: Mapping[str, Looking] = dataclasses.field(default_factory=dict)
    depth_m: Mapping[str, float] = dataclasses.field(default_factory=dict)
    most_steps: int = 1200

    def __post_init__(self) -> None:
        if self.top_events < 0:
            raise OptionError(f"top_events must be at least 0, got {self.top_events!r}")
        if self.most_steps < 2:
            raise OptionError(f"most_steps must be at least 2, got {self.most_steps!r}")
        for sensor in {*self.looking, *self.depth_m}:
            self.mounting(sensor)

    def mounting(self, sensor: str) -> Mounting:
        """Return how a sensor looks.

        Parameters
        ----------
        sensor : str
            Its name.

        Returns
        -------
        Mounting
            Up, at an unknown depth, if nothing is said.
        """
        return Mounting(self.looking.get(sensor, "up"), self.depth_m.get(sensor))


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes
    ----------
    source : str
        The picture itself, as a ``data:`` address.
    alt : str
        What it shows, for people who do not see it.
    caption : str
        What to know about it.
    """

    source: str
    alt: str
    caption: str = ""


class Page:
    """Gathers what the template shows.

    Parameters
    ----------
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    events : tuple of Event
        The events found in them, by rank.
    artifact : Artifact or None
        The model.
    threshold : Threshold or None
        Where events begin.
    options : ReportOptions
        What to show.
    progress : callable
        Told how far reading and drawing are.
    """

    def __init__(
        self,
        dataset: Dataset,
        table: ScoreTable,
        events: tuple[Event, ...],
        artifact: Artifact | None,
        threshold: Threshold | None,
        options: ReportOptions,
        progress: Progress,
    ) -> None:
        self._dataset = dataset
        self._table = table
        self._events = events
        self._artifact = artifact
        self._threshold = threshold
        self._options = options
        self._progress = progress
        self._panels = find_panels(dataset.columns)
        self._reader = IndexedReader(dataset)
        self._inspection = inspect(dataset)

    def content(self) -> dict[str, Any]:
        """Make everything the page shows.

        Returns
        -------
        dict
            The template's variables.

        Raises
        ------
        ScoresError
            If an event peaks where the dataset has no row.
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        name = self._dataset.path.rstrip("/").rpartition("/")[2]
        return {
            "title": self._options.title or f"Unusual moments in {name}",
            "created": format_stamp(
                int(datetime.datetime.now(datetime.UTC).timestamp())
            ),
            "notes": self._notes(),
            "facts": self._facts(),
            "sensors": self._sensors(),
            "events": [_event_row(event) for event in self._events],
            "overviews": self._overviews(),
            "details": self._details(),
            "histogram": self._histogram(),
            "training": self._training(),
            "provenance": self._provenance(),
        }

    def _notes(self) -> list[str]:
        """Say what makes the page less certain than it looks."""
        notes = []
        made_of = self._table.provenance.get("dataset") or {}
        if made_of.get("digest") not in (None, self._dataset.digest):
            notes.append(
                "The scores were made of another version of the dataset than the one"
                " drawn here."
            )
        made_by = self._table.provenance.get("model") or {}
        if self._artifact is not None and made_by.get("digest") not in (
            None,
            self._artifact.digest,
        ):
            notes.append(
                "The scores were made by another model than the one shown here."
            )
        if self._threshold is not None and self._threshold.source == "scores":
            notes.append(
                "The threshold was computed from the very scores it is applied to,"
                " because no calibration came with them."
            )
        if self._dataset.has_filled:
            notes.append(
                "Short gaps were filled by interpolation. Filled values are drawn, but"
                " count neither in the score nor in the differences."
            )
        return notes

    def _facts(self) -> list[tuple[str, str]]:
        """Return the figures that open the page."""
        summary = self._inspection.summary
        gaps = max(summary["runs"] - 1, 0)
        longest = f", the longest of {summary['longest_gap']}" if gaps else ""
        found = f"{_count(gaps, 'gap')} of all sensors{longest}" if gaps else "none"
        scored = int(np.isfinite(self._table.score).sum())
        alarmed = sum(event.end - event.start for event in self._events)
        facts = [
            ("Dataset", summary["path"]),
            ("Time", f"{summary['start']} to {summary['end']}"),
            (
                "Rows",
                f"{summary['rows']:,} of {_duration(summary['period_s'])} on"
                f" {_count(summary['days'], 'day')},"
                f" {_count(summary['columns'], 'column')}",
            ),
            (
                "Gaps",
                f"{found}; {_percent(summary['missing_share'])} of the cells of all rows are"
                " missing",
            ),
            ("Scored", f"{scored:,} rows ({_percent(scored / summary['rows'])})"),
        ]
        if self._threshold is not None:
            source = {
                "calibration": "from the model's held-back days",
                "scores": "from these scores",
                "number": "given as a number",
            }[self._threshold.source]
            facts.append(
                (
                    "Threshold",
                    f"{self._threshold.value:.6g} ({self._threshold.rule}, {source})",
                )
            )
        facts.append(
            (
                "Events",
                f"{_count(len(self._events), 'event')}, together {_duration(alarmed)}",
            )
        )
        return facts

    def _sensors(self) -> list[dict[str, str]]:
        """Return what each sensor has."""
        return [
            {
                "name": sensor,
                **{name: f"{found[name]:,}" for name in ("columns", "days", "rows")},
                "missing": _percent(found["missing_share"]),
            }
            for sensor, found in self._inspection.coverage["sensors"].items()
        ]

    def _overviews(self) -> list[dict[str, Any]]:
        """Draw each sensor over the whole time."""
        runs = self._dataset.runs
        end = int(runs.start_s[-1] + runs.rows[-1] * self._dataset.period_s)
        grid = choose_grid(
            int(runs.start_s[0]), end, self._dataset.period_s, self._options.most_steps
        )
        values = read_grid(
            self._dataset, grid, reader=self._reader, progress=self._progress
        )
        score = highest(self._table.times, self._table.score, grid)
        sensors = list(dict.fromkeys(panel.sensor for panel in self._panels))
        pictures = []
        for done, sensor in enumerate(sensors):
            self._progress("Draw sensors", done, len(sensors))
            panels = [panel for panel in self._panels if panel.sensor == sensor]
            figure = figures.overview(
                panels[:_MOST_PANELS],
                grid,
                values,
                score,
                threshold=self._threshold.value if self._threshold else None,
                events=self._events,
                mounting=self._options.mounting(sensor),
            )
            pictures.append(
                {
                    "sensor": sensor,
                    "picture": _picture(
                        figure,
                        self._overview_alt(sensor, panels, grid),
                        self._overview_caption(panels, grid),
                    ),
                }
            )
        self._progress("Draw sensors", len(sensors), len(sensors))
        return pictures

    def _overview_alt(
        self, sensor: str, panels: Sequence[Panel], grid: TimeGrid
    ) -> str:
        shown = ", ".join(panel.label for panel in panels[:_MOST_PANELS])
        edges = grid.edges
        return (
            f"{sensor}: {shown} from {format_stamp(int(edges[0]))} to"
            f" {format_stamp(int(edges[-1]))}, above the score with"
            f" {_count(len(self._events), 'event')}"
        )

    def _overview_caption(self, panels: Sequence[Panel], grid: TimeGrid) -> str:
        caption = []
        if grid.step_s > self._dataset.period_s:
            caption.append(
                f"A step is {_duration(grid.step_s)}: the average of the rows in it,"
                " levels as power and directions as vectors; of the score, the highest."
            )
        caption.append("Orange marks events, with their ranks; hatched: no data.")
        left_out = len(panels) - _MOST_PANELS
        if left_out > 0:
            caption.append(f"{_count(left_out, 'more quantity', 'more quantities')}.")
        return " ".join(caption)

    def _details(self) -> list[dict[str, Any]]:
        """Draw the top events with what the model makes of them."""
        chosen = self._events[: self._options.top_events] if self._artifact else ()
        details = []
        for done, event in enumerate(chosen):
            self._progress("Draw events", done, len(chosen))
            details.append({"row": _event_row(event), "picture": self._detail(event)})
        self._progress("Draw events", len(chosen), len(chosen))
        return details

    def _detail(self, event: Event) -> Picture | None:
        if self._artifact is None:
            return None
        compared = compare(self._dataset, self._artifact, event, self._reader)
        if compared is None:
            return None
        panels = compared.worst_panels(self._panels, event, 2)
        mountings = [self._options.mounting(panel.sensor) for panel in panels]
        figure = figures.comparison(panels, compared, event, mountings)
        shown = " and ".join(f"{panel.label} of {panel.sensor}" for panel in panels)
        return _picture(
            figure,
            f"Event {event.rank}: {shown}, observed, as the model reconstructs it, and"
            " the difference",
        )

    def _histogram(self) -> Picture:
        """Draw how often scores occur."""
        value = self._threshold.value if self._threshold else None
        return _picture(
            figures.score_histogram(self._table.score, value),
            "Histogram of the scores, with the threshold",
            "Scores of all rows.",
        )

    def _training(self) -> Picture | None:
        """Draw how training went."""
        if self._artifact is None or not self._artifact.record.history:
            return None
        record = self._artifact.record
        figure = figures.learning_curve(
            [epoch.epoch for epoch in record.history],
            [epoch.loss for epoch in record.history],
            [epoch.validation_loss for epoch in record.history],
        )
        return _picture(
            figure,
            "Loss of training and of held-back days over the epochs",
            f"Trained on {_count(len(record.training_days), 'day')}, held back"
            f" {_count(len(record.validation_days), 'day')}; {record.stop_reason}.",
        )

    def _provenance(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Say what made this page, so that it can be made again."""
        manifest = self._dataset.manifest
        groups: list[tuple[str, Mapping[str, Any]]] = [
            (
                "Software",
                {
                    "echoanom": _version("echoanom"),
                    "Python": platform.python_version(),
                    **{name: _version(name) for name in _PACKAGES},
                },
            ),
            ("Dataset", {"path": self._dataset.path, "digest": self._dataset.digest}),
            ("Tables", manifest.table.as_json()),
            ("Join", manifest.stack.as_json()),
            ("Storage", manifest.shard.as_json()),
        ]
        if self._artifact is not None:
            record = self._artifact.record
            groups += [
                (
                    "Model",
                    {
                        "path": self._artifact.path,
                        "digest": self._artifact.digest,
                        "trained on": record.dataset_path,
                        "trained on digest": record.dataset_digest,
                        "training days": _days(record.training_days),
                        "held-back days": _days(record.validation_days),
                    },
                ),
                ("Network", self._artifact.network.as_json()),
                ("Windows", self._artifact.window.as_json()),
                ("Training", self._artifact.training.as_json()),
            ]
        groups += [
            (f"Scores: {name}", values)
            for name, values in self._table.provenance.items()
            if isinstance(values, Mapping)
        ]
        groups.append(("Report", self._options.as_json()))
        return [
            (name, [(key, _text(value)) for key, value in values.items()])
            for name, values in groups
        ]


def _picture(figure: Any, alt: str, caption: str = "") -> Picture:
    encoded = base64.b64encode(figures.as_png(figure)).decode()
    return Picture(f"data:image/png;base64,{encoded}", alt, caption)


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "rank": event.rank,
        "start": _clock(event.start),
        "end": _clock(event.end, event.start),
        "peak": _clock(event.peak, event.start),
        "duration": _duration(event.end - event.start),
        "mean_score": f"{event.mean_score:.4g}",
        "peak_score": f"{event.peak_score:.4g}",
        "sensors": _shares(event.top_sensors),
        "where": _shares(event.where),
        "columns": _shares(event.top_columns),
    }


def _shares(shares: Shares) -> list[tuple[str, str]]:
    return [(name, _percent(share)) for name, share in shares if share >= _LEAST_SHARE]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _clock(time_s: int, after_s: int | None = None) -> str:
    """Write a time, without its date if that is the date of another time."""
    day, _, clock = format_stamp(time_s).removesuffix("Z").partition("T")
    clock = clock.removesuffix(":00")
    same_day = after_s is not None and day_of(time_s) == day_of(after_s)
    return clock if same_day else f"{day} {clock}"


def _duration(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.4g} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / _DAY_S:.3g} days"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _days(days: Sequence[str]) -> str:
    return f"{len(days)} ({days[0]} to {days[-1]})" if days else "0"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    return str(value) if value not in (None, "") else "–"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
