"""What a page shows along time, as numbers that a browser draws.

Panels come at two resolutions: *coarse* for the whole time, *fine* for days. A step is
the average of its rows, as in pictures. Scores keep their peaks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.binaxis import bin_axis
from echoanom.dataset import Dataset
from echoanom.imagecodes import Codes, choose_codes, image_rows, packed
from echoanom.palette import LINES, choose_colours
from echoanom.panels import Mounting, Panel
from echoanom.progress import Progress, no_progress
from echoanom.reader import IndexedReader
from echoanom.timegrid import TimeGrid, choose_grid, read_grid, thin_bins

MOST_ROWS = 240
"""Most rows of an image, about as many pixels as it is high."""

_DAY_S = 86_400
_COARSE_STEPS = 1200
_IMAGE_BYTES = 10 << 20
_PARTS_AT_ONCE = 1 << 22


@dataclasses.dataclass(frozen=True)
class ImageTrack:
    """A panel of bins over time.

    Attributes
    ----------
    panel : Panel
        What it is.
    codes : Codes
        What its bytes mean.
    colours : str
        Name of its colour map.
    limits : tuple of float
        Values of the first and the last colour.
    centres : tuple of float
        Place on the axis of each row of the image, ascending.
    low, high : float
        Where the axis begins and ends, low < high.
    label : str
        What the axis is.
    downward, logarithmic : bool
        How the axis is drawn.
    coarse, fine : ndarray of uint8, shape (steps, rows)
        Codes.
    """

    panel: Panel
    codes: Codes
    colours: str
    limits: tuple[float, float]
    centres: tuple[float, ...]
    low: float
    high: float
    label: str
    downward: bool
    logarithmic: bool
    coarse: NDArray[np.uint8]
    fine: NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class LineTrack:
    """A panel of a few lines over time.

    Attributes
    ----------
    panel : Panel
        What it is.
    names : tuple of str
        Of the lines.
    low, high : float
        Ends of its axis.
    coarse, fine : ndarray of float32, shape (steps, lines)
        Values; NaN is missing.
    """

    panel: Panel
    names: tuple[str, ...]
    low: float
    high: float
    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]


Track = ImageTrack | LineTrack


@dataclasses.dataclass(frozen=True)
class Tracks:
    """All panels, and the steps they have in common.

    Attributes
    ----------
    coarse, fine : TimeGrid
        The steps. The fine ones begin and end with a day.
    panels : tuple of ImageTrack or LineTrack
        In the order of drawing.
    """

    coarse: TimeGrid
    fine: TimeGrid
    panels: tuple[Track, ...]


def line_names(panel: Panel) -> tuple[str, ...]:
    """Name the lines of a panel.

    Parameters
    ----------
    panel : Panel
        A panel that is not drawn as an image.

    Returns
    -------
    tuple of str
        Ranges or frequencies with their unit; the quantity where there is none.
    """
    unit = "Hz" if panel.along == "frequency" else "m"
    return tuple(f"{place:g} {unit}" for place in panel.coordinates) or (
        panel.quantity,
    )


def read_tracks(
    dataset: Dataset,
    panels: Sequence[Panel],
    mountings: Mapping[str, Mounting],
    start_s: int,
    end_s: int,
    *,
    reader: IndexedReader | None = None,
    progress: Progress = no_progress,
) -> Tracks:
    """Read panels for a page.

    Parameters
    ----------
    dataset : Dataset
        What to read.
    panels : sequence of Panel
        What is drawn.
    mountings : mapping of str to Mounting
        How each sensor's instrument looks.
    start_s, end_s : int
        The time to show [s since 1970 UTC], half-open.
    reader : IndexedReader, optional
        To read with; a new one if left out.
    progress : Progress
        Is told how many days were read.

    Returns
    -------
    Tracks
        Fine steps are single rows, or as many rows as it takes to keep the codes of
        all images below 10 MiB.

    Raises
    ------
    CorruptionError
        If stored bytes are not what the manifest says.
    """
    reader = reader or IndexedReader(dataset)
    coarse = choose_grid(start_s, end_s, dataset.period_s, _COARSE_STEPS)
    overview = read_grid(dataset, coarse, reader=reader)
    makers = [_maker(panel, mountings[panel.sensor], overview) for panel in panels]
    cost = sum(maker.bytes_a_step for maker in makers)
    fine = fine_grid(start_s, end_s, dataset.period_s, cost)
    parts: list[list[NDArray[Any]]] = [[] for _ in makers]
    for done, part in enumerate(days := _days(fine, len(dataset.columns))):
        progress("Read days", done, len(days))
        values = read_grid(dataset, part, reader=reader)
        for maker, pieces in zip(makers, parts, strict=True):
            pieces.append(maker.cells(values))
    progress("Read days", len(days), len(days))
    tracks = [
        maker.track(maker.cells(overview), np.concatenate(pieces))
        for maker, pieces in zip(makers, parts, strict=True)
    ]
    return Tracks(coarse, fine, tuple(tracks))


def image_codes(
    panel: Panel, values: NDArray[np.float32], mounting: Mounting | None, codes: Codes
) -> NDArray[np.uint8]:
    """Encode an image as a track of its panel has it.

    Parameters
    ----------
    panel : Panel
        What it is.
    values : ndarray of float32, shape (T, bins)
        The panel's values, or differences of such.
    mounting : Mounting or None
        How the instrument looks.
    codes : Codes
        What the bytes mean.

    Returns
    -------
    ndarray of uint8, shape (T, rows)
        Codes, by ascending place on the axis.
    """
    thinned, bins = thin_bins(values, panel.coordinates, panel.kind, MOST_ROWS)
    axis = bin_axis(bins, panel, mounting)
    rows = image_rows(axis.edges, axis.logarithmic, MOST_ROWS)
    return codes.encode(thinned)[:, rows]


class _ImageMaker:
    """Makes the codes of one panel, day by day."""

    def __init__(
        self, panel: Panel, mounting: Mounting, overview: NDArray[np.float32]
    ) -> None:
        self._panel, self._mounting = panel, mounting
        shown = overview[:, list(panel.positions)]
        self._colours, low, high = choose_colours(panel, shown, None, False)
        self._limits = low, high
        known = shown[np.isfinite(shown)]
        smallest, largest = (
            (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
        )
        # Single rows lie further out than the averages do.
        room = 0.1 * (high - low)
        self._codes = (
            Codes(low, high)
            if panel.kind == "direction"
            else choose_codes(self._limits, smallest - room, largest + room)
        )
        _, bins = thin_bins(shown[:1], panel.coordinates, panel.kind, MOST_ROWS)
        self._axis = bin_axis(bins, panel, mounting)
        rows = image_rows(self._axis.edges, self._axis.logarithmic, MOST_ROWS)
        middles = (self._axis.edges[1:] + self._axis.edges[:-1]) / 2
        self._centres = tuple(float(f"{place:.6g}") for place in middles[rows])
        self.bytes_a_step = len(rows)

    def cells(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        chosen = values[:, list(self._panel.positions)]
        return image_codes(self._panel, chosen, self._mounting, self._codes)

    def track(self, coarse: NDArray[Any], fine: NDArray[Any]) -> Track:
        edges = self._axis.edges
        return ImageTrack(
            self._panel,
            self._codes,
            self._colours,
            self._limits,
            self._centres,
            float(edges.min()),
            float(edges.max()),
            self._axis.label,
            self._axis.downward,
            self._axis.logarithmic,
            coarse,
            fine,
        )


class _LineMaker:
    """Gathers the values of one panel, day by day."""

    bytes_a_step = 0

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def cells(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values[:, list(self._panel.positions)]

    def track(self, coarse: NDArray[Any], fine: NDArray[Any]) -> Track:
        known = fine[np.isfinite(fine)]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        room = 0.08 * float(high - low) or 0.5
        ends = float(low) - room, float(high) + room
        if self._panel.kind == "direction":
            ends = 0.0, 360.0
        return LineTrack(self._panel, line_names(self._panel), *ends, coarse, fine)


def _maker(
    panel: Panel, mounting: Mounting, overview: NDArray[np.float32]
) -> _ImageMaker | _LineMaker:
    if panel.is_image:
        return _ImageMaker(panel, mounting, overview)
    return _LineMaker(panel)


def fine_grid(start_s: int, end_s: int, period_s: int, bytes_a_step: int) -> TimeGrid:
    """Choose the fine steps: whole rows, of which whole ones make a day.

    Parameters
    ----------
    start_s, end_s : int
        The time to cover [s since 1970 UTC], half-open.
    period_s : int
        Length of a row [s], which divides a day.
    bytes_a_step : int
        What a step costs [byte].

    Returns
    -------
    TimeGrid
        From midnight to midnight, with the shortest steps that cost at most 10 MiB
        together, or steps of a day.
    """
    first = start_s // _DAY_S * _DAY_S
    span = -(-(end_s - first) // _DAY_S) * _DAY_S
    most = _IMAGE_BYTES // max(1, bytes_a_step)
    rows = max(1, -(-span // (most * period_s)))
    while _DAY_S % (rows * period_s) and rows * period_s < _DAY_S:
        rows += 1
    step = min(rows * period_s, _DAY_S)
    return TimeGrid(first, step, span // step)


def _days(grid: TimeGrid, columns: int) -> list[TimeGrid]:
    """Cut a grid into parts that fit into memory, whole days if they do."""
    most = max(1, min(_DAY_S // grid.step_s, _PARTS_AT_ONCE // max(1, columns)))
    return [
        TimeGrid(
            grid.start_s + first * grid.step_s,
            grid.step_s,
            min(most, grid.steps - first),
        )
        for first in range(0, grid.steps, most)
    ]


def grid_json(grid: TimeGrid) -> dict[str, int]:
    """Describe steps for the page's program.

    Parameters
    ----------
    grid : TimeGrid
        The steps.

    Returns
    -------
    dict
        ``start`` and ``step`` [s], ``steps``.
    """
    return {"start": grid.start_s, "step": grid.step_s, "steps": grid.steps}


def track_json(track: Track, palette: Sequence[str]) -> dict[str, Any]:
    """Describe a track for the page's program, without its numbers.

    Parameters
    ----------
    track : ImageTrack or LineTrack
        The track.
    palette : sequence of str
        Colours of an image, from the first to the last.

    Returns
    -------
    dict
        Plain JSON values.
    """
    panel = track.panel
    about: dict[str, Any] = {
        "sensor": panel.sensor,
        "label": panel.label,
        "unit": panel.shown_unit,
        "kind": panel.kind,
        "image": isinstance(track, ImageTrack),
        "low": track.low,
        "high": track.high,
    }
    if isinstance(track, LineTrack):
        return about | {"names": track.names, "colours": LINES}
    unit = track.label.rpartition("(")[2].rstrip(")")
    return about | {
        "axis": track.label,
        "axis_unit": unit,
        "down": track.downward,
        "log": track.logarithmic,
        "centres": track.centres,
        "codes": [track.codes.low, track.codes.high],
        "limits": track.limits,
        "palette": list(palette),
    }


def blocks_of(track: Track) -> dict[str, str]:
    """Pack the numbers of a track.

    Parameters
    ----------
    track : ImageTrack or LineTrack
        The track.

    Returns
    -------
    dict of str to str
        ``coarse`` and ``fine``.
    """
    return {"coarse": packed(track.coarse), "fine": packed(track.fine)}
