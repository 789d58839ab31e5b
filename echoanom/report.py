"""Pages that show data, scores and events, and need nothing beside them.

Bokeh, numbers and pictures are part of a page; nothing is loaded from elsewhere, and
every text from outside is escaped. A page moves in a browser; on paper, and without
JavaScript, it shows pictures of the same.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from echoanom import publishing, storage
from echoanom.dataset import Dataset
from echoanom.errors import MissingExtraError, OptionError, ScoresError
from echoanom.events import Event
from echoanom.figures import as_png
from echoanom.page import Page, dataset_span
from echoanom.progress import Progress, no_progress
from echoanom.reportindex import index
from echoanom.reportoptions import ReportOptions
from echoanom.scores import ScoreTable, check_scored
from echoanom.stamps import format_stamp
from echoanom.thresholds import Threshold

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

__all__ = ["ReportOptions", "Source", "write_pictures", "write_report"]

_PAGE, _INDEX = "report.html", "report_index.html"
_ENDINGS = (".html", ".htm")


@dataclasses.dataclass(frozen=True)
class Source:
    """What a report is made of.

    Attributes
    ----------
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    events : tuple of Event
        The events found in them, by rank.
    artifact : Artifact, optional
        The model. Without it there are no reconstructions and no training curve.
    threshold : Threshold, optional
        Where events begin.
    """

    dataset: Dataset
    table: ScoreTable
    events: tuple[Event, ...]
    artifact: Artifact | None = None
    threshold: Threshold | None = None

    def check(self, options: ReportOptions) -> None:
        """Refuse what does not belong together.

        Parameters
        ----------
        options : ReportOptions
            What to show.

        Raises
        ------
        ArtifactError
            If the model is one of other columns.
        ScoresError
            If the scores are of a time or of columns the dataset does not have, or all
            events of another time.
        OptionError
            If an option names a sensor the dataset does not have.
        """
        sensors = {column.sensor for column in self.dataset.columns}
        unknown = sorted({*options.looking, *options.depth_m} - sensors)
        if unknown:
            raise OptionError(
                f"{self.dataset.path} has no sensor {', '.join(unknown)}; it has"
                f" {', '.join(sorted(sensors))}"
            )
        if self.artifact is not None:
            self.artifact.check_columns(self.dataset)
        check_scored(self.dataset, self.table)
        times = self.table.times
        if not len(times) or not np.isin(times, self.dataset.times()).any():
            raise ScoresError(
                f"scores must be of rows of {self.dataset.path}, but none is; give the"
                " dataset that was scored"
            )
        begin, end = dataset_span(self.dataset)
        if self.events and not any(
            event.start < end and event.end > begin for event in self.events
        ):
            raise ScoresError(
                f"events must lie in the time of {self.dataset.path},"
                f" {format_stamp(begin)} to {format_stamp(end)}, but none of"
                f" {len(self.events)} does; give those that were found in its scores"
            )

    def page(
        self,
        options: ReportOptions,
        progress: Progress,
        span: tuple[int, int] | None = None,
    ) -> Page:
        """Begin a page.

        Parameters
        ----------
        options : ReportOptions
            What to show.
        progress : Progress
            Is told how far reading and drawing are.
        span : tuple of int, optional
            The time to show [s since 1970 UTC], half-open; the whole if left out.

        Returns
        -------
        Page
            Nothing is read or drawn yet.
        """
        return Page(
            self.dataset,
            self.table,
            self.events,
            self.artifact,
            self.threshold,
            options,
            progress,
            span,
        )


def write_report(
    path: str,
    *,
    dataset: Dataset,
    table: ScoreTable,
    events: Sequence[Event],
    artifact: Artifact | None = None,
    threshold: Threshold | None = None,
    options: ReportOptions | None = None,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write a report, each page complete or not at all.

    Parameters
    ----------
    path : str
        Path or URL. What ends in ``.html`` is one page of everything; any other name
        is a folder, with a page for each month that has rows and, written last, an
        ``index.html`` that leads to them.
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    events : sequence of Event
        The events found in them, by rank.
    artifact : Artifact, optional
        The model. Without it there are no reconstructions and no training curve.
    threshold : Threshold, optional
        Where events begin.
    options : ReportOptions, optional
        What to show; the defaults if left out.
    progress : Progress
        Is told how far reading and drawing are.

    Returns
    -------
    tuple of str
        The page to open, and then the pages it leads to.

    Raises
    ------
    MissingExtraError
        If bokeh, matplotlib or jinja2 is not installed.
    ArtifactError
        If the model is one of other columns.
    ScoresError
        If scores or events are of a time the dataset does not have.
    OptionError
        If an option names a sensor the dataset does not have.
    StorageError
        If it cannot be written.
    """
    options = options or ReportOptions()
    source = Source(dataset, table, tuple(events), artifact, threshold)
    source.check(options)
    if path.lower().endswith(_ENDINGS):
        page = source.page(options, progress)
        publishing.write_bytes(path, _render(_PAGE, page.content()))
        return (path,)
    written = []
    spans = months(dataset)
    for name, span in spans.items():
        page = source.page(options, progress, span)
        written.append(storage.join(path, f"{name}.html"))
        publishing.write_bytes(written[-1], _render(_PAGE, page.content()))
    content = index(dataset, table, source.events, threshold, options, spans)
    first = storage.join(path, "index.html")
    publishing.write_bytes(first, _render(_INDEX, content))
    return (first, *written)


def write_pictures(
    folder: str,
    *,
    dataset: Dataset,
    table: ScoreTable,
    events: Sequence[Event],
    artifact: Artifact | None = None,
    threshold: Threshold | None = None,
    options: ReportOptions | None = None,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write a report's content as pictures, for a paper.

    Parameters
    ----------
    folder : str
        Path or URL of a folder, made if it is not there.
    dataset : Dataset
        What was scored.
    table : ScoreTable
        The scores.
    events : sequence of Event
        The events found in them, by rank.
    artifact : Artifact, optional
        The model. Without it there are no reconstructions and no training curve.
    threshold : Threshold, optional
        Where events begin.
    options : ReportOptions, optional
        What to show; the defaults if left out.
    progress : Progress
        Is told how far reading and drawing are.

    Returns
    -------
    tuple of str
        The files: ``overview-<sensor>.png``, ``event-<rank>.png``, ``histogram.png``
        and ``training.png``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ArtifactError
        If the model is one of other columns.
    ScoresError
        If scores or events are of a time the dataset does not have.
    OptionError
        If an option names a sensor the dataset does not have.
    StorageError
        If they cannot be written.
    """
    options = options or ReportOptions()
    source = Source(dataset, table, tuple(events), artifact, threshold)
    source.check(options)
    written = []
    for picture in source.page(options, progress).pictures():
        # A sensor may be called what a file may not.
        name = re.sub(r"[^\w.-]", "_", picture.name)
        written.append(storage.join(folder, f"{name}.png"))
        publishing.write_bytes(written[-1], as_png(picture.figure))
    return tuple(written)


def months(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Cut a dataset's time into months.

    Parameters
    ----------
    dataset : Dataset
        The dataset.

    Returns
    -------
    dict of str to tuple of int
        By name, ``2015-02``, the time of each month that has rows [s since 1970 UTC],
        half-open, and no longer than the dataset.
    """
    start, end = dataset_span(dataset)
    found: dict[str, tuple[int, int]] = {}
    for day in dataset.days:
        first = day.replace(day=1)
        after = (first + datetime.timedelta(days=32)).replace(day=1)
        span = max(start, _midnight(first)), min(end, _midnight(after))
        if span[0] < span[1]:
            found[f"{first:%Y-%m}"] = span
    return found


def _midnight(day: datetime.date) -> int:
    return (day - datetime.date(1970, 1, 1)).days * 86_400


def _render(template: str, content: Mapping[str, Any]) -> bytes:
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError("the report", "report") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("echoanom"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content).encode()
