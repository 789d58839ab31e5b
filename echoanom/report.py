"""One page that shows data, scores and events, and needs nothing beside it.

Pictures are part of the file, nothing is loaded from elsewhere, and every text from
outside is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from echoanom import publishing
from echoanom.dataset import Dataset
from echoanom.errors import MissingExtraError, OptionError, ScoresError
from echoanom.events import Event
from echoanom.page import Page, ReportOptions
from echoanom.progress import Progress, no_progress
from echoanom.scores import ScoreTable
from echoanom.thresholds import Threshold

if TYPE_CHECKING:
    from echoanom.artifact import Artifact

__all__ = ["ReportOptions", "write_report"]

_TEMPLATE = "report.html"


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
) -> None:
    """Write a report, complete or not at all.

    Parameters
    ----------
    path : str
        Path or URL of the HTML file.
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

    Raises
    ------
    MissingExtraError
        If matplotlib or jinja2 is not installed.
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
    _check(dataset, table, artifact, options)
    page = Page(dataset, table, tuple(events), artifact, threshold, options, progress)
    publishing.write_bytes(path, _render(page.content()).encode())


def _check(
    dataset: Dataset,
    table: ScoreTable,
    artifact: Artifact | None,
    options: ReportOptions,
) -> None:
    sensors = {column.sensor for column in dataset.columns}
    unknown = sorted({*options.looking, *options.depth_m} - sensors)
    if unknown:
        raise OptionError(
            f"{dataset.path} has no sensor {', '.join(unknown)}; it has"
            f" {', '.join(sorted(sensors))}"
        )
    if artifact is not None:
        artifact.check_columns(dataset)
    if not len(table.times) or not np.isin(table.times, dataset.times()).any():
        raise ScoresError(
            f"scores must be of rows of {dataset.path}, but none is; give the dataset"
            " that was scored"
        )


def _render(content: Mapping[str, Any]) -> str:
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
    return environment.get_template(_TEMPLATE).render(content)
