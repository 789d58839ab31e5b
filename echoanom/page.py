"""What a report shows: texts, tables and pictures, before they become a page."""

from __future__ import annotations

import base64
import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from echoanom import figures, livecharts
from echoanom.dataset import Dataset
from echoanom.daycalendar import calendar
from echoanom.events import Event
from echoanom.inspection import inspect
from echoanom.livepage import LivePage, Shown
from echoanom.pagefacts import doubts, opening, sensor_rows
from echoanom.pagesources import sources
from echoanom.pagetext import clock, count, duration, number, shares
from echoanom.panels import Panel, find_panels
from echoanom.progress import Progress
from echoanom.reader import IndexedReader
from echoanom.reconstruction import Comparison, compare
from echoanom.reportoptions import ReportOptions
from echoanom.scores import ScoreTable
from echoanom.stamps import format_stamp
from echoanom.thresholds import Threshold
from echoanom.timegrid import TimeGrid, choose_grid, highest, read_grid
from echoanom.tracks import read_tracks
from echoanom.whereabouts import named_panels

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

_MOST_PANELS = 12
_COMPARED_PANELS = 2
_DAY_S = 86_400


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes
    ----------
    name : str
        What its file is called, without ending.
    figure : Figure
        The picture, not yet drawn to anything.
    alt : str
        What it shows, for people who do not see it.
    caption : str
        What to know about it.
    """

    name: str
    figure: Any
    alt: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture itself, as a ``data:`` address."""
        content = figures.as_webp(self.figure)
        return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


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
    span : tuple of int, optional
        The time to show [s since 1970 UTC], half-open; the whole if left out.
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
        span: tuple[int, int] | None = None,
    ) -> None:
        self._dataset = dataset
        self._whole = span is None
        self._span = span or dataset_span(dataset)
        scored = (table.times >= self._span[0]) & (table.times < self._span[1])
        self._times, self._score = table.times[scored], table.score[scored]
        self._table = table
        self._events = tuple(
            event for event in events if self._span[0] <= event.peak < self._span[1]
        )
        self._artifact = artifact
        self._threshold = threshold
        self._options = options
        self._progress = progress
        self._panels = find_panels(dataset.columns)
        self._reader = IndexedReader(dataset)
        self._inspection = inspect(dataset)
        self._shown: tuple[Shown, ...] | None = None

    def content(self) -> dict[str, Any]:
        """Make everything the page shows.

        Returns
        -------
        dict
            The template's variables.

        Raises
        ------
        MissingExtraError
            If Bokeh or matplotlib is not installed.
        ScoresError
            If an event peaks where the dataset has no row.
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        return {
            "title": self.title,
            "created": format_stamp(
                int(datetime.datetime.now(datetime.UTC).timestamp())
            ),
            "notes": doubts(
                self._dataset,
                self._table,
                self._artifact,
                self._threshold,
                self._inspection.coverage["filled_cells"],
            ),
            "facts": opening(
                self._dataset,
                self._inspection,
                self._score,
                self._events,
                self._threshold,
                self._span,
                self._whole,
            ),
            "sensors": sensor_rows(self._inspection),
            "events": [_event_row(event) for event in self._events],
            "overviews": list(self._overviews()),
            "details": list(self._details()),
            "histogram": self._histogram(),
            "training": self._training(),
            "calendar": calendar(
                self._inspection.coverage, self._times, self._score, self._events
            ),
            "live": self._live(),
            "provenance": sources(
                self._dataset, self._table, self._artifact, self._options
            ),
        }

    def pictures(self) -> Iterator[Picture]:
        """Draw all pictures of the page, one after the other.

        Yields
        ------
        Picture
            Each with a name of its own.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        ScoresError
            If an event peaks where the dataset has no row.
        CorruptionError
            If stored bytes are not what the manifest says.
        """
        for overview in self._overviews():
            yield overview["picture"]
        for detail in self._details():
            if detail["picture"] is not None:
                yield detail["picture"]
        yield self._histogram()
        training = self._training()
        if training is not None:
            yield training

    @property
    def title(self) -> str:
        """Heading of the page."""
        name = self._dataset.path.rstrip("/").rpartition("/")[2]
        title = self._options.title or f"Unusual moments in {name}"
        month = format_stamp(self._span[0])[:7]
        return title if self._whole else f"{title}, {month}"

    def _overviews(self) -> Iterator[dict[str, Any]]:
        """Draw each sensor over the whole time."""
        grid = choose_grid(
            *self._span, self._dataset.period_s, self._options.most_steps
        )
        values = read_grid(
            self._dataset, grid, reader=self._reader, progress=self._progress
        )
        score = highest(self._times, self._score, grid)
        sensors = list(dict.fromkeys(panel.sensor for panel in self._panels))
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
            yield {
                "sensor": sensor,
                "picture": Picture(
                    f"overview-{sensor}",
                    figure,
                    self._overview_alt(sensor, panels, grid),
                    self._overview_caption(panels, grid),
                ),
            }
        self._progress("Draw sensors", len(sensors), len(sensors))

    def _overview_alt(
        self, sensor: str, panels: Sequence[Panel], grid: TimeGrid
    ) -> str:
        shown = ", ".join(panel.label for panel in panels[:_MOST_PANELS])
        edges = grid.edges
        return (
            f"{sensor}: {shown} from {format_stamp(int(edges[0]))} to"
            f" {format_stamp(int(edges[-1]))}, above the score with"
            f" {count(len(self._events), 'event')}"
        )

    def _overview_caption(self, panels: Sequence[Panel], grid: TimeGrid) -> str:
        caption = []
        if grid.step_s > self._dataset.period_s:
            caption.append(
                f"A step is {duration(grid.step_s)}: the average of the rows in it,"
                " levels as power and directions as vectors; of the score, the highest."
            )
        caption.append("Orange marks events, with their ranks; hatched: no data.")
        left_out = len(panels) - _MOST_PANELS
        if left_out > 0:
            caption.append(f"{count(left_out, 'more quantity', 'more quantities')}.")
        return " ".join(caption)

    def _compared(self) -> tuple[Shown, ...]:
        """Hold the top events against what the model makes of them, once."""
        if self._shown is None:
            self._shown = tuple(self._compare_all())
        return self._shown

    def _compare_all(self) -> Iterator[Shown]:
        if self._artifact is None or not self._artifact.detector.reproduces:
            return
        # A sensor that is silent or stuck was not found by what the model makes of it.
        found = [event for event in self._events if event.kind == "unusual"]
        chosen = found[: self._options.top_events]
        for done, event in enumerate(chosen):
            self._progress("Reconstruct events", done, len(chosen))
            compared = compare(self._dataset, self._artifact, event, self._reader)
            yield Shown(event, compared, self._telling_panels(event, compared))
        self._progress("Reconstruct events", len(chosen), len(chosen))

    def _telling_panels(
        self, event: Event, compared: Comparison | None
    ) -> tuple[Panel, ...]:
        """Choose the panels that the score of an event comes from."""
        if compared is None:
            return ()
        # Errors that are not weighed, as they are where places are not known, are
        # largest in what varies most.
        named = named_panels(self._panels, event.where, _COMPARED_PANELS)
        return named or compared.worst_panels(self._panels, event, _COMPARED_PANELS)

    def _details(self) -> Iterator[dict[str, Any]]:
        """Draw the top events with what the model makes of them."""
        chosen = self._compared()
        for done, one in enumerate(chosen):
            self._progress("Draw events", done, len(chosen))
            yield {"row": _event_row(one.event), "picture": self._detail(one)}
        self._progress("Draw events", len(chosen), len(chosen))

    def _detail(self, one: Shown) -> Picture | None:
        if one.compared is None:
            return None
        mountings = [self._options.mounting(panel.sensor) for panel in one.panels]
        figure = figures.comparison(one.panels, one.compared, one.event, mountings)
        shown = " and ".join(f"{panel.label} of {panel.sensor}" for panel in one.panels)
        return Picture(
            f"event-{one.event.rank}",
            figure,
            f"Event {one.event.rank}: {shown}, observed, as the model reconstructs it,"
            " and the difference",
        )

    def _histogram(self) -> Picture:
        """Draw how often scores occur."""
        value = self._threshold.value if self._threshold else None
        return Picture(
            "histogram",
            figures.score_histogram(self._score, value),
            "Histogram of the scores, with the threshold",
            "Scores of all rows.",
        )

    def _training(self) -> Picture | None:
        """Draw how training went."""
        if self._artifact is None or not self._artifact.record.history:
            return None
        record = self._artifact.record
        return Picture(
            "training",
            figures.learning_curve(*self._losses()),
            "Loss of training and of held-back days over the epochs",
            f"Trained on {count(len(record.training_days), 'day')}, held back"
            f" {count(len(record.validation_days), 'day')}; {record.stop_reason}.",
        )

    def _losses(self) -> tuple[list[int], list[float], list[float]]:
        history = self._artifact.record.history if self._artifact else ()
        return (
            [epoch.epoch for epoch in history],
            [epoch.loss for epoch in history],
            [epoch.validation_loss for epoch in history],
        )

    def _live(self) -> dict[str, Any]:
        """Gather what moves."""
        mountings = {
            panel.sensor: self._options.mounting(panel.sensor) for panel in self._panels
        }
        tracks = read_tracks(
            self._dataset,
            self._panels,
            mountings,
            *self._span,
            reader=self._reader,
            progress=self._progress,
        )
        value = self._threshold.value if self._threshold else None
        charts = {"live-histogram": livecharts.histogram(self._score, value)}
        if self._losses()[0]:
            charts["live-training"] = livecharts.learning_curve(*self._losses())
        times = self._dataset.times()
        first, end = np.searchsorted(times, self._span).tolist()
        return LivePage(tracks, mountings, self._dataset.digest).content(
            times=self._times,
            score=self._score,
            threshold=value,
            period_s=self._dataset.period_s,
            span=self._span,
            days=(np.unique(times[first:end] // _DAY_S) * _DAY_S).tolist(),
            events=self._events,
            shown=self._compared(),
            charts=charts,
            why_not=self._why_not(),
        )

    def _why_not(self) -> str:
        if self._artifact is None:
            return "Without a model there is no reconstruction."
        if not self._artifact.detector.reproduces:
            return "There is no reconstruction: the model is a forest."
        return (
            "There is no reconstruction: the event is not among the first"
            f" {self._options.top_events}, or the stretch of rows around its peak is"
            " shorter than a window."
        )


def dataset_span(dataset: Dataset) -> tuple[int, int]:
    """Return the time that a dataset covers.

    Parameters
    ----------
    dataset : Dataset
        The dataset; it has at least one row.

    Returns
    -------
    tuple of int
        Start of its first and end of its last row [s since 1970 UTC].
    """
    runs = dataset.runs
    end = int(runs.start_s[-1] + runs.rows[-1] * dataset.period_s)
    return int(runs.start_s[0]), end


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "rank": event.rank,
        "start": clock(event.start),
        "end": clock(event.end, event.start),
        "peak": clock(event.peak, event.start),
        "duration": duration(event.end - event.start),
        "mean_score": number(event.mean_score),
        "peak_score": number(event.peak_score),
        "kind": event.kind,
        "sensors": shares(event.top_sensors),
        "where": shares(event.where),
        "columns": shares(event.top_columns),
    }
